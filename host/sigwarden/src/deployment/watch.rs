//! What a running daemon looks at again at least every minute: the modes of its files, and its marker.

use super::marker::Place;
use super::ticker::Ticker;
use crate::config::{BackendKind, Config, PassphraseSource};
use crate::fatal::Fatal;
use sigwarden_ledger::{AdminKind, Administration, EmbeddedLedger, Found};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Changes told one by one in one look; the rest is counted. A `chmod -R` of ten thousand sealed files is one event.
const TOLD_MAX: usize = 16;

/// Mode bits that matter, and the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Access {
    mode: u32,
    uid: u32,
}

/// Files that are gone and still remembered: logs are archived, compiled code is replaced.
const GONE_MAX: usize = 10_000;

/// Files and who may do what with them.
type Seen = BTreeMap<PathBuf, Access>;

/// What is watched.
pub(super) struct Watched {
    pub(super) config: Config,
    pub(super) ledger: Arc<EmbeddedLedger>,
    pub(super) fatal: Arc<Fatal>,
    pub(super) place: Place,
    pub(super) every: Duration,
}

/// Looks for the first time, and starts to watch.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(watched: Watched) -> io::Result<Ticker> {
    let mut seen = look(&watched.config);
    Ticker::start("watch", watched.every, move || watched.once(&mut seen))
}

impl Watched {
    fn once(&self, seen: &mut Seen) {
        let now = look(&self.config);
        let mut changes = changed(seen, &now);
        remember(seen, now);
        let more = changes.split_off(changes.len().min(TOLD_MAX)).len();
        if more > 0 {
            changes.push(format!("{more} more files changed so at once"));
        }
        for what in changes {
            tracing::error!(alarm = "file-mode", "{what}");
            self.record(&what);
        }
        self.keep_marker();
    }

    fn record(&self, what: &str) {
        let alarm = Administration {
            kind: AdminKind::Alarm,
            operator: "sigwarden".to_owned(),
            reason: what.to_owned(),
            now_ms: super::now_ms(),
            effects: Vec::new(),
        };
        if let Err(error) = self.ledger.administer(alarm) {
            tracing::error!(%error, "an alarm could not be recorded");
        }
    }

    /// Says how far the ledger came; stops everything if the marker does not say any more that this is the deployment that signs.
    fn keep_marker(&self) {
        if let Err(what) = self.place.judge(&so_far(&self.ledger)) {
            return self
                .fatal
                .set_off(&format!("the marker is another's or gone, and two must not sign: {what}"));
        }
        if let Err(error) = mark(&self.place, &self.ledger) {
            tracing::error!(%error, "the marker could not be written");
        }
    }
}

/// Writes into the marker how far the ledger came.
///
/// # Errors
/// The marker is another's or gone, or cannot be written.
pub(crate) fn mark(place: &Place, ledger: &EmbeddedLedger) -> io::Result<()> {
    place.go_on(&so_far(ledger))
}

/// Writes the marker: here from now on, and so far.
///
/// # Errors
/// It cannot be written.
pub(crate) fn mark_anew(place: &Place, ledger: &EmbeddedLedger) -> io::Result<()> {
    place.write(&so_far(ledger))
}

fn so_far(ledger: &EmbeddedLedger) -> Found<'_> {
    let opening = ledger.opening();
    Found {
        deployment_id: &opening.deployment_id,
        generation: opening.generation,
        sequence: ledger.health().durable_sequence,
    }
}

/// Every file that would tell secrets or decide something.
fn look(config: &Config) -> Seen {
    let mut seen = Seen::new();
    let mut add = |path: &Path| {
        if let Ok(metadata) = std::fs::symlink_metadata(path) {
            let access = Access {
                mode: metadata.permissions().mode() & 0o7777,
                uid: metadata.uid(),
            };
            seen.insert(path.to_owned(), access);
        }
    };
    add(&config.file);
    add(&config.socket);
    add(&config.admin_socket);
    match &config.passphrase {
        PassphraseSource::File(file) => add(file),
        PassphraseSource::Prompt | PassphraseSource::Variable(_) => {}
    }
    for policy in &config.policies {
        add(&policy.module);
    }
    for file in crate::check::pin_files(config).chain(crate::check::libraries(config)) {
        add(file);
    }
    let dirs = [
        Some(config.state_dir.clone()),
        Some(config.state_dir.join("log")),
        config.vault_dir().map(Path::to_owned),
    ];
    let keystores = config.backends.iter().filter_map(|backend| match &backend.kind {
        BackendKind::Keystore { dir, .. } => Some(dir.clone()),
        BackendKind::SealedFile { .. }
        | BackendKind::Env { .. }
        | BackendKind::Pkcs11(_)
        | BackendKind::Remote(_)
        | BackendKind::MockHsm { .. } => None,
    });
    for dir in dirs.into_iter().flatten().chain(keystores) {
        add(&dir);
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            add(&entry.path());
        }
    }
    seen
}

/// A file that is away for a moment may come back open.
fn remember(seen: &mut Seen, now: Seen) {
    if seen.len() > now.len() + GONE_MAX {
        seen.clear();
    }
    seen.extend(now);
}

/// What is another's now, or open to others in another way, than it was. New files are ours to make; those that go, to remove.
fn changed(before: &Seen, now: &Seen) -> Vec<String> {
    let change = |(path, now): (&PathBuf, &Access)| {
        let was = before.get(path)?;
        (was != now).then(|| {
            format!(
                "{}: mode {:04o} of uid {} became mode {:04o} of uid {}",
                path.display(),
                was.mode,
                was.uid,
                now.mode,
                now.uid
            )
        })
    };
    now.iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_opens_up_is_told_and_new_ones_are_not() {
        let seen = |files: &[(&str, u32)]| {
            files
                .iter()
                .map(|(file, mode)| (file.into(), Access { mode: *mode, uid: 7 }))
                .collect::<Seen>()
        };
        let before = seen(&[("/s/a", 0o600), ("/s/b", 0o600), ("/s/gone", 0o600)]);
        let now = seen(&[("/s/a", 0o644), ("/s/b", 0o600), ("/s/new", 0o644)]);
        assert_eq!(changed(&before, &now), ["/s/a: mode 0600 of uid 7 became mode 0644 of uid 7"]);
        assert!(changed(&before, &before).is_empty());
    }

    #[test]
    fn a_file_that_comes_back_open_is_told() {
        let access = |mode| Access { mode, uid: 7 };
        let file = PathBuf::from("/s/a");
        let mut seen = Seen::from([(file.clone(), access(0o600))]);
        remember(&mut seen, Seen::new());
        let back = Seen::from([(file, access(0o666))]);
        assert_eq!(changed(&seen, &back), ["/s/a: mode 0600 of uid 7 became mode 0666 of uid 7"]);
        // Not all for ever.
        seen.extend((0..=GONE_MAX).map(|n| (PathBuf::from(n.to_string()), access(0o600))));
        remember(&mut seen, back);
        assert_eq!(seen.len(), 1);
    }
}
