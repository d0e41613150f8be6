//! `openpam evidence`: everything about one session in one file, and its check on a machine that has nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io::{self, BufReader, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use chrono::DateTime;
use openpam_ledger::{
    BundleReader, BundleWriter, Content, Entry, Evidence, Field, Signers, Verdict, Verified, VerifierKey,
};
use openpam_recordings::{Hash, Head, SignerKey, Verifier, dir::Folder};

use super::audit;
use crate::{
    config::{Config, RecordingStore},
    context,
    db::{Db, DbError},
    domains::{
        audit::{Event, record},
        ledger,
        recordings::Storage,
    },
};

const BASE64: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;
const MANIFEST: &str = "recording/manifest";
const SEGMENTS: &str = "recording/";

/// What `openpam evidence export` is asked for.
#[derive(Debug)]
pub struct Export {
    /// Slug of the tenant.
    pub tenant: String,
    /// The session.
    pub session: String,
    /// The file to write.
    pub out: PathBuf,
    /// Folder with the recording's segments, instead of the configured store's.
    pub recording: Option<PathBuf>,
}

/// `openpam evidence export`.
///
/// # Errors
/// When configuration or database cannot be read, the session has no entries, or the file is there already.
pub async fn export(config_path: &Path, export: Export) -> anyhow::Result<()> {
    let config = Config::load(config_path)?;
    let db = Db::new(&config.database)?;
    let session_id = session_id(&export.session)?;
    let tenant = db.tenant_by_slug(&export.tenant).await?;
    let tenant_id = tenant.with_context(|| format!("there is no tenant {}", export.tenant))?;
    // Before anything is read: who gets at the evidence is told, whatever happens to the file.
    let context = context::Context::system(tenant_id, "evidence export");
    let mut tx = db.begin(&context).await?;
    record(&mut tx, &context, Event::success("evidence.export").on("session", session_id, ""))
        .await
        .map_err(DbError::from)?;
    tx.commit().await?;
    // Personal data: nobody else's to read.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&export.out);
    let file = file.with_context(|| format!("cannot make {}", export.out.display()))?;
    let written = write(&config, &db, tenant_id, session_id, &export, file).await;
    let written = match written {
        Ok(written) => written,
        Err(error) => {
            // A part of it is no evidence.
            let _ = std::fs::remove_file(&export.out);
            return Err(error);
        }
    };
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{}: {} entries of the ledger, {} segments of the recording",
        export.out.display(),
        written.ledger.entries,
        written.segments
    )?;
    for key in ledger::public_keys(&db).await? {
        writeln!(out, "to be checked with: openpam evidence verify --trust {} FILE", BASE64.encode(key))?;
    }
    Ok(())
}

fn session_id(text: &str) -> anyhow::Result<uuid::Uuid> {
    uuid::Uuid::parse_str(text).with_context(|| format!("{text} is no session id"))
}

struct Written {
    ledger: ledger::Written,
    segments: usize,
}

async fn write(
    config: &Config,
    db: &Db,
    tenant_id: openpam_ids::TenantId,
    session_id: uuid::Uuid,
    export: &Export,
    file: File,
) -> anyhow::Result<Written> {
    let mut bundle = BundleWriter::new(BufWriter::new(file))?;
    let ledger = ledger::write_evidence(db, tenant_id, session_id, &mut bundle).await?;
    let segments = match &export.recording {
        Some(folder) if folder.is_dir() => of_folder(&Folder::open(folder)?, &mut bundle)?,
        Some(folder) => bail!("{} is no folder", folder.display()),
        None => of_store(config, tenant_id, session_id, &mut bundle).await?,
    };
    let file = bundle.finish()?.into_inner().map_err(|error| error.into_error())?;
    file.sync_all()?;
    Ok(Written { ledger, segments })
}

/// Adds the recording in a folder. How many segments it has.
fn of_folder<W: io::Write>(folder: &Folder, bundle: &mut BundleWriter<W>) -> anyhow::Result<usize> {
    for seq in &folder.segments {
        bundle.section(&section_of(*seq), &folder.segment(*seq)?)?;
    }
    if let Some(manifest) = folder.manifest()? {
        bundle.section(MANIFEST, &manifest)?;
    }
    Ok(folder.segments.len())
}

