//! What a token keeps: one file a token, shared by the processes that load the module.

use crate::config::{ConfigError, parse_file};
use crate::faults::{Stamp, replace};
use crate::keys::Scheme;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The first lines of every file.
const HEADING: &str = "\
# A token of the Sigwarden mock HSM, for tests. These keys protect nothing: whoever reads this file has them.
# `failed_pin_attempts = 0` unlocks the token.
";

/// What is kept.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    /// Wrong PINs since the last right one.
    #[serde(default)]
    pub(crate) failed_pin_attempts: u32,
    /// Token objects, in the order in which they were made.
    #[serde(default)]
    pub(crate) object: Vec<KeptObject>,
}

/// One half of a key pair.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptObject {
    pub(crate) half: Half,
    pub(crate) label: String,
    /// In hex.
    pub(crate) id: String,
    pub(crate) scheme: Scheme,
    /// In hex; of the public half as well, since another key stands in for it too.
    pub(crate) secret: String,
}

/// Which half of a key pair an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Half {
    Public,
    Private,
}

/// A token's file, or without a directory its memory.
pub(crate) struct Store {
    path: Option<PathBuf>,
    stamp: Option<Stamp>,
    kept: Kept,
}

impl Store {
    /// Opens the file of the token, which need not be there. Makes the directory.
    pub(crate) fn open(directory: Option<&Path>, label: &str) -> Result<Self, ConfigError> {
        let path = directory.map(|directory| directory.join(file_name(label)));
        if let Some(directory) = directory {
            let mut builder = std::fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(|error| ConfigError::File {
                    path: directory.to_owned(),
                    error,
                })?;
        }
        let mut store = Self {
            path,
            stamp: None,
            kept: Kept::default(),
        };
        store.refresh()?;
        Ok(store)
    }

    /// What is kept, as of the last look.
    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Reads the file if it has changed. Says whether it had.
    pub(crate) fn refresh(&mut self) -> Result<bool, ConfigError> {
        let Some(path) = &self.path else {
            return Ok(false);
        };
        let stamp = Stamp::of(path).map_err(|error| ConfigError::File { path: path.clone(), error })?;
        if stamp == self.stamp {
            return Ok(false);
        }
        self.kept = match stamp {
            None => Kept::default(),
            Some(_) => parse_file(path)?,
        };
        self.stamp = stamp;
        Ok(true)
    }

    /// Changes what is kept, from what another process may just have made of it.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Kept)) -> Result<(), ConfigError> {
        let Some(path) = self.path.clone() else {
            change(&mut self.kept);
            return Ok(());
        };
        let file_error = |error| ConfigError::File { path: path.clone(), error };
        let _held = lock(&path).map_err(file_error)?;
        self.refresh()?;
        let mut kept = self.kept.clone();
        change(&mut kept);
        let text = HEADING.to_owned() + &toml::to_string(&kept)?;
        replace(&path, text.as_bytes(), 0o600).map_err(file_error)?;
        self.kept = kept;
        self.stamp = Stamp::of(&path).map_err(file_error)?;
        Ok(())
    }
}

/// Holds the file against other processes until it is dropped.
fn lock(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path.with_extension("lock"))?;
    file.lock()?;
    Ok(file)
}

/// The label where it is made of letters, digits, `-` and `_`, other bytes as `%` and hex.
fn file_name(label: &str) -> String {
    let mut name: String = label
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02x}"),
        })
        .collect();
    name.push_str(".toml");
    name
}
