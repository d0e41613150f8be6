//! How a browser that comes back finds the task that carries its session.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::extract::ws::WebSocket;
use bytes::Bytes;
use openpam_ids::{AuthSessionId, ParticipantId, SessionId};
use openpam_secret::{ExposeSecret as _, SecretHash, SecretString, random_token};
use tokio::sync::{mpsc, oneshot};

use super::{
    audience::{Lacks, Said, Subscription},
    screen::Drawing,
};

/// What comes to the task that carries a session, from others than its browser.
pub(super) enum Visit {
    /// The session's person comes, or comes back.
    Browser(Box<Arrival>),
    /// A browser that comes back asks whether it needs the whole screen.
    Returns(u64, oneshot::Sender<Option<Lacks>>),
    /// Somebody wants to see the screen and what follows.
    Watcher(Box<Subscription>),
    /// A participant says something.
    Said(ParticipantId, Said),
}

/// A browser on its way to its session.
pub(super) struct Arrival {
    /// Its socket.
    pub socket: WebSocket,
    /// What it has already; `None` for the first browser, which has nothing.
    pub offset: Option<u64>,
    /// The sign-in it came with.
    pub sign_in: Option<AuthSessionId>,
    /// Its terminal's size.
    pub size: (u16, u16),
    /// The screen as it was at this position, for a browser that comes back too late for what it missed.
    pub screen: Option<(u64, Bytes)>,
}

/// The sessions of this hub that a browser can come back to.
#[derive(Default)]
pub struct Attachments {
    doors: Mutex<HashMap<SessionId, Door>>,
    drawing: Drawing,
}

struct Door {
    token: Option<SecretHash>,
    visits: mpsc::Sender<Visit>,
}

impl Attachments {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Door>> {
        // The map is never left half changed.
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where screens are drawn.
    pub(super) fn drawing(&self) -> &Drawing {
        &self.drawing
    }

    /// Opens the door to a session.
    pub(super) fn open(&self, id: SessionId) -> mpsc::Receiver<Visit> {
        let (visits, receiver) = mpsc::channel(4);
        self.lock().insert(id, Door { token: None, visits });
        receiver
    }

    /// The way to a session that was opened just now.
    pub(super) fn visits(&self, id: SessionId) -> Option<mpsc::Sender<Visit>> {
        self.lock().get(&id).map(|door| door.visits.clone())
    }

    /// Closes it: the session is over.
    pub(super) fn close(&self, id: SessionId) {
        self.lock().remove(&id);
    }

    /// A fresh token for the session; the one before no longer works. `None` when it is not here.
    pub(super) fn new_token(&self, id: SessionId, random: &dyn aws_lc_rs::rand::SecureRandom) -> Option<SecretString> {
        let token = random_token::<32>(random).ok()?;
        self.lock().get_mut(&id)?.token = Some(SecretHash::of(token.expose_secret().as_bytes()));
        Some(token)
    }

    /// Takes the session's token, if it is this one: a token works once.
    pub(super) fn redeem(&self, id: SessionId, token: &str) -> Option<mpsc::Sender<Visit>> {
        let mut doors = self.lock();
        let door = doors.get_mut(&id)?;
        let hash = door.token?;
        if !SecretHash::of(token.as_bytes()).matches(hash.as_bytes()) {
            return None;
        }
        door.token = None;
        Some(door.visits.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_works_once_and_only_the_newest() {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let attachments = Attachments::default();
        let id = SessionId::from_uuid(uuid::Uuid::from_u128(1));
        assert!(attachments.new_token(id, &random).is_none(), "there is no such session");
        let _arrivals = attachments.open(id);
        let old = attachments.new_token(id, &random).unwrap();
        let new = attachments.new_token(id, &random).unwrap();
        assert!(attachments.redeem(id, old.expose_secret()).is_none());
        assert!(attachments.redeem(id, new.expose_secret()).is_some());
        assert!(attachments.redeem(id, new.expose_secret()).is_none());
        attachments.close(id);
        assert!(attachments.new_token(id, &random).is_none());
    }
}
