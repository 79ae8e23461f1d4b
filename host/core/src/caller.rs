//! Who asks, and what they may do: clients as the configuration names them.

use crate::format::Format;
use crate::key::KeyName;
use crate::vocabulary::Operation;
use std::sync::Arc;

/// Who is at the other end of a connection, as far as the transport could prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// What the kernel says of the process at the other end of a Unix socket (`SO_PEERCRED`). Never a pid: pids are reused.
    User {
        /// Effective user id.
        uid: u32,
        /// Effective primary group id.
        gid: u32,
    },
    /// The subject alternative names of the certificate that the peer proved to hold in a TLS handshake, in lower case (RFC 5280 §4.2.1.6).
    Certificate(Arc<[Box<str>]>),
    /// A connection that the configuration itself gives to a client, by its name: a node that the host dialled, a loopback listener.
    Assigned(Arc<str>),
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User { uid, gid } => write!(f, "uid {uid} (gid {gid})"),
            Self::Certificate(names) => match names.split_first() {
                Some((first, [])) => write!(f, "certificate {first}"),
                Some((first, rest)) => write!(f, "certificate {first} and {} more names", rest.len()),
                None => write!(f, "certificate without a name"),
            },
            Self::Assigned(name) => write!(f, "connection of {name}"),
        }
    }
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
    /// The user id that it runs under, if it comes over the Unix socket.
    pub uid: Option<u32>,
    /// The primary group id, if it must have one.
    pub gid: Option<u32>,
    /// Names of certificates that it comes with over TLS, in lower case; one is enough.
    pub san: Vec<Box<str>>,
    /// What it may do.
    pub allow: Vec<Allow>,
}

impl Client {
    /// Whether this is it.
    #[must_use]
    pub fn is(&self, peer: &Peer) -> bool {
        match peer {
            Peer::User { uid: OVERFLOW_UID, .. } => false,
            Peer::User { uid, gid } => self.uid == Some(*uid) && self.gid.is_none_or(|wanted| wanted == *gid),
            Peer::Certificate(names) => names.iter().any(|name| self.san.contains(name)),
            Peer::Assigned(name) => *self.name == **name,
        }
    }

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
