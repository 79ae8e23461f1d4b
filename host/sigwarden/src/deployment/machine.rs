//! What this machine gives a deployment: clocks, room, a place for its marker, a user.

use super::OpenError;
use super::marker::Place;
use super::watch::mark_anew;
use crate::config::Config;
use crate::fatal::Fatal;
use sigwarden_ledger::{EmbeddedLedger, Settings};
use sigwarden_policy::EngineSettings;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the deployment's marker is: where the configuration says, else where a service of root's or a user's programs keep their state.
///
/// # Errors
/// There is no such place.
pub(crate) fn marker_place(config: &Config) -> Result<Place, OpenError> {
    let dir = match &config.marker_dir {
        Some(dir) => dir.clone(),
        None => default_marker_dir().ok_or(OpenError::NoMarkerDir)?,
    };
    Ok(Place::new(&dir, &config.state_dir))
}

/// Writes the marker of a deployment that was made here, so that it starts here and nowhere else.
///
/// # Errors
/// It cannot be written.
pub fn settle(marker_dir: &Path, state_dir: &Path, ledger: &EmbeddedLedger) -> std::io::Result<()> {
    mark_anew(&Place::new(marker_dir, state_dir), ledger)
}

/// The directory of markers that `init` names in sigwarden.toml unless it is told another.
pub(crate) fn default_marker_dir() -> Option<std::path::PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some("/var/lib/sigwarden/markers".into());
    }
    // XDG Base Directory Specification: state that belongs to this machine.
    let absolute = |name| {
        std::env::var_os(name)
            .map(std::path::PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("sigwarden/markers"))
}

/// How the ledger of a deployment is opened: only where its marker says, and a failed write sets off `fatal`.
///
/// # Errors
/// There is no place for a marker.
pub(crate) fn settings(config: &Config, now_ms: u64, fatal: &Arc<Fatal>) -> Result<Settings, OpenError> {
    let mut settings = bare_settings(now_ms, fatal);
    settings.admit = Some(marker_place(config)?.admit());
    settings.reserve_bytes = reserve(settings.reserve_bytes, file_system_bytes(&config.state_dir));
    Ok(settings)
}

/// The ledger's reserve on a small disk: sixteen of them, below which refusals are only counted, are at most a twentieth of it.
fn reserve(default: u64, disk: Option<u64>) -> u64 {
    disk.map_or(default, |bytes| default.min(bytes / 20 / 16).max(1))
}

fn file_system_bytes(dir: &Path) -> Option<u64> {
    let room = rustix::fs::statvfs(dir).ok()?;
    Some(room.f_blocks.saturating_mul(room.f_frsize))
}

/// [`settings`], wherever the deployment is: for making and adopting one.
pub(crate) fn bare_settings(now_ms: u64, fatal: &Arc<Fatal>) -> Settings {
    let fatal = Arc::clone(fatal);
    Settings::new(now_ms, Arc::new(move |reason: &str| fatal.set_off(reason)))
}

/// The sandbox's pool: a slot for each evaluation that runs at once, of the size that the largest policy may have.
pub(super) fn engine_settings(config: &Config) -> EngineSettings {
    let default = EngineSettings::default();
    let evaluations = u32::try_from(config.limits.evaluations).unwrap_or(u32::MAX);
    let cores = std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX));
    let largest = config.policies.iter().filter_map(|policy| policy.memory_bytes).max();
    EngineSettings {
        // Beside the requests: a shadow, and policies that are loaded, one on each core.
        instances: default.instances.max(evaluations.saturating_add(cores).saturating_add(1)),
        memory_bytes: largest.map_or(default.memory_bytes, |largest| largest.max(default.memory_bytes)),
        ..default
    }
}

/// The wall clock, milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 reads as 0, which every ledger refuses as behind.
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Milliseconds since the machine started, suspended or not (`CLOCK_BOOTTIME`): nobody sets it.
#[must_use]
pub fn boot_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let millis = i128::from(time.tv_sec) * 1000 + i128::from(time.tv_nsec) / 1_000_000;
    u64::try_from(millis).unwrap_or(0)
}

/// Who this process works for, in records.
pub(crate) fn operator() -> String {
    format!("uid {}", rustix::process::getuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_keeps_a_small_reserve() {
        const MIB: u64 = 1024 * 1024;
        assert_eq!(reserve(64 * MIB, Some(1024 * 1024 * MIB)), 64 * MIB);
        // A twentieth of 3,200 MiB is 160, a sixteenth of that 10.
        assert_eq!(reserve(64 * MIB, Some(3_200 * MIB)), 10 * MIB);
        assert_eq!(reserve(64 * MIB, Some(0)), 1);
        assert_eq!(reserve(64 * MIB, None), 64 * MIB);
    }
}
