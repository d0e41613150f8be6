//! What every part of the format shares: limits, big-endian fields, hashes.

use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use uuid::Uuid;

/// The version of entries and bundles that this crate writes and reads. It fixes every algorithm.
pub const VERSION: u16 = 1;
/// Most leaves of a tree: what a `bigint` of PostgreSQL counts.
pub const MAX_TREE_SIZE: u64 = i64::MAX as u64;
/// Most hashes of one proof: one for each level of the largest tree, and one.
pub const MAX_PROOF_HASHES: usize = 64;

/// A SHA-256 hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
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

    /// The hash in base64, as a checkpoint has it.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Reads the one base64 form of a hash.
    pub fn from_base64(text: &str) -> Option<Self> {
        // Padded, no spare bits: the standard engine takes no second form.
        (text.len() == 44).then(|| STANDARD.decode(text).ok()?.try_into().ok().map(Self))?
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

    /// A count in one byte, then so many hashes; no more than a proof can have.
    pub fn hashes(&mut self) -> Option<Vec<Hash>> {
        let count = usize::from(self.u8()?);
        if count > MAX_PROOF_HASHES {
            return None;
        }
        (0..count).map(|_| self.hash()).collect()
    }
}

/// Appends a list of hashes in the form that [`Fields::hashes`] reads.
pub(crate) fn put_hashes(to: &mut Vec<u8>, hashes: &[Hash]) {
    debug_assert!(hashes.len() <= MAX_PROOF_HASHES);
    to.push(hashes.len() as u8);
    hashes.iter().for_each(|hash| to.extend_from_slice(&hash.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_one_base64_form_only() {
        let hash = Hash::of(&[b"x"]);
        let text = hash.to_base64();
        assert_eq!(Hash::from_base64(&text), Some(hash));
        let unpadded = text.trim_end_matches('=');
        // The last character before the padding has two spare bits.
        let spare = format!("{}{}=", &text[..42], char::from(text.as_bytes()[42] + 1));
        for other in [unpadded, &format!("{text}="), &format!(" {unpadded}"), &spare, "", "AAAA"] {
            assert_eq!(Hash::from_base64(other), None, "{other}");
        }
    }

    #[test]
    fn a_list_that_claims_more_hashes_than_a_proof_has_is_refused() {
        let mut bytes = vec![65];
        bytes.resize(1 + 65 * 32, 0);
        assert_eq!(Fields(&bytes).hashes(), None);
        bytes[0] = 64;
        assert_eq!(Fields(&bytes).hashes().map(|hashes| hashes.len()), Some(64));
        assert_eq!(Fields(&bytes[..2]).hashes(), None);
    }
}
