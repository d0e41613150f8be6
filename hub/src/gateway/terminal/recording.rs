//! How a terminal's session drives its recorder.

use openpam_ids::SessionId;

use crate::{
    domains::{
        recordings::{self, Recorder},
        sessions::End,
    },
    http::Problem,
    state::Hub,
};

/// What the person reads when the target waits for the recording.
const THROTTLED: &str = "Output is slowed down: the target says more than can be recorded.";
/// What the person reads when the target waits for the store.
const BEHIND: &str = "The session waits: its recording cannot be stored right now.";
/// What the person reads when a session ends because it must be recorded.
pub(super) const UNRECORDED: &str = "This session must be recorded, and its recording could not be stored.";

/// What to tell the person whose target waits for the recording.
pub(super) fn holding_back(recorder: &Recorder) -> Option<&'static str> {
    if recorder.is_throttled() { Some(THROTTLED) } else { recorder.is_behind().then_some(BEHIND) }
}

/// The recorder's next step, for ever where there is none.
pub(super) async fn progress(recorder: Option<&mut Box<Recorder>>) -> Result<(), recordings::Error> {
    match recorder {
        Some(recorder) => recorder.progress().await,
        None => std::future::pending().await,
    }
}

/// Closes the recording beside the session's end, which does not wait for it.
pub(super) fn close(hub: &Hub, id: SessionId, recorder: Box<Recorder>, end: &End) {
    let end = end.clone();
    let closing = async move {
        if let Err(error) = recorder.finish(&end).await {
            tracing::warn!(session_id = %id, %error, "a recording is left for the completer to close");
        }
    };
    hub.lifecycle().spawn_child(tracing::Instrument::in_current_span(closing));
}

/// Makes sure that the store takes the recording. One that need not be recorded goes on without.
///
/// # Errors
/// When it must be recorded and cannot.
pub(super) async fn establish(recorder: Option<Box<Recorder>>) -> Result<Option<Box<Recorder>>, Problem> {
    let Some(mut recorder) = recorder else { return Ok(None) };
    match recorder.establish().await {
        Ok(()) => Ok(Some(recorder)),
        Err(error) if recorder.is_required() => Err(error.into()),
        Err(error) => {
            tracing::error!(%error, "a session is not recorded");
            Ok(None)
        }
    }
}
