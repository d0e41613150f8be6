//! Leads to the hub that carries a session: who watches or joins one needs not know which hub that is.
//!
//! The other hub decides, writes the trail and serves as it does for anybody. It is asked with the person's own
//! cookie, so that no hub lends anybody a right, and has to trust no other. This one passes bytes on, both ways, and
//! looks at none of them: signs of life, acknowledgements and the goodbye are those of the two ends.

use std::time::Duration;

use anyhow::Context as _;
use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use openpam_ids::SessionId;
use serde_json::json;

use crate::{
    config,
    context::Context,
    domains::sessions::{self, ParticipantKind, Peer},
    http::{Problem, SESSION_COOKIE_HTTP, SESSION_COOKIE_HTTPS, cookie, session_cookie_name},
    state::Hub,
};

/// Says that a request was passed on: it is not passed on again, whatever two hubs think of each other.
const PASSED_ON: HeaderName = HeaderName::from_static("openpam-passed-on");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// How long the other hub may take to be reached, and to answer.
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(10);
/// How long what the carrying hub still says is passed on to a browser that sends no more.
const GOODBYE: Duration = Duration::from_secs(5);
/// Bytes of a refusal that are passed on.
const MOST_REFUSAL: usize = 64 * 1024;
/// What of an upgrade the other hub has to know, and what the browser has to know of its answer.
const OF_REQUEST: [HeaderName; 3] =
    [header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION, header::SEC_WEBSOCKET_PROTOCOL];
const OF_ANSWER: [HeaderName; 2] = [header::SEC_WEBSOCKET_ACCEPT, header::SEC_WEBSOCKET_PROTOCOL];

/// The way to the other hubs of the database.
#[derive(Debug)]
pub struct Peers {
    http: reqwest::Client,
}

impl Peers {
    /// Ready to ask.
    ///
    /// # Errors
    /// When the CA's certificates cannot be read.
    pub fn new(server: &config::Server) -> anyhow::Result<Self> {
        let mut http = reqwest::Client::builder()
            // A person's cookie goes there, and nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .connect_timeout(CONNECT);
        if let Some(file) = &server.peer_ca_file {
            let read = || anyhow::Ok(reqwest::Certificate::from_pem_bundle(&std::fs::read(file)?)?);
            http = http.tls_certs_merge(read().with_context(|| format!("server.peer_ca_file {file}"))?);
        }
        Ok(Self { http: http.build()? })
    }

    async fn ask(
        &self,
        hub: &Hub,
        context: &Context,
        peer: &Peer,
        (method, path): (Method, String),
        more: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
        own: &HeaderMap,
    ) -> Result<reqwest::Response, Problem> {
        let value = cookie(own, session_cookie_name(hub)).ok_or_else(Problem::unauthenticated)?;
        // The other hub's browsers may have another scheme.
        let is_https = peer.origin.starts_with("https://");
        let name = if is_https { SESSION_COOKIE_HTTPS } else { SESSION_COOKIE_HTTP };
        let cookie = HeaderValue::from_str(&format!("{name}={value}"));
        let mut cookie = cookie.map_err(|_| Problem::unauthenticated())?;
        cookie.set_sensitive(true);
        let mut request = self
            .http
            .request(method, format!("{}{path}", peer.url.trim_end_matches('/')))
            .header(header::COOKIE, cookie)
            // This hub compared it with its own: the request is not of another site.
            .header(header::ORIGIN, &peer.origin)
            .header(PASSED_ON, "1");
        if let Some(address) = context.client_ip {
            request = request.header(FORWARDED_FOR, address.to_string());
        }
        if let Some(agent) = own.get(header::USER_AGENT) {
            request = request.header(header::USER_AGENT, agent);
        }
        match tokio::time::timeout(ANSWER, more(request).send()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(unreachable().caused_by(&error.without_url())),
            Err(elapsed) => Err(unreachable().caused_by(&elapsed)),
        }
    }
}

fn unreachable() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "session_hub_unreachable",
        "The hub that carries this session does not answer this one. Try again in a moment.",
    )
    .retry_after(5)
}

/// The hub to ask in place of this one, where it is another one that carries the session and that may be asked.
fn peer_of<'e>(error: &'e sessions::Error, headers: &HeaderMap) -> Option<&'e Peer> {
    match error {
        sessions::Error::OnAnotherHub { peer, .. } if !headers.contains_key(PASSED_ON) => peer.as_ref(),
        _ => None,
    }
}

/// An upgrade that may have to be passed on.
pub(super) struct Arriving {
    headers: HeaderMap,
    upgrade: Option<OnUpgrade>,
}

impl Arriving {
    /// Notes what is needed of it, before it is looked at as one of this hub's own.
    pub(super) fn of(request: &Request) -> Self {
        let upgrade = request.extensions().get::<OnUpgrade>().cloned();
        Self { headers: request.headers().clone(), upgrade }
    }

