//! The bus inside a hub: what was published, by this hub, another one, or a hand in psql, as PostgreSQL announces it
//! at commit. It wakes the dispatcher and tells consoles; nothing depends on an announcement that did not come.

use std::{sync::Arc, time::Duration};

use openpam_ids::{EventId, TenantId, UserId};
use tokio::sync::{Notify, broadcast};

use crate::db::Db;

/// Where the trigger announces: tenant, event, type, subject or `-`, person or `-`.
const CHANNEL: &str = "openpam_events";
/// Announcements a receiver may be behind.
const KEPT: usize = 1_024;
/// Between two attempts to listen.
const RETRY: Duration = Duration::from_secs(1);

/// What is announced.
#[derive(Debug, Clone)]
pub enum Announced {
    /// An event.
    Event {
        /// Its tenant.
        tenant_id: TenantId,
        /// Which.
        event_id: EventId,
        /// Its type.
        event_type: Arc<str>,
        /// What it is about.
        subject: Option<Arc<str>>,
        /// Whom it is about, as the hub says.
        user_id: Option<UserId>,
    },
    /// Announcements may have been missed.
    Gap,
}

/// Where announcements are heard.
#[derive(Debug)]
pub struct EventBus {
    sender: broadcast::Sender<Announced>,
    new: Notify,
    due: Notify,
}

impl Default for EventBus {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(KEPT), new: Notify::new(), due: Notify::new() }
    }
}

impl EventBus {
    /// Hears what is announced from now on. A receiver that is behind is told so by its channel.
    pub fn subscribe(&self) -> broadcast::Receiver<Announced> {
        self.sender.subscribe()
    }

    /// Waits until there may be events without deliveries.
    pub async fn new_events(&self) {
        self.new.notified().await;
    }

    /// Waits until there may be deliveries that are due.
    pub async fn due(&self) {
        self.due.notified().await;
    }

    /// Says that there may be events without deliveries.
    pub fn wake_dispatcher(&self) {
        self.new.notify_one();
    }

    /// Says that there may be deliveries that are due.
    pub fn wake_senders(&self) {
        self.due.notify_one();
    }

    /// Listens until the future is dropped.
    pub(super) async fn listen(&self, db: &Db) {
        let mut failing = false;
        loop {
            match self.listen_once(db, &mut failing).await {
                Ok(never) => match never {},
                // Once per outage.
                Err(error) if !failing => {
                    tracing::warn!(%error, "cannot listen for events; looking for them every second");
                    failing = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn listen_once(&self, db: &Db, failing: &mut bool) -> Result<std::convert::Infallible, sqlx::Error> {
        let mut listener = db.listener("openpam-hub-events", CHANNEL).await?;
        *failing = false;
        // Whatever was committed before this moment was not heard.
        self.tell(Announced::Gap);
        loop {
            let announced = listener.try_recv().await?;
            self.tell(announced.and_then(|one| parse(one.payload())).unwrap_or(Announced::Gap));
        }
    }

    fn tell(&self, announced: Announced) {
        self.wake_dispatcher();
        // Without a receiver there is nobody to tell.
        let _ = self.sender.send(announced);
    }
}

fn parse(payload: &str) -> Option<Announced> {
    let mut parts = payload.split(' ');
    let (tenant, event, event_type) = (parts.next()?, parts.next()?, parts.next()?);
    let (subject, user) = (parts.next()?, parts.next()?);
    Some(Announced::Event {
        tenant_id: tenant.parse().ok()?,
        event_id: event.parse().ok()?,
        event_type: event_type.into(),
        subject: (subject != "-").then(|| subject.into()),
        user_id: user.parse().ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_read_and_what_is_none_is_a_gap() {
        let (tenant, event) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
        let read = parse(&format!("{tenant} {event} openpam.session.started sessions/3 {tenant}"));
        let Some(Announced::Event { tenant_id, event_id, event_type, subject, user_id }) = read else {
            panic!("{read:?}")
        };
        assert_eq!((tenant_id.as_uuid(), event_id.as_uuid(), &*event_type), (tenant, event, "openpam.session.started"));
        assert_eq!((subject.as_deref(), user_id.map(|id| id.as_uuid())), (Some("sessions/3"), Some(tenant)));
        let nothing = parse(&format!("{tenant} {event} a.b - -"));
        assert!(matches!(nothing, Some(Announced::Event { subject: None, user_id: None, .. })), "{nothing:?}");
        for bad in ["", "x", &format!("{tenant} y a.b - -"), &format!("{tenant} {event} a.b -")] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
