//! A client of the signing socket: what `sigwarden sign`, the demo and the tests use.

use crate::proto;
use crate::proto::signer_client::SignerClient;
use crate::status::from_status;
use hyper_util::rt::TokioIo;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// How long one call may take. A request waits `limits.deadline_ms` at most for its decision, 5 s by default, then for its backend.
const CALL: Duration = Duration::from_secs(30);

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody listens.
    #[error("no daemon answers on {}: {error}; `sigwarden serve` starts one, and only uids that a `[[client]]` names may connect", socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// Why.
        error: String,
    },
    /// The daemon refused.
    #[error("{}: {}", .0.code, .0.message)]
    Refused(Box<proto::Refusal>),
    /// The connection broke, or the call took too long. Whether it was executed is not known; the audit log says. Asking again is a new
    /// request, whatever its id: a request id only labels the record.
    #[error("the call failed ({code:?}): {message}; the daemon closes connections of uids that no `[[client]]` names")]
    Failed {
        /// gRPC's code.
        code: tonic::Code,
        /// What happened.
        message: String,
    },
}

impl CallError {
    /// The refusal, if it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&proto::Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Unreachable { .. } | Self::Failed { .. } => None,
        }
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        match from_status(&status) {
            Some(refusal) => Self::Refused(Box::new(refusal)),
            None => Self::Failed {
                code: status.code(),
                message: status.message().to_owned(),
            },
        }
    }
}

/// One connection to a daemon; clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    inner: SignerClient<Channel>,
}

impl Client {
    /// Connects to the socket.
    ///
    /// # Errors
    /// [`CallError::Unreachable`].
    pub async fn connect(socket: &Path) -> Result<Self, CallError> {
        let unreachable = |error: &dyn std::error::Error| {
            // The outer error only says that the transport failed; the last one says why.
            let mut deepest = error;
            while let Some(source) = deepest.source() {
                deepest = source;
            }
            CallError::Unreachable {
                socket: socket.to_owned(),
                error: deepest.to_string(),
            }
        };
        let path = socket.to_owned();
        let connector = tower::service_fn(move |_: tonic::transport::Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        // The name is only HTTP's `:authority`; the connector decides where it goes.
        let channel = Endpoint::from_static("http://sigwarden")
            .timeout(CALL)
            .connect_with_connector(connector)
            .await
            .map_err(|error| unreachable(&error))?;
        Ok(Self::over(channel))
    }

    /// A client of a connection that stands or connects by itself.
    #[must_use]
    pub fn over(channel: Channel) -> Self {
        Self {
            inner: SignerClient::new(channel).max_decoding_message_size(32 * 1024 * 1024),
        }
    }

    /// Asks for many signatures; each has its own verdict.
    ///
    /// # Errors
    /// As [`Client::sign`], if there are no verdicts at all.
    pub async fn sign_batch(&mut self, requests: Vec<proto::SignRequest>) -> Result<Vec<proto::SignResult>, CallError> {
        let request = Request::new(proto::SignBatchRequest { requests });
        Ok(self.inner.sign_batch(request).await?.into_inner().results)
    }

    /// Asks for a signature.
    ///
    /// # Errors
    /// [`CallError::Refused`] with the refusal; else the connection's.
    pub async fn sign(&mut self, request: proto::SignRequest) -> Result<proto::SignResponse, CallError> {
        Ok(self.inner.sign(Request::new(request)).await?.into_inner())
    }

    /// Asks for a decapsulation.
    ///
    /// # Errors
    /// As [`Client::sign`].
    pub async fn decapsulate(&mut self, request: proto::DecapsulateRequest) -> Result<proto::DecapsulateResponse, CallError> {
        Ok(self.inner.decapsulate(Request::new(request)).await?.into_inner())
    }

    /// Asks for a key's public key and state.
    ///
    /// # Errors
    /// As [`Client::sign`].
    pub async fn public_key(&mut self, key: &str) -> Result<proto::KeyInfo, CallError> {
        let request = proto::PublicKeyRequest { key: key.to_owned() };
        Ok(self
            .inner
            .public_key(Request::new(request))
            .await?
            .into_inner()
            .key
            .unwrap_or_default())
    }

    /// Asks for the keys that this caller may read.
    ///
    /// # Errors
    /// As [`Client::sign`].
    pub async fn list_keys(&mut self) -> Result<Vec<proto::KeyInfo>, CallError> {
        Ok(self.keys_and_backends().await?.keys)
    }

    /// Asks for the keys that this caller may read, and what their backends can do.
    ///
    /// # Errors
    /// As [`Client::sign`].
    pub async fn keys_and_backends(&mut self) -> Result<proto::ListKeysResponse, CallError> {
        Ok(self.inner.list_keys(Request::new(proto::ListKeysRequest {})).await?.into_inner())
    }

    /// Asks how the daemon is.
    ///
    /// # Errors
    /// As [`Client::sign`].
    pub async fn health(&mut self) -> Result<proto::HealthResponse, CallError> {
        Ok(self.inner.health(Request::new(proto::HealthRequest {})).await?.into_inner())
    }
}
