//! The ledger's leader: each hub tries to lead, one does.
//!
//! Whoever has the lock leads. A leader that is not heard of, though its connection stands, is followed
//! without the lock. Either way the new epoch is what counts: the database refuses the one before.

use std::collections::BTreeSet;

use metrics::{counter, gauge};
use openpam_ledger::{LedgerName, Log};
use openpam_telemetry::names;
use sqlx::PgConnection;
use tokio::{
    sync::oneshot,
    time::{Duration, Instant, sleep},
};

use super::{
    alarms,
    anchor::{Anchor, Trust},
    beats::{Beats, Maker},
    error::LedgerError,
    feed::Feed,
    keys::Signer,
    known::Known,
    named,
    sequence::Sequencer,
    sign::Signing,
    store,
    witness::Witness,
};
use crate::state::Hub;

/// Between rounds, while there is nothing to do.
const ROUND: Duration = Duration::from_millis(200);
/// Between checkpoints.
const SIGN: Duration = Duration::from_millis(500);
/// Between looks at who leads, and after a failure.
const SECOND: Duration = Duration::from_secs(1);
/// Between looks at what another hub signs, and at what waits for its place.
const LOOK: Duration = Duration::from_secs(5);
/// Damaged tenants that a hub which does not lead names.
const MOST_DAMAGED: i32 = 1_000;
/// After this silence somebody else leads.
const SILENCE_SECONDS: f64 = 3.0;

/// Starts it.
pub fn start_tasks(hub: &Hub) {
    let hub = hub.clone();
    hub.lifecycle().clone().supervise("ledger leader", async move {
        let mut failing = false;
        // For the life of the process: whoever ends the connection does not make it forget.
        let mut known = Known::default();
        // Likewise: an anchor that hangs is not asked a second time.
        let mut elsewhere = Elsewhere { anchors: Anchor::configured(&hub), witnesses: Witness::configured(&hub) };
        while !hub.lifecycle().is_ending() {
            match run(&hub, &mut failing, &mut known, &mut elsewhere).await {
                Ok(()) => return,
                Err(LedgerError::Fenced) => tracing::warn!("another hub leads the ledger now"),
                // Once per outage.
                Err(error) if !failing => {
                    tracing::error!(%error, "the ledger does not go on; trying again every second");
                    failing = true;
                }
                Err(_) => {}
            }
            hub.ledger().forget();
            gauge!(names::LEDGER_LEADER).set(0.0);
            pause(&hub, SECOND).await;
        }
    });
}

/// Waits, or until the hub is to end.
async fn pause(hub: &Hub, time: Duration) {
    let _ = tokio::time::timeout(time, hub.lifecycle().soft().cancelled()).await;
}

/// On one connection: waits for its turn, leads, until something fails or the hub ends.
async fn run(hub: &Hub, failing: &mut bool, known: &mut Known, elsewhere: &mut Elsewhere) -> Result<(), LedgerError> {
    let mut connection = hub.db().ledger("openpam-hub-ledger").await?;
    store::prepare_connection(&mut connection).await?;
    let name = hub.config().ledger_name();
    let mut keyring = Keyring::default();
    let mut watch = Watch::default();
    while !hub.lifecycle().is_ending() {
        let has_lock = store::try_lock(&mut connection).await?;
        let led = store::lead(&mut connection, hub.hub_id().as_uuid(), has_lock, SILENCE_SECONDS, &name).await?;
        if let Some((epoch, stored)) = led {
            if stored != name {
                tracing::warn!(stored, configured = name, "the ledger keeps the name it began with");
            }
            let ledger = LedgerName::new(&stored).ok_or(LedgerError::Stored("its name is none"))?;
            tracing::info!(epoch, has_lock, ledger = stored, "leading the ledger");
            elsewhere.anchors.iter_mut().for_each(|anchor| anchor.begin_to_lead(hub));
            elsewhere.witnesses.iter_mut().for_each(|witness| witness.begin_to_lead(hub));
            let leader =
                Leader { hub, connection, epoch, has_lock, ledger, elsewhere, keyring, watch, known, fits: false };
            return leader.lead(failing).await;
        }
        if watch.is_due() {
            keyring.follow(hub, &mut connection, known).await?;
        }
        watch.look(hub, &mut connection, false).await?;
        *failing = false;
        pause(hub, SECOND).await;
    }
    Ok(())
}

