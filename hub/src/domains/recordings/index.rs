//! The indexer: takes the text of recordings into the database while their sessions run, and the screen
//! that each segment begins with. It reads stored segments, off the sessions' path: where it is behind
//! nothing is lost, and a flood is indexed later rather than at the cost of sessions.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use openpam_ids::{SessionId, TenantId};
use openpam_recordings::{Segment, SessionKey};
use openpam_telemetry::names;
use tokio::{sync::Notify, time::Instant};

use super::{
    Error, keys,
    lines::{Indexed, Lines},
    opened::{genuine, off_thread, tenant_key},
    pace::{self, Pace},
    service, store, store_of,
    terminal::{Taken, Terminal},
    types::{IndexState, Line, Screen, SegmentEntry, TakenMarks, Unindexed},
    typing::Typing,
};
use crate::{
    context::Context,
    db::DbError,
    domains::audit::{self, Event},
    state::Hub,
};

/// Share of one processor that indexing may take, and that of a session which says much at the moment.
const SHARE: f64 = 0.25;
const SHARE_IN_A_FLOOD: f64 = 0.02;
/// Plain bytes of a segment that make a flood, and how long it counts as one.
const FLOOD_BYTES: usize = 512 * 1024;
const FLOOD_LASTS: Duration = Duration::from_secs(3);
/// The longest rest between two segments, and between two of the same session.
const LONGEST_REST: Duration = Duration::from_secs(5);
const LONGEST_REST_OF_ONE: Duration = Duration::from_secs(60);
/// Between attempts when something is down: doubled each time.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// How often a store may answer with something else before a recording counts as damaged: one bad answer is none.
const BAD_ANSWERS: u32 = 5;
/// Sessions that have ended and are not indexed yet, at most; others are found in the database.
const MOST_ENDED: usize = 10_000;
/// Segments of one turn, at most, and what one of them may take: a flood's are many, and bring little.
const AT_ONCE: usize = 8;
const LONG: Duration = Duration::from_millis(50);
/// Lines of a turn that are work for the database too; below that one waits for it rather than it works.
const MANY_LINES: usize = 500;

/// What sessions of this hub tell, for the task that indexes.
#[derive(Debug, Clone, Default)]
pub struct Indexer {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    known: Mutex<Known>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Known {
    sessions: BTreeMap<SessionId, Told>,
    /// The session that had its turn last.
    last: Option<SessionId>,
}

/// A session, as its recorder told of it.
#[derive(Debug)]
struct Told {
    tenant_id: TenantId,
    key: Arc<SessionKey>,
    stored: u32,
    indexed: u32,
    ended: bool,
    reading: Reading,
    failures: u32,
    /// How often what the store gave was not what was stored.
    bad: u32,
    /// Not before that, after a failure.
    retry_at: Option<Instant>,
    /// It says much.
    flood_until: Option<Instant>,
    /// What its last segment took, where that was much, and when that was done.
    worked: Option<(Duration, Instant)>,
}

/// What goes on from segment to segment and is not in the database.
#[derive(Debug, Clone, Default)]
struct Reading {
    typing: Typing,
    pace: Pace,
}

impl Told {
    fn has_work(&self) -> bool {
        self.indexed < self.stored || self.ended
    }

    /// When it may have its turn: one that takes long keeps others waiting for less than itself. How long it
    /// rests is asked anew each time, since a flood may begin or end meanwhile.
    fn due_at(&self) -> Option<Instant> {
        let rested = self.worked.map(|(worked, done_at)| rested(worked, done_at, self.flood_until));
        self.retry_at.max(rested)
    }

