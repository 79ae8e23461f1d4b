//! A remote: core's pipeline with keys behind the real protocol. What it is asked is written down, and by script it fails.

use crate::world::{Deployment, peer};
use sigwarden_core::pipeline::SignCall;
use sigwarden_core::proof::Signed;
use sigwarden_core::{Code, Operation, Refusal};
use sigwarden_protocol::proto::signer_server::{Signer, SignerServer};
use sigwarden_protocol::{proto, to_status};
use sigwarden_remote::Remote;
use sigwarden_tls::{Accepted, ServerTls};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, copy_bidirectional, duplex};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// What goes wrong with one call.
pub(crate) enum Fault {
    /// Every connection breaks before the request is executed.
    LoseRequest,
    /// Every connection breaks after it was executed.
    LoseReply,
    /// The daemon is gone after it executed it.
    Die,
    /// Executed, and everything stands still from then on.
    Freeze,
    /// Executed, and this call alone is never answered.
    Withhold,
    /// Refused with this code, not executed.
    Refuse(Code),
    /// Failed like this, not executed.
    Status(tonic::Code),
    /// Executed, and the answer changed.
    Spoil(fn(&mut proto::SignResponse)),
}

/// A remote daemon.
pub(crate) struct Daemon {
    pub(crate) inner: Arc<Inner>,
    runtime: Runtime,
}

pub(crate) struct Inner {
    pub(crate) deployment: Deployment,
    script: Mutex<VecDeque<Fault>>,
    seen: Mutex<Vec<proto::SignRequest>>,
    health: Mutex<proto::HealthResponse>,
    listens: Mutex<Option<AbortHandle>>,
    wires: Mutex<Vec<AbortHandle>>,
    frozen: watch::Sender<bool>,
    /// Fingerprints of client certificates, in order, hex.
    clients: Mutex<Vec<String>>,
    incoming: mpsc::Sender<Result<DuplexStream, io::Error>>,
}

impl Daemon {
    pub(crate) fn new() -> Self {
        Self::of(Deployment::with_mock_hsm())
    }

    pub(crate) fn of(deployment: Deployment) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (incoming, connections) = mpsc::channel(16);
        let health = proto::HealthResponse {
            ready: true,
            network: "devnet".into(),
            version: "0.1.0".into(),
            deployment_id: "00ff".into(),
            ..proto::HealthResponse::default()
        };
        let inner = Arc::new(Inner {
            deployment,
            script: Mutex::default(),
            seen: Mutex::default(),
            health: Mutex::new(health),
            listens: Mutex::default(),
            wires: Mutex::default(),
            frozen: watch::Sender::new(false),
            clients: Mutex::default(),
            incoming,
        });
        let service = SignerServer::from_arc(Arc::new(ScriptedSigner(Arc::clone(&inner))));
        let server = tonic::transport::Server::builder().add_service(service);
        runtime.spawn(server.serve_with_incoming(ReceiverStream::new(connections)));
        Self { inner, runtime }
    }

    /// Listens on a Unix socket.
    pub(crate) fn on_socket(&self, path: PathBuf) -> Remote {
        let _inside = self.runtime.enter();
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let inner = Arc::clone(&self.inner);
        self.listens(self.runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                inner.wire(stream, None);
            }
        }));
        Remote::Unix { socket: path }
    }

    /// Listens on a port of the loopback.
    pub(crate) fn on_port(&self, port: u16, tls: Arc<ServerTls>) -> SocketAddr {
        let listener = self.runtime.block_on(TcpListener::bind(("127.0.0.1", port))).unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::clone(&self.inner);
        self.listens(self.runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                inner.wire(stream, Some(Arc::clone(&tls)));
            }
        }));
        address
    }

    fn listens(&self, task: tokio::task::JoinHandle<()>) {
        *self.inner.listens.lock().unwrap() = Some(task.abort_handle());
    }

    /// The next calls go wrong so.
    pub(crate) fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.script.lock().unwrap().extend(faults);
    }

    /// What it was asked, in order.
    pub(crate) fn seen(&self) -> Vec<proto::SignRequest> {
        self.inner.seen.lock().unwrap().clone()
    }

    pub(crate) fn clients(&self) -> Vec<String> {
        self.inner.clients.lock().unwrap().clone()
    }

    pub(crate) fn set_health(&self, set: impl FnOnce(&mut proto::HealthResponse)) {
        set(&mut self.inner.health.lock().unwrap());
    }

    pub(crate) fn stop(&self) {
        self.inner.stop();
    }

    pub(crate) fn thaw(&self) {
        self.inner.frozen.send_replace(false);
        self.inner.cut();
    }
}

