//! The one task that carries a session: owns the target's shell and, while there is one, the
//! browser's socket. Bytes go straight from one to the other.

mod visits;

use std::{pin::pin, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use openpam_ids::ParticipantId;
use openpam_telemetry::names;
use russh::{ChannelMsg, client::Handle};
use tokio::{sync::mpsc, time::Instant};

use super::{
    attachments::Visit,
    audience::Audience,
    endings::{Due, Endings},
    farewell,
    input::{self, Backlog},
    keys::is_typed,
    messages::{ClientMessage, NOT_YOURS, NoticeCode, ServerMessage},
    output::Output,
    outside::{News, Outside},
    recording,
    socket::{self, Event, Socket},
    typing::Typed,
};
use crate::{
    db::DbError,
    domains::{
        recordings::{self, Recorder},
        sessions::{self, End, LiveSession, Place},
    },
    gateway::ssh::{Checker, Gate, Shell, SshError},
    state::Hub,
};

/// Output packets taken at once before the socket has its turn.
const BATCH: usize = 16;
/// After the program's end its last output may take this long to the browser.
const LAST_OUTPUT: Duration = Duration::from_secs(10);
/// The first browser must arrive within this time.
const FIRST_ARRIVAL: Duration = Duration::from_secs(15);
/// Attempts to write how a session ended: those of the first minute, and more of them, for an hour.
const FIRST_ATTEMPTS: usize = 7;
const ATTEMPT: Duration = Duration::from_secs(15);
const ATTEMPTS: usize = 118;
/// Unanswered signs of life after which the target counts as gone.
const MAX_SILENCES: u32 = 3;

/// How long what may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub idle: Duration,
    pub duration: Duration,
    pub grace: Duration,
    pub keepalive: Duration,
}

const STAYS: &str = "The session stays.";
const RESTARTING: &str = "This hub restarts. Save your work and connect again in a moment.";

enum Act {
    Target(Option<ChannelMsg>),
    Browser(Event),
    Written(Result<(), axum::Error>),
    Delivered(Result<(), russh::Error>),
    Recorded(Result<(), recordings::Error>),
    News(News, Outside),
    Typed(ParticipantId, Typed),
    Time,
}

struct Carrier {
    hub: Hub,
    live: Arc<LiveSession>,
    limits: Limits,
    output: Output,
    recorder: Option<Box<Recorder>>,
    /// What the person was told about the target waiting for the recording.
    told_waiting: Option<&'static str>,
    audience: Audience,
    socket: Option<Socket>,
    backlog: Backlog,
    exit: (Option<u32>, Option<String>),
    endings: Endings,
    detached_since: Option<Instant>,
    was_attached: bool,
    stop_at: Option<Instant>,
    next_sign: Instant,
    heard_from_target: u64,
    silences: u32,
    received: metrics::Counter,
    sent: metrics::Counter,
}

/// Carries the session until it ends, then writes how.
pub(super) async fn carry(
    hub: Hub,
    place: Place,
    mut shell: Shell,
    recorder: Option<Box<Recorder>>,
    visits: mpsc::Receiver<Visit>,
    size: (u16, u16),
    limits: Limits,
) {
    let live = place.session().clone();
    let now = Instant::now();
    let mut carrier = Carrier {
        live: live.clone(),
        limits,
        output: Output::default(),
        recorder,
        told_waiting: None,
        audience: Audience::new(size),
        socket: None,
        backlog: Backlog::default(),
        exit: (None, None),
        endings: Endings::new(limits, now),
        detached_since: Some(now),
        was_attached: false,
        stop_at: None,
        next_sign: now + limits.keepalive,
        heard_from_target: 0,
        silences: 0,
        received: metrics::counter!(names::SESSION_BYTES, "direction" => "received"),
        sent: metrics::counter!(names::SESSION_BYTES, "direction" => "sent"),
        hub: hub.clone(),
    };
    let end = carrier.run(&mut shell, visits).await;
    tracing::info!(session_id = %live.id, status = end.status().name(), code = end.code(), "session ended");
    hub.terminals().close(live.id);
    carrier.audience.end(&end);
    if let Some(recorder) = carrier.recorder.take() {
        recording::close(&hub, live.id, recorder, &end);
    }
    // A target that does not answer must not keep the browser's socket open.
    // Boxed, because an idle session should not keep room for its end.
    Box::pin(async { tokio::join!(carrier.say_goodbye(&end), shell.close()) }).await;
    Box::pin(finish(&hub, &live, &end)).await;
}

