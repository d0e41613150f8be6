//! PostgreSQL: reachable, new enough, its schema, its role, its row-level security.

use super::{CLOCK_TOLERANCE, Report};
use crate::{
    config,
    db::{
        DbError,
        inspect::{self, Inspection, OLDEST_SERVER, SchemaState},
    },
};

pub(super) async fn examine(config: &config::Database, report: &mut Report) {
    let found = inspect::inspect(config).await;
    match &found {
        Err(error) => {
            let (what, remedy) = explain(error, "database.url", "database.password_file");
            report.failed("database", what, remedy);
            for name in ["database_version", "database_schema", "database_role", "row_level_security", "database_clock"]
            {
                report.skipped(name, "needs the database");
            }
        }
        Ok(found) => {
            report.ok("database", format!("answers as {}", found.role));
            judge(config, found, report);
        }
    }
    ledger(config, found.ok().as_ref(), report).await;
    owner(config, report).await;
}

/// Who writes the ledger's places and checkpoints.
async fn ledger(config: &config::Database, found: Option<&Inspection>, report: &mut Report) {
    let name = "database_ledger_role";
    if config.ledger_url.is_none() {
        report.warning(
            name,
            "the application's role writes the ledger's places and checkpoints: whoever has its connection can too",
            "make a role for the ledger, name it in database.ledger_url, and run `openpam migrate`",
        );
        return;
    }
    match inspect::try_ledger(config).await {
        Err(error) => {
            let (what, remedy) = explain(&error, "database.ledger_url", "database.ledger_password_file");
            report.failed(name, what, remedy);
        }
        Ok(false) if found.is_none_or(|found| found.schema == SchemaState::Absent) => {
            report.skipped(name, "needs the schema");
        }
        Ok(false) => report.failed(name, "it may not write the ledger", "run `openpam migrate`, which lets it"),
        // Of a role that may do everything the check of roles tells.
        Ok(true) if found.is_some_and(|found| found.writes_ledger && !found.superuser && found.owned.is_empty()) => {
            report.failed(
                name,
                "the application's role may write the ledger too, or can become the role that does",
                "run `openpam migrate`, and revoke membership in the ledger's role",
            )
        }
        Ok(true) => report.ok(name, "writes the ledger, and the application's role does not"),
    }
}

fn judge(config: &config::Database, found: &Inspection, report: &mut Report) {
    if found.server_version >= OLDEST_SERVER {
        report.ok("database_version", format!("PostgreSQL {}", found.server_version_text));
    } else {
        let what = format!("PostgreSQL {} is too old", found.server_version_text);
        report.failed("database_version", what, format!("upgrade it to {} or newer", OLDEST_SERVER / 10_000));
    }
    if i64::from(found.server_connections) < i64::from(config.max_connections) {
        let what = format!(
            "database.max_connections is {}, but the server allows {} to everybody together",
            config.max_connections, found.server_connections
        );
        report.warning(
            "database_version",
            what,
            "lower database.max_connections or raise the server's max_connections",
        );
    }
    schema(&found.schema, report);
    role(found, report);
    match (&found.schema, found.unprotected.as_slice()) {
        (SchemaState::Absent, _) => report.skipped("row_level_security", "needs the schema"),
        (_, []) => report.ok("row_level_security", "enabled and forced on every table of the tenants"),
        (_, tables) => report.failed(
            "row_level_security",
            format!("not enabled and forced on {}: tenants could see each other", tables.join(", ")),
            "as the owner: alter table NAME enable row level security; alter table NAME force row level security; then \
             find out who changed it",
        ),
    }
    report.clock("database_clock", "the database", found.now, CLOCK_TOLERANCE);
}

