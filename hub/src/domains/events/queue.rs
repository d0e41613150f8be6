//! Amazon SQS: what other systems put into a queue becomes events, once each, with an entry in the trail.
//!
//! INVARIANT: a message is deleted only after its event was committed. What cannot be taken is left to the queue's
//! redrive policy.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    error::EventsError,
    service::{self, Ingested},
};
use crate::{
    aws::{Answer, Service},
    config::Aws,
    context::Context,
    http::FieldError,
    state::Hub,
};

/// How long the queue may take to answer while nothing is in it, in seconds: as long as it lets one wait.
const WAIT_SECONDS: u32 = 20;
const TIMEOUT: Duration = Duration::from_secs(30);
/// Messages that are taken together, which is as many as a queue gives.
const TOGETHER: u32 = 10;
/// After something went wrong.
const RETRY: Duration = Duration::from_secs(5);
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// The queue.
pub(super) struct Queue {
    service: Service,
    url: String,
    tenant: String,
}

#[derive(Debug, Deserialize)]
struct Received {
    #[serde(default, rename = "Messages")]
    messages: Vec<Message>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    message_id: String,
    receipt_handle: String,
    body: String,
}

impl Queue {
    /// The queue of the configuration, where there is one.
    ///
    /// # Errors
    /// When the client refuses the configuration.
    pub(super) fn of(config: Option<&Aws>) -> anyhow::Result<Option<Self>> {
        let Some((aws, url, tenant)) =
            config.and_then(|aws| Some((aws, aws.sqs_queue_url.clone()?, aws.sqs_tenant.clone()?)))
        else {
            return Ok(None);
        };
        Ok(Some(Self { service: Service::new("sqs", aws, TIMEOUT)?, url, tenant }))
    }

    /// Takes what is in the queue until the hub ends.
    pub(super) async fn run(&self, hub: &Hub) {
        let mut failing = false;
        while !hub.lifecycle().is_ending() {
            let outcome = tokio::select! {
                // Cut off, messages stay in the queue, and a repeat finds the event.
                outcome = self.take(hub) => outcome,
                () = hub.lifecycle().soft().cancelled() => return,
            };
            if let (Err(error), false) = (&outcome, failing) {
                tracing::error!(%error, "events cannot be taken from the queue; trying again");
            }
            failing = outcome.is_err();
            if failing {
                let _ = tokio::time::timeout(RETRY, hub.lifecycle().soft().cancelled()).await;
            }
        }
    }

    async fn take(&self, hub: &Hub) -> Result<(), String> {
        let tenant = hub.db().tenant_by_slug(&self.tenant).await.map_err(|error| error.to_string())?;
        let tenant = tenant.ok_or_else(|| format!("there is no tenant {}: see aws.sqs_tenant", self.tenant))?;
        let ask = json!({
            "QueueUrl": self.url, "MaxNumberOfMessages": TOGETHER, "WaitTimeSeconds": WAIT_SECONDS,
        });
        let answer = self.ask("AmazonSQS.ReceiveMessage", &ask).await?;
        let received: Received = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        let context = Context::system(tenant, "sqs");
        let (mut done, mut failed) = (Vec::new(), None);
        for message in received.messages {
            let new = match parse(&message) {
                Ok(new) => new,
                Err(error) => {
                    tracing::warn!(message_id = message.message_id, %error, "a message of the queue is no event");
                    continue;
                }
            };
            match service::ingest(hub, &context, new).await {
                Ok(_) => done.push(message),
                Err(EventsError::Invalid(errors)) => {
                    let what = errors.iter().map(named).collect::<Vec<_>>().join(", ");
                    tracing::warn!(message_id = message.message_id, what, "a message of the queue is refused");
                }
                // The others must not wait for it, nor come again because of it.
                Err(error) => failed = Some(error.to_string()),
            }
        }
        if !done.is_empty() {
            self.delete(&done).await?;
        }
        failed.map_or(Ok(()), Err)
    }

    async fn delete(&self, done: &[Message]) -> Result<(), String> {
        let entries = done.iter().zip(0..).map(
            |(message, number): (_, u32)| json!({ "Id": number.to_string(), "ReceiptHandle": message.receipt_handle }),
        );
        let delete = json!({ "QueueUrl": self.url, "Entries": entries.collect::<Vec<_>>() });
        self.ask("AmazonSQS.DeleteMessageBatch", &delete).await?;
        Ok(())
    }

    async fn ask(&self, target: &'static str, body: &Value) -> Result<Answer, String> {
        let answer = self.service.post(CONTENT_TYPE, &[("x-amz-target", target)], body.to_string()).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let reason: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        Err(format!("{target} was answered with {} {}", answer.status, reason["__type"].as_str().unwrap_or_default()))
    }
}

/// The field and what is wrong with it: the message itself is nobody's business in the log.
fn named(error: &FieldError) -> String {
    format!("{} {}", error.field, error.code)
}

/// What a CloudEvent has in common with an event.
#[derive(Debug, Deserialize)]
struct CloudEvent {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    source: String,
    subject: Option<String>,
    time: Option<chrono::DateTime<chrono::Utc>>,
    #[serde(default)]
    data: Value,
}

/// A message's event: as the API takes it or a CloudEvent, alone or in what SNS wraps around it. Where nothing else
/// says which event it is, the message's id does.
fn parse(message: &Message) -> Result<Ingested, serde_json::Error> {
    let mut body: Value = serde_json::from_str(&message.body)?;
    if body["Type"] == "Notification"
        && let Some(inner) = body["Message"].as_str()
    {
        body = serde_json::from_str(inner)?;
    }
    let mut new = if body.get("specversion").is_some() {
        let event: CloudEvent = serde_json::from_value(body)?;
        Ingested {
            event_type: event.event_type,
            source: event.source,
            subject: event.subject,
            occurred_at: event.time,
            correlation_id: Some(event.id),
            schema_version: None,
            payload: event.data,
            context: None,
        }
    } else {
        serde_json::from_value::<Ingested>(body)?
    };
    new.correlation_id.get_or_insert_with(|| format!("sqs:{}", message.message_id));
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &Value) -> Result<Ingested, serde_json::Error> {
        let message_id = "5fea7756".to_owned();
        parse(&Message { message_id, receipt_handle: String::new(), body: body.to_string() })
    }

    #[test]
    fn an_event_is_read_as_the_api_takes_it_or_as_a_cloud_event_also_from_a_topic() {
        let plain = json!({ "event_type": "a.b", "source": "ci", "payload": { "x": 1 } });
        let new = read(&plain).unwrap();
        assert_eq!((new.event_type.as_str(), new.correlation_id.as_deref()), ("a.b", Some("sqs:5fea7756")));
        let cloud = json!({ "specversion": "1.0", "id": "7", "type": "a.b", "source": "ci", "data": { "x": 1 } });
        for body in [cloud.clone(), json!({ "Type": "Notification", "Message": cloud.to_string() })] {
            let new = read(&body).unwrap();
            assert_eq!((new.correlation_id.as_deref(), &new.payload["x"]), (Some("7"), &json!(1)));
        }
        for bad in [json!("text"), json!({ "event_type": "a.b" }), json!({ "Type": "Notification", "Message": "x" })] {
            assert!(read(&bad).is_err(), "{bad}");
        }
        let more = json!({ "event_type": "a.b", "source": "ci", "payload": {}, "unknown": 1 });
        assert!(read(&more).is_err(), "a field that nobody knows is a mistake");
    }
}
