//! Traces for an OpenTelemetry collector, over OTLP/gRPC. A request leaves a note in a bounded queue as its record is appended; one thread
//! makes spans of the notes and sends them in batches. If the collector is away or slow, notes are dropped and counted: no request waits.
//!
//! Only the protocol's messages and their client are taken from OpenTelemetry. Its SDK would make spans on the request's own way, read
//! endpoints and headers from the environment, and count what it drops where nobody sees it.

mod parent;
mod spans;

pub use parent::{TraceParent, under};

use crate::Metrics;
use crate::metrics::{Build, Of};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use sigwarden_core::ledger::Entry;
use spans::{Made, attribute};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tonic::transport::{Channel, Endpoint};

/// Notes that wait: at 1 KiB each 4 MiB, and half a second at the rate that two cores reach.
const QUEUE: usize = 4096;
/// Traces sent at once: some 3,000 spans of 300 bytes, well under the 4 MiB that a gRPC server takes by default.
const BATCH: usize = 256;
/// How long a trace waits for others: a person who watches waits no longer.
const EVERY: Duration = Duration::from_secs(1);
/// How long a collector may take. Meanwhile the queue fills, and after it notes are dropped.
const PATIENCE: Duration = Duration::from_secs(5);

/// The endpoint is none that traces are sent to.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// Not an address.
    #[error("`{0}` is no address of a collector; `http://127.0.0.1:4317` is right")]
    Endpoint(String),
    /// Somewhere else.
    #[error(
        "`{0}` is not on this machine, and traces name keys and callers; send them to an OpenTelemetry collector here (`http://127.0.0.1:4317`), which sends them on over TLS"
    )]
    Elsewhere(String),
    /// The thread could not be started.
    #[error("the thread that sends traces could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// Sends traces until it is stopped.
