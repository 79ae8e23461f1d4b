//! What the daemon tells of itself, and to whom: metrics and health pages for a scraper ([`metrics`], [`http`]), traces for a collector
//! (`trace`), a picture for a person ([`top`]), notes for systemd ([`notify`]).
//!
//! It hears of requests by standing in front of the ledger ([`Observed`]): every outcome and every refusal is appended there, with how
//! long each stage took. Nothing here decides anything, and nothing here can fail a request.
#![forbid(unsafe_code)]

pub mod http;
pub mod metrics;
pub mod notify;
mod observed;
#[cfg(feature = "cli")]
pub mod top;
#[cfg(feature = "otlp")]
pub mod trace;

pub use metrics::Metrics;
pub use observed::Observed;
