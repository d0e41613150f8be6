//! The canonical entry: the bytes of one audit event or row change that are the leaf of the tree. There is
//! one encoding for each value; what differs from it by a bit is refused. `FORMAT.md` has the layout.

use uuid::Uuid;

use crate::{
    digest::{Digests, Field},
    layout::{Fields, MAX_TREE_SIZE, VERSION},
};

const MAGIC: &[u8; 8] = b"OPAMENT\0";
const FIXED_BYTES: usize = 78;

/// Most bytes of an action and of an object's kind.
pub const MAX_NAME_BYTES: usize = 128;
/// Most bytes of an object's identifier.
pub const MAX_OBJECT_ID_BYTES: usize = 1024;
/// Most bytes of a request's identifier.
pub const MAX_REQUEST_ID_BYTES: usize = 256;
/// Most bytes of an entry.
pub const MAX_ENTRY_BYTES: usize =
    FIXED_BYTES + 4 * 2 + 2 * MAX_NAME_BYTES + MAX_OBJECT_ID_BYTES + MAX_REQUEST_ID_BYTES + Field::ALL.len() * (1 + 32);

/// An enum whose numbers are in the format and whose names are in the database.
macro_rules! closed {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$variant_doc])* $variant = $number,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            fn from_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| *value as u8 == number)
            }

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The value of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }
    };
}

closed! {
    /// What an entry is of.
    Kind {
        /// An act or a decision.
        Event = 1, "event";
        /// A row of the database that was changed.
        RowChange = 2, "row_change";
    }
}

closed! {
    /// How an act ended. A row change that is there has succeeded.
    Outcome {
        /// It was done.
        Success = 1, "success";
        /// It was not allowed.
        Denied = 2, "denied";
        /// It was allowed and went wrong.
        Failure = 3, "failure";
    }
}

closed! {
    /// What kind of actor.
    ActorKind {
        /// A person.
        User = 1, "user";
        /// A program with an API token.
        ServiceAccount = 2, "service_account";
        /// The hub itself.
        System = 3, "system";
        /// Someone not signed in.
        Anonymous = 4, "anonymous";
        /// Someone who changed the database by hand.
        Database = 5, "database";
    }
}

/// Who acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// What kind.
    pub kind: ActorKind,
    /// Who, where it has an identifier; never the nil one.
    pub id: Option<Uuid>,
}

/// On what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object<'a> {
    /// Its kind, e.g. `target`; of a row change the table's name.
    pub kind: &'a str,
    /// Its identifier as text; empty where it has none.
    pub id: &'a str,
}

/// One entry of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its place in the tenant's ledger, from 0, without holes: the leaf's index.
    pub seq: u64,
    /// The tenant.
    pub tenant_id: Uuid,
    /// The audit event or the row change.
    pub event_id: Uuid,
    /// When, in microseconds since 1970-01-01 UTC.
    pub time: u64,
    /// What it is of.
    pub kind: Kind,
    /// Who.
    pub actor: Actor,
    /// Dotted name of what was done, e.g. `target.create` or `row.update`.
    pub action: &'a str,
    /// How it ended.
    pub outcome: Outcome,
    /// On what.
    pub object: Option<Object<'a>>,
    /// The request it was done in; empty where there was none.
    pub request_id: &'a str,
    /// What stands for content that is kept elsewhere.
    pub digests: Digests,
}

/// Why an entry has no encoding, or bytes are not an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The bytes do not begin as an entry does.
    #[error("these bytes are not a ledger entry")]
    NotAnEntry,
    /// The entry is of another version.
    #[error("this entry is of version {version}; this program reads version {VERSION}: use a newer one")]
    UnknownVersion {
        /// The version it names.
        version: u16,
    },
    /// The bytes end too early, or go on behind the end.
    #[error("the entry has another length than its fields say")]
    Length,
    /// A field has a value that the format does not have.
    #[error("the entry's {field} has a value that the format does not have")]
    Field {
        /// Which.
        field: &'static str,
    },
}

impl EntryError {
    /// The stable name of this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnEntry => "entry_not_an_entry",
            Self::UnknownVersion { .. } => "entry_unknown_version",
            Self::Length => "entry_length",
            Self::Field { .. } => "entry_field",
        }
    }
}

impl<'a> Entry<'a> {
    /// The canonical bytes.
    ///
    /// # Errors
    /// Where a value is one that the format does not have.
    pub fn encode(&self) -> Result<Vec<u8>, EntryError> {
        self.check()?;
        let object = self.object.unwrap_or(Object { kind: "", id: "" });
        let mut bytes = Vec::with_capacity(FIXED_BYTES + 4 * 33 + 128);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&[self.kind as u8, self.outcome as u8, self.actor.kind as u8]);
        bytes.push(self.digests.iter().count() as u8);
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(self.tenant_id.as_bytes());
        bytes.extend_from_slice(self.event_id.as_bytes());
        bytes.extend_from_slice(&self.time.to_be_bytes());
        bytes.extend_from_slice(self.actor.id.unwrap_or(Uuid::nil()).as_bytes());
        for text in [self.action, object.kind, object.id, self.request_id] {
            bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        for (field, digest) in self.digests.iter() {
            bytes.push(field as u8);
            bytes.extend_from_slice(&digest.0);
        }
        Ok(bytes)
    }

