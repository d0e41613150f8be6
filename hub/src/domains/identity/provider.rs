//! The OpenID Connect provider: discovery, the authorization code flow with PKCE, refresh, sign-out.
//!
//! Follows OpenID Connect Core 1.0, RFC 7636 (PKCE), RFC 9207 (issuer in the response) and
//! RP-Initiated Logout 1.0. Knows Microsoft Entra ID's claims; any other provider works as well.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use openidconnect::{
    AuthenticationFlow, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, DiscoveryError,
    HttpRequest, HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RefreshToken, RequestTokenError, Scope, SignatureVerificationError, TokenResponse as _,
    core::{CoreErrorResponseType, CoreJwsSigningAlgorithm, CoreResponseType},
};
use openpam_secret::{ExposeSecret as _, SecretString};
use url::Url;

use super::{IdentityError, types::DirectoryUser};
use crate::{config, context::Clock};

mod claims;
mod http_client;
pub(super) mod inspect;

use claims::{IdToken, Metadata, OidcClient, OidcTokenResponse};
use http_client::{HttpClient, HttpError};

/// How long a discovery document and its keys are used without asking again.
const FRESH_FOR: Duration = Duration::from_secs(3_600);
/// How long a provider that answered is taken to be there.
const REACHED_FOR: Duration = Duration::from_secs(10);
/// How long a browser waits for the provider's answer before it is sent there.
const REACH_TIMEOUT: Duration = Duration::from_secs(3);
/// A key id that is unknown, or a signature that is not of the key of that id, makes the hub ask for the keys again, at most this often a minute.
const KEY_REFRESHES_A_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(5);
/// Tries to reach the provider before a sign-in fails.
const TRIES: u32 = 2;

/// A configured provider; contacted when somebody signs in.
pub(super) struct Provider {
    config: config::Oidc,
    client_secret: SecretString,
    redirect_url: RedirectUrl,
    post_logout_url: String,
    http: HttpClient,
    known: Mutex<Option<Known>>,
    key_refreshes: DefaultDirectRateLimiter,
}

/// What the provider said about itself.
#[derive(Clone)]
struct Known {
    metadata: Arc<Metadata>,
    fetched_at: Instant,
}

/// What the browser brought back.
pub(super) struct Callback {
    pub(super) code: SecretString,
    pub(super) issuer: Option<String>,
}

/// What derives from the secret in the browser's flow cookie.
pub(super) struct FlowSecrets {
    nonce: SecretString,
    verifier: SecretString,
}

impl FlowSecrets {
    /// For one `state`, so that two tabs of a browser do not share them.
    pub(super) fn derive(flow_secret: &SecretString, state: &str) -> Self {
        Self {
            nonce: openpam_secret::derive(flow_secret, &format!("openpam oidc nonce {state}")),
            verifier: openpam_secret::derive(flow_secret, &format!("openpam oidc pkce {state}")),
        }
    }
}

/// Somebody the provider vouches for.
pub(super) struct Vouched {
    pub(super) user: DirectoryUser,
    pub(super) refresh_token: Option<SecretString>,
}

impl Provider {
    /// From the configuration; nothing is contacted yet.
    pub(super) fn new(config: &config::Oidc, public_url: &str) -> Result<Self, IdentityError> {
        let base = public_url.trim_end_matches('/');
        let redirect_url = RedirectUrl::new(format!("{base}/api/v1/auth/callback"))
            .map_err(|error| IdentityError::Internal(format!("server.public_url: {error}")))?;
        Ok(Self {
            http: HttpClient::new(config.ca_file.as_deref())?,
            client_secret: config.client_secret.clone().unwrap_or_default(),
            redirect_url,
            post_logout_url: format!("{base}/login"),
            config: config.clone(),
            known: Mutex::new(None),
            key_refreshes: RateLimiter::direct(Quota::per_minute(KEY_REFRESHES_A_MINUTE)),
        })
    }

    pub(super) fn tenant(&self) -> &str {
        &self.config.tenant
    }

    pub(super) fn display_name(&self) -> &str {
        &self.config.display_name
    }

    /// Where to send the browser.
    pub(super) async fn authorization_url(&self, state: &str, secrets: &FlowSecrets) -> Result<Url, IdentityError> {
        self.reach().await?;
        let client = self.client(&*self.metadata().await?);
        let verifier = PkceCodeVerifier::new(secrets.verifier.expose_secret().to_owned());
        let (state, nonce) = (CsrfToken::new(state.to_owned()), Nonce::new(secrets.nonce.expose_secret().to_owned()));
        let scopes = self.config.scopes.iter().filter(|scope| *scope != "openid").cloned().map(Scope::new);
        let (url, ..) = client
            .authorize_url(AuthenticationFlow::<CoreResponseType>::AuthorizationCode, move || state, move || nonce)
            .add_scopes(scopes)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .url();
        Ok(url)
    }

