//! What a recording is to the rest of the hub.

use chrono::{DateTime, TimeDelta, Utc};
use openpam_ids::{SessionId, TargetId, UserId};
use uuid::Uuid;

/// The recording of a session, as the database knows it.
#[derive(Debug, Clone)]
pub(super) struct Recording {
    pub(super) session_id: SessionId,
    /// `recording`, `complete`, `completed`, `empty`, `purging` or `purged`.
    pub(super) state: String,
    /// Whether the session could not have gone on without it.
    pub(super) required: bool,
    /// Where in the store it is.
    pub(super) path: String,
    /// When it began, to the microsecond.
    pub(super) started_at: DateTime<Utc>,
    pub(super) ended_at: Option<DateTime<Utc>>,
    pub(super) segments: i32,
    pub(super) records: i64,
    /// Bytes before compression.
    pub(super) plain_bytes: i64,
    /// Bytes in the store.
    pub(super) stored_bytes: i64,
    /// Bytes that passed and were not recorded.
    pub(super) dropped_bytes: i64,
    /// Microseconds from the beginning to the end of what is stored.
    pub(super) duration_us: i64,
    /// Merkle root over the segments.
    pub(super) root: Option<Vec<u8>>,
    /// Since when its completer closes it.
    pub(super) closing_at: Option<DateTime<Utc>>,
    /// Why its completer could not close it yet.
    pub(super) closing_error: Option<String>,
    /// What the last verification found wrong: a stable name.
    pub(super) defect: Option<String>,
}

/// An open recording of a session that has ended.
#[derive(Debug, Clone)]
pub(super) struct Abandoned {
    pub(super) session_id: SessionId,
    pub(super) started_at: DateTime<Utc>,
    /// When its session ended.
    pub(super) ended_at: DateTime<Utc>,
    /// A completer began to close it: nothing is noted any more.
    pub(super) is_closing: bool,
    /// How often it could not be closed.
    pub(super) failures: i32,
    /// The segment that the store did not give, how often in a row, and since when.
    pub(super) lost_seq: Option<i32>,
    pub(super) lost_count: i32,
    pub(super) lost_at: Option<DateTime<Utc>>,
}

impl Recording {
    /// Whether its content is deleted, or about to be.
    pub(super) fn is_purged(&self) -> bool {
        matches!(self.state.as_str(), "purging" | "purged")
    }
}

/// One stored segment.
#[derive(Debug, Clone)]
pub(super) struct SegmentEntry {
    /// Its number, from 0.
    pub(super) seq: i32,
    /// Microseconds since the beginning: its first record.
    pub(super) from_us: i64,
    /// When it was closed.
    pub(super) until_us: i64,
    pub(super) records: i32,
    pub(super) plain_bytes: i32,
    pub(super) stored_bytes: i32,
    pub(super) hash: Vec<u8>,
}

/// What the screen showed where a segment begins.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    pub(super) seq: i32,
    pub(super) cols: i32,
    pub(super) rows: i32,
    /// Text that draws it on an empty terminal of this size.
    pub(super) screen: String,
    /// Bytes of the segment before that begin a character which this one ends.
    pub(super) pending: Vec<u8>,
}

/// How far the text of a recording is indexed.
#[derive(Debug, Clone, Default)]
pub(super) struct IndexState {
    pub(super) segments: i32,
    pub(super) lines: i32,
    pub(super) bytes: i64,
    /// There is more text than is indexed of one session.
    pub(super) truncated: bool,
    /// A line or a command was longer than is indexed, or a screen took too long to draw.
    pub(super) cut: bool,
    /// Bytes that were typed and did not show.
    pub(super) unseen_keys: i64,
    /// How often Enter followed such keys and no command was found.
    pub(super) unseen_entries: i32,
    /// Of those, what was not entered at a prompt that asks: it may have been a command.
    pub(super) hidden_entries: i32,
    /// Lines that were taken by looking at the screen.
    pub(super) looked_lines: i32,
    /// Marks that are kept.
    pub(super) marks: i32,
    /// Stretches that were too fast for each line to be indexed: beginnings and ends in turn, in microseconds.
    pub(super) sampled: Vec<i64>,
    /// Nothing more will be indexed.
    pub(super) done: bool,
    /// Why not everything is.
    pub(super) error_code: Option<String>,
}

