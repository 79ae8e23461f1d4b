//! The service: wire messages to calls of the pipeline and back. Decides nothing.

use super::connection::ConnectedPeer;
use super::front::Front;
use super::{Condition, Parts, TRACEPARENT, to_status};
use crate::fatal::Fatal;
use crate::proto;
use secrecy::ExposeSecret;
use sigwarden_core::caller::Peer;
use sigwarden_core::pipeline::SignCall;
use sigwarden_core::proof::Decapsulated;
use sigwarden_core::stages::authorize::Readable;
use sigwarden_core::{Code, Format, Network, Operation, Refusal, Signed};
use sigwarden_protocol::to_wire;
use sigwarden_telemetry::trace::TraceParent;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Requests of one batch. What a frame of the audit log carries well; a client that has more sends another.
const BATCH_MAX: usize = 256;

pub(super) struct Signer {
    front: Front,
    network: Network,
    condition: Arc<dyn Fn() -> Condition + Send + Sync>,
    fatal: Arc<Fatal>,
    backends: Vec<proto::BackendInfo>,
    streamed_at_once: usize,
}

impl Signer {
    pub(super) fn new(parts: &Parts, front: Front) -> Self {
        Self {
            front,
            network: parts.network,
            condition: Arc::clone(&parts.condition),
            fatal: Arc::clone(&parts.fatal),
            backends: parts.backends.clone(),
            streamed_at_once: usize::try_from(parts.limits.streams_per_connection).unwrap_or(1).max(1),
        }
    }

    fn parent_of<T>(&self, request: &Request<T>) -> Option<TraceParent> {
        let header = request.metadata().get(TRACEPARENT);
        self.front.parent(header.and_then(|value| value.to_str().ok()))
    }
}

/// A request as the pipeline wants it.
fn call(request: proto::SignRequest, received: Instant) -> SignCall {
    let operation = if request.operation.is_empty() {
        Operation::Sign.name().to_owned()
    } else {
        request.operation
    };
    SignCall {
        operation,
        key: request.key,
        format: request.format,
        scheme: request.scheme,
        request_id: request.request_id,
        payload: request.payload,
        received,
    }
}

fn refused(refusal: Refusal) -> Status {
    to_status(&refusal)
}

fn peer_of<T>(request: &Request<T>) -> Result<Peer, Status> {
    let connected = request.extensions().get::<ConnectedPeer>();
    // Every connection of this server carries its peer; one without is nobody's.
    connected
        .map(|connected| connected.0.clone())
        .ok_or_else(|| to_status(&Refusal::new(Code::CallerUnauthenticated, "the connection has no peer credentials")))
}

#[tonic::async_trait]
impl proto::signer_server::Signer for Signer {
    async fn sign(&self, request: Request<proto::SignRequest>) -> Result<Response<proto::SignResponse>, Status> {
        let received = Instant::now();
        let peer = peer_of(&request)?;
        let parent = self.parent_of(&request);
        let signed = self
            .front
            .sign(peer, call(request.into_inner(), received), parent)
            .await
            .map_err(refused)?;
        Ok(Response::new(response(signed)))
    }

    async fn sign_batch(&self, request: Request<proto::SignBatchRequest>) -> Result<Response<proto::SignBatchResponse>, Status> {
        let received = Instant::now();
        let peer = peer_of(&request)?;
        let requests = request.into_inner().requests;
        if requests.len() > BATCH_MAX {
            let message = format!("a batch has at most {BATCH_MAX} requests, this one has {}", requests.len());
            let refusal = Refusal::new(Code::RequestTooLarge, message);
            return Err(refused(self.front.pipeline().refuse(
                peer,
                &super::front::reading(String::new()),
                refusal,
            )));
        }
        let calls = requests.into_iter().map(|request| call(request, received)).collect();
        let signed = self.front.sign_all(&peer, calls).await.map_err(refused)?;
        let results = (0..).zip(signed).map(|(index, signed)| result(index, signed)).collect();
        Ok(Response::new(proto::SignBatchResponse { results }))
    }

    type SignStreamStream = ReceiverStream<Result<proto::SignResult, Status>>;