/// Writes how a session ended; tries again while the database is down. What cannot be written in
/// the end is closed by the reconciler.
pub(super) async fn finish(hub: &Hub, live: &LiveSession, end: &End) {
    // As long as a database takes to come back, so that the record says why; a hub that stops waits for the first
    // minute of that alone.
    let stopping = hub.lifecycle().soft();
    let delays = [0, 1, 2, 4, 8, 15, 30].into_iter().chain(std::iter::repeat_n(30, ATTEMPTS));
    for (attempt, delay) in delays.enumerate() {
        let pause = tokio::time::sleep(Duration::from_secs(delay));
        if attempt < FIRST_ATTEMPTS {
            pause.await;
        } else if stopping.run_until_cancelled(pause).await.is_none() {
            return;
        }
        // A connection that has fallen silent is given up.
        let finished = tokio::time::timeout(ATTEMPT, sessions::finish(hub, live, end)).await;
        let finished = finished.unwrap_or_else(|_| Err(DbError::Silent.into()));
        match finished {
            Ok(()) => return,
            Err(error) if attempt < FIRST_ATTEMPTS => {
                tracing::error!(session_id = %live.id, %error, "could not write a session's end");
            }
            Err(_) => {}
        }
    }
    tracing::error!(session_id = %live.id, "a session's end was not written");
}

