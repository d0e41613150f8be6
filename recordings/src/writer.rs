//! Writing a recording: records in, sealed segments and a manifest out.

use std::{cell::RefCell, fmt, io::Cursor};

use bytes::Bytes;

use openpam_merkle::leaf_hash;

use crate::{
    chain::{Chain, Head},
    defect::WriteError,
    header::{SegmentHeader, Session, WrappedKey},
    keys::{Recipient, SessionKey, SignerKey, TAG_BYTES},
    layout::{Hash, MAX_PLAIN_BYTES, MAX_RECIPIENTS, MAX_RECORD_BYTES},
    manifest::{ClosedBy, Manifest, Outcome},
    random::TryCryptoRng,
    record::{Exit, GapReason, MAX_RECORD_HEADER, Record},
};

/// Plain bytes that are compressed at once, into a zstd frame of their own: 64 KiB of content and the
/// front of some records. More would compress little better and cost each busy session more memory.
const CHUNK_BYTES: usize = (64 << 10) + 512;
/// What the buffer of plain bytes keeps between segments.
const KEPT_BYTES: usize = 4 << 10;

/// When a segment is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Plain bytes, at most 4 MiB, so that one more record of 1 MiB fits.
    pub bytes: usize,
    /// Microseconds since its first record.
    pub micros: u64,
    /// zstd's level, -50 to 3: below 0 it is faster, and leaves more to store. [`Writer::set_level`] changes it.
    pub level: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: MAX_PLAIN_BYTES - MAX_RECORD_BYTES, micros: 15_000_000, level: 1 }
    }
}

/// What to do after a record was taken.
#[must_use = "a segment that is due must be closed, or the recording cannot go on"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing: the segment has room.
    NotYet,
    /// Call [`Writer::close_segment`] and store what it returns.
    Now,
}

/// Whether the terminal echoes what the user types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// It does: input is kept.
    On,
    /// It does not, as for a password: only the number of bytes is kept.
    Off,
}

/// A segment, ready to be stored.
///
/// Storing may be repeated with the same bytes; there is never another segment of this number. Where
/// it cannot be stored, the session must end, and a [`Completer`](crate::Completer) closes the
/// recording: the writer's own manifest would name a segment that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSegment {
    /// Its header.
    pub header: SegmentHeader,
    /// The bytes to store.
    pub bytes: Bytes,
    /// Its hash.
    pub hash: Hash,
    /// The running head with this segment, for the ledger.
    pub head: Head,
}

/// What remains to be done at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The last segment, to be stored before the manifest; none if there were no more records.
    pub segment: Option<SealedSegment>,
    /// The manifest, to be signed and stored.
    pub manifest: Manifest,
}

/// Records one session.
///
/// Records are buffered up to 64 KiB and then compressed, so that a segment that fills holds its
/// compressed bytes and little more; between segments a writer holds about 5 KiB. No method does
/// I/O, reads a clock or blocks.
///
/// INVARIANT: a writer makes its own data key, cannot be cloned, restored or given a key, and counts
/// sequence numbers up: so no two segments are ever sealed with the same key and nonce. Whoever goes
/// on after a writer died makes a new recording, or closes the old one with a
/// [`Completer`](crate::Completer), which does not encrypt.
pub struct Writer {
    chain: Chain,
    key: SessionKey,
    wrapped: Vec<WrappedKey>,
    limits: Limits,
    /// Encoded records that are not compressed yet.
    plain: Vec<u8>,
    /// Room for the header, then compressed records.
    body: Vec<u8>,
    /// Of the open segment: plain bytes, those compressed included.
    plain_bytes: usize,
    records: u32,
    dropped_bytes: u64,
    from: u64,
    /// Time of the last record, or of the end of the last segment.
    last: u64,
    /// Sealing failed: the open segment is lost, and nothing may follow it.
    failed: bool,
}

impl Writer {
    /// Begins a recording that `recipients` can read. Draws the data key and the ephemeral keys of
    /// its wraps from `random`.
    ///
    /// # Errors
    /// [`WriteError::Recipients`], [`WriteError::RecipientKey`], [`WriteError::Random`].
    pub fn new<R: TryCryptoRng>(
        session: Session,
        recipients: &[Recipient],
        limits: Limits,
        random: &mut R,
    ) -> Result<Self, WriteError> {
        if recipients.is_empty() || recipients.len() > MAX_RECIPIENTS {
            return Err(WriteError::Recipients(recipients.len()));
        }
        let (key, wrapped) = SessionKey::generate(&session, recipients, random)?;
        let limits = Limits {
            bytes: limits.bytes.min(MAX_PLAIN_BYTES - MAX_RECORD_BYTES),
            level: level(limits.level),
            ..limits
        };
        Ok(Self {
            chain: Chain::new(session, key.commitment(), recipients.to_vec()),
            key,
            wrapped,
            limits,
            plain: Vec::new(),
            body: Vec::new(),
            plain_bytes: 0,
            records: 0,
            dropped_bytes: 0,
            from: 0,
            last: 0,
            failed: false,
        })
    }

