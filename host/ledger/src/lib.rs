//! Durable state and audit log in one. The log is the write-ahead log: JSON lines, hash-chained, written in frames, one
//! `fdatasync` for each batch of decisions (group commit). The state in memory is the authority; `checkpoint.redb` is its
//! checkpoint with the last sequence applied.
//!
//! Start reading at [`EmbeddedLedger`] and `commit.rs`. What a line holds is in [`record`] and `docs/audit.md`; how lines are framed in
//! `frame.rs`; what happens at a start in `open.rs`. All file I/O, the checkpoint's included, goes through [`disk::Disk`].
//!
//! ```text
//! STATE/lock                             held by whoever changes the deployment
//! STATE/checkpoint.redb                  the state as of some sequence, and how far the log must reach
//! STATE/log/00000000000000000001.jsonl   segments, named by their first sequence
//! STATE/archive/                         older ones, that the checkpoint has absorbed
//! ```
#![forbid(unsafe_code)]

mod administer;
mod archive;
mod budget;
mod checkpoint;
mod checkpoint_read;
mod commit;
mod counters;
mod decisions;
pub mod disk;
mod error;
mod export;
mod frame;
mod gate;
mod hold;
mod in_order;
mod keeper;
mod ledger;
mod lock;
mod open;
mod parse_ahead;
mod probe;
pub mod record;
mod recover;
mod render;
mod room;
mod rows;
mod scan;
mod segment;
mod sequencer;
mod tail;
#[cfg(test)]
mod testing;
mod verify;
mod witness;

pub use administer::{AdminKind, AdministerError, Administration};
pub use counters::Counters;
pub use error::OpenError;
pub use export::{ExportError, Exported, export};
pub use ledger::{Admit, EmbeddedLedger, Found, Health, Opening, Settings, Wrote};
pub use lock::{DeploymentLock, LockError};
pub use probe::AppendProbe;
pub use record::Record;
pub use room::Room;
pub use tail::{TAIL_MAX, TailError, Tailed, lines, tail, tail_of};
pub use verify::{Verified, VerifyError, replay, verify, verify_on, verify_with_head};
