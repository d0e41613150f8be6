//! Invariant 6: whatever takes access away, and whoever did it, closes the socket within a second.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use openpam_tests::{
    Client, HubOptions, Stack, Terminal, World, eventually,
    proxy::{Fault, FaultProxy},
    unique,
    world::{Person, Reachable},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Row as _};

/// How soon a socket must be closed once access has ended.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A person at work.
struct Work {
    reachable: Reachable,
    person: Person,
    terminal: Terminal,
}

/// A person who is in through a group.
async fn at_work(world: &World) -> anyhow::Result<Work> {
    let reachable = world.password_target().await?;
    let person = world.person(&[], &[&reachable.group_id]).await?;
    let terminal = reachable.open(&person.client).await?;
    Ok(Work { reachable, person, terminal })
}

/// A person who is in through the role of a group or their own.
async fn at_work_by_role(world: &World, of_group: bool) -> anyhow::Result<(Work, String)> {
    let reachable = world.password_target().await?;
    let group = json!({ "name": unique("admins"), "description": "", "roles": ["admin"] });
    let group = openpam_tests::world::id(&world.admin.post("/admin/groups", &group).await?)?;
    let person = if of_group { world.person(&[], &[&group]).await? } else { world.person(&["admin"], &[]).await? };
    let terminal = reachable.open(&person.client).await?;
    Ok((Work { reachable, person, terminal }, group))
}

/// Checks that the socket closes with 4001 and one of `codes`, soon after `started`.
async fn closes(mut terminal: Terminal, started: Instant, what: &str, code: &str) -> anyhow::Result<()> {
    let ended = terminal.end(Duration::from_secs(5)).await.with_context(|| what.to_owned())?;
    let elapsed = started.elapsed();
    ensure!(elapsed < AT_ONCE, "{what}: the socket was closed after {elapsed:?}");
    ensure!(ended.code == 4001 && ended.reason == code, "{what}: expected 4001 {code}, got {ended:?}");
    let message = ended.message.with_context(|| format!("{what}: nobody said why"))?;
    ensure!(message["reason"].as_str().is_some_and(|text| text.len() > 10), "{what}: {message}");
    Ok(())
}

