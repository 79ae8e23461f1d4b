//! Sigwarden's signing protocol, for whoever speaks it: the daemon, its clients, and a Sigwarden in front of another one.
//!
//! `proto/sigwarden/v1/sigwarden.proto` documents every message; [`status`] says what a refusal looks like on the wire.
#![forbid(unsafe_code)]

pub mod client;
pub mod status;

pub use client::{CallError, Client};
pub use status::{CODE_KEY, DETAIL_TYPE, from_status, grpc_code, to_status, to_wire};

/// The protocol, compiled.
#[allow(
    missing_docs,
    clippy::all,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    reason = "generated"
)]
pub mod proto {
    tonic::include_proto!("sigwarden.v1");

    /// The protocol's file descriptors, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sigwarden.bin"));
}
