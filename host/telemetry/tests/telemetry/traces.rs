//! Traces at a collector: a real gRPC server that decodes what comes.

use crate::world::{World, build, value};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use sigwarden_core::ledger::Entry;
use sigwarden_telemetry::Metrics;
use sigwarden_telemetry::trace::{TraceParent, Traces, under};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collected {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A collector on a free port; gone when stopped.
struct Collector {
    address: SocketAddr,
    collected: Collected,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Collector {
    fn start() -> Self {
        let collected = Collected::default();
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let serve = collected.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(serve));
                let until = async { drop(stopped.await) };
                server
                    .serve_with_incoming_shutdown(TcpListenerStream::new(listener), until)
                    .await
                    .unwrap();
            });
        });
        Self {
            address: told.recv().unwrap(),
            collected,
            stop,
            thread,
        }
    }

    fn stop(self) -> Vec<ExportTraceServiceRequest> {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap();
        std::mem::take(&mut *self.collected.0.lock().unwrap())
    }
}

fn attributes(span: &Span) -> BTreeMap<String, String> {
    let text = |value: &Value| {
        if let Value::StringValue(text) = value {
            return text.clone();
        }
        let Value::IntValue(number) = value else { panic!("{value:?}") };
        number.to_string()
    };
    let pairs = span
        .attributes
        .iter()
        .map(|pair| (pair.key.clone(), text(pair.value.as_ref().unwrap().value.as_ref().unwrap())));
    pairs.collect()
}

fn spans(requests: &[ExportTraceServiceRequest]) -> Vec<Span> {
    let resources = requests.iter().flat_map(|request| &request.resource_spans);
    resources
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| scope.spans.clone())
        .collect()
}

