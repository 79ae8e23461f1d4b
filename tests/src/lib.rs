//! What the end-to-end tests, the demo and the benches share: a throw-away deployment, its daemon as a real process, and payloads.
#![allow(clippy::indexing_slicing, reason = "JSON values answer null for a field that is not there")]

pub mod caller;
pub mod example;
pub mod node;
pub mod payload;

pub use caller::Caller;
pub use node::{Node, binary};