/// How the ledger fares.
#[derive(Debug, Default)]
struct Watch {
    looked: Option<Instant>,
    waiting: f64,
}

impl Watch {
    /// Whether it is time to look at what takes longer.
    fn is_due(&self) -> bool {
        self.looked.is_none_or(|at| at.elapsed() > LOOK)
    }

    /// Notes it. What has no place yet is not signed either.
    async fn look(&mut self, hub: &Hub, connection: &mut PgConnection, leads: bool) -> Result<(), LedgerError> {
        let state = store::state(connection).await?;
        if self.is_due() {
            self.waiting = store::waiting(connection).await?;
            self.looked = Some(Instant::now());
            if !leads {
                // The leader knows it at once.
                let damaged = store::damaged::damaged(connection, MOST_DAMAGED).await?;
                hub.ledger().note_damaged(damaged.into_iter().map(|one| Log::Tenant(one.tenant_id)).collect());
            }
        }
        let lag = state.lag.max(self.waiting);
        hub.ledger().note(leads, state.silence, lag);
        gauge!(names::LEDGER_LEADER).set(f64::from(u8::from(leads)));
        gauge!(names::LEDGER_CHECKPOINT_LAG).set(lag);
        Ok(())
    }
}

/// A log that was rewritten is not signed any more, until somebody has looked and acknowledges it.
fn alarm(hub: &Hub, ledger: &LedgerName, signer: Option<&Signer>, known: &mut Known) {
    for log in known.news() {
        hub.ledger().note_altered(log);
        let origin = ledger.origin(log);
        known.alarms.raise(origin.clone());
        tracing::error!(
            origin,
            "the stored ledger is not the one that this hub wrote or read before: it is not signed"
        );
    }
    known.alarms.tend(hub, signer.map(Signer::id));
}

/// Where checkpoints go, for the life of the process.
struct Elsewhere {
    anchors: Vec<Anchor>,
    witnesses: Vec<Witness>,
}

struct Leader<'h> {
    hub: &'h Hub,
    connection: PgConnection,
    epoch: i64,
    has_lock: bool,
    ledger: LedgerName,
    elsewhere: &'h mut Elsewhere,
    keyring: Keyring,
    watch: Watch,
    known: &'h mut Known,
    /// The stored ledger goes on from what is anchored, as far as was looked.
    fits: bool,
}

/// The signing key, once the vault has given it. Whoever does not lead needs it too, to know what was signed: the keys
/// that the database names may be somebody else's.
struct Keyring {
    signer: Option<Signer>,
    load: KeyLoad,
}

impl Default for Keyring {
    fn default() -> Self {
        Self { signer: None, load: KeyLoad::Due(Instant::now()) }
    }
}

/// How the signing key is being fetched: aside, because a vault may hang, and a leader that is silent meanwhile
/// would be followed by another.
enum KeyLoad {
    Due(Instant),
    UnderWay(oneshot::Receiver<Result<(Signer, BTreeSet<String>), LedgerError>>),
}

/// The key, and the alarms that are kept beside it; for the ledger of that name.
async fn load(hub: &Hub, name: &str) -> Result<(Signer, BTreeSet<String>), LedgerError> {
    let signer = Signer::load(hub).await?;
    let named = named::check(hub.vault(), &hub.config().ledger, signer.id(), name).await;
    if let Err(error @ (LedgerError::Renamed(_) | LedgerError::Replaced(_))) = &named
        && hub.ledger().note_altered(Log::System)
    {
        tracing::error!(name, %error, "the stored ledger is not the one that was signed before: nothing is signed");
    }
    named?;
    let alarms = alarms::read(hub.vault(), signer.id()).await?;
    Ok((signer, alarms))
}

