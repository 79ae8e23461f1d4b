//! `sigwarden.toml`: one file that says everything about a deployment and holds no secret. Every fault is reported with file, line,
//! column and field, all of them at once.

mod document;
mod raw;
mod remotes;
mod secrets;
#[cfg(test)]
mod tests;
mod transports;
mod validate;

pub use document::ConfigError;
pub use remotes::{RemoteAddress, RemoteEnd, Remotes};
pub use transports::{Access, Admission, Listener, ListenerKind, Privval};

use sigwarden_core::caller::{Client, KeyPattern};
use sigwarden_core::key::{KeyEntry, KeyId, RawPrefix};
use sigwarden_core::lifecycle::{Bound, RotationRule};
use sigwarden_core::{Format, Network, Role, Scheme};
use sigwarden_pkcs11::MechanismChoice;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The configuration's name in a deployment.
pub const FILE_NAME: &str = "sigwarden.toml";

/// The most bytes of a configuration: ten thousand keys of 300 bytes with room to spare.
pub(crate) const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A checked configuration. Paths are absolute or relative to the current directory; references between tables hold.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// The deployment's directory.
    pub dir: PathBuf,
    /// The network that the deployment serves.
    pub network: Network,
    /// `cryptography = "pq-only"`: no key of a classical scheme, and no listener that speaks classical key exchange.
    pub pq_only: bool,
    /// The Unix socket for callers.
    pub socket: PathBuf,
    /// Whether the socket's group may connect (mode 0660), not only the daemon's own user (0600).
    pub socket_group_access: bool,
    /// The Unix socket for administration, mode 0600: beside `socket` unless the configuration says otherwise.
    pub admin_socket: PathBuf,
    /// Where ledger and code cache live.
    pub state_dir: PathBuf,
    /// Where the deployment's marker lives, outside of it; none for the user's own place.
    pub marker_dir: Option<PathBuf>,
    /// Where the passphrase comes from.
    pub passphrase: PassphraseSource,
    /// How long a secret stays in memory after it was opened; zero for not at all.
    pub secret_cache_ttl: Duration,
    /// The loopback address that tells metrics; none for none.
    pub metrics_listen: Option<SocketAddr>,
    /// Where traces are sent (OTLP over HTTP); none for none.
    pub traces_endpoint: Option<String>,
    /// Where callers come in beside the Unix socket.
    pub listeners: Vec<Listener>,
    /// CometBFT nodes that are dialled.
    pub privvals: Vec<Privval>,
    /// Bounds.
    pub limits: Limits,
    /// Where keys live.
    pub backends: Vec<Backend>,
    /// The keys; copies of the configuration share them, for there may be a hundred thousand.
    pub keys: Arc<Vec<Key>>,
    /// When keys are to be replaced; the first that speaks of a key counts.
    pub rotations: Vec<Rotation>,
    /// Who may ask for what.
    pub clients: Vec<Arc<Client>>,
    /// How much each client may ask for, by its name; who is not in it has no bound of its own.
    pub admissions: BTreeMap<Arc<str>, Admission>,
    /// The policies, in the order in which they run.
    pub policies: Vec<Policy>,
}

/// Where the passphrase comes from; never the configuration itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassphraseSource {
    /// The terminal, without echo.
    Prompt,
    /// A file that only its owner can read.
    File(PathBuf),
    /// An environment variable of this name, removed from the environment once read.
    Variable(String),
}

