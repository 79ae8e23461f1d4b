//! The ledger under the real pipeline, with a tiny evaluator, decoder and backend in process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod batches;
mod checkpoints;
mod commits;
mod counters;
mod disks;
mod forgeries;
mod mutations;
mod peer;
mod recovery;
mod request_ids;
mod starts;
mod verification;
mod world;
