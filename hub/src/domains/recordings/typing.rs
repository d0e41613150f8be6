//! Commands that were run, best effort: what stands on the cursor's line, behind where typing began,
//! when the person presses Enter. The screen tells and not the keys, so that history, completion and
//! editing count as they show, and what does not show is never taken.

use std::collections::VecDeque;

/// Bytes of a prompt that are remembered.
const MOST_PROMPT: usize = 16 * 1024;
/// Bytes of typed text that are remembered.
const MOST_TYPED: usize = 1_024;
/// Lines that may wait for their echo.
const MOST_ENTERED: usize = 64;
/// Lines of output that may pass before an echo is given up.
const PATIENCE: u8 = 64;
/// Prompts in a row that may ask for something that does not show, as `sudo` and `passwd` do, before they count as those
/// of a shell whose echo is off.
const MOST_ASKED: u8 = 4;
/// Words of a command that chooses what a prompt looks like, or whether the terminal shows what is typed: a prompt behind
/// it is whatever its person wanted.
const MAKE_PROMPTS: [&str; 10] =
    ["PS1", "PS2", "PS3", "PROMPT", "PROMPT_COMMAND", "RPROMPT", "prompt", "fish_prompt", "stty", "read"];
/// What of them only looks, or undoes it.
const HARMLESS: [&str; 3] = ["stty size", "stty -a", "stty sane"];

/// What is being typed. It goes on from segment to segment.
#[derive(Debug, Clone, Default)]
pub(super) struct Typing {
    line: Entry,
    entered: VecDeque<Entry>,
    /// Inside an escape sequence of the keyboard.
    escape: Escape,
    /// Lines that passed since something was entered.
    passed: u8,
    /// The last prompt that a command stood behind.
    last_prompt: String,
    /// Prompts that asked since then, and got what does not show.
    asked: u8,
    /// A command chose what prompts look like: none of them can be told from a question any more.
    prompts_are_made: bool,
    /// Each Enter behind keys that did not show, for which no command was found, until somebody asks.
    missed: Vec<Missed>,
}

/// Enter behind keys that did not show, where no command was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missed {
    /// Something asked and nothing came between, as for a password. Ordinary.
    AtPrompt,
    /// What was entered may have been a command.
    Hidden,
}

#[derive(Debug, Clone, Default)]
struct Entry {
    begun: bool,
    /// What stood before the cursor when typing began; none when nothing was known of it.
    prompt: Option<String>,
    typed: String,
    /// More was typed than is remembered.
    more: bool,
    /// Keys were pressed that are no text: what was typed is not what stands there.
    edited: bool,
    /// The terminal did not answer with what was typed.
    masked: bool,
    /// How many bytes of it.
    unseen: u64,
    /// How many bytes did show, and may stand there still.
    seen: u64,
    /// What stood behind the prompt at Enter, where typing was masked.
    shown: String,
    /// A line came to its end since typing began.
    interrupted: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Begun,
    Control,
}

/// What a line is that came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// A command, beginning at this byte.
    Command(usize),
    /// Something else.
    Output,
}

impl Typing {
    /// Keys, as they were recorded, with the line that the cursor is in, at this byte.
    pub(super) fn keys(&mut self, keys: &[u8], line: &str, cursor: usize) {
        self.begin(line.get(..cursor));
        let text = String::from_utf8_lossy(keys);
        for key in text.chars() {
            match (self.escape, key) {
                (Escape::None, '\r' | '\n') => self.enter(line),
                // Ctrl-O: readline runs the line, and shows the next one of the history behind the same prompt.
                (Escape::None, '\u{f}') => {
                    let prompt = self.line.prompt.clone();
                    self.enter(line);
                    self.line = Entry { begun: true, prompt, edited: true, ..Entry::default() };
                }
                (Escape::None, '\u{1b}') => self.escape = Escape::Begun,
                // Ctrl-C: another prompt comes.
                (Escape::None, '\u{3}') => self.line = Entry::default(),
                // Ctrl-D hands over what was typed, as Enter does, to whatever reads a line that is not edited.
                (Escape::None, '\u{4}') => {
                    let entry = std::mem::take(&mut self.line);
                    let missed = self.how_missed(&entry, line);
                    self.miss(&entry, missed);
                }
                (Escape::None, key) if key.is_control() => self.line.edit(key),
                (Escape::None, key) => {
                    self.begin(None);
                    self.line.seen += key.len_utf8() as u64;
                    if self.line.typed.len() < MOST_TYPED {
                        self.line.typed.push(key);
                    } else {
                        self.line.more = true;
                    }
                }
                (Escape::Begun, '[' | 'O') => self.escape = Escape::Control,
                (Escape::Begun, _) => {
                    self.escape = Escape::None;
                    self.line.edit('\u{1b}');
                }
                (Escape::Control, '\u{40}'..='\u{7e}') => {
                    self.escape = Escape::None;
                    // The bracket around what is pasted changes nothing.
                    if key != '~' {
                        self.line.edit('\u{1b}');
                    }
                }
                (Escape::Control, _) => {}
            }
        }
    }

