//! Searching what recordings show: in those the principal may play, and every search is in the trail.

use std::collections::HashMap;

use openpam_ids::SessionId;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    Error, service, store,
    store::search::ByIndex,
    types::{FoundLine, FoundSession, Search},
};
use crate::{
    context::Context,
    db::DbError,
    domains::audit::{self, Event},
    permissions::{Permission, permits},
    state::Hub,
};

/// Characters that a search has, at least.
pub(super) const LEAST: usize = 2;
/// Characters that a search has, at most.
pub(super) const MOST: usize = 200;
/// Searches at the same time: each may hold a connection of the database for that long.
static SEARCHES: Semaphore = Semaphore::const_new(3);
/// How long a search may take.
const LIMIT_MILLIS: u64 = 5_000;

/// Sessions with their matching lines, newest first.
pub(super) struct Found {
    pub(super) sessions: Vec<(FoundSession, Vec<FoundLine>)>,
    /// Recordings within the filters whose text is not indexed to its end yet.
    pub(super) unindexed: i64,
    /// Recordings within the filters of which not all that was shown and run is found: output was too fast, too much
    /// or too long, other output hid what was entered, or a part is damaged.
    pub(super) partial: i64,
    /// Recordings within the filters in which keys did not show at a prompt, as for a password.
    pub(super) unseen: i64,
}

/// Searches. A page goes on before the session `before`.
pub(super) async fn search(
    hub: &Hub,
    context: &Context,
    mut search: Search,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Found, Error> {
    // As lines are indexed, so that a text with other white space is found.
    search.text = super::lines::tidy(&search.text);
    if search.text.chars().count() < LEAST {
        return Err(Error::TooShort(LEAST));
    }
    let everybody = permits(&context.principal, Permission::RecordingPlay);
    if !everybody {
        let own = permits(&context.principal, Permission::RecordingPlayOwn);
        let user = context.principal.user_id().filter(|_| own).ok_or(Error::Forbidden)?;
        if search.user_id.is_some_and(|wanted| wanted != user) {
            return Ok(Found { sessions: Vec::new(), unindexed: 0, partial: 0, unseen: 0 });
        }
        search.user_id = Some(user);
    }
    note(hub, context, &search).await?;
    // The semaphore is never closed.
    let _turn = SEARCHES.acquire().await.ok();
    let mut tx = hub.db().begin(context).await?;
    store::search::limit_time(&mut tx, LIMIT_MILLIS).await?;
    let mut sessions = None;
    // Within one session there is nothing to look up.
    if search.is_indexed()
        && search.session_id.is_none()
        && let ByIndex::Found(found) = store::search::by_index(&mut tx, &search, before, limit).await?
    {
        sessions = Some(found);
    }
    let sessions = match sessions {
        Some(sessions) => sessions,
        None => store::search::by_session(&mut tx, &search, before, limit).await?,
    };
    let wanted =
        sessions.iter().flat_map(|found| found.numbers.iter().map(|number| (found.session_id.as_uuid(), *number)));
    let (ids, numbers): (Vec<Uuid>, Vec<i32>) = wanted.unzip();
    let mut lines: HashMap<SessionId, Vec<FoundLine>> = HashMap::new();
    for line in store::search::lines(&mut tx, &ids, &numbers).await? {
        lines.entry(line.session_id).or_default().push(line);
    }
    let (unindexed, partial, unseen) = store::search::count_behind(&mut tx, &search).await?;
    let sessions = sessions
        .into_iter()
        .map(|session| {
            let lines = lines.remove(&session.session_id).unwrap_or_default();
            (session, lines)
        })
        .collect();
    Ok(Found { sessions, unindexed, partial, unseen })
}

/// Writes the search into the trail, before anything is found: one that takes too long is there too.
async fn note(hub: &Hub, context: &Context, search: &Search) -> Result<(), Error> {
    let mut event = Event::success("recording.search").with("query", search.text.as_str());
    let mut tx = hub.db().begin(context).await?;
    if let Some(id) = search.session_id {
        event = service::about(&mut tx, id, event).await?;
    }
    let id = |id: Option<Uuid>| id.map(|id| id.to_string());
    for (key, value) in [
        ("kind", search.commands.then(|| "command".to_owned())),
        ("user_id", id(search.user_id.map(|id| id.as_uuid()))),
        ("target_id", id(search.target_id.map(|id| id.as_uuid()))),
        ("user", search.user.clone()),
        ("target", search.target.clone()),
        ("zone", search.zone.clone()),
        ("from", search.from.map(|from| from.to_rfc3339())),
        ("to", search.to.map(|to| to.to_rfc3339())),
    ] {
        if let Some(value) = value {
            event = event.with(key, value);
        }
    }
    audit::record(&mut tx, context, event).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(())
}

/// Where in a line the text is, whatever its case: its first character, and how many.
pub(super) fn position(line: &str, text: &str) -> Option<(usize, usize)> {
    // One character may become several in lower case: each knows which it came from.
    let fold = |text: &str| {
        text.chars()
            .enumerate()
            .flat_map(|(at, character)| character.to_lowercase().map(move |low| (at, low)))
            .collect::<Vec<_>>()
    };
    let (line, text) = (fold(line), fold(text));
    let found = line.windows(text.len().max(1)).find(|window| {
        window.len() == text.len() && window.iter().zip(&text).all(|((_, of_line), (_, of_text))| of_line == of_text)
    })?;
    let (first, last) = (found.first()?.0, found.last()?.0);
    Some((first, last - first + 1))
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn a_text_is_found_whatever_its_case_and_counted_in_characters() {
        assert_eq!(position("ä systemctl STOP nginx", "systemctl stop"), Some((2, 14)));
        assert_eq!(position("İx", "x"), Some((1, 1)));
        assert_eq!(position("ÄÖ", "äö"), Some((0, 2)));
        assert_eq!(position("short", "much longer"), None);
        assert_eq!(position("", "x"), None);
    }
}
