//! What the database itself holds, whatever the hub's code forgets.

mod append_only;
mod catalogue;
mod images;
mod isolation;
mod migrations;
mod search;
mod seed;
mod sessions;
mod trail;

use openpam_tests::{Database, HubOptions, Stack, hub::Prepared};

/// A fresh database with the schema, brought up to date by the real binary.
async fn migrated() -> anyhow::Result<Database> {
    let stack = Stack::load()?;
    let database = Database::create(&stack).await?;
    let prepared = Prepared::new(&stack, &database, &HubOptions::default()).await?;
    prepared.run(&["migrate"], None).await?;
    Ok(database)
}

/// The SQLSTATE of a refused statement; empty when it was not the database that refused.
fn sql_state(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}
