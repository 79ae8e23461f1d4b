//! Open files: a daemon that has none left takes no connection, and, worse, begins no new segment of its log.

use super::{administration, metrics, tcp};
use crate::config::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Beside connections: the log, the checkpoint, keys, sessions of tokens and remotes, threads' own.
const OWN: u64 = 256;

/// Raises the soft limit to what every listener's bounds may add up to; shells and service managers give 1024, and more for the asking.
pub(super) fn raise(limits: &Limits, listeners: usize) {
    let wanted = wanted(limits, listeners);
    let found = getrlimit(Resource::Nofile);
    let mut allowed = found.current;
    if let Some(raised) = raised(&found, wanted) {
        let limit = Rlimit {
            current: Some(raised),
            maximum: found.maximum,
        };
        match setrlimit(Resource::Nofile, limit) {
            Ok(()) => allowed = Some(raised),
            Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
        }
    }
    if let Some(allowed) = allowed.filter(|allowed| *allowed < wanted) {
        tracing::warn!(
            wanted,
            allowed,
            "limits.connections may take more open files than this process may have: lower it, or raise the hard limit (systemd: LimitNOFILE)"
        );
    }
}

fn wanted(limits: &Limits, listeners: usize) -> u64 {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let sockets = count(limits.connections).saturating_mul(count(listeners.saturating_add(1)));
    let arriving = count(tcp::ARRIVING_MAX).saturating_mul(count(listeners));
    let others = count(metrics::CONNECTIONS.saturating_add(administration::CONNECTIONS));
    sockets.saturating_add(arriving).saturating_add(others).saturating_add(OWN)
}

/// The new soft limit; none if the old one will do.
fn raised(found: &Rlimit, wanted: u64) -> Option<u64> {
    let current = found.current?;
    let possible = found.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    (current < possible).then_some(possible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_be_and_never_lowered() {
        let found = |current, maximum| Rlimit { current, maximum };
        assert_eq!(raised(&found(Some(1024), Some(4096)), 2000), Some(2000));
        assert_eq!(raised(&found(Some(1024), Some(1500)), 2000), Some(1500));
        assert_eq!(raised(&found(Some(1024), None), 2000), Some(2000));
        assert_eq!(raised(&found(Some(1024), Some(1024)), 2000), None);
        assert_eq!(raised(&found(Some(4096), Some(4096)), 2000), None);
        assert_eq!(raised(&found(None, None), 2000), None);
    }

    #[test]
    fn every_listener_has_its_connections_and_those_that_arrive() {
        let limits = Limits::default();
        let alone = wanted(&limits, 0);
        assert_eq!(alone, 256 + 64 + 16 + 256);
        assert_eq!(wanted(&limits, 2), alone + 2 * (256 + 256));
    }
}
