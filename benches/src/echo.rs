//! The bare echo: the same gRPC service, one raw signature a request, no policies and no ledger. A process of its own, as the daemon is.

use crate::address::{Address, HANDSHAKE};
use crate::deployment::{certify, free_port};
use crate::raw::Raw;
use anyhow::{Context, Result, bail};
use sigwarden::proto::signer_server::{Signer, SignerServer};
use sigwarden::proto::{
    DecapsulateRequest, DecapsulateResponse, HealthRequest, HealthResponse, ListKeysRequest, ListKeysResponse, PublicKeyRequest,
    PublicKeyResponse, SignBatchRequest, SignBatchResponse, SignRequest, SignResponse, SignResult, Signature,
};
use sigwarden_core::Scheme;
use sigwarden_tls::{Alpn, KeyExchange, ServerFiles, ServerTls};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, Command};
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status};

/// An echo that runs; it ends with its owner.
pub struct Echo {
    child: Child,
    _home: tempfile::TempDir,
}

impl Echo {
    /// One on a Unix socket.
    ///
    /// # Errors
    /// It does not start.
    pub fn on_socket() -> Result<(Self, Address)> {
        let home = home()?;
        let socket = home.path().join("echo.sock");
        let child = Command::new(std::env::current_exe()?).arg("--echo").arg(&socket).spawn()?;
        let echo = Self { child, _home: home };
        until(|| std::os::unix::net::UnixStream::connect(&socket).is_ok())?;
        Ok((echo, Address::Socket(socket)))
    }

    /// One over mutual TLS, by the code that the daemon's listeners use.
    ///
    /// # Errors
    /// It does not start, or there are no certificates.
    pub fn over_tls() -> Result<(Self, Address)> {
        let home = home()?;
        let (certificates, port) = (home.path().join("certs"), free_port()?);
        certify(&certificates)?;
        let mut command = Command::new(std::env::current_exe()?);
        let child = command.args(["--echo-tls", &port.to_string()]).arg(&certificates).spawn()?;
        let echo = Self { child, _home: home };
        until(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())?;
        Ok((echo, Address::secured(port, &certificates)?))
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn home() -> Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("sigwarden-echo-").tempdir()?)
}

fn until(listens: impl Fn() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !listens() {
        if begun.elapsed() > Duration::from_secs(10) {
            bail!("the echo does not listen");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Serves on a socket until killed: the child process of [`Echo::on_socket`].
///
/// # Errors
/// The socket cannot be bound.
pub fn serve(socket: &Path) -> Result<()> {
    runtime()?.block_on(async {
        let incoming = UnixListenerStream::new(UnixListener::bind(socket)?);
        let router = Server::builder().add_service(SignerServer::new(SigningEcho));
        Ok(router.serve_with_incoming(incoming).await?)
    })
}

/// Serves on a port until killed: the child process of [`Echo::over_tls`].
///
/// # Errors
/// The port cannot be bound, or the certificates cannot be read.
pub fn serve_tls(port: u16, certificates: &Path) -> Result<()> {
    let files = ServerFiles {
        certificate: certificates.join("server.crt"),
        key: certificates.join("server.key"),
        client_ca: certificates.join("ca/ca.crt"),
    };
    let tls = Arc::new(ServerTls::load(files, KeyExchange::Preferred, &[Alpn::Http2])?);
    runtime()?.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.context("the echo's port")?;
        let (accepted, incoming) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, accepted) = (Arc::clone(&tls), accepted.clone());
                tokio::spawn(async move {
                    drop(stream.set_nodelay(true));
                    // Who only looks whether somebody listens makes no handshake.
                    if let Ok(dialled) = tls.accept(stream, HANDSHAKE).await {
                        drop(accepted.send(Ok::<_, io::Error>(Secured(dialled.stream))).await);
                    }
                });
            }
        });
        let router = Server::builder().add_service(SignerServer::new(SigningEcho));
        Ok(router.serve_with_incoming(ReceiverStream::new(incoming)).await?)
    })
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

struct SigningEcho;

#[tonic::async_trait]
impl Signer for SigningEcho {
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

/// A TLS stream that tonic serves.
struct Secured<S>(S);

impl<S> Connected for Secured<S> {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl<S: AsyncRead + Unpin> AsyncRead for Secured<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Secured<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
