//! What belongs on the timeline of a recording: its markers and gaps, and where keys did not show. The terminal
//! cannot tell a password from a command whose echo was lost in other output; somebody who looks can.

use super::{
    types::{Mark, TakenMarks},
    typing::Missed,
};

/// Keys that did not show are counted in steps of so many.
const STEP: u64 = 16;
/// Characters of a label.
const MOST_LABEL: usize = 200;
/// Keys that are nearer than that are one mark, in microseconds.
const NEAR: u64 = 10_000_000;

/// Takes marks.
#[derive(Debug, Default)]
pub(super) struct Marks {
    taken: Vec<Mark>,
    unseen_keys: u64,
    unseen_entries: u32,
    hidden_entries: u32,
    /// Keys that did not show and are not marked yet: since when, until when, how many.
    run: Option<(u64, u64, u64)>,
}

impl Marks {
    /// A fact that was recorded.
    pub(super) fn note(&mut self, at_us: u64, label: &str) {
        let label = label.trim();
        if !label.is_empty() {
            self.taken.push(Mark { at_us, label: label.chars().take(MOST_LABEL).collect() });
        }
    }

    /// Keys that the terminal did not show.
    pub(super) fn unseen(&mut self, at_us: u64, keys: u64) {
        self.unseen_keys = self.unseen_keys.saturating_add(keys);
        match &mut self.run {
            Some((_, until, run)) if at_us.saturating_sub(*until) < NEAR => (*until, *run) = (at_us, *run + keys),
            _ => {
                self.end_run();
                self.run = Some((at_us, at_us, keys));
            }
        }
    }

    /// Enter followed such keys, and no command was found.
    pub(super) fn entered(&mut self, at_us: u64, missed: Missed) {
        self.unseen_entries = self.unseen_entries.saturating_add(1);
        let since = self.run.take().map_or(at_us, |(since, ..)| since);
        match missed {
            Missed::AtPrompt => self.note(since, "Entered at a prompt, not shown"),
            Missed::Hidden => {
                self.hidden_entries = self.hidden_entries.saturating_add(1);
                self.note(since, "Entered, not shown");
            }
        }
    }

    fn end_run(&mut self) {
        if let Some((since, _, keys)) = self.run.take() {
            self.note(since, &format!("{} did not show", counted(keys)));
        }
    }

    /// What was taken.
    pub(super) fn finish(mut self) -> TakenMarks {
        self.end_run();
        self.taken.sort_by_key(|mark| mark.at_us);
        TakenMarks {
            marks: self.taken,
            unseen_keys: stepped(self.unseen_keys),
            unseen_entries: self.unseen_entries,
            hidden_entries: self.hidden_entries,
        }
    }
}

/// What stands for bytes that were not recorded.
pub(super) fn gap(bytes: u64) -> String {
    format!("{bytes} bytes were not recorded here")
}

/// The length of a password is nobody's business.
fn stepped(keys: u64) -> u64 {
    keys.checked_next_multiple_of(STEP).unwrap_or(u64::MAX)
}

/// How many, in steps.
fn counted(keys: u64) -> String {
    format!("Up to {} keys", stepped(keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_did_not_show_are_marked_together_and_enter_behind_them_is_said() {
        let mut marks = Marks::default();
        marks.unseen(1_000_000, 3);
        marks.unseen(2_000_000, 1);
        marks.entered(3_000_000, Missed::Hidden);
        marks.unseen(30_000_000, 8);
        marks.entered(31_000_000, Missed::AtPrompt);
        marks.unseen(4_000_000, 1);
        marks.unseen(20_000_000, 2);
        marks.note(5_000_000, " joined ");
        let taken = marks.finish();
        let told = taken.marks.iter().map(|mark| (mark.at_us, mark.label.as_str())).collect::<Vec<_>>();
        assert_eq!(
            told,
            [
                (1_000_000, "Entered, not shown"),
                (4_000_000, "Up to 16 keys did not show"),
                (5_000_000, "joined"),
                (20_000_000, "Up to 16 keys did not show"),
                (30_000_000, "Entered at a prompt, not shown"),
            ]
        );
        assert_eq!((taken.unseen_keys, taken.unseen_entries, taken.hidden_entries), (16, 2, 1));
    }
}
