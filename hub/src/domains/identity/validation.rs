//! What the fields of people, groups and accounts must look like.

use chrono::{DateTime, TimeDelta, Utc};

use super::IdentityError;
use crate::{http::FieldError, permissions::Permission};

const MAX_NAME: usize = 200;
const MAX_DESCRIPTION: usize = 2_000;
/// How long an API token may live.
const MAX_TOKEN_LIFETIME: TimeDelta = TimeDelta::days(366);

/// Collects every mistake of a request.
#[derive(Default)]
pub(super) struct Mistakes(Vec<FieldError>);

impl Mistakes {
    pub(super) fn add(&mut self, field: &'static str, code: &'static str, message: impl Into<String>) {
        self.0.push(FieldError { field: field.into(), code: code.into(), message: message.into() });
    }

    /// A required name on one line; trimmed.
    pub(super) fn name(&mut self, field: &'static str, name: &str) -> String {
        let name = name.trim();
        match name.chars().count() {
            0 => self.add(field, "required", "is required"),
            1..=MAX_NAME if name.chars().any(char::is_control) => {
                self.add(field, "malformed", "must not contain control characters");
            }
            1..=MAX_NAME => {}
            _ => self.add(field, "too_long", format!("may have {MAX_NAME} characters at the most")),
        }
        name.to_owned()
    }

    pub(super) fn description(&mut self, description: &str) -> String {
        let description = description.trim();
        if description.chars().count() > MAX_DESCRIPTION {
            self.add("description", "too_long", format!("may have {MAX_DESCRIPTION} characters at the most"));
        } else if description.contains('\0') {
            self.add("description", "malformed", "must not contain NUL");
        }
        description.to_owned()
    }

    /// An optional e-mail address; empty means none.
    pub(super) fn email(&mut self, email: Option<&str>) -> Option<String> {
        let email = email.map(str::trim).filter(|email| !email.is_empty())?;
        let plausible = email.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
            && email.len() <= MAX_NAME
            && !email.chars().any(|character| character.is_control() || character.is_whitespace());
        if !plausible {
            self.add("email", "malformed", "must be an e-mail address");
        }
        Some(email.to_owned())
    }

    pub(super) fn scopes(&mut self, scopes: &[String]) {
        let known = |scope: &String| Permission::ALL.iter().any(|permission| permission.name() == scope);
        if let Some(unknown) = scopes.iter().position(|scope| !known(scope)) {
            self.add("scopes", "unknown", format!("number {} is not a permission", unknown + 1));
        }
    }

    pub(super) fn token_end(&mut self, expires_at: DateTime<Utc>, now: DateTime<Utc>) {
        if expires_at <= now || expires_at > now + MAX_TOKEN_LIFETIME {
            self.add("expires_at", "out_of_range", "must be in the future, within a year");
        }
    }

    pub(super) fn finish(self) -> Result<(), IdentityError> {
        if self.0.is_empty() { Ok(()) } else { Err(IdentityError::Invalid(self.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(check: impl FnOnce(&mut Mistakes)) -> Vec<String> {
        let mut mistakes = Mistakes::default();
        check(&mut mistakes);
        mistakes.0.into_iter().map(|error| format!("{}:{}", error.field, error.code)).collect()
    }

    #[test]
    fn a_name_is_one_line_and_not_empty() {
        assert!(codes(|m| assert_eq!(m.name("name", " ada "), "ada")).is_empty());
        assert_eq!(codes(|m| drop(m.name("name", "  "))), ["name:required"]);
        assert_eq!(codes(|m| drop(m.name("name", "a\nb"))), ["name:malformed"]);
        assert_eq!(codes(|m| drop(m.name("name", &"x".repeat(201)))), ["name:too_long"]);
    }

    #[test]
    fn a_token_ends_within_a_year_and_has_known_scopes() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        assert!(codes(|m| m.token_end(now + TimeDelta::days(365), now)).is_empty());
        assert_eq!(codes(|m| m.token_end(now, now)), ["expires_at:out_of_range"]);
        assert_eq!(codes(|m| m.token_end(now + TimeDelta::days(367), now)), ["expires_at:out_of_range"]);
        assert!(codes(|m| m.scopes(&["audit.read".to_owned()])).is_empty());
        assert_eq!(codes(|m| m.scopes(&["everything".to_owned()])), ["scopes:unknown"]);
    }

    #[test]
    fn an_e_mail_address_is_plausible_or_absent() {
        assert!(codes(|m| assert_eq!(m.email(Some(" ")), None)).is_empty());
        assert!(codes(|m| drop(m.email(Some("ada@corp.test")))).is_empty());
        assert_eq!(codes(|m| drop(m.email(Some("ada")))), ["email:malformed"]);
    }
}
