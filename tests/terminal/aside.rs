//! What is set aside of a spool: it is told, tried again, and adds nothing to what is signed.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::Method;
use openpam_tests::{Stack, World, eventually, proxy::Fault};
use serde_json::{Value, json};

use super::stores::{HUBS_ARE_GONE, Store, retention, segments_in, waiting_session};

#[tokio::test]
async fn a_session_of_which_something_is_set_aside_ends_with_its_next_segment() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let store = Store::new(&stack, false).await?;
    let world = World::start_with(stack, store.options.clone()).await?;
    let reachable = world.password_target().await?;
    let (mut terminal, session, folder) = waiting_session(&world, &store, &reachable).await?;
    // Not the first: that one may be on its way.
    let last = segments_in(&folder)?.last().cloned().context("nothing waits")?;
    std::fs::write(&last, b"not a segment any more")?;
    store.proxy.set(Fault::None);
    let aside = format!("/audit/entries?object_id={session}&action=recording.spool_aside");
    eventually("the trail says at once that it is set aside", Duration::from_secs(30), || async {
        Ok((!world.admin.list(&aside).await?.is_empty()).then_some(()))
    })
    .await?;
    terminal.type_line("head -c 60000000 /dev/urandom | base64").await?;
    let ended = terminal.end(Duration::from_secs(40)).await?;
    assert_eq!(ended.code, 4500, "{ended:?}");
    assert_eq!(world.session_becomes(&session, "failed").await?["error_code"], "recording_failed");
    Ok(())
}

#[tokio::test]
async fn what_was_set_aside_of_an_open_recording_is_tried_again_and_what_nobody_was_told_of_is_no_alarm()
-> anyhow::Result<()> {
    let stack = Stack::load()?;
    let store = Store::new(&stack, false).await?;
    let mut world = World::start_with(stack, store.options.clone()).await?;
    let reachable = world.password_target().await?;
    let (_terminal, session, folder) = waiting_session(&world, &store, &reachable).await?;
    world.hub.kill().await?;
    let noted = format!("select segments from recordings where session_id = '{session}'");
    let noted: usize = world.database.by_hand(&noted).await?.parse()?;
    let first = segments_in(&folder)?.first().cloned().context("nothing waits")?;
    let content = std::fs::read(&first)?;
    std::fs::write(&first, b"the disk gives something else")?;
    // Written before the crash and never noted.
    std::fs::write(folder.join(format!("{noted:010}.segment")), &content)?;
    store.proxy.set(Fault::None);
    let aside = async |client: &openpam_tests::Client| {
        client.list(&format!("/audit/entries?object_id={session}&action=recording.spool_aside")).await
    };
    let mut second = world.another_hub().await?;
    let client = world.admin.at(second.url());
    let told = eventually("what is damaged is set aside and told", Duration::from_secs(60), || async {
        let told = aside(&client).await?;
        Ok((!told.is_empty() && store.rejected()? == 1).then_some(told))
    })
    .await?;
    assert_eq!((told.len(), &told[0]["detail"]["count"]), (1, &json!(1)), "{told:?}");
    assert_eq!(retention(&client, &session).await?["state"], "recording");
    second.kill().await?;

    // The disk gives it again.
    std::fs::write(first.with_extension("segment.rejected"), &content)?;
    let third = world.another_hub().await?;
    let client = world.admin.at(third.url());
    let recording = eventually("the recording is closed with all of it", Duration::from_secs(120), || async {
        world.database.by_hand(HUBS_ARE_GONE).await?;
        let answer = client.call(Method::GET, &format!("/sessions/{session}/recording"), None).await?;
        let recording = serde_json::from_str::<Value>(&answer.text)?;
        Ok((recording["state"] == "completed").then_some(recording))
    })
    .await?;
    assert_eq!(recording["verification"]["verdict"], "intact", "{recording}");
    assert_eq!(recording["segments"].as_array().map(Vec::len), Some(noted), "{recording}");
    eventually("what nobody was told of is kept all the same", Duration::from_secs(20), || async {
        Ok((store.rejected()? == 1 && store.waiting()? == 1).then_some(()))
    })
    .await?;
    let told = aside(&client).await?;
    assert_eq!(told.len(), 1, "it is no alarm: {told:?}");
    Ok(())
}

#[tokio::test]
async fn a_spool_that_comes_back_while_its_recording_is_signed_adds_nothing_to_it() -> anyhow::Result<()> {
    let stack = Stack::load()?;
    let mut store = Store::new(&stack, false).await?;
    store.options.recording.insert("spool_wait_seconds", "5".to_owned());
    let mut world = World::start_with(stack, store.options.clone()).await?;
    let reachable = world.password_target().await?;
    let (_terminal, session, folder) = waiting_session(&world, &store, &reachable).await?;
    world.hub.kill().await?;
    let waiting = segments_in(&folder)?;
    let first =
        waiting.first().and_then(|file| file.file_stem()?.to_str()?.parse::<usize>().ok()).context("no number")?;
    // As another hub that waited for it no longer, and died between what it noted and its signature.
    let noted = "update recordings set closing_at = now(), segments";
    world.database.by_hand(&format!("{noted} = {first} where session_id = '{session}'")).await?;
    store.proxy.set(Fault::None);
    let again = world.another_hub().await?;
    let client = world.admin.at(again.url());
    let recording = eventually("the recording is closed", Duration::from_secs(120), || async {
        world.database.by_hand(HUBS_ARE_GONE).await?;
        let answer = client.call(Method::GET, &format!("/sessions/{session}/recording"), None).await?;
        let recording = serde_json::from_str::<Value>(&answer.text)?;
        Ok((recording["state"] == "completed").then_some(recording))
    })
    .await?;
    assert_eq!(recording["verification"]["verdict"], "intact", "{recording}");
    let keys = store.bucket.keys(&store.path(&recording)?).await?;
    assert_eq!(keys.len(), first + 1, "something is in the store that no manifest names: {keys:?}");
    assert_eq!(store.rejected()?, waiting.len(), "what came too late is gone");
    let aside = format!("/audit/entries?object_id={session}&action=recording.spool_aside");
    ensure!(!client.list(&aside).await?.is_empty(), "it is not told");
    Ok(())
}
