//! SQL of idempotency keys.

use openpam_ids::TenantId;
use serde_json::Value;
use sqlx::PgConnection;

use super::types::Claim;

type Result<T> = std::result::Result<T, sqlx::Error>;

pub(super) struct Known {
    pub(super) request_hash: Vec<u8>,
    pub(super) status: Option<i16>,
    pub(super) response: Option<Value>,
    /// Something was done under it, and whoever did it is gone without an answer.
    pub(super) is_lost: bool,
}

/// Takes the key, or takes it over from a hub that died before it had done anything: a request lasts a minute
/// at the most.
pub(super) async fn claim(connection: &mut PgConnection, tenant: TenantId, claim: &Claim) -> Result<bool> {
    let taken = sqlx::query_scalar!(
        "insert into idempotency_keys as known (tenant_id, principal_id, idempotency_key, request_hash)
         values ($1, $2, $3, $4)
         on conflict (tenant_id, principal_id, idempotency_key) do update
             set created_at = now()
             where known.status is null and not known.acted and known.request_hash = excluded.request_hash
               and known.created_at < now() - interval '2 minutes'
         returning 1 as taken",
        tenant.as_uuid(),
        claim.principal,
        claim.key,
        claim.request_hash
    )
    .fetch_optional(connection)
    .await?;
    Ok(taken.is_some())
}

pub(super) async fn find(connection: &mut PgConnection, claim: &Claim) -> Result<Option<Known>> {
    sqlx::query_as!(
        Known,
        r#"select request_hash, status, response,
                  (status is null and acted and created_at < now() - interval '2 minutes') as "is_lost!"
         from idempotency_keys
         where principal_id = $1 and idempotency_key = $2"#,
        claim.principal,
        claim.key
    )
    .fetch_optional(connection)
    .await
}

pub(super) async fn complete(
    connection: &mut PgConnection,
    claim: &Claim,
    status: i16,
    response: Option<Value>,
) -> Result<()> {
    sqlx::query!(
        "update idempotency_keys set status = $3, response = $4
         where principal_id = $1 and idempotency_key = $2 and status is null",
        claim.principal,
        claim.key,
        status,
        response
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn release(connection: &mut PgConnection, claim: &Claim) -> Result<()> {
    sqlx::query!(
        "delete from idempotency_keys where principal_id = $1 and idempotency_key = $2 and status is null",
        claim.principal,
        claim.key
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Answers are kept for a day.
pub(super) async fn forget_old(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!("delete from idempotency_keys where created_at < now() - interval '1 day'")
        .execute(connection)
        .await?;
    Ok(())
}