    fn is_due(&self, now: Instant) -> bool {
        self.has_work() && self.due_at().is_none_or(|due| now >= due)
    }
}

/// When a session has rested enough after so much work: sooner, as soon as it does not say much any more.
fn rested(worked: Duration, done_at: Instant, flood_until: Option<Instant>) -> Instant {
    let after = |share: f64| done_at + worked.mul_f64(1.0 / share - 1.0).min(LONGEST_REST_OF_ONE);
    let calm = after(SHARE);
    flood_until.map_or(calm, |until| after(SHARE_IN_A_FLOOD).min(until.max(calm)))
}

/// A session whose recorder tells of it, for as long as this lives.
#[derive(Debug)]
pub(super) struct Telling {
    indexer: Indexer,
    id: SessionId,
}

impl Telling {
    /// One more segment is stored and noted.
    pub(super) fn stored(&self, seq: u32, plain_bytes: u32) {
        self.indexer.stored(self.id, seq, usize::try_from(plain_bytes).unwrap_or(usize::MAX));
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.indexer.end(self.id);
    }
}

/// What is to be done next.
struct Turn {
    id: SessionId,
    tenant_id: TenantId,
    key: Arc<SessionKey>,
    reading: Reading,
    /// Everything that was stored is indexed, and the session is over.
    over: bool,
}

impl Indexer {
    fn with<T>(&self, act: impl FnOnce(&mut Known) -> T) -> T {
        act(&mut self.inner.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A recording begins; the key opens its segments.
    pub(super) fn begin(&self, tenant_id: TenantId, id: SessionId, key: SessionKey) -> Telling {
        let told = Told {
            tenant_id,
            key: Arc::new(key),
            stored: 0,
            indexed: 0,
            ended: false,
            reading: Reading::default(),
            failures: 0,
            bad: 0,
            retry_at: None,
            flood_until: None,
            worked: None,
        };
        self.with(|known| known.sessions.insert(id, told));
        Telling { indexer: self.clone(), id }
    }

    fn stored(&self, id: SessionId, seq: u32, plain_bytes: usize) {
        self.with(|known| {
            if let Some(told) = known.sessions.get_mut(&id) {
                if plain_bytes >= FLOOD_BYTES {
                    told.flood_until = Some(Instant::now() + FLOOD_LASTS);
                }
                told.stored = told.stored.max(seq + 1);
            }
        });
        self.inner.wake.notify_one();
    }

    /// The recording is closed, or nobody records it any more.
    fn end(&self, id: SessionId) {
        self.with(|known| {
            let ended = known.sessions.values().filter(|told| told.ended).count();
            if ended >= MOST_ENDED {
                known.sessions.remove(&id);
            } else if let Some(told) = known.sessions.get_mut(&id) {
                told.ended = true;
            }
        });
        self.inner.wake.notify_one();
    }

    /// Whether its recorder is at work here.
    pub(super) fn records(&self, id: SessionId) -> bool {
        self.with(|known| known.sessions.get(&id).is_some_and(|told| !told.ended))
    }

    /// Whether the session is indexed from here.
    fn knows(&self, id: SessionId) -> bool {
        self.with(|known| known.sessions.contains_key(&id))
    }

    /// Lets a session wait after a failure; how many there were in a row, or none where it makes no sense to try
    /// again.
    fn failed(&self, id: SessionId, error: &Error) -> Option<u32> {
        self.with(|known| {
            let told = known.sessions.get_mut(&id)?;
            if !error.may_pass() {
                told.bad += 1;
                if !error.is_bad_answer() || told.bad >= BAD_ANSWERS {
                    return None;
                }
            }
            told.failures += 1;
            told.retry_at = Some(Instant::now() + (RETRY * (1_u32 << told.failures.min(6))).min(LONGEST_RETRY));
            Some(told.failures)
        })
    }

    /// Sessions take turns, so that a flood keeps nobody waiting.
    fn turn(&self, now: Instant) -> Option<Turn> {
        self.with(|known| {
            let after = known.last.map_or(Bound::Unbounded, Bound::Excluded);
            let is_due = |told: &Told| told.is_due(now);
            let next = known.sessions.range((after, Bound::Unbounded)).find(|(_, told)| is_due(told));
            let next = next.or_else(|| known.sessions.iter().find(|(_, told)| is_due(told)));
            let (id, told) = next?;
            let turn = Turn {
                id: *id,
                tenant_id: told.tenant_id,
                key: told.key.clone(),
                reading: told.reading.clone(),
                over: told.indexed >= told.stored,
            };
            known.last = Some(turn.id);
            Some(turn)
        })
    }

    fn next_due(&self) -> Option<Instant> {
        self.with(|known| {
            let waiting = known.sessions.values().filter(|told| told.has_work());
            waiting.filter_map(Told::due_at).min()
        })
    }

    fn waiting(&self) -> u64 {
        self.with(|known| known.sessions.values().map(|told| u64::from(told.stored.saturating_sub(told.indexed))).sum())
    }
}

/// How long to rest after so much work, whoever it was for. A session that says much rests longer by itself: who
/// floods slows down nobody else's index.
fn rest(worked: Duration) -> Duration {
    let now = Instant::now();
    rested(worked, now, None).duration_since(now)
}

/// Indexes what sessions of this hub store, until the hub stops.
pub(super) async fn run(hub: &Hub) {
    let indexer = hub.indexer();
    let stop = hub.lifecycle().soft();
    while !stop.is_cancelled() {
        let Some(turn) = indexer.turn(Instant::now()) else {
            let woken = async {
                match indexer.next_due() {
                    Some(due) => drop(tokio::time::timeout_at(due, indexer.inner.wake.notified()).await),
                    None => indexer.inner.wake.notified().await,
                }
            };
            if stop.run_until_cancelled(woken).await.is_none() {
                return;
            }
            continue;
        };
        let rest = take(hub, indexer, turn).await;
        metrics::gauge!(names::RECORDING_INDEX_WAITING).set(indexer.waiting() as f64);
        if stop.run_until_cancelled(tokio::time::sleep(rest)).await.is_none() {
            return;
        }
    }
}

/// One session's turn; how long to rest then.
async fn take(hub: &Hub, indexer: &Indexer, turn: Turn) -> Duration {
    let Turn { id, tenant_id, key, reading, over } = turn;
    let context = Context::system(tenant_id, "recording indexer");
    if over {
        let closed = close(hub, &context, id).await;
        if let Err(error) = &closed {
            tracing::warn!(session_id = %id, %error, "the index of a recording is left for later");
        }
        indexer.with(|known| known.sessions.remove(&id));
        return Duration::ZERO;
    }
    match advance(hub, &context, id, &key, reading, None).await {
        Ok(step) => {
            let rest = rest(step.worked);
            indexer.with(|known| {
                if let Some(told) = known.sessions.get_mut(&id) {
                    told.indexed = step.indexed;
                    told.reading = step.reading;
                    (told.failures, told.bad, told.retry_at) = (0, 0, None);
                    told.worked = Some((step.worked, Instant::now()));
                }
            });
            rest.min(LONGEST_REST)
        }
        Err(error) => {
            match indexer.failed(id, &error) {
                Some(1) => tracing::warn!(session_id = %id, %error, "a recording is not indexed yet"),
                Some(_) => {}
                None => {
                    give_up(hub, &context, id, &error).await;
                    indexer.with(|known| known.sessions.remove(&id));
                }
            }
            Duration::ZERO
        }
    }
}

/// What one turn took.
struct Step {
    /// Segments that are indexed now.
    indexed: u32,
    reading: Reading,
    worked: Duration,
}

/// What some segments in a row gave.
struct Batch {
    /// The screen behind each.
    screens: Vec<Screen>,
    lines: Vec<Line>,
    truncated: bool,
    cut: bool,
    marks: TakenMarks,
    /// The state of the index behind them.
    state: IndexState,
    reading: Reading,
    worked: Duration,
}

impl Batch {
    /// Whether one more segment would make the turn long.
    fn is_enough(&self) -> bool {
        self.screens.len() >= AT_ONCE || self.lines.len() >= MANY_LINES || self.worked >= LONG
    }

    fn add(&mut self, screen: Screen, taken: Taken, worked: Duration) {
        self.state.segments += 1;
        self.state.lines = self.state.lines.saturating_add(i32::try_from(taken.lines.len()).unwrap_or(i32::MAX));
        let bytes = taken.lines.iter().map(|line| line.text.len()).sum::<usize>();
        self.state.bytes = self.state.bytes.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.state.looked_lines = i32::try_from(taken.looked).unwrap_or(i32::MAX);
        self.state.sampled = pace::joined(std::mem::take(&mut self.state.sampled), &taken.sampled);
        self.screens.push(screen);
        self.lines.extend(taken.lines);
        self.truncated |= taken.truncated;
        self.cut |= taken.cut;
        self.marks.add(taken.marks);
        self.reading = Reading { typing: taken.typing, pace: taken.pace };
        self.worked += worked;
    }
}

/// Indexes the next segments, as many as bring little, in one transaction with the event, if there is one.
async fn advance(
    hub: &Hub,
    context: &Context,
    id: SessionId,
    key: &Arc<SessionKey>,
    reading: Reading,
    event: Option<Event>,
) -> Result<Step, Error> {
    let mut tx = hub.db().begin(context).await?;
    let before = store::index::index_state(&mut tx, id).await?.ok_or(Error::NotFound)?;
    if before.done {
        return Ok(Step { indexed: u32::MAX, reading, worked: Duration::ZERO });
    }
    let at_once = i64::try_from(AT_ONCE).unwrap_or(1);
    let noted = store::segments_from(&mut tx, id, before.segments, at_once).await?;
    let screen = store::screen_before(&mut tx, id, before.segments).await?;
    drop(tx);
    let mut batch = Batch {
        screens: Vec::new(),
        lines: Vec::new(),
        truncated: false,
        cut: false,
        marks: TakenMarks::default(),
        state: before.clone(),
        reading,
        worked: Duration::ZERO,
    };
    for noted in noted {
        match one(hub, context, id, key, noted, screen.as_ref(), &batch).await {
            Ok((screen, taken, worked)) => batch.add(screen, taken, worked),
            // What went before it is indexed all the same; it has the next turn.
            Err(_) if !batch.screens.is_empty() => break,
            Err(error) => return Err(error),
        }
        if batch.is_enough() {
            break;
        }
    }
    if batch.screens.is_empty() {
        return Err(Error::NotFound);
    }
    let begun = Instant::now();
    let more = store::index::More {
        segments: i32::try_from(batch.screens.len()).unwrap_or(i32::MAX),
        lines: &batch.lines,
        looked: u64::try_from(batch.state.looked_lines).unwrap_or_default(),
        truncated: batch.truncated,
        cut: batch.cut,
        sampled: &batch.state.sampled,
        marks: &batch.marks,
    };
    let indexed = |segments: i32| u32::try_from(segments).unwrap_or_default();
    let mut tx = hub.db().begin(context).await?;
    if !store::index::note_indexed(&mut tx, context.tenant_id, id, &before, &more).await? {
        // Another hub was faster: what it did is seen at the next turn.
        return Ok(Step { indexed: indexed(before.segments), reading: batch.reading, worked: batch.worked });
    }
    for screen in &batch.screens {
        store::note_screen(&mut tx, context.tenant_id, id, screen).await?;
    }
    if let Some(event) = event {
        let event = service::about(&mut tx, id, event).await?;
        audit::record(&mut tx, context, event).await?;
    }
    tx.commit().await.map_err(DbError::from)?;
    if batch.lines.len() >= MANY_LINES {
        batch.worked += begun.elapsed();
    }
    Ok(Step { indexed: indexed(batch.state.segments), reading: batch.reading, worked: batch.worked })
}

/// Reads the next segment behind the batch, which begins with this screen where it has none yet.
async fn one(
    hub: &Hub,
    context: &Context,
    id: SessionId,
    key: &Arc<SessionKey>,
    noted: SegmentEntry,
    screen: Option<&Screen>,
    batch: &Batch,
) -> Result<(Screen, Taken, Duration), Error> {
    let bytes = stored(hub, context, id, u32::try_from(noted.seq).unwrap_or_default()).await?;
    let (key, state, reading) = (key.clone(), batch.state.clone(), batch.reading.clone());
    let screen = batch.screens.last().or(screen).cloned();
    off_thread(move || {
        let begun = Instant::now();
        let (screen, taken) = read(id, &noted, &bytes, &key, screen.as_ref(), &state, reading)?;
        Ok((screen, taken, begun.elapsed()))
    })
    .await
}

/// The screen behind a segment, and what it showed.
fn read(
    id: SessionId,
    noted: &SegmentEntry,
    bytes: &[u8],
    key: &SessionKey,
    screen: Option<&Screen>,
    state: &IndexState,
    reading: Reading,
) -> Result<(Screen, Taken), Error> {
    let opened = genuine(id, noted, bytes)?.open(key)?;
    let indexed = Indexed {
        lines: u64::try_from(state.lines).unwrap_or_default(),
        bytes: u64::try_from(state.bytes).unwrap_or_default(),
        looked: u64::try_from(state.looked_lines).unwrap_or_default(),
    };
    let pending = screen.map(|screen| screen.pending.as_slice()).unwrap_or_default();
    let mut terminal = Terminal::showing(screen, pending, reading.typing, Lines::after(indexed)).paced(reading.pace);
    terminal.feed(&opened)?;
    Ok((terminal.screen(noted.seq + 1), terminal.finish()))
}

/// Notes that a recording is indexed to its end, where it is closed.
async fn close(hub: &Hub, context: &Context, id: SessionId) -> Result<(), Error> {
    let mut tx = hub.db().begin(context).await?;
    // A session that did not come to be has no recording either.
    let Some(recording) = store::find(&mut tx, id).await? else { return Ok(()) };
    let state = store::index::index_state(&mut tx, id).await?.ok_or(Error::NotFound)?;
    if recording.state != "recording" && state.segments >= recording.segments {
        store::index::close_index(&mut tx, id, None).await?;
        tx.commit().await.map_err(DbError::from)?;
    }
    Ok(())
}

/// Notes that a recording cannot be indexed, so that nobody tries for ever.
async fn give_up(hub: &Hub, context: &Context, id: SessionId, error: &Error) {
    tracing::warn!(session_id = %id, %error, "a recording cannot be indexed to its end");
    let noted = async {
        let mut tx = hub.db().begin(context).await?;
        store::index::close_index(&mut tx, id, Some("recording_damaged")).await?;
        tx.commit().await.map_err(DbError::from)?;
        Ok::<_, Error>(())
    };
    if let Err(error) = noted.await {
        tracing::warn!(session_id = %id, %error, "that a recording cannot be indexed is not noted");
    }
}

/// Indexes closed recordings that no hub indexes: theirs died, or they are older than the index. They are
/// opened with the tenant's key, which is in the trail.
///
/// # Errors
/// When something is down; what was done stays.
pub(super) async fn index_abandoned(hub: &Hub, tenant_id: TenantId, seconds: u64) -> Result<(), Error> {
    const AT_ONCE: i64 = 20;
    let context = Context::system(tenant_id, "recording indexer");
    let mut tx = hub.db().begin(&context).await?;
    let open = store::index::unindexed(&mut tx, seconds as f64, AT_ONCE).await?;
    drop(tx);
    let mut failure = None;
    for recording in open {
        if hub.lifecycle().soft().is_cancelled() {
            return Ok(());
        }
        if hub.indexer().knows(recording.session_id) {
            continue;
        }
        match index_closed(hub, &context, &recording).await {
            Ok(()) => {}
            Err(error) if error.may_pass() || error.is_bad_answer() => {
                let mut tx = hub.db().begin(&context).await?;
                let bad = store::index::note_tried(&mut tx, recording.session_id, !error.may_pass()).await?;
                tx.commit().await.map_err(DbError::from)?;
                if u32::try_from(bad).unwrap_or_default() >= BAD_ANSWERS {
                    give_up(hub, &context, recording.session_id, &error).await;
                } else {
                    failure = Some(error);
                }
            }
            Err(error) => give_up(hub, &context, recording.session_id, &error).await,
        }
    }
    failure.map_or(Ok(()), Err)
}

/// The segment in the store. One that is not there may be on its way, or be put back.
async fn stored(hub: &Hub, context: &Context, id: SessionId, seq: u32) -> Result<Bytes, Error> {
    let bytes = store_of(hub)?.segment(context.tenant_id, id, seq).await?;
    bytes.ok_or_else(|| Error::Store(format!("segment {seq} of {id} is not there")))
}

async fn index_closed(hub: &Hub, context: &Context, recording: &Unindexed) -> Result<(), Error> {
    let id = recording.session_id;
    let mut tx = hub.db().begin(context).await?;
    let state = store::index::index_state(&mut tx, id).await?.ok_or(Error::NotFound)?;
    drop(tx);
    if state.segments < recording.segments {
        let seq = u32::try_from(state.segments).unwrap_or_default();
        let bytes = stored(hub, context, id, seq).await?;
        let segment = Segment::parse(&bytes)?;
        let reader = keys::reader(hub, context, tenant_key(segment.header())).await?;
        let key = Arc::new(SessionKey::unwrap(segment.header(), &reader)?);
        // With the first text that is taken: not for each attempt, and for one hub.
        let mut event = Some(Event::success("recording.index").with("from_segment", state.segments));
        let mut reading = Reading::default();
        for _ in state.segments..recording.segments {
            let step = advance(hub, context, id, &key, reading, event.take()).await?;
            if step.indexed >= u32::try_from(recording.segments).unwrap_or_default() {
                break;
            }
            reading = step.reading;
            let rest = tokio::time::sleep(rest(step.worked));
            if hub.lifecycle().soft().run_until_cancelled(rest).await.is_none() {
                return Ok(());
            }
        }
    }
    close(hub, context, id).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_costly_session_rests_for_as_long_as_others_say_much_and_no_longer() {
        let (second, done_at) = (Duration::from_secs(1), Instant::now());
        for (flood_lasts, rests) in [(None, 3), (Some(1), 3), (Some(10), 10), (Some(100), 49)] {
            let until = flood_lasts.map(|seconds| done_at + second * seconds);
            assert_eq!(rested(second, done_at, until), done_at + second * rests, "{flood_lasts:?}");
        }
        assert_eq!(rested(second * 600, done_at, None), done_at + LONGEST_REST_OF_ONE);
    }

    fn told(indexer: &Indexer, id: u128) -> (SessionId, Telling) {
        let id = SessionId::from(uuid::Uuid::from_u128(id));
        let system = aws_lc_rs::rand::SystemRandom::new();
        let session = openpam_recordings::Session {
            tenant_id: uuid::Uuid::nil(),
            session_id: id.as_uuid(),
            content: openpam_recordings::Content::Terminal,
            started_at: 0,
        };
        let recipient = openpam_recordings::Recipient {
            role: openpam_recordings::Role::Tenant,
            key: openpam_recordings::RecipientKey([9; 32]),
        };
        let random = &mut openpam_recordings::random::Secure(&system);
        let limits = openpam_recordings::Limits::default();
        let writer = openpam_recordings::Writer::new(session, &[recipient], limits, random).unwrap();
        (id, indexer.begin(TenantId::from(uuid::Uuid::nil()), id, writer.opener()))
    }

    #[test]
    fn who_floods_rests_and_keeps_nobody_else_waiting() {
        let indexer = Indexer::default();
        let (flooding, loud) = told(&indexer, 1);
        let (calm, quiet) = told(&indexer, 2);
        for seq in 0..10 {
            loud.stored(seq, 16 << 20);
            quiet.stored(seq, 1_000);
        }
        let worked = Duration::from_millis(200);
        let now = Instant::now();
        indexer.with(|known| known.sessions.values_mut().for_each(|told| told.worked = Some((worked, now))));
        assert!(indexer.turn(now).is_none(), "both rest");
        let soon = now + worked * 4;
        for _ in 0..3 {
            assert_eq!(indexer.turn(soon).map(|turn| turn.id), Some(calm));
        }
        assert!(indexer.records(flooding) && indexer.turn(now + worked * 50).is_some());
        drop(loud);
        assert!(!indexer.records(flooding) && indexer.knows(flooding), "it is indexed, and not recorded any more");
    }

    #[test]
    fn one_bad_answer_of_the_store_ends_nothing() {
        let indexer = Indexer::default();
        let (id, _telling) = told(&indexer, 1);
        let down = Error::Store("it is down".to_owned());
        for failures in 1..10 {
            assert_eq!(indexer.failed(id, &down), Some(failures));
        }
        for bad in 1..BAD_ANSWERS {
            assert_eq!(indexer.failed(id, &Error::Changed { seq: 1 }), Some(9 + bad));
        }
        assert_eq!(indexer.failed(id, &Error::Changed { seq: 1 }), None);
        assert_eq!(indexer.failed(id, &Error::Purged), None);
    }
}
