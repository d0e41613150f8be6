//! Whether the terminal shows what is typed. SSH does not tell; the target's answer does: a terminal
//! that echoes answers a key with that key. What is not answered so is masked, be it a password or a
//! command of an editor: the recording must not hold a secret, and the screen shows the rest.
//!
//! Sans-io: records go in with their times, and come out in the same order, input decided.

use std::collections::VecDeque;

use bytes::Bytes;

/// How long an answer may take, in microseconds.
const PATIENCE: u64 = 1_000_000;
/// Bytes that may wait for a decision.
const MOST: usize = 64 * 1024;

/// A record whose input is decided.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decided {
    /// From the target.
    Output(Bytes),
    /// Typed, and seen on the screen; or keys that are no text.
    Input(Bytes),
    /// So many bytes typed that the screen did not show.
    Masked(usize),
    /// The terminal has another size.
    Resize(u16, u16),
    /// A fact for the timeline.
    Marker(Box<str>),
}

#[derive(Debug)]
enum Waiting {
    /// Text that was typed, and how much of it was answered.
    Text(Bytes, usize),
    Ready(Decided),
}

/// Holds records back while it is open whether text before them was shown.
#[derive(Debug, Default)]
pub(super) struct EchoWatch {
    waiting: VecDeque<(u64, Waiting)>,
    bytes: usize,
    /// Inside an escape sequence that a chunk of output broke off.
    escape: Escape,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Begun,
    Control,
    Text,
    TextEnd,
}

impl EchoWatch {
    /// Takes what the target said.
    pub(super) fn output(&mut self, at: u64, bytes: Bytes) {
        if !self.waiting.is_empty() {
            self.answer(&bytes);
        } else {
            self.escape = Escape::None;
        }
        self.push(at, bytes.len(), Waiting::Ready(Decided::Output(bytes)));
    }

    /// Takes what was typed.
    pub(super) fn input(&mut self, at: u64, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let text = bytes.iter().take_while(|byte| is_text(**byte)).count();
            if text > 0 {
                let run = bytes.split_to(text);
                self.push(at, run.len(), Waiting::Text(run, 0));
            }
            let keys = keys(&bytes);
            if keys > 0 {
                let run = bytes.split_to(keys);
                self.push(at, run.len(), Waiting::Ready(Decided::Input(run)));
            }
        }
    }

    /// Takes a new size.
    pub(super) fn resize(&mut self, at: u64, cols: u16, rows: u16) {
        self.push(at, 0, Waiting::Ready(Decided::Resize(cols, rows)));
    }

    /// Takes a fact for the timeline.
    pub(super) fn mark(&mut self, at: u64, label: &str) {
        self.push(at, 0, Waiting::Ready(Decided::Marker(label.into())));
    }

    fn push(&mut self, at: u64, length: usize, record: Waiting) {
        self.bytes += length;
        self.waiting.push_back((at, record));
    }

    /// When something is decided by the clock.
    pub(super) fn due_at(&self) -> Option<u64> {
        self.waiting.front().map(|(at, _)| at + PATIENCE)
    }

    /// The next record that is decided; at the time `now` what waited too long is.
    pub(super) fn next(&mut self, now: u64) -> Option<(u64, Decided)> {
        let (at, first) = self.waiting.front()?;
        let at = *at;
        let decided = match first {
            Waiting::Ready(_) => true,
            Waiting::Text(text, answered) => {
                *answered == text.len() || self.bytes > MOST || now >= at.saturating_add(PATIENCE)
            }
        };
        if !decided {
            return None;
        }
        let (at, record) = self.waiting.pop_front()?;
        let (length, record) = match record {
            Waiting::Ready(Decided::Output(bytes)) => (bytes.len(), Decided::Output(bytes)),
            Waiting::Ready(Decided::Input(bytes)) => (bytes.len(), Decided::Input(bytes)),
            Waiting::Ready(other) => (0, other),
            Waiting::Text(text, answered) if answered == text.len() => (text.len(), Decided::Input(text)),
            Waiting::Text(text, _) => (text.len(), Decided::Masked(text.len())),
        };
        self.bytes -= length;
        Some((at, record))
    }

    /// The next record, decided or not: text that is open is masked.
    pub(super) fn drain(&mut self) -> Option<(u64, Decided)> {
        self.next(u64::MAX)
    }

    /// Compares output with the text that waits: an echo comes first in what the target says next.
    fn answer(&mut self, output: &[u8]) {
        let Self { waiting, escape, .. } = self;
        let mut open = waiting.iter_mut().filter_map(|(_, record)| match record {
            Waiting::Text(text, answered) if *answered < text.len() => Some((text, answered)),
            _ => None,
        });
        let Some((mut text, mut answered)) = open.next() else { return };
        for byte in output {
            if skip(escape, *byte) {
                continue;
            }
            if text.get(*answered) != Some(byte) {
                // Something else: what was typed so far is not shown.
                *answered = usize::MAX;
                for (_, answered) in open {
                    *answered = usize::MAX;
                }
                break;
            }
            *answered += 1;
            if *answered == text.len() {
                match open.next() {
                    Some(next) => (text, answered) = next,
                    None => return,
                }
            }
        }
        // What is marked waits no longer.
        for (_, record) in waiting.iter_mut() {
            if let Waiting::Text(text, usize::MAX) = record {
                *record = Waiting::Ready(Decided::Masked(text.len()));
            }
        }
    }
}

/// Printable, or part of a character beyond ASCII.
fn is_text(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7f
}

