//! Beats: events that the sequencer makes as it gives them their places. Where none is for longer than they come, no
//! hub could give places, and what waited meanwhile was nobody's yet.

use chrono::{DateTime, SecondsFormat, Utc};
use openpam_ids::TenantId;
use openpam_ledger::{Checkpoint, Frontier, LedgerName, Log, Signers, TreeHead};
use serde::Deserialize;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Duration, Instant};
use uuid::Uuid;

use super::{error::LedgerError, keys::Signer, known::Known, sequence::Sequencer, store, types::Pass};
use crate::{
    context::{Actor, Context},
    db::set_scope,
    domains::audit::{Event, record},
};

/// The action of a beat.
pub(super) const BEAT: &str = "ledger.beat";
/// Between looks at whose beat is due, and how many there are in one transaction.
const LOOK: Duration = Duration::from_secs(1);
const MOST: i32 = 100;

/// What begins the line of a beat's checkpoint that says when it was, in microseconds since 1970-01-01 UTC.
const TIME: &str = "time ";
/// A beat may be later than it is due by half of the time between two, and by this at least: until another hub leads.
const GRACE_SECONDS: u64 = 10;

/// A beat as it was found in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beat {
    pub(super) seq: u64,
    /// Microseconds since 1970-01-01 UTC.
    pub(super) time: u64,
    /// Seconds until the next.
    pub(super) every: u64,
}

/// The detail of a beat.
#[derive(Deserialize)]
struct Detail {
    every_seconds: u64,
    note: String,
}

impl Beat {
    /// The beat that an event in that place is. Whoever writes events can write one that looks like it: the key has
    /// signed that the log went to there at that time.
    pub(super) fn read(seq: u64, detail: &str, ledger: &LedgerName, log: Log, signers: &Signers) -> Option<Self> {
        let detail = serde_json::from_str::<Detail>(detail).ok()?;
        let checkpoint = signers.verify_extended(ledger, log, detail.note.as_bytes()).ok()?.checkpoint;
        let time = checkpoint.extensions().iter().find_map(|line| line.strip_prefix(TIME)?.parse().ok())?;
        (checkpoint.head().size == seq).then_some(Self { seq, time, every: detail.every_seconds })
    }

    /// After so many microseconds the next one is missing.
    pub(super) fn patience(&self) -> u64 {
        self.every.saturating_add((self.every / 2).max(GRACE_SECONDS)).saturating_mul(1_000_000)
    }

    /// For a person.
    pub(super) fn when(&self) -> String {
        let time = DateTime::<Utc>::from_timestamp_micros(self.time.cast_signed()).unwrap_or_default();
        time.to_rfc3339_opts(SecondsFormat::Secs, true)
    }
}

/// Who makes them.
#[derive(Clone, Copy)]
pub(super) struct Maker<'m> {
    pub(super) epoch: i64,
    pub(super) ledger: &'m LedgerName,
    pub(super) signer: &'m Signer,
    pub(super) now: DateTime<Utc>,
}

/// When beats are due.
#[derive(Debug)]
pub(super) struct Beats {
    every: Duration,
    look_at: Instant,
}

impl Beats {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, look_at: Instant::now() }
    }

    /// Makes those that are due. How many there were.
    ///
    /// INVARIANT: a beat is made and gets its place in one transaction. One that waits would say afterwards that
    /// places were given when they were not.
    pub(super) async fn make(
        &mut self,
        connection: &mut PgConnection,
        maker: Maker<'_>,
        sequencer: &mut Sequencer,
        known: &mut Known,
    ) -> Result<usize, LedgerError> {
        if Instant::now() < self.look_at {
            return Ok(0);
        }
        // What was rewritten gets none, and takes nobody's turn.
        let but = known.refused_tenants();
        let due = store::damaged::beats_due(connection, self.every.as_secs_f64(), MOST, &but).await?;
        if due.len() < MOST.unsigned_abs() as usize {
            self.look_at = Instant::now() + LOOK.min(self.every);
        }
        if due.is_empty() {
            return Ok(0);
        }
        let mut tx = connection.begin().await?;
        store::fence(&mut tx, maker.epoch).await?;
        let mut made = 0;
        for tenant_id in due {
            let mut savepoint = tx.begin().await?;
            match self.beat(&mut savepoint, tenant_id, maker, sequencer, known).await {
                Ok(()) => {
                    savepoint.commit().await?;
                    made += 1;
                }
                Err(LedgerError::Altered(log)) => {
                    savepoint.rollback().await?;
                    known.refuse(log);
                }
                Err(error) if error.is_of_one_log() => {
                    savepoint.rollback().await?;
                    let (seen, until) = store::snapshots(&mut tx).await?;
                    sequencer.damage(&mut tx, maker.epoch, tenant_id, &error, &Pass::new(seen, until)).await?;
                }
                Err(error) => return Err(error),
            }
        }
        tx.commit().await?;
        sequencer.placed_aside();
        Ok(made)
    }

    async fn beat(
        &self,
        connection: &mut PgConnection,
        tenant_id: Uuid,
        maker: Maker<'_>,
        sequencer: &mut Sequencer,
        known: &Known,
    ) -> Result<(), LedgerError> {
        set_scope(connection, &tenant_id.to_string(), &Actor::System.to_string(), "ledger").await?;
        let frontier = store::head(connection).await?.and_then(|(_, bytes)| Frontier::from_bytes(&bytes));
        let tree = frontier.ok_or(LedgerError::Stored("a head cannot be read"))?;
        let head = TreeHead { size: tree.size(), root: tree.root() };
        known.check(connection, Log::Tenant(tenant_id), &head).await?;
        let time = format!("{TIME}{}", maker.now.timestamp_micros());
        let note =
            maker.signer.sign(&Checkpoint::new(maker.ledger, Log::Tenant(tenant_id), head).with_extension(time))?;
        let context = Context::system(TenantId::from_uuid(tenant_id), "ledger");
        let event = Event::success(BEAT).with("every_seconds", self.every.as_secs()).with("note", note.to_text());
        let id = record(connection, &context, event).await?;
        let draft = store::damaged::event(connection, id.as_uuid()).await?.draft();
        sequencer.append(connection, tenant_id, vec![draft]).await?;
        Ok(store::damaged::set_beat(connection).await?)
    }
}