/// Adds the recording in the configured store, one segment in memory at a time. How many segments it has.
async fn of_store<W: io::Write>(
    config: &Config,
    tenant_id: openpam_ids::TenantId,
    session_id: uuid::Uuid,
    bundle: &mut BundleWriter<W>,
) -> anyhow::Result<usize> {
    let folder = config.recording.directory.as_deref().map(Path::new);
    if config.recording.store == RecordingStore::Local && !folder.is_some_and(Path::is_dir) {
        return Ok(0);
    }
    let Some(store) = Storage::connect(&config.recording)? else { return Ok(0) };
    let session = openpam_ids::SessionId::from_uuid(session_id);
    let cannot = "the store of recordings cannot be read; --recording names a folder in its place";
    let segments = store.stored_segments(tenant_id, session).await.context(cannot)?;
    for seq in &segments {
        let bytes = store.stored_segment(tenant_id, session, *seq).await.context(cannot)?;
        let bytes = bytes.with_context(|| format!("segment {seq} of the recording went while it was read"))?;
        bundle.section(&section_of(*seq), &bytes)?;
    }
    if let Some(manifest) = store.stored_manifest(tenant_id, session).await.context(cannot)? {
        bundle.section(MANIFEST, &manifest)?;
    }
    Ok(segments.len())
}

fn section_of(seq: u32) -> String {
    format!("{SEGMENTS}{seq:010}.segment")
}

/// What `openpam evidence verify` is asked for.
#[derive(Debug, Default)]
pub struct Check {
    /// The file.
    pub bundle: PathBuf,
    /// Keys to trust, base64.
    pub trust: Vec<String>,
    /// Keys of witnesses that must have signed, `name+id+key`.
    pub witness: Vec<String>,
    /// The session that it is to be about.
    pub session: Option<String>,
    /// The recording may be left out of the file.
    pub without_recording: bool,
    /// Entries may be left out, or not be there yet.
    pub partial: bool,
    /// Say more.
    pub verbose: bool,
}

/// What the ledger says of a recording when it was closed. Nothing where its detail is not given out.
#[derive(Debug, Default)]
struct Closed {
    root: Option<String>,
    signer: Option<String>,
    segments: Option<u64>,
}

/// What the entries of a file are about.
#[derive(Debug, Default)]
struct Told {
    /// Closings of recordings, by their sessions.
    closed: BTreeMap<uuid::Uuid, Closed>,
    /// Heads of recordings that were noted while they grew, and at their end, by their sessions.
    heads: BTreeMap<uuid::Uuid, Vec<Head>>,
    /// Sessions that entries are about, and what of each is here.
    sessions: BTreeMap<uuid::Uuid, Parts>,
    /// Events that are here.
    events: BTreeSet<uuid::Uuid>,
    actions: BTreeMap<String, u64>,
}

/// What of a session's evidence is in a file. A session that has ended has all of it.
#[derive(Debug, Default)]
struct Parts {
    started: bool,
    ended: bool,
    /// What its row says: the decision that allowed it, and whether it was recorded.
    row: Option<(Option<uuid::Uuid>, bool)>,
}

