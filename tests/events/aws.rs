//! Amazon SNS and SQS, as a server that speaks like them: each event is in the topic, and what is in the queue becomes
//! an event once, whoever is killed.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, ensure};
use openpam_tests::{HubOptions, Stack, World, eventually, unique};
use serde_json::{Value, json};

use super::{publish, state_becomes};

/// The server, as another program than the hub uses it. It checks no signature.
struct Aws {
    endpoint: String,
    region: String,
    client: reqwest::Client,
}

impl Aws {
    fn of(stack: &Stack) -> Self {
        let (endpoint, region) = (stack.servers.s3.endpoint.clone(), stack.servers.s3.region.clone());
        Self { endpoint, region, client: reqwest::Client::new() }
    }

    fn request(&self, service: &str) -> reqwest::RequestBuilder {
        let credential = format!("openpam/20261128/{}/{service}/aws4_request", self.region);
        let signed = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0");
        self.client.post(format!("{}/", self.endpoint)).header("authorization", signed)
    }

    async fn sqs(&self, action: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.request("sqs").header("x-amz-target", format!("AmazonSQS.{action}"));
        let answer = request.header("content-type", "application/x-amz-json-1.0").body(body.to_string()).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{action}: {status} {text}");
        if text.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) }
    }

    async fn sns(&self, fields: &[(&str, &str)]) -> anyhow::Result<String> {
        let answer = self.request("sns").form(fields).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{status} {text}");
        Ok(text)
    }

    /// A queue whose messages are there again two seconds after somebody took them: its URL.
    async fn queue(&self) -> anyhow::Result<String> {
        let body = json!({ "QueueName": unique("openpam-test"), "Attributes": { "VisibilityTimeout": "2" } });
        let made = self.sqs("CreateQueue", &body).await?;
        Ok(made["QueueUrl"].as_str().context("no QueueUrl")?.to_owned())
    }

    async fn attribute(&self, queue: &str, name: &str) -> anyhow::Result<String> {
        let body = json!({ "QueueUrl": queue, "AttributeNames": ["All"] });
        let got = self.sqs("GetQueueAttributes", &body).await?;
        Ok(got["Attributes"][name].as_str().context("no such attribute")?.to_owned())
    }

    /// Messages in the queue, taken ones too.
    async fn left(&self, queue: &str) -> anyhow::Result<u64> {
        let visible = self.attribute(queue, "ApproximateNumberOfMessages").await?.parse::<u64>()?;
        Ok(visible + self.attribute(queue, "ApproximateNumberOfMessagesNotVisible").await?.parse::<u64>()?)
    }

    async fn send(&self, queue: &str, body: &Value) -> anyhow::Result<()> {
        self.sqs("SendMessage", &json!({ "QueueUrl": queue, "MessageBody": body.to_string() })).await?;
        Ok(())
    }

    /// A topic whose messages come into the queue: its ARN.
    async fn topic(&self, queue: &str) -> anyhow::Result<String> {
        let made = self.sns(&[("Action", "CreateTopic"), ("Name", &unique("openpam-test"))]).await?;
        let arn = made.split_once("<TopicArn>").and_then(|(_, rest)| rest.split_once("</TopicArn>"));
        let arn = arn.context("no TopicArn")?.0.to_owned();
        let endpoint = self.attribute(queue, "QueueArn").await?;
        let fields = [("Action", "Subscribe"), ("TopicArn", &arn), ("Protocol", "sqs"), ("Endpoint", &endpoint)];
        self.sns(&fields).await?;
        Ok(arn)
    }

    fn options(&self, keys: &[(&'static str, &str)]) -> HubOptions {
        let mut options = HubOptions::default();
        let common = [
            ("region", self.region.as_str()),
            ("endpoint", &self.endpoint),
            ("access_key_id", "openpam"),
            ("secret_access_key_file", concat!(env!("CARGO_MANIFEST_DIR"), "/events/secret_access_key")),
        ];
        for (key, value) in common.iter().chain(keys) {
            options.aws.insert(key, format!("{value:?}"));
        }
        options
    }
}

#[tokio::test]
async fn every_event_is_in_the_topic_with_what_it_can_be_filtered_by() -> anyhow::Result<()> {
    let aws = Aws::of(&Stack::load()?);
    let queue = aws.queue().await?;
    let topic = aws.topic(&queue).await?;
    let world = World::start(aws.options(&[("sns_topic_arn", &topic)])).await?;
    let event = publish(&world.admin, "build.done", &json!({ "number": 1 })).await?;
    let told = state_becomes(&world.admin, &event, "succeeded").await?;
    assert_eq!(
        (&told["deliveries"][0]["subscriber"], &told["deliveries"][0]["last_status"]),
        (&json!("sns"), &json!(200))
    );
    let ask = json!({ "QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1 });
    let notification = eventually("it comes out of the topic", Duration::from_secs(20), || async {
        let received = aws.sqs("ReceiveMessage", &ask).await?;
        for message in received["Messages"].as_array().into_iter().flatten() {
            let notification: Value = serde_json::from_str(message["Body"].as_str().unwrap_or_default())?;
            if notification["MessageAttributes"]["event_id"]["Value"] == event.as_str() {
                return Ok(Some(notification));
            }
        }
        Ok(None)
    })
    .await?;
    assert_eq!(notification["MessageAttributes"]["event_type"]["Value"], "build.done");
    let inner: Value = serde_json::from_str(notification["Message"].as_str().unwrap_or_default())?;
    assert_eq!((&inner["specversion"], &inner["data"]), (&json!("1.0"), &json!({ "number": 1 })));
    Ok(())
}

#[tokio::test]
async fn what_is_in_the_queue_becomes_an_event_once_whenever_a_hub_is_killed() -> anyhow::Result<()> {
    const MESSAGES: usize = 120;
    let aws = Aws::of(&Stack::load()?);
    let queue = aws.queue().await?;
    let mut options = aws.options(&[("sqs_queue_url", &queue)]);
    options.aws.insert("sqs_tenant", format!("{:?}", options.tenant));
    let poison = json!({ "event_type": "audit.entry", "source": "erp", "payload": { "text": "a\u{0}b" } });
    aws.send(&queue, &poison).await?;
    for number in 0..MESSAGES {
        let event = json!({ "event_type": "audit.entry", "source": "erp", "payload": { "number": number },
                            "correlation_id": format!("erp-{number}") });
        aws.send(&queue, &event).await?;
        if number % 10 == 0 {
            // The sender did not know whether it had arrived.
            aws.send(&queue, &event).await?;
        }
    }
    let forged = json!({ "event_type": "openpam.session.started", "source": "erp", "payload": {} });
    aws.send(&queue, &forged).await?;
    let mut world = World::start(options).await?;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.hub.kill().await?;
        world.hub = world.another_hub().await?;
    }
    let admin = world.admin.at(world.hub.url());
    eventually("all were taken but what is refused", Duration::from_secs(60), || async {
        Ok((aws.left(&queue).await? == 2).then_some(()))
    })
    .await?;
    let events = admin.list("/events?source=erp").await?;
    let numbers = events.iter().map(|event| event["payload"]["number"].to_string()).collect::<BTreeSet<_>>();
    assert_eq!((events.len(), numbers.len()), (MESSAGES, MESSAGES), "each is there once");
    ensure!(events.iter().all(|event| event["context"]["actor"]["type"] == "system"), "{}", events[0]);
    let trail = admin.list("/audit/entries?action=event.ingest").await?;
    assert_eq!(trail.len(), MESSAGES, "each has an entry in the trail");
    let refused = world.hub.wait_for_log(&["a message of the queue is refused", "event_type reserved"]).await?;
    ensure!(!refused.contains("payload"), "{refused}");
    world.hub.wait_for_log(&["a message of the queue is refused", "payload malformed"]).await?;
    Ok(())
}
