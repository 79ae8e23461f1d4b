//! Traces at a collector: a real gRPC server that decodes what the daemon sends.

use crate::peers_evm::free_port;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use sigwarden::proto::SignRequest;
use sigwarden::proto::signer_client::SignerClient;
use sigwarden_tests::payload::{ACCOUNT, ALLOWED, transfer};
use sigwarden_tests::{Node, caller, example};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        self.0.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Spans of requests, of which there are to be so many; those of their stages are left out.
    async fn requests(&self, count: usize) -> Vec<Span> {
        let begun = Instant::now();
        loop {
            let mut spans = self.0.lock().unwrap().clone();
            spans.retain(|span| span.name.contains(' '));
            if spans.len() >= count {
                return spans;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{spans:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn request(nonce: u64) -> SignRequest {
    caller::request(ACCOUNT, "evm/eip-1559", transfer(nonce, Some(ALLOWED), 1).unsigned())
}

/// A client's header, whose trace is `digit` 32 times.
fn header(digit: char, sampled: bool) -> String {
    let trace = digit.to_string().repeat(32);
    format!("00-{trace}-00f067aa0ba902b7-0{}", u8::from(sampled))
}

fn in_trace<T>(message: T, header: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("traceparent", header.parse().unwrap());
    request
}

/// Asks for a signature of the node's account over JSON-RPC.
fn json_rpc(port: u16, header: &str) {
    let post = |body: &str| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let length = body.len();
        let head = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json";
        write!(stream, "{head}\r\ntraceparent: {header}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str::<serde_json::Value>(body).unwrap()
    };
    let accounts = post(r#"{"jsonrpc":"2.0","id":1,"method":"eth_accounts","params":[]}"#);
    let account = accounts["result"][0].as_str().unwrap();
    let signed = post(&format!(
        r#"{{"jsonrpc":"2.0","id":2,"method":"personal_sign","params":["0x6869","{account}"]}}"#
    ));
    assert!(signed["result"].is_string(), "{signed}");
}

#[test]
fn a_clients_trace_goes_on_here() {
    let (port, rpc) = (free_port(), free_port());
    let rules = format!(
        r#"
[traces]
endpoint = "http://127.0.0.1:{port}"

[[listener]]
name = "evm"
kind = "json-rpc"
listen = "127.0.0.1:{rpc}"
client = "operator"
chain_id = 1337
{}"#,
        example::OPEN
    );
    let mut node = Node::init(|config| example::with_rules(&config, &rules)).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let collector = Collector::default();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let service = Server::builder().add_service(TraceServiceServer::new(collector.clone()));
        tokio::spawn(service.serve_with_incoming(TcpListenerStream::new(listener)));
    });
    node.start().unwrap();
    runtime.block_on(async {
        let socket = node.socket();
        let connector = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { Ok::<_, std::io::Error>(TokioIo::new(tokio::net::UnixStream::connect(socket).await?)) }
        });
        let channel = Endpoint::from_static("http://localhost")
            .connect_with_connector(connector)
            .await
            .unwrap();
        let mut client = SignerClient::new(channel);

        client.sign(in_trace(request(1), &header('1', true))).await.unwrap();
        // Not to be kept, and no header that anybody could read: one is sent nowhere, the other begins a trace.
        client.sign(in_trace(request(2), &header('2', false))).await.unwrap();
        client.sign(in_trace(request(3), "00-3333")).await.unwrap();
        let two = tokio_stream::iter([request(4), request(5)]);
        let mut answers = client.sign_stream(in_trace(two, &header('4', true))).await.unwrap().into_inner();
        while answers.message().await.unwrap().is_some() {}
        tokio::task::spawn_blocking(move || json_rpc(rpc, &header('6', true)))
            .await
            .unwrap();

        let spans = collector.requests(5).await;
        let of = |digit: &str| {
            let parent = [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7];
            let ours = spans.iter().filter(|span| hex::encode(&span.trace_id) == digit.repeat(32));
            ours.inspect(|span| assert_eq!(span.parent_span_id, parent, "{span:?}")).count()
        };
        assert_eq!((of("1"), of("2"), of("4"), of("6")), (1, 0, 2, 1), "{spans:?}");
        let begun_here: Vec<_> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
        assert_eq!(begun_here.len(), 1, "{spans:?}");
        assert_eq!(begun_here[0].name, "sign evm/eip-1559");
    });
}
