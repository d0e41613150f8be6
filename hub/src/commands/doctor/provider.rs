//! The OpenID Connect provider: its document, its issuer, its keys, its clock.

use chrono::TimeDelta;

use super::{CLOCK_TOLERANCE, Report};
use crate::{
    config::Config,
    domains::identity::{ProviderFault, inspect_provider},
};

const DISCOVERY: &str = "oidc_discovery";

pub(super) async fn examine(config: &Config, report: &mut Report) {
    let Some(oidc) = &config.oidc else {
        report.skipped(DISCOVERY, "there is no [oidc] section: only local accounts can sign in");
        return;
    };
    let issuer = &oidc.issuer;
    match inspect_provider(oidc).await {
        Ok(found) => {
            report.ok(DISCOVERY, format!("{issuer} answers"));
            report.ok("oidc_issuer", "the document names the configured issuer");
            if found.keys == 0 {
                report.failed(
                    "oidc_keys",
                    "the provider publishes no keys",
                    "no identity token can be verified: look at the provider",
                );
            } else {
                report.ok("oidc_keys", format!("{} key(s)", found.keys));
            }
            if !found.signs_out {
                report.warning(
                    "oidc_sign_out",
                    "the provider has no end_session_endpoint",
                    "signing out of OpenPAM does not sign out there: tell people who share a browser",
                );
            }
            match found.now {
                Some(now) => {
                    let skew = i64::try_from(oidc.clock_skew_seconds).unwrap_or(0);
                    let tolerance = TimeDelta::seconds(skew).min(CLOCK_TOLERANCE);
                    report.clock("oidc_clock", "the provider", now, tolerance);
                }
                None => report.skipped("oidc_clock", "the provider does not tell its time"),
            }
        }
        Err(fault) => {
            let text = fault.to_string();
            match fault {
                ProviderFault::Configuration(_) => report.failed(DISCOVERY, text, "correct the key in [oidc]"),
                ProviderFault::Unreachable(_) => report.failed(
                    DISCOVERY,
                    format!("{issuer} does not answer: {text}"),
                    "check oidc.issuer, the network and proxies in between; with a private CA, oidc.ca_file",
                ),
                ProviderFault::IssuerDiffers(_) => {
                    report.ok(DISCOVERY, format!("{issuer} answers"));
                    report.failed(
                        "oidc_issuer",
                        text,
                        "let oidc.issuer be exactly what the provider says, to the last slash",
                    );
                }
                ProviderFault::NotAProvider(_) => report.failed(
                    DISCOVERY,
                    format!("{issuer} answers, but not as a provider does: {text}"),
                    "oidc.issuer must be the URL below which /.well-known/openid-configuration is",
                ),
            }
            report.skipped("oidc_keys", "needs the provider");
        }
    }
}