/// Takes access away through the API in every way there is; `admin` may be signed in at another hub.
async fn every_loss_through(world: &World, admin: &Client) -> anyhow::Result<()> {
    let Work { person, terminal, .. } = at_work(world).await?;
    let started = Instant::now();
    admin.patch(&format!("/admin/users/{}", person.id), &json!({ "enabled": false })).await?;
    closes(terminal, started, "the user is disabled", "signed_out").await?;

    let Work { person, terminal, .. } = at_work(world).await?;
    let started = Instant::now();
    admin.delete(&format!("/admin/users/{}", person.id)).await?;
    closes(terminal, started, "the user is deleted", "signed_out").await?;

    let Work { reachable, person, terminal } = at_work(world).await?;
    let started = Instant::now();
    admin.delete(&format!("/admin/groups/{}/members/{}", reachable.group_id, person.id)).await?;
    closes(terminal, started, "the user leaves the group", "access_denied").await?;

    let Work { reachable, terminal, .. } = at_work(world).await?;
    let started = Instant::now();
    admin.delete(&format!("/admin/groups/{}", reachable.group_id)).await?;
    closes(terminal, started, "the group is deleted", "access_denied").await?;

    let Work { reachable, terminal, .. } = at_work(world).await?;
    let target = format!("/admin/targets/{}", reachable.target_id);
    let started = Instant::now();
    admin.patch(&target, &json!({ "enabled": false })).await?;
    closes(terminal, started, "the target is disabled", "target_disabled").await?;

    let Work { reachable, terminal, .. } = at_work(world).await?;
    let started = Instant::now();
    admin.delete(&format!("/admin/targets/{}", reachable.target_id)).await?;
    closes(terminal, started, "the target is deleted", "target_not_found").await?;

    let Work { reachable, terminal, .. } = at_work(world).await?;
    let elsewhere = world.group().await?;
    let started = Instant::now();
    admin.patch(&format!("/admin/targets/{}", reachable.target_id), &json!({ "group_ids": [elsewhere] })).await?;
    closes(terminal, started, "the target moves to another group", "access_denied").await?;

    let Work { reachable, terminal, .. } = at_work(world).await?;
    let started = Instant::now();
    admin.patch(&format!("/admin/targets/{}", reachable.target_id), &json!({ "credential_ids": [] })).await?;
    closes(terminal, started, "the credential is taken off the target", "credential_not_allowed").await?;

    let Work { reachable, terminal, .. } = at_work(world).await?;
    let started = Instant::now();
    admin.delete(&format!("/admin/credentials/{}", reachable.credential_id)).await?;
    closes(terminal, started, "the credential is deleted", "credential_not_allowed").await?;

    let Work { person, terminal, .. } = at_work(world).await?;
    let sign_ins = admin.list(&format!("/admin/users/{}/sessions", person.id)).await?;
    let sign_in = openpam_tests::world::id(sign_ins.first().context("no sign-in")?)?;
    let started = Instant::now();
    admin.delete(&format!("/admin/users/{}/sessions/{sign_in}", person.id)).await?;
    closes(terminal, started, "the sign-in is revoked", "signed_out").await?;

    let Work { person, terminal, .. } = at_work(world).await?;
    let own = person.client.at(admin.url());
    let started = Instant::now();
    own.post("/auth/logout", &json!({})).await?;
    closes(terminal, started, "the person signs out", "signed_out").await?;

    let (Work { person, terminal, .. }, _) = at_work_by_role(world, false).await?;
    let started = Instant::now();
    admin.patch(&format!("/admin/users/{}", person.id), &json!({ "roles": [] })).await?;
    closes(terminal, started, "the person loses the role", "access_denied").await?;

    let (Work { terminal, .. }, group) = at_work_by_role(world, true).await?;
    let started = Instant::now();
    admin.patch(&format!("/admin/groups/{group}"), &json!({ "roles": [] })).await?;
    closes(terminal, started, "the group loses the role", "access_denied").await
}

#[tokio::test]
async fn every_loss_of_access_through_this_hub_closes_the_socket_at_once() -> anyhow::Result<()> {
    let world = World::default().await?;
    every_loss_through(&world, &world.admin).await
}

#[tokio::test]
async fn every_loss_of_access_through_another_hub_closes_the_socket_at_once() -> anyhow::Result<()> {
    let world = World::default().await?;
    let second = world.another_hub().await?;
    every_loss_through(&world, &world.admin.at(second.url())).await
}

#[tokio::test]
async fn every_loss_of_access_by_hand_in_the_database_closes_the_socket_at_once() -> anyhow::Result<()> {
    let world = World::default().await?;
    for (statement, code) in [
        ("update users set enabled = false where user_id = '{user}'", "signed_out"),
        ("delete from group_memberships where user_id = '{user}'", "access_denied"),
        ("update targets set enabled = false where target_id = '{target}'", "target_disabled"),
        ("delete from targets where target_id = '{target}'", "target_not_found"),
        ("update target_access_groups set group_id = '{other}' where target_id = '{target}'", "access_denied"),
        ("delete from target_credentials where target_id = '{target}'", "credential_not_allowed"),
        ("update auth_sessions set revoked_at = now() where user_id = '{user}'", "signed_out"),
        ("update auth_sessions set expires_at = now() where user_id = '{user}'", "signed_out"),
        ("delete from auth_sessions where user_id = '{user}'", "signed_out"),
    ] {
        let Work { reachable, person, terminal } = at_work(&world).await?;
        let statement = statement
            .replace("{user}", &person.id)
            .replace("{target}", &reachable.target_id)
            .replace("{other}", &world.group().await?);
        let started = Instant::now();
        world.database.by_hand(&statement).await?;
        closes(terminal, started, &statement, code).await?;
    }
    let (Work { person, terminal, .. }, _) = at_work_by_role(&world, false).await?;
    let started = Instant::now();
    world.database.by_hand(&format!("update users set roles = '{{}}' where user_id = '{}'", person.id)).await?;
    closes(terminal, started, "the role is taken by hand", "access_denied").await
}

