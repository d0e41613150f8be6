//! The vault: reachable, unsealed, lets the hub in, has the engines and the policy it needs.

use std::time::Duration;

use super::{CLOCK_TOLERANCE, Report, listener::RunningHub};
use crate::{
    config::Config,
    context::Clock,
    domains::vault::{
        Vault, VaultError,
        inspect::{Mount, Permissions},
    },
};

/// How long all questions about permissions may take together.
const LIMIT: Duration = Duration::from_secs(30);
const LOGIN: &str = "vault_login";
const MOUNTS: &str = "vault_mounts";
const POLICY: &str = "vault_policy";
const TRY_PLAIN: &str = "to check it too, run this once with a secret id of its own in a file: OPENPAM_VAULT__SECRET_ID_FILE=FILE openpam doctor";

pub(super) async fn examine(config: &Config, hub: Option<&RunningHub>, report: &mut Report) {
    let address = &config.vault.address;
    // With a plain secret id, a refusal must not lead to the wrapping token, which would be used up.
    let mut alone = config.clone();
    if alone.vault.secret_id.is_some() {
        alone.vault.wrapped_secret_id_file = None;
    }
    let vault = match Vault::new(&alone) {
        Ok(vault) => vault,
        Err(error) => {
            report.failed("vault", error.to_string(), "check vault.address and vault.ca_file");
            return skip(report, &[LOGIN, MOUNTS, POLICY]);
        }
    };
    let server = match vault.server().await {
        Ok(server) => server,
        Err(error) => {
            report.failed(
                "vault",
                format!("{address}: {error}"),
                "start the vault, or correct vault.address; with https, vault.ca_file must name the CA that signed its certificate",
            );
            return skip(report, &[LOGIN, MOUNTS, POLICY]);
        }
    };
    report.ok("vault", format!("{address} answers, version {}", server.version));
    if !server.initialized || server.sealed {
        let (what, remedy) = if server.initialized {
            ("it is sealed", "unseal it: bao operator unseal, or vault operator unseal")
        } else {
            (
                "it is not initialised",
                "set it up: bao operator init, then the engines and the role of the operator's guide",
            )
        };
        report.failed("vault_seal", what, remedy);
        return skip(report, &[LOGIN, MOUNTS, POLICY]);
    }
    report.ok("vault_seal", "unsealed");
    if let Some(now) = server.now() {
        report.clock("vault_clock", "the vault", now, CLOCK_TOLERANCE);
    }
    if vault.plain_secret_id().is_some() {
        permissions(config, &vault, report).await;
    } else {
        wrapped(config, &vault, hub, report).await;
        report.skipped(MOUNTS, format!("needs a login, which would use up the wrapping token; {TRY_PLAIN}"));
        report.skipped(POLICY, "needs a login as well");
    }
}