    /// Exchanges the code and verifies the identity token.
    pub(super) async fn redeem(&self, callback: Callback, secrets: FlowSecrets) -> Result<Vouched, IdentityError> {
        let metadata = self.metadata().await?;
        check_issuer(&metadata, callback.issuer.as_deref())?;
        let client = self.client(&metadata);
        let http = self.http.caller();
        let response = client
            .exchange_code(AuthorizationCode::new(callback.code.expose_secret().to_owned()))
            .map_err(|error| IdentityError::ProviderUnavailable(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(secrets.verifier.expose_secret().to_owned()))
            .request_async(&http)
            .await
            .map_err(|error| token_error(&error, IdentityError::LoginCodeRejected))?;
        let id_token = response
            .id_token()
            .ok_or_else(|| IdentityError::IdTokenInvalid("the provider sent no identity token".to_owned()))?;
        let nonce = Nonce::new(secrets.nonce.expose_secret().to_owned());
        let user = self.verify(&metadata, id_token, Some(&nonce)).await?;
        Ok(Vouched { user, refresh_token: refresh_token(&response) })
    }

    /// Asks for fresh claims. `None` in the first place when the provider sent no identity token.
    pub(super) async fn refresh(
        &self,
        token: &SecretString,
    ) -> Result<(Option<DirectoryUser>, Option<SecretString>), IdentityError> {
        let metadata = self.metadata().await?;
        let client = self.client(&metadata);
        let http = self.http.caller();
        let response = client
            .exchange_refresh_token(&RefreshToken::new(token.expose_secret().to_owned()))
            .map_err(|error| IdentityError::ProviderUnavailable(error.to_string()))?
            .request_async(&http)
            .await
            .map_err(|error| token_error(&error, |_| IdentityError::SessionRevoked))?;
        let user = match response.id_token() {
            Some(id_token) => Some(self.verify(&metadata, id_token, None).await?),
            None => None,
        };
        Ok((user, refresh_token(&response)))
    }

    /// Where the browser signs out at the provider; `None` when the provider offers nothing, is not
    /// known, or does not answer at once (sign-out must not wait for it).
    pub(super) async fn logout_url(&self, logout_hint: &str) -> Option<String> {
        self.reach().await.ok()?;
        let known = self.known()?;
        let mut url = known.metadata.additional_metadata().end_session_endpoint.clone()?;
        // An id_token_hint would put a token into a URL: the client id and the user name do as well.
        url.query_pairs_mut()
            .append_pair("client_id", &self.config.client_id)
            .append_pair("post_logout_redirect_uri", &self.post_logout_url)
            .append_pair("logout_hint", logout_hint);
        Some(url.into())
    }

    async fn verify(
        &self,
        metadata: &Arc<Metadata>,
        id_token: &IdToken,
        nonce: Option<&Nonce>,
    ) -> Result<DirectoryUser, IdentityError> {
        match self.claims(metadata, id_token, nonce) {
            // Also under a key id that is known: a provider that starts anew may give its new key the old name.
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_),
            )) => {
                let fresh = self.refetch(metadata).await?;
                self.claims(&fresh, id_token, nonce)
            }
            result => result,
        }
        .map_err(|error| IdentityError::IdTokenInvalid(error.to_string()))
        .and_then(|claims| claims.admit(&self.config.allowed_tids))
    }

    fn claims(
        &self,
        metadata: &Metadata,
        id_token: &IdToken,
        nonce: Option<&Nonce>,
    ) -> Result<claims::Verified, ClaimsVerificationError> {
        let skew = TimeDelta::seconds(i64::try_from(self.config.clock_skew_seconds).unwrap_or(0));
        let client = self.client(metadata);
        let verifier = client
            .id_token_verifier()
            // Never one keyed with the client secret.
            .set_allowed_algs([
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
                CoreJwsSigningAlgorithm::RsaSsaPssSha256,
                CoreJwsSigningAlgorithm::EcdsaP256Sha256,
                CoreJwsSigningAlgorithm::EcdsaP384Sha384,
                CoreJwsSigningAlgorithm::EdDsa,
            ])
            .allow_all_jose_types()
            .set_time_fn(move || Clock.now() - skew)
            .set_issue_time_verifier_fn(move |issued| {
                if issued > Clock.now() + skew { Err("it was issued in the future".to_owned()) } else { Ok(()) }
            });
        let claims = match nonce {
            Some(nonce) => id_token.claims(&verifier, nonce)?,
            // A refreshed token may leave the nonce out (OpenID Connect Core §12.2).
            None => id_token.claims(&verifier, |_: Option<&Nonce>| Ok(()))?,
        };
        Ok(claims::Verified::from(claims))
    }

    fn client(&self, metadata: &Metadata) -> OidcClient {
        OidcClient::from_provider_metadata(
            metadata.clone(),
            ClientId::new(self.config.client_id.clone()),
            Some(ClientSecret::new(self.client_secret.expose_secret().to_owned())),
        )
        .set_redirect_uri(self.redirect_url.clone())
    }

    /// The provider's document and keys, asked for again when they are old. While the provider is
    /// down, old ones serve on: the exchange of the code will tell.
    async fn metadata(&self) -> Result<Arc<Metadata>, IdentityError> {
        let known = self.known();
        if let Some(known) = &known
            && known.fetched_at.elapsed() < FRESH_FOR
        {
            return Ok(known.metadata.clone());
        }
        match (self.discover().await, known) {
            (Ok(metadata), _) => Ok(metadata),
            (Err(error), Some(known)) => {
                tracing::warn!(%error, "the identity provider's document could not be refreshed");
                Ok(known.metadata)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Whether the provider answers, before a browser is sent there: a person should read here, and not
    /// in an error of the browser, that it does not.
    async fn reach(&self) -> Result<(), IdentityError> {
        if self.known().is_some_and(|known| known.fetched_at.elapsed() < REACHED_FOR) {
            return Ok(());
        }
        match tokio::time::timeout(REACH_TIMEOUT, self.discover()).await {
            Ok(found) => found.map(|_| ()),
            Err(_) => Err(IdentityError::ProviderUnavailable("it does not answer in time".to_owned())),
        }
    }

    /// Newer keys than those of `used`.
    async fn refetch(&self, used: &Arc<Metadata>) -> Result<Arc<Metadata>, IdentityError> {
        match self.known() {
            // Another sign-in was faster.
            Some(known) if !Arc::ptr_eq(&known.metadata, used) => Ok(known.metadata),
            _ if self.key_refreshes.check().is_err() => Ok(used.clone()),
            _ => self.discover().await,
        }
    }

    async fn discover(&self) -> Result<Arc<Metadata>, IdentityError> {
        let issuer = IssuerUrl::new(self.config.issuer.clone())
            .map_err(|error| IdentityError::ProviderUnavailable(error.to_string()))?;
        let http = self.http.caller();
        let mut tries = 1;
        let metadata = loop {
            match Metadata::discover_async(issuer.clone(), &http).await {
                Ok(metadata) => break metadata,
                Err(DiscoveryError::Request(error)) if tries < TRIES => {
                    tracing::warn!(%error, tries, "the identity provider does not answer");
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => return Err(IdentityError::ProviderUnavailable(openpam_telemetry::with_causes(&error))),
            }
        };
        let known = Known { metadata: Arc::new(metadata), fetched_at: Instant::now() };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        Ok(known.metadata)
    }

    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// RFC 9207: a response of another provider must not be taken for one of this one.
fn check_issuer(metadata: &Metadata, issuer: Option<&str>) -> Result<(), IdentityError> {
    let promised = metadata.additional_metadata().authorization_response_iss_parameter_supported;
    match issuer {
        Some(issuer) if issuer == metadata.issuer().as_str() => Ok(()),
        None if !promised => Ok(()),
        _ => Err(IdentityError::IdTokenInvalid("the response names another issuer, or none".to_owned())),
    }
}

type TokenError = RequestTokenError<HttpError, openidconnect::StandardErrorResponse<CoreErrorResponseType>>;

/// The provider's refusal, or that it does not answer sensibly. Never the answer's text: it may
/// hold tokens.
fn token_error(error: &TokenError, refused: impl FnOnce(String) -> IdentityError) -> IdentityError {
    match error {
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            CoreErrorResponseType::InvalidGrant | CoreErrorResponseType::InvalidRequest => {
                refused(answer.error().to_string())
            }
            code => IdentityError::ProviderUnavailable(format!("the provider refuses this hub: {code}")),
        },
        RequestTokenError::Request(error) => IdentityError::ProviderUnavailable(openpam_telemetry::with_causes(error)),
        RequestTokenError::Parse(..) => {
            IdentityError::ProviderUnavailable("the provider's answer is no token response".to_owned())
        }
        RequestTokenError::Other(text) => IdentityError::ProviderUnavailable(text.clone()),
    }
}

fn refresh_token(response: &OidcTokenResponse) -> Option<SecretString> {
    response.refresh_token().map(|token| SecretString::from(token.secret().clone()))
}