impl Inner {
    fn wire<S>(self: &Arc<Self>, stream: S, tls: Option<Arc<ServerTls>>)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let inner = Arc::clone(self);
        let mut wires = self.wires.lock().unwrap();
        // Stopped while this one was accepted.
        if self.listens.lock().unwrap().is_none() {
            return;
        }
        let wire = tokio::spawn(async move {
            match tls {
                None => inner.copy(stream).await,
                Some(tls) => {
                    if let Ok(Accepted { stream, identity, .. }) = tls.accept(stream, crate::world::PATIENCE).await {
                        inner.clients.lock().unwrap().push(identity.fingerprint.to_string());
                        inner.copy(stream).await;
                    }
                }
            }
        });
        wires.push(wire.abort_handle());
    }

    async fn copy(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let (mut near, far) = duplex(64 * 1024);
        let mut frozen = self.frozen.subscribe();
        self.incoming.send(Ok(far)).await.unwrap();
        let freezes = async {
            let _ = frozen.wait_for(|frozen| *frozen).await;
        };
        tokio::select! {
            _ = copy_bidirectional(&mut stream, &mut near) => return,
            () = freezes => {}
        }
        // The connection stands, and nothing moves.
        std::future::pending().await
    }

    pub(crate) fn clear_script(&self) {
        self.script.lock().unwrap().clear();
    }

    fn cut(&self) {
        self.wires.lock().unwrap().drain(..).for_each(|wire| wire.abort());
    }

    fn stop(&self) {
        let listener = self.listens.lock().unwrap().take();
        listener.iter().for_each(AbortHandle::abort);
        self.cut();
    }
}

/// That for one request id there was one payload, whatever was lost; the ids.
pub(crate) fn one_payload_each<'a>(seen: impl IntoIterator<Item = &'a proto::SignRequest>) -> BTreeSet<String> {
    let mut payloads: BTreeMap<&str, &proto::SignRequest> = BTreeMap::new();
    for request in seen {
        let first = payloads.entry(&request.request_id).or_insert(request);
        assert_eq!(*first, request, "one id, two questions");
    }
    payloads.into_keys().map(str::to_owned).collect()
}

struct ScriptedSigner(Arc<Inner>);

impl ScriptedSigner {
    /// Writes a request down, and fails by script before it is executed.
    async fn before(&self, request: proto::SignRequest) -> Result<Option<Fault>, Status> {
        self.0.seen.lock().unwrap().push(request);
        let fault = self.0.script.lock().unwrap().pop_front();
        match fault {
            Some(Fault::LoseRequest) => {
                self.0.cut();
                std::future::pending().await
            }
            Some(Fault::Refuse(code)) => Err(to_status(&Refusal::new(code, "as scripted"))),
            Some(Fault::Status(code)) => Err(Status::new(code, "as scripted")),
            other => Ok(other),
        }
    }

    /// Fails by script after it.
    async fn after(&self, fault: Option<Fault>, response: &mut proto::SignResponse) {
        match fault {
            Some(Fault::LoseReply) => self.0.cut(),
            Some(Fault::Die) => self.0.stop(),
            Some(Fault::Freeze) => {
                self.0.frozen.send_replace(true);
            }
            Some(Fault::Withhold) => {}
            Some(Fault::Spoil(spoil)) => return spoil(response),
            Some(Fault::LoseRequest | Fault::Refuse(_) | Fault::Status(_)) | None => return,
        }
        std::future::pending().await
    }
}

