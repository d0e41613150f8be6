//! Every session leaves a recording that verifies, whatever happens to its hub.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::StatusCode;
use openpam_recordings::{RecipientPrivateKey, Signers, Verdict, Verifier, dir::Folder};
use openpam_tests::{Client, HubOptions, World, eventually, unique, vault::VaultAdmin, world::Person};
use serde_json::{Value, json};

/// The recording of a session once it is in this state.
async fn recording(world: &World, session: &str, state: &str) -> anyhow::Result<Value> {
    let what = format!("the recording of {session} is {state}");
    eventually(&what, Duration::from_secs(30), || async {
        let recording = world.admin.get(&format!("/sessions/{session}/recording")).await?;
        Ok((recording["state"] == state).then_some(recording))
    })
    .await
}

/// The folder of a session's recording.
fn folder(world: &World, recording: &Value) -> anyhow::Result<std::path::PathBuf> {
    let root = &world.options.recordings.as_ref().context("no recordings")?.0;
    Ok(root.join(recording["path"].as_str().context("no path")?))
}

/// Where in the vault the tenant's key of this purpose is.
async fn private_key(world: &World, purpose: &str) -> anyhow::Result<RecipientPrivateKey> {
    use base64::Engine as _;
    let path =
        world.database.by_hand(&format!("select vault_path from recording_keys where purpose = '{purpose}'")).await?;
    let secret = VaultAdmin::new(&world.stack.servers.openbao)?.get(&path).await?;
    let text = secret["private_key"].as_str().with_context(|| format!("no key at {path}"))?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text)?;
    RecipientPrivateKey::from_bytes(&bytes).context("no X25519 key")
}

/// What an export says, as one text.
fn output_of(export: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    for line in export.lines().skip(1) {
        let event: (f64, String, String) = serde_json::from_str(line).with_context(|| line.to_owned())?;
        if event.1 == "o" {
            text.push_str(&event.2);
        }
    }
    Ok(text)
}

#[tokio::test]
async fn a_session_leaves_a_recording_that_is_whole_signed_and_can_be_read_by_both_keys() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    assert_eq!(terminal.ready["recorded"], true, "{}", terminal.ready);
    let session = terminal.session_id();
    terminal.run("echo a-line-that-was-sh''own").await?;
    terminal.type_line("exit 7").await?;
    terminal.end(Duration::from_secs(10)).await?;
    let recording = recording(&world, &session, "complete").await?;
    let verification = &recording["verification"];
    assert_eq!(verification["verdict"], "intact", "{verification}");
    for check in ["structure", "chain", "merkle", "signature"] {
        assert_eq!(verification[check], "passed", "{verification}");
    }
    ensure!(recording["duration_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{recording}");
    assert_eq!(world.session(&session).await?["recording_path"], recording["path"]);

    // The files alone say the same, to each of the two who can read them.
    let files = folder(&world, &recording)?;
    for purpose in ["tenant", "escrow"] {
        let key = private_key(&world, purpose).await?;
        let report = Folder::open(&files)?.verify(Verifier::new(Signers::Any).with_key(&key))?;
        assert_eq!(report.verdict, Verdict::Consistent, "{purpose}: {report:?}");
    }
    // So does the command, which needs neither hub nor database.
    let binary = openpam_tests::hub::binary()?;
    let run = async |arguments: &[&str]| {
        let files = files.display().to_string();
        tokio::process::Command::new(&binary).arg("recording").args(arguments).arg(files).env_clear().output().await
    };
    let key_file = std::env::temp_dir().join(unique("key"));
    std::fs::write(&key_file, {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(private_key(&world, "tenant").await?.to_bytes().as_ref())
    })?;
    let key_argument = key_file.display().to_string();
    let verified = run(&["verify", "--key-file", &key_argument]).await?;
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    ensure!(verified.status.success() && said.contains("decryption   passed"), "{said}");
    let shown = run(&["cat", "--key-file", &key_argument]).await?;
    ensure!(String::from_utf8_lossy(&shown.stdout).contains("a-line-that-was-shown"), "{shown:?}");
    let exported = run(&["export", "--key-file", &key_argument]).await?;
    ensure!(output_of(&String::from_utf8_lossy(&exported.stdout))?.contains("a-line-that-was-shown"), "{exported:?}");
    let signer = said.lines().find_map(|line| line.strip_prefix("signer")).context("no signer")?.trim();
    let trusting = run(&["verify", "--signer", signer]).await?;
    ensure!(String::from_utf8_lossy(&trusting.stdout).starts_with("intact"), "{trusting:?}");
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    assert_eq!(run(&["verify", "--signer", other]).await?.status.code(), Some(1), "signed by somebody else");
    std::fs::remove_file(key_file)?;
    // No text of the session is in any of them.
    for entry in std::fs::read_dir(&files)? {
        let bytes = std::fs::read(entry?.path())?;
        ensure!(!bytes.windows(8).any(|part| part == b"a-line-t"), "the recording is not encrypted");
    }

    let export = world.admin.text(&format!("/sessions/{session}/recording/export?format=asciicast-v3")).await?;
    ensure!(output_of(&export)?.contains("a-line-that-was-shown"), "{export}");
    let last: (f64, String, String) = serde_json::from_str(export.lines().last().unwrap_or_default())?;
    assert_eq!((last.1.as_str(), last.2.as_str()), ("x", "7"), "{export}");

    let trail = world.admin.list(&format!("/audit/entries?object_id={session}&action=recording.")).await?;
    let actions = trail.iter().filter_map(|entry| entry["action"].as_str()).collect::<Vec<_>>();
    ensure!(actions.contains(&"recording.close") && actions.contains(&"recording.export"), "{actions:?}");
    // The person exported it; that it was closed, and with which keys, was the hub's own doing.
    let made = world.admin.list("/audit/entries?action=recording.key.create").await?;
    ensure!(made.len() == 3, "{made:?}");
    for entry in trail.iter().chain(&made) {
        let own = entry["action"] != "recording.export";
        assert_eq!(entry["actor"]["type"], if own { "system" } else { "user" }, "{entry}");
    }
    Ok(())
}

