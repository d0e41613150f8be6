//! What a terminal shows now, as bytes that draw it on an empty one: for who begins to watch. Drawn
//! from the output that is retained, off the path of the bytes and off the async threads.

use std::{sync::Arc, time::Duration};

use avt::Terminal as Model;
use bytes::Bytes;
use openpam_recordings::Utf8;
use openpam_telemetry::names;
use tokio::{sync::Semaphore, time::Instant};

use super::output::Retained;

/// Screens that are drawn at the same time: watching must not take the cores from the sessions.
const AT_ONCE: usize = 2;
/// How long a screen may take to draw. A few bytes can ask for a million cells to be cleared: then who comes
/// sees what follows, on an empty screen.
const LONGEST: Duration = Duration::from_secs(1);
/// Bytes drawn between two looks at the clock.
const PIECE: usize = 1024;
/// Sizes that are remembered of one session.
const MOST_SIZES: usize = 256;
/// Columns and rows a terminal may have.
const MOST: u16 = 1_000;

/// The sizes that a terminal had, by the position in its output.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    /// The size before the first of the changes.
    first: (u16, u16),
    changes: Vec<(u64, (u16, u16))>,
}

impl Sizes {
    pub(super) fn new(first: (u16, u16)) -> Self {
        Self { first, changes: Vec::new() }
    }

    /// The terminal has another size from this position on. Changes at or before `start` matter no
    /// more, but for the last.
    pub(super) fn change(&mut self, position: u64, size: (u16, u16), start: u64) {
        if self.last() == size {
            return;
        }
        let mut past = self.changes.iter().take_while(|(at, _)| *at <= start).count();
        if self.changes.len() - past >= MOST_SIZES {
            past = self.changes.len() - MOST_SIZES + 1;
        }
        if let Some((_, size)) = self.changes.drain(..past).next_back() {
            self.first = size;
        }
        self.changes.push((position, size));
    }

    /// What came before this position is replaced by what draws the screen as it was there.
    pub(super) fn redrawn(&mut self, at: u64) {
        let past = self.changes.iter().take_while(|(position, _)| *position <= at).count();
        if let Some((_, size)) = self.changes.drain(..past).next_back() {
            self.first = size;
        }
    }

    /// The present one.
    pub(super) fn last(&self) -> (u16, u16) {
        self.changes.last().map_or(self.first, |(_, size)| *size)
    }
}

/// Where screens are drawn, a few at a time.
pub(super) struct Drawing {
    places: Arc<Semaphore>,
}

