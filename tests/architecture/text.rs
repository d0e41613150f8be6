//! Rules 6 and 7 and the layout: no lint switched off without a reason, no long file, nothing new
//! at the top level.

use anyhow::ensure;
use syn::punctuated::Punctuated;

use super::source::{Source, files, product, root};

/// Lines a file may have.
const MAX_LINES: usize = 600;
/// Lints that nobody may allow: they hold the rules of the design.
const NEVER_ALLOWED: &[&str] = &[
    "disallowed_methods",
    "disallowed_types",
    "unwrap_used",
    "expect_used",
    "panic",
    "todo",
    "unimplemented",
    "unsafe_code",
    "await_holding_lock",
];
/// The top level of the checkout.
const TOP: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "clippy.toml",
    "common",
    "deny.toml",
    "deploy",
    "docs",
    "hub",
    "main.rs",
    "migrations",
    "recordings",
    "rustfmt.toml",
    "satellite",
    "tests",
    "ui",
];

fn lints(sources: &[Source]) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for source in sources {
        for attribute in source.attributes()? {
            let allow = attribute.path().is_ident("allow");
            if !allow && !attribute.path().is_ident("expect") {
                continue;
            }
            let line = attribute.pound_token.spans[0].start().line;
            let place = format!("{}:{line}", source.path);
            let arguments = attribute.parse_args_with(Punctuated::<syn::Meta, syn::Token![,]>::parse_terminated)?;
            let reason = arguments.iter().any(|argument| argument.path().is_ident("reason"));
            for argument in &arguments {
                let lint = argument.path().segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
                if allow && NEVER_ALLOWED.contains(&lint.as_str()) {
                    found.push(format!("{place}: {lint} is never allowed; #[expect(…, reason = …)] where it must be"));
                }
            }
            if !reason {
                found.push(format!("{place}: an exception without a reason"));
            }
        }
    }
    Ok(found)
}

fn long(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        // Tests apart: those of a module stand at its end.
        let lines = source.text.split("\n#[cfg(test)]\n").next().unwrap_or_default().lines().count();
        if lines > MAX_LINES {
            found.push(format!("{}: {lines} lines, more than {MAX_LINES}", source.path));
        }
    }
    found
}

fn top(names: &[String]) -> Vec<String> {
    let visible = names.iter().filter(|name| !name.starts_with('.') && *name != "target" && !name.ends_with(".log"));
    visible.filter(|name| !TOP.contains(&name.as_str())).map(|name| format!("{name} is new at the top level")).collect()
}

#[test]
fn no_lint_is_switched_off_without_a_reason_and_the_bans_never() -> anyhow::Result<()> {
    let found = lints(&product()?)?;
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

#[test]
fn no_file_is_longer_than_it_should_be() -> anyhow::Result<()> {
    let mut sources = product()?;
    sources.extend(files(
        &["migrations", "deploy", "ui", "tests"],
        &[".sql", ".rs", ".ts", ".tsx", ".css", ".sh", ".py", ".mjs", "deploy/dev"],
    )?);
    // Generated from the OpenAPI document.
    sources.retain(|source| source.path != "ui/src/api/schema.ts");
    let found = long(&sources);
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

#[test]
fn the_top_level_is_the_one_of_the_design() -> anyhow::Result<()> {
    let entries = std::fs::read_dir(root())?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let found = top(&names.collect::<std::io::Result<Vec<_>>>()?);
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

#[test]
fn an_allowed_ban_a_missing_reason_a_long_file_and_a_new_folder_are_found() -> anyhow::Result<()> {
    let text = "#[allow(clippy::disallowed_methods, reason = \"quick\")]\nfn a() {}\n#[expect(dead_code)]\nfn b() {}\n";
    let found = lints(&[Source::sample("hub/src/x.rs", text)])?;
    assert_eq!(
        found,
        [
            "hub/src/x.rs:1: disallowed_methods is never allowed; #[expect(…, reason = …)] where it must be",
            "hub/src/x.rs:3: an exception without a reason",
        ]
    );
    let tested = format!("{}\n#[cfg(test)]\n{}", "x\n".repeat(MAX_LINES - 1), "x\n".repeat(MAX_LINES));
    assert_eq!(long(&[Source::sample("a.rs", &tested)]), [] as [String; 0]);
    let found = long(&[Source::sample("a.rs", &"x\n".repeat(MAX_LINES + 1))]);
    assert_eq!(found, ["a.rs: 601 lines, more than 600"]);
    assert_eq!(top(&["helpers".to_owned(), "hub".to_owned()]), ["helpers is new at the top level"]);
    Ok(())
}
