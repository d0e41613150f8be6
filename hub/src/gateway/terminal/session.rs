//! The one task that carries a session: owns the target's shell and, while there is one, the
//! browser's socket. Bytes go straight from one to the other.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use openpam_secret::ExposeSecret as _;
use openpam_telemetry::names;
use russh::{
    ChannelMsg, ChannelWriteHalf,
    client::{Handle, Msg},
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    attachments::Arrival,
    keys::is_typed,
    messages::{ClientMessage, ServerMessage},
    output::Output,
    recording,
    socket::{Event, Reader, Socket, Writer},
};
use crate::{
    domains::{
        recordings::{self, Recorder},
        sessions::{self, End, LiveSession, Place},
    },
    gateway::ssh::{Checker, Gate, Shell, SshError},
    state::Hub,
};

/// Input is handed to the SSH client in pieces of at most this size.
const PIECE: usize = 32 * 1024;
/// Pieces that wait for the target; with the message they came from, at most 2 MiB.
const PIECES: usize = 32;
/// Output packets taken at once before the socket has its turn.
const BATCH: usize = 16;
/// After the program's end its last output may take this long to the browser.
const LAST_OUTPUT: Duration = Duration::from_secs(10);
/// The first browser must arrive within this time.
const FIRST_ARRIVAL: Duration = Duration::from_secs(15);
/// Unanswered signs of life after which the target counts as gone.
const MAX_SILENCES: u32 = 3;
/// How long before its end a session is announced to end.
const ANNOUNCEMENTS: [(Duration, &str); 2] = [
    (Duration::from_secs(300), "This session ends in 5 minutes: its maximum duration is reached."),
    (Duration::from_secs(60), "This session ends in 1 minute: its maximum duration is reached."),
];

/// How long what may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub idle: Duration,
    pub duration: Duration,
    pub grace: Duration,
    pub keepalive: Duration,
}

const RESTARTING: &str = "This hub restarts. Save your work and connect again in a moment.";

enum Input {
    Keys(Bytes),
    Size(u16, u16),
}

#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one turn; a box would cost an allocation a message"
)]
enum Act {
    Target(Option<ChannelMsg>),
    Browser(Event),
    Written(Result<(), axum::Error>),
    Broken(russh::Error),
    Room,
    Recorded(Result<(), recordings::Error>),
    EndRequested,
    Arrived(Option<Arrival>),
    Stopping,
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
    socket: Option<Socket>,
    backlog: VecDeque<Input>,
    exit: (Option<u32>, Option<String>),
    begun: Instant,
    last_key: Instant,
    detached_since: Option<Instant>,
    was_attached: bool,
    announced: usize,
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
    arrivals: mpsc::Receiver<Arrival>,
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
        socket: None,
        backlog: VecDeque::new(),
        exit: (None, None),
        begun: now,
        last_key: now,
        detached_since: Some(now),
        was_attached: false,
        announced: 0,
        stop_at: None,
        next_sign: now + limits.keepalive,
        heard_from_target: 0,
        silences: 0,
        received: metrics::counter!(names::SESSION_BYTES, "direction" => "received"),
        sent: metrics::counter!(names::SESSION_BYTES, "direction" => "sent"),
        hub: hub.clone(),
    };
    let end = carrier.run(&mut shell, arrivals).await;
    tracing::info!(session_id = %live.id, status = end.status().name(), code = end.code(), "session ended");
    hub.terminals().close(live.id);
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
    for delay in [0, 1, 2, 4, 8] {
        tokio::time::sleep(Duration::from_secs(delay)).await;
        match sessions::finish(hub, live, end).await {
            Ok(()) => return,
            Err(error) => tracing::error!(session_id = %live.id, %error, "could not write a session's end"),
        }
    }
}

