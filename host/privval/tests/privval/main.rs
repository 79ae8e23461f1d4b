//! The crate against CometBFT's own code: nodes of each version ask, and verify what they get.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod chain;
mod dialects;
#[path = "../../../../tests/peers/cometbft/peer.rs"]
mod peer;
mod reconnect;
mod secret;
mod signer;