fn schema(state: &SchemaState, report: &mut Report) {
    let name = "database_schema";
    match state {
        SchemaState::Current => report.ok(name, "up to date with this binary"),
        SchemaState::Absent => report.failed(name, "there is no schema", "run `openpam migrate`"),
        SchemaState::Outdated(count) => {
            report.failed(name, format!("{count} migration(s) are missing"), "run `openpam migrate`");
        }
        SchemaState::Newer(count) => report.warning(
            name,
            format!("{count} migration(s) are of a newer openpam than this one"),
            "run this hub only until the upgrade is done; then install the newer binary here too",
        ),
        SchemaState::Changed(versions) => {
            let list = versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            report.failed(
                name,
                format!("migration(s) {list} ran with another text than this binary's"),
                "use the binary that made this database, or a release that follows it",
            );
        }
        SchemaState::Unreadable => report.failed(
            name,
            "the role may not read the list of migrations",
            "run `openpam migrate`, which grants it, and check that database.url names the application role",
        ),
    }
}

fn role(found: &Inspection, report: &mut Report) {
    let mut faults = Vec::new();
    if found.superuser {
        faults.push("is a superuser".to_owned());
    } else if found.bypasses_rls {
        faults.push("has BYPASSRLS, itself or through a role it is a member of".to_owned());
    }
    if !found.owned.is_empty() {
        let first = found.owned.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let more = if found.owned.len() > 3 { format!(" and {} more", found.owned.len() - 3) } else { String::new() };
        faults.push(format!("owns {first}{more}"));
    }
    let role = &found.role;
    if faults.is_empty() {
        report.ok("database_role", format!("{role} is no superuser, has no BYPASSRLS and owns no table"));
    } else {
        report.failed(
            "database_role",
            format!("{role} {}: row-level security does not bind it", faults.join(" and ")),
            "let database.url name an application role without these rights (see \"PostgreSQL\" in the operator's guide)",
        );
    }
}

async fn owner(config: &config::Database, report: &mut Report) {
    if config.owner_url.is_none() {
        report.skipped(
            "database_owner",
            "database.owner_url is not set; only `openpam migrate` and `openpam admin` need it",
        );
        return;
    }
    match inspect::try_owner(config).await {
        Ok(()) => report.ok("database_owner", "can connect, for `openpam migrate` and `openpam admin`"),
        Err(error) => {
            let (what, remedy) = explain(&error, "database.owner_url", "database.owner_password_file");
            report.failed("database_owner", what, remedy);
        }
    }
}

/// What failed, and what to do.
fn explain(error: &DbError, url_key: &str, password_key: &str) -> (String, String) {
    let text = error.to_string();
    let DbError::Sql(sql) = error else { return (text, format!("correct {url_key}")) };
    match sql {
        sqlx::Error::Io(cause) => (
            format!("cannot connect: {cause}"),
            format!("start PostgreSQL, or correct host and port in {url_key}; look at firewalls in between"),
        ),
        sqlx::Error::PoolTimedOut => {
            ("no answer within 5 s".to_owned(), format!("check the host in {url_key} and the firewalls in between"))
        }
        sqlx::Error::Tls(cause) => {
            (format!("TLS failed: {cause}"), format!("check sslmode and sslrootcert in {url_key}"))
        }
        sqlx::Error::Database(cause) => match cause.code().as_deref() {
            Some("28P01") => (
                "PostgreSQL refuses the password".to_owned(),
                format!(
                    "put the role's password into the file {password_key} names, or set it with `alter role … password`"
                ),
            ),
            Some("28000") => (
                format!("PostgreSQL refuses the login: {}", cause.message()),
                format!("check the role in {url_key}, and pg_hba.conf for this host"),
            ),
            Some("3D000") => {
                (cause.message().to_owned(), format!("create the database, or correct its name in {url_key}"))
            }
            Some("42501") => (
                cause.message().to_owned(),
                "grant connect on the database to the role (see \"PostgreSQL\" in the operator's guide)".to_owned(),
            ),
            Some("53300") => (
                cause.message().to_owned(),
                "raise max_connections of PostgreSQL, or lower database.max_connections of its hubs".to_owned(),
            ),
            Some("57P03") => (cause.message().to_owned(), "wait until PostgreSQL has started".to_owned()),
            _ => (cause.message().to_owned(), "look at PostgreSQL's log".to_owned()),
        },
        _ => (text, format!("check {url_key} and PostgreSQL's log")),
    }
}