/// A line of text that a session showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// When it was there, in microseconds since the recording began.
    pub(super) at_us: u64,
    pub(super) text: String,
    /// Where a command begins in it, in characters; none where it is not one that was run.
    pub(super) command_from: Option<u16>,
}

/// A fact for the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// Microseconds since the recording began.
    pub(super) at_us: u64,
    pub(super) label: String,
}

/// Marks of one recording that are kept, at most.
pub(super) const MOST_MARKS: i32 = 5_000;

/// The marks that a segment gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TakenMarks {
    /// In the order of their times.
    pub(super) marks: Vec<Mark>,
    /// Bytes that were typed and did not show.
    pub(super) unseen_keys: u64,
    /// How often Enter followed such keys and no command was found.
    pub(super) unseen_entries: u32,
    /// Of those, what was not entered at a prompt that asks.
    pub(super) hidden_entries: u32,
}

impl TakenMarks {
    /// Adds what a later segment gave.
    pub(super) fn add(&mut self, later: Self) {
        self.marks.extend(later.marks);
        self.unseen_keys = self.unseen_keys.saturating_add(later.unseen_keys);
        self.unseen_entries = self.unseen_entries.saturating_add(later.unseen_entries);
        self.hidden_entries = self.hidden_entries.saturating_add(later.hidden_entries);
    }
}

/// A closed recording that is not indexed to its end.
#[derive(Debug, Clone)]
pub(super) struct Unindexed {
    pub(super) session_id: SessionId,
    /// Segments of the recording.
    pub(super) segments: i32,
}

/// What is searched for.
#[derive(Debug, Clone, Default)]
pub(super) struct Search {
    /// Part of a line, whatever its case.
    pub(super) text: String,
    /// Only in commands that were run.
    pub(super) commands: bool,
    /// Only in what is no command.
    pub(super) output: bool,
    /// Only in this session.
    pub(super) session_id: Option<SessionId>,
    pub(super) user_id: Option<UserId>,
    pub(super) target_id: Option<TargetId>,
    /// Sessions that began at or after.
    pub(super) from: Option<DateTime<Utc>>,
    /// Sessions that began before.
    pub(super) to: Option<DateTime<Utc>>,
    /// Part of the user's name.
    pub(super) user: Option<String>,
    /// Part of the target's name.
    pub(super) target: Option<String>,
    /// Part of the zone's name.
    pub(super) zone: Option<String>,
    /// Lines to give of each session.
    pub(super) hits: i32,
}

impl Search {
    /// The identifiers between which those of the sessions are: they begin with the time.
    pub(super) fn identifiers(&self) -> (Uuid, Uuid) {
        if let Some(id) = self.session_id {
            return (id.as_uuid(), id.as_uuid());
        }
        // An identifier is made before its session begins, perhaps by another machine's clock.
        let day = TimeDelta::days(1);
        let millis = |time: DateTime<Utc>| u128::try_from(time.timestamp_millis()).unwrap_or_default();
        let first = self.from.map_or(0, |from| millis(from - day) << 80);
        let last = self.to.map_or(u128::MAX, |to| (millis(to + day) << 80) | ((1 << 80) - 1));
        (Uuid::from_u128(first), Uuid::from_u128(last))
    }

    /// Whether the index over text can find it: it knows three letters or digits in a row.
    pub(super) fn is_indexed(&self) -> bool {
        let mut run = 0;
        self.text.chars().any(|character| {
            run = if character.is_alphanumeric() { run + 1 } else { 0 };
            run >= 3
        })
    }
}

