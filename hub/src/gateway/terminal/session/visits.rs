//! Who comes to a running session and who goes: its person's browsers, and those who watch or join.

use openpam_ids::ParticipantId;
use openpam_secret::ExposeSecret as _;
use tokio::time::Instant;

use super::{Carrier, RESTARTING, error_message};
use crate::gateway::terminal::{
    attachments::{Arrival, Visit},
    audience::{Audience, Room},
    keys::is_typed,
    messages::{MessageError, ServerMessage},
    output::Output,
    socket::Socket,
    typing::Typed,
};

impl Carrier {
    pub(super) fn on_visit(&mut self, visit: Visit) {
        let (audience, mut room) = self.audience();
        match visit {
            Visit::Browser(arrival) => self.on_arrival(*arrival),
            // Fails when the browser has gone again.
            Visit::Returns(offset, answer) => drop(answer.send(audience.lacks(offset, room.output))),
            Visit::Watcher(subscription) => audience.subscribe(*subscription, &mut room),
            Visit::Said(participant, said) => audience.on_said(participant, &said, &mut room),
        }
    }

    /// Somebody typed whom the session's person may have let.
    pub(super) fn on_typed(&mut self, who: ParticipantId, typed: Typed) {
        let (audience, mut room) = self.audience();
        let Some(bytes) = audience.admit(who, typed, &mut room) else { return };
        if is_typed(&bytes) {
            self.key_pressed();
            self.live.note_key_of_other();
        }
        self.take_input(bytes);
    }

    pub(super) fn audience(&mut self) -> (&mut Audience, Room<'_>) {
        let Self { audience, output, recorder, socket, .. } = self;
        (audience, Room { output, recorder: recorder.as_mut(), socket: socket.as_mut() })
    }

    /// Tells the browser what it did wrong.
    pub(super) fn complain(&mut self, error: MessageError) {
        if let Some(socket) = &mut self.socket {
            socket.queue(&error_message(&self.live, error.code, error.message));
        }
    }

    /// A browser comes, or comes back: what it lacks follows `ready`. One that is still there makes
    /// room.
    fn on_arrival(&mut self, arrival: Arrival) {
        if let Some(old) = &mut self.socket {
            let message = "This session was continued in another window.";
            let request_id = &*self.live.context.request_id;
            old.queue(&ServerMessage::Error { code: "resumed_elsewhere", message, request_id });
            self.dismiss(1000, "resumed_elsewhere");
        }
        let Some(token) = self.hub.terminals().new_token(self.live.id, self.hub.random()) else { return };
        self.live.set_sign_in(arrival.sign_in);
        if let Some((at, screen)) = arrival.screen
            && self.output.redraw(at, screen)
        {
            self.audience.redrawn(at);
        }
        let continuation = self.output.attach(arrival.offset.unwrap_or(0));
        let mut socket = Socket::new(arrival.socket);
        socket.queue(&ServerMessage::Ready {
            session_id: self.live.id,
            resume_token: token.expose_secret(),
            offset: continuation.offset,
            snapshot: continuation.snapshot,
            recorded: self.recorder.is_some(),
            resume_seconds: self.limits.grace.as_secs(),
            // Of this person's browsers: what others typed is none of it.
            input: u64::try_from(self.live.bytes().0).unwrap_or_default().saturating_sub(self.audience.typed_bytes()),
        });
        self.audience.introduce(&mut socket);
        if self.was_attached {
            self.resize(arrival.size);
        }
        if let Some(stop_at) = self.stop_at {
            let ends_at = self.time_of(stop_at);
            socket.queue(&ServerMessage::notice(RESTARTING).until(ends_at));
        }
        self.socket = Some(socket);
        self.detached_since = None;
        self.was_attached = true;
        self.endings.say_again();
        self.live.set_attached(true);
    }

    /// Closes the browser's socket; the session goes on.
    pub(super) fn dismiss(&mut self, code: u16, reason: &'static str) {
        if let Some(socket) = self.socket.take() {
            // What was on its way to this browser is sent again to the one that resumes.
            self.hub.lifecycle().spawn_child(async move { socket.close(&mut Output::default(), code, reason).await });
        }
        self.detach();
    }

    pub(super) fn detach(&mut self) {
        self.socket = None;
        self.audience.person_left();
        self.detached_since = Some(Instant::now());
        self.live.set_attached(false);
    }
}
