//! What recording costs: two hubs in one run, one that records and one that does not, in turn.

use std::time::{Duration, Instant};

use futures::future::select_all;
use openpam_tests::World;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    Plan,
    bulk::{Said, flood},
    capacity::{AT_A_TIME, open_idle},
    keys::{type_keys, typing_line},
};
use crate::{
    line::{Line, Route, Through},
    process::cpu_seconds,
    report::Report,
    statistics::{Spread, percentile},
};

/// What of the terminal path's CPU recording may add, the indexer included.
const CPU_LIMIT: f64 = 1.1;
/// KiB that recording may add to a session.
const MEMORY_LIMIT_KIB: f64 = 64.0;
/// Keys of one repetition: many, since the kernel counts CPU in hundredths of a second.
const KEYS: usize = 20_000;
/// Sessions at which the slope of the memory begins.
const FEW: usize = 20;
/// How long everything said may take to be stored and indexed.
const INDEXED: Duration = Duration::from_secs(300);
/// A segment that is not full is stored after 15 s.
const SEGMENT: Duration = Duration::from_secs(16);

/// A hub with and one without recordings.
pub struct Both<'w> {
    /// The one that records.
    pub recorded: Side<'w>,
    /// The one that does not.
    pub plain: Side<'w>,
}

/// One of them.
pub struct Side<'w> {
    /// Its world.
    pub world: &'w World,
    /// How to reach its target.
    pub through: Through,
}

