//! Lines of text that a session showed, as they are searched: white space in one piece, blank ones and
//! repetitions left out, and not more than an index should hold.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher as _, RandomState},
};

use super::types::Line;

/// Lines of one session that are indexed, at most.
pub(super) const MOST_LINES: u64 = 200_000;
/// Bytes of text of one session that are indexed, at most.
pub(super) const MOST_BYTES: u64 = 16 * 1024 * 1024;
/// Beyond that, lines and bytes that are left for commands: who shows much hides none of them.
const MOST_COMMANDS: u64 = 50_000;
const MOST_COMMAND_BYTES: u64 = 4 * 1024 * 1024;
/// Characters of a prompt that are indexed, the last ones: a long one leaves room for its command.
const MOST_PROMPT: usize = 128;
/// Characters of a line that are indexed.
const MOST_CHARACTERS: usize = 512;
/// Lines that a screen is compared with.
const RECENT: usize = 4_096;

/// What of a session is indexed already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Indexed {
    pub(super) lines: u64,
    pub(super) bytes: u64,
}

/// Takes lines up to what one session may have.
#[derive(Debug)]
pub(super) struct Lines {
    taken: Vec<Line>,
    indexed: Indexed,
    truncated: bool,
    last: Option<u64>,
    recent: HashSet<u64>,
    order: VecDeque<u64>,
    hasher: RandomState,
}

impl Lines {
    /// Goes on after what is indexed.
    pub(super) fn after(indexed: Indexed) -> Self {
        Self {
            taken: Vec::new(),
            indexed,
            truncated: false,
            last: None,
            recent: HashSet::new(),
            order: VecDeque::new(),
            hasher: RandomState::new(),
        }
    }

    /// Takes nothing.
    pub(super) fn none() -> Self {
        Self::after(Indexed { lines: u64::MAX, bytes: u64::MAX })
    }

    /// Whether no line is taken any more.
    pub(super) fn is_full(&self) -> bool {
        self.indexed.lines >= MOST_LINES || self.indexed.bytes >= MOST_BYTES
    }

    /// A line that came to its end.
    pub(super) fn line(&mut self, at_us: u64, text: &str) {
        if self.is_full() {
            self.truncated = true;
            return;
        }
        let text = tidy(text);
        let hash = self.hash(&text);
        if !text.is_empty() && self.last != Some(hash) {
            self.take(hash, Line { at_us, text, command_from: None });
        }
    }

    /// A line of a screen that is looked at as a whole: most of it was there before.
    pub(super) fn row(&mut self, at_us: u64, text: &str) {
        if self.is_full() {
            self.truncated = true;
            return;
        }
        let text = tidy(text);
        let hash = self.hash(&text);
        if !text.is_empty() && !self.recent.contains(&hash) {
            self.take(hash, Line { at_us, text, command_from: None });
        }
    }

    /// A command that was run, behind its prompt. What was run twice is there twice.
    pub(super) fn command(&mut self, at_us: u64, prompt: &str, command: &str) {
        if self.indexed.lines >= MOST_LINES.saturating_add(MOST_COMMANDS)
            || self.indexed.bytes >= MOST_BYTES.saturating_add(MOST_COMMAND_BYTES)
        {
            self.truncated = true;
            return;
        }
        let (mut prompt, command) = (tidy(prompt), tidy(command));
        if let Some((from, _)) = prompt.char_indices().rev().nth(MOST_PROMPT - 1) {
            prompt = tidy(&prompt[from..]);
        }
        let text = if prompt.is_empty() { command } else { tidy(&format!("{prompt} {command}")) };
        let from = if prompt.is_empty() { 0 } else { prompt.chars().count() + 1 };
        let command_from = u16::try_from(from).ok().filter(|_| from < text.chars().count());
        let hash = self.hash(&text);
        self.take(hash, Line { at_us, text, command_from });
    }

    /// A line that was there before these began.
    pub(super) fn known(&mut self, text: &str) {
        let hash = self.hash(&tidy(text));
        self.remember(hash);
    }