/// Bounds of the daemon, each with a default and a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a payload. 64 KiB: every policy lifts a copy into its sandbox.
    pub payload_bytes: usize,
    /// How long a request may wait before its decision. 5 s: a CometBFT propose timeout is 3 s.
    pub deadline: Duration,
    /// Evaluations at once. The cores: more only evict each other's caches.
    pub evaluations: usize,
    /// Threads that run requests. 64: they mostly wait for a durable write that they share, so more of them make larger batches; each
    /// costs a stack of [`crate::server::STACK_BYTES`] of address space.
    pub threads: usize,
    /// Requests that may wait for a thread. 1,024: half a second of work on a small machine, less than any deadline.
    pub queue: usize,
    /// Connections at once. 256: a connection costs two file descriptors at most, and 1,024 are allowed by default.
    pub connections: usize,
    /// Connections at once of one uid. A quarter of `connections`, so that no single client keeps the others out.
    pub connections_per_client: usize,
    /// Requests at once on one connection. 64: one connection can keep every thread busy, and no more; others wait at the client.
    pub streams_per_connection: u32,
    /// How long a stop waits for requests past commit. 10 s: an HSM's own timeout.
    pub stop_grace: Duration,
    /// How often files' modes and the marker are looked at while the daemon runs. A minute: the most that is promised.
    pub watch: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let core = sigwarden_core::pipeline::Limits::default();
        Self {
            payload_bytes: core.payload_bytes,
            deadline: core.deadline,
            evaluations: core.evaluations,
            threads: 64,
            queue: 1024,
            connections: 256,
            connections_per_client: 64,
            streams_per_connection: 64,
            stop_grace: Duration::from_secs(10),
            watch: Duration::from_secs(60),
        }
    }
}

/// Where keys live.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: BackendKind,
}

/// Kinds of backend.
#[derive(Debug, Clone)]
pub enum BackendKind {
    /// Files sealed under the deployment's passphrase, in this directory.
    SealedFile {
        /// The directory.
        dir: PathBuf,
    },
    /// A directory of `{entry_id}.enc` files under a passphrase of its own.
    Keystore {
        /// The directory.
        dir: PathBuf,
        /// Where its passphrase comes from.
        passphrase: PassphraseSource,
    },
    /// Environment variables, for devnets.
    Env {
        /// Understand the IGRA guide's names too.
        igra: bool,
    },
    /// A hardware security module, through its vendor's PKCS#11 library.
    Pkcs11(Pkcs11),
    /// Another Sigwarden, or several that hold the same keys.
    Remote(Remotes),
    /// A scripted stand-in for an HSM, for tests and devnets.
    MockHsm {
        /// What it does, and when it fails.
        script: toml::Value,
    },
}

impl BackendKind {
    /// The name in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SealedFile { .. } => "sealed-file",
            Self::Keystore { .. } => "keystore",
            Self::Env { .. } => "env",
            Self::Pkcs11(_) => "pkcs11",
            Self::Remote(_) => "remote",
            Self::MockHsm { .. } => "mock-hsm",
        }
    }
}

/// One token, or several that hold the same keys.
#[derive(Debug, Clone)]
pub struct Pkcs11 {
    /// The tokens, the preferred one first.
    pub tokens: Vec<Token>,
    /// Sessions that work at once, for each token; none for the backend's default.
    pub sessions: Option<usize>,
    /// How long a call waits for a free session; none for the backend's default.
    pub session_timeout: Option<Duration>,
    /// How long a token may take for one call; none for the backend's default.
    pub call_deadline: Option<Duration>,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The vendor's library.
    pub library: PathBuf,
    /// The token's label.
    pub label: String,
    /// The slot that it must be in.
    pub slot_id: Option<u64>,
    /// Where its PIN comes from; none for a token that asks for it itself.
    pub pin: Option<PassphraseSource>,
}

/// A `[[key]]`.
#[derive(Debug, Clone)]
pub struct Key {
    /// Name and version.
    pub id: KeyId,
    /// What it is for.
    pub roles: BTreeSet<Role>,
    /// How it signs.
    pub scheme: Scheme,
    /// The backend's name.
    pub backend: String,
    /// The public key that it must have.
    pub public_key: Option<Vec<u8>>,
    /// Another key with the same public key, on purpose.
    pub replica_of: Option<KeyId>,
    /// May sign raw messages.
    pub dangerous_allow_raw_messages: bool,
    /// May sign raw digests.
    pub dangerous_allow_raw_digests: bool,
    /// The prefixes of raw bytes that a consensus key may sign.
    pub dangerous_allow_prefixed_raw: Vec<RawPrefix>,
    /// What a consensus key's messages must say.
    pub bound: Option<Bound>,
    /// Its label on a token, if it is not its id.
    pub label: Option<String>,
    /// The mechanism that a token signs with, if it is not the scheme's own.
    pub mechanism: Option<MechanismChoice>,
}

/// A `[[rotation]]`.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The keys it speaks of; none for all.
    pub keys: Option<Vec<KeyPattern>>,
    /// The roles it speaks of; none for all.
    pub roles: Option<Vec<Role>>,
    /// What it says of them.
    pub rule: RotationRule,
}

