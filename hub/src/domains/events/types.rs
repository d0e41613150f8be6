//! What is published, and how it is delivered: plain values.

use std::time::Duration;

use chrono::{DateTime, Utc};
use openpam_ids::{CredentialId, DeliveryId, EventId, SessionId, TargetId, TenantId, UserId, WebhookId};
use serde::Serialize;
use serde_json::Value;

/// A fact that the hub tells others. Each kind has a JSON Schema of its payload in `schemas/`; a payload never
/// holds a secret.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// A session has begun.
    SessionStarted {
        /// Which.
        session_id: SessionId,
        /// Whose.
        user_id: UserId,
        /// Their name.
        user_name: String,
        /// Where to.
        target_id: TargetId,
        /// The target's name.
        target_name: String,
        /// As whom.
        credential_id: CredentialId,
        /// `ssh` or `rdp`.
        protocol: &'static str,
        /// Whether it is recorded.
        recorded: bool,
    },
    /// A session is over.
    SessionEnded {
        /// Which.
        session_id: SessionId,
        /// Whose.
        user_id: UserId,
        /// Their name.
        user_name: String,
        /// Where to; null when the target was removed meanwhile.
        target_id: Option<TargetId>,
        /// The target's name.
        target_name: String,
        /// `completed`, `failed` or `terminated`.
        status: &'static str,
        /// Stable code, where it did not end by itself.
        code: Option<&'static str>,
        /// The code that was told before, where this corrects it: a hub that was taken for dead says how it ended.
        #[serde(skip_serializing_if = "Option::is_none")]
        instead_of: Option<&'static str>,
        /// When it began.
        started_at: DateTime<Utc>,
        /// Bytes of input.
        bytes_sent: i64,
        /// Bytes of output.
        bytes_received: i64,
    },
    /// There is another account.
    UserCreated(UserFacts),
    /// An account was changed.
    UserUpdated {
        /// The account now.
        #[serde(flatten)]
        user: UserFacts,
        /// Names of what was changed.
        changed: Vec<&'static str>,
    },
    /// An account may no longer sign in, and was signed out everywhere.
    UserDisabled(UserFacts),
    /// An account was removed.
    UserDeleted {
        /// Which.
        user_id: UserId,
        /// Its name.
        username: String,
    },
    /// Somebody has signed in.
    UserSignedIn {
        /// Who.
        user_id: UserId,
        /// Their name.
        username: String,
        /// `local` or `oidc`.
        method: &'static str,
    },
    /// The ledger of the tenant has a signed head: who keeps it can tell later that the ledger was cut off.
    LedgerCheckpoint {
        /// The log's name.
        origin: String,
        /// Entries.
        size: u64,
        /// Root of their tree, base64.
        root: String,
        /// The signed checkpoint (C2SP tlog-checkpoint) as it is.
        note: String,
    },
}

/// An account, as others may know it.
#[derive(Debug, Clone, Serialize)]
pub struct UserFacts {
    /// Identifier.
    pub user_id: UserId,
    /// Sign-in name.
    pub username: String,
    /// Name for people.
    pub display_name: String,
    /// `local`, `oidc` or `ldap`.
    pub source: &'static str,
    /// Whether it may sign in.
    pub enabled: bool,
    /// Direct roles and those of groups.
    pub roles: Vec<&'static str>,
}

/// A type of event, with the schema of its payload.
#[derive(Debug, Clone, Copy)]
pub struct EventType {
    /// Dotted name.
    pub name: &'static str,
    /// Version of the schema.
    pub version: i32,
    /// JSON Schema (2020-12).
    pub schema: &'static str,
}

macro_rules! event_types {
    ($($constant:ident = $name:literal),* $(,)?) => {
        $(const $constant: EventType =
            EventType { name: $name, version: 1, schema: include_str!(concat!("schemas/", $name, ".json")) };)*

        /// Every type that the hub publishes.
        pub const fn event_types() -> &'static [EventType] {
            &[$($constant),*]
        }
    };
}

