//! Small commands beside the hub.

use std::{io::Write as _, path::Path};

use crate::{config::Config, db};

/// `openpam migrate`: brings the schema up to date as the database's owner.
///
/// # Errors
/// When the configuration is wrong or a migration fails.
pub async fn migrate(config_path: &Path) -> anyhow::Result<()> {
    let config = Config::load(config_path)?;
    let mut connection = db::connect_as_owner(&config.database).await?;
    db::migrate(&mut connection).await?;
    writeln!(std::io::stdout(), "the schema is up to date")?;
    Ok(())
}

/// `openpam openapi`: prints the OpenAPI document.
///
/// # Errors
/// When standard output is closed.
pub fn openapi() -> anyhow::Result<()> {
    let mut document = serde_json::to_value(crate::http::openapi())?;
    document.sort_all_objects();
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&document)?)?;
    Ok(())
}