impl Carrier {
    async fn run(&mut self, shell: &mut Shell, visits: mpsc::Receiver<Visit>) -> End {
        for early in std::mem::take(&mut shell.early) {
            self.take_output(early);
        }
        let Shell { handle, output, input: target, gate, .. } = shell;
        let soft = self.hub.lifecycle().soft().clone();
        let outside = Outside { ends: self.live.end_requests(), visits, soft, stopping: false };
        let mut news = pin!(outside.news());
        let mut delivery = pin!(input::deliver(target, None));
        let mut delivering = false;
        let mut last_output_until = None;
        let mut alarm = pin!(tokio::time::sleep_until(self.deadline(last_output_until)));
        loop {
            // First what can be done without waiting: a key goes out in the turn in which it came.
            while !delivering
                && last_output_until.is_none()
                && let Some(input) = self.backlog.pop()
            {
                delivery.set(input::deliver(target, Some(input)));
                match futures::poll!(delivery.as_mut()) {
                    Poll::Ready(delivered) => last_output_until = self.on_delivered(delivered),
                    Poll::Pending => delivering = true,
                }
            }
            if let Some(socket) = self.socket.as_mut().filter(|socket| socket.wants_to_write(&self.output))
                && let Some(Err(_)) = socket.split().1.write(&mut self.output).now_or_never()
            {
                self.detach();
            }
            if let Some(until) = last_output_until
                && (self.socket.is_none() || self.output.is_drained() || Instant::now() >= until)
            {
                return self.exited();
            }
            let recorder_keeps_up = self.recorder_keeps_up();
            gate.set_open(recorder_keeps_up && self.output.may_read(self.backlog.is_full()));
            // A timer that is early costs one turn, and to set it costs more than a turn.
            let deadline = self.deadline(last_output_until);
            if deadline < alarm.deadline() {
                alarm.as_mut().reset(deadline);
            }
            // Nor does input go on that cannot be recorded.
            let may_take_input = recorder_keeps_up && !self.backlog.is_full();
            // Nor to a target that is at its end.
            let may_type =
                may_take_input && !delivering && last_output_until.is_none() && self.audience.somebody_types();
            let (reader, writer) = match &mut self.socket {
                None => (None, None),
                Some(socket) => {
                    let wants_to_write = socket.wants_to_write(&self.output);
                    let (reader, writer) = socket.split();
                    (may_take_input.then_some(reader), wants_to_write.then_some(writer))
                }
            };
            let act = tokio::select! {
                message = output.wait(), if last_output_until.is_none() => Act::Target(message),
                event = socket::next_event(reader) => Act::Browser(event),
                written = socket::write(writer, &mut self.output) => Act::Written(written),
                delivered = &mut delivery, if delivering && last_output_until.is_none() => Act::Delivered(delivered),
                recorded = recording::progress(self.recorder.as_mut()) => Act::Recorded(recorded),
                (who, typed) = self.audience.next_typed(), if may_type => Act::Typed(who, typed),
                (news, outside) = &mut news => Act::News(news, outside),
                () = &mut alarm => Act::Time,
            };
            let end = match act {
                Act::Target(message) => {
                    let mut over = self.on_target(message);
                    for _ in 0..BATCH {
                        if over {
                            break;
                        }
                        match output.wait().now_or_never() {
                            Some(message) => over = self.on_target(message),
                            None => break,
                        }
                    }
                    if over {
                        last_output_until = Some(Instant::now() + LAST_OUTPUT);
                    }
                    None
                }
                Act::Browser(event) => self.on_browser(event),
                Act::Written(Ok(())) => None,
                Act::Written(Err(_)) => {
                    self.detach();
                    None
                }
                Act::Delivered(delivered) => {
                    delivering = false;
                    last_output_until = self.on_delivered(delivered);
                    None
                }
                Act::Recorded(Ok(())) => None,
                Act::Recorded(Err(error)) => self.on_recording_failed(&error),
                Act::News(happened, outside) => {
                    news.set(outside.news());
                    self.on_news(happened)
                }
                Act::Typed(who, typed) => {
                    self.on_typed(who, typed);
                    None
                }
                Act::Time => {
                    let end = self.on_time().or_else(|| {
                        let due = last_output_until.is_none() && Instant::now() >= self.next_sign;
                        if due { self.check_signs_of_life(handle, gate) } else { None }
                    });
                    alarm.as_mut().reset(self.deadline(last_output_until));
                    end
                }
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Until when last output is awaited, where input cannot be delivered any more.
    fn on_delivered(&self, delivered: Result<(), russh::Error>) -> Option<Instant> {
        let error = delivered.err()?;
        tracing::debug!(session_id = %self.live.id, %error, "cannot send to the target");
        Some(Instant::now() + LAST_OUTPUT)
    }

    fn on_news(&mut self, news: News) -> Option<End> {
        match news {
            News::End(end) => return Some(end),
            News::Visited(Some(visit)) => self.on_visit(visit),
            // The door is closed only when the session ends.
            News::Visited(None) => return Some(End::Disconnected),
            News::Stopping => self.on_stopping(),
        }
        None
    }

    fn recorder_keeps_up(&self) -> bool {
        self.recorder.as_ref().is_none_or(|recorder| recorder.may_read())
    }

    fn exited(&mut self) -> End {
        match std::mem::take(&mut self.exit) {
            (None, None) => {
                let error = SshError::Lost(russh::Error::Disconnect);
                End::Failed { code: error.code(), message: error.message() }
            }
            (status, signal) => End::Exited { status, signal },
        }
    }

    fn take_output(&mut self, data: Bytes) {
        self.live.count_received(data.len());
        self.received.increment(data.len() as u64);
        // INVARIANT: the recorder first, then the browser.
        if let Some(recorder) = &mut self.recorder {
            recorder.output(data.clone());
        }
        self.audience.output(&data);
        self.output.push(data);
    }

    /// Takes what the target said; `true` when it is over.
    fn on_target(&mut self, message: Option<ChannelMsg>) -> bool {
        match message {
            Some(ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. }) => self.take_output(data),
            Some(ChannelMsg::ExitStatus { exit_status }) => self.exit.0 = Some(exit_status),
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                self.exit.1 = Some(signal(signal_name));
            }
            Some(ChannelMsg::Close) | None => return true,
            Some(_) => {}
        }
        false
    }

    fn on_browser(&mut self, event: Event) -> Option<End> {
        self.socket.as_mut()?.last_heard = Instant::now();
        match event {
            Event::Input(bytes) => {
                if is_typed(&bytes) {
                    self.live.note_key();
                    self.key_pressed();
                }
                let Self { audience, recorder, live, .. } = self;
                audience.person_types(&live.context.principal.name, recorder.as_mut());
                self.take_input(bytes);
            }
            Event::Message(ClientMessage::Resize { cols, rows }) => self.resize((cols, rows)),
            Event::Message(ClientMessage::Ack { bytes }) => self.output.acknowledge(bytes),
            Event::Message(ClientMessage::Disconnect) => return Some(End::Disconnected),
            Event::Message(ClientMessage::Input { participant, allowed }) => {
                let (audience, mut room) = self.audience();
                if let Err(error) = audience.decide(participant, allowed, &mut room) {
                    self.complain(error);
                }
            }
            Event::Message(ClientMessage::RequestInput) => self.complain(NOT_YOURS),
            Event::Misunderstood(error) => {
                if self.socket.as_mut().is_some_and(Socket::is_first_misunderstanding) {
                    let request_id = &*self.live.context.request_id;
                    tracing::info!(session_id = %self.live.id, request_id, code = error.code, "message not understood");
                }
                self.complain(error);
            }
            Event::Violation(close_code, error) => {
                tracing::info!(session_id = %self.live.id, code = error.code, "browser broke the protocol");
                self.complain(error);
                self.dismiss(close_code, error.code);
            }
            Event::Alive => {}
            Event::Gone => self.detach(),
        }
        None
    }

    /// Somebody types: the session is not idle.
    fn key_pressed(&mut self) {
        if self.endings.key(Instant::now()) {
            self.tell(&ServerMessage::notice(STAYS).about(Some(NoticeCode::IdleOver)));
        }
    }

    /// Takes what was typed, by the session's person or by somebody they let type.
    fn take_input(&mut self, bytes: Bytes) {
        self.live.count_sent(bytes.len());
        self.sent.increment(bytes.len() as u64);
        if let Some(recorder) = &mut self.recorder {
            recorder.input(bytes.clone());
        }
        self.backlog.push_keys(bytes);
    }

    fn resize(&mut self, (cols, rows): (u16, u16)) {
        if let Some(recorder) = &mut self.recorder {
            recorder.resize(cols, rows);
        }
        self.audience.resized(&self.output, cols, rows);
        self.backlog.push_size((cols, rows));
    }

    /// The hub is about to stop: says so, and leaves the session the time that the hub has.
    fn on_stopping(&mut self) {
        let grace = Duration::from_secs(self.hub.config().server.shutdown_grace_seconds);
        let stop_at = Instant::now() + grace.saturating_sub(Duration::from_secs(4)).max(grace / 4);
        self.stop_at = Some(stop_at);
        let notice = ServerMessage::notice(RESTARTING).until(self.time_of(stop_at));
        self.tell(&notice);
    }

    /// Says it to the person, where their browser is there.
    fn tell(&mut self, message: &ServerMessage<'_>) {
        if let Some(socket) = &mut self.socket {
            socket.queue(message);
        }
    }

    fn time_of(&self, instant: Instant) -> DateTime<Utc> {
        let left = instant.saturating_duration_since(Instant::now());
        self.hub.clock().now() + chrono::TimeDelta::from_std(left).unwrap_or_default()
    }

    /// When something is due next.
    fn deadline(&self, last_output_until: Option<Instant>) -> Instant {
        [
            self.detached_since.map(|since| since + self.patience()),
            // Who is at the end is asked for no more signs of life.
            last_output_until.is_none().then_some(self.next_sign),
            self.stop_at,
            last_output_until,
            self.recorder.as_ref().and_then(|recorder| recorder.due_at()),
        ]
        .into_iter()
        .flatten()
        .fold(self.endings.next(), Instant::min)
    }

    /// How long the session waits for a browser.
    fn patience(&self) -> Duration {
        if self.was_attached { self.limits.grace } else { FIRST_ARRIVAL }
    }

    fn on_time(&mut self) -> Option<End> {
        let now = Instant::now();
        if let Some(recorder) = &mut self.recorder {
            recorder.on_time();
            if let Some(message) = recording::holding_back(recorder)
                && self.told_waiting.replace(message) != Some(message)
            {
                self.tell(&ServerMessage::notice(message));
            }
        }
        if self.stop_at.is_some_and(|at| now >= at) {
            return Some(End::Expired { code: "hub_shutdown", message: RESTARTING.to_owned() });
        }
        if self.detached_since.is_some_and(|since| now >= since + self.patience()) {
            return Some(End::Expired {
                code: "browser_gone",
                message: "The browser did not come back in time.".to_owned(),
            });
        }
        while let Some(due) = self.endings.due(now) {
            match due {
                Due::End(end) => return Some(end),
                Due::Say(message, code, at) => {
                    self.tell(&ServerMessage::notice(message).about(code).until(self.time_of(at)));
                }
            }
        }
        None
    }

    /// Ends the session where it must be recorded; goes on without where that is allowed.
    fn on_recording_failed(&mut self, error: &recordings::Error) -> Option<End> {
        tracing::error!(session_id = %self.live.id, %error, "the session cannot be recorded any more");
        if self.recorder.take().is_some_and(|recorder| recorder.is_required()) {
            return Some(End::Failed { code: "recording_failed", message: recording::UNRECORDED.to_owned() });
        }
        self.tell(&ServerMessage::no_longer_recorded());
        self.audience.tell(&ServerMessage::no_longer_recorded());
        None
    }

    /// Asks browser and target for a sign of life, and gives up on who gave none.
    fn check_signs_of_life(&mut self, handle: &Handle<Checker>, gate: &Gate) -> Option<End> {
        let now = Instant::now();
        self.next_sign = now + self.limits.keepalive;
        if let Some(socket) = &mut self.socket {
            if now.duration_since(socket.last_heard) > self.limits.keepalive * 2 + Duration::from_secs(5) {
                tracing::info!(session_id = %self.live.id, "browser is silent");
                self.detach();
            } else {
                socket.queue_ping();
            }
        }
        let received = gate.received();
        // While the gate is closed nothing can be heard, however alive the target is.
        let open = self.recorder_keeps_up() && self.output.may_read(self.backlog.is_full());
        if received != self.heard_from_target || !open {
            self.silences = 0;
        } else {
            self.silences += 1;
        }
        self.heard_from_target = received;
        if self.silences > MAX_SILENCES {
            return Some(End::Failed { code: "connection_lost", message: "The target no longer answers.".to_owned() });
        }
        // When the SSH client is too busy to take it, the target is alive.
        let _ = handle.send_keepalive(true).now_or_never();
        None
    }

    /// Tells the browser how it ended.
    async fn say_goodbye(&mut self, end: &End) {
        let Some(socket) = self.socket.take() else { return };
        self.live.set_attached(false);
        farewell::say(socket, &self.live.context.request_id, end).await;
    }
}

/// A signal's name as RFC 4254 §6.10 writes it: without `SIG`, and with `@` and a domain where it is another's.
fn signal(name: russh::Sig) -> String {
    let name = match name {
        russh::Sig::Custom(name) => name,
        known => format!("{known:?}"),
    };
    name.chars().filter(char::is_ascii_graphic).take(40).collect()
}

fn error_message<'a>(live: &'a LiveSession, code: &'a str, message: &'a str) -> ServerMessage<'a> {
    ServerMessage::Error { code, message, request_id: &live.context.request_id }
}