event_types! {
    SESSION_STARTED = "openpam.session.started",
    SESSION_ENDED = "openpam.session.ended",
    USER_CREATED = "openpam.user.created",
    USER_UPDATED = "openpam.user.updated",
    USER_DISABLED = "openpam.user.disabled",
    USER_DELETED = "openpam.user.deleted",
    USER_SIGNED_IN = "openpam.user.signed_in",
    LEDGER_CHECKPOINT = "openpam.ledger.checkpoint",
}

/// The type of an event that an administrator sends to try a subscriber. It is not published.
pub const TEST_TYPE: &str = "openpam.test";

/// Types that only the hub publishes begin so.
const OWN_FAMILY: &str = "openpam.";
/// But for these, which programs beside it tell of.
const OPEN_FAMILY: &str = "openpam.automation.";
/// What the sources of the hub's own events begin with.
const OWN_SOURCES: &str = "openpam/";

impl Event {
    /// Its type.
    pub fn event_type(&self) -> EventType {
        match self {
            Self::SessionStarted { .. } => SESSION_STARTED,
            Self::SessionEnded { .. } => SESSION_ENDED,
            Self::UserCreated(_) => USER_CREATED,
            Self::UserUpdated { .. } => USER_UPDATED,
            Self::UserDisabled(_) => USER_DISABLED,
            Self::UserDeleted { .. } => USER_DELETED,
            Self::UserSignedIn { .. } => USER_SIGNED_IN,
            Self::LedgerCheckpoint { .. } => LEDGER_CHECKPOINT,
        }
    }

    /// The part of the hub that tells it.
    pub fn source(&self) -> &'static str {
        match self {
            Self::SessionStarted { .. } | Self::SessionEnded { .. } => "openpam/sessions",
            Self::LedgerCheckpoint { .. } => "openpam/ledger",
            _ => "openpam/identity",
        }
    }

    /// What it is about.
    pub fn subject(&self) -> String {
        match self {
            Self::SessionStarted { session_id, .. } | Self::SessionEnded { session_id, .. } => {
                format!("sessions/{session_id}")
            }
            Self::UserCreated(user) | Self::UserUpdated { user, .. } | Self::UserDisabled(user) => {
                format!("users/{}", user.user_id)
            }
            Self::LedgerCheckpoint { size, .. } => format!("checkpoints/{size}"),
            Self::UserDeleted { user_id, .. } | Self::UserSignedIn { user_id, .. } => format!("users/{user_id}"),
        }
    }
}

/// How far something was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Not everywhere yet.
    Pending,
    /// Everywhere.
    Succeeded,
    /// Not, after the last attempt: a dead letter.
    Failed,
}

impl DeliveryState {
    /// The name in the database and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    pub(super) fn from_name(name: &str) -> Self {
        match name {
            "succeeded" => Self::Succeeded,
            "failed" => Self::Failed,
            _ => Self::Pending,
        }
    }
}

/// An event as it stands in the outbox.
#[derive(Debug, Clone)]
pub struct Published {
    /// Identifier: consumers do nothing twice for the same.
    pub id: EventId,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// Dotted name.
    pub event_type: String,
    /// Who tells it.
    pub source: String,
    /// What it is about.
    pub subject: Option<String>,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// What it belongs to.
    pub correlation_id: Option<String>,
    /// Version of its payload's schema.
    pub schema_version: i32,
    /// The fact.
    pub payload: Value,
    /// Who acted, under which request.
    pub context: Value,
    /// How far it was delivered: `pending`, `succeeded` or `failed`.
    pub delivery_state: String,
    /// Attempts to deliver it, of all subscribers.
    pub delivery_attempts: i32,
    /// Why the last attempt that went wrong did.
    pub last_error: Option<String>,
}

/// Which events a list shows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Exact type, or a prefix that ends with a dot.
    pub event_type: Option<String>,
    /// Exact source.
    pub source: Option<String>,
    /// Exact subject.
    pub subject: Option<String>,
    /// Exact correlation.
    pub correlation_id: Option<String>,
    /// How far it was delivered.
    pub state: Option<DeliveryState>,
    /// From this moment on.
    pub from: Option<DateTime<Utc>>,
    /// Before this moment.
    pub to: Option<DateTime<Utc>>,
}

