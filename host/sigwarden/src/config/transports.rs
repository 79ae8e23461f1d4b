//! `[[listener]]`, `[[privval]]`, and what a client may ask for at once: how callers come in beside the Unix socket.

use sigwarden_core::key::KeyId;
use sigwarden_privval::{Address, Dialect};
use sigwarden_tls::ServerFiles;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A TCP listener.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its name, in logs and metrics.
    pub name: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// What is spoken.
    pub kind: ListenerKind,
    /// Who may come in.
    pub access: Access,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerKind {
    /// The signing protocol, as on the Unix socket.
    Grpc,
    /// Ethereum's JSON-RPC, and Web3Signer's REST.
    JsonRpc {
        /// What `eth_chainId` says, and every transaction must.
        chain_id: u64,
    },
}

/// How a listener knows its callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// By the names in the certificates that they prove to hold.
    MutualTls(ServerFiles),
    /// It does not: on a loopback address, whoever comes is this client.
    Anybody(Arc<str>),
}

/// A CometBFT node that is dialled, and signed for.
#[derive(Debug, Clone)]
pub struct Privval {
    /// Its name, in logs and metrics.
    pub name: String,
    /// The client that its requests come from.
    pub client: Arc<str>,
    /// Its `priv_validator_laddr`.
    pub address: Address,
    /// The version of the protocol that it speaks.
    pub dialect: Dialect,
    /// The chain that it may ask for.
    pub chain_id: String,
    /// The key that it is given: a name, or a name with its version.
    pub key: String,
    /// A connection on which nothing comes for so long is given up.
    pub idle: Duration,
}

/// How much a client may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Admission {
    /// Requests a second, with a burst of as many.
    pub per_second: Option<u32>,
    /// Requests that are on their way at once.
    pub at_once: Option<u32>,
}

impl Privval {
    /// The key's id, if a version is named.
    #[must_use]
    pub fn version(&self) -> Option<KeyId> {
        self.key.parse().ok()
    }
}
