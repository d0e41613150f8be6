//! What stands in the clear in front of each segment, and is authenticated with it.

use std::fmt;

use uuid::Uuid;

use crate::{
    defect::Defect,
    keys::{Recipient, RecipientKey, TAG_BYTES, WRAPPED_BYTES},
    layout::{Fields, Hash, MAX_HEADER_BYTES, MAX_PLAIN_BYTES, MAX_RECIPIENTS, MAX_SEGMENT_BYTES, VERSION},
};

pub(crate) const MAGIC: &[u8; 8] = b"OPAMSEG\0";
/// Bytes in front of the recipients.
pub(crate) const FIXED_BYTES: usize = 156;
/// Bytes for each recipient.
pub(crate) const RECIPIENT_BYTES: usize = 1 + 32 + 32 + WRAPPED_BYTES;

/// What the bytes of output and input are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Content {
    /// A terminal: bytes as the pseudo-terminal carried them.
    Terminal = 1,
    /// A desktop: instructions of the Guacamole protocol.
    Guacamole = 2,
}

impl Content {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Terminal,
            2 => Self::Guacamole,
            _ => return None,
        })
    }
}

/// What a recipient is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Role {
    /// The tenant's own key.
    Tenant = 1,
    /// The break-glass key, kept apart for the day the tenant's key is lost.
    Escrow = 2,
}

impl Role {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Tenant,
            2 => Self::Escrow,
            _ => return None,
        })
    }
}

/// What is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The tenant that the session belongs to.
    pub tenant_id: Uuid,
    /// The session.
    pub session_id: Uuid,
    /// What the bytes are.
    pub content: Content,
    /// When the recording began, in microseconds since 1970-01-01 UTC. All other times count from here.
    pub started_at: u64,
}

impl Session {
    /// Tenant and session, 16 bytes each.
    pub(crate) fn identity(&self) -> [u8; 32] {
        let mut identity = [0; 32];
        identity[..16].copy_from_slice(self.tenant_id.as_bytes());
        identity[16..].copy_from_slice(self.session_id.as_bytes());
        identity
    }
}

/// The data key, wrapped to one recipient.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// Who can unwrap it.
    pub recipient: Recipient,
    /// HPKE's `enc`: the ephemeral public key.
    pub encapsulated: [u8; 32],
    /// HPKE's `ct`: the data key, encrypted, with its tag.
    pub ciphertext: [u8; WRAPPED_BYTES],
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WrappedKey").field("recipient", &self.recipient).finish_non_exhaustive()
    }
}

/// The header of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHeader {
    /// What is recorded; the same in each segment of a recording.
    pub session: Session,
    /// Which segment this is, from 0.
    pub seq: u32,
    /// Time of the first record, in microseconds since the recording began.
    pub from: u64,
    /// When the segment was closed, in microseconds since the recording began.
    pub until: u64,
    /// Bytes of the records before compression: at most [`MAX_PLAIN_BYTES`].
    pub plain_bytes: u32,
    /// Bytes behind the header: compressed, encrypted records and the tag.
    pub body_bytes: u32,
    /// How many records there are.
    pub records: u32,
    /// How many bytes the gaps in this segment say were not recorded.
    pub dropped_bytes: u64,
    /// The hash of the segment before, [`Hash::ZERO`] in the first.
    pub previous: Hash,
    /// The commitment to the data key; the same in each segment.
    pub commitment: Hash,
    /// The data key, wrapped to each recipient; the same in each segment, so that each opens by itself.
    pub recipients: Vec<WrappedKey>,
}

impl SegmentHeader {
    /// Bytes of a header with so many recipients.
    pub(crate) const fn length(recipients: usize) -> usize {
        FIXED_BYTES + recipients * RECIPIENT_BYTES
    }

