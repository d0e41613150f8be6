//! Recordings in an object store: real requests to a real S3 server, and what happens while it is away.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode};
use openpam_recordings::{Signers, Verdict, Verifier, dir::Folder as RecordingFolder};
use openpam_tests::{
    Hub, HubOptions, Stack, World, eventually,
    hub::{Folder, Prepared},
    proxy::{Fault, FaultProxy},
    s3::Bucket,
    unique,
};
use serde_json::{Value, json};

/// A hub's options with the object store, and what is needed to look into it.
pub(crate) struct Store {
    pub(crate) options: HubOptions,
    pub(crate) bucket: Bucket,
    pub(crate) prefix: String,
    pub(crate) proxy: FaultProxy,
    pub(crate) spool: Arc<Folder>,
    /// The secret key's file.
    pub(crate) _secret: Arc<Folder>,
}

impl Store {
    pub(crate) async fn new(stack: &Stack, locked: bool) -> anyhow::Result<Self> {
        let s3 = &stack.servers.s3;
        let name = if locked { &s3.locked_bucket } else { &s3.bucket };
        let (proxy, endpoint) = FaultProxy::in_front_of(&s3.endpoint).await?;
        let secret = Arc::new(Folder(std::env::temp_dir().join(unique("openpam-test-s3"))));
        std::fs::create_dir_all(&secret.0)?;
        let secret_file = secret.0.join("secret");
        std::fs::write(&secret_file, &s3.secret_access_key)?;
        let spool = Arc::new(Folder(std::env::temp_dir().join(unique("openpam-test-spool"))));
        let prefix = format!("tests/{}", unique("store"));
        let mut options = HubOptions { recordings: None, ..HubOptions::default() };
        let text = |value: &str| format!("{value:?}");
        options.recording.extend([
            ("store", text("s3")),
            ("s3_bucket", text(name)),
            ("s3_prefix", text(&prefix)),
            ("s3_region", text(&s3.region)),
            ("s3_endpoint", text(&endpoint)),
            ("s3_path_style", "true".to_owned()),
            ("s3_access_key_id", text(&s3.access_key_id)),
            ("s3_secret_access_key_file", text(&secret_file.display().to_string())),
            ("spool_directory", text(&spool.0.display().to_string())),
            ("abandoned_after_seconds", "15".to_owned()),
        ]);
        let bucket = Bucket::new(s3, name)?;
        Ok(Self { options, bucket, prefix, proxy, spool, _secret: secret })
    }

    /// Where in the bucket a recording is.
    pub(crate) fn path(&self, recording: &Value) -> anyhow::Result<String> {
        Ok(format!("{}/{}", self.prefix, recording["path"].as_str().context("no path")?))
    }

    /// Files in the spool.
    pub(crate) fn waiting(&self) -> anyhow::Result<usize> {
        self.files(|name| name != "lock")
    }

    /// Those that were set aside.
    pub(crate) fn rejected(&self) -> anyhow::Result<usize> {
        self.files(|name| name.ends_with(".rejected"))
    }

    pub(crate) fn files(&self, counts: impl Fn(&str) -> bool) -> anyhow::Result<usize> {
        let mut folders = vec![self.spool.0.clone()];
        let mut files = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => files += usize::from(path.file_name().and_then(|name| name.to_str()).is_some_and(&counts)),
                }
            }
        }
        Ok(files)
    }
}

/// The recording of a session once it is in this state, through `client`.
pub(crate) async fn becomes(client: &openpam_tests::Client, session: &str, state: &str) -> anyhow::Result<Value> {
    let what = format!("the recording of {session} is {state}");
    eventually(&what, Duration::from_secs(90), || async {
        let answer = client.call(Method::GET, &format!("/sessions/{session}/recording"), None).await?;
        if !answer.status.is_success() {
            return Ok(None);
        }
        let recording: Value = serde_json::from_str(&answer.text)?;
        Ok((recording["state"] == state).then_some(recording))
    })
    .await
}

