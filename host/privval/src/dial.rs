//! From an address to a stream that [`crate::serve`] reads.

use crate::address::Address;
use crate::secret_connection::{HandshakeError, Identity, PeerId, SecretConnection};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// Why there is no connection. What to log: the address, and this.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody took the connection in time.
    #[error("nobody took the connection within {0:?}")]
    Slow(Duration),
    /// Nobody listens, or nobody may connect.
    #[error("no connection: {0}; {remedy}", remedy = remedy(.0))]
    Connect(io::Error),
    /// Somebody listens, but there is no SecretConnection.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

fn remedy(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::PermissionDenied {
        "this user may not write to the node's socket: give both a group, and the node a umask of 0007 (docs/deploy-cometbft.md)"
    } else {
        "does the node run, with this address as its priv_validator_laddr?"
    }
}

/// A connection with a node.
pub enum Stream {
    /// A Unix socket.
    Unix(UnixStream),
    /// TCP, encrypted.
    Tcp(Box<SecretConnection<TcpStream>>),
}

impl Stream {
    /// Who the node is; over a Unix socket nobody says.
    #[must_use]
    pub fn peer(&self) -> Option<&PeerId> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(stream) => Some(stream.peer()),
        }
    }
}

/// Connects to a node. `limit` bounds the connection and, again, the handshake; 3 s are a good one: a node that wants a signer listens.
///
/// # Errors
/// Nobody is there, or it is not who the address names.
pub async fn dial(address: &Address, identity: &Identity, limit: Duration) -> Result<Stream, DialError> {
    match address {
        Address::Unix(path) => match timeout(limit, UnixStream::connect(path)).await {
            Ok(stream) => Ok(Stream::Unix(stream.map_err(DialError::Connect)?)),
            Err(_) => Err(DialError::Slow(limit)),
        },
        Address::Tcp { peer, authority } => {
            let stream = match timeout(limit, TcpStream::connect(authority)).await {
                Ok(stream) => stream.map_err(DialError::Connect)?,
                Err(_) => return Err(DialError::Slow(limit)),
            };
            // A vote is one small frame, and waits for nothing that could follow it.
            stream.set_nodelay(true).map_err(DialError::Connect)?;
            let stream = SecretConnection::handshake(stream, identity, peer.as_ref(), limit).await?;
            Ok(Stream::Tcp(Box::new(stream)))
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
