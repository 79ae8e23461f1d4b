//! The sandbox from outside: guests that keep to the contract, and guests that try what they can.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod cache;
mod configuring;
mod guest;
mod hostile;
mod job;
mod loading;
mod reference;
mod state;
mod verdicts;
