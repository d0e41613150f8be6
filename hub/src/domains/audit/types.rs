//! What an event is.

use chrono::{DateTime, Utc};
use ipnetwork::IpNetwork;
use openpam_ids::AuditEventId;
use serde_json::Value;
use uuid::Uuid;

/// How an act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was not allowed.
    Denied,
    /// It was allowed and went wrong.
    Failure,
}

impl Outcome {
    /// The name in the database and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Denied => "denied",
            Self::Failure => "failure",
        }
    }
}

/// The thing acted upon.
#[derive(Debug, Clone)]
pub struct Object {
    /// Kind, e.g. `target`.
    pub kind: &'static str,
    /// Identifier.
    pub id: Option<Uuid>,
    /// Its name at that time.
    pub name: String,
}

/// One fact for the trail, before it has an id and a time.
#[derive(Debug, Clone)]
pub struct Event {
    /// Dotted name, e.g. `target.create`.
    pub action: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// The thing acted upon.
    pub object: Option<Object>,
    /// Everything else worth knowing. Never a secret.
    pub detail: Value,
}

impl Event {
    /// A successful act.
    pub fn success(action: &'static str) -> Self {
        Self { action, outcome: Outcome::Success, object: None, detail: Value::Object(serde_json::Map::new()) }
    }

    /// An act that was refused.
    pub fn denied(action: &'static str) -> Self {
        Self { outcome: Outcome::Denied, ..Self::success(action) }
    }

    /// An act that went wrong.
    pub fn failure(action: &'static str) -> Self {
        Self { outcome: Outcome::Failure, ..Self::success(action) }
    }

    /// Names the thing acted upon.
    #[must_use]
    pub fn on(mut self, kind: &'static str, id: impl Into<Uuid>, name: impl Into<String>) -> Self {
        self.object = Some(Object { kind, id: Some(id.into()), name: name.into() });
        self
    }

    /// Adds one field of detail.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        if let Value::Object(fields) = &mut self.detail {
            fields.insert(key.to_owned(), value.into());
        }
        self
    }

    /// Says that a field was changed, and from what to what: `changes.field` becomes `[before, after]`.
    /// Nothing where both are the same. Never a secret.
    #[must_use]
    pub fn with_change(mut self, field: &str, before: impl Into<Value>, after: impl Into<Value>) -> Self {
        let (before, after) = (before.into(), after.into());
        if before != after
            && let Value::Object(fields) = &mut self.detail
            && let Value::Object(changes) = fields.entry("changes").or_insert_with(|| serde_json::json!({}))
        {
            changes.insert(field.to_owned(), Value::Array(vec![before, after]));
        }
        self
    }
}

/// Bytes of a detail as JSON from which on it is shortened: the table takes twice as much, and an act must not fail for
/// what somebody else made long.
const LONG: usize = 32 * 1024;

/// The longest text and the most items that stay, from the first attempt to the last.
const CUTS: [(usize, usize); 3] = [(4_000, 200), (500, 50), (100, 20)];

/// A detail that the trail takes, whatever is in it: without NUL, which PostgreSQL's text has not, and shortened where
/// it is too long.
pub(super) fn fitting(mut detail: Value) -> Value {
    cut(&mut detail, usize::MAX, usize::MAX);
    for (text, items) in CUTS {
        if detail.to_string().len() <= LONG {
            return detail;
        }
        cut(&mut detail, text, items);
    }
    if detail.to_string().len() <= LONG { detail } else { serde_json::json!({ "left_out": "too long to keep" }) }
}

fn cut(value: &mut Value, longest: usize, most: usize) {
    match value {
        Value::String(text) => {
            if text.contains('\0') {
                *text = text.replace('\0', "\u{fffd}");
            }
            if let Some((end, _)) = text.char_indices().nth(longest) {
                text.truncate(end);
                text.push('…');
            }
        }
        Value::Array(items) => {
            if let Some(more @ 1..) = items.len().checked_sub(most) {
                items.truncate(most);
                items.push(format!("… and {more} more").into());
            }
            items.iter_mut().for_each(|item| cut(item, longest, most));
        }
        Value::Object(fields) => fields.values_mut().for_each(|field| cut(field, longest, most)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// One event as it stands in the trail.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Identifier; sortable by time.
    pub id: AuditEventId,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// Kind of the actor.
    pub actor_type: String,
    /// The actor, where it has an identifier.
    pub actor_id: Option<Uuid>,
    /// The actor's name at that time.
    pub actor_name: String,
    /// Dotted name of the act.
    pub action: String,
    /// `success`, `denied` or `failure`.
    pub outcome: String,
    /// Kind of the thing acted upon.
    pub object_type: Option<String>,
    /// The thing acted upon.
    pub object_id: Option<Uuid>,
    /// Its name at that time.
    pub object_name: Option<String>,
    /// Finds the log lines.
    pub request_id: Option<String>,
    /// Where the request came from.
    pub client_ip: Option<IpNetwork>,
    /// Everything else.
    pub detail: Value,
}

/// Which entries a list shows.
#[derive(Debug, Clone, Default)]
pub struct EntryFilter {
    /// Exact action, or a prefix that ends with a dot.
    pub action: Option<String>,
    /// Not this action.
    pub without_action: Option<String>,
    /// Who.
    pub actor_id: Option<Uuid>,
    /// On what.
    pub object_id: Option<Uuid>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// From this moment on.
    pub from: Option<DateTime<Utc>>,
    /// Before this moment.
    pub to: Option<DateTime<Utc>>,
    /// Part of the actor's or the object's name, of the action or of the detail.
    pub text: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_detail_fits_whatever_is_in_it() {
        let plain = json!({ "code": "x", "ids": [1, 2], "nested": { "text": "ä" } });
        assert_eq!(fitting(plain.clone()), plain);
        let marked = json!({ "message": "a\u{fffd}b", "all": ["\u{fffd}"] });
        assert_eq!(fitting(json!({ "message": "a\0b", "all": ["\0"] })), marked);
        let ids = vec!["0".repeat(36); 3_000];
        let kept = fitting(json!({ "user": "u", "ids": ids }));
        assert_eq!((&kept["user"], kept["ids"].as_array().map(Vec::len)), (&json!("u"), Some(201)));
        assert_eq!(kept["ids"][200], "… and 2800 more");
        let groups = vec!["ö".repeat(200); 1_000];
        let kept = fitting(json!({ "changes": { "groups": [groups, groups] } }));
        assert!(kept.to_string().len() <= LONG, "{} bytes", kept.to_string().len());
        assert!(kept["changes"]["groups"][1].as_array().is_some_and(|all| all.len() > 10), "{kept}");
        let fields = (0..5_000).map(|number| (number.to_string(), json!("x".repeat(50))));
        let fields = fields.collect::<serde_json::Map<_, _>>();
        assert_eq!(fitting(Value::Object(fields)), json!({ "left_out": "too long to keep" }));
    }

    #[test]
    fn a_change_is_told_before_and_after_and_only_when_it_is_one() {
        let event = Event::success("user.update")
            .with_change("enabled", true, false)
            .with_change("name", "same", "same")
            .with_change("email", Value::Null, "a@example.com");
        assert_eq!(event.detail, json!({ "changes": { "enabled": [true, false], "email": [null, "a@example.com"] } }));
        assert_eq!(Event::success("x").with_change("a", 1, 1).detail, json!({}), "nothing changed");
    }
}
