//! A policy's panic in words. A trap alone says `unreachable`, and nobody knows where.

use crate::bindings::sigwarden::policy::log::{Level, emit};

/// From now on a panic is logged, with its place, before the module traps. Nobody but the operator reads it: the caller is told of a trap.
///
/// The hook is part of the configured module's snapshot, so that every instance for a request has it.
pub(crate) fn log() {
    std::panic::set_hook(Box::new(|panic| emit(Level::Warn, &panic.to_string().replace('\n', " "))));
}