    /// Reads canonical bytes, and nothing else.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EntryError> {
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(EntryError::Length);
        }
        let mut fields = Fields(bytes.strip_prefix(MAGIC).ok_or(EntryError::NotAnEntry)?);
        let version = fields.u16().ok_or(EntryError::Length)?;
        if version != VERSION {
            return Err(EntryError::UnknownVersion { version });
        }
        let [kind, outcome, actor, count] = fields.array().ok_or(EntryError::Length)?;
        let entry = Self {
            kind: Kind::from_number(kind).ok_or(EntryError::Field { field: "kind" })?,
            outcome: Outcome::from_number(outcome).ok_or(EntryError::Field { field: "outcome" })?,
            seq: fields.u64().ok_or(EntryError::Length)?,
            tenant_id: fields.uuid().ok_or(EntryError::Length)?,
            event_id: fields.uuid().ok_or(EntryError::Length)?,
            time: fields.u64().ok_or(EntryError::Length)?,
            actor: Actor {
                kind: ActorKind::from_number(actor).ok_or(EntryError::Field { field: "actor" })?,
                id: Some(fields.uuid().ok_or(EntryError::Length)?).filter(|id| !id.is_nil()),
            },
            action: text(&mut fields, "action")?,
            object: Some(Object { kind: text(&mut fields, "object kind")?, id: text(&mut fields, "object id")? })
                .filter(|object| !object.kind.is_empty() || !object.id.is_empty()),
            request_id: text(&mut fields, "request id")?,
            digests: digests(&mut fields, count)?,
        };
        if !fields.0.is_empty() {
            return Err(EntryError::Length);
        }
        entry.check()?;
        Ok(entry)
    }

    /// The rules that both directions hold.
    fn check(&self) -> Result<(), EntryError> {
        let object = self.object.unwrap_or(Object { kind: "", id: "" });
        let rules = [
            ("seq", self.seq < MAX_TREE_SIZE),
            ("time", self.time <= i64::MAX as u64),
            ("outcome", self.kind == Kind::Event || self.outcome == Outcome::Success),
            ("actor", self.actor.id != Some(Uuid::nil())),
            ("action", is_action(self.action)),
            ("object kind", self.object.is_none() || is_name(object.kind)),
            ("object id", object.id.len() <= MAX_OBJECT_ID_BYTES),
            ("request id", self.request_id.len() <= MAX_REQUEST_ID_BYTES),
        ];
        rules.iter().find(|(_, holds)| !holds).map_or(Ok(()), |(field, _)| Err(EntryError::Field { field }))
    }
}

