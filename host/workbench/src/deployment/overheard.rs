//! What a policy logged before it failed. The sandbox hands log lines over with its report, and a failure has none; but each line is
//! told to the operator's log as it comes (`tracing`, target `policy`), and is overheard there.

use sigwarden_core::policy::{LogLevel, LogLine};
use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::sync::OnceLock;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, dispatcher};

/// The target under which the sandbox tells what a policy logs.
const TARGET: &str = "policy";

thread_local! {
    /// A policy runs on the thread that evaluates it.
    static HEARD: RefCell<Vec<LogLine>> = const { RefCell::new(Vec::new()) };
}

/// Runs an evaluation, and gives the lines that its policy logged.
pub(super) fn listening<T>(evaluate: impl FnOnce() -> T) -> (T, Vec<LogLine>) {
    static EAR: OnceLock<Dispatch> = OnceLock::new();
    HEARD.take();
    let answer = dispatcher::with_default(EAR.get_or_init(|| Dispatch::new(Ear)), evaluate);
    (answer, HEARD.take())
}

struct Ear;

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn event(&self, event: &Event<'_>) {
        let level = *event.metadata().level();
        let level = if level <= Level::WARN {
            LogLevel::Warn
        } else if level == Level::INFO {
            LogLevel::Info
        } else {
            LogLevel::Debug
        };
        let mut message = Message(String::new());
        event.record(&mut message);
        HEARD.with_borrow_mut(|heard| heard.push(LogLine { level, text: message.0 }));
    }

    // The sandbox has no spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// An event's message.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_policy_s_own_lines_are_heard_and_only_meanwhile() {
        tracing::warn!(target: "policy", instance = "a", "before");
        let (answer, heard) = listening(|| {
            tracing::info!(target: "policy", instance = "a", "with {} things", 2);
            tracing::warn!("the host's own");
            7
        });
        let line = LogLine {
            level: LogLevel::Info,
            text: "with 2 things".to_owned(),
        };
        assert_eq!((answer, heard), (7, vec![line]));
        assert_eq!(listening(|| ()).1, []);
    }
}
