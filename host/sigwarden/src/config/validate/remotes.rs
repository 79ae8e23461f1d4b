//! `[[backend.remote]]`.

use super::{Checker, way};
use crate::config::{RemoteAddress, RemoteEnd, Remotes, raw};
use sigwarden_tls::ClientFiles;
use std::time::Duration;

/// As many as a quorum of sites needs; each has its connections.
const REMOTES_MAX: usize = 8;
/// Connections to one remote: each carries many requests.
const CONNECTIONS_MAX: u64 = 16;
/// Milliseconds that a call may take.
const CALL_MS: std::ops::RangeInclusive<u64> = 10..=60_000;

impl Checker<'_> {
    pub(super) fn remotes(&mut self, index: usize, backend: &raw::Backend) -> Option<Remotes> {
        if backend.remote.is_empty() || backend.remote.len() > REMOTES_MAX {
            let message = format!("a `remote` backend has 1 to {REMOTES_MAX} `[[backend.remote]]`, the preferred one first");
            self.wrong(way!["backend", index, "remote"], message);
            return None;
        }
        let mut remotes: Vec<RemoteEnd> = Vec::with_capacity(backend.remote.len());
        for (which, remote) in backend.remote.iter().enumerate() {
            if backend.remote.iter().take(which).any(|other| other.address == remote.address) {
                let message = "this address is there twice; failing over needs two";
                self.wrong(way!["backend", index, "remote", which, "address"], message);
            }
            remotes.extend(self.remote_address(index, which, remote).map(|address| RemoteEnd { address }));
        }
        let connections = backend.connections;
        if connections.is_some_and(|given| !(1..=CONNECTIONS_MAX).contains(&given)) {
            let message = format!("1 to {CONNECTIONS_MAX} are right");
            self.wrong(way!["backend", index, "connections"], message);
        }
        let call_deadline = self.call_ms(index, "call_deadline_ms", backend.call_deadline_ms);
        let total_deadline = self.call_ms(index, "total_deadline_ms", backend.total_deadline_ms);
        Some(Remotes {
            remotes,
            connections: connections.and_then(|given| usize::try_from(given).ok()),
            call_deadline,
            total_deadline,
        })
    }

    fn call_ms(&mut self, index: usize, field: &str, given: Option<u64>) -> Option<Duration> {
        let given = given?;
        if !CALL_MS.contains(&given) {
            let message = format!("{given} is out of range; {} to {} is right", CALL_MS.start(), CALL_MS.end());
            self.wrong(way!["backend", index, field], message);
        }
        Some(Duration::from_millis(given))
    }

    fn remote_address(&mut self, index: usize, which: usize, remote: &raw::Remote) -> Option<RemoteAddress> {
        let files = [("ca", &remote.ca), ("certificate", &remote.certificate), ("key", &remote.key)];
        if let Some(path) = remote.address.strip_prefix("unix://") {
            for (field, file) in files.iter().chain(&[("server_name", &remote.server_name)]) {
                if file.is_some() {
                    let message = "on a Unix socket the remote knows this daemon by its uid; leave this out";
                    self.wrong(way!["backend", index, "remote", which, *field], message);
                }
            }
            return Some(RemoteAddress::Socket(
                self.path(way!["backend", index, "remote", which, "address"], path),
            ));
        }
        let host = remote
            .address
            .rsplit_once(':')
            .filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
        let Some((host, _)) = host else {
            let message = "`host:port` is wanted, or `unix://` and the path of a socket of this machine";
            self.wrong(way!["backend", index, "remote", which, "address"], message);
            return None;
        };
        let mut paths = Vec::with_capacity(files.len());
        for (field, file) in files {
            let at = way!["backend", index, "remote", which, field];
            match file {
                Some(file) => paths.push(self.path(at, file)),
                None => self.wrong(at, "`ca`, `certificate` and `key` go together; `sigwarden certs` makes them"),
            }
        }
        let [ca, certificate, key] = <[_; 3]>::try_from(paths).ok()?;
        let server_name = remote
            .server_name
            .clone()
            .unwrap_or_else(|| host.trim_matches(['[', ']']).to_owned());
        Some(RemoteAddress::Tls {
            address: remote.address.clone(),
            files: ClientFiles {
                ca,
                certificate,
                key,
                server_name,
            },
        })
    }
}
