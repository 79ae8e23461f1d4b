//! Policy modules as files: from a name to a component and back, and files that are something else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod build;
mod commands;
mod files;
mod inspect;
