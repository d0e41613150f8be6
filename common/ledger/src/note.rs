//! Signed notes (C2SP signed-note) and witness cosignatures (C2SP tlog-cosignature, Ed25519 only).
//!
//! Signing happens elsewhere, where the key is: [`VerifierKey::to_be_signed`] makes the bytes,
//! [`Note::add`] takes the signature and refuses one that does not fit.

use std::fmt;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::layout::Hash;

/// Most bytes of a note, signatures included.
pub const MAX_NOTE_BYTES: usize = 128 << 10;
/// Most signatures of a note. The specification asks for 16 at least.
pub const MAX_SIGNATURES: usize = 32;
/// Most bytes of a key's name.
pub const MAX_KEY_NAME_BYTES: usize = 255;
const SIGNATURE_START: &str = "\u{2014} ";
const ED25519_BYTES: usize = 64;

/// What a key signs, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum KeyType {
    /// Ed25519 over the note's text: a log's signature.
    Ed25519 = 1,
    /// Ed25519 over time and text: a witness's cosignature/v1.
    CosignatureV1 = 4,
}

/// A public key with the name that its signatures bear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: KeyType,
    public: [u8; 32],
}

/// Why something is no note, no key or no checkpoint, or does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It differs from the specification's form.
    #[error("this is not a well-formed signed note: {0}")]
    Malformed(&'static str),
    /// It is larger than this crate reads.
    #[error("this note is larger than {MAX_NOTE_BYTES} bytes, or has more than {MAX_SIGNATURES} signatures")]
    TooLarge,
    /// A signature by a known key does not fit.
    #[error("the signature by {name} does not fit: the text was changed, or another key signed it")]
    SignatureInvalid {
        /// The key's name.
        name: String,
    },
    /// None of the keys that would do has signed.
    #[error("none of the keys that are trusted has signed this")]
    NotSigned,
    /// Not enough witnesses have cosigned.
    #[error("{found} of the witnesses that are trusted have cosigned this, {needed} are needed")]
    TooFewWitnesses {
        /// How many have.
        found: usize,
        /// How many must.
        needed: usize,
    },
    /// The checkpoint is of another log.
    #[error("this checkpoint is of another log: {origin:?}")]
    OtherOrigin {
        /// The log it names.
        origin: String,
    },
}

impl NoteError {
    /// The stable name of this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "note_malformed",
            Self::TooLarge => "note_too_large",
            Self::SignatureInvalid { .. } => "signature_invalid",
            Self::NotSigned => "not_signed",
            Self::TooFewWitnesses { .. } => "too_few_witnesses",
            Self::OtherOrigin { .. } => "other_origin",
        }
    }
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_KEY_NAME_BYTES
        && !name.chars().any(|character| character == '+' || character.is_whitespace() || character.is_control())
}

impl VerifierKey {
    /// A key by name, use and public half.
    ///
    /// # Errors
    /// Where the name is empty, too long, or has spaces, `+` or control characters.
    pub fn new(name: &str, kind: KeyType, public: [u8; 32]) -> Result<Self, NoteError> {
        if !is_key_name(name) {
            return Err(NoteError::Malformed("key name"));
        }
        Ok(Self { name: name.to_owned(), kind, public })
    }

    /// Reads a verifier key in text form: `name+id+key`.
    ///
    /// # Errors
    /// Where it is not the form of an Ed25519 key of one of the two types, or its id is another key's.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        // The name has no plus, base64 may.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Malformed("verifier key"));
        };
        let bytes = (encoded.len() <= 44).then(|| STANDARD.decode(encoded).ok()).flatten();
        let bytes: [u8; 33] =
            bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(NoteError::Malformed("verifier key"))?;
        let kind = match bytes[0] {
            1 => KeyType::Ed25519,
            4 => KeyType::CosignatureV1,
            _ => return Err(NoteError::Malformed("type of the verifier key")),
        };
        let mut public = [0; 32];
        public.copy_from_slice(&bytes[1..]);
        let key = Self::new(name, kind, public)?;
        // Comparing the text leaves upper case and everything else no room.
        if format!("{:08x}", u32::from_be_bytes(key.id())) != id {
            return Err(NoteError::Malformed("id of the verifier key"));
        }
        Ok(key)
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the key signs.
    pub fn kind(&self) -> KeyType {
        self.kind
    }

    /// The Ed25519 public key.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The key's id: the front of SHA-256(name ‖ newline ‖ type ‖ public key).
    pub fn id(&self) -> [u8; 4] {
        let hash = Hash::of(&[self.name.as_bytes(), b"\n", &[self.kind as u8], &self.public]);
        let mut id = [0; 4];
        id.copy_from_slice(&hash.0[..4]);
        id
    }

    /// What this key must sign for a note with that text. `time` is in seconds since 1970-01-01 UTC; only a
    /// cosignature says it.
    pub fn to_be_signed(&self, text: &str, time: u64) -> Vec<u8> {
        match self.kind {
            KeyType::Ed25519 => text.as_bytes().to_vec(),
            KeyType::CosignatureV1 => format!("cosignature/v1\ntime {time}\n{text}").into_bytes(),
        }
    }

    /// The time of a signature by this key, if it is one; `None` inside for a key that says none.
    fn verify(&self, text: &str, signature: &[u8]) -> Option<Option<u64>> {
        let (time, signature) = match self.kind {
            KeyType::Ed25519 => (None, signature),
            KeyType::CosignatureV1 => {
                let (time, signature) = signature.split_first_chunk::<8>()?;
                (Some(u64::from_be_bytes(*time)), signature)
            }
        };
        if signature.len() != ED25519_BYTES || time.is_some_and(|time| time > i64::MAX as u64) {
            return None;
        }
        let message = self.to_be_signed(text, time.unwrap_or_default());
        UnparsedPublicKey::new(&ED25519, &self.public).verify(&message, signature).ok()?;
        Some(time)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [self.kind as u8; 33];
        bytes[1..].copy_from_slice(&self.public);
        write!(formatter, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id()), STANDARD.encode(bytes))
    }
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name of the key.
    pub name: String,
    /// The id of the key.
    pub key_id: [u8; 4],
    /// What stands behind the id.
    pub bytes: Vec<u8>,
}