impl Told {
    /// What of that session's evidence is not here.
    fn missing(&self, session: uuid::Uuid) -> Vec<&'static str> {
        let Some(parts) = self.sessions.get(&session) else { return Vec::new() };
        let decided = parts.row.and_then(|(decision, _)| decision).is_some_and(|id| self.events.contains(&id));
        let expected = [
            ("the decision that allowed it", decided),
            ("its row", parts.row.is_some()),
            ("session.start", parts.started),
            ("session.end", parts.ended),
        ];
        expected.into_iter().filter(|(_, is_here)| !is_here).map(|(name, _)| name).collect()
    }

    /// Whether its row says that it was recorded; what is not known may have been.
    fn was_recorded(&self, session: uuid::Uuid) -> bool {
        self.sessions.get(&session).and_then(|parts| parts.row).is_none_or(|(_, recorded)| recorded)
    }

    fn entry(&mut self, entry: &Entry<'_>, contents: &[Content<'_>]) {
        *self.actions.entry(entry.action.to_owned()).or_default() += 1;
        self.events.insert(entry.event_id);
        let Some(object) = entry.object.filter(|object| matches!(object.kind, "session" | "sessions")) else { return };
        let Ok(session) = uuid::Uuid::parse_str(object.id) else { return };
        let parts = self.sessions.entry(session).or_default();
        let json = |field| {
            let content = contents.iter().find(|content| content.field == field)?;
            serde_json::from_slice::<serde_json::Value>(content.bytes).ok()
        };
        match (object.kind, entry.action) {
            ("session", "session.start") => parts.started = true,
            ("session", "session.end") => parts.ended = true,
            ("sessions", "row.insert") => {
                parts.row = json(Field::AfterImage).map(|row| {
                    let decision = row.get("decision_id").and_then(|id| id.as_str()?.parse().ok());
                    (decision, row.get("recording_path").is_none_or(|path| !path.is_null()))
                });
            }
            _ => {}
        }
        if !matches!(entry.action, "recording.close" | "recording.head") {
            return;
        }
        let detail = json(Field::Detail);
        let text = |name: &str| detail.as_ref()?.get(name)?.as_str().map(str::to_owned);
        let head = || {
            let segments = u32::try_from(detail.as_ref()?.get("segments")?.as_u64()?).ok()?;
            Some(Head { segments, root: Hash::from_hex(&text("root")?)? })
        };
        self.heads.entry(session).or_default().extend(head().filter(|head| head.segments > 0));
        if entry.action == "recording.head" {
            return;
        }
        let closed = Closed {
            root: text("root"),
            signer: text("signer"),
            segments: detail.as_ref().and_then(|detail| detail.get("segments")?.as_u64()),
        };
        self.closed.insert(session, closed);
    }
}

/// `openpam evidence verify`: the ledger's part by the keys that are trusted, the recording by what the ledger
/// says of it.
///
/// # Errors
/// When the file cannot be read, or is no bundle.
pub fn verify(check: &Check) -> anyhow::Result<ExitCode> {
    let path = &check.bundle;
    let log_keys = audit::keys(&check.trust)?;
    let asked = check.session.as_deref().map(session_id).transpose()?;
    let trusts = !log_keys.is_empty();
    let witnesses = witnesses(&check.witness)?;
    if !trusts && !witnesses.is_empty() {
        bail!("--witness is for who names the ledger's key too: --trust");
    }
    let signers = match trusts {
        true => Signers::Trusted { log_keys, witnesses: witnesses.clone(), needed: 0 },
        false => Signers::Any,
    };
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut reader = BundleReader::new(BufReader::new(file))?;
    let mut evidence = Evidence::new(signers, None);
    let mut out = io::stdout().lock();
    let mut told = Told::default();
    let mut recording = None::<Verifier<'static>>;
    let (mut manifest, mut unknown) = (None, 0);
    while let Some(section) = reader.section()? {
        let taken = evidence.section(&section.name, &section.body, &mut |entry, contents| told.entry(entry, contents));
        if taken {
        } else if section.name == MANIFEST {
            manifest = Some(section.body);
        } else if section.name.starts_with(SEGMENTS) {
            let verifier = recording.get_or_insert_with(|| Verifier::new(openpam_recordings::Signers::Any));
            verifier.segment(&section.body);
        } else {
            unknown += 1;
        }
    }
    let report = evidence.finish();
    audit::print_report(&mut out, &report)?;
    let witnessed = print_witnesses(&mut out, report.system.as_ref(), &witnesses)?;
    if check.verbose {
        for (action, count) in &told.actions {
            writeln!(out, "  {count} × {action}")?;
        }
    }
    let (session, one) = print_session(&mut out, &told, asked)?;
    let closed = session.and_then(|session| told.closed.remove(&session));
    let closed = closed.as_ref();
    let recorded = match recording {
        Some(recording) => {
            let about = report.about.as_ref().map(|(_, tenant_id)| *tenant_id).zip(session);
            let heads = session.and_then(|session| told.heads.remove(&session)).unwrap_or_default();
            let mut recording = recording.with_ledger(heads);
            if closed.is_some() {
                recording = recording.closed();
            }
            print_recording(&mut out, about, closed, recording, manifest.as_deref())?
        }
        None => {
            let was_recorded = session.is_none_or(|session| told.was_recorded(session));
            print_no_recording(&mut out, closed, was_recorded, check.without_recording)?
        }
    };
    let missing = session.map(|session| told.missing(session)).unwrap_or_default();
    for part in &missing {
        let allowed = if check.partial { "" } else { " (--partial allows that)" };
        writeln!(out, "  incomplete: {part} is not in this file{allowed}")?;
    }
    let complete = missing.is_empty() || check.partial;
    if unknown > 0 {
        writeln!(out, "{unknown} sections are not known to this program")?;
    }
    let sound =
        one && witnessed && recorded && complete && unknown == 0 && !matches!(report.verdict, Verdict::Defective(_));
    audit::conclude(&mut out, sound, trusts)
}

