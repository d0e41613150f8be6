//! `openpam recording`: looks at a folder of segments with neither hub nor database, or at the recordings
//! of a hub through its API.

mod list;
mod remote;

use std::{
    io::{self, BufWriter, Write},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use openpam_recordings::{
    Check, Hash, Head, RecipientPrivateKey, Record, Report, Segment, SessionKey, SignerKey, Signers, Verdict, Verifier,
    asciicast, dir::Folder,
};
use openpam_secret::ExposeSecret as _;
use serde_json::Value;

pub use list::{List, list};
use remote::Api;
pub use remote::Remote;

use crate::config::read_secret_file;

const BASE64: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;

fn bytes(text: &str) -> Option<[u8; 32]> {
    BASE64.decode(text.trim()).ok()?.try_into().ok()
}

/// The private key in a file: base64 of 32 bytes, as the vault keeps it.
fn private_key(file: &Path) -> anyhow::Result<RecipientPrivateKey> {
    let text = read_secret_file(&file.display().to_string()).map_err(anyhow::Error::msg)?;
    bytes(text.expose_secret())
        .and_then(|bytes| RecipientPrivateKey::from_bytes(&bytes))
        .with_context(|| format!("{} holds no X25519 private key in base64", file.display()))
}

/// A running head as the ledger has it: number of segments, and the Merkle root over them, hexadecimal.
fn head(text: &str) -> anyhow::Result<Head> {
    let parsed = text.split_once(':').and_then(|(segments, root)| {
        Some(Head { segments: segments.trim().parse().ok()?, root: Hash::from_hex(root.trim())? })
    });
    parsed.with_context(|| format!("{text} is no head: it must be SEGMENTS:ROOT, as in an entry recording.head"))
}

/// `openpam recording verify`: says what was checked, and fails for anything that is wrong. Without
/// `signers` it shows who signed and trusts nobody; without a key nothing is decrypted. With heads of the
/// ledger it tells what was cut off a recording that nobody closed, and what was changed since. Of a recording that
/// is said to be closed it misses the manifest.
///
/// # Errors
/// When the folder, the keys or the heads cannot be read.
pub fn verify(
    folder: &Path,
    signers: &[String],
    key_file: Option<&Path>,
    heads: &[String],
    is_closed: bool,
) -> anyhow::Result<ExitCode> {
    let trusted = signers
        .iter()
        .map(|text| bytes(text).map(SignerKey).with_context(|| format!("{text} is no Ed25519 public key in base64")))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let key = key_file.map(private_key).transpose()?;
    let mut verifier = Verifier::new(if trusted.is_empty() { Signers::Any } else { Signers::Trusted(&trusted) });
    if let Some(key) = &key {
        verifier = verifier.with_key(key);
    }
    verifier = verifier.with_ledger(heads.iter().map(|text| head(text)).collect::<anyhow::Result<Vec<_>>>()?);
    if is_closed {
        verifier = verifier.closed();
    }
    let report = Folder::open(folder)?.verify(verifier)?;
    print(&report)?;
    let fine = matches!(report.verdict, Verdict::Intact | Verdict::Consistent);
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn session_id(text: &str) -> anyhow::Result<uuid::Uuid> {
    uuid::Uuid::parse_str(text).with_context(|| format!("{text} is no session id"))
}

/// Between two looks at a verification that goes on.
const LOOK: Duration = Duration::from_secs(1);

/// A recording as the hub has it, verified to its end; of a long one `tell` hears how far it is.
async fn verified(hub: &Api, session: &str, tell: impl Fn(&Value) -> io::Result<()>) -> anyhow::Result<Value> {
    // The segments themselves are of no use here.
    let path = format!("/sessions/{session}/recording?segments_from={}", i32::MAX);
    let mut recording = hub.get(&path).await?;
    // It takes longer than the hub lets anybody wait: then it goes on in the background, as long as somebody asks.
    while ["not_done", "checking"].iter().any(|verdict| recording["verification"]["verdict"] == *verdict) {
        recording = hub.get(&format!("{path}&wait_seconds=0")).await?;
        let verification = &recording["verification"];
        if verification["verdict"] != "checking" {
            break;
        }
        tell(verification)?;
        tokio::time::sleep(LOOK).await;
    }
    Ok(recording)
}

/// `openpam recording verify --session`: what the hub says when it verifies a recording; of a long one it tells how far
/// it is, and waits for the end.
///
/// # Errors
/// When the hub cannot be asked.
pub async fn verify_session(remote: &Remote, session: &str, json: bool) -> anyhow::Result<ExitCode> {
    let session = session_id(session)?;
    let tell = |verification: &Value| {
        let (checked, of) = (&verification["checked_segments"], &verification["of_segments"]);
        writeln!(io::stderr(), "checked {checked} of {of} segments")
    };
    let recording = verified(&remote.open()?, &session.to_string(), tell).await?;
    let verification = &recording["verification"];
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(verification)?)?;
    } else {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        writeln!(out, "{}: {}", text(&verification["verdict"]), text(&verification["message"]))?;
        writeln!(out, "session      {session}")?;
        writeln!(out, "state        {}", text(&recording["state"]))?;
        for name in ["structure", "chain", "merkle", "signature", "ledger"] {
            writeln!(out, "{name:<12} {}", text(&verification[name]))?;
        }
        for finding in verification["findings"].as_array().into_iter().flatten() {
            writeln!(out, "{}", text(finding))?;
        }
    }
    Ok(if verification["verdict"] == "intact" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `openpam recording cat --session` and `export --session`: the hub opens the recording, which is in its
/// trail.
///
/// # Errors
/// When the hub cannot be asked, or the download breaks off.
pub async fn write_session(remote: &Remote, session: &str, form: Form) -> anyhow::Result<()> {
    remote.open()?.write(&session_id(session)?.to_string(), form).await
}

fn print(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}: {}", report.verdict.code(), report.verdict)?;
    if let Some(session) = &report.session {
        writeln!(out, "session      {}", session.session_id)?;
        writeln!(out, "tenant       {}", session.tenant_id)?;
    }
    writeln!(out, "segments     {}", report.segments)?;
    for (name, check) in [
        ("structure", report.structure),
        ("chain", report.chain),
        ("merkle", report.merkle),
        ("signature", report.signature),
        ("head", report.ledger),
        ("decryption", report.decryption),
    ] {
        let state = match check {
            Check::Passed => "passed",
            Check::Failed => "FAILED",
            Check::NotDone => "not done",
        };
        writeln!(out, "{name:<12} {state}")?;
    }
    if let Some(manifest) = &report.manifest {
        writeln!(out, "signer       {}", BASE64.encode(manifest.signer.0))?;
        writeln!(out, "dropped      {} bytes", manifest.dropped_bytes)?;
    }
    for finding in &report.findings {
        writeln!(out, "{}: {}", finding.defect.code(), finding.defect)?;
    }
    if report.omitted_findings > 0 {
        writeln!(out, "and {} more", report.omitted_findings)?;
    }
    Ok(())
}

/// What to write of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The bytes the target said, as they came.
    Output,
    /// asciicast v3.
    Asciicast,
}

