//! `openpam audit`: proves the trail, with the database at hand or from a bundle alone.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use aws_lc_rs::rand::SystemRandom;
use base64::Engine as _;
use chrono::DateTime;
use openpam_ledger::{BundleReader, Evidence, EvidenceReport, Signers, Verdict};
use sqlx::Connection as _;

use crate::{
    config::Config,
    context::Context,
    db::{Db, connect_as_owner, set_scope},
    domains::{
        audit::{Event, record},
        ledger::{self, Outcome, Scope},
        vault::Vault,
    },
};

const BASE64: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;
/// Bytes of one line of a file with checkpoints, or of the one note in it.
const MAX_LINE_BYTES: u64 = 256 << 10;
/// Checkpoints of one log that are kept in memory.
const MAX_NOTES: usize = 20_000;
/// How the program ends where nothing is wrong, and nothing proves it either.
const NOT_VERIFIED: u8 = 2;

/// What `openpam audit verify` is asked for.
#[derive(Debug, Default)]
pub struct Verify {
    /// The only tenant.
    pub tenant: Option<String>,
    /// First entry.
    pub start_sequence: Option<u64>,
    /// Last entry.
    pub end_sequence: Option<u64>,
    /// Keys to trust, base64.
    pub trust: Vec<String>,
    /// Files with checkpoints that were kept elsewhere.
    pub anchor: Vec<PathBuf>,
    /// Say more.
    pub verbose: bool,
}

/// Public keys as they are given on the command line.
pub(super) fn keys(texts: &[String]) -> anyhow::Result<Vec<[u8; 32]>> {
    let key = |text: &String| {
        let bytes = BASE64.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.with_context(|| format!("{text} is no Ed25519 public key in base64"))
    };
    texts.iter().map(key).collect()
}

/// What files with checkpoints have. Anchors grow for years: of each log as many as fit in memory, the largest always.
#[derive(Debug, Default)]
struct Kept {
    by_origin: HashMap<String, Vec<(u64, String)>>,
    /// Those that were left out. Larger ones speak for them.
    thinned: usize,
}

impl Kept {
    fn add(&mut self, note: String, most: usize) {
        let mut lines = note.lines();
        let origin = lines.next().unwrap_or_default().to_owned();
        let size = lines.next().and_then(|size| size.parse().ok()).unwrap_or(0);
        let notes = self.by_origin.entry(origin).or_default();
        notes.push((size, note));
        if notes.len() > most {
            let before = notes.len();
            notes.sort_by_key(|(size, _)| *size);
            let last = before - 1;
            let mut place = 0;
            notes.retain(|_| {
                place += 1;
                place % 2 == 0 || place > last
            });
            self.thinned += before - notes.len();
        }
    }

    fn into_notes(self) -> Vec<String> {
        self.by_origin.into_values().flatten().map(|(_, note)| note).collect()
    }
}

/// Takes the notes in a file, JSON lines as the anchor writes them, or one note as it is. How many lines are none.
fn read_notes(path: &Path, kept: &mut Kept) -> anyhow::Result<usize> {
    let cannot = || format!("cannot read {}", path.display());
    let mut reader = BufReader::new(File::open(path).with_context(cannot)?);
    let note =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?.get("note")?.as_str().map(str::to_owned);
    let (mut line, mut broken, mut is_first) = (String::new(), 0, true);
    loop {
        line.clear();
        if io::Read::take(&mut reader, MAX_LINE_BYTES).read_line(&mut line).with_context(cannot)? == 0 {
            return Ok(broken);
        }
        if line.trim().is_empty() {
            continue;
        }
        if std::mem::take(&mut is_first) && !line.trim_start().starts_with('{') {
            io::Read::take(&mut reader, MAX_LINE_BYTES).read_to_string(&mut line).with_context(cannot)?;
            kept.add(line, MAX_NOTES);
            return Ok(0);
        }
        match note(&line) {
            Some(note) => kept.add(note, MAX_NOTES),
            None => broken += 1,
        }
    }
}