#[tokio::test]
async fn a_password_that_is_typed_is_in_no_recording_and_what_the_screen_shows_is() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    let secret = unique("typed");
    // What is typed before the prompt is echoed by nobody in time, and the prompt's text not by its own echo.
    terminal.until(b"$ ").await?;
    terminal.type_line("read -rs -p 'Pass''phrase: ' word; echo got ${#word}").await?;
    terminal.until(b"Passphrase: ").await?;
    // As a person types, and as one pastes.
    let (first, rest) = secret.split_at(4);
    for letter in first.bytes() {
        terminal.type_bytes(vec![letter]).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    terminal.type_line(rest).await?;
    terminal.until(format!("got {}", secret.len()).as_bytes()).await?;
    terminal.type_line("exit").await?;
    terminal.end(Duration::from_secs(10)).await?;
    recording(&world, &session, "complete").await?;
    let export = world.admin.text(&format!("/sessions/{session}/recording/export")).await?;
    let mut typed = String::new();
    for line in export.lines().skip(1) {
        let event: (f64, String, String) = serde_json::from_str(line)?;
        if event.1 == "i" {
            typed.push_str(&event.2);
        }
    }
    ensure!(typed.contains("read -rs -p"), "what was echoed is missing: {typed:?}");
    ensure!(!export.contains(&secret) && !typed.contains(rest), "the secret is in the recording: {typed:?}");
    ensure!(typed.contains('*'), "nothing says that something was typed: {typed:?}");
    Ok(())
}