    /// Keys that the terminal did not show.
    pub(super) fn masked(&mut self, keys: u64, line: &str, cursor: usize) {
        self.begin(line.get(..cursor));
        self.line.masked = true;
        self.line.unseen = self.line.unseen.saturating_add(keys);
        self.line.typed.clear();
    }

    fn begin(&mut self, prompt: Option<&str>) {
        if !self.line.begun {
            self.line.begun = true;
            // Before the line before was answered, nothing is known of this one.
            let known = prompt.filter(|prompt| self.entered.is_empty() && prompt.len() <= MOST_PROMPT);
            self.line.prompt = known.map(str::to_owned);
        }
    }

    fn enter(&mut self, line: &str) {
        let mut entry = std::mem::take(&mut self.line);
        entry.begun = true;
        if entry.masked {
            // What does not show by now is a password; some programs show a star for each letter.
            let shown = entry.behind_prompt(line).map(|from| line[from..].trim()).unwrap_or_default();
            if shown.chars().all(|letter| matches!(letter, '*' | '•' | '●')) {
                let missed = self.how_missed(&entry, line);
                if missed == Missed::AtPrompt && entry.unseen > 0 {
                    self.asked = self.asked.saturating_add(1);
                }
                self.miss(&entry, missed);
                return;
            }
            shown.clone_into(&mut entry.shown);
            // Whatever is found behind such keys may be other output; and what stands there may not be all.
            if entry.unseen > entry.seen || (entry.shown.len() as u64) < entry.unseen.saturating_add(entry.seen) {
                self.miss(&entry, Missed::Hidden);
                entry.unseen = 0;
            }
        }
        self.entered.push_back(entry);
        self.passed = 0;
        if self.entered.len() > MOST_ENTERED {
            self.give_up();
        }
    }

    /// The first line that was entered does not show.
    fn give_up(&mut self) {
        if let Some(entry) = self.entered.pop_front() {
            self.miss(&entry, Missed::Hidden);
        }
        self.passed = 0;
    }

    /// What keys that did not show are: an answer to a question, or something that may have been a command.
    fn how_missed(&self, entry: &Entry, line: &str) -> Missed {
        let asked = entry.behind_prompt(line).is_some() && self.asks(entry);
        if asked { Missed::AtPrompt } else { Missed::Hidden }
    }

    /// Whether the entry stands behind a question, as for a password, that nothing came between: not behind the prompt
    /// of a shell, whose echo may be off, and which may look like a question.
    fn asks(&self, entry: &Entry) -> bool {
        let prompt = entry.prompt.as_deref().unwrap_or_default().trim();
        let looks_so = !entry.interrupted && prompt.ends_with([':', '：', '?']) && prompt != self.last_prompt.trim();
        looks_so && !self.prompts_are_made && self.asked < MOST_ASKED
    }

    /// Enter was pressed, and no command is known; keys that did not show tell that there may have been one.
    fn miss(&mut self, entry: &Entry, missed: Missed) {
        if entry.unseen > 0 && self.missed.len() < MOST_ENTERED {
            self.missed.push(missed);
        }
    }

    /// Each Enter behind keys that did not show, for which no command was found, since this was asked.
    pub(super) fn missed(&mut self) -> Vec<Missed> {
        std::mem::take(&mut self.missed)
    }

