//! The client's side: the remote signer's backend, and the command line.

use crate::certificate::Fingerprint;
use crate::exchange::{Group, KeyExchange, provider};
use crate::handshake::{HandshakeError, Refusal};
use crate::live::{Installed, Live, Loaded, Reload};
use crate::material::{Material, Paths, Side, TlsError, now};
use crate::server::Alpn;
use crate::verify::Servers;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What a client is configured by: PEM files, and whom it wants to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// The CAs whose certificates servers may have: one, or two while one is replaced.
    pub ca: PathBuf,
    /// The client's certificate, then those of the CAs between it and one that the server knows.
    pub certificate: PathBuf,
    /// The private key of that certificate; mode 0600.
    pub key: PathBuf,
    /// The name that the server's certificate must have: a DNS name or an IP address. Not taken from the address that is dialled.
    pub server_name: String,
}

/// TLS of a client, with the certificates that are in force.
#[derive(Debug)]
pub struct ClientTls {
    files: ClientFiles,
    name: ServerName<'static>,
    exchange: KeyExchange,
    alpn: Vec<Alpn>,
    live: Live<Arc<ClientConfig>>,
}

/// A connection whose server is verified.
#[derive(Debug)]
pub struct Dialed<S> {
    /// The connection. TLS 1.3 ends the client's handshake before the server has judged the client's certificate: if it is refused, the
    /// first read says so, and [`HandshakeError::within`] finds out why.
    pub stream: TlsStream<S>,
    /// SHA-256 of the server's certificate.
    pub fingerprint: Fingerprint,
    /// The key exchange.
    pub group: Group,
    /// The protocol inside; none if the server chose none.
    pub alpn: Option<Alpn>,
}

impl ClientTls {
    /// Reads and judges the files. `alpn` is what the client speaks inside, the favourite first.
    ///
    /// # Errors
    /// [`TlsError`], as [`crate::ServerTls::load`]; a server name that is none.
    pub fn load(files: ClientFiles, exchange: KeyExchange, alpn: &[Alpn]) -> Result<Self, TlsError> {
        let name = ServerName::try_from(files.server_name.clone()).map_err(|_| TlsError::ServerName(files.server_name.clone()))?;
        let loaded = load(&files, exchange, alpn)?;
        Ok(Self {
            files,
            name,
            exchange,
            alpn: alpn.to_vec(),
            live: Live::new(loaded),
        })
    }

    /// Reads all files anew, as [`crate::ServerTls::reload`].
    ///
    /// # Errors
    /// As [`ClientTls::load`]; what was in force stays so.
    pub fn reload(&self) -> Result<Reload, TlsError> {
        self.live.reload(|| load(&self.files, self.exchange, &self.alpn))
    }

    /// Whether a file is another one than the one that is in force, as [`crate::ServerTls::changed`].
    #[must_use]
    pub fn changed(&self) -> bool {
        self.live.changed(self.files.paths())
    }

    /// The certificates in force.
    #[must_use]
    pub fn installed(&self) -> Installed {
        self.live.current().installed.clone()
    }

    /// Does the handshake with a server over a connection that stands. `deadline` bounds all of it.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub async fn connect<S>(&self, stream: S, deadline: Duration) -> Result<Dialed<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        tokio::time::timeout(deadline, self.handshake(stream))
            .await
            .unwrap_or_else(|_| Err(HandshakeError::timeout(Side::Client, deadline)))
    }

    async fn handshake<S>(&self, stream: S) -> Result<Dialed<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = TlsConnector::from(Arc::clone(&self.live.current().config));
        let connected = connector.connect(self.name.clone(), stream).await;
        let stream = connected.map_err(|error| HandshakeError::of(Side::Client, &error))?;
        let connection = stream.get_ref().1;
        let impossible = |what| HandshakeError::new(Side::Client, Refusal::Other, what);
        let own = connection.peer_certificates().and_then(<[_]>::first);
        let own = own.ok_or_else(|| impossible("the library let a server through without a certificate"))?;
        let fingerprint = Fingerprint::of(own);
        let group = Group::of(connection).ok_or_else(|| impossible("the library took a group that was not offered"))?;
        let alpn = Alpn::negotiated(connection.alpn_protocol());
        Ok(Dialed {
            stream,
            fingerprint,
            group,
            alpn,
        })
    }
}

impl ClientFiles {
    fn paths(&self) -> Paths<'_> {
        Paths {
            certificate: &self.certificate,
            key: &self.key,
            authorities: &self.ca,
        }
    }
}

fn load(files: &ClientFiles, exchange: KeyExchange, alpn: &[Alpn]) -> Result<Loaded<Arc<ClientConfig>>, TlsError> {
    let paths = files.paths();
    let stamps = paths.stamps();
    let material = Material::read(paths, Side::Client, now())?;
    let provider = provider(exchange);
    let servers = Arc::new(Servers::new(&material.authorities, &provider)?);
    let own = CertifiedKey::from_der(material.chain, material.key, &provider).map_err(|error| Material::refused(paths, &error))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| TlsError::Library {
            what: "TLS 1.3".to_owned(),
            why: error.to_string(),
        })?;
    // `dangerous` is the library's word for a verifier of one's own; this one asks the library's for each CA.
    let builder = builder.dangerous().with_custom_certificate_verifier(servers);
    let mut config = builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    config.alpn_protocols = Alpn::list(alpn);
    // No resumption, as at the server; no data before the server is verified.
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(Loaded {
        config: Arc::new(config),
        installed: material.installed,
        stamps,
    })
}
