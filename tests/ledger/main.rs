//! The ledger: sequencing on a real database, whoever leads and whatever dies; and verification, whatever was
//! changed by hand.

mod anchors;
mod crash;
mod damage;
mod erasure;
mod feed;
mod guards;
mod keys;
mod proofs;
mod role;
mod sequence;
mod tampering;
mod witness;

use std::{process::Stdio, time::Duration};

use openpam_tests::{Database, Hub, eventually};
use uuid::Uuid;

/// What `openpam audit verify` said, and whether it found nothing wrong.
pub struct Verified {
    /// Whether it ended with success.
    pub sound: bool,
    /// All that it wrote.
    pub text: String,
}

/// Runs `openpam audit verify` with the hub's configuration.
pub async fn verify(hub: &Hub, arguments: &[&str]) -> anyhow::Result<Verified> {
    let output = tokio::process::Command::new(openpam_tests::hub::binary()?)
        .args(["audit", "verify", "--verbose"])
        .args(arguments)
        .arg("--config")
        .arg(hub.folder().join("hub.toml"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok(Verified { sound: output.status.success(), text })
}

/// Statements of a superuser who switches off what guards the ledger, and on again afterwards: whoever leaves it off is
/// found by that alone.
pub fn unguarded(statements: &str) -> String {
    format!("{UNGUARD} {statements}; call openpam.enable_always();")
}

/// The leader waits meanwhile: it takes the same locks in another order.
const UNGUARD: &str = "set session_replication_role = replica;
    do $$ declare guard record; begin
        perform 1 from ledger_leader for update;
        for guard in select tgrelid::regclass as relation, tgname as name from pg_trigger
            where not tgisinternal and tgenabled = 'A' and (tgrelid::regclass::text like 'ledger_%'
                  or tgrelid in ('audit_events'::regclass, 'row_changes'::regclass))
            order by tgrelid::regclass::text desc
        loop
            execute format('alter table %s disable trigger %I', guard.relation, guard.name);
        end loop;
    end $$;";

/// A number that one statement gives, as the superuser.
pub async fn number(database: &Database, statement: &str) -> anyhow::Result<i64> {
    Ok(database.by_hand(statement).await?.parse()?)
}

/// Waits until each event and row change has its place, and a checkpoint speaks for all.
pub async fn settled(database: &Database) -> anyhow::Result<()> {
    eventually("everything has its place and is signed", Duration::from_secs(20), || async {
        let waiting = number(
            database,
            "select (select count(*) from audit_events where audit_event_id not in (select event_id from ledger_entries))
                  + (select count(*) from row_changes where row_change_id not in (select event_id from ledger_entries))
                  + (select count(*) from ledger_heads h
                     where size <> (select coalesce(max(size), 0) from ledger_checkpoints c where c.tenant_id = h.tenant_id))",
        )
        .await?;
        Ok((waiting == 0).then_some(()))
    })
    .await
}

/// Writes so many events of a tenant in one transaction, as the application.
pub async fn write_events(database: &Database, tenant: Uuid, count: i32) -> anyhow::Result<()> {
    let mut connection = database.as_tenant(tenant).await?;
    sqlx::query(
        "insert into audit_events (audit_event_id, tenant_id, actor_type, actor_name, action, outcome, detail)
         select gen_random_uuid(), $1, 'system', 'test', 'test.event', 'success', jsonb_build_object('number', n)
         from generate_series(1, $2) n",
    )
    .bind(tenant)
    .bind(count)
    .execute(&mut connection)
    .await?;
    Ok(())
}