    fn take(&mut self, hash: u64, line: Line) {
        self.last = Some(hash);
        self.remember(hash);
        self.indexed.lines += 1;
        self.indexed.bytes += line.text.len() as u64;
        self.taken.push(line);
    }

    fn remember(&mut self, hash: u64) {
        if self.recent.insert(hash) {
            self.order.push_back(hash);
        }
        if self.order.len() > RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.recent.remove(&oldest);
        }
    }

    fn hash(&self, text: &str) -> u64 {
        self.hasher.hash_one(text)
    }

    /// What was taken, and whether something was left out because there is too much.
    pub(super) fn finish(self) -> (Vec<Line>, bool) {
        (self.taken, self.truncated)
    }
}

/// Without white space at its ends, with one space where there was more, without controls, not too long.
pub(super) fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len().min(MOST_CHARACTERS));
    let (mut characters, mut gap) = (0, false);
    for character in text.chars() {
        if character.is_whitespace() || character.is_control() {
            gap = characters > 0;
            continue;
        }
        if gap {
            tidy.push(' ');
            characters += 1;
            gap = false;
        }
        if characters >= MOST_CHARACTERS {
            break;
        }
        tidy.push(character);
        characters += 1;
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: Lines) -> Vec<String> {
        lines.finish().0.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn lines_are_tidy_and_repetitions_in_a_row_are_one() {
        let mut lines = Lines::after(Indexed::default());
        for text in ["  a \t b  ", "a b", "", "   ", "c\u{0}d", "a b"] {
            lines.line(1, text);
        }
        assert_eq!(texts(lines), ["a b", "c d", "a b"]);
        assert_eq!(tidy(&"x".repeat(600)).len(), 512);
        assert_eq!(tidy(&"ä ".repeat(600)).chars().count(), 512);
    }

    #[test]
    fn a_row_that_was_there_is_not_there_again() {
        let mut lines = Lines::after(Indexed::default());
        lines.known("before");
        lines.line(1, "a");
        for text in ["a", "before", "new"] {
            lines.row(2, text);
        }
        assert_eq!(texts(lines), ["a", "new"]);
    }

    #[test]
    fn a_command_knows_where_it_begins() {
        let mut lines = Lines::after(Indexed::default());
        lines.command(1, "user@höst:~$ ", " systemctl  stop x ");
        lines.command(2, "", "ls");
        lines.command(3, &"p".repeat(600), "ls");
        let (taken, _) = lines.finish();
        assert_eq!((taken[0].text.as_str(), taken[0].command_from), ("user@höst:~$ systemctl stop x", Some(13)));
        assert_eq!((taken[1].text.as_str(), taken[1].command_from), ("ls", Some(0)));
        assert_eq!((taken[2].text.len(), taken[2].command_from), (131, Some(129)), "a long prompt hides no command");
    }

    #[test]
    fn what_is_too_much_is_left_out_and_said() {
        let mut lines = Lines::after(Indexed { lines: MOST_LINES - 1, bytes: 0 });
        lines.line(1, "last");
        assert!(lines.is_full());
        lines.line(1, "one more");
        lines.row(1, "one more");
        lines.command(1, "$", "rm -r /");
        let (taken, truncated) = lines.finish();
        assert_eq!((taken.len(), truncated), (2, true), "the command is found all the same");
        let mut lines = Lines::after(Indexed { lines: MOST_LINES + MOST_COMMANDS, bytes: 0 });
        lines.command(1, "$", "one more");
        assert_eq!((lines.finish()), (vec![], true));
        let mut lines = Lines::none();
        lines.command(1, "$", "one more");
        assert_eq!(lines.finish().0, []);
        let mut lines = Lines::after(Indexed { lines: 0, bytes: MOST_BYTES - 1 });
        lines.line(1, "fits");
        assert!(lines.is_full());
        assert!(!lines.finish().1, "nothing was left out");
    }
}
