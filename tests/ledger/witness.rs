//! Witnesses. No program that is one can be had on this machine: the one here is strict by the specification (C2SP
//! tlog-witness), verifies signature and consistency with the ledger's own crate, and signs with a key of its own.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use http::Method;
use openpam_ledger::{Checkpoint, Hash, KeyType, Note, TreeHead, VerifierKey, verify_consistency, verify_inclusion};
use openpam_tests::{HubOptions, World, eventually, unique};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use uuid::Uuid;

use super::{number, proofs::rolled_back, settled, unguarded, verify, write_events};

/// What it does instead of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Honest,
    /// Answers so, whatever it is asked.
    Answers(u16),
    /// Says that it has signed a tree of so many leaves.
    Claims(u64),
    /// Signs with a key that nobody knows.
    Impostor,
}

#[derive(Debug)]
struct State {
    /// The key of the only log that it knows.
    log: Option<VerifierKey>,
    /// The last tree that it has signed.
    signed: Option<TreeHead>,
    mood: Mood,
    /// Status and sizes of what it was asked: from where, to where.
    asked: Vec<(u16, u64, u64)>,
}

/// A witness of one log, on loopback until dropped.
struct Witness {
    key: VerifierKey,
    url: String,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Keys {
    own: (VerifierKey, Ed25519KeyPair),
    other: (VerifierKey, Ed25519KeyPair),
}

fn key(name: &str) -> anyhow::Result<(VerifierKey, Ed25519KeyPair)> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())?;
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref())?;
    let public = pair.public_key().as_ref().try_into()?;
    Ok((VerifierKey::new(name, KeyType::CosignatureV1, public)?, pair))
}

impl Witness {
    async fn start() -> anyhow::Result<Self> {
        let name = unique("witness.test/w");
        let keys = Keys { own: key(&name)?, other: key(&name)? };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/tlog", listener.local_addr()?);
        let state = State { log: None, signed: None, mood: Mood::Honest, asked: Vec::new() };
        let (state, verifier) = (Arc::new(Mutex::new(state)), keys.own.0.clone());
        let (shared, keys) = (state.clone(), Arc::new(keys));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, keys) = (shared.clone(), keys.clone());
                tokio::spawn(async move { drop(serve(stream, &shared, &keys).await) });
            }
        });
        Ok(Self { key: verifier, url, state, accepting })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn options(&self) -> HubOptions {
        let mut options = HubOptions::default();
        options.ledger.insert("witnesses", format!("[\"{} {}\"]", self.key, self.url));
        options.ledger.insert("anchor_interval_seconds", "1".to_owned());
        options
    }

    /// Gets to know the system's log of that hub, as its operator would tell it.
    async fn knows(&self, world: &World) -> anyhow::Result<()> {
        let printed = eventually("the ledger has a key", Duration::from_secs(20), || async {
            Ok(world.hub.command(&["audit", "keys"], None).await.ok().filter(|printed| printed.contains("/system+")))
        })
        .await?;
        let key = printed.split_whitespace().find(|word| word.contains("/system+")).context("no key of the system")?;
        self.state().log = Some(VerifierKey::parse(key)?);
        Ok(())
    }

    /// Sizes under which its signatures are kept.
    async fn kept(&self, world: &World) -> anyhow::Result<Vec<i64>> {
        let statement = format!(
            "select coalesce(string_agg(size::text, ' ' order by size), '') from ledger_cosignatures where witness = '{}'",
            self.key.name()
        );
        let sizes = world.database.by_hand(&statement).await?;
        Ok(sizes.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
    }

    /// Waits until its signature is kept under the system's last checkpoint.
    async fn has_signed_all(&self, world: &World) -> anyhow::Result<i64> {
        eventually("the witness has signed the last checkpoint", Duration::from_secs(30), || async {
            settled(&world.database).await?;
            let last = number(&world.database, "select max(size) from ledger_system_checkpoints").await?;
            Ok((self.kept(world).await?.last() == Some(&last)).then_some(last))
        })
        .await
    }
}