impl Leader<'_> {
    async fn lead(mut self, failing: &mut bool) -> Result<(), LedgerError> {
        let mut sequencer = Sequencer::new();
        let mut signing = Signing::default();
        let mut beats = Beats::new(Duration::from_secs(self.hub.config().ledger.beat_interval_seconds));
        let mut feed = Feed::new(&self.hub.config().ledger);
        let mut unsigned_since: Option<Instant> = None;
        let mut next = Instant::now();
        while !self.hub.lifecycle().is_ending() {
            let round = sequencer.round(&mut self.connection, self.epoch).await?;
            let again = sequencer.retry(&mut self.connection, self.epoch).await?;
            let beats = self.beat(&mut beats, &mut sequencer).await?;
            let entries = round.entries + again.entries + beats;
            if entries > 0 {
                counter!(names::LEDGER_ENTRIES).increment(entries as u64);
            }
            sequencer.altered().into_iter().for_each(|tenant_id| self.known.refuse(Log::Tenant(tenant_id)));
            alarm(self.hub, &self.ledger, self.keyring.signer.as_ref(), self.known);
            let damaged = sequencer.damaged().iter().map(|tenant_id| Log::Tenant(*tenant_id));
            self.hub.ledger().note_damaged(damaged.chain(signing.stuck()).collect());
            *failing = false;
            if Instant::now() >= next {
                next = Instant::now() + SIGN;
                match self.sign(&mut signing).await {
                    Ok(()) if self.keyring.signer.is_some() => unsigned_since = None,
                    // The vault was asked.
                    Ok(()) => {}
                    // Without the key, or with what is stored damaged, nothing can be signed; sequencing goes on.
                    Err(
                        error @ (LedgerError::Vault(_)
                        | LedgerError::Key(_)
                        | LedgerError::Renamed(_)
                        | LedgerError::Replaced(_)
                        | LedgerError::Note(_)
                        | LedgerError::Stored(_)),
                    ) => {
                        store::fence(&mut self.connection, self.epoch).await?;
                        if unsigned_since.is_none() {
                            tracing::error!(%error, "checkpoints cannot be signed; trying again every second");
                            unsigned_since = Some(Instant::now());
                        }
                    }
                    Err(error) => return Err(error),
                }
                self.send_to_anchors().await?;
                if let Some(signer) = &self.keyring.signer {
                    feed.publish(&mut self.connection, self.epoch, (&self.ledger, signer)).await?;
                }
                if !self.has_lock {
                    self.has_lock = store::try_lock(&mut self.connection).await?;
                }
                self.watch.look(self.hub, &mut self.connection, true).await?;
            }
            if !round.more && !again.more {
                sleep(ROUND).await;
            }
        }
        // What has its place is signed before the hub ends: no checkpoint would speak for it until another one runs.
        self.sign(&mut signing).await
    }
}

impl Keyring {
    /// Asks the vault, or takes what it gave.
    async fn load(
        &mut self,
        hub: &Hub,
        connection: &mut PgConnection,
        ledger: &LedgerName,
        known: &mut Known,
    ) -> Result<(), LedgerError> {
        match &mut self.load {
            KeyLoad::Due(at) if Instant::now() < *at => Ok(()),
            KeyLoad::Due(_) => {
                let (give, take) = oneshot::channel();
                let (asking, name) = (hub.clone(), ledger.to_string());
                hub.lifecycle().spawn_child(async move {
                    // Nobody waits for it where this hub does not lead any more.
                    let _ = give.send(load(&asking, &name).await);
                });
                self.load = KeyLoad::UnderWay(take);
                Ok(())
            }
            KeyLoad::UnderWay(take) => {
                let loaded = match take.try_recv() {
                    Err(oneshot::error::TryRecvError::Empty) => return Ok(()),
                    Err(oneshot::error::TryRecvError::Closed) => Err(LedgerError::Stored("the key was not loaded")),
                    Ok(loaded) => loaded,
                };
                self.load = KeyLoad::Due(Instant::now() + SECOND);
                let (signer, alarms) = loaded?;
                known.learn(connection, ledger, &signer).await?;
                alarms.iter().filter_map(|origin| ledger.log(origin)).for_each(|log| known.refuse(log));
                self.signer = Some(signer);
                Ok(())
            }
        }
    }