    /// Compresses at this level of zstd from here on, -50 to 3.
    pub fn set_level(&mut self, wanted: i32) {
        self.limits.level = level(wanted);
    }

    /// What opens this recording's segments, for who reads along while it is written. It seals nothing.
    pub fn opener(&self) -> SessionKey {
        self.key.for_reading()
    }

    /// Records bytes from the target. `at` is in microseconds since the recording began, here and
    /// everywhere; a time before that of the last record counts as that one, so that order is kept.
    ///
    /// # Errors
    /// As for [`Self::record`].
    pub fn output(&mut self, at: u64, bytes: &[u8]) -> Result<Due, WriteError> {
        self.record(at, Record::Output(bytes))
    }

    /// Records bytes from the user, or only how many they are while echo is off.
    ///
    /// # Errors
    /// As for [`Self::record`].
    pub fn input(&mut self, at: u64, bytes: &[u8], echo: Echo) -> Result<Due, WriteError> {
        match echo {
            Echo::On => self.record(at, Record::Input(bytes)),
            Echo::Off => self.record(at, Record::MaskedInput(bytes.len() as u64)),
        }
    }

    /// Records the terminal's size. Record it first of all, so that playback knows it.
    ///
    /// # Errors
    /// As for [`Self::record`].
    pub fn resize(&mut self, at: u64, cols: u16, rows: u16) -> Result<Due, WriteError> {
        self.record(at, Record::Resize { cols, rows })
    }

    /// Records a marker.
    ///
    /// # Errors
    /// As for [`Self::record`].
    pub fn marker(&mut self, at: u64, label: &str) -> Result<Due, WriteError> {
        self.record(at, Record::Marker(label))
    }

    /// Records the whole screen: text that draws it on an empty terminal of this size. At the
    /// beginning of a segment it lets playback start there. One that is too long can be left out.
    ///
    /// # Errors
    /// As for [`Self::record`].
    pub fn snapshot(&mut self, at: u64, cols: u16, rows: u16, text: &str) -> Result<Due, WriteError> {
        self.record(at, Record::Snapshot { cols, rows, text })
    }

    /// Records that `bytes` passed here and were not recorded.
    ///
    /// # Errors
    /// As for [`Self::record`].
    pub fn gap(&mut self, at: u64, bytes: u64, reason: GapReason) -> Result<Due, WriteError> {
        self.record(at, Record::Gap { bytes, reason })
    }

    /// Records how what ran in the session ended.
    ///
    /// # Errors
    /// As for [`Self::record`].
    pub fn exit(&mut self, at: u64, exit: Exit<'_>) -> Result<Due, WriteError> {
        self.record(at, Record::Exit(exit))
    }

    /// Records one record.
    ///
    /// # Errors
    /// [`WriteError::RecordTooLong`], [`WriteError::SegmentFull`], [`WriteError::Compression`].
    /// Then nothing was recorded, and the session must end if it has to be recorded.
    pub fn record(&mut self, at: u64, record: Record<'_>) -> Result<Due, WriteError> {
        if self.failed {
            return Err(WriteError::Encryption);
        }
        let payload = record.payload_bytes();
        if payload > MAX_RECORD_BYTES {
            return Err(WriteError::RecordTooLong(payload));
        }
        if self.plain_bytes + payload + MAX_RECORD_HEADER > MAX_PLAIN_BYTES {
            return Err(WriteError::SegmentFull);
        }
        self.make_room(payload + MAX_RECORD_HEADER)?;
        let at = at.max(self.last);
        if self.records == 0 {
            self.from = at;
            self.last = at;
        }
        let before = self.plain.len();
        record.encode(at - self.last, &mut self.plain);
        self.plain_bytes += self.plain.len() - before;
        self.records += 1;
        self.last = at;
        if let Record::Gap { bytes, .. } = record {
            self.dropped_bytes = self.dropped_bytes.saturating_add(bytes);
        }
        let due = self.plain_bytes >= self.limits.bytes || at - self.from >= self.limits.micros;
        Ok(if due { Due::Now } else { Due::NotYet })
    }

    /// When the open segment is due whatever comes, in microseconds since the recording began:
    /// a timer for sessions that have become silent. `None` while there is nothing to store.
    pub fn due_at(&self) -> Option<u64> {
        (self.records > 0).then(|| self.from.saturating_add(self.limits.micros))
    }

