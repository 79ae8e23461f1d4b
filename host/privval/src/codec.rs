//! Length-delimited protobuf messages over a stream, bounded in size and time.

use crate::wire::Message;
use prost::Message as _;
use prost::bytes::{Buf, BytesMut};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// Read at once at most; a vote with its prefix is within 300 bytes.
const READ: usize = 4 << 10;

/// The longest length prefix: four groups of seven bits are 256 MiB, far above any [`crate::Dialect::message_max`].
const PREFIX_MAX: usize = 4;

/// How long a node may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Between two requests. A node pings at two thirds of its own time limit, each 3.3 s by default; a connection that is silent for
    /// much longer is dead, and the node perhaps listens for a new one. Default 10 s, three pings.
    pub idle: Duration,
    /// From a message's first byte to its last, and for a response to be taken off our hands. Default 5 s, as CometBFT's own.
    pub message: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(10),
            message: Duration::from_secs(5),
        }
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Between two messages.
    #[error("the node closed the connection")]
    Closed,
    /// No request within [`Limits::idle`].
    #[error("the node sent nothing for {0:?}; it pings more often, unless its own time limit is over one and a half of that")]
    Idle(Duration),
    /// A message or a response took longer than [`Limits::message`].
    #[error("{what} took over {limit:?}")]
    Slow {
        /// What took so long.
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// A length prefix above what the dialect's nodes send.
    #[error(
        "the node announced a message of {announced} bytes; {max} are the most that dialect `{dialect}` has: is this a node's priv_validator_laddr?"
    )]
    TooLong {
        /// The length, or at least that.
        announced: usize,
        /// The most.
        max: usize,
        /// The connection's dialect.
        dialect: crate::Dialect,
    },
    /// The stream ended within a message.
    #[error("the connection broke off {have} bytes into a message")]
    Truncated {
        /// Bytes of it that came.
        have: usize,
    },
    /// A message that is no protobuf of the right shape.
    #[error("the node sent what is no privval message: {0}")]
    Malformed(prost::DecodeError),
    /// A message that nobody asks a signer.
    #[error("the node sent {0}, which asks nothing: is this a node's priv_validator_laddr?")]
    NoRequest(&'static str),
    /// The stream failed; of a SecretConnection, also when a frame was not the peer's.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// A stream of messages.
pub(crate) struct Messages<S> {
    stream: S,
    dialect: crate::Dialect,
    limits: Limits,
    /// What has been read of the message under way, and perhaps of the next: at most one of the largest and [`READ`].
    buffer: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Messages<S> {
    pub(crate) fn new(stream: S, dialect: crate::Dialect, limits: Limits) -> Self {
        Self {
            stream,
            dialect,
            limits,
            buffer: BytesMut::new(),
        }
    }

    /// The next message.
    pub(crate) async fn read(&mut self) -> Result<Message, ConnectionError> {
        if self.buffer.is_empty() && self.buffer.capacity() > 4 * READ {
            // An idle connection does not hold on to the room that one large message took.
            self.buffer = BytesMut::new();
        }
        if self.buffer.is_empty() {
            let idle = self.limits.idle;
            let read = self.fill(Instant::now() + idle).await?;
            match read {
                None => return Err(ConnectionError::Idle(idle)),
                Some(0) => return Err(ConnectionError::Closed),
                Some(_) => {}
            }
        }
        let limit = self.limits.message;
        let deadline = Instant::now() + limit;
        loop {
            if let Some(body) = self.take()? {
                return Message::decode(body).map_err(ConnectionError::Malformed);
            }
            match self.fill(deadline).await? {
                None => {
                    return Err(ConnectionError::Slow {
                        what: "reading a message",
                        limit,
                    });
                }
                Some(0) => return Err(ConnectionError::Truncated { have: self.buffer.len() }),
                Some(_) => {}
            }
        }
    }

    /// Writes a message.
    pub(crate) async fn write(&mut self, message: &Message) -> Result<(), ConnectionError> {
        let bytes = message.encode_length_delimited_to_vec();
        let limit = self.limits.message;
        let write = async {
            self.stream.write_all(&bytes).await?;
            self.stream.flush().await
        };
        match timeout_at(Instant::now() + limit, write).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(ConnectionError::Slow {
                what: "writing a response",
                limit,
            }),
        }
    }

    /// Reads what there is, none if nothing comes in time.
    async fn fill(&mut self, deadline: Instant) -> Result<Option<usize>, io::Error> {
        self.buffer.reserve(READ);
        let mut room = (&mut self.stream).take(READ as u64);
        match timeout_at(deadline, room.read_buf(&mut self.buffer)).await {
            Ok(read) => read.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// The message that the buffer starts with, if it is all there.
    fn take(&mut self) -> Result<Option<BytesMut>, ConnectionError> {
        let max = self.dialect.message_max();
        let too_long = |announced| ConnectionError::TooLong {
            announced,
            max,
            dialect: self.dialect,
        };
        let mut length = 0_usize;
        for (index, byte) in self.buffer.iter().take(PREFIX_MAX).enumerate() {
            length |= usize::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 != 0 {
                continue;
            }
            if length > max {
                return Err(too_long(length));
            }
            if self.buffer.len() <= index + length {
                return Ok(None);
            }
            self.buffer.advance(index + 1);
            return Ok(Some(self.buffer.split_to(length)));
        }
        if self.buffer.len() >= PREFIX_MAX {
            return Err(too_long(1 << (7 * PREFIX_MAX)));
        }
        Ok(None)
    }
}
