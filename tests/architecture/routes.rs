//! Rule 8: every operation says who may call it, and the public ones are listed here by name.

use std::{collections::BTreeSet, process::Command};

use anyhow::{Context as _, ensure};
use openpam_tests::hub::binary;
use serde_json::{Value, json};

/// What anyone may call, signed in or not.
const PUBLIC: &[&str] = &[
    "GET /api/v1/auth/callback",
    "GET /api/v1/auth/login",
    "GET /api/v1/auth/providers",
    "GET /healthz",
    "GET /metrics",
    "GET /readyz",
    "POST /api/v1/auth/local",
    "POST /api/v1/auth/login",
];

fn violations(document: &Value, listed: &[&str]) -> anyhow::Result<Vec<String>> {
    let (mut found, mut public) = (Vec::new(), BTreeSet::new());
    for (path, item) in document["paths"].as_object().context("the OpenAPI document has no paths")? {
        for (method, operation) in item.as_object().context("a path is no object")? {
            let name = format!("{} {path}", method.to_uppercase());
            match operation["x-openpam-access"].as_str() {
                None => found.push(format!("{name} does not say who may call it")),
                Some("public") => {
                    if !listed.contains(&name.as_str()) {
                        found.push(format!("{name} is public, but not in the list"));
                    }
                    public.insert(name);
                }
                Some(_) if operation["security"].as_array().is_none_or(Vec::is_empty) => {
                    found.push(format!("{name} is not public, but the document asks for no credentials"));
                }
                Some(_) => {}
            }
        }
    }
    let missing = listed.iter().filter(|name| !public.contains(**name));
    found.extend(missing.map(|name| format!("{name} is listed as public, but is not")));
    Ok(found)
}

#[test]
fn exactly_the_listed_operations_are_public() -> anyhow::Result<()> {
    let output = Command::new(binary()?).arg("openapi").output()?;
    ensure!(output.status.success(), "`openpam openapi` failed: {}", String::from_utf8_lossy(&output.stderr));
    let found = violations(&serde_json::from_slice(&output.stdout)?, PUBLIC)?;
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

#[test]
fn an_operation_that_is_public_by_mistake_is_found() -> anyhow::Result<()> {
    let document = json!({ "paths": {
        "/a": { "get": { "x-openpam-access": "public" }, "post": { "x-openpam-access": "signed_in" } },
        "/b": { "get": {} },
    }});
    assert_eq!(
        violations(&document, &["GET /c"])?,
        [
            "GET /a is public, but not in the list",
            "POST /a is not public, but the document asks for no credentials",
            "GET /b does not say who may call it",
            "GET /c is listed as public, but is not",
        ]
    );
    Ok(())
}
