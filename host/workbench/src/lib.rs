//! The policy workbench: runs policy fixtures through the real pipeline, in process, with the real sandbox and ledger, a simulated disk,
//! a mock HSM and a virtual clock.
//!
//! Read in this order: [`fixture`] (what a file says; `FIXTURES.md` is its reference), [`prepared`] (its modules), [`deployment`] (what
//! it describes, brought about), [`run`] (its steps), [`suite`] (many of them). [`recording`] makes fixtures of real requests. [`cli`] is what a command line takes and prints. Nothing
//! here decides or signs: that is core's, here as in the daemon.
#![forbid(unsafe_code)]

pub mod bench;
mod check;
pub mod cli;
mod code_cache;
pub mod conformance;
pub mod coverage;
pub mod deployment;
mod facts;
pub mod fixture;
pub mod library;
pub mod prepared;
pub mod recording;
mod report;
pub mod run;
mod state;
pub mod suite;