async fn serve(mut stream: TcpStream, state: &Mutex<State>, keys: &Keys) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        let mut piece = [0; 8192];
        let read = stream.read(&mut piece).await?;
        ensure!(read > 0, "the request broke off");
        bytes.extend_from_slice(&piece[..read]);
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            let head = String::from_utf8(bytes.drain(..end + 4).collect())?;
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            break (head, length.context("no content-length")?);
        }
    };
    while bytes.len() < length {
        let mut piece = [0; 8192];
        let read = stream.read(&mut piece).await?;
        ensure!(read > 0, "the body broke off");
        bytes.extend_from_slice(&piece[..read]);
    }
    let (status, kind, answer) = if head.starts_with("POST /tlog/add-checkpoint HTTP/1.1\r\n") {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        add_checkpoint(&mut state, keys, std::str::from_utf8(&bytes)?)
    } else {
        (404, "text/plain", "no such path\n".to_owned())
    };
    let answer = format!(
        "HTTP/1.1 {status} Told\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
        answer.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

/// One request, as the specification has it answered.
fn add_checkpoint(state: &mut State, keys: &Keys, body: &str) -> (u16, &'static str, String) {
    let said = |status, text: &str| (status, "text/plain", format!("{text}\n"));
    let Some((old, proof, note, checkpoint)) = parse(body) else { return said(400, "malformed") };
    let size = checkpoint.head().size;
    let answer = match state.mood {
        Mood::Answers(status) => said(status, "not today"),
        Mood::Claims(size) => (409, "text/x.tlog.size", format!("{size}\n")),
        Mood::Honest | Mood::Impostor => judge(state, keys, (old, &proof), note, &checkpoint),
    };
    state.asked.push((answer.0, old, size));
    answer
}

fn parse(body: &str) -> Option<(u64, Vec<Hash>, Note, Checkpoint)> {
    let (head, note) = body.split_once("\n\n")?;
    let mut lines = head.split('\n');
    let old = lines.next()?.strip_prefix("old ")?;
    let size: u64 = old.parse().ok()?;
    let proof = lines.map(Hash::from_base64).collect::<Option<Vec<_>>>()?;
    let note = Note::parse(note.as_bytes()).ok()?;
    let checkpoint = Checkpoint::parse(note.text()).ok()?;
    (size.to_string() == old && proof.len() <= 63).then_some((size, proof, note, checkpoint))
}

fn judge(
    state: &mut State,
    keys: &Keys,
    (old, proof): (u64, &[Hash]),
    mut note: Note,
    checkpoint: &Checkpoint,
) -> (u16, &'static str, String) {
    let said = |status, text: &str| (status, "text/plain", format!("{text}\n"));
    let head = checkpoint.head();
    let Some(log) = state.log.clone().filter(|log| log.name() == checkpoint.origin()) else {
        return said(404, "unknown log");
    };
    if note.verify([&log]).map_or(true, |signed| signed.is_empty()) {
        return said(403, "not signed by the log");
    }
    if old > head.size {
        return said(400, "old is larger than the checkpoint");
    }
    let known = state.signed.map_or(0, |signed| signed.size);
    if old != known || state.signed.is_some_and(|signed| signed.size == head.size && signed.root != head.root) {
        return (409, "text/x.tlog.size", format!("{known}\n"));
    }
    let fits = match state.signed {
        Some(signed) if signed.size < head.size => verify_consistency(&signed, &head, proof).is_ok(),
        _ => proof.is_empty(),
    };
    if !fits {
        return said(422, "the proof does not fit");
    }
    let (key, pair) = if state.mood == Mood::Impostor { &keys.other } else { &keys.own };
    let time = chrono::Utc::now().timestamp().cast_unsigned();
    let signature = pair.sign(&key.to_be_signed(note.text(), time));
    if note.add(key, time, signature.as_ref()).is_err() {
        return said(500, "the signature does not fit");
    }
    if state.mood == Mood::Honest {
        state.signed = Some(head);
    }
    let line = note.to_text().lines().last().map(|line| format!("{line}\n")).unwrap_or_default();
    (200, "text/plain", line)
}

/// An event of a session that never was, for evidence of it.
async fn a_session(world: &World, tenant: Uuid) -> anyhow::Result<String> {
    let session = Uuid::new_v4();
    let mut connection = world.database.as_tenant(tenant).await?;
    sqlx::query(
        "insert into audit_events (audit_event_id, tenant_id, actor_type, actor_name, action, outcome, object_type,
                                   object_id, object_name, detail)
         values (gen_random_uuid(), $1, 'system', 'test', 'session.start', 'success', 'session', $2, '', '{}')",
    )
    .bind(tenant)
    .bind(session)
    .execute(&mut connection)
    .await?;
    Ok(session.to_string())
}

