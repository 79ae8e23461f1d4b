//! A request's record as spans: one for the request, and a child for each of its stages, made after the fact from how long these took.

use super::parent::TraceParent;
use crate::metrics::Of;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use sigwarden_core::ledger::Entry;
use sigwarden_core::pipeline::Stage;
use sigwarden_core::{Format, Operation};

/// W3C's flag for a sampled trace, and OTLP's two: "it is known whether the parent is remote", and "it is".
const SAMPLED: u32 = 0x001;
const REMOTENESS_KNOWN: u32 = 0x100;
const REMOTE: u32 = 0x200;

/// What a trace says of a request: names and codes, no payload, no message, no signature.
#[derive(Debug)]
pub(super) struct Made {
    parent: Option<TraceParent>,
    of: Of,
    ended_ns: u64,
    stages: Vec<(Stage, u64)>,
    code: Option<String>,
    attributes: Vec<(&'static str, String)>,
    sequence: Option<u64>,
}

impl Made {
    /// Of an entry that ends a request; none of another.
    pub(super) fn of(entry: &Entry, of: Of, parent: Option<TraceParent>, ended_ns: u64) -> Option<Self> {
        let mut made = Self {
            parent,
            of,
            ended_ns,
            stages: Vec::new(),
            code: None,
            attributes: Vec::with_capacity(4),
            sequence: None,
        };
        match entry {
            Entry::Outcome(outcome) => {
                made.stages.clone_from(&outcome.stages);
                made.code = outcome.result.as_ref().err().map(|refusal| refusal.code().into_owned());
                made.sequence = Some(outcome.decision_sequence);
                made.say("sigwarden.key", outcome.key.to_string());
                made.say("sigwarden.caller", outcome.caller.to_string());
                made.say("sigwarden.request_id", outcome.request_id.to_string());
                made.say("sigwarden.backend", outcome.backend.clone());
            }
            Entry::Refused(refused) => {
                made.stages.clone_from(&refused.stages);
                made.code = Some(refused.refusal.code().into_owned());
                // The caller's text; cut by core to the length of a name.
                made.say("sigwarden.key", refused.key.clone());
                if let Some(caller) = &refused.caller {
                    made.say("sigwarden.caller", caller.to_string());
                }
                if let Some(id) = &refused.request_id {
                    made.say("sigwarden.request_id", id.to_string());
                }
            }
            // It came after its request was answered.
            Entry::Shadow(_) => return None,
        }
        Some(made)
    }

    fn say(&mut self, name: &'static str, value: String) {
        self.attributes.push((name, value));
    }

    /// The spans, the request's first. `random` gives ids: 16 bytes for a trace, 8 for a span.
    pub(super) fn spans(self, mut random: impl FnMut(&mut [u8])) -> Vec<Span> {
        let mut id = |length: usize| {
            let mut bytes = vec![0; length];
            random(&mut bytes);
            // All zero is no id.
            if let (true, Some(last)) = (bytes.iter().all(|byte| *byte == 0), bytes.last_mut()) {
                *last = 1;
            }
            bytes
        };
        let trace_id = self.parent.map_or_else(|| id(16), |parent| parent.trace_id.to_vec());
        let root_id = id(8);
        let total = self.stages.iter().fold(0u64, |sum, (_, micros)| sum.saturating_add(*micros));
        let begun = self.ended_ns.saturating_sub(total.saturating_mul(1000));
        let failed = self.code.as_ref().map(|code| Status {
            message: code.clone(),
            code: StatusCode::Error.into(),
        });
        let root = Span {
            trace_id: trace_id.clone(),
            span_id: root_id.clone(),
            parent_span_id: self.parent.map(|parent| parent.span_id.to_vec()).unwrap_or_default(),
            flags: SAMPLED | REMOTENESS_KNOWN | self.parent.map_or(0, |_| REMOTE),
            name: self.name(),
            kind: SpanKind::Server.into(),
            start_time_unix_nano: begun,
            end_time_unix_nano: self.ended_ns,
            attributes: self.said(),
            status: failed.clone(),
            ..Span::default()
        };
        let mut spans = vec![root];
        let mut now = begun;
        for (index, (stage, micros)) in self.stages.iter().enumerate() {
            let end = now.saturating_add(micros.saturating_mul(1000));
            spans.push(Span {
                trace_id: trace_id.clone(),
                span_id: id(8),
                parent_span_id: root_id.clone(),
                flags: SAMPLED | REMOTENESS_KNOWN,
                name: stage.name().to_owned(),
                kind: SpanKind::Internal.into(),
                start_time_unix_nano: now,
                end_time_unix_nano: end,
                // Where it stopped.
                status: failed.clone().filter(|_| index + 1 == self.stages.len()),
                ..Span::default()
            });
            now = end;
        }
        spans
    }

    fn name(&self) -> String {
        let operation = self.of.operation.map_or("unknown", Operation::name);
        match self.of.format {
            Some(format) => format!("{operation} {format}"),
            None => operation.to_owned(),
        }
    }

    fn said(&self) -> Vec<KeyValue> {
        let text = |name: &str, value: &str| attribute(name, Value::StringValue(value.to_owned()));
        let mut said: Vec<_> = self.attributes.iter().map(|(name, value)| text(name, value)).collect();
        said.push(text("sigwarden.operation", self.of.operation.map_or("unknown", Operation::name)));
        said.push(text("sigwarden.format", self.of.format.map_or("unknown", Format::name)));
        said.extend(self.of.came.map(|came| text("sigwarden.result", came.name())));
        said.extend(self.code.as_deref().map(|code| text("sigwarden.code", code)));
        let sequence = self.sequence.and_then(|sequence| i64::try_from(sequence).ok());
        said.extend(sequence.map(|sequence| attribute("sigwarden.sequence", Value::IntValue(sequence))));
        said
    }
}

pub(super) fn attribute(name: &str, value: Value) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
