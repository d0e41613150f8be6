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
/// Lines of one session that are taken by looking at its screen, at most: a program that draws its screen anew all
/// the time leaves room for what scrolls.
pub(super) const MOST_LOOKED: u64 = 60_000;
/// Beyond that, lines and bytes that are left for commands: who shows much hides none of them.
const MOST_COMMANDS: u64 = 50_000;
const MOST_COMMAND_BYTES: u64 = 4 * 1024 * 1024;
/// Characters of a prompt that are indexed, the last ones: a long one leaves room for its command.
const MOST_PROMPT: usize = 128;
/// Characters of a command that are indexed: it is one line, so that it is found whole.
const MOST_COMMAND: usize = 8 * 1024;
/// Characters of other text that are indexed of one line.
pub(super) const MOST_LINE: usize = 16 * 1024;
/// Other text is indexed in pieces of so many characters, which overlap by as many as a search has at most.
const PIECE: usize = 512;
const OVERLAP: usize = super::search::MOST;
/// Lines that a screen is compared with.
const RECENT: usize = 4_096;

/// What of a session is indexed already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Indexed {
    pub(super) lines: u64,
    pub(super) bytes: u64,
    /// Of the lines, those that were taken by looking at the screen.
    pub(super) looked: u64,
}

/// Takes lines up to what one session may have.
#[derive(Debug)]
pub(super) struct Lines {
    taken: Vec<Line>,
    indexed: Indexed,
    truncated: bool,
    /// Something was longer than is indexed.
    cut: bool,
    /// Where among the taken is the line that was looked at while it was written.
    begun: Option<usize>,
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
            cut: false,
            begun: None,
            last: None,
            recent: HashSet::new(),
            order: VecDeque::new(),
            hasher: RandomState::new(),
        }
    }

    /// Takes nothing.
    pub(super) fn none() -> Self {
        Self::after(Indexed { lines: u64::MAX, bytes: u64::MAX, looked: u64::MAX })
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
        let text = self.tidied(text, MOST_LINE);
        let hash = self.hash(&text);
        self.forget_beginning(&text);
        if !text.is_empty() && self.last != Some(hash) {
            self.take_pieces(at_us, &text, false);
        }
    }

    /// A line of a screen that is looked at as a whole: most of it was there before.
    pub(super) fn row(&mut self, at_us: u64, text: &str) {
        if self.is_full() {
            self.truncated = true;
            return;
        }
        let text = self.tidied(text, MOST_LINE);
        if text.is_empty() || self.recent.contains(&self.hash(&text)) {
            return;
        }
        if self.indexed.looked >= MOST_LOOKED {
            self.truncated = true;
            return;
        }
        let before = self.indexed.lines;
        self.take_pieces(at_us, &text, true);
        self.indexed.looked += self.indexed.lines - before;
    }

    /// The same of the line that is being written: where it only goes on, its beginning is not taken twice.
    pub(super) fn row_so_far(&mut self, at_us: u64, text: &str) {
        self.forget_beginning(&tidy(text));
        let before = self.taken.len();
        self.row(at_us, text);
        self.begun = (self.taken.len() > before).then(|| self.taken.len() - 1);
    }

    /// Drops the line that was looked at while it was written, where this one goes on with it.
    fn forget_beginning(&mut self, text: &str) {
        let Some(begun) = self.begun.take() else { return };
        if self.taken.get(begun).is_some_and(|line| line.command_from.is_none() && text.starts_with(&line.text)) {
            let line = self.taken.remove(begun);
            self.indexed.lines = self.indexed.lines.saturating_sub(1);
            self.indexed.looked = self.indexed.looked.saturating_sub(1);
            self.indexed.bytes = self.indexed.bytes.saturating_sub(line.text.len() as u64);
            // It may be taken again, as it may have been cut off here.
            let hash = self.hash(&line.text);
            self.recent.remove(&hash);
            self.order.retain(|known| *known != hash);
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
        self.forget_beginning(&tidy(&format!("{prompt}{command}")));
        let mut prompt = tidy(prompt);
        let command = self.tidied(command, MOST_COMMAND);
        if let Some((from, _)) = prompt.char_indices().rev().nth(MOST_PROMPT - 1) {
            prompt = tidy(&prompt[from..]);
        }
        let from = if prompt.is_empty() { 0 } else { prompt.chars().count() + 1 };
        let text = if prompt.is_empty() { command } else { format!("{prompt} {command}").trim_end().to_owned() };
        let command_from = u16::try_from(from).ok().filter(|_| from < text.chars().count());
        let hash = self.hash(&text);
        if !text.is_empty() {
            self.take(hash, Line { at_us, text, command_from });
            self.last = Some(hash);
        }
    }

    /// Says that something is longer than is indexed.
    pub(super) fn cut(&mut self) {
        self.cut = true;
    }

    /// The text as it is indexed, and not longer; says so where it is.
    fn tidied(&mut self, text: &str, most: usize) -> String {
        let (tidy, cut) = tidy_to(text, most);
        self.cut |= cut;
        tidy
    }

    /// Takes a line in pieces, so that each text of it that can be searched for is in one; those alone that are
    /// new where it was there before in part.
    fn take_pieces(&mut self, at_us: u64, text: &str, new_ones: bool) {
        self.last = Some(self.hash(text));
        for piece in pieces(text) {
            let hash = self.hash(piece);
            if !new_ones || !self.recent.contains(&hash) {
                self.take(hash, Line { at_us, text: piece.to_owned(), command_from: None });
            }
        }
        self.remember(self.hash(text));
    }

    /// A line that was there before these began.
    pub(super) fn known(&mut self, text: &str) {
        let text = tidy(text);
        for piece in pieces(&text) {
            self.remember(self.hash(piece));
        }
        self.remember(self.hash(&text));
    }

    fn take(&mut self, hash: u64, line: Line) {
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

    /// Lines that were taken by looking at the screen, those before these among them.
    pub(super) fn looked(&self) -> u64 {
        self.indexed.looked
    }

    /// What was taken, and whether something was left out because there is too much, or it is too long.
    pub(super) fn finish(self) -> (Vec<Line>, bool, bool) {
        (self.taken, self.truncated, self.cut)
    }
}

/// The pieces of a line that are indexed.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = (!text.is_empty()).then_some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let at = |characters: usize| text.char_indices().nth(characters).map(|(at, _)| at);
        rest = at(PIECE).and_then(|_| at(PIECE - OVERLAP)).map(|next| &text[next..]);
        Some(&text[..at(PIECE).unwrap_or(text.len())])
    })
}