    /// Forgets everything but what did not show: a program has the whole screen.
    pub(super) fn forget(&mut self) {
        let before = std::mem::take(self);
        self.missed = before.missed;
        self.prompts_are_made = before.prompts_are_made;
        for entry in before.entered.iter().chain([&before.line]) {
            self.miss(entry, Missed::Hidden);
        }
    }

    /// Whether something was entered and did not show yet: the next lines tell.
    pub(super) fn is_waiting(&self) -> bool {
        !self.entered.is_empty()
    }

    /// Says what a line is that came to its end.
    pub(super) fn line_ends(&mut self, line: &str) -> Ended {
        self.line.interrupted = self.line.begun;
        let Some(entry) = self.entered.front() else { return Ended::Output };
        match entry.found_in(line, &self.last_prompt) {
            Found::Command(from) => {
                self.entered.pop_front();
                self.passed = 0;
                if from > 0 && from <= MOST_PROMPT {
                    line[..from].clone_into(&mut self.last_prompt);
                }
                self.asked = 0;
                self.prompts_are_made |= makes_prompts(&line[from..]);
                Ended::Command(from)
            }
            Found::Nothing => {
                self.entered.pop_front();
                self.passed = 0;
                Ended::Output
            }
            Found::NotYet => {
                self.passed += 1;
                if self.passed >= PATIENCE {
                    self.give_up();
                }
                Ended::Output
            }
        }
    }
}

/// Whether a command chooses what prompts look like, or whether the terminal echoes.
fn makes_prompts(command: &str) -> bool {
    let mut words = command.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    !HARMLESS.contains(&command.trim()) && words.any(|word| MAKE_PROMPTS.contains(&word))
}

enum Found {
    Command(usize),
    /// The line was entered, and there is no command in it.
    Nothing,
    /// Another line ended.
    NotYet,
}

impl Entry {
    /// A key that is no text: what was typed is not what stands there any more.
    fn edit(&mut self, key: char) {
        self.edited = true;
        match key {
            // Completion adds to it.
            '\t' => {}
            '\u{8}' | '\u{7f}' => self.seen = self.seen.saturating_sub(1),
            // It may be gone: what shows was not typed where it does not, such as a line that was typed, wiped out, and
            // written over unseen.
            _ => self.seen = 0,
        }
    }

    /// Where the line goes on behind the prompt.
    fn behind_prompt(&self, line: &str) -> Option<usize> {
        let rest = line.strip_prefix(self.prompt.as_deref()?.trim_end())?;
        Some(line.len() - rest.len())
    }

