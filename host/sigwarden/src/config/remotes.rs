//! A backend of kind `remote`: other Sigwardens that hold the keys.

use sigwarden_tls::ClientFiles;
use std::path::PathBuf;
use std::time::Duration;

/// One remote, or several with the same keys.
#[derive(Debug, Clone)]
pub struct Remotes {
    /// They, the preferred one first.
    pub remotes: Vec<RemoteEnd>,
    /// Connections to each; none for the backend's default.
    pub connections: Option<usize>,
    /// How long one call may take; none for the backend's default.
    pub call_deadline: Option<Duration>,
    /// How long a signature may take with everything that is tried for it; none for the backend's default.
    pub total_deadline: Option<Duration>,
}

/// A remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteEnd {
    /// Where it listens.
    pub address: RemoteAddress,
}

/// How a remote is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteAddress {
    /// `host:port`, over mutual TLS.
    Tls {
        /// Host and port.
        address: String,
        /// Certificates, and the name that the remote's must have.
        files: ClientFiles,
    },
    /// A Unix socket of this machine.
    Socket(PathBuf),
}