/// Without white space at its ends, with one space where there was more, without controls, not too long.
pub(super) fn tidy(text: &str) -> String {
    tidy_to(text, MOST_LINE).0
}

/// The same, and whether it was longer.
fn tidy_to(text: &str, most: usize) -> (String, bool) {
    let mut tidy = String::with_capacity(text.len().min(PIECE));
    let (mut characters, mut gap) = (0, false);
    for character in text.chars() {
        if character.is_whitespace() || character.is_control() {
            gap = characters > 0;
            continue;
        }
        if characters + usize::from(gap) >= most {
            return (tidy, true);
        }
        if gap {
            tidy.push(' ');
            characters += 1;
            gap = false;
        }
        tidy.push(character);
        characters += 1;
    }
    (tidy, false)
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
        assert_eq!(tidy(&"x".repeat(20_000)).len(), MOST_LINE);
        assert!(tidy(&"ä ".repeat(20_000)).chars().count() >= MOST_LINE - 1);
    }

    #[test]
    fn every_text_of_a_long_line_is_in_a_piece_of_it_and_what_is_cut_is_said() {
        let long = (0..2_000).map(|number| format!("ä{number} ")).collect::<String>();
        let long = long.trim_end();
        let mut lines = Lines::after(Indexed::default());
        lines.line(1, long);
        lines.line(2, long);
        let (taken, _, cut) = lines.finish();
        assert!(!cut);
        assert!(taken.iter().all(|line| line.text.chars().count() <= PIECE && line.at_us == 1), "once");
        let characters = long.chars().collect::<Vec<_>>();
        for query in characters.windows(OVERLAP).map(|window| window.iter().collect::<String>()) {
            assert!(taken.iter().any(|line| line.text.contains(&query)), "{query}");
        }
        let mut lines = Lines::after(Indexed::default());
        lines.line(1, &"x".repeat(MOST_LINE + 1));
        assert!(lines.finish().2);
    }

    #[test]
    fn a_long_command_is_one_line_and_found_to_its_end() {
        let mut lines = Lines::after(Indexed::default());
        let command = format!(": {}; systemctl stop db", "x".repeat(7_000));
        lines.command(1, "$ ", &command);
        lines.command(2, "$ ", &"y".repeat(9_000));
        let (taken, _, cut) = lines.finish();
        assert_eq!((taken.len(), taken[0].text.clone(), cut), (2, format!("$ {command}"), true));
        assert_eq!(taken[1].text.len(), 2 + MOST_COMMAND);
    }

    #[test]
    fn a_line_that_is_looked_at_while_it_is_written_is_taken_once() {
        let mut lines = Lines::after(Indexed::default());
        for text in ["$ sys", "$ systemctl", "$ systemctl", "$ systemctl stop"] {
            lines.row_so_far(1, text);
        }
        lines.command(2, "$ ", "systemctl stop x");
        lines.row_so_far(3, "one");
        lines.row_so_far(4, "two");
        lines.line(5, "two and more");
        assert_eq!(texts(lines), ["$ systemctl stop x", "one", "two and more"]);
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
        let (taken, ..) = lines.finish();
        assert_eq!((taken[0].text.as_str(), taken[0].command_from), ("user@höst:~$ systemctl stop x", Some(13)));
        assert_eq!((taken[1].text.as_str(), taken[1].command_from), ("ls", Some(0)));
        assert_eq!((taken[2].text.len(), taken[2].command_from), (131, Some(129)), "a long prompt hides no command");
    }

    #[test]
    fn a_screen_that_is_drawn_anew_all_the_time_leaves_room_for_what_scrolls() {
        let mut lines = Lines::after(Indexed { looked: MOST_LOOKED - 3, ..Indexed::default() });
        lines.row(1, "load 1");
        lines.row_so_far(1, "loa");
        lines.row_so_far(2, "load 2");
        assert_eq!(lines.looked(), MOST_LOOKED - 1, "what only went on counts once");
        lines.row(3, "load 3");
        lines.row(4, "load 4");
        lines.row_so_far(5, "load 5");
        assert_eq!(lines.looked(), MOST_LOOKED);
        lines.line(6, "it scrolls");
        lines.command(7, "$", "ls");
        let (taken, truncated, _) = lines.finish();
        let texts = taken.iter().map(|line| line.text.as_str()).collect::<Vec<_>>();
        assert_eq!((texts, truncated), (vec!["load 1", "load 2", "load 3", "it scrolls", "$ ls"], true));
    }

    #[test]
    fn what_is_too_much_is_left_out_and_said() {
        let of = |lines, bytes| Indexed { lines, bytes, looked: 0 };
        let mut lines = Lines::after(of(MOST_LINES - 1, 0));
        lines.line(1, "last");
        assert!(lines.is_full());
        lines.line(1, "one more");
        lines.row(1, "one more");
        lines.command(1, "$", "rm -r /");
        let (taken, truncated, _) = lines.finish();
        assert_eq!((taken.len(), truncated), (2, true), "the command is found all the same");
        let mut lines = Lines::after(of(MOST_LINES + MOST_COMMANDS, 0));
        lines.command(1, "$", "one more");
        assert_eq!((lines.finish()), (vec![], true, false));
        let mut lines = Lines::none();
        lines.command(1, "$", "one more");
        assert_eq!(lines.finish().0, []);
        let mut lines = Lines::after(of(0, MOST_BYTES - 1));
        lines.line(1, "fits");
        assert!(lines.is_full());
        assert!(!lines.finish().1, "nothing was left out");
    }
}
