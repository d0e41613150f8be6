//! Live updates of the console.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use http::{Method, StatusCode};
use openpam_tests::{Client, World, eventually, unique, world::id};
use serde_json::{Value, json};

use super::{SOON, publish};

/// A stream that is read as a browser reads it.
struct Stream {
    pieces: std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    text: String,
}

impl Stream {
    async fn open(client: &Client) -> anyhow::Result<Self> {
        let request = client.request(Method::GET, "/api/v1/events/stream").header("accept", "text/event-stream");
        let answer = request.send().await?;
        ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
        ensure!(answer.headers()["content-type"] == "text/event-stream", "{:?}", answer.headers());
        let mut stream = Self { pieces: Box::pin(answer.bytes_stream()), text: String::new() };
        let (name, _) = stream.next().await?.context("it ended at once")?;
        ensure!(name == "ready", "the first is {name}");
        Ok(stream)
    }

    /// The next event that is no comment: name and data; `None` at the end.
    async fn next(&mut self) -> anyhow::Result<Option<(String, Value)>> {
        loop {
            while let Some((one, rest)) = self.text.clone().split_once("\n\n") {
                self.text = rest.to_owned();
                let field = |name: &str| one.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                if let (Some(name), Some(data)) = (field("event:"), field("data:")) {
                    return Ok(Some((name.to_owned(), serde_json::from_str(data)?)));
                }
            }
            match self.pieces.next().await {
                Some(Ok(piece)) => self.text.push_str(std::str::from_utf8(&piece)?),
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }

    /// The next event of a type, within a time.
    async fn of_type(&mut self, event_type: &str) -> anyhow::Result<Value> {
        let found = async {
            loop {
                let (_, data) = self.next().await?.context("the stream ended")?;
                if data["event_type"] == event_type {
                    return anyhow::Ok(data);
                }
            }
        };
        tokio::time::timeout(SOON, found).await.with_context(|| format!("no {event_type} came"))?
    }
}

#[tokio::test]
async fn a_console_hears_of_sessions_and_a_person_of_their_own_alone() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let person = world.person(&[], &[&reachable.group_id]).await?;
    let other = world.person(&[], &[]).await?;
    let (mut all, mut own, mut nothing) =
        (Stream::open(&world.admin).await?, Stream::open(&person.client).await?, Stream::open(&other.client).await?);
    let terminal = reachable.open(&person.client).await?;
    let subject = format!("sessions/{}", terminal.session_id());
    for stream in [&mut all, &mut own] {
        let heard = stream.of_type("openpam.session.started").await?;
        assert_eq!(heard["subject"], subject.as_str());
    }
    let heard = tokio::time::timeout(Duration::from_secs(1), nothing.of_type("openpam.session.started")).await;
    ensure!(heard.is_err(), "somebody heard of another's session: {heard:?}");
    // Another tenant's administrator hears nothing of it either.
    let (_, theirs) = world.another_tenant().await?;
    let mut theirs = Stream::open(&theirs).await?;
    publish(&world.admin, "build.done", &json!({})).await?;
    all.of_type("build.done").await?;
    let heard = tokio::time::timeout(Duration::from_secs(1), theirs.of_type("build.done")).await;
    ensure!(heard.is_err(), "another tenant heard of it: {heard:?}");
    Ok(())
}

#[tokio::test]
async fn a_stream_ends_with_the_sign_in_and_a_program_has_none() -> anyhow::Result<()> {
    let world = World::default().await?;
    let person = world.person(&["auditor"], &[]).await?;
    let mut stream = Stream::open(&person.client).await?;
    world.admin.patch(&format!("/admin/users/{}", person.id), &json!({ "enabled": false })).await?;
    let ended = async {
        while stream.next().await?.is_some() {}
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(2), ended).await.context("it goes on")??;

    // Listening keeps nobody signed in.
    let person = world.person(&["auditor"], &[]).await?;
    let mut stream = Stream::open(&person.client).await?;
    let idle = "update auth_sessions set last_seen_at = now() - interval '31 minutes' where user_id = ";
    world.database.by_hand(&format!("{idle}'{}'", person.id)).await?;
    let ended = async {
        while stream.next().await?.is_some() {}
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.context("an idle sign-in goes on to listen")??;

    // What somebody loses while they listen they hear no more of.
    let person = world.person(&["auditor"], &[]).await?;
    let mut stream = Stream::open(&person.client).await?;
    publish(&world.admin, "build.done", &json!({})).await?;
    stream.of_type("build.done").await?;
    world.admin.patch(&format!("/admin/users/{}", person.id), &json!({ "roles": [] })).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    publish(&world.admin, "build.done", &json!({})).await?;
    let heard = tokio::time::timeout(Duration::from_secs(2), stream.of_type("build.done")).await;
    ensure!(heard.is_err(), "heard without the permission: {heard:?}");

    let account = json!({ "name": unique("program"), "roles": ["admin"] });
    let account = id(&world.admin.post("/admin/service-accounts", &account).await?)?;
    let expires = (chrono::Utc::now() + chrono::TimeDelta::days(1)).to_rfc3339();
    let token = json!({ "name": "t", "scopes": ["event.read"], "expires_at": expires });
    let token = world.admin.post(&format!("/admin/service-accounts/{account}/tokens"), &token).await?;
    let program = world.admin.with_token(token["token"].as_str().context("no token")?);
    program.call(Method::GET, "/events/stream", None).await?.problem(StatusCode::FORBIDDEN, "not_a_person")?;
    Ok(())
}

#[tokio::test]
async fn one_person_has_so_many_streams_and_no_more() -> anyhow::Result<()> {
    let world = World::default().await?;
    let person = world.person(&[], &[]).await?;
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(Stream::open(&person.client).await?);
    }
    let answer = person.client.call(Method::GET, "/events/stream", None).await?;
    answer.problem(StatusCode::TOO_MANY_REQUESTS, "too_many_listeners")?;
    // Nobody else is kept out, and a page that is closed makes room.
    Stream::open(&world.admin).await?;
    streams.pop();
    eventually("there is room again", SOON, || async { Ok(Stream::open(&person.client).await.ok()) }).await?;
    Ok(())
}
