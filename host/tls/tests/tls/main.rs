//! Mutual TLS over real sockets: who gets in, who does not and why, and what a reload changes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod files;
mod groups;
mod hostile;
mod identities;
mod openssl;
mod reload;
mod servers;
mod support;