    /// Closes the open segment, if it has a record, and gives what is to be stored. The next record
    /// begins another one.
    ///
    /// # Errors
    /// [`WriteError::TooManySegments`], [`WriteError::Compression`], [`WriteError::Encryption`].
    pub fn close_segment(&mut self, at: u64) -> Result<Option<SealedSegment>, WriteError> {
        if self.failed {
            return Err(WriteError::Encryption);
        }
        if self.records == 0 {
            return Ok(None);
        }
        let seq = self.chain.segments;
        if seq == u32::MAX {
            return Err(WriteError::TooManySegments);
        }
        self.compress()?;
        self.plain.shrink_to(KEPT_BYTES);
        let mut bytes = std::mem::take(&mut self.body);
        let length = SegmentHeader::length(self.wrapped.len());
        self.last = at.max(self.last);
        let header = SegmentHeader {
            session: self.chain.session,
            seq,
            from: self.from,
            until: self.last,
            plain_bytes: self.plain_bytes as u32,
            body_bytes: (bytes.len() - length + TAG_BYTES) as u32,
            records: self.records,
            dropped_bytes: self.dropped_bytes,
            previous: self.chain.last,
            commitment: self.chain.commitment,
            recipients: self.wrapped.clone(),
        };
        let mut front = Vec::with_capacity(length);
        header.encode(&mut front);
        bytes[..length].copy_from_slice(&front);
        let Some(tag) = self.key.seal(seq, &front, &mut bytes[length..]) else {
            self.failed = true;
            return Err(WriteError::Encryption);
        };
        bytes.extend_from_slice(&tag);
        self.plain_bytes = 0;
        self.records = 0;
        self.dropped_bytes = 0;
        let hash = leaf_hash(&bytes);
        self.chain.push(&header, hash);
        Ok(Some(SealedSegment { header, bytes: bytes.into(), hash, head: self.chain.head() }))
    }

    /// Closes the recording. The cost does not depend on its length but for O(log n) hashes.
    ///
    /// # Errors
    /// As for [`Self::close_segment`].
    pub fn finish(mut self, at: u64, outcome: Outcome, signer: SignerKey) -> Result<Finished, WriteError> {
        let segment = self.close_segment(at)?;
        Ok(Finished { segment, manifest: self.chain.manifest(at, ClosedBy::Writer, outcome, signer) })
    }

    /// Makes room for a record, by compressing those before it where the chunk would get too long.
    fn make_room(&mut self, bytes: usize) -> Result<(), WriteError> {
        if self.plain.len() + bytes > CHUNK_BYTES {
            self.compress()?;
        }
        let needed = self.plain.len() + bytes;
        if needed > self.plain.capacity() {
            // Doubling as a vector does it, but not beyond a chunk.
            let target = needed.max((2 * self.plain.capacity()).min(CHUNK_BYTES));
            self.plain.reserve_exact(target - self.plain.len());
        }
        Ok(())
    }

    /// Compresses what is buffered into a zstd frame behind those of the open segment.
    fn compress(&mut self) -> Result<(), WriteError> {
        if self.body.is_empty() {
            self.body.resize(SegmentHeader::length(self.wrapped.len()), 0);
        }
        if self.plain.is_empty() {
            return Ok(());
        }
        let start = self.body.len();
        // Room for the tag too, so that sealing does not move the segment.
        let room = zstd::zstd_safe::compress_bound(self.plain.len()) + TAG_BYTES;
        if self.body.capacity() - start < room {
            // By half, where a vector doubles: of text little is left, and most of the room stays empty.
            self.body.reserve_exact(room + start / 2);
        }
        let mut frame = Cursor::new(&mut self.body);
        frame.set_position(start as u64);
        compress(self.limits.level, &self.plain, &mut frame).map_err(|_| WriteError::Compression)?;
        self.plain.clear();
        Ok(())
    }
}

fn level(wanted: i32) -> i32 {
    match wanted.clamp(-50, 3) {
        // zstd's default, which is the one at the other end.
        0 => 1,
        level => level,
    }
}

thread_local! {
    /// Making one costs as much as compressing a chunk of plain text; it keeps nothing from one frame to the next.
    static COMPRESSOR: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> = const { RefCell::new(None) };
}

/// Compresses into a zstd frame of its own.
fn compress(level: i32, plain: &[u8], frame: &mut Cursor<&mut Vec<u8>>) -> std::io::Result<usize> {
    COMPRESSOR.with_borrow_mut(|kept| {
        let (set, compressor) = match kept {
            Some(kept) => kept,
            None => kept.insert((level, zstd::bulk::Compressor::new(level)?)),
        };
        if *set != level {
            compressor.set_compression_level(level)?;
            *set = level;
        }
        compressor.compress_to_buffer(plain, frame)
    })
}

impl fmt::Debug for Writer {
    /// Without what was recorded.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Writer").field("chain", &self.chain).field("key", &self.key).finish_non_exhaustive()
    }
}
