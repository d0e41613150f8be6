//! What sessions show is found again, by those who may, and every search is in the trail.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::StatusCode;
use openpam_tests::{Client, HubOptions, Terminal, World, eventually, unique};
use serde_json::Value;

/// Ends a session and waits until its text is indexed.
async fn finish(world: &World, admin: &Client, mut terminal: Terminal) -> anyhow::Result<String> {
    let session = terminal.session_id();
    terminal.type_line("exit").await?;
    terminal.end(Duration::from_secs(10)).await?;
    indexed(admin, &session).await?;
    ensure!(world.session(&session).await?["end_time"].is_string(), "it did not end");
    Ok(session)
}

async fn indexed(admin: &Client, session: &str) -> anyhow::Result<Value> {
    eventually(&format!("{session} is indexed"), Duration::from_secs(120), || async {
        let recording = admin.get(&format!("/sessions/{session}/recording")).await?;
        Ok((recording["index"]["done"] == true).then_some(recording))
    })
    .await
}

/// Types a line and waits for what must come; the line must not say it itself.
async fn shell(terminal: &mut Terminal, line: &str, mark: &str) -> anyhow::Result<()> {
    ensure!(!line.contains(mark), "the echo would be taken for the answer");
    terminal.type_line(line).await?;
    terminal.until(mark.as_bytes()).await.map(drop)
}

/// What a search finds: session, kind and text of each line.
async fn found(client: &Client, query: &[(&str, &str)]) -> anyhow::Result<Vec<(String, String, String)>> {
    let answer = search(client, query).await?;
    let mut lines = Vec::new();
    for item in answer["items"].as_array().context("no items")? {
        for hit in item["hits"].as_array().context("no hits")? {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            lines.push((text(&item["session_id"]), text(&hit["kind"]), text(&hit["text"])));
        }
    }
    Ok(lines)
}

async fn search(client: &Client, query: &[(&str, &str)]) -> anyhow::Result<Value> {
    client.get(&path(query)).await
}

fn path(query: &[(&str, &str)]) -> String {
    let mut serializer = url::form_urlencoded::Serializer::new(String::new());
    serializer.extend_pairs(query);
    format!("/recordings/search?{}", serializer.finish())
}

#[tokio::test]
async fn text_and_commands_of_a_session_are_found_and_what_did_not_show_is_not() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    // What is typed before the prompt is no command for the shell's line editor yet.
    terminal.until(b"$ ").await?;
    let (word, hidden) = (unique("shown"), unique("hidden"));
    let (first, last) = word.split_at(6);
    shell(&mut terminal, "PS1='prompt-here'\"$ \"", "prompt-here$ ").await?;
    shell(&mut terminal, &format!("echo {first}''{last}"), &format!("{word}\r\n")).await?;
    terminal.until(b"prompt-here$ ").await?;
    // The same command again, out of the history.
    shell(&mut terminal, "printf 'from the %s\\n' history", "from the history\r\n").await?;
    terminal.until(b"prompt-here$ ").await?;
    terminal.type_bytes(b"\x1b[A".to_vec()).await?;
    terminal.until(b"printf 'from the %s").await?;
    terminal.type_bytes(b"\r".to_vec()).await?;
    terminal.until(b"from the history\r\n").await?;
    terminal.until(b"prompt-here$ ").await?;
    // A password.
    shell(&mut terminal, "read -rs -p 'Pass''phrase: ' word; echo got ${#word}", "Passphrase: ").await?;
    shell(&mut terminal, &hidden, &format!("got {}", hidden.len())).await?;
    // A program that has the whole screen.
    let program = "printf '\\033[?1049h\\033[H\\033[2Jtitle of the pro''gram\\033[5;5Hits fifth row'; sleep 1; printf '\\033[?1049l'";
    shell(&mut terminal, program, "\u{1b}[?1049l").await?;
    let session = finish(&world, &world.admin, terminal).await?;

    let lines = found(&world.admin, &[("q", &word.to_uppercase())]).await?;
    assert_eq!(lines, [(session.clone(), "output".to_owned(), word.clone())], "whatever its case");
    let commands = found(&world.admin, &[("q", "printf 'from the"), ("kind", "command")]).await?;
    assert_eq!(commands.len(), 2, "run twice: {commands:?}");
    let commands = search(&world.admin, &[("q", "echo"), ("kind", "command"), ("session_id", &session)]).await?;
    let hits = commands["items"][0]["hits"].as_array().context("no hits")?;
    let echoed = hits.iter().find(|hit| hit["text"] == format!("prompt-here$ echo {first}''{last}"));
    let echoed = echoed.with_context(|| format!("{commands}"))?;
    assert_eq!((&echoed["kind"], &echoed["command_from"]), (&Value::from("command"), &Value::from(13)), "{echoed}");
    assert_eq!((&echoed["match_from"], &echoed["match_length"]), (&Value::from(13), &Value::from(4)), "{echoed}");
    ensure!(
        found(&world.admin, &[("q", "prompt-here$"), ("kind", "command")]).await?.is_empty(),
        "a prompt is no command"
    );
    ensure!(!found(&world.admin, &[("q", "prompt-here$")]).await?.is_empty(), "a prompt is text");
    for text in ["title of the program", "its fifth row", "Passphrase:"] {
        ensure!(!found(&world.admin, &[("q", text)]).await?.is_empty(), "{text} was shown");
    }
    ensure!(found(&world.admin, &[("q", &hidden)]).await?.is_empty(), "what was typed unseen is found");
    let stored =
        world.database.by_hand(&format!("select count(*) from recording_lines where text like '%{hidden}%'")).await?;
    assert_eq!(stored, "0");
    // The player is led to what is there.
    let index = world.admin.get(&format!("/sessions/{session}/recording/player")).await?;
    let commands = index["commands"].as_array().context("no commands")?;
    ensure!(commands.iter().any(|command| command[1] == format!("echo {first}''{last}")), "{commands:?}");
    Ok(())
}

