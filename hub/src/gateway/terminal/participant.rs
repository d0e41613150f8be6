//! The task that serves one participant: owns their socket, reads what the session's task shows, and
//! draws the screen anew when they fell behind. It waits for them; the session does not.

use std::time::Duration;

use axum::extract::ws::WebSocket;
use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{
    attachments::Visit,
    audience::{Consent, Feed, Said, Subscription, View, Waiting},
    farewell,
    keys::is_typed,
    messages::{ClientMessage, MessageError, NOT_YOURS, READ_ONLY, ServerMessage, TOO_MUCH_INPUT},
    output::{CREDIT, Output},
    socket::{self, Event, Socket},
    typing::{Parked, Parking, Typed},
};
use crate::{
    db::DbError,
    domains::{
        sessions::{self, End, InputChange, Leave, LiveParticipant, ParticipantKind, Seat},
        settings,
    },
    http::Problem,
    state::Hub,
};

/// Pieces of output taken at once before the socket has its turn.
const BATCH: usize = 16;
/// Between two screens for who falls behind again and again.
const PACE: Duration = Duration::from_millis(500);
/// Between two requests to type.
const ASK_AGAIN: Duration = Duration::from_secs(3);
/// How long the trail may take, before a right to type is not given.
const TRAIL: Duration = Duration::from_secs(5);
/// Between two tries to write that a right to type is no more.
const WRITE_AGAIN: Duration = Duration::from_secs(5);
/// How long the session's task may take to say that it is over.
const LAST_WORD: Duration = Duration::from_secs(1);
/// After the session's end its last output may take this long.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// Serves a participant until they or the session leave. The trail says that they see the session
/// before they do, and when they no longer did.
pub(super) async fn serve(hub: Hub, seat: Seat, visits: mpsc::Sender<Visit>, socket: WebSocket) {
    let participant = seat.participant().clone();
    let mut socket = Socket::new(socket);
    let visible = match begin(&hub, &participant).await {
        Ok(visible) => visible,
        Err(problem) => {
            let end = End::Failed { code: problem.code(), message: problem.detail().to_owned() };
            return farewell::say(socket, &participant.context.request_id, &end).await;
        }
    };
    tracing::info!(session_id = %participant.session.id, participant_id = %participant.id,
        kind = participant.kind.name(), "somebody watches a session");
    let request_id = participant.context.request_id.clone();
    socket.last_heard = Instant::now();
    let (consent, decided) = watch::channel(Consent::default());
    let now = Instant::now();
    let mut server = Server {
        hub: hub.clone(),
        participant: participant.clone(),
        visible,
        visits,
        socket,
        output: Output::default(),
        consent: Some(consent),
        decided,
        feed: None,
        waiting: Waiting::default(),
        typing: None,
        next_size: None,
        screen_until: 0,
        screen_at: now,
        may_type: None,
        asked: false,
        ask_at: now,
        parked: Parked::default(),
        unwritten: None,
        next_ping: now + keepalive(&hub),
    };
    let over = server.run().await;
    if let Over::Leave(Leave::SessionEnded(_)) = &over {
        server.last_output().await;
    }
    let _ = server.visits.send(Visit::Said(participant.id, Said::Left)).await;
    let (socket, unwritten) = (server.socket, server.unwritten.map(|(ended, _)| ended));
    let code = match &over {
        Over::Left => "left",
        Over::Broken(_, code) => code,
        Over::Leave(leave) => leave.code(),
    };
    let goodbye = async {
        match &over {
            Over::Left => socket.close(&mut Output::default(), 1000, "left").await,
            Over::Broken(close_code, code) => socket.close(&mut Output::default(), *close_code, code).await,
            Over::Leave(leave) => farewell::say(socket, &request_id, leave.end()).await,
        }
    };
    tokio::join!(goodbye, finish(&hub, &participant, unwritten, code));
    drop(seat);
}