pub(crate) async fn retention(client: &openpam_tests::Client, session: &str) -> anyhow::Result<Value> {
    client.get(&format!("/sessions/{session}/recording/retention")).await
}

#[tokio::test]
async fn a_recording_in_a_locked_bucket_plays_verifies_and_cannot_be_deleted() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let mut store = Store::new(&stack, true).await?;
    store.options.recording.insert("object_lock", "\"compliance\"".to_owned());
    store.options.recording.insert("object_lock_days", "2".to_owned());
    let world = World::start_with(stack, store.options.clone()).await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    assert_eq!(terminal.ready["recorded"], true);
    let session = terminal.session_id();
    terminal.run("echo in-the-buck''et").await?;
    terminal.type_line("exit").await?;
    terminal.end(Duration::from_secs(10)).await?;
    let recording = becomes(&world.admin, &session, "complete").await?;
    assert_eq!(recording["verification"]["verdict"], "intact", "{recording}");
    let export = world.admin.text(&format!("/sessions/{session}/recording/export")).await?;
    ensure!(export.contains("in-the-bucket"), "{export}");
    world.admin.get(&format!("/sessions/{session}/recording/player")).await?;

    // Each object is locked, and all of them together verify without the hub.
    let path = store.path(&recording)?;
    let keys = store.bucket.keys(&path).await?;
    ensure!(keys.len() >= 2 && keys.iter().any(|key| key.ends_with("/manifest")), "{keys:?}");
    for key in &keys {
        let headers = store.bucket.head(key).await?;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        assert_eq!(header("x-amz-object-lock-mode").as_deref(), Some("COMPLIANCE"), "{key}: {headers:?}");
        let until = header("x-amz-object-lock-retain-until-date").context("no date")?;
        let lasts = chrono::DateTime::parse_from_rfc3339(&until)?.to_utc() - chrono::Utc::now();
        ensure!((47..=48).contains(&lasts.num_hours()), "{until}");
        let bytes = store.bucket.get(key).await?;
        ensure!(!bytes.windows(8).any(|part| part == b"in-the-b"), "{key} is not encrypted");
    }
    let folder = Folder(std::env::temp_dir().join(unique("openpam-test-download")));
    store.bucket.download(&path, &folder.0).await?;
    let report = RecordingFolder::open(&folder.0)?.verify(Verifier::new(Signers::Any))?;
    assert_eq!(report.verdict, Verdict::Consistent, "{report:?}");

    // By hand it is refused, and nothing has changed.
    let reason = json!({ "reason": "no longer needed" });
    let refused = world.admin.call(Method::DELETE, &format!("/sessions/{session}/recording"), Some(&reason)).await?;
    refused.problem(StatusCode::CONFLICT, "recording_locked")?;
    assert_eq!(retention(&world.admin, &session).await?["state"], "complete");
    // By time it waits, and says for what.
    world
        .admin
        .call(Method::PATCH, "/admin/settings", Some(&json!({ "recording": { "retention_days": 1 } })))
        .await?
        .success()?;
    super::retention::end_ago(&world, &session, "3 days").await?;
    let told = eventually("the purge says what keeps it", Duration::from_secs(40), || async {
        let kept = retention(&world.admin, &session).await?;
        Ok(kept["purge_error"].as_str().map(str::to_owned))
    })
    .await?;
    ensure!(told.contains("object lock"), "{told}");
    assert_eq!(store.bucket.keys(&path).await?, keys);
    assert_eq!(becomes(&world.admin, &session, "complete").await?["verification"]["verdict"], "intact");
    // The doctor's own object does not stay, and is not locked.
    let config = world.hub.folder().join("hub.toml");
    let mut doctor = tokio::process::Command::new(openpam_tests::hub::binary()?);
    let said = doctor.args(["doctor", "--json", "--config"]).arg(config).output().await?.stdout;
    let report: Value = serde_json::from_slice(&said)?;
    for name in ["recording_store", "recording_lock", "recording_spool"] {
        let check = report["checks"].as_array().into_iter().flatten().find(|check| check["name"] == name);
        ensure!(check.is_some_and(|check| check["state"] == "ok"), "{name}: {report:#}");
    }
    assert_eq!(store.bucket.versions(&format!("{}/.doctor", store.prefix)).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_bucket_without_object_lock_is_refused_where_it_is_wanted() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let mut store = Store::new(&stack, false).await?;
    store.options.recording.insert("object_lock", "\"governance\"".to_owned());
    let database = openpam_tests::Database::create(&stack).await?;
    let prepared = Prepared::new(&stack, &database, &store.options).await?;
    prepared.run(&["migrate"], None).await?;
    let mut hub = prepared.spawn()?;
    let ended = hub.wait(Duration::from_secs(20)).await?;
    ensure!(!ended.success(), "it started");
    hub.wait_for_log(&["has no object lock"]).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_in_the_place_of_a_segment_is_not_overwritten_and_ends_the_session() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let store = Store::new(&stack, false).await?;
    let world = World::start_with(stack, store.options.clone()).await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    let tenant = world.database.by_hand("select tenant_id from recordings").await?;
    let key = format!("{}/{tenant}/{session}/0000000001.segment", store.prefix);
    store.bucket.put(&key, b"somebody else's").await?;
    terminal.keep_output = false;
    terminal.type_line("head -c 12000000 /dev/urandom | base64").await?;
    let ended = terminal.end(Duration::from_secs(30)).await?;
    assert_eq!(ended.code, 4500, "{ended:?}");
    assert_eq!(world.session_becomes(&session, "failed").await?["error_code"], "recording_failed");
    assert_eq!(store.bucket.get(&key).await?, b"somebody else's");
    Ok(())
}

