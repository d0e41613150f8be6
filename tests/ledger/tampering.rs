//! Whatever a superuser does to what is stored, `openpam audit verify` finds and names it.

use std::time::Duration;

use anyhow::ensure;
use openpam_tests::{World, eventually};
use serde_json::Value;

use super::{guards::GUARDS, number, proofs::rolled_back, settled, unguarded, verify, write_events};

/// What a superuser has to drop first, beside the triggers.
const UNCONSTRAINED: &str = "alter table ledger_entries drop constraint if exists ledger_entries_leaf;
    alter table ledger_entries drop constraint if exists ledger_entries_pkey;
    alter table ledger_entries drop constraint if exists ledger_entries_once;";

/// What a superuser does.
pub(super) struct Attack {
    pub(super) what: &'static str,
    pub(super) by: &'static str,
    /// Codes, one of which must be told.
    pub(super) found_as: &'static [&'static str],
}

/// Entries of the tenant in whose tiles the first 512 are.
const ATTACKS: &[Attack] = &[
    Attack {
        what: "an event's detail is edited",
        by: "update audit_events set detail = '{\"number\": 0}' where audit_event_id = (select event_id from ledger_entries where seq = 300)",
        found_as: &["content_tampered"],
    },
    Attack {
        what: "who acted is edited",
        by: "update audit_events set actor_name = 'somebody else' where audit_event_id = (select event_id from ledger_entries where seq = 300)",
        found_as: &["content_tampered"],
    },
    Attack {
        what: "an event's action is edited",
        by: "update audit_events set action = 'test.other' where audit_event_id = (select event_id from ledger_entries where seq = 300)",
        found_as: &["event_tampered"],
    },
    Attack {
        what: "an event's time is edited",
        by: "update audit_events set occurred_at = occurred_at - interval '1 day' where audit_event_id = (select event_id from ledger_entries where seq = 300)",
        found_as: &["event_tampered"],
    },
    Attack {
        what: "a content is removed and its salts are kept",
        by: "update audit_events set object_name = null where audit_event_id = (select event_id from ledger_entries e join audit_events a on a.audit_event_id = e.event_id where a.object_name is not null order by seq limit 1)",
        found_as: &["content_missing"],
    },
    Attack {
        what: "an event is deleted",
        by: "delete from audit_events where audit_event_id = (select event_id from ledger_entries where seq = 300)",
        found_as: &["event_missing"],
    },
    Attack {
        what: "an image of a row is edited",
        by: "update row_changes set after_image = after_image || '{\"enabled\": true}' where row_change_id = (select event_id from ledger_entries where kind = 2 order by seq limit 1)",
        found_as: &["content_tampered"],
    },
    Attack {
        what: "an entry is edited, its hash left as it was",
        by: "update ledger_entries set canonical = set_byte(canonical, 60, get_byte(canonical, 60) # 1) where seq = 300",
        found_as: &["tampered"],
    },
    Attack {
        what: "an entry is edited, its hash too, and the tile is left as it was",
        by:
            "update ledger_entries set canonical = set_byte(canonical, 60, get_byte(canonical, 60) # 1) where seq = 300;
             update ledger_entries set leaf_hash = sha256('\\x00'::bytea || canonical) where seq = 300",
        found_as: &["tampered"],
    },
    Attack {
        what: "an entry behind the last whole tile is edited with its hash",
        by:
            "update ledger_entries set canonical = set_byte(canonical, 60, get_byte(canonical, 60) # 1) where seq = 600;
             update ledger_entries set leaf_hash = sha256('\\x00'::bytea || canonical) where seq = 600",
        found_as: &["altered"],
    },
    Attack {
        what: "the hash in a tile is edited",
        by: "update ledger_tiles set hashes = overlay(hashes placing '\\x01'::bytea from 33 for 1) where level = 0 and index = 1",
        found_as: &["stored_hash"],
    },
    Attack { what: "an entry is deleted", by: "delete from ledger_entries where seq = 300", found_as: &["missing"] },
    Attack {
        what: "an entry and its event are deleted",
        by: "delete from audit_events where audit_event_id = (select event_id from ledger_entries where seq = 300);
             delete from ledger_entries where seq = 300",
        found_as: &["missing"],
    },
    Attack {
        what: "two entries are swapped",
        by: "update ledger_entries set seq = 601 - seq where seq in (300, 301)",
        found_as: &["misplaced"],
    },
    Attack {
        what: "all behind an entry are moved up by one",
        by: "delete from ledger_entries where seq = 300; update ledger_entries set seq = seq - 1 where seq > 300",
        found_as: &["misplaced"],
    },
    Attack {
        what: "an entry is copied",
        by: "insert into ledger_entries select * from ledger_entries where seq = 300",
        found_as: &["duplicated", "conflicting"],
    },
    Attack {
        what: "the end is cut off",
        by: "delete from ledger_entries where seq >= 500",
        found_as: &["truncated", "missing"],
    },
    Attack {
        what: "the end is cut off, with the tenant's checkpoints and head",
        by: "delete from ledger_entries where seq >= 500; delete from ledger_checkpoints where size > 500;
             update ledger_heads set size = 500; delete from ledger_tiles where index > 0",
        found_as: &["truncated"],
    },
    Attack {
        what: "a checkpoint's signature is edited",
        by: "update ledger_checkpoints set note = regexp_replace(note, '.....\n$', E'AAAA=\n')",
        found_as: &["signature_invalid", "note_malformed"],
    },
    Attack {
        what: "a checkpoint's root is edited",
        by: "update ledger_checkpoints set note = regexp_replace(note, E'^([^\n]*\n[^\n]*\n)[^\n]*', E'\\\\1AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=')",
        found_as: &["signature_invalid"],
    },
    Attack {
        what: "an event is taken back out of the ledger and the watermark",
        by: "insert into audit_events (audit_event_id, tenant_id, actor_type, actor_name, action, outcome, xid)
             select gen_random_uuid(), tenant_id, 'system', 'x', 'test.hidden', 'success', '3' from tenants limit 1",
        found_as: &["unsequenced"],
    },
    Attack {
        what: "a leaf of the system's log is edited",
        by: "update ledger_system_leaves set text = replace(text, E'\n', E'\n') || 'x' || E'\n' where seq = 0",
        found_as: &["altered"],
    },
    Attack {
        what: "every checkpoint is deleted, with the system's log",
        by: "update ledger_entries set sequenced_at = sequenced_at - interval '2 minutes';
             delete from ledger_checkpoints; delete from ledger_system_checkpoints; delete from ledger_system_leaves;
             delete from ledger_system_tiles",
        found_as: &["unsigned"],
    },
    Attack {
        what: "every checkpoint is deleted, and the entries are of tomorrow",
        by: "update ledger_entries set sequenced_at = sequenced_at + interval '1 day';
             delete from ledger_checkpoints; delete from ledger_system_checkpoints; delete from ledger_system_leaves;
             delete from ledger_system_tiles",
        found_as: &["unsigned"],
    },
    Attack {
        what: "the system's log is deleted, and the tenants' are left",
        by: "delete from ledger_system_checkpoints; delete from ledger_system_leaves; delete from ledger_system_tiles",
        found_as: &["not_in_system"],
    },
    Attack {
        what: "the system's checkpoints are deleted, and its leaves are left",
        by: "delete from ledger_system_checkpoints",
        found_as: &["unsigned"],
    },
    Attack {
        what: "a leaf of the system's log is deleted",
        by: "delete from ledger_system_leaves where seq = 0",
        found_as: &["missing", "altered", "truncated"],
    },
    Attack {
        what: "a leaf of the system's log is filed under another size",
        by: "update ledger_system_leaves set size = size + 1000000 where seq = 0",
        found_as: &["leaf_misnamed"],
    },
    Attack {
        what: "an event is another one, and its contents are said to be erased",
        by: "update audit_events set actor_name = 'other', client_ip = '10.0.0.9', detail = '{\"reason\": \"approved\"}',
                 salts = null, erased_at = now() where audit_event_id = (select event_id from ledger_entries where seq = 300)",
        found_as: &["content_tampered"],
    },
    Attack {
        what: "an event's contents are erased, and no entry says so",
        by: "update audit_events set actor_name = '', object_name = null, client_ip = null, detail = '{}',
                 salts = null, erased_at = now() where audit_event_id = (select event_id from ledger_entries where seq = 300)",
        found_as: &["content_missing"],
    },
    Attack {
        what: "a tenant is said to be damaged, and its events wait",
        by: "insert into ledger_damaged (tenant_id, reason, seen) select tenant_id, 'x', '1:1:' from tenants limit 1",
        found_as: &["damaged"],
    },
    Attack {
        what: "who changed a row by hand is another one, and it is said to be erased",
        by: "update row_changes set after_image = '{}', database_user = 'other', salts = null, erased_at = now()
             where row_change_id = (select event_id from ledger_entries where kind = 2 order by seq limit 1)",
        found_as: &["content_missing"],
    },
    Attack {
        what: "an event is of a transaction that never comes",
        by: "insert into audit_events (audit_event_id, tenant_id, occurred_at, actor_type, actor_name, action, outcome, xid)
             select gen_random_uuid(), tenant_id, now() - interval '2 minutes', 'system', 'x', 'test.hidden', 'success',
                    '9000000000000' from tenants limit 1",
        found_as: &["waiting"],
    },
    Attack {
        what: "such an event is of tomorrow",
        by: "insert into audit_events (audit_event_id, tenant_id, occurred_at, actor_type, actor_name, action, outcome, xid)
             select gen_random_uuid(), tenant_id, now() + interval '1 day', 'system', 'x', 'test.hidden', 'success',
                    '9000000000000' from tenants limit 1",
        found_as: &["waiting"],
    },
    Attack {
        what: "the root of a tile is edited",
        by: "update ledger_tiles set root = decode(repeat('00', 32), 'hex') where level = 0 and index = 1",
        found_as: &["stored_hash"],
    },
    Attack {
        what: "a tile is deleted",
        by: "delete from ledger_tiles where level = 0 and index = 0",
        found_as: &["tile_missing"],
    },
    Attack {
        what: "a tile is added",
        by: "insert into ledger_tiles select tenant_id, 1, 0, hashes, root from ledger_tiles where index = 0",
        found_as: &["tile_surplus"],
    },
    Attack {
        what: "every checkpoint is deleted, and the entries are of this moment",
        by: "update ledger_entries set sequenced_at = clock_timestamp();
             delete from ledger_checkpoints; delete from ledger_system_checkpoints; delete from ledger_system_leaves;
             delete from ledger_system_tiles",
        found_as: &["unsigned"],
    },
    Attack {
        what: "an entry is edited with its hash, and the tenant's checkpoints are deleted",
        by:
            "update ledger_entries set canonical = set_byte(canonical, 60, get_byte(canonical, 60) # 1) where seq = 600;
             update ledger_entries set leaf_hash = sha256('\\x00'::bytea || canonical) where seq = 600;
             delete from ledger_checkpoints",
        found_as: &["altered", "forked"],
    },
];