/// How many bytes at the beginning are keys that are no text: controls, and whole escape sequences.
fn keys(bytes: &[u8]) -> usize {
    let mut escape = Escape::None;
    bytes.iter().take_while(|byte| skip(&mut escape, **byte) || !is_text(**byte)).count()
}

/// Follows escape sequences (ECMA-48 §5.4 and §8.3.89); `true` for bytes that draw no character.
/// A carriage return and a backspace move the cursor, as line editors do before an echo.
fn skip(escape: &mut Escape, byte: u8) -> bool {
    *escape = match (*escape, byte) {
        (Escape::None, 0x1b) => Escape::Begun,
        (Escape::None, b'\r' | 0x08 | 0x07 | 0x0e | 0x0f) => Escape::None,
        (Escape::None, _) => return false,
        (Escape::Begun, b'[' | b'O') => Escape::Control,
        (Escape::Begun, b']' | b'P' | b'_' | b'^' | b'X') => Escape::Text,
        (Escape::Begun, 0x20..=0x2f) => Escape::Begun,
        (Escape::Begun, _) => Escape::None,
        (Escape::Control, 0x40..=0x7e) => Escape::None,
        (Escape::Control, _) => Escape::Control,
        (Escape::Text, 0x07) => Escape::None,
        (Escape::Text, 0x1b) => Escape::TextEnd,
        (Escape::Text, _) => Escape::Text,
        (Escape::TextEnd, b'\\') => Escape::None,
        (Escape::TextEnd, _) => Escape::Text,
    };
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out for input (`<`) and output (`>`) in this order, joined where alike.
    fn decided(records: &[(char, &str)]) -> Vec<String> {
        let mut watch = EchoWatch::default();
        let mut out: Vec<String> = Vec::new();
        let mut take = |record: Decided| {
            let text = match record {
                Decided::Output(bytes) => format!("> {}", String::from_utf8_lossy(&bytes).escape_default()),
                Decided::Input(bytes) => format!("< {}", String::from_utf8_lossy(&bytes).escape_default()),
                Decided::Masked(length) => format!("* {length}"),
                Decided::Resize(cols, rows) => format!("= {cols}x{rows}"),
                Decided::Marker(label) => format!("# {label}"),
            };
            out.push(text);
        };
        for (at, (direction, text)) in (0..).zip(records) {
            let bytes = Bytes::copy_from_slice(text.as_bytes());
            if *direction == '<' {
                watch.input(at, bytes)
            } else {
                watch.output(at, bytes)
            }
            while let Some((_, record)) = watch.next(at) {
                take(record);
            }
        }
        while let Some((_, record)) = watch.drain() {
            take(record);
        }
        out
    }

    #[test]
    fn a_key_that_is_echoed_is_kept_and_order_stays() {
        assert_eq!(
            decided(&[
                ('<', "l"),
                ('>', "l"),
                ('<', "s"),
                ('>', "\u{1b}[32ms\u{1b}[0m"),
                ('<', "\r"),
                ('>', "\r\nfile\r\n")
            ]),
            ["< l", "> l", "< s", "> \\u{1b}[32ms\\u{1b}[0m", "< \\r", "> \\r\\nfile\\r\\n"]
        );
    }

    #[test]
    fn a_password_is_counted_and_not_kept() {
        for answer in ["\r\nWelcome", "\r\n\u{1b}[0mpassword accepted", "******", "\r\r\n"] {
            let out = decided(&[('>', "Password: "), ('<', "pass"), ('<', "word"), ('<', "\r"), ('>', answer)]);
            assert_eq!(out[1..4], ["* 4", "* 4", "< \\r"], "{answer:?}: {out:?}");
            assert!(out.iter().all(|line| !line.starts_with("< p") && !line.starts_with("< w")), "{out:?}");
        }
    }

    #[test]
    fn a_password_that_is_pasted_with_its_line_end_is_not_kept() {
        assert_eq!(decided(&[('<', "hunter2\r"), ('>', "\r\nhunter2 is no secret")])[..2], ["* 7", "< \\r"]);
    }

    #[test]
    fn an_echo_may_come_in_pieces_and_late() {
        assert_eq!(decided(&[('<', "abc"), ('>', "a\u{1b}["), ('>', "1mb"), ('>', "c")])[0], "< abc");
        assert_eq!(decided(&[('<', "a"), ('<', "b"), ('>', "ab")])[..2], ["< a", "< b"]);
    }

    #[test]
    fn without_an_answer_text_is_masked_when_its_time_is_over() {
        let mut watch = EchoWatch::default();
        watch.input(5, Bytes::from_static(b"x"));
        assert_eq!((watch.next(5), watch.due_at()), (None, Some(5 + PATIENCE)));
        assert_eq!(watch.next(5 + PATIENCE), Some((5, Decided::Masked(1))));
        assert_eq!((watch.due_at(), watch.bytes), (None, 0));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut watch = EchoWatch::default();
        watch.input(0, Bytes::from(vec![b'x'; MOST + 1]));
        assert_eq!(watch.next(0), Some((0, Decided::Masked(MOST + 1))));
    }

    #[test]
    fn keys_that_are_no_text_are_kept_whole() {
        assert_eq!(
            decided(&[('<', "\u{1b}[A"), ('<', "\u{3}"), ('<', "\u{1b}OP")]),
            ["< \\u{1b}[A", "< \\u{3}", "< \\u{1b}OP"]
        );
        assert_eq!(
            decided(&[('<', "\u{1b}[200~ls\u{1b}[201~"), ('>', "\u{1b}[7mls\u{1b}[27m")])[..3],
            ["< \\u{1b}[200~", "< ls", "< \\u{1b}[201~"]
        );
    }
}