#[tokio::test]
async fn a_recording_that_takes_too_long_to_verify_is_shown_and_said_to_be_unverified() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let store = Store::new(&stack, false).await?;
    let world = World::start_with(stack, store.options.clone()).await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    terminal.type_line("exit").await?;
    terminal.end(Duration::from_secs(10)).await?;
    let recording = becomes(&world.admin, &session, "complete").await?;
    assert_eq!(recording["verification"]["verdict"], "intact", "{recording}");
    store.proxy.set(Fault::Silence);
    let recording = world.admin.get(&format!("/sessions/{session}/recording")).await?;
    assert_eq!(recording["state"], "complete");
    for check in ["verdict", "structure", "chain", "merkle", "signature"] {
        assert_eq!(recording["verification"][check], "not_done", "{recording}");
    }
    assert_eq!(recording["verification"]["findings"], json!([]));
    store.proxy.set(Fault::None);
    assert_eq!(becomes(&world.admin, &session, "complete").await?["verification"]["verdict"], "intact");
    Ok(())
}

#[tokio::test]
async fn while_the_store_is_away_segments_wait_in_the_spool_also_over_kill_9() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let store = Store::new(&stack, false).await?;
    let mut world = World::start_with(stack, store.options.clone()).await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    terminal.keep_output = false;
    let spooled = async |client: &openpam_tests::Client| {
        anyhow::Ok(retention(client, &session).await?["spooled_segments"].as_i64().unwrap_or_default())
    };
    // Away in mid-session: the session goes on, nobody is kept from signing in.
    store.proxy.set(Fault::Refuse);
    terminal.type_line("head -c 9000000 /dev/urandom | base64").await?;
    terminal.until_received(12_000_000).await?;
    terminal.keep_output = true;
    ensure!(terminal.run("echo still-he''re").await?.contains("still-here"), "the session does not go on");
    eventually("a segment waits in the spool", Duration::from_secs(20), || async {
        Ok((spooled(&world.admin).await? > 0).then_some(()))
    })
    .await?;
    ensure!(store.waiting()? > 0);
    let ready: Value = reqwest::get(format!("{}/readyz", world.hub.url())).await?.json().await?;
    assert_eq!((&ready["ready"], &ready["recordings"]["state"]), (&json!(true), &json!("spooling")), "{ready}");
    world.person(&[], &[]).await?;
    let said = world.hub.log().matches("the store of recordings is down").count();
    assert_eq!(said, 1, "it is said once, not for each segment");
    let metrics = reqwest::get(format!("{}/metrics", world.hub.url())).await?.text().await?;
    ensure!(metrics.contains("openpam_recording_store_available 0"), "{metrics}");

    // Back again: what waited is brought there while the session runs.
    store.proxy.set(Fault::None);
    eventually("the spool is empty", Duration::from_secs(40), || async {
        Ok((spooled(&world.admin).await? == 0 && store.waiting()? == 0).then_some(()))
    })
    .await?;

    // Away when it ends: it is not closed before all of it is stored.
    store.proxy.set(Fault::Refuse);
    terminal.keep_output = false;
    terminal.type_line("head -c 5000000 /dev/urandom | base64; exit").await?;
    terminal.end(Duration::from_secs(30)).await?;
    eventually("the manifest waits, too", Duration::from_secs(20), || async {
        let names = std::process::Command::new("find").arg(&store.spool.0).output()?.stdout;
        Ok(String::from_utf8_lossy(&names).contains("/manifest").then_some(()))
    })
    .await?;
    assert_eq!(retention(&world.admin, &session).await?["state"], "recording");
    world.hub.kill().await?;
    ensure!(store.waiting()? >= 2);

    // Another hub, with a spool of its own, sees what it must wait for and closes nothing.
    let other_spool = Folder(std::env::temp_dir().join(unique("openpam-test-spool")));
    let mut other = store.options.clone();
    other.recording.insert("spool_directory", format!("{:?}", other_spool.0.display().to_string()));
    let second = start(&world, &other).await?;
    store.proxy.set(Fault::None);
    let at_second = world.admin.at(second.url());
    let answer = at_second.call(Method::GET, &format!("/sessions/{session}/recording"), None).await?;
    answer.problem(StatusCode::CONFLICT, "recording_waiting")?;
    // Longer than the completer waits for a hub that is gone.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let kept = retention(&at_second, &session).await?;
    assert_eq!(kept["state"], "recording", "{kept}");
    ensure!(kept["spool"].as_str().is_some_and(|place| place.contains("openpam-test-spool")), "{kept}");

    // The hub comes back: the rest is stored, and the recording is what its writer closed.
    let third = world.another_hub().await?;
    let at_third = world.admin.at(third.url());
    let recording = becomes(&at_third, &session, "complete").await?;
    assert_eq!(recording["verification"]["verdict"], "intact", "{recording}");
    assert_eq!(recording["verification"]["completeness"], "complete");
    eventually("the spool is empty", Duration::from_secs(10), || async { Ok((store.waiting()? == 0).then_some(())) })
        .await?;
    let export = at_third.text(&format!("/sessions/{session}/recording/export")).await?;
    ensure!(export.contains("still-here"), "the export lacks what was said while the store was away");
    Ok(())
}

