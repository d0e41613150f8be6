//! PostgreSQL: the pool, the tenant transaction, migrations, announcements of changes.

mod changes;
mod tx;

use std::{ops::DerefMut, str::FromStr as _, time::Duration};

use openpam_ids::TenantId;
use openpam_secret::{ExposeSecret as _, SecretString};
use sqlx::{
    Connection as _, PgConnection, Row as _,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions, PgSslMode},
};

pub use changes::{Changes, Receiver as ChangeReceiver, Scope as ChangeScope};
pub use tx::Tx;

use crate::{addresses, config, context::Context};

pub mod inspect;

/// The application's role, which the migrations name.
const APPLICATION_ROLE: &str = "openpam_app";

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// The migrations that this program brings, in their order: what the schema should be.
pub fn migrations() -> impl Iterator<Item = &'static str> {
    MIGRATIONS
        .iter()
        .filter(|migration| !migration.migration_type.is_down_migration())
        .map(|migration| migration.sql.as_str())
}

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The URL cannot be read.
    #[error("the database URL is not valid: {0}")]
    Url(#[source] sqlx::Error),
    /// Any failure of a statement or connection.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// Whoever waited gave it up.
    #[error("the database did not answer in time")]
    Silent,
    /// The schema could not be brought up to date.
    #[error("migrating the schema failed: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The application role could get around row-level security.
    #[error("the application role {0} is a superuser, has BYPASSRLS or owns tables: refusing to start")]
    RoleTooStrong(String),
    /// The ledger is to have a role of its own, and has not.
    #[error("{0}: run `openpam migrate`, and see \"PostgreSQL\" in the operator's guide")]
    LedgerRole(String),
    /// `openpam admin` connects as a role that sees every tenant.
    #[error(
        "the role {0} is a superuser or has BYPASSRLS, and would see every tenant: database.owner_url must name the \
         role that owns the schema and is neither"
    )]
    RoleUnbound(String),
    /// The schema is older than this binary.
    #[error("the database schema is not up to date ({0} migration(s) missing): run `openpam migrate`")]
    SchemaOutdated(usize),
}

/// The application's connection pool. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    pool: PgPool,
    /// Who writes the ledger, where that is a role of its own.
    ledger: Option<PgConnectOptions>,
}

