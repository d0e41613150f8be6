//! What every part of the format shares: limits and lists of hashes.

pub(crate) use openpam_merkle::Fields;
pub use openpam_merkle::{Hash, MAX_TREE_SIZE};

/// The version of entries and bundles that this crate writes and reads. It fixes every algorithm.
pub const VERSION: u16 = 1;
/// Most hashes of one proof: one for each level of the largest tree, and one.
pub const MAX_PROOF_HASHES: usize = 64;

/// Takes a count in one byte, then so many hashes; no more than a proof can have.
pub(crate) fn hashes(fields: &mut Fields<'_>) -> Option<Vec<Hash>> {
    let count = usize::from(fields.u8()?);
    if count > MAX_PROOF_HASHES {
        return None;
    }
    (0..count).map(|_| fields.hash()).collect()
}

/// Appends a list of hashes in the form that [`hashes`] reads.
pub(crate) fn put_hashes(to: &mut Vec<u8>, hashes: &[Hash]) {
    debug_assert!(hashes.len() <= MAX_PROOF_HASHES);
    to.push(hashes.len() as u8);
    hashes.iter().for_each(|hash| to.extend_from_slice(&hash.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_claims_more_hashes_than_a_proof_has_is_refused() {
        let mut bytes = vec![65];
        bytes.resize(1 + 65 * 32, 0);
        assert_eq!(hashes(&mut Fields(&bytes)), None);
        bytes[0] = 64;
        assert_eq!(hashes(&mut Fields(&bytes)).map(|hashes| hashes.len()), Some(64));
        assert_eq!(hashes(&mut Fields(&bytes[..2])), None);
    }
}