    async fn sign_stream(&self, request: Request<Streaming<proto::SignRequest>>) -> Result<Response<Self::SignStreamStream>, Status> {
        let peer = peer_of(&request)?;
        let parent = self.parent_of(&request);
        let (answers, stream) = mpsc::channel(1);
        tokio::spawn(streamed(
            self.front.clone(),
            (peer, parent),
            request.into_inner(),
            answers,
            self.streamed_at_once,
        ));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn decapsulate(&self, request: Request<proto::DecapsulateRequest>) -> Result<Response<proto::DecapsulateResponse>, Status> {
        let received = Instant::now();
        let peer = peer_of(&request)?;
        let request = request.into_inner();
        let call = SignCall {
            operation: Operation::Decapsulate.name().to_owned(),
            key: request.key,
            format: Format::MlKem768Ciphertext.name().to_owned(),
            scheme: String::new(),
            request_id: request.request_id,
            payload: request.ciphertext,
            received,
        };
        let Decapsulated { shared_secret, answer } = self.front.decapsulate(peer, call).await.map_err(refused)?;
        Ok(Response::new(proto::DecapsulateResponse {
            shared_secret: shared_secret.expose_secret().to_vec(),
            public_key: answer.public_key,
            key: answer.key.to_string(),
            request_id: answer.request_id.to_string(),
            sequence: answer.sequence,
            replay: answer.replay,
        }))
    }

    async fn public_key(&self, request: Request<proto::PublicKeyRequest>) -> Result<Response<proto::PublicKeyResponse>, Status> {
        let peer = peer_of(&request)?;
        let readable = self.front.public_key(peer, request.into_inner().key).await.map_err(refused)?;
        Ok(Response::new(proto::PublicKeyResponse {
            key: Some(key_info(&readable)),
        }))
    }

    async fn list_keys(&self, request: Request<proto::ListKeysRequest>) -> Result<Response<proto::ListKeysResponse>, Status> {
        let peer = peer_of(&request)?;
        let readable = self.front.list_keys(peer).await.map_err(refused)?;
        Ok(Response::new(proto::ListKeysResponse {
            keys: readable.iter().map(key_info).collect(),
            backends: self.backends.clone(),
        }))
    }

    async fn health(&self, _request: Request<proto::HealthRequest>) -> Result<Response<proto::HealthResponse>, Status> {
        let condition = (self.condition)();
        // Details of a failure are the operator's, not a caller's: they may name files.
        let trouble = self.fatal.reason().or(condition.trouble);
        let reason = match trouble {
            Some(_) => "the ledger failed; the daemon's log says how".to_owned(),
            None if condition.full => "the disk is full".to_owned(),
            None => String::new(),
        };
        Ok(Response::new(proto::HealthResponse {
            ready: reason.is_empty(),
            reason,
            network: self.network.name().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            deployment_id: condition.deployment_id,
            last_sequence: condition.last_sequence,
            queued: u32::try_from(self.front.queued()).unwrap_or(u32::MAX),
        }))
    }
}

/// Takes requests from a stream as long as somebody takes the answers. Each that was taken is executed to its end.
async fn streamed(
    front: Front,
    (peer, parent): (Peer, Option<TraceParent>),
    mut requests: Streaming<proto::SignRequest>,
    answers: mpsc::Sender<Result<proto::SignResult, Status>>,
    at_once: usize,
) {
    let places = Arc::new(Semaphore::new(at_once));
    for index in 0.. {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let request = tokio::select! {
            () = answers.closed() => return,
            request = requests.message() => request,
        };
        let request = match request {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(status) => return drop(answers.send(Err(status)).await),
        };
        let (front, peer, answers) = (front.clone(), peer.clone(), answers.clone());
        tokio::spawn(async move {
            let signed = front.sign(peer, call(request, Instant::now()), parent).await;
            // A client that is gone is told nothing.
            drop(answers.send(Ok(result(index, signed))).await);
            drop(place);
        });
    }
}

fn result(index: u64, signed: Result<Signed, Refusal>) -> proto::SignResult {
    use proto::sign_result::Result as Either;
    let either = match signed {
        Ok(signed) => Either::Signed(response(signed)),
        Err(refusal) => Either::Refused(to_wire(&refusal)),
    };
    proto::SignResult {
        index,
        result: Some(either),
    }
}

fn response(signed: Signed) -> proto::SignResponse {
    proto::SignResponse {
        signatures: signed
            .signatures
            .into_iter()
            .map(|signature| proto::Signature {
                signature: signature.bytes,
                recovery_id: signature.recovery_id.map(u32::from),
            })
            .collect(),
        public_key: signed.public_key,
        key_version: signed.key.version,
        key: signed.key.to_string(),
        scheme: signed.scheme.name().to_owned(),
        request_id: signed.request_id.to_string(),
        sequence: signed.sequence,
        timestamp_signed: signed.timestamp.map(|time| prost_types::Timestamp {
            seconds: time.seconds,
            nanos: time.nanos,
        }),
        replay: signed.replay,
    }
}

fn key_info(readable: &Readable) -> proto::KeyInfo {
    let Readable { key, status } = readable;
    let due = key.rotation.and_then(|rule| rule.due(status, crate::deployment::now_ms()));
    proto::KeyInfo {
        key: key.id.to_string(),
        version: key.id.version,
        scheme: key.scheme.name().to_owned(),
        roles: key.roles.iter().map(|role| role.name().to_owned()).collect(),
        public_key: key.public_key.clone(),
        state: status.state.name().to_owned(),
        created_ms: status.created_ms,
        uses: status.uses,
        backend: key.backend.clone(),
        grace_until: status.grace.map(|end| end.to_string()).unwrap_or_default(),
        due: due.map(|due| due.to_string()).unwrap_or_default(),
    }
}
