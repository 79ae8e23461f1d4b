//! `admin.sock` beside the signing socket: a socket, a transport and a service of its own, on threads of its own. What `secrets get` answers
//! and `keys import` brings lies in buffers of HTTP/2 and protobuf: these threads overwrite all that they free.

use super::connection::Bounds;
use super::unix::Socket;
use super::{AdminParts, HEADER_BYTES_MAX, KEEPALIVE, PENDING_RESETS_MAX, ServeError};
use crate::admin::socket::server;
use sigwarden_core::caller::Peer;
use sigwarden_telemetry::Metrics;
use sigwarden_telemetry::metrics::Listener;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

/// Connections at once: operators and their scripts.
pub(super) const CONNECTIONS: usize = 16;

/// Commands at once on one connection: they run one after the other anyway.
const STREAMS: u32 = 4;

/// What serves it.
pub(super) struct Serving {
    task: JoinHandle<()>,
    /// There until this is dropped.
    runtime: Option<Runtime>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Waiting for its threads is not allowed where this is dropped.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Starts it. It stops once the sender is dropped.
pub(super) fn start(parts: Option<&AdminParts>, metrics: Arc<Metrics>) -> Result<(oneshot::Sender<()>, Option<Serving>), ServeError> {
    let (stops, stopped) = oneshot::channel::<()>();
    let Some(parts) = parts else { return Ok((stops, None)) };
    let socket = Socket::bind("server.admin_socket", &parts.socket, false)?;
    let service = server(Arc::clone(&parts.administrator));
    let (accepted, incoming) = mpsc::channel(1);
    let bounds = Bounds {
        all: Arc::new(Semaphore::new(CONNECTIONS)),
        of_one: CONNECTIONS,
    };
    let own = rustix::process::geteuid().as_raw();
    // The mode lets nobody else in, root aside; the kernel's word is asked all the same.
    let known = move |peer: &Peer| {
        let is_own = matches!(peer, Peer::User { uid, .. } if *uid == own);
        if !is_own {
            tracing::warn!(
                %peer,
                own,
                "closed a connection to the admin socket: only the daemon's own user administers"
            );
        }
        is_own.then(|| Arc::from("administration"))
    };
    let serving = async move {
        let accepting = tokio::spawn(socket.accept(bounds, known, metrics, Listener::Admin, accepted));
        let stop = accepting.abort_handle();
        let until = async move {
            // Ends with an error when the sender is dropped: that is the sign.
            let _ = stopped.await;
            stop.abort();
        };
        let server = Server::builder()
            .max_concurrent_streams(STREAMS)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .http2_keepalive_interval(Some(KEEPALIVE.0))
            .http2_keepalive_timeout(Some(KEEPALIVE.1))
            .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
            .add_service(service);
        if let Err(error) = server.serve_with_incoming_shutdown(ReceiverStream::new(incoming), until).await {
            tracing::error!(%error, "administration ended; callers are served on");
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("administration")
        .on_thread_start(sigwarden_keys::wipe_what_this_thread_frees)
        .enable_all()
        .build()
        .map_err(ServeError::Threads)?;
    let task = runtime.spawn(serving);
    let runtime = Some(runtime);
    Ok((stops, Some(Serving { task, runtime })))
}

/// Lets a command that runs finish, and no longer than `grace`.
pub(super) async fn finish(serving: Option<Serving>, grace: Duration) {
    let Some(mut serving) = serving else { return };
    if tokio::time::timeout(grace, &mut serving.task).await.is_err() {
        serving.task.abort();
    }
}