impl Rotation {
    fn speaks_of(&self, key: &Key) -> bool {
        let by_name = |patterns: &Vec<KeyPattern>| patterns.iter().any(|pattern| pattern.matches(&key.id.name));
        let by_role = |roles: &Vec<Role>| roles.iter().any(|role| key.roles.contains(role));
        self.keys.as_ref().is_none_or(by_name) && self.roles.as_ref().is_none_or(by_role)
    }
}

/// A `[[policy]]`.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The instance name.
    pub name: String,
    /// The module.
    pub module: PathBuf,
    /// SHA-256 that the module must have.
    pub sha256: Option<[u8; 32]>,
    /// Its configuration, JSON.
    pub config: PolicyConfig,
    /// The keys it binds; none for all.
    pub keys: Option<Vec<KeyPattern>>,
    /// The roles it binds; none for all.
    pub roles: Option<Vec<Role>>,
    /// The formats it binds; none for all.
    pub formats: Option<Vec<Format>>,
    /// Fuel of one evaluation; none for the sandbox's default.
    pub fuel: Option<u64>,
    /// Wall-clock bound of one evaluation; none for the sandbox's default.
    pub deadline: Option<Duration>,
    /// Bytes of memory; none for the sandbox's default.
    pub memory_bytes: Option<usize>,
    /// It decides nothing: it is shown requests that were answered, and what it would have said is recorded.
    pub shadow: bool,
    /// The policy in force whose state a shadow begins with a copy of.
    pub shadow_of: Option<String>,
}

/// A policy's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyConfig {
    /// Given in place, as JSON.
    Inline(String),
    /// In a JSON file.
    File(PathBuf),
}

/// A configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{}: {error}; `sigwarden init` makes a deployment, `--deployment DIR` names one", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is wrong, in these places.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Wrong(Vec<ConfigError>),
}

impl Config {
    /// Reads and checks the configuration of the deployment in `dir`.
    ///
    /// # Errors
    /// Every fault that it has.
    pub fn load(dir: &Path) -> Result<Self, LoadError> {
        let file = dir.join(FILE_NAME);
        let unreadable = |error| LoadError::Unreadable { file: file.clone(), error };
        let text = crate::files::read_text(&file, FILE_BYTES_MAX).map_err(unreadable)?;
        Self::parse(dir, &text).map_err(LoadError::Wrong)
    }

    /// Checks the text of a configuration of the deployment in `dir`.
    ///
    /// # Errors
    /// Every fault that it has.
    pub fn parse(dir: &Path, text: &str) -> Result<Self, Vec<ConfigError>> {
        validate::parse(dir, text)
    }

    /// The key of this id.
    #[must_use]
    pub fn key(&self, id: &KeyId) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == *id)
    }

    /// When a key is to be replaced.
    #[must_use]
    pub fn rotation(&self, key: &Key) -> Option<RotationRule> {
        self.rotations
            .iter()
            .find(|rotation| rotation.speaks_of(key))
            .map(|rotation| rotation.rule)
    }

    /// A configured key as core takes it.
    #[must_use]
    pub fn entry(&self, key: &Key, public_key: Vec<u8>) -> KeyEntry {
        KeyEntry {
            id: key.id.clone(),
            roles: key.roles.clone(),
            scheme: key.scheme,
            public_key,
            backend: key.backend.clone(),
            dangerous_allow_raw_messages: key.dangerous_allow_raw_messages,
            dangerous_allow_raw_digests: key.dangerous_allow_raw_digests,
            dangerous_allow_prefixed_raw: key.dangerous_allow_prefixed_raw.clone(),
            bound: key.bound.clone(),
            rotation: self.rotation(key),
        }
    }

    /// The directory of sealed files, if a backend has one.
    #[must_use]
    pub fn vault_dir(&self) -> Option<&Path> {
        self.backends.iter().find_map(|backend| match &backend.kind {
            BackendKind::SealedFile { dir } => Some(dir.as_path()),
            BackendKind::Keystore { .. }
            | BackendKind::Env { .. }
            | BackendKind::Pkcs11(_)
            | BackendKind::Remote(_)
            | BackendKind::MockHsm { .. } => None,
        })
    }
}
