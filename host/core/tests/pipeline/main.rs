//! The pipeline with fakes for its three effects: each stage's refusal, and what is recorded of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod batch;
mod fakes;
mod from_commit_on;
mod prefixed_raw;
mod request_ids;
mod shadows;
mod time;
mod up_to_approval;
