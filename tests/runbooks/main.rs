//! The operator's runbooks: every command in them is run, and every command that they name exists.
//!
//! Each fenced block tagged `sh` of a runbook is run, in order, the whole file as one bash script in an empty home. One tagged `sh fails`
//! must fail. A `text` block that follows directly is what the block before printed: `…` stands for anything. `console` blocks are for
//! other machines, and are not run; `toml` and `ini` blocks are for reading.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod book;
mod commands;
mod files;
mod script;
mod softhsm;
