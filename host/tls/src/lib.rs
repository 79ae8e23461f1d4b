//! Mutual TLS: a listener's and a client's side, the names by which callers are known, reload without a restart, and a private CA.
//!
//! TLS 1.3 and nothing else, with the post-quantum key exchange X25519MLKEM768 before the others or alone. Both sides prove a
//! certificate of the configured CA; the system's roots are trusted for nothing. No session is ever resumed and no 0-RTT data is
//! taken, so that every connection proves its certificate to the CA that is in force. See `docs/tls.md`.

#![forbid(unsafe_code)]

mod certificate;
#[cfg(feature = "cli")]
pub mod cli;
mod client;
mod exchange;
mod files;
mod handshake;
mod identity;
mod live;
mod material;
mod name;
mod server;
mod text;
mod verify;

pub mod ca;

pub use certificate::{CertificateError, Facts, Fingerprint, SubjectName, facts, utc};
pub use client::{ClientFiles, ClientTls, Dialed};
pub use exchange::{Group, KeyExchange};
pub use files::FileError;
pub use handshake::{HandshakeError, Refusal};
pub use identity::{Identity, IdentityError, NAMES_MAX};
pub use live::{Installed, Reload, Validity};
pub use material::TlsError;
pub use name::{NameError, SanName};
pub use server::{Accepted, Alpn, ServerFiles, ServerTls};
