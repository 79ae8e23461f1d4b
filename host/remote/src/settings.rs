//! What the backend is told: plain data. The configuration file is read elsewhere.

use sigwarden_core::Network;
use sigwarden_core::key::KeyId;
use sigwarden_tls::ClientTls;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The settings of one backend.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The backend's name in the configuration, for messages.
    pub name: String,
    /// The network of this deployment. A remote of another one is not used.
    pub network: Network,
    /// One remote, or several that hold the same keys, the preferred one first.
    pub remotes: Vec<Remote>,
    /// What the remotes call a key. A key that is not here has its own id there, version included.
    pub keys: BTreeMap<KeyId, String>,
    /// Connections to each remote.
    pub connections: usize,
    /// How long a connection may take until it answered its first Health call: name lookup, TCP, TLS and HTTP/2 included.
    pub connect_deadline: Duration,
    /// How long one call may take before it is asked again.
    pub call_deadline: Duration,
    /// How long a signature may take with everything that is asked again. Shared out among the remotes: each has an equal part of what is
    /// left when its turn comes.
    pub total_deadline: Duration,
    /// How often the remotes are looked at.
    pub pace: Pace,
}

/// A remote.
#[derive(Debug, Clone)]
pub enum Remote {
    /// Over TCP, which always is mutual TLS.
    Tls {
        /// Host and port: `signer-1.example:9443`, `10.0.0.5:9443`, `[2001:db8::5]:9443`.
        address: String,
        /// Certificates, and the name that the remote's certificate must have.
        tls: Arc<ClientTls>,
    },
    /// A daemon of the same machine. It knows the caller by its user id.
    Unix {
        /// The socket.
        socket: PathBuf,
    },
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls { address, .. } => f.write_str(address),
            Self::Unix { socket } => write!(f, "{}", socket.display()),
        }
    }
}

/// How often the remotes are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two Health calls to a remote that is up.
    pub health: Duration,
    /// How long a Health call may take. A connection that does not answer it is given up, with the calls on it.
    pub health_deadline: Duration,
    /// From the first attempt to reach a lost remote to the second; doubled from one to the next, with jitter.
    pub retry_first: Duration,
    /// The longest time between two attempts.
    pub retry_most: Duration,
}

impl Settings {
    /// Remotes at most: each has its connections and a task that watches it.
    pub const REMOTES_MAX: usize = 8;
    /// Connections to a remote at most: HTTP/2 carries many calls on one, and remotes bound the connections of a caller.
    pub const CONNECTIONS_MAX: usize = 16;
    /// A signature at most: the daemon lets go of a caller after 60 s, and must hear of a failure before.
    pub const TOTAL_MAX: Duration = Duration::from_secs(50);
    /// Any other wait at most.
    pub const WAIT_MAX: Duration = Duration::from_secs(60);
    /// A remote's name of a key at most, bytes: [`sigwarden_core::key::KeyName::MAX`], a dot, `v` and a version.
    pub const KEY_NAME_MAX: usize = 140;
    /// An address at most, bytes: a DNS name has 253, a port five, a socket's path 107.
    pub const ADDRESS_MAX: usize = 260;

    /// Settings with the defaults that fit so many remotes. With several, a remote that hangs is found out within 800 ms.
    #[must_use]
    pub fn new(name: impl Into<String>, network: Network, remotes: Vec<Remote>) -> Self {
        let redundant = remotes.len() > 1;
        let look = |alone, redundantly| Duration::from_millis(if redundant { redundantly } else { alone });
        Self {
            name: name.into(),
            network,
            remotes,
            keys: BTreeMap::new(),
            // One carries all there is to carry; with two a broken one need not be waited for.
            connections: 2,
            connect_deadline: Duration::from_secs(2),
            call_deadline: Duration::from_secs(5),
            total_deadline: Duration::from_secs(10),
            pace: Pace {
                // A Health call is some 100 us of work there. Where there is nowhere else to go, a slow answer is better than none.
                health: look(2_000, 300),
                health_deadline: look(2_000, 500),
                retry_first: Duration::from_millis(100),
                // A remote is back in service two seconds after it returned.
                retry_most: Duration::from_secs(2),
            },
        }
    }

