//! The registry: counters that requests feed as they pass, and facts that are read anew at each scrape. [`catalogue`] has every name;
//! `docs/metrics.md` is generated from it.
//!
//! The path of a request touches atomics and a few histograms' locks, by handles that exist beforehand: no allocation but for a name that
//! was never seen before. Every label has a closed set of values, or a bound on how many there may be; what is past it is `other`.

mod bounded;
pub mod catalogue;
mod edges;
mod facts;
mod page;
mod policies;
mod process;
mod requests;
mod shown;

pub use edges::{HANDSHAKE_REASONS, Listener, Open, Peer, PeerKind};
pub use facts::{BackendFact, Build, CertificateFact, Facts, HsmFact, KeyFact, LedgerFact, PolicyFact, QueueFact, Room, TokenFact};
#[cfg(feature = "otlp")]
pub(crate) use requests::Of;

use crate::http::Readiness;
use edges::Edges;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use requests::Requests;
use sigwarden_core::ledger::{Commitment, Entry};
use sigwarden_core::proof::Approved;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Everything that is counted in one process.
#[derive(Debug)]
pub struct Metrics {
    counters: Arc<Counters>,
    build: Build,
}

#[derive(Debug)]
struct Counters {
    requests: Requests,
    edges: Edges,
}

impl Metrics {
    /// Nothing counted yet. `build` is told as it is with every scrape.
    #[must_use]
    pub fn new(build: Build) -> Self {
        let counters = Counters {
            requests: Requests::new(),
            edges: Edges::new(),
        };
        Self {
            counters: Arc::new(counters),
            build,
        }
    }

    /// The names of the keys that there are, so that refusals can be told by key: what a caller names is any text.
    pub fn keys<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        self.counters.requests.know_keys(names);
    }

    /// A policy's instance and the denial codes of its manifest, so that these have their series from the start.
    pub fn policy<'a>(&self, instance: &str, codes: impl IntoIterator<Item = &'a str>) {
        self.counters.requests.policies.know(instance, codes);
    }

    /// A durable write of the ledger: how many records went with it, and how long it took.
    pub fn ledger_wrote(&self, records: u64, took: Duration) {
        self.counters.requests.ledger_wrote(records, took);
    }

    /// A request waited so long for a thread.
    pub fn queued(&self, waited: Duration) {
        self.counters.edges.queued(waited);
    }

    /// A connection was accepted; it counts as open until the value is dropped.
    pub fn connected(&self, listener: Listener) -> Open {
        self.counters.edges.connected(listener)
    }

    /// A connection was closed again at once, because too many were open.
    pub fn turned_away(&self, listener: Listener) {
        self.counters.edges.turned_away(listener);
    }

    /// A TLS handshake came to nothing, for one of [`HANDSHAKE_REASONS`].
    pub fn handshake_failed(&self, reason: &str) {
        self.counters.edges.handshake_failed(reason);
    }

    /// A JSON-RPC or REST call was answered. A method that is none of ours counts as `other`.
    pub fn json_rpc(&self, method: &str, answered: bool) {
        self.counters.edges.json_rpc(method, answered);
    }

    /// Somebody that the daemon dials: a node's privval listener, a remote signer. Named by the configuration.
    #[must_use]
    pub fn peer(&self, kind: PeerKind, name: &str) -> Peer {
        self.counters.edges.peer(kind, name)
    }

    #[cfg(feature = "otlp")]
    pub(crate) fn traces(&self) -> &edges::TraceCounts {
        &self.counters.edges.traces
    }

    pub(crate) fn committed(&self, approved: &[Approved], commitments: &[Commitment]) {
        self.counters.requests.committed(approved, commitments);
    }

    pub(crate) fn appended(&self, entry: &Entry) -> requests::Of {
        self.counters.requests.appended(entry)
    }

    /// The page for `GET /metrics`: OpenMetrics 1.0 text. `facts` are as of now.
    #[must_use]
    pub fn page(&self, facts: Facts, readiness: &Readiness) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scrape {
            counters: Arc::clone(&self.counters),
            build: self.build.clone(),
            readiness: readiness.clone(),
            facts,
        }));
        let mut text = String::with_capacity(64 * 1024);
        // Writing to a String fails only if a collector does, and ours does not.
        if encode(&mut text, &registry).is_err() {
            text.clear();
        }
        text
    }
}

/// The content type of [`Metrics::page`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One scrape: the counters, and the facts of the moment.
struct Scrape {
    counters: Arc<Counters>,
    build: Build,
    readiness: Readiness,
    facts: Facts,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut page = page::Page::new(&mut encoder);
        shown::backends(&mut page, &self.facts)?;
        shown::keys(&mut page, &self.build, &self.facts)?;
        shown::about(&mut page, &self.build, &self.readiness)?;
        self.counters.requests.show(&mut page)?;
        shown::ledger(&mut page, &self.build, &self.facts)?;
        shown::policies(&mut page, &self.facts)?;
        self.counters.edges.show(&mut page)?;
        shown::edges(&mut page, &self.facts)?;
        process::show(&mut page)
    }
}
