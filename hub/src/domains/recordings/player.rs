//! What a player plays: a list of segments, and for each its events and the screen it begins with, in
//! the shape of asciinema-player's segmented mode. A seek costs one segment, whatever the length.

use avt::Terminal as Model;
use openpam_recordings::{OpenedSegment, Record};
use serde::Serialize;

use super::{
    Error,
    service::Opened,
    store,
    types::{Screen, SegmentEntry},
};
use crate::{context::Context, db::DbError, state::Hub};

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
    /// `[seconds, label]`.
    markers: Vec<(f64, String)>,
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

/// The list of a recording's segments; the first starts at 0, the last ends at the duration.
pub(super) fn index(opened: &Opened, segments: &[SegmentEntry], size: Option<(u16, u16)>) -> PlayerIndex {
    let (id, play) = (opened.recording.session_id, opened.play);
    let (cols, rows) = size.unwrap_or((80, 24));
    let entry = |(position, segment): (usize, &SegmentEntry)| PlayerSegmentEntry {
        start: if position == 0 { 0.0 } else { seconds(segment.from_us) },
        url: format!("/api/v1/sessions/{id}/recording/segments/{}?play={play}", segment.seq),
    };
    PlayerIndex {
        version: 1,
        duration: seconds(opened.recording.duration_us),
        term: PlayerTerm { cols, rows },
        segments: segments.iter().enumerate().map(entry).collect(),
        markers: Vec::new(),
    }
}

/// The terminal's size at the beginning.
pub(super) fn first_size(segment: &OpenedSegment) -> Option<(u16, u16)> {
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
    let known = store::screen_before(&mut tx, id, seq).await?;
    drop(tx);
    let mut at = known.as_ref().map_or(0, |screen| screen.seq);
    let mut terminal = Terminal::showing(known)?;
    while at < seq {
        let before =
            opened.segment(hub, context, u32::try_from(at).unwrap_or_default()).await?.ok_or(Error::NotFound)?;
        at += 1;
        let (drawn, screen) = draw(terminal, before, at).await?;
        terminal = drawn;
        let mut tx = hub.db().begin(context).await?;
        store::note_screen(&mut tx, context.tenant_id, id, &screen).await?;
        tx.commit().await.map_err(DbError::from)?;
    }
    let wanted = u32::try_from(seq).map_err(|_| Error::NotFound)?;
    let segment = opened.segment(hub, context, wanted).await?.ok_or(Error::NotFound)?;
    let events = events(&segment, seq == 0, opened.recording.duration_us)?;
    let Screen { cols, rows, screen, .. } = terminal.screen(seq);
    Ok(PlayerSegment { snapshot: PlayerSnapshot { cols, rows, init: screen }, events })
}

/// Draws a segment. Off the async threads: a flood takes a while.
async fn draw(mut terminal: Terminal, segment: OpenedSegment, next: i32) -> Result<(Terminal, Screen), Error> {
    tokio::task::spawn_blocking(move || {
        terminal.feed(&segment)?;
        let screen = terminal.screen(next);
        Ok((terminal, screen))
    })
    .await
    .unwrap_or(Err(Error::NotFound))
}

/// A terminal that shows what a recording showed.
struct Terminal {
    model: Model,
    text: Text,
}

impl Terminal {
    /// Shows the screen, or nothing on 80 columns and 24 rows.
    fn showing(screen: Option<Screen>) -> Result<Self, Error> {
        let size =
            |number: i32, other| usize::try_from(number).ok().filter(|it| (1..=1_000).contains(it)).unwrap_or(other);
        let (cols, rows) = screen.as_ref().map_or((80, 24), |it| (size(it.cols, 80), size(it.rows, 24)));
        let mut model = Model::new(cols, rows).map_err(|_| Error::NotFound)?;
        if let Some(screen) = screen {
            model.feed(&screen.screen);
        }
        Ok(Self { model, text: Text::default() })
    }

    fn feed(&mut self, segment: &OpenedSegment) -> Result<(), Error> {
        for record in segment.records() {
            match record?.record {
                Record::Output(bytes) => {
                    let text = self.text.push(bytes);
                    self.model.feed(&text);
                }
                Record::Resize { cols, rows } => self.resize(cols, rows),
                _ => {}
            }
        }
        Ok(())
    }

    fn resize(&mut self, cols: u16, rows: u16) {
        let size = |number: u16| usize::from(number).clamp(1, 1_000);
        self.model.resize(size(cols), size(rows));
    }

    fn screen(&self, seq: i32) -> Screen {
        let (cols, rows) = self.model.size();
        let size = |number: usize| i32::try_from(number).unwrap_or(1_000);
        Screen { seq, cols: size(cols), rows: size(rows), screen: self.model.dump() }
    }
}

/// Puts characters together that were cut between two records; what is no UTF-8 becomes U+FFFD.
#[derive(Debug, Default)]
struct Text {
    rest: Vec<u8>,
}

impl Text {
    fn push(&mut self, bytes: &[u8]) -> String {
        let joined = if self.rest.is_empty() { bytes.to_vec() } else { [&self.rest, bytes].concat() };
        self.rest.clear();
        let mut text = String::with_capacity(joined.len());
        let mut chunks = joined.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            if chunks.peek().is_none() && !invalid.is_empty() && may_go_on(invalid) {
                self.rest = invalid.to_vec();
            } else if !invalid.is_empty() {
                text.push('\u{fffd}');
            }
        }
        text
    }
}

/// Whether these bytes may be the beginning of a character.
fn may_go_on(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

fn events(segment: &OpenedSegment, first: bool, duration_us: i64) -> Result<Vec<(f64, &'static str, String)>, Error> {
    let (mut output, mut input) = (Text::default(), Text::default());
    let micros = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
    let header = segment.header();
    let mut events = Vec::new();
    if first {
        events.push((0.0, "o", String::new()));
    }
    for timed in segment.records() {
        let timed = timed?;
        let at = seconds(micros(timed.at));
        match timed.record {
            Record::Output(bytes) => events.push((at, "o", output.push(bytes))),
            Record::Input(bytes) => events.push((at, "i", input.push(bytes))),
            Record::Resize { cols, rows } => events.push((at, "r", format!("{cols}x{rows}"))),
            Record::Marker(label) => events.push((at, "m", label.to_owned())),
            Record::Gap { bytes, .. } => events.push((at, "m", format!("{bytes} bytes were not recorded here"))),
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