/// `openpam audit verify`: says what was looked at, and fails for anything that is wrong.
///
/// # Errors
/// When configuration, database or files cannot be read.
pub async fn verify(config_path: &Path, verify: Verify) -> anyhow::Result<ExitCode> {
    let config = Config::load(config_path)?;
    let db = Db::new(&config.database)?;
    if let (Some(start), Some(end)) = (verify.start_sequence, verify.end_sequence)
        && start > end
    {
        bail!("--start-sequence {start} is behind --end-sequence {end}");
    }
    let (mut kept, mut said) = (Kept::default(), Vec::new());
    let configured = config.ledger.anchor_file.as_deref().map(Path::new);
    let is_missing = configured.is_some_and(|path| !path.exists());
    let is_read = configured.is_some() && !is_missing;
    for path in verify.anchor.iter().map(PathBuf::as_path).chain(configured) {
        if is_missing && Some(path) == configured {
            said.push(format!("anchor: missing\n  anchor_missing: the configuration names {}", path.display()));
            continue;
        }
        let broken = read_notes(path, &mut kept)?;
        if broken > 0 {
            // A hub that died while it wrote leaves one.
            said.push(format!("{}: {broken} lines are no checkpoints", path.display()));
        }
    }
    let bucket = match ledger::bucket_notes(&config.ledger).await {
        Ok(notes) => notes,
        Err(reason) => {
            // One that cannot be read is no reason to find nothing.
            let name = config.ledger.anchor_s3_bucket.as_deref().unwrap_or_default();
            said.push(format!("bucket: missing\n  anchor_missing: the bucket {name} cannot be read: {reason}"));
            None
        }
    };
    let is_missing = is_missing || (bucket.is_none() && config.ledger.anchor_s3_bucket.is_some());
    if kept.thinned > 0 {
        said.push(format!(
            "anchor: {} smaller checkpoints were not looked at, larger ones speak for them",
            kept.thinned
        ));
    }
    let scope = Scope {
        tenant: verify.tenant,
        start: verify.start_sequence,
        end: verify.end_sequence,
        trusted: keys(&verify.trust)?,
        anchored: kept.into_notes(),
        name: config.ledger.name.clone(),
        former_names: config.ledger.former_names.clone(),
        anchor_file: is_read,
        bucket,
        witnesses: config.ledger.witness_keys(),
    };
    let outcomes = ledger::verify(&db, &scope).await?;
    let mut out = io::stdout().lock();
    for line in said {
        writeln!(out, "{line}")?;
    }
    for outcome in &outcomes {
        print(&mut out, outcome, verify.verbose)?;
    }
    if scope.trusted.is_empty() {
        writeln!(out, "signatures were checked with the keys that the database names; --trust names others")?;
    }
    let sound = !is_missing && outcomes.iter().all(Outcome::is_sound);
    writeln!(out, "{}", if sound { "nothing is wrong" } else { "the ledger is not as it was signed" })?;
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(out: &mut impl io::Write, outcome: &Outcome, verbose: bool) -> io::Result<()> {
    let what = match outcome.name.as_str() {
        "anchor" | "bucket" => "checkpoints",
        "database" => "guards",
        name if name.starts_with("witness ") => "signatures",
        _ => "entries",
    };
    writeln!(out, "{}: {}, {} {what} looked at", outcome.name, outcome.verdict, outcome.entries)?;
    for finding in &outcome.findings {
        writeln!(out, "  {}: {}", finding.code, finding.message)?;
    }
    if outcome.more > 0 {
        writeln!(out, "  and {} findings more", outcome.more)?;
    }
    if let Some((count, one)) = &outcome.by_hand {
        writeln!(out, "  {count} row changes were made by hand: {one}")?;
    }
    if outcome.erased > 0 {
        writeln!(out, "  the contents of {} entries were erased: see the entries of ledger.erase", outcome.erased)?;
    }
    for hole in &outcome.holes {
        writeln!(out, "  warning: places_not_given: {hole}")?;
    }
    if outcome.verdict == "consistent" {
        writeln!(out, "  no signed checkpoint speaks for it yet")?;
    }
    // What the anchor has of a former ledger is always told.
    for warning in outcome.warnings.iter().filter(|_| verbose || what == "checkpoints") {
        writeln!(out, "  warning: {warning}")?;
    }
    if verbose {
        if let Some(anchored) = outcome.anchored {
            writeln!(out, "  signed up to entry {anchored}")?;
        }
        if let Some(head) = outcome.head {
            writeln!(out, "  root {} of {} entries", head.root, head.size)?;
        }
        if outcome.waiting > 0 {
            writeln!(out, "  {} events and row changes wait for their places", outcome.waiting)?;
        }
    }
    Ok(())
}

/// `openpam audit resume`: after a restore that took the database behind its anchor, a ledger of another name, in which
/// everything that is there gets its place anew. The configuration names it and the one before.
///
/// # Errors
/// When the configuration does not name both, a hub runs, or the database refuses.
pub async fn resume(config_path: &Path, reason: &str) -> anyhow::Result<()> {
    let config = Config::load(config_path)?;
    let mut connection = connect_as_owner(&config.database).await?;
    let before = ledger::name(&mut connection).await?.context("there is no ledger yet")?;
    let (Some(name), true) = (&config.ledger.name, config.ledger.former_names.contains(&before)) else {
        bail!("name the ledger that is to begin in ledger.name, and add {before:?} to ledger.former_names");
    };
    let tenants = Db::new(&config.database)?.tenant_ids().await?;
    let mut tx = connection.begin().await?;
    let kept = ledger::begin_anew(&mut tx, name).await?;
    for tenant_id in tenants {
        let context = Context::system(tenant_id, "audit resume");
        set_scope(&mut tx, &tenant_id.to_string(), &context.principal.actor.to_string(), "audit resume").await?;
        let event = Event::success("ledger.resume")
            .with("former", before.as_str())
            .with("name", name.as_str())
            .with("reason", reason);
        record(&mut tx, &context, event).await?;
    }
    tx.commit().await?;
    writeln!(io::stdout(), "{name} begins with the next hub; what there is of {before} is in the schema {kept}")?;
    Ok(())
}

/// `openpam audit acknowledge`: ends the alarms for logs that were rewritten, and says so in every tenant's log.
///
/// # Errors
/// When the configuration cannot be read, database or vault refuse, or there is no alarm.
pub async fn acknowledge(config_path: &Path, reason: &str) -> anyhow::Result<()> {
    let config = Config::load(config_path)?;
    let vault = Vault::new(&config)?;
    let db = Db::new(&config.database)?;
    let alarms = ledger::alarms(&db, &vault).await?.into_iter().collect::<Vec<_>>();
    if alarms.is_empty() {
        bail!("there is no alarm: no hub has found a log rewritten");
    }
    let mut connection = connect_as_owner(&config.database).await?;
    let tenants = db.tenant_ids().await?;
    let mut tx = connection.begin().await?;
    for tenant_id in tenants {
        let context = Context::system(tenant_id, "audit acknowledge");
        set_scope(&mut tx, &tenant_id.to_string(), &context.principal.actor.to_string(), "audit acknowledge").await?;
        // Which others there are is no tenant's business.
        let own =
            alarms.iter().filter(|origin| origin.ends_with(&tenant_id.to_string()) || origin.ends_with("/system"));
        let logs = own.cloned().collect::<Vec<_>>();
        let event = Event::success("ledger.acknowledge").with("logs", logs).with("reason", reason);
        record(&mut tx, &context, event).await?;
    }
    tx.commit().await?;
    ledger::acknowledge(&db, &vault).await?;
    let mut out = io::stdout();
    for origin in alarms {
        writeln!(out, "{origin}")?;
    }
    writeln!(out, "acknowledged; hubs that start from now on sign them again, where they go on from what was signed")?;
    Ok(())
}

/// `openpam audit keys rotate`: another key signs from now on. What the one before signed stays valid.
///
/// # Errors
/// When the configuration cannot be read, or database or vault refuse.
pub async fn rotate_key(config_path: &Path, reason: &str) -> anyhow::Result<()> {
    let config = Config::load(config_path)?;
    let (db, vault) = (Db::new(&config.database)?, Vault::new(&config)?);
    let mut connection = connect_as_owner(&config.database).await?;
    let tenants = db.tenant_ids().await?;
    let mut tx = connection.begin().await?;
    let (old, before, after) = ledger::rotate_key(&mut tx, &db, &vault, &SystemRandom::new()).await?;
    let (before, after) = (BASE64.encode(before), BASE64.encode(after));
    for tenant_id in tenants {
        let context = Context::system(tenant_id, "audit keys rotate");
        set_scope(&mut tx, &tenant_id.to_string(), &context.principal.actor.to_string(), "audit keys rotate").await?;
        let event = Event::success("ledger.key.rotate")
            .with("before", before.as_str())
            .with("after", after.as_str())
            .with("reason", reason);
        record(&mut tx, &context, event).await?;
    }
    tx.commit().await?;
    ledger::key_rotated(&db, &vault, old).await?;
    let mut out = io::stdout();
    writeln!(out, "{after}")?;
    writeln!(
        out,
        "signs from now on, within seconds; give it to whoever trusts {before}, which stays valid for before"
    )?;
    Ok(())
}

/// What `openpam audit erase` is asked for.
#[derive(Debug)]
pub struct Erase {
    /// Slug of the tenant.
    pub tenant: String,
    /// Id of the user.
    pub user: String,
    /// Only what is older, RFC 3339.
    pub before: Option<String>,
    /// Why, for the ledger.
    pub reason: String,
}

/// `openpam audit erase`: empties the contents of a person's entries. Their digests, and with them every proof, stay, and
/// an entry says what went.
///
/// # Errors
/// When the configuration cannot be read, the account can still sign in, or the database refuses.
pub async fn erase(config_path: &Path, erase: Erase) -> anyhow::Result<()> {
    let config = Config::load(config_path)?;
    let user_id = erase.user.parse().with_context(|| format!("{} is no user's id", erase.user))?;
    let before = erase.before.as_deref().map(DateTime::parse_from_rfc3339).transpose();
    let before = before.context("--before takes a time like 2026-01-31T00:00:00Z")?.map(|time| time.to_utc());
    let tenant = Db::new(&config.database)?.tenant_by_slug(&erase.tenant).await?;
    let tenant_id = tenant.with_context(|| format!("there is no tenant {}", erase.tenant))?;
    let mut connection = connect_as_owner(&config.database).await?;
    let erased = ledger::erase(&mut connection, tenant_id, user_id, before, &erase.reason).await?;
    let mut out = io::stdout();
    writeln!(out, "erased the contents of {} events and {} row changes", erased.events, erased.row_changes)?;
    if erased.published > 0 {
        writeln!(out, "and the names in {} published events; subscribers have what they got", erased.published)?;
    }
    if erased.unsigned > 0 {
        writeln!(out, "{} are not signed yet and keep theirs: try again in a minute", erased.unsigned)?;
    }
    Ok(())
}

/// `openpam audit keys`: a line for each log and key, `name+id+key`, as verifiers of checkpoints elsewhere take it. The
/// key is one for all logs of a ledger; its name is the log's.
///
/// # Errors
/// When configuration or database cannot be read, or there is no ledger yet.
pub async fn print_keys(config_path: &Path) -> anyhow::Result<()> {
    let db = Db::new(&Config::load(config_path)?.database)?;
    let mut out = io::stdout().lock();
    for (log, key) in ledger::verifier_keys(&db).await? {
        writeln!(out, "{log}\t{key}")?;
    }
    Ok(())
}

/// `openpam audit verify --offline`: the ledger's part of a bundle, with nothing else at hand.
///
/// # Errors
/// When the file cannot be read, or is no bundle.
pub fn verify_bundle(path: &Path, trust: &[String], verbose: bool) -> anyhow::Result<ExitCode> {
    let log_keys = keys(trust)?;
    let trusts = !log_keys.is_empty();
    let signers = if trusts { Signers::Trusted { log_keys, witnesses: Vec::new(), needed: 0 } } else { Signers::Any };
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut reader = BundleReader::new(BufReader::new(file))?;
    let mut evidence = Evidence::new(signers, None);
    let mut out = io::stdout().lock();
    let mut others = 0;
    while let Some(section) = reader.section()? {
        let taken = evidence.section(&section.name, &section.body, &mut |entry, contents| {
            if verbose {
                let _ = writeln!(out, "  entry {}: {}, {} contents", entry.seq, entry.action, contents.len());
            }
        });
        others += u64::from(!taken);
    }
    let report = evidence.finish();
    print_report(&mut out, &report)?;
    if others > 0 {
        writeln!(out, "{others} sections were not looked at: openpam evidence verify does")?;
    }
    conclude(&mut out, !matches!(report.verdict, Verdict::Defective(_)), trusts)
}

/// The last line about a bundle, and how the program ends. Whoever trusts no key has verified nothing: anybody can
/// make a bundle with a key of their own.
pub(super) fn conclude(out: &mut impl io::Write, sound: bool, trusts: bool) -> anyhow::Result<ExitCode> {
    let (line, code) = match (sound, trusts) {
        (false, _) => ("this is not as it was signed", ExitCode::FAILURE),
        (true, true) => ("nothing is wrong", ExitCode::SUCCESS),
        (true, false) => (
            "not verified: signatures were not checked, and anybody could have made this. Name the keys that you \
             trust with --trust",
            ExitCode::from(NOT_VERIFIED),
        ),
    };
    writeln!(out, "{line}")?;
    Ok(code)
}

/// Prints what came of the ledger's part of a bundle.
pub(super) fn print_report(out: &mut impl io::Write, report: &EvidenceReport) -> io::Result<()> {
    writeln!(out, "ledger: {}", report.verdict.code())?;
    if let Some((name, tenant_id)) = &report.about {
        writeln!(out, "  of {name}, tenant {tenant_id}")?;
    }
    if let Some(checkpoint) = &report.checkpoint {
        let head = checkpoint.checkpoint.head();
        writeln!(out, "  proven against the checkpoint of {} entries, root {}", head.size, head.root)?;
    }
    let entries = report.ranges.iter().map(|range| range.entries).sum::<u64>();
    writeln!(out, "  {entries} entries, {} contents, {} not given out", report.contents, report.withheld)?;
    for defect in report.ranges.iter().flat_map(|range| &range.defects).chain(&report.defects) {
        writeln!(out, "  {}: {defect}", defect.code())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_checkpoints_some_are_kept_and_the_largest_always() {
        let mut kept = Kept::default();
        for size in (1..=1_001).rev() {
            kept.add(format!("x/ledger/system\n{size}\nroot\n"), 10);
        }
        kept.add("x/ledger/tenants/1\n5\nroot\n".to_owned(), 10);
        let notes = &kept.by_origin["x/ledger/system"];
        assert!(notes.len() <= 10 && notes.iter().any(|(size, _)| *size == 1_001), "{notes:?}");
        assert_eq!(kept.thinned + kept.into_notes().len(), 1_002);
    }

    #[test]
    fn a_file_of_lines_and_one_of_a_single_note_are_read_and_broken_lines_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        std::fs::write(&path, "\n{\"note\":\"a\\n3\\n\"}\n{\"no\n\n{\"note\":\"a\\n4\\n\"}\n").unwrap();
        let mut kept = Kept::default();
        assert_eq!(read_notes(&path, &mut kept).unwrap(), 1);
        assert_eq!(kept.by_origin["a"].len(), 2);
        std::fs::write(&path, "x/ledger/system\n7\nroot\n").unwrap();
        assert_eq!(read_notes(&path, &mut kept).unwrap(), 0);
        assert_eq!(kept.by_origin["x/ledger/system"], [(7, "x/ledger/system\n7\nroot\n".to_owned())]);
    }
}