#[tokio::test]
async fn a_hub_that_does_not_come_back_with_its_spool_leaves_the_rest_and_a_trail_of_what_is_lost() -> anyhow::Result<()>
{
    let stack = Stack::load()?;
    let mut store = Store::new(&stack, false).await?;
    store.options.recording.insert("spool_wait_seconds", "5".to_owned());
    let mut world = World::start_with(stack, store.options.clone()).await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    terminal.keep_output = false;
    terminal.type_line("head -c 6000000 /dev/urandom | base64").await?;
    terminal.until_received(8_000_000).await?;
    world.has_segments(&session, 2, Duration::from_secs(20)).await?;
    store.proxy.set(Fault::Refuse);
    terminal.type_line("head -c 9000000 /dev/urandom | base64").await?;
    terminal.until_received(20_000_000).await?;
    let waiting = eventually("segments wait in the spool", Duration::from_secs(20), || async {
        let kept = retention(&world.admin, &session).await?;
        Ok(kept["spooled_segments"].as_i64().filter(|waiting| *waiting > 0))
    })
    .await?;
    world.hub.kill().await?;

    // While the store is down nothing is given up: it may be the store alone that is gone.
    let other_spool = Folder(std::env::temp_dir().join(unique("openpam-test-spool")));
    let mut other = store.options.clone();
    other.recording.insert("spool_directory", format!("{:?}", other_spool.0.display().to_string()));
    let second = start(&world, &other).await?;
    let at_second = world.admin.at(second.url());
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(retention(&at_second, &session).await?["state"], "recording");
    let lost = async || {
        let action = format!("/audit/entries?object_id={session}&action=recording.spool_lost");
        at_second.list(&action).await
    };
    assert_eq!(lost().await?, Vec::<Value>::new());
    // Nor can somebody delete it meanwhile.
    let reason = json!({ "reason": "no longer needed" });
    let refused = at_second.call(Method::DELETE, &format!("/sessions/{session}/recording"), Some(&reason)).await?;
    refused.problem(StatusCode::CONFLICT, "recording_running")?;

    store.proxy.set(Fault::None);
    let recording = becomes(&at_second, &session, "completed").await?;
    assert_eq!(recording["verification"]["verdict"], "intact", "{recording}");
    tokio::time::sleep(Duration::from_secs(6)).await;
    let lost = lost().await?;
    assert_eq!(lost.len(), 1, "it is written once: {lost:?}");
    let detail = &lost[0]["detail"];
    ensure!(detail["places"][0].as_str().is_some_and(|place| place.contains("openpam-test-spool")), "{detail}");
    let named = detail["segments"].as_array().context("no segments")?;
    ensure!(named.len() as i64 >= waiting && lost[0]["outcome"] == "failure", "{lost:?}");
    let kept = recording["segments"].as_array().context("no segments")?.len() as i64;
    ensure!(named.iter().all(|seq| seq.as_i64().is_some_and(|seq| seq >= kept)), "{named:?} of {kept}");

    // The hub comes back too late: what it has is of no recording any more, and all there is of what happened.
    let third = world.another_hub().await?;
    let at_third = world.admin.at(third.url());
    let aside =
        async || at_third.list(&format!("/audit/entries?object_id={session}&action=recording.spool_aside")).await;
    let told = eventually("it is set aside", Duration::from_secs(20), || async {
        let told = aside().await?;
        Ok((!told.is_empty() && store.rejected()? == store.waiting()?).then_some(told))
    })
    .await?;
    assert_eq!(told.len(), 1, "it is written once: {told:?}");
    let detail = &told[0]["detail"];
    ensure!(detail["count"].as_i64() == Some(waiting) && store.waiting()? as i64 == waiting, "{detail}, {waiting}");
    ensure!(detail["folder"].as_str().is_some_and(|folder| folder.ends_with(&session)), "{detail}");
    assert_eq!(retention(&at_third, &session).await?["state"], "completed");
    // With the recording it goes, whichever hub deletes that.
    at_second.call(Method::DELETE, &format!("/sessions/{session}/recording"), Some(&reason)).await?.success()?;
    becomes_purged(&at_third, &session).await?;
    eventually("its spool is empty", Duration::from_secs(40), || async { Ok((store.waiting()? == 0).then_some(())) })
        .await
}

