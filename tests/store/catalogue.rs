//! Every table, as the catalogue knows it: a tenant, a policy, forced row-level security.

use anyhow::{Context as _, ensure};
use sqlx::{Connection as _, PgConnection, Row as _};

use super::{migrated, sql_state};

/// Tables that belong to no tenant, and why.
pub const WITHOUT_TENANT: &[(&str, &str)] = &[
    ("hubs", "processes serve every tenant"),
    ("_sqlx_migrations", "sqlx's own book-keeping"),
    ("audit_search_progress", "how far the search's texts go, of every tenant"),
    ("ledger_anchors", "how far anchors have come, of every log"),
    ("ledger_cosignatures", "what witnesses signed of the tree over all tenants; hashes only"),
    ("ledger_keys", "public keys of the installation's ledger"),
    ("ledger_leader", "one hub leads for every tenant"),
    ("ledger_system_checkpoints", "heads of the tree over all tenants; hashes only"),
    ("ledger_system_leaves", "leaves of that tree; a policy of its own lets a tenant read its own"),
    ("ledger_system_tiles", "nodes of that tree"),
];
/// Tables whose changes are not kept as images, and why.
const WITHOUT_IMAGES: &[(&str, &str)] = &[
    ("vault_orphans", "book-keeping between the vault and the database; a removal is in the trail"),
    ("audit_events", "the trail itself, append-only"),
    ("audit_search", "texts of the trail for the search; can be made again"),
    ("row_changes", "the images themselves, append-only"),
    ("ledger_entries", "the ledger itself, append-only"),
    ("ledger_tiles", "nodes of the ledger's trees, append-only"),
    ("ledger_checkpoints", "signed heads of the ledger's trees, append-only"),
    ("ledger_damaged", "where the leader's walk stands; made and removed by itself"),
    ("ledger_heads", "how far the trees go; only grows, and can be made again"),
    ("recording_segments", "an index over the store, append-only"),
    ("recording_screens", "made from the recording, append-only"),
    ("recording_index", "how far the recording was read; can be made again"),
    ("recording_lines", "made from the recording, append-only"),
    ("recording_marks", "made from the recording, append-only"),
    ("platform_events", "cannot be changed; the act that each tells of is in the trail"),
    ("event_deliveries", "how far events were delivered; a replay is in the trail"),
    ("favorite_targets", "a personal choice without any right"),
    ("user_preferences", "a personal choice without any right"),
    ("oidc_flows", "lives for minutes, holds hashes only"),
    ("login_failures", "a counter; each failure has its audit event"),
    ("idempotency_keys", "copies of answers, for a day"),
];

fn is_named(list: &[(&str, &str)], table: &str) -> bool {
    list.iter().any(|(name, _)| *name == table)
}

/// Every table of the schema `public`.
pub async fn tables(connection: &mut PgConnection) -> anyhow::Result<Vec<String>> {
    let rows = sqlx::query(
        "select relname::text from pg_class join pg_namespace on pg_namespace.oid = relnamespace
         where relkind in ('r', 'p') and nspname not in ('pg_catalog', 'information_schema') order by relname",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn violations(connection: &mut PgConnection) -> anyhow::Result<Vec<String>> {
    let rows = sqlx::query(
        "select relname::text as name, relrowsecurity as enabled, relforcerowsecurity as forced,
                exists (select from pg_attribute where attrelid = pg_class.oid and attname = 'tenant_id'
                        and attnotnull and atttypid = 'uuid'::regtype and not attisdropped) as tenant,
                exists (select from pg_policy where polrelid = pg_class.oid and polcmd = '*' and polpermissive
                        and pg_get_expr(polqual, polrelid) = '(tenant_id = openpam.current_tenant())'
                        and pg_get_expr(polwithcheck, polrelid) = '(tenant_id = openpam.current_tenant())') as policy,
                exists (select from pg_policy where polrelid = pg_class.oid and polpermissive
                        and polroles && array[0::oid, 'openpam_app'::regrole::oid]
                        and pg_get_expr(polqual, polrelid) <> '(tenant_id = openpam.current_tenant())') as hole,
                exists (select from pg_trigger where tgrelid = pg_class.oid and tgname = 'audit_row_change'
                        and tgenabled = 'A') as images,
                pg_get_userbyid(relowner)::text as owner
         from pg_class where relkind in ('r', 'p')
          and relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)",
    )
    .fetch_all(connection)
    .await?;
    let mut found = Vec::new();
    for row in rows {
        let table: String = row.get("name");
        if row.get::<String, _>("owner") == "openpam_app" {
            found.push(format!("{table} belongs to the application role"));
        }
        if is_named(WITHOUT_TENANT, &table) {
            continue;
        }
        for (column, expected, message) in [
            ("tenant", true, "has no tenant_id uuid not null"),
            ("enabled", true, "has no row-level security"),
            ("forced", true, "does not force row-level security"),
            ("policy", true, "has no policy that compares the tenant both ways"),
            ("hole", false, "has another policy that lets the application see more"),
        ] {
            if row.get::<bool, _>(column) != expected {
                found.push(format!("{table} {message}"));
            }
        }
        if !row.get::<bool, _>("images") && !is_named(WITHOUT_IMAGES, &table) {
            found.push(format!("{table} keeps no images of its changes"));
        }
    }
    found.sort();
    Ok(found)
}