#[tokio::test]
async fn nothing_in_a_search_is_a_pattern_and_filters_say_who_where_and_when() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let worker = world.person(&[], &[&reachable.group_id]).await?;
    let mut terminal = reachable.open(&worker.client).await?;
    // What is typed before the prompt is no command for the shell's line editor yet.
    terminal.until(b"$ ").await?;
    let name = unique("service");
    shell(
        &mut terminal,
        &format!("echo 100''%_{name} 'of\\it'; echo 100%_{name}"),
        &format!("of\\it\r\n100%_{name}\r\n"),
    )
    .await?;
    let session = finish(&world, &world.admin, terminal).await?;
    let at = |days: i64| (chrono::Utc::now() + chrono::TimeDelta::days(days)).to_rfc3339();
    let target = world.session(&session).await?["target_name"].as_str().unwrap_or_default().to_owned();
    let q = format!("100%_{name}");
    for (filters, expected) in [
        (vec![], true),
        (vec![("kind", "command")], true),
        (vec![("target", &target[..])], true),
        (vec![("target", "elsewhere")], false),
        (vec![("user_id", &worker.id[..])], true),
        (vec![("user_id", "01890000-0000-7000-8000-000000000000")], false),
        (vec![("target_id", &reachable.target_id[..])], true),
        (vec![("zone", "nowhere at all")], false),
        (vec![("from", &at(-1)[..]), ("to", &at(1)[..])], true),
        (vec![("to", &at(-3)[..])], false),
        (vec![("from", &at(3)[..])], false),
        (vec![("session_id", &session[..])], true),
    ] {
        let query = [("q", &q[..])].into_iter().chain(filters.clone()).collect::<Vec<_>>();
        let lines = found(&world.admin, &query).await?;
        ensure!(lines.is_empty() != expected, "{filters:?}: {lines:?}");
    }
    for (text, expected) in
        [("100%", true), ("100_", false), ("1%_s", false), (r"of\it", true), ("%%", false), ("__", false)]
    {
        let lines = found(&world.admin, &[("q", text), ("session_id", &session)]).await?;
        ensure!(lines.is_empty() != expected, "{text}: {lines:?}");
    }
    for q in ["", " ", "x", " x "] {
        world
            .admin
            .call(http::Method::GET, &path(&[("q", q)]), None)
            .await?
            .problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
    }
    let long = "x".repeat(201);
    world
        .admin
        .call(http::Method::GET, &path(&[("q", &long)]), None)
        .await?
        .problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
    Ok(())
}

