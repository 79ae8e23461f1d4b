//! `sigwarden policy test`, `policy bench` and `policy record`, as the command line takes them and prints them.

mod bench;
mod record;
mod test;

pub use bench::{BenchArgs, bench};
pub use record::{RecordArgs, record};
pub use test::{TestArgs, test};

use crate::library::Library;
use crate::suite::FindError;
use sigwarden_policy::EngineError;
use std::io;
use std::path::{Path, PathBuf};

/// How to print.
#[derive(Debug, Clone, Copy, Default)]
pub struct Presentation {
    /// One JSON object a line.
    pub json: bool,
    /// Colours.
    pub colour: bool,
}

/// What came of a command that could be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All as wanted.
    Passed,
    /// Something is not as wanted.
    Failed,
    /// Something could not be run.
    NotRun,
}

impl Outcome {
    /// 0, 1 or 2.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::NotRun => 2,
        }
    }
}

/// A command could not be tried: exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum WorkbenchError {
    /// No fixtures.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The sandbox does not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Output cannot be written.
    #[error("what came of it cannot be written: {0}")]
    Write(#[from] io::Error),
    /// A file cannot be written.
    #[error("{}: {error}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A saved run cannot be used.
    #[error(transparent)]
    Saved(#[from] crate::bench::SavedError),
    /// A recording cannot be read.
    #[error(transparent)]
    Recording(#[from] crate::recording::RecordingError),
    /// A module does not load.
    #[error(transparent)]
    Load(#[from] std::sync::Arc<sigwarden_policy::LoadError>),
    /// No step is what the filter says.
    #[error("no step holds `{filter}` in its `policy/fixture/step`")]
    Filter {
        /// The filter.
        filter: String,
    },
}

/// Modules of the caller's own, by name: looked for where no file is.
pub type OwnModules<'m> = [(&'m str, &'m [u8])];

/// A library with everything that fixtures may name.
fn furnished(mut library: Library, own: &OwnModules<'_>, around: Option<&PathBuf>) -> Library {
    if let Some(path) = around {
        library = library.with_cache_around(path);
    }
    for (name, wasm) in own {
        library = library.with_module(name, wasm);
    }
    library
}

fn write_file(file: &Path, text: &str) -> Result<(), WorkbenchError> {
    std::fs::write(file, text).map_err(|error| WorkbenchError::File {
        file: file.to_owned(),
        error,
    })
}

/// Finds out before a run that takes minutes whether its result can be written. Leaves the file as it is, or none.
fn check_writable(file: &Path) -> Result<(), WorkbenchError> {
    let there = file.exists();
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(file);
    opened.map_err(|error| WorkbenchError::File {
        file: file.to_owned(),
        error,
    })?;
    if !there {
        // Not a result yet, and it shall not look like one if the run ends early.
        drop(std::fs::remove_file(file));
    }
    Ok(())
}

/// A number of threads or turns.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(number) if number > 0 => Ok(number),
        Ok(_) | Err(_) => Err("a whole number from 1 is right".to_owned()),
    }
}

/// A share.
fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=100.0).contains(&share) => Ok(share),
        Ok(_) | Err(_) => Err("a number from 0 to 100 is right".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn numbers_that_mean_nothing_are_refused() {
        assert_eq!((at_least_one("1"), at_least_one("64")), (Ok(1), Ok(64)));
        for wrong in ["0", "-1", "1.5", "", "all"] {
            assert!(at_least_one(wrong).is_err(), "{wrong}");
        }
        assert_eq!((percent("0"), percent("99.5"), percent("100")), (Ok(0.0), Ok(99.5), Ok(100.0)));
        for wrong in ["101", "-1", "NaN", "inf", "", "90%"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_told_before_the_run_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let (fresh, kept) = (dir.path().join("new.xml"), dir.path().join("old.xml"));
        check_writable(&fresh).unwrap();
        assert!(!fresh.exists());
        std::fs::write(&kept, "old").unwrap();
        check_writable(&kept).unwrap();
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), "old");
        for wrong in [dir.path().join("no/such/dir.xml"), dir.path().to_owned()] {
            let error = check_writable(&wrong).unwrap_err().to_string();
            assert!(error.starts_with(&wrong.display().to_string()), "{error}");
        }
    }
}
