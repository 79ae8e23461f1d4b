//! TCP listeners: the signing protocol over mutual TLS, JSON-RPC over mutual TLS or on loopback.

use super::connection::{Bounds, Connection, Counted, Open, Told, Wire};
use super::json_rpc::JsonRpc;
use super::known::Known;
use crate::config::{Access, Config, Listener, ListenerKind};
use sigwarden_core::caller::Peer;
use sigwarden_telemetry::Metrics;
use sigwarden_telemetry::metrics::{Listener as Kind, Open as Shown};
use sigwarden_tls::{Alpn, KeyExchange, ServerTls, TlsError};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio_rustls::server::TlsStream;

/// How long a new connection may be silent. A TLS client speaks first (RFC 8446 §2).
const FIRST_BYTE: Duration = Duration::from_secs(3);

/// How long a TLS handshake may take, from the first byte: over the ocean and on a loaded machine. As long may a client wait for a place
/// after it.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Connections of one listener that are not yet a client's. One more, and the oldest of them is given up: a handshake that gets on is done
/// long before, whoever floods the port.
pub(super) const ARRIVING_MAX: usize = 256;

/// A listener whose certificates are read.
#[derive(Debug, Clone)]
pub struct Ready {
    /// As it is configured.
    pub listener: Listener,
    /// Certificates; none on loopback for one client.
    pub tls: Option<Arc<ServerTls>>,
}

/// A listener cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// Its certificates.
    #[error("listener `{name}`: {error}")]
    Tls {
        /// The listener.
        name: String,
        /// Why.
        error: TlsError,
    },
    /// Its address.
    #[error("listener `{name}`: {listen}: {error}; name another address, or end who has it")]
    Bind {
        /// The listener.
        name: String,
        /// The address.
        listen: SocketAddr,
        /// Why.
        error: io::Error,
    },
}

/// Reads the certificates of every listener.
///
/// # Errors
/// [`ListenerError::Tls`], of the first.
pub fn load(config: &Config) -> Result<Vec<Ready>, ListenerError> {
    let exchange = match config.pq_only {
        true => KeyExchange::RequirePostQuantum,
        false => KeyExchange::Preferred,
    };
    let ready = config.listeners.iter().map(|listener| {
        let alpn = match listener.kind {
            ListenerKind::Grpc => Alpn::Http2,
            ListenerKind::JsonRpc { .. } => Alpn::Http1,
        };
        let tls = match &listener.access {
            Access::Anybody(_) => None,
            Access::MutualTls(files) => Some(
                ServerTls::load(files.clone(), exchange, &[alpn]).map_err(|error| ListenerError::Tls {
                    name: listener.name.clone(),
                    error,
                })?,
            ),
        };
        Ok(Ready {
            listener: listener.clone(),
            tls: tls.map(Arc::new),
        })
    });
    ready.collect()
}

/// What every listener is handed.
#[derive(Clone)]
pub(super) struct Behind {
    pub(super) bounds: Bounds,
    pub(super) known: Arc<Known>,
    pub(super) metrics: Arc<Metrics>,
    /// Where connections of the signing protocol go.
    pub(super) accepted: mpsc::Sender<io::Result<Connection>>,
    /// What answers JSON-RPC, but for its chain.
    pub(super) json_rpc: JsonRpc,
}

/// Binds a listener and accepts until it is aborted.
pub(super) async fn start(ready: Ready, behind: Behind) -> Result<AbortHandle, ListenerError> {
    let listen = ready.listener.listen;
    let bound = TcpListener::bind(listen).await.map_err(|error| ListenerError::Bind {
        name: ready.listener.name.clone(),
        listen,
        error,
    })?;
    tracing::info!(name = ready.listener.name, %listen, tls = ready.tls.is_some(), "listening");
    Ok(tokio::spawn(accept(bound, Arc::new(ready), behind)).abort_handle())
}

/// One listener's own.
struct Door {
    ready: Arc<Ready>,
    behind: Behind,
    kind: Kind,
    open: Open,
    told: Mutex<Told>,
    arriving: Arrivals,
}

/// Connections that are not yet a client's, the oldest first.
#[derive(Default, Clone)]
struct Arrivals(Arc<Mutex<Arriving>>);

#[derive(Default)]
struct Arriving {
    next: u64,
    /// Dropping the sender gives the connection up.
    waiting: BTreeMap<u64, oneshot::Sender<Infallible>>,
}

/// One of them, until it is dropped.
struct Arrival {
    of: Arrivals,
    number: u64,
    given_up: oneshot::Receiver<Infallible>,
}

impl Arrivals {
    /// One more; whether the oldest was given up for it.
    fn enter(&self) -> (Arrival, bool) {
        let (keeps, given_up) = oneshot::channel();
        let mut arriving = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = arriving.next;
        arriving.next += 1;
        let full = arriving.waiting.len() >= ARRIVING_MAX;
        let oldest = if full { arriving.waiting.pop_first() } else { None };
        arriving.waiting.insert(number, keeps);
        drop(arriving);
        let of = self.clone();
        (Arrival { of, number, given_up }, oldest.is_some())
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.of
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .waiting
            .remove(&self.number);
    }
}

/// A connection that is a client's now.
struct Arrived {
    stream: Stream,
    peer: Peer,
    counted: (Counted, Shown),
    permit: OwnedSemaphorePermit,
}

enum Stream {
    /// On loopback for one client.
    Plain(TcpStream),
    /// Over TLS, and until when.
    Tls(Box<TlsStream<TcpStream>>, Duration),
}

