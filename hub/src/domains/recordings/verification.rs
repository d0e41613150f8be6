//! What a verification says of a recording. Manifest, signature and the list of segments that a player goes by are
//! looked at at once; each segment is compared with that list when it is read. That all of them are there and follow
//! from each other takes as long as reading them: it goes on in the background, slowly, and whoever asks hears how
//! far it is.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use openpam_ids::SessionId;
use openpam_recordings::{Check, Defect, Hash, Head, Report, SignedManifest, Signers, Verifier};
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc, watch},
    time::{Instant, timeout},
};

use super::{
    Error, defects, keys, store, store_of,
    types::{Recording, SegmentEntry},
    upload,
};
use crate::{context::Context, state::Hub};

/// Verifications at the same time for who waits for them, and in the background: each reads and hashes a whole
/// recording.
static VERIFICATIONS: Semaphore = Semaphore::const_new(2);
static BACKGROUND: Semaphore = Semaphore::const_new(2);
/// Of those in the background, how many have begun: each has a thread of its own, of which the hub has so many.
static BEGUN: Semaphore = Semaphore::const_new(8);
/// Segments that one in the background reads before others have their turn.
const TURN: u32 = 64;
/// The longest rest between two segments of one in the background.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// Segments of a verification that wait to be hashed.
const WAITING: usize = 2;
/// How long somebody who does not wait for the result waits for what is known at once.
const LISTED: Duration = Duration::from_millis(500);
/// And for the result of a short recording.
const SHORT: Duration = Duration::from_millis(100);
/// How long a result counts for who looks without waiting.
const FRESH: Duration = Duration::from_secs(600);
/// How long one goes on that nobody asks about.
const UNASKED: Duration = Duration::from_secs(600);
/// An open recording, which grows, is verified again after this many times as long as that took, and not before this.
const GROWN: u32 = 10;
const LEAST_GROWN: Duration = Duration::from_secs(15);
/// Verifications that are known, at most.
const MOST: usize = 1_000;

/// What is known of a recording.
#[derive(Debug, Clone)]
pub(super) struct Verified {
    /// What came of it; none while it goes on, or where it could not be done.
    pub(super) report: Option<Report>,
    /// Of the manifest and the list of segments.
    pub(super) listed: Listed,
    /// Segments that were read, and of how many.
    pub(super) checked: u32,
    pub(super) of: u32,
    /// When it ended.
    pub(super) at: Option<DateTime<Utc>>,
    /// Why it could not be done, in words for a person.
    pub(super) failure: Option<String>,
}

/// What is known at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Listed {
    /// It was looked at.
    pub(super) known: bool,
    /// There is a manifest.
    pub(super) closed: bool,
    /// What is wrong with it, or with the list.
    pub(super) defect: Option<Defect>,
}

impl Listed {
    /// Whether the manifest's signature fits and is trusted.
    pub(super) fn signature(&self) -> Check {
        match &self.defect {
            Some(Defect::SignatureInvalid | Defect::UntrustedSigner { .. }) => Check::Failed,
            _ if self.closed => Check::Passed,
            _ => Check::NotDone,
        }
    }

    /// Whether the list of segments is the one that was signed.
    pub(super) fn list(&self) -> Check {
        match &self.defect {
            Some(_) => Check::Failed,
            None if self.closed => Check::Passed,
            None => Check::NotDone,
        }
    }
}

/// Verifications of this hub that go on in the background, and their results. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Verifications {
    known: Arc<Mutex<HashMap<SessionId, Known>>>,
}

#[derive(Debug)]
struct Known {
    /// What was verified: more may have been stored since.
    segments: i32,
    is_open: bool,
    progress: watch::Receiver<Verified>,
    begun: Instant,
    asked: Instant,
    ended: Option<Instant>,
}

impl Known {
    /// Whether it still speaks for this recording.
    fn speaks_for(&self, recording: &Recording, now: Instant) -> bool {
        let is_open = recording.state == "recording";
        match self.ended {
            // Whatever it was begun for: its end is waited for.
            None => self.is_open == is_open,
            Some(ended) if self.is_open && is_open && self.segments != recording.segments => {
                now < ended + ((ended - self.begun) * GROWN).clamp(LEAST_GROWN, FRESH)
            }
            Some(ended) => self.is_open == is_open && self.segments == recording.segments && now < ended + FRESH,
        }
    }
}

