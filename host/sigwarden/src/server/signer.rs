//! The service: wire messages to calls of the pipeline and back. Decides nothing.

use super::listener::ConnectedPeer;
use super::pool::{Job, Queue};
use super::{Condition, Parts, to_status};
use crate::fatal::Fatal;
use crate::proto;
use secrecy::ExposeSecret;
use sigwarden_core::caller::Peer;
use sigwarden_core::pipeline::SignCall;
use sigwarden_core::proof::Decapsulated;
use sigwarden_core::stages::authorize::Readable;
use sigwarden_core::{Code, Format, Network, Operation, Pipeline, Refusal, Signed};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

pub(super) struct Signer {
    pipeline: Arc<Pipeline>,
    queue: Queue,
    network: Network,
    condition: Arc<dyn Fn() -> Condition + Send + Sync>,
    fatal: Arc<Fatal>,
    backends: Vec<proto::BackendInfo>,
}

impl Signer {
    pub(super) fn new(parts: &Parts, queue: Queue) -> Self {
        Self {
            pipeline: Arc::clone(&parts.pipeline),
            queue,
            network: parts.network,
            condition: Arc::clone(&parts.condition),
            fatal: Arc::clone(&parts.fatal),
            backends: parts.backends.clone(),
        }
    }

    /// Queues a job and waits for its answer. If the client hangs up, this future is dropped and the job runs all the same.
    async fn run<T>(&self, job: Job, answer: oneshot::Receiver<Result<T, Refusal>>) -> Result<T, Status> {
        if let Err(job) = self.queue.put(job) {
            return Err(to_status(&self.refuse_unqueued(*job)));
        }
        match answer.await {
            Ok(result) => result.map_err(|refusal| to_status(&refusal)),
            // The thread is gone: it panicked, which no path of a request may.
            Err(_) => Err(to_status(&Refusal::new(
                Code::Internal,
                "the request was lost inside the daemon; its log says why",
            ))),
        }
    }

    fn refuse_unqueued(&self, job: Job) -> Refusal {
        let (peer, call) = match job {
            Job::Sign(peer, call, _) | Job::Decapsulate(peer, call, _) => (peer, call),
            Job::PublicKey(peer, key, _) => (peer, reading(key)),
            Job::ListKeys(peer, _) => (peer, reading(String::new())),
        };
        let full = Refusal::new(Code::QueueFull, "as many requests wait as limits.queue allows; ask again later");
        self.pipeline.refuse(peer, &call, full)
    }
}

fn reading(key: String) -> SignCall {
    SignCall {
        operation: Operation::PublicKey.name().to_owned(),
        key,
        format: String::new(),
        scheme: String::new(),
        request_id: String::new(),
        payload: Vec::new(),
        received: Instant::now(),
    }
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
        let request = request.into_inner();
        let operation = if request.operation.is_empty() {
            Operation::Sign.name().to_owned()
        } else {
            request.operation
        };
        let call = SignCall {
            operation,
            key: request.key,
            format: request.format,
            scheme: request.scheme,
            request_id: request.request_id,
            payload: request.payload,
            received,
        };
        let (sender, answer) = oneshot::channel();
        let signed = self.run(Job::Sign(peer, call, sender), answer).await?;
        Ok(Response::new(response(signed)))
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
        let (sender, answer) = oneshot::channel();
        let Decapsulated { shared_secret, answer } = self.run(Job::Decapsulate(peer, call, sender), answer).await?;
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
        let (sender, answer) = oneshot::channel();
        let readable = self.run(Job::PublicKey(peer, request.into_inner().key, sender), answer).await?;
        Ok(Response::new(proto::PublicKeyResponse {
            key: Some(key_info(&readable)),
        }))
    }

    async fn list_keys(&self, request: Request<proto::ListKeysRequest>) -> Result<Response<proto::ListKeysResponse>, Status> {
        let peer = peer_of(&request)?;
        let (sender, answer) = oneshot::channel();
        let readable = self.run(Job::ListKeys(peer, sender), answer).await?;
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
            queued: u32::try_from(self.queue.len()).unwrap_or(u32::MAX),
        }))
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