async fn accept(listener: TcpListener, ready: Arc<Ready>, behind: Behind) {
    let kind = match ready.listener.kind {
        ListenerKind::Grpc => Kind::Tls,
        ListenerKind::JsonRpc { .. } => Kind::JsonRpc,
    };
    let door = Arc::new(Door {
        ready,
        behind,
        kind,
        open: Open::default(),
        told: Mutex::default(),
        arriving: Arrivals::default(),
    });
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let (arrival, gave_up) = door.arriving.enter();
                if gave_up {
                    door.behind.metrics.turned_away(door.kind);
                    door.tell(|before| {
                        tracing::warn!(listener = door.ready.listener.name, %from, before, "gave up the oldest of {ARRIVING_MAX} connections that had not shown a client's certificate; `before` more since the last line");
                    });
                }
                let door = Arc::clone(&door);
                tokio::spawn(async move { door.welcome(stream, from, arrival).await });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

impl Door {
    /// Serves a connection, from its first byte to its end.
    async fn welcome(&self, stream: TcpStream, from: SocketAddr, mut arrival: Arrival) {
        let arrived = tokio::select! {
            _ = &mut arrival.given_up => return,
            arrived = self.arrive(stream, from) => arrived,
        };
        drop(arrival);
        if let Some(arrived) = arrived {
            self.serve(arrived).await;
        }
    }

    /// Until a connection is a client's and has a place.
    async fn arrive(&self, stream: TcpStream, from: SocketAddr) -> Option<Arrived> {
        // Answers are small and are waited for. It fails on a connection that is gone already.
        drop(stream.set_nodelay(true));
        tokio::time::timeout(FIRST_BYTE, stream.readable()).await.ok()?.ok()?;
        let (stream, peer) = match (&self.ready.tls, &self.ready.listener.access) {
            (Some(tls), _) => match tls.accept(stream, HANDSHAKE).await {
                Ok(accepted) => {
                    let left = left(accepted.identity.not_after);
                    (
                        Stream::Tls(Box::new(accepted.stream), left),
                        Peer::Certificate(accepted.identity.texts()),
                    )
                }
                Err(error) => {
                    self.behind.metrics.handshake_failed(error.refusal().as_str());
                    self.tell(|before| {
                            tracing::warn!(listener = self.ready.listener.name, %from, before, "a handshake failed: {error}; `before` more since the last line");
                        });
                    return None;
                }
            },
            (None, Access::Anybody(client)) => (Stream::Plain(stream), Peer::Assigned(Arc::clone(client))),
            // `load` reads certificates wherever they are configured.
            (None, Access::MutualTls(_)) => return None,
        };
        let counted = self.place(&peer, from)?;
        let all = Arc::clone(&self.behind.bounds.all);
        let permit = match tokio::time::timeout(HANDSHAKE, all.acquire_owned()).await {
            Ok(permit) => permit.ok()?,
            Err(_) => {
                self.behind.metrics.turned_away(self.kind);
                self.tell(|before| {
                    tracing::warn!(%peer, %from, before, "closed a connection: there are limits.connections already; `before` more since the last line");
                });
                return None;
            }
        };
        Some(Arrived {
            stream,
            peer,
            counted,
            permit,
        })
    }

    /// A place among the client's connections, if it is a client and has one left.
    fn place(&self, peer: &Peer, from: SocketAddr) -> Option<(Counted, Shown)> {
        let place = self.behind.known.client(peer);
        let counted = place.as_ref().and_then(|client| self.open.count(client, self.behind.bounds.of_one));
        if counted.is_none() {
            self.behind.metrics.turned_away(self.kind);
        }
        if let (Some(client), None) = (&place, &counted) {
            self.tell(|before| {
                tracing::warn!(%client, %from, before, "closed a connection: this client has limits.connections_per_client already; `before` more since the last line");
            });
        }
        Some((counted?, self.behind.metrics.connected(self.kind)))
    }

    async fn serve(&self, arrived: Arrived) {
        let Arrived {
            stream,
            peer,
            counted,
            permit,
        } = arrived;
        let kind = self.ready.listener.kind;
        match (stream, kind) {
            (Stream::Tls(stream, left), ListenerKind::Grpc) => {
                let connection = Connection::new(Wire::Tls(stream), peer, permit, counted).until(left);
                // The server is gone: so is the connection.
                drop(self.behind.accepted.send(Ok(connection)).await);
            }
            (Stream::Tls(stream, left), ListenerKind::JsonRpc { .. }) => {
                let _held = (permit, counted);
                // At the certificate's end it is closed, whatever is under way.
                drop(tokio::time::timeout(left, self.behind.json_rpc.serve(*stream, peer, kind, Some(()))).await);
            }
            (Stream::Plain(stream), kind) => {
                let _held = (permit, counted);
                self.behind.json_rpc.serve(stream, peer, kind, None).await;
            }
        }
    }

    fn tell(&self, tell: impl FnOnce(u64)) {
        let before = self.told.lock().unwrap_or_else(PoisonError::into_inner).count();
        if let Some(before) = before {
            tell(before);
        }
    }
}

/// How long a certificate is still valid; its last second counts (RFC 5280 §4.1.2.5).
fn left(not_after: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(not_after.saturating_add(1)).saturating_sub(now)
}

/// Looks whether certificates have changed, and takes the new ones.
pub(crate) fn renew(listeners: &[Ready]) {
    for Ready { listener, tls } in listeners {
        let Some(tls) = tls.as_ref().filter(|tls| tls.changed()) else {
            continue;
        };
        match tls.reload() {
            Ok(reload) if reload.changed() => tracing::info!(listener = listener.name, "new certificates: {reload}"),
            Ok(_) => {}
            Err(error) => tracing::error!(listener = listener.name, "the certificates in force stay: {error}"),
        }
    }
}
