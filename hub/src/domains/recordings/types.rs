//! What a recording is to the rest of the hub.

use chrono::{DateTime, Utc};
use openpam_ids::SessionId;

/// The recording of a session, as the database knows it.
#[derive(Debug, Clone)]
pub(super) struct Recording {
    pub(super) session_id: SessionId,
    /// `recording`, `complete`, `completed` or `empty`.
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
    pub(super) purge_error: Option<String>,
}