impl Verifications {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<SessionId, Known>) -> T) -> T {
        act(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is known of the recording; or who is to verify it, and tell what comes of that. None where too many are.
    fn ask(&self, recording: &Recording, now: Instant) -> Option<(watch::Receiver<Verified>, Option<Telling>)> {
        let id = recording.session_id;
        self.with(|known| {
            if let Some(one) = known.get_mut(&id).filter(|one| one.speaks_for(recording, now)) {
                one.asked = now;
                return Some((one.progress.clone(), None));
            }
            known.retain(|_, one| one.ended.is_none_or(|ended| now < ended + FRESH));
            // The one before goes on to its end, unheard.
            if known.len() >= MOST && !known.contains_key(&id) {
                return None;
            }
            let begins = Verified {
                report: None,
                listed: Listed::default(),
                checked: 0,
                of: u32::try_from(recording.segments).unwrap_or_default(),
                at: None,
                failure: None,
            };
            let (progress, receiver) = watch::channel(begins);
            let one = Known {
                segments: recording.segments,
                is_open: recording.state == "recording",
                progress: receiver.clone(),
                begun: now,
                asked: now,
                ended: None,
            };
            known.insert(id, one);
            Some((receiver, Some(Telling { of: self.clone(), id, begun: now, progress })))
        })
    }
}

/// Tells of a verification in the background, for as long as this lives.
struct Telling {
    of: Verifications,
    id: SessionId,
    begun: Instant,
    progress: watch::Sender<Verified>,
}

impl Telling {
    fn own<T>(&self, act: impl FnOnce(&mut Known) -> T) -> Option<T> {
        self.of.with(|known| known.get_mut(&self.id).filter(|one| one.begun == self.begun).map(act))
    }

    /// Whether somebody wants to know.
    fn is_wanted(&self) -> bool {
        self.own(|one| one.asked.elapsed() < UNASKED).unwrap_or(false)
    }