    /// Passes it on to the hub that carries the session; what that says is the answer.
    ///
    /// # Errors
    /// `why` it is not served here, where no other hub is to be asked.
    pub(super) async fn pass_on(
        self,
        hub: &Hub,
        context: &Context,
        id: SessionId,
        kind: ParticipantKind,
        why: sessions::Error,
    ) -> Result<Response, Problem> {
        let (Some(peer), Some(upgrade)) = (peer_of(&why, &self.headers), self.upgrade) else { return Err(why.into()) };
        let path = format!("/api/ws/watch/{id}?mode={}", kind.name());
        let upgrading = |mut request: reqwest::RequestBuilder| {
            for name in OF_REQUEST {
                for value in self.headers.get_all(&name) {
                    request = request.header(&name, value);
                }
            }
            request.header(header::CONNECTION, "Upgrade").header(header::UPGRADE, "websocket")
        };
        let answer = hub.peers().ask(hub, context, peer, (Method::GET, path), upgrading, &self.headers).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return refusal(answer).await;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        for name in OF_ANSWER {
            if let Some(value) = answer.headers().get(&name) {
                headers.insert(name, value.clone());
            }
        }
        let soft = hub.lifecycle().soft().clone();
        let peer_url = peer.url.clone();
        hub.lifecycle().spawn_child(tracing::Instrument::in_current_span(async move {
            let passed = tokio::select! {
                passed = pass(answer, upgrade) => passed,
                // The browser comes back, to another hub or to this one after its restart.
                () = soft.cancelled() => Ok(()),
            };
            match passed {
                Ok(()) => tracing::debug!(session_id = %id, peer_url, "nobody watches through this hub any more"),
                Err(error) => tracing::info!(session_id = %id, peer_url, error, "watching through this hub broke off"),
            }
        }));
        Ok(response)
    }
}

/// Passes bytes on until one of the two ends has gone.
async fn pass(answer: reqwest::Response, upgrade: OnUpgrade) -> Result<(), String> {
    let mut theirs = answer.upgrade().await.map_err(|error| openpam_telemetry::with_causes(&error))?;
    let ours = upgrade.await.map_err(|error| openpam_telemetry::with_causes(&error))?;
    let (mut from_them, mut to_them) = tokio::io::split(&mut theirs);
    let (mut from_us, mut to_us) = tokio::io::split(TokioIo::new(ours));
    let mut away = std::pin::pin!(tokio::io::copy(&mut from_us, &mut to_them));
    let mut here = std::pin::pin!(tokio::io::copy(&mut from_them, &mut to_us));
    // Where one end is done, the other has a moment for its goodbye: who stays open keeps nothing here.
    let passed = tokio::select! {
        passed = &mut away => passed.map(|_| here),
        passed = &mut here => return passed.map(drop).map_err(|error| error.to_string()),
    };
    let rest = passed.map_err(|error| error.to_string())?;
    let _ = tokio::time::timeout(GOODBYE, rest).await;
    Ok(())
}

/// Whether the session could be watched, as the hub says that carries it.
///
/// # Errors
/// `why` this hub does not say so itself, where no other hub is to be asked.
pub(super) async fn foresee(
    hub: &Hub,
    context: &Context,
    headers: &HeaderMap,
    id: SessionId,
    kind: ParticipantKind,
    why: sessions::Error,
) -> Result<Response, Problem> {
    let Some(peer) = peer_of(&why, headers) else { return Err(why.into()) };
    let path = format!("/api/v1/sessions/{id}/watch");
    let body = json!({ "mode": kind.name() });
    let answer = hub.peers().ask(hub, context, peer, (Method::POST, path), |it| it.json(&body), headers).await?;
    refusal(answer).await
}

/// What the other hub said, as it said it: its words name the request id of its own log.
async fn refusal(mut answer: reqwest::Response) -> Result<Response, Problem> {
    let mut body = Vec::new();
    let reading = async {
        while let Some(piece) = answer.chunk().await? {
            if body.len() + piece.len() > MOST_REFUSAL {
                break;
            }
            body.extend_from_slice(&piece);
        }
        Ok::<_, reqwest::Error>(())
    };
    match tokio::time::timeout(ANSWER, reading).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(unreachable().caused_by(&error.without_url())),
        Err(elapsed) => return Err(unreachable().caused_by(&elapsed)),
    }
    let status = answer.status();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for name in [header::CONTENT_TYPE, header::RETRY_AFTER] {
        if let Some(value) = answer.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_another_hub_carries_is_passed_on_and_only_once() {
        let peer = Peer { url: "https://10.0.0.2:8443".to_owned(), origin: "https://pam.example.com".to_owned() };
        let elsewhere =
            |peer: Option<&Peer>| sessions::Error::OnAnotherHub { address: String::new(), peer: peer.cloned() };
        let (fresh, mut passed) = (HeaderMap::new(), HeaderMap::new());
        passed.insert(PASSED_ON, HeaderValue::from_static("1"));
        assert_eq!(peer_of(&elsewhere(Some(&peer)), &fresh), Some(&peer));
        assert_eq!(peer_of(&elsewhere(Some(&peer)), &passed), None);
        assert_eq!(peer_of(&elsewhere(None), &fresh), None, "it has no address for other hubs");
        for error in [sessions::Error::Ended, sessions::Error::NotFound, sessions::Error::Forbidden] {
            assert_eq!(peer_of(&error, &fresh), None, "{error}");
        }
    }
}
