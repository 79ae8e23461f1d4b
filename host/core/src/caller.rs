//! Who asks, and what they may do: clients as the configuration names them.

use crate::format::Format;
use crate::key::KeyName;
use crate::vocabulary::Operation;
use std::sync::Arc;

/// What the kernel says of the process at the other end of a Unix socket (`SO_PEERCRED`). Never a pid: pids are reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Effective user id.
    pub uid: u32,
    /// Effective primary group id.
    pub gid: u32,
}

/// The user id that Linux shows for one it cannot map (`/proc/sys/kernel/overflowuid`); never a client.
pub const OVERFLOW_UID: u32 = 65534;

/// Which keys an entry speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPattern {
    /// Every key: `*`.
    All,
    /// Every key whose name starts so, the last dot included: `cosmos.*`.
    Namespace(String),
    /// One key, all its versions.
    One(KeyName),
}

impl KeyPattern {
    /// Whether it speaks of this key.
    #[must_use]
    pub fn matches(&self, name: &KeyName) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(prefix) => name.as_str().starts_with(prefix.as_str()),
            Self::One(one) => one == name,
        }
    }
}

impl std::str::FromStr for KeyPattern {
    type Err = crate::key::KeyNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::All);
        }
        if let Some(prefix) = text.strip_suffix(".*") {
            // Borrow the name's rules: `cosmos.*` is well-formed if `cosmos.x` is.
            format!("{prefix}.x").parse::<KeyName>()?;
            return Ok(Self::Namespace(format!("{prefix}.")));
        }
        text.parse().map(Self::One)
    }
}

/// One thing that a client may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// With which keys.
    pub keys: Vec<KeyPattern>,
    /// What.
    pub operations: Vec<Operation>,
    /// In which formats; none for all.
    pub formats: Option<Vec<Format>>,
}

/// A client of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its name, in records and for policies.
    pub name: Arc<str>,
    /// The user id that it runs under.
    pub uid: u32,
    /// The primary group id, if it must have one.
    pub gid: Option<u32>,
    /// What it may do.
    pub allow: Vec<Allow>,
}

impl Client {
    /// Whether it may do `operation` with the key; `format` is asked for where the operation has one.
    #[must_use]
    pub fn may(&self, operation: Operation, name: &KeyName, format: Option<Format>) -> bool {
        self.allow.iter().any(|allow| {
            allow.operations.contains(&operation)
                && allow.keys.iter().any(|pattern| pattern.matches(name))
                && match (&allow.formats, format) {
                    (None, _) | (_, None) => true,
                    (Some(formats), Some(format)) => formats.contains(&format),
                }
        })
    }
}

/// Every configured client.
#[derive(Debug, Clone, Default)]
pub struct Clients(pub Vec<Arc<Client>>);

/// An authenticated caller. Made by [`crate::stages::authenticate`] only.
#[derive(Debug, Clone)]
pub struct Caller {
    client: Arc<Client>,
}

impl Caller {
    pub(crate) fn mint(client: Arc<Client>) -> Self {
        Self { client }
    }

    /// The configured client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.client.name
    }
}
