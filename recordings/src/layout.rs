//! What every part of the format shares: limits, big-endian fields, canonical LEB128 integers, hashes.

use std::fmt;

use aws_lc_rs::digest;
use uuid::Uuid;

/// The version that this crate writes and reads. It fixes every algorithm: there is nothing to negotiate.
pub const VERSION: u16 = 1;
/// Most plain bytes in one segment: 5 MiB.
pub const MAX_PLAIN_BYTES: usize = 5 << 20;
/// Most bytes of one record's payload: 1 MiB.
pub const MAX_RECORD_BYTES: usize = 1 << 20;
/// Most recipients of one recording.
pub const MAX_RECIPIENTS: usize = 16;
/// Most bytes of one stored segment: header, compressed records (zstd adds at most 1/256) and the AEAD's tag.
pub const MAX_SEGMENT_BYTES: usize = MAX_PLAIN_BYTES + MAX_PLAIN_BYTES / 64 + (64 << 10);
/// Most bytes of a segment's header: reading so many from the front is enough for
/// [`SegmentHeader::parse`](crate::SegmentHeader::parse).
pub const MAX_HEADER_BYTES: usize = crate::header::SegmentHeader::length(MAX_RECIPIENTS);
/// Most bytes of one stored manifest.
pub const MAX_MANIFEST_BYTES: usize = 4 << 10;

/// A SHA-256 hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What stands in the first segment in place of a previous hash.
    pub const ZERO: Self = Self([0; 32]);

    /// SHA-256 over the parts, one after the other.
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(part);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        Self(hash)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Takes big-endian fields from the front of a byte string; `None` where it is too short.
pub(crate) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub fn hash(&mut self) -> Option<Hash> {
        self.array().map(Hash)
    }

    pub fn uuid(&mut self) -> Option<Uuid> {
        self.array().map(Uuid::from_bytes)
    }

    /// An unsigned LEB128 integer in its shortest form.
    pub fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                // A last group of zeros would be a second way to write the same number.
                return (byte != 0 || shift == 0).then_some(value);
            }
        }
        None
    }
}

/// Longest LEB128 form of a `u64`.
pub(crate) const MAX_VARINT: usize = 10;

/// Appends `value` as unsigned LEB128.
pub(crate) fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_survives_and_has_one_form_only() {
        for value in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert!(bytes.len() <= MAX_VARINT);
            let mut fields = Fields(&bytes);
            assert_eq!(fields.varint(), Some(value));
            assert!(fields.0.is_empty());
        }
        assert_eq!(Fields(&[0x80, 0x00]).varint(), None, "longer than needed");
        assert_eq!(Fields(&[0xff; 11]).varint(), None, "more than 64 bits");
        assert_eq!(Fields(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).varint(), None);
        assert_eq!(Fields(&[0x80]).varint(), None, "cut off");
    }
}
