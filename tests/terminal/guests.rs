//! Guests who type: each at their own pace, heard while what they typed waits, and gone when they are gone.

use std::time::{Duration, Instant};

use anyhow::ensure;
use openpam_tests::{
    Terminal, World, eventually,
    world::{Person, Reachable},
};
use serde_json::json;

use super::watch::{actions, error, joined, let_type, participants};

/// Commands that each count, about as many bytes as may wait.
fn counting() -> Vec<u8> {
    "count=$((count + 1))\n".repeat(3_000).into_bytes()
}

async fn counted(terminal: &mut Terminal) -> anyhow::Result<u64> {
    terminal.interrupt_when_quiet().await?;
    let said = terminal.run("echo counted $count").await?;
    Ok(said.rsplit("counted ").next().unwrap_or_default().trim().parse()?)
}

/// A session at its prompt, and an operator who may type in it.
async fn with_a_guest(world: &World, reachable: &Reachable) -> anyhow::Result<(Terminal, Terminal, Person)> {
    let operator = world.person(&["operator"], &[]).await?;
    let mut terminal = reachable.open(&world.admin).await?;
    terminal.until(b"$ ").await?;
    let guest = let_type(&mut terminal, &operator).await?;
    Ok((terminal, guest, operator))
}

#[tokio::test]
async fn a_guest_who_goes_while_their_paste_waits_is_gone_at_once_with_all_of_it() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let (mut terminal, mut guest, _) = with_a_guest(&world, &reachable).await?;
    let pasted = Instant::now();
    // In many messages, as a page may send it.
    for piece in counting().chunks(4 * 1024) {
        guest.type_bytes(piece.to_vec()).await?;
    }
    terminal.until(b"count=$((count + 1))").await?;
    guest.cut();
    let left = |message: &serde_json::Value| participants(message) && message["joined"] == json!([]);
    tokio::time::timeout(Duration::from_secs(3), terminal.message("that they left", left)).await??;
    let left_after = pasted.elapsed();
    let counted = counted(&mut terminal).await?;
    let most = (left_after.as_secs_f64() * 8_192.0 + 1_024.0) / 21.0;
    ensure!(counted > 0 && (counted as f64) <= most, "{counted} commands of 3000 ran, they left after {left_after:?}");
    Ok(())
}

#[tokio::test]
async fn a_guest_does_not_wait_for_the_paste_of_another() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let [first, second] = [world.person(&["operator"], &[]).await?, world.person(&["operator"], &[]).await?];
    let mut terminal = reachable.open(&world.admin).await?;
    terminal.until(b"$ ").await?;
    let mut paster = let_type(&mut terminal, &first).await?;
    let mut other = let_type(&mut terminal, &second).await?;
    // Only line ends: what comes between them is a line of its own.
    paster.type_bytes(vec![b'\n'; 60_000]).await?;
    terminal.until(b"$ \r\n").await?;
    let started = Instant::now();
    other.type_line("echo in-the-mid''dle").await?;
    terminal.until(b"in-the-middle").await?;
    // The paste takes 7.3 s.
    ensure!(started.elapsed() < Duration::from_secs(4), "waited {:?} for another's paste", started.elapsed());
    Ok(())
}

#[tokio::test]
async fn more_than_may_wait_is_refused_whole_and_said() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let (mut terminal, mut guest, _) = with_a_guest(&world, &reachable).await?;
    guest.type_bytes([b"echo NEVER\n", &[b'x'; 64 * 1024][..]].concat()).await?;
    guest.message("the refusal", error("too_much_input")).await?;
    guest.type_line("echo after''wards").await?;
    terminal.until(b"afterwards").await?;
    // Many messages that are too much together: their beginning runs, and it is said once that the rest does not.
    for number in 0..12 {
        guest.type_bytes(format!(":{}\necho part-{number}''-end\n", "x".repeat(30_000)).into_bytes()).await?;
    }
    guest.message("the refusal", error("too_much_input")).await?;
    let refused = guest.messages.iter().filter(|message| message["code"] == "too_much_input").count();
    ensure!(refused == 0, "one paste was refused {} times", refused + 1);
    let screen = terminal.until(b"part-0-end").await?;
    ensure!(openpam_tests::terminal::find(&screen, b"NEVER").is_none(), "a part of what was refused arrived");
    Ok(())
}

#[tokio::test]
async fn that_the_right_was_taken_back_is_written_once_the_trail_can_be_written_again() -> anyhow::Result<()> {
    let world = World::default().await?;
    let reachable = world.password_target().await?;
    let (mut terminal, mut guest, operator) = with_a_guest(&world, &reachable).await?;
    let session = terminal.session_id();
    let held = async {
        // Longer than the hub waits for the trail.
        let statement = "begin; lock table audit_events in access exclusive mode; select pg_sleep(7); commit";
        world.database.by_hand(statement).await
    };
    let taking_back = async {
        eventually("the trail is held up", Duration::from_secs(5), || async {
            let held = "select count(*) from pg_locks where relation = 'audit_events'::regclass
                        and mode = 'AccessExclusiveLock' and granted";
            Ok((world.database.by_hand(held).await? == "1").then_some(()))
        })
        .await?;
        let participant = guest.ready["participant"].clone();
        terminal.send(&json!({ "type": "input", "participant": participant, "allowed": false })).await?;
        // It holds at once all the same.
        guest.message("that it was taken back", |message| joined(message, &operator.username, "none")).await?;
        guest.type_line("echo TOO''LATE").await
    };
    let (held, taking_back) = tokio::join!(held, taking_back);
    held?;
    taking_back?;
    eventually("it is written that it was taken back", Duration::from_secs(20), || async {
        Ok(actions(&world, &session).await?.contains(&"session.input_take_back".to_owned()).then_some(()))
    })
    .await?;
    ensure!(!terminal.run("echo done").await?.contains("TOO"), "what was typed afterwards arrived");
    Ok(())
}
