//! The sandbox in which policies judge requests, and the only crate that names wasmtime.
//!
//! A policy is a WebAssembly component of world `policy` (`wit/policy.wit`). [`Sandbox::load`] checks what it imports and exports,
//! asks it what it is, hands it its configuration, and snapshots the configured memory into the module. [`Sandbox`] then is core's
//! `Evaluator`: each evaluation gets a fresh instance of that snapshot, with its own fuel, deadline, memory and host-call limits, and
//! is dropped whole. What crosses is owned messages, `Job` in and `Report` out, so that the sandbox can move into another process.
//!
//! Read in this order: `engine` (what wasmtime is told), `load` (what a module must be), `configure` (the snapshot), `cache`
//! (compiled code on disk), `evaluate` (one evaluation), `imports` (what a guest may call), `convert` (the one border between the
//! contract's types and core's).
//!
//! Evaluations run on the caller's thread, whose stack must have 2 MiB or more: a guest may use 256 KiB of it, and what the host does
//! on top of a guest's frames must fit too.

mod cache;
mod configure;
mod convert;
mod engine;
mod error;
mod evaluate;
mod failure;
mod functions;
mod guest;
mod imports;
mod limiter;
mod load;
mod manifest;
mod settings;
mod shape;
mod snapshot;
mod text;
mod wit;

pub use cache::CodeCache;
#[doc(hidden)]
pub use convert::judge_answer;
pub use engine::{Engine, EngineError};
pub use error::{ConfigProblem, LoadError, LoadFault};
pub use evaluate::Sandbox;
pub use guest::{HostCall, HostCallFault};
pub use load::{Inspection, Loaded, ModuleSource, inspect};
pub use manifest::Manifest;
pub use settings::{EngineSettings, LoadLimits, PolicyLimits};