/// The ledger's public key.
async fn client_key(world: &World, url: &str) -> anyhow::Result<String> {
    let ledger = world.admin.at(url).get("/audit/ledger").await?;
    Ok(ledger["public_keys"][0].as_str().context("no key")?.to_owned())
}

async fn readiness(url: &str) -> anyhow::Result<Value> {
    Ok(reqwest::get(format!("{url}/readyz")).await?.json().await?)
}

/// Waits until readiness says that of the witness.
async fn is(witness: &Witness, url: &str, state: &str) -> anyhow::Result<Value> {
    eventually(&format!("the witness is {state}"), Duration::from_secs(20), || async {
        let ready = readiness(url).await?;
        let anchors = ready["ledger"]["anchors"].as_array().cloned().unwrap_or_default();
        let own = anchors.iter().find(|anchor| anchor["name"] == witness.key.name());
        Ok(own.is_some_and(|own| own["state"] == state).then_some(ready.clone()))
    })
    .await
}

#[tokio::test]
async fn a_witness_signs_what_goes_on_and_its_signature_is_kept_shown_and_verified() -> anyhow::Result<()> {
    let witness = Witness::start().await?;
    let mut world = World::start(witness.options()).await?;
    witness.knows(&world).await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    let first = witness.has_signed_all(&world).await?;
    write_events(&world.database, tenant, 20).await?;
    let second = witness.has_signed_all(&world).await?;
    ensure!(second > first, "{second} does not follow {first}");
    let proven = witness.state().asked.iter().any(|(status, old, size)| *status == 200 && 0 < *old && old < size);
    ensure!(proven, "no consistency was proven: {:?}", witness.state().asked);

    // Another hub does not know how far the witness is: it is told.
    world.hub.terminate().await?;
    let asked = witness.state().asked.len();
    let hub = world.another_hub().await?;
    write_events(&world.database, tenant, 20).await?;
    let third = witness.has_signed_all(&world).await?;
    ensure!(third > second, "{third} does not follow {second}");
    ensure!(witness.state().asked[asked..].iter().any(|(status, ..)| *status == 409), "{:?}", witness.state().asked);
    is(&witness, hub.url(), "available").await?;

    // It is in the evidence of a session, where who asks for it can tell.
    let file = world.hub.folder().join("evidence");
    let path = file.to_str().context("no path")?;
    let session = a_session(&world, tenant).await?;
    witness.has_signed_all(&world).await?;
    world
        .hub
        .command(&["evidence", "export", "--tenant", &world.options.tenant, "--session", &session, "--out", path], None)
        .await?;
    let trusted = client_key(&world, hub.url()).await?;
    let other = key("witness.test/other")?.0.to_string();
    let own = witness.key.to_string();
    for (wanted, expected) in [(&own, "had seen nothing else by "), (&other, "not_cosigned: ")] {
        let check =
            ["evidence", "verify", path, "--trust", &trusted, "--partial", "--without-recording", "--witness", wanted];
        let output = tokio::process::Command::new(openpam_tests::hub::binary()?).args(check).output().await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(text.contains(expected) && output.status.success() == (wanted == &own), "{text}");
    }

    // Whoever asks gets it, with what it is needed for.
    let client = world.admin.at(hub.url());
    let shown = client.call(Method::GET, "/audit/checkpoint/system", None).await?;
    ensure!(shown.status.is_success(), "{shown:?}");
    let shown: Value = serde_json::from_str(&shown.text)?;
    let system = Note::parse(shown["system_checkpoint"].as_str().context("no checkpoint")?.as_bytes())?;
    let signed = system.verify([&witness.key])?;
    ensure!(signed.len() == 1, "the witness's signature is not shown: {shown}");
    let age = chrono::Utc::now().timestamp() - signed[0].time.context("no time")?.cast_signed();
    ensure!((0..120).contains(&age), "{age}");
    let head = Checkpoint::parse(system.text())?.head();
    let own = Note::parse(shown["checkpoint"].as_str().context("no checkpoint")?.as_bytes())?;
    let hashes = shown["hashes"].as_array().into_iter().flatten().map(|hash| hash.as_str().and_then(Hash::from_base64));
    let hashes = hashes.collect::<Option<Vec<_>>>().context("a hash is none")?;
    let leaf = openpam_ledger::leaf_hash(own.text().as_bytes());
    let index = shown["index"].as_u64().context("no index")?;
    verify_inclusion(&leaf, index, head.size, &head.root, &hashes)?;

    // It is verified with the rest, and what was put in its place is found.
    let sound = verify(&world.hub, &[]).await?;
    let told = format!("witness {}: intact, ", witness.key.name());
    ensure!(sound.sound && sound.text.contains(&told), "{}", sound.text);
    world
        .database
        .by_hand(&unguarded(&format!(
            "update ledger_cosignatures set line = (select line from ledger_cosignatures where size = {second})
             where size = {third}"
        )))
        .await?;
    let forged = verify(&world.hub, &[]).await?;
    ensure!(!forged.sound && forged.text.contains("  cosignature_invalid: "), "{}", forged.text);
    Ok(())
}

