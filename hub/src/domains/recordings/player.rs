//! What a player plays: a list of segments, and for each its events and the screen it begins with, in
//! the shape of asciinema-player's segmented mode. A seek costs one segment, whatever the length.

use std::time::Duration;

use openpam_recordings::{OpenedSegment, Record, Utf8};
use serde::Serialize;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

use super::{
    Error,
    lines::Lines,
    marks,
    opened::{Opened, off_thread},
    pace::Pace,
    store,
    terminal::Terminal,
    types::Screen,
    typing::Typing,
};
use crate::{context::Context, db::DbError, state::Hub};

/// Commands that a player is told, at most.
const COMMANDS: i64 = 1_000;

/// Seeks past what is indexed at the same time, each of which draws all that is in between.
static DRAWINGS: Semaphore = Semaphore::const_new(2);
/// How long a request waits for its turn, and draws then.
const DRAWING_TAKES: Duration = Duration::from_secs(15);

/// The list of segments.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct PlayerIndex {
    /// Version of this shape.
    version: u8,
    /// Seconds.
    duration: f64,
    /// The terminal's size at the beginning.
    term: PlayerTerm,
    segments: Vec<PlayerSegmentEntry>,
    /// `[seconds, label]` of the facts that were recorded, and of keys that did not show, as far as it is indexed; the
    /// first five thousand.
    markers: Vec<(f64, String)>,
    /// `[seconds, command]` of what was run, best effort, as far as it is indexed; the first thousand.
    commands: Vec<(f64, String)>,
}

/// A terminal's size.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct PlayerTerm {
    cols: u16,
    rows: u16,
}

/// Where a segment begins and where it is.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct PlayerSegmentEntry {
    /// Seconds.
    start: f64,
    url: String,
}

/// One segment.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct PlayerSegment {
    snapshot: PlayerSnapshot,
    /// `[seconds, code, data]` with seconds since the beginning of the recording; code `o` output, `i`
    /// input, `r` a new size, `m` a marker.
    #[schema(value_type = Vec<Vec<serde_json::Value>>)]
    events: Vec<(f64, &'static str, String)>,
}

/// The screen a segment begins with.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct PlayerSnapshot {
    cols: i32,
    rows: i32,
    /// Text that draws it on an empty terminal.
    init: String,
}

#[expect(clippy::cast_precision_loss, reason = "a recording of 285 years is exact to the microsecond")]
pub(super) fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// What a player needs to begin: the list of segments, the first at 0 and the last ending at the
/// duration, and the commands that were run.
pub(super) async fn index(hub: &Hub, context: &Context, mut opened: Opened) -> Result<PlayerIndex, Error> {
    let size = match opened.segment(hub, context, 0).await? {
        Some(segment) => first_size(&segment),
        None => None,
    };
    let (id, play) = (opened.recording.session_id, opened.play);
    let mut tx = hub.db().begin(context).await?;
    let commands = store::index::commands(&mut tx, id.as_uuid(), COMMANDS).await?;
    let markers = store::index::marks(&mut tx, id).await?;
    drop(tx);
    let (cols, rows) = size.unwrap_or((80, 24));
    let entry = |(position, segment): (usize, &super::types::SegmentEntry)| PlayerSegmentEntry {
        start: if position == 0 { 0.0 } else { seconds(segment.from_us) },
        url: format!("/api/v1/sessions/{id}/recording/segments/{}?play={play}", segment.seq),
    };
    Ok(PlayerIndex {
        version: 1,
        duration: seconds(opened.recording.duration_us),
        term: PlayerTerm { cols, rows },
        segments: opened.segments.iter().enumerate().map(entry).collect(),
        markers: markers.into_iter().map(|(at, label)| (seconds(at), label)).collect(),
        commands: commands.into_iter().map(|(at, text)| (seconds(at), text)).collect(),
    })
}

/// The terminal's size at the beginning.
fn first_size(segment: &OpenedSegment) -> Option<(u16, u16)> {
    match segment.records().next()?.ok()?.record {
        Record::Resize { cols, rows } => Some((cols, rows)),
        _ => None,
    }
}