/// Keys of witnesses as they are given on the command line.
fn witnesses(texts: &[String]) -> anyhow::Result<Vec<VerifierKey>> {
    texts.iter().map(|text| VerifierKey::parse(text).with_context(|| format!("{text} is no verifier key"))).collect()
}

/// Who has signed the system's checkpoint. `false` where one of those that must have did not.
fn print_witnesses(
    out: &mut impl io::Write,
    system: Option<&Verified>,
    witnesses: &[VerifierKey],
) -> anyhow::Result<bool> {
    let mut all = true;
    for witness in witnesses {
        let signed = system.into_iter().flat_map(|system| &system.witnesses).find(|(name, _)| name == witness.name());
        match signed.and_then(|(_, time)| DateTime::from_timestamp(i64::try_from(*time).ok()?, 0)) {
            Some(time) => {
                let time = time.format("%Y-%m-%d %H:%M:%S UTC");
                writeln!(out, "  the witness {} had seen nothing else by {time}", witness.name())?;
            }
            None => {
                all = false;
                writeln!(out, "  not_cosigned: the witness {} has not signed it", witness.name())?;
            }
        }
    }
    Ok(all)
}

/// Which session the file is about. `false` where it is not about the one that was asked for, or about several.
fn print_session(
    out: &mut impl io::Write,
    told: &Told,
    asked: Option<uuid::Uuid>,
) -> anyhow::Result<(Option<uuid::Uuid>, bool)> {
    if let Some(session) = asked {
        let found = told.sessions.contains_key(&session);
        writeln!(out, "session: {session}")?;
        if !found {
            writeln!(out, "  session_not_in_bundle: no entry in this file is about it")?;
        }
        return Ok((asked, found));
    }
    match told.sessions.keys().collect::<Vec<_>>().as_slice() {
        [] => writeln!(out, "session: none, no entry in this file is about one")?,
        [session] => {
            writeln!(out, "session: {session}")?;
            return Ok((Some(**session), true));
        }
        several => {
            writeln!(out, "session: one of {}", several.len())?;
            writeln!(out, "  session_ambiguous: entries are about several sessions: name one with --session")?;
        }
    }
    Ok((None, false))
}

/// A file without a recording. `false` where the ledger says that there was one, and nobody said that it may be
/// left out.
fn print_no_recording(
    out: &mut impl io::Write,
    closed: Option<&Closed>,
    was_recorded: bool,
    may_be_left_out: bool,
) -> anyhow::Result<bool> {
    let expected = match closed {
        None if !was_recorded => {
            writeln!(out, "recording: none in this file, and no entry in it says that one was closed")?;
            return Ok(true);
        }
        // The entry that says so was taken out, or the session goes on.
        None => "an unknown number of".to_owned(),
        Some(Closed { segments: Some(0), .. }) => {
            writeln!(out, "recording: none in this file, 0 segments were recorded")?;
            return Ok(true);
        }
        Some(Closed { segments: Some(count), .. }) => count.to_string(),
        Some(Closed { segments: None, .. }) => "an unknown number of".to_owned(),
    };
    writeln!(out, "recording: none in this file, {expected} segments were recorded")?;
    if may_be_left_out {
        writeln!(out, "  the recording was left out, and nothing is said of it")?;
    } else {
        writeln!(out, "  recording_missing: it was taken out, or never put in (--without-recording allows that)")?;
    }
    Ok(may_be_left_out)
}