impl Default for Drawing {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Drawing {
    /// Draws what the terminal shows after the retained output. Exact where nothing came before it
    /// that is no longer retained.
    pub(super) async fn draw(&self, retained: Retained, sizes: Sizes) -> Bytes {
        let place = self.places.clone().acquire_owned().await;
        metrics::counter!(names::SCREENS_DRAWN).increment(1);
        let drawn = tokio::task::spawn_blocking(move || {
            // Whoever asked may go; the drawing takes its place until it is done.
            let _place = place;
            draw(&retained, &sizes)
        })
        .await;
        drawn.unwrap_or_default().into()
    }
}

fn draw(retained: &Retained, sizes: &Sizes) -> Vec<u8> {
    let mut position = retained.start;
    let past = sizes.changes.iter().take_while(|(at, _)| *at <= position).count();
    let (before, after) = sizes.changes.split_at(past);
    let (cols, rows) = clamped(before.last().map_or(sizes.first, |(_, size)| *size));
    let Ok(model) = Model::new(cols, rows) else { return Vec::new() };
    let mut screen = Screen { model, text: Utf8::default(), until: Instant::now() + LONGEST, is_late: false };
    let mut changes = after.iter().peekable();
    for block in &retained.blocks {
        let mut rest = &block[..];
        while let Some((at, size)) = changes.next_if(|(at, _)| *at <= position + rest.len() as u64) {
            let length = usize::try_from(at.saturating_sub(position)).unwrap_or(rest.len());
            let (before, after) = rest.split_at(length.min(rest.len()));
            screen.feed(before);
            screen.resize(*size);
            position += before.len() as u64;
            rest = after;
        }
        screen.feed(rest);
        position += rest.len() as u64;
    }
    for (_, size) in changes {
        screen.resize(*size);
    }
    if screen.is_late {
        tracing::warn!(cols, rows, "a screen takes too long to draw");
        return Vec::new();
    }
    let mut drawn = without_trailing_blanks(&screen.model.dump()).into_bytes();
    // The rest of the character follows.
    drawn.extend_from_slice(screen.text.pending());
    drawn
}

/// The drawing without the plain blanks that fill lines up: a terminal that is made narrower would wrap
/// them, and show an empty line after each. The drawing is of an empty terminal; nothing is below them.
fn without_trailing_blanks(drawing: &str) -> String {
    let mut kept = String::with_capacity(drawing.len());
    // Where plain blanks begin that nothing follows yet.
    let mut blanks = None;
    let mut plain = true;
    let mut rest = drawing;
    while let Some(letter) = rest.chars().next() {
        let sequence = rest.strip_prefix("\x1b[").and_then(|inner| {
            let length = inner.bytes().position(|byte| (0x40..=0x7e).contains(&byte))?;
            Some((&inner[..length], inner.as_bytes()[length], length + 3))
        });
        let length = match sequence {
            // A blank that is repeated stays one.
            Some((_, b'b', length)) if blanks.is_some() => length,
            Some((parameters, last, length)) => {
                if let (Some(at), b'H') = (blanks, last) {
                    kept.truncate(at);
                }
                if last == b'm' {
                    plain = matches!(parameters, "" | "0");
                }
                blanks = None;
                length
            }
            None => {
                if letter == ' ' && plain {
                    blanks.get_or_insert(kept.len());
                } else if let Some(at) = blanks.take()
                    && rest.starts_with("\r\n")
                {
                    kept.truncate(at);
                }
                letter.len_utf8()
            }
        };
        kept.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    kept
}

struct Screen {
    model: Model,
    /// Characters may be cut between two blocks.
    text: Utf8,
    /// When it must be drawn.
    until: Instant,
    is_late: bool,
}

impl Screen {
    fn feed(&mut self, bytes: &[u8]) {
        let mut text = String::new();
        for piece in bytes.chunks(PIECE) {
            self.is_late |= Instant::now() > self.until;
            if self.is_late {
                return;
            }
            text.clear();
            self.text.decode(piece, &mut text);
            self.model.feed(&text);
        }
    }

    fn resize(&mut self, size: (u16, u16)) {
        let (cols, rows) = clamped(size);
        self.model.resize(cols, rows);
    }
}

fn clamped((cols, rows): (u16, u16)) -> (usize, usize) {
    (cols.clamp(1, MOST).into(), rows.clamp(1, MOST).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retained(start: u64, blocks: &[&'static [u8]]) -> Retained {
        Retained { start, blocks: blocks.iter().map(|block| Bytes::from_static(block)).collect() }
    }

    /// The lines that what was drawn shows on a terminal of this size.
    fn shown(drawn: &[u8], (cols, rows): (usize, usize)) -> Vec<String> {
        let mut model = Model::new(cols, rows).unwrap();
        model.feed(std::str::from_utf8(drawn).unwrap());
        (0..rows).map(|row| model.screen().line(row).unwrap().text().trim_end().to_owned()).collect()
    }

    #[test]
    fn the_screen_is_drawn_with_the_size_it_had_at_each_position() {
        let mut sizes = Sizes::new((10, 3));
        sizes.change(12, (20, 3), 0);
        let drawn = draw(&retained(0, &[b"0123456", b"789ab0123456789abcdef"]), &sizes);
        // Twelve letters wrapped after ten; what follows has twenty columns.
        let lines = shown(&drawn, (20, 3));
        assert_eq!(lines.concat(), "0123456789ab0123456789abcdef", "{lines:?}");
        assert!(lines.iter().any(|line| line.len() > 10), "the later size did not count: {lines:?}");
    }

    #[test]
    fn what_goes_on_after_a_cut_character_or_sequence_is_whole() {
        let drawn = draw(&retained(0, &[b"caf\xc3"]), &Sizes::new((10, 2)));
        assert_eq!(shown(&[drawn, b"\xa9!".to_vec()].concat(), (10, 2))[0], "caf\u{e9}!");
        let drawn = draw(&retained(0, &[b"a\x1b[3", b"1mb\x1b[0"]), &Sizes::new((10, 2)));
        assert_eq!(shown(&[drawn, b"mc".to_vec()].concat(), (10, 2))[0], "abc");
        let drawn = draw(&retained(0, &[b"a\xff\xc3", b"b"]), &Sizes::new((10, 2)));
        assert_eq!(shown(&drawn, (10, 2))[0], "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn what_takes_too_long_to_draw_is_given_up_in_time() {
        static CLEARS: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let clears = CLEARS.get_or_init(|| b"\x1b[2J".repeat(100_000));
        let begun = Instant::now();
        assert!(draw(&retained(0, &[clears]), &Sizes::new((1_000, 1_000))).is_empty());
        assert!(begun.elapsed() < LONGEST * 10, "it took {:?}", begun.elapsed());
    }

    #[test]
    fn lines_end_where_their_text_ends() {
        for (drawing, kept) in [
            ("one   \r\ntwo \x1b[35b\r\n   \x1b[1;1H", "one\r\ntwo\r\n\x1b[1;1H"),
            ("a  b \x1b[9b c\r\n", "a  b \x1b[9b c\r\n"),
            ("\x1b[44m  \x1b[0m  \r\n", "\x1b[44m  \x1b[0m\r\n"),
            ("\x1b[44mx  \r\n", "\x1b[44mx  \r\n"),
            ("x\x1b[3b\r\n\u{e9} \x1b[", "x\x1b[3b\r\n\u{e9} \x1b["),
        ] {
            assert_eq!(without_trailing_blanks(drawing), kept, "{drawing:?}");
        }
        // Made narrower, no line wraps.
        let drawn = draw(&retained(0, &[b"one\r\n\x1b[41mtwo\x1b[0m\r\nthree"]), &Sizes::new((20, 4)));
        let mut model = Model::new(20, 4).unwrap();
        model.feed(std::str::from_utf8(&drawn).unwrap());
        model.resize(10, 4);
        let line = |row: usize| model.screen().line(row).unwrap().text().trim_end().to_owned();
        assert_eq!([line(0), line(1), line(2)], ["one", "two", "three"]);
    }

    #[test]
    fn a_full_screen_program_stays_one() {
        let drawn = draw(&retained(0, &[b"shell\r\n\x1b[?1049h\x1b[2J\x1b[Heditor"]), &Sizes::new((10, 2)));
        assert_eq!(shown(&drawn, (10, 2))[0], "editor");
        assert_eq!(shown(&[drawn, b"\x1b[?1049l".to_vec()].concat(), (10, 2))[0], "shell");
    }

    #[test]
    fn sizes_that_matter_no_more_are_forgotten_and_none_is_kept_twice() {
        let mut sizes = Sizes::new((80, 24));
        sizes.change(10, (80, 24), 0);
        assert!(sizes.changes.is_empty());
        for position in 0..2_000 {
            sizes.change(position, (80 + (position % 2) as u16, 24), 0);
        }
        assert!(sizes.changes.len() <= MOST_SIZES, "{}", sizes.changes.len());
        let last = sizes.last();
        sizes.change(5_000, (100, 30), 4_000);
        assert_eq!((sizes.first, sizes.changes.len(), sizes.last()), (last, 1, (100, 30)));
    }
}