#[tokio::test]
async fn every_table_has_a_tenant_a_policy_and_forced_row_level_security() -> anyhow::Result<()> {
    let database = migrated().await?;
    let mut owner = database.owner().await?;
    let tables = tables(&mut owner).await?;
    ensure!(tables.len() > 20, "expected the whole schema, found {tables:?}");
    for (name, _) in WITHOUT_TENANT.iter().chain(WITHOUT_IMAGES) {
        ensure!(tables.iter().any(|table| table == name), "the exception {name} is no table any more");
    }
    let found = violations(&mut owner).await?;
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

#[tokio::test]
async fn a_table_without_tenant_and_one_with_a_loose_policy_are_found() -> anyhow::Result<()> {
    let database = migrated().await?;
    let mut owner = database.owner().await?;
    sqlx::raw_sql(
        "create table loose (id uuid primary key);
         create table open (tenant_id uuid not null);
         call openpam.isolate_by_tenant('open');
         create policy everybody on open for select using (true);",
    )
    .execute(&mut owner)
    .await?;
    assert_eq!(
        violations(&mut owner).await?,
        [
            "loose does not force row-level security",
            "loose has no policy that compares the tenant both ways",
            "loose has no row-level security",
            "loose has no tenant_id uuid not null",
            "loose keeps no images of its changes",
            "open has another policy that lets the application see more",
            "open keeps no images of its changes",
        ]
    );
    Ok(())
}

/// Functions that run as their owner and would look for names in the caller's temporary schema first.
async fn loose_definers(connection: &mut PgConnection) -> anyhow::Result<(i64, Vec<String>)> {
    let row = sqlx::query(
        "with definers as (
             select proname::text as name,
                    (select setting from unnest(proconfig) as setting where setting like 'search_path=%') as path
             from pg_proc where prosecdef and pronamespace not in ('pg_catalog'::regnamespace)
         )
         select count(*), coalesce(array_agg(name order by name) filter (where path is null or path !~ ', pg_temp$'), '{}')
         from definers",
    )
    .fetch_one(connection)
    .await?;
    Ok((row.get(0), row.get(1)))
}

#[tokio::test]
async fn every_function_that_runs_as_its_owner_looks_into_temporary_schemas_last() -> anyhow::Result<()> {
    let database = migrated().await?;
    let mut owner = database.owner().await?;
    let (count, loose) = loose_definers(&mut owner).await?;
    ensure!(count > 10 && loose.is_empty(), "of {count} functions these look there first: {loose:?}");
    sqlx::raw_sql(
        "create function openpam.loose() returns integer language sql security definer
         set search_path = pg_catalog, public return 1",
    )
    .execute(&mut owner)
    .await?;
    assert_eq!(loose_definers(&mut owner).await?.1, ["loose"]);
    // What it is for: a domain with the name of a type is not the one that the function takes, where one can be made.
    database.by_hand(&format!("grant temporary on database {} to openpam_app", database.name())).await?;
    let mut application = database.application().await?;
    sqlx::raw_sql(
        "create function pg_temp.caught(value text) returns boolean language plpgsql as
             $$ begin raise exception 'ran as %', current_user; end $$;
         create domain pg_temp.jsonb as pg_catalog.jsonb check (pg_temp.caught(value::text));
         create domain pg_temp.text as pg_catalog.text check (pg_temp.caught(value));",
    )
    .execute(&mut application)
    .await?;
    sqlx::query("select openpam.tenant_by_slug('none'), count(*) from openpam.tenant_ids()")
        .fetch_one(&mut application)
        .await?;
    Ok(())
}