    /// Forgets the key where another one is the present one; it is fetched next.
    async fn check(&mut self, connection: &mut PgConnection) -> Result<(), LedgerError> {
        let Some(signer) = &self.signer else { return Ok(()) };
        if store::present_key(connection).await? != Some(signer.id().as_uuid()) {
            tracing::info!("another key is the ledger's signing key now");
            *self = Self::default();
        }
        Ok(())
    }

    /// Holds what another hub signs against what this one knows.
    async fn follow(&mut self, hub: &Hub, connection: &mut PgConnection, known: &mut Known) -> Result<(), LedgerError> {
        let name = store::verify::name(connection).await?;
        let Some(ledger) = name.and_then(|name| LedgerName::new(&name)) else { return Ok(()) };
        self.check(connection).await?;
        if let Some(signer) = &self.signer {
            known.follow(connection, &ledger, signer).await?;
        } else if let Err(error) = self.load(hub, connection, &ledger, known).await {
            tracing::debug!(%error, "what another hub signs is not looked at");
        }
        alarm(hub, &ledger, self.signer.as_ref(), known);
        Ok(())
    }
}

impl Leader<'_> {
    async fn sign(&mut self, signing: &mut Signing) -> Result<(), LedgerError> {
        if self.watch.is_due() {
            self.keyring.check(&mut self.connection).await?;
        }
        if self.keyring.signer.is_none() {
            // Says that this leader is there, whatever the vault does.
            store::fence(&mut self.connection, self.epoch).await?;
            self.keyring.load(self.hub, &mut self.connection, &self.ledger, self.known).await?;
        }
        // The anchors are read with the key: what others wrote there does not count.
        let trust = self.keyring.signer.as_ref().map(|signer| Trust::new(&self.ledger, signer));
        self.fits = match trust {
            Some(trust) => self.fits_anchors(&trust).await?,
            None => false,
        };
        let Some(signer) = self.keyring.signer.as_ref().filter(|_| self.fits) else { return Ok(()) };
        signing.sign(&mut self.connection, self.epoch, &self.ledger, signer, self.known).await?;
        alarm(self.hub, &self.ledger, self.keyring.signer.as_ref(), self.known);
        Ok(())
    }

    /// Makes the beats that are due, once there is a key.
    ///
    /// INVARIANT: a beat is signed, so it speaks for no log that was rewritten: not before the anchors were read.
    async fn beat(&mut self, beats: &mut Beats, sequencer: &mut Sequencer) -> Result<usize, LedgerError> {
        let Some(signer) = self.keyring.signer.as_ref().filter(|_| self.fits) else { return Ok(0) };
        let maker = Maker { epoch: self.epoch, ledger: &self.ledger, signer, now: self.hub.clock().now() };
        beats.make(&mut self.connection, maker, sequencer, self.known).await
    }

    /// Whether the stored ledger goes on from what is anchored, everywhere.
    async fn fits_anchors(&mut self, trust: &Trust) -> Result<bool, LedgerError> {
        let mut fits = true;
        for anchor in &mut self.elsewhere.anchors {
            fits &= anchor.fits(self.hub, &mut self.connection, self.epoch, trust).await?;
        }
        if !fits {
            // Says that this leader is there.
            store::fence(&mut self.connection, self.epoch).await?;
        }
        Ok(fits)
    }

    async fn send_to_anchors(&mut self) -> Result<(), LedgerError> {
        let Some(signer) = &self.keyring.signer else { return Ok(()) };
        for anchor in &mut self.elsewhere.anchors {
            anchor.send(self.hub, &mut self.connection, self.epoch, (&self.ledger, signer)).await?;
        }
        for witness in &mut self.elsewhere.witnesses {
            witness.tend(self.hub, &mut self.connection, self.epoch, (&self.ledger, signer)).await?;
        }
        Ok(())
    }
}
