//! The daemon's edge: gRPC over a Unix socket in front of the pipeline. Async ends here; requests run on blocking threads.

mod administration;
mod front;
mod listener;
mod metrics;
mod pool;
mod signer;
mod unread;

pub use listener::SocketError;
pub use pool::STACK_BYTES;
pub use sigwarden_protocol::{CODE_KEY, DETAIL_TYPE, from_status, grpc_code, to_status};

use crate::admin::Administrator;
use crate::config::Limits;
use crate::fatal::Fatal;
use crate::proto::signer_server::SignerServer;
use front::Front;
use listener::{Bounds, Socket, Told};
use pool::Pool;
use signer::Signer;
use sigwarden_core::caller::{Clients, Peer};
use sigwarden_core::pipeline::SignCall;
use sigwarden_core::{Network, Pipeline};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use unread::Unread;

/// What a request may have beside its payload: names and ids, under 1 KiB, and some room in which core's own limit answers, which
/// knows key and format.
const MESSAGE_OVERHEAD: usize = 16 * 1024;

/// Bytes of a request's headers, decoded. A client sends under 1 KiB; hyper's own default is 16 KiB.
const HEADER_BYTES_MAX: u32 = 8 * 1024;

/// How long a call may take beside `limits.deadline_ms`: for its body to arrive and for its backend. 60 s is several times an HSM's own
/// timeout. A decided request runs on all the same; only its caller is let go.
const BACKEND: Duration = Duration::from_secs(60);

/// How often an idle connection is asked whether it still lives, and how long it may take to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// Streams that a client may open and reset before they are handled (the "rapid reset" attack, CVE-2023-44487); h2's default is 20.
const PENDING_RESETS_MAX: usize = 20;

/// How the ledger is, for `Health`.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// Why nothing is signed, if so.
    pub trouble: Option<String>,
    /// The disk is too full to decide anything; this passes once there is room.
    pub full: bool,
    /// The deployment's id.
    pub deployment_id: String,
    /// The last sequence.
    pub last_sequence: u64,
}

/// What a server is made of.
pub struct Parts {
    /// The way of every request.
    pub pipeline: Arc<Pipeline>,
    /// Who may connect.
    pub clients: Clients,
    /// The socket's path.
    pub socket: PathBuf,
    /// Whether the socket's group may connect.
    pub socket_group_access: bool,
    /// Bounds.
    pub limits: Limits,
    /// The deployment's network, for `Health`.
    pub network: Network,
    /// Where keys live, for `ListKeys`.
    pub backends: Vec<crate::proto::BackendInfo>,
    /// Asks the ledger how it is.
    pub condition: Arc<dyn Fn() -> Condition + Send + Sync>,
    /// Set off when a durable write fails.
    pub fatal: Arc<Fatal>,
    /// Administration, if there is any.
    pub admin: Option<AdminParts>,
    /// Metrics, if they are told.
    pub metrics: Option<MetricsParts>,
}

/// What the page of metrics is made of.
pub struct MetricsParts {
    /// Where it listens; a loopback address.
    pub listen: std::net::SocketAddr,
    /// Writes the page.
    pub write: Arc<dyn Fn() -> String + Send + Sync>,
}

/// What administration is made of.
pub struct AdminParts {
    /// The socket's path.
    pub socket: PathBuf,
    /// Who runs the commands.
    pub administrator: Arc<Administrator>,
}

/// The daemon cannot serve, or can no longer.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket cannot be opened.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The system gives no threads.
    #[error("the threads for requests could not be started: {0}; lower limits.threads")]
    Threads(std::io::Error),
    /// The address of metrics is taken.
    #[error("metrics.listen: {0}; name another address, or take it out")]
    Metrics(std::io::Error),
    /// The protocol's description is broken.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The transport failed.
    #[error("the transport failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// A durable write failed; nothing is signed any more.
    #[error("the ledger failed: {0}")]
    Ledger(String),
    /// Requests did not finish in `limits.stop_grace_ms`.
    #[error(
        "some requests did not finish within limits.stop_grace_ms; their decisions are in the audit log, their outcomes may be missing"
    )]
    Unfinished,
}