/// A session with lines that match.
#[derive(Debug, Clone)]
pub(super) struct FoundSession {
    pub(super) session_id: SessionId,
    pub(super) user_id: UserId,
    pub(super) user_name: String,
    pub(super) target_id: Option<TargetId>,
    pub(super) target_name: String,
    pub(super) zone_name: Option<String>,
    pub(super) start_time: DateTime<Utc>,
    /// Lines of it that match.
    pub(super) count: i64,
    /// The first of them.
    pub(super) numbers: Vec<i32>,
}

/// A line that matches.
#[derive(Debug, Clone)]
pub(super) struct FoundLine {
    pub(super) session_id: SessionId,
    /// Microseconds since the recording began.
    pub(super) at_us: i64,
    pub(super) command_from: Option<i16>,
    pub(super) text: String,
}

/// A key as the database has it.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) purpose: String,
    pub(super) public: [u8; 32],
    pub(super) vault_path: Option<String>,
}

/// How a recording is kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) state: String,
    pub(super) ended_at: Option<DateTime<Utc>>,
    pub(super) segments: i32,
    pub(super) stored_bytes: i64,
    pub(super) root: Option<Vec<u8>>,
    /// Since when a legal hold keeps it.
    pub(super) hold_at: Option<DateTime<Utc>>,
    pub(super) hold_by_name: Option<String>,
    pub(super) hold_reason: Option<String>,
    /// When its purge began.
    pub(super) purge_at: Option<DateTime<Utc>>,
    pub(super) purge_by_name: Option<String>,
    pub(super) purge_reason: Option<String>,
    /// Why it could not be purged yet.
    pub(super) purge_error: Option<String>,
    pub(super) purged_at: Option<DateTime<Utc>>,
    /// Segments that wait in a spool.
    pub(super) spooled: i64,
    /// Where.
    pub(super) spool: Option<String>,
}

/// Which recordings a list shows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RecordingFilter {
    /// Only those in this state.
    pub(super) state: Option<&'static str>,
    /// Only those that a legal hold keeps, or that none does.
    pub(super) held: Option<bool>,
    /// Only those that a verification found something wrong with, or none did.
    pub(super) damaged: Option<bool>,
}

/// A recording in a list.
#[derive(Debug, Clone)]
pub(super) struct ListedRecording {
    pub(super) session_id: SessionId,
    pub(super) state: String,
    pub(super) required: bool,
    pub(super) path: String,
    pub(super) started_at: DateTime<Utc>,
    pub(super) ended_at: Option<DateTime<Utc>>,
    pub(super) segments: i32,
    pub(super) records: i64,
    pub(super) plain_bytes: i64,
    pub(super) stored_bytes: i64,
    pub(super) dropped_bytes: i64,
    pub(super) duration_us: i64,
    pub(super) root: Option<Vec<u8>>,
    pub(super) held: bool,
    pub(super) defect: Option<String>,
    pub(super) purge_error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_bounds_the_identifiers_with_a_day_to_spare() {
        let at = DateTime::from_timestamp_millis(1_774_000_000_000).unwrap();
        let search = Search { from: Some(at), to: Some(at), ..Search::default() };
        let (first, last) = search.identifiers();
        let of = |time: DateTime<Utc>| Uuid::from_u128((u128::try_from(time.timestamp_millis()).unwrap() << 80) | 7);
        assert!(first < of(at) && of(at) < last);
        assert!(first > of(at - TimeDelta::days(2)) && of(at + TimeDelta::days(2)) > last);
        assert_eq!(Search::default().identifiers(), (Uuid::nil(), Uuid::max()));
    }

    #[test]
    fn three_letters_in_a_row_are_found_by_the_index() {
        for (text, indexed) in [("abc", true), ("a b c", false), ("-rf", false), ("/etc/x", true), ("äöü", true)] {
            assert_eq!(Search { text: text.to_owned(), ..Search::default() }.is_indexed(), indexed, "{text}");
        }
    }
}