#[tokio::test]
async fn who_may_search_what_and_every_search_is_in_the_trail() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let [worker, auditor, operator] = [
        world.person(&[], &[&reachable.group_id]).await?,
        world.person(&["auditor"], &[]).await?,
        world.person(&["operator"], &[&reachable.group_id]).await?,
    ];
    let word = unique("needle");
    let mut sessions = Vec::new();
    for person in [&worker, &operator] {
        let mut terminal = reachable.open(&person.client).await?;
        // What is typed before the prompt is no command for the shell's line editor yet.
        terminal.until(b"$ ").await?;
        shell(&mut terminal, &format!("echo {word}"), &format!("\r{word}\r\n")).await?;
        sessions.push(finish(&world, &world.admin, terminal).await?);
    }
    let sessions_of = async |client: &Client, query: &[(&str, &str)]| -> anyhow::Result<Vec<String>> {
        let mut ids = found(client, query).await?.into_iter().map(|(id, ..)| id).collect::<Vec<_>>();
        ids.dedup();
        Ok(ids)
    };
    let q = [("q", &word[..])];
    assert_eq!(sessions_of(&auditor.client, &q).await?, [sessions[1].clone(), sessions[0].clone()], "newest first");
    assert_eq!(sessions_of(&operator.client, &q).await?, [sessions[1].clone()], "their own");
    let of_worker = [("q", &word[..]), ("user_id", &worker.id[..])];
    ensure!(sessions_of(&operator.client, &of_worker).await?.is_empty(), "somebody else's");
    let within = [("q", &word[..]), ("session_id", &sessions[0][..])];
    ensure!(sessions_of(&operator.client, &within).await?.is_empty(), "within somebody else's");
    assert_eq!(sessions_of(&auditor.client, &within).await?, [sessions[0].clone()]);
    worker.client.call(http::Method::GET, &path(&q), None).await?.problem(StatusCode::FORBIDDEN, "forbidden")?;
    let (_, stranger) = world.another_tenant().await?;
    ensure!(sessions_of(&stranger, &q).await?.is_empty(), "another tenant finds it");

    // A page at a time.
    let first = search(&auditor.client, &[("q", &word), ("limit", "1")]).await?;
    assert_eq!(first["items"][0]["session_id"], sessions[1].as_str());
    let cursor = first["next_cursor"].as_str().context("no second page")?;
    let second = search(&auditor.client, &[("q", &word), ("limit", "1"), ("cursor", cursor)]).await?;
    assert_eq!(
        (second["items"][0]["session_id"].as_str(), &second["next_cursor"]),
        (Some(&sessions[0][..]), &Value::Null)
    );

    let trail = world.admin.list(&format!("/audit/entries?action=recording.search&actor_id={}", auditor.id)).await?;
    assert_eq!(trail.len(), 4, "each search of the auditor: {trail:?}");
    ensure!(trail.iter().all(|entry| entry["detail"]["query"] == word.as_str()), "{trail:?}");
    ensure!(trail.iter().any(|entry| entry["object"]["id"] == sessions[0].as_str()), "{trail:?}");
    let trail = world.admin.list(&format!("/audit/entries?action=recording.search&actor_id={}", operator.id)).await?;
    assert_eq!(trail.len(), 2, "what is refused without looking is not a search: {trail:?}");
    Ok(())
}

#[tokio::test]
async fn a_running_session_is_found_up_to_what_is_stored() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    // What is typed before the prompt is no command for the shell's line editor yet.
    terminal.until(b"$ ").await?;
    let word = unique("running");
    shell(&mut terminal, &format!("echo {word}"), &format!("\r{word}\r\n")).await?;
    eventually("it is found while it runs", Duration::from_secs(40), || async {
        Ok((!found(&world.admin, &[("q", &word)]).await?.is_empty()).then_some(()))
    })
    .await?;
    let answer = search(&world.admin, &[("q", &word)]).await?;
    ensure!(answer["unindexed"].as_i64().is_some_and(|count| count >= 1), "{answer}");
    let session = terminal.session_id();
    assert_eq!(world.session(&session).await?["status"], "active");
    Ok(())
}

