//! What the daemon tells of itself, told by a real pipeline over plain values.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "tests"
)]

mod cost;
mod docs;
mod full;
mod page;
mod top;
mod traces;
mod world;
