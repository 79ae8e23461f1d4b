//! Why a module does not load: each says what was found, and what would be right.

use crate::imports::{PACKAGE, VERSION};
use sigwarden_core::policy::EvaluationFailure;
use std::fmt;

/// A module that does not load.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct LoadError {
    /// The configured instance; none for a module that is only looked at.
    pub instance: Option<String>,
    /// Why.
    pub fault: LoadFault,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instance {
            Some(instance) => write!(f, "policy `{instance}`: {}", self.fault),
            None => self.fault.fmt(f),
        }
    }
}

/// Why a module does not load.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadFault {
    /// Some other file.
    #[error(
        "this is {found}; a policy is a WebAssembly component of world `{PACKAGE}/policy@{VERSION}` (`sigwarden policy build` makes them)"
    )]
    NotAComponent {
        /// What it is.
        found: String,
    },
    /// It loads, and cannot be instantiated within the limits of its evaluations.
    #[error("its self-test failed: {0}")]
    SelfTest(String),
    /// The module has too many bytes.
    #[error("the module has {bytes} bytes, {most} are the most")]
    ModuleSize {
        /// Its size.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// Its configuration has too many bytes.
    #[error("the configuration has {bytes} bytes, {most} are the most")]
    ConfigSize {
        /// Its size.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// Its limits are none.
    #[error("`memory_bytes` is {asked}; from 65536 to {most} is right")]
    MemorySetting {
        /// What was configured.
        asked: usize,
        /// The most that the engine gives.
        most: usize,
    },
    /// It imports what it may not.
    #[error("it imports {}; a policy may import only the interfaces of `{PACKAGE}@{VERSION}`: no clock, no files, no network, no WASI", list(.names))]
    Imports {
        /// The imports that are not allowed.
        names: Vec<String>,
    },
    /// It was made for another version of the contract.
    #[error("it is made for {}; this host speaks `{PACKAGE}@{VERSION}`: build it against that, or use the Sigwarden that it was made for", list(.names))]
    Version {
        /// Its imports of other versions.
        names: Vec<String>,
    },
    /// It lacks exports.
    #[error("it does not export {}; a policy exports `config-digest`, `describe`, `configure` and `evaluate`", list(.names))]
    Exports {
        /// The functions it lacks.
        names: Vec<String>,
    },
    /// Imports or exports of the right name and the wrong type.
    #[error("it does not fit world `{PACKAGE}/policy@{VERSION}`: {0}")]
    Types(String),
    /// More memories, tables or memory than a policy may have.
    #[error("it has {0}")]
    Shape(String),
    /// It does not validate or compile.
    #[error("it does not compile: {0}")]
    Compile(String),
    /// A call at load gave no answer.
    #[error("its `{call}` failed: {failure}")]
    Call {
        /// Which export.
        call: &'static str,
        /// Why.
        failure: EvaluationFailure,
    },
    /// Its manifest is not well-formed.
    #[error("its manifest has {0}")]
    Manifest(String),
    /// It refuses its configuration.
    #[error("its configuration is wrong:{}", problems(.0))]
    Configuration(Vec<ConfigProblem>),
    /// Its configured memory cannot be snapshotted.
    #[error("its configured memory cannot be kept: {0}")]
    Snapshot(String),
    /// What was snapshotted is not what was configured.
    #[error("the snapshot of its memory does not hold its configuration: `config-digest` gave {before} before and {after} after")]
    Digest {
        /// Before, hex.
        before: String,
        /// After, hex.
        after: String,
    },
    /// The host's own fault.
    #[error("the sandbox failed: {0}")]
    Host(String),
}

/// A fault in a configuration, as the policy reports it; escaped and cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Where, as a path into the configuration. Empty for the whole.
    pub path: String,
    /// What was wrong and what would be right.
    pub message: String,
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn problems(problems: &[ConfigProblem]) -> String {
    problems
        .iter()
        .map(|problem| {
            if problem.path.is_empty() {
                format!("\n  {}", problem.message)
            } else {
                format!("\n  {}: {}", problem.path, problem.message)
            }
        })
        .collect()
}
