//! Live updates of the console: what is announced, as server-sent events (WHATWG HTML §9.2). Each says which type of
//! thing changed, not what it is now: the console asks for that as ever, with the rights it has then.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures::stream;
use http::{HeaderValue, StatusCode, header};
use openpam_ids::UserId;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::Instant,
};
use utoipa_axum::routes;

use crate::{
    context::{Context, Principal},
    db::{ChangeReceiver, ChangeScope},
    domains::{events::Announced, identity},
    http::{Access, Problem, ProblemBody, Routes},
    permissions::{Permission, permits},
    state::Hub,
    tally::Tally,
};

/// Streams of one person at this hub.
const MAX_OF_ONE: usize = 20;
/// Streams of one address at this hub: many people may be behind one.
const MAX_OF_ADDRESS: usize = 500;
/// Streams at this hub.
const MAX_AT_ALL: usize = 2_000;
/// Between two looks at whether the person may still listen, also when nothing is announced.
const CHECK: Duration = Duration::from_secs(5);
/// Without a word for so long, something between may take the connection for dead.
const BEAT: Duration = Duration::from_secs(15);
/// A stream ends after this time, and the browser comes back.
const LIFETIME: Duration = Duration::from_secs(1_800);
/// After this time a browser comes back.
const RETRY: Duration = Duration::from_secs(2);

pub(crate) fn routes() -> Routes {
    Routes::new().add(Access::SignedIn, routes!(stream_events))
}

/// Who listens.
#[derive(Debug, Default)]
pub struct Listeners {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    by_user: Tally<UserId>,
    by_address: Tally<IpAddr>,
}

impl Listeners {
    fn begin(&self, user: UserId, address: Option<IpAddr>) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let beside = address.map_or(0, |address| taken.by_address.of(&address));
        if taken.by_user.of(&user) >= MAX_OF_ONE || beside >= MAX_OF_ADDRESS || taken.by_user.total() >= MAX_AT_ALL {
            return false;
        }
        taken.by_user.add(user);
        if let Some(address) = address {
            taken.by_address.add(address);
        }
        true
    }

    fn end(&self, user: UserId, address: Option<IpAddr>) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.by_user.take_off(&user);
        if let Some(address) = address {
            taken.by_address.take_off(&address);
        }
    }
}

/// A place among the listeners, given back when the stream is dropped.
struct Seat {
    hub: Hub,
    user: UserId,
    address: Option<IpAddr>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.listeners().end(self.user, self.address);
    }
}

/// What changes, while it does: for people in a browser. `ready` first, and `reset` when something may have been
/// missed: ask for everything anew then. `event` names the type and what it is about.
#[utoipa::path(get, path = "/api/v1/events/stream", tag = "events",
    responses((status = 200, body = String, content_type = "text/event-stream"), (status = 403, body = ProblemBody),
              (status = 429, body = ProblemBody)))]
