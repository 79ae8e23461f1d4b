//! What a running daemon tends to: secrets that have been in memory long enough, and tokens that were caught lying.

use super::backends::Backends;
use crate::admin::Administrator;
use sigwarden_core::key::KeyId;
use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often. A key that a token lied about is refused by its backend at once; its record follows within this.
const EVERY: Duration = Duration::from_secs(1);

/// The thread; it ends when this is dropped.
pub(super) struct Tending {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Tending {
    /// Starts.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(backends: Arc<Backends>, administrator: Arc<Administrator>) -> std::io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("tend".into()).spawn(move || {
            let (flag, woken) = &*stopped;
            let mut told = BTreeSet::new();
            loop {
                let guard = flag.lock().unwrap_or_else(PoisonError::into_inner);
                let waited = woken.wait_timeout_while(guard, EVERY, |stop| !*stop);
                let (guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
                if *guard {
                    return;
                }
                drop(guard);
                backends.evict();
                suspend_distrusted(&backends, &administrator, &mut told);
            }
        })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Tending {
    fn drop(&mut self) {
        let (flag, woken) = &*self.stop;
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        woken.notify_all();
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, its message is in the log.
            drop(thread.join());
        }
    }
}

/// Records what the backends found out by themselves. One that an operator trusts again may be found out again.
fn suspend_distrusted(backends: &Backends, administrator: &Administrator, told: &mut BTreeSet<KeyId>) {
    let distrusted = backends.distrusted();
    told.retain(|key| distrusted.iter().any(|other| other.key == *key));
    for lie in distrusted {
        if told.insert(lie.key.clone()) {
            tracing::error!(alarm = "token-lied", key = %lie.key, token = lie.token, "{}", lie.what);
            administrator.suspend_distrusted(&lie.key, &format!("token `{}`: {}", lie.token, lie.what));
        }
    }
}
