//! `openpam config check`.

use anyhow::ensure;

use super::setting::Setting;

#[tokio::test]
async fn a_valid_configuration_is_called_valid() -> anyhow::Result<()> {
    let setting = Setting::without_schema().await?;
    let ended = setting.run(&["config", "check"]).await?;
    assert_eq!(ended.code, 0, "{ended:?}");
    ensure!(ended.output.contains("the configuration is valid"), "{ended:?}");
    Ok(())
}

#[tokio::test]
async fn every_mistake_is_named_at_once_and_no_secret_is_repeated() -> anyhow::Result<()> {
    let mut setting = Setting::without_schema().await?;
    std::fs::write(setting.file("no.pem"), "no certificate")?;
    let no_pem = setting.file("no.pem").display().to_string();
    setting
        .set("server.listen", "everywhere")
        .set("server.public_url", "http://pam.example.com")
        .set("server.tls_cert_file", &no_pem)
        .set("server.tls_key_file", &no_pem)
        .set("database.url", "postgres://openpam_app:hunter2secret@127.0.0.1/openpam")
        .set("log.filter", "openpam=loud")
        .set("vault.ca_file", "/nowhere/ca.pem")
        .set("oidc.client_secret_file", "/nowhere/secret")
        .set("terminal.keepalive_seconds", "0")
        .set("terminal.colour", "red");
    // As a service's environment may have it.
    setting.raw("RUST_BACKTRACE", "1");
    let ended = setting.run(&["config", "check"]).await?;
    assert_eq!(ended.code, 1, "{ended:?}");
    for key in [
        "server.listen",
        "server.public_url",
        "server.tls_cert_file",
        "database.url",
        "log.filter",
        "vault.ca_file",
        "oidc.client_secret_file",
        "terminal.keepalive_seconds",
        "terminal.colour",
    ] {
        ensure!(ended.errors.contains(&format!("{key}: ")), "{key} is not named:\n{}", ended.errors);
    }
    ensure!(!ended.errors.contains("backtrace"), "a person's mistake needs no backtrace:\n{}", ended.errors);
    ensure!(!ended.errors.contains("hunter2secret"), "the password is repeated:\n{}", ended.errors);
    Ok(())
}

#[tokio::test]
async fn the_hub_refuses_to_start_with_the_same_words() -> anyhow::Result<()> {
    let mut setting = Setting::without_schema().await?;
    setting.set("log.filter", "openpam=loud").set("vault.ca_file", "/nowhere/ca.pem");
    let (checked, started) = (setting.run(&["config", "check"]).await?, setting.run(&["hub"]).await?);
    assert_eq!((checked.code, started.code), (1, 1), "{checked:?} {started:?}");
    assert_eq!(checked.errors, started.errors);
    Ok(())
}
