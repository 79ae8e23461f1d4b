//! `remote` backends of a configuration, opened.

use super::backends::BackendError;
use crate::config::{Config, RemoteAddress, Remotes};
use sigwarden_remote::{Remote, RemoteBackend, Settings};
use sigwarden_tls::{Alpn, ClientTls, KeyExchange};
use std::sync::Arc;
use std::time::Duration;

/// How long a start waits for the remotes' first answers.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// Opens one. Remotes that are away are no error: [`RemoteBackend::status`] tells.
pub(super) fn open(config: &Config, name: &str, remotes: &Remotes) -> Result<RemoteBackend, BackendError> {
    let failed = |what: String| BackendError::Remote {
        backend: name.to_owned(),
        what,
    };
    let exchange = match config.pq_only {
        true => KeyExchange::RequirePostQuantum,
        false => KeyExchange::Preferred,
    };
    let mut ends = Vec::with_capacity(remotes.remotes.len());
    for end in &remotes.remotes {
        ends.push(match &end.address {
            RemoteAddress::Socket(socket) => Remote::Unix { socket: socket.clone() },
            RemoteAddress::Tls { address, files } => {
                let tls = ClientTls::load(files.clone(), exchange, &[Alpn::Http2]).map_err(|error| failed(error.to_string()))?;
                Remote::Tls {
                    address: address.clone(),
                    tls: Arc::new(tls),
                }
            }
        });
    }
    let mut settings = Settings::new(name, config.network, ends);
    settings.connections = remotes.connections.unwrap_or(settings.connections);
    settings.call_deadline = remotes.call_deadline.unwrap_or(settings.call_deadline);
    settings.total_deadline = remotes.total_deadline.unwrap_or(settings.total_deadline);
    for key in config.keys.iter().filter(|key| key.backend == name) {
        if let Some(label) = &key.label {
            settings.keys.insert(key.id.clone(), label.clone());
        }
    }
    RemoteBackend::open(settings).map_err(|error| failed(error.to_string()))
}