#[tokio::test]
async fn after_kill_9_what_was_stored_verifies_and_another_hub_closes_it() -> anyhow::Result<()> {
    let mut options = HubOptions::default();
    options.recording.insert("abandoned_after_seconds", "15".to_owned());
    let mut world = World::start(options).await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    // More than a segment holds, so that some are stored while the session runs.
    terminal.keep_output = false;
    terminal.type_line("head -c 12000000 /dev/urandom | base64").await?;
    terminal.until_received(14_000_000).await?;
    eventually("a segment is stored", Duration::from_secs(10), || async {
        let recording = world.admin.get(&format!("/sessions/{session}/recording")).await?;
        assert_eq!(recording["state"], "recording");
        Ok((recording["segments"].as_array().map_or(0, Vec::len) >= 2).then_some(()))
    })
    .await?;
    world.hub.kill().await?;
    let second = world.another_hub().await?;
    let admin = world.admin.at(second.url());
    world.database.by_hand("update hubs set last_seen_at = now() - interval '1 hour' where stopped_at is null and last_seen_at < now() - interval '2 seconds'").await?;
    eventually("the session is closed", Duration::from_secs(30), || async {
        let session = admin.get(&format!("/sessions/{session}")).await?;
        Ok((session["status"] == "failed").then_some(()))
    })
    .await?;
    let recording = eventually("the recording is closed", Duration::from_secs(45), || async {
        let recording = admin.get(&format!("/sessions/{session}/recording")).await?;
        Ok((recording["state"] == "completed").then_some(recording))
    })
    .await?;
    assert_eq!(recording["verification"]["verdict"], "intact", "{}", recording["verification"]);
    assert_eq!(recording["verification"]["completeness"], "completed");
    let key = private_key(&world, "tenant").await?;
    let report = Folder::open(&folder(&world, &recording)?)?.verify(Verifier::new(Signers::Any).with_key(&key))?;
    assert_eq!(report.verdict, Verdict::Consistent, "{report:?}");
    ensure!(report.segments >= 2, "{report:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_changed_in_the_store_shows_and_does_not_play() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    terminal.type_line("exit").await?;
    terminal.end(Duration::from_secs(10)).await?;
    let before = recording(&world, &session, "complete").await?;
    let file = folder(&world, &before)?.join("0000000000.segment");
    let mut bytes = std::fs::read(&file)?;
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    std::fs::write(&file, &bytes)?;
    let after = world.admin.get(&format!("/sessions/{session}/recording")).await?;
    ensure!(after["verification"]["verdict"] != "intact", "{}", after["verification"]);
    let export = world.admin.call(http::Method::GET, &format!("/sessions/{session}/recording/export"), None).await?;
    export.problem(StatusCode::CONFLICT, "recording_damaged")?;
    Ok(())
}

/// What somebody is told of a verification who does not wait for it, once it has ended.
async fn looked_at(client: &Client, session: &str) -> anyhow::Result<Value> {
    eventually("the verification has ended", Duration::from_secs(30), || async {
        let begun = std::time::Instant::now();
        let recording = client.get(&format!("/sessions/{session}/recording?wait_seconds=0")).await?;
        ensure!(begun.elapsed() < Duration::from_secs(5), "it was waited for");
        let verification = &recording["verification"];
        ensure!(verification["checked_segments"].as_i64() <= verification["of_segments"].as_i64(), "{verification}");
        Ok(verification["checked_at"].is_string().then(|| verification.clone()))
    })
    .await
}

#[tokio::test]
async fn who_does_not_wait_hears_what_is_known_at_once_and_the_rest_when_it_is_read() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    terminal.keep_output = false;
    terminal.type_line("head -c 9000000 /dev/urandom | base64; exit").await?;
    terminal.end(Duration::from_secs(30)).await?;
    let before = recording(&world, &session, "complete").await?;
    let segments = before["segments"].as_array().map_or(0, Vec::len);
    ensure!(segments >= 3, "{before}");
    let known = looked_at(&world.admin, &session).await?;
    assert_eq!((&known["verdict"], &known["list"]), (&json!("intact"), &json!("passed")), "{known}");
    assert_eq!((&known["checked_segments"], &known["of_segments"]), (&json!(segments), &json!(segments)), "{known}");
    // One verification is enough for all who look; who waits has one of this moment.
    let file = folder(&world, &before)?.join("0000000001.segment");
    let mut bytes = std::fs::read(&file)?;
    bytes[5_000] ^= 1;
    std::fs::write(&file, &bytes)?;
    assert_eq!(looked_at(&world.admin, &session).await?["checked_at"], known["checked_at"]);
    let now = world.admin.get(&format!("/sessions/{session}/recording")).await?;
    ensure!(now["verification"]["verdict"] != "intact", "{}", now["verification"]);
    // What a player gets is compared with the list in any case.
    let index = world.admin.get(&format!("/sessions/{session}/recording/player")).await?;
    let url = index["segments"][1]["url"].as_str().context("no url")?.trim_start_matches("/api/v1").to_owned();
    let played = world.admin.call(http::Method::GET, &url, None).await?;
    played.problem(StatusCode::CONFLICT, "recording_damaged")?;
    // Another hub knows nothing yet: the list is right, and what is behind it is not.
    let second = world.another_hub().await?;
    let seen = looked_at(&world.admin.at(second.url()), &session).await?;
    ensure!(seen["verdict"] != "intact" && seen["list"] == "passed" && seen["signature"] == "passed", "{seen}");

    // A list that was not signed is known before anything is read.
    let manifest = folder(&world, &before)?.join("manifest");
    let mut bytes = std::fs::read(&manifest)?;
    bytes[110] ^= 1;
    std::fs::write(&manifest, &bytes)?;
    let third = world.another_hub().await?;
    let seen = looked_at(&world.admin.at(third.url()), &session).await?;
    assert_eq!((&seen["list"], &seen["signature"]), (&json!("failed"), &json!("failed")), "{seen}");
    ensure!(seen["findings"].as_array().is_some_and(|findings| !findings.is_empty()), "{seen}");
    let wrong = format!("/sessions/{session}/recording?wait_seconds=9");
    let wrong = world.admin.call(http::Method::GET, &wrong, None).await?;
    wrong.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
    Ok(())
}

