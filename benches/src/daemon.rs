//! The daemon over its socket: `daemon-16`, against a bare gRPC echo that signs, both with the load generator on the same cores.

use crate::measure::Samples;
use crate::raw::Raw;
use crate::table::{Row, Target};
use anyhow::{Context, Result};
use hyper_util::rt::TokioIo;
use sigwarden::proto::signer_client::SignerClient;
use sigwarden::proto::signer_server::{Signer, SignerServer};
use sigwarden::proto::{
    DecapsulateRequest, DecapsulateResponse, HealthRequest, HealthResponse, ListKeysRequest, ListKeysResponse, PublicKeyRequest,
    PublicKeyResponse, SignBatchRequest, SignBatchResponse, SignRequest, SignResponse, SignResult, Signature,
};
use sigwarden_core::Scheme;
use sigwarden_tests::Node;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

/// The echo: the same service, one raw signature on a blocking thread, nothing else.
struct Echo;

#[tonic::async_trait]
impl Signer for Echo {
    async fn sign(&self, request: Request<SignRequest>) -> Result<Response<SignResponse>, Status> {
        let request = request.into_inner();
        let signature = tokio::task::spawn_blocking(|| {
            Raw::default().sign();
            vec![0; 64]
        });
        let signature = signature.await.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(SignResponse {
            signatures: vec![Signature {
                signature,
                recovery_id: Some(0),
            }],
            public_key: vec![2; 33],
            key: request.key,
            key_version: 1,
            scheme: Scheme::Secp256k1Ecdsa.to_string(),
            request_id: "echo".to_owned(),
            sequence: 1,
            timestamp_signed: None,
            replay: false,
        }))
    }

    async fn sign_batch(&self, _: Request<SignBatchRequest>) -> Result<Response<SignBatchResponse>, Status> {
        Err(Status::unimplemented("the echo signs one by one"))
    }

    type SignStreamStream = tokio_stream::Empty<Result<SignResult, Status>>;

    async fn sign_stream(&self, _: Request<tonic::Streaming<SignRequest>>) -> Result<Response<Self::SignStreamStream>, Status> {
        Err(Status::unimplemented("the echo signs one by one"))
    }

    async fn decapsulate(&self, _: Request<DecapsulateRequest>) -> Result<Response<DecapsulateResponse>, Status> {
        Err(Status::unimplemented("the echo only signs"))
    }

    async fn public_key(&self, _: Request<PublicKeyRequest>) -> Result<Response<PublicKeyResponse>, Status> {
        Err(Status::unimplemented("the echo only signs"))
    }

    async fn list_keys(&self, _: Request<ListKeysRequest>) -> Result<Response<ListKeysResponse>, Status> {
        Err(Status::unimplemented("the echo only signs"))
    }

    async fn health(&self, _: Request<HealthRequest>) -> Result<Response<HealthResponse>, Status> {
        Ok(Response::new(HealthResponse {
            ready: true,
            ..Default::default()
        }))
    }
}

/// Serves the echo on a socket until killed: the child process of `daemon-16`.
///
/// # Errors
/// The socket cannot be bound.
pub fn echo(socket: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::UnixListener::bind(socket)?;
        let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
        Server::builder()
            .add_service(SignerServer::new(Echo))
            .serve_with_incoming(incoming)
            .await?;
        Ok(())
    })
}

/// A child process that ends with its owner.
struct Echoing(Child);

impl Drop for Echoing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn connect(socket: &Path) -> Result<SignerClient<Channel>> {
    let socket = socket.to_owned();
    let connector = tower_connector(socket);
    let channel = Endpoint::from_static("http://sigwarden").connect_with_connector(connector).await?;
    Ok(SignerClient::new(channel))
}

fn tower_connector(
    socket: std::path::PathBuf,
) -> impl tower::Service<
    tonic::transport::Uri,
    Response = TokioIo<UnixStream>,
    Error = std::io::Error,
    Future = impl Future<Output = std::io::Result<TokioIo<UnixStream>>> + Send,
> + Send
+ Clone {
    tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    })
}

