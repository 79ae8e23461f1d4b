//! The moment after which nothing is signed: a durable write failed.

use std::sync::OnceLock;
use tokio::sync::Notify;

/// Set off once, seen by everybody from then on.
#[derive(Debug, Default)]
pub struct Fatal {
    reason: OnceLock<String>,
    happened: Notify,
}

impl Fatal {
    /// Sets it off. Callable from any thread; only the first reason stays.
    pub fn set_off(&self, reason: &str) {
        if self.reason.set(reason.to_owned()).is_ok() {
            tracing::error!(reason, "the ledger failed; nothing is signed any more");
        }
        self.happened.notify_waiters();
    }

    /// Why, if it happened.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.reason.get().cloned()
    }

    /// Waits until it happens.
    pub async fn happened(&self) {
        let notified = self.happened.notified();
        tokio::pin!(notified);
        // Registered before the look, so that nothing falls between the two.
        notified.as_mut().enable();
        if self.reason.get().is_none() {
            notified.await;
        }
    }
}