#[tokio::test]
async fn what_is_cut_off_a_recording_that_nobody_closed_shows_by_the_ledgers_heads() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    terminal.keep_output = false;
    terminal.type_line("yes 'a line again and again' | head -c 90000000").await?;
    for megabytes in (10..=90).step_by(10) {
        terminal.until_received(megabytes * 1_000_000).await?;
    }
    let action = format!("/audit/entries?object_id={session}&action=recording.head");
    let heads = eventually("a head is in the ledger while the session runs", Duration::from_secs(60), || async {
        let heads = world.admin.list(&action).await?;
        Ok((!heads.is_empty()).then_some(heads))
    })
    .await?;
    let detail = &heads[0]["detail"];
    assert_eq!((heads.len(), &detail["segments"]), (1, &json!(20)), "{heads:?}");
    assert_eq!(heads[0]["actor"]["type"], "system", "{heads:?}");
    let head = format!("20:{}", detail["root"].as_str().context("no root")?);
    let path = world.database.by_hand(&format!("select path from recordings where session_id = '{session}'")).await?;
    let folder = world.options.recordings.as_ref().context("no recordings")?.0.join(path);
    let verify = async || {
        let mut command = tokio::process::Command::new(openpam_tests::hub::binary()?);
        command.args(["recording", "verify", "--head", &head]).arg(&folder).env_clear();
        anyhow::Ok(String::from_utf8_lossy(&command.output().await?.stdout).into_owned())
    };
    let said = verify().await?;
    ensure!(said.starts_with("incomplete") && said.contains("head         passed"), "{said}");
    // In the store and in the database, as far as somebody could.
    for seq in 12..=40 {
        let _ = std::fs::remove_file(folder.join(format!("{seq:010}.segment")));
    }
    let said = verify().await?;
    ensure!(!said.starts_with("incomplete") && said.contains("head         FAILED"), "{said}");
    // The hub compares by itself, with what its own ledger has, although the database agrees with the store.
    let cut = format!(
        "begin; alter table recordings disable trigger recordings_final;
         delete from recording_segments where session_id = '{session}' and seq >= 12;
         update recordings set segments = 12, root = null where session_id = '{session}';
         alter table recordings enable trigger recordings_final; commit; select 'done'"
    );
    world.database.by_hand(&cut).await?;
    let seen = world.admin.get(&format!("/sessions/{session}/recording")).await?;
    let verification = &seen["verification"];
    assert_eq!(
        (&verification["ledger"], &verification["verdict"]),
        (&json!("failed"), &json!("missing")),
        "{verification}"
    );
    let told = verification["findings"].as_array().context("no findings")?;
    ensure!(told.iter().any(|finding| finding.as_str().is_some_and(|text| text.contains("the ledger"))), "{told:?}");
    Ok(())
}