/// One segment with the screen it begins with. Where that is not known yet it is drawn from the last
/// one that is, and noted on the way.
pub(super) async fn segment(
    hub: &Hub,
    context: &Context,
    opened: &mut Opened,
    seq: i32,
) -> Result<PlayerSegment, Error> {
    let id = opened.recording.session_id;
    let mut tx = hub.db().begin(context).await?;
    let mut known = store::screen_before(&mut tx, id, seq).await?;
    drop(tx);
    let mut at = known.as_ref().map_or(0, |screen| screen.seq);
    let mut turn = None;
    if at < seq {
        turn = Some(drawing_turn().await?);
    }
    while at < seq {
        if turn.as_ref().is_some_and(|(_, until)| Instant::now() >= *until) {
            // What is drawn stays: the next request goes on there.
            return Err(Error::Drawing);
        }
        let before =
            opened.segment(hub, context, u32::try_from(at).unwrap_or_default()).await?.ok_or(Error::NotFound)?;
        at += 1;
        let screen = off_thread(move || draw(known.as_ref(), &before, at)).await?;
        let mut tx = hub.db().begin(context).await?;
        store::note_screen(&mut tx, context.tenant_id, id, &screen).await?;
        tx.commit().await.map_err(DbError::from)?;
        known = Some(screen);
    }
    drop(turn);
    let wanted = u32::try_from(seq).map_err(|_| Error::NotFound)?;
    let segment = opened.segment(hub, context, wanted).await?.ok_or(Error::NotFound)?;
    let duration = opened.recording.duration_us;
    off_thread(move || {
        let pending = known.as_ref().map(|screen| screen.pending.clone()).unwrap_or_default();
        let events = events(&segment, seq == 0, &pending, duration)?;
        let (cols, rows, init) = known.map_or((80, 24, String::new()), |it| (it.cols, it.rows, it.screen));
        Ok(PlayerSegment { snapshot: PlayerSnapshot { cols, rows, init }, events })
    })
    .await
}

/// Waits for the turn to draw; until when that lasts, from when it begins: who waited draws something, too.
async fn drawing_turn() -> Result<(Option<SemaphorePermit<'static>>, Instant), Error> {
    // The semaphore is never closed.
    let turn = timeout(DRAWING_TAKES, DRAWINGS.acquire()).await.map_err(|_| Error::Drawing)?.ok();
    Ok((turn, Instant::now() + DRAWING_TAKES))
}

/// The screen behind a segment.
fn draw(before: Option<&Screen>, segment: &OpenedSegment, next: i32) -> Result<Screen, Error> {
    let pending = before.map(|screen| screen.pending.as_slice()).unwrap_or_default();
    let mut terminal = Terminal::showing(before, pending, Typing::default(), Lines::none()).paced(Pace::screens_only());
    terminal.feed(segment)?;
    Ok(terminal.screen(next))
}

/// What happened in a segment. A character that is cut at its end belongs to the next one.
fn events(
    segment: &OpenedSegment,
    first: bool,
    pending: &[u8],
    duration_us: i64,
) -> Result<Vec<(f64, &'static str, String)>, Error> {
    let (mut output, mut input) = (Utf8::resume(pending), Utf8::default());
    let micros = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
    let decoded = |utf8: &mut Utf8, bytes: &[u8]| {
        let mut text = String::with_capacity(bytes.len());
        utf8.decode(bytes, &mut text);
        text
    };
    let header = segment.header();
    let mut events = Vec::new();
    if first {
        events.push((0.0, "o", String::new()));
    }
    for timed in segment.records() {
        let timed = timed?;
        let at = seconds(micros(timed.at));
        match timed.record {
            Record::Output(bytes) => events.push((at, "o", decoded(&mut output, bytes))),
            Record::Input(bytes) => events.push((at, "i", decoded(&mut input, bytes))),
            Record::Resize { cols, rows } => events.push((at, "r", format!("{cols}x{rows}"))),
            Record::Marker(label) => events.push((at, "m", label.to_owned())),
            Record::Gap { bytes, .. } => events.push((at, "m", marks::gap(bytes))),
            Record::MaskedInput(_) | Record::Snapshot { .. } | Record::Exit(_) => {}
        }
    }
    // A later segment's first event is where it starts, the recording's last one where it ends.
    if events.first().is_none_or(|(at, ..)| *at > seconds(micros(header.from))) {
        events.insert(0, (seconds(micros(header.from)), "o", String::new()));
    }
    if micros(header.until) >= duration_us {
        events.push((seconds(duration_us), "o", String::new()));
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waited_for_their_turn_has_all_of_it() {
        let (one, other) = (drawing_turn().await.unwrap(), drawing_turn().await.unwrap());
        let begun = Instant::now();
        let ends = async {
            tokio::time::sleep(DRAWING_TAKES * 9 / 10).await;
            drop(one);
        };
        let (waited, ()) = tokio::join!(drawing_turn(), ends);
        let (turn, until) = waited.unwrap();
        assert!(turn.is_some() && until >= begun + DRAWING_TAKES * 9 / 10 + DRAWING_TAKES);
        // Who waits too long is told to ask again.
        assert!(matches!(drawing_turn().await, Err(Error::Drawing)));
        drop((turn, other));
    }
}