fn signed(signed: Signed) -> proto::SignResponse {
    let signature = |one: sigwarden_core::RawSignature| proto::Signature {
        signature: one.bytes,
        recovery_id: one.recovery_id.map(u32::from),
    };
    proto::SignResponse {
        signatures: signed.signatures.into_iter().map(signature).collect(),
        public_key: signed.public_key,
        key: signed.key.to_string(),
        key_version: signed.key.version,
        scheme: signed.scheme.name().into(),
        request_id: signed.request_id.to_string(),
        sequence: signed.sequence,
        timestamp_signed: signed.timestamp.map(|time| prost_types::Timestamp {
            seconds: time.seconds,
            nanos: time.nanos,
        }),
        replay: signed.replay,
    }
}

fn sign_call(request: proto::SignRequest) -> SignCall {
    SignCall {
        operation: request.operation,
        key: request.key,
        format: request.format,
        scheme: request.scheme,
        request_id: request.request_id,
        payload: request.payload,
        received: Instant::now(),
    }
}

#[tonic::async_trait]
impl Signer for ScriptedSigner {
    type SignStreamStream = tokio_stream::Empty<Result<proto::SignResult, Status>>;

    async fn sign(&self, request: Request<proto::SignRequest>) -> Result<Response<proto::SignResponse>, Status> {
        let request = request.into_inner();
        let fault = self.before(request.clone()).await?;
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || inner.deployment.sign(sign_call(request)))
            .await
            .unwrap();
        let mut response = signed(done.map_err(|refusal| to_status(&refusal))?);
        self.after(fault, &mut response).await;
        Ok(Response::new(response))
    }

    async fn decapsulate(&self, request: Request<proto::DecapsulateRequest>) -> Result<Response<proto::DecapsulateResponse>, Status> {
        use secrecy::ExposeSecret;
        let request = request.into_inner();
        let as_signed = proto::SignRequest {
            operation: Operation::Decapsulate.name().into(),
            key: request.key,
            format: sigwarden_core::Format::MlKem768Ciphertext.name().into(),
            payload: request.ciphertext,
            request_id: request.request_id,
            scheme: String::new(),
        };
        let fault = self.before(as_signed.clone()).await?;
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || inner.deployment.pipeline.decapsulate(peer(), sign_call(as_signed)))
            .await
            .unwrap();
        let opened = done.map_err(|refusal| to_status(&refusal))?;
        let mut answer = signed(opened.answer);
        self.after(fault, &mut answer).await;
        Ok(Response::new(proto::DecapsulateResponse {
            shared_secret: opened.shared_secret.expose_secret().to_vec(),
            public_key: answer.public_key,
            key: answer.key,
            request_id: answer.request_id,
            sequence: answer.sequence,
            replay: answer.replay,
        }))
    }

    async fn public_key(&self, request: Request<proto::PublicKeyRequest>) -> Result<Response<proto::PublicKeyResponse>, Status> {
        let read = self.0.deployment.pipeline.public_key(peer(), &request.into_inner().key);
        let readable = read.map_err(|refusal| to_status(&refusal))?;
        let key = proto::KeyInfo {
            key: readable.key.id.to_string(),
            version: readable.key.id.version,
            scheme: readable.key.scheme.name().into(),
            public_key: readable.key.public_key.clone(),
            state: readable.status.state.name().into(),
            ..proto::KeyInfo::default()
        };
        Ok(Response::new(proto::PublicKeyResponse { key: Some(key) }))
    }

    async fn health(&self, _: Request<proto::HealthRequest>) -> Result<Response<proto::HealthResponse>, Status> {
        Ok(Response::new(self.0.health.lock().unwrap().clone()))
    }

    async fn sign_batch(&self, _: Request<proto::SignBatchRequest>) -> Result<Response<proto::SignBatchResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn sign_stream(&self, _: Request<tonic::Streaming<proto::SignRequest>>) -> Result<Response<Self::SignStreamStream>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn list_keys(&self, _: Request<proto::ListKeysRequest>) -> Result<Response<proto::ListKeysResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}
