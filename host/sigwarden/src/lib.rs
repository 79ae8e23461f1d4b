//! Sigwarden's daemon and command line: configuration, transports, administration. What decides is in `sigwarden-core`, what is
//! decided by in the policies; this crate puts them together.
//!
//! Start at [`deployment::Deployment::open`], which turns a directory into a pipeline, and [`server::serve`], which puts it behind a socket.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests"
    )
)]

pub mod config;
pub mod deployment;

pub mod check;

pub mod admin;
pub mod server;

pub mod embedded;
pub mod fatal;
pub mod files;

pub mod cli;

pub use sigwarden_protocol::client;

/// The protocols, compiled: the signing one of `sigwarden-protocol`, and the administration.
#[allow(
    missing_docs,
    clippy::all,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    reason = "generated"
)]
pub mod proto {
    pub use sigwarden_protocol::proto::*;

    /// The administration: `proto/sigwarden/admin/v1/admin.proto`, compiled.
    pub mod admin {
        tonic::include_proto!("sigwarden.admin.v1");
    }
}
