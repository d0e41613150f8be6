//! Reading a request's body, up to a limit.

use std::time::Duration;

use axum::body::{Body, Bytes};
use bytes::BytesMut;
use futures::StreamExt as _;
use http::{Extensions, StatusCode};

use super::{Problem, app::MAX_BODY, seats};
use crate::context::Context;

/// Bytes of a body whose sender is not known: a name, a password, a provider's code. Whoever has many connections must
/// not fill the memory before they have signed in.
const MAX_OF_STRANGER: usize = 16 * 1024;

/// A body must be here within this time: that of somebody who has not signed in, and that of everybody else. The
/// latter is less than a request may take, so that the answer says what was slow.
const TIME_OF_STRANGER: Duration = Duration::from_secs(10);
const TIME: Duration = Duration::from_secs(50);

/// Of a body that is too large so much more is read, for so long: who still sends does not hear the answer
/// of a connection that is closed meanwhile.
const DISCARDED: usize = 16 * 1024 * 1024;
const DISCARDING: Duration = Duration::from_secs(2);

/// The whole body of a request with these extensions.
///
/// # Errors
/// `payload_too_large`, `request_timed_out`, `busy` when there are too many, or when it breaks off.
pub(super) async fn read(extensions: &Extensions, body: Body) -> Result<Bytes, Problem> {
    let _seat = seats::seat(extensions)?;
    let (most, time, too_large) = match extensions.get::<Context>() {
        Some(_) => (MAX_BODY, TIME, "The body is larger than 1 MiB."),
        None => {
            let too_large = "The body is larger than 16 KiB, as many as it may have before a sign-in.";
            (MAX_OF_STRANGER, TIME_OF_STRANGER, too_large)
        }
    };
    tokio::time::timeout(time, read_up_to(most, too_large, body)).await.unwrap_or_else(|_| {
        Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timed_out",
            "The body took too long to arrive. Send it again.",
        ))
    })
}

async fn read_up_to(most: usize, too_large: &'static str, body: Body) -> Result<Bytes, Problem> {
    let mut pieces = body.into_data_stream();
    let mut read = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| {
            Problem::new(StatusCode::BAD_REQUEST, "malformed_request", "The request's body could not be read.")
        })?;
        if read.len() + piece.len() > most {
            let mut discarded = piece.len();
            let discarding = async {
                while let Some(Ok(piece)) = pieces.next().await
                    && discarded <= DISCARDED
                {
                    discarded += piece.len();
                }
            };
            let _ = tokio::time::timeout(DISCARDING, discarding).await;
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", too_large));
        }
        read.extend_from_slice(&piece);
    }
    Ok(read.freeze())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_given_up_soon_before_a_sign_in() {
        let begun = tokio::time::Instant::now();
        let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{"))]);
        let body = Body::from_stream(first.chain(stream::pending()));
        let problem = read(&Extensions::new(), body).await.unwrap_err();
        assert_eq!((problem.status(), problem.code()), (StatusCode::REQUEST_TIMEOUT, "request_timed_out"));
        assert!((TIME_OF_STRANGER..TIME).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        let whole = read(&Extensions::new(), Body::from("{}")).await.unwrap();
        assert_eq!(&whole[..], b"{}");
    }
}
