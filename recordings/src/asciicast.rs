//! Export to asciicast v3 (<https://docs.asciinema.org/manual/asciicast/v3/>): one header line, then
//! one line for each event, `[interval, code, data]`, intervals in seconds since the event before.

use std::{borrow::Cow, io};

use serde::Serialize;

use crate::{
    record::{Exit, Record, TimedRecord},
    utf8::Utf8,
};

/// Asterisks that stand for masked input, at most: a recording must not make an export explode.
const MAX_ASTERISKS: u64 = 64;

/// What the header line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header<'a> {
    /// When the recording began, in seconds since 1970-01-01 UTC.
    pub timestamp: u64,
    /// A title.
    pub title: Option<Cow<'a, str>>,
    /// The terminal's type, as `xterm-256color`.
    pub term_type: Option<&'a str>,
}

#[derive(Serialize)]
struct HeaderLine<'a> {
    version: u8,
    term: Term<'a>,
    timestamp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
}

#[derive(Serialize)]
struct Term<'a> {
    cols: u16,
    rows: u16,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    term_type: Option<&'a str>,
}

/// Writes an export of a terminal's recording as records come. Holds a few bytes besides what it is given.
///
/// The terminal's size in the header is that of the first record if it is a resize or a snapshot,
/// otherwise 80×24. A snapshot is written only where playback needs one: first of all, and after a
/// gap. Masked input becomes asterisks, a gap becomes a marker that says how much is not there.
#[derive(Debug)]
pub struct Exporter<'h, W> {
    to: W,
    header: Option<Header<'h>>,
    /// Time of the last event, in microseconds since the recording began.
    last: u64,
    output: Utf8,
    input: Utf8,
    /// The screen cannot be known from what was written: the next snapshot is needed.
    needs_snapshot: bool,
    text: String,
}

impl<'h, W: io::Write> Exporter<'h, W> {
    /// Begins an export of records from `start` on, in microseconds since the recording began.
    pub fn new(to: W, header: Header<'h>, start: u64) -> Self {
        Self {
            to,
            header: Some(header),
            last: start,
            output: Utf8::default(),
            input: Utf8::default(),
            needs_snapshot: true,
            text: String::new(),
        }
    }

    /// Writes one record.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn record(&mut self, timed: &TimedRecord<'_>) -> io::Result<()> {
        self.write_header(Some(&timed.record))?;
        let at = timed.at;
        match timed.record {
            Record::Output(bytes) => {
                self.needs_snapshot = false;
                self.text.clear();
                self.output.decode(bytes, &mut self.text);
                self.text_event(at, "o")
            }
            Record::Input(bytes) => {
                self.text.clear();
                self.input.decode(bytes, &mut self.text);
                self.text_event(at, "i")
            }
            Record::MaskedInput(count) => {
                self.text.clear();
                self.text.extend((0..count.min(MAX_ASTERISKS)).map(|_| '*'));
                self.text_event(at, "i")
            }
            Record::Resize { cols, rows } => self.event(at, "r", &format!("{cols}x{rows}")),
            Record::Marker(label) => self.event(at, "m", label),
            Record::Snapshot { cols, rows, text } => {
                if !std::mem::take(&mut self.needs_snapshot) {
                    return Ok(());
                }
                self.flush(at)?;
                self.event(at, "r", &format!("{cols}x{rows}"))?;
                self.event(at, "o", text)
            }
            Record::Gap { bytes, .. } => {
                self.flush(at)?;
                self.needs_snapshot = true;
                self.event(at, "m", &format!("{bytes} bytes were not recorded here"))
            }
            Record::Exit(exit) => {
                self.flush(at)?;
                match exit {
                    Exit::Unknown => Ok(()),
                    Exit::Status(status) => self.event(at, "x", &status.to_string()),
                    Exit::Signal(name) => {
                        self.event(at, "m", &format!("ended by signal {name}"))?;
                        self.event(at, "x", &signal_status(name).to_string())
                    }
                }
            }
        }
    }

    /// The writer, for who empties it between records.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.to
    }

    /// Ends the export and gives the writer back, flushed. `at` is the end of the recording, in
    /// microseconds since it began.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self, at: u64) -> io::Result<W> {
        self.write_header(None)?;
        self.flush(at)?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn write_header(&mut self, first: Option<&Record<'_>>) -> io::Result<()> {
        let Some(header) = self.header.take() else { return Ok(()) };
        let (cols, rows) = match first {
            Some(Record::Resize { cols, rows } | Record::Snapshot { cols, rows, .. }) => (*cols, *rows),
            _ => (80, 24),
        };
        let line = HeaderLine {
            version: 3,
            term: Term { cols, rows, term_type: header.term_type },
            timestamp: header.timestamp,
            title: header.title.as_deref(),
        };
        serde_json::to_writer(&mut self.to, &line)?;
        self.to.write_all(b"\n")
    }

    /// Writes what began as a character and did not end as one.
    fn flush(&mut self, at: u64) -> io::Result<()> {
        for (unfinished, code) in [(self.output.finish(), "o"), (self.input.finish(), "i")] {
            if unfinished {
                self.event(at, code, "\u{fffd}")?;
            }
        }
        Ok(())
    }

    fn text_event(&mut self, at: u64, code: &str) -> io::Result<()> {
        let text = std::mem::take(&mut self.text);
        let written = if text.is_empty() { Ok(()) } else { self.event(at, code, &text) };
        self.text = text;
        written
    }

    fn event(&mut self, at: u64, code: &str, data: &str) -> io::Result<()> {
        // Whole microseconds, so that intervals add up exactly.
        let interval = at.saturating_sub(self.last);
        self.last = self.last.max(at);
        write!(self.to, "[{}.{:06}, \"{code}\", ", interval / 1_000_000, interval % 1_000_000)?;
        serde_json::to_writer(&mut self.to, data)?;
        self.to.write_all(b"]\n")
    }
}

