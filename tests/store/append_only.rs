//! The trail can be written and read, never changed: not by the application, not by the owner.

use anyhow::{Context as _, ensure};
use sqlx::Row as _;

use super::{migrated, seed, sql_state};

const STATEMENTS: &[&str] = &[
    "update audit_events set action = 'session.forged'",
    "delete from audit_events",
    "truncate audit_events cascade",
    "update row_changes set after_image = '{}'",
    "delete from row_changes",
    "truncate row_changes",
    "update platform_events set payload = '{\"forged\": true}'",
    "update ledger_entries set seq = 1",
    "delete from ledger_entries",
    "truncate ledger_entries",
    "update ledger_tiles set root = sha256('x')",
    "delete from ledger_tiles",
    "update ledger_checkpoints set note = 'x'",
    "delete from ledger_checkpoints",
];

#[tokio::test]
async fn neither_the_application_nor_the_owner_can_change_the_trail() -> anyhow::Result<()> {
    let database = migrated().await?;
    let seeded = seed::tenant(&database).await?;
    let mut application = database.as_tenant(seeded.tenant).await?;
    let mut owner = database.owner().await?;
    openpam_tests::database::set_tenant(&mut owner, seeded.tenant).await?;
    for statement in STATEMENTS {
        let refused = sqlx::query(*statement).execute(&mut application).await.err();
        let error = refused.with_context(|| format!("the application could {statement}"))?;
        ensure!(sql_state(&error) == "42501", "expected no privilege for {statement}, got {error}");
        let refused = sqlx::query(*statement).execute(&mut owner).await.err();
        let error = refused.with_context(|| format!("the owner could {statement}"))?;
        ensure!(sql_state(&error) == "23001", "expected a refusal of {statement}, got {error}");
    }
    Ok(())
}

/// The owner erases contents, whole and once; nothing else, and nobody else.
#[tokio::test]
async fn contents_are_erased_whole_and_by_the_owner_alone() -> anyhow::Result<()> {
    let database = migrated().await?;
    let seeded = seed::tenant(&database).await?;
    let mut application = database.as_tenant(seeded.tenant).await?;
    let mut owner = database.owner().await?;
    openpam_tests::database::set_tenant(&mut owner, seeded.tenant).await?;
    let erasing = "select set_config('openpam.erasing', 'on', false)";
    sqlx::query(erasing).execute(&mut application).await?;
    sqlx::query(erasing).execute(&mut owner).await?;
    let whole = "update audit_events set actor_name = '', object_name = null, client_ip = null, detail = '{}',
                 salts = null, erased_at = now()";
    let refused = sqlx::query(whole).execute(&mut application).await.err().context("the application could erase")?;
    ensure!(sql_state(&refused) == "42501", "expected no privilege, got {refused}");
    for part in [
        "update audit_events set actor_name = 'another'",
        "update audit_events set action = 'session.forged', actor_name = '', object_name = null, client_ip = null,
         detail = '{}', salts = null, erased_at = now()",
        "update audit_events set actor_name = 'x', object_name = null, client_ip = null, detail = '{}', salts = null,
         erased_at = now()",
        "delete from audit_events",
        "update row_changes set after_image = null",
    ] {
        let refused = sqlx::query(part).execute(&mut owner).await.err();
        let error = refused.with_context(|| format!("the owner could {part}"))?;
        ensure!(sql_state(&error) == "23001", "expected a refusal of {part}, got {error}");
    }
    let erased = sqlx::query(whole).execute(&mut owner).await?.rows_affected();
    ensure!(erased > 0, "nothing was there to erase");
    let refused = sqlx::query(whole).execute(&mut owner).await.err().context("it was erased twice")?;
    ensure!(sql_state(&refused) == "23001", "expected a refusal, got {refused}");
    let images = "update row_changes set before_image = null, after_image = null, database_user = '', salts = null,
                  erased_at = now()";
    ensure!(sqlx::query(images).execute(&mut owner).await?.rows_affected() > 0, "no image was there");
    Ok(())
}

#[tokio::test]
async fn the_application_cannot_forge_an_image() -> anyhow::Result<()> {
    let database = migrated().await?;
    let seeded = seed::tenant(&database).await?;
    let mut application = database.as_tenant(seeded.tenant).await?;
    let refused = sqlx::query(
        "insert into row_changes (tenant_id, table_name, operation, row_id) values ($1, 'users', 'delete', 'x')",
    )
    .bind(seeded.tenant)
    .execute(&mut application)
    .await
    .err()
    .context("the application wrote an image by hand")?;
    ensure!(sql_state(&refused) == "42501", "expected no privilege, got {refused}");
    Ok(())
}

#[tokio::test]
async fn a_change_by_hand_leaves_both_images_without_the_password_hash() -> anyhow::Result<()> {
    let database = migrated().await?;
    let seeded = seed::tenant(&database).await?;
    let mut owner = database.owner().await?;
    openpam_tests::database::set_tenant(&mut owner, seeded.tenant).await?;
    sqlx::query("update users set display_name = 'Changed', password_hash = 'planted-hash' where user_id = $1")
        .bind(seeded.id('u'))
        .execute(&mut owner)
        .await?;
    let row = sqlx::query(
        "select before_image, after_image, database_user, actor from row_changes
         where table_name = 'users' and operation = 'update' and row_id = $1",
    )
    .bind(seeded.id('u').to_string())
    .fetch_one(&mut owner)
    .await?;
    let (before, after): (serde_json::Value, serde_json::Value) = (row.get("before_image"), row.get("after_image"));
    assert_eq!((&before["display_name"], &after["display_name"]), (&"U".into(), &"Changed".into()));
    assert_eq!(row.get::<String, _>("database_user"), "openpam_owner");
    assert_eq!(row.get::<Option<String>, _>("actor"), None, "nobody is named for a change by hand");
    ensure!(after.get("password_hash").is_none(), "the image has the column of the hash");
    ensure!(!after.to_string().contains("planted-hash"), "the image has the hash");
    Ok(())
}

#[tokio::test]
async fn a_change_of_a_hash_alone_leaves_no_image() -> anyhow::Result<()> {
    let database = migrated().await?;
    let seeded = seed::tenant(&database).await?;
    let mut application = database.as_tenant(seeded.tenant).await?;
    sqlx::query("update users set password_hash = 'another', last_login_at = now()").execute(&mut application).await?;
    let images: i64 =
        sqlx::query("select count(*) from row_changes where table_name = 'users' and operation = 'update'")
            .fetch_one(&mut application)
            .await?
            .get(0);
    assert_eq!(images, 0, "an image of hidden columns only says nothing");
    Ok(())
}
