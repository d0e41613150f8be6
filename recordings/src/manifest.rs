//! The manifest: what a recording consists of, signed (Ed25519, RFC 8032).
//!
//! Signing takes two steps, because the private key may be elsewhere (in a vault, say):
//! [`Manifest::to_be_signed`] gives the bytes, [`Manifest::into_signed`] takes the signature.

use openpam_merkle::Frontier;

use crate::{
    defect::Defect,
    header::{Content, Role, Session},
    keys::{Recipient, RecipientKey, SignerKey},
    layout::{Fields, Hash, MAX_RECIPIENTS, VERSION},
};

const MAGIC: &[u8; 8] = b"OPAMMAN\0";
const FIXED_BYTES: usize = 228;
const RECIPIENT_BYTES: usize = 33;
const SIGNATURE_BYTES: usize = 64;

/// Who closed the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ClosedBy {
    /// The writer that recorded it: everything that it was given is there.
    Writer = 1,
    /// The completer, after the writer died: what the writer still held in memory is not there.
    Completer = 2,
}

/// How the session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// The target or the user ended it.
    Ended = 1,
    /// The access that it was opened under ended.
    AccessEnded = 2,
    /// An operator terminated it.
    Terminated = 3,
    /// It was idle for too long.
    Idle = 4,
    /// It failed.
    Failed = 5,
    /// The process that ran it died.
    Lost = 6,
}

/// What a recording consists of, to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What is recorded.
    pub session: Session,
    /// Who closed it.
    pub closed_by: ClosedBy,
    /// How the session ended.
    pub outcome: Outcome,
    /// When the recording ended, in microseconds since it began.
    pub ended_at: u64,
    /// How many segments there are.
    pub segments: u32,
    /// How many records.
    pub records: u64,
    /// Bytes of the records before compression.
    pub plain_bytes: u64,
    /// Bytes of the segments as they are stored.
    pub stored_bytes: u64,
    /// Bytes that the gaps say were not recorded.
    pub dropped_bytes: u64,
    /// The Merkle root over the segments (RFC 6962 §2.1).
    pub root: Hash,
    /// The hash of the last segment, [`Hash::ZERO`] where there is none.
    pub last: Hash,
    /// The commitment to the data key, [`Hash::ZERO`] where there is no segment.
    pub commitment: Hash,
    /// Who signs.
    pub signer: SignerKey,
    /// Who can read the recording.
    pub recipients: Vec<Recipient>,
}

impl Manifest {
    /// The bytes to sign with the private key of [`Self::signer`], whole and not hashed before.
    pub fn to_be_signed(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + self.recipients.len() * RECIPIENT_BYTES + SIGNATURE_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.push(self.session.content as u8);
        bytes.push(self.recipients.len() as u8);
        bytes.push(self.closed_by as u8);
        bytes.push(self.outcome as u8);
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&self.session.identity());
        bytes.extend_from_slice(&self.session.started_at.to_be_bytes());
        bytes.extend_from_slice(&self.ended_at.to_be_bytes());
        bytes.extend_from_slice(&self.segments.to_be_bytes());
        for sum in [self.records, self.plain_bytes, self.stored_bytes, self.dropped_bytes] {
            bytes.extend_from_slice(&sum.to_be_bytes());
        }
        for hash in [&self.root, &self.last, &self.commitment] {
            bytes.extend_from_slice(&hash.0);
        }
        bytes.extend_from_slice(&self.signer.0);
        for recipient in &self.recipients {
            bytes.push(recipient.role as u8);
            bytes.extend_from_slice(&recipient.key.0);
        }
        bytes
    }

    /// Adds the signature, if it is the signer's signature of [`Self::to_be_signed`].
    ///
    /// # Errors
    /// [`Defect::SignatureInvalid`].
    pub fn into_signed(self, signature: &[u8]) -> Result<SignedManifest, Defect> {
        let signed =
            SignedManifest { signature: signature.try_into().map_err(|_| Defect::SignatureInvalid)?, manifest: self };
        signed.verify()?;
        Ok(signed)
    }
}

