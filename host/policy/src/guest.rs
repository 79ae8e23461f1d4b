//! What a store carries for its one guest: what it may still do, and what it did.

use crate::limiter::Limiter;
use crate::text;
use sigwarden_core::policy::{LogLevel, LogLine};
use sigwarden_core::staging::{Staging, StagingFault};
use std::sync::Arc;

/// Log lines kept of one evaluation.
const LOG_LINES_MAX: usize = 64;
/// Bytes of log text kept of one evaluation, escaped.
const LOG_BYTES_MAX: usize = 8 * 1024;

/// The imported functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostCall {
    /// `limits.take`.
    Take,
    /// `watermarks.advance`.
    Advance,
    /// `storage.get`.
    Get,
    /// `storage.set`.
    Set,
    /// `storage.delete`.
    Delete,
    /// `log.emit`.
    Emit,
}

impl HostCall {
    /// Its name in the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Take => "limits.take",
            Self::Advance => "watermarks.advance",
            Self::Get => "storage.get",
            Self::Set => "storage.set",
            Self::Delete => "storage.delete",
            Self::Emit => "log.emit",
        }
    }
}

/// Makes one host call of every evaluation fail: for tests of what a half-done evaluation leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostCallFault {
    /// Which function.
    pub call: HostCall,
    /// How many calls of it go well before.
    pub after: u32,
}

/// A host call that is refused; the guest traps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostFault {
    /// At load.
    #[error("it called {0} outside of `evaluate`, where only log.emit is allowed")]
    Outside(&'static str),
    /// Too many bytes.
    #[error("it moved more than its {0} bytes over the border of the sandbox")]
    Bytes(usize),
    /// The call breaks the contract.
    #[error("{0}: {1}")]
    Contract(&'static str, StagingFault),
    /// Bytes that are no text.
    #[error("it called {0} with a string that is not UTF-8")]
    Text(&'static str),
    /// The hook.
    #[error("{0} was made to fail")]
    Injected(&'static str),
}

/// A store's data.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) limiter: Limiter,
    /// None at load, where every import but `log` traps.
    pub(crate) staging: Option<Staging>,
    pub(crate) log: Log,
    bytes_allowed: usize,
    bytes_left: usize,
    fault: Option<HostCallFault>,
}

impl Guest {
    /// A guest that is being loaded.
    pub(crate) fn loading(instance: Arc<str>, memory_bytes: usize, host_call_bytes: usize) -> Self {
        Self {
            limiter: Limiter { memory_bytes },
            staging: None,
            log: Log::new(instance),
            bytes_allowed: host_call_bytes,
            bytes_left: host_call_bytes,
            fault: None,
        }
    }

    /// A guest that judges a request.
    pub(crate) fn evaluating(self, staging: Staging, fault: Option<HostCallFault>) -> Self {
        Self {
            staging: Some(staging),
            fault,
            ..self
        }
    }

    /// Opens a host call: counts its bytes, and lets the hook fail it.
    pub(crate) fn enter(&mut self, call: HostCall, bytes: usize) -> Result<(), HostFault> {
        self.spend(bytes)?;
        match &mut self.fault {
            Some(fault) if fault.call == call && fault.after == 0 => Err(HostFault::Injected(call.name())),
            Some(fault) if fault.call == call => {
                fault.after -= 1;
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Counts bytes that cross the border.
    pub(crate) fn spend(&mut self, bytes: usize) -> Result<(), HostFault> {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.bytes_left = left;
                Ok(())
            }
            None => Err(HostFault::Bytes(self.bytes_allowed)),
        }
    }

    /// Bytes that may still cross.
    pub(crate) fn bytes_left(&self) -> usize {
        self.bytes_left
    }

    /// The state, for a state call.
    pub(crate) fn staging(&mut self, call: HostCall) -> Result<&mut Staging, HostFault> {
        self.staging.as_mut().ok_or(HostFault::Outside(call.name()))
    }
}

/// What a guest logged: escaped, capped, and passed on to the operator's log as it comes.
#[derive(Debug)]
pub(crate) struct Log {
    instance: Arc<str>,
    lines: Vec<LogLine>,
    bytes: usize,
    dropped: u64,
}

impl Log {
    fn new(instance: Arc<str>) -> Self {
        Self {
            instance,
            lines: Vec::new(),
            bytes: 0,
            dropped: 0,
        }
    }

    /// Whether a line would still be kept. One that is not costs nothing and is counted.
    pub(crate) fn has_room(&mut self) -> bool {
        let room = self.lines.len() < LOG_LINES_MAX && self.bytes < LOG_BYTES_MAX;
        if !room {
            self.dropped = self.dropped.saturating_add(1);
        }
        room
    }

    /// Keeps a line.
    pub(crate) fn push(&mut self, level: LogLevel, text: &str) {
        let text = text::escape(text, LOG_BYTES_MAX - self.bytes);
        self.bytes += text.len().max(1);
        tell(&self.instance, level, &text);
        self.lines.push(LogLine { level, text });
    }

    /// The lines, and one more that counts the dropped ones, if any.
    pub(crate) fn into_lines(mut self) -> Vec<LogLine> {
        if self.dropped > 0 {
            let text = format!("{} more lines were dropped", self.dropped);
            tell(&self.instance, LogLevel::Warn, &text);
            self.lines.push(LogLine {
                level: LogLevel::Warn,
                text,
            });
        }
        self.lines
    }
}

fn tell(instance: &str, level: LogLevel, text: &str) {
    match level {
        LogLevel::Debug => tracing::debug!(target: "policy", instance, "{text}"),
        LogLevel::Info => tracing::info!(target: "policy", instance, "{text}"),
        LogLevel::Warn => tracing::warn!(target: "policy", instance, "{text}"),
    }
}