#[tokio::test]
async fn without_any_announcement_the_socket_still_closes_within_a_second() -> anyhow::Result<()> {
    let world = World::default().await?;
    world.database.by_hand("drop function openpam.announce_access_change() cascade").await?;
    for _ in 0..3 {
        let Work { reachable, person, terminal } = at_work(&world).await?;
        let started = Instant::now();
        world.admin.delete(&format!("/admin/groups/{}/members/{}", reachable.group_id, person.id)).await?;
        closes(terminal, started, "without announcement", "access_denied").await?;
    }
    let log = world.hub.log();
    ensure!(!log.contains("\"cause\":\"change\""), "there was an announcement, so this proves nothing");
    Ok(())
}

/// How often of `times` the announcement, not the clock, was what closed the socket.
async fn announced(world: &World, times: usize) -> anyhow::Result<usize> {
    let count = |log: String| log.lines().filter(|line| line.contains("\"cause\":\"change\"")).count();
    let before = count(world.hub.log());
    for _ in 0..times {
        let Work { reachable, person, terminal } = at_work(world).await?;
        let started = Instant::now();
        world.admin.delete(&format!("/admin/groups/{}/members/{}", reachable.group_id, person.id)).await?;
        closes(terminal, started, "with announcement", "access_denied").await?;
    }
    let needle = ["access to a running session has ended"];
    world.hub.wait_for_log(&needle).await?;
    Ok(count(world.hub.log()) - before)
}

#[tokio::test]
async fn announcements_are_what_wakes_the_hub_also_after_the_listener_lost_its_connection() -> anyhow::Result<()> {
    let world = World::default().await?;
    // The clock may be first now and then, by chance.
    let heard = announced(&world, 5).await?;
    ensure!(heard >= 3, "only {heard} of 5 changes were heard");
    let listener = format!(
        "select pid from pg_stat_activity where datname = '{}' and application_name = 'openpam-hub-changes'",
        world.database.name()
    );
    let old = world.database.by_hand(&listener).await?;
    ensure!(!old.is_empty(), "nobody listens");
    world.database.by_hand(&format!("select pg_terminate_backend({old})")).await?;
    eventually("the hub listens again", Duration::from_secs(10), || async {
        let pid = world.database.by_hand(&listener).await?;
        Ok((!pid.is_empty() && pid != old).then_some(()))
    })
    .await?;
    let heard = announced(&world, 5).await?;
    ensure!(heard >= 3, "only {heard} of 5 changes were heard on the new connection");
    Ok(())
}

#[tokio::test]
async fn access_taken_away_while_a_terminal_opens_leaves_none_behind() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let (mut round, mut opened, mut refused) = (0_u64, 0, 0);
    // From too early to too late, in steps that fit a fast machine and a busy one.
    while round < 8 || (opened < 2 && round < 60) {
        let person = world.person(&[], &[&reachable.group_id]).await?;
        let connect = reachable.connect();
        let opening = Terminal::try_open(&person.client, &connect);
        let path = format!("/admin/groups/{}/members/{}", reachable.group_id, person.id);
        let revoking = async {
            // Spread over the time that opening takes: a wait for a moment, not for a result.
            tokio::time::sleep(Duration::from_millis(round * 15 + round.saturating_sub(8) * 60)).await;
            world.admin.delete(&path).await?;
            anyhow::Ok(Instant::now())
        };
        let (outcome, revoked) = tokio::join!(opening, revoking);
        let revoked = revoked?;
        // Refused, ended before it was ready, or ended soon after.
        if let Ok(Ok(mut terminal)) = outcome {
            opened += 1;
            let ended = terminal.end(Duration::from_secs(5)).await?;
            ensure!(ended.code == 4001, "round {round}: {ended:?}");
            ensure!(revoked.elapsed() < AT_ONCE, "round {round}: closed {:?} after the revocation", revoked.elapsed());
        } else {
            refused += 1;
        }
        round += 1;
    }
    ensure!(opened > 0 && refused > 0, "{opened} were open when access was revoked and {refused} were not");
    eventually("no session is active", Duration::from_secs(5), || async {
        let active = world.admin.list("/sessions?status=active").await?;
        Ok(active.is_empty().then_some(()))
    })
    .await
}