/// One event on its way to one subscriber.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Identifier.
    pub id: DeliveryId,
    /// `webhook`, `nats` or `sns`.
    pub subscriber: String,
    /// Which webhook.
    pub webhook_id: Option<WebhookId>,
    /// `pending`, `succeeded` or `failed`.
    pub state: String,
    /// Attempts until now.
    pub attempts: i32,
    /// When it is tried again.
    pub next_attempt_at: DateTime<Utc>,
    /// When it was tried last.
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// The last HTTP status.
    pub last_status: Option<i32>,
    /// Why the last attempt went wrong.
    pub last_error: Option<String>,
    /// When it was done.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Who gets events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subscriber {
    /// An address of a tenant.
    Webhook(WebhookId),
    /// The installation's NATS.
    Nats,
    /// The installation's topic of Amazon SNS.
    Sns,
}

impl Subscriber {
    /// The kind's name in the database.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Nats => "nats",
            Self::Sns => "sns",
        }
    }

    /// The webhook, where it is one.
    pub const fn webhook(self) -> Option<WebhookId> {
        match self {
            Self::Webhook(id) => Some(id),
            Self::Nats | Self::Sns => None,
        }
    }
}

/// A subscriber with what it wants.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Who.
    pub subscriber: Subscriber,
    /// Exact types, prefixes that end with `.*`, or `*`.
    pub event_types: Vec<String>,
}

/// A subscriber for whom a delivery is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Due {
    /// Its tenant.
    pub tenant_id: TenantId,
    /// Who.
    pub subscriber: Subscriber,
}

/// Whether one of the patterns is for the type.
pub fn matches(patterns: &[String], event_type: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        // `openpam.*` is not for `openpamx.y`, and `*` is for everything.
        Some(prefix) => event_type.starts_with(prefix),
        None => pattern == event_type,
    })
}

/// Whether the text can be a type: words with dots between them.
pub fn is_type(text: &str) -> bool {
    let word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    text.len() <= 128 && text.contains('.') && text.split('.').all(word)
}

/// Whether the text can be a pattern of [`matches`].
pub fn is_pattern(text: &str) -> bool {
    match text.strip_suffix('*') {
        None => is_type(text),
        Some("") => true,
        Some(prefix) => prefix.strip_suffix('.').is_some_and(|prefix| is_type(&format!("{prefix}.x"))),
    }
}

/// Whether only the hub itself may publish under this type, or as this source.
pub fn is_reserved(event_type: &str, source: &str) -> bool {
    (event_type.starts_with(OWN_FAMILY) && !event_type.starts_with(OPEN_FAMILY))
        || source == OWN_SOURCES.trim_end_matches('/')
        || source.starts_with(OWN_SOURCES)
}

/// How long to wait after an attempt that went wrong.
#[derive(Debug, Clone, Copy)]
pub struct BackOff {
    /// Longest pause after the first attempt; it doubles with each.
    pub base: Duration,
    /// Longest pause at all.
    pub most: Duration,
}

