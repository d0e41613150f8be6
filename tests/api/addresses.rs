//! Addresses at which no target may be: refused when one is stored, and when one is dialled.

use anyhow::{Context as _, ensure};
use http::{Method, StatusCode};
use openpam_tests::{HubOptions, World, unique};
use serde_json::{Value, json};

const CODE: &str = "target_address_refused";

/// What a connection test says of the stage that reaches the port.
async fn connect_stage(world: &World, target: &str) -> anyhow::Result<Value> {
    let result = world.admin.post(&format!("/admin/targets/{target}/test"), &json!({})).await?;
    let stages = result["stages"].as_array().context("no stages")?;
    let stage = stages.iter().find(|stage| stage["stage"] == "connect");
    Ok(stage.with_context(|| format!("the test did not get to the port: {result}"))?.clone())
}

#[tokio::test]
async fn a_target_is_not_stored_at_a_dangerous_address() -> anyhow::Result<()> {
    let world = World::default().await?;
    let (group, zone) = (world.group().await?, world.zone().await?);
    let good = world.target("127.0.0.1", 22, &group, &[]).await?;
    for host in [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "fe80::1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let body = json!({ "name": unique("target"), "protocol": "ssh", "host": host, "port": 22, "zone_id": zone });
        for (method, path, body) in [
            (Method::POST, "/admin/targets".to_owned(), body),
            (Method::PATCH, format!("/admin/targets/{good}"), json!({ "host": host })),
        ] {
            let answer = world.admin.call(method, &path, Some(&body)).await?;
            let problem = answer.problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input")?;
            assert_eq!(
                (&problem["errors"][0]["field"], &problem["errors"][0]["code"]),
                (&json!("host"), &json!(CODE)),
                "{host}"
            );
        }
    }
    for host in ["10.0.0.1", "192.168.1.1", "::1", "::ffff:127.0.0.1", "fd00::1", "db-01.example.com"] {
        world.target(host, 22, &group, &[]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_a_name_resolves_to_is_asked_when_it_is_dialled() -> anyhow::Result<()> {
    let world = World::default().await?;
    let group = world.group().await?;
    let port = world.stack.password_target().port;
    // Names to the hub, and addresses to the system's resolver; the last one is the hub's own machine.
    for name in ["0xA9FEA9FE", "0xa9.0xfe.0xa9.0xfe", "0x0"] {
        let target = world.target(name, port, &group, &[]).await?;
        let stage = connect_stage(&world, &target).await?;
        assert_eq!((&stage["ok"], &stage["code"]), (&json!(false), &json!(CODE)), "{name}: {stage}");
        let scan = world.admin.call(Method::POST, &format!("/admin/targets/{target}/scan"), Some(&json!({}))).await?;
        ensure!(!scan.status.is_success(), "{name} was scanned");
        assert_eq!(scan.code(), CODE, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_target_that_was_stored_before_is_not_dialled_and_can_be_put_right() -> anyhow::Result<()> {
    let world = World::default().await?;
    let target = world.target("127.0.0.1", 22, &world.group().await?, &[]).await?;
    world
        .database
        .by_hand(&format!("update targets set host = '::ffff:169.254.169.254' where target_id = '{target}'"))
        .await?;
    assert_eq!(connect_stage(&world, &target).await?["code"], json!(CODE));
    let path = format!("/admin/targets/{target}");
    world.admin.patch(&path, &json!({ "enabled": false, "description": "wrong address" })).await?;
    world.admin.patch(&path, &json!({ "host": "127.0.0.1" })).await?;
    Ok(())
}

#[tokio::test]
async fn an_exception_opens_its_network_alone() -> anyhow::Result<()> {
    let world = World::start(HubOptions { address_exceptions: vec!["0.0.0.0/32"], ..HubOptions::default() }).await?;
    let group = world.group().await?;
    let port = world.stack.password_target().port;
    let target = world.target("0.0.0.0", port, &group, &[]).await?;
    let stage = connect_stage(&world, &target).await?;
    assert_eq!(stage["ok"], json!(true), "the exception does not hold: {stage}");
    let other = world.target("0x1", port, &group, &[]).await?;
    assert_eq!(connect_stage(&world, &other).await?["code"], json!(CODE), "0.0.0.1 is no exception");
    Ok(())
}
