//! What verifications found: kept with the recording, so that damage does not have to be looked for one by one, and in
//! the trail, once for each finding.

use openpam_ids::SessionId;
use openpam_recordings::{Hash, Head, Report, Verdict};
use serde_json::Value;

use super::{Error, service, store, types::Recording};
use crate::{
    context::Context,
    db::DbError,
    domains::audit::{self, Event},
    state::Hub,
};

/// Acts of the trail that say how many segments there were, and their root.
const HEADS: [&str; 2] = ["recording.head", "recording.close"];

/// The heads of a recording that the ledger has: those of its running time, and that of its end.
pub(super) async fn heads(hub: &Hub, context: &Context, id: SessionId) -> Result<Vec<Head>, Error> {
    let mut tx = hub.db().begin(context).await?;
    let details = audit::details(&mut tx, id.as_uuid(), &HEADS).await?;
    Ok(details.iter().filter_map(head).collect())
}

/// What an entry says of a head; nothing where it is empty, or its detail was erased.
fn head(detail: &Value) -> Option<Head> {
    let segments = u32::try_from(detail.get("segments")?.as_u64()?).ok().filter(|segments| *segments > 0)?;
    let root = Hash::from_hex(detail.get("root")?.as_str()?)?;
    Some(Head { segments, root })
}

/// Keeps what a verification of a closed recording found, and says so where that is news.
pub(super) async fn note(hub: &Hub, context: &Context, recording: &Recording, report: &Report) -> Result<(), Error> {
    if !matches!(recording.state.as_str(), "complete" | "completed" | "empty") {
        return Ok(());
    }
    let found = match &report.verdict {
        Verdict::Defective(defect) => Some(defect),
        Verdict::Intact | Verdict::Consistent | Verdict::Incomplete | Verdict::Empty => None,
    };
    if found.map(openpam_recordings::Defect::code) == recording.defect.as_deref() {
        return Ok(());
    }
    // Whoever looked: it is the hub that finds.
    let context = &Context::system(context.tenant_id, "recording verification");
    let mut tx = hub.db().begin(context).await?;
    let code = found.map(openpam_recordings::Defect::code);
    if store::note_defect(&mut tx, recording.session_id, code, hub.clock().now()).await? {
        let event = match found {
            Some(defect) => {
                Event::failure("recording.damaged").with("defect", defect.code()).with("message", defect.to_string())
            }
            // The store had given something else, or somebody put back what was there.
            None => Event::success("recording.sound").with("was", recording.defect.as_deref()),
        };
        let event = service::about(&mut tx, recording.session_id, event).await?;
        audit::record(&mut tx, context, event).await?;
    }
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn heads_are_what_entries_say_and_what_was_erased_says_nothing() {
        let root = "0b".repeat(32);
        let detail = json!({ "segments": 20, "root": root, "state": "complete" });
        assert_eq!(head(&detail), Some(Head { segments: 20, root: Hash([11; 32]) }));
        for nothing in [
            json!({}),
            json!({ "segments": 0, "root": root }),
            json!({ "segments": 20 }),
            json!({ "segments": -1, "root": root }),
            json!({ "segments": 20, "root": "0b" }),
        ] {
            assert_eq!(head(&nothing), None, "{nothing}");
        }
    }
}