impl Db {
    /// Makes the pool; connections are opened when needed, so that a database that is down delays
    /// nothing but readiness.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn new(config: &config::Database) -> Result<Self, DbError> {
        let options = options(&config.url, config.password.as_ref())?.application_name("openpam-hub");
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(Duration::from_secs(config.acquire_timeout_seconds))
            .idle_timeout(Duration::from_secs(300))
            .test_before_acquire(false)
            // Whoever gives up while a transaction begins leaves the connection in it. As one simple query, the moment of
            // the transaction and that of the statement are the same only where none was open.
            .before_acquire(|connection, _| {
                Box::pin(async move {
                    let row = sqlx::raw_sql("select now() = statement_timestamp()").fetch_one(connection).await?;
                    row.try_get::<bool, _>(0)
                })
            })
            // Also where the database came up after the hub, or another one answers by now.
            .after_connect(|connection, _| {
                Box::pin(async move {
                    require_bound(connection).await.map_err(|error| match error {
                        DbError::Sql(error) => error,
                        other => sqlx::Error::Configuration(Box::new(other)),
                    })
                })
            })
            .connect_lazy_with(options);
        Ok(Self { pool, ledger: ledger_options(config)? })
    }

    /// Begins a transaction in the context's tenant.
    ///
    /// # Errors
    /// When no connection can be had in time.
    pub async fn begin(&self, context: &Context) -> Result<Tx, DbError> {
        let mut tx = self.pool.begin().await?;
        set_scope(&mut tx, &context.tenant_id.to_string(), &context.principal.actor.to_string(), &context.request_id)
            .await?;
        Ok(Tx::new(tx, context.claim.clone()))
    }

    /// A connection without a tenant: sees no tenant's row, only what belongs to none.
    ///
    /// # Errors
    /// When no connection can be had in time.
    pub async fn unscoped(&self) -> Result<impl DerefMut<Target = PgConnection>, DbError> {
        Ok(self.pool.acquire().await?)
    }

    /// The tenant called `slug`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn tenant_by_slug(&self, slug: &str) -> Result<Option<TenantId>, DbError> {
        let id = sqlx::query_scalar!("select openpam.tenant_by_slug($1)", slug).fetch_one(&self.pool).await?;
        Ok(id.map(TenantId::from_uuid))
    }

    /// Every tenant, for reconcilers.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn tenant_ids(&self) -> Result<Vec<TenantId>, DbError> {
        let ids = sqlx::query_scalar!(r#"select openpam.tenant_ids() as "id!""#).fetch_all(&self.pool).await?;
        Ok(ids.into_iter().map(TenantId::from_uuid).collect())
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), DbError> {
        sqlx::query_scalar!(r#"select 1 as "one!""#).fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Refuses a role that row-level security does not bind, and a schema older than this binary.
    ///
    /// # Errors
    /// When either holds, or the database does not answer.
    pub async fn verify(&self) -> Result<(), DbError> {
        // The pool gives no such connection, and does not say why.
        let mut connection = self.dedicated("openpam-hub").await?;
        require_bound(&mut connection).await?;
        require_schema(&mut connection).await?;
        if self.ledger.is_some() {
            let mut leader = self.ledger("openpam-hub").await?;
            require_bound(&mut leader).await?;
            require_separate(&mut connection, &mut leader).await?;
        }
        Ok(())
    }

    /// The role that writes the ledger.
    pub fn ledger_role(&self) -> &str {
        self.ledger.as_ref().map_or(APPLICATION_ROLE, PgConnectOptions::get_username)
    }

    /// Whether a role of its own writes the ledger.
    pub fn has_ledger_role(&self) -> bool {
        self.ledger.is_some()
    }

    /// Whether the database answers, with a schema that this binary knows.
    ///
    /// # Errors
    /// When it does not.
    pub async fn check(&self) -> Result<(), DbError> {
        require_schema(&mut *self.pool.acquire().await?).await
    }

    /// A connection of its own, which is not of the pool: for who holds a lock as long as it stands.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn dedicated(&self, application: &str) -> Result<PgConnection, DbError> {
        let options = (*self.pool.connect_options()).clone().application_name(application);
        Ok(PgConnection::connect_with(&options).await?)
    }

    /// The same of the role that writes the ledger: the application's, where it has none of its own.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ledger(&self, application: &str) -> Result<PgConnection, DbError> {
        let Some(options) = &self.ledger else { return self.dedicated(application).await };
        Ok(PgConnection::connect_with(&options.clone().application_name(application)).await?)
    }

    /// Listens on a channel, on a connection of its own: one of the pool would be missing there.
    pub(crate) async fn listener(&self, application: &str, channel: &str) -> Result<PgListener, sqlx::Error> {
        let options = (*self.pool.connect_options()).clone().application_name(application);
        let pool =
            PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None).connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(channel).await?;
        Ok(listener)
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Refuses a role that could get around row-level security.
async fn require_bound(connection: &mut PgConnection) -> Result<(), DbError> {
    let role = sqlx::query!(
        r#"select rolname as "name!",
                  (exists (select from pg_roles as other where (other.rolsuper or other.rolbypassrls)
                           and pg_has_role(current_user, other.oid, 'member'))
                   or exists (select from pg_class where relkind in ('r', 'p') and relpersistence <> 't'
                              and pg_has_role(current_user, relowner, 'member'))) as "too_strong!"
           from pg_roles where rolname = current_user"#
    )
    .fetch_one(connection)
    .await?;
    if role.too_strong { Err(DbError::RoleTooStrong(role.name)) } else { Ok(()) }
}

