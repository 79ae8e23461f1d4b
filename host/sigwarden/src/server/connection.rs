//! An accepted connection, whatever it came over: who is at the other end, and what bounds it.

use super::owed::Debts;
use super::patient::Patient;
use sigwarden_core::caller::Peer;
use sigwarden_telemetry::metrics::Open as Shown;
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

/// How long a new connection may take to say the first bytes of HTTP/2. A client that connected means to speak: 5 s is generous.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Bytes of HTTP/2's connection preface (RFC 9113 §3.4).
const PREFACE_BYTES: usize = 24;

/// Log lines about closed connections: one a second, the others counted. Who fills the log hides in it.
#[derive(Debug, Default)]
pub(super) struct Told {
    last: Option<std::time::Instant>,
    unsaid: u64,
}

impl Told {
    /// Counts one; how many were not told before it, if it may be told: one a second.
    pub(super) fn count(&mut self) -> Option<u64> {
        self.count_every(Duration::from_secs(1))
    }

    /// The same with another time between two.
    pub(super) fn count_every(&mut self, time: Duration) -> Option<u64> {
        if self.last.is_some_and(|last| last.elapsed() < time) {
            self.unsaid += 1;
            return None;
        }
        self.last = Some(std::time::Instant::now());
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// How many connections at once.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    /// Of all clients.
    pub(super) all: Arc<Semaphore>,
    /// Of one client.
    pub(super) of_one: usize,
}

/// How many connections each client has open. Only configured clients are counted, so it stays small.
#[derive(Debug, Clone, Default)]
pub(super) struct Open(Arc<Mutex<HashMap<Arc<str>, usize>>>);

impl Open {
    pub(super) fn count(&self, client: &Arc<str>, most: usize) -> Option<Counted> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_client = open.entry(Arc::clone(client)).or_default();
        if *of_client >= most {
            return None;
        }
        *of_client += 1;
        drop(open);
        Some(Counted(self.clone(), Arc::clone(client)))
    }
}

/// One open connection of a client, until it is dropped.
#[derive(Debug)]
pub(super) struct Counted(Open, Arc<str>);

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_client) = open.get_mut(&self.1) {
            *of_client = of_client.saturating_sub(1);
        }
    }
}

/// Who is at the other end of a connection, and what it owes; tonic hands it to each request.
#[derive(Debug, Clone)]
pub(super) struct ConnectedPeer(pub(super) Peer, pub(super) Debts);

/// What a connection came over.
pub(super) enum Wire {
    /// The Unix socket.
    Unix(UnixStream),
    /// Mutual TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// An accepted connection. Closed if it does not speak in time, does not read, owes for too long, and when its client's certificate ends;
/// counted until it is dropped.
pub(super) struct Connection {
    wire: Patient<Wire>,
    peer: Peer,
    debts: Debts,
    /// Until the preface is read: how much is missing, and until when.
    handshake: Option<(usize, Pin<Box<Sleep>>)>,
    /// Until the client's certificate ends; none without one.
    ends: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
    _counted: (Counted, Shown),
}

impl Connection {
    pub(super) fn new(wire: Wire, peer: Peer, permit: OwnedSemaphorePermit, counted: (Counted, Shown)) -> Self {
        Self {
            wire: Patient::new(wire),
            peer,
            debts: Debts::default(),
            handshake: Some((PREFACE_BYTES, Box::pin(tokio::time::sleep(HANDSHAKE)))),
            ends: None,
            _permit: permit,
            _counted: counted,
        }
    }

    /// The same, until so long from now.
    pub(super) fn until(mut self, left: Duration) -> Self {
        self.ends = Some(Box::pin(tokio::time::sleep(left)));
        self
    }
}

impl Connected for Connection {
    type ConnectInfo = ConnectedPeer;

    fn connect_info(&self) -> ConnectedPeer {
        ConnectedPeer(self.peer.clone(), self.debts.clone())
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Looked at with each read: a client that never pauses is no exception.
        if self.ends.as_mut().is_some_and(|ends| ends.as_mut().poll(cx).is_ready()) {
            tracing::info!(peer = %self.peer, "closed a connection: its client's certificate has ended");
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if self.debts.are_overdue() {
            tracing::info!(peer = %self.peer, "closed a connection: it left a message half sent, or an answer unread");
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.wire).poll_read(cx, buffer);
        if let Some((missing, until)) = &mut self.handshake {
            if polled.is_pending() {
                return match until.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                    Poll::Pending => Poll::Pending,
                };
            }
            *missing = missing.saturating_sub(buffer.filled().len() - before);
            if *missing == 0 {
                self.handshake = None;
            }
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Wire::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Wire::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Wire::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Wire::Unix(stream) => stream.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Wire::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Wire::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
