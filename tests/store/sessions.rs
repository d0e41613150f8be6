//! The life of a session, as the database enforces it.

use anyhow::{Context as _, ensure};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::{migrated, seed, sql_state};

async fn try_set(connection: &mut PgConnection, change: &str) -> Result<u64, sqlx::Error> {
    let statement = format!("update sessions set {change}");
    Ok(sqlx::query(AssertSqlSafe(statement)).execute(connection).await?.rows_affected())
}

async fn refuses(connection: &mut PgConnection, change: &str, constraint: &str) -> anyhow::Result<()> {
    let error = try_set(connection, change).await.err().with_context(|| format!("allowed: set {change}"))?;
    let violated = error.as_database_error().and_then(|error| error.constraint()).unwrap_or_default().to_owned();
    ensure!(violated == constraint, "set {change}: expected {constraint}, got {error}");
    Ok(())
}

#[tokio::test]
async fn an_active_session_has_no_end_and_an_ended_one_has() -> anyhow::Result<()> {
    let database = migrated().await?;
    let seeded = seed::tenant(&database).await?;
    let mut connection = database.as_tenant(seeded.tenant).await?;
    refuses(&mut connection, "status = 'completed'", "sessions_end_by_status").await?;
    refuses(&mut connection, "end_time = now()", "sessions_end_by_status").await?;
    refuses(&mut connection, "status = 'paused', end_time = now()", "sessions_status").await?;
    refuses(&mut connection, "status = 'failed', end_time = now()", "sessions_error_by_status").await?;
    refuses(
        &mut connection,
        "status = 'completed', end_time = start_time - interval '1 s'",
        "sessions_end_after_start",
    )
    .await?;
    refuses(&mut connection, "bytes_sent = -1", "sessions_counts").await?;
    assert_eq!(try_set(&mut connection, "status = 'failed', error_code = 'x', end_time = now()").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_session_that_ended_stays_as_it_ended() -> anyhow::Result<()> {
    for ended in ["completed", "terminated", "failed"] {
        let database = migrated().await?;
        let seeded = seed::tenant(&database).await?;
        let mut connection = database.as_tenant(seeded.tenant).await?;
        try_set(&mut connection, &format!("status = '{ended}', error_code = 'x', end_time = now()")).await?;
        refuses(&mut connection, "status = 'active', end_time = null", "sessions_ended_is_final").await?;
        refuses(&mut connection, "end_time = now() + interval '1 hour'", "sessions_ended_is_final").await?;
        for change in [
            "reason = 'another'",
            "user_name = 'somebody else'",
            "target_name = 'another'",
            "credential_name = 'another'",
            "client_ip = '192.0.2.1'",
            "bytes_sent = 1",
            "error_code = 'y'",
            "terminated_by = gen_random_uuid()",
            "exit_status = 1",
            "target_id = gen_random_uuid()",
        ] {
            refuses(&mut connection, change, "sessions_ended_is_final").await?;
        }
        let other = if ended == "completed" { "terminated" } else { "completed" };
        refuses(&mut connection, &format!("status = '{other}'"), "sessions_ended_is_final").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_session_whose_hub_seemed_to_be_gone_may_be_told_once_how_it_ended() -> anyhow::Result<()> {
    let database = migrated().await?;
    let seeded = seed::tenant(&database).await?;
    let mut connection = database.as_tenant(seeded.tenant).await?;
    try_set(&mut connection, "status = 'failed', error_code = 'hub_lost', end_time = now()").await?;
    for change in [
        "status = 'active', error_code = null, end_time = null",
        "end_time = now() + interval '1 hour', error_code = 'access_unchecked'",
        "reason = 'another', error_code = 'access_unchecked'",
        "terminated_by = gen_random_uuid(), error_code = 'access_unchecked'",
        "bytes_sent = 7",
    ] {
        refuses(&mut connection, change, "sessions_ended_is_final").await?;
    }
    let known = "status = 'failed', error_code = 'access_unchecked', error_message = 'why', bytes_sent = 7";
    assert_eq!(try_set(&mut connection, known).await?, 1);
    refuses(&mut connection, "error_code = 'x'", "sessions_ended_is_final").await?;
    refuses(&mut connection, "error_code = 'hub_lost'", "sessions_ended_is_final").await
}

#[tokio::test]
async fn who_when_and_why_cannot_change() -> anyhow::Result<()> {
    let database = migrated().await?;
    let seeded = seed::tenant(&database).await?;
    let mut connection = database.as_tenant(seeded.tenant).await?;
    for change in [
        "user_id = gen_random_uuid()",
        "start_time = now() - interval '1 day'",
        "protocol = 'rdp'",
        "decision_id = gen_random_uuid()",
    ] {
        refuses(&mut connection, change, "sessions_origin_is_final").await?;
    }
    let error =
        sqlx::query("delete from sessions").execute(&mut connection).await.err().context("sessions were deleted")?;
    ensure!(sql_state(&error) == "42501", "expected no privilege, got {error}");
    Ok(())
}

#[tokio::test]
async fn a_session_outlives_its_target_and_keeps_its_name() -> anyhow::Result<()> {
    let database = migrated().await?;
    let seeded = seed::tenant(&database).await?;
    let mut connection = database.as_tenant(seeded.tenant).await?;
    sqlx::query("delete from targets").execute(&mut connection).await?;
    sqlx::query("delete from credentials").execute(&mut connection).await?;
    let row =
        sqlx::query("select target_id, target_name, credential_name from sessions").fetch_one(&mut connection).await?;
    assert_eq!(row.get::<Option<uuid::Uuid>, _>("target_id"), None);
    assert_eq!((row.get::<String, _>(1), row.get::<String, _>(2)), ("m".to_owned(), "c".to_owned()));
    Ok(())
}