#[tokio::test]
async fn after_kill_9_another_hub_indexes_the_rest_with_the_tenants_key() -> anyhow::Result<()> {
    let mut options = HubOptions::default();
    options.recording.insert("abandoned_after_seconds", "15".to_owned());
    let mut world = World::start(options).await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    // What is typed before the prompt is no command for the shell's line editor yet.
    terminal.until(b"$ ").await?;
    let session = terminal.session_id();
    let word = unique("before-the-crash");
    shell(&mut terminal, &format!("echo {word}"), &format!("\r{word}\r\n")).await?;
    world.has_segments(&session, 2, Duration::from_secs(30)).await?;
    world.hub.kill().await?;
    // As if it had died before it indexed anything.
    world.database.by_hand("delete from recording_lines; delete from recording_screens; update recording_index set segments = 0, lines = 0, bytes = 0").await?;
    let second = world.another_hub().await?;
    let admin = world.admin.at(second.url());
    world.database.by_hand("update hubs set last_seen_at = now() - interval '1 hour' where stopped_at is null and last_seen_at < now() - interval '2 seconds'").await?;
    eventually("the recording is indexed", Duration::from_secs(90), || async {
        let recording = admin.get(&format!("/sessions/{session}/recording")).await?;
        Ok((recording["state"] == "completed" && recording["index"]["done"] == true).then_some(()))
    })
    .await?;
    ensure!(!found(&admin, &[("q", &word)]).await?.is_empty(), "it is not found");
    ensure!(!found(&admin, &[("q", &word), ("kind", "command")]).await?.is_empty(), "it was run");
    let trail = admin.list(&format!("/audit/entries?action=recording.index&object_id={session}")).await?;
    assert_eq!(trail.len(), 1, "that the key was taken out is in the trail: {trail:?}");
    Ok(())
}

#[tokio::test]
async fn a_flood_is_sampled_which_is_said_and_its_end_opens_at_once() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    // What is typed before the prompt is no command for the shell's line editor yet.
    terminal.until(b"$ ").await?;
    let session = terminal.session_id();
    terminal.keep_output = false;
    // 18 MB: the first lines, those at the end, and what stood there each second.
    terminal.type_line("seq 1000000 2999999; echo the''-end").await?;
    terminal.until_received(18_000_000).await?;
    terminal.drain(Duration::from_secs(2)).await?;
    terminal.type_line("exit").await?;
    terminal.end(Duration::from_secs(20)).await?;
    let recording = indexed(&world.admin, &session).await?;
    let index = &recording["index"];
    assert_eq!(index["truncated"], false, "{index}");
    let lines = index["lines"].as_i64().unwrap_or_default();
    ensure!((14_000..100_000).contains(&lines), "{index}");
    let stretches = index["sampled"].as_array().context("no stretches")?;
    ensure!(stretches.iter().any(|stretch| stretch[0].as_f64() < stretch[1].as_f64()), "{index}");
    for word in ["1000001", "2999999", "the-end"] {
        ensure!(!found(&world.admin, &[("q", word)]).await?.is_empty(), "{word} is not found");
    }
    ensure!(found(&world.admin, &[("q", "2222222")]).await?.is_empty(), "each line is indexed");
    let commands = [("q", "seq 1000000"), ("kind", "command")];
    ensure!(!found(&world.admin, &commands).await?.is_empty(), "the command is not found");
    let answer = world.admin.get("/recordings/search?q=2222222").await?;
    assert_eq!(answer["partial"], 1, "{answer}");
    let segments = recording["segments"].as_array().map_or(0, Vec::len);
    assert_eq!(recording["index"]["segments"].as_u64(), Some(segments as u64));
    // A screen for the beginning of each segment: none has to be drawn when somebody looks.
    let screens = world
        .database
        .by_hand(&format!("select count(*) from recording_screens where session_id = '{session}'"))
        .await?;
    assert_eq!(screens.parse::<usize>()?, segments, "one behind each segment");
    let index = world.admin.get(&format!("/sessions/{session}/recording/player")).await?;
    let last = index["segments"].as_array().and_then(|list| list.last()).context("no segments")?;
    let url = last["url"].as_str().context("no url")?.trim_start_matches("/api/v1").to_owned();
    let segment = world.admin.get(&url).await?;
    let shown = segment["events"].to_string() + &segment["snapshot"].to_string();
    ensure!(shown.contains("the-end"), "the end of the flood is not there");
    Ok(())
}