    fn found_in(&self, line: &str, last_prompt: &str) -> Found {
        let line = line.trim_end();
        let mut behind_prompt = self.behind_prompt(line);
        if behind_prompt == Some(0) && !last_prompt.trim().is_empty() {
            // The line was empty when typing began: the prompt may not have been there yet.
            behind_prompt = line.strip_prefix(last_prompt.trim_end()).map(|rest| line.len() - rest.len()).or(Some(0));
        }
        let command = |from: usize| if line[from..].trim().is_empty() { Found::Nothing } else { Found::Command(from) };
        if self.masked {
            return match behind_prompt {
                Some(from) if line[from..].contains(&self.shown) => Found::Command(from),
                _ => Found::NotYet,
            };
        }
        if self.edited {
            return behind_prompt.map_or(Found::Nothing, command);
        }
        let typed = self.typed.trim();
        if typed.is_empty() {
            return Found::Nothing;
        }
        match behind_prompt {
            Some(from) if from > 0 && line[from..].contains(typed) => command(from),
            // The end of what was typed is not remembered.
            _ if self.more && line.contains(typed) => command(line.find(typed).unwrap_or_default()),
            _ if line.ends_with(typed) => command(line.len() - typed.len()),
            Some(from) if line[from..].contains(typed) => command(from),
            _ => Found::NotYet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_o_is_enter_and_shows_the_next_line_behind_the_same_prompt() {
        let mut typing = Typing::default();
        keys(&mut typing, b"\x1b[A", "$ ");
        keys(&mut typing, b"\x0f", "$ make");
        assert_eq!(command(&mut typing, "$ make").as_deref(), Some("make"));
        keys(&mut typing, b"\x0f", "$ make install");
        assert_eq!(command(&mut typing, "$ make install").as_deref(), Some("make install"));
        keys(&mut typing, b"ls\r", "$ ");
        assert_eq!(command(&mut typing, "$ ls").as_deref(), Some("ls"));
    }

    #[test]
    fn a_long_command_and_one_behind_a_long_prompt_are_found() {
        let (prompt, long) = ("p".repeat(520), "word ".repeat(1_000));
        for typed in ["ls", long.trim_end()] {
            let mut typing = Typing::default();
            keys(&mut typing, typed.as_bytes(), &prompt);
            keys(&mut typing, b"\r", "");
            assert_eq!(command(&mut typing, &format!("{prompt}{typed}")).as_deref(), Some(typed));
            // Its beginning is not on the screen any more.
            let mut typing = Typing::default();
            keys(&mut typing, format!("{typed}\r").as_bytes(), "");
            assert_eq!(command(&mut typing, &format!("$ {typed}")).as_deref(), Some(typed));
        }
    }

    #[test]
    fn enter_behind_keys_that_did_not_show_is_told_where_no_command_is_found() {
        let mut typing = Typing::default();
        typing.masked(7, "Password: ", 10);
        typing.masked(2, "Password: ", 10);
        keys(&mut typing, b"\r", "Password: ");
        assert_eq!(typing.missed(), [Missed::AtPrompt]);
        assert_eq!(typing.missed(), [], "once");
        // Something stands there, and never comes to its end.
        let some = |typing: &mut Typing| {
            keys(typing, b"make", "% ");
            typing.masked(3, "% make", 6);
        };
        some(&mut typing);
        keys(&mut typing, b"\r", "% make x");
        for _ in 0..PATIENCE {
            assert_eq!(command(&mut typing, "."), None);
        }
        assert_eq!(typing.missed(), [Missed::Hidden]);
        some(&mut typing);
        keys(&mut typing, b"\r", "% makeall");
        assert_eq!(command(&mut typing, "% makeall").as_deref(), Some("makeall"));
        assert_eq!(typing.missed(), [], "all of its command is known");
        // Most of it did not show: what stands there may be noise.
        typing.masked(4, "% ", 2);
        keys(&mut typing, b"\r", "% .s.t.o.p");
        assert_eq!(command(&mut typing, "% .s.t.o.p.").as_deref(), Some(".s.t.o.p."));
        assert_eq!(typing.missed(), [Missed::Hidden]);
        // A program that takes the screen for a moment hides nothing.
        typing.masked(4, "% ", 2);
        typing.forget();
        assert_eq!(typing.missed(), [Missed::Hidden]);
    }

    #[test]
    fn a_password_at_its_prompt_is_ordinary_and_what_noise_or_a_shell_without_echo_hides_is_not() {
        let entered = |prompt: &str, ends: &[&str], line: &str| {
            let mut typing = Typing::default();
            keys(&mut typing, b"ls\r", "me@here: ");
            assert_eq!(command(&mut typing, "me@here: ls").as_deref(), Some("ls"));
            typing.masked(7, prompt, prompt.len());
            for end in ends {
                assert_eq!(command(&mut typing, end), None);
            }
            keys(&mut typing, b"\r", line);
            typing.missed()
        };
        for prompt in ["[sudo] password for me: ", "Passphrase:", "Old PIN? "] {
            assert_eq!(entered(prompt, &[], prompt), [Missed::AtPrompt], "{prompt}");
            assert_eq!(entered(prompt, &[], &format!("{prompt}***")), [Missed::AtPrompt], "{prompt}");
            assert_eq!(entered(prompt, &["."], prompt), [Missed::Hidden], "{prompt}: something came between");
            assert_eq!(entered(prompt, &[], ""), [Missed::Hidden], "{prompt}: it is gone");
        }
        assert_eq!(entered("$ ", &[], "$ "), [Missed::Hidden], "a shell without echo");
        assert_eq!(entered("me@here: ", &[], "me@here: "), [Missed::Hidden], "one whose prompt looks like a question");
        assert_eq!(entered("", &[], ""), [Missed::Hidden], "nothing asks");
    }

    /// What is told of keys that did not show, at a shell whose echo is off.
    fn unechoed(typing: &mut Typing, prompt: &str, times: usize) -> Vec<Missed> {
        for _ in 0..times {
            typing.masked(6, prompt, prompt.len());
            keys(typing, b"\r", prompt);
            assert_eq!(command(typing, prompt), None);
        }
        typing.missed()
    }

    #[test]
    fn a_shell_whose_prompt_asks_for_a_password_hides_no_commands() {
        let run = |typing: &mut Typing, text: &str| {
            keys(typing, format!("{text}\r").as_bytes(), "$ ");
            assert_eq!(command(typing, &format!("$ {text}")).as_deref(), Some(text));
        };
        // Whoever chooses the prompt, or turns the echo off, chose what it looks like.
        for made in ["PS1='Password:'; stty -echo", "export PROMPT='[sudo] password for me: '", "read -s -p 'PIN: ' x"]
        {
            let mut typing = Typing::default();
            run(&mut typing, "ls");
            run(&mut typing, made);
            assert_eq!(unechoed(&mut typing, "Password:", 2), [Missed::Hidden; 2], "{made}");
            // Also behind a program that took the whole screen.
            typing.forget();
            assert_eq!(unechoed(&mut typing, "Password:", 1), [Missed::Hidden], "{made}");
        }
        // Where it was chosen elsewhere, as in a file: nobody asks so often without a command in between.
        let mut typing = Typing::default();
        run(&mut typing, ". ./mine");
        let told = unechoed(&mut typing, "Password:", 7);
        let hidden = told.iter().filter(|missed| **missed == Missed::Hidden).count();
        assert_eq!((told.len(), hidden), (7, 7 - usize::from(MOST_ASKED)), "{told:?}");
        // With a command that is known, questions are questions again.
        run(&mut typing, "sudo id");
        assert_eq!(unechoed(&mut typing, "[sudo] password for me: ", 3), [Missed::AtPrompt; 3]);
    }

    #[test]
    fn what_was_seen_and_wiped_out_hides_nothing() {
        for wipe in [&b"\x15"[..], b"\x17", b"\x0b", b"\x1b[A", b"\x1bb", b"\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f"] {
            let mut typing = Typing::default();
            keys(&mut typing, b"echo hello", "$ ");
            keys(&mut typing, wipe, "$ echo hello");
            typing.masked(6, "$ ", 2);
            keys(&mut typing, b"\r", "$ anything");
            assert_eq!(typing.missed(), [Missed::Hidden], "{wipe:?}");
        }
        // What shows is less than what was typed.
        let mut typing = Typing::default();
        typing.masked(7, "$ ", 2);
        keys(&mut typing, b"echo hello world", "$ ");
        keys(&mut typing, b"\r", "$ echo hello world");
        assert_eq!(typing.missed(), [Missed::Hidden]);
        // All of it shows: a shell that repaints hides nothing.
        let mut typing = Typing::default();
        keys(&mut typing, b"mak", "$ ");
        typing.masked(1, "$ mak", 5);
        keys(&mut typing, b"\r", "$ make");
        assert_eq!(command(&mut typing, "$ make").as_deref(), Some("make"));
        assert_eq!(typing.missed(), []);
    }

    #[test]
    fn ctrl_d_hands_over_what_did_not_show() {
        let mut typing = Typing::default();
        typing.masked(6, "", 0);
        keys(&mut typing, b"\x04", "");
        assert_eq!(typing.missed(), [Missed::Hidden]);
        // What was typed in vain is not run, and nothing at all neither.
        typing.masked(6, "$ ", 2);
        keys(&mut typing, b"\x03", "$ ");
        keys(&mut typing, b"\x04", "$ ");
        assert_eq!(typing.missed(), []);
    }

    /// Keys with the cursor at the line's end.
    fn keys(typing: &mut Typing, keys: &[u8], line: &str) {
        typing.keys(keys, line, line.len());
    }

    fn command(typing: &mut Typing, line: &str) -> Option<String> {
        match typing.line_ends(line) {
            Ended::Command(from) => Some(line[from..].trim().to_owned()),
            Ended::Output => None,
        }
    }

    #[test]
    fn a_line_that_was_typed_is_a_command_without_its_prompt() {
        let mut typing = Typing::default();
        keys(&mut typing, b"l", "me@here:~$ ");
        keys(&mut typing, b"s", "me@here:~$ l");
        keys(&mut typing, b"\r", "");
        assert_eq!(command(&mut typing, "me@here:~$ ls").as_deref(), Some("ls"));
        assert_eq!(command(&mut typing, "file"), None);
    }

    #[test]
    fn history_completion_and_editing_count_as_they_show() {
        for typed in [&b"\x1b[A\r"[..], b"sys\tst\tng\t\r", b"systemctl stop nginy\x7fx\r", b"\x12stop\r"] {
            let mut typing = Typing::default();
            keys(&mut typing, typed, "$ ");
            assert_eq!(
                command(&mut typing, "$ systemctl stop nginx").as_deref(),
                Some("systemctl stop nginx"),
                "{typed:?}"
            );
        }
    }

    #[test]
    fn what_is_typed_ahead_is_found_when_it_shows() {
        let mut typing = Typing::default();
        keys(&mut typing, b"ls\r", "half a line of out");
        assert_eq!(command(&mut typing, "half a line of output"), None);
        assert_eq!(command(&mut typing, "more"), None);
        assert_eq!(command(&mut typing, "$ ls").as_deref(), Some("ls"));
    }

    #[test]
    fn what_is_typed_before_a_prompt_that_shows_then_is_a_command_without_it() {
        let mut typing = Typing::default();
        // Nothing was on the line yet.
        keys(&mut typing, b"ls\r", "");
        assert_eq!(command(&mut typing, "me@here:~$ ls").as_deref(), Some("ls"));
        keys(&mut typing, b"\x1b[A\r", "");
        assert_eq!(command(&mut typing, "me@here:~$ ls").as_deref(), Some("ls"), "the prompt is known");
        // A program that asks nothing.
        keys(&mut typing, b"an ans\x7f\x7fswer\r", "");
        assert_eq!(command(&mut typing, "an answer").as_deref(), Some("an answer"));
    }

    #[test]
    fn several_pasted_lines_are_several_commands() {
        let mut typing = Typing::default();
        keys(&mut typing, b"cd /tmp\rls\r\x1b[200~pwd\x1b[201~\r", "$ ");
        for (line, expected) in
            [("$ cd /tmp", Some("cd /tmp")), ("$ ls", Some("ls")), ("a", None), ("$ pwd", Some("pwd"))]
        {
            assert_eq!(command(&mut typing, line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn what_does_not_show_is_no_command() {
        for line in ["Password: ", "Password: ******", "Password: ••"] {
            let mut typing = Typing::default();
            typing.masked(7, "Password: ", 10);
            keys(&mut typing, b"\r", line);
            // Nothing ends the line of the prompt in between.
            assert_eq!(command(&mut typing, &format!("{line}what comes next")), None, "{line}");
            assert!(typing.entered.is_empty());
        }
        let mut typing = Typing::default();
        keys(&mut typing, b"\r", "$ ");
        assert_eq!(command(&mut typing, "$ "), None, "nothing but Enter");
        assert!(typing.entered.is_empty());
    }

    #[test]
    fn a_shell_that_repaints_what_is_typed_shows_commands_all_the_same() {
        let mut typing = Typing::default();
        typing.masked(4, "% ", 2);
        keys(&mut typing, b"\r", "% make");
        assert_eq!(command(&mut typing, "% make").as_deref(), Some("make"));
    }

    #[test]
    fn an_echo_that_never_comes_is_given_up() {
        let mut typing = Typing::default();
        keys(&mut typing, b"lost\r", "$ ");
        for _ in 0..PATIENCE {
            assert_eq!(command(&mut typing, "output"), None);
        }
        assert!(typing.entered.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_typed_and_shown_nothing_panics_and_little_is_kept(
            keys in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40), 0..40),
            lines in proptest::collection::vec("\\PC{0,40}", 0..40),
        ) {
            let mut typing = Typing::default();
            for (keys, line) in keys.iter().zip(&lines) {
                typing.keys(keys, line, line.len());
                if let Ended::Command(from) = typing.line_ends(line) {
                    proptest::prop_assert!(line.is_char_boundary(from));
                }
            }
            proptest::prop_assert!(typing.entered.len() <= MOST_ENTERED);
        }
    }
}
