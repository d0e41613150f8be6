//! Records: what happened, in order, with microseconds.
//!
//! A record is a kind (one byte), the microseconds since the record before it, the payload's length
//! (both unsigned LEB128) and the payload. `FORMAT.md` lists the payloads.

use crate::layout::{Fields, MAX_RECORD_BYTES, MAX_VARINT, put_varint, varint};

const OUTPUT: u8 = 1;
const INPUT: u8 = 2;
const MASKED_INPUT: u8 = 3;
const RESIZE: u8 = 4;
const MARKER: u8 = 5;
const SNAPSHOT: u8 = 6;
const EXIT: u8 = 7;
const GAP: u8 = 8;

/// Bytes of a record in front of its payload, at most.
pub(crate) const MAX_RECORD_HEADER: usize = 1 + 2 * MAX_VARINT;

/// One thing that happened in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record<'a> {
    /// Bytes from the target.
    Output(&'a [u8]),
    /// Bytes from the user, as they echoed.
    Input(&'a [u8]),
    /// Bytes from the user while echo was off: only how many there were.
    MaskedInput(u64),
    /// The terminal's size from here on.
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// A place that somebody may want to find again.
    Marker(&'a str),
    /// The whole screen: playback can begin here.
    Snapshot {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
        /// Text that draws the screen on an empty terminal of this size.
        text: &'a str,
    },
    /// What ran in the session has ended.
    Exit(Exit<'a>),
    /// Bytes that passed and were not recorded, here.
    Gap {
        /// How many.
        bytes: u64,
        /// Why.
        reason: GapReason,
    },
}

/// How what ran in the session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit<'a> {
    /// It did not say.
    Unknown,
    /// With this status.
    Status(u32),
    /// By this signal, named without `SIG` (RFC 4254 §6.10).
    Signal(&'a str),
}

/// Why bytes were not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum GapReason {
    /// More came than the session's cap allows.
    RateCap = 1,
    /// The recorder could not take them.
    Unavailable = 2,
}

impl<'a> Record<'a> {
    fn kind(&self) -> u8 {
        match self {
            Self::Output(_) => OUTPUT,
            Self::Input(_) => INPUT,
            Self::MaskedInput(_) => MASKED_INPUT,
            Self::Resize { .. } => RESIZE,
            Self::Marker(_) => MARKER,
            Self::Snapshot { .. } => SNAPSHOT,
            Self::Exit(_) => EXIT,
            Self::Gap { .. } => GAP,
        }
    }

    /// How long the payload is, without writing it.
    pub(crate) fn payload_bytes(&self) -> usize {
        match self {
            Self::Output(bytes) | Self::Input(bytes) => bytes.len(),
            Self::MaskedInput(count) => varint_bytes(*count),
            Self::Resize { .. } => 4,
            Self::Marker(text) => text.len(),
            Self::Snapshot { text, .. } => 4 + text.len(),
            Self::Exit(Exit::Unknown) => 1,
            Self::Exit(Exit::Status(_)) => 5,
            Self::Exit(Exit::Signal(name)) => 1 + name.len(),
            Self::Gap { bytes, .. } => 1 + varint_bytes(*bytes),
        }
    }

    /// Appends the record, `delta` microseconds after the one before it.
    pub(crate) fn encode(&self, delta: u64, to: &mut Vec<u8>) {
        to.push(self.kind());
        put_varint(to, delta);
        put_varint(to, self.payload_bytes() as u64);
        match self {
            Self::Output(bytes) | Self::Input(bytes) => to.extend_from_slice(bytes),
            Self::MaskedInput(count) => put_varint(to, *count),
            Self::Resize { cols, rows } => put_size(to, *cols, *rows),
            Self::Marker(text) => to.extend_from_slice(text.as_bytes()),
            Self::Snapshot { cols, rows, text } => {
                put_size(to, *cols, *rows);
                to.extend_from_slice(text.as_bytes());
            }
            Self::Exit(Exit::Unknown) => to.push(0),
            Self::Exit(Exit::Status(status)) => {
                to.push(1);
                to.extend_from_slice(&status.to_be_bytes());
            }
            Self::Exit(Exit::Signal(name)) => {
                to.push(2);
                to.extend_from_slice(name.as_bytes());
            }
            Self::Gap { bytes, reason } => {
                to.push(*reason as u8);
                put_varint(to, *bytes);
            }
        }
    }

    /// Takes one record from the front: microseconds since the one before, and the record.
    fn decode(fields: &mut Fields<'a>) -> Option<(u64, Self)> {
        let kind = fields.u8()?;
        let delta = varint(fields)?;
        let length = usize::try_from(varint(fields)?).ok().filter(|length| *length <= MAX_RECORD_BYTES)?;
        let mut payload = Fields(fields.take(length)?);
        let record = Self::decode_payload(kind, &mut payload)?;
        payload.0.is_empty().then_some((delta, record))
    }

    fn decode_payload(kind: u8, payload: &mut Fields<'a>) -> Option<Self> {
        Some(match kind {
            OUTPUT => Self::Output(rest(payload)),
            INPUT => Self::Input(rest(payload)),
            MASKED_INPUT => Self::MaskedInput(varint(payload)?),
            RESIZE => Self::Resize { cols: payload.u16()?, rows: payload.u16()? },
            MARKER => Self::Marker(text(payload)?),
            SNAPSHOT => Self::Snapshot { cols: payload.u16()?, rows: payload.u16()?, text: text(payload)? },
            EXIT => Self::Exit(match payload.u8()? {
                0 => Exit::Unknown,
                1 => Exit::Status(payload.u32()?),
                2 => Exit::Signal(text(payload)?),
                _ => return None,
            }),
            GAP => {
                let reason = match payload.u8()? {
                    1 => GapReason::RateCap,
                    2 => GapReason::Unavailable,
                    _ => return None,
                };
                Self::Gap { reason, bytes: varint(payload)? }
            }
            _ => return None,
        })
    }
}

fn rest<'a>(payload: &mut Fields<'a>) -> &'a [u8] {
    std::mem::take(&mut payload.0)
}

