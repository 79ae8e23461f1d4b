//! Many fixtures: found, loaded and run side by side.

use crate::coverage::{Observed, Reached};
use crate::fixture::{self, FixtureError};
use crate::library::Library;
use crate::prepared::{Prepared, prepare};
use crate::run::{self, FixtureResult};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Stack of a thread that runs fixtures: a guest's and the pipeline's, in a build without optimisation too.
const STACK_BYTES: usize = 8 * 1024 * 1024;
/// How deep directories are searched.
const DEPTH_MAX: usize = 8;
/// Fixtures of one run at most.
const FILES_MAX: usize = 10_000;

/// No fixtures where some were asked for.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// A path that cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A path without fixtures.
    #[error("{}: there is no fixture; `fixtures/*.toml` beside a policy are looked for, FIXTURES.md says what they hold", path.display())]
    Nothing {
        /// The path.
        path: PathBuf,
    },
    /// Too many.
    #[error("there are over {FILES_MAX} fixtures; name fewer")]
    TooMany,
}

/// The fixtures that paths stand for: files themselves, `*.toml` in directories named `fixtures`, at any depth.
///
/// # Errors
/// A path cannot be read, or stands for none.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FindError> {
    let mut all = Vec::new();
    for path in paths {
        let before = all.len();
        if path.is_file() {
            all.push(path.clone());
        } else {
            search(path, 0, &mut all)?;
        }
        if all.len() == before {
            return Err(FindError::Nothing { path: path.clone() });
        }
        if all.len() > FILES_MAX {
            return Err(FindError::TooMany);
        }
    }
    all.sort();
    all.dedup();
    Ok(all)
}

fn search(dir: &Path, depth: usize, all: &mut Vec<PathBuf>) -> Result<(), FindError> {
    let unreadable = |error| FindError::Unreadable {
        path: dir.to_owned(),
        error,
    };
    let is_fixtures = std::path::absolute(dir).is_ok_and(|dir| dir.ends_with("fixtures"));
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // Not through links: they may lead in circles.
        let kind = std::fs::symlink_metadata(&path).map_err(unreadable)?.file_type();
        if kind.is_dir() && depth < DEPTH_MAX && name != "target" && !name.starts_with('.') {
            search(&path, depth + 1, all)?;
        } else if kind.is_file() && is_fixtures && name.ends_with(".toml") {
            all.push(path);
        }
    }
    Ok(())
}

/// Runs `work` on every item on so many threads; the answers are in the items' order.
pub(crate) fn side_by_side<T: Sync, R: Send>(items: &[T], jobs: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    let worker = || {
        while let Some((index, item)) = {
            let index = next.fetch_add(1, Ordering::SeqCst);
            items.get(index).map(|item| (index, item))
        } {
            let answer = work(item);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((index, answer));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, items.len().max(1)) {
            let thread = std::thread::Builder::new().name("workbench".to_owned()).stack_size(STACK_BYTES);
            // Without a thread the work is done here, once the others are through.
            if thread.spawn_scoped(scope, worker).is_err() {
                break;
            }
        }
    });
    worker();
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, answer)| answer).collect()
}

/// As many threads as there are cores.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// What came of all.
pub struct Ran {
    /// What could be run.
    pub prepared: Vec<Prepared>,
    /// What came of it, in the same order.
    pub results: Vec<FixtureResult>,
    /// What was reached, in the same order.
    pub reached: Vec<Reached>,
    /// What is wrong with the others.
    pub errors: Vec<FixtureError>,
}

/// Loads fixtures: those that can be run, and what is wrong with the others.
#[must_use]
pub fn load(library: &Library, files: &[PathBuf], jobs: usize) -> (Vec<Prepared>, Vec<FixtureError>) {
    let loaded = side_by_side(files, jobs, |file| {
        fixture::read(file).and_then(|fixture| prepare(fixture, library))
    });
    let (mut prepared, mut errors) = (Vec::new(), Vec::new());
    for one in loaded {
        match one {
            Ok(one) => prepared.push(one),
            Err(faults) => errors.extend(faults),
        }
    }
    (prepared, errors)
}

/// Loads and runs fixtures, those that are wanted.
#[must_use]
pub fn run(library: &Library, files: &[PathBuf], jobs: usize, wanted: &(dyn Fn(&Prepared) -> bool + Sync)) -> Ran {
    let (mut prepared, errors) = load(library, files, jobs);
    prepared.retain(wanted);
    let ran = side_by_side(&prepared, jobs, |prepared| {
        let mut observed = Observed::new(prepared);
        let result = run::run(prepared, library.engine().hash(), &mut observed);
        (result, observed.into_reached())
    });
    let (results, reached) = ran.into_iter().unzip();
    Ran {
        prepared,
        results,
        reached,
        errors,
    }
}