async fn begin(hub: &Hub, participant: &LiveParticipant) -> Result<bool, Problem> {
    let mut tx = hub.db().begin(&participant.context).await?;
    // Who joins is always shown.
    let visible =
        participant.kind == ParticipantKind::Join || settings::effective(&mut tx, hub.config()).await?.watch_visible;
    sessions::begin_participation(&mut tx, hub, participant, visible).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(visible)
}

/// Writes that they left; tries again while the database is down. What cannot be written in the end is
/// closed by the reconciler.
async fn finish(hub: &Hub, participant: &LiveParticipant, mut unwritten: Option<Ended>, code: &str) {
    for delay in [0, 1, 2, 4, 8] {
        tokio::time::sleep(Duration::from_secs(delay)).await;
        let writing = async {
            if let Some(ended) = unwritten {
                sessions::record_input_change(hub, participant, ended.change, ended.code).await?;
                unwritten = None;
            }
            sessions::end_participation(hub, participant, code).await
        };
        match writing.await {
            Ok(()) => return,
            Err(error) => {
                tracing::error!(participant_id = %participant.id, %error, "could not write that somebody left");
            }
        }
    }
}

fn keepalive(hub: &Hub) -> Duration {
    Duration::from_secs(hub.config().terminal.keepalive_seconds.max(1))
}

/// Why a participant is served no more.
enum Over {
    /// They left.
    Left,
    /// They broke the protocol; with the close code and the reason.
    Broken(u16, &'static str),
    /// They had to.
    Leave(Leave),
}

/// How a right to type ended, or did not begin.
#[derive(Debug, Clone, Copy)]
struct Ended {
    change: InputChange,
    code: Option<&'static str>,
}

enum Act {
    Browser(Event),
    Written(Result<(), axum::Error>),
    Fed(Option<Feed>),
    Room,
    Decided,
    Leave(Leave),
    Time,
}

struct Server {
    hub: Hub,
    participant: std::sync::Arc<LiveParticipant>,
    visible: bool,
    visits: mpsc::Sender<Visit>,
    socket: Socket,
    output: Output,
    /// Given to the session's task with the first subscription.
    consent: Option<watch::Sender<Consent>>,
    decided: watch::Receiver<Consent>,
    /// `None` when they fell behind and the screen must be drawn anew.
    feed: Option<mpsc::Receiver<Feed>>,
    waiting: Waiting,
    typing: Option<mpsc::Sender<Typed>>,
    /// Told once the output before it is sent.
    next_size: Option<(u16, u16)>,
    /// Where in their output the last screen ends: it is sent whole.
    screen_until: u64,
    /// When the next screen may be drawn.
    screen_at: Instant,
    /// The decision by which they may type.
    may_type: Option<u64>,
    /// They have asked, and nobody answered.
    asked: bool,
    ask_at: Instant,
    /// What they typed and the session has no room for. They are listened to all the same.
    parked: Parked,
    /// The end of a right to type that does not stand in the trail yet, and when to try again.
    unwritten: Option<(Ended, Instant)>,
    next_ping: Instant,
}

impl Server {
    async fn run(&mut self) -> Over {
        let mut leave_requests = self.participant.leave_requests();
        loop {
            if self.feed.is_none()
                && let Err(over) = self.catch_up(&mut leave_requests).await
            {
                return over;
            }
            if let Some((cols, rows)) = self.next_size
                && self.output.is_drained()
            {
                self.next_size = None;
                self.socket.queue(&ServerMessage::Size { cols, rows });
            }
            let may_take = self.output.may_read(false) && self.next_size.is_none();
            let waits_for_pace = self.feed.is_none() && Instant::now() < self.screen_at;
            let deadline = if waits_for_pace { self.next_ping.min(self.screen_at) } else { self.next_ping };
            let deadline = self.unwritten.as_ref().map_or(deadline, |(_, again_at)| deadline.min(*again_at));
            let wants_to_write = self.socket.wants_to_write(&self.output);
            let (reader, writer) = self.socket.split();
            let writer = wants_to_write.then_some(writer);
            let act = tokio::select! {
                leave = asked_to_leave(&mut leave_requests) => Act::Leave(leave),
                event = socket::next_event(Some(reader)) => Act::Browser(event),
                written = socket::write(writer, &mut self.output) => Act::Written(written),
                fed = next_fed(self.feed.as_mut()), if may_take => Act::Fed(fed),
                () = has_room(self.typing.as_ref()), if !self.parked.is_empty() => Act::Room,
                Ok(()) = self.decided.changed() => Act::Decided,
                () = tokio::time::sleep_until(deadline) => Act::Time,
            };
            match act {
                Act::Leave(leave) => return Over::Leave(leave),
                Act::Browser(event) => {
                    if let Some(over) = self.on_browser(event).await {
                        return over;
                    }
                }
                Act::Written(Ok(())) => {}
                Act::Written(Err(_)) => return Over::Left,
                Act::Fed(fed) => self.on_fed(fed),
                Act::Room => self.hand_over(),
                Act::Decided => self.on_decided().await,
                Act::Time => {
                    if self.unwritten.is_some_and(|(_, again_at)| again_at <= Instant::now()) {
                        self.write_again().await;
                    }
                    if !self.check_signs_of_life() {
                        return Over::Left;
                    }
                }
            }
        }
    }

