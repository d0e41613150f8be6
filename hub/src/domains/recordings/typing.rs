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
    /// How many keys did show.
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
                // Ctrl-C and Ctrl-D: another prompt comes.
                (Escape::None, '\u{3}' | '\u{4}') => self.line = Entry::default(),
                (Escape::None, key) if key.is_control() => self.line.edited = true,
                (Escape::None, key) => {
                    self.begin(None);
                    self.line.seen += 1;
                    if self.line.typed.len() < MOST_TYPED {
                        self.line.typed.push(key);
                    } else {
                        self.line.more = true;
                    }
                }
                (Escape::Begun, '[' | 'O') => self.escape = Escape::Control,
                (Escape::Begun, _) => {
                    self.escape = Escape::None;
                    self.line.edited = true;
                }
                (Escape::Control, '\u{40}'..='\u{7e}') => {
                    self.escape = Escape::None;
                    // The bracket around what is pasted changes nothing.
                    self.line.edited |= key != '~';
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
                let asked = entry.behind_prompt(line).is_some() && self.asks(&entry);
                self.miss(&entry, if asked { Missed::AtPrompt } else { Missed::Hidden });
                return;
            }
            shown.clone_into(&mut entry.shown);
            // Whatever is found behind such keys may be other output.
            if entry.unseen > entry.seen {
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

    /// Whether the entry stands behind a question, as for a password, that nothing came between: not behind the prompt
    /// of a shell, whose echo may be off.
    fn asks(&self, entry: &Entry) -> bool {
        let prompt = entry.prompt.as_deref().unwrap_or_default().trim();
        !entry.interrupted && prompt.ends_with([':', '：', '?']) && prompt != self.last_prompt.trim()
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

enum Found {
    Command(usize),
    /// The line was entered, and there is no command in it.
    Nothing,
    /// Another line ended.
    NotYet,
}

impl Entry {
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
        keys(&mut typing, b"\r", "% make");
        assert_eq!(command(&mut typing, "% make").as_deref(), Some("make"));
        assert_eq!(typing.missed(), [], "its command is known");
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
