//! Keys: who can read a recording, and who vouches for it.
//!
//! A recording has one data key. It is made inside [`Writer::new`](crate::Writer::new), wrapped by
//! HPKE (RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM) to each
//! recipient, and never given out. Two values are derived from it (HKDF-SHA256, RFC 5869): the key
//! that segments are encrypted with, and a public commitment to it.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf,
    signature::{ED25519, UnparsedPublicKey},
};
use hpke::{
    Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _, aead::AesGcm256, kdf::HkdfSha256,
    kem::X25519HkdfSha256,
};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    defect::{Defect, WriteError},
    header::{Role, SegmentHeader, Session, WrappedKey},
    layout::Hash,
    random::{Drawn, TryCryptoRng},
};

/// Bytes that the AEAD adds.
pub(crate) const TAG_BYTES: usize = 16;
/// Bytes of a wrapped data key: 32 and the AEAD's tag.
pub(crate) const WRAPPED_BYTES: usize = 48;

const WRAP_INFO: &[u8] = b"OpenPAM recording v1 data key";
const SEGMENT_KEY_INFO: &[u8] = b"OpenPAM recording v1 segment key";
const COMMITMENT_INFO: &[u8] = b"OpenPAM recording v1 key commitment";

/// A recipient's public key (X25519, 32 bytes).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecipientKey(pub [u8; 32]);

impl fmt::Debug for RecipientKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RecipientKey({})", Hash(self.0))
    }
}

/// A recipient's private key (X25519). Neither prints nor copies; zeroized when dropped.
pub struct RecipientPrivateKey {
    private: <X25519HkdfSha256 as hpke::Kem>::PrivateKey,
    public: RecipientKey,
}

impl RecipientPrivateKey {
    /// Derives a key pair from 32 secret random bytes (RFC 9180 §7.1.3, `DeriveKeyPair`).
    pub fn derive(secret: &[u8; 32]) -> Self {
        let (private, public) = X25519HkdfSha256::derive_keypair(secret);
        Self { private, public: RecipientKey(public.to_bytes().into()) }
    }

    /// Takes the 32 bytes of a private key; `None` if they are no private key.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let private = <X25519HkdfSha256 as hpke::Kem>::PrivateKey::from_bytes(bytes).ok()?;
        let public = X25519HkdfSha256::sk_to_pk(&private);
        Some(Self { private, public: RecipientKey(public.to_bytes().into()) })
    }

    /// The 32 bytes of the private key, to be kept in a vault.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        let mut bytes = self.private.to_bytes();
        let copy = Zeroizing::new(bytes.into());
        bytes.as_mut_slice().zeroize();
        copy
    }

    /// The public key that belongs to it.
    pub fn public(&self) -> RecipientKey {
        self.public
    }
}

impl fmt::Debug for RecipientPrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RecipientPrivateKey([REDACTED])")
    }
}

/// One who can read the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient {
    /// What the recipient is for.
    pub role: Role,
    /// The public key to wrap the data key to.
    pub key: RecipientKey,
}

/// The public key of whoever signs manifests (Ed25519, RFC 8032).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignerKey(pub [u8; 32]);

impl SignerKey {
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Display for SignerKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hash(self.0), formatter)
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SignerKey({self})")
    }
}

/// What opens the segments of one session: derived from its data key, zeroized when dropped.
///
/// INVARIANT: for writing it exists in one [`Writer`](crate::Writer) only, which seals each sequence
/// number once. What a writer gives out opens and cannot seal: sealing is the writer's alone.
pub struct SessionKey {
    key: Zeroizing<[u8; 32]>,
    commitment: Hash,
}

impl SessionKey {
    /// Draws a data key and wraps it to each recipient.
    pub(crate) fn generate<R: TryCryptoRng>(
        session: &Session,
        recipients: &[Recipient],
        random: &mut R,
    ) -> Result<(Self, Vec<WrappedKey>), WriteError> {
        let mut data_key = Zeroizing::new([0_u8; 32]);
        random.try_fill_bytes(data_key.as_mut()).map_err(|_| WriteError::Random)?;
        let key = Self::derive(session, &data_key).ok_or(WriteError::Encryption)?;
        let wrapped = recipients
            .iter()
            .map(|recipient| wrap(session, &key.commitment, recipient, &data_key, random))
            .collect::<Result<_, _>>()?;
        Ok((key, wrapped))
    }

