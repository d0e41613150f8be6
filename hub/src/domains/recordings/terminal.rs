//! A terminal that shows what a recording showed, and takes the lines of text from it.
//!
//! A flood of plain lines is not drawn but for its end: the screen behind it is the same. Of what is faster than
//! [`Pace`] allows, not every line is taken. What takes too long to draw is drawn on a small terminal from there
//! on: its text is taken, its screen is given up.

use avt::{
    Observation, Observer, Operation, ScreenKind, Terminal as Model,
    parser::{EdScope, Function},
};
use openpam_recordings::{OpenedSegment, Record, Utf8};

use super::{
    Error,
    cells::{area, cost, is_control, opens, switches},
    lines::Lines,
    marks::{self, Marks},
    modes::Modes,
    pace::{INTERVAL, Pace},
    plain::{colours, ends, goes_on, last_lines, plain_lines, without_colours},
    rows::{MOST_WRAPPED, each_line, line_at},
    types::{Line, Screen, TakenMarks},
    typing::{Ended, Typing},
};

/// Text that is drawn at once on a screen of the usual size; on a larger one less, between two looks at
/// how much was drawn.
const PIECE: usize = 16 * 1024;
const SMALLEST_PIECE: usize = 256;
/// The usual size, where none is known; and where the real one takes too long.
const USUAL: (usize, usize) = (80, 24);
/// The largest screen that is kept.
const MOST_SCREEN: usize = 4 * 1024 * 1024;
/// Columns and rows of a terminal, at most, as the database has them too.
const MOST: usize = 1_000;
/// Cells that a segment may draw: a few bytes can ask for a screen of a million cells to be cleared. Counted and
/// not timed, so that a busy machine gives up no more than an idle one.
const MOST_CELLS: u64 = 1_000_000_000;
/// How often a full-screen program is looked at.
const FULL_SCREEN_INTERVAL: u64 = 5 * INTERVAL;
/// How long text must have stood, in microseconds, to be looked at before it is erased.
const STOOD: u64 = 200_000;
/// Fast output that is drawn at once; and what of it waits before the lines that scrolled by are dropped: not more
/// than a processor's cache holds.
const BATCH: usize = 1024 * 1024;
const WAITING: usize = 128 * 1024;

/// See the module.
pub(super) struct Terminal {
    model: Model,
    text: Utf8,
    watch: Watch,
    /// The model is between two sequences.
    ground: bool,
    /// The size it should have, once it took too long to draw.
    given_up: Option<(usize, usize)>,
    pace: Pace,
    /// Output that is too fast and not drawn yet, and since when.
    fast: String,
    fast_from: u64,
    /// All of it is plain lines of ASCII, and nothing before it decides how they are drawn; whether a carriage return
    /// waits for its line feed.
    fast_is_plain: Option<bool>,
    /// When the screen was looked at last.
    looked_us: u64,
    most_cells: u64,
    /// When not every line was taken, in microseconds.
    sampled: Vec<(u64, u64)>,
}

/// What a segment gave.
pub(super) struct Taken {
    pub(super) lines: Vec<Line>,
    /// Lines of the session that were taken by looking at its screen.
    pub(super) looked: u64,
    /// There was more than one session may have.
    pub(super) truncated: bool,
    /// A line was longer than is taken, or the screen took too long to draw.
    pub(super) cut: bool,
    pub(super) marks: TakenMarks,
    /// When not every line was taken, because there was more than anybody reads: from, until, in microseconds.
    pub(super) sampled: Vec<(u64, u64)>,
    pub(super) typing: Typing,
    pub(super) pace: Pace,
}

/// What is taken of what is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taking {
    Everything,
    /// It is too fast.
    Commands,
    /// It was taken already.
    Nothing,
}

/// What is taken while the model draws.
struct Watch {
    at_us: u64,
    lines: Lines,
    typing: Typing,
    marks: Marks,
    modes: Modes,
    /// Something was written since the screen was looked at.
    written: bool,
    /// When that was last, and whether anything was taken since before it was erased.
    written_us: u64,
    erased: bool,
    taking: Taking,
    operations: usize,
    /// Cells that were drawn, about.
    cells: u64,
    /// The beginning of the screen's first line, where that scrolled away.
    above: String,
}

