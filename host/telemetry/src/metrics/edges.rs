//! Where the daemon meets others: connections, handshakes, calls in JSON, peers that it dials, the collector of traces.

use super::bounded::Bounded;
use super::catalogue as c;
use super::page::{Page, number};
use super::requests::seconds;
use prometheus_client::metrics::histogram::Histogram;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

macro_rules! labels {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The label.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

labels! {
    /// What accepts connections.
    Listener {
        /// The signing socket.
        Socket = "socket",
        /// The signing port, over mutual TLS.
        Tls = "tls",
        /// JSON-RPC and REST for EVM clients.
        JsonRpc = "json-rpc",
        /// The administration socket.
        Admin = "admin",
        /// Metrics and health.
        Metrics = "metrics",
    }
}

labels! {
    /// Who is dialled.
    PeerKind {
        /// A CometBFT node's privval listener.
        Privval = "privval",
        /// Another Sigwarden that signs.
        Remote = "remote",
    }
}

/// Why a TLS handshake came to nothing, as `sigwarden-tls` names it; what is none of these counts as the last.
pub const HANDSHAKE_REASONS: [&str; 16] = [
    "no-certificate",
    "unknown-ca",
    "expired",
    "not-yet-valid",
    "purpose",
    "name",
    "certificate",
    "own-ca-expired",
    "version",
    "key-exchange",
    "protocol",
    "not-tls",
    "alert",
    "disconnected",
    "timeout",
    "other",
];

/// The methods that have series of their own: those that there are.
const METHODS: [&str; 13] = [
    "eth_accounts",
    "eth_chainId",
    "eth_signTransaction",
    "eth_signTypedData",
    "eth_sign",
    "personal_sign",
    "eth_signTypedData_v4",
    "health_status",
    "publicKeys",
    "sign",
    "upcheck",
    "healthcheck",
    "reload",
];

/// Peers of one kind: a validator's sentries, a key's remotes.
const PEERS_MAX: usize = 64;

#[derive(Debug, Default)]
struct ListenerCounts {
    open: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct PeerCounts {
    up: AtomicU64,
    connects: AtomicU64,
    failures: AtomicU64,
}

/// What became of traces.
#[derive(Debug, Default)]
pub(crate) struct TraceCounts {
    pub(crate) exported: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) failed: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Edges {
    listeners: Vec<Arc<ListenerCounts>>,
    handshakes: [AtomicU64; HANDSHAKE_REASONS.len()],
    queued: Histogram,
    /// Answered and not, by method; the last is for others.
    calls: Vec<[AtomicU64; 2]>,
    peers: Vec<Bounded<PeerCounts>>,
    pub(super) traces: TraceCounts,
}

/// An open connection; closed when dropped.
#[derive(Debug)]
#[must_use]
pub struct Open(Option<Arc<ListenerCounts>>);

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(counts) = &self.0 {
            counts.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Somebody that the daemon dials.
#[derive(Debug)]
pub struct Peer(Option<Arc<PeerCounts>>);

impl Peer {
    /// A connection stands.
    pub fn up(&self) {
        if let Some(counts) = &self.0 {
            counts.up.store(1, Ordering::Relaxed);
            counts.connects.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It broke, or could not be made.
    pub fn failed(&self) {
        if let Some(counts) = &self.0 {
            counts.up.store(0, Ordering::Relaxed);
            counts.failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How it is, of somebody who keeps count: whether a connection stands, how often one came about and how often one broke or failed,
    /// since the start.
    pub fn is(&self, up: bool, connects: u64, failures: u64) {
        if let Some(counts) = &self.0 {
            counts.up.store(u64::from(up), Ordering::Relaxed);
            counts.connects.store(connects, Ordering::Relaxed);
            counts.failures.store(failures, Ordering::Relaxed);
        }
    }

    /// It was closed as it should be.
    pub fn closed(&self) {
        if let Some(counts) = &self.0 {
            counts.up.store(0, Ordering::Relaxed);
        }
    }
}

impl Edges {
    pub(super) fn new() -> Self {
        Self {
            listeners: Listener::ALL.iter().map(|_| Arc::default()).collect(),
            handshakes: Default::default(),
            queued: seconds(),
            calls: (0..=METHODS.len()).map(|_| Default::default()).collect(),
            peers: PeerKind::ALL.iter().map(|_| Bounded::new(PEERS_MAX, PeerCounts::default)).collect(),
            traces: TraceCounts::default(),
        }
    }

    pub(super) fn queued(&self, waited: Duration) {
        self.queued.observe(waited.as_secs_f64());
    }

    pub(super) fn connected(&self, listener: Listener) -> Open {
        let counts = self.listeners.get(listener as usize).cloned();
        if let Some(counts) = &counts {
            counts.open.fetch_add(1, Ordering::Relaxed);
            counts.accepted.fetch_add(1, Ordering::Relaxed);
        }
        Open(counts)
    }

    pub(super) fn turned_away(&self, listener: Listener) {
        if let Some(counts) = self.listeners.get(listener as usize) {
            counts.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn handshake_failed(&self, reason: &str) {
        let known = HANDSHAKE_REASONS.iter().position(|known| *known == reason);
        if let Some(count) = self.handshakes.get(known.unwrap_or(HANDSHAKE_REASONS.len() - 1)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn json_rpc(&self, method: &str, answered: bool) {
        let index = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len());
        if let Some(count) = self.calls.get(index).and_then(|counts| counts.get(usize::from(!answered))) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn peer(&self, kind: PeerKind, name: &str) -> Peer {
        Peer(self.peers.get(kind as usize).map(|peers| peers.get(name)))
    }

    pub(super) fn show(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        page.histogram(&c::QUEUE_SECONDS, &self.queued)?;
        let listeners = || Listener::ALL.iter().zip(&self.listeners);
        let mut open = page.family(&c::CONNECTIONS)?;
        listeners().try_for_each(|(listener, counts)| open.gauge(&[listener.name()], number(read(&counts.open))))?;
        let mut accepted = page.family(&c::CONNECTED)?;
        listeners().try_for_each(|(listener, counts)| accepted.counter(&[listener.name()], read(&counts.accepted)))?;
        let mut refused = page.family(&c::TURNED_AWAY)?;
        listeners().try_for_each(|(listener, counts)| refused.counter(&[listener.name()], read(&counts.refused)))?;
        let mut handshakes = page.family(&c::HANDSHAKES)?;
        let mut reasons = HANDSHAKE_REASONS.iter().zip(&self.handshakes);
        reasons.try_for_each(|(reason, count)| handshakes.counter(&[reason], read(count)))?;
        self.show_calls(page)?;
        self.show_peers(page)?;
        let mut traces = page.family(&c::TRACES)?;
        traces.counter(&["exported"], read(&self.traces.exported))?;
        traces.counter(&["dropped"], read(&self.traces.dropped))?;
        traces.counter(&["failed"], read(&self.traces.failed))
    }

    fn show_calls(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let mut family = page.family(&c::JSON_RPC)?;
        for (method, [answered, error]) in METHODS.iter().chain(&["other"]).zip(&self.calls) {
            family.counter(&[method, "answered"], answered.load(Ordering::Relaxed))?;
            family.counter(&[method, "error"], error.load(Ordering::Relaxed))?;
        }
        Ok(())
    }

    fn show_peers(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let each = |visit: &mut dyn FnMut(&str, &str, &PeerCounts) -> fmt::Result| {
            PeerKind::ALL
                .iter()
                .zip(&self.peers)
                .try_for_each(|(kind, peers)| peers.each(|name, counts| visit(kind.name(), name, counts)))
        };
        // What the unknown share stands there only if there are such.
        let is_there =
            |name: &str, counts: &PeerCounts| name != super::bounded::OTHER || read(&counts.connects) + read(&counts.failures) > 0;
        let mut up = page.family(&c::PEER_UP)?;
        each(&mut |kind, name, counts| match is_there(name, counts) {
            true => up.gauge(&[kind, name], number(read(&counts.up))),
            false => Ok(()),
        })?;
        let mut connects = page.family(&c::PEER_CONNECTS)?;
        each(&mut |kind, name, counts| match is_there(name, counts) {
            true => connects.counter(&[kind, name], read(&counts.connects)),
            false => Ok(()),
        })?;
        let mut failures = page.family(&c::PEER_FAILURES)?;
        each(&mut |kind, name, counts| match is_there(name, counts) {
            true => failures.counter(&[kind, name], read(&counts.failures)),
            false => Ok(()),
        })
    }
}