#[tokio::test]
async fn the_application_role_can_neither_bypass_nor_own_nor_create() -> anyhow::Result<()> {
    let database = migrated().await?;
    let mut application = database.application().await?;
    let row = sqlx::query(
        "select rolsuper or rolbypassrls or rolcreaterole or rolcreatedb as strong,
                has_schema_privilege('public', 'create') or has_schema_privilege('openpam', 'create') as creates,
                pg_has_role('openpam_owner', 'member') as owner
         from pg_roles where rolname = current_user",
    )
    .fetch_one(&mut application)
    .await?;
    for column in ["strong", "creates", "owner"] {
        ensure!(!row.get::<bool, _>(column), "the application role is {column}");
    }
    for statement in
        ["set row_security = off; select count(*) from users", "alter table users disable row level security"]
    {
        let refused = sqlx::raw_sql(statement).execute(&mut application).await;
        ensure!(refused.is_err(), "the application role was allowed to {statement}");
    }
    application.close().await?;
    Ok(())
}

#[tokio::test]
async fn a_type_of_the_callers_own_does_not_run_as_the_owner() -> anyhow::Result<()> {
    let database = migrated().await?;
    let mut ledger = database.as_ledger(uuid::Uuid::nil()).await?;
    let temporary = "create function pg_temp.who(value pg_catalog.pg_snapshot) returns boolean language plpgsql as
                     $body$ begin raise exception 'ran as %', current_user; end $body$";
    let refused = sqlx::raw_sql(temporary).execute(&mut ledger).await.err();
    let error = refused.context("the role may make temporary things")?;
    ensure!(sql_state(&error) == "42501", "expected no privilege, got {error}");
    // And if it could.
    database.by_hand(&format!("grant temporary on database {} to openpam_ledger", database.name())).await?;
    let mut ledger = database.as_ledger(uuid::Uuid::nil()).await?;
    for statement in [
        temporary,
        "create domain pg_temp.pg_snapshot as pg_catalog.pg_snapshot check (pg_temp.who(value))",
        "select * from openpam.ledger_new_events('1:1:', '2:2:', 0, '00000000-0000-0000-0000-000000000000', 1)",
        "select * from openpam.ledger_look_at_events('1:1:', '2:2:', 0, '00000000-0000-0000-0000-000000000000', 1, null, true)",
        "select * from openpam.ledger_look_at_changes('1:1:', '2:2:', 0, '00000000-0000-0000-0000-000000000000', 1, null, true)",
    ] {
        sqlx::raw_sql(statement).execute(&mut ledger).await.with_context(|| statement.to_owned())?;
    }
    Ok(())
}

#[tokio::test]
async fn no_image_has_a_column_with_a_secret_or_its_hash() -> anyhow::Result<()> {
    let database = migrated().await?;
    let mut owner = database.owner().await?;
    // Trigger arguments are separated by zero bytes.
    let rows = sqlx::query(
        "select relname::text as name, attname::text as column from pg_trigger
         join pg_class on pg_class.oid = tgrelid join pg_attribute on attrelid = tgrelid and attnum > 0 and not attisdropped
         where tgname = 'audit_row_change' and (attname ~ 'hash|secret|password|token$' or atttypid = 'bytea'::regtype)
           and position(('\\x00'::bytea || convert_to(attname::text, 'UTF8') || '\\x00'::bytea) in tgargs) = 0",
    )
    .fetch_all(&mut owner)
    .await?;
    let found = rows
        .iter()
        .map(|row| format!("{}.{}", row.get::<String, _>("name"), row.get::<String, _>("column")))
        .collect::<Vec<_>>();
    ensure!(found.is_empty(), "these columns would be in row_changes: {found:?}");
    Ok(())
}

#[tokio::test]
async fn migrating_twice_is_harmless() -> anyhow::Result<()> {
    let stack = openpam_tests::Stack::load()?;
    let database = openpam_tests::Database::create(&stack).await?;
    let prepared = openpam_tests::hub::Prepared::new(&stack, &database, &openpam_tests::HubOptions::default()).await?;
    prepared.run(&["migrate"], None).await?;
    let mut owner = database.owner().await?;
    let before = tables(&mut owner).await?;
    ensure!(before.len() > 20, "`openpam migrate` said it succeeded, but made only {before:?}");
    prepared.run(&["migrate"], None).await?;
    assert_eq!(before, tables(&mut owner).await?);
    Ok(())
}
