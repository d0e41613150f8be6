//! Witnesses: others who sign the system's checkpoints, where these go on from all that they have signed before (C2SP
//! tlog-witness). Whoever trusts one knows that nobody was shown another history.
//!
//! A witness that does not answer, or that has signed another history, does not hold up signing: it cannot be read as an
//! anchor can, and its signature is missing for everybody to see.

use metrics::counter;
use openpam_ledger::{Hash, LedgerName, Log, Note, Plan, VerifierKey, add_cosignatures, witness_request, witness_size};
use openpam_telemetry::names;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Duration, Instant};
use url::Url;

use super::{
    anchor::{AnchorError, Aside, SLOW, aside, note_state},
    error::LedgerError,
    keys::Signer,
    proofs,
    state::AnchorState,
    store::{self, read::Tree, verify as stored},
};
use crate::state::Hub;

/// Bytes of an answer.
const MAX_ANSWER: usize = 64 << 10;
/// How long a connection, and all of a request, may take.
const CONNECT: Duration = Duration::from_secs(5);
const REQUEST: Duration = Duration::from_secs(15);
/// How often in a row a witness may say that it was asked from a wrong size: somebody else may ask it too.
const MOST_CONFLICTS: u32 = 3;
/// Characters of what a witness says that are logged.
const MAX_SAID: usize = 200;

/// The client that asks witnesses.
///
/// # Errors
/// When the library refuses.
pub(super) fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .timeout(REQUEST)
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

/// What a witness answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// A witness, for the life of the process.
#[derive(Debug)]
pub(super) struct Witness {
    name: String,
    key: VerifierKey,
    url: Url,
    client: reqwest::Client,
    interval: Duration,
    next: Instant,
    /// The last tree that it has signed, as far as is known: what the next proof begins at.
    size: u64,
    /// The last tree under which its signature is kept here.
    kept: u64,
    conflicts: u32,
    work: Option<Asked>,
}

/// What it was asked to sign: the note, of so many leaves.
#[derive(Debug)]
struct Asked {
    answer: Aside<Result<Answer, AnchorError>>,
    note: Note,
    size: u64,
}

impl Witness {
    /// Those of the configuration.
    pub(super) fn configured(hub: &Hub) -> Vec<Self> {
        let config = &hub.config().ledger;
        let Some(client) = hub.ledger().client() else { return Vec::new() };
        let witnesses = config.witnesses.iter().filter_map(|text| crate::config::Witness::parse(text).ok());
        let made = witnesses.map(|witness| Self {
            name: witness.key.name().to_owned(),
            key: witness.key,
            url: witness.url,
            client: client.clone(),
            interval: Duration::from_secs(config.anchor_interval_seconds),
            next: Instant::now(),
            size: 0,
            kept: 0,
            conflicts: 0,
            work: None,
        });
        made.collect()
    }

    /// Another hub may have led meanwhile.
    pub(super) fn begin_to_lead(&mut self, hub: &Hub) {
        (self.work, self.next, self.conflicts) = (None, Instant::now(), 0);
        hub.ledger().note_anchor(&self.name, AnchorState::Unknown);
    }

    fn fails(&self, hub: &Hub, error: &dyn std::fmt::Display) {
        if note_state(hub, &self.name, AnchorState::Unavailable) {
            tracing::error!(witness = self.name, %error, "a witness did not sign; asking again later");
        }
    }

    fn differs(&self, hub: &Hub, reason: &str) {
        if note_state(hub, &self.name, AnchorState::Differs) {
            tracing::error!(witness = self.name, reason, "a witness has signed another history of the ledger");
        }
    }

    /// Asks for what is due, and keeps what was answered.
    pub(super) async fn tend(
        &mut self,
        hub: &Hub,
        connection: &mut PgConnection,
        epoch: i64,
        signed: (&LedgerName, &Signer),
    ) -> Result<(), LedgerError> {
        if let Some(asked) = &mut self.work {
            let Some(answer) = asked.answer.within(Duration::ZERO).await else {
                if asked.answer.since.elapsed() > SLOW {
                    self.fails(hub, &"it does not answer in time");
                }
                return Ok(());
            };
            let Some(Asked { note, size, .. }) = self.work.take() else { return Ok(()) };
            return match answer.flatten() {
                Ok(answer) => self.take(hub, connection, (epoch, signed.0), (note, size), answer).await,
                Err(error) => {
                    self.fails(hub, &error);
                    Ok(())
                }
            };
        }
        if Instant::now() < self.next {
            return Ok(());
        }
        self.next = Instant::now() + self.interval;
        self.ask(hub, connection, signed).await
    }