#[tokio::test]
async fn what_a_spool_lost_or_cannot_give_is_not_waited_for_for_ever() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let mut store = Store::new(&stack, false).await?;
    store.options.recording.insert("spool_wait_seconds", "5".to_owned());
    let mut world = World::start_with(stack, store.options.clone()).await?;
    let reachable = world.password_target().await?;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let mut terminal = reachable.open(&world.admin).await?;
        terminal.run("echo before-it-was-aw''ay").await?;
        terminal.keep_output = false;
        terminal.type_line("head -c 6000000 /dev/urandom | base64").await?;
        terminal.until_received(8_000_000).await?;
        let session = terminal.session_id();
        world.has_segments(&session, 2, Duration::from_secs(20)).await?;
        sessions.push((session, terminal));
    }
    store.proxy.set(Fault::Refuse);
    let tenant = world.database.by_hand("select tenant_id from recordings limit 1").await?;
    let mut first = Vec::new();
    for (session, terminal) in &mut sessions {
        terminal.type_line("head -c 9000000 /dev/urandom | base64").await?;
        terminal.until_received(20_000_000).await?;
        let folder = store.spool.0.join(&tenant).join(session.as_str());
        first.push(
            eventually("two segments wait in the spool", Duration::from_secs(30), || async {
                let waiting = retention(&world.admin, session).await?["spooled_segments"].as_i64();
                let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(None) };
                let mut files = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
                files.sort();
                Ok(files.into_iter().next().filter(|_| waiting >= Some(2)))
            })
            .await?,
        );
    }
    world.hub.kill().await?;
    // One is gone, the other is not what it was.
    std::fs::remove_file(&first[0])?;
    std::fs::write(&first[1], b"not a segment any more")?;
    store.proxy.set(Fault::None);
    let again = world.another_hub().await?;
    let client = world.admin.at(again.url());
    for (session, _) in &sessions {
        let recording = becomes(&client, session, "completed").await?;
        assert_eq!(recording["verification"]["verdict"], "intact", "{recording}");
        let kept = recording["segments"].as_array().context("no segments")?.len() as i64;
        let action = format!("/audit/entries?object_id={session}&action=recording.spool_lost");
        let lost = client.list(&action).await?;
        assert_eq!(lost.len(), 1, "{lost:?}");
        let detail = &lost[0]["detail"];
        ensure!(detail["count"].as_i64() >= Some(2) && detail["segments"][0].as_i64() == Some(kept), "{detail}");
        let export = client.text(&format!("/sessions/{session}/recording/export")).await?;
        ensure!(export.contains("before-it-was-away"), "what was stored is left out, too");
    }
    // What could not be read is kept for a person to look at, and what stands behind what is lost.
    eventually("the rest is set aside", Duration::from_secs(20), || async {
        Ok((store.waiting()? == store.rejected()?).then_some(()))
    })
    .await?;
    // What is damaged is told at once, and what stands behind it when the recording is closed.
    for ((session, _), times) in sessions.iter().zip([1, 2]) {
        let told = client.list(&format!("/audit/entries?object_id={session}&action=recording.spool_aside")).await?;
        assert_eq!(told.len(), times, "{told:?}");
    }
    // Nothing of it is in the store, where no manifest would name it.
    for (session, _) in &sessions {
        let recording = client.get(&format!("/sessions/{session}/recording")).await?;
        let keys = store.bucket.keys(&store.path(&recording)?).await?;
        let kept = recording["segments"].as_array().map_or(0, Vec::len);
        assert_eq!(keys.len(), kept + 1, "{keys:?}");
    }
    ensure!(first[1].with_extension("segment.rejected").exists(), "{:?}", first[1]);
    Ok(())
}