/// The recording, held against what the ledger says of it. `false` where they do not fit.
fn print_recording(
    out: &mut impl io::Write,
    about: Option<(uuid::Uuid, uuid::Uuid)>,
    closed: Option<&Closed>,
    mut verifier: Verifier<'_>,
    manifest: Option<&[u8]>,
) -> anyhow::Result<bool> {
    if let Some((tenant, session)) = about {
        verifier = verifier.of_session(tenant, session);
    }
    let report = verifier.finish(manifest);
    writeln!(out, "recording: {}, {} segments", report.verdict.code(), report.segments)?;
    let manifest = manifest.and_then(|bytes| openpam_recordings::SignedManifest::parse(bytes).ok());
    let fits = manifest.as_ref().zip(closed).is_some_and(|(signed, closed)| {
        let manifest = signed.manifest();
        let signer: SignerKey = manifest.signer;
        closed.root.as_deref() == Some(manifest.root.to_string().as_str())
            && closed.signer.as_deref() == Some(signer.to_string().as_str())
            && closed.segments == Some(manifest.segments.into())
    });
    if !fits {
        writeln!(out, "  recording_not_in_ledger: the ledger does not say that this recording was closed like this")?;
    }
    match report.ledger {
        openpam_recordings::Check::Passed => writeln!(out, "  it begins with every head that the ledger noted of it")?,
        openpam_recordings::Check::Failed => {
            for finding in report.findings.iter().filter(|finding| finding.defect.code() == "ledger_mismatch") {
                writeln!(out, "  ledger_mismatch: {}", finding.defect)?;
            }
        }
        openpam_recordings::Check::NotDone => {}
    }
    let whole = matches!(report.verdict, openpam_recordings::Verdict::Intact | openpam_recordings::Verdict::Consistent);
    if !whole {
        writeln!(out, "  {}", report.verdict)?;
    }
    Ok(fits && whole)
}

#[cfg(test)]
mod tests {
    use openpam_ledger::{Actor, ActorKind, Digests, Kind, Object, Outcome, Salt};
    use uuid::Uuid;

    use super::*;

    fn told(entries: &[(&str, &str, u128)], row: &str) -> Told {
        let session = Uuid::from_u128(9).to_string();
        let mut told = Told::default();
        for (kind, action, event) in entries {
            let entry = Entry {
                seq: 0,
                tenant_id: Uuid::from_u128(1),
                event_id: Uuid::from_u128(*event),
                time: 0,
                kind: Kind::Event,
                actor: Actor { kind: ActorKind::System, id: None },
                action,
                outcome: Outcome::Success,
                object: Some(Object { kind, id: &session }),
                request_id: "",
                digests: Digests::default(),
            };
            let image = Content { field: Field::AfterImage, salt: Salt([0; 32]), bytes: row.as_bytes() };
            told.entry(&entry, &[image]);
        }
        told
    }

    #[test]
    fn what_was_taken_out_of_a_sessions_evidence_is_missed() {
        let session = Uuid::from_u128(9);
        let row = format!("{{\"decision_id\":\"{}\",\"recording_path\":\"x\"}}", Uuid::from_u128(1));
        let all = [
            ("target", "session.authorize", 1),
            ("sessions", "row.insert", 2),
            ("session", "session.start", 3),
            ("session", "session.end", 4),
        ];
        assert!(told(&all, &row).missing(session).is_empty());
        assert!(told(&all, &row).was_recorded(session));
        for (place, name) in
            ["the decision that allowed it", "its row", "session.start", "session.end"].iter().enumerate()
        {
            let mut some = all.to_vec();
            some.remove(place);
            let missing = told(&some, &row).missing(session);
            assert!(missing.contains(name), "{name} was taken out: {missing:?}");
        }
        let unrecorded = row.replace("\"x\"", "null");
        assert!(!told(&all, &unrecorded).was_recorded(session));
        assert!(told(&all, "").was_recorded(session), "a row without its image");
    }
}