/// What a part of a verification, or of a log, has to tell too.
const IN_PART: &[(&[&str], Attack)] = &[
    (
        &["--start-sequence", "100", "--end-sequence", "200"],
        Attack {
            what: "the end is cut off, with the tenant's checkpoints and head, and a range before it is looked at",
            by: "delete from ledger_entries where seq >= 500; delete from ledger_checkpoints where size > 500;
                 update ledger_heads set size = 500; delete from ledger_tiles where index > 0",
            found_as: &["truncated"],
        },
    ),
    (
        &["--start-sequence", "6000", "--end-sequence", "7000"],
        Attack { what: "a range behind the end is looked at", by: "", found_as: &["truncated"] },
    ),
    (
        &["--start-sequence", "100", "--end-sequence", "200"],
        Attack {
            what: "entries behind the range are edited with their tile, and the system's log tells",
            by: "update ledger_tiles set hashes = overlay(hashes placing '\\x01'::bytea from 33 for 1),
                     root = sha256('x') where level = 0 and index = 1",
            found_as: &["forked", "altered"],
        },
    ),
    (
        &["--tenant", "TENANT"],
        Attack {
            what: "all of a tenant is deleted",
            by: "delete from audit_events; delete from row_changes; delete from ledger_entries; delete from ledger_tiles;
                 delete from ledger_heads; delete from ledger_checkpoints",
            found_as: &["truncated"],
        },
    ),
];

