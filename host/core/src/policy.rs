//! Policies as core sees them: what binds what, what a sandbox is handed and what it hands back. Plain data and one trait.

use crate::caller::KeyPattern;
use crate::fact::Decoded;
use crate::format::Format;
use crate::key::KeyEntry;
use crate::staging::Change;
use crate::state::{KeyStatus, State};
use crate::vocabulary::{Network, Operation, Role};
use std::sync::Arc;

/// Runs policies: the sandbox. The first of the three traits that carry the host.
pub trait Evaluator: Send + Sync {
    /// Runs one policy on one request, in a fresh sandbox. Owned data in, owned data out: the sandbox may be another process.
    ///
    /// # Errors
    /// Whatever keeps the policy from a well-formed answer within its limits. The request is refused.
    fn evaluate(&self, job: Job) -> Result<Report, EvaluationFailure>;
}

/// What a sandbox is handed.
#[derive(Debug, Clone)]
pub struct Job {
    /// Which of the set's bindings, by index.
    pub binding: usize,
    /// The request.
    pub request: Arc<RequestView>,
    /// The state to read from.
    pub snapshot: State,
}

/// A request as policies see it.
#[derive(Debug, Clone)]
pub struct RequestView {
    /// The request's id, the caller's or the host's.
    pub id: Arc<str>,
    /// What is asked.
    pub operation: Operation,
    /// The caller's name.
    pub caller: Arc<str>,
    /// The deployment's network.
    pub network: Network,
    /// The key.
    pub key: Arc<KeyEntry>,
    /// Its status in the snapshot.
    pub key_status: KeyStatus,
    /// The payload's format.
    pub format: Format,
    /// The payload.
    pub payload: Arc<[u8]>,
    /// Facts and signing inputs.
    pub decoded: Decoded,
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
}

/// What a sandbox hands back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The policy's answer.
    pub verdict: Verdict,
    /// Its state calls, in order.
    pub changes: Vec<Change>,
    /// Fuel it used.
    pub fuel: u64,
    /// Its log lines: escaped, capped.
    pub log: Vec<LogLine>,
}

/// A policy's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may be signed, with an optional note for the record.
    Allow(Option<String>),
    /// It may not. Not empty: the sandbox refuses an empty list as malformed.
    Deny(Vec<Denial>),
}

/// One reason to deny, well-formed and capped by the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The policy's code.
    pub code: String,
    /// For people.
    pub message: String,
    /// Milliseconds since the Unix epoch.
    pub retry_at_ms: Option<u64>,
}

/// One line that a policy logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// The text, control characters escaped.
    pub text: String,
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// For the policy's author.
    Debug,
    /// For the record.
    Info,
    /// For the operator.
    Warn,
}

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvaluationFailure {
    /// The kind.
    pub kind: FailureKind,
    /// What happened, without the policy's name.
    pub message: String,
}

/// Kinds of failure, each with a refusal code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// A trap: unreachable, out of bounds, stack exhausted.
    Trap,
    /// Out of fuel.
    Fuel,
    /// Past its deadline.
    Deadline,
    /// Past its memory or tables.
    Memory,
    /// Broke an import's contract or moved too many bytes.
    HostCall,
    /// An answer that is not well-formed.
    Malformed,
    /// The host's own fault.
    Host,
}

/// Which formats a policy understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Understands {
    /// It never looks at the payload: `*`.
    Any,
    /// These.
    Formats(Vec<Format>),
}

impl Understands {
    /// Whether it understands this one.
    #[must_use]
    pub fn includes(&self, format: Format) -> bool {
        match self {
            Self::Any => true,
            Self::Formats(formats) => formats.contains(&format),
        }
    }
}

/// A `[[policy]]` of the configuration: a module with its configuration, and what it binds.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The instance name; namespaces its state.
    pub instance: Arc<str>,
    /// SHA-256 of the module as delivered, hex.
    pub module_digest: Arc<str>,
    /// SHA-256 of its configuration, hex.
    pub config_digest: Arc<str>,
    /// The manifest's version.
    pub version: Arc<str>,
    /// The formats that its manifest lists.
    pub understands: Understands,
    /// The keys it binds; none for all.
    pub keys: Option<Vec<KeyPattern>>,
    /// The roles it binds; none for all.
    pub roles: Option<Vec<Role>>,
    /// The formats it binds; none for all.
    pub formats: Option<Vec<Format>>,
}

impl Binding {
    /// Whether it binds a request with this key in this format.
    #[must_use]
    pub fn binds(&self, key: &KeyEntry, format: Format) -> bool {
        self.keys
            .as_ref()
            .is_none_or(|keys| keys.iter().any(|pattern| pattern.matches(&key.id.name)))
            && self
                .roles
                .as_ref()
                .is_none_or(|roles| roles.iter().any(|role| key.roles.contains(role)))
            && self.formats.as_ref().is_none_or(|formats| formats.contains(&format))
    }
}

/// The policies in force: captured once by each request, replaced as a whole.
pub struct PolicySet {
    /// In the order of the configuration.
    pub bindings: Vec<Binding>,
    /// What runs them; [`Job::binding`] indexes `bindings`.
    pub evaluator: Box<dyn Evaluator>,
    /// Identifies the sandbox's engine and settings, for records.
    pub engine_hash: Arc<str>,
}