/// A running session of which segments wait in the spool, as the store is away; where they are.
pub(crate) async fn waiting_session(
    world: &World,
    store: &Store,
    reachable: &openpam_tests::world::Reachable,
) -> anyhow::Result<(openpam_tests::Terminal, String, std::path::PathBuf)> {
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    terminal.keep_output = false;
    terminal.type_line("head -c 6000000 /dev/urandom | base64").await?;
    terminal.until_received(8_000_000).await?;
    world.has_segments(&session, 2, Duration::from_secs(20)).await?;
    store.proxy.set(Fault::Refuse);
    terminal.type_line("head -c 9000000 /dev/urandom | base64").await?;
    terminal.until_received(20_000_000).await?;
    eventually("segments wait in the spool", Duration::from_secs(20), || async {
        Ok((retention(&world.admin, &session).await?["spooled_segments"].as_i64() >= Some(2)).then_some(()))
    })
    .await?;
    let tenant = world.database.by_hand("select tenant_id from recordings limit 1").await?;
    let folder = store.spool.0.join(tenant).join(&session);
    Ok((terminal, session, folder))
}

/// Segments in a folder of the spool, in order.
pub(crate) fn segments_in(folder: &std::path::Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    let mut files =
        files.into_iter().filter(|file| file.extension().is_some_and(|end| end == "segment")).collect::<Vec<_>>();
    files.sort();
    Ok(files)
}

