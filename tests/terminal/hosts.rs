//! Targets that are not as the stack's: host certificates, old algorithms, other ways to ask for a
//! password, forwarding.

use std::{
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use openpam_tests::{
    Terminal, World,
    hub::Folder,
    sshd::{HostCa, HostCertificate, Sshd},
    terminal::Connect,
    unique,
    world::Reachable,
};
use serde_json::json;

/// A target on this server, with the password of the stack's first target, open to everybody.
async fn target(world: &World, server: &Sshd, change: serde_json::Value) -> anyhow::Result<Reachable> {
    let username = &world.stack.password_target().username;
    let credential_id = world.credential("password", username, &json!({ "password": world.ssh_password()? })).await?;
    let group_id = world.group().await?;
    let target_id = world.target("127.0.0.1", server.port(), &group_id, &[&credential_id]).await?;
    world.admin.patch(&format!("/admin/targets/{target_id}"), &change).await?;
    Ok(Reachable { target_id, credential_id, group_id })
}

/// Why the terminal does not open: code and sentence.
async fn refusal(world: &World, reachable: &Reachable) -> anyhow::Result<(String, String)> {
    let connect = Connect::new(&reachable.target_id, &reachable.credential_id);
    let refused = Terminal::try_open(&world.admin, &connect).await?.err().context("the terminal opened")?;
    let text = |name: &str| refused.body[name].as_str().unwrap_or_default().to_owned();
    Ok((text("code"), text("detail")))
}

#[tokio::test]
async fn a_host_certificate_must_be_of_the_trusted_ca_for_this_host_and_valid_now() -> anyhow::Result<()> {
    let world = World::default().await?;
    let (ca, stranger) = (HostCa::create().await?, HostCa::create().await?);
    let good = HostCertificate { principal: "127.0.0.1,other.test", validity: "-1h:+1h" };
    for (what, authority, certificate, says) in [
        ("a good certificate", &ca, Some(good.clone()), None),
        ("a certificate of another CA", &stranger, Some(good.clone()), Some("signed by")),
        ("an expired one", &ca, Some(HostCertificate { validity: "-2h:-1h", ..good.clone() }), Some("not valid now")),
        ("one of tomorrow", &ca, Some(HostCertificate { validity: "+1d:+2d", ..good.clone() }), Some("not valid now")),
        (
            "one for another host",
            &ca,
            Some(HostCertificate { principal: "other.test", ..good.clone() }),
            Some("not for 127.0.0.1"),
        ),
    ] {
        let server =
            Sshd::start_certified("ed25519", &[], certificate.map(|certificate| (authority, certificate))).await?;
        let reachable = target(&world, &server, json!({ "host_key_policy": "host_ca" })).await?;
        let path = format!("/admin/targets/{}/host-keys", reachable.target_id);
        let (code, _) =
            refusal(&world, &reachable).await.with_context(|| format!("{what}, before the CA is trusted"))?;
        assert_eq!(code, "host_certificate_refused", "{what}, before the CA is trusted");
        world.admin.post(&path, &json!({ "public_key": ca.public_key()?, "kind": "ca" })).await?;
        match says {
            None => {
                reachable.open(&world.admin).await.context(what)?;
            }
            Some(says) => {
                let (code, detail) = refusal(&world, &reachable).await.context(what)?;
                ensure!(code == "host_certificate_refused" && detail.contains(says), "{what}: {code}: {detail}");
            }
        }
    }
    // A plain key is no certificate, even when it is pinned: the policy says otherwise.
    let server = Sshd::start("ed25519", &[]).await?;
    let reachable = target(&world, &server, json!({})).await?;
    world.trust_host_keys(&reachable.target_id).await?;
    let patch = json!({ "host_key_policy": "host_ca" });
    world.admin.patch(&format!("/admin/targets/{}", reachable.target_id), &patch).await?;
    let body = json!({ "public_key": ca.public_key()?, "kind": "ca" });
    world.admin.post(&format!("/admin/targets/{}/host-keys", reachable.target_id), &body).await?;
    let (code, _) = refusal(&world, &reachable).await?;
    assert_eq!(code, "host_key_unknown");
    Ok(())
}

#[tokio::test]
async fn old_algorithms_are_spoken_only_with_a_target_that_allows_them() -> anyhow::Result<()> {
    let world = World::default().await?;
    for lines in [
        &["KexAlgorithms diffie-hellman-group14-sha1"][..],
        &["Ciphers aes128-cbc", "MACs hmac-sha1"],
        &["HostKeyAlgorithms ssh-rsa"],
    ] {
        let server = Sshd::start("rsa", lines).await?;
        let reachable = target(&world, &server, json!({ "legacy_algorithms": true })).await?;
        world.trust_host_keys(&reachable.target_id).await.with_context(|| format!("{lines:?}"))?;
        let path = format!("/admin/targets/{}", reachable.target_id);
        let mut terminal = reachable.open(&world.admin).await.with_context(|| format!("allowed: {lines:?}"))?;
        terminal.send(&json!({ "type": "disconnect" })).await?;
        world.admin.patch(&path, &json!({ "legacy_algorithms": false })).await?;
        let (code, _) = refusal(&world, &reachable).await.with_context(|| format!("not allowed: {lines:?}"))?;
        assert_eq!(code, "ssh_handshake_failed", "{lines:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_rsa_key_signs_with_sha1_only_for_a_target_that_allows_old_algorithms() -> anyhow::Result<()> {
    let world = World::default().await?;
    let stack = world.stack.password_target();
    let (_, file) =
        stack.private_keys.iter().find(|(kind, _)| kind.starts_with("rsa")).context("the stack has no RSA key")?;
    let public = std::process::Command::new("ssh-keygen").args(["-y", "-f"]).arg(file).output()?;
    ensure!(public.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&public.stderr));
    let folder = Folder(std::env::temp_dir().join(unique("openpam-test-keys")));
    std::fs::create_dir(&folder.0)?;
    // sshd reads it as the person who logs in.
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o755))?;
    let authorized = folder.0.join("authorized_keys");
    std::fs::write(&authorized, public.stdout)?;
    std::fs::set_permissions(&authorized, std::fs::Permissions::from_mode(0o644))?;
    let authorized = format!("AuthorizedKeysFile {}", authorized.display());
    let server = Sshd::start("rsa", &["PubkeyAcceptedAlgorithms ssh-rsa", &authorized]).await?;
    let key = json!({ "private_key": std::fs::read_to_string(file)? });
    let credential_id = world.credential("private_key", &stack.username, &key).await?;
    let group_id = world.group().await?;
    let target_id = world.target("127.0.0.1", server.port(), &group_id, &[&credential_id]).await?;
    world.trust_host_keys(&target_id).await?;
    let reachable = Reachable { target_id, credential_id, group_id };
    let path = format!("/admin/targets/{}", reachable.target_id);
    assert_eq!(refusal(&world, &reachable).await?.0, "ssh_auth_failed", "SHA-1 although nobody allowed it");
    ensure!(!server.log().contains("Accepted publickey"), "{}", server.log());
    world.admin.patch(&path, &json!({ "legacy_algorithms": true })).await?;
    let mut terminal = reachable.open(&world.admin).await.with_context(|| format!("allowed: {}", server.log()))?;
    assert_eq!(terminal.run("whoami").await?.trim(), stack.username);
    let credential = format!("/admin/credentials/{}/test", reachable.credential_id);
    let tested = world.admin.post(&credential, &json!({ "target_id": reachable.target_id })).await?;
    ensure!(tested["ok"] == true, "{tested}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_only_asks_interactively_gets_the_password() -> anyhow::Result<()> {
    let world = World::default().await?;
    let server = Sshd::start("ed25519", &["PasswordAuthentication no", "PubkeyAuthentication no"]).await?;
    let reachable = target(&world, &server, json!({})).await?;
    world.trust_host_keys(&reachable.target_id).await?;
    let mut terminal = reachable.open(&world.admin).await?;
    assert_eq!(terminal.run("whoami").await?.trim(), world.stack.password_target().username);
    ensure!(server.log().contains("keyboard-interactive/pam"), "another method was used: {}", server.log());
    Ok(())
}

#[tokio::test]
async fn agent_and_display_are_never_forwarded_although_the_server_would() -> anyhow::Result<()> {
    let world = World::default().await?;
    let server = Sshd::start("ed25519", &["X11Forwarding yes", "AllowAgentForwarding yes"]).await?;
    let reachable = target(&world, &server, json!({})).await?;
    world.trust_host_keys(&reachable.target_id).await?;
    let mut terminal = reachable.open(&world.admin).await?;
    assert_eq!(terminal.run("echo \"[$SSH_AUTH_SOCK$DISPLAY]\"").await?.trim(), "[]");
    Ok(())
}

#[tokio::test]
async fn every_byte_passes_both_ways_in_a_terminal_that_is_not_utf8() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let mut terminal = reachable.open(&world.admin).await?;
    terminal.run("stty raw -echo").await?;
    let all = (0..=255).collect::<Vec<u8>>();
    terminal.type_line("printf '<<'; head -c 256 | od -An -v -tx1 | tr -d ' \\n'; printf '>%s' '>'").await?;
    terminal.until(b"<<").await?;
    terminal.type_bytes(all.clone()).await?;
    let received = terminal.until(b">>").await?;
    let expected = all.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(String::from_utf8_lossy(&received[..received.len() - 2]), expected, "bytes typed");
    Ok(())
}