#[tokio::test]
async fn what_is_being_deleted_is_not_found_any_more() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    let word = unique("deleted");
    terminal.until(b"$ ").await?;
    shell(&mut terminal, &format!("echo {}''{}", &word[..6], &word[6..]), &word).await?;
    let session = finish(&world, &world.admin, terminal).await?;
    let queries = [vec![("q", word.as_str())], vec![("q", word.as_str()), ("session_id", session.as_str())]];
    for query in &queries {
        ensure!(!found(&world.admin, query).await?.is_empty(), "{query:?}");
    }
    // As it is while the store refuses to delete it.
    let marked = world
        .database
        .by_hand(&format!(
            "update recordings set state = 'purging', purge_at = now(), purge_by_name = 'test', purge_reason = 'test',
                    purge_retry_at = now() + interval '1 day'
             where session_id = '{session}' returning 'done'"
        ))
        .await?;
    assert_eq!(marked, "done");
    for query in &queries {
        assert_eq!(found(&world.admin, query).await?, [], "{query:?}");
    }
    Ok(())
}

#[tokio::test]
async fn long_lines_and_commands_are_found_to_their_end_and_what_is_cut_is_said() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    // What is typed before the prompt is no command for the shell's line editor yet.
    terminal.until(b"$ ").await?;
    let word = unique("end");
    let (first, last) = word.split_at(5);
    shell(&mut terminal, &format!(": {}; echo {first}''{last}", "x".repeat(1_500)), &format!("{word}\r\n")).await?;
    terminal.until(b"$ ").await?;
    // A prompt that is no shorter.
    shell(&mut terminal, "PS1=$(printf '%0520d' 7)'> '; echo be''fore", "before\r\n").await?;
    terminal.until(b"7> ").await?;
    shell(&mut terminal, "echo behind-a-long-pro''mpt", "behind-a-long-prompt\r\n").await?;
    terminal.until(b"7> ").await?;
    shell(&mut terminal, "PS1='$ '; seq -s, 1000 2000; echo list-''done", "list-done\r\n").await?;
    terminal.until(b"$ ").await?;
    let session = finish(&world, &world.admin, terminal).await?;
    let end = format!("echo {first}''{last}");
    for (q, kind) in [
        (&end[..], "command"),
        ("echo behind-a-long", "command"),
        ("1000,1001,1002", "output"),
        ("1503,1504,1505", "output"),
        ("1998,1999,2000", "output"),
    ] {
        let lines = found(&world.admin, &[("q", q), ("kind", kind)]).await?;
        ensure!(lines.iter().any(|(id, ..)| *id == session), "{q} as {kind}: {lines:?}");
    }
    let recording = world.admin.get(&format!("/sessions/{session}/recording")).await?;
    assert_eq!(recording["index"]["cut"], false, "{}", recording["index"]);

    let mut terminal = reachable.open(&world.admin).await?;
    terminal.until(b"$ ").await?;
    shell(&mut terminal, "printf '%040000d\\n' 8; echo list-''done", "list-done\r\n").await?;
    let session = finish(&world, &world.admin, terminal).await?;
    let recording = world.admin.get(&format!("/sessions/{session}/recording")).await?;
    assert_eq!(recording["index"]["cut"], true, "{}", recording["index"]);
    // It is counted where the filters leave it, and nowhere else.
    for (filters, partial) in [
        (vec![("session_id", &session[..])], 1),
        (vec![("target", "elsewhere")], 0),
        (vec![("user_id", "01890000-0000-7000-8000-000000000000")], 0),
    ] {
        let query = [("q", "1503,1504")].into_iter().chain(filters).collect::<Vec<_>>();
        let answer = search(&world.admin, &query).await?;
        assert_eq!((&answer["partial"], &answer["unindexed"]), (&Value::from(partial), &Value::from(0)), "{query:?}");
    }
    Ok(())
}

