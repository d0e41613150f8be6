//! A look at the provider from outside a running hub, for `openpam doctor`.

use chrono::{DateTime, Utc};
use openidconnect::{DiscoveryError, IssuerUrl};

use super::{HttpClient, Metadata};
use crate::config;

/// What the provider said.
#[derive(Debug)]
pub struct ProviderInspection {
    /// Keys it signs with.
    pub keys: usize,
    /// Whether a person can be signed out there too.
    pub signs_out: bool,
    /// Its clock, in whole seconds.
    pub now: Option<DateTime<Utc>>,
}

/// Why people could not sign in through it.
#[derive(Debug, thiserror::Error)]
pub enum ProviderFault {
    /// The CA file or the issuer cannot be used.
    #[error("{0}")]
    Configuration(String),
    /// It does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// The document names another issuer.
    #[error("{0}")]
    IssuerDiffers(String),
    /// The answer is not a discovery document or not a set of keys.
    #[error("{0}")]
    NotAProvider(String),
}

/// Reads the discovery document and the keys, as the hub does when somebody signs in.
///
/// # Errors
/// When that does not succeed.
pub async fn inspect_provider(config: &config::Oidc) -> Result<ProviderInspection, ProviderFault> {
    let http =
        HttpClient::new(config.ca_file.as_deref()).map_err(|error| ProviderFault::Configuration(error.to_string()))?;
    let issuer = IssuerUrl::new(config.issuer.clone())
        .map_err(|error| ProviderFault::Configuration(format!("oidc.issuer: {error}")))?;
    let caller = http.caller();
    let metadata = Metadata::discover_async(issuer, &caller).await.map_err(|error| match &error {
        DiscoveryError::Request(error) => ProviderFault::Unreachable(openpam_telemetry::with_causes(error)),
        DiscoveryError::Validation(text) => ProviderFault::IssuerDiffers(text.clone()),
        other => ProviderFault::NotAProvider(openpam_telemetry::with_causes(other)),
    })?;
    let document = format!("{}/.well-known/openid-configuration", config.issuer.trim_end_matches('/'));
    Ok(ProviderInspection {
        keys: metadata.jwks().keys().len(),
        signs_out: metadata.additional_metadata().end_session_endpoint.is_some(),
        now: http.date(&document).await.ok().flatten(),
    })
}
