//! The daemon's edge: gRPC over a Unix socket in front of the pipeline. Async ends here; requests run on blocking threads.

mod administration;
mod admission;
mod connection;
mod descriptors;
mod front;
mod json_rpc;
mod known;
mod metrics;
mod owed;
mod patient;
mod pool;
mod privval;
mod queue;
mod signer;
mod tcp;
mod unix;
mod unread;

pub use pool::STACK_BYTES;
pub use sigwarden_protocol::{CODE_KEY, DETAIL_TYPE, from_status, grpc_code, to_status};
pub(crate) use tcp::renew as renew_certificates;
pub use tcp::{ListenerError, Ready, load as load_listeners};
pub use unix::SocketError;

use crate::admin::Administrator;
use crate::config::{Admission, Limits, Privval};
use crate::fatal::Fatal;
use crate::proto::signer_server::SignerServer;
use admission::Admissions;
use connection::Bounds;
use front::Front;
use json_rpc::JsonRpc;
use known::Known;
use owed::Owed;
use pool::Pool;
use signer::Signer;
use sigwarden_core::caller::Clients;
use sigwarden_core::{Network, Pipeline};
use sigwarden_telemetry::http::Readiness;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use unix::Socket;
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

/// A question about the protocol: the name of a file, a type or a method.
const QUESTION_BYTES_MAX: usize = 4 * 1024;

/// The header that names a client's trace (W3C Trace Context).
const TRACEPARENT: &str = "traceparent";

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
    /// What is counted.
    pub counted: Arc<sigwarden_telemetry::Metrics>,
    /// Told of how many requests wait for a thread.
    pub queued: Arc<AtomicU64>,
    /// Traces are sent somewhere: a client's `traceparent` is read.
    pub traced: bool,
    /// Metrics, if they are told.
    pub metrics: Option<MetricsParts>,
    /// How much clients may ask for, where they have a bound.
    pub admissions: BTreeMap<Arc<str>, Admission>,
    /// TCP listeners, their certificates read.
    pub listeners: Vec<Ready>,
    /// Nodes that are dialled.
    pub privvals: Vec<Privval>,
}

/// What the page of metrics is made of.
pub struct MetricsParts {
    /// Where it listens; a loopback address.
    pub listen: std::net::SocketAddr,
    /// Writes the pages.
    pub pages: Pages,
}

/// What is told of the daemon over HTTP.
#[derive(Clone)]
pub struct Pages {
    /// The page of metrics.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether it is ready.
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
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
    /// A TCP listener cannot be had.
    #[error(transparent)]
    Listener(#[from] ListenerError),
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
    descriptors::raise(&parts.limits, parts.listeners.len());
    let socket = Socket::bind("server.socket", &parts.socket, parts.socket_group_access)?;
    let counted = &parts.counted;
    let (admin_stops, admin) = administration::start(parts.admin.as_ref(), Arc::clone(counted))?;
    let metrics = metrics::start(parts.metrics.as_ref(), Arc::clone(counted)).await;
    let metrics = metrics.map_err(ServeError::Metrics)?;
    let limits = &parts.limits;
    let pool = Pool::start(
        &parts.pipeline,
        limits.threads,
        limits.queue,
        limits.evaluations,
        Arc::clone(counted),
        Arc::clone(&parts.queued),
    );
    let pool = pool.map_err(ServeError::Threads)?;
    let admissions = Admissions::new(&parts.clients, &parts.admissions, limits.queue);
    let front = Front::new(
        Arc::clone(&parts.pipeline),
        pool.queue(),
        parts.clients.clone(),
        admissions,
        parts.traced,
    );
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
        .layer(Owed)
        .layer(Unread {
            pipeline: Arc::clone(&parts.pipeline),
            payload_bytes,
        })
        .add_service(signer)
        .add_service(reflection()?.max_decoding_message_size(QUESTION_BYTES_MAX));

    let (accepted, incoming) = mpsc::channel(1);
    let known = Arc::new(Known::new(Arc::clone(&parts.pipeline), parts.clients.clone()));
    let bounds = Bounds {
        all: Arc::new(Semaphore::new(parts.limits.connections)),
        of_one: parts.limits.connections_per_client,
    };
    let behind = tcp::Behind {
        bounds: bounds.clone(),
        known: Arc::clone(&known),
        metrics: Arc::clone(counted),
        accepted: accepted.clone(),
        json_rpc: JsonRpc {
            front: front.clone(),
            payload_bytes,
            sound: sound(&parts),
            metrics: Arc::clone(counted),
        },
    };
    // Each ends with the others, whichever way this ends.
    let mut accepting = Accepting(Vec::new());
    for ready in &parts.listeners {
        // A port's own: whoever opens connections there and says nothing keeps nobody from the Unix socket.
        let bounds = Bounds {
            all: Arc::new(Semaphore::new(parts.limits.connections)),
            of_one: parts.limits.connections_per_client,
        };
        let behind = tcp::Behind { bounds, ..behind.clone() };
        accepting.0.push(tcp::start(ready.clone(), behind).await?);
    }
    drop(behind);
    let of_socket = socket.accept(
        bounds,
        move |peer| known.client(peer),
        Arc::clone(counted),
        sigwarden_telemetry::metrics::Listener::Socket,
        accepted,
    );
    accepting.0.push(tokio::spawn(of_socket).abort_handle());
    if !parts.listeners.is_empty() {
        accepting
            .0
            .push(tokio::spawn(renew(parts.listeners.clone(), parts.limits.watch)).abort_handle());
    }
    let links = parts.privvals.iter();
    let links = Accepting(
        links
            .map(|privval| privval::start(privval.clone(), front.clone(), Arc::clone(counted)))
            .collect(),
    );
    ready();

    let grace = parts.limits.stop_grace;
    let (stopped, grace_begins) = oneshot::channel();
    let until_stop = async {
        tokio::select! {
            () = stop => tracing::info!("stopping: requests past commit finish, others are refused"),
            () = parts.fatal.happened() => tracing::error!("stopping: the ledger failed"),
        }
        parts.pipeline.stop();
        drop(accepting);
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
    administration::finish(admin, grace).await;
    if let Some(metrics) = metrics {
        metrics.abort();
    }
    let finished = tokio::task::block_in_place(|| pool.finish(grace));
    // Until here a node got the answer to what was past its decision.
    drop(links);
    if let Some(reason) = parts.fatal.reason() {
        return Err(ServeError::Ledger(reason));
    }
    if finished { Ok(()) } else { Err(ServeError::Unfinished) }
}

/// Tasks that are ended when it is dropped.
struct Accepting(Vec<tokio::task::AbortHandle>);

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

/// Whether the ledger is sound and its disk has room.
fn sound(parts: &Parts) -> Arc<dyn Fn() -> bool + Send + Sync> {
    let (condition, fatal) = (Arc::clone(&parts.condition), Arc::clone(&parts.fatal));
    Arc::new(move || {
        let condition = condition();
        fatal.reason().is_none() && condition.trouble.is_none() && !condition.full
    })
}

/// Looks at certificates, for ever.
async fn renew(listeners: Vec<Ready>, every: Duration) {
    let listeners = Arc::new(listeners);
    loop {
        tokio::time::sleep(every).await;
        let listeners = Arc::clone(&listeners);
        // Reads files.
        drop(tokio::task::spawn_blocking(move || renew_certificates(&listeners)).await);
    }
}
