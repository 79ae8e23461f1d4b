//! `sigwarden top`: live rates, refusals, latencies and keys, from scrapes of a page of metrics. Reading ([`Scrape`]), sums ([`View`]) and
//! picture ([`draw`]) are functions of their arguments; only the last step knows a terminal.

mod cli;
mod draw;
mod exposition;
mod terminal;
mod view;

pub use cli::{TopArgs, TopError, run, scrape};
pub use draw::{Frame, Sort, draw};
pub use exposition::{PAGE_MAX, PageError, Scrape};
pub use view::{Edges, Key, Latency, Ledger, Process, Rate, View};