impl Terminal {
    /// Shows the screen, or nothing on 80 columns and 24 rows, and takes lines; `pending` is the
    /// beginning of a character that was cut.
    pub(super) fn showing(screen: Option<&Screen>, pending: &[u8], typing: Typing, lines: Lines) -> Self {
        let size = |number: i32| usize::try_from(number).unwrap_or_default().clamp(1, MOST);
        let (cols, rows) = screen.map_or(USUAL, |it| (size(it.cols), size(it.rows)));
        let watch = Watch {
            at_us: 0,
            lines,
            typing,
            marks: Marks::default(),
            modes: Modes::default(),
            written: false,
            written_us: 0,
            erased: true,
            taking: Taking::Nothing,
            operations: 0,
            cells: 0,
            above: String::new(),
        };
        let mut terminal = Self {
            model: model(cols, rows),
            text: Utf8::resume(pending),
            watch,
            ground: true,
            given_up: None,
            pace: Pace::default(),
            fast: String::new(),
            fast_from: 0,
            fast_is_plain: None,
            looked_us: 0,
            most_cells: MOST_CELLS,
            sampled: Vec::new(),
        };
        if let Some(screen) = screen {
            terminal.draw(&screen.screen);
            for view in [terminal.model.primary_screen(), terminal.model.screen()] {
                each_line(view, |_, text| terminal.watch.lines.known(text));
            }
        }
        terminal.watch.taking = Taking::Everything;
        terminal.watch.written = false;
        terminal.watch.erased = true;
        terminal.watch.cells = 0;
        terminal.watch.above.clear();
        terminal
    }

