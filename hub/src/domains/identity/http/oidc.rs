//! Signing in at the identity provider.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use openpam_secret::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use utoipa_axum::routes;

use super::{
    super::{
        IdentityError,
        service::{
            oidc::{self, Completed, FLOW_LIFETIME, Returned},
            sign_in::SignedIn,
        },
        types::is_local_path,
    },
    me::{self, Me},
};
use crate::{
    context::Context,
    http::{Access, ClientInfo, Json, Problem, ProblemBody, Query, Routes, cookie},
    state::Hub,
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(Access::Public, routes!(list_providers))
        .add(Access::Public, routes!(begin_login, complete_login))
        .add(Access::Public, routes!(login_callback))
        .add(Access::SignedIn, routes!(refresh))
}

/// The identity provider, as the sign-in page shows it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct OidcProvider {
    /// What the button says.
    display_name: String,
    /// Where the button leads.
    login_url: &'static str,
}

/// Ways to sign in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Providers {
    /// Slug of the tenant that signs in here by default.
    tenant: Option<String>,
    /// Whether local accounts may sign in.
    local: bool,
    oidc: Option<OidcProvider>,
}

/// Ways to sign in.
#[utoipa::path(get, path = "/api/v1/auth/providers", tag = "auth", responses((status = 200, body = Providers)))]
async fn list_providers(State(hub): State<Hub>, client: ClientInfo) -> Result<Json<Providers>, Problem> {
    let oidc = hub.identity().provider().map(|provider| OidcProvider {
        display_name: provider.display_name().to_owned(),
        login_url: "/api/v1/auth/login",
    });
    Ok(Json(Providers { tenant: oidc::default_tenant(&hub, &client).await?, local: true, oidc }))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct LoginQuery {
    /// Path of this site to come back to.
    return_to: Option<String>,
}

/// Sends the browser to the identity provider.
#[utoipa::path(get, path = "/api/v1/auth/login", tag = "auth", params(LoginQuery),
    responses((status = 303, description = "to the provider, or to the sign-in page with an error code")))]
async fn begin_login(
    State(hub): State<Hub>,
    client: ClientInfo,
    headers: HeaderMap,
    Query(query): Query<LoginQuery>,
) -> Result<Response, Problem> {
    let known = cookie(&headers, flow_cookie_name(&hub));
    match oidc::begin(&hub, &client, query.return_to.as_deref(), known).await {
        Ok(begun) => {
            let age = FLOW_LIFETIME.num_seconds();
            let cookie = me::set_cookie(&hub, flow_cookie_name(&hub), begun.flow_secret.expose_secret(), age)?;
            see_other(begun.url.as_str(), cookie)
        }
        Err(error) => back_to_sign_in(&client, &error, query.return_to.as_deref().unwrap_or("/")),
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct CallbackQuery {
    /// The authorization code.
    #[param(value_type = Option<String>)]
    code: Option<SecretString>,
    /// The state this hub gave the provider.
    state: Option<String>,
    /// The issuer (RFC 9207).
    iss: Option<String>,
    /// The provider's error code.
    error: Option<String>,
}

/// Where the identity provider sends the browser back to.
#[utoipa::path(get, path = "/api/v1/auth/callback", tag = "auth", params(CallbackQuery),
    responses((status = 303, description = "to where the sign-in began, or to the sign-in page with an error code")))]
async fn login_callback(
    State(hub): State<Hub>,
    client: ClientInfo,
    headers: HeaderMap,
    Query(query): Query<CallbackQuery>,
) -> Result<Response, Problem> {
    let result = match (query.code, query.error) {
        (Some(code), None) => Ok(code),
        (_, error) => Err(printable(error.as_deref().unwrap_or("neither code nor error"))),
    };
    let returned = Returned { state: query.state.unwrap_or_default(), issuer: query.iss, result };
    match oidc::complete(&hub, &client, returned, cookie(&headers, flow_cookie_name(&hub))).await {
        Ok(Completed { outcome: Ok(signed_in), return_to }) => {
            see_other(&return_to, cookies_after_login(&hub, &signed_in)?)
        }
        Ok(Completed { outcome: Err(error), return_to }) => back_to_sign_in(&client, &error, &return_to),
        Err(error) => back_to_sign_in(&client, &error, "/"),
    }
}

/// What the provider gave the browser.
#[derive(Deserialize, utoipa::ToSchema)]
struct CodeLogin {
    #[schema(value_type = String)]
    code: SecretString,
    state: String,
    /// The issuer (RFC 9207), where the provider names it.
    iss: Option<String>,
}

/// Exchanges the provider's code for a session cookie.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = CodeLogin,
    responses((status = 200, body = Me), (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
              (status = 503, body = ProblemBody)))]
async fn complete_login(
    State(hub): State<Hub>,
    client: ClientInfo,
    headers: HeaderMap,
    Json(login): Json<CodeLogin>,
) -> Result<Response, Problem> {
    let returned = Returned { state: login.state, issuer: login.iss, result: Ok(login.code) };
    let flow_secret = cookie(&headers, flow_cookie_name(&hub));
    let signed_in = oidc::complete(&hub, &client, returned, flow_secret).await?.outcome?;
    let cookies = cookies_after_login(&hub, &signed_in)?;
    let body = me::me(&hub, &signed_in.context).await?;
    Ok((cookies, Json(body)).into_response())
}

/// Renews the session cookie, and what the directory says about the person.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth",
    responses((status = 200, body = Me), (status = 401, body = ProblemBody)))]
async fn refresh(State(hub): State<Hub>, client: ClientInfo, context: Context) -> Result<Response, Problem> {
    let signed_in = oidc::refresh(&hub, &client, &context).await?;
    me::answer(&hub, signed_in).await
}

/// The cookie that binds a sign-in under way to its browser.
fn flow_cookie_name(hub: &Hub) -> &'static str {
    if hub.is_https() { "__Host-openpam_flow" } else { "openpam_flow" }
}

/// Sets the session cookie. The flow cookie stays until it ends by itself: another tab may still
/// be at the provider, and without a flow's row it opens nothing.
fn cookies_after_login(hub: &Hub, signed_in: &SignedIn) -> Result<HeaderMap, IdentityError> {
    me::session_cookie(hub, signed_in)
}

fn see_other(location: &str, mut headers: HeaderMap) -> Result<Response, Problem> {
    let location = HeaderValue::try_from(location).map_err(|error| Problem::internal(&error))?;
    headers.insert(header::LOCATION, location);
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// A browser on its way cannot show a problem: the sign-in page does, by its code, and leads the next
/// attempt to the same place.
fn back_to_sign_in(client: &ClientInfo, error: &IdentityError, return_to: &str) -> Result<Response, Problem> {
    tracing::warn!(code = error.code(), cause = %error, "sign-in at the provider failed");
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("error", error.code()).append_pair("request_id", &client.request_id);
    if return_to != "/" && is_local_path(return_to) {
        query.append_pair("return_to", return_to);
    }
    see_other(&format!("/login?{}", query.finish()), HeaderMap::new())
}

/// The provider's error code, fit for a log line and the trail.
fn printable(text: &str) -> String {
    text.chars().filter(|character| character.is_ascii_graphic() || *character == ' ').take(100).collect()
}