#[tokio::test]
async fn a_recording_that_was_found_damaged_is_kept_in_mind_and_found_by_lists() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let [auditor, operator] = [world.person(&["auditor"], &[]).await?, world.person(&["operator"], &[]).await?];
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let mut terminal = reachable.open(&world.admin).await?;
        terminal.type_line("exit").await?;
        terminal.end(Duration::from_secs(10)).await?;
        sessions.push(terminal.session_id());
        recording(&world, &terminal.session_id(), "complete").await?;
    }
    let (session, held) = (&sessions[0], &sessions[1]);
    let before = recording(&world, session, "complete").await?;
    assert_eq!(before["verification"]["verdict"], "intact", "{before}");
    assert_eq!(before["verification"]["ledger"], "passed", "its end is in the ledger: {before}");
    let hold = json!({ "reason": "a case" });
    auditor
        .client
        .call(http::Method::POST, &format!("/sessions/{held}/recording/hold"), Some(&hold))
        .await?
        .success()?;
    let manifest = folder(&world, &before)?.join("manifest");
    let bytes = std::fs::read(&manifest)?;
    std::fs::remove_file(&manifest)?;
    let seen = world.admin.get(&format!("/sessions/{session}/recording")).await?;
    assert_eq!(seen["verification"]["verdict"], "manifest_missing", "{}", seen["verification"]);
    let again = world.admin.get(&format!("/sessions/{session}/recording")).await?;
    assert_eq!(again["verification"]["verdict"], "manifest_missing", "{}", again["verification"]);
    let trail = format!("/audit/entries?object_id={session}&action=recording.damaged");
    let told = world.admin.list(&trail).await?;
    assert_eq!((told.len(), &told[0]["detail"]["defect"]), (1, &json!("manifest_missing")), "once: {told:?}");
    assert_eq!((&told[0]["outcome"], &told[0]["actor"]["type"]), (&json!("failure"), &json!("system")), "{told:?}");

    // Lists are answered over all of them, a page at a time.
    let ids = async |client: &Client, path: &str| {
        let items = client.list(path).await?;
        anyhow::Ok(items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)).collect::<Vec<_>>())
    };
    let newest = sessions.iter().rev().cloned().collect::<Vec<_>>();
    assert_eq!(ids(&auditor.client, "/sessions?recording=damaged").await?, std::slice::from_ref(session));
    assert_eq!(ids(&auditor.client, "/sessions?recording=held").await?, std::slice::from_ref(held));
    assert_eq!(ids(&auditor.client, "/sessions?recording=recorded").await?, newest);
    assert_eq!(ids(&auditor.client, "/sessions?recording=not_recorded").await?, Vec::<String>::new());
    assert_eq!(ids(&auditor.client, "/sessions?recording=deleted").await?, Vec::<String>::new());
    let page = auditor.client.get("/sessions?recording=recorded&limit=2").await?;
    ensure!(page["items"].as_array().is_some_and(|items| items.len() == 2), "{page}");
    let cursor = page["next_cursor"].as_str().context("no further page")?;
    let page = auditor.client.get(&format!("/sessions?recording=recorded&limit=2&cursor={cursor}")).await?;
    assert_eq!((&page["items"][0]["id"], &page["next_cursor"]), (&json!(session), &Value::Null), "{page}");
    assert_eq!(page["items"][0]["recording_defect"], "manifest_missing", "{page}");
    let with_target = format!("/sessions?recording=damaged&target_id={}", reachable.target_id);
    assert_eq!(ids(&auditor.client, &with_target).await?, std::slice::from_ref(session));
    let nowhere = format!("/sessions?recording=damaged&target_id={}", uuid::Uuid::now_v7());
    assert_eq!(ids(&auditor.client, &nowhere).await?, Vec::<String>::new());
    for (filter, session) in [("damaged=true", session), ("held=true", held)] {
        let listed = auditor.client.list(&format!("/recordings?{filter}")).await?;
        assert_eq!(listed.iter().map(|one| &one["session_id"]).collect::<Vec<_>>(), [session], "{filter}");
    }
    assert_eq!(auditor.client.list("/recordings?damaged=false&held=false").await?.len(), 1);
    // Who may not play recordings is told nothing of that.
    for filter in ["held", "damaged", "deleted"] {
        let path = format!("/sessions?recording={filter}");
        operator.client.call(http::Method::GET, &path, None).await?.problem(StatusCode::FORBIDDEN, "forbidden")?;
    }
    let shown = operator.client.get(&format!("/sessions/{session}")).await?;
    assert_eq!((&shown["recording_held"], &shown["recording_defect"]), (&json!(false), &Value::Null), "{shown}");
    let wrong = operator.client.call(http::Method::GET, "/sessions?recording=nonsense", None).await?;
    wrong.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;

    // The command tells a closed recording from a running session, when it is said to be closed.
    let files = folder(&world, &before)?.display().to_string();
    let run = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(openpam_tests::hub::binary()?);
        let output = command.arg("recording").args(arguments).arg(&files).env_clear().output().await?;
        anyhow::Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
    };
    let (code, said) = run(&["verify"]).await?;
    ensure!(code == Some(1) && said.starts_with("incomplete"), "{said}");
    let (code, said) = run(&["verify", "--closed"]).await?;
    ensure!(code == Some(1) && said.starts_with("manifest_missing"), "{said}");

    // It is put back.
    std::fs::write(&manifest, bytes)?;
    let seen = world.admin.get(&format!("/sessions/{session}/recording")).await?;
    assert_eq!(seen["verification"]["verdict"], "intact", "{}", seen["verification"]);
    assert_eq!(ids(&auditor.client, "/sessions?recording=damaged").await?, Vec::<String>::new());
    let sound = world.admin.list(&format!("/audit/entries?object_id={session}&action=recording.sound")).await?;
    assert_eq!((sound.len(), &sound[0]["detail"]["was"]), (1, &json!("manifest_missing")), "{sound:?}");
    // Entries can be asked for without those that come often.
    let all = world.admin.list(&format!("/audit/entries?object_id={session}")).await?;
    let but = world.admin.list(&format!("/audit/entries?object_id={session}&without_action=recording.damaged")).await?;
    assert_eq!(but.len() + 1, all.len());
    ensure!(but.iter().all(|entry| entry["action"] != "recording.damaged"), "{but:?}");
    Ok(())
}