#[tokio::test]
async fn new_keys_in_the_middle_of_a_flood_lose_nothing_and_hold_up_no_end() -> anyhow::Result<()> {
    let world = World::default().await?;
    // New keys after each mebibyte: in a flood all the time.
    let server = Sshd::start("ed25519", &["RekeyLimit 1M", "LogLevel DEBUG1"]).await?;
    let reachable = target(&world, &server, json!({})).await?;
    world.trust_host_keys(&reachable.target_id).await?;
    let person = world.person(&[], &[&reachable.group_id]).await?;
    let mut terminal = reachable.open(&person.client).await?;
    let numbers = terminal.run("seq 1 1500000").await?;
    let expected = (1..=1_500_000_u32).map(|number| format!("{number}\n")).collect::<String>();
    ensure!(numbers == expected, "{} bytes came, expected {}", numbers.len(), expected.len());
    let exchanges = server.log().matches("SSH2_MSG_KEXINIT received").count();
    ensure!(exchanges > 6, "keys were exchanged {exchanges} times: this proves little");
    // A browser that reads nothing, while the target wants new keys: access ends all the same.
    terminal.acknowledge = false;
    terminal.type_line("yes").await?;
    terminal.drain(Duration::from_millis(500)).await?;
    let started = Instant::now();
    world.admin.delete(&format!("/admin/groups/{}/members/{}", reachable.group_id, person.id)).await?;
    let ended = terminal.end(Duration::from_secs(5)).await?;
    assert_eq!(ended.code, 4001, "{ended:?}");
    ensure!(started.elapsed() < Duration::from_secs(1), "closed after {:?}", started.elapsed());
    Ok(())
}