impl BackOff {
    /// A random part (`random` of `u32::MAX`) of the longest pause after so many attempts: many that failed
    /// together do not come back together.
    pub fn after(self, attempts: u32, random: u32) -> Duration {
        let longest = self.base.saturating_mul(1_u32 << attempts.saturating_sub(1).min(30)).min(self.most);
        longest.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Event> {
        let id = uuid::Uuid::from_u128(1);
        let user = || UserFacts {
            user_id: id.into(),
            username: "ada".to_owned(),
            display_name: "Ada".to_owned(),
            source: "local",
            enabled: true,
            roles: vec!["admin"],
        };
        vec![
            Event::SessionStarted {
                session_id: id.into(),
                user_id: id.into(),
                user_name: "ada".to_owned(),
                target_id: id.into(),
                target_name: "db".to_owned(),
                credential_id: id.into(),
                protocol: "ssh",
                recorded: true,
            },
            Event::SessionEnded {
                session_id: id.into(),
                user_id: id.into(),
                user_name: "ada".to_owned(),
                target_id: None,
                target_name: "db".to_owned(),
                status: "terminated",
                code: Some("idle_timeout"),
                instead_of: None,
                started_at: DateTime::UNIX_EPOCH,
                bytes_sent: 1,
                bytes_received: 2,
            },
            Event::UserCreated(user()),
            Event::UserUpdated { user: user(), changed: vec!["roles"] },
            Event::UserDisabled(user()),
            Event::UserDeleted { user_id: id.into(), username: "ada".to_owned() },
            Event::UserSignedIn { user_id: id.into(), username: "ada".to_owned(), method: "oidc" },
            Event::LedgerCheckpoint {
                origin: "pam.example.com/ledger/tenants/00000000-0000-0000-0000-000000000001".to_owned(),
                size: 7,
                root: "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=".to_owned(),
                note: "the text\n\n\u{2014} and its signature\n".to_owned(),
            },
        ]
    }

    #[test]
    fn what_is_published_is_what_its_schema_describes() {
        let samples = samples();
        let published = samples.iter().map(|event| event.event_type().name).collect::<Vec<_>>();
        let known = event_types().iter().map(|one| one.name).collect::<Vec<_>>();
        assert_eq!(published, known, "a sample of each type");
        for event in samples {
            let of = event.event_type();
            let schema: Value = serde_json::from_str(of.schema).unwrap();
            assert_eq!(schema["$id"], format!("urn:openpam:event:{}:{}", of.name, of.version));
            assert_eq!(schema["additionalProperties"], false, "{}", of.name);
            let mut payload = serde_json::to_value(&event).unwrap();
            let validator = jsonschema::validator_for(&schema).unwrap();
            let wrong = validator.iter_errors(&payload).map(|error| error.to_string()).collect::<Vec<_>>();
            assert!(wrong.is_empty(), "{}: {wrong:?}", of.name);
            // Nothing more, and nothing less than what is there.
            let fields = payload.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            for field in fields {
                let value = payload.as_object_mut().unwrap().remove(&field).unwrap();
                assert!(!validator.is_valid(&payload), "{} without {field}", of.name);
                payload[&field] = value;
            }
            payload["unknown"] = true.into();
            assert!(!validator.is_valid(&payload), "{} with more", of.name);
            assert!(is_type(of.name) && is_reserved(of.name, "elsewhere"), "{}", of.name);
        }
    }

    #[test]
    fn patterns_are_exact_or_end_with_a_star() {
        let of = |patterns: &[&str], event_type| {
            matches(&patterns.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>(), event_type)
        };
        assert!(of(&["*"], "a.b") && of(&["a.*"], "a.b") && of(&["a.b"], "a.b") && of(&["x.y", "a.*"], "a.b.c"));
        assert!(!of(&["a.b"], "a.bc") && !of(&["a.*"], "ab.c") && !of(&[], "a.b"));
        for good in ["*", "openpam.*", "openpam.session.*", "openpam.session.started", "a.b_2"] {
            assert!(is_pattern(good), "{good}");
        }
        for bad in ["", "openpam", "open*", "*.started", "a.*.b", "A.b", "a..b", "a.b*", ".*", "a. b"] {
            assert!(!is_pattern(bad), "{bad}");
        }
    }

    #[test]
    fn the_hubs_own_facts_cannot_be_claimed_by_others() {
        for (event_type, source) in [
            ("openpam.session.started", "ci"),
            ("openpam.user.anything", "ci"),
            ("openpam.test", "ci"),
            ("openpam.sessions.started", "ci"),
            ("build.done", "openpam/sessions"),
            ("build.done", "openpam"),
        ] {
            assert!(is_reserved(event_type, source), "{event_type} of {source}");
        }
        for (event_type, source) in [("build.done", "ci"), ("openpam.automation.started", "openpam-automation")] {
            assert!(!is_reserved(event_type, source), "{event_type} of {source}");
        }
    }

    #[test]
    fn a_pause_doubles_up_to_its_end_and_is_a_random_part_of_it() {
        let back_off = BackOff { base: Duration::from_secs(5), most: Duration::from_secs(3_600) };
        let longest = |attempts| back_off.after(attempts, u32::MAX).as_secs();
        assert_eq!([1, 2, 3, 11, 60].map(longest), [5, 10, 20, 3_600, 3_600]);
        assert_eq!(back_off.after(3, 0), Duration::ZERO);
        assert_eq!(back_off.after(3, u32::MAX / 2).as_secs(), 9);
    }
}
