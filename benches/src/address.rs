//! Where a server is, and how one comes there: the Unix socket, or mutual TLS on loopback.

use anyhow::{Context, Result};
use hyper_util::rt::TokioIo;
use sigwarden::client::{CallError, Client};
use sigwarden::proto::{SignRequest, SignResponse};
use sigwarden_tls::{Alpn, ClientFiles, ClientTls, KeyExchange};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint, Uri};

/// How long a handshake may take while everything else runs on the same cores.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(20);

/// How long a call of a [`Line`] may take, as the command line's.
const CALL: Duration = Duration::from_secs(30);

/// Where a server is.
#[derive(Clone)]
pub enum Address {
    /// A Unix socket.
    Socket(PathBuf),
    /// A port of the loopback, with a client certificate.
    Tls {
        /// The port.
        port: u16,
        /// Certificates.
        tls: Arc<ClientTls>,
    },
}

impl Address {
    /// A port of the loopback, with the client certificate that [`crate::deployment::certify`] wrote into `certificates`.
    ///
    /// # Errors
    /// The certificates cannot be read.
    pub fn secured(port: u16, certificates: &Path) -> Result<Self> {
        let files = ClientFiles {
            ca: certificates.join("ca/ca.crt"),
            certificate: certificates.join("client.crt"),
            key: certificates.join("client.key"),
            server_name: "localhost".into(),
        };
        let tls = Arc::new(ClientTls::load(files, KeyExchange::Preferred, &[Alpn::Http2])?);
        Ok(Self::Tls { port, tls })
    }

    /// A connection of its own.
    ///
    /// # Errors
    /// Nobody listens, or the handshake fails.
    pub async fn connect(&self) -> Result<Channel> {
        // The name is only HTTP's `:authority`; the connector decides where it goes.
        self.over(Endpoint::from_static("http://localhost")).await
    }

    async fn over(&self, endpoint: Endpoint) -> Result<Channel> {
        let channel = match self {
            Self::Socket(path) => {
                let path = path.clone();
                let connector = tower::service_fn(move |_: Uri| {
                    let path = path.clone();
                    async move { UnixStream::connect(path).await.map(TokioIo::new) }
                });
                endpoint.connect_with_connector(connector).await
            }
            Self::Tls { port, tls } => {
                let (port, tls) = (*port, Arc::clone(tls));
                let connector = tower::service_fn(move |_: Uri| {
                    let tls = Arc::clone(&tls);
                    async move {
                        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
                        stream.set_nodelay(true)?;
                        let dialed = tls.connect(stream, HANDSHAKE).await.map_err(io::Error::other)?;
                        Ok::<_, io::Error>(TokioIo::new(dialed.stream))
                    }
                });
                endpoint.connect_with_connector(connector).await
            }
        };
        channel.with_context(|| format!("no connection to {self}"))
    }

    /// A connection of a blocking client.
    ///
    /// # Errors
    /// As [`Address::connect`].
    pub fn line(&self) -> Result<Line> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let endpoint = Endpoint::from_static("http://localhost").timeout(CALL);
        let client = Client::over(runtime.block_on(self.over(endpoint))?);
        Ok(Line { runtime, client })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Tls { port, .. } => write!(f, "127.0.0.1:{port} over TLS"),
        }
    }
}

/// A blocking client's connection, with a runtime of its own: it stands for one client process.
pub struct Line {
    runtime: Runtime,
    client: Client,
}

impl Line {
    /// Sends a request as it is.
    ///
    /// # Errors
    /// It is refused, or the connection broke.
    pub fn call(&mut self, request: SignRequest) -> Result<SignResponse, CallError> {
        self.runtime.block_on(self.client.sign(request))
    }
}
