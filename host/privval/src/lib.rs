//! CometBFT's remote-signer protocol, "privval": what a validator node and its signer say to each other. This crate is the signer's
//! side of the protocol alone: no keys, no policies, no decision whether to sign.
//!
//! The signer dials the node's `priv_validator_laddr` ([`dial`]) and answers what the node asks ([`serve`]), one request at a time:
//!
//! 1. the stream: `unix://` as it is, `tcp://` inside a [`SecretConnection`];
//! 2. length-delimited protobuf messages, bounded in size and time;
//! 3. the [`Dialect`], since versions of CometBFT use one message number for different things;
//! 4. an [`Asked`], whose payload is built here from the message's fields; and an [`Answered`], put into the message that came.
//!
//! What a node asks amiss is answered with an error and told to the caller ([`RequestError`]); the connection goes on. CometBFT
//! notices a closed connection only with its next ping, seconds later, and its validator misses blocks until then.
//!
//! **A `SecretConnection` hides and protects what is said, not who says it.** CometBFT's own listener makes a new identity at each start of the
//! node, so that its peer id can be pinned only where another listener stands in front. Reach the node by a Unix socket, or by a network
//! that nobody else is in.
#![forbid(unsafe_code)]

mod address;
mod answer;
mod backoff;
mod codec;
mod connection;
mod dial;
mod dialect;
mod pace;
mod request;
mod secret_connection;
mod sign_bytes;
mod wire;

pub use address::{Address, AddressError};
pub use answer::{Answered, ErrorCode, PublicKey};
pub use backoff::Backoff;
pub use codec::{ConnectionError, Limits};
pub use connection::{Ended, serve};
pub use dial::{DialError, Stream, dial};
pub use dialect::{Dialect, UnknownDialect};
pub use request::{Asked, RequestError};
pub use secret_connection::{HandshakeError, Identity, PeerId, PeerIdError, SecretConnection};
pub use sigwarden_core::fact::MessageTime;
