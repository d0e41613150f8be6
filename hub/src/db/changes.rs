//! Changes that can end access, as PostgreSQL announces them at commit: those of this hub, of
//! other hubs and by hand in psql come the same way. A connection that cannot listen (PostgreSQL
//! is down, a pooler is between) only makes it later: who depends on a change also looks by itself
//! every second.

use std::{collections::HashSet, time::Duration};

use openpam_ids::TenantId;
use tokio::{sync::broadcast, time::Instant};

use super::Db;

/// Where the triggers announce; the payload is the tenant.
const CHANNEL: &str = "openpam_access";
/// Announcements a receiver may be behind before it must look at everything.
const KEPT: usize = 256;
/// Between two attempts to listen.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
enum Change {
    Tenant(TenantId),
    /// Announcements may have been missed.
    Anything,
}

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every tenant: it is time, or announcements were missed.
    Everything,
    /// These tenants: something of theirs has changed.
    Tenants(HashSet<TenantId>),
}

impl Scope {
    /// Whether the tenant is to be looked at.
    pub fn covers(&self, tenant: TenantId) -> bool {
        match self {
            Self::Everything => true,
            Self::Tenants(tenants) => tenants.contains(&tenant),
        }
    }
}

/// Where announcements are heard.
#[derive(Debug)]
pub struct Changes {
    sender: broadcast::Sender<Change>,
}

impl Default for Changes {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(KEPT) }
    }
}

impl Changes {
    /// Hears what is announced from now on.
    pub fn subscribe(&self) -> Receiver {
        Receiver { receiver: self.sender.subscribe() }
    }

    /// Listens until the future is dropped.
    pub async fn listen(&self, db: &Db) {
        let mut failing = false;
        loop {
            match self.listen_once(db, &mut failing).await {
                Ok(never) => match never {},
                // Once per outage.
                Err(error) if !failing => {
                    tracing::warn!(%error, "cannot listen for changes; looking for them every second");
                    failing = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn listen_once(&self, db: &Db, failing: &mut bool) -> Result<std::convert::Infallible, sqlx::Error> {
        let mut listener = db.listener("openpam-hub-changes", CHANNEL).await?;
        *failing = false;
        tracing::debug!("listening for changes");
        // Whatever was committed before this moment was not heard.
        self.announce(Change::Anything);
        loop {
            match listener.try_recv().await? {
                Some(notification) => self.announce(
                    notification
                        .payload()
                        .parse()
                        .map_or(Change::Anything, |id| Change::Tenant(TenantId::from_uuid(id))),
                ),
                // The connection was lost and made again.
                None => self.announce(Change::Anything),
            }
        }
    }

    fn announce(&self, change: Change) {
        // Without a receiver there is nobody to tell.
        let _ = self.sender.send(change);
    }
}

/// Hears announcements.
#[derive(Debug)]
pub struct Receiver {
    receiver: broadcast::Receiver<Change>,
}

impl Receiver {
    /// Waits for announcements until `deadline`, when everything is due. Those that wait already
    /// are answered together. Cancel safe: an announcement is lost only with the answer it is in.
    pub async fn next(&mut self, deadline: Instant) -> Scope {
        // First of all: announcements without a pause must not put off the look at everything.
        if Instant::now() >= deadline {
            return Scope::Everything;
        }
        let Ok(first) = tokio::time::timeout_at(deadline, self.receiver.recv()).await else { return Scope::Everything };
        let mut tenants = HashSet::new();
        let mut heard = first.ok();
        loop {
            match heard {
                Some(Change::Tenant(tenant)) => tenants.insert(tenant),
                // Behind, or not connected for a while.
                Some(Change::Anything) | None => return Scope::Everything,
            };
            heard = match self.receiver.try_recv() {
                Ok(change) => Some(change),
                Err(broadcast::error::TryRecvError::Empty) => return Scope::Tenants(tenants),
                Err(_) => None,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(uuid::Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn announcements_are_answered_together_and_silence_with_everything() {
        let changes = Changes::default();
        let mut receiver = changes.subscribe();
        let soon = || Instant::now() + Duration::from_millis(10);
        for number in [1, 2, 1] {
            changes.announce(Change::Tenant(tenant(number)));
        }
        let scope = receiver.next(soon()).await;
        assert_eq!(scope, Scope::Tenants([tenant(1), tenant(2)].into()));
        assert!(scope.covers(tenant(2)) && !scope.covers(tenant(3)));
        assert_eq!(receiver.next(soon()).await, Scope::Everything, "the deadline");
        changes.announce(Change::Tenant(tenant(1)));
        changes.announce(Change::Anything);
        assert_eq!(receiver.next(soon()).await, Scope::Everything, "something may have been missed");
    }

    #[tokio::test]
    async fn announcements_without_a_pause_do_not_put_off_the_look_at_everything() {
        let changes = Changes::default();
        let mut receiver = changes.subscribe();
        changes.announce(Change::Tenant(tenant(1)));
        assert_eq!(receiver.next(Instant::now()).await, Scope::Everything);
    }

    #[tokio::test]
    async fn who_is_too_far_behind_looks_at_everything() {
        let changes = Changes::default();
        let mut receiver = changes.subscribe();
        for number in 0..=KEPT as u128 {
            changes.announce(Change::Tenant(tenant(number)));
        }
        assert_eq!(receiver.next(Instant::now() + Duration::from_secs(60)).await, Scope::Everything);
    }
}