    /// Goes on at this pace.
    pub(super) fn paced(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// Shows what a segment shows.
    ///
    /// # Errors
    /// For a segment that is damaged.
    pub(super) fn feed(&mut self, segment: &OpenedSegment) -> Result<(), Error> {
        self.watch.cells = 0;
        let mut text = String::new();
        for timed in segment.records() {
            let timed = timed?;
            match timed.record {
                Record::Output(bytes) if !self.pace.allows(timed.at, bytes) => {
                    self.fast(timed.at, bytes);
                    continue;
                }
                Record::Marker(label) => {
                    self.watch.marks.note(timed.at, label);
                    continue;
                }
                Record::Gap { bytes, .. } => {
                    self.watch.marks.note(timed.at, &marks::gap(bytes));
                    continue;
                }
                Record::Output(_) | Record::Input(_) | Record::MaskedInput(_) | Record::Resize { .. } => {}
                _ => continue,
            }
            self.draw_fast();
            self.look(timed.at);
            self.watch.at_us = timed.at;
            match timed.record {
                Record::Output(bytes) => {
                    text.clear();
                    self.text.decode(bytes, &mut text);
                    self.output(&text);
                }
                Record::Input(keys) => self.keys(keys),
                Record::MaskedInput(keys) => self.masked(keys),
                Record::Resize { cols, rows } => self.resize(cols, rows),
                _ => {}
            }
        }
        self.draw_fast();
        self.watch.rows(&self.model);
        Ok(())
    }

    /// Looks at the screen as it stood until now, each second of the recording, or every five
    /// of a full-screen program, which may change every line each time: what is written over or erased then was there to be read.
    fn look(&mut self, now: u64) {
        let interval = if self.on_primary() { INTERVAL } else { FULL_SCREEN_INTERVAL };
        if now.saturating_sub(self.looked_us) >= interval {
            self.looked_us = now;
            self.watch.rows(&self.model);
        }
    }

    /// Output that is too fast: it is drawn together, as long as nobody could have looked.
    fn fast(&mut self, at_us: u64, bytes: &[u8]) {
        if at_us.saturating_sub(self.fast_from) >= INTERVAL || self.fast.len() + bytes.len() > BATCH {
            self.draw_fast();
        }
        if self.fast.is_empty() {
            self.fast_from = at_us;
            self.fast.reserve_exact(BATCH);
            let plain = self.ground && self.watch.modes.are_plain() && self.text.pending().is_empty();
            self.fast_is_plain = plain.then_some(false);
        }
        self.watch.at_us = at_us;
        self.fast_is_plain = self.fast_is_plain.and_then(|behind_return| goes_on(bytes, behind_return));
        // Most of a flood is never copied, nor looked at more than once.
        if self.fast_is_plain.is_some()
            && !self.watch.typing.is_waiting()
            && let Some((first, last)) = ends(bytes, self.kept_lines())
        {
            self.text.decode(first, &mut self.fast);
            self.text.decode(last, &mut self.fast);
            return;
        }
        let waiting = self.fast.len() / WAITING;
        self.text.decode(bytes, &mut self.fast);
        if self.fast.len() / WAITING > waiting && !self.watch.typing.is_waiting() {
            self.drop_scrolled();
        }
    }

    /// Leaves out the lines of fast output that decide nothing about the screen.
    fn drop_scrolled(&mut self) {
        let (first, last) = self.scrolled(&self.fast);
        if first < last {
            let colours = colours(&self.fast[first..last]);
            self.fast.replace_range(first..last, &colours);
        }
    }

    /// Where the plain lines begin and end that decide nothing about the screen: the first one ends a line that may
    /// have been begun.
    fn scrolled(&self, text: &str) -> (usize, usize) {
        if !self.ground || !self.watch.modes.are_plain() {
            return (0, 0);
        }
        let plain = &text[..plain_lines(text)];
        let first = plain.find('\n').map_or(0, |end| end + 1);
        (first, last_lines(plain, self.kept_lines()).unwrap_or(0))
    }

    /// Draws it, and takes commands and the screen behind it.
    fn draw_fast(&mut self) {
        if self.fast.is_empty() {
            return;
        }
        let mut text = std::mem::take(&mut self.fast);
        self.watch.taking = Taking::Commands;
        self.output(&text);
        self.watch.taking = Taking::Everything;
        self.watch.rows(&self.model);
        self.looked_us = self.watch.at_us;
        let to = self.watch.at_us;
        match self.sampled.last_mut() {
            Some((_, end)) if self.fast_from.saturating_sub(*end) < INTERVAL => *end = to,
            _ => self.sampled.push((self.fast_from, to)),
        }
        text.clear();
        self.fast = text;
    }

    fn on_primary(&self) -> bool {
        self.model.active_screen_kind() == ScreenKind::Primary
    }

    fn keys(&mut self, keys: &[u8]) {
        self.pace.key(self.watch.at_us);
        if self.on_primary() {
            let (line, cursor) = self.line();
            self.watch.typing.keys(keys, &line, cursor);
        } else {
            self.watch.typing.forget();
        }
        self.watch.note_missed();
    }

    fn masked(&mut self, keys: u64) {
        self.pace.key(self.watch.at_us);
        self.watch.marks.unseen(self.watch.at_us, keys);
        if self.on_primary() {
            let (line, cursor) = self.line();
            self.watch.typing.masked(keys, &line, cursor);
        }
    }

    /// The line that the cursor is in, and at which byte it is.
    fn line(&self) -> (String, usize) {
        let cursor = self.model.cursor();
        line_at(&self.model, &self.watch.above, cursor.row, cursor.col)
    }

    fn resize(&mut self, cols: u16, rows: u16) {
        let size = |number: u16| usize::from(number).clamp(1, MOST);
        if let Some(given_up) = &mut self.given_up {
            *given_up = (size(cols), size(rows));
            return;
        }
        if size(rows) != self.model.size().1 {
            self.watch.modes.margins = false;
        }
        self.watch.cells += area(self.model.size()) + area((size(cols), size(rows)));
        self.watch.above.clear();
        self.model.resize_with(size(cols), size(rows), &mut self.watch);
    }

    fn output(&mut self, mut text: &str) {
        while !text.is_empty() {
            if self.given_up.is_none() && self.watch.cells >= self.most_cells {
                self.give_up();
            }
            let (first, last) = self.scrolled(text);
            if first < last {
                self.draw(&text[..first]);
                self.take_lines(&text[first..last]);
                self.draw(&colours(&text[first..last]));
                text = &text[last..];
            } else {
                let (cols, rows) = self.model.size();
                let piece = (PIECE * USUAL.0 * USUAL.1 / (cols * rows)).clamp(SMALLEST_PIECE, PIECE);
                let (piece, rest) = text.split_at(text.floor_char_boundary(piece.min(text.len())));
                self.draw(piece);
                text = rest;
            }
        }
    }

    /// Goes on without the screen: it takes too long to draw.
    fn give_up(&mut self) {
        self.given_up = Some(self.model.size());
        self.watch.rows(&self.model);
        self.watch.marks.note(self.watch.at_us, "The screen takes too long to draw: it is incomplete from here on");
        self.watch.lines.cut();
        self.watch.typing.forget();
        self.watch.above.clear();
        self.watch.modes = Modes::default();
        self.model = model(USUAL.0, USUAL.1);
        self.ground = true;
    }

    /// Lines at the end of a flood that decide what the screen shows: as many as have rows, and as many
    /// again, since those below the cursor may have shown something.
    fn kept_lines(&self) -> usize {
        2 * self.model.size().1 + 1
    }

    /// Takes plain lines without drawing them.
    fn take_lines(&mut self, text: &str) {
        let mut everything = self.watch.taking == Taking::Everything;
        if everything && self.watch.lines.is_full() {
            // To be said; lines are looked at for what was typed alone.
            self.watch.lines.line(self.watch.at_us, "more");
            everything = false;
        }
        let (wrapped, mut shown) = (self.on_primary(), String::new());
        for line in text.split_terminator("\r\n") {
            if !everything && !self.watch.typing.is_waiting() {
                return;
            }
            self.watch.line(without_colours(line, &mut shown), wrapped);
        }
    }

    /// Draws everything; knows afterwards whether a sequence was left open.
    fn draw(&mut self, text: &str) {
        // A letter that does something is drawn or ends a sequence; controls behind it open none.
        let last = text.char_indices().rfind(|(_, character)| !is_control(*character));
        let Some((at, letter)) = last else {
            if !text.is_empty() {
                self.model.feed_with(text, &mut self.watch);
                self.ground &= !text.chars().any(opens);
            }
            return;
        };
        self.model.feed_with(&text[..at], &mut self.watch);
        let before = self.watch.operations;
        self.model.feed_with(letter, &mut self.watch);
        let done = self.watch.operations > before;
        let rest = &text[at + letter.len_utf8()..];
        self.model.feed_with(rest, &mut self.watch);
        self.ground = done && !rest.chars().any(opens);
    }

    /// What it shows, as the screen that segment `seq` begins with: nothing, where that was given up.
    pub(super) fn screen(&self, seq: i32) -> Screen {
        let (cols, rows) = self.given_up.unwrap_or(self.model.size());
        let drawn = Some(self).filter(|it| it.given_up.is_none()).map(|it| it.model.dump());
        let screen = drawn.filter(|screen| screen.len() <= MOST_SCREEN).unwrap_or_default();
        let size = |number: usize| i32::try_from(number).unwrap_or(1_000);
        Screen { seq, cols: size(cols), rows: size(rows), screen, pending: self.text.pending().to_vec() }
    }

    /// What was taken.
    pub(super) fn finish(self) -> Taken {
        let looked = self.watch.lines.looked();
        let (lines, truncated, cut) = self.watch.lines.finish();
        Taken {
            lines,
            looked,
            truncated,
            cut,
            marks: self.watch.marks.finish(),
            sampled: self.sampled,
            typing: self.watch.typing,
            pace: self.pace,
        }
    }
}

impl Watch {
    /// A line that came to its end. On the alternate screen lines are written again and again.
    fn line(&mut self, text: &str, primary: bool) {
        if !primary {
            if self.taking == Taking::Everything {
                self.lines.row(self.at_us, text);
            }
            return;
        }
        match self.typing.line_ends(text) {
            Ended::Command(from) => self.lines.command(self.at_us, &text[..from], &text[from..]),
            Ended::Output if self.taking == Taking::Everything => self.lines.line(self.at_us, text),
            Ended::Output => {}
        }
        self.note_missed();
    }

