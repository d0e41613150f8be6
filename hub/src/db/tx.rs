//! The tenant transaction.

use std::ops::{Deref, DerefMut};

use sqlx::{PgConnection, Postgres, Transaction};

use crate::context::RequestClaim;

/// A transaction with its tenant, actor and request set. Dropped without commit, it rolls back.
#[derive(Debug)]
pub struct Tx {
    inner: Transaction<'static, Postgres>,
    claim: Option<RequestClaim>,
}

impl Tx {
    pub(super) fn new(inner: Transaction<'static, Postgres>, claim: Option<RequestClaim>) -> Self {
        Self { inner, claim }
    }

    /// Makes what was done lasting, and with it, where the request carries an `Idempotency-Key`, that it was done: a
    /// hub that dies before it has answered leaves a key under which nothing is done again.
    ///
    /// # Errors
    /// When the database does not answer; nothing was done, unless it was the answer to the commit that got lost.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        if let Some(claim) = &self.claim {
            // Last of all, so that the row is locked for this moment only.
            sqlx::query!(
                "update idempotency_keys set acted = true
                 where principal_id = $1 and idempotency_key = $2 and status is null and not acted",
                claim.principal,
                &*claim.key
            )
            .execute(&mut *self.inner)
            .await?;
        }
        self.inner.commit().await
    }

    /// Undoes what was done.
    ///
    /// # Errors
    /// When the database does not answer: it undoes it by itself.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.inner.rollback().await
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}
