//! Rule 4: SQL only in stores, each table of one domain, axum only at the edge.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};

use super::source::{Source, files, product};

/// Tables of no domain: the hub's own book-keeping.
const OF_THE_DATABASE: &[&str] = &["_sqlx_migrations"];
/// A store that reads a table of a domain before it, to answer a list in one statement: (domain,
/// table, why). It never writes to it.
const READ_ONLY: &[(&str, &str, &str)] = &[
    ("catalogue", "*", "owns no table: its queries join those of the domains before it"),
    ("subscribers", "event_deliveries", "the list says how each webhook fares"),
    ("ledger", "audit_events", "who verifies compares the events with their entries"),
    ("ledger", "row_changes", "likewise"),
    ("sessions", "recordings", "a list may be of those whose recording is held, or was found damaged"),
    ("recordings", "sessions", "a search is for lines of sessions of somebody, somewhere, at a time"),
    ("recordings", "targets", "a session's zone is its target's"),
    ("recordings", "zones", "a search may be for what happened in a zone"),
];
/// A store that also changes a table of another domain: (domain, table, why).
const WRITES: &[(&str, &str, &str)] = &[("identity", "settings", "the empty row of a new tenant")];
/// Where axum may be used, apart from `http.rs`, `http/` and `gateway/`.
const AXUM_EXCEPTIONS: &[&str] = &["hub/src/boot/serve.rs"];

fn is_store(path: &str) -> bool {
    path.ends_with("/store.rs") || path.contains("/store/") || path.starts_with("hub/src/db/")
}

fn may_use_axum(path: &str) -> bool {
    path.starts_with("hub/src/http/")
        || path.starts_with("hub/src/gateway/")
        || path.ends_with("/http.rs")
        || path.contains("/http/")
        || AXUM_EXCEPTIONS.contains(&path)
}

