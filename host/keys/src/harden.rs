//! Keeps the process's memory from others: no core dumps, no reading through `/proc` or ptrace by the same user.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use std::io;

/// What the system refused.
#[derive(Debug, thiserror::Error)]
pub enum HardenError {
    /// `prctl(PR_SET_DUMPABLE, 0)`.
    #[error("cannot make the process non-dumpable (prctl PR_SET_DUMPABLE): {0}")]
    Dumpable(io::Error),
    /// `setrlimit(RLIMIT_CORE, 0)`.
    #[error("cannot set the limit for core dumps to 0 (setrlimit RLIMIT_CORE): {0}")]
    Core(io::Error),
}

/// Makes the process non-dumpable and its limit for core dumps 0, for good. Call it before a secret is read.
///
/// # Errors
/// The system refuses one of the two.
pub fn harden_process() -> Result<(), HardenError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|errno| HardenError::Dumpable(errno.into()))?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).map_err(|errno| HardenError::Core(errno.into()))
}
