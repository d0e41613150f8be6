//! What is said to a witness over HTTP, and what it answers (C2SP tlog-witness `add-checkpoint`).

use crate::{
    layout::{Hash, MAX_TREE_SIZE},
    note::{KeyType, Note, NoteError, VerifierKey},
};

/// The body of a request to cosign `note`: `proof` is the consistency proof from the tree of `old` leaves,
/// the last that this witness has cosigned, or 0.
pub fn witness_request(old: u64, proof: &[Hash], note: &Note) -> String {
    let mut body = format!("old {old}\n");
    for hash in proof {
        body.push_str(&hash.to_base64());
        body.push('\n');
    }
    body.push('\n');
    body.push_str(&note.to_text());
    body
}

/// The size in a witness's answer 409: the last tree that it has cosigned is of that size.
pub fn witness_size(body: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(body).ok()?.strip_suffix('\n')?;
    line.parse().ok().filter(|size: &u64| *size <= MAX_TREE_SIZE && size.to_string() == line)
}

/// Adds the cosignatures of a witness's answer 200 to the note: those by `witnesses` that fit and are not
/// there yet. Says how many.
///
/// # Errors
/// Where the answer is not made of signature lines, or one by a known witness does not fit; the note is
/// then as it was.
pub fn add_cosignatures(note: &mut Note, answer: &[u8], witnesses: &[VerifierKey]) -> Result<usize, NoteError> {
    let answered = Note::parse(&[note.text().as_bytes(), b"\n", answer].concat())?;
    if answered.text() != note.text() {
        return Err(NoteError::Malformed("a witness's answer"));
    }
    let cosigners = witnesses.iter().filter(|key| key.kind() == KeyType::CosignatureV1);
    let signed = answered.verify(cosigners)?;
    let mut whole = note.clone();
    let mut added = 0;
    for signed in signed {
        added += usize::from(whole.copy(&answered, signed.key)?);
    }
    *note = whole;
    Ok(added)
}
