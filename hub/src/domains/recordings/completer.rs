//! Closes recordings that their hubs left open, from what they had stored.
//!
//! INVARIANT: what was stored and noted is not signed away while it may be there. Before anything is signed the
//! row says so (`closing_at`), in a transaction that compares what was noted with what was read; from then on
//! nothing more is noted, and whoever completes it after a crash goes on with the same segments. A segment that is
//! gone is looked for again, as long as one in a spool is waited for and counted from the first look in vain; then
//! the recording is closed with what there is, which is in the trail.

use chrono::{DateTime, TimeDelta, Utc};
use openpam_ids::{SessionId, TenantId};
use openpam_recordings::{Completer, Outcome, SealedSegment, Segment};

use super::{
    Error, keys, service,
    storage::Placed,
    store, store_of,
    types::{Abandoned, SegmentEntry},
    upload,
};
use crate::{context::Context, db::DbError, state::Hub};

/// Recordings that are looked at together, at most.
const AT_ONCE: i64 = 10_000;
/// Looks in a row that the store does not give a segment, at least, before it counts as lost.
const LOOKS: i32 = 3;
/// Until one that could not be closed is tried again: doubled each time.
const RETRY: TimeDelta = TimeDelta::seconds(15);
const LONGEST_RETRY: TimeDelta = TimeDelta::hours(1);

