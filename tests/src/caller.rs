//! A blocking caller of the signing socket, over the client that the command line uses.

use anyhow::{Context, Result, bail};
use sigwarden::client::{CallError, Client};
use sigwarden::proto;
use std::path::Path;
use tokio::runtime::{Builder, Runtime};

/// One connection, with a runtime of its own: a caller stands for one client process.
pub struct Caller {
    runtime: Runtime,
    client: Client,
}

impl Caller {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect(socket: &Path) -> Result<Self, CallError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CallError::Unreachable {
                socket: socket.to_owned(),
                error: error.to_string(),
            })?;
        let client = runtime.block_on(Client::connect(socket))?;
        Ok(Self { runtime, client })
    }

    /// Sends a request as it is.
    ///
    /// # Errors
    /// It is refused, or the connection broke.
    pub fn call(&mut self, request: proto::SignRequest) -> Result<proto::SignResponse, CallError> {
        self.runtime.block_on(self.client.sign(request))
    }

    /// Sends a ciphertext as it is.
    ///
    /// # Errors
    /// It is refused, or the connection broke.
    pub fn decapsulated(&mut self, request: proto::DecapsulateRequest) -> Result<proto::DecapsulateResponse, CallError> {
        self.runtime.block_on(self.client.decapsulate(request))
    }

    /// Signs and expects a signature.
    ///
    /// # Errors
    /// It is refused.
    pub fn signed(&mut self, key: &str, format: &str, payload: Vec<u8>) -> Result<proto::SignResponse> {
        self.call(request(key, format, payload))
            .with_context(|| format!("{key} was to sign a {format}"))
    }

    /// Signs and expects a refusal.
    ///
    /// # Errors
    /// It is signed, or the daemon does not answer.
    pub fn refused(&mut self, key: &str, format: &str, payload: Vec<u8>) -> Result<proto::Refusal> {
        match self.call(request(key, format, payload)) {
            Ok(_) => bail!("{key} signed a {format} that was to be refused"),
            Err(CallError::Refused(refusal)) => Ok(*refusal),
            Err(error) => Err(error).context("the daemon was to refuse"),
        }
    }

    /// How the daemon is.
    ///
    /// # Errors
    /// It does not answer.
    pub fn health(&mut self) -> Result<proto::HealthResponse, CallError> {
        self.runtime.block_on(self.client.health())
    }

    /// A key's public key and state.
    ///
    /// # Errors
    /// It is refused.
    pub fn public_key(&mut self, key: &str) -> Result<proto::KeyInfo, CallError> {
        self.runtime.block_on(self.client.public_key(key))
    }

    /// The keys that this caller may read.
    ///
    /// # Errors
    /// It is refused.
    pub fn list_keys(&mut self) -> Result<Vec<proto::KeyInfo>, CallError> {
        self.runtime.block_on(self.client.list_keys())
    }
}

/// A request to sign.
#[must_use]
pub fn request(key: &str, format: &str, payload: Vec<u8>) -> proto::SignRequest {
    proto::SignRequest {
        key: key.to_owned(),
        format: format.to_owned(),
        payload,
        ..Default::default()
    }
}