    fn on_fed(&mut self, fed: Option<Feed>) {
        let Some(item) = fed else {
            self.feed = None;
            return;
        };
        self.take(item);
        for _ in 1..BATCH {
            if self.next_size.is_some() || !self.output.may_read(false) {
                return;
            }
            // A feed that is closed is seen at the next turn.
            let Some(Ok(item)) = self.feed.as_mut().map(mpsc::Receiver::try_recv) else { return };
            self.take(item);
        }
    }

    fn take(&mut self, item: Feed) {
        self.waiting.took(&item);
        match item {
            Feed::Output(bytes) => self.output.push(bytes),
            Feed::Size(cols, rows) => self.next_size = Some((cols, rows)),
            Feed::Told(text) => self.socket.queue_text(text),
        }
    }

    /// Draws the screen as it is now, once the one before was sent, they have room for it, and the pace
    /// allows it: for who comes, and for who fell behind.
    async fn catch_up(&mut self, leave_requests: &mut watch::Receiver<Option<Leave>>) -> Result<(), Over> {
        let leaving = leave_requests.borrow().clone();
        if let Some(leave) = leaving {
            return Err(Over::Leave(leave));
        }
        if self.output.sent() < self.screen_until
            || self.output.in_flight() > CREDIT / 2
            || Instant::now() < self.screen_at
        {
            return Ok(());
        }
        self.output.drop_unsent();
        self.next_size = None;
        self.screen_at = Instant::now() + PACE;
        let drawn = tokio::select! {
            leave = asked_to_leave(leave_requests) => return Err(Over::Leave(leave)),
            drawn = subscribe(&self.hub, &self.visits, self.participant.clone(), self.visible, self.consent.take()) => drawn,
        };
        let Some(Drawn { screen, size: (cols, rows), recorded, feed, waiting, typing }) = drawn else {
            // The session's task is gone: it says how, unless they came when it had just ended.
            let leave = tokio::time::timeout(LAST_WORD, asked_to_leave(leave_requests)).await;
            let ended = || Leave::SessionEnded(End::Exited { status: None, signal: None });
            return Err(Over::Leave(leave.unwrap_or_else(|_| ended())));
        };
        self.socket.queue(&ServerMessage::Watching {
            session_id: self.participant.session.id,
            participant: self.participant.id,
            user_name: &self.participant.session.context.principal.name,
            offset: self.output.end(),
            snapshot: true,
            recorded,
            cols,
            rows,
        });
        self.output.push(screen);
        self.screen_until = self.output.end();
        (self.feed, self.waiting, self.typing) = (Some(feed), waiting, Some(typing));
        Ok(())
    }

