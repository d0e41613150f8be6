//! A look at the database from outside a running hub, for `openpam doctor`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection, Row as _, postgres::PgConnectOptions};

use super::{DbError, MIGRATIONS, ledger_options, options, writes_ledger};
use crate::config;

/// Oldest server the schema is made for, as `server_version_num` counts.
pub const OLDEST_SERVER: i32 = 150_000;
/// Tables that belong to no tenant: they carry no row-level security.
const WITHOUT_TENANT: [&str; 10] = [
    "hubs",
    "audit_search_progress",
    "_sqlx_migrations",
    "ledger_anchors",
    "ledger_cosignatures",
    "ledger_keys",
    "ledger_leader",
    "ledger_system_checkpoints",
    "ledger_system_leaves",
    "ledger_system_tiles",
];
/// How long to wait for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// What a connection of the application role sees.
#[derive(Debug)]
pub struct Inspection {
    /// `server_version_num`, e.g. 150013.
    pub server_version: i32,
    /// The server's words for its version.
    pub server_version_text: String,
    /// Connections the server allows, those reserved for superusers apart.
    pub server_connections: i32,
    /// The server's clock, in UTC.
    pub now: DateTime<Utc>,
    /// Name of the connected role.
    pub role: String,
    /// It is a superuser.
    pub superuser: bool,
    /// It has BYPASSRLS, or is a member of a role that has.
    pub bypasses_rls: bool,
    /// Tables it owns, itself or through a role it is a member of.
    pub owned: Vec<String>,
    /// It could write the ledger's places and checkpoints, or become the role that does.
    pub writes_ledger: bool,
    /// Tables of tenants on which row-level security is not enabled and forced.
    pub unprotected: Vec<String>,
    /// The schema against this binary.
    pub schema: SchemaState,
}

/// The schema against what this binary brings.
#[derive(Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// As this binary wants it.
    Current,
    /// `openpam migrate` has not run in this database.
    Absent,
    /// So many migrations are missing.
    Outdated(usize),
    /// So many migrations are of a newer binary.
    Newer(usize),
    /// These migrations ran with another text than this binary's.
    Changed(Vec<i64>),
    /// The role may not read the list of migrations.
    Unreadable,
}

/// Connects as the application role and looks.
///
/// # Errors
/// When the URL is malformed, the database does not answer in time, or refuses.
pub async fn inspect(config: &config::Database) -> Result<Inspection, DbError> {
    let options = options(&config.url, config.password.as_ref())?.application_name("openpam-doctor");
    let mut connection = connect(&options).await?;
    let row = sqlx::query(
        "select current_setting('server_version_num')::int as version, current_setting('server_version') as text,
                current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as connections,
                clock_timestamp() as now, rolname::text as role, rolsuper as superuser,
                exists (select from pg_roles as other where (other.rolbypassrls or other.rolsuper)
                        and pg_has_role(current_user, other.oid, 'member')) as bypasses,
                array(select oid::regclass::text from pg_class where relkind in ('r', 'p')
                      and not pg_roles.rolsuper and pg_has_role(current_user, relowner, 'member') order by 1) as owned,
                array(select pg_class.oid::regclass::text from pg_class
                      join pg_namespace on pg_namespace.oid = relnamespace
                      where relkind in ('r', 'p') and nspname not in ('pg_catalog', 'information_schema')
                      and nspname not like 'pg\\_%' and relname <> all($1)
                      and not (relrowsecurity and relforcerowsecurity) order by 1) as unprotected
         from pg_roles where rolname = current_user",
    )
    .bind(WITHOUT_TENANT.map(str::to_owned).to_vec())
    .fetch_one(&mut connection)
    .await?;
    let schema = schema_state(&mut connection).await?;
    let leader = ledger_options(config)?;
    let leader = leader.as_ref().map_or("", PgConnectOptions::get_username);
    let writes_ledger = match schema {
        SchemaState::Current | SchemaState::Newer(_) => writes_ledger(&mut connection, leader).await?,
        _ => false,
    };
    let inspection = Inspection {
        server_version: row.try_get("version")?,
        server_version_text: row.try_get("text")?,
        server_connections: row.try_get("connections")?,
        now: row.try_get("now")?,
        role: row.try_get("role")?,
        superuser: row.try_get("superuser")?,
        bypasses_rls: row.try_get("bypasses")?,
        owned: row.try_get("owned")?,
        writes_ledger,
        unprotected: row.try_get("unprotected")?,
        schema,
    };
    // The look is done; a connection that does not close well has told what it knew.
    let _ = connection.close().await;
    Ok(inspection)
}

