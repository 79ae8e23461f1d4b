//! The benchmark table: what Sigwarden costs beside one raw signature, measured in the same run.
//!
//! `cargo xtask bench` runs it. 1.0 is one raw secp256k1 ECDSA signature, the call that the backends make, interleaved with what is
//! measured. Machines are noisy: look at ratios, and run twice.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::type_complexity,
    reason = "a benchmark that cannot go on stops; nothing here is on the path of a request"
)]

pub mod address;
pub mod batch;
pub mod custody_many;
pub mod custody_ml_dsa;
pub mod custody_secrets;
pub mod custody_tokens;
pub mod daemon;
pub mod deployment;
pub mod echo;
pub mod group;
pub mod idle;
pub mod in_process;
pub mod ledger_files;
pub mod ledger_log;
pub mod load;
pub mod machine;
pub mod measure;
pub mod peers;
pub mod policies;
pub mod policy_expressions;
pub mod policy_reload;
pub mod privval;
pub mod raw;
pub mod remote_hop;
pub mod rig;
pub mod stages;
pub mod start;
pub mod table;
