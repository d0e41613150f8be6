//! A terminal that shows what a recording showed, and takes the lines of text from it.
//!
//! A flood of plain lines is not drawn but for its end: the screen behind it is the same. Of what is faster than
//! [`Pace`] allows, not every line is taken. What takes too long to draw is drawn on a small terminal from there
//! on: its text is taken, its screen is given up.

use std::time::Duration;

use avt::{
    Observation, Observer, Operation, Screen as View, ScreenKind, Terminal as Model,
    parser::{AnsiMode, DecMode, EdScope, Function},
};
use openpam_recordings::{OpenedSegment, Record, Utf8};
use tokio::time::Instant;

use super::{
    Error,
    lines::Lines,
    pace::{INTERVAL, Pace},
    plain::{colours, last_lines, plain_lines, without_colours},
    types::{Line, Screen},
    typing::{Ended, Typing},
};

/// Text that is drawn at once on a screen of the usual size; on a larger one less, between two looks at
/// the clock.
const PIECE: usize = 16 * 1024;
const SMALLEST_PIECE: usize = 256;
/// The usual size, where none is known; and where the real one takes too long.
const USUAL: (usize, usize) = (80, 24);
/// The largest screen that is kept.
const MOST_SCREEN: usize = 4 * 1024 * 1024;
/// Columns and rows of a terminal, at most, as the database has them too.
const MOST: usize = 1_000;
/// How long a segment may take: a few bytes can ask for a screen of a million cells to be cleared.
const PATIENCE: Duration = Duration::from_secs(5);
/// Fast output that is drawn at once; and what of it waits before the lines that scrolled by are dropped: not more
/// than a processor's cache holds.
const BATCH: usize = 1024 * 1024;
const WAITING: usize = 128 * 1024;
/// Rows of one line that are put together.
const MOST_WRAPPED: usize = 16;

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
    /// When not every line was taken, in microseconds.
    sampled: Vec<(u64, u64)>,
}

/// What a segment gave.
pub(super) struct Taken {
    pub(super) lines: Vec<Line>,
    /// There was more than one session may have.
    pub(super) truncated: bool,
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
    modes: Modes,
    /// Something was written since the screen was looked at.
    written: bool,
    taking: Taking,
    operations: usize,
}

/// Modes under which lines that scroll by leave something behind, or look otherwise than they are.
#[derive(Debug, Default)]
struct Modes {
    margins: bool,
    insert: bool,
    /// Lines are not wrapped, or may not be: what was saved with a cursor comes back unseen.
    no_wrap: bool,
    drawing: [bool; 2],
    second: bool,
}

impl Modes {
    fn are_plain(&self) -> bool {
        !self.margins && !self.insert && !self.no_wrap && !self.drawing[usize::from(self.second)]
    }