    async fn on_browser(&mut self, event: Event) -> Option<Over> {
        self.socket.last_heard = Instant::now();
        match event {
            Event::Input(bytes) => match self.may_type {
                Some(decision) => self.on_input(decision, bytes),
                None => self.complain(READ_ONLY),
            },
            Event::Message(ClientMessage::Ack { bytes }) => self.output.acknowledge(bytes),
            Event::Message(ClientMessage::Disconnect) | Event::Gone => return Some(Over::Left),
            // The terminal has the size of its person's window.
            Event::Message(ClientMessage::Resize { .. }) if self.participant.kind == ParticipantKind::Join => {}
            Event::Message(ClientMessage::Resize { .. }) => self.complain(READ_ONLY),
            Event::Message(ClientMessage::RequestInput) if self.participant.kind == ParticipantKind::Join => {
                self.ask_to_type().await;
            }
            Event::Message(ClientMessage::RequestInput | ClientMessage::Input { .. }) => self.complain(NOT_YOURS),
            Event::Misunderstood(error) => {
                if self.socket.is_first_misunderstanding() {
                    let (session_id, request_id) = (self.participant.session.id, &*self.participant.context.request_id);
                    tracing::info!(%session_id, request_id, code = error.code, "message not understood");
                }
                self.complain(error);
            }
            Event::Violation(code, error) => {
                self.complain(error);
                return Some(Over::Broken(code, error.code));
            }
            Event::Alive => {}
        }
        None
    }

    fn on_input(&mut self, decision: u64, bytes: Bytes) {
        if is_typed(&bytes) {
            self.participant.note_key();
        }
        match self.parked.take(decision, &bytes, Instant::now()) {
            Parking::Taken => self.hand_over(),
            Parking::Refused => self.complain(TOO_MUCH_INPUT),
            Parking::RefusedAgain => {}
        }
    }

    /// Hands over what was typed, if the session has room for it.
    fn hand_over(&mut self) {
        if let Some(typing) = &self.typing {
            self.parked.hand_over(typing);
        }
    }

    async fn ask_to_type(&mut self) {
        if self.asked || self.may_type.is_some() || Instant::now() < self.ask_at {
            return;
        }
        self.ask_at = Instant::now() + ASK_AGAIN;
        if self.write(InputChange::Requested, None).await {
            self.asked = true;
            self.say(Said::AsksToType).await;
        }
    }

    /// The session's person decided: what they allow holds once the trail has it, what they take
    /// back at once.
    async fn on_decided(&mut self) {
        let Consent { decision, allowed, person_left } = *self.decided.borrow_and_update();
        let asked = std::mem::take(&mut self.asked);
        if allowed {
            // INVARIANT: the trail tells one right after the other.
            if self.write_again().await && self.write(InputChange::Granted, None).await {
                self.may_type = Some(decision);
                self.say(Said::Written(decision)).await;
            } else {
                self.say(Said::NotWritten(decision)).await;
                // What took too long may stand there all the same.
                self.write_end(Ended { change: InputChange::TakenBack, code: Some("not_written") }).await;
            }
            return;
        }
        self.parked.forget();
        // The session's task lets nothing through already; this is for the trail.
        let change =
            if self.may_type.take().is_some() || !asked { InputChange::TakenBack } else { InputChange::Refused };
        self.write_end(Ended { change, code: person_left.then_some("person_left") }).await;
    }

    /// Writes that a right to type is no more, if need be later.
    async fn write_end(&mut self, ended: Ended) {
        if !self.write(ended.change, ended.code).await {
            // Several of them say no more than the last one.
            self.unwritten = Some((ended, Instant::now() + WRITE_AGAIN));
        }
    }

    /// Tries again to write what could not be written; whether nothing is left of it.
    async fn write_again(&mut self) -> bool {
        let Some((ended, _)) = self.unwritten else { return true };
        let written = self.write(ended.change, ended.code).await;
        self.unwritten = (!written).then(|| (ended, Instant::now() + WRITE_AGAIN));
        written
    }