/// Serves until `stop` or until the ledger fails, then refuses what has no decision, and lets the rest finish. Runs inside a tokio
/// runtime. `ready` is called once, when the socket accepts.
///
/// # Errors
/// It cannot start, the ledger failed, or requests did not finish in time.
pub async fn serve(parts: Parts, stop: impl Future<Output = ()> + Send, ready: impl FnOnce()) -> Result<(), ServeError> {
    let socket = Socket::bind("server.socket", &parts.socket, parts.socket_group_access)?;
    let (admin_stops, admin) = administration::start(parts.admin.as_ref())?;
    let metrics = metrics::start(parts.metrics.as_ref()).await.map_err(ServeError::Metrics)?;
    let limits = &parts.limits;
    let pool = Pool::start(&parts.pipeline, limits.threads, limits.queue, limits.evaluations).map_err(ServeError::Threads)?;
    let front = Front::new(Arc::clone(&parts.pipeline), pool.queue());
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(crate::proto::DESCRIPTORS)
            .build_v1()
    };
    let payload_bytes = parts.limits.payload_bytes;
    let signer = SignerServer::new(Signer::new(&parts, front.clone()))
        .max_decoding_message_size(payload_bytes.saturating_add(MESSAGE_OVERHEAD))
        // A list of keys: 200 bytes each.
        .max_encoding_message_size(32 * 1024 * 1024);
    let router = Server::builder()
        .max_concurrent_streams(parts.limits.streams_per_connection)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .timeout(parts.limits.deadline.saturating_add(BACKEND))
        .layer(Unread {
            pipeline: Arc::clone(&parts.pipeline),
            payload_bytes,
        })
        .add_service(signer)
        .add_service(reflection()?);

    let (accepted, incoming) = mpsc::channel(1);
    let known = known_peer(&parts);
    let bounds = Bounds {
        all: parts.limits.connections,
        of_one_uid: parts.limits.connections_per_client,
    };
    let accepting = tokio::spawn(socket.accept(bounds, known, accepted));
    ready();

    let grace = parts.limits.stop_grace;
    let (stopped, grace_begins) = oneshot::channel();
    let until_stop = async {
        tokio::select! {
            () = stop => tracing::info!("stopping: requests past commit finish, others are refused"),
            () = parts.fatal.happened() => tracing::error!("stopping: the ledger failed"),
        }
        parts.pipeline.stop();
        accepting.abort();
        drop(admin_stops);
        // Nobody listens any more if serving ended by itself.
        let _ = stopped.send(());
    };
    let serving = router.serve_with_incoming_shutdown(ReceiverStream::new(incoming), until_stop);
    tokio::select! {
        served = serving => served?,
        // Clients that neither finish nor hang up do not keep the daemon.
        () = async { if grace_begins.await.is_ok() { tokio::time::sleep(grace).await } else { std::future::pending().await } } => {}
    }
    accepting.abort();
    administration::finish(admin, grace).await;
    if let Some(metrics) = metrics {
        metrics.abort();
    }
    let finished = tokio::task::block_in_place(|| pool.finish(grace));
    if let Some(reason) = parts.fatal.reason() {
        return Err(ServeError::Ledger(reason));
    }
    if finished { Ok(()) } else { Err(ServeError::Unfinished) }
}

/// Lets configured clients stay. Others are closed at once, with a record.
fn known_peer(parts: &Parts) -> impl Fn(&Peer) -> bool + Send + use<> {
    let (pipeline, clients) = (Arc::clone(&parts.pipeline), parts.clients.clone());
    let told = Mutex::new(Told::default());
    move |peer| match sigwarden_core::stages::authenticate::authenticate(&clients, peer) {
        Ok(_) => true,
        Err(refusal) => {
            let nothing = SignCall {
                operation: String::new(),
                key: String::new(),
                format: String::new(),
                scheme: String::new(),
                request_id: String::new(),
                payload: Vec::new(),
                received: Instant::now(),
            };
            let refusal = pipeline.refuse(peer.clone(), &nothing, refusal);
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(before) = told.count() {
                tracing::warn!(%peer, before, %refusal, "closed a connection; `before` more since the last line");
            }
            false
        }
    }
}