    fn follow(&mut self, function: &Function, rows: usize) {
        let drawing = |charset: &avt::Charset| *charset != avt::Charset::Ascii;
        match function {
            Function::Decstbm(top, bottom) => {
                let top = usize::from(*top).max(1);
                let bottom = if *bottom == 0 { rows } else { usize::from(*bottom) };
                if top < bottom && bottom <= rows {
                    self.margins = (top, bottom) != (1, rows);
                }
            }
            Function::Sm(modes) => self.insert |= modes.as_slice().contains(&AnsiMode::Insert),
            Function::Rm(modes) => self.insert &= !modes.as_slice().contains(&AnsiMode::Insert),
            Function::Decrst(modes) => self.no_wrap |= modes.as_slice().contains(&DecMode::AutoWrap),
            Function::Gzd4(charset) => self.drawing[0] = drawing(charset),
            Function::G1d4(charset) => self.drawing[1] = drawing(charset),
            Function::So => self.second = true,
            Function::Si => self.second = false,
            Function::Decstr => *self = Self { no_wrap: self.no_wrap, ..Self::default() },
            Function::Ris => *self = Self::default(),
            _ => {}
        }
    }
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
            modes: Modes::default(),
            written: false,
            taking: Taking::Nothing,
            operations: 0,
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
            sampled: Vec::new(),
        };
        if let Some(screen) = screen {
            terminal.draw(&screen.screen);
            for view in [terminal.model.primary_screen(), terminal.model.screen()] {
                each_line(view, |text| terminal.watch.lines.known(text));
            }
        }
        terminal.watch.taking = Taking::Everything;
        terminal.watch.written = false;
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
        let until = Instant::now() + PATIENCE;
        let mut text = String::new();
        for timed in segment.records() {
            let timed = timed?;
            match timed.record {
                Record::Output(bytes) if !self.pace.allows(timed.at, bytes.len()) => {
                    self.fast(timed.at, bytes, until);
                    continue;
                }
                Record::Output(_) | Record::Input(_) | Record::MaskedInput(_) | Record::Resize { .. } => {}
                _ => continue,
            }
            self.draw_fast(until);
            self.watch.at_us = timed.at;
            match timed.record {
                Record::Output(bytes) => {
                    text.clear();
                    self.text.decode(bytes, &mut text);
                    self.output(&text, until);
                }
                Record::Input(keys) => self.keys(keys),
                Record::MaskedInput(_) => self.masked(),
                Record::Resize { cols, rows } => self.resize(cols, rows),
                _ => {}
            }
        }
        self.draw_fast(until);
        self.watch.rows(&self.model);
        Ok(())
    }

    /// Output that is too fast: it is drawn together, as long as nobody could have looked.
    fn fast(&mut self, at_us: u64, bytes: &[u8], until: Instant) {
        if at_us.saturating_sub(self.fast_from) >= INTERVAL || self.fast.len() + bytes.len() > BATCH {
            self.draw_fast(until);
        }
        if self.fast.is_empty() {
            self.fast_from = at_us;
            self.fast.reserve_exact(BATCH);
        }
        self.watch.at_us = at_us;
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
    fn draw_fast(&mut self, until: Instant) {
        if self.fast.is_empty() {
            return;
        }
        let mut text = std::mem::take(&mut self.fast);
        self.watch.taking = Taking::Commands;
        self.output(&text, until);
        self.watch.taking = Taking::Everything;
        self.watch.rows(&self.model);
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
    }

    fn masked(&mut self) {
        self.pace.key(self.watch.at_us);
        if self.on_primary() {
            let (line, cursor) = self.line();
            self.watch.typing.masked(&line, cursor);
        }
    }

    /// The line that the cursor is in, and at which byte it is.
    fn line(&self) -> (String, usize) {
        let cursor = self.model.cursor();
        line_at(self.model.screen(), cursor.row, cursor.col)
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
        self.model.resize(size(cols), size(rows));
    }

    fn output(&mut self, mut text: &str, until: Instant) {
        while !text.is_empty() {
            if self.given_up.is_none() && Instant::now() >= until {
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
        self.watch.typing.forget();
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
        let (lines, truncated) = self.watch.lines.finish();
        Taken { lines, truncated, sampled: self.sampled, typing: self.watch.typing, pace: self.pace }
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
    }

    /// Every line of the screen that was not taken before.
    fn rows(&mut self, model: &Model) {
        if self.taking != Taking::Everything || !std::mem::take(&mut self.written) {
            return;
        }
        each_line(model.screen(), |text| self.lines.row(self.at_us, text));
    }
}

impl Observer for Watch {
    type Output = ();

    fn before(&mut self, context: &mut Observation<'_>, operation: &Operation) {
        self.operations += 1;
        let Operation::Function(function) = operation else { return };
        let model = context.terminal();
        if let Function::Print(_) = function {
            self.written = true;
            return;
        }
        self.modes.follow(function, model.size().1);
        if self.taking == Taking::Nothing {
            return;
        }
        match function {
            Function::Lf | Function::Nel => {
                if self.taking == Taking::Commands && !self.typing.is_waiting() {
                    return;
                }
                let (line, _) = line_at(model.screen(), model.cursor().row, 0);
                self.line(&line, model.active_screen_kind() == ScreenKind::Primary);
            }
            Function::Ed(EdScope::All) | Function::Ris => self.rows(model),
            Function::Ed(EdScope::Below) if model.cursor().row == 0 => self.rows(model),
            Function::Decset(modes) | Function::Decrst(modes) if modes.as_slice().iter().any(switches) => {
                self.rows(model);
                self.typing.forget();
            }
            _ => {}
        }
    }

    fn end(&mut self, _: &mut Observation<'_>) {}
}

fn switches(mode: &DecMode) -> bool {
    matches!(mode, DecMode::AltScreenBuffer | DecMode::SaveCursorAltScreenBuffer)
}

/// The size is within bounds: a terminal of it can be made.
fn model(cols: usize, rows: usize) -> Model {
    #[expect(clippy::expect_used, reason = "columns and rows are at least one")]
    Model::new(cols, rows).expect("a terminal with columns and rows")
}

fn is_control(character: char) -> bool {
    matches!(character, '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}')
}

/// Whether a control may open a sequence.
fn opens(character: char) -> bool {
    matches!(character, '\u{1b}' | '\u{80}'..='\u{9f}')
}

/// The line that a row is part of, and how many of its bytes stand before the column.
fn line_at(view: View<'_>, row: usize, col: usize) -> (String, usize) {
    let lines = view.visible_lines().collect::<Vec<_>>();
    let mut first = row.min(lines.len().saturating_sub(1));
    while first > 0 && row - first < MOST_WRAPPED && lines[first - 1].is_wrapped() {
        first -= 1;
    }
    let (mut text, mut before) = (String::new(), 0);
    for (number, line) in lines.iter().enumerate().skip(first).take(2 * MOST_WRAPPED) {
        if number == row {
            let cells = line.cells().iter().take(col).filter(|cell| cell.width() > 0);
            before = text.len() + cells.map(|cell| cell.char().len_utf8()).sum::<usize>();
        }
        text.extend(line.chars());
        if !line.is_wrapped() {
            break;
        }
    }
    (text, before)
}

/// Calls back with the text of each line.
fn each_line(view: View<'_>, mut each: impl FnMut(&str)) {
    let (mut text, mut rows) = (String::new(), 0);
    for line in view.visible_lines() {
        text.extend(line.chars());
        rows += 1;
        if !line.is_wrapped() || rows >= MOST_WRAPPED {
            each(&text);
            text.clear();
            rows = 0;
        }
    }
    if !text.is_empty() {
        each(&text);
    }
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
        terminal.output(text, Instant::now() + Duration::from_secs(60));
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
                '*' => terminal.masked(),
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
        terminal.output(&bomb, Instant::now() + Duration::from_millis(50));
        terminal.resize(120, 30);
        let screen = terminal.screen(1);
        assert_eq!((screen.cols, screen.rows, screen.screen.as_str()), (120, 30, ""));
        terminal.watch.rows(&terminal.model);
        let texts = texts(terminal);
        for text in ["before", "$ after", "now"] {
            assert!(texts.iter().any(|line| line == text), "{text}: {texts:?}");
        }
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