#[tokio::test]
async fn keys_that_did_not_show_are_on_the_timeline_and_counted() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    terminal.until(b"$ ").await?;
    // A program that asks. A prompt that a command chooses proves nothing.
    shell(&mut terminal, "su", "Password: ").await?;
    shell(&mut terminal, "hunter2", "Authentication failure").await?;
    let session = finish(&world, &world.admin, terminal).await?;
    let index = world.admin.get(&format!("/sessions/{session}/recording/player")).await?;
    let markers = index["markers"].as_array().context("no markers")?;
    ensure!(markers.iter().any(|marker| marker[1] == "Entered at a prompt, not shown"), "{markers:?}");
    let recording = world.admin.get(&format!("/sessions/{session}/recording")).await?;
    // In steps, so that nobody reads the length of what was typed.
    let count = |name: &str| recording["index"][name].as_i64().unwrap_or_default();
    let (keys, entries) = (count("unseen_keys"), count("unseen_entries"));
    ensure!((16..=48).contains(&keys) && keys % 16 == 0 && (1..=2).contains(&entries), "{}", recording["index"]);
    // A password is ordinary: nothing else is missing.
    let hidden = count("hidden_entries");
    assert_eq!(hidden, entries - 1, "{}", recording["index"]);
    let answer = search(&world.admin, &[("q", "Authentication failure")]).await?;
    let partial = i64::from(hidden > 0);
    assert_eq!((&answer["partial"], &answer["unseen"]), (&Value::from(partial), &Value::from(1)), "{answer}");
    let answer = search(&world.admin, &[("q", "Authentication failure"), ("target", "elsewhere")]).await?;
    assert_eq!(answer["unseen"], 0, "{answer}");

    // What is run by a shell without echo is found nowhere, and that is told.
    let mut terminal = reachable.open(&world.admin).await?;
    terminal.until(b"$ ").await?;
    shell(&mut terminal, "stty -echo; exec sh -c 'echo rea''dy; read -r line; echo r''an'", "ready\r\n").await?;
    shell(&mut terminal, "systemctl stop everything", "ran\r\n").await?;
    terminal.end(Duration::from_secs(10)).await?;
    let session = terminal.session_id();
    let recording = indexed(&world.admin, &session).await?;
    ensure!(recording["index"]["hidden_entries"].as_i64() >= Some(1), "{}", recording["index"]);
    let answer = search(&world.admin, &[("q", "systemctl stop")]).await?;
    assert_eq!(
        (&answer["partial"], &answer["items"]),
        (&Value::from(partial + 1), &Value::from(Vec::<Value>::new())),
        "{answer}"
    );

    // Something that writes in the background hides keys; that it did is told.
    let mut terminal = reachable.open(&world.admin).await?;
    terminal.until(b"$ ").await?;
    shell(&mut terminal, "(for i in $(seq 6000); do echo .; sleep .001; done) & echo beg''un", "begun\r\n").await?;
    for letter in "echo hidden-by-noise-that-nobody-reads-or-so".bytes() {
        terminal.type_bytes(vec![letter]).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    terminal.type_bytes(b"\r".to_vec()).await?;
    terminal.drain(Duration::from_secs(2)).await?;
    let session = finish(&world, &world.admin, terminal).await?;
    let recording = world.admin.get(&format!("/sessions/{session}/recording")).await?;
    let unseen = recording["index"]["unseen_keys"].as_i64().unwrap_or_default();
    ensure!(unseen >= 1, "{}", recording["index"]);
    let index = world.admin.get(&format!("/sessions/{session}/recording/player")).await?;
    let markers = index["markers"].as_array().context("no markers")?;
    ensure!(!markers.is_empty(), "nothing is marked");
    Ok(())
}
