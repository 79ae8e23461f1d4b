//! End-to-end tests: the real binary, a real socket, real policies.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod admin;
mod adopt;
mod bad_input;
mod common;
mod custody;
mod edges;
mod floors;
mod hsm;
mod kill;
mod kryoptic;
mod lifecycle;
mod main_job;
mod modules;
mod peers_cometbft;
mod peers_evm;
mod policies;
mod races;
mod record;
mod remote;
mod request_ids;
mod softhsm;
mod start;
mod traces;
mod transports;
