//! Rules 3 and 5: layers inside a domain, order between domains, the gateway above them.

use anyhow::{Context as _, ensure};

use super::source::{Source, files};

/// The order of the domains: the line `//! Order: a, b, c.` of `domains/mod.rs`.
fn order(domains: &Source) -> anyhow::Result<Vec<String>> {
    let line = domains
        .text
        .lines()
        .find_map(|line| line.strip_prefix("//! Order: "))
        .context("domains/mod.rs has no line `//! Order: …` that lists the domains")?;
    let order = line.trim_end_matches('.').split(", ").map(str::to_owned).collect::<Vec<_>>();
    let mut declared = domains
        .text
        .lines()
        .filter_map(|line| {
            line.trim_start_matches("pub(crate) ").trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';')
        })
        .collect::<Vec<_>>();
    let mut listed = order.iter().map(String::as_str).collect::<Vec<_>>();
    declared.sort_unstable();
    listed.sort_unstable();
    ensure!(declared == listed, "the order in domains/mod.rs lists {listed:?}, but its modules are {declared:?}");
    Ok(order)
}

/// How high a module of a domain is; what it imports must not be higher. Errors and helpers of
/// their own name stand beside the service.
fn height(module: &str) -> u8 {
    match module {
        "types" | "error" => 0,
        "store" => 1,
        "http" | "tasks" => 3,
        _ => 2,
    }
}

fn violations(sources: &[Source], order: &[String]) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let rank = |domain: &str| order.iter().position(|name| name == domain);
    let modules = sources.iter().map(Source::module).collect::<Vec<_>>();
    for source in sources {
        let module = source.module();
        for named in source.paths()? {
            let path = named.segments.iter().map(String::as_str).collect::<Vec<_>>();
            let ["crate", "domains", to, rest @ ..] = path.as_slice() else { continue };
            let place = format!("{}:{}", source.path, named.line);
            let inner = rest.first().filter(|name| {
                modules.iter().any(|module| module.len() >= 3 && module[1] == *to && module[2] == **name)
            });
            match module.first().map(String::as_str) {
                Some("domains") if module.len() >= 2 => {
                    let from = &module[1];
                    if from == to {
                        let (Some(layer), Some(inner)) = (module.get(2), inner) else { continue };
                        if height(inner) > height(layer) {
                            found.push(format!("{place}: {layer} must not use {inner}"));
                        }
                    } else {
                        if inner.is_some() {
                            found.push(format!("{place}: {from} reaches into {to} past its mod.rs"));
                        }
                        if rank(to).zip(rank(from)).is_some_and(|(to, from)| to > from) {
                            found.push(format!("{place}: {from} must not use {to}, which comes after it"));
                        }
                    }
                }
                Some("gateway" | "dial") if inner.is_some_and(|inner| *inner == "store") => {
                    found.push(format!("{place}: the gateway and the dialler never call a store"));
                }
                _ => {}
            }
        }
        let outside = matches!(module.first().map(String::as_str), Some("gateway" | "dial"));
        if outside && source.paths()?.iter().any(|named| named.segments.first().is_some_and(|name| name == "sqlx")) {
            found.push(format!("{}: the gateway and the dialler own no tables and speak no SQL", source.path));
        }
    }
    Ok(found)
}

#[test]
fn a_domain_uses_only_lower_layers_of_itself_and_the_faces_of_domains_before_it() -> anyhow::Result<()> {
    let sources = files(&["hub/src"], &[".rs"])?;
    let domains = sources.iter().find(|source| source.path == "hub/src/domains/mod.rs").context("no domains/mod.rs")?;
    let found = violations(&sources, &order(domains)?)?;
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

#[test]
fn an_upward_import_a_reach_past_mod_rs_and_a_store_in_the_gateway_are_found() -> anyhow::Result<()> {
    let order = ["audit", "targets"].map(str::to_owned);
    let sources = [
        Source::sample("hub/src/domains/audit/types.rs", "use super::store::Row;"),
        Source::sample("hub/src/domains/audit/store.rs", "use super::types::Entry;"),
        Source::sample("hub/src/domains/audit/service.rs", "fn f() { crate::domains::targets::find(); }"),
        Source::sample("hub/src/domains/targets/http/list.rs", "use crate::domains::{audit::{self, store::insert}};"),
        Source::sample(
            "hub/src/domains/targets/service.rs",
            "use super::http;\n#[cfg(test)] mod tests { use super::super::http; }",
        ),
        Source::sample("hub/src/gateway/mod.rs", "use crate::domains::audit::store;\nuse sqlx::PgConnection;"),
    ];
    assert_eq!(
        violations(&sources, &order)?,
        [
            "hub/src/domains/audit/types.rs:1: types must not use store",
            "hub/src/domains/audit/service.rs:1: audit must not use targets, which comes after it",
            "hub/src/domains/targets/http/list.rs:1: targets reaches into audit past its mod.rs",
            "hub/src/domains/targets/service.rs:1: service must not use http",
            "hub/src/gateway/mod.rs:1: the gateway and the dialler never call a store",
            "hub/src/gateway/mod.rs: the gateway and the dialler own no tables and speak no SQL",
        ]
    );
    let declared = "//! Order: audit, targets.\npub mod audit;\npub mod users;\n";
    assert!(super::domains::order(&Source::sample("mod.rs", declared)).is_err(), "a wrong list must be found");
    Ok(())
}
