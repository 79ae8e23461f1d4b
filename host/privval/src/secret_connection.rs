//! CometBFT's SecretConnection: a stream inside authenticated encryption (`p2p/conn/secret_connection.go`, spec/p2p, "Authenticated
//! Encryption Handshake").
//!
//! Written here, on the crates that the workspace has already: the published `tmkms-p2p` and `cometbft-p2p` stand on the
//! generation before of all of them, and hand out messages instead of a stream.

mod frame;
mod handshake;
mod identity;

pub use handshake::HandshakeError;
pub use identity::{Identity, PeerId, PeerIdError};

use frame::{Cipher, DATA_MAX, FRAME, Frame};
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream inside a SecretConnection. What arrives was written by the peer whose id is [`Self::peer`], in this order; any frame that
/// is changed, repeated, left out or moved ends the connection with an error.
///
/// What was written is sent by `flush`.
pub struct SecretConnection<S> {
    stream: S,
    peer: PeerId,
    incoming: Incoming,
    outgoing: Outgoing,
}

/// The half that reads.
struct Incoming {
    /// None once a frame was not the peer's: nothing that follows can be trusted.
    cipher: Option<Cipher>,
    frame: Box<Frame>,
    /// How much of the next sealed frame has come.
    filled: usize,
    /// What of the opened frame has not been handed out.
    data: Range<usize>,
}

/// The half that writes.
struct Outgoing {
    cipher: Cipher,
    frame: Box<Frame>,
    /// What of the sealed frame has not been sent.
    unsent: Range<usize>,
}

impl<S> SecretConnection<S> {
    /// Who the peer is.
    pub fn peer(&self) -> &PeerId {
        &self.peer
    }

    fn new(stream: S, receive: Cipher, send: Cipher) -> Self {
        Self {
            stream,
            // Until the handshake has authenticated it; nobody gets to see a connection before.
            peer: PeerId::default(),
            incoming: Incoming {
                cipher: Some(receive),
                frame: Box::new([0; FRAME]),
                filled: 0,
                data: 0..0,
            },
            outgoing: Outgoing {
                cipher: send,
                frame: Box::new([0; FRAME]),
                unsent: 0..0,
            },
        }
    }
}

impl Incoming {
    /// Reads and opens the next frame; false at the stream's end.
    fn poll_frame<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Some(cipher) = &mut self.cipher else {
            return Poll::Ready(Err(io::Error::other("a frame before was not the peer's")));
        };
        while let Some(room) = self.frame.get_mut(self.filled..).filter(|room| !room.is_empty()) {
            let mut room = ReadBuf::new(room);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut room))?;
            match room.filled().len() {
                0 if self.filled == 0 => return Poll::Ready(Ok(false)),
                0 => return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended within a frame"))),
                read => self.filled += read,
            }
        }
        self.filled = 0;
        match cipher.open(&mut self.frame) {
            Ok(data) => {
                self.data = data;
                Poll::Ready(Ok(true))
            }
            Err(error) => {
                self.cipher = None;
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)))
            }
        }
    }
}

impl Outgoing {
    /// Sends what is left of the frame.
    fn poll_drain<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(unsent) = self.frame.get(self.unsent.clone()).filter(|unsent| !unsent.is_empty()) {
            match ready!(Pin::new(&mut *stream).poll_write(cx, unsent))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.unsent.start += sent,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SecretConnection<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if this.incoming.data.is_empty() && !ready!(this.incoming.poll_frame(&mut this.stream, cx))? {
            return Poll::Ready(Ok(()));
        }
        let opened = this.incoming.frame.get(this.incoming.data.clone()).unwrap_or_default();
        let (handed, _) = opened.split_at(opened.len().min(out.remaining()));
        out.put_slice(handed);
        this.incoming.data.start += handed.len();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SecretConnection<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(this.outgoing.poll_drain(&mut this.stream, cx))?;
        let (chunk, _) = data.split_at(data.len().min(DATA_MAX));
        this.outgoing
            .cipher
            .seal(chunk, &mut this.outgoing.frame)
            .map_err(io::Error::other)?;
        this.outgoing.unsent = 0..FRAME;
        // Taken over already: what cannot be sent at once goes with the next write or flush.
        match this.outgoing.poll_drain(&mut this.stream, cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(chunk.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.outgoing.poll_drain(&mut this.stream, cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.outgoing.poll_drain(&mut this.stream, cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