fn text<'a>(payload: &mut Fields<'a>) -> Option<&'a str> {
    std::str::from_utf8(rest(payload)).ok()
}

fn put_size(to: &mut Vec<u8>, cols: u16, rows: u16) {
    to.extend_from_slice(&cols.to_be_bytes());
    to.extend_from_slice(&rows.to_be_bytes());
}

fn varint_bytes(value: u64) -> usize {
    (64 - value.leading_zeros() as usize).div_ceil(7).max(1)
}

/// A record and when it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedRecord<'a> {
    /// Microseconds since the recording began; never less than that of the record before.
    pub at: u64,
    /// What happened.
    pub record: Record<'a>,
}

/// A record that breaks the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MalformedRecord;

/// The records of one plain segment, borrowed from it. Ends after the first malformed one.
pub(crate) struct Decoder<'a> {
    fields: Fields<'a>,
    at: u64,
}

impl<'a> Decoder<'a> {
    pub fn new(plain: &'a [u8], from: u64) -> Self {
        Self { fields: Fields(plain), at: from }
    }
}

impl<'a> Iterator for Decoder<'a> {
    type Item = Result<TimedRecord<'a>, MalformedRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.fields.0.is_empty() {
            return None;
        }
        let decoded = Record::decode(&mut self.fields)
            .and_then(|(delta, record)| Some(TimedRecord { at: self.at.checked_add(delta)?, record }));
        match decoded {
            Some(timed) => self.at = timed.at,
            None => self.fields.0 = &[],
        }
        Some(decoded.ok_or(MalformedRecord))
    }
}

/// How many records the decoder finds in plain bytes: what stands behind encryption is out of a fuzzer's reach otherwise.
#[cfg(fuzzing)]
pub fn decode_plain(plain: &[u8], from: u64) -> usize {
    let mut at = from;
    Decoder::new(plain, from)
        .map_while(Result::ok)
        .inspect(|timed| {
            assert!(timed.at >= at, "time goes back");
            at = timed.at;
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_in_order_with_its_time() {
        let records = [
            Record::Resize { cols: 80, rows: 24 },
            Record::Output(b"\x1b[1mhi\xff"),
            Record::Input(b"ls\r"),
            Record::MaskedInput(12),
            Record::MaskedInput(u64::MAX),
            Record::Marker("sudo"),
            Record::Snapshot { cols: 132, rows: 50, text: "\u{1b}[Hüber" },
            Record::Gap { bytes: 1 << 40, reason: GapReason::RateCap },
            Record::Gap { bytes: 0, reason: GapReason::Unavailable },
            Record::Output(b""),
            Record::Exit(Exit::Unknown),
            Record::Exit(Exit::Status(255)),
            Record::Exit(Exit::Signal("TERM")),
        ];
        let mut plain = Vec::new();
        for (number, record) in records.iter().enumerate() {
            let before = plain.len();
            record.encode(number as u64 * 1_000, &mut plain);
            assert!(plain.len() - before <= MAX_RECORD_HEADER + record.payload_bytes());
        }
        let mut at = 7;
        let mut decoder = Decoder::new(&plain, 7);
        for (number, record) in records.into_iter().enumerate() {
            at += number as u64 * 1_000;
            assert_eq!(decoder.next(), Some(Ok(TimedRecord { at, record })));
        }
        assert_eq!(decoder.next(), None);
    }

    #[test]
    fn a_malformed_record_ends_the_segment() {
        for bytes in [
            &[0, 0, 0][..],                        // unknown kind
            &[9, 0, 0],                            // unknown kind
            &[1, 0, 5, 1],                         // longer than the segment
            &[1, 0],                               // no length
            &[4, 0, 5, 0, 80, 0, 24, 0],           // trailing bytes in a payload
            &[5, 0, 1, 0xff],                      // not UTF-8
            &[7, 0, 1, 9],                         // unknown exit
            &[8, 0, 2, 9, 0],                      // unknown reason
            &[1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f], // 4 GiB
        ] {
            let mut decoder = Decoder::new(bytes, 0);
            assert_eq!(decoder.next(), Some(Err(MalformedRecord)), "{bytes:?}");
            assert_eq!(decoder.next(), None, "{bytes:?}");
        }
        let mut late = Vec::new();
        Record::Output(b"x").encode(1, &mut late);
        assert_eq!(Decoder::new(&late, u64::MAX).next(), Some(Err(MalformedRecord)), "time overflows");
    }
}
