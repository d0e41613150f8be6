//! What the fields of a webhook must look like.

use std::{borrow::Cow, net::IpAddr};

use ipnetwork::IpNetwork;
use url::{Host, Url};

use super::types::WebhookFields;
use crate::{addresses, domains::events::is_pattern, http::FieldError};

const MAX_NAME: usize = 200;
const MAX_DESCRIPTION: usize = 2_000;
const MAX_URL: usize = 2_000;
const MAX_TYPES: usize = 50;

/// Trims and checks a webhook.
pub(super) fn webhook(fields: &mut WebhookFields, exceptions: &[IpNetwork]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut add = |field: &'static str, code: &'static str, message: String| {
        errors.push(FieldError { field: Cow::Borrowed(field), code: Cow::Borrowed(code), message });
    };
    fields.name = fields.name.trim().to_owned();
    match fields.name.chars().count() {
        0 => add("name", "required", "is required".to_owned()),
        1..=MAX_NAME if fields.name.chars().any(char::is_control) => {
            add("name", "malformed", "must not contain control characters".to_owned());
        }
        1..=MAX_NAME => {}
        _ => add("name", "too_long", format!("may have {MAX_NAME} characters at the most")),
    }
    if fields.description.chars().count() > MAX_DESCRIPTION {
        add("description", "too_long", format!("may have {MAX_DESCRIPTION} characters at the most"));
    }
    match address(fields.url.trim(), exceptions) {
        Ok(url) => fields.url = url.into(),
        Err((code, message)) => add("url", code, message),
    }
    fields.event_types.sort();
    fields.event_types.dedup();
    if fields.event_types.is_empty() {
        add("event_types", "required", "must name one type at least; * stands for all".to_owned());
    } else if fields.event_types.len() > MAX_TYPES {
        add("event_types", "too_many", format!("may be {MAX_TYPES} at the most"));
    } else if !fields.event_types.iter().all(|pattern| is_pattern(pattern)) {
        let message = "must be types such as openpam.session.started, families such as openpam.session.*, or *";
        add("event_types", "malformed", message.to_owned());
    }
    errors
}

/// The URL, if events may be sent there as far as the text tells. A name is judged when it is connected to.
fn address(text: &str, exceptions: &[IpNetwork]) -> Result<Url, (&'static str, String)> {
    let malformed = |message: &str| ("malformed", message.to_owned());
    let url = Url::parse(text).map_err(|_| malformed("must be a URL, such as https://example.com/hook"))?;
    if text.len() > MAX_URL || url.as_str().len() > MAX_URL {
        return Err(("too_long", format!("may have {MAX_URL} characters at the most")));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(malformed("must not have a user name, a password or a fragment"));
    }
    let address: Option<IpAddr> = match url.host() {
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
        Some(Host::Domain(_)) => None,
        None => return Err(malformed("must name a host")),
    };
    if let Some(what) = address.and_then(|address| addresses::refused(address, exceptions)) {
        let message =
            format!("must not have this address: it is {what}, and targets.address_exceptions does not name it");
        return Err(("target_address_refused", message));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(malformed("must begin with https://; plain http is for this machine only")),
        _ => Err(malformed("must begin with https://")),
    }
}

/// Whether the URL's host is this machine, by its text.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_go_over_https_or_to_this_machine_and_nowhere_that_no_target_may_be() {
        for good in [
            "https://example.com/hook?a=b",
            "https://10.0.0.1:8443/",
            "http://localhost:9000/x",
            "http://127.0.0.1/",
            "http://[::1]:1/",
        ] {
            assert!(address(good, &[]).is_ok(), "{good}");
        }
        for (bad, code) in [
            ("http://example.com/", "malformed"),
            ("http://10.0.0.1/", "malformed"),
            ("ftp://example.com/", "malformed"),
            ("https://user:pass@example.com/", "malformed"),
            ("https://example.com/#x", "malformed"),
            ("example.com", "malformed"),
            ("https://169.254.169.254/latest", "target_address_refused"),
            // A numeral is an address to whoever parses URLs.
            ("https://0xA9FEA9FE/", "target_address_refused"),
            ("https://[::ffff:169.254.169.254]/", "target_address_refused"),
            ("http://0.0.0.0:8200/", "target_address_refused"),
        ] {
            assert_eq!(address(bad, &[]).err().map(|(code, _)| code), Some(code), "{bad}");
        }
        assert!(address("https://169.254.10.1/", &["169.254.10.0/24".parse().unwrap()]).is_ok());
    }

    #[test]
    fn every_mistake_is_named() {
        let mut fields = WebhookFields {
            name: " ".to_owned(),
            description: String::new(),
            url: "x".to_owned(),
            event_types: vec!["Session".to_owned()],
            enabled: true,
        };
        let errors = webhook(&mut fields, &[]);
        assert_eq!(errors.iter().map(|error| &*error.field).collect::<Vec<_>>(), ["name", "url", "event_types"]);
    }
}
