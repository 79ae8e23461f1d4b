//! The front ends from bytes to bytes, and with viem and ethers as clients.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod admitted;
mod bad_input;
mod json_rpc;
mod peers;
mod signer;
mod web3signer;