    /// Whether they make sense.
    pub(crate) fn validate(&self) -> Result<(), SettingsError> {
        let right = |what: &str, given: usize, most: usize| match given {
            given if given == 0 || given > most => Err(self.refuse(format!("{given} {what}; 1 to {most} are right"))),
            _ => Ok(()),
        };
        right("remotes", self.remotes.len(), Self::REMOTES_MAX)?;
        right("connections", self.connections, Self::CONNECTIONS_MAX)?;
        let least = Duration::from_millis(1);
        for (what, wait, least, most) in [
            ("connect deadline", self.connect_deadline, least, Self::WAIT_MAX),
            ("deadline of all attempts", self.total_deadline, least, Self::TOTAL_MAX),
            ("call deadline", self.call_deadline, least, self.total_deadline),
            ("time between two looks", self.pace.health, least, Self::WAIT_MAX),
            ("deadline of a look", self.pace.health_deadline, least, Self::WAIT_MAX),
            ("first time between two attempts", self.pace.retry_first, least, Self::WAIT_MAX),
            (
                "longest time between two attempts",
                self.pace.retry_most,
                self.pace.retry_first,
                Self::WAIT_MAX,
            ),
        ] {
            if wait < least || wait > most {
                return Err(self.refuse(format!("the {what} is {wait:?}; {least:?} to {most:?} are right")));
            }
        }
        self.validate_remotes()?;
        self.validate_keys(&self.keys)
    }

    fn validate_remotes(&self) -> Result<(), SettingsError> {
        for (at, remote) in self.remotes.iter().enumerate() {
            let text = remote.to_string();
            right_address(remote).map_err(|wanted| self.refuse(format!("the address `{}`: {wanted}", text.escape_debug())))?;
            if self.remotes.iter().take(at).any(|other| other.to_string() == text) {
                return Err(self.refuse(format!("the remote `{text}` is named twice; failing over needs two")));
            }
        }
        Ok(())
    }

    /// Whether each key has a name of its own there.
    pub(crate) fn validate_keys(&self, keys: &BTreeMap<KeyId, String>) -> Result<(), SettingsError> {
        let mut names: BTreeMap<&str, &KeyId> = BTreeMap::new();
        for (id, name) in keys {
            let visible = name.bytes().all(|byte| byte.is_ascii_graphic());
            if name.is_empty() || name.len() > Self::KEY_NAME_MAX || !visible {
                return Err(self.refuse(format!(
                    "the remote's name of `{id}` is `{}`; `namespace.key_id` or `namespace.key_id.v1` is right",
                    name.escape_debug()
                )));
            }
            if let Some(other) = names.insert(name, id) {
                return Err(self.refuse(format!(
                    "`{other}` and `{id}` are both `{name}` at the remote; each needs its own key"
                )));
            }
        }
        Ok(())
    }

    fn refuse(&self, what: String) -> SettingsError {
        SettingsError {
            backend: self.name.clone(),
            what,
        }
    }
}

fn right_address(remote: &Remote) -> Result<(), String> {
    const WANTED: &str = "host and port are right, `signer-1.example:9443` for one";
    let text = remote.to_string();
    if text.len() > Settings::ADDRESS_MAX {
        return Err(format!("it has {} bytes, {} are the most", text.len(), Settings::ADDRESS_MAX));
    }
    match remote {
        Remote::Unix { socket } if socket.as_os_str().is_empty() => Err("a socket's path is right".to_owned()),
        Remote::Unix { .. } => Ok(()),
        Remote::Tls { address, .. } => {
            let (host, port) = address.rsplit_once(':').ok_or(WANTED)?;
            let port_is_right = port.parse::<u16>().is_ok_and(|port| port != 0);
            // An IPv6 address stands in brackets; a scheme or a path are of an URL.
            let bracketed = host.starts_with('[') && host.ends_with(']');
            let plain = !host.contains([':', '/', '[', ']', '@']) && host.bytes().all(|byte| byte.is_ascii_graphic());
            if host.is_empty() || !port_is_right || !(bracketed || plain) {
                return Err(WANTED.to_owned());
            }
            Ok(())
        }
    }
}

/// Settings that make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("backend `{backend}`: {what}")]
pub struct SettingsError {
    backend: String,
    what: String,
}