fn places(sources: &[Source]) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for source in sources {
        for named in source.paths()? {
            let place = format!("{}:{}", source.path, named.line);
            let path = named.segments.iter().map(String::as_str).collect::<Vec<_>>();
            match path.as_slice() {
                ["sqlx", call, ..] if (call.starts_with("query") || *call == "raw_sql") && !is_store(&source.path) => {
                    found.push(format!("{place}: sqlx::{call} outside a store"));
                }
                ["axum" | "axum_extra" | "utoipa_axum", ..] if !may_use_axum(&source.path) => {
                    found.push(format!("{place}: axum outside http.rs, http/ and gateway/"));
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

/// Tables a statement names, and whether it changes them.
fn tables(statement: &str, known: &BTreeSet<String>) -> Vec<(String, bool)> {
    let words = statement
        .split(|character: char| !(character.is_alphanumeric() || character == '_'))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect::<Vec<_>>();
    let mut found = Vec::new();
    for (index, word) in words.iter().enumerate() {
        if !known.contains(word) || index == 0 {
            continue;
        }
        let before = words[index - 1].as_str();
        let earlier = index.checked_sub(2).map(|at| words[at].as_str()).unwrap_or_default();
        match (earlier, before) {
            ("delete", "from") | (_, "into" | "update" | "truncate") => found.push((word.clone(), true)),
            (_, "from" | "join" | "only" | "using" | "lateral") => found.push((word.clone(), false)),
            _ => {}
        }
    }
    found
}

/// Tables of each domain: the line `//! Owns: a, b.` of its `mod.rs`, which may go on for lines.
fn owned(sources: &[Source]) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut owned = BTreeMap::new();
    for source in sources {
        let domain = match source.path.split('/').collect::<Vec<_>>()[..] {
            ["hub", "src", "domains", domain, "mod.rs"] => domain,
            // The database module owns what every domain stands on.
            ["hub", "src", "db", "mod.rs"] => "db",
            _ => continue,
        };
        let documentation =
            source.text.lines().map_while(|line| line.strip_prefix("//!")).collect::<Vec<_>>().join(" ");
        let Some((_, list)) = documentation.split_once("Owns") else { continue };
        if list.trim_start().starts_with("no table") {
            continue;
        }
        let list = list.split('.').next().unwrap_or_default();
        let names = list.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
        ensure!(!names.is_empty(), "{}: “Owns” names no table in back quotes", source.path);
        owned.insert(domain.to_owned(), names);
    }
    Ok(owned)
}

fn created(migrations: &[Source]) -> BTreeSet<String> {
    let lines = migrations.iter().flat_map(|migration| migration.text.lines());
    lines
        .filter_map(|line| line.strip_prefix("create table "))
        .filter_map(|rest| rest.trim_start_matches("if not exists ").split([' ', '(']).next())
        .map(str::to_owned)
        .collect()
}

/// What is wrong, and the exceptions that were needed.
type Ownership = (Vec<String>, BTreeSet<(&'static str, &'static str)>);

fn ownership(sources: &[Source], migrations: &[Source]) -> anyhow::Result<Ownership> {
    let (created, owned, mut found, mut needed) = (created(migrations), owned(sources)?, Vec::new(), BTreeSet::new());
    for table in &created {
        let owners =
            owned.iter().filter(|(_, tables)| tables.contains(table)).map(|(name, _)| name).collect::<Vec<_>>();
        if owners.len() != 1 {
            found.push(format!("table {table}: one domain's mod.rs must say that it owns it, these do: {owners:?}"));
        }
    }
    for (domain, tables) in &owned {
        for table in tables.difference(&created) {
            found.push(format!("{domain} owns {table}, which no migration creates"));
        }
    }
    for source in sources.iter().filter(|source| is_store(&source.path) && source.is_in("hub/src/domains/")) {
        let domain = source.path.split('/').nth(3).context("a store without a domain")?;
        let none = BTreeSet::new();
        let own = owned.get(domain).unwrap_or(&none);
        for (line, text) in source.strings()? {
            for (table, changes) in tables(&text, &created) {
                if own.contains(&table) {
                    continue;
                }
                let exception = |list: &[(&'static str, &'static str, &str)]| {
                    let of = list.iter().find(|(who, what, _)| *who == domain && (*what == table || *what == "*"));
                    of.map(|(who, what, _)| (*who, *what))
                };
                let used = exception(WRITES).or_else(|| if changes { None } else { exception(READ_ONLY) });
                needed.extend(used);
                if used.is_none() {
                    let verb = if changes { "changes" } else { "reads" };
                    found.push(format!("{}:{line}: {domain} {verb} {table}, which it does not own", source.path));
                }
            }
        }
    }
    found.dedup();
    Ok((found, needed))
}

#[test]
fn sql_is_in_stores_and_axum_at_the_edge() -> anyhow::Result<()> {
    let found = places(&product()?)?;
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

#[test]
fn each_table_belongs_to_one_domain_and_no_other_changes_it() -> anyhow::Result<()> {
    let migrations = files(&["migrations"], &[".sql"])?;
    for table in OF_THE_DATABASE {
        ensure!(!created(&migrations).contains(*table), "{table} is sqlx's own");
    }
    let (found, needed) = ownership(&files(&["hub/src"], &[".rs"])?, &migrations)?;
    ensure!(found.is_empty(), "{}", found.join("\n"));
    for (domain, table, _) in READ_ONLY.iter().chain(WRITES) {
        ensure!(needed.contains(&(*domain, *table)), "the exception of {domain} for {table} is no longer needed");
    }
    Ok(())
}

#[test]
fn sql_in_a_service_axum_in_a_service_and_a_foreign_table_are_found() -> anyhow::Result<()> {
    let service = "use axum::Json;\nasync fn f() { sqlx::query!(\"select 1\"); }";
    let found = places(&[Source::sample("hub/src/domains/audit/service.rs", service)])?;
    assert_eq!(
        found,
        [
            "hub/src/domains/audit/service.rs:1: axum outside http.rs, http/ and gateway/",
            "hub/src/domains/audit/service.rs:2: sqlx::query outside a store",
        ]
    );
    let migrations =
        [Source::sample("migrations/1.sql", "create table users (\ncreate table targets (\ncreate table lost (\n")];
    let store = "fn f() {\n sqlx::query!(\"delete from users where user_id = $1\");\n sqlx::query!(\"select * from targets\");\n}";
    let sources = [
        Source::sample("hub/src/domains/identity/mod.rs", "//! People.\n//!\n//! Owns `users`.\n"),
        Source::sample("hub/src/domains/targets/mod.rs", "//! Owns `targets`.\n"),
        Source::sample("hub/src/domains/targets/store.rs", store),
    ];
    assert_eq!(
        ownership(&sources, &migrations)?.0,
        [
            "table lost: one domain's mod.rs must say that it owns it, these do: []",
            "hub/src/domains/targets/store.rs:2: targets changes users, which it does not own",
        ]
    );
    Ok(())
}