/// Whether an application role could write places and checkpoints itself, or become the role that does.
async fn writes_ledger(connection: &mut PgConnection, leader: &str) -> Result<bool, DbError> {
    let writes = sqlx::query_scalar!(
        r#"select has_table_privilege(current_user, 'public.ledger_entries', 'insert, update, delete')
                  or has_table_privilege(current_user, 'public.ledger_tiles', 'insert, update, delete')
                  or has_table_privilege(current_user, 'public.ledger_checkpoints', 'insert, update, delete')
                  or has_table_privilege(current_user, 'public.ledger_heads', 'insert, update, delete')
                  or has_function_privilege(current_user, 'openpam.ledger_set_watermark(bigint, text)', 'execute')
                  or exists (select from pg_roles where rolname = $1 and pg_has_role(current_user, oid, 'member'))
                      as "writes!""#,
        leader
    )
    .fetch_one(connection)
    .await?;
    Ok(writes)
}

/// Refuses a role of the ledger's own that cannot do its work, and an application role that could do it too.
async fn require_separate(application: &mut PgConnection, leader: &mut PgConnection) -> Result<(), DbError> {
    let role = sqlx::query!(
        r#"select current_user::text as "name!",
                  has_table_privilege(current_user, 'public.ledger_entries', 'insert')
                  and has_function_privilege(current_user, 'openpam.ledger_fence(bigint)', 'execute') as "leads!""#
    )
    .fetch_one(leader)
    .await?;
    if !role.leads {
        let message = format!("the role {} of database.ledger_url may not write the ledger", role.name);
        return Err(DbError::LedgerRole(message));
    }
    if writes_ledger(application, &role.name).await? {
        let message = format!("the application role may write the ledger, which is to be for {} alone", role.name);
        return Err(DbError::LedgerRole(message));
    }
    Ok(())
}

async fn require_schema(connection: &mut PgConnection) -> Result<(), DbError> {
    let applied: Vec<i64> =
        sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(connection).await?;
    let missing = MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version)).count();
    if missing > 0 { Err(DbError::SchemaOutdated(missing)) } else { Ok(()) }
}

/// Connects as the owner, for `openpam migrate` and `openpam admin`.
///
/// # Errors
/// When the URL is missing or malformed or the database does not answer.
pub async fn connect_as_owner(config: &config::Database) -> Result<PgConnection, DbError> {
    let url = config.owner_url.as_deref().ok_or_else(|| {
        DbError::Url(sqlx::Error::Configuration("database.owner_url is required for this command".into()))
    })?;
    let options = options(url, config.owner_password.as_ref())?.application_name("openpam-admin");
    Ok(PgConnection::connect_with(&options).await?)
}

/// Refuses a role that row-level security does not bind: what it reads and writes for one tenant would be
/// that of all.
///
/// # Errors
/// When the connection's role is a superuser or has BYPASSRLS, or the database does not answer.
pub async fn require_row_security(connection: &mut PgConnection) -> Result<(), DbError> {
    let role = sqlx::query!(
        r#"select rolname as "name!", (rolsuper or rolbypassrls) as "unbound!" from pg_roles where rolname = current_user"#
    )
    .fetch_one(connection)
    .await?;
    if role.unbound { Err(DbError::RoleUnbound(role.name)) } else { Ok(()) }
}

