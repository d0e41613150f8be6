//! Files on this machine: who may read the secrets, how long the certificate is good.

use std::{os::unix::fs::MetadataExt as _, path::Path};

use chrono::TimeDelta;
use rustls::{client::verify_server_name, pki_types::ServerName, server::ParsedCertificate};
use url::Url;

use super::Report;
use crate::{
    config::{Config, tls},
    context::Clock,
};

/// A certificate that ends within this time is worth a warning.
const RENEW_WITHIN: TimeDelta = TimeDelta::days(14);
const PERMISSIONS: &str = "file_permissions";
const CERTIFICATE: &str = "tls_certificate";

/// Mode bits of a file that holds a secret.
#[derive(Debug, PartialEq, Eq)]
enum Exposure {
    None,
    /// The group may read it.
    Group,
    /// Others may read it, or group or others may write it.
    Others,
}

fn exposure(mode: u32) -> Exposure {
    match mode {
        mode if mode & 0o007 != 0 || mode & 0o020 != 0 => Exposure::Others,
        mode if mode & 0o040 != 0 => Exposure::Group,
        _ => Exposure::None,
    }
}

/// Files that hold secrets, by the key that names them.
fn secret_files(config: &Config) -> Vec<(&'static str, &str)> {
    let oidc = config.oidc.as_ref();
    [
        ("server.tls_key_file", config.server.tls_key_file.as_deref()),
        ("database.password_file", config.database.password_file.as_deref()),
        ("database.owner_password_file", config.database.owner_password_file.as_deref()),
        ("database.ledger_password_file", config.database.ledger_password_file.as_deref()),
        ("vault.secret_id_file", config.vault.secret_id_file.as_deref()),
        ("vault.wrapped_secret_id_file", config.vault.wrapped_secret_id_file.as_deref()),
        ("recording.s3_secret_access_key_file", config.recording.s3_secret_access_key_file.as_deref()),
        ("ledger.anchor_s3_secret_access_key_file", config.ledger.anchor_s3_secret_access_key_file.as_deref()),
        ("oidc.client_secret_file", oidc.and_then(|oidc| oidc.client_secret_file.as_deref())),
    ]
    .into_iter()
    .filter_map(|(key, file)| Some((key, file?)))
    .collect()
}

pub(super) fn examine(config: &Config, config_path: &Path, report: &mut Report) {
    let mut fine = true;
    for (key, file) in secret_files(config) {
        let mode = match std::fs::metadata(file) {
            Ok(metadata) => metadata.mode() & 0o777,
            // The wrapped secret id may come later; its own check says so.
            Err(_) if key == "vault.wrapped_secret_id_file" => continue,
            Err(error) => {
                fine = false;
                report.failed(PERMISSIONS, format!("{key}: {file}: {error}"), "let the hub's user read the file");
                continue;
            }
        };
        let what = format!("{key}: {file} has mode {mode:04o}");
        let remedy = format!("chmod 0600 {file}");
        match exposure(mode) {
            Exposure::None => {}
            Exposure::Group => {
                fine = false;
                report.warning(PERMISSIONS, format!("{what}: its group can read the secret"), remedy);
            }
            Exposure::Others => {
                fine = false;
                report.failed(PERMISSIONS, format!("{what}: other users can read or replace the secret"), remedy);
            }
        }
    }
    if let Ok(metadata) = std::fs::metadata(config_path)
        && metadata.mode() & 0o022 != 0
    {
        fine = false;
        let what = format!("{} has mode {:04o}: others can change it", config_path.display(), metadata.mode() & 0o777);
        report.failed(PERMISSIONS, what, format!("chmod go-w {}", config_path.display()));
    }
    if fine {
        report.ok(PERMISSIONS, "only their owner can read the files with secrets");
    }
}

pub(super) fn certificate(config: &Config, report: &mut Report) {
    let server = &config.server;
    let found = match tls::certificate(server) {
        Ok(Some(found)) => found,
        Ok(None) => {
            let https = server.public_url.starts_with("https://");
            report.skipped(
                CERTIFICATE,
                if https {
                    "the hub itself speaks plain http; what stands in front of it must speak TLS"
                } else {
                    "plain http on loopback, for development only"
                },
            );
            return;
        }
        Err(mistake) => {
            report.failed(CERTIFICATE, mistake.message, format!("correct {}", mistake.key));
            return;
        }
    };
    let now = Clock.now();
    let (from, until) = (found.not_before.format("%Y-%m-%d %H:%M UTC"), found.not_after.format("%Y-%m-%d %H:%M UTC"));
    if now < found.not_before {
        report.failed(
            CERTIFICATE,
            format!("is good only from {from} on"),
            "check the clock, or install the certificate then",
        );
    } else if now > found.not_after {
        report.failed(CERTIFICATE, format!("expired on {until}"), "install a new one and restart the hub");
    } else if found.not_after - now < RENEW_WITHIN {
        let days = (found.not_after - now).num_days();
        report.warning(CERTIFICATE, format!("expires on {until}, in {days} day(s)"), "renew it and restart the hub");
    } else {
        report.ok(CERTIFICATE, format!("good until {until}"));
    }
    let Some(host) = Url::parse(&server.public_url).ok().and_then(|url| url.host_str().map(str::to_owned)) else {
        return;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let named = ServerName::try_from(host.clone()).is_ok_and(|name| {
        ParsedCertificate::try_from(&found.der).is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
    });
    if named {
        report.ok("tls_name", format!("the certificate is for {host}"));
    } else {
        report.failed(
            "tls_name",
            format!("the certificate is not for {host}, the host of server.public_url"),
            "use a certificate with that name among its subject alternative names",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_judged_by_who_can_read_and_replace() {
        for (mode, expected) in [
            (0o600, Exposure::None),
            (0o400, Exposure::None),
            (0o640, Exposure::Group),
            (0o660, Exposure::Others),
            (0o644, Exposure::Others),
            (0o602, Exposure::Others),
        ] {
            assert_eq!(exposure(mode), expected, "{mode:o}");
        }
    }
}