impl Side<'_> {
    pub(super) fn pid(&self) -> u32 {
        self.world.hub.pid()
    }

    pub(super) fn route(&self) -> Route {
        Route::Hub(self.through.clone())
    }

    /// Waits until what its sessions said is stored and indexed; meanwhile the lines answer signs of life. The
    /// database is asked by hand: the hub has no work with it.
    pub(super) async fn indexed(&self, lines: impl Iterator<Item = &mut Line>) -> anyhow::Result<()> {
        tokio::select! {
            indexed = self.wait_for_index() => indexed,
            _ = select_all(lines.map(|line| Box::pin(line.listen()))) => anyhow::bail!("a line ended meanwhile"),
        }
    }

    async fn wait_for_index(&self) -> anyhow::Result<()> {
        // A segment that is not full is stored when it is so old.
        tokio::time::sleep(SEGMENT).await;
        let ask = "select sum(recordings.segments), bool_and(recording_index.segments >= recordings.segments)
                   from recordings join recording_index using (session_id)";
        let begun = Instant::now();
        let mut before = String::new();
        loop {
            let now = self.world.database.by_hand(ask).await?;
            if now.ends_with("|t") && now == before {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < INDEXED, "not indexed after {} s: {now}", INDEXED.as_secs());
            before = now;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// CPU for output and keys, and memory of sessions.
///
/// # Errors
/// When a line ends.
pub async fn recorder(both: &Both<'_>, plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    for (name, said) in [("one line again and again", Said::OneLine), ("numbers", Said::Numbers)] {
        output(both, plan, name, said, report).await?;
    }
    keys(both, plan, report).await?;
    memory(both, plan, report).await
}

/// CPU seconds of the hub that does not record, and of the one that does.
type Pair = (f64, f64);

/// What the same costs both: while it is done, and until it is stored and indexed. Meanwhile the one that does
/// not record idles, which counts for it as for the other.
async fn cost(
    both: &Both<'_>,
    (plain_line, plain): (&mut Line, impl AsyncFnOnce(&mut Line) -> anyhow::Result<()>),
    (recorded_line, recorded): (&mut Line, impl AsyncFnOnce(&mut Line) -> anyhow::Result<()>),
) -> anyhow::Result<(Pair, Pair)> {
    let of = |side: &Side<'_>| cpu_seconds(side.pid());
    let plain_begun = of(&both.plain)?;
    plain(plain_line).await?;
    let plain_done = of(&both.plain)?;
    let recorded_begun = of(&both.recorded)?;
    recorded(recorded_line).await?;
    let recorded_done = of(&both.recorded)?;
    both.recorded.indexed([plain_line, recorded_line].into_iter()).await?;
    let during = (plain_done - plain_begun, recorded_done - recorded_begun);
    Ok((during, (of(&both.plain)? - plain_begun, of(&both.recorded)? - recorded_begun)))
}

async fn output(both: &Both<'_>, plan: &Plan, name: &str, said: Said, report: &mut Report) -> anyhow::Result<()> {
    let (mut recorded, mut plain) = (Line::open(&both.recorded.route()).await?, Line::open(&both.plain.route()).await?);
    recorded.settle().await?;
    plain.settle().await?;
    let (mut all, mut during) = (Vec::new(), Vec::new());
    for _ in 0..plan.repetitions {
        let (mut unrecorded_bytes, mut recorded_bytes) = (0, 0);
        let (meanwhile, until_indexed) = cost(
            both,
            (&mut plain, async |line| {
                unrecorded_bytes = flood(line, said).await?;
                Ok(())
            }),
            (&mut recorded, async |line| {
                recorded_bytes = flood(line, said).await?;
                Ok(())
            }),
        )
        .await?;
        let per_100_megabytes =
            |(plain, recorded): Pair| (plain * 1e8 / unrecorded_bytes as f64, recorded * 1e8 / recorded_bytes as f64);
        during.push(per_100_megabytes(meanwhile));
        all.push(per_100_megabytes(until_indexed));
    }
    report.compare(&format!("recorder, {name}: hub's CPU per 100 MB"), "s", &all, CPU_LIMIT);
    report.contrast(&format!("recorder, {name}: of it while it is said"), "s", &during);
    recorded.close().await;
    plain.close().await;
    Ok(())
}

async fn keys(both: &Both<'_>, plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let (mut recorded, mut plain) =
        (typing_line(&both.recorded.route()).await?, typing_line(&both.plain.route()).await?);
    let (mut all, mut during, mut echo) = (Vec::new(), Vec::new(), Vec::new());
    let per_key = |(plain, recorded): Pair| (plain / KEYS as f64 * 1e6, recorded / KEYS as f64 * 1e6);
    for _ in 0..plan.repetitions {
        let (mut plain_echo, mut recorded_echo) = (Vec::new(), Vec::new());
        let (meanwhile, until_indexed) = cost(
            both,
            (&mut plain, async |line| {
                plain_echo = type_keys(line, KEYS).await?;
                Ok(())
            }),
            (&mut recorded, async |line| {
                recorded_echo = type_keys(line, KEYS).await?;
                Ok(())
            }),
        )
        .await?;
        during.push(per_key(meanwhile));
        all.push(per_key(until_indexed));
        echo.push((percentile(&mut plain_echo, 0.5), percentile(&mut recorded_echo, 0.5)));
    }
    report.compare("recorder: hub's CPU per key", "µs", &all, CPU_LIMIT);
    report.contrast("recorder: of it while keys are typed", "µs", &during);
    report.contrast("recorder: key to echo, p50", "µs", &echo);
    recorded.close().await;
    plain.close().await;
    Ok(())
}

/// Memory that sessions add: at their prompt, with their first segment stored.
async fn memory(both: &Both<'_>, plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let mut slopes = Vec::new();
    for side in [&both.plain, &both.recorded] {
        let (mut idle, mut resident, end) = (JoinSet::new(), Vec::new(), CancellationToken::new());
        for count in [FEW, plan.sessions] {
            resident.push(open_idle(side.pid(), &side.route(), count, &mut idle, &end, SEGMENT).await?);
        }
        anyhow::ensure!(idle.try_join_next().is_none(), "an idle session ended");
        slopes.push((resident[1] - resident[0]) / (plan.sessions - FEW) as f64);
        end.cancel();
        while idle.join_next().await.is_some() {}
    }
    let what = format!("{FEW} to {} idle sessions, {AT_A_TIME} opened at a time", plan.sessions);
    report.note(&format!("recorder: memory per session unrecorded, {what}"), "KiB", Spread::of([slopes[0]]));
    report.note(&format!("recorder: memory per session recorded, {what}"), "KiB", Spread::of([slopes[1]]));
    let added = Spread::of([slopes[1] - slopes[0]]);
    report.limit("recorder: memory it adds to a session", "KiB", added, MEMORY_LIMIT_KIB);
    Ok(())
}
