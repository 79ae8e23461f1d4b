//! What a running daemon tends to: secrets that have been in memory long enough, tokens that were caught lying, certificates that
//! were replaced.

use super::backends::Backends;
use super::ticker::Ticker;
use crate::admin::Administrator;
use sigwarden_core::Pipeline;
use sigwarden_core::key::KeyId;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How often. A key that a token lied about is refused by its backend at once; its record follows within this.
const EVERY: Duration = Duration::from_secs(1);

/// How often shadow policies are shown what was answered: at ten thousand requests a second two hundred wait, a fifth of what may.
const SHADOWS_EVERY: Duration = Duration::from_millis(20);

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
    let renew = Ticker::start("renew", watch, move || renew(&renewing))?;
    let mut told = BTreeSet::new();
    let tend = Ticker::start("tend", EVERY, move || suspend_distrusted(&backends, &administrator, &mut told))?;
    Ok([evict, tend, shadows, renew])
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

/// Records what the backends found out by themselves. One that an operator trusts again may be found out again.
fn suspend_distrusted(backends: &Backends, administrator: &Administrator, told: &mut BTreeSet<KeyId>) {
    let distrusted = backends.distrusted();
    told.retain(|key| distrusted.iter().any(|other| other.key == *key));
    for lie in distrusted {
        if !told.contains(&lie.key) {
            tracing::error!(alarm = "token-lied", key = %lie.key, token = lie.token, "{}", lie.what);
            // Until it is recorded it is tried again: a restart forgets what only the backend knows.
            if administrator.suspend_distrusted(&lie.key, &format!("token `{}`: {}", lie.token, lie.what)) {
                told.insert(lie.key);
            }
        }
    }
}
