//! Amazon SNS: every event is published to a topic, as a CloudEvent with attributes to filter by.

use std::time::Duration;

use serde::Deserialize;
use url::form_urlencoded::Serializer;

use super::{envelope, sender::Attempt};
use crate::{aws::Service, config::Aws, domains::events::Published};

/// How long an attempt may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
const VERSION: &str = "2010-03-31";

/// The topic.
pub(super) struct Sns {
    service: Service,
    topic: String,
}

/// What SNS says when it refuses.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorResponse {
    error: Refusal,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    code: String,
}

impl Sns {
    pub(super) fn new(config: &Aws, topic: &str) -> anyhow::Result<Self> {
        Ok(Self { service: Service::new("sns", config, TIMEOUT)?, topic: topic.to_owned() })
    }

    /// Publishes an event once.
    pub(super) async fn publish(&self, event: &Published) -> Attempt {
        let form = form(&self.topic, event);
        let answer = match self.service.post("application/x-www-form-urlencoded", &[], form).await {
            Ok(answer) => answer,
            Err(error) => return Attempt { status: None, error: Some(format!("SNS: {error}")) },
        };
        let error = (!answer.status.is_success()).then(|| {
            let refusal = quick_xml::de::from_str::<ErrorResponse>(&String::from_utf8_lossy(&answer.body));
            let code = refusal.map(|refusal| refusal.error.code).unwrap_or_default();
            format!("SNS answered {} {code}", answer.status).trim_end().to_owned()
        });
        Attempt { status: Some(answer.status.as_u16()), error }
    }
}

fn form(topic: &str, event: &Published) -> String {
    let id = event.id.to_string();
    let tenant = event.tenant_id.to_string();
    let mut form = Serializer::new(String::new());
    form.append_pair("Action", "Publish").append_pair("Version", VERSION).append_pair("TopicArn", topic);
    form.append_pair("Message", &envelope::cloud_event(event).to_string());
    let attributes = [
        ("event_id", id.as_str()),
        ("event_type", &event.event_type),
        ("source", &event.source),
        ("tenant_id", &tenant),
    ];
    for (number, (name, value)) in (1..).zip(attributes) {
        let entry = format!("MessageAttributes.entry.{number}");
        form.append_pair(&format!("{entry}.Name"), name);
        form.append_pair(&format!("{entry}.Value.DataType"), "String");
        form.append_pair(&format!("{entry}.Value.StringValue"), value);
    }
    // A topic that keeps the order also keeps one of those with the same id that come within five minutes.
    if topic.ends_with(".fifo") {
        form.append_pair("MessageGroupId", &tenant).append_pair("MessageDeduplicationId", &id);
    }
    form.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Published {
        Published {
            id: uuid::Uuid::from_u128(7).into(),
            tenant_id: uuid::Uuid::from_u128(1).into(),
            event_type: "build.done".to_owned(),
            source: "ci&x".to_owned(),
            subject: None,
            occurred_at: chrono::DateTime::UNIX_EPOCH,
            correlation_id: None,
            schema_version: 1,
            payload: serde_json::json!({ "text": "a=b&c" }),
            context: serde_json::json!({}),
            delivery_state: "pending".to_owned(),
            delivery_attempts: 0,
            last_error: None,
        }
    }

    #[test]
    fn an_event_is_a_message_with_attributes_and_an_id_where_the_topic_wants_one() {
        let fields = |topic: &str| {
            let form = form(topic, &event());
            url::form_urlencoded::parse(form.as_bytes()).into_owned().collect::<std::collections::BTreeMap<_, _>>()
        };
        let plain = fields("arn:aws:sns:eu-central-1:1:events");
        assert_eq!(plain["MessageAttributes.entry.3.Value.StringValue"], "ci&x");
        let message: serde_json::Value = serde_json::from_str(&plain["Message"]).unwrap();
        assert_eq!(message["data"]["text"], "a=b&c");
        assert!(!plain.contains_key("MessageGroupId"));
        let ordered = fields("arn:aws:sns:eu-central-1:1:events.fifo");
        assert_eq!(ordered["MessageDeduplicationId"], event().id.to_string());
    }
}