pub(crate) const HUBS_ARE_GONE: &str = "update hubs set last_seen_at = now() - interval '1 hour' where stopped_at is null and last_seen_at < now() - interval '7 seconds'";

/// Waits until a recording is deleted.
async fn becomes_purged(client: &openpam_tests::Client, session: &str) -> anyhow::Result<()> {
    eventually("the recording is deleted", Duration::from_secs(20), || async {
        Ok((retention(client, session).await?["state"] == "purged").then_some(()))
    })
    .await
}

async fn start(world: &World, options: &HubOptions) -> anyhow::Result<Hub> {
    Prepared::new(&world.stack, &world.database, options).await?.start().await
}

#[tokio::test]
async fn a_full_spool_holds_the_target_back_and_ends_what_must_be_recorded() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let mut store = Store::new(&stack, false).await?;
    store.options.recording.insert("spool_max_bytes", "1048576".to_owned());
    let world = World::start_with(stack, store.options.clone()).await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    store.proxy.set(Fault::Refuse);
    terminal.keep_output = false;
    terminal.type_line("head -c 60000000 /dev/urandom | base64").await?;
    let notice = tokio::time::timeout(Duration::from_secs(30), terminal.notice()).await??;
    ensure!(notice["message"].as_str().is_some_and(|message| message.contains("cannot be stored")), "{notice}");
    let ended = terminal.end(Duration::from_secs(60)).await?;
    assert_eq!(ended.code, 4500, "{ended:?}");
    assert_eq!(world.session_becomes(&session, "failed").await?["error_code"], "recording_failed");
    // What was acknowledged is not lost: it is stored, and what is there verifies.
    store.proxy.set(Fault::None);
    let recording = becomes(&world.admin, &session, "completed").await?;
    assert_eq!(recording["verification"]["verdict"], "intact", "{recording}");
    Ok(())
}

#[tokio::test]
async fn a_hub_that_still_stores_the_end_is_waited_for() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let mut store = Store::new(&stack, false).await?;
    store.options.recording.remove("spool_directory");
    let direct = format!("{:?}", stack.servers.s3.endpoint);
    let world = World::start_with(stack, store.options.clone()).await?;
    let mut other = store.options.clone();
    other.recording.insert("s3_endpoint", direct);
    let second = start(&world, &other).await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    terminal.run("echo some''thing").await?;
    store.proxy.set(Fault::Refuse);
    terminal.type_line("exit").await?;
    terminal.end(Duration::from_secs(10)).await?;
    // Longer than another hub waits for one that is gone, and looks; less than this one tries.
    tokio::time::sleep(Duration::from_secs(26)).await;
    store.proxy.set(Fault::None);
    let recording = becomes(&world.admin.at(second.url()), &session, "complete").await?;
    assert_eq!(recording["verification"]["verdict"], "intact", "{recording}");
    Ok(())
}