    fn ended(&self, outcome: Result<Report, String>, at: DateTime<Utc>) {
        let (report, failure) = match outcome {
            Ok(report) => (Some(report), None),
            Err(failure) => (None, Some(failure)),
        };
        let is_done = report.is_some();
        self.progress.send_modify(|verified| {
            verified.report = report;
            verified.failure = failure;
            verified.at = Some(at);
        });
        if is_done {
            self.own(|one| one.ended = Some(Instant::now()));
        }
    }
}

impl Drop for Telling {
    /// What did not come to its end is begun anew.
    fn drop(&mut self) {
        self.of.with(|known| {
            if known.get(&self.id).is_some_and(|one| one.begun == self.begun && one.ended.is_none()) {
                known.remove(&self.id);
            }
        });
    }
}

/// What is known of a recording without waiting for all of it: where nothing is, a verification begins.
pub(super) async fn look(hub: &Hub, context: &Context, recording: &Recording) -> Verified {
    let Some((mut progress, telling)) = hub.verifications().ask(recording, Instant::now()) else {
        return failed(recording, "Too many recordings are verified just now.".to_owned());
    };
    if let Some(telling) = telling {
        let (own_hub, context, recording) = (hub.clone(), context.clone(), recording.clone());
        let verifying = async move {
            let outcome = in_background(&own_hub, &context, &recording, &telling).await;
            if let Ok(report) = &outcome {
                note(&own_hub, &context, &recording, report).await;
            }
            let outcome = outcome.map_err(|error| in_words(&error, recording.session_id));
            telling.ended(outcome, own_hub.clock().now());
        };
        hub.lifecycle().spawn_child(tracing::Instrument::in_current_span(verifying));
    }
    let ended = |verified: &Verified| verified.report.is_some() || verified.failure.is_some();
    // What did not come in time is told the next time.
    let _ = timeout(LISTED, progress.wait_for(|verified| verified.listed.known || ended(verified))).await;
    let _ = timeout(SHORT, progress.wait_for(ended)).await;
    progress.borrow().clone()
}

fn failed(recording: &Recording, failure: String) -> Verified {
    Verified {
        report: None,
        listed: Listed::default(),
        checked: 0,
        of: u32::try_from(recording.segments).unwrap_or_default(),
        at: None,
        failure: Some(failure),
    }
}

/// Why it could not be done; what the store or the vault said is for the log.
fn in_words(error: &Error, id: SessionId) -> String {
    match error {
        Error::Waiting { place } => format!("A part of it waits for the store in {place}."),
        Error::Purged => "It was deleted.".to_owned(),
        error => {
            tracing::warn!(session_id = %id, %error, "a recording could not be verified");
            "The store of recordings did not give a part of it.".to_owned()
        }
    }
}

async fn in_background(
    hub: &Hub,
    context: &Context,
    recording: &Recording,
    telling: &Telling,
) -> Result<Report, Error> {
    let listed = list(hub, context, recording).await?;
    telling.progress.send_modify(|verified| verified.listed = listed);
    let _place = turn(hub, &BEGUN).await?;
    let turn = Some(turn(hub, &BACKGROUND).await?);
    if !telling.is_wanted() {
        return Err(unwanted());
    }
    read_all(hub, context, recording, Some(Slowly { telling, turn, begun: Instant::now() })).await
}

/// A turn, unless the hub ends first.
async fn turn(hub: &Hub, turns: &'static Semaphore) -> Result<SemaphorePermit<'static>, Error> {
    tokio::select! {
        turn = turns.acquire() => turn.map_err(|_| unwanted()),
        () = hub.lifecycle().soft().cancelled() => Err(unwanted()),
    }
}

fn unwanted() -> Error {
    Error::Store("nobody wants to know any more".to_owned())
}

/// How one in the background goes on.
struct Slowly<'a> {
    telling: &'a Telling,
    turn: Option<SemaphorePermit<'static>>,
    /// Since when it reads its segment.
    begun: Instant,
}

impl Slowly<'_> {
    /// One more was read.
    ///
    /// # Errors
    /// When it is to end.
    async fn went_on(&mut self, hub: &Hub, checked: u32) -> Result<(), Error> {
        if hub.lifecycle().soft().is_cancelled() || !self.telling.is_wanted() {
            return Err(unwanted());
        }
        self.telling.progress.send_modify(|verified| verified.checked = checked);
        // Whoever plays it meanwhile goes first: half of the time is theirs.
        tokio::time::sleep(self.begun.elapsed().min(LONGEST_REST)).await;
        if checked.is_multiple_of(TURN) {
            drop(self.turn.take());
            self.turn = Some(turn(hub, &BACKGROUND).await?);
        }
        self.begun = Instant::now();
        Ok(())
    }
}

/// What manifest and signature say, and whether the list of segments is the one that was signed.
async fn list(hub: &Hub, context: &Context, recording: &Recording) -> Result<Listed, Error> {
    let signers = keys::signers(hub, context).await?;
    let id = recording.session_id;
    let manifest = store_of(hub)?.manifest(context.tenant_id, id).await?;
    let known = Listed { known: true, closed: manifest.is_some(), defect: None };
    let Some(bytes) = manifest else {
        let defect = (recording.state != "recording").then_some(Defect::ManifestMissing);
        return Ok(Listed { defect, ..known });
    };
    let mut tx = hub.db().begin(context).await?;
    let segments = store::segments(&mut tx, id).await?;
    drop(tx);
    let hash = |noted: &SegmentEntry| <[u8; 32]>::try_from(noted.hash.as_slice()).map(Hash).unwrap_or(Hash::ZERO);
    let hashes = segments.iter().map(hash);
    let looked = (|| {
        let signed = SignedManifest::parse(&bytes)?;
        signed.verify()?;
        let manifest = signed.manifest();
        if !signers.contains(&manifest.signer) {
            return Err(Defect::UntrustedSigner { signer: manifest.signer });
        }
        if manifest.session.session_id != id.as_uuid() || manifest.session.tenant_id != context.tenant_id.as_uuid() {
            return Err(Defect::ForeignManifest { session_id: manifest.session.session_id });
        }
        if !signed.lists(hashes) {
            return Err(Defect::RootMismatch);
        }
        Ok(())
    })();
    Ok(Listed { defect: looked.err(), ..known })
}