#[tokio::test]
async fn who_has_the_first_segments_is_given_the_rest_alone() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    terminal.keep_output = false;
    terminal.type_line("head -c 9000000 /dev/urandom | base64; exit").await?;
    terminal.end(Duration::from_secs(30)).await?;
    let whole = recording(&world, &session, "complete").await?;
    let segments = whole["segments"].as_array().context("no segments")?;
    assert_eq!(whole["segment_count"], json!(segments.len()));
    for wait in [0, 8] {
        let path = format!("/sessions/{session}/recording?wait_seconds={wait}&segments_from=2");
        let rest = world.admin.get(&path).await?;
        assert_eq!(rest["segments"].as_array().context("no segments")?[..], segments[2..], "{rest}");
        assert_eq!(rest["segment_count"], whole["segment_count"]);
    }
    // What is verified is all of it.
    let seen = looked_at(&world.admin, &session).await?;
    assert_eq!((&seen["verdict"], &seen["of_segments"]), (&json!("intact"), &whole["segment_count"]), "{seen}");
    let none = world.admin.get(&format!("/sessions/{session}/recording?segments_from=100000")).await?;
    assert_eq!(none["segments"], json!([]));
    Ok(())
}

#[tokio::test]
async fn who_may_see_a_recording_and_every_look_is_in_the_trail() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let [worker, auditor, operator] = [
        world.person(&[], &[&reachable.group_id]).await?,
        world.person(&["auditor"], &[]).await?,
        world.person(&["operator"], &[&reachable.group_id]).await?,
    ];
    let played = async |person: &Person| -> anyhow::Result<String> {
        let mut terminal = reachable.open(&person.client).await?;
        terminal.type_line("exit").await?;
        terminal.end(Duration::from_secs(10)).await?;
        recording(&world, &terminal.session_id(), "complete").await?;
        Ok(terminal.session_id())
    };
    let (of_worker, of_operator) = (played(&worker).await?, played(&operator).await?);
    for (person, session, allowed) in [
        (&worker, &of_worker, false),
        (&worker, &of_operator, false),
        (&operator, &of_operator, true),
        (&operator, &of_worker, false),
        (&auditor, &of_worker, true),
        (&auditor, &of_operator, true),
    ] {
        for part in ["", "/player", "/export"] {
            let path = format!("/sessions/{session}/recording{part}");
            let answer = person.client.call(http::Method::GET, &path, None).await?;
            let expected = if allowed { StatusCode::OK } else { StatusCode::NOT_FOUND };
            ensure!(answer.status == expected, "{path}: {answer:?}");
        }
    }
    // A segment is given for a playing of one's own only.
    let index = auditor.client.get(&format!("/sessions/{of_worker}/recording/player")).await?;
    let url = index["segments"][0]["url"].as_str().context("no segment")?.trim_start_matches("/api/v1").to_owned();
    let segment = auditor.client.get(&url).await?;
    assert_eq!(segment["events"][0][0], 0.0, "{segment}");
    let second_auditor = world.person(&["auditor"], &[]).await?;
    for (client, url) in [
        (&second_auditor.client, url.clone()),
        (&auditor.client, url.replace(&of_worker, &of_operator)),
        (&auditor.client, format!("{}?play={}", url.split('?').next().unwrap_or_default(), uuid::Uuid::now_v7())),
    ] {
        client.call(http::Method::GET, &url, None).await?.problem(StatusCode::NOT_FOUND, "not_found")?;
    }
    let trail = world.admin.list(&format!("/audit/entries?action=recording.play&actor_id={}", auditor.id)).await?;
    ensure!(trail.len() == 3, "each playing is in the trail once: {trail:?}");
    Ok(())
}

