//! The way of one signing request: its stages, the proof value that each hands to the next, and the pure state machine behind
//! them. No I/O, no tokio, no wasmtime, no SQL: effects come in through three traits, [`Evaluator`], [`Ledger`] and [`Backend`].
//!
//! Start reading at [`pipeline`]. What is decided about floors is in [`floor`], about state in [`state`], about roles and formats in
//! [`format`].
#![forbid(unsafe_code)]

pub mod pipeline;
pub mod stages;

pub mod backend;
pub mod ledger;
pub mod policy;

pub mod proof;
pub mod refusal;

pub mod caller;
pub mod fact;
pub mod format;
pub mod key;
pub mod lifecycle;
pub mod vocabulary;

pub mod effect;
pub mod floor;
pub mod limit;
pub mod staging;
pub mod state;
pub mod watermark;

pub mod permits;
pub mod recorder;
mod release;
pub mod request_id;
pub mod shadow;
pub mod time;
pub mod verify;
pub mod wire;

pub use backend::{Backend, BackendFailure};
pub use format::Format;
pub use ledger::Ledger;
pub use pipeline::{Pipeline, SignCall};
pub use policy::{Evaluator, PolicySet};
pub use proof::{Committed, RawSignature, Signed};
pub use refusal::{Code, Refusal};
pub use vocabulary::{KeyState, Network, Operation, Role, Scheme};