async fn stream_events(State(hub): State<Hub>, context: Context) -> Result<Response, Problem> {
    let (Some(user), Some(_)) = (context.principal.user_id(), context.principal.auth_session) else {
        return Err(Problem::new(StatusCode::FORBIDDEN, "not_a_person", "Only people in a browser may do this."));
    };
    let address = context.client_ip;
    if !hub.listeners().begin(user, address) {
        let detail = "As many pages listen for changes as may. Close some of them.";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_listeners", detail).retry_after(30));
    }
    let listening = Listening {
        announced: hub.events().subscribe(),
        changes: hub.changes().subscribe(),
        principal: context.principal.clone(),
        seat: Seat { hub, user, address },
        context,
        end: Instant::now() + LIFETIME,
        check: Instant::now() + CHECK,
        beat: Instant::now() + BEAT,
    };
    let first = stream::iter([Ok::<_, Infallible>(Event::default().event("ready").data("{}").retry(RETRY))]);
    let rest = stream::unfold(listening, |mut listening| async move {
        let event = listening.next().await?;
        Some((Ok(event), listening))
    });
    let mut response = Sse::new(futures::StreamExt::chain(first, rest)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would wait for more.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

struct Listening {
    announced: Receiver<Announced>,
    changes: ChangeReceiver,
    /// As of the last look.
    principal: Arc<Principal>,
    seat: Seat,
    context: Context,
    end: Instant,
    check: Instant,
    beat: Instant,
}

/// What woke a stream.
enum Woken {
    Announced(Result<Announced, RecvError>),
    Changed(ChangeScope),
    Beat,
    End,
}

impl Listening {
    /// The next thing to say; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        let lifecycle = self.seat.hub.lifecycle().clone();
        loop {
            // Each of these is cancel safe.
            let woken = tokio::select! {
                biased;
                () = lifecycle.soft().cancelled() => Woken::End,
                () = tokio::time::sleep_until(self.end) => Woken::End,
                scope = self.changes.next(self.check) => Woken::Changed(scope),
                announced = self.announced.recv() => Woken::Announced(announced),
                () = tokio::time::sleep_until(self.beat) => Woken::Beat,
            };
            match woken {
                Woken::End => return None,
                Woken::Changed(scope) => {
                    if scope == ChangeScope::Everything {
                        self.check = Instant::now() + CHECK;
                    }
                    if scope.covers(self.context.tenant_id) {
                        self.principal = self.look().await?;
                    }
                }
                Woken::Announced(Ok(Announced::Event { tenant_id, event_id, event_type, subject, user_id })) => {
                    if tenant_id != self.context.tenant_id || !self.may_hear(&event_type, user_id) {
                        continue;
                    }
                    let data = serde_json::json!({
                        "event_id": event_id, "event_type": &*event_type, "subject": subject.as_deref(),
                    });
                    return Some(self.say(Event::default().event("event").data(data.to_string())));
                }
                Woken::Announced(Ok(Announced::Gap) | Err(RecvError::Lagged(_))) => {
                    return Some(self.say(Event::default().event("reset").data("{}")));
                }
                Woken::Announced(Err(RecvError::Closed)) => return None,
                Woken::Beat => return Some(self.say(Event::default().comment(""))),
            }
        }
    }

    fn say(&mut self, event: Event) -> Event {
        self.beat = Instant::now() + BEAT;
        event
    }

    /// The person as they are now; `None` when they were signed out or did nothing for too long. While the database does not answer, nobody
    /// learns anything either.
    async fn look(&self) -> Option<Arc<Principal>> {
        let hub = &self.seat.hub;
        let session = self.context.principal.auth_session?;
        let mut tx = hub.db().begin(&self.context).await.ok()?;
        identity::listener(hub, &mut tx, self.seat.user, session).await.ok()?.map(Arc::new)
    }

    /// Whether the person may know that something of this type happened, to this person.
    fn may_hear(&self, event_type: &str, whose: Option<UserId>) -> bool {
        if event_type.starts_with("openpam.session.") && whose == Some(self.seat.user) {
            return true;
        }
        let needed = match event_type.split('.').nth(1) {
            _ if !event_type.starts_with("openpam.") => Permission::EventRead,
            Some("session") => Permission::SessionReadAll,
            Some("user") => Permission::IdentityRead,
            _ => Permission::EventRead,
        };
        permits(&self.principal, needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_has_so_many_streams_and_gives_them_back() {
        let listeners = Listeners::default();
        let [one, other] = [1, 2].map(|number| UserId::from_uuid(uuid::Uuid::from_u128(number)));
        let [here, there] = ["10.0.0.1", "10.0.0.2"].map(|address| address.parse().ok());
        assert!((0..MAX_OF_ONE).all(|_| listeners.begin(one, here)));
        assert!(!listeners.begin(one, there) && listeners.begin(other, here));
        listeners.end(one, here);
        assert!(listeners.begin(one, here));
        for _ in 0..MAX_OF_ONE {
            listeners.end(one, here);
        }
        listeners.end(other, here);
        let taken = listeners.taken.lock().unwrap();
        assert!(taken.by_user.is_empty() && taken.by_address.is_empty(), "{taken:?}");
    }

    #[test]
    fn one_address_leaves_room_for_others() {
        let listeners = Listeners::default();
        let [here, there] = ["10.0.0.1", "10.0.0.2"].map(|address| address.parse().ok());
        let user = |number: usize| UserId::from_uuid(uuid::Uuid::from_u128(number as u128));
        assert!((0..MAX_OF_ADDRESS).all(|number| listeners.begin(user(number), here)));
        assert!(!listeners.begin(user(MAX_OF_ADDRESS), here) && listeners.begin(user(MAX_OF_ADDRESS), there));
    }
}