/// A manifest with its signature, which may not have been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedManifest {
    manifest: Manifest,
    signature: [u8; SIGNATURE_BYTES],
}

impl SignedManifest {
    /// Reads a stored manifest. Every accepted byte string is the only one for what it says.
    ///
    /// # Errors
    /// [`Defect::MalformedManifest`] or [`Defect::UnknownVersion`]. The signature is not checked yet.
    pub fn parse(bytes: &[u8]) -> Result<Self, Defect> {
        let malformed = |field| Defect::MalformedManifest { field };
        let mut fields = Fields(bytes.strip_prefix(MAGIC).ok_or(malformed("beginning"))?);
        let version = fields.u16().ok_or(malformed("length"))?;
        if version != VERSION {
            return Err(Defect::UnknownVersion { version });
        }
        let recipients = usize::from(*bytes.get(11).ok_or(malformed("length"))?);
        if recipients > MAX_RECIPIENTS {
            return Err(malformed("recipients"));
        }
        if bytes.len() != FIXED_BYTES + recipients * RECIPIENT_BYTES + SIGNATURE_BYTES {
            return Err(malformed("length"));
        }
        let mut manifest = Self::fixed(&mut fields).ok_or(malformed("content"))?;
        manifest.recipients = (0..recipients)
            .map(|_| Some(Recipient { role: Role::from_byte(fields.u8()?)?, key: RecipientKey(fields.array()?) }))
            .collect::<Option<_>>()
            .ok_or(malformed("recipients"))?;
        let signature = fields.array().ok_or(malformed("length"))?;
        Ok(Self { manifest, signature })
    }

    fn fixed(fields: &mut Fields<'_>) -> Option<Manifest> {
        let content = Content::from_byte(fields.u8()?)?;
        let _recipients = fields.u8()?;
        let closed_by = match fields.u8()? {
            1 => ClosedBy::Writer,
            2 => ClosedBy::Completer,
            _ => return None,
        };
        let outcome = match fields.u8()? {
            1 => Outcome::Ended,
            2 => Outcome::AccessEnded,
            3 => Outcome::Terminated,
            4 => Outcome::Idle,
            5 => Outcome::Failed,
            6 => Outcome::Lost,
            _ => return None,
        };
        if fields.u16()? != 0 {
            return None;
        }
        let session =
            Session { content, tenant_id: fields.uuid()?, session_id: fields.uuid()?, started_at: fields.u64()? };
        Some(Manifest {
            session,
            closed_by,
            outcome,
            ended_at: fields.u64()?,
            segments: fields.u32()?,
            records: fields.u64()?,
            plain_bytes: fields.u64()?,
            stored_bytes: fields.u64()?,
            dropped_bytes: fields.u64()?,
            root: fields.hash()?,
            last: fields.hash()?,
            commitment: fields.hash()?,
            signer: SignerKey(fields.array()?),
            recipients: Vec::new(),
        })
    }

    /// What it says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The bytes to store.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.manifest.to_be_signed();
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// Checks the signature with the key that the manifest names. Whether that key may be trusted is
    /// another question.
    ///
    /// # Errors
    /// [`Defect::SignatureInvalid`].
    pub fn verify(&self) -> Result<(), Defect> {
        let fits = self.manifest.signer.verifies(&self.manifest.to_be_signed(), &self.signature);
        fits.then_some(()).ok_or(Defect::SignatureInvalid)
    }

    /// Whether these are the hashes of its segments, in order: then a segment that has its hash is the one that was
    /// signed. Without the segments themselves nothing else is said of them.
    pub fn lists(&self, hashes: impl IntoIterator<Item = Hash>) -> bool {
        let (mut last, tree) = (Hash::ZERO, hashes.into_iter());
        let tree = tree.inspect(|hash| last = *hash).collect::<Frontier>();
        tree.size() == u64::from(self.manifest.segments)
            && tree.root() == self.manifest.root
            && last == self.manifest.last
    }
}