#[test]
fn a_request_is_a_span_with_a_child_for_each_stage() {
    let collector = Collector::start();
    let metrics = Arc::new(Metrics::new(build()));
    let traces = Arc::new(
        Traces::start(
            &format!("http://{}", collector.address),
            &build(),
            "deployment-1",
            Arc::clone(&metrics),
        )
        .unwrap(),
    );
    let world = World::with(Arc::clone(&metrics), Some(Arc::clone(&traces)));
    let parent = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    under(parent, || world.vote("5/a")).unwrap();
    world.message("deny:too-much").unwrap_err();
    let unsampled = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
    under(unsampled, || world.message("hello")).unwrap();
    traces.stop();
    let requests = collector.stop();

    let resource: BTreeMap<_, _> = {
        let mut span = Span::default();
        span.attributes
            .clone_from(&requests[0].resource_spans[0].resource.as_ref().unwrap().attributes);
        attributes(&span)
    };
    assert_eq!(resource["service.name"], "sigwarden");
    assert_eq!(resource["service.version"], "9.8.7");
    assert_eq!(resource["service.instance.id"], "deployment-1");

    let spans = spans(&requests);
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    let vote = [
        "sign cometbft/vote",
        "authenticate",
        "open",
        "authorize",
        "decode",
        "evaluate",
        "approve",
        "commit",
        "sign",
    ];
    let denied = [
        "sign raw-message/none",
        "authenticate",
        "open",
        "authorize",
        "decode",
        "evaluate",
        "approve",
    ];
    assert_eq!(names, [vote.as_slice(), &denied].concat());

    let entries = world.ledger.entries.lock().unwrap();
    let Entry::Outcome(outcome) = &entries[0] else {
        panic!("{entries:?}")
    };
    let root = &spans[0];
    assert_eq!(root.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes());
    assert_eq!(root.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!(root.status, None);
    assert_eq!(
        attributes(root),
        BTreeMap::from(
            [
                ("sigwarden.key", "cosmos.validator.v1"),
                ("sigwarden.caller", "tester"),
                ("sigwarden.request_id", &outcome.request_id),
                ("sigwarden.backend", "hsm"),
                ("sigwarden.operation", "sign"),
                ("sigwarden.format", "cometbft/vote"),
                ("sigwarden.result", "done"),
                ("sigwarden.sequence", "1"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        )
    );
    // One after the other, each as long as its record says.
    let mut now = root.start_time_unix_nano;
    for (child, (stage, micros)) in spans[1..vote.len()].iter().zip(&outcome.stages) {
        assert_eq!(child.name, stage.name());
        assert_eq!(
            (child.trace_id.as_slice(), child.parent_span_id.as_slice()),
            (root.trace_id.as_slice(), root.span_id.as_slice())
        );
        assert_eq!((child.start_time_unix_nano, child.end_time_unix_nano), (now, now + micros * 1000));
        now = child.end_time_unix_nano;
    }
    assert_eq!(now, root.end_time_unix_nano);
    let ids: BTreeSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), spans.len());

    let root = &spans[vote.len()];
    assert!(root.parent_span_id.is_empty() && root.trace_id != spans[0].trace_id);
    let said = attributes(root);
    assert_eq!(said["sigwarden.result"], "refused");
    assert_eq!(said["sigwarden.code"], "policy/p0/too-much");
    assert_eq!(said["sigwarden.key"], "own.account");
    let failed = |span: &Span| span.status.as_ref().is_some_and(|status| status.code == 2);
    let where_it_stopped: Vec<_> = spans[vote.len()..]
        .iter()
        .filter(|span| failed(span))
        .map(|span| span.name.as_str())
        .collect();
    assert_eq!(where_it_stopped, ["sign raw-message/none", "approve"]);

    let page = world.page();
    assert_eq!(value(&page, "sigwarden_traces_total{result=\"exported\"}"), 2.0);
    assert_eq!(value(&page, "sigwarden_traces_total{result=\"failed\"}"), 0.0);
    assert_eq!(value(&page, "sigwarden_traces_total{result=\"dropped\"}"), 0.0);
}

#[test]
fn a_collector_that_is_away_costs_traces_and_no_request() {
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let metrics = Arc::new(Metrics::new(build()));
    let traces = Arc::new(Traces::start(&format!("http://{address}"), &build(), "d", Arc::clone(&metrics)).unwrap());
    let world = World::with(Arc::clone(&metrics), Some(Arc::clone(&traces)));
    for _ in 0..10 {
        world.message("hello").unwrap();
    }
    traces.stop();
    // After the end nobody takes them.
    world.message("hello").unwrap();
    let page = world.page();
    assert_eq!(value(&page, "sigwarden_traces_total{result=\"failed\"}"), 10.0);
    assert_eq!(value(&page, "sigwarden_traces_total{result=\"dropped\"}"), 1.0);
    assert_eq!(
        value(
            &page,
            "sigwarden_requests_total{operation=\"sign\",format=\"raw-message/none\",result=\"done\"}"
        ),
        11.0
    );
}

/// The collector accepts and never answers: the thread waits for it, the queue fills, the rest is dropped, and requests go on.
#[test]
fn a_collector_that_hangs_fills_a_bounded_queue() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let metrics = Arc::new(Metrics::new(build()));
    let address = silent.local_addr().unwrap();
    let traces = Arc::new(Traces::start(&format!("http://{address}"), &build(), "d", Arc::clone(&metrics)).unwrap());
    let world = World::with(Arc::clone(&metrics), Some(Arc::clone(&traces)));
    // Two batches of 256 may have left the queue of 4096.
    for _ in 0..6000 {
        world.sign("own.account", "nonsense", "x").unwrap_err();
    }
    let page = world.page();
    let dropped = value(&page, "sigwarden_traces_total{result=\"dropped\"}");
    assert!((6000.0 - 4096.0 - 512.0..=6000.0 - 4096.0).contains(&dropped), "{dropped}");
    // Hangs up, so that the test need not wait for the thread's patience.
    drop(silent);
    traces.stop();
}
