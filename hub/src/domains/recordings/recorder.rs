//! Records one session while it runs: the session's task owns it, hands it every byte before the
//! browser gets it, and drives it in its own loop. There is no task, timer or buffer of its own for a
//! session that is silent.

use std::{collections::VecDeque, pin::Pin, time::Duration};

use bytes::Bytes;
use chrono::TimeDelta;
use openpam_ids::SessionId;
use openpam_recordings::{Due, Echo, Exit, Limits, Outcome, Recipient, SealedSegment, Session, Writer, random::Secure};
use openpam_telemetry::names;
use tokio::time::Instant;

use super::{
    Error,
    echo::{Decided, EchoWatch},
    index::Telling,
    keys::Keys,
    service, upload,
};
use crate::{context::Context, domains::sessions::End, state::Hub};

/// Segments that may wait for the store before the target is no longer read.
const WAITING: usize = 2;
/// Between attempts to store a segment.
const RETRY: Duration = Duration::from_secs(1);
/// How long the first segment may take.
const FIRST: Duration = Duration::from_secs(5);
/// How long the store may fail before the session ends, where it must be recorded.
const PATIENCE: Duration = Duration::from_secs(30);

/// A segment counts as at least so many stored bytes: what compresses well is an object and some rows all the same.
/// Of the usual 4 MiB a second that is eight segments, which is 32 MiB shown.
const LEAST_CHARGED: usize = 512 * 1024;
/// zstd's level, and the one for a flood: compressing one well costs more than storing more of it, as long as there is
/// room for that.
const LEVEL: i32 = 1;
const FLOOD_LEVEL: i32 = -5;
/// A segment that was full so soon, in microseconds, is one of a flood.
const FLOOD_MICROS: u64 = 500_000;
/// When this hub says for the first time that it still stores the end, how often then, and for how long that holds: less
/// than after the shortest time another hub closes what was left open.
const FIRST_SIGN: Duration = Duration::from_secs(5);
const SIGN: Duration = Duration::from_secs(10);
const SIGN_LASTS: TimeDelta = TimeDelta::seconds(40);

/// How long the target may wait for the store before the person is told.
const BEHIND: Duration = Duration::from_secs(2);

type Storing = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// What may be stored, on the average and at once: more is not dropped, the target waits.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Stored bytes a second.
    pub bytes_per_second: u64,
    /// Stored bytes at once.
    pub burst: u64,
}

/// What a session may store right now.
#[derive(Debug)]
struct Allowance {
    rate: Rate,
    /// Stored bytes; below zero the target waits.
    allowed: i64,
    at: Instant,
}

impl Allowance {
    fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, allowed: i64::try_from(rate.burst).unwrap_or(i64::MAX), at: now }
    }

    /// Counts a segment of this size.
    fn charge(&mut self, size: usize, now: Instant) {
        self.refill(now);
        self.allowed = self.allowed.saturating_sub(i64::try_from(size.max(LEAST_CHARGED)).unwrap_or(i64::MAX));
    }

    fn refill(&mut self, now: Instant) {
        let micros = now.duration_since(self.at).as_micros();
        self.at = now;
        let more = u128::from(self.rate.bytes_per_second) * micros / 1_000_000;
        let most = i64::try_from(self.rate.burst).unwrap_or(i64::MAX);
        self.allowed = self.allowed.saturating_add(i64::try_from(more).unwrap_or(i64::MAX)).min(most);
    }

    /// Whether less than half of what may be stored at once is used.
    fn has_room(&self) -> bool {
        self.allowed >= i64::try_from(self.rate.burst / 2).unwrap_or(i64::MAX)
    }

    fn is_used_up(&self) -> bool {
        self.allowed < 0
    }

    /// When there is something again.
    fn due_at(&self) -> Instant {
        let missing = self.allowed.unsigned_abs().saturating_mul(1_000_000) / self.rate.bytes_per_second.max(1);
        self.at + Duration::from_micros(missing.max(10_000))
    }
}

