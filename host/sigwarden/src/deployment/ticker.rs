//! A thread that does something now and then, and ends when it is let go.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The thread; it ends when this is dropped.
pub(super) struct Ticker {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Does it for the first time after `every`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(name: &str, every: Duration, mut tick: impl FnMut() + Send + 'static) -> io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let (flag, woken) = &*stopped;
            loop {
                let guard = flag.lock().unwrap_or_else(PoisonError::into_inner);
                let waited = woken.wait_timeout_while(guard, every, |stop| !*stop);
                let (guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
                if *guard {
                    return;
                }
                drop(guard);
                tick();
            }
        })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Ticker {
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
