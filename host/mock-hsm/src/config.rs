//! The configuration: which tokens there are. Read once, by `C_Initialize`.

use crate::keys::Scheme;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Room of a token's label in `CK_TOKEN_INFO`, bytes.
const LABEL_MAX: usize = 32;
/// More slots than a test ever wants.
const TOKENS_MAX: usize = 64;
/// The longest PIN, as `CK_TOKEN_INFO` says it.
pub(crate) const PIN_MAX: usize = 255;

/// The file that `SIGWARDEN_MOCK_HSM` names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where generated keys and failed PIN attempts are kept, one file a token; made if it is not there. Without it they are gone with
    /// `C_Finalize`. Relative to the configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// The [`Faults`](crate::Faults) file, looked at before each call; one that is not there has no faults. Relative to the
    /// configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<PathBuf>,
    /// The tokens, each in a slot of its own.
    #[serde(default)]
    pub token: Vec<Token>,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Its label, at most 32 bytes, other than those of the other tokens.
    pub label: String,
    /// The user's PIN.
    pub pin: String,
    /// The slot it is in. By default its place in the file, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// Wrong PINs in a row that lock it.
    #[serde(default = "Token::default_max_pin_attempts")]
    pub max_pin_attempts: u32,
    /// Sessions open at once, all processes' own.
    #[serde(default = "Token::default_max_sessions")]
    pub max_sessions: u32,
    /// How it gives public points.
    #[serde(default)]
    pub ec_point: EcPoint,
    /// What generated keys are derived from, with label and scheme: see [`public_key`](crate::public_key). Without it they are random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
    /// Keys that it always has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<Key>,
}

/// A key that a token has from the start. It is derived and never written down, so that a destroyed one is back after `C_Initialize`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// `CKA_LABEL` of both halves.
    pub label: String,
    /// Its scheme.
    pub scheme: Scheme,
    /// What it is derived from, with label and scheme: the same on two tokens, the same key.
    pub seed: String,
    /// `CKA_ID` of both halves, in hex.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
}

/// How a token gives `CKA_EC_POINT`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EcPoint {
    /// In a DER OCTET STRING, as the standard wants it and SoftHSM does.
    #[default]
    Wrapped,
    /// As it is, as Kryoptic does.
    Bare,
}

/// What is wrong with one of the module's files.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The variable is not set.
    #[error("the environment variable {} does not name a configuration file", crate::CONFIG_VARIABLE)]
    Variable,
    /// It cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is not what it should be; the message names the field.
    #[error("{path}: {message}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, on one line.
        message: String,
    },
    /// It cannot be written as TOML.
    #[error("{0}")]
    Write(#[from] toml::ser::Error),
}

impl Token {
    fn default_max_pin_attempts() -> u32 {
        3
    }

    fn default_max_sessions() -> u32 {
        1024
    }

    /// A token without keys and with the defaults.
    #[must_use]
    pub fn new(label: &str, pin: &str) -> Self {
        Self {
            label: label.to_owned(),
            pin: pin.to_owned(),
            slot: None,
            max_pin_attempts: Self::default_max_pin_attempts(),
            max_sessions: Self::default_max_sessions(),
            ec_point: EcPoint::default(),
            seed: None,
            key: Vec::new(),
        }
    }
}

impl Config {
    /// Reads and checks the file that the environment names. Its paths are then absolute, or relative to the working directory as the
    /// file's own is.
    ///
    /// # Errors
    /// The variable is not set, or the file is not a configuration.
    pub fn from_env() -> Result<Self, ConfigError> {
        let path = std::env::var_os(crate::CONFIG_VARIABLE).ok_or(ConfigError::Variable)?;
        Self::read(Path::new(&path))
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// It cannot be read, or is not a configuration.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = parse_file(path)?;
        config.check().map_err(|message| ConfigError::Content {
            path: path.to_owned(),
            message,
        })?;
        let beside = path.parent().unwrap_or(Path::new(""));
        for relative in [&mut config.directory, &mut config.faults].into_iter().flatten() {
            *relative = beside.join(&relative);
        }
        Ok(config)
    }

    /// Writes the file, in place of one that is there.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ConfigError> {
        let text = toml::to_string(self)?;
        std::fs::write(path, text).map_err(|error| ConfigError::File {
            path: path.to_owned(),
            error,
        })
    }

    /// The slot of each token, in order.
    pub(crate) fn slots(&self) -> Vec<u64> {
        (0..)
            .zip(&self.token)
            .map(|(place, token)| token.slot.map_or(place, u64::from))
            .collect()
    }

    fn check(&self) -> Result<(), String> {
        if self.token.is_empty() {
            return Err("there is no [[token]]: name at least one".into());
        }
        if self.token.len() > TOKENS_MAX {
            return Err(format!("{} tokens are more than the {TOKENS_MAX} there may be", self.token.len()));
        }
        let slots = self.slots();
        if slots.iter().collect::<BTreeSet<_>>().len() != slots.len() {
            return Err(format!("field `slot`: two tokens are in one slot; the slots are {slots:?}"));
        }
        let mut labels = BTreeSet::new();
        for token in &self.token {
            if !labels.insert(&token.label) {
                return Err(format!("field `label`: two tokens are called `{}`", token.label));
            }
            token.check().map_err(|message| format!("token `{}`: {message}", token.label))?;
        }
        Ok(())
    }
}

impl Token {
    fn check(&self) -> Result<(), String> {
        if self.label.is_empty() || self.label.len() > LABEL_MAX || self.label.chars().any(char::is_control) {
            return Err(format!("field `label`: it has 1 to {LABEL_MAX} bytes and no control characters"));
        }
        if self.pin.is_empty() || self.pin.len() > PIN_MAX {
            return Err(format!("field `pin`: it has 1 to {PIN_MAX} bytes"));
        }
        if self.max_pin_attempts == 0 {
            return Err("field `max_pin_attempts`: it is at least 1".into());
        }
        if self.max_sessions == 0 {
            return Err("field `max_sessions`: it is at least 1".into());
        }
        for key in &self.key {
            if hex::decode(&key.id).is_err() {
                return Err(format!("key `{}`: field `id`: it is hex, two digits a byte", key.label));
            }
        }
        Ok(())
    }
}

/// Parses a TOML file. The message of a failure is one line.
pub(crate) fn parse_file<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::File {
        path: path.to_owned(),
        error,
    })?;
    toml::from_str(&text).map_err(|error| {
        let line = error
            .span()
            .map_or(1, |span| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count());
        ConfigError::Content {
            path: path.to_owned(),
            message: format!("line {line}: {}", error.message().replace('\n', " ")),
        }
    })
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
