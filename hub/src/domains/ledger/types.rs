//! What of an event and of a row change is in the ledger, and what only as a digest.

use chrono::{DateTime, Utc};
use openpam_ledger::{
    Actor, ActorKind, Content, Digests, Entry, Field, Kind, MAX_NAME_BYTES, Object, Outcome, SALT_BYTES, Salt,
};
use uuid::Uuid;

/// An audit event, as far as the ledger speaks of it. Texts are byte by byte what is digested.
#[derive(Debug)]
pub(super) struct EventRow {
    pub(super) xid: i64,
    pub(super) event_id: Uuid,
    pub(super) tenant_id: Uuid,
    pub(super) occurred_us: i64,
    pub(super) actor_type: String,
    pub(super) actor_id: Option<Uuid>,
    pub(super) actor_name: String,
    pub(super) action: String,
    pub(super) outcome: String,
    pub(super) object_type: Option<String>,
    pub(super) object_id: Option<Uuid>,
    pub(super) object_name: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) client_address: Option<String>,
    pub(super) detail: String,
    pub(super) salts: Option<Vec<u8>>,
}

/// A row change, likewise.
#[derive(Debug)]
pub(super) struct ChangeRow {
    pub(super) xid: i64,
    pub(super) event_id: Uuid,
    pub(super) tenant_id: Uuid,
    pub(super) occurred_us: i64,
    pub(super) table_name: String,
    pub(super) operation: String,
    pub(super) row_id: String,
    pub(super) before_image: Option<String>,
    pub(super) after_image: Option<String>,
    pub(super) actor: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) database_user: String,
    pub(super) salts: Option<Vec<u8>>,
}

/// An entry that has no place yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) tenant_id: Uuid,
    pub(super) event_id: Uuid,
    pub(super) time: u64,
    pub(super) kind: Kind,
    actor: Actor,
    action: String,
    outcome: Outcome,
    object: Option<(String, String)>,
    request_id: String,
    pub(super) digests: Digests,
}

/// An entry in its place.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) seq: u64,
    pub(super) event_id: Uuid,
    pub(super) kind: i16,
    pub(super) canonical: Vec<u8>,
    pub(super) leaf_hash: Vec<u8>,
    pub(super) sequenced_at: DateTime<Utc>,
    /// When a checkpoint first spoke for it.
    pub(super) signed_at: Option<DateTime<Utc>>,
}

/// How far a walk through one kind of rows has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) behind: (i64, Uuid),
    pub(super) through: bool,
}

/// A walk through what one snapshot sees and the one before did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pass {
    pub(super) seen: String,
    pub(super) until: String,
    pub(super) events: Cursor,
    pub(super) changes: Cursor,
}

impl Pass {
    /// One that begins.
    pub(super) fn new(seen: String, until: String) -> Self {
        Self { seen, until, events: Cursor::default(), changes: Cursor::default() }
    }
}

/// The `n`-th salt of a row.
fn salt(salts: &[u8], n: usize) -> Option<Salt> {
    let bytes = salts.get(n * SALT_BYTES..(n + 1) * SALT_BYTES)?;
    bytes.try_into().ok().map(Salt)
}

/// The contents that there are, with the salts of their places; nothing where they were erased.
fn contents<'r, const N: usize>(salts: Option<&[u8]>, fields: [(Field, Option<&'r str>); N]) -> Vec<Content<'r>> {
    let Some(salts) = salts else { return Vec::new() };
    let with_salt = |(n, (field, text)): (usize, (Field, Option<&'r str>))| {
        Some(Content { field, salt: salt(salts, n)?, bytes: text?.as_bytes() })
    };
    fields.into_iter().enumerate().filter_map(with_salt).collect()
}

