//! What a session waits for beside its bytes. One future that lives as long as nothing of it happens:
//! a key is carried in microseconds, and to register for four things anew would cost some of them.

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::attachments::Visit;
use crate::domains::sessions::End;

/// Where news comes from.
pub(super) struct Outside {
    /// Wishes to end the session.
    pub ends: watch::Receiver<Option<End>>,
    /// Who comes: the session's browser again, or somebody who watches.
    pub visits: mpsc::Receiver<Visit>,
    /// The hub is about to stop.
    pub soft: CancellationToken,
    /// It was said already that it is.
    pub stopping: bool,
}

/// What happened.
pub(super) enum News {
    /// The session is to end.
    End(End),
    /// Somebody is here; `None` never comes while the session lives.
    Visited(Option<Visit>),
    /// The hub is about to stop. Comes once.
    Stopping,
}

impl Outside {
    /// The next news, and itself to wait for more.
    pub(super) async fn news(mut self) -> (News, Self) {
        let news = tokio::select! {
            biased;
            end = asked_to_end(&mut self.ends) => News::End(end),
            visit = self.visits.recv() => News::Visited(visit),
            () = self.soft.cancelled(), if !self.stopping => News::Stopping,
        };
        self.stopping |= matches!(news, News::Stopping);
        (news, self)
    }
}

/// How the session is to end, once somebody asks for it.
pub(super) async fn asked_to_end(ends: &mut watch::Receiver<Option<End>>) -> End {
    if let Ok(end) = ends.wait_for(Option::is_some).await
        && let Some(end) = end.clone()
    {
        return end;
    }
    std::future::pending().await
}