impl Carrier {
    async fn run(&mut self, shell: &mut Shell, mut arrivals: mpsc::Receiver<Arrival>) -> End {
        let mut end_requests = self.live.end_requests();
        let (input, waiting) = mpsc::channel(PIECES);
        for early in std::mem::take(&mut shell.early) {
            self.take_output(early);
        }
        {
            let Shell { handle, output, input: target, gate, .. } = shell;
            let pump = pump(target, waiting);
            tokio::pin!(pump);
            let mut last_output_until = None;
            loop {
                let recorder_keeps_up = self.recorder.as_ref().is_none_or(|recorder| recorder.may_read());
                gate.set_open(recorder_keeps_up && self.output.may_read(!self.backlog.is_empty()));
                if let Some(until) = last_output_until
                    && (self.socket.is_none() || self.output.is_drained() || Instant::now() >= until)
                {
                    break self.exited();
                }
                let deadline = self.deadline(last_output_until);
                let stopping = self.stop_at.is_some();
                // Nor does input go on that cannot be recorded.
                let may_take_input = recorder_keeps_up && self.backlog.is_empty();
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
                    event = next_event(reader) => Act::Browser(event),
                    written = write(writer, &mut self.output) => Act::Written(written),
                    error = &mut pump, if last_output_until.is_none() => Act::Broken(error),
                    _ = input.reserve(), if !self.backlog.is_empty() => Act::Room,
                    recorded = recording::progress(self.recorder.as_mut()) => Act::Recorded(recorded),
                    () = end_requested(&mut end_requests) => Act::EndRequested,
                    arrival = arrivals.recv() => Act::Arrived(arrival),
                    () = self.hub.lifecycle().soft().cancelled(), if !stopping => Act::Stopping,
                    () = tokio::time::sleep_until(deadline) => Act::Time,
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
                    Act::Browser(event) => self.on_browser(event, &input),
                    Act::Written(Ok(())) => None,
                    Act::Written(Err(_)) => {
                        self.detach();
                        None
                    }
                    Act::Broken(error) => {
                        tracing::debug!(session_id = %self.live.id, %error, "cannot send to the target");
                        last_output_until = Some(Instant::now() + LAST_OUTPUT);
                        None
                    }
                    Act::Room => {
                        self.hand_over(&input);
                        None
                    }
                    Act::Recorded(Ok(())) => None,
                    Act::Recorded(Err(error)) => self.on_recording_failed(&error),
                    Act::EndRequested => end_requests.borrow().clone(),
                    Act::Arrived(Some(arrival)) => {
                        self.on_arrival(arrival, &input);
                        None
                    }
                    // The door is closed only when the session ends.
                    Act::Arrived(None) => Some(End::Disconnected),
                    Act::Stopping => {
                        self.on_stopping();
                        None
                    }
                    Act::Time => self.on_time().or_else(|| {
                        let due = last_output_until.is_none() && Instant::now() >= self.next_sign;
                        if due { self.check_signs_of_life(handle, gate) } else { None }
                    }),
                };
                if let Some(end) = end {
                    break end;
                }
            }
        }
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
        self.output.push(data);
    }

    /// Takes what the target said; `true` when it is over.
    fn on_target(&mut self, message: Option<ChannelMsg>) -> bool {
        match message {
            Some(ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. }) => self.take_output(data),
            Some(ChannelMsg::ExitStatus { exit_status }) => self.exit.0 = Some(exit_status),
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                self.exit.1 = Some(format!("{signal_name:?}").chars().take(40).collect());
            }
            Some(ChannelMsg::Close) | None => return true,
            Some(_) => {}
        }
        false
    }

    fn on_browser(&mut self, event: Event, input: &mpsc::Sender<Input>) -> Option<End> {
        let socket = self.socket.as_mut()?;
        socket.last_heard = Instant::now();
        match event {
            Event::Input(bytes) => {
                if is_typed(&bytes) {
                    self.last_key = Instant::now();
                    self.live.note_key();
                }
                self.live.count_sent(bytes.len());
                self.sent.increment(bytes.len() as u64);
                if let Some(recorder) = &mut self.recorder {
                    recorder.input(bytes.clone());
                }
                let mut rest = bytes;
                while !rest.is_empty() {
                    let piece = rest.split_to(rest.len().min(PIECE));
                    self.backlog.push_back(Input::Keys(piece));
                }
                self.hand_over(input);
            }
            Event::Message(ClientMessage::Resize { cols, rows }) => {
                if let Some(recorder) = &mut self.recorder {
                    recorder.resize(cols, rows);
                }
                self.backlog.push_back(Input::Size(cols, rows));
                self.hand_over(input);
            }
            Event::Message(ClientMessage::Ack { bytes }) => self.output.acknowledge(bytes),
            Event::Message(ClientMessage::Disconnect) => return Some(End::Disconnected),
            Event::Misunderstood(error) => {
                socket.queue(&error_message(&self.live, error.code, error.message));
            }
            Event::Violation(close_code, error) => {
                tracing::info!(session_id = %self.live.id, code = error.code, "browser broke the protocol");
                socket.queue(&error_message(&self.live, error.code, error.message));
                self.dismiss(close_code, error.code);
            }
            Event::Alive => {}
            Event::Gone => self.detach(),
        }
        None
    }

    /// Hands waiting input to the SSH client, as far as it has room.
    fn hand_over(&mut self, input: &mpsc::Sender<Input>) {
        while let Some(next) = self.backlog.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(next) | mpsc::error::TrySendError::Closed(next)) =
                input.try_send(next)
            {
                self.backlog.push_front(next);
                return;
            }
        }
    }

    /// A browser comes, or comes back: what it lacks follows `ready`. One that is still there makes
    /// room.
    fn on_arrival(&mut self, arrival: Arrival, input: &mpsc::Sender<Input>) {
        if let Some(old) = &mut self.socket {
            let message = "This session was continued in another window.";
            let request_id = &*self.live.context.request_id;
            old.queue(&ServerMessage::Error { code: "resumed_elsewhere", message, request_id });
            self.dismiss(1000, "resumed_elsewhere");
        }
        let Some(token) = self.hub.terminals().new_token(self.live.id, self.hub.random()) else { return };
        self.live.set_sign_in(arrival.sign_in);
        let continuation = self.output.attach(arrival.offset.unwrap_or(0));
        let mut socket = Socket::new(arrival.socket);
        socket.queue(&ServerMessage::Ready {
            session_id: self.live.id,
            resume_token: token.expose_secret(),
            offset: continuation.offset,
            snapshot: continuation.snapshot,
            recorded: self.recorder.is_some(),
            input: u64::try_from(self.live.bytes().0).unwrap_or_default(),
        });
        if self.was_attached {
            if let Some(recorder) = &mut self.recorder {
                recorder.resize(arrival.size.0, arrival.size.1);
            }
            self.backlog.push_back(Input::Size(arrival.size.0, arrival.size.1));
            self.hand_over(input);
        }
        if let Some(stop_at) = self.stop_at {
            let ends_at = self.time_of(stop_at);
            socket.queue(&ServerMessage::Notice { message: RESTARTING, ends_at: Some(ends_at) });
        }
        self.socket = Some(socket);
        self.detached_since = None;
        self.was_attached = true;
        self.live.set_attached(true);
    }

    /// Closes the browser's socket; the session goes on.
    fn dismiss(&mut self, code: u16, reason: &'static str) {
        if let Some(socket) = self.socket.take() {
            // What was on its way to this browser is sent again to the one that resumes.
            self.hub.lifecycle().spawn_child(async move { socket.close(&mut Output::default(), code, reason).await });
        }
        self.detach();
    }

    fn detach(&mut self) {
        self.socket = None;
        self.detached_since = Some(Instant::now());
        self.live.set_attached(false);
    }

    /// The hub is about to stop: says so, and leaves the session the time that the hub has.
    fn on_stopping(&mut self) {
        let grace = Duration::from_secs(self.hub.config().server.shutdown_grace_seconds);
        let stop_at = Instant::now() + grace.saturating_sub(Duration::from_secs(4)).max(grace / 4);
        self.stop_at = Some(stop_at);
        let ends_at = self.time_of(stop_at);
        if let Some(socket) = &mut self.socket {
            socket.queue(&ServerMessage::Notice { message: RESTARTING, ends_at: Some(ends_at) });
        }
    }

    fn time_of(&self, instant: Instant) -> DateTime<Utc> {
        let left = instant.saturating_duration_since(Instant::now());
        self.hub.clock().now() + chrono::TimeDelta::from_std(left).unwrap_or_default()
    }

    /// When something is due next.
    fn deadline(&self, last_output_until: Option<Instant>) -> Instant {
        let ends = self.begun + self.limits.duration;
        let announcement = ANNOUNCEMENTS.get(self.announced).and_then(|(before, _)| ends.checked_sub(*before));
        [
            Some(self.last_key + self.limits.idle),
            Some(ends),
            announcement,
            self.detached_since.map(|since| since + self.patience()),
            Some(self.next_sign),
            self.stop_at,
            last_output_until,
            self.recorder.as_ref().and_then(|recorder| recorder.due_at()),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(ends)
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
                && let Some(socket) = &mut self.socket
            {
                socket.queue(&ServerMessage::Notice { message, ends_at: None });
            }
        }
        if self.stop_at.is_some_and(|at| now >= at) {
            return Some(End::Expired { code: "hub_shutdown", message: RESTARTING.to_owned() });
        }
        let ends = self.begun + self.limits.duration;
        if now >= ends {
            return Some(End::max_duration());
        }
        if now >= self.last_key + self.limits.idle {
            return Some(End::idle(self.limits.idle));
        }
        if self.detached_since.is_some_and(|since| now >= since + self.patience()) {
            return Some(End::Expired {
                code: "browser_gone",
                message: "The browser did not come back in time.".to_owned(),
            });
        }
        if let Some((before, message)) = ANNOUNCEMENTS.get(self.announced)
            && ends.checked_sub(*before).is_none_or(|at| now >= at)
        {
            self.announced += 1;
            let ends_at = self.time_of(ends);
            // A session shorter than the announcement needs none this early.
            if self.limits.duration > *before
                && let Some(socket) = &mut self.socket
            {
                socket.queue(&ServerMessage::Notice { message, ends_at: Some(ends_at) });
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
        if let Some(socket) = &mut self.socket {
            socket.queue(&ServerMessage::Notice { message: "This session is no longer recorded.", ends_at: None });
        }
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
        let recorder_keeps_up = self.recorder.as_ref().is_none_or(|recorder| recorder.may_read());
        let open = recorder_keeps_up && self.output.may_read(!self.backlog.is_empty());
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
        let Some(mut socket) = self.socket.take() else { return };
        self.live.set_attached(false);
        let message = end.message();
        if let Some(code) = end.code() {
            socket.queue(&error_message(&self.live, code, &message));
        }
        let (status, signal) = match end {
            End::Exited { status, signal } => (*status, signal.as_deref()),
            _ => (None, None),
        };
        socket.queue(&ServerMessage::Exit { status, signal, reason: &message });
        let code = match end {
            End::Exited { .. } | End::Disconnected => 1000,
            End::Terminated { .. } => 4003,
            End::Expired { code: "idle_timeout", .. } => 4008,
            End::Failed { .. } | End::Expired { code: "hub_shutdown", .. } => 4500,
            End::Expired { .. } => 4001,
        };
        socket.close(&mut Output::default(), code, end.code().unwrap_or("ended")).await;
    }
}

fn error_message<'a>(live: &'a LiveSession, code: &'a str, message: &'a str) -> ServerMessage<'a> {
    ServerMessage::Error { code, message, request_id: &live.context.request_id }
}

/// Feeds the target; returns when it takes no more.
async fn pump(target: &ChannelWriteHalf<Msg>, mut waiting: mpsc::Receiver<Input>) -> russh::Error {
    while let Some(input) = waiting.recv().await {
        let result = match input {
            Input::Keys(bytes) => target.data_bytes(bytes).await,
            Input::Size(cols, rows) => target.window_change(cols.into(), rows.into(), 0, 0).await,
        };
        if let Err(error) = result {
            return error;
        }
    }
    russh::Error::SendError
}

async fn next_event(reader: Option<Reader<'_>>) -> Event {
    match reader {
        Some(reader) => reader.next().await,
        None => std::future::pending().await,
    }
}

async fn write(writer: Option<Writer<'_>>, output: &mut Output) -> Result<(), axum::Error> {
    match writer {
        Some(writer) => writer.write(output).await,
        None => std::future::pending().await,
    }
}

async fn end_requested(requests: &mut watch::Receiver<Option<End>>) {
    if requests.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await;
    }
}