    /// Writes into the trail; whether it stands there.
    async fn write(&mut self, change: InputChange, code: Option<&str>) -> bool {
        let writing = sessions::record_input_change(&self.hub, &self.participant, change, code);
        let error = match tokio::time::timeout(TRAIL, writing).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the database does not answer in time".to_owned(),
        };
        tracing::error!(participant_id = %self.participant.id, error, "could not write about a right to type");
        self.socket.queue(&ServerMessage::notice("The hub could not write down who types. Try again in a moment."));
        false
    }

    async fn say(&self, said: Said) {
        // Fails when the session is over, which is heard elsewhere.
        let _ = self.visits.send(Visit::Said(self.participant.id, said)).await;
    }

    fn complain(&mut self, error: MessageError) {
        let request_id = &*self.participant.context.request_id;
        self.socket.queue(&ServerMessage::Error { code: error.code, message: error.message, request_id });
    }

    fn check_signs_of_life(&mut self) -> bool {
        let now = Instant::now();
        if now < self.next_ping {
            return true;
        }
        let period = keepalive(&self.hub);
        self.next_ping = now + period;
        self.socket.queue_ping();
        now.duration_since(self.socket.last_heard) <= period * 2 + Duration::from_secs(5)
    }

    /// Sends what the session said before it ended, as far as they take it.
    async fn last_output(&mut self) {
        let sending = async {
            loop {
                while self.output.may_read(false)
                    && let Some(Ok(item)) = self.feed.as_mut().map(mpsc::Receiver::try_recv)
                {
                    self.take(item);
                }
                if self.output.is_drained() {
                    return;
                }
                let wants_to_write = self.socket.wants_to_write(&self.output);
                let (reader, writer) = self.socket.split();
                tokio::select! {
                    event = socket::next_event(Some(reader)) => match event {
                        Event::Message(ClientMessage::Ack { bytes }) => self.output.acknowledge(bytes),
                        Event::Gone | Event::Violation(..) => return,
                        _ => {}
                    },
                    written = socket::write(wants_to_write.then_some(writer), &mut self.output) => {
                        if written.is_err() {
                            return;
                        }
                    }
                }
            }
        };
        let _ = tokio::time::timeout(LAST_OUTPUT, sending).await;
    }
}

/// What a participant sees first, drawn, and where the rest comes.
struct Drawn {
    screen: Bytes,
    size: (u16, u16),
    recorded: bool,
    feed: mpsc::Receiver<Feed>,
    waiting: Waiting,
    typing: mpsc::Sender<Typed>,
}

/// Asks the session's task for what it retains and draws it. `None` when that task is gone.
async fn subscribe(
    hub: &Hub,
    visits: &mpsc::Sender<Visit>,
    participant: std::sync::Arc<LiveParticipant>,
    visible: bool,
    consent: Option<watch::Sender<Consent>>,
) -> Option<Drawn> {
    let (answer, answered) = oneshot::channel();
    visits.send(Visit::Watcher(Box::new(Subscription { participant, visible, consent, answer }))).await.ok()?;
    let View { retained, sizes, recorded, feed, waiting, typing } = answered.await.ok()?;
    let size = sizes.last();
    let screen = hub.terminals().drawing().draw(retained, sizes).await;
    Some(Drawn { screen, size, recorded, feed, waiting, typing })
}

async fn asked_to_leave(requests: &mut watch::Receiver<Option<Leave>>) -> Leave {
    match requests.wait_for(Option::is_some).await.map(|leave| leave.clone()) {
        Ok(Some(leave)) => leave,
        _ => std::future::pending().await,
    }
}

async fn next_fed(feed: Option<&mut mpsc::Receiver<Feed>>) -> Option<Feed> {
    match feed {
        Some(feed) => feed.recv().await,
        None => std::future::pending().await,
    }
}

/// Returns when the session takes more input, or none at all any more.
async fn has_room(typing: Option<&mpsc::Sender<Typed>>) {
    match typing {
        Some(typing) => drop(typing.reserve().await),
        None => std::future::pending().await,
    }
}
