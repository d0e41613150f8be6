//! What stands in an entry in place of personal or large content: a salted digest. The content is kept
//! beside the ledger with its salt; when both are erased, the entry and every proof of it stay as they are,
//! and nobody can find out what the content was by trying.

use std::fmt;

use aws_lc_rs::hmac;

use crate::layout::Hash;

/// Bytes of a salt.
pub const SALT_BYTES: usize = 32;
/// Most bytes of one piece of content.
pub const MAX_CONTENT_BYTES: usize = 4 << 20;

/// The salt of one digest: random, with at least 128 bits of it, and used for no other. Whoever has it can
/// test a guess at the content, so that it is erased together with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; SALT_BYTES]);

impl fmt::Debug for Salt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Salt")
    }
}

/// Which content a digest is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Field {
    /// The actor's name at that time.
    ActorName = 1,
    /// The object's name at that time.
    ObjectName = 2,
    /// Where the request came from.
    ClientAddress = 3,
    /// Everything else that the event says.
    Detail = 4,
    /// The row before the change.
    BeforeImage = 5,
    /// The row after the change.
    AfterImage = 6,
    /// The role that the database was changed with.
    DatabaseUser = 7,
}

impl Field {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::ActorName,
        Self::ObjectName,
        Self::ClientAddress,
        Self::Detail,
        Self::BeforeImage,
        Self::AfterImage,
        Self::DatabaseUser,
    ];

    /// The field of that number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ActorName => "actor_name",
            Self::ObjectName => "object_name",
            Self::ClientAddress => "client_address",
            Self::Detail => "detail",
            Self::BeforeImage => "before_image",
            Self::AfterImage => "after_image",
            Self::DatabaseUser => "database_user",
        }
    }

    /// The digest of this field's content: HMAC-SHA-256 with the salt as key over the field's number and
    /// the content.
    pub fn digest(self, salt: &Salt, content: &[u8]) -> Hash {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &salt.0);
        let mut context = hmac::Context::with_key(&key);
        context.update(&[self as u8]);
        context.update(content);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        Hash(digest)
    }
}

/// The digests of one entry: at most one for each field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digests([Option<Hash>; Field::ALL.len()]);

impl Digests {
    /// Sets the digest of a field.
    #[must_use]
    pub fn with(mut self, field: Field, digest: Hash) -> Self {
        self.set(field, digest);
        self
    }

    pub(crate) fn set(&mut self, field: Field, digest: Hash) {
        self.0[field as usize - 1] = Some(digest);
    }

    /// The digest of a field.
    pub fn get(&self, field: Field) -> Option<Hash> {
        self.0[field as usize - 1]
    }

    /// Those that there are, by number.
    pub fn iter(&self) -> impl Iterator<Item = (Field, Hash)> + '_ {
        Field::ALL.into_iter().zip(self.0).filter_map(|(field, digest)| Some((field, digest?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_depends_on_field_salt_and_content() {
        let salt = Salt([1; 32]);
        let digests = [
            Field::Detail.digest(&salt, b"x"),
            Field::ActorName.digest(&salt, b"x"),
            Field::Detail.digest(&Salt([2; 32]), b"x"),
            Field::Detail.digest(&salt, b"y"),
            Field::Detail.digest(&salt, b""),
        ];
        assert_eq!(digests.iter().collect::<std::collections::BTreeSet<_>>().len(), digests.len());
        assert_eq!(format!("{salt:?}"), "Salt");
    }

    #[test]
    fn a_number_stands_for_one_field() {
        for field in Field::ALL {
            assert_eq!(Field::from_number(field as u8), Some(field));
        }
        for number in [0, 8, 255] {
            assert_eq!(Field::from_number(number), None);
        }
    }
}