#[tokio::test]
async fn a_ledger_that_was_rolled_back_is_told_by_its_witness() -> anyhow::Result<()> {
    let witness = Witness::start().await?;
    let mut world = World::start(witness.options()).await?;
    witness.knows(&world).await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    witness.has_signed_all(&world).await?;
    let size = number(&world.database, "select max(size) from ledger_checkpoints").await?;
    let frontier = world.database.by_hand("select encode(frontier, 'hex') from ledger_heads").await?;
    ensure!(number(&world.database, "select size from ledger_heads").await? == size, "the backup is not signed");
    write_events(&world.database, tenant, 50).await?;
    witness.has_signed_all(&world).await?;
    write_events(&world.database, tenant, 50).await?;
    let larger = witness.has_signed_all(&world).await?;
    world.hub.terminate().await?;
    let statements =
        format!("{} update ledger_heads set size = {size}, frontier = decode('{frontier}', 'hex')", rolled_back(size));
    world.database.by_hand(&unguarded(&statements)).await?;
    // What the witness signed, as far as the database still has it.
    let told = verify(&world.hub, &[]).await?;
    ensure!(!told.sound && told.text.contains("  cosigned_missing: "), "{}", told.text);
    world.database.by_hand(&unguarded("delete from ledger_cosignatures")).await?;
    // The witness itself, where the database has no trace left.
    let hub = world.another_hub().await?;
    let ready = is(&witness, hub.url(), "differs").await?;
    assert_eq!(ready["ledger"]["state"], "behind_anchor", "{ready}");
    hub.wait_for_log(&["a witness has signed another history of the ledger"]).await?;
    ensure!(witness.state().signed.is_some_and(|signed| signed.size == larger.cast_unsigned()), "it signed a fork");
    Ok(())
}

#[tokio::test]
async fn a_witness_that_does_not_sign_or_signs_as_another_holds_up_nothing() -> anyhow::Result<()> {
    let witness = Witness::start().await?;
    let world = World::start(witness.options()).await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    // It does not know the log.
    let ready = is(&witness, world.hub.url(), "unavailable").await?;
    ensure!(ready["ready"] == true && ready["ledger"]["state"] == "anchor_unavailable", "{ready}");
    world.hub.wait_for_log(&["a witness did not sign", "it answers 404: unknown log"]).await?;
    witness.knows(&world).await?;
    witness.state().mood = Mood::Impostor;
    write_events(&world.database, tenant, 10).await?;
    settled(&world.database).await?;
    eventually("it signed as another", Duration::from_secs(10), || async {
        Ok(witness.state().asked.iter().any(|(status, ..)| *status == 200).then_some(()))
    })
    .await?;
    witness.state().mood = Mood::Answers(503);
    write_events(&world.database, tenant, 10).await?;
    settled(&world.database).await?;
    assert_eq!(witness.kept(&world).await?, [0_i64; 0], "a signature of nobody was kept");
    witness.state().mood = Mood::Honest;
    witness.has_signed_all(&world).await?;
    is(&witness, world.hub.url(), "available").await?;
    // A tree that cannot be, said once, is told, and not believed for ever.
    for size in [1 << 60, (1 << 63) - 1, u64::MAX] {
        witness.state().mood = Mood::Claims(size);
        write_events(&world.database, tenant, 10).await?;
        let state = if size == u64::MAX { "unavailable" } else { "differs" };
        is(&witness, world.hub.url(), state).await?;
        witness.state().mood = Mood::Honest;
        witness.has_signed_all(&world).await?;
        is(&witness, world.hub.url(), "available").await?;
    }
    let verified = verify(&world.hub, &[]).await?;
    ensure!(verified.sound, "{}", verified.text);
    Ok(())
}
