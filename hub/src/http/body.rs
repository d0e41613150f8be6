//! Reading a request's body, up to a limit.

use std::time::Duration;

use axum::body::{Body, Bytes};
use bytes::BytesMut;
use futures::StreamExt as _;
use http::StatusCode;

use super::{Problem, app::MAX_BODY};

/// Of a body that is too large so much more is read, for so long: who still sends does not hear the answer
/// of a connection that is closed meanwhile.
const DISCARDED: usize = 16 * 1024 * 1024;
const DISCARDING: Duration = Duration::from_secs(2);

/// The whole body.
///
/// # Errors
/// `payload_too_large`, or when it breaks off.
pub(super) async fn read(body: Body) -> Result<Bytes, Problem> {
    let mut pieces = body.into_data_stream();
    let mut read = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| {
            Problem::new(StatusCode::BAD_REQUEST, "malformed_request", "The request's body could not be read.")
        })?;
        if read.len() + piece.len() > MAX_BODY {
            let mut discarded = piece.len();
            let discarding = async {
                while let Some(Ok(piece)) = pieces.next().await
                    && discarded <= DISCARDED
                {
                    discarded += piece.len();
                }
            };
            let _ = tokio::time::timeout(DISCARDING, discarding).await;
            return Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "payload_too_large",
                "The body is larger than 1 MiB.",
            ));
        }
        read.extend_from_slice(&piece);
    }
    Ok(read.freeze())
}
