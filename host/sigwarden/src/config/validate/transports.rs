//! `[[listener]]`, `[[privval]]`, `[traces]`.

use super::{Checker, way};
use crate::config::{Access, Key, Listener, ListenerKind, Privval, raw};
use sigwarden_core::Role;
use sigwarden_core::caller::Client;
use sigwarden_core::key::{KeyId, KeyName};
use sigwarden_tls::ServerFiles;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Milliseconds of silence on a node's connection. CometBFT pings every two thirds of its own timeout of 5 s (`privval/signer_listener_endpoint.go`);
/// a node that is busy for ten of them is gone.
const IDLE_MS: std::ops::RangeInclusive<u64> = 1_000..=600_000;
const IDLE_MS_DEFAULT: u64 = 30_000;
/// A chain id, as CometBFT bounds it (`types.MaxChainIDLen`).
const CHAIN_ID_MAX: usize = 50;

impl Checker<'_> {
    pub(super) fn listeners(&mut self, raw: &[raw::Listener], clients: &[Arc<Client>]) -> Vec<Listener> {
        let mut listeners: Vec<Listener> = Vec::with_capacity(raw.len());
        for (index, listener) in raw.iter().enumerate() {
            self.plain_name(way!["listener", index, "name"], &listener.name);
            if listeners.iter().any(|other| other.name == listener.name) {
                let message = format!("there are two listeners `{}`", listener.name.escape_debug());
                self.wrong(way!["listener", index, "name"], message);
            }
            let kind = self.listener_kind(index, listener);
            let listen = self.listen(index, &listener.listen);
            let access = self.access(index, listener, kind, listen, clients);
            if let (Some(kind), Some(listen), Some(access)) = (kind, listen, access) {
                listeners.push(Listener {
                    name: listener.name.clone(),
                    listen,
                    kind,
                    access,
                });
            }
        }
        listeners
    }

    fn listener_kind(&mut self, index: usize, listener: &raw::Listener) -> Option<ListenerKind> {
        let chain_id = way!["listener", index, "chain_id"];
        match (listener.kind.as_str(), listener.chain_id) {
            ("grpc", None) => Some(ListenerKind::Grpc),
            ("grpc", Some(_)) => {
                self.wrong(chain_id, "only a `json-rpc` listener speaks for one chain");
                None
            }
            ("json-rpc", Some(chain_id)) if chain_id > 0 => Some(ListenerKind::JsonRpc { chain_id }),
            ("json-rpc", _) => {
                self.wrong(chain_id, "a `json-rpc` listener speaks for one chain: name its id, which is not 0");
                None
            }
            (_, _) => {
                self.wrong(way!["listener", index, "kind"], "`grpc` or `json-rpc` is wanted");
                None
            }
        }
    }

    fn listen(&mut self, index: usize, text: &str) -> Option<SocketAddr> {
        let parsed = text.parse().ok();
        if parsed.is_none() {
            let message = "an address with a port is wanted, `127.0.0.1:9443` or `[::]:9443` for one";
            self.wrong(way!["listener", index, "listen"], message);
        }
        parsed
    }

    /// Certificates, or one client for whoever comes.
    fn access(
        &mut self,
        index: usize,
        listener: &raw::Listener,
        kind: Option<ListenerKind>,
        listen: Option<SocketAddr>,
        clients: &[Arc<Client>],
    ) -> Option<Access> {
        let files = [
            ("certificate", &listener.certificate),
            ("key", &listener.key),
            ("client_ca", &listener.client_ca),
        ];
        let named = files.iter().filter(|(_, file)| file.is_some()).count();
        if let Some(client) = &listener.client {
            let at = way!["listener", index, "client"];
            if named > 0 {
                self.wrong(
                    at,
                    "over TLS a caller is known by its certificate: give the `[[client]]` a `san`, and leave this out",
                );
            } else if kind == Some(ListenerKind::Grpc) {
                self.wrong(
                    at,
                    "a `grpc` listener wants certificates; without them callers use the Unix socket, which knows their uid",
                );
            } else if listen.is_some_and(|listen| !listen.ip().is_loopback()) {
                self.wrong(
                    at,
                    "without certificates it listens on a loopback address only, where whoever comes is this client",
                );
            } else {
                return self.known_client(at, client, clients).map(Access::Anybody);
            }
            return None;
        }
        let mut paths = Vec::with_capacity(files.len());
        for (field, file) in files {
            match file {
                Some(file) => paths.push(self.path(way!["listener", index, field], file)),
                None => self.wrong(
                    way!["listener", index, field],
                    "`certificate`, `key` and `client_ca` go together; `sigwarden certs` makes them",
                ),
            }
        }
        let [certificate, key, client_ca] = <[_; 3]>::try_from(paths).ok()?;
        Some(Access::MutualTls(ServerFiles {
            certificate,
            key,
            client_ca,
        }))
    }

    fn known_client(&mut self, at: &[super::Step], name: &str, clients: &[Arc<Client>]) -> Option<Arc<str>> {
        let found = clients.iter().find(|client| *client.name == *name);
        if found.is_none() {
            self.wrong(at, format!("there is no `[[client]]` of the name `{}`", name.escape_debug()));
        }
        found.map(|client| Arc::clone(&client.name))
    }

    pub(super) fn privvals(&mut self, raw: &[raw::Privval], clients: &[Arc<Client>], keys: &[Key]) -> Vec<Privval> {
        let mut all: Vec<Privval> = Vec::with_capacity(raw.len());
        for (index, privval) in raw.iter().enumerate() {
            self.plain_name(way!["privval", index, "name"], &privval.name);
            if all.iter().any(|other| other.name == privval.name) {
                let message = format!("there are two nodes `{}`", privval.name.escape_debug());
                self.wrong(way!["privval", index, "name"], message);
            }
            let client = self.known_client(way!["privval", index, "client"], &privval.client, clients);
            let address = self.name(way!["privval", index, "address"], &privval.address);
            let dialect = self.name(way!["privval", index, "dialect"], &privval.dialect);
            let chain_id = privval.chain_id.clone();
            if chain_id.is_empty() || chain_id.len() > CHAIN_ID_MAX {
                let message = format!("a chain id has 1 to {CHAIN_ID_MAX} bytes");
                self.wrong(way!["privval", index, "chain_id"], message);
            }
            self.consensus_key(index, &privval.key, keys);
            let idle = privval.idle_ms.unwrap_or(IDLE_MS_DEFAULT);
            if !IDLE_MS.contains(&idle) {
                let message = format!("{idle} is out of range; {} to {} is right", IDLE_MS.start(), IDLE_MS.end());
                self.wrong(way!["privval", index, "idle_ms"], message);
            }
            if let (Some(client), Some(address), Some(dialect)) = (client, address, dialect) {
                all.push(Privval {
                    name: privval.name.clone(),
                    client,
                    address,
                    dialect,
                    chain_id,
                    key: privval.key.clone(),
                    idle: Duration::from_millis(idle),
                });
            }
        }
        all
    }

    fn consensus_key(&mut self, index: usize, text: &str, keys: &[Key]) {
        let id = text.parse::<KeyId>().ok();
        let name = id.as_ref().map(|id| id.name.clone()).or_else(|| text.parse::<KeyName>().ok());
        let found = keys
            .iter()
            .find(|key| name.as_ref() == Some(&key.id.name) && id.as_ref().is_none_or(|id| *id == key.id));
        let message = match found {
            Some(key) if key.roles.contains(&Role::Consensus) => return,
            Some(key) => format!("{} is no key of role `consensus`", key.id),
            None => format!("there is no `[[key]]` of the name `{}`", text.escape_debug()),
        };
        self.wrong(way!["privval", index, "key"], message);
    }

    pub(super) fn traces_endpoint(&mut self, text: Option<&str>) -> Option<String> {
        let text = text?;
        if !text.starts_with("http://") {
            let message = "the address of a collector is wanted, `http://127.0.0.1:4317` for one";
            self.wrong(way!["traces", "endpoint"], message);
        }
        Some(text.to_owned())
    }
}
