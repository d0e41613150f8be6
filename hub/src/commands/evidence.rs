//! `openpam evidence`: everything about one session in one file, and its check on a machine that has nothing else.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use openpam_ledger::{BundleReader, BundleWriter, Evidence, EvidenceReport, Field, Signers, Verdict};
use openpam_recordings::{SignerKey, Verifier, dir::Folder};

use super::audit;
use crate::{
    config::Config,
    context,
    db::{Db, DbError},
    domains::{
        audit::{Event, record},
        ledger,
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
    let session_id =
        uuid::Uuid::parse_str(&export.session).with_context(|| format!("{} is no session id", export.session))?;
    let tenant = db.tenant_by_slug(&export.tenant).await?;
    let tenant_id = tenant.with_context(|| format!("there is no tenant {}", export.tenant))?;
    let file = File::create_new(&export.out).with_context(|| format!("cannot make {}", export.out.display()))?;
    let written = write(&config, &db, tenant_id, session_id, &export, file).await;
    let written = match written {
        Ok(written) => written,
        Err(error) => {
            // A part of it is no evidence.
            let _ = std::fs::remove_file(&export.out);
            return Err(error);
        }
    };
    let context = context::Context::system(tenant_id, "evidence export");
    let mut tx = db.begin(&context).await?;
    let event = Event::success("evidence.export")
        .on("session", session_id, "")
        .with("entries", written.ledger.entries)
        .with("segments", written.segments);
    record(&mut tx, &context, event).await.map_err(DbError::from)?;
    tx.commit().await?;
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
    let of_store = config
        .recording
        .directory
        .as_ref()
        .map(|directory| Path::new(directory).join(tenant_id.to_string()).join(session_id.to_string()));
    let mut segments = 0;
    match export.recording.clone().or(of_store) {
        Some(folder) if folder.is_dir() => {
            let folder = Folder::open(&folder)?;
            for seq in &folder.segments {
                bundle.section(&format!("{SEGMENTS}{seq:010}.segment"), &folder.segment(*seq)?)?;
            }
            if let Some(manifest) = folder.manifest()? {
                bundle.section(MANIFEST, &manifest)?;
            }
            segments = folder.segments.len();
        }
        Some(folder) if export.recording.is_some() => bail!("{} is no folder", folder.display()),
        _ => {}
    }
    let file = bundle.finish()?.into_inner().map_err(|error| error.into_error())?;
    file.sync_all()?;
    Ok(Written { ledger, segments })
}

/// What the ledger says of the recording when it was closed.
#[derive(Debug, Default)]
struct Closed {
    session: Option<(uuid::Uuid, String)>,
    root: Option<String>,
    signer: Option<String>,
    segments: Option<u64>,
}

/// `openpam evidence verify`: the ledger's part by the keys that are trusted, the recording by what the ledger
/// says of it.
///
/// # Errors
/// When the file cannot be read, or is no bundle.
pub fn verify(path: &Path, trust: &[String], verbose: bool) -> anyhow::Result<ExitCode> {
    let log_keys = audit::keys(trust)?;
    let trusts = !log_keys.is_empty();
    let signers = if trusts { Signers::Trusted { log_keys, witnesses: Vec::new(), needed: 0 } } else { Signers::Any };
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut reader = BundleReader::new(BufReader::new(file))?;
    let mut evidence = Evidence::new(signers, None);
    let mut out = io::stdout().lock();
    let mut closed = Closed::default();
    let mut actions = BTreeMap::<String, u64>::new();
    let mut recording = None::<Verifier<'static>>;
    let (mut manifest, mut unknown) = (None, 0);
    while let Some(section) = reader.section()? {
        let taken = evidence.section(&section.name, &section.body, &mut |entry, contents| {
            *actions.entry(entry.action.to_owned()).or_default() += 1;
            let detail = contents.iter().find(|content| content.field == Field::Detail);
            let detail = detail.and_then(|detail| serde_json::from_slice::<serde_json::Value>(detail.bytes).ok());
            if let (Some(object), true) = (entry.object, entry.action == "recording.close") {
                let text = |name: &str| detail.as_ref()?.get(name)?.as_str().map(str::to_owned);
                closed = Closed {
                    session: Some((entry.tenant_id, object.id.to_owned())),
                    root: text("root"),
                    signer: text("signer"),
                    segments: detail.as_ref().and_then(|detail| detail.get("segments")?.as_u64()),
                };
            }
        });
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
    if verbose {
        for (action, count) in &actions {
            writeln!(out, "  {count} × {action}")?;
        }
    }
    let sound = print_recording(&mut out, &report, &closed, recording, manifest.as_deref())?;
    if unknown > 0 {
        writeln!(out, "{unknown} sections are not known to this program")?;
    }
    if !trusts {
        writeln!(out, "signatures were not checked: name the keys that you trust with --trust")?;
    }
    let sound = sound && unknown == 0 && !matches!(report.verdict, Verdict::Defective(_));
    writeln!(out, "{}", if sound { "nothing is wrong" } else { "this is not as it was signed" })?;
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The recording, held against what the ledger says of it. `false` where they do not fit.
fn print_recording(
    out: &mut impl io::Write,
    evidence: &EvidenceReport,
    closed: &Closed,
    recording: Option<Verifier<'_>>,
    manifest: Option<&[u8]>,
) -> anyhow::Result<bool> {
    let tenant = evidence.about.as_ref().map(|(_, tenant_id)| *tenant_id);
    let Some(mut verifier) = recording else {
        let expected = closed.segments.unwrap_or_default();
        writeln!(out, "recording: none in this file, {expected} segments were recorded")?;
        return Ok(true);
    };
    let session = closed.session.as_ref().and_then(|(_, id)| uuid::Uuid::parse_str(id).ok());
    if let (Some(tenant), Some(session)) = (tenant, session) {
        verifier = verifier.of_session(tenant, session);
    }
    let report = verifier.finish(manifest);
    writeln!(out, "recording: {}, {} segments", report.verdict.code(), report.segments)?;
    let manifest = manifest.and_then(|bytes| openpam_recordings::SignedManifest::parse(bytes).ok());
    let fits = manifest.as_ref().is_some_and(|signed| {
        let manifest = signed.manifest();
        let signer: SignerKey = manifest.signer;
        closed.root.as_deref() == Some(manifest.root.to_string().as_str())
            && closed.signer.as_deref() == Some(signer.to_string().as_str())
            && closed.segments == Some(manifest.segments.into())
    });
    if !fits {
        writeln!(out, "  recording_not_in_ledger: the ledger does not say that this recording was closed like this")?;
    }
    let whole = matches!(report.verdict, openpam_recordings::Verdict::Intact | openpam_recordings::Verdict::Consistent);
    if !whole {
        writeln!(out, "  {}", report.verdict)?;
    }
    Ok(fits && whole)
}