/// A signature that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed<'k> {
    /// By whom.
    pub key: &'k VerifierKey,
    /// When, in seconds since 1970-01-01 UTC, as the signer says; only cosignatures do.
    pub time: Option<u64>,
}

/// A text with signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// A note that nobody has signed yet.
    ///
    /// # Errors
    /// Where the text does not end in a newline, or has control characters.
    pub fn new(text: String) -> Result<Self, NoteError> {
        if !text.ends_with('\n') || text.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(NoteError::Malformed("text"));
        }
        if text.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLarge);
        }
        Ok(Self { text, signatures: Vec::new() })
    }

    /// Reads a note.
    ///
    /// # Errors
    /// Where it differs from the form, or is too large.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLarge);
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| NoteError::Malformed("not UTF-8"))?;
        let separator = whole.rfind("\n\n").ok_or(NoteError::Malformed("no signatures"))?;
        let mut note = Self::new(whole[..=separator].to_owned())?;
        let lines = whole[separator + 2..].strip_suffix('\n').ok_or(NoteError::Malformed("no signatures"))?;
        for line in lines.split('\n') {
            if note.signatures.len() == MAX_SIGNATURES {
                return Err(NoteError::TooLarge);
            }
            let signature = Signature::parse(line).ok_or(NoteError::Malformed("signature line"))?;
            if note.has(&signature.name, signature.key_id) {
                return Err(NoteError::Malformed("two signatures by one key"));
            }
            note.signatures.push(signature);
        }
        Ok(note)
    }

    /// The note as it is stored and sent.
    pub fn to_text(&self) -> String {
        let mut whole = format!("{}\n", self.text);
        for Signature { name, key_id, bytes } in &self.signatures {
            let encoded = STANDARD.encode([key_id.as_slice(), bytes].concat());
            whole.push_str(&format!("{SIGNATURE_START}{name} {encoded}\n"));
        }
        whole
    }

    /// The text that is signed. It counts only when [`verify`](Self::verify) says so.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, checked or not.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    fn has(&self, name: &str, key_id: [u8; 4]) -> bool {
        self.signatures.iter().any(|signature| signature.name == name && signature.key_id == key_id)
    }

    /// Adds a signature over [`VerifierKey::to_be_signed`], made with the private half of `key`.
    ///
    /// # Errors
    /// Where it does not fit, so that a note with a signature that nobody can check is never published; where
    /// the key has signed already, or there is no room.
    pub fn add(&mut self, key: &VerifierKey, time: u64, signature: &[u8]) -> Result<(), NoteError> {
        let bytes = match key.kind {
            KeyType::Ed25519 => signature.to_vec(),
            KeyType::CosignatureV1 => [time.to_be_bytes().as_slice(), signature].concat(),
        };
        if key.verify(&self.text, &bytes).is_none() {
            return Err(NoteError::SignatureInvalid { name: key.name.clone() });
        }
        if self.has(&key.name, key.id()) {
            return Err(NoteError::Malformed("two signatures by one key"));
        }
        if self.signatures.len() == MAX_SIGNATURES {
            return Err(NoteError::TooLarge);
        }
        self.signatures.push(Signature { name: key.name.clone(), key_id: key.id(), bytes });
        Ok(())
    }

    /// Takes over another note's signature by this key, which was checked. `false` where it is here already.
    pub(crate) fn copy(&mut self, from: &Self, key: &VerifierKey) -> Result<bool, NoteError> {
        let id = key.id();
        if self.has(&key.name, id) {
            return Ok(false);
        }
        if self.signatures.len() == MAX_SIGNATURES {
            return Err(NoteError::TooLarge);
        }
        let own = from.signatures.iter().find(|signature| signature.name == key.name && signature.key_id == id);
        self.signatures.extend(own.cloned());
        Ok(own.is_some())
    }

    /// Checks the signatures by these keys and says which there are; those by others are ignored.
    ///
    /// # Errors
    /// Where one by a known key does not fit.
    pub fn verify<'k>(&self, keys: impl IntoIterator<Item = &'k VerifierKey>) -> Result<Vec<Signed<'k>>, NoteError> {
        let mut found: Vec<Signed<'k>> = Vec::new();
        for key in keys {
            let id = key.id();
            let own = self.signatures.iter().find(|signature| signature.name == key.name && signature.key_id == id);
            let Some(own) = own else { continue };
            let invalid = || NoteError::SignatureInvalid { name: key.name.clone() };
            let time = key.verify(&self.text, &own.bytes).ok_or_else(invalid)?;
            // A key that is listed twice is still one signer.
            if !found.iter().any(|signed| signed.key == key) {
                found.push(Signed { key, time });
            }
        }
        Ok(found)
    }
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(SIGNATURE_START)?.split_once(' ')?;
        let bytes = STANDARD.decode(encoded).ok()?;
        let (key_id, rest) = bytes.split_first_chunk::<4>()?;
        (is_key_name(name) && !rest.is_empty()).then(|| Self {
            name: name.to_owned(),
            key_id: *key_id,
            bytes: rest.to_vec(),
        })
    }
}