/// The recording of one session.
pub struct Recorder {
    hub: Hub,
    context: Context,
    session_id: SessionId,
    signer: openpam_recordings::SignerKey,
    writer: Writer,
    echo: EchoWatch,
    indexing: Telling,
    begun: Instant,
    waiting: VecDeque<SealedSegment>,
    storing: Option<Storing>,
    allowance: Allowance,
    failure: Option<Error>,
    required: bool,
}

impl Recorder {
    /// Begins: the row is there, the first record is the terminal's size.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(super) fn new(
        hub: &Hub,
        context: &Context,
        session: Session,
        session_id: SessionId,
        keys: &Keys,
        size: (u16, u16),
        required: bool,
    ) -> Result<Self, Error> {
        let recipients: Vec<Recipient> = keys.recipients.clone();
        let limits = Limits { level: LEVEL, ..Limits::default() };
        let mut writer = Writer::new(session, &recipients, limits, &mut Secure(hub.random()))?;
        let _ = writer.resize(0, size.0, size.1)?;
        let indexing = hub.indexer().begin(context.tenant_id, session_id, writer.opener());
        let config = &hub.config().recording;
        let rate = Rate {
            bytes_per_second: config.bytes_per_second,
            burst: config.bytes_per_second.saturating_mul(config.burst_seconds),
        };
        let now = Instant::now();
        Ok(Self {
            hub: hub.clone(),
            // Writing is the hub's own work, whose session it ever is.
            context: Context::system(context.tenant_id, "recorder"),
            session_id,
            signer: keys.signer,
            writer,
            echo: EchoWatch::default(),
            indexing,
            begun: now,
            waiting: VecDeque::new(),
            storing: None,
            allowance: Allowance::new(rate, now),
            failure: None,
            required,
        })
    }

    /// Stores the first segment, before anything happens that must be recorded: a store that takes
    /// nothing is to be known before the session begins.
    ///
    /// # Errors
    /// When it is not stored at once.
    pub async fn establish(&mut self) -> Result<(), Error> {
        self.close_segment(0);
        while let Some(segment) = self.waiting.front() {
            let stored = store(&self.hub, &self.context, self.session_id, segment);
            match tokio::time::timeout(FIRST, stored).await {
                Ok(stored) => stored?,
                Err(_) => return Err(Error::Store("it does not answer in time".to_owned())),
            }
            self.take_stored();
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Takes what the target said, before the browser gets it.
    pub fn output(&mut self, bytes: Bytes) {
        let now = self.now();
        self.echo.output(now, bytes);
        self.take(now);
    }

    /// Takes what the person typed.
    pub fn input(&mut self, bytes: Bytes) {
        let now = self.now();
        self.echo.input(now, bytes);
        self.take(now);
    }

    /// Takes a new size of the terminal.
    pub fn resize(&mut self, cols: u16, rows: u16) {
        let now = self.now();
        self.echo.resize(now, cols, rows);
        self.take(now);
    }

    /// Takes a fact for the timeline: who came, who types.
    pub fn mark(&mut self, label: &str) {
        let now = self.now();
        self.echo.mark(now, label);
        self.take(now);
    }

    /// Writes what is decided.
    fn take(&mut self, now: u64) {
        while let Some((at, record)) = self.echo.next(now) {
            self.record(at, &record);
        }
    }

    fn record(&mut self, at: u64, record: &Decided) {
        let due = match record {
            Decided::Output(bytes) => self.writer.output(at, bytes),
            Decided::Input(bytes) => self.writer.input(at, bytes, Echo::On),
            Decided::Masked(length) => self.writer.record(at, openpam_recordings::Record::MaskedInput(*length as u64)),
            Decided::Resize(cols, rows) => self.writer.resize(at, *cols, *rows),
            Decided::Marker(label) => self.writer.record(at, openpam_recordings::Record::Marker(label)),
        };
        match due {
            Ok(Due::NotYet) => {}
            Ok(Due::Now) => self.close_segment(at),
            Err(error) => self.fail(error.into()),
        }
    }

    fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }

    fn close_segment(&mut self, at: u64) {
        match self.writer.close_segment(at) {
            Ok(Some(segment)) => self.queue(segment),
            Ok(None) => {}
            Err(error) => self.fail(error.into()),
        }
    }

    fn queue(&mut self, segment: SealedSegment) {
        let size = segment.bytes.len();
        metrics::counter!(names::RECORDING_BYTES).increment(size as u64);
        self.allowance.charge(size, Instant::now());
        let header = &segment.header;
        let floods =
            header.plain_bytes as usize >= Limits::default().bytes && header.until - header.from < FLOOD_MICROS;
        self.writer.set_level(if floods && self.allowance.has_room() { FLOOD_LEVEL } else { LEVEL });
        self.waiting.push_back(segment);
    }

    /// Whether the target may be read: the store keeps up, and the rate allows more.
    pub fn may_read(&self) -> bool {
        !self.is_behind() && !self.is_throttled()
    }

    /// Whether the session ends when it cannot be recorded any more.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Whether it is the store that holds the target back.
    pub fn is_behind(&self) -> bool {
        self.waiting.len() >= WAITING
    }

    /// Whether it is the rate that holds the target back.
    pub fn is_throttled(&self) -> bool {
        self.allowance.is_used_up()
    }

    /// When [`Self::on_time`] is due.
    pub fn due_at(&self) -> Option<Instant> {
        let echo = self.echo.due_at();
        let segment = self.writer.due_at();
        let micros = [echo, segment].into_iter().flatten().min();
        let timed = micros.map(|micros| self.begun + Duration::from_micros(micros));
        let refilled = self.is_throttled().then(|| self.allowance.due_at());
        // The person is to be told.
        let told = self.is_behind().then(|| Instant::now() + BEHIND);
        [timed, refilled, told].into_iter().flatten().min()
    }

    /// Decides and closes what the clock asks for.
    pub fn on_time(&mut self) {
        let now = self.now();
        self.take(now);
        if self.writer.due_at().is_some_and(|due| now >= due) {
            self.close_segment(now);
        }
        if self.is_throttled() {
            self.allowance.refill(Instant::now());
        }
    }

    /// Stores what waits; returns when one more segment is stored. Never returns while there is
    /// nothing to do. Cancel safe: what was begun goes on at the next call.
    ///
    /// # Errors
    /// When the recording cannot go on.
    pub async fn progress(&mut self) -> Result<(), Error> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        if self.storing.is_none() {
            match self.waiting.front() {
                Some(segment) => {
                    let (hub, context, id) = (self.hub.clone(), self.context.clone(), self.session_id);
                    let segment = segment.clone();
                    self.storing = Some(Box::pin(async move { keep(&hub, &context, id, &segment).await }));
                }
                None => return std::future::pending().await,
            }
        }
        let Some(storing) = &mut self.storing else { return std::future::pending().await };
        let result = storing.await;
        self.storing = None;
        match &result {
            Ok(()) => self.take_stored(),
            Err(_) => drop(self.waiting.pop_front()),
        }
        result
    }

    /// The first segment that waited is stored.
    fn take_stored(&mut self) {
        if let Some(segment) = self.waiting.pop_front() {
            self.indexing.stored(segment.header.seq, segment.header.plain_bytes);
        }
    }

    /// Ends the recording: stores what is left, signs the manifest. Where that fails, another hub's
    /// completer closes it.
    ///
    /// # Errors
    /// Why it could not be closed here.
    pub async fn finish(self, end: &End) -> Result<(), Error> {
        let (hub, context, id) = (self.hub.clone(), self.context.clone(), self.session_id);
        // A slow store does not make a hub look dead.
        let signs = async {
            tokio::time::sleep(FIRST_SIGN).await;
            loop {
                match service::still_finishing(&hub, &context, id, SIGN_LASTS).await {
                    Ok(true) => {}
                    // Closed by this hub itself, which is just about to return.
                    Ok(false) if service::is_complete(&hub, &context, id).await? => std::future::pending().await,
                    Ok(false) => return Err(Error::Closed),
                    Err(error) => {
                        tracing::warn!(session_id = %id, %error, "that a recording is being stored is not noted")
                    }
                }
                tokio::time::sleep(SIGN).await;
            }
        };
        tokio::select! {
            finished = self.store_rest(end) => finished,
            closed = signs => closed,
        }
    }

    async fn store_rest(mut self, end: &End) -> Result<(), Error> {
        while let Some((at, record)) = self.echo.drain() {
            self.record(at, &record);
        }
        let now = self.now();
        let exit = match end {
            End::Exited { signal: Some(signal), .. } => Some(Exit::Signal(signal)),
            End::Exited { status: Some(status), .. } => Some(Exit::Status(*status)),
            End::Exited { .. } => Some(Exit::Unknown),
            _ => None,
        };
        if let Some(exit) = exit {
            let _ = self.writer.exit(now, exit)?;
        }
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        while !self.waiting.is_empty() {
            self.progress().await?;
        }
        let finished = self.writer.finish(now, outcome(end), self.signer)?;
        if let Some(segment) = &finished.segment {
            keep(&self.hub, &self.context, self.session_id, segment).await?;
            self.indexing.stored(segment.header.seq, segment.header.plain_bytes);
        }
        service::close(&self.hub, &self.context, self.session_id, finished.manifest).await.map(drop)
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Recorder").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}

/// Stores a segment and notes it, trying again while store or database are down.
async fn keep(hub: &Hub, context: &Context, id: SessionId, segment: &SealedSegment) -> Result<(), Error> {
    let until = Instant::now() + PATIENCE;
    let mut told = false;
    loop {
        let stored = tokio::time::timeout_at(until, store(hub, context, id, segment)).await;
        match stored.unwrap_or_else(|_| Err(Error::Store("it does not answer in time".to_owned()))) {
            Ok(()) => return Ok(()),
            // Trying again changes nothing where something else is in its place, or the recording is closed.
            Err(error @ (Error::Occupied(_) | Error::Closed)) => return Err(error),
            Err(error) if Instant::now() >= until => return Err(error),
            Err(error) if !std::mem::replace(&mut told, true) => {
                tracing::warn!(session_id = %id, %error, "a recording's segment is not stored yet");
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn store(hub: &Hub, context: &Context, id: SessionId, segment: &SealedSegment) -> Result<(), Error> {
    upload::keep_segment(hub, context, id, segment).await
}

fn outcome(end: &End) -> Outcome {
    match end {
        End::Exited { .. } | End::Disconnected => Outcome::Ended,
        End::Terminated { .. } => Outcome::Terminated,
        End::Expired { code: "idle_timeout", .. } => Outcome::Idle,
        End::Expired { code: "hub_shutdown", .. } => Outcome::Ended,
        End::Expired { .. } => Outcome::AccessEnded,
        End::Failed { .. } => Outcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compresses_to_nothing_is_held_to_so_many_segments_a_second_all_the_same() {
        let begun = Instant::now();
        let rate = Rate { bytes_per_second: 4 << 20, burst: 120 << 20 };
        let mut allowance = Allowance::new(rate, begun);
        let (mut now, mut stored) = (begun, 0_u32);
        while now < begun + Duration::from_secs(120) {
            // 100 MB a second, as `yes` says them to nobody's browser.
            now += Duration::from_millis(40);
            allowance.refill(now);
            if !allowance.is_used_up() {
                allowance.charge(1_000, now);
                stored += 1;
            } else {
                assert!(allowance.due_at() > now);
            }
        }
        assert!((1_100..1_250).contains(&stored), "{stored} segments of 3000");
        // What fills its segments counts as it is.
        let mut allowance = Allowance::new(rate, begun);
        allowance.charge(60 << 20, begun);
        assert!(allowance.has_room());
        allowance.charge(40 << 20, begun);
        assert!(!allowance.has_room() && !allowance.is_used_up());
        allowance.charge(21 << 20, begun);
        assert!(allowance.is_used_up() && allowance.due_at() == begun + Duration::from_millis(250));
    }
}