/// Letters, digits and `_`, beginning with a letter or `_`.
fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES
        && text.starts_with(|first: char| first == '_' || first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Two names or more, with dots between them.
fn is_action(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES && text.contains('.') && text.split('.').all(is_name)
}

fn text<'a>(fields: &mut Fields<'a>, field: &'static str) -> Result<&'a str, EntryError> {
    let length = fields.u16().ok_or(EntryError::Length)?;
    let bytes = fields.take(length.into()).ok_or(EntryError::Length)?;
    std::str::from_utf8(bytes).map_err(|_| EntryError::Field { field })
}

fn digests(fields: &mut Fields<'_>, count: u8) -> Result<Digests, EntryError> {
    let mut digests = Digests::default();
    let mut last = 0;
    for _ in 0..count {
        let number = fields.u8().ok_or(EntryError::Length)?;
        // Ascending numbers: no field twice, and one order only.
        let field = Field::from_number(number).filter(|_| number > last);
        let field = field.ok_or(EntryError::Field { field: "digests" })?;
        digests.set(field, fields.hash().ok_or(EntryError::Length)?);
        last = number;
    }
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use super::*;
    use openpam_merkle::leaf_hash;

    use crate::digest::Salt;

    fn entry() -> Entry<'static> {
        Entry {
            seq: 7,
            tenant_id: Uuid::from_bytes([1; 16]),
            event_id: Uuid::from_bytes([2; 16]),
            time: 1_764_000_000_000_000,
            kind: Kind::Event,
            actor: Actor { kind: ActorKind::User, id: Some(Uuid::from_bytes([3; 16])) },
            action: "target.create",
            outcome: Outcome::Denied,
            object: Some(Object { kind: "target", id: "ü" }),
            request_id: "r",
            digests: Digests::default()
                .with(Field::Detail, Field::Detail.digest(&Salt([0; 32]), b"{}"))
                .with(Field::ActorName, Field::ActorName.digest(&Salt([1; 32]), b"Ada")),
        }
    }

    #[test]
    fn an_entry_survives_and_no_changed_byte_is_the_same_entry() {
        let bytes = entry().encode().unwrap();
        assert_eq!(Entry::parse(&bytes), Ok(entry()));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                if let Ok(other) = Entry::parse(&changed) {
                    assert_ne!(other, entry(), "byte {at}");
                    assert_eq!(other.encode().unwrap(), changed, "byte {at} has two forms");
                }
            }
            assert!(Entry::parse(&bytes[..at]).is_err(), "cut at {at}");
        }
        assert_eq!(Entry::parse(&[bytes.as_slice(), &[0]].concat()), Err(EntryError::Length));
    }

    #[test]
    fn the_smallest_and_the_largest_entry_survive() {
        let smallest = Entry {
            actor: Actor { kind: ActorKind::Database, id: None },
            object: None,
            action: "a.b",
            request_id: "",
            digests: Digests::default(),
            ..entry()
        };
        let bytes = smallest.encode().unwrap();
        assert_eq!((Entry::parse(&bytes), bytes.len()), (Ok(smallest), 89));
        let name = format!("a.{}", "b".repeat(MAX_NAME_BYTES - 2));
        let kind = "k".repeat(MAX_NAME_BYTES);
        let id = "ü".repeat(MAX_OBJECT_ID_BYTES / 2);
        let request = "r".repeat(MAX_REQUEST_ID_BYTES);
        let largest = Entry {
            seq: MAX_TREE_SIZE - 1,
            time: i64::MAX as u64,
            action: &name,
            object: Some(Object { kind: &kind, id: &id }),
            request_id: &request,
            digests: Field::ALL.iter().fold(Digests::default(), |all, field| all.with(*field, leaf_hash(b""))),
            ..entry()
        };
        let bytes = largest.encode().unwrap();
        assert_eq!((bytes.len(), MAX_ENTRY_BYTES), (1_853, 1_853), "FORMAT.md has this number");
        assert_eq!(Entry::parse(&bytes), Ok(largest));
    }

    #[test]
    fn a_value_that_the_format_does_not_have_is_refused_by_name() {
        let long = "x".repeat(2000);
        let refused = [
            ("seq", Entry { seq: MAX_TREE_SIZE, ..entry() }),
            ("time", Entry { time: u64::MAX, ..entry() }),
            ("outcome", Entry { kind: Kind::RowChange, ..entry() }),
            ("actor", Entry { actor: Actor { kind: ActorKind::User, id: Some(Uuid::nil()) }, ..entry() }),
            ("action", Entry { action: "create", ..entry() }),
            ("action", Entry { action: "target.", ..entry() }),
            ("action", Entry { action: "Target.create", ..entry() }),
            ("action", Entry { action: &long, ..entry() }),
            ("object kind", Entry { object: Some(Object { kind: "", id: "x" }), ..entry() }),
            ("object kind", Entry { object: Some(Object { kind: "a b", id: "x" }), ..entry() }),
            ("object id", Entry { object: Some(Object { kind: "target", id: &long }), ..entry() }),
            ("request id", Entry { request_id: &long, ..entry() }),
        ];
        for (field, entry) in refused {
            assert_eq!(entry.encode(), Err(EntryError::Field { field }), "{entry:?}");
        }
    }

    #[test]
    fn bytes_that_break_a_rule_are_refused_by_name() {
        let bytes = entry().encode().unwrap();
        let with = |at: usize, value: u8| {
            let mut changed = bytes.clone();
            changed[at] = value;
            Entry::parse(&changed).map(|_| ())
        };
        let digests = bytes.len() - 2 * 33;
        assert_eq!(with(0, 0), Err(EntryError::NotAnEntry));
        assert_eq!(with(9, 2), Err(EntryError::UnknownVersion { version: 2 }));
        for (at, value, field) in [
            (10, 3, "kind"),
            (11, 0, "outcome"),
            (12, 6, "actor"),
            (80, b' ', "action"),
            (digests, 5, "digests"),
            (digests + 33, 1, "digests"),
            (digests + 33, 8, "digests"),
        ] {
            assert_eq!(with(at, value), Err(EntryError::Field { field }), "byte {at}");
        }
        assert_eq!(Entry::parse(&vec![0; MAX_ENTRY_BYTES + 1]), Err(EntryError::Length));
    }

    #[test]
    fn a_name_stands_for_one_value() {
        for kind in ActorKind::ALL {
            assert_eq!(ActorKind::from_name(kind.name()), Some(*kind));
        }
        assert_eq!(Outcome::from_name("denied"), Some(Outcome::Denied));
        assert_eq!(Kind::from_name("row_change"), Some(Kind::RowChange));
        assert_eq!(Kind::from_name("Event"), None);
    }
}