/// Reads every segment and compares it with chain, manifest and signature, for who waits for it.
pub(super) async fn verify(hub: &Hub, context: &Context, recording: &Recording) -> Result<Report, Error> {
    // The semaphore is never closed.
    let turn = VERIFICATIONS.acquire().await.ok();
    let report = read_all(hub, context, recording, None).await?;
    drop(turn);
    note(hub, context, recording, &report).await;
    Ok(report)
}

/// Keeps what was found; whoever looked hears of it all the same where that fails.
async fn note(hub: &Hub, context: &Context, recording: &Recording, report: &Report) {
    if let Err(error) = defects::note(hub, context, recording, report).await {
        tracing::warn!(session_id = %recording.session_id, %error, "what a verification found could not be noted");
    }
}

async fn read_all(
    hub: &Hub,
    context: &Context,
    recording: &Recording,
    mut slowly: Option<Slowly<'_>>,
) -> Result<Report, Error> {
    if recording.is_purged() {
        return Err(Error::Purged);
    }
    let storage = store_of(hub)?;
    let signers = keys::signers(hub, context).await?;
    let id = recording.session_id;
    let (tenant, session) = (context.tenant_id.as_uuid(), id.as_uuid());
    let root = recording.root.as_deref().and_then(|root| <[u8; 32]>::try_from(root).ok());
    let head =
        root.zip(u32::try_from(recording.segments).ok()).map(|(root, segments)| Head { segments, root: Hash(root) });
    let noted = defects::heads(hub, context, id).await?;
    let is_closed = recording.state != "recording";
    // Hashed off the async threads, while the next segment is read.
    let (sender, mut receiver) = mpsc::channel::<Read>(WAITING);
    let hashing = tokio::task::spawn_blocking(move || {
        let mut verifier = Verifier::new(Signers::Trusted(&signers)).of_session(tenant, session);
        if let Some(head) = head {
            verifier = verifier.with_head(head);
        }
        verifier = verifier.with_ledger(noted);
        if is_closed {
            verifier = verifier.closed();
        }
        while let Some(part) = receiver.blocking_recv() {
            match part {
                Read::Segment(bytes) => verifier.segment(&bytes),
                Read::Manifest(bytes) => return Some(verifier.finish(bytes.as_deref())),
            }
        }
        // The reader gave up.
        None
    });
    for seq in 0..u32::try_from(recording.segments).unwrap_or_default() {
        match storage.segment(context.tenant_id, id, seq).await? {
            // Nobody listens only where the other side panicked, which shows below.
            Some(bytes) => drop(sender.send(Read::Segment(bytes)).await),
            // One that is missing shows in the report; one that is on its way is not missing.
            None => match upload::missing(hub, context, id, seq).await {
                Error::Changed { .. } => {}
                error => return Err(error),
            },
        }
        if let Some(slowly) = &mut slowly {
            slowly.went_on(hub, seq + 1).await?;
        }
    }
    let manifest = storage.manifest(context.tenant_id, id).await?;
    let _ = sender.send(Read::Manifest(manifest)).await;
    drop(sender);
    let report = hashing.await.map_err(|error| Error::Store(error.to_string()))?;
    report.ok_or_else(|| Error::Store("the verification broke off".to_owned()))
}

