//! What the fields of sites, zones and targets must look like.

use std::borrow::Cow;

use ipnetwork::IpNetwork;

use super::{
    error::TargetsError,
    types::{SiteFields, TargetFields, ZoneFields, ZoneType},
};
use crate::{addresses, http::FieldError};

const MAX_NAME: usize = 200;
const MAX_DESCRIPTION: usize = 2_000;
const MAX_TAGS: usize = 32;
const MAX_TAG: usize = 64;
const MAX_GROUPS: usize = 200;

#[derive(Default)]
struct Mistakes(Vec<FieldError>);

impl Mistakes {
    fn add(&mut self, field: &'static str, code: &'static str, message: impl Into<String>) {
        self.0.push(FieldError { field: Cow::Borrowed(field), code: Cow::Borrowed(code), message: message.into() });
    }

    fn name(&mut self, name: &mut String) {
        *name = name.trim().to_owned();
        match name.chars().count() {
            0 => self.add("name", "required", "is required"),
            1..=MAX_NAME if name.chars().any(char::is_control) => {
                self.add("name", "malformed", "must not contain control characters");
            }
            1..=MAX_NAME => {}
            _ => self.add("name", "too_long", format!("may have {MAX_NAME} characters at the most")),
        }
    }

    fn description(&mut self, description: &str) {
        if description.chars().count() > MAX_DESCRIPTION {
            self.add("description", "too_long", format!("may have {MAX_DESCRIPTION} characters at the most"));
        } else if description.contains('\0') {
            self.add("description", "malformed", "must not contain NUL");
        }
    }

    fn finish(self) -> Result<(), TargetsError> {
        if self.0.is_empty() { Ok(()) } else { Err(TargetsError::Invalid(self.0)) }
    }
}

/// Trims and checks a site.
pub(super) fn site(fields: &mut SiteFields) -> Result<(), TargetsError> {
    let mut mistakes = Mistakes::default();
    mistakes.name(&mut fields.name);
    mistakes.description(&fields.description);
    let code = fields.code.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !code.first().is_some_and(u8::is_ascii_alphanumeric) || code.len() > 63 || !code.iter().all(plain) {
        mistakes.add("code", "malformed", "must be 1 to 63 letters, digits, - and _, and begin with a letter or digit");
    }
    mistakes.finish()
}

/// Trims and checks a zone.
pub(super) fn zone(fields: &mut ZoneFields) -> Result<(), TargetsError> {
    let mut mistakes = Mistakes::default();
    mistakes.name(&mut fields.name);
    mistakes.description(&fields.description);
    match (fields.kind, fields.site_id) {
        (ZoneType::Satellite, None) => {
            mistakes.add("site_id", "required", "is required: its satellites serve the zone");
        }
        (ZoneType::Hub, Some(_)) => mistakes.add("site_id", "not_allowed", "is only for satellite zones"),
        _ => {}
    }
    mistakes.finish()
}

/// Trims and checks a target. Its host is left as it was where `known_host` says the same.
pub(super) fn target(
    fields: &mut TargetFields,
    known_host: Option<&str>,
    exceptions: &[IpNetwork],
) -> Result<(), TargetsError> {
    let mut mistakes = Mistakes::default();
    mistakes.name(&mut fields.name);
    mistakes.description(&fields.description);
    fields.host = fields.host.trim().to_owned();
    if fields.host.is_empty() {
        mistakes.add("host", "required", "is required");
    } else if !is_host(&fields.host) {
        mistakes.add("host", "malformed", "must be a host name or an IP address, without scheme, user or port");
    } else if known_host != Some(fields.host.as_str())
        && let Ok(address) = fields.host.parse()
        && let Some(what) = addresses::refused(address, exceptions)
    {
        let message =
            format!("must not be this address: it is {what}, and targets.address_exceptions does not name it");
        mistakes.add("host", "target_address_refused", message);
    }
    if fields.port == 0 {
        mistakes.add("port", "out_of_range", "must be between 1 and 65535");
    }
    for tag in &mut fields.tags {
        *tag = tag.trim().to_owned();
    }
    fields.tags.sort();
    fields.tags.dedup();
    if fields.tags.len() > MAX_TAGS {
        mistakes.add("tags", "too_many", format!("may be {MAX_TAGS} at the most"));
    }
    let is_tag =
        |tag: &String| (1..=MAX_TAG).contains(&tag.chars().count()) && !tag.chars().any(|c| c.is_control() || c == ',');
    if !fields.tags.iter().all(is_tag) {
        mistakes.add("tags", "malformed", format!("must each have 1 to {MAX_TAG} characters and no comma"));
    }
    fields.access_groups.sort();
    fields.access_groups.dedup();
    if fields.access_groups.len() > MAX_GROUPS {
        mistakes.add("group_ids", "too_many", format!("may be {MAX_GROUPS} at the most"));
    }
    mistakes.finish()
}

/// A name of RFC 1123 labels (underscores are tolerated, as resolvers do), or an address.
fn is_host(host: &str) -> bool {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    // All digits and dots is a mistyped address, not a name.
    name.len() <= 253 && name.split('.').all(label) && !name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_and_nothing_around_them() {
        for good in
            ["db-01", "db-01.example.com", "db.example.com.", "10.0.0.1", "::1", "fe80::1", "my_host", "1and1.de"]
        {
            assert!(is_host(good), "{good} should be accepted");
        }
        for bad in
            ["", " ", "a b", "ssh://a", "root@a", "a:22", "[::1]", "10.0.0.256", "1.2.3", "-a", "a..b", "a/b", "ä.de"]
        {
            assert!(!is_host(bad), "{bad} should be refused");
        }
    }

    #[test]
    fn a_zone_has_a_site_exactly_when_satellites_serve_it() {
        let mut fields =
            ZoneFields { name: " hub ".into(), description: String::new(), kind: ZoneType::Hub, site_id: None };
        assert!(zone(&mut fields).is_ok());
        assert_eq!(fields.name, "hub", "names are trimmed");
        fields.kind = ZoneType::Satellite;
        assert!(matches!(zone(&mut fields), Err(TargetsError::Invalid(errors)) if errors[0].field == "site_id"));
    }

    #[test]
    fn every_mistake_of_a_site_is_reported_at_once() {
        let mut fields = SiteFields { name: " ".into(), code: "no spaces".into(), description: "x".repeat(2_001) };
        let Err(TargetsError::Invalid(errors)) = site(&mut fields) else { panic!("the site should be refused") };
        assert_eq!(errors.iter().map(|error| &*error.field).collect::<Vec<_>>(), ["name", "description", "code"]);
    }
}