pub struct Traces {
    metrics: Arc<Metrics>,
    queue: RwLock<Option<SyncSender<Made>>>,
    /// Set when it stops: until when what is left is sent.
    last_call: Arc<OnceLock<Instant>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Traces {
    /// Starts the thread. Nothing is connected yet, and nobody waits for a collector.
    ///
    /// # Errors
    /// The endpoint is not `http://`, or not a loopback address.
    pub fn start(endpoint: &str, build: &Build, deployment_id: &str, metrics: Arc<Metrics>) -> Result<Self, TracesError> {
        let to = collector(endpoint)?;
        let resource = resource(build, deployment_id);
        let (queue, notes) = sync_channel(QUEUE);
        let last_call = Arc::new(OnceLock::new());
        let (counted, until) = (Arc::clone(&metrics), Arc::clone(&last_call));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let thread = std::thread::Builder::new()
            .name("traces".into())
            .spawn(move || runtime.block_on(async { send_all(&notes, to.connect_lazy(), &resource, &counted, &until).await }))?;
        Ok(Self {
            metrics,
            queue: RwLock::new(Some(queue)),
            last_call,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Takes a note of a request's record.
    pub(crate) fn offer(&self, entry: &Entry, of: Of) {
        let parent = parent::current();
        // A client that does not keep its own trace wants no part of it kept.
        if parent.is_some_and(|parent| !parent.sampled) {
            return;
        }
        let Some(made) = Made::of(entry, of, parent, now_ns()) else {
            return;
        };
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner);
        if queue.as_ref().is_none_or(|queue| queue.try_send(made).is_err()) {
            count(&self.metrics.traces().dropped, 1);
        }
    }

    /// Sends what waits, as far as the collector takes it within five seconds, and ends the thread. One batch that is on its way has its own
    /// time.
    pub fn stop(&self) {
        self.last_call.get_or_init(|| Instant::now() + PATIENCE);
        drop(self.queue.write().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A thread that panicked sends nothing more; there is nothing else to be done.
        let _ = thread.map(JoinHandle::join);
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        self.stop();
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}

fn collector(endpoint: &str) -> Result<Endpoint, TracesError> {
    let wrong = || TracesError::Endpoint(endpoint.chars().take(128).flat_map(char::escape_debug).collect());
    let to = Endpoint::from_shared(endpoint.to_owned()).map_err(|_| wrong())?;
    let uri = to.uri();
    let plain = uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/") && uri.query().is_none();
    let host = uri.host().filter(|_| plain).ok_or_else(wrong)?;
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    if host != "localhost" && !address.is_some_and(|address| address.is_loopback()) {
        return Err(TracesError::Elsewhere(endpoint.chars().take(128).collect()));
    }
    Ok(to.connect_timeout(PATIENCE))
}

fn resource(build: &Build, deployment_id: &str) -> Resource {
    let text = |name: &str, value: &str| attribute(name, Value::StringValue(value.to_owned()));
    Resource {
        attributes: vec![
            text("service.name", "sigwarden"),
            text("service.version", &build.version),
            text("service.instance.id", deployment_id),
            text("sigwarden.network", build.network.name()),
        ],
        ..Resource::default()
    }
}

/// Until the queue is closed and empty.
async fn send_all(notes: &Receiver<Made>, channel: Channel, resource: &Resource, metrics: &Metrics, last_call: &OnceLock<Instant>) {
    let mut client = TraceServiceClient::new(channel);
    let mut open = true;
    while open {
        // Blocks the thread, and with it its runtime, in which nothing else runs.
        let (batch, more) = gather(notes);
        open = more;
        if batch.is_empty() {
            continue;
        }
        let traces = batch.len();
        let left = last_call.get().map(|until| until.saturating_duration_since(Instant::now()));
        let patience = left.map_or(PATIENCE, |left| left.min(PATIENCE));
        let taken = tokio::time::timeout(patience, export(&mut client, request(batch, resource)))
            .await
            .unwrap_or(false);
        let counts = metrics.traces();
        count(if taken { &counts.exported } else { &counts.failed }, traces);
    }
}

/// Twice: a connection that broke while nothing was sent shows only now, and the second time is over a new one.
async fn export(client: &mut TraceServiceClient<Channel>, request: ExportTraceServiceRequest) -> bool {
    for _ in 0..2 {
        if let Ok(answer) = client.export(request.clone()).await {
            // What a collector rejects it counts in spans; how many traces are in pieces is not known.
            return answer
                .into_inner()
                .partial_success
                .is_none_or(|partial| partial.rejected_spans == 0);
        }
    }
    false
}

/// What comes within a moment of the first, and whether more may come.
fn gather(notes: &Receiver<Made>) -> (Vec<Made>, bool) {
    let Ok(first) = notes.recv() else { return (Vec::new(), false) };
    let mut batch = vec![first];
    let until = Instant::now() + EVERY;
    while batch.len() < BATCH {
        match notes.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(made) => batch.push(made),
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => return (batch, false),
        }
    }
    (batch, true)
}

fn request(batch: Vec<Made>, resource: &Resource) -> ExportTraceServiceRequest {
    // Ids need not be secret; a system without randomness would not have started the daemon.
    let random = |bytes: &mut [u8]| getrandom::fill(bytes).unwrap_or_default();
    let spans = batch.into_iter().flat_map(|made| made.spans(random)).collect();
    let scope = InstrumentationScope {
        name: "sigwarden".into(),
        ..InstrumentationScope::default()
    };
    let scoped = ScopeSpans {
        scope: Some(scope),
        spans,
        ..ScopeSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource.clone()),
            scope_spans: vec![scoped],
            ..ResourceSpans::default()
        }],
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn traces_go_to_this_machine_only() {
        for right in [
            "http://127.0.0.1:4317",
            "http://localhost:4317/",
            "http://[::1]:4317",
            "http://127.9.9.9",
        ] {
            assert!(collector(right).is_ok(), "{right}");
        }
        for elsewhere in [
            "http://10.0.0.1:4317",
            "http://localhost.example:4317",
            "http://otel:4317",
            "http://[2001:db8::1]:4317",
        ] {
            assert!(matches!(collector(elsewhere), Err(TracesError::Elsewhere(_))), "{elsewhere}");
        }
        for wrong in [
            "",
            "127.0.0.1:4317",
            "https://127.0.0.1:4317",
            "http://127.0.0.1:4317/v1/traces",
            "http://127.0.0.1/?a",
            "\u{1b}",
        ] {
            assert!(matches!(collector(wrong), Err(TracesError::Endpoint(_))), "{wrong}");
        }
    }
}
