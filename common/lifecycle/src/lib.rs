//! Start and end of a process: supervised tasks and a shutdown in two steps.
//!
//! *Soft* asks everything to finish: no new work, sessions may end in their own time. *Hard* follows
//! after the grace period: whatever still runs is dropped. A supervised task that ends before the
//! shutdown, or panics, ends the process with an error: a dead task in a living process is worse.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Why the process ends.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// A task that should run for ever returned.
    #[error("the task {0} ended although nothing asked it to")]
    TaskReturned(&'static str),
    /// A task panicked.
    #[error("the task {0} panicked")]
    TaskPanicked(&'static str),
}

/// Handle to the process's life. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
    died: mpsc::Sender<Ended>,
}

/// The receiving end, owned by `main`.
#[derive(Debug)]
pub struct Supervisor {
    lifecycle: Lifecycle,
    died: mpsc::Receiver<Ended>,
}

impl Lifecycle {
    /// Makes the handle and the supervisor that waits on it.
    pub fn new() -> (Self, Supervisor) {
        let (died, receiver) = mpsc::channel(1);
        let lifecycle = Self {
            inner: Arc::new(Inner {
                soft: CancellationToken::new(),
                hard: CancellationToken::new(),
                tasks: TaskTracker::new(),
                died,
            }),
        };
        (lifecycle.clone(), Supervisor { lifecycle, died: receiver })
    }

    /// Cancelled when no new work may begin.
    pub fn soft(&self) -> &CancellationToken {
        &self.inner.soft
    }

    /// Cancelled when everything must stop at once.
    pub fn hard(&self) -> &CancellationToken {
        &self.inner.hard
    }

    /// Whether a shutdown has begun.
    pub fn is_ending(&self) -> bool {
        self.inner.soft.is_cancelled()
    }

    /// Runs a task that must live as long as the process. It should return soon after
    /// [`Lifecycle::soft`] is cancelled; returning earlier, or panicking, ends the process.
    #[expect(clippy::disallowed_methods, reason = "the one place where supervised tasks begin")]
    pub fn supervise<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let lifecycle = self.clone();
        self.inner.tasks.spawn(async move {
            let hard = lifecycle.inner.hard.clone();
            let mut join = tokio::spawn(task);
            let ended = tokio::select! {
                result = &mut join => match result {
                    Ok(()) if lifecycle.is_ending() => return,
                    Ok(()) => Ended::TaskReturned(name),
                    Err(error) if error.is_cancelled() => return,
                    Err(_) => Ended::TaskPanicked(name),
                },
                () = hard.cancelled() => {
                    join.abort();
                    return;
                }
            };
            tracing::error!(task = name, error = %ended, "supervised task died");
            let _ = lifecycle.inner.died.try_send(ended);
        });
    }

    /// Runs a task that belongs to one piece of work (a connection, a session) and may end at any
    /// time. It is waited for at shutdown and dropped at hard shutdown.
    #[expect(clippy::disallowed_methods, reason = "the one place where child tasks begin")]
    pub fn spawn_child<F>(&self, task: F) -> tokio::task::JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let hard = self.inner.hard.clone();
        // Boxed: a future that captures another one and waits for it has room for it twice.
        let task = Box::pin(task);
        tokio::spawn(self.inner.tasks.track_future(async move {
            tokio::select! {
                () = task => {}
                () = hard.cancelled() => {}
            }
        }))
    }

    /// Does a piece of work to its end even when whoever waits for it goes away, as a request does whose client does.
    /// `None` when the process ended first.
    pub async fn to_the_end<T, F>(&self, work: F) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.spawn_child(async move {
            // The receiver is gone when the client is: the work is done all the same.
            let _ = sender.send(work.await);
        });
        receiver.await.ok()
    }
}

impl Supervisor {
    /// Waits for `stop` (a signal) or the death of a task, then shuts down: soft, up to `grace`, hard.
    ///
    /// # Errors
    /// When a supervised task died: the process should exit with a failure.
    pub async fn run(mut self, stop: impl Future<Output = ()>, grace: Duration) -> Result<(), Ended> {
        let died = tokio::select! {
            () = stop => None,
            died = self.died.recv() => died,
        };
        let inner = &self.lifecycle.inner;
        tracing::info!(grace_seconds = grace.as_secs(), "shutting down");
        inner.soft.cancel();
        inner.tasks.close();
        if tokio::time::timeout(grace, inner.tasks.wait()).await.is_err() {
            tracing::warn!(left = inner.tasks.len(), "grace period over, stopping at once");
        }
        inner.hard.cancel();
        let _ = tokio::time::timeout(Duration::from_secs(2), inner.tasks.wait()).await;
        died.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_too_early_fails_the_process() {
        let (lifecycle, supervisor) = Lifecycle::new();
        lifecycle.supervise("brief", async {});
        let ended = supervisor.run(std::future::pending(), Duration::from_secs(1)).await;
        assert!(matches!(ended, Err(Ended::TaskReturned("brief"))), "{ended:?}");
    }

    #[tokio::test]
    async fn a_task_that_panics_fails_the_process() {
        let (lifecycle, supervisor) = Lifecycle::new();
        lifecycle.supervise("fragile", async { panic!("expected by this test") });
        let ended = supervisor.run(std::future::pending(), Duration::from_secs(1)).await;
        assert!(matches!(ended, Err(Ended::TaskPanicked("fragile"))), "{ended:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ignores_soft_is_dropped_after_the_grace_period() {
        let (lifecycle, supervisor) = Lifecycle::new();
        lifecycle.supervise("stubborn", std::future::pending());
        let stopped = supervisor.run(async {}, Duration::from_secs(30)).await;
        assert!(stopped.is_ok(), "{stopped:?}");
        assert!(lifecycle.hard().is_cancelled());
    }
}
