//! The backend against real daemons in miniature: core's pipeline behind the real protocol, over Unix sockets and mutual TLS, with faults
//! by script. In front of it core's pipeline again, so that what is asserted is what a caller of the front gets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod answers;
mod failover;
mod health;
mod keys;
mod lost;
mod signer;
mod signing;
mod tls;
mod world;
