//! `sigwarden policy test` and `policy bench`, as the command line takes them and prints them.

mod bench;
mod test;

pub use bench::{BenchArgs, bench};
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

fn library(modules: &[PathBuf], own: &OwnModules<'_>, around: Option<&PathBuf>) -> Result<Library, EngineError> {
    let mut library = Library::new(modules.to_vec())?;
    if let Some(path) = around {
        library = library.with_cache_around(path);
    }
    for (name, wasm) in own {
        library = library.with_module(name, wasm);
    }
    Ok(library)
}

fn write_file(file: &Path, text: &str) -> Result<(), WorkbenchError> {
    std::fs::write(file, text).map_err(|error| WorkbenchError::File {
        file: file.to_owned(),
        error,
    })
}
