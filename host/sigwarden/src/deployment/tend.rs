//! What a running daemon tends to: secrets that have been in memory long enough, tokens that were caught lying, certificates that
//! were replaced, memory that nobody needs any more.

use super::backends::Backends;
use super::ticker::Ticker;
use crate::admin::Administrator;
use sigwarden_core::Pipeline;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How often. A key that a token lied about is refused by its backend at once; its record follows within this.
const EVERY: Duration = Duration::from_secs(1);

/// How often shadow policies are shown what was answered: at ten thousand requests a second two hundred wait, a fifth of what may.
const SHADOWS_EVERY: Duration = Duration::from_millis(20);

/// Below this much memory of its own a daemon is at rest, and there is nothing to give back.
const AT_REST_BYTES: u64 = 96 * 1024 * 1024;

/// Starts to tend.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(
    pipeline: &Arc<Pipeline>,
    backends: Arc<Backends>,
    administrator: Arc<Administrator>,
    watch: Duration,
) -> io::Result<[Ticker; 4]> {
    let shown = Arc::clone(pipeline);
    let shadows = Ticker::start("shadow", SHADOWS_EVERY, move || shown.run_shadows())?;
    let evicting = Arc::clone(&backends);
    // Apart: a suspension may wait for another command, and a secret's time does not.
    let evict = Ticker::start("evict", EVERY, move || evicting.evict())?;
    let renewing = Arc::clone(&backends);
    let renew = Ticker::start("renew", watch, move || {
        renew(&renewing);
        release();
    })?;
    let tend = Ticker::start("tend", EVERY, move || suspend_distrusted(&backends, &administrator))?;
    Ok([evict, tend, shadows, renew])
}

/// Gives freed memory back, if there may be much: a burst's would stay with the allocator for ever.
fn release() {
    if own_bytes().is_some_and(|bytes| bytes > AT_REST_BYTES) {
        sigwarden_keys::release_freed_memory();
    }
}

/// What of the resident memory is nobody else's, as Linux tells it (`proc_pid_statm(5)`: the second field less the third, in pages).
fn own_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = statm.split(' ').skip(1).map(|pages| pages.parse::<u64>().ok());
    let (resident, shared) = (pages.next()??, pages.next()??);
    Some(resident.saturating_sub(shared).saturating_mul(rustix::param::page_size() as u64))
}

/// Takes new certificates for the remotes.
pub(super) fn renew(backends: &Backends) {
    for (backend, remote) in backends.remotes().filter(|(_, remote)| remote.certificates_changed()) {
        for reloaded in remote.reload() {
            let remotes = reloaded.remotes.join(", ");
            match reloaded.outcome {
                Ok(reload) => tracing::info!(backend, remotes, "new certificates: {reload}"),
                Err(error) => tracing::error!(backend, remotes, "the certificates in force stay: {error}"),
            }
        }
    }
}

/// Records what the backends found out by themselves: a key that a token lied about and that still signs by the ledger is suspended,
/// again and again if need be. A restart forgets what only the backend knows; an operator who trusts too early is told again.
fn suspend_distrusted(backends: &Backends, administrator: &Administrator) {
    for lie in backends.distrusted() {
        if administrator.signs(&lie.key) {
            tracing::error!(alarm = "token-lied", key = %lie.key, token = lie.token, "{}", lie.what);
            administrator.suspend_distrusted(&lie.key, &format!("token `{}`: {}", lie.token, lie.what));
        }
    }
}
