//! What goes wrong: a file of its own, looked at before each call, so that a test changes it while the module runs.

use crate::config::{Config, ConfigError, parse_file};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A minute: no client waits longer, and a typing error stops nobody's test for an hour.
pub(crate) const LATENCY_MAX_MS: u64 = 60_000;

/// The faults file: the faults of each token. Every change of the file counts `session_closed` and `dies_after` anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// Faults by the token's label.
    #[serde(default)]
    pub token: BTreeMap<String, TokenFaults>,
}

/// What goes wrong with a token. By default nothing does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenFaults {
    /// Each call of a session, or for the token, answers so late, milliseconds; at most a minute. It ends when the file says so.
    pub latency_ms: u64,
    /// `C_OpenSession` answers `CKR_SESSION_COUNT`; signing, searching, generating and logging in answer `CKR_FUNCTION_FAILED`, and
    /// what was begun stays begun.
    pub busy: bool,
    /// It is pulled: sessions answer `CKR_DEVICE_REMOVED`, the slot is empty. Once it is back, sessions, logins and handles are gone.
    pub device_removed: bool,
    /// It starts again each time the number changes: sessions, logins and handles are gone, as if it had been away between two calls.
    pub restarts: u64,
    /// It is in another slot. Moving it takes its sessions with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// So many calls of a session find that the token closed it: they answer `CKR_SESSION_CLOSED`, and `CKR_SESSION_HANDLE_INVALID`
    /// ever after.
    pub session_closed: u64,
    /// It makes so many signatures, then answers everything with `CKR_DEVICE_ERROR`, until the file is changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dies_after: Option<u64>,
    /// Its PIN was changed to this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// Overrides the token's `max_sessions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_sessions: Option<u32>,
    /// How it signs with every key that has no entry in `key`.
    pub signing: SigningFaults,
    /// How it signs with the key of a label, in place of `signing`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub key: BTreeMap<String, SigningFaults>,
}

/// What goes wrong with a key and its signatures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SigningFaults {
    /// It comes so late, milliseconds; at most a minute. It ends when the file says so.
    pub latency_ms: u64,
    /// The key is gone: searches do not find it, and its handles name nothing.
    pub missing: bool,
    /// `C_Sign` answers `CKR_FUNCTION_FAILED`.
    pub fails: bool,
    /// The signature does not verify.
    pub wrong_signature: bool,
    /// ECDSA: S is in the upper half of the order, always (without this fault, every second time). Ed25519: S is the order too large.
    /// ML-DSA has no such form.
    pub high_s: bool,
    /// Another key is behind the label: public key and signatures are that one's.
    pub wrong_key: bool,
    /// The public key is the right one, the signatures are another key's.
    pub wrong_signer: bool,
    /// The signature has a byte too few.
    pub short_signature: bool,
}

impl Faults {
    /// Faults of one token.
    #[must_use]
    pub fn of(token: &str, faults: TokenFaults) -> Self {
        Self {
            token: [(token.to_owned(), faults)].into(),
        }
    }

    /// Writes the file in one step, in place of one that is there, so that the module sees the old or the new one and never misses a
    /// change.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ConfigError> {
        let text = toml::to_string(self)?;
        replace(path, text.as_bytes(), 0o644).map_err(|error| ConfigError::File {
            path: path.to_owned(),
            error,
        })
    }

    fn check(&self, config: &Config) -> Result<(), String> {
        for (label, faults) in &self.token {
            if !config.token.iter().any(|token| token.label == *label) {
                let labels: Vec<_> = config.token.iter().map(|token| token.label.as_str()).collect();
                return Err(format!("token `{label}` is none of the configuration's; they are {labels:?}"));
            }
            let latencies = [&faults.signing]
                .into_iter()
                .chain(faults.key.values())
                .map(|signing| signing.latency_ms);
            if latencies.chain([faults.latency_ms]).any(|latency| latency > LATENCY_MAX_MS) {
                return Err(format!("token `{label}`: field `latency_ms`: it is at most {LATENCY_MAX_MS}"));
            }
        }
        let moved = |label: &str| self.token.get(label).and_then(|faults| faults.slot);
        let places = config.slots().into_iter().zip(&config.token);
        let slots: Vec<_> = places.map(|(slot, token)| moved(&token.label).map_or(slot, u64::from)).collect();
        if slots.iter().collect::<BTreeSet<_>>().len() != slots.len() {
            return Err(format!("field `slot`: two tokens are in one slot; the slots are {slots:?}"));
        }
        Ok(())
    }
}

/// Writes a file beside and renames it over: whole after a crash of the process, which is all that tests need, so there is no fsync. The time of change is the clock's own, finer than the file system's: two writes within
/// one of its ticks differ.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&beside)?;
    file.write_all(bytes)?;
    file.set_modified(SystemTime::now())?;
    std::fs::rename(&beside, path)
}

/// What tells one version of a file from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: (i64, i64),
    length: u64,
    inode: u64,
}

impl Stamp {
    /// The stamp of a file, None if it is not there.
    pub(crate) fn of(path: &Path) -> std::io::Result<Option<Self>> {
        match std::fs::metadata(path) {
            Ok(metadata) => Ok(Some(Self {
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                length: metadata.len(),
                inode: metadata.ino(),
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The faults file and what it last said.
pub(crate) struct Watched {
    path: Option<PathBuf>,
    stamp: Option<Stamp>,
}

impl Watched {
    /// Nothing read yet.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            path: config.faults.clone(),
            stamp: None,
        }
    }

    /// The faults, if the file has changed since the last look.
    pub(crate) fn look(&mut self, config: &Config) -> Result<Option<Faults>, ConfigError> {
        let Some(path) = &self.path else {
            return Ok(None);
        };
        let file_error = |error| ConfigError::File { path: path.clone(), error };
        let stamp = Stamp::of(path).map_err(file_error)?;
        if stamp == self.stamp {
            return Ok(None);
        }
        let faults = match stamp {
            None => Faults::default(),
            Some(_) => parse_file::<Faults>(path)?,
        };
        faults.check(config).map_err(|message| ConfigError::Content {
            path: path.clone(),
            message,
        })?;
        // Only now: a file that is wrong is looked at again.
        self.stamp = stamp;
        Ok(Some(faults))
    }
}

#[cfg(test)]
#[path = "faults_tests.rs"]
mod tests;