    /// Marks where Enter was pressed and no command is known of keys that did not show.
    fn note_missed(&mut self) {
        for missed in self.typing.missed() {
            self.marks.entered(self.at_us, missed);
        }
    }

    /// Every line of the screen that was not taken before.
    fn rows(&mut self, model: &Model) {
        if self.taking != Taking::Everything || !std::mem::take(&mut self.written) {
            return;
        }
        self.erased = true;
        self.cells += 4 * area(model.size());
        let cursor = model.cursor().row;
        each_line(model.screen(), |rows, text| {
            if rows.contains(&cursor) {
                self.lines.row_so_far(self.at_us, text);
            } else {
                self.lines.row(self.at_us, text);
            }
        });
    }

    /// Looks at what is to be erased, if somebody could have read it.
    fn erase(&mut self, model: &Model, whole: bool) {
        let stood = self.at_us.saturating_sub(self.written_us) >= STOOD;
        if self.taking != Taking::Everything || !stood || std::mem::replace(&mut self.erased, true) {
            return;
        }
        if whole {
            self.rows(model);
        } else {
            let (line, _) = line_at(model, "", model.cursor().row, 0);
            // Shells that colour erase the rest of the line at each key.
            self.lines.row_so_far(self.at_us, &line);
        }
    }
}

impl Observer for Watch {
    type Output = ();

    fn before(&mut self, context: &mut Observation<'_>, operation: &Operation) {
        self.operations += 1;
        let Operation::Function(function) = operation else { return };
        let model = context.terminal();
        if let Function::Print(_) = function {
            self.cells += 1;
            self.written = true;
            self.erased = false;
            self.written_us = self.at_us;
            return;
        }
        let (cols, rows) = model.size();
        self.cells += cost(function, cols as u64, rows as u64);
        self.modes.follow(function, rows);
        if self.taking == Taking::Nothing {
            return;
        }
        match function {
            Function::Lf | Function::Nel => {
                if self.taking == Taking::Commands && !self.typing.is_waiting() {
                    return;
                }
                let primary = model.active_screen_kind() == ScreenKind::Primary;
                let above = if primary { std::mem::take(&mut self.above) } else { String::new() };
                let (line, _) = line_at(model, &above, model.cursor().row, 0);
                // A long line may come to its end again and again.
                self.cells += line.len() as u64;
                self.line(&line, primary);
                if primary {
                    self.above = above;
                }
            }
            Function::Ed(EdScope::All) | Function::Ris => {
                self.rows(model);
                self.above.clear();
            }
            Function::Ed(EdScope::Below) if model.cursor().row == 0 => self.rows(model),
            Function::Ed(_) | Function::Il(_) | Function::Dl(_) | Function::Su(_) | Function::Sd(_) | Function::Ri => {
                self.erase(model, true);
            }
            Function::El(_) | Function::Ech(_) | Function::Dch(_) => self.erase(model, false),
            Function::Decset(modes) | Function::Decrst(modes) if modes.as_slice().iter().any(switches) => {
                self.rows(model);
                self.typing.forget();
            }
            _ => {}
        }
    }

    fn evicted(&mut self, _: &mut Observation<'_>, line: &avt::Line) {
        if !line.is_wrapped() {
            self.above.clear();
        } else if self.above.len() < MOST_WRAPPED {
            self.above.extend(line.chars());
        } else {
            self.lines.cut();
        }
    }