/// Brings the schema up to date, lets the application role see which migrations ran, and one role write the ledger: the
/// configured one, else the one that does already; the application's where `by_application` asks for it.
///
/// # Errors
/// When that role does not exist, a migration fails, or a table is in use for longer than 3 seconds; what succeeded before it stays.
pub async fn migrate(
    connection: &mut PgConnection,
    config: &config::Database,
    by_application: bool,
) -> Result<(), DbError> {
    let leader = ledger_options(config)?;
    // Two at once wait for each other as long as it takes; a table that is in use is not waited for: whoever came
    // behind would wait, too, and sessions end.
    sqlx::migrate::Migrate::lock(connection).await?;
    sqlx::raw_sql("set lock_timeout = '3s'").execute(&mut *connection).await?;
    MIGRATIONS.run_direct(None, connection, false).await?;
    sqlx::raw_sql("reset lock_timeout").execute(&mut *connection).await?;
    // Before the others go on: two that change one table's rights at once fail.
    sqlx::raw_sql("revoke all on _sqlx_migrations from openpam_app; grant select on _sqlx_migrations to openpam_app")
        .execute(&mut *connection)
        .await?;
    let present = sqlx::query_scalar!(
        r#"select grantee::text as "role!" from information_schema.role_table_grants
           where table_schema = 'public' and table_name = 'ledger_entries' and privilege_type = 'INSERT'
             and grantee <> current_user
           order by grantee = 'openpam_app' limit 1"#
    )
    .fetch_optional(&mut *connection)
    .await?;
    let leader = match &leader {
        Some(leader) => leader.get_username(),
        None if by_application => APPLICATION_ROLE,
        // An upgrade from a file that does not name the role leaves the ledger to whom it was given.
        None => present.as_deref().unwrap_or(APPLICATION_ROLE),
    };
    sqlx::query!("call openpam.ledger_is_led_by($1)", leader).execute(&mut *connection).await?;
    sqlx::migrate::Migrate::unlock(connection).await?;
    Ok(())
}

/// Names tenant, actor and request for the rest of the transaction.
///
/// # Errors
/// When the statement fails.
pub async fn set_scope(
    connection: &mut PgConnection,
    tenant: &str,
    actor: &str,
    request_id: &str,
) -> Result<(), DbError> {
    sqlx::query!(
        "select set_config('openpam.tenant_id', $1, true) as tenant, set_config('openpam.actor', $2, true) as actor,
                set_config('openpam.request_id', $3, true) as request",
        tenant,
        actor,
        request_id
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Who writes the ledger, where that is a role of its own.
fn ledger_options(config: &config::Database) -> Result<Option<PgConnectOptions>, DbError> {
    let url = config.ledger_url.as_deref();
    url.map(|url| options(url, config.ledger_password.as_ref())).transpose()
}

fn options(url: &str, password: Option<&SecretString>) -> Result<PgConnectOptions, DbError> {
    let mut options = PgConnectOptions::from_str(url).map_err(DbError::Url)?;
    // The library's own choice where the URL says nothing is to go on in the clear when there is no TLS.
    let is_said =
        url::Url::parse(url).is_ok_and(|url| url.query_pairs().any(|(key, _)| matches!(&*key, "sslmode" | "ssl-mode")));
    if !is_said && !is_local(&options) {
        options = options.ssl_mode(PgSslMode::Require);
    }
    Ok(match password {
        Some(password) => options.password(password.expose_secret()),
        None => options,
    })
}

/// Whether it is reached without a network.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    options.get_socket().is_some() || host.starts_with('/') || addresses::is_this_machine(host)
}

/// The short name of the transaction's tenant.
///
/// # Errors
/// When the statement fails or no tenant is set.
pub async fn tenant_slug(connection: &mut PgConnection) -> Result<String, DbError> {
    Ok(sqlx::query_scalar!("select slug from tenants where tenant_id = openpam.current_tenant()")
        .fetch_one(connection)
        .await?)
}

/// The name of the constraint a statement violated, if that is why it failed. Domains match on it
/// to tell people what is wrong.
pub fn violated_constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::constraint)
}

/// `text` with the characters that mean something to `like` made plain.
pub fn like_pattern(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_on_the_network_is_reached_over_tls_where_nothing_else_is_said() {
        for (url, encrypted) in [
            ("postgres://app@db.example.com/openpam", true),
            ("postgres://app@10.0.0.1:5433/openpam?application_name=x", true),
            ("postgres://app@db.example.com/openpam?sslmode=prefer", false),
            ("postgres://app@127.0.0.1/openpam", false),
            ("postgres://app@[::1]/openpam", false),
            ("postgres://app@localhost/openpam", false),
            ("postgres://app@%2Fvar%2Frun%2Fpostgresql/openpam", false),
        ] {
            let options = options(url, None).unwrap();
            assert_eq!(matches!(options.get_ssl_mode(), PgSslMode::Require), encrypted, "{url}");
        }
    }
}