/// Connects as the owner and leaves again.
///
/// # Errors
/// When there is no owner's URL, or it does not work.
pub async fn try_owner(config: &config::Database) -> Result<(), DbError> {
    let url = config.owner_url.as_deref().unwrap_or_default();
    let options = options(url, config.owner_password.as_ref())?.application_name("openpam-doctor");
    let connection = connect(&options).await?;
    let _ = connection.close().await;
    Ok(())
}

/// Connects as the role that writes the ledger; whether it may.
///
/// # Errors
/// When there is no such URL, or it does not work.
pub async fn try_ledger(config: &config::Database) -> Result<bool, DbError> {
    let url = config.ledger_url.as_deref().unwrap_or_default();
    let options = options(url, config.ledger_password.as_ref())?.application_name("openpam-doctor");
    let mut connection = connect(&options).await?;
    let leads = sqlx::query_scalar::<_, bool>(
        "select coalesce(has_table_privilege(to_regclass('public.ledger_entries'), 'insert'), false)",
    )
    .fetch_one(&mut connection)
    .await?;
    let _ = connection.close().await;
    Ok(leads)
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, DbError> {
    match tokio::time::timeout(CONNECT_LIMIT, PgConnection::connect_with(options)).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(sqlx::Error::PoolTimedOut.into()),
    }
}

async fn schema_state(connection: &mut PgConnection) -> Result<SchemaState, DbError> {
    let applied = sqlx::query("select version, checksum from _sqlx_migrations where success order by version")
        .fetch_all(connection)
        .await;
    let applied = match applied {
        Ok(rows) => rows,
        Err(error) => {
            return match error.as_database_error().and_then(|error| error.code()).as_deref() {
                Some("42P01") => Ok(SchemaState::Absent),
                Some("42501") => Ok(SchemaState::Unreadable),
                _ => Err(error.into()),
            };
        }
    };
    let mut known = Vec::with_capacity(applied.len());
    for row in applied {
        known.push((row.try_get::<i64, _>("version")?, row.try_get::<Vec<u8>, _>("checksum")?));
    }
    let own = MIGRATIONS.iter().map(|migration| (migration.version, migration.checksum.to_vec())).collect::<Vec<_>>();
    Ok(compare(&own, &known))
}

/// Compares version and checksum of the binary's migrations with those that ran.
fn compare(own: &[(i64, Vec<u8>)], applied: &[(i64, Vec<u8>)]) -> SchemaState {
    let of = |list: &[(i64, Vec<u8>)], version: i64| {
        list.iter().find(|(known, _)| *known == version).map(|(_, checksum)| checksum.clone())
    };
    let changed = own
        .iter()
        .filter(|(version, checksum)| of(applied, *version).is_some_and(|ran| ran != *checksum))
        .map(|(version, _)| *version)
        .collect::<Vec<_>>();
    let missing = own.iter().filter(|(version, _)| of(applied, *version).is_none()).count();
    let newer = applied.iter().filter(|(version, _)| of(own, *version).is_none()).count();
    match (changed.is_empty(), missing, newer) {
        (false, ..) => SchemaState::Changed(changed),
        (true, missing, _) if missing == own.len() => SchemaState::Absent,
        (true, 0, 0) => SchemaState::Current,
        (true, 0, newer) => SchemaState::Newer(newer),
        (true, missing, _) => SchemaState::Outdated(missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_compared_by_version_and_text() {
        let list = |versions: &[(i64, u8)]| {
            versions.iter().map(|(version, text)| (*version, vec![*text])).collect::<Vec<(i64, Vec<u8>)>>()
        };
        let own = list(&[(1, 1), (2, 2)]);
        assert_eq!(compare(&own, &own), SchemaState::Current);
        assert_eq!(compare(&own, &[]), SchemaState::Absent);
        assert_eq!(compare(&own, &list(&[(1, 1)])), SchemaState::Outdated(1));
        assert_eq!(compare(&own, &list(&[(1, 1), (2, 2), (3, 3)])), SchemaState::Newer(1));
        assert_eq!(compare(&own, &list(&[(1, 9), (2, 2)])), SchemaState::Changed(vec![1]));
    }
}
