//! Coming back to a session: only its own person, only while they may still have it.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use openpam_ids::{SessionId, TargetId};
use openpam_secret::SecretString;
use tokio::sync::{mpsc, oneshot};

use super::{attachments::Visit, audience::Lacks};
use crate::{
    context::Context,
    db::{DbError, Tx},
    domains::{
        access, audit,
        audit::Event,
        sessions::{self, LiveSession},
        targets::{self, Target},
        vault,
    },
    http::Problem,
    state::Hub,
};

/// A fresh token for one's own session.
///
/// # Errors
/// When the session is not here, not theirs, or no longer allowed.
pub(super) async fn issue(hub: &Hub, context: &Context, id: SessionId) -> Result<SecretString, Problem> {
    let live = own(hub, context, id).await?;
    reauthorize(hub, context, &live).await?;
    hub.terminals().new_token(id, hub.random()).ok_or_else(gone)
}

/// Trades a token for the way to the session.
///
/// # Errors
/// As [`issue`], and when the token is not the session's newest.
pub(super) async fn redeem(
    hub: &Hub,
    context: &Context,
    id: SessionId,
    target_id: TargetId,
    token: &str,
) -> Result<mpsc::Sender<Visit>, Problem> {
    let live = own(hub, context, id).await?;
    if live.target_id != target_id {
        return Err(gone());
    }
    let (mut tx, target) = reauthorize(hub, context, &live).await?;
    let visits = hub.terminals().redeem(id, token).ok_or_else(|| {
        Problem::new(
            StatusCode::FORBIDDEN,
            "resume_token_invalid",
            "The session was continued elsewhere, or the token was used before. Ask for a new one.",
        )
    })?;
    // Here and not with the token: once for each time the session is taken up again.
    audit::record(&mut tx, context, Event::success("session.resume").on("session", id, &target.name))
        .await
        .map_err(DbError::from)?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(visits)
}

async fn own(hub: &Hub, context: &Context, id: SessionId) -> Result<Arc<LiveSession>, Problem> {
    let live = hub
        .live()
        .get(id)
        .filter(|live| live.context.tenant_id == context.tenant_id)
        .filter(|live| Some(live.user_id) == context.principal.user_id());
    match live {
        Some(live) => Ok(live),
        None => Err(sessions::why_not_here(hub, context, id).await.into()),
    }
}

/// Decides again. A denial is in the trail; what is allowed is for the caller to write, in the transaction
/// it was decided in.
async fn reauthorize(hub: &Hub, context: &Context, live: &LiveSession) -> Result<(Tx, Target), Problem> {
    let mut tx = hub.db().begin(context).await?;
    let target = targets::find(&mut tx, live.target_id).await?.ok_or_else(super::open::target_not_found)?;
    let credentials = vault::credentials_of(&mut tx, target.id).await?;
    match access::reauthorize_session(&mut tx, context, &target, live.credential_id, &credentials).await? {
        Ok(()) => Ok((tx, target)),
        Err(denial) => {
            tx.commit().await.map_err(DbError::from)?;
            Err(super::open::denied(denial))
        }
    }
}

/// The session is over.
pub(super) fn gone() -> Problem {
    sessions::Error::Ended.into()
}

/// The whole screen for a browser that has everything up to `offset`, where what follows is no longer
/// retained; with the position that it is of.
pub(super) async fn screen_for(hub: &Hub, visits: &mpsc::Sender<Visit>, offset: u64) -> Option<(u64, Bytes)> {
    let (answer, answered) = oneshot::channel();
    visits.send(Visit::Returns(offset, answer)).await.ok()?;
    let Lacks { retained, sizes, at } = answered.await.ok()??;
    Some((at, hub.terminals().drawing().draw(retained, sizes).await))
}