#[tokio::test]
async fn each_change_by_a_superuser_is_found_by_its_code() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    world.zone().await?;
    write_events(&world.database, tenant, 700).await?;
    settled(&world.database).await?;
    world.hub.terminate().await?;
    let verified = verify(&world.hub, &[]).await?;
    ensure!(verified.sound && verified.text.contains("nothing is wrong"), "before anything: {}", verified.text);
    let original = world.database.name().to_owned();
    let mut failures = Vec::new();
    let whole = ATTACKS.iter().map(|attack| (&[][..], attack, false));
    let part = IN_PART.iter().map(|(arguments, attack)| (*arguments, attack, false));
    let guards = GUARDS.iter().map(|attack| (&[][..], attack, true));
    for (number, (arguments, attack, is_of_guards)) in whole.chain(part).chain(guards).enumerate() {
        let slug = |argument: &&'static str| {
            if *argument == "TENANT" { world.options.tenant.clone() } else { (*argument).to_owned() }
        };
        let arguments = arguments.iter().map(slug).collect::<Vec<_>>();
        let arguments = arguments.iter().map(String::as_str).collect::<Vec<_>>();
        // A copy for each, which the verifier is shown in the place of the original.
        let copy = world.database.copy(&format!("{original}_{number}")).await?;
        let behind = unguarded(&format!("{UNCONSTRAINED} {}", attack.by));
        copy.by_hand(if is_of_guards { attack.by } else { &behind }).await?;
        let configuration = world.hub.folder().join("hub.toml");
        let text = std::fs::read_to_string(&configuration)?;
        std::fs::write(&configuration, text.replace(&format!("/{original}\""), &format!("/{}\"", copy.name())))?;
        let verified = verify(&world.hub, &arguments).await;
        std::fs::write(&configuration, text)?;
        let verified = verified?;
        let named = attack.found_as.iter().any(|code| verified.text.contains(&format!("  {code}: ")));
        if verified.sound || !named {
            failures.push(format!("{}: expected one of {:?}, got:\n{}", attack.what, attack.found_as, verified.text));
        }
    }
    ensure!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        ATTACKS.len() + GUARDS.len() + IN_PART.len(),
        failures.join("\n")
    );
    Ok(())
}

