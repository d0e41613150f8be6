//! What a person does in a terminal.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use openpam_tests::{World, stack::read_trimmed, unique, world::Reachable};
use serde_json::json;

/// Passed where a terminal of a member of the target's group is needed.
async fn opened() -> anyhow::Result<(World, Reachable, openpam_tests::world::Person, openpam_tests::Terminal)> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let person = world.person(&[], &[&reachable.group_id]).await?;
    let terminal = reachable.open(&person.client).await?;
    Ok((world, reachable, person, terminal))
}

#[tokio::test]
async fn a_member_of_the_group_runs_commands_as_the_credentials_user() -> anyhow::Result<()> {
    let (world, _, person, mut terminal) = opened().await?;
    assert_eq!(terminal.run("whoami").await?.trim(), world.stack.password_target().username);
    assert_eq!(terminal.run("expr 6 '*' 7").await?.trim(), "42");
    let session = world.session(&terminal.session_id()).await?;
    assert_eq!(session["status"], "active");
    assert_eq!(session["user_id"], person.id.as_str());
    assert_eq!(session["client_ip"], "127.0.0.1");
    Ok(())
}

#[tokio::test]
async fn the_size_is_the_one_asked_for_and_follows_a_resize() -> anyhow::Result<()> {
    let (_world, _, _, mut terminal) = opened().await?;
    assert_eq!(terminal.run("stty size").await?.trim(), "24 80");
    terminal.resize(133, 41).await?;
    assert_eq!(terminal.run("stty size").await?.trim(), "41 133");
    Ok(())
}

#[tokio::test]
async fn text_split_inside_a_character_and_every_byte_arrive_as_they_were_sent() -> anyhow::Result<()> {
    let (_world, _, _, mut terminal) = opened().await?;
    terminal.type_bytes(b"printf '%s|' '".to_vec()).await?;
    for byte in "Zoë→😀".bytes() {
        terminal.type_bytes(vec![byte]).await?;
    }
    terminal.type_bytes(b"' | od -An -tx1 | tr -d ' \\n'; echo '<''END>'\n".to_vec()).await?;
    let output = String::from_utf8_lossy(&terminal.until(b"<END>").await?).into_owned();
    ensure!(output.contains("5a6fc3abe28692f09f98807c"), "the bytes changed on their way: {output:?}");
    terminal.run("stty raw -echo").await?;
    terminal
        .type_line(
            "printf '<<'; awk 'BEGIN { for (i = 0; i < 256; i++) printf \"%c\", i }' | LC_ALL=C cat; printf '>>>'",
        )
        .await?;
    // The shell's own awk may write UTF-8: perl and printf differ too, so the bytes come from octal.
    terminal.until(b">>>").await?;
    let octal = (128..=255).map(|byte| format!("\\{byte:03o}")).collect::<String>();
    terminal.type_line(&format!("printf '[['; printf '{octal}'; printf ']%s' ']'")).await?;
    terminal.until(b"[[").await?;
    let bytes = terminal.until(b"]]").await?;
    assert_eq!(&bytes[..bytes.len() - 2], (128..=255).collect::<Vec<u8>>(), "8-bit bytes must pass unchanged");
    Ok(())
}