    async fn ask(
        &mut self,
        hub: &Hub,
        connection: &mut PgConnection,
        (ledger, signer): (&LedgerName, &Signer),
    ) -> Result<(), LedgerError> {
        let Some((size, text)) = stored::last_system_checkpoint(connection).await? else { return Ok(()) };
        let size = size.cast_unsigned();
        if size == self.kept || !signer.has_signed(ledger, Log::System, &text) {
            return Ok(());
        }
        if size < self.size {
            self.differs(hub, "it has signed a larger tree than there is");
            return Ok(());
        }
        let proof = match consistency(connection, self.size, size).await {
            Ok(proof) => proof,
            Err(LedgerError::Stored(reason)) => {
                self.fails(hub, &reason);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let note = Note::parse(text.as_bytes())?;
        let body = witness_request(self.size, &proof, &note);
        let asking = post(self.client.clone(), self.url.clone(), body);
        self.work = Some(Asked { answer: aside(hub, asking, Instant::now()), note, size });
        Ok(())
    }

    async fn take(
        &mut self,
        hub: &Hub,
        connection: &mut PgConnection,
        (epoch, ledger): (i64, &LedgerName),
        (mut note, size): (Note, u64),
        answer: Answer,
    ) -> Result<(), LedgerError> {
        match answer.status {
            200 => match add_cosignatures(&mut note, &answer.body, std::slice::from_ref(&self.key)) {
                Ok(0) => self.fails(hub, &"its answer has no signature by the key that is configured"),
                Ok(_) => {
                    // It is the last, in a line of its own.
                    let line = note.to_text().lines().last().map(|line| format!("{line}\n")).unwrap_or_default();
                    let origin = ledger.origin(Log::System);
                    let mut tx = connection.begin().await?;
                    store::fence(&mut tx, epoch).await?;
                    store::insert_cosignature(&mut tx, &origin, size.cast_signed(), &self.name, &line).await?;
                    tx.commit().await?;
                    (self.size, self.kept, self.conflicts) = (size, size, 0);
                    counter!(names::LEDGER_ANCHORED, "anchor" => self.name.clone()).increment(1);
                    note_state(hub, &self.name, AnchorState::Available);
                }
                Err(error) => self.fails(hub, &error),
            },
            409 => match witness_size(&answer.body) {
                // Not believed, or whoever answers so once would not be asked again: it is, from where it was.
                Some(theirs) if theirs > size => {
                    self.conflicts = 0;
                    self.differs(hub, "it says that it has signed a larger tree than there is");
                }
                // Asked from there, it says the same: it has signed this size already, with another root.
                Some(theirs) if theirs == size && self.size == size => {
                    self.differs(hub, "it has signed another tree of this size");
                }
                Some(theirs) if self.conflicts < MOST_CONFLICTS => {
                    (self.size, self.next) = (theirs, Instant::now());
                    self.conflicts += 1;
                }
                Some(_) => {
                    self.conflicts = 0;
                    self.fails(hub, &"it was asked from a wrong size, again and again");
                }
                None => self.fails(hub, &"it answers 409, and names no size"),
            },
            422 => self.differs(hub, "the proof does not fit what it has signed"),
            status => {
                let said = String::from_utf8_lossy(&answer.body);
                let said = said.chars().filter(|said| !said.is_control()).take(MAX_SAID).collect::<String>();
                self.fails(hub, &format!("it answers {status}: {said}"));
            }
        }
        Ok(())
    }
}

/// That the system's tree of `old` leaves is the beginning of the one of `new`.
async fn consistency(connection: &mut PgConnection, old: u64, new: u64) -> Result<Vec<Hash>, LedgerError> {
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let plan = Plan::consistency(old, new).map_err(|_| LedgerError::NoSuchPlace)?;
    proofs::assemble(connection, Tree::System, new, &plan).await
}

async fn post(client: reqwest::Client, url: Url, body: String) -> Result<Answer, AnchorError> {
    let failed = |error: reqwest::Error| AnchorError::Failed(openpam_telemetry::with_causes(&error));
    let mut answer = client.post(url).body(body).send().await.map_err(failed)?;
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(failed)? {
        body.extend_from_slice(&piece);
        if body.len() > MAX_ANSWER {
            return Err(AnchorError::Failed("its answer is too large".to_owned()));
        }
    }
    Ok(Answer { status, body })
}