/// What a shell reports for a program that a signal ended: 128 and the signal's number (POSIX).
fn signal_status(name: &str) -> u32 {
    let number = match name {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "ILL" => 4,
        "ABRT" => 6,
        "FPE" => 8,
        "KILL" => 9,
        "USR1" => 10,
        "SEGV" => 11,
        "USR2" => 12,
        "PIPE" => 13,
        "ALRM" => 14,
        "TERM" => 15,
        _ => 0,
    };
    128 + number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(records: &[(u64, Record<'_>)]) -> String {
        let header =
            Header { timestamp: 1_504_467_315, title: Some("web \"1\"".into()), term_type: Some("xterm-256color") };
        let mut exporter = Exporter::new(Vec::new(), header, 0);
        for (at, record) in records {
            exporter.record(&TimedRecord { at: *at, record: *record }).unwrap();
        }
        let end = records.last().map_or(0, |(at, _)| *at);
        String::from_utf8(exporter.finish(end).unwrap()).unwrap()
    }

    #[test]
    fn every_record_becomes_the_event_of_the_specification() {
        let text = export(&[
            (0, Record::Resize { cols: 100, rows: 30 }),
            (248_000, Record::Output(b"\x1b[1mhi \"you\"\r\n")),
            (1_248_001, Record::Input(b"q")),
            (1_300_000, Record::MaskedInput(3)),
            (1_300_000, Record::Marker("sudo")),
            (2_000_000, Record::Snapshot { cols: 100, rows: 30, text: "not needed" }),
            (3_000_000, Record::Gap { bytes: 77, reason: crate::GapReason::RateCap }),
            (3_000_000, Record::Snapshot { cols: 100, rows: 30, text: "needed" }),
            (4_000_000, Record::Exit(Exit::Signal("TERM"))),
        ]);
        let lines = text.lines().collect::<Vec<_>>();
        assert_eq!(
            lines[0],
            r#"{"version":3,"term":{"cols":100,"rows":30,"type":"xterm-256color"},"timestamp":1504467315,"title":"web \"1\""}"#
        );
        assert_eq!(
            lines[1..],
            [
                r#"[0.000000, "r", "100x30"]"#,
                r#"[0.248000, "o", "\u001b[1mhi \"you\"\r\n"]"#,
                r#"[1.000001, "i", "q"]"#,
                r#"[0.051999, "i", "***"]"#,
                r#"[0.000000, "m", "sudo"]"#,
                r#"[1.700000, "m", "77 bytes were not recorded here"]"#,
                r#"[0.000000, "r", "100x30"]"#,
                r#"[0.000000, "o", "needed"]"#,
                r#"[1.000000, "m", "ended by signal TERM"]"#,
                r#"[0.000000, "x", "143"]"#,
            ]
        );
    }

    #[test]
    fn an_empty_recording_has_a_header_all_the_same() {
        assert_eq!(export(&[]).lines().count(), 1);
    }

    #[test]
    fn a_character_that_never_ends_shows_before_the_exit() {
        let text = export(&[(0, Record::Output(b"\xe2\x82")), (5, Record::Exit(Exit::Status(0)))]);
        assert!(text.ends_with("[0.000005, \"o\", \"\u{fffd}\"]\n[0.000000, \"x\", \"0\"]\n"), "{text}");
    }
}