fn digests(contents: &[Content<'_>]) -> Digests {
    contents.iter().fold(Digests::default(), |all, content| {
        all.with(content.field, content.field.digest(&content.salt, content.bytes))
    })
}

fn microseconds(occurred_us: i64) -> u64 {
    u64::try_from(occurred_us).unwrap_or_default()
}

impl EventRow {
    /// What is digested, in the order of the fields.
    pub(super) fn contents(&self) -> Vec<Content<'_>> {
        contents(
            self.salts.as_deref(),
            [
                (Field::ActorName, Some(&self.actor_name)),
                (Field::ObjectName, self.object_name.as_deref()),
                (Field::ClientAddress, self.client_address.as_deref()),
                (Field::Detail, Some(&self.detail)),
            ],
        )
    }

    /// Whether it has no content.
    pub(super) fn is_empty(&self) -> bool {
        self.actor_name.is_empty() && self.object_name.is_none() && self.client_address.is_none() && self.detail == "{}"
    }

    /// The entry that it becomes.
    pub(super) fn draft(&self) -> Draft {
        self.draft_with(digests(&self.contents()))
    }

    /// The entry that it becomes with these digests: for who checks the contents by themselves.
    pub(super) fn draft_with(&self, digests: Digests) -> Draft {
        let object_id = self.object_id.map(|id| id.to_string()).unwrap_or_default();
        Draft {
            tenant_id: self.tenant_id,
            event_id: self.event_id,
            time: microseconds(self.occurred_us),
            kind: Kind::Event,
            actor: Actor {
                kind: ActorKind::from_name(&self.actor_type).unwrap_or(ActorKind::Anonymous),
                id: self.actor_id.filter(|id| !id.is_nil()),
            },
            action: self.action.clone(),
            outcome: Outcome::from_name(&self.outcome).unwrap_or(Outcome::Failure),
            object: self.object_type.clone().map(|kind| (kind, object_id)),
            request_id: self.request_id.clone().unwrap_or_default(),
            digests,
        }
    }
}

impl ChangeRow {
    /// What is digested, in the order of the fields.
    pub(super) fn contents(&self) -> Vec<Content<'_>> {
        contents(
            self.salts.as_deref(),
            [
                (Field::BeforeImage, self.before_image.as_deref()),
                (Field::AfterImage, self.after_image.as_deref()),
                (Field::DatabaseUser, Some(&self.database_user)),
            ],
        )
    }

    /// Whether it has no content.
    pub(super) fn is_empty(&self) -> bool {
        self.before_image.is_none() && self.after_image.is_none() && self.database_user.is_empty()
    }

    /// The entry that it becomes.
    pub(super) fn draft(&self) -> Draft {
        self.draft_with(digests(&self.contents()))
    }

    /// The entry that it becomes with these digests.
    pub(super) fn draft_with(&self, digests: Digests) -> Draft {
        Draft {
            tenant_id: self.tenant_id,
            event_id: self.event_id,
            time: microseconds(self.occurred_us),
            kind: Kind::RowChange,
            actor: actor(self.actor.as_deref()),
            action: format!("row.{}", self.operation),
            outcome: Outcome::Success,
            object: Some((self.table_name.clone(), self.row_id.clone())),
            request_id: self.request_id.clone().unwrap_or_default(),
            digests,
        }
    }
}

/// The actor that a transaction named. Whatever a hand wrote into the setting that is none of the hub's: by hand.
fn actor(text: Option<&str>) -> Actor {
    let by_hand = Actor { kind: ActorKind::Database, id: None };
    let Some(text) = text else { return by_hand };
    let (kind, id) = text.split_once(':').map_or((text, None), |(kind, id)| (kind, Some(id)));
    let kind = ActorKind::from_name(kind).filter(|kind| *kind != ActorKind::Database);
    let id = id.map(|id| Uuid::parse_str(id).ok().filter(|id| !id.is_nil()));
    match (kind, id) {
        (Some(kind), None) => Actor { kind, id: None },
        (Some(kind), Some(Some(id))) => Actor { kind, id: Some(id) },
        _ => by_hand,
    }
}

impl Draft {
    /// The canonical bytes at that place. The database lets no row in that has none; should it happen, the
    /// entry says so and still has event and digests, so that the log goes on.
    pub(super) fn encode(&self, seq: u64) -> (Vec<u8>, bool) {
        let entry = Entry {
            seq,
            tenant_id: self.tenant_id,
            event_id: self.event_id,
            time: self.time,
            kind: self.kind,
            actor: self.actor,
            action: &self.action,
            outcome: self.outcome,
            object: self.object.as_ref().map(|(kind, id)| Object { kind, id }),
            request_id: &self.request_id,
            digests: self.digests,
        };
        if let Ok(bytes) = entry.encode() {
            return (bytes, true);
        }
        let bare = Entry {
            kind: Kind::Event,
            action: "ledger.unencodable",
            outcome: Outcome::Failure,
            object: None,
            request_id: "",
            time: self.time.min(i64::MAX as u64),
            ..entry
        };
        (bare.encode().unwrap_or_default(), false)
    }
}

