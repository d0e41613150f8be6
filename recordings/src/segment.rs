//! Stored segments: taking one apart, opening it, going through its records.

use openpam_merkle::leaf_hash;

use crate::{
    defect::Defect,
    header::SegmentHeader,
    keys::SessionKey,
    layout::Hash,
    record::{Decoder, MalformedRecord, Record, TimedRecord},
};

/// A stored segment, borrowed: its structure is right; nothing else has been checked.
#[derive(Debug)]
pub struct Segment<'a> {
    header: SegmentHeader,
    header_bytes: &'a [u8],
    body: &'a [u8],
    hash: Hash,
}

impl<'a> Segment<'a> {
    /// Takes a whole stored segment apart and hashes it.
    ///
    /// # Errors
    /// What is wrong with its structure.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Defect> {
        let (header, length) = SegmentHeader::parse(bytes)?;
        let (header_bytes, body) = bytes.split_at_checked(length).ok_or(Defect::Truncated)?;
        let expected = header.body_bytes as usize;
        if body.len() < expected {
            return Err(Defect::Truncated);
        }
        if body.len() > expected {
            return Err(Defect::TrailingBytes { bytes: body.len() - expected });
        }
        Ok(Self { header, header_bytes, body, hash: leaf_hash(bytes) })
    }

    /// The header. Without a key nothing vouches for it but the chain, see `FORMAT.md`.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// The segment's hash: the leaf in the Merkle tree, and what the next segment names.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Decrypts and decompresses. Allocates as much as the stored body and as the header says the
    /// plain records have, which is bounded.
    ///
    /// # Errors
    /// [`Defect::KeyCommitment`] for the key of another session, [`Defect::DecryptionFailed`],
    /// [`Defect::MalformedContent`].
    pub fn open(&self, key: &SessionKey) -> Result<OpenedSegment, Defect> {
        let header = &self.header;
        let seq = header.seq;
        if key.commitment() != header.commitment {
            return Err(Defect::KeyCommitment { seq });
        }
        let compressed = key.open(seq, self.header_bytes, self.body).ok_or(Defect::DecryptionFailed { seq })?;
        let mut plain = Vec::with_capacity(header.plain_bytes as usize);
        // The buffer never grows: what would not fit fails.
        let written = zstd::bulk::Decompressor::new()
            .and_then(|mut decompressor| decompressor.decompress_to_buffer(&compressed, &mut plain))
            .map_err(|_| Defect::MalformedContent { seq })?;
        if written != header.plain_bytes as usize {
            return Err(Defect::MalformedContent { seq });
        }
        Ok(OpenedSegment { header: header.clone(), plain })
    }
}

/// A decrypted segment.
pub struct OpenedSegment {
    header: SegmentHeader,
    plain: Vec<u8>,
}

impl OpenedSegment {
    /// The header; decryption has authenticated it.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// The records in order. Ends after the first that breaks the format.
    pub fn records(&self) -> impl Iterator<Item = Result<TimedRecord<'_>, Defect>> {
        let seq = self.header.seq;
        (0..)
            .zip(Decoder::new(&self.plain, self.header.from))
            .map(move |(record, decoded)| decoded.map_err(|MalformedRecord| Defect::MalformedRecord { seq, record }))
    }

    /// Goes through all records and compares them with what the header says.
    ///
    /// # Errors
    /// [`Defect::MalformedRecord`] or [`Defect::MalformedContent`].
    pub fn check(&self) -> Result<(), Defect> {
        let (mut records, mut dropped, mut last) = (0_u32, 0_u64, self.header.from);
        for timed in self.records() {
            let timed = timed?;
            records += 1;
            last = timed.at;
            if let Record::Gap { bytes, .. } = timed.record {
                dropped = dropped.saturating_add(bytes);
            }
        }
        let header = &self.header;
        if records != header.records || dropped != header.dropped_bytes || last > header.until {
            return Err(Defect::MalformedContent { seq: header.seq });
        }
        Ok(())
    }
}

impl std::fmt::Debug for OpenedSegment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("OpenedSegment").field("seq", &self.header.seq).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        Content, Recipient, RecipientPrivateKey, Role, Session, keys::TAG_BYTES, layout::MAX_PLAIN_BYTES,
        random::Secure,
    };

    /// What a recorder that knows the key but not the rules could write.
    fn seal(plain_bytes: usize, records: u32, body: &[u8]) -> Result<(), Defect> {
        let system = aws_lc_rs::rand::SystemRandom::new();
        let recipient = RecipientPrivateKey::derive(b"a private key for a test of 32 B");
        let session =
            Session { tenant_id: Uuid::nil(), session_id: Uuid::nil(), content: Content::Terminal, started_at: 0 };
        let recipients = [Recipient { role: Role::Tenant, key: recipient.public() }];
        let (key, wrapped) = SessionKey::generate(&session, &recipients, &mut Secure(&system)).unwrap();
        let header = SegmentHeader {
            session,
            seq: 0,
            from: 0,
            until: 0,
            plain_bytes: plain_bytes as u32,
            body_bytes: (body.len() + TAG_BYTES) as u32,
            records,
            dropped_bytes: 0,
            previous: Hash::ZERO,
            commitment: key.commitment(),
            recipients: wrapped,
        };
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        let mut sealed = body.to_vec();
        let tag = key.seal(0, &bytes, &mut sealed).unwrap();
        bytes.extend_from_slice(&sealed);
        bytes.extend_from_slice(&tag);
        Segment::parse(&bytes).unwrap().open(&key)?.check()
    }

    #[test]
    fn content_that_is_not_what_the_header_says_is_refused() {
        let record = [1, 0, 1, b'x'];
        let honest = zstd::bulk::compress(&record, 1).unwrap();
        assert_eq!(seal(4, 1, &honest), Ok(()));
        let two_frames = [honest.as_slice(), &honest].concat();
        assert_eq!(seal(8, 2, &two_frames), Ok(()));
        let malformed = Err(Defect::MalformedContent { seq: 0 });
        assert_eq!(seal(3, 1, &honest), malformed, "more than it says");
        assert_eq!(seal(5, 1, &honest), malformed, "less than it says");
        assert_eq!(seal(4, 2, &honest), malformed, "fewer records");
        assert_eq!(seal(4, 1, &honest[..honest.len() - 1]), malformed, "half a frame");
        assert_eq!(seal(4, 1, b"not zstd"), malformed);
        assert_eq!(seal(0, 0, b""), Ok(()));
        let kind = zstd::bulk::compress(&[1, 0, 1, b'x', 77, 0, 0], 1).unwrap();
        assert_eq!(seal(7, 2, &kind), Err(Defect::MalformedRecord { seq: 0, record: 1 }));
        let late = zstd::bulk::compress(&[1, 1, 1, b'x'], 1).unwrap();
        assert_eq!(seal(4, 1, &late), malformed, "a record after the end");
    }

    proptest::proptest! {
        #[test]
        fn any_content_that_the_key_vouches_for_is_read_without_a_panic(
            plain in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
        ) {
            let body = zstd::bulk::compress(&plain, 1).unwrap();
            let _ = seal(plain.len(), 1, &body);
            let _ = seal(plain.len(), 1, &plain);
        }
    }

    #[test]
    fn a_decompression_bomb_gets_no_more_room_than_the_format_allows() {
        let bomb = zstd::bulk::compress(&vec![0; 256 << 20], 3).unwrap();
        assert!(bomb.len() < 64 << 10);
        assert_eq!(seal(MAX_PLAIN_BYTES, 1, &bomb), Err(Defect::MalformedContent { seq: 0 }));
    }
}
