//! Rules 1 and 2: which crate may depend on which.

use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::source::root;

/// Crates without I/O, clock and randomness. Those that later issues bring are named already.
const SANS_IO: &[&str] =
    &["openpam-wire", "openpam-guacamole", "openpam-ledger", "openpam-merkle", "openpam-recordings"];
/// What such a crate must not pull in.
const IO: &[&str] =
    &["tokio", "tokio-util", "axum", "hyper", "reqwest", "sqlx", "rand", "getrandom", "fastrand", "async-std", "mio"];
/// Common crates that may use the runtime, by name and with their reason in the design.
const COMMON_WITH_RUNTIME: &[&str] = &["openpam-lifecycle", "openpam-tunnel"];

/// A workspace member.
struct Package {
    name: String,
    folder: String,
    /// Dependencies of the product, not of its tests.
    dependencies: Vec<String>,
}

fn packages(metadata: &Value, root: &str) -> anyhow::Result<Vec<Package>> {
    let listed = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let mut packages = Vec::new();
    for package in listed {
        let manifest = package["manifest_path"].as_str().context("no manifest_path")?;
        let folder = manifest.trim_start_matches(root).trim_start_matches('/').trim_end_matches("Cargo.toml");
        let dependencies = package["dependencies"].as_array().context("no dependencies")?;
        packages.push(Package {
            name: package["name"].as_str().context("no name")?.to_owned(),
            folder: folder.trim_end_matches('/').to_owned(),
            dependencies: dependencies
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned))
                .collect(),
        });
    }
    ensure!(!packages.is_empty(), "cargo metadata names no package");
    Ok(packages)
}

/// Folders a member in `folder` may depend on.
fn may_use(folder: &str) -> &'static [&'static str] {
    match folder.split('/').next().unwrap_or_default() {
        "" => &["common", "hub", "satellite", "recordings"],
        "common" => &["common"],
        "recordings" => &["common"],
        "hub" => &["common", "recordings", "hub"],
        "satellite" => &["common"],
        "tests" => &["common", "recordings"],
        _ => &[],
    }
}

fn violations(packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages {
        for dependency in &package.dependencies {
            if let Some(member) = packages.iter().find(|member| member.name == *dependency) {
                let place = member.folder.split('/').next().unwrap_or_default();
                if !may_use(&package.folder).contains(&place) {
                    found.push(format!("{} must not depend on {}", package.name, dependency));
                }
            }
            let is = |list: &[&str]| list.contains(&dependency.as_str());
            if SANS_IO.contains(&package.name.as_str()) && is(IO) {
                found.push(format!("{} is without I/O and must not depend on {dependency}", package.name));
            }
            if package.folder.starts_with("common/") && is(&["axum", "tower-http", "utoipa-axum"]) {
                found.push(format!("{} is a common crate and must not depend on {dependency}", package.name));
            }
            if package.folder.starts_with("common/")
                && dependency == "tokio"
                && !COMMON_WITH_RUNTIME.contains(&package.name.as_str())
            {
                found.push(format!("{} is not one of the common crates that may use tokio", package.name));
            }
        }
    }
    found
}

#[test]
fn crates_depend_on_each_other_only_in_the_directions_of_the_design() -> anyhow::Result<()> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .context("cargo metadata could not be run")?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    let metadata = serde_json::from_slice(&output.stdout)?;
    let found = violations(&packages(&metadata, &root().to_string_lossy())?);
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

#[test]
fn a_crate_that_depends_the_wrong_way_is_found() -> anyhow::Result<()> {
    let package = |name: &str, folder: &str, dependencies: &[&str]| {
        let dependencies = dependencies.iter().map(|name| json!({ "name": name, "kind": null })).collect::<Vec<_>>();
        json!({ "name": name, "manifest_path": format!("/r/{folder}/Cargo.toml"), "dependencies": dependencies })
    };
    let metadata = json!({ "packages": [
        package("openpam-hub", "hub", &["openpam-satellite", "openpam-ids"]),
        package("openpam-satellite", "satellite", &["openpam-ids"]),
        package("openpam-ids", "common/ids", &["tokio", "serde"]),
        package("openpam-wire", "common/wire", &["openpam-hub", "rand"]),
    ]});
    let found = violations(&packages(&metadata, "/r")?);
    assert_eq!(
        found,
        [
            "openpam-hub must not depend on openpam-satellite",
            "openpam-ids is not one of the common crates that may use tokio",
            "openpam-wire must not depend on openpam-hub",
            "openpam-wire is without I/O and must not depend on rand",
        ]
    );
    Ok(())
}
