//! What goes over the wire: CloudEvents 1.0 in JSON, signed as the Standard Webhooks specification 1.0 says.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use chrono::{DateTime, SecondsFormat, Utc};
use openpam_secret::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::domains::events::Published;

/// The media type of a CloudEvent in JSON.
pub(super) const CONTENT_TYPE: &str = "application/cloudevents+json";
/// What a webhook's secret begins with.
pub(super) const SECRET_PREFIX: &str = "whsec_";

/// The event as a CloudEvent (CloudEvents 1.0.2, JSON format 1.0.2 §3).
pub(super) fn cloud_event(event: &Published) -> Value {
    let mut envelope = json!({
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.event_type,
        "time": event.occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        "datacontenttype": "application/json",
        "dataschema": format!("urn:openpam:event:{}:{}", event.event_type, event.schema_version),
        "tenantid": event.tenant_id,
        "data": event.payload,
    });
    // Attributes without a value are left out (§3.1).
    let optional = [
        ("subject", event.subject.clone()),
        ("correlationid", event.correlation_id.clone()),
        ("actortype", event.context["actor"]["type"].as_str().map(str::to_owned)),
        ("actorid", event.context["actor"]["id"].as_str().map(str::to_owned)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            envelope[name] = value.into();
        }
    }
    envelope
}

/// The header `webhook-signature` of a message; `None` when the secret is none.
pub(super) fn signature(secret: &SecretString, id: &str, at: DateTime<Utc>, body: &[u8]) -> Option<String> {
    let encoded = secret.expose_secret().strip_prefix(SECRET_PREFIX)?;
    let key = Zeroizing::new(BASE64.decode(encoded).ok()?);
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
    context.update(format!("{id}.{}.", at.timestamp()).as_bytes());
    context.update(body);
    Some(format!("v1,{}", BASE64.encode(context.sign())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_specification() {
        // The example of the Standard Webhooks reference libraries.
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let at = DateTime::from_timestamp(1_614_265_330, 0).unwrap();
        let signed = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, br#"{"test": 2432232314}"#);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert!(signature(&SecretString::from("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "x", at, b"").is_none());
    }

    #[test]
    fn an_envelope_has_the_required_attributes_and_leaves_absent_ones_out() {
        let mut event = Published {
            id: uuid::Uuid::from_u128(7).into(),
            tenant_id: uuid::Uuid::from_u128(1).into(),
            event_type: "openpam.session.started".to_owned(),
            source: "openpam/sessions".to_owned(),
            subject: Some("sessions/7".to_owned()),
            occurred_at: DateTime::UNIX_EPOCH,
            correlation_id: None,
            schema_version: 1,
            payload: json!({ "session_id": "7" }),
            context: json!({ "actor": { "type": "system", "id": null } }),
            delivery_state: "pending".to_owned(),
            delivery_attempts: 0,
            last_error: None,
        };
        let envelope = cloud_event(&event);
        for (name, value) in [
            ("specversion", json!("1.0")),
            ("id", json!("00000000-0000-0000-0000-000000000007")),
            ("source", json!("openpam/sessions")),
            ("type", json!("openpam.session.started")),
            ("time", json!("1970-01-01T00:00:00.000000Z")),
            ("dataschema", json!("urn:openpam:event:openpam.session.started:1")),
            ("subject", json!("sessions/7")),
            ("actortype", json!("system")),
            ("data", json!({ "session_id": "7" })),
        ] {
            assert_eq!(envelope[name], value, "{name}");
        }
        event.subject = None;
        let envelope = cloud_event(&event);
        let names = envelope.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>();
        assert!(!names.contains(&"subject") && !names.contains(&"correlationid") && !names.contains(&"actorid"));
        // §3.1: lower-case letters and digits.
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())));
    }
}