/// Closes recordings of sessions that ended at least `grace` ago without their recorder's manifest.
///
/// # Errors
/// When one could not be closed; the others are all the same.
pub(super) async fn complete_abandoned(hub: &Hub, tenant_id: TenantId, grace: TimeDelta) -> Result<(), Error> {
    let context = Context::system(tenant_id, "recording completer");
    let now = hub.clock().now();
    let mut tx = hub.db().begin(&context).await?;
    let open = store::abandoned(&mut tx, now - grace, now, AT_ONCE).await?;
    drop(tx);
    let wait = i64::try_from(hub.config().recording.spool_wait_seconds).unwrap_or(i64::MAX / 1_000);
    let mut failure = None;
    for recording in open {
        let id = recording.session_id;
        // Its recorder is slow, and at work.
        if hub.indexer().records(id) {
            continue;
        }
        let waited_since = now - TimeDelta::seconds(wait);
        match complete(hub, &context, &recording, waited_since).await {
            // Its hub, or the store, comes back; until then this is no news.
            Err(error @ Error::Waiting { .. }) => tracing::debug!(session_id = %id, %error, "not closed yet"),
            Ok(Placed::Stored) => tracing::warn!(session_id = %id, "closed a recording that its hub had left open"),
            Ok(Placed::Spooled) => {}
            Err(error) => {
                tracing::warn!(session_id = %id, %error, "a recording that was left open could not be closed");
                let retry_at = hub.clock().now() + retry_after(recording.failures);
                note_failure(hub, &context, id, &error, retry_at).await?;
                failure = Some(error);
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

fn retry_after(failures: i32) -> TimeDelta {
    let doubled = u32::try_from(failures).unwrap_or_default().min(8);
    (RETRY * (1_i32 << doubled)).min(LONGEST_RETRY)
}

async fn note_failure(
    hub: &Hub,
    context: &Context,
    id: SessionId,
    error: &Error,
    retry_at: DateTime<Utc>,
) -> Result<(), Error> {
    let lost = match error {
        Error::Lost { seq, .. } => Some(i32::try_from(*seq).unwrap_or(i32::MAX)),
        _ => None,
    };
    let mut tx = hub.db().begin(context).await?;
    store::closing_failed(&mut tx, id, &error.to_string(), retry_at, lost, hub.clock().now()).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// Whether a segment that the store does not give is lost: this is the last of several looks in a row, over a long
/// time. That the session ended long ago says nothing: nobody may have looked since.
fn is_lost(recording: &Abandoned, seq: u32, waited_since: DateTime<Utc>) -> bool {
    recording.lost_seq.map(u32::try_from) == Some(Ok(seq))
        && recording.lost_count + 1 >= LOOKS
        && recording.lost_at.is_some_and(|first| first < waited_since)
}

async fn complete(
    hub: &Hub,
    context: &Context,
    recording: &Abandoned,
    waited_since: DateTime<Utc>,
) -> Result<Placed, Error> {
    let id = recording.session_id;
    let session = service::session(context.tenant_id, id, recording.started_at);
    let given_up = upload::await_spool(hub, context, id, recording.ended_at < waited_since).await?;
    // Its hub may have died between the manifest and the row.
    if let Some(signed) = service::stored_manifest(hub, context, session, id).await? {
        service::note_closed(hub, context, id, signed.manifest()).await?;
        return Ok(Placed::Stored);
    }
    let mut tx = hub.db().begin(context).await?;
    let noted = store::segments(&mut tx, id).await?;
    drop(tx);
    let may_go = |seq: u32| {
        given_up.is_some_and(|first| i32::try_from(seq).is_ok_and(|seq| seq >= first))
            || is_lost(recording, seq, waited_since)
    };
    if recording.failures > 0 {
        look_for_all(hub, context, id, &noted, &may_go).await?;
    }
    let keys = keys::current(hub, context).await?;
    let mut completer = Completer::new(session);
    let mut until = 0;
    let mut is_whole = true;
    for seq in 0.. {
        let known = noted.get(usize::try_from(seq).unwrap_or(usize::MAX));
        if known.is_none() && recording.is_closing {
            // Whatever it is, it was not acknowledged.
            break;
        }
        match next(hub, context, id, seq, known).await? {
            Next::There(segment) => {
                match completer.append(&segment.header, segment.hash) {
                    Ok(()) => {}
                    // Whoever put it there, nobody was told that it is kept.
                    Err(_) if known.is_none() => break,
                    Err(defect) => return Err(defect.into()),
                }
                until = segment.header.until;
                let segment = SealedSegment { head: completer.head(), ..*segment };
                // Stored, and its hub died before it was noted.
                service::note_segment(hub, context, id, &segment, None).await?;
            }
            Next::End => break,
            Next::Lost(_) if may_go(seq) => {
                is_whole = false;
                break;
            }
            Next::Lost(why) => return Err(Error::Lost { seq, why }),
        }
    }
    let head = completer.head();
    let expected = if is_whole { head.segments } else { u32::try_from(noted.len()).unwrap_or(u32::MAX) };
    // A folder that is not mounted, or another bucket, gives nothing at all.
    let was_stored = given_up.is_none_or(|first| first > 0);
    if head.segments == 0 && expected > 0 && was_stored && !store_of(hub)?.has_any(context.tenant_id).await? {
        return Err(Error::Lost { seq: 0, why: "is gone, as is everything else of the tenant".to_owned() });
    }
    let mut tx = hub.db().begin(context).await?;
    if !store::begin_closing(&mut tx, id, i32::try_from(expected).unwrap_or(i32::MAX), &head, hub.clock().now()).await?
    {
        // A hub that was taken for dead went on: nothing that it was told is kept is to be signed away.
        return Err(Error::Store("segments came while it was closed".to_owned()));
    }
    tx.commit().await.map_err(DbError::from)?;
    service::close(hub, context, id, completer.finish(until, Outcome::Lost, keys.signer)).await
}

/// Looks whether what was noted is in the store, before anything is read: what was in vain before may be so again.
async fn look_for_all(
    hub: &Hub,
    context: &Context,
    id: SessionId,
    noted: &[SegmentEntry],
    may_go: &impl Fn(u32) -> bool,
) -> Result<(), Error> {
    for known in noted {
        let seq = u32::try_from(known.seq).unwrap_or_default();
        if may_go(seq) {
            break;
        }
        if !store_of(hub)?.has_segment(context.tenant_id, id, seq).await? {
            return Err(Error::Lost { seq, why: GONE.to_owned() });
        }
    }
    Ok(())
}

/// Why a segment counts as lost.
const GONE: &str = "is gone";

enum Next {
    There(Box<SealedSegment>),
    /// Nothing more was stored.
    End,
    /// It was noted, and is not there.
    Lost(String),
}

/// The next segment that is in the store.
async fn next(
    hub: &Hub,
    context: &Context,
    id: SessionId,
    seq: u32,
    known: Option<&SegmentEntry>,
) -> Result<Next, Error> {
    let bytes = match store_of(hub)?.stored_segment(context.tenant_id, id, seq).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) if known.is_none() => return Ok(Next::End),
        Ok(None) => return Ok(Next::Lost(GONE.to_owned())),
        Err(Error::TooLarge(_)) if known.is_none() => return Ok(Next::End),
        Err(Error::TooLarge(_)) => return Ok(Next::Lost("is too large".to_owned())),
        Err(error) => return Err(error),
    };
    let segment = match Segment::parse(&bytes) {
        Ok(segment) => segment,
        Err(_) if known.is_none() => return Ok(Next::End),
        Err(defect) => return Ok(Next::Lost(format!("is damaged: {defect}"))),
    };
    if known.is_some_and(|known| known.hash != segment.hash().0) {
        return Ok(Next::Lost("is another one".to_owned()));
    }
    let (header, hash) = (segment.header().clone(), segment.hash());
    let head = openpam_recordings::Head { segments: seq, root: hash };
    Ok(Next::There(Box::new(SealedSegment { header, hash, head, bytes })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abandoned(seq: i32, count: i32, at: Option<DateTime<Utc>>) -> Abandoned {
        Abandoned {
            session_id: SessionId::from(uuid::Uuid::from_u128(1)),
            started_at: DateTime::UNIX_EPOCH,
            ended_at: DateTime::UNIX_EPOCH,
            is_closing: false,
            failures: count,
            lost_seq: (count > 0).then_some(seq),
            lost_count: count,
            lost_at: at,
        }
    }

    #[test]
    fn one_look_in_vain_loses_nothing_however_long_ago_the_session_ended() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(30);
        let since = now - TimeDelta::days(7);
        let (long_ago, lately) = (Some(since - TimeDelta::days(1)), Some(since + TimeDelta::days(1)));
        assert!(!is_lost(&abandoned(3, 0, None), 3, since));
        assert!(!is_lost(&abandoned(3, 1, long_ago), 3, since), "too few looks");
        assert!(!is_lost(&abandoned(3, 99, lately), 3, since), "too short a time");
        assert!(!is_lost(&abandoned(2, 99, long_ago), 3, since), "another one was missed until now");
        assert!(is_lost(&abandoned(3, LOOKS - 1, long_ago), 3, since));
    }

    #[test]
    fn what_cannot_be_closed_is_tried_again_later_and_later() {
        assert_eq!(retry_after(0), RETRY);
        assert_eq!(retry_after(2), TimeDelta::minutes(1));
        assert!((0..1_000).all(|failures| retry_after(failures) <= LONGEST_RETRY));
        assert_eq!(retry_after(100), LONGEST_RETRY);
    }
}