/// `openpam recording cat` and `export`: writes a recording to standard output, opened with the private
/// key in a file. It is verified first, and nothing is written of one that is damaged.
///
/// # Errors
/// When it cannot be read or opened, or does not verify.
pub fn write(folder: &Path, key_file: &Path, form: Form) -> anyhow::Result<()> {
    let key = private_key(key_file)?;
    let files = Folder::open(folder)?;
    let report = files.verify(Verifier::new(Signers::Any).with_key(&key))?;
    if let Verdict::Defective(defect) = &report.verdict {
        bail!("{}: {defect}", defect.code());
    }
    let Some(session) = report.session else { bail!("there is no recording in {}", folder.display()) };
    let mut out = BufWriter::new(io::stdout().lock());
    let header =
        asciicast::Header { timestamp: session.started_at / 1_000_000, title: None, term_type: Some("xterm-256color") };
    let mut exporter = asciicast::Exporter::new(Vec::new(), header, 0);
    let (mut opener, mut until) = (None::<SessionKey>, 0);
    for seq in 0..report.segments {
        let bytes = files.segment(seq)?;
        let segment = Segment::parse(&bytes)?;
        let opener = match &mut opener {
            Some(opener) => opener,
            None => opener.insert(SessionKey::unwrap(segment.header(), &key)?),
        };
        let opened = segment.open(opener)?;
        for record in opened.records() {
            let timed = record?;
            match (form, timed.record) {
                (Form::Output, Record::Output(bytes)) => out.write_all(bytes)?,
                (Form::Output, _) => {}
                (Form::Asciicast, _) => exporter.record(&timed)?,
            }
        }
        until = segment.header().until;
        // One segment's worth in memory, however long the recording is.
        out.write_all(exporter.get_mut())?;
        exporter.get_mut().clear();
    }
    if form == Form::Asciicast {
        out.write_all(&exporter.finish(until)?)?;
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_what_the_ledger_says() {
        let root = "0b".repeat(32);
        assert_eq!(head(&format!("20:{root}")).unwrap(), Head { segments: 20, root: Hash([11; 32]) });
        for wrong in ["", "20", "20:", "x:00", &root, &format!("20:{root}0"), &format!("20:{}", "é".repeat(32))] {
            assert!(head(wrong).is_err(), "{wrong}");
        }
    }
}
