//! Claiming a key, and keeping the answer.

use aws_lc_rs::hmac;
use openpam_secret::SecretHash;
use serde_json::Value;

use super::{store, types::Claim};
use crate::{context::Context, db::DbError, state::Hub};

/// What to do with a request.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It is the first: carry it out, then [`complete`] or [`give_up`].
    First(Claim),
    /// It was answered: answer the same.
    Answered {
        /// Status of that answer.
        status: u16,
        /// Its body.
        body: Option<Value>,
    },
    /// The first one is still being worked on.
    InProgress,
    /// The first one did something, and nobody is left to say what it was.
    AnswerLost,
    /// The key was used for a different request.
    Reused,
}

/// Claims `key` for a request. `credential` is what it was made with, `request` everything else that makes it this
/// request.
pub(crate) async fn begin(
    hub: &Hub,
    context: &Context,
    key: &str,
    credential: &str,
    request: &[&[u8]],
) -> Result<Option<Attempt>, DbError> {
    let Some(principal) = context.principal.actor.id() else { return Ok(None) };
    let request_hash = hash(credential, key, request);
    let claim = Claim { principal, key: SecretHash::of(key.as_bytes()).to_hex(), request_hash };
    let mut tx = hub.db().begin(context).await?;
    store::forget_old(&mut tx).await?;
    if store::claim(&mut tx, context.tenant_id, &claim).await? {
        tx.commit().await?;
        return Ok(Some(Attempt::First(claim)));
    }
    let Some(known) = store::find(&mut tx, &claim).await? else { return Ok(Some(Attempt::InProgress)) };
    Ok(Some(if known.request_hash != claim.request_hash {
        Attempt::Reused
    } else if let Some(status) = known.status.and_then(|status| u16::try_from(status).ok()) {
        Attempt::Answered { status, body: known.response }
    } else if known.is_lost {
        Attempt::AnswerLost
    } else {
        Attempt::InProgress
    }))
}

/// Keeps the answer.
pub(crate) async fn complete(
    hub: &Hub,
    context: &Context,
    claim: &Claim,
    status: u16,
    body: Option<Value>,
) -> Result<(), DbError> {
    let mut tx = hub.db().begin(context).await?;
    store::complete(&mut tx, claim, i16::try_from(status).unwrap_or(i16::MAX), body).await?;
    tx.commit().await?;
    Ok(())
}

/// Frees the key: the request failed and may be tried again.
pub(crate) async fn give_up(hub: &Hub, context: &Context, claim: &Claim) -> Result<(), DbError> {
    let mut tx = hub.db().begin(context).await?;
    store::release(&mut tx, claim).await?;
    tx.commit().await?;
    Ok(())
}

/// HMAC under the cookie or token that the request came with. The table beside it has no more of that than a hash, so
/// that whoever reads it cannot try out bodies, however easily the client's own key is guessed.
fn hash(credential: &str, key: &str, request: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, credential.as_bytes()));
    for part in [key.as_bytes()].iter().chain(request) {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    context.sign().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_tells_requests_apart() {
        let first = hash("cookie", "key", &[b"/a", b"bc"]);
        assert_eq!(first, hash("cookie", "key", &[b"/a", b"bc"]));
        assert_ne!(first, hash("cookie", "key", &[b"/ab", b"c"]), "the border between the parts counts");
        assert_ne!(first, hash("cookie", "other", &[b"/a", b"bc"]));
    }

    #[test]
    fn whoever_knows_key_and_body_cannot_tell_that_it_was_this_body() {
        let kept = hash("opat_the-secret-of-a-token", "1", &[b"/a", b"{}"]);
        assert_ne!(kept, hash("", "1", &[b"/a", b"{}"]));
        assert_ne!(kept, hash("1", "1", &[b"/a", b"{}"]));
        // What was kept before was a hash under the client's own key.
        let under_key = hmac::Key::new(hmac::HMAC_SHA256, b"1");
        let mut context = hmac::Context::with_key(&under_key);
        for part in [b"/a".as_slice(), b"{}"] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        assert_ne!(kept, context.sign().as_ref());
    }
}