    /// Reads the header at the front of a stored segment and says how long it is.
    ///
    /// # Errors
    /// What is wrong with it, as a [`Defect`]. Nothing is allocated before the lengths are checked.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), Defect> {
        if !bytes.starts_with(MAGIC) {
            return Err(if MAGIC.starts_with(bytes) { Defect::Truncated } else { Defect::NotASegment });
        }
        let mut fields = Fields(&bytes[MAGIC.len()..]);
        let version = fields.u16().ok_or(Defect::Truncated)?;
        if version != VERSION {
            return Err(Defect::UnknownVersion { version });
        }
        let mut fields = Fields(fields.take(FIXED_BYTES - MAGIC.len() - 2).ok_or(Defect::Truncated)?);
        let (header, count) = Self::fixed(&mut fields).ok_or(Defect::MalformedHeader { field: "content" })?;
        if count == 0 || count > MAX_RECIPIENTS {
            return Err(Defect::MalformedHeader { field: "recipients" });
        }
        if header.plain_bytes as usize > MAX_PLAIN_BYTES
            || header.body_bytes as usize > MAX_SEGMENT_BYTES - MAX_HEADER_BYTES
        {
            return Err(Defect::Oversize);
        }
        if (header.body_bytes as usize) < TAG_BYTES {
            return Err(Defect::MalformedHeader { field: "body length" });
        }
        if header.until < header.from {
            return Err(Defect::MalformedHeader { field: "times" });
        }
        let length = Self::length(count);
        let mut fields = Fields(bytes.get(FIXED_BYTES..length).ok_or(Defect::Truncated)?);
        let mut header = header;
        header.recipients = (0..count)
            .map(|_| Self::recipient(&mut fields))
            .collect::<Option<_>>()
            .ok_or(Defect::MalformedHeader { field: "recipients" })?;
        Ok((header, length))
    }

    fn fixed(fields: &mut Fields<'_>) -> Option<(Self, usize)> {
        let content = Content::from_byte(fields.u8()?)?;
        let count = fields.u8()?;
        let seq = fields.u32()?;
        let session =
            Session { content, tenant_id: fields.uuid()?, session_id: fields.uuid()?, started_at: fields.u64()? };
        let header = Self {
            session,
            seq,
            from: fields.u64()?,
            until: fields.u64()?,
            plain_bytes: fields.u32()?,
            body_bytes: fields.u32()?,
            records: fields.u32()?,
            dropped_bytes: fields.u64()?,
            previous: fields.hash()?,
            commitment: fields.hash()?,
            recipients: Vec::new(),
        };
        Some((header, count.into()))
    }

    fn recipient(fields: &mut Fields<'_>) -> Option<WrappedKey> {
        let role = Role::from_byte(fields.u8()?)?;
        let key = RecipientKey(fields.array()?);
        Some(WrappedKey {
            recipient: Recipient { role, key },
            encapsulated: fields.array()?,
            ciphertext: fields.array()?,
        })
    }

    /// Appends the header to `to`.
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(MAGIC);
        to.extend_from_slice(&VERSION.to_be_bytes());
        to.push(self.session.content as u8);
        to.push(self.recipients.len() as u8);
        to.extend_from_slice(&self.seq.to_be_bytes());
        to.extend_from_slice(&self.session.identity());
        for time in [self.session.started_at, self.from, self.until] {
            to.extend_from_slice(&time.to_be_bytes());
        }
        for number in [self.plain_bytes, self.body_bytes, self.records] {
            to.extend_from_slice(&number.to_be_bytes());
        }
        to.extend_from_slice(&self.dropped_bytes.to_be_bytes());
        to.extend_from_slice(&self.previous.0);
        to.extend_from_slice(&self.commitment.0);
        for wrapped in &self.recipients {
            to.push(wrapped.recipient.role as u8);
            to.extend_from_slice(&wrapped.recipient.key.0);
            to.extend_from_slice(&wrapped.encapsulated);
            to.extend_from_slice(&wrapped.ciphertext);
        }
    }

    /// Bytes of the whole segment as it is stored.
    pub fn stored_bytes(&self) -> u64 {
        Self::length(self.recipients.len()) as u64 + u64::from(self.body_bytes)
    }

    /// The recipients, without what is wrapped to them.
    pub fn recipients(&self) -> impl Iterator<Item = Recipient> + '_ {
        self.recipients.iter().map(|wrapped| wrapped.recipient)
    }
}
