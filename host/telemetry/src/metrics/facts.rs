//! What is read anew at each scrape. Plain data: who runs the daemon fills it in.

use sigwarden_core::key::KeyId;
use sigwarden_core::state::State;
use sigwarden_core::{Network, Role, Scheme};

/// What runs.
#[derive(Debug, Clone)]
pub struct Build {
    /// The program's version.
    pub version: String,
    /// The commit that it was built from, or empty.
    pub revision: String,
    /// The deployment's network.
    pub network: Network,
}

/// How the deployment is, at one moment. What is not known stays at its default, and is not shown.
#[derive(Default)]
pub struct Facts {
    /// The wall clock, milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// The ledger's state: keys, floors, what policies keep.
    pub state: State,
    /// The ledger's health.
    pub ledger: LedgerFact,
    /// The configured keys.
    pub keys: Vec<KeyFact>,
    /// The loaded policies, shadows included.
    pub policies: Vec<PolicyFact>,
    /// Where keys live.
    pub backends: Vec<BackendFact>,
    /// What PKCS#11 backends counted.
    pub hsms: Vec<HsmFact>,
    /// Certificates in use, the daemon's and its clients' authorities.
    pub certificates: Vec<CertificateFact>,
    /// The queue in front of the request threads.
    pub queue: QueueFact,
}

/// What the disk has room for, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Nothing is decided any more.
    Full,
    /// Only consensus keys are decided for.
    ConsensusOnly,
    /// Refusals are counted and not recorded.
    Short,
    /// Enough.
    Plenty,
}

impl Room {
    /// Every value.
    pub const ALL: [Self; 4] = [Self::Full, Self::ConsensusOnly, Self::Short, Self::Plenty];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ConsensusOnly => "consensus-only",
            Self::Short => "short",
            Self::Plenty => "plenty",
        }
    }
}

/// How the ledger is.
#[derive(Debug, Clone, Default)]
pub struct LedgerFact {
    /// The last sequence given.
    pub last_sequence: u64,
    /// The last durable one.
    pub durable_sequence: u64,
    /// Durable writes since the start.
    pub writes: u64,
    /// Refusals that were only counted.
    pub refusals_dropped: u64,
    /// The room on its disk.
    pub room: Option<Room>,
    /// Free bytes there.
    pub free_bytes: Option<u64>,
}

/// A configured key. Its state and uses are in [`Facts::state`].
#[derive(Debug, Clone)]
pub struct KeyFact {
    /// The key.
    pub id: KeyId,
    /// What it is for.
    pub roles: Vec<Role>,
    /// How it signs.
    pub scheme: Scheme,
    /// The backend's name.
    pub backend: String,
    /// It is due to be rotated.
    pub due: bool,
}

/// A loaded policy.
#[derive(Debug, Clone)]
pub struct PolicyFact {
    /// The instance's name.
    pub instance: String,
    /// The manifest's version.
    pub version: String,
    /// SHA-256 of the module, hex.
    pub module_digest: String,
    /// SHA-256 of its configuration, hex.
    pub config_digest: String,
    /// It only watches.
    pub shadow: bool,
}

/// A backend.
#[derive(Debug, Clone)]
pub struct BackendFact {
    /// Its name in the configuration.
    pub name: String,
    /// Its kind: `sealed-file`, `pkcs11`.
    pub kind: &'static str,
    /// It answers.
    pub up: bool,
}

/// What a PKCS#11 backend counted.
#[derive(Debug, Clone, Default)]
pub struct HsmFact {
    /// The backend's name.
    pub backend: String,
    /// Signatures that verified.
    pub sign_success: u64,
    /// Calls that made none, by kind.
    pub sign_errors: Vec<(&'static str, u64)>,
    /// The last signature, microseconds.
    pub last_latency_micros: u64,
    /// Calls passed on to another token.
    pub failovers: u64,
    /// Times a lost token was connected again.
    pub reconnects: u64,
    /// Its tokens.
    pub tokens: Vec<TokenFact>,
}

/// A token.
#[derive(Debug, Clone)]
pub struct TokenFact {
    /// Its label in the configuration.
    pub label: String,
    /// Its state's name.
    pub state: &'static str,
    /// It signs.
    pub ready: bool,
    /// Sessions that work now.
    pub sessions_in_use: u64,
}

/// A certificate in use.
#[derive(Debug, Clone)]
pub struct CertificateFact {
    /// What it is for, never a file's name: `server`, `client-ca`, `remote/eu-1`.
    pub name: String,
    /// When it expires, seconds since the Unix epoch.
    pub expires: u64,
}

/// The queue in front of the request threads.
#[derive(Debug, Clone, Copy, Default)]
pub struct QueueFact {
    /// Requests that wait.
    pub waiting: u64,
    /// How many may.
    pub limit: u64,
}