/// The longest action that an entry takes.
const _: () = assert!(MAX_NAME_BYTES == 128, "the migration has this number");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event() -> EventRow {
        EventRow {
            xid: 1,
            event_id: Uuid::from_u128(1),
            tenant_id: Uuid::from_u128(2),
            occurred_us: 1_764_000_000_000_000,
            actor_type: "user".to_owned(),
            actor_id: Some(Uuid::from_u128(3)),
            actor_name: "Ada".to_owned(),
            action: "target.create".to_owned(),
            outcome: "success".to_owned(),
            object_type: Some("target".to_owned()),
            object_id: Some(Uuid::from_u128(4)),
            object_name: Some("web-1".to_owned()),
            request_id: Some("r".to_owned()),
            client_address: Some("192.0.2.1".to_owned()),
            detail: "{}".to_owned(),
            salts: Some((0..128).collect()),
        }
    }

    #[test]
    fn an_event_becomes_an_entry_with_a_digest_for_each_content() {
        let (bytes, whole) = event().draft().encode(7);
        assert!(whole);
        let entry = Entry::parse(&bytes).unwrap();
        assert_eq!((entry.seq, entry.action, entry.kind), (7, "target.create", Kind::Event));
        let salt = Salt(std::array::from_fn(|at| 96 + at as u8));
        assert_eq!(entry.digests.get(Field::Detail), Some(Field::Detail.digest(&salt, b"{}")));
        assert_eq!(entry.digests.iter().count(), 4);
    }

    #[test]
    fn an_absent_content_does_not_move_the_salts_of_the_others() {
        let (with, without) = (event(), EventRow { object_name: None, client_address: None, ..event() });
        let digest = |row: &EventRow, field| row.draft().digests.get(field);
        assert_eq!(digest(&with, Field::Detail), digest(&without, Field::Detail));
        assert_eq!(digest(&without, Field::ObjectName), None);
    }

    #[test]
    fn who_changed_the_database_by_hand_is_told_from_who_acted() {
        let id = Uuid::from_u128(9);
        for (text, kind, expected) in [
            (None, ActorKind::Database, None),
            (Some("system".to_owned()), ActorKind::System, None),
            (Some(format!("user:{id}")), ActorKind::User, Some(id)),
            (Some("user:nobody".to_owned()), ActorKind::Database, None),
            (Some("database".to_owned()), ActorKind::Database, None),
            (Some("root".to_owned()), ActorKind::Database, None),
            (Some(format!("user:{}", Uuid::nil())), ActorKind::Database, None),
        ] {
            assert_eq!(actor(text.as_deref()), Actor { kind, id: expected }, "{text:?}");
        }
    }

    #[test]
    fn what_has_no_encoding_still_gets_a_place() {
        let (bytes, whole) = EventRow { action: "no dot".to_owned(), ..event() }.draft().encode(0);
        let entry = Entry::parse(&bytes).unwrap();
        assert!(!whole);
        assert_eq!((entry.action, entry.event_id), ("ledger.unencodable", Uuid::from_u128(1)));
        assert_eq!(entry.digests.iter().count(), 4);
    }

    proptest! {
        /// What the columns' checks let in has an encoding.
        #[test]
        fn each_row_that_the_database_lets_in_has_an_encoding(
            action in "[a-z_]{1,40}(\\.[a-z_]{1,40}){1,2}",
            object_type in proptest::option::of("[a-z_][a-z0-9_]{0,127}"),
            request_id in proptest::option::of(".{0,64}"),
            row_id in ".{0,256}",
            occurred_us in 0_i64..253_370_764_800_000_000,
            actor in proptest::option::of(".*"),
        ) {
            let object_id = object_type.as_ref().map(|_| Uuid::from_u128(5));
            let row = EventRow { action, object_type, object_id, request_id: request_id.clone(), occurred_us, ..event() };
            prop_assert!(row.draft().encode(1).1, "{row:?}");
            let row = ChangeRow {
                xid: 1,
                event_id: Uuid::from_u128(1),
                tenant_id: Uuid::from_u128(2),
                occurred_us,
                table_name: "targets".to_owned(),
                operation: "update".to_owned(),
                row_id,
                before_image: None,
                after_image: Some("{}".to_owned()),
                actor,
                request_id,
                database_user: "postgres".to_owned(),
                salts: None,
            };
            prop_assert!(row.draft().encode(1).1, "{row:?}");
        }
    }
}
