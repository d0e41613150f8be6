//! Who is it, may this browser ask at all: authentication and the cross-site rules.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, Method, StatusCode, header};
use ipnetwork::IpNetwork;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};

use super::Problem;
use crate::{context::Context, domains::identity, state::Hub, visits::Visit};

/// Cookie name over plain http on loopback, in development.
pub const SESSION_COOKIE_HTTP: &str = "openpam";
/// Cookie name over https; the prefix makes browsers insist on `Secure`, `Path=/` and no `Domain`.
pub const SESSION_COOKIE_HTTPS: &str = "__Host-openpam";

/// Marks an answer that goes to somebody who is signed in.
#[derive(Debug, Clone, Copy)]
struct ToKnown;

/// Answers that are compressed: each takes some hundred kilobytes until it is read, which strangers do not get.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compressible;

impl Predicate for Compressible {
    fn should_compress<B: axum::body::HttpBody>(&self, response: &http::Response<B>) -> bool {
        response.extensions().get::<ToKnown>().is_some() && DefaultPredicate::new().should_compress(response)
    }
}

/// The client behind a request, known for public routes too.
#[derive(Debug, Clone)]
pub struct ClientInfo {
    /// Address as far as the trusted proxies tell it.
    pub ip: Option<IpAddr>,
    /// The request id.
    pub request_id: Arc<str>,
    /// The browser's own description, cut to 400 characters.
    pub user_agent: String,
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for ClientInfo {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut http::request::Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::unauthenticated)
    }
}

/// The session cookie's name, by the scheme of the public URL.
pub fn session_cookie_name(hub: &Hub) -> &'static str {
    if hub.is_https() { SESSION_COOKIE_HTTPS } else { SESSION_COOKIE_HTTP }
}

/// Names the client, authenticates what credentials there are, applies the cross-site rules. Runs
/// for every API route; routes that need a sign-in then insist on the context.
pub(super) async fn authenticate(
    State(hub): State<Hub>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let client = ClientInfo {
        ip: client_ip(request.headers(), peer, &hub.config().server.trusted_proxies),
        request_id: super::observe::request_id(&request),
        user_agent: user_agent(request.headers()),
    };
    let bearer = bearer_token(request.headers());
    let cookie = cookie(request.headers(), session_cookie_name(&hub));
    let context: Option<Context> = if let Some(token) = bearer {
        Some(identity::authenticate_token(&hub, &client, token).await?)
    } else if let Some(cookie) = cookie {
        let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let upgrade = request.headers().contains_key(header::UPGRADE);
        if (!safe || upgrade) && !same_origin(&hub, request.headers()) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "origin_mismatch",
                "This request comes from another site. Use the address the hub is configured with.",
            ));
        }
        identity::authenticate_cookie(&hub, &client, cookie).await?
    } else {
        None
    };
    let is_known = context.is_some();
    if let Some(context) = context {
        if let Some(visit) = request.extensions().get::<Arc<Visit>>() {
            visit.recognise(|| context.principal.actor.to_string());
        }
        tracing::Span::current().record("actor", tracing::field::display(&context.principal.actor));
        request.extensions_mut().insert(context);
    }
    request.extensions_mut().insert(client);
    let mut response = next.run(request).await;
    if is_known {
        response.extensions_mut().insert(ToKnown);
    }
    Ok(response)
}

/// Refuses who is not signed in.
pub(super) async fn require_sign_in(request: Request, next: Next) -> Result<Response, Problem> {
    if request.extensions().get::<Context>().is_none() {
        return Err(Problem::unauthenticated());
    }
    Ok(next.run(request).await)
}

/// Whether `Origin` is the hub's own public origin. Absent is not the same.
pub fn same_origin(hub: &Hub, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) => origin.as_bytes() == hub.origin().as_bytes(),
        _ => false,
    }
}

/// What the request proves with who it comes from: a token, or else the cookie.
pub(super) fn credential<'a>(hub: &Hub, headers: &'a HeaderMap) -> Option<&'a str> {
    bearer_token(headers).or_else(|| cookie(headers, session_cookie_name(hub)))
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The value of the cookie `name`, when it is there exactly once.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let value = found.next()?;
    found.next().is_none().then_some(value)
}

fn user_agent(headers: &HeaderMap) -> String {
    let text = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.chars().take(400).collect()
}

/// Walks `X-Forwarded-For` from the right, over addresses of trusted proxies.
fn client_ip(headers: &HeaderMap, peer: Option<IpAddr>, trusted: &[IpNetwork]) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut current = peer?.to_canonical();
    // Split as bytes: what a client put before the proxy's own entry need not be text.
    let forwarded = headers
        .get_all("x-forwarded-for")
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(forwarded_address)
        .collect::<Vec<_>>();
    for hop in forwarded.into_iter().rev().take(16) {
        if !is_trusted(current) {
            break;
        }
        match hop {
            Some(address) => current = address.to_canonical(),
            None => break,
        }
    }
    Some(current)
}

/// One entry of `X-Forwarded-For`: an address, `address:port` as some proxies write it, or `[IPv6]` with or without
/// a port.
fn forwarded_address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().map(IpAddr::V6).ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port).or_else(bracketed)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn forwarded_addresses_are_believed_from_trusted_proxies_only() {
        let forwarded = headers("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.0.0.2");
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        assert_eq!(client_ip(&forwarded, Some(proxy), &trusted), Some("203.0.113.9".parse().unwrap()));
        assert_eq!(client_ip(&forwarded, Some(proxy), &[]), Some(proxy));
    }

    #[test]
    fn what_a_client_puts_before_the_proxys_entry_does_not_hide_it() {
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let lines: &[(&[u8], &str)] = &[
            (b"\xff, 203.0.113.9", "203.0.113.9"),
            (b"203.0.113.9:4711", "203.0.113.9"),
            (b"6.6.6.6, 203.0.113.9:4711 , 10.0.0.2:80", "203.0.113.9"),
            (b"[2001:db8::9]:4711", "2001:db8::9"),
            (b"[2001:db8::9]", "2001:db8::9"),
            (b"2001:db8::9", "2001:db8::9"),
            (b"[::ffff:203.0.113.9]:1", "203.0.113.9"),
            (b"203.0.113.9, \xff", "10.0.0.1"),
            (b"203.0.113.9, [10.0.0.2]", "10.0.0.1"),
            (b"203.0.113.9:x", "10.0.0.1"),
            (b"", "10.0.0.1"),
        ];
        for (line, expected) in lines {
            let value = HeaderValue::from_bytes(line).unwrap();
            let forwarded = HeaderMap::from_iter([(http::HeaderName::from_static("x-forwarded-for"), value)]);
            let expected = Some(expected.parse().unwrap());
            assert_eq!(client_ip(&forwarded, Some(proxy), &trusted), expected, "{:?}", line.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_cookie_that_is_there_twice_counts_as_absent() {
        assert_eq!(cookie(&headers("cookie", "a=1; openpam=x; b=2"), "openpam"), Some("x"));
        assert_eq!(cookie(&headers("cookie", "openpam=x; openpam=y"), "openpam"), None);
        assert_eq!(cookie(&headers("cookie", "openpam2=x"), "openpam"), None);
    }
}