const BEATS: &str = "select count(*) from audit_events where action = 'ledger.beat'";

/// Without an anchor, while the hub runs: its key must not sign what was made of the log behind its back.
#[tokio::test]
async fn a_leader_does_not_sign_what_was_rewritten_under_it() -> anyhow::Result<()> {
    for is_awake in [true, false] {
        let world = World::default().await?;
        let tenant = world.database.tenant_id(&world.options.tenant).await?;
        settled(&world.database).await?;
        let size = number(&world.database, "select max(size) from ledger_checkpoints").await?;
        let frontier = world.database.by_hand("select encode(frontier, 'hex') from ledger_heads").await?;
        ensure!(number(&world.database, "select size from ledger_heads").await? == size, "it is not signed");
        write_events(&world.database, tenant, 100).await?;
        settled(&world.database).await?;
        let head = format!("update ledger_heads set size = {size}, frontier = decode('{frontier}', 'hex');");
        // Whoever ends the leader's connection does not make the hub forget what it signed.
        let forget = if is_awake {
            ""
        } else {
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'openpam-hub-ledger'
             and datname = current_database();"
        };
        world.database.by_hand(&unguarded(&format!("{} {head} {forget}", rolled_back(size)))).await?;
        write_events(&world.database, tenant, 10).await?;
        world.hub.wait_for_log(&["the stored ledger is not the one that this hub wrote"]).await?;
        eventually("events still get their places", Duration::from_secs(10), || async {
            Ok((number(&world.database, "select size from ledger_heads").await? >= size + 10).then_some(()))
        })
        .await?;
        write_events(&world.database, tenant, 200).await?;
        // Nor does a beat speak for it, however long there was none.
        let beats = number(&world.database, BEATS).await?;
        world.database.by_hand(&unguarded("update ledger_heads set beat_at = 'epoch'")).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let signed = number(&world.database, "select max(size) from ledger_checkpoints").await?;
        ensure!(signed == size, "what was rewritten was signed, up to {signed}");
        ensure!(number(&world.database, BEATS).await? == beats, "a beat was signed for what was rewritten");
        let ready: Value = reqwest::get(format!("{}/readyz", world.hub.url())).await?.json().await?;
        ensure!(ready["ledger"]["state"] == "altered" && ready["ready"] == true, "{ready}");
    }
    Ok(())
}

