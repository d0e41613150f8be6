//! What every part of the format shares: limits, big-endian fields, canonical LEB128 integers, hashes.

pub(crate) use openpam_merkle::Fields;
pub use openpam_merkle::Hash;

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

/// An unsigned LEB128 integer in its shortest form.
pub(crate) fn varint(fields: &mut Fields<'_>) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = fields.u8()?;
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
            assert_eq!(varint(&mut fields), Some(value));
            assert!(fields.0.is_empty());
        }
        assert_eq!(varint(&mut Fields(&[0x80, 0x00])), None, "longer than needed");
        assert_eq!(varint(&mut Fields(&[0xff; 11])), None, "more than 64 bits");
        assert_eq!(varint(&mut Fields(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02])), None);
        assert_eq!(varint(&mut Fields(&[0x80])), None, "cut off");
    }
}