#[tokio::test]
async fn a_store_that_takes_nothing_ends_a_session_that_must_be_recorded() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let session = terminal.session_id();
    let root = world.options.recordings.as_ref().context("no recordings")?.0.clone();
    // The tests run as root, whom no mode stops: a file where the folder should be does.
    let tenant = world.database.by_hand("select tenant_id from recordings").await?;
    std::fs::remove_dir_all(root.join(&tenant)).ok();
    std::fs::write(root.join(&tenant), "in the way")?;
    terminal.keep_output = false;
    terminal.type_line("head -c 60000000 /dev/urandom | base64").await?;
    let ended = terminal.end(Duration::from_secs(60)).await?;
    assert_eq!(ended.code, 4500, "{ended:?}");
    let ended = world.session_becomes(&session, "failed").await?;
    assert_eq!(ended["error_code"], "recording_failed");
    // Where nothing is recorded, that is said.
    let world = World::start(HubOptions { recordings: None, ..HubOptions::default() }).await?;
    let reachable = world.password_target().await?;
    let terminal = reachable.open(&world.admin).await?;
    assert_eq!(terminal.ready["recorded"], false);
    Ok(())
}

#[tokio::test]
async fn an_escrow_key_that_is_configured_replaces_the_one_there_was_from_then_on() -> anyhow::Result<()> {
    use base64::Engine as _;
    let mut world = World::default().await?;
    let reachable = world.password_target().await?;
    let record = async |admin: &openpam_tests::Client| {
        let mut terminal = reachable.open(admin).await?;
        let session = terminal.session_id();
        terminal.type_line("exit").await?;
        terminal.end(Duration::from_secs(10)).await?;
        anyhow::Ok(session)
    };
    let before = record(&world.admin).await?;
    let old = private_key(&world, "escrow").await?;
    let elsewhere = RecipientPrivateKey::derive(&[7; 32]);
    let public = base64::engine::general_purpose::STANDARD.encode(elsewhere.public().0);
    world.options.recording.insert("escrow_public_key", format!("{public:?}"));
    let second = world.another_hub().await?;
    let after = record(&world.admin.at(second.url())).await?;
    for (session, reads, does_not) in [(&before, &old, &elsewhere), (&after, &elsewhere, &old)] {
        let recording = recording(&world, session, "complete").await?;
        let files = Folder::open(&folder(&world, &recording)?)?;
        let report = files.verify(Verifier::new(Signers::Any).with_key(reads))?;
        assert_eq!(report.verdict, Verdict::Consistent, "{report:?}");
        let report = files.verify(Verifier::new(Signers::Any).with_key(does_not))?;
        ensure!(report.verdict != Verdict::Consistent, "the other escrow key reads it too: {report:?}");
    }
    let trail = world.admin.list("/audit/entries?action=recording.key.create").await?;
    ensure!(trail.iter().any(|entry| entry.to_string().contains(&public)), "the change is not in the trail");
    Ok(())
}