/// Requests a second and their latencies, by `clients` connections with one request in flight each.
fn load(
    socket: &Path,
    clients: usize,
    window: Duration,
    key: &str,
    format: &str,
    payload: fn(u64) -> Vec<u8>,
    nonce: &Arc<AtomicU64>,
) -> Result<(f64, Samples)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let begun = Instant::now();
        let mut tasks = Vec::new();
        for _ in 0..clients {
            let mut client = connect(socket).await?;
            let (key, format, nonce) = (key.to_owned(), format.to_owned(), Arc::clone(nonce));
            tasks.push(tokio::spawn(async move {
                let mut samples = Samples::default();
                let mut count = 0u32;
                while begun.elapsed() < window {
                    let request = SignRequest {
                        key: key.clone(),
                        format: format.clone(),
                        payload: payload(nonce.fetch_add(1, Ordering::Relaxed)),
                        ..Default::default()
                    };
                    let asked = Instant::now();
                    client.sign(request).await.context("a benchmark's request was refused")?;
                    samples.push(asked.elapsed());
                    count += 1;
                }
                Ok::<_, anyhow::Error>((count, samples))
            }));
        }
        let (mut total, mut samples) = (0u32, Samples::default());
        for task in tasks {
            let (count, times) = task.await??;
            total += count;
            samples.extend(times);
        }
        Ok((f64::from(total) / begun.elapsed().as_secs_f64(), samples))
    })
}

/// The daemon's deployment: the rows' three policies with 1,000 addresses, a fourth loaded beside them.
///
/// # Errors
/// `init` or `keys generate` fails.
pub fn node() -> Result<Node> {
    let node = Node::init(|config| sigwarden_tests::example::with_rules(&config, &sigwarden_tests::example::bench_rules()))?;
    for (file, config) in sigwarden_tests::example::bench_files(&crate::policies::addresses(1_000)) {
        std::fs::write(node.dir().join(file), config)?;
    }
    node.expect(&["keys", "generate", sigwarden_tests::example::MESSAGES])?;
    Ok(node)
}

/// A daemon over its socket against the echo, windows interleaved.
///
/// # Errors
/// Either does not start, or refuses.
pub fn daemon(name: &'static str, clients: usize, scheme: Scheme, window: Duration) -> Result<Vec<Row>> {
    let mut node = node()?;
    let (key, format, payload): (&str, &str, fn(u64) -> Vec<u8>) = match scheme {
        Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr => (sigwarden_tests::payload::ACCOUNT, "evm/eip-1559", |nonce| {
            sigwarden_tests::payload::transfer(nonce, Some(crate::policies::allowed(nonce)), 1).unsigned()
        }),
        Scheme::Ed25519 | Scheme::MlDsa44 | Scheme::MlKem768 => (sigwarden_tests::example::MESSAGES, "raw-message/none", |nonce| {
            format!("{nonce:0200}").into_bytes()
        }),
    };
    node.start()?;
    let home = tempfile::Builder::new().prefix("sigwarden-echo-").tempdir()?;
    let echo_socket = home.path().join("echo.sock");
    let child = Command::new(std::env::current_exe()?).arg("--echo").arg(&echo_socket).spawn()?;
    let _echoing = Echoing(child);
    let begun = Instant::now();
    while !echo_socket.exists() && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }

    let nonce = Arc::new(AtomicU64::new(0));
    let quarter = window / 4;
    load(&node.socket(), clients, quarter, key, format, payload, &nonce)?;
    let (mut rate, mut base, mut samples) = (0.0, 0.0, Samples::default());
    for _ in 0..4 {
        base += load(&echo_socket, clients, quarter, key, format, payload, &nonce)?.0 / 4.0;
        let (requests, times) = load(&node.socket(), clients, quarter, key, format, payload, &nonce)?;
        rate += requests / 4.0;
        samples.extend(times);
    }
    let target = (scheme == Scheme::Secp256k1Ecdsa && clients == 16).then_some(Target::AtLeast(0.6));
    let note = format!("{scheme}, {clients} clients: {rate:.0} requests/s against {base:.0}/s of a bare echo that signs");
    let mut rows = vec![Row::new(name, rate / base, (samples.p50(), samples.p99()), base, target, note)];
    if target.is_some() {
        rows.push(idle_memory(&node, "idle-memory", 64.0, "after the load, four policies")?);
    }
    Ok(rows)
}

/// MiB that stay resident once a daemon idles.
pub(crate) fn idle_memory(node: &Node, name: &'static str, most: f64, what: &str) -> Result<Row> {
    std::thread::sleep(Duration::from_secs(2));
    let pid = node.pid().context("a daemon")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: f64 = resident.trim().trim_end_matches("kB").trim().parse()?;
    let mib = kib / 1024.0;
    Ok(Row::new(
        name,
        mib,
        (0.0, 0.0),
        0.0,
        Some(Target::AtMost(most)),
        format!("{mib:.1} MiB resident {what}"),
    ))
}