    fn end(&mut self, _: &mut Observation<'_>) {}
}

/// The size is within bounds: a terminal of it can be made.
fn model(cols: usize, rows: usize) -> Model {
    #[expect(clippy::expect_used, reason = "columns and rows are at least one")]
    Model::new(cols, rows).expect("a terminal with columns and rows")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domains::recordings::lines::Indexed;

    fn terminal(cols: i32, rows: i32) -> Terminal {
        let screen = Screen { seq: 0, cols, rows, screen: String::new(), pending: Vec::new() };
        Terminal::showing(Some(&screen), &[], Typing::default(), Lines::after(Indexed::default()))
    }

    fn output(terminal: &mut Terminal, text: &str) {
        terminal.watch.cells = 0;
        terminal.output(text);
        assert_eq!(terminal.given_up, None, "too slow");
    }

    fn texts(terminal: Terminal) -> Vec<String> {
        terminal.finish().lines.into_iter().map(|line| line.text).collect()
    }

    /// What a shell and its person do, letter by letter: `<` keys, `*` keys that do not show, `>` output.
    fn session(steps: &[(char, &str)]) -> (Vec<String>, Vec<String>) {
        let mut terminal = terminal(40, 6);
        for (at, (direction, text)) in (0..).zip(steps) {
            terminal.watch.at_us = at;
            match direction {
                '<' => terminal.keys(text.as_bytes()),
                '*' => terminal.masked(text.len() as u64),
                _ => output(&mut terminal, text),
            }
        }
        terminal.watch.rows(&terminal.model);
        let lines = terminal.finish().lines;
        let command = |line: &Line| {
            let from = usize::from(line.command_from?);
            Some(line.text.chars().skip(from).collect::<String>())
        };
        (lines.iter().map(|line| line.text.clone()).collect(), lines.iter().filter_map(command).collect())
    }

    #[test]
    fn lines_and_commands_of_a_shell_are_taken() {
        let (lines, commands) = session(&[
            ('>', "me@here:~$ "),
            ('<', "l"),
            ('>', "l"),
            ('<', "s"),
            ('>', "s"),
            ('<', "\r"),
            ('>', "\r\n\u{1b}[?2004l\rfile one\r\n\u{1b}[31mfile two\u{1b}[0m\r\nme@here:~$ "),
            ('<', "\u{1b}[A"),
            ('>', "ls"),
            ('<', "\r"),
            ('>', "\r\nfile three\r\nme@here:~$ "),
        ]);
        assert_eq!(lines, ["me@here:~$ ls", "file one", "file two", "me@here:~$ ls", "file three", "me@here:~$"]);
        assert_eq!(commands, ["ls", "ls"]);
    }

    #[test]
    fn a_command_longer_than_a_row_is_one() {
        let long = "echo ".to_owned() + &"word ".repeat(20) + "end";
        let mut steps = vec![('>', "$ ")];
        steps.push(('<', &long));
        steps.push(('>', &long));
        steps.push(('<', "\r"));
        steps.push(('>', "\r\nok\r\n"));
        assert_eq!(session(&steps).1, [long]);
    }

    #[test]
    fn a_password_is_no_command_and_its_prompt_is_a_line() {
        let (lines, commands) = session(&[
            ('>', "$ "),
            ('<', "sudo id\r"),
            ('>', "sudo id\r\n[sudo] password for me: "),
            ('*', "hunter2"),
            ('<', "\r"),
            ('>', "\r\nuid=0(root)\r\n$ "),
            ('<', "id\r"),
            ('>', "id\r\n"),
        ]);
        assert_eq!(commands, ["sudo id", "id"]);
        assert!(
            lines.contains(&"[sudo] password for me:".to_owned()) && lines.contains(&"uid=0(root)".to_owned()),
            "{lines:?}"
        );
    }

    #[test]
    fn a_full_screen_program_leaves_what_it_showed_and_no_commands() {
        let (lines, commands) = session(&[
            ('>', "$ "),
            ('<', "vi x\r"),
            ('>', "vi x\r\n\u{1b}[?1049h\u{1b}[H\u{1b}[2Jsecret plan\u{1b}[3;1Hsecond row"),
            ('<', ":wq\r"),
            ('>', "\u{1b}[6;1H:wq\r\u{1b}[?1049l"),
            ('>', "$ "),
            ('<', "ls\r"),
            ('>', "ls\r\n"),
        ]);
        assert_eq!(commands, ["vi x", "ls"]);
        for line in ["secret plan", "second row", ":wq"] {
            assert_eq!(lines.iter().filter(|text| *text == line).count(), 1, "{line}: {lines:?}");
        }
    }

    #[test]
    fn what_is_cleared_was_there_and_what_stays_is_taken_once() {
        let (lines, _) = session(&[('>', "one\u{1b}[3;1Htwo\u{1b}[H\u{1b}[2Jthree\u{1b}[H\u{1b}[Jfour")]);
        assert_eq!(lines, ["one", "two", "three", "four"]);
        // A screen that goes on in another segment is known there.
        let mut before = terminal(20, 4);
        output(&mut before, "first\r\nsecond\r\n$ ");
        let screen = before.screen(1);
        let mut after = Terminal::showing(Some(&screen), &[], Typing::default(), Lines::after(Indexed::default()));
        output(&mut after, "third\r\n");
        after.watch.rows(&after.model);
        assert_eq!(texts(after), ["$ third"]);
    }

    #[test]
    fn a_progress_bar_is_its_last_state() {
        assert_eq!(session(&[('>', "10%\r50%\r100% done\r\n")]).0, ["100% done"]);
    }

    #[test]
    fn line_drawing_is_not_taken_for_letters() {
        let mut terminal = terminal(10, 3);
        output(&mut terminal, &("\u{1b}(0".to_owned() + &"qqq\r\n".repeat(40)));
        assert_eq!(texts(terminal), ["───"]);
    }

    #[test]
    fn of_what_takes_too_long_the_text_is_taken_and_the_screen_given_up() {
        let mut terminal = terminal(1_000, 1_000);
        output(&mut terminal, "before\r\n");
        let bomb = format!("{}$ after\r\nnow\r\n", "x\u{1b}[2J\u{1b}[H".repeat(20_000));
        terminal.most_cells = 20_000_000;
        terminal.output(&bomb);
        terminal.resize(120, 30);
        let screen = terminal.screen(1);
        assert_eq!((screen.cols, screen.rows, screen.screen.as_str()), (120, 30, ""));
        terminal.watch.rows(&terminal.model);
        let taken = terminal.finish();
        for text in ["before", "$ after", "now"] {
            assert!(taken.lines.iter().any(|line| line.text == text), "{text}: {:?}", taken.lines);
        }
        assert!(taken.cut && taken.marks.marks.iter().any(|mark| mark.label.contains("incomplete")), "it is not told");
    }

    #[test]
    fn a_long_line_that_comes_to_its_end_again_and_again_counts_as_often() {
        let mut terminal = terminal(80, 24);
        output(&mut terminal, &"x".repeat(16_000));
        output(&mut terminal, &"\u{1b}[H\n".repeat(1_000));
        // Its beginning, which scrolled away, is looked at each time.
        assert!(terminal.watch.cells >= 10_000_000, "{}", terminal.watch.cells);
    }

    /// Each step a second, or so many microseconds, after the one before.
    fn timed(cols: i32, micros: u64, steps: &[(char, &str)]) -> Taken {
        let mut terminal = terminal(cols, 6);
        for (at, (direction, text)) in (0..).zip(steps) {
            terminal.look(at * micros);
            terminal.watch.at_us = at * micros;
            match direction {
                '<' => terminal.keys(text.as_bytes()),
                '*' => terminal.masked(text.len() as u64),
                _ => output(&mut terminal, text),
            }
        }
        terminal.watch.rows(&terminal.model);
        terminal.finish()
    }

    #[test]
    fn what_is_written_over_or_erased_was_there_to_be_read() {
        let words = ["alpha", "beta", "gamma", "delta"];
        for (micros, before, after) in [
            (1_000_000, "\r", "          "),
            (1_000_000, "\u{1b}[3;1H", "          "),
            (250_000, "\r\u{1b}[K", ""),
            (250_000, "\u{1b}[3;1H\u{1b}[M", ""),
            (250_000, "\u{1b}[2;1H\u{1b}[J", ""),
        ] {
            let texts = words.map(|word| format!("{before}{word}{after}"));
            let steps = texts.iter().map(|text| ('>', text.as_str())).collect::<Vec<_>>();
            let taken = timed(40, micros, &steps).lines;
            for word in words {
                assert_eq!(taken.iter().filter(|line| line.text == word).count(), 1, "{before:?} {word}: {taken:?}");
            }
        }
        // What nobody could read is not kept.
        let steps = [('>', "\r\u{1b}[K10%"), ('>', "\r\u{1b}[K20%"), ('>', "\r\u{1b}[Kdone\r\n")];
        let taken = timed(40, 50_000, &steps).lines;
        assert_eq!(taken.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["done"]);
    }

    #[test]
    fn a_line_that_is_longer_than_the_screen_is_found_from_its_beginning() {
        let long = (0..200).map(|number| format!("word{number} ")).collect::<String>();
        for cols in [1, 7, 40] {
            let taken = timed(cols, 1_000, &[('>', "before\r\n"), ('>', &long), ('>', "\r\nafter\r\n")]).lines;
            for word in ["before", "word0 word1", "word100 word101", "word198 word199", "after"] {
                assert!(taken.iter().any(|line| line.text.contains(word)), "{cols} columns, {word}: {taken:?}");
            }
        }
        let command = format!(": {}; systemctl stop db", long.trim_end());
        let steps = [('>', "$ "), ('<', command.as_str()), ('>', &command), ('<', "\r"), ('>', "\r\n$ ")];
        let taken = timed(40, 1_000, &steps).lines;
        let commands = taken.iter().filter(|line| line.command_from.is_some()).collect::<Vec<_>>();
        assert_eq!(commands.len(), 1, "{taken:?}");
        assert!(commands[0].text.ends_with(&command), "{commands:?}");
    }

    #[test]
    fn a_shell_that_erases_the_rest_at_each_key_leaves_one_line() {
        let mut steps = vec![('>', "$ ")];
        for (key, shown) in [("s", "\x1b[Ks"), ("u", "\x1b[Ku"), ("d", "\x1b[Kd"), ("o", "\x1b[Ko")] {
            steps.extend([('<', key), ('>', shown)]);
        }
        steps.extend([('<', "\r"), ('>', "\r\n")]);
        let taken = timed(40, 400_000, &steps).lines;
        assert_eq!(taken.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["$ sudo"]);
    }

    #[test]
    fn a_full_screen_program_is_looked_at_every_few_seconds() {
        let screens = (0..20).map(|number| format!("\x1b[Hload {number}")).collect::<Vec<_>>();
        let mut steps = vec![('>', "\x1b[?1049h")];
        steps.extend(screens.iter().map(|screen| ('>', screen.as_str())));
        let taken = timed(40, 1_000_000, &steps).lines.len();
        assert!((3..=6).contains(&taken), "{taken}");
    }

    #[test]
    fn keys_that_noise_hides_are_told() {
        let mut steps = vec![('>', "$ ")];
        for letter in ["s", "t", "o", "p"] {
            steps.extend([('*', letter), ('>', ".\r\n"), ('>', letter), ('>', "\r\n.\r\n")]);
        }
        steps.extend([('<', "\r"), ('>', ".\r\n")]);
        let marks = timed(40, 10_000, &steps).marks;
        assert_eq!((marks.unseen_keys, marks.unseen_entries, marks.hidden_entries), (16, 1, 1));
        assert_eq!(marks.marks[0].label, "Entered, not shown");
        assert_eq!(marks.marks.len(), 1);
    }

    #[test]
    fn of_fast_output_the_beginning_the_end_and_what_was_run_are_taken() {
        let session = openpam_recordings::Session {
            tenant_id: uuid::Uuid::nil(),
            session_id: uuid::Uuid::nil(),
            content: openpam_recordings::Content::Terminal,
            started_at: 0,
        };
        let recipient = openpam_recordings::Recipient {
            role: openpam_recordings::Role::Tenant,
            key: openpam_recordings::RecipientKey([9; 32]),
        };
        let system = aws_lc_rs::rand::SystemRandom::new();
        let random = &mut openpam_recordings::random::Secure(&system);
        let mut writer =
            openpam_recordings::Writer::new(session, &[recipient], openpam_recordings::Limits::default(), random)
                .unwrap();
        let mut full = Model::new(80, 24).unwrap();
        let (mut number, mut at) = (0, 0);
        let _ = writer.resize(0, 80, 24).unwrap();
        for (run, echo) in [("", "$ "), ("ls\r", "ls\r\n"), ("make\r", "$ make\r\n")] {
            let _ = writer.record(at, Record::Input(run.as_bytes())).unwrap();
            let mut shown = echo.to_owned();
            for _ in 0..40 {
                while shown.len() < 32 * 1024 {
                    number += 1;
                    shown += &format!("\u{1b}[{}mline {number}\u{1b}[K\r\n", 30 + number % 9);
                }
                at += 40_000;
                let _ = writer.output(at, shown.as_bytes()).unwrap();
                full.feed(shown.as_str());
                shown.clear();
            }
            let _ = writer.output(at, b"$ ").unwrap();
            full.feed("$ ");
        }
        let key = writer.opener();
        let segment = writer.close_segment(at).unwrap().unwrap();
        let opened = openpam_recordings::Segment::parse(&segment.bytes).unwrap().open(&key).unwrap();
        let mut terminal = terminal(80, 24);
        terminal.feed(&opened).unwrap();
        assert_eq!(terminal.model.dump(), full.dump(), "the screen is approximate");
        let taken = terminal.finish();
        let commands = taken.lines.iter().filter(|line| line.command_from.is_some());
        let commands = commands.map(|line| line.text.trim_start_matches("$ ").to_owned()).collect::<Vec<_>>();
        assert_eq!(commands, ["ls", "make"]);
        for wanted in ["$ line 1".to_owned(), "line 2".to_owned(), format!("line {number}")] {
            assert!(taken.lines.iter().any(|line| line.text == wanted), "{wanted}");
        }
        assert!((taken.lines.len() as u64) < number / 2, "{} of {number} lines", taken.lines.len());
        assert!(taken.lines.is_sorted_by_key(|line| line.at_us));
        let sampled = taken.sampled.iter().map(|(from, until)| until - from).sum::<u64>();
        assert!(sampled > 1_000_000 && sampled < at, "{:?}", taken.sampled);
    }

    /// Shows pieces of output, each fast, and takes what was shown.
    fn fast_pieces(terminal: &mut Terminal, pieces: &[String]) {
        for piece in pieces {
            terminal.fast(1, piece.as_bytes());
        }
        terminal.draw_fast();
    }

    /// Everything a terminal may be told before a flood comes.
    fn before() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[a-z ä界]{0,30}",
            Just("\r\n".to_owned()),
            Just("\n\n".to_owned()),
            Just("\u{1b}[2;4r".to_owned()),
            Just("\u{1b}[3;5r\u{1b}[1;1H".to_owned()),
            Just("\u{1b}[r".to_owned()),
            Just("\u{1b}[?1049h".to_owned()),
            Just("\u{1b}[?1049l".to_owned()),
            Just("\u{1b}[4h".to_owned()),
            Just("\u{1b}[4l".to_owned()),
            Just("\u{1b}[?6h".to_owned()),
            Just("\u{1b}[?6l".to_owned()),
            Just("\u{1b}[?7l".to_owned()),
            Just("\u{1b}[?7h".to_owned()),
            Just("\u{1b}7".to_owned()),
            Just("\u{1b}8".to_owned()),
            Just("\u{1b}[!p".to_owned()),
            Just("\u{1b}c".to_owned()),
            Just("\u{1b}(0".to_owned()),
            Just("\u{1b}(B".to_owned()),
            Just("\u{1b})0\u{e}".to_owned()),
            Just("\u{f}".to_owned()),
            Just("\u{1b}[20h".to_owned()),
            Just("\u{1b}[41;1m".to_owned()),
            Just("\u{1b}[H".to_owned()),
            Just("\u{1b}[2J".to_owned()),
            Just("\u{1b}[3;7H".to_owned()),
            Just("\u{1b}[5A".to_owned()),
            Just("\u{1b}[3g\u{1b}H".to_owned()),
            Just("\u{1b}]0;title".to_owned()),
            Just("\u{7}".to_owned()),
            Just("\u{1b}[3".to_owned()),
            Just("\u{1b}P".to_owned()),
            Just("\u{1b}\\".to_owned()),
            Just("\u{9b}".to_owned()),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    fn flood() -> impl Strategy<Value = String> {
        (
            prop::collection::vec("([a-zA-Z0-9 \t.é界]{0,20}|\u{1b}\\[(0|1;44|7|39|48:5:9)?m|\u{1b}\\[K){0,3}", 1..8),
            1_usize..60,
            "[a-z]{0,10}",
        )
            .prop_map(|(lines, times, rest)| {
                let block = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>();
                block.repeat(times) + &rest
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// INVARIANT of the short cut: the screen is that of a terminal which drew everything.
        #[test]
        fn a_flood_that_is_not_drawn_leaves_the_same_screen(
            before in before(), flood in flood(), after in before(), cols in 2..30_i32, rows in 1..9_i32,
        ) {
            let mut short = terminal(cols, rows);
            let mut full = Model::new(usize::try_from(cols).unwrap(), usize::try_from(rows).unwrap()).unwrap();
            for text in [&before, &flood, &after, &flood] {
                output(&mut short, text);
                full.feed(text.as_str());
            }
            prop_assert_eq!(short.model.dump(), full.dump());
            prop_assert_eq!(short.model.cursor(), full.cursor());
            prop_assert_eq!(short.model.screen().text(), full.screen().text());
        }

        /// The same where it comes in pieces, and is fast.
        #[test]
        fn a_fast_flood_in_pieces_leaves_the_same_screen(
            before in before(), floods in prop::collection::vec((flood(), before()), 1..4), size in 1..200_usize,
            cols in 2..30_i32, rows in 1..9_i32,
        ) {
            let mut short = terminal(cols, rows);
            let mut full = Model::new(usize::try_from(cols).unwrap(), usize::try_from(rows).unwrap()).unwrap();
            let text = before + &floods.into_iter().map(|(flood, after)| flood + &after).collect::<String>();
            let mut pieces = vec![String::new()];
            for character in text.chars() {
                match pieces.last_mut() {
                    Some(piece) if piece.len() < size * 10 => piece.push(character),
                    _ => pieces.push(character.to_string()),
                }
            }
            fast_pieces(&mut short, &pieces);
            full.feed(text.as_str());
            prop_assert_eq!(short.model.dump(), full.dump());
            prop_assert_eq!(short.model.cursor(), full.cursor());
        }

        /// The lines of a flood are those that a terminal shows.
        #[test]
        fn a_flood_that_is_not_drawn_leaves_the_same_lines(
            lines in prop::collection::vec("([a-zA-Z0-9 .é]{0,12}|\u{1b}\\[(0|31|1;4)?m){0,2}", 1..8), times in 1_usize..40, rows in 4..9_i32,
        ) {
            let flood = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>().repeat(times);
            let (mut short, mut slow) = (terminal(30, rows), terminal(30, rows));
            output(&mut short, &flood);
            // A letter at a time is no flood.
            for letter in flood.chars() {
                output(&mut slow, letter.encode_utf8(&mut [0; 4]));
            }
            prop_assert_eq!(texts(short), texts(slow));
        }
    }
}
