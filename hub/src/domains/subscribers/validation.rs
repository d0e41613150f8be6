//! What the fields of a webhook must look like.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use ipnetwork::IpNetwork;
use url::{Host, Url};

use super::types::WebhookFields;
use crate::{addresses, config::Config, domains::events::is_pattern, http::FieldError};

const MAX_NAME: usize = 200;
const MAX_DESCRIPTION: usize = 2_000;
const MAX_URL: usize = 2_000;
const MAX_TYPES: usize = 50;

/// Where webhooks may lead.
#[derive(Debug, Clone)]
pub(super) struct Destinations {
    exceptions: Arc<[IpNetwork]>,
    loopback: bool,
}

impl Destinations {
    pub(super) fn new(config: &Config) -> Self {
        Self { exceptions: config.targets.address_exceptions.clone().into(), loopback: config.events.webhook_loopback }
    }

    /// What the address is, when no webhook may lead there.
    pub(super) fn refused(&self, address: IpAddr) -> Option<&'static str> {
        addresses::refused(address, &self.exceptions)
            .or_else(|| (!self.loopback && addresses::is_loopback(address)).then_some("the hub's own machine"))
    }
}

/// Trims and checks a webhook.
pub(super) fn webhook(fields: &mut WebhookFields, destinations: &Destinations) -> Vec<FieldError> {
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
    match address(fields.url.trim(), destinations) {
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
fn address(text: &str, destinations: &Destinations) -> Result<Url, (&'static str, String)> {
    let malformed = |message: &str| ("malformed", message.to_owned());
    let url = Url::parse(text).map_err(|_| malformed("must be a URL, such as https://example.com/hook"))?;
    if text.len() > MAX_URL || url.as_str().len() > MAX_URL {
        return Err(("too_long", format!("may have {MAX_URL} characters at the most")));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(malformed("must not have a user name, a password or a fragment"));
    }
    if url.host().is_none() {
        return Err(malformed("must name a host"));
    }
    if let Some(what) = literal(&url).and_then(|address| destinations.refused(address)) {
        let message = format!("must not have this address: it is {what}, and the configuration does not allow it");
        return Err(("target_address_refused", message));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if destinations.loopback && is_loopback(&url) => Ok(url),
        "http" if destinations.loopback => {
            Err(malformed("must begin with https://; plain http is for this machine only"))
        }
        _ => Err(malformed("must begin with https://")),
    }
}

/// The address, where the URL has one instead of a name.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// Whether the URL's host is this machine, by its text.
pub(super) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(addresses::is_this_machine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destinations(loopback: bool, exceptions: &[&str]) -> Destinations {
        let exceptions = exceptions.iter().map(|network| network.parse().unwrap()).collect();
        Destinations { exceptions, loopback }
    }

    #[test]
    fn events_go_over_https_or_to_this_machine_and_nowhere_that_no_target_may_be() {
        for good in [
            "https://example.com/hook?a=b",
            "https://10.0.0.1:8443/",
            "http://localhost:9000/x",
            "http://127.0.0.1/",
            "http://[::1]:1/",
        ] {
            assert!(address(good, &destinations(true, &[])).is_ok(), "{good}");
        }
        for bad in ["http://localhost:9000/x", "http://127.0.0.1/", "https://127.0.0.1/", "https://[::ffff:7f00:1]/"] {
            assert!(address(bad, &destinations(false, &[])).is_err(), "{bad}");
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
            assert_eq!(address(bad, &destinations(true, &[])).err().map(|(code, _)| code), Some(code), "{bad}");
        }
        assert!(address("https://169.254.10.1/", &destinations(false, &["169.254.10.0/24"])).is_ok());
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
        let errors = webhook(&mut fields, &destinations(false, &[]));
        assert_eq!(errors.iter().map(|error| &*error.field).collect::<Vec<_>>(), ["name", "url", "event_types"]);
    }
}