fn skip(report: &mut Report, names: &[&'static str]) {
    for name in names {
        report.skipped(name, "needs the vault");
    }
}

/// A secret id that is wrapped is looked at, not used.
async fn wrapped(config: &Config, vault: &Vault, hub: Option<&RunningHub>, report: &mut Report) {
    let file = config.vault.wrapped_secret_id_file.as_deref().unwrap_or_default();
    let renew = "issue a new one into the file: bao write -wrap-ttl=300s -f -field=wrapping_token auth/MOUNT/role/ROLE/secret-id";
    match vault.wrapping_token().await {
        Ok(token) => {
            let expected = format!("auth/{}/role/", config.vault.approle_mount);
            let left = token.creation_ttl - (Clock.now() - token.creation_time).num_seconds();
            if !token.creation_path.starts_with(&expected) || !token.creation_path.ends_with("/secret-id") {
                report.failed(
                    LOGIN,
                    format!(
                        "the wrapping token in {file} was made by {}, not by {expected}…/secret-id",
                        token.creation_path
                    ),
                    "somebody may have replaced it: find out who wrote the file, then issue a new one",
                );
            } else {
                report.ok(
                    LOGIN,
                    format!("the wrapping token in {file} is unused and lives {left} s more: start the hub before"),
                );
            }
        }
        Err(VaultError::WrappingTokenUsed { .. }) => match hub {
            Some(hub) if hub.vault_state.as_deref() == Some("available") => {
                report.ok(LOGIN, "the wrapping token was used by the hub that runs here, which is logged in");
            }
            Some(hub) => report.failed(
                LOGIN,
                format!(
                    "the wrapping token in {file} was used, and the hub that runs here is not logged in (it says: {})",
                    hub.vault_state.as_deref().unwrap_or("nothing")
                ),
                renew,
            ),
            None => report.failed(
                LOGIN,
                format!("the wrapping token in {file} was used before or has expired"),
                format!("if no hub of yours used it, somebody else may know the secret id: revoke that. Then {renew}"),
            ),
        },
        Err(error) => report.failed(LOGIN, error.to_string(), renew),
    }
}

async fn permissions(config: &Config, vault: &Vault, report: &mut Report) {
    let asked = match tokio::time::timeout(LIMIT, vault.permissions()).await {
        Ok(asked) => asked,
        Err(_) => Err(VaultError::Unavailable("no answers within 30 s".to_owned())),
    };
    match asked {
        Ok(Permissions { mounts, lacking }) => {
            report.ok(LOGIN, format!("the vault lets role id {} in", config.vault.role_id));
            for mount in &mounts {
                judge(config, mount, report);
            }
            match lacking {
                None => report.warning(
                    POLICY,
                    "the policy does not let the hub look at its own capabilities, so they could not be checked",
                    "add to the hub's policy: path \"sys/capabilities-self\" { capabilities = [\"update\"] }",
                ),
                Some(lacking) if lacking.is_empty() => report.ok(POLICY, "covers every path the hub uses"),
                Some(lacking) => {
                    for need in lacking {
                        let list = need.missing.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
                        report.failed(
                            POLICY,
                            format!("does not allow {} on {}", need.missing.join(", "), need.path),
                            format!("give the hub's policy {list} there (the operator's guide has the whole policy)"),
                        );
                    }
                }
            }
        }
        Err(error) => {
            report.failed(
                LOGIN,
                error.to_string(),
                "check vault.role_id, vault.approle_mount, vault.namespace and the secret id; the role may bind addresses (secret_id_bound_cidrs)",
            );
            report.skipped(MOUNTS, "needs a login");
            report.skipped(POLICY, "needs a login");
        }
    }
}

fn judge(config: &Config, mount: &Mount, report: &mut Report) {
    let (key, wanted) =
        if mount.path == config.vault.kv_mount { ("vault.kv_mount", "kv") } else { ("vault.ssh_mount", "ssh") };
    let path = &mount.path;
    match mount.engine.as_deref() {
        Some("kv") if wanted == "kv" && mount.version.as_deref() != Some("2") => report.failed(
            MOUNTS,
            format!("{path} is a KV engine of version {}", mount.version.as_deref().unwrap_or("1")),
            format!("bao kv enable-versioning {path}, or let {key} name an engine of version 2"),
        ),
        Some(engine) if engine == wanted => report.ok(MOUNTS, format!("{path} is an engine of type {engine}")),
        Some(engine) => {
            report.failed(MOUNTS, format!("{path} is an engine of type {engine}, not {wanted}"), format!("correct {key}"));
        }
        None if wanted == "ssh" => report.warning(
            MOUNTS,
            format!("no engine at {path}, or the policy allows nothing below it"),
            format!("needed for certificates only: bao secrets enable -path={path} ssh, and let the policy sign with its role"),
        ),
        None => report.failed(
            MOUNTS,
            format!("no engine at {path}, or the policy allows nothing below it"),
            format!("bao secrets enable -path={path} kv-v2, or correct {key}"),
        ),
    }
}