#[tokio::test]
async fn the_exit_status_and_a_signal_are_reported_and_the_session_completes() -> anyhow::Result<()> {
    let (world, reachable, person, mut terminal) = opened().await?;
    terminal.type_line("exit 7").await?;
    let ended = terminal.end(Duration::from_secs(5)).await?;
    let message = ended.message.context("no exit message")?;
    assert_eq!((ended.code, &message["type"], &message["status"]), (1000, &json!("exit"), &json!(7)));
    let session = world.session_becomes(&terminal.session_id(), "completed").await?;
    assert_eq!(session["exit_status"], 7);
    ensure!(session["bytes_received"].as_i64() > Some(0) && session["bytes_sent"].as_i64() > Some(0), "{session}");
    let mut terminal = reachable.open(&person.client).await?;
    terminal.type_line("exec sleep 60 & kill -KILL $$").await?;
    let message = terminal.end(Duration::from_secs(5)).await?.message.context("no exit message")?;
    assert_eq!((&message["type"], &message["signal"]), (&json!("exit"), &json!("KILL")));
    // One that RFC 4254 §6.10 does not name.
    let mut terminal = reachable.open(&person.client).await?;
    terminal.type_line("exec sleep 60 & kill -USR2 $$").await?;
    let message = terminal.end(Duration::from_secs(5)).await?.message.context("no exit message")?;
    assert_eq!((&message["type"], &message["signal"]), (&json!("exit"), &json!("USR2")));
    let session = world.session_becomes(&terminal.session_id(), "completed").await?;
    assert_eq!(session["exit_signal"], "USR2");
    Ok(())
}

#[tokio::test]
async fn a_disconnect_ends_the_session_at_once() -> anyhow::Result<()> {
    let (world, _, _, mut terminal) = opened().await?;
    terminal.send(&json!({ "type": "disconnect" })).await?;
    assert_eq!(terminal.end(Duration::from_secs(5)).await?.code, 1000);
    world.session_becomes(&terminal.session_id(), "completed").await?;
    Ok(())
}

#[tokio::test]
async fn private_keys_of_every_kind_sign_in() -> anyhow::Result<()> {
    let world = World::default().await?;
    let server = world.stack.password_target().clone();
    let group = world.group().await?;
    for (kind, file) in &server.private_keys {
        let mut secret = json!({ "private_key": std::fs::read_to_string(file)? });
        if kind.ends_with("encrypted") {
            let passphrase = server.passphrase_file.as_ref().context("an encrypted key without a passphrase")?;
            secret["passphrase"] = read_trimmed(passphrase)?.into();
        }
        let credential_id = world.credential("private_key", &server.username, &secret).await?;
        let target_id = world.target(&server.host, server.port, &group, &[&credential_id]).await?;
        world.trust_host_keys(&target_id).await?;
        let reachable = Reachable { target_id, credential_id, group_id: group.clone() };
        let mut terminal = reachable.open(&world.admin).await.with_context(|| format!("with the {kind} key"))?;
        assert_eq!(terminal.run("whoami").await?.trim(), server.username, "{kind}");
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_of_the_vaults_ca_signs_in_and_names_person_and_session() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.certificate_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    assert_eq!(terminal.run("whoami").await?.trim(), world.stack.certificate_target().username);
    // The shell has no agent, no forwarded display: only a terminal.
    assert_eq!(terminal.run("echo \"[$SSH_AUTH_SOCK$DISPLAY]\"").await?.trim(), "[]");
    Ok(())
}

#[tokio::test]
async fn a_secret_that_is_only_referred_to_is_read_at_its_newest_and_at_its_pinned_version() -> anyhow::Result<()> {
    let world = World::default().await?;
    let vault = openpam_tests::vault::VaultAdmin::new(&world.stack.servers.openbao)?;
    let path = format!("shared/{}", unique("reference"));
    vault.put(&path, &json!({ "password": world.ssh_password()? })).await?;
    vault.put(&path, &json!({ "password": "not the password" })).await?;
    let server = world.stack.password_target().clone();
    let group = world.group().await?;
    for (version, works) in [(json!(1), true), (json!(null), false)] {
        let body = json!({
            "name": unique("reference"), "kind": "password", "username": server.username,
            "vault_path": path, "vault_version": version,
        });
        let credential_id = openpam_tests::world::id(&world.admin.post("/admin/credentials", &body).await?)?;
        let target_id = world.target(&server.host, server.port, &group, &[&credential_id]).await?;
        world.trust_host_keys(&target_id).await?;
        let reachable = Reachable { target_id, credential_id, group_id: group.clone() };
        assert_eq!(reachable.open(&world.admin).await.is_ok(), works, "version {version}");
    }
    vault.remove(&path).await
}
