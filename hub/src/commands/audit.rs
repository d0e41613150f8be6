//! `openpam audit`: proves the trail, with the database at hand or from a bundle alone.

use std::{
    fs::File,
    io::{self, BufReader, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use openpam_ledger::{BundleReader, Evidence, EvidenceReport, Signers, Verdict};
use sqlx::Connection as _;

use crate::{
    config::Config,
    context::Context,
    db::{Db, connect_as_owner, set_scope},
    domains::{
        audit::{Event, record},
        ledger::{self, Outcome, Scope},
    },
};

const BASE64: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;
/// Bytes that are read of a file with checkpoints.
const MAX_ANCHOR_BYTES: u64 = 1 << 30;
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

/// The notes in a file, JSON lines as the anchor writes them, or one note as it is; and how many lines are none.
fn notes(path: &Path) -> anyhow::Result<(Vec<String>, usize)> {
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    if size > MAX_ANCHOR_BYTES {
        bail!("{} is larger than 1 GiB", path.display());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    if text.trim().is_empty() {
        return Ok((Vec::new(), 0));
    }
    if !text.trim_start().starts_with('{') {
        return Ok((vec![text], 0));
    }
    let note =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?.get("note")?.as_str().map(str::to_owned);
    let lines = text.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>();
    let notes = lines.iter().filter_map(|line| note(line)).collect::<Vec<_>>();
    let broken = lines.len() - notes.len();
    Ok((notes, broken))
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
    let (mut anchored, mut said) = (Vec::new(), Vec::new());
    let configured = config.ledger.anchor_file.as_deref().map(Path::new);
    let is_missing = configured.is_some_and(|path| !path.exists());
    for path in verify.anchor.iter().map(PathBuf::as_path).chain(configured) {
        if is_missing && Some(path) == configured {
            said.push(format!("anchor: missing\n  anchor_missing: the configuration names {}", path.display()));
            continue;
        }
        let (notes, broken) = notes(path)?;
        anchored.extend(notes);
        if broken > 0 {
            // A hub that died while it wrote leaves one.
            said.push(format!("{}: {broken} lines are no checkpoints", path.display()));
        }
    }
    let scope = Scope {
        tenant: verify.tenant,
        start: verify.start_sequence,
        end: verify.end_sequence,
        trusted: keys(&verify.trust)?,
        anchored,
        name: config.ledger.name.clone(),
        former_names: config.ledger.former_names.clone(),
        anchor_file: configured.is_some() && !is_missing,
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
    let what = if outcome.name == "anchor" { "checkpoints" } else { "entries" };
    writeln!(out, "{}: {}, {} {what} looked at", outcome.name, outcome.verdict, outcome.entries)?;
    for finding in &outcome.findings {
        writeln!(out, "  {}: {}", finding.code, finding.message)?;
    }
    if outcome.more > 0 {
        writeln!(out, "  and {} findings more", outcome.more)?;
    }
    if outcome.verdict == "consistent" {
        writeln!(out, "  no signed checkpoint speaks for it yet")?;
    }
    // What the anchor has of a former ledger is always told.
    for warning in outcome.warnings.iter().filter(|_| verbose || outcome.name == "anchor") {
        writeln!(out, "  warning: {warning}")?;
    }
    if verbose {
        if let Some(anchored) = outcome.anchored {
            writeln!(out, "  signed up to entry {anchored}")?;
        }
        if let Some(head) = outcome.head {
            writeln!(out, "  root {} of {} entries", head.root, head.size)?;
        }
        if outcome.erased > 0 {
            writeln!(out, "  {} entries whose content was erased", outcome.erased)?;
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
