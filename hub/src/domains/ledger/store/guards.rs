//! SQL that reads what guards the trail: triggers, functions, policies, rules, as they are stored.

use sqlx::PgConnection;

/// A trigger as it is stored.
pub(crate) struct StoredTrigger {
    pub(crate) table: String,
    pub(crate) name: String,
    pub(crate) function: String,
    pub(crate) enabled: String,
    /// When it fires, bit by bit.
    pub(crate) kind: i16,
    /// Its arguments, each with a zero behind it.
    pub(crate) arguments: Vec<u8>,
    pub(crate) conditional: bool,
}

/// The triggers of the tables that there are; a view in a table's place has none of them.
pub(crate) async fn triggers(connection: &mut PgConnection) -> Result<Vec<StoredTrigger>, sqlx::Error> {
    sqlx::query_as!(
        StoredTrigger,
        r#"select c.relname::text as "table!", t.tgname::text as "name!",
                  case when n.nspname = 'openpam' then p.proname::text else n.nspname || '.' || p.proname end as "function!",
                  t.tgenabled::text as "enabled!", t.tgtype as "kind!", t.tgargs as "arguments!",
                  t.tgqual is not null or cardinality(t.tgattr::int2[]) > 0 as "conditional!"
           from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_proc p on p.oid = t.tgfoid
           join pg_namespace n on n.oid = p.pronamespace
           where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not t.tgisinternal"#
    )
    .fetch_all(connection)
    .await
}

/// A function as it is stored.
pub(crate) struct StoredFunction {
    pub(crate) name: String,
    pub(crate) language: String,
    pub(crate) body: String,
    /// Of one whose body PostgreSQL keeps parsed, that as text.
    pub(crate) expression: Option<String>,
    pub(crate) definer: bool,
    pub(crate) settings: String,
    /// It is the owner's of the trail.
    pub(crate) owned: bool,
}

/// The functions that there are in their schema.
pub(crate) async fn functions(connection: &mut PgConnection) -> Result<Vec<StoredFunction>, sqlx::Error> {
    sqlx::query_as!(
        StoredFunction,
        r#"select p.proname::text as "name!", l.lanname::text as "language!", p.prosrc as "body!",
                  pg_get_function_sqlbody(p.oid) as expression, p.prosecdef as "definer!",
                  coalesce(array_to_string(p.proconfig, ';'), '') as "settings!",
                  p.proowner = c.relowner as "owned!"
           from pg_proc p join pg_language l on l.oid = p.prolang
           join pg_class c on c.oid = 'public.row_changes'::regclass
           where p.pronamespace = 'openpam'::regnamespace"#
    )
    .fetch_all(connection)
    .await
}

/// A policy as it is stored.
pub(crate) struct StoredPolicy {
    pub(crate) table: String,
    pub(crate) name: String,
    pub(crate) permissive: bool,
    pub(crate) command: String,
    /// The table's owner is `current_user`.
    pub(crate) roles: Vec<String>,
    pub(crate) using: String,
    pub(crate) check: String,
}

/// The policies that there are.
pub(crate) async fn policies(connection: &mut PgConnection) -> Result<Vec<StoredPolicy>, sqlx::Error> {
    sqlx::query_as!(
        StoredPolicy,
        r#"select c.relname::text as "table!", p.polname::text as "name!", p.polpermissive as "permissive!",
                  case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete'
                      else 'all' end as "command!",
                  array(select case when role = 0 then 'public' when role = c.relowner then 'current_user'
                                    else pg_get_userbyid(role)::text end from unnest(p.polroles) role) as "roles!",
                  coalesce(pg_get_expr(p.polqual, p.polrelid), '') as "using!",
                  coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '') as "check!"
           from pg_policy p join pg_class c on c.oid = p.polrelid where c.relnamespace = 'public'::regnamespace"#
    )
    .fetch_all(connection)
    .await
}

/// Tables on which row-level security is not enabled and forced.
pub(crate) async fn unsecured(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select relname::text as "table!" from pg_class
           where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
             and not (relrowsecurity and relforcerowsecurity)"#
    )
    .fetch_all(connection)
    .await
}

/// Tables with rules, which no migration makes.
pub(crate) async fn rewritten(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select distinct c.relname::text as "table!" from pg_rewrite r join pg_class c on c.oid = r.ev_class
           where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')"#
    )
    .fetch_all(connection)
    .await
}

/// Who may change a table beside its owner, and how; everybody is `public`.
pub(crate) struct Right {
    pub(crate) table: String,
    pub(crate) role: String,
    pub(crate) right: String,
}

/// Rights to change the tables of the trail and of the ledger, as they are granted for whole tables.
pub(crate) async fn rights(connection: &mut PgConnection) -> Result<Vec<Right>, sqlx::Error> {
    sqlx::query_as!(
        Right,
        r#"select c.relname::text as "table!",
                  case when a.grantee = 0 then 'public' else pg_get_userbyid(a.grantee)::text end as "role!",
                  lower(a.privilege_type) as "right!"
           from pg_class c cross join aclexplode(c.relacl) a
           where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.grantee <> c.relowner
             and (c.relname in ('audit_events', 'row_changes') or c.relname like 'ledger\_%')
             and a.privilege_type in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
           order by 1, 2, 3"#
    )
    .fetch_all(connection)
    .await
}
