//! Measurements kept in a file, and compared with.

use super::{Measured, StepCost};
use std::path::{Path, PathBuf};

/// Bytes of a saved run at most: ten thousand steps of 300.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A saved run cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// It cannot be read or written.
    #[error("{}: {error}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is none.
    #[error("{}: this is no saved run of `policy bench --save`: {message}", file.display())]
    Format {
        /// The file.
        file: PathBuf,
        /// Why.
        message: String,
    },
}

/// Writes a run.
///
/// # Errors
/// The file cannot be written.
pub fn save(file: &Path, measured: &Measured) -> Result<(), SavedError> {
    let io = |error| SavedError::Io {
        file: file.to_owned(),
        error,
    };
    let json = serde_json::to_string_pretty(measured).map_err(|error| io(error.into()))?;
    std::fs::write(file, json + "\n").map_err(io)
}

/// Reads a run.
///
/// # Errors
/// The file cannot be read, or is none.
pub fn load(file: &Path) -> Result<Measured, SavedError> {
    let io = |error| SavedError::Io {
        file: file.to_owned(),
        error,
    };
    let format = |message: String| SavedError::Format {
        file: file.to_owned(),
        message,
    };
    let length = std::fs::metadata(file).map_err(io)?.len();
    if length > FILE_BYTES_MAX {
        return Err(format(format!("it has {length} bytes, {FILE_BYTES_MAX} are the most")));
    }
    let text = std::fs::read_to_string(file).map_err(io)?;
    serde_json::from_str(&text).map_err(|error| format(error.to_string()))
}

/// One step, then and now.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The step, as `policy/fixture/step (instance)`.
    pub step: String,
    /// The median now over the median then, both measured in raw signatures, since machines differ. None for a step that was not there.
    pub latency: Option<f64>,
    /// Fuel now less fuel then.
    pub fuel: i128,
    /// Memory now less memory then, bytes.
    pub memory_bytes: i128,
}

/// Compares with a saved run.
#[must_use]
pub fn compare(now: &Measured, then: &Measured) -> Vec<Compared> {
    now.steps
        .iter()
        .map(|step| {
            let before = then.steps.iter().find(|before| same(before, step));
            let in_signatures = |cost: &StepCost, run: &Measured| cost.evaluate.p50 / run.raw_signature.p50.max(0.1);
            Compared {
                step: format!("{}/{}/{} ({})", step.policy, step.fixture, step.step, step.instance),
                latency: before.map(|before| in_signatures(step, now) / in_signatures(before, then).max(0.001)),
                fuel: before.map_or(0, |before| i128::from(step.fuel) - i128::from(before.fuel)),
                memory_bytes: before.map_or(0, |before| i128::from(step.memory_bytes) - i128::from(before.memory_bytes)),
            }
        })
        .collect()
}

fn same(one: &StepCost, other: &StepCost) -> bool {
    (&one.policy, &one.fixture, &one.step, &one.instance) == (&other.policy, &other.fixture, &other.step, &other.instance)
}