    /// Unwraps the data key of a segment's session with the private key of one of its recipients.
    ///
    /// # Errors
    /// [`Defect::WrongKey`] where the data key is not wrapped to this recipient,
    /// [`Defect::WrappedKeyAltered`] where what is wrapped does not open,
    /// [`Defect::KeyCommitment`] where it opens to another key than the header commits to.
    pub fn unwrap(header: &SegmentHeader, private: &RecipientPrivateKey) -> Result<Self, Defect> {
        let recipient = private.public();
        let wrapped = header
            .recipients
            .iter()
            .find(|wrapped| wrapped.recipient.key == recipient)
            .ok_or(Defect::WrongKey { seq: header.seq })?;
        let altered = || Defect::WrappedKeyAltered { seq: header.seq };
        let encapsulated =
            <X25519HkdfSha256 as hpke::Kem>::EncappedKey::from_bytes(&wrapped.encapsulated).map_err(|_| altered())?;
        let data_key = Zeroizing::new(
            hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
                &OpModeR::Base,
                &private.private,
                &encapsulated,
                &wrap_info(&header.session, &header.commitment, wrapped.recipient.role),
                &wrapped.ciphertext,
                &[],
            )
            .map_err(|_| altered())?,
        );
        let data_key = data_key.first_chunk::<32>().ok_or_else(altered)?;
        let key = Self::derive(&header.session, data_key).ok_or_else(altered)?;
        if key.commitment != header.commitment {
            return Err(Defect::KeyCommitment { seq: header.seq });
        }
        Ok(key)
    }

    /// The public commitment to the data key: no other key has it, so that all recipients read the same.
    pub fn commitment(&self) -> Hash {
        self.commitment
    }

    /// A copy. Outside of this crate a key only opens.
    pub(crate) fn for_reading(&self) -> Self {
        Self { key: self.key.clone(), commitment: self.commitment }
    }

    fn derive(session: &Session, data_key: &[u8; 32]) -> Option<Self> {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, &session.identity());
        let extracted = salt.extract(data_key);
        let expand = |info: &[u8], to: &mut [u8; 32]| {
            extracted.expand(&[info], hkdf::HKDF_SHA256).and_then(|expanded| expanded.fill(to)).ok()
        };
        let mut key = Zeroizing::new([0; 32]);
        let mut commitment = [0; 32];
        expand(SEGMENT_KEY_INFO, &mut key)?;
        expand(COMMITMENT_INFO, &mut commitment)?;
        Some(Self { key, commitment: Hash(commitment) })
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM_SIV, self.key.as_ref()).ok().map(LessSafeKey::new)
    }

    /// Encrypts `body` in place and returns the tag.
    pub(crate) fn seal(&self, seq: u32, header: &[u8], body: &mut [u8]) -> Option<[u8; TAG_BYTES]> {
        let tag = self.cipher()?.seal_in_place_separate_tag(nonce(seq), Aad::from(header), body).ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Decrypts what [`Self::seal`] encrypted, with the tag behind it.
    pub(crate) fn open(&self, seq: u32, header: &[u8], body: &[u8]) -> Option<Vec<u8>> {
        let (ciphertext, tag) = body.split_at_checked(body.len().checked_sub(TAG_BYTES)?)?;
        let mut plain = vec![0; ciphertext.len()];
        self.cipher()?.open_separate_gather(nonce(seq), Aad::from(header), ciphertext, tag, &mut plain).ok()?;
        Some(plain)
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionKey([REDACTED])")
    }
}

/// The sequence number, right-aligned in 96 bits.
fn nonce(seq: u32) -> Nonce {
    let mut bytes = [0; 12];
    bytes[8..].copy_from_slice(&seq.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// Label, tenant, session, commitment and role: a wrapped key fits one recording and one role only.
/// In `info` and not in the associated data, because not every implementation of HPKE takes the latter.
fn wrap_info(session: &Session, commitment: &Hash, role: Role) -> Vec<u8> {
    [WRAP_INFO, &session.identity(), &commitment.0, &[role as u8]].concat()
}

fn wrap<R: TryCryptoRng>(
    session: &Session,
    commitment: &Hash,
    recipient: &Recipient,
    data_key: &[u8; 32],
    random: &mut R,
) -> Result<WrappedKey, WriteError> {
    let refused = |_| WriteError::RecipientKey(*recipient);
    let public = <X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(&recipient.key.0).map_err(refused)?;
    let mut drawn = Drawn::new(random).map_err(|_| WriteError::Random)?;
    let (encapsulated, ciphertext) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        &wrap_info(session, commitment, recipient.role),
        data_key,
        &[],
        &mut drawn,
    )
    .map_err(refused)?;
    if drawn.overdrawn() {
        return Err(WriteError::Random);
    }
    Ok(WrappedKey {
        recipient: *recipient,
        encapsulated: encapsulated.to_bytes().into(),
        ciphertext: ciphertext.try_into().map_err(|_| WriteError::Encryption)?,
    })
}
