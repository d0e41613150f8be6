//! Erasure of a person's contents.

use anyhow::ensure;
use openpam_tests::World;

use super::{number, settled, unguarded, verify};

/// What was done to a person's entries at their wish is told from what was done to hide something.
#[tokio::test]
async fn contents_are_erased_on_the_record_and_everything_still_verifies() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    world.zone().await?;
    let person = world.person(&["admin"], &[]).await?;
    person
        .client
        .post("/admin/zones", &serde_json::json!({ "name": "by-them", "description": "", "type": "hub" }))
        .await?;
    settled(&world.database).await?;
    let size = number(&world.database, "select max(size) from ledger_checkpoints").await?;
    let range = ["--start-sequence".to_owned(), "0".to_owned(), "--end-sequence".to_owned(), (size - 1).to_string()];
    let range = range.iter().map(String::as_str).collect::<Vec<_>>();
    let tenant = world.options.tenant.clone();
    let erase = ["audit", "erase", "--tenant", &tenant, "--user", &person.id, "--reason", "they asked for it"];
    let early = world.hub.command(&erase, None).await;
    ensure!(early.is_err_and(|error| format!("{error:#}").contains("disable it first")), "the account is enabled");
    let path = format!("/admin/users/{}", person.id);
    world.admin.patch(&path, &serde_json::json!({ "enabled": false })).await?;
    settled(&world.database).await?;
    let named =
        format!("select count(*) from platform_events where concat(payload, context) like '%{}%'", person.username);
    ensure!(number(&world.database, &named).await? > 0, "nothing was published that names them");
    let changed = world.database.by_hand("update platform_events set payload = '{}'").await;
    ensure!(changed.is_err(), "what was published can be changed without saying so");
    let said = world.hub.command(&erase, None).await?;
    ensure!(said.contains("erased the contents of"), "{said}");
    let left = format!(
        "select (select count(*) from audit_events where concat(actor_name, object_name, detail) like '%{0}%')
              + (select count(*) from row_changes where concat(before_image, after_image) like '%{0}%')
              + (select count(*) from platform_events where concat(payload, context) like '%{0}%')",
        person.username
    );
    ensure!(number(&world.database, &left).await? == 0, "the name is still in the trail");
    let entries = "select count(*) from ledger_entries e join audit_events a on a.audit_event_id = e.event_id
                   where a.action = 'ledger.erase'";
    settled(&world.database).await?;
    ensure!(number(&world.database, entries).await? == 1, "one entry says what was erased");
    world.hub.terminate().await?;
    for arguments in [&[][..], &range[..]] {
        let verified = verify(&world.hub, arguments).await?;
        let says = verified.text.contains("entries were erased: see the entries of ledger.erase");
        ensure!(verified.sound && says, "{arguments:?}: {}", verified.text);
    }
    let again = world.hub.command(&erase, None).await?;
    ensure!(again.contains("of 0 events and 0 row changes"), "what is erased is erased again: {again}");
    // Whoever takes the entry's own contents away, or erases one more, is found.
    let original = world.database.name().to_owned();
    for (number, (by, found)) in [
        ("update audit_events set detail = '{}' where action = 'ledger.erase'", "content_tampered"),
        ("delete from audit_events where action = 'ledger.erase'", "content_missing"),
        (
            "update row_changes set before_image = null, after_image = null, database_user = '', salts = null,
                 erased_at = now() where row_change_id = (select row_change_id from row_changes where erased_at is null limit 1)",
            "content_missing",
        ),
        ("update audit_events set actor_name = 'x' where erased_at is not null", "content_tampered"),
    ]
    .into_iter()
    .enumerate()
    {
        let copy = world.database.copy(&format!("{original}_{number}")).await?;
        copy.by_hand(&unguarded(by)).await?;
        let configuration = world.hub.folder().join("hub.toml");
        let text = std::fs::read_to_string(&configuration)?;
        std::fs::write(&configuration, text.replace(&format!("/{original}\""), &format!("/{}\"", copy.name())))?;
        let told = verify(&world.hub, &[]).await;
        std::fs::write(&configuration, text)?;
        let told = told?;
        ensure!(!told.sound && told.text.contains(&format!("  {found}: ")), "{by}: {}", told.text);
    }
    Ok(())
}