/// A target that is reached through a proxy, which may fail.
async fn behind_a_proxy(world: &World) -> anyhow::Result<(FaultProxy, Reachable)> {
    let server = world.stack.password_target().clone();
    let proxy = FaultProxy::start(&format!("{}:{}", server.host, server.port)).await?;
    let reachable = world.password_target().await?;
    let target = format!("/admin/targets/{}", reachable.target_id);
    world.admin.patch(&target, &json!({ "host": "127.0.0.1", "port": proxy.address().port() })).await?;
    // Those of the machine itself are trusted already.
    world.trust_host_keys(&reachable.target_id).await.ok();
    Ok((proxy, reachable))
}

#[tokio::test]
async fn a_terminal_that_opens_is_ended_before_its_target_is_shown_a_credential() -> anyhow::Result<()> {
    let world = World::default().await?;
    let (proxy, reachable) = behind_a_proxy(&world).await?;
    let person = world.person(&[], &[&reachable.group_id]).await?;
    proxy.set(Fault::Silence);
    let connect = reachable.connect();
    let opening = Terminal::try_open(&person.client, &connect);
    let ending = async {
        let id = eventually("the session is opening", Duration::from_secs(5), || async {
            let active = world.admin.list("/sessions?status=active").await?;
            Ok(active.first().and_then(|session| session["id"].as_str().map(str::to_owned)))
        })
        .await?;
        let asked = Instant::now();
        let why = json!({ "reason": "not now" });
        world.admin.call(http::Method::POST, &format!("/sessions/{id}/terminate"), Some(&why)).await?.success()?;
        world.session_becomes(&id, "terminated").await?;
        ensure!(asked.elapsed() < AT_ONCE, "it went on opening for {:?}", asked.elapsed());
        anyhow::Ok(())
    };
    let (opened, ended) = tokio::join!(opening, ending);
    ended?;
    let refused = opened?.err().context("a terminal opened")?;
    assert_eq!((refused.status, refused.body["code"].as_str()), (409, Some("terminated")), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_target_that_hangs_does_not_keep_the_socket_open() -> anyhow::Result<()> {
    let world = World::default().await?;
    let (proxy, reachable) = behind_a_proxy(&world).await?;
    let person = world.person(&[], &[&reachable.group_id]).await?;
    let mut terminal = reachable.open(&person.client).await?;
    proxy.set(Fault::Silence);
    // More than the buffers on the way hold: the hub is in the middle of a write.
    for _ in 0..24 {
        let paste = vec![b'x'; 512 * 1024];
        if tokio::time::timeout(Duration::from_millis(500), terminal.type_bytes(paste)).await.is_err() {
            break;
        }
    }
    let started = Instant::now();
    world.admin.delete(&format!("/admin/groups/{}/members/{}", reachable.group_id, person.id)).await?;
    closes(terminal, started, "the target hangs", "access_denied").await
}

#[tokio::test]
async fn a_limit_that_became_shorter_ends_terminals_that_run() -> anyhow::Result<()> {
    let world = World::default().await?;
    let Work { mut terminal, .. } = at_work(&world).await?;
    // The API wants half a minute at least; a test does not want to wait that long.
    world.database.by_hand("alter table settings drop constraint settings_idle_timeout_range").await?;
    world.database.by_hand("update settings set terminal_idle_timeout_seconds = 1").await?;
    let ended = terminal.end(Duration::from_secs(5)).await?;
    assert_eq!((ended.code, ended.reason.as_str()), (4008, "idle_timeout"));
    Ok(())
}

/// When the sign-in of a person was last seen, as a text that sorts.
async fn last_seen(world: &World, person: &Person) -> anyhow::Result<String> {
    let statement = format!(
        "select to_char(last_seen_at at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US') from auth_sessions \
         where user_id = '{}'",
        person.id
    );
    world.database.by_hand(&statement).await
}

/// Lets a person not have been seen for so many seconds; when that was.
async fn let_time_pass(world: &World, person: &Person, seconds: u32) -> anyhow::Result<String> {
    let aged = format!("update auth_sessions set last_seen_at = now() - interval '{seconds} seconds'");
    world.database.by_hand(&format!("{aged} where user_id = '{}'", person.id)).await?;
    last_seen(world, person).await
}

#[tokio::test]
async fn keys_in_a_terminal_keep_the_sign_in_alive_and_an_abandoned_terminal_does_not() -> anyhow::Result<()> {
    let options = HubOptions {
        identity: [("idle_timeout_seconds", 60), ("login_attempts_per_ip_per_minute", 10_000)].into(),
        ..HubOptions::default()
    };
    let world = World::start(options).await?;
    let Work { person: busy, terminal: mut worked_in, .. } = at_work(&world).await?;
    let Work { person: away, terminal: mut abandoned, .. } = at_work(&world).await?;
    // A program that writes for ever and asks the terminal where the cursor is, which answers by itself.
    abandoned.type_line("while :; do echo tick; sleep 0.1; done").await?;
    abandoned.until(b"tick\r\n").await?;
    abandoned.until(b"tick\r\n").await?;
    // What was typed so far is noted first, for both; then almost a minute passes at once.
    for (person, terminal) in [(&busy, &mut worked_in), (&away, &mut abandoned)] {
        let aged = let_time_pass(&world, person, 55).await?;
        terminal.type_bytes(b" ".to_vec()).await?;
        eventually("what was typed is noted", Duration::from_secs(15), || async {
            Ok((last_seen(&world, person).await? > aged).then_some(()))
        })
        .await?;
    }
    let_time_pass(&world, &busy, 55).await?;
    let before = let_time_pass(&world, &away, 55).await?;
    abandoned.type_bytes(b"\x1b[24;80R".to_vec()).await?;
    abandoned.until(b"tick\r\n").await?;
    worked_in.run("true").await?;
    eventually("the key is noted", Duration::from_secs(15), || async {
        let seen = last_seen(&world, &busy).await?;
        Ok((seen > before).then_some(()))
    })
    .await?;
    // The round that noted the one has looked at the other too.
    assert_eq!(last_seen(&world, &away).await?, before, "an abandoned terminal kept its sign-in alive");
    busy.client.get("/auth/me").await?;
    let_time_pass(&world, &away, 61).await?;
    let answer = away.client.call(http::Method::GET, "/auth/me", None).await?;
    answer.problem(http::StatusCode::UNAUTHORIZED, "unauthenticated")?;
    // Being idle is the sign-in's end, not the terminal's: that has an idle time of its own.
    abandoned.until(b"tick\r\n").await?;
    Ok(())
}

#[tokio::test]
async fn a_session_is_ended_from_another_hub_at_once() -> anyhow::Result<()> {
    let world = World::default().await?;
    let second = world.another_hub().await?;
    let Work { mut terminal, .. } = at_work(&world).await?;
    let admin = world.admin.at(second.url());
    let started = Instant::now();
    let path = format!("/sessions/{}/terminate", terminal.session_id());
    admin.post(&path, &json!({ "reason": "from the other side" })).await?;
    let ended = terminal.end(Duration::from_secs(5)).await?;
    ensure!(started.elapsed() < AT_ONCE, "closed after {:?}", started.elapsed());
    assert_eq!(ended.code, 4003, "{ended:?}");
    ensure!(ended.message.is_some_and(|message| message.to_string().contains("from the other side")), "no reason");
    let mut connection = world.database.as_tenant(world.database.tenant_id(&world.options.tenant).await?).await?;
    let row = sqlx::query(AssertSqlSafe(format!(
        "select terminated_by is not null as by from sessions where session_id = '{}'",
        terminal.session_id()
    )))
    .fetch_one(&mut connection)
    .await?;
    ensure!(row.get::<bool, _>("by"), "the row does not say who ended it");
    Ok(())
}

#[tokio::test]
async fn a_session_ends_with_the_sign_in_that_resumed_it_and_not_with_the_first() -> anyhow::Result<()> {
    let world = World::default().await?;
    let Work { reachable, person, terminal } = at_work(&world).await?;
    let elsewhere = world.admin.stranger();
    elsewhere.sign_in(&world.options.tenant, &person.username, &person.password).await?;
    let mut connect = reachable.connect();
    connect.resume = Some(terminal.resume());
    terminal.cut();
    let mut terminal = Terminal::open(&elsewhere, &connect).await?;
    person.client.post("/auth/logout", &json!({})).await?;
    terminal.run("true").await.context("the first sign-in ended a session that another one has")?;
    let started = Instant::now();
    elsewhere.post("/auth/logout", &json!({})).await?;
    closes(terminal, started, "the sign-in that resumed it ends", "signed_out").await
}

#[tokio::test]
async fn a_session_that_another_hub_has_closed_does_not_go_on() -> anyhow::Result<()> {
    let world = World::default().await?;
    let Work { mut terminal, .. } = at_work(&world).await?;
    let session = terminal.session_id();
    // As the reconciler of another hub does, when this one was silent for half a minute.
    let started = Instant::now();
    world
        .database
        .by_hand(&format!(
            "update sessions set status = 'failed', error_code = 'hub_lost', end_time = now() where session_id = '{session}'"
        ))
        .await?;
    let again =
        world.admin.call(http::Method::POST, &format!("/sessions/{session}/terminate"), Some(&json!({}))).await?;
    again.problem(http::StatusCode::CONFLICT, "session_ended")?;
    let ended = terminal.end(Duration::from_secs(5)).await?;
    ensure!(matches!(ended.code, 4003 | 4500), "{ended:?}");
    ensure!(started.elapsed() < Duration::from_millis(1_500), "closed after {:?}", started.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_vault_that_hangs_holds_up_no_loss_of_access() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let (proxy, address) = FaultProxy::in_front_of(&stack.servers.openbao.address).await?;
    let world = World::start(HubOptions { vault_address: Some(address), ..HubOptions::default() }).await?;
    let Work { person, terminal, .. } = at_work(&world).await?;
    proxy.set(Fault::Silence);
    let storing = (0..40).map(|_| {
        let client = world.admin.clone();
        tokio::spawn(async move {
            let body = json!({ "name": unique("c"), "kind": "password", "username": "x", "secret": { "password": "planted-x" } });
            client.call(http::Method::POST, "/admin/credentials", Some(&body)).await
        })
    });
    let storing = storing.collect::<Vec<_>>();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let started = Instant::now();
    world.database.by_hand(&format!("update users set enabled = false where user_id = '{}'", person.id)).await?;
    closes(terminal, started, "while the vault hangs", "signed_out").await?;
    let started = Instant::now();
    world.admin.stranger().sign_in(&world.options.tenant, "admin", &world.admin_password).await?;
    ensure!(started.elapsed() < Duration::from_secs(2), "signing in took {:?}", started.elapsed());
    proxy.set(Fault::None);
    for storing in storing {
        let answer = storing.await??;
        ensure!(matches!(answer.status.as_u16(), 201 | 503), "{answer:?}");
    }
    Ok(())
}

/// A hub that no longer reaches the database cannot see that a right was taken away: what it carries ends,
/// before another hub calls it ended.
#[tokio::test]
async fn a_hub_cut_off_from_the_database_ends_its_sessions_before_another_hub_calls_them_ended() -> anyhow::Result<()> {
    use openpam_tests::{
        hub::Prepared,
        proxy::{Fault, FaultProxy},
    };
    let world = World::default().await?;
    let proxy = FaultProxy::start(&world.database.address()).await?;
    let options = HubOptions {
        database_address: Some(proxy.address().to_string()),
        terminal: [("unchecked_seconds", 5)].into(),
        recordings: None,
        ..world.options.clone()
    };
    let cut_off = Prepared::new(&world.stack, &world.database, &options).await?.start().await?;
    let reachable = world.password_target().await?;
    let person = world.person(&[], &[&reachable.group_id]).await?;
    let mut terminal = reachable.open(&person.client.at(cut_off.url())).await?;
    let mut elsewhere = reachable.open(&person.client).await?;
    tokio::time::sleep(Duration::from_secs(7)).await;
    terminal.run("true").await?;

    let started = Instant::now();
    proxy.set(Fault::Silence);
    let ended = terminal.end(Duration::from_secs(15)).await?;
    let took = started.elapsed();
    ensure!(took > Duration::from_secs(3) && took < Duration::from_secs(9), "the socket was closed after {took:?}");
    ensure!(ended.code == 4001 && ended.reason == "access_unchecked", "{ended:?}");
    let status = world.session(&terminal.session_id()).await?["status"].clone();
    assert_eq!(status, "active", "another hub called it ended while it ran");

    // The other hub closes it in the records, and its own session goes on.
    let what = "the session of the hub that is cut off is closed";
    eventually(what, Duration::from_secs(45), || async {
        let session = world.session(&terminal.session_id()).await?;
        Ok((session["status"] == "failed").then_some(()))
    })
    .await?;
    elsewhere.run("true").await?;

    assert_eq!(world.session(&terminal.session_id()).await?["error_code"], "hub_lost");

    // Whatever hung while the database was silent holds nothing up once it answers.
    proxy.set(Fault::None);
    // Its own hub says then how it ended: in the record, and in the trail.
    eventually("the record says why it ended", Duration::from_secs(60), || async {
        let session = world.session(&terminal.session_id()).await?;
        Ok((session["error_code"] == "access_unchecked").then_some(()))
    })
    .await?;
    let ends = format!("/audit/entries?object_id={}&action=session.end", terminal.session_id());
    let ends = world.admin.list(&ends).await?;
    let codes = ends.iter().map(|end| end["detail"]["code"].as_str().unwrap_or_default()).collect::<Vec<_>>();
    assert_eq!(codes, ["access_unchecked", "hub_lost"], "{ends:?}");
    assert_eq!(ends[0]["detail"]["instead_of"], "hub_lost", "{ends:?}");
    // So it does to who gets events.
    let told = format!("/events?event_type=openpam.session.ended&subject=sessions/{}", terminal.session_id());
    let told = world.admin.list(&told).await?;
    let codes = told.iter().map(|event| event["payload"]["code"].as_str().unwrap_or_default()).collect::<Vec<_>>();
    assert_eq!(codes, ["access_unchecked", "hub_lost"], "{told:?}");
    assert_eq!(told[0]["payload"]["instead_of"], "hub_lost", "{told:?}");
    ensure!(told[1]["payload"].get("instead_of").is_none(), "{told:?}");
    let at_the_hub = person.client.at(cut_off.url());
    let mut again = eventually("a session opens once the database answers", Duration::from_secs(40), || async {
        Ok(reachable.open(&at_the_hub).await.ok())
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(12)).await;
    again.run("true").await?;
    Ok(())
}