/// The signed system's log knows of what a hub that starts does not.
#[tokio::test]
async fn a_hub_that_starts_does_not_sign_what_the_systems_log_knows_otherwise() -> anyhow::Result<()> {
    let mut world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    settled(&world.database).await?;
    let size = number(&world.database, "select max(size) from ledger_checkpoints").await?;
    let frontier = world.database.by_hand("select encode(frontier, 'hex') from ledger_heads").await?;
    write_events(&world.database, tenant, 100).await?;
    settled(&world.database).await?;
    world.hub.terminate().await?;
    world
        .database
        .by_hand(&unguarded(&format!(
            "delete from audit_events where audit_event_id in (select event_id from ledger_entries where seq >= {size});
             delete from row_changes where row_change_id in (select event_id from ledger_entries where seq >= {size});
             delete from ledger_entries where seq >= {size};
             delete from ledger_tiles where (index + 1) * 256 > {size};
             delete from ledger_checkpoints;
             update ledger_heads set size = {size}, frontier = decode('{frontier}', 'hex')"
        )))
        .await?;
    let hub = world.another_hub().await?;
    write_events(&world.database, tenant, 300).await?;
    hub.wait_for_log(&["the stored ledger is not the one that this hub wrote"]).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let signed = number(&world.database, "select count(*) from ledger_checkpoints").await?;
    ensure!(signed == 0, "what was rewritten was signed {signed} times");
    let told = verify(&hub, &[]).await?;
    ensure!(!told.sound && (told.text.contains("  altered: ") || told.text.contains("  forked: ")), "{}", told.text);
    Ok(())
}

/// What the ledger's role can put into the system's log, or do to its own tenant's head, is not signed and stops
/// nobody else's log.
#[tokio::test]
async fn what_the_ledgers_role_forges_is_not_signed_and_stops_no_other_log() -> anyhow::Result<()> {
    let world = World::default().await?;
    let tenant = world.database.tenant_id(&world.options.tenant).await?;
    let (slug, _) = world.another_tenant().await?;
    let other = world.database.tenant_id(&slug).await?;
    write_events(&world.database, other, 30).await?;
    settled(&world.database).await?;
    let signed = format!("select coalesce(max(size), 0) from ledger_checkpoints where tenant_id = '{other}'");
    let goes_on = async || -> anyhow::Result<()> {
        let before = number(&world.database, &signed).await?;
        write_events(&world.database, other, 30).await?;
        eventually("the other tenant's log is signed", Duration::from_secs(10), || async {
            Ok((number(&world.database, &signed).await? >= before + 30).then_some(()))
        })
        .await
    };
    let mut ledger = world.database.as_ledger(tenant).await?;
    // A head of the system's log with one more leaf, about the other tenant.
    let system = number(&world.database, "select max(size) from ledger_system_checkpoints").await?;
    for forged in [
        format!(
            "insert into ledger_system_leaves (seq, tenant_id, size, text)
             select {system}, '{other}', 900000, 'forged'"
        ),
        format!(
            "insert into ledger_system_checkpoints (size, root, frontier, note)
             select size + 1000000, root, set_byte(frontier, 3, 1), note from ledger_system_checkpoints where size = {system}"
        ),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(forged)).execute(&mut ledger).await?;
    }
    goes_on().await?;
    let genuine = "select count(*) from ledger_system_checkpoints where size <= 1000000";
    let count = number(&world.database, genuine).await?;
    goes_on().await?;
    ensure!(number(&world.database, genuine).await? == count, "the system's log was signed over what was forged");
    let ready: Value = reqwest::get(format!("{}/readyz", world.hub.url())).await?.json().await?;
    ensure!(ready["ledger"]["state"] == "damaged", "{ready}");
    // Its own head.
    sqlx::query("update ledger_heads set frontier = decode(repeat('00', 8), 'hex')").execute(&mut ledger).await?;
    write_events(&world.database, tenant, 10).await?;
    world.hub.wait_for_log(&["the stored ledger is not the one that this hub wrote", &tenant.to_string()]).await?;
    goes_on().await?;
    Ok(())
}

/// Whoever has the database can set who acts; not, as easily, who they are.
#[tokio::test]
async fn a_change_by_hand_in_somebodys_name_is_told() -> anyhow::Result<()> {
    let world = World::default().await?;
    world.zone().await?;
    settled(&world.database).await?;
    let before = verify(&world.hub, &[]).await?;
    ensure!(before.sound && !before.text.contains("by hand"), "{}", before.text);
    world
        .database
        .by_hand(&format!(
            "select set_config('openpam.actor', 'user:{}', false); update zones set description = 'by hand'",
            uuid::Uuid::from_u128(7)
        ))
        .await?;
    settled(&world.database).await?;
    let told = verify(&world.hub, &[]).await?;
    ensure!(told.sound && told.text.contains("row changes were made by hand"), "{}", told.text);
    let named = "select count(*) from row_changes where database_user <> 'openpam_app' and actor is not null";
    ensure!(number(&world.database, named).await? == 0, "a change by hand is in somebody's name");
    let named = "select count(*) from row_changes where database_user = 'openpam_app' and actor like 'user:%'";
    ensure!(number(&world.database, named).await? > 0, "who acts through the hub is not named");
    Ok(())
}