/// What a verification is given.
enum Read {
    Segment(Bytes),
    Manifest(Option<Bytes>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(id: u128, state: &str, segments: i32) -> Recording {
        Recording {
            session_id: SessionId::from(uuid::Uuid::from_u128(id)),
            state: state.to_owned(),
            required: true,
            path: String::new(),
            started_at: DateTime::UNIX_EPOCH,
            ended_at: None,
            segments,
            records: 0,
            plain_bytes: 0,
            stored_bytes: 0,
            dropped_bytes: 0,
            duration_us: 0,
            root: None,
            closing_at: None,
            closing_error: None,
            defect: None,
        }
    }

    fn report() -> Report {
        Verifier::new(Signers::Any).finish(None)
    }

    #[tokio::test(start_paused = true)]
    async fn one_verification_is_enough_for_all_who_look_until_it_is_old_or_the_recording_is_another() {
        let all = Verifications::default();
        let closed = recording(1, "complete", 9);
        let (progress, telling) = all.ask(&closed, Instant::now()).unwrap();
        let telling = telling.expect("nobody verifies it yet");
        assert!(all.ask(&closed, Instant::now()).unwrap().1.is_none(), "it goes on");
        telling.ended(Ok(report()), DateTime::UNIX_EPOCH);
        drop(telling);
        assert!(progress.borrow().report.is_some());
        assert!(all.ask(&closed, Instant::now() + FRESH / 2).unwrap().1.is_none(), "it is known");
        assert!(all.ask(&closed, Instant::now() + FRESH * 2).unwrap().1.is_some(), "it is old");
        // One that grows is not verified again for each segment.
        let (_, telling) = all.ask(&recording(2, "recording", 3), Instant::now()).unwrap();
        let telling = telling.unwrap();
        tokio::time::advance(Duration::from_secs(10)).await;
        telling.ended(Ok(report()), DateTime::UNIX_EPOCH);
        drop(telling);
        let grown = recording(2, "recording", 4);
        assert!(all.ask(&grown, Instant::now() + Duration::from_secs(90)).unwrap().1.is_none());
        assert!(all.ask(&grown, Instant::now() + Duration::from_secs(101)).unwrap().1.is_some());
        // Closed, it is another one.
        assert!(all.ask(&recording(2, "complete", 4), Instant::now()).unwrap().1.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_broke_off_is_begun_anew_and_what_nobody_asks_about_ends() {
        let all = Verifications::default();
        let one = recording(1, "complete", 9);
        let (progress, telling) = all.ask(&one, Instant::now()).unwrap();
        let telling = telling.unwrap();
        telling.ended(Err("why".to_owned()), DateTime::UNIX_EPOCH);
        assert_eq!(progress.borrow().failure.as_deref(), Some("why"));
        drop(telling);
        let (_, telling) = all.ask(&one, Instant::now()).unwrap();
        let telling = telling.expect("it is not known");
        tokio::time::advance(UNASKED / 2).await;
        assert!(telling.is_wanted());
        let _ = all.ask(&one, Instant::now());
        tokio::time::advance(UNASKED / 2).await;
        assert!(telling.is_wanted(), "it was asked about meanwhile");
        tokio::time::advance(UNASKED / 2).await;
        assert!(!telling.is_wanted());
    }

    #[tokio::test]
    async fn so_many_are_known_and_no_more() {
        let all = Verifications::default();
        let now = Instant::now();
        let open = (0..).map(|id| recording(id, "complete", 1)).take(MOST);
        let telling = open.map(|one| all.ask(&one, now).unwrap().1.unwrap()).collect::<Vec<_>>();
        let more = recording(u128::MAX, "complete", 1);
        assert!(all.ask(&more, now).is_none());
        drop(telling);
        assert!(all.ask(&more, now).is_some());
    }

    #[test]
    fn what_is_known_at_once_is_said_of_list_and_signature() {
        let known = |closed, defect| Listed { known: true, closed, defect };
        let said = |listed: &Listed| (listed.signature(), listed.list());
        assert_eq!(said(&known(false, None)), (Check::NotDone, Check::NotDone));
        assert_eq!(said(&known(true, None)), (Check::Passed, Check::Passed));
        assert_eq!(said(&known(true, Some(Defect::SignatureInvalid))), (Check::Failed, Check::Failed));
        assert_eq!(said(&known(true, Some(Defect::RootMismatch))), (Check::Passed, Check::Failed));
        assert_eq!(said(&known(false, Some(Defect::ManifestMissing))), (Check::NotDone, Check::Failed));
    }
}
