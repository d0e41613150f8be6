//! Small commands beside the hub.

use std::{
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use openpam_secret::SecretString;

use crate::{
    config::{Config, read_secret_file},
    db,
    domains::identity::{self, IdentityError, NewAdmin},
};

pub mod audit;
mod doctor;
pub mod evidence;
pub mod recording;

pub use doctor::doctor;

/// Bytes read of a password on standard input.
const MAX_PASSWORD_INPUT: u64 = 65_536;

/// `openpam migrate`: brings the schema up to date as the database's owner.
///
/// # Errors
/// When the configuration is wrong or a migration fails.
pub async fn migrate(config_path: &Path, ledger_by_application: bool) -> anyhow::Result<()> {
    let config = Config::load(config_path)?;
    let mut connection = db::connect_as_owner(&config.database).await?;
    db::migrate(&mut connection, &config.database, ledger_by_application).await?;
    writeln!(std::io::stdout(), "the schema is up to date")?;
    Ok(())
}

/// `openpam config check`: reads and validates everything the hub would at its start.
///
/// # Errors
/// With every mistake at once.
pub fn check_config(config_path: &Path) -> anyhow::Result<()> {
    Config::load_for_hub(config_path)?;
    writeln!(std::io::stdout(), "{}: the configuration is valid", config_path.display())?;
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

/// What `openpam admin create` is asked for.
#[derive(Debug)]
pub struct CreateAdmin {
    /// Slug of the tenant.
    pub tenant: String,
    /// Name of the tenant, if it is made.
    pub tenant_name: Option<String>,
    /// Sign-in name.
    pub username: String,
    /// Name for people.
    pub display_name: Option<String>,
    /// File with the password, `-` for standard input.
    pub password_file: PathBuf,
    /// Leave an account of that name as it is.
    pub if_missing: bool,
}

/// `openpam admin create`: makes a local administrator, and the tenant when it is missing.
///
/// # Errors
/// When the configuration or a field is wrong, the account is there already, or the database refuses.
pub async fn create_admin(config_path: &Path, create: CreateAdmin) -> anyhow::Result<()> {
    let config = Config::load(config_path)?;
    let password = read_password(&create.password_file)?;
    let mut connection = db::connect_as_owner(&config.database).await?;
    let (tenant, username) = (create.tenant.clone(), create.username.clone());
    let admin = NewAdmin {
        tenant: create.tenant,
        tenant_name: create.tenant_name,
        username: create.username,
        display_name: create.display_name,
        password,
        if_missing: create.if_missing,
    };
    let made = identity::create_admin(&mut connection, admin).await.map_err(|error| match error {
        IdentityError::Invalid(errors) => {
            let list = errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect::<Vec<_>>();
            anyhow::anyhow!(list.join("; "))
        }
        error => error.into(),
    })?;
    let what = if made { "created" } else { "was there already" };
    writeln!(std::io::stdout(), "administrator {username} of tenant {tenant} {what}")?;
    Ok(())
}

/// `openpam admin unlock`: lets a local account that failed sign-ins locked out be tried again at once.
///
/// # Errors
/// When the configuration is wrong, there is no such account, or the database refuses.
pub async fn unlock_account(config_path: &Path, tenant: &str, username: &str) -> anyhow::Result<()> {
    let config = Config::load(config_path)?;
    let mut connection = db::connect_as_owner(&config.database).await?;
    let account = format!("the local account {username} of tenant {tenant}");
    let locked_until =
        identity::unlock_account(&mut connection, tenant, username).await.map_err(|error| match error {
            IdentityError::NotFound("tenant") => anyhow::anyhow!("there is no tenant {tenant}"),
            IdentityError::NotFound(_) => anyhow::anyhow!("tenant {tenant} has no local account {username}"),
            error => error.into(),
        })?;
    match locked_until {
        Some(until) => {
            let until = until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            writeln!(std::io::stdout(), "{account} is unlocked; it was locked until {until}")?;
        }
        None => writeln!(std::io::stdout(), "{account} was not locked; its failed sign-ins count no more")?,
    }
    Ok(())
}

fn read_password(path: &Path) -> anyhow::Result<SecretString> {
    if path != Path::new("-") {
        let path = path.to_str().context("the password file's path is not UTF-8")?;
        return read_secret_file(path).map_err(anyhow::Error::msg);
    }
    let mut text = String::new();
    std::io::stdin().take(MAX_PASSWORD_INPUT).read_to_string(&mut text).context("cannot read standard input")?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned()))
}
