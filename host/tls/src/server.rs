//! The listener's side.

use crate::exchange::{Group, KeyExchange, provider};
use crate::handshake::{HandshakeError, Refusal};
use crate::identity::Identity;
use crate::live::{Installed, Live, Loaded, Reload};
use crate::material::{Material, Paths, Side, TlsError, now};
use crate::verify::Clients;
use rustls::server::{Acceptor, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{NamedGroup, ServerConfig};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// A protocol inside TLS, by its name there (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/2, which gRPC speaks: `h2`.
    Http2,
    /// HTTP/1.1: `http/1.1`.
    Http1,
}

impl Alpn {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http2 => "h2",
            Self::Http1 => "http/1.1",
        }
    }

    pub(crate) fn list(protocols: &[Self]) -> Vec<Vec<u8>> {
        protocols.iter().map(|protocol| protocol.as_str().as_bytes().to_vec()).collect()
    }

    pub(crate) fn negotiated(name: Option<&[u8]>) -> Option<Self> {
        [Self::Http2, Self::Http1]
            .into_iter()
            .find(|protocol| Some(protocol.as_str().as_bytes()) == name)
    }
}

/// What a listener is configured by: PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFiles {
    /// Its certificate, then those of the CAs between it and one that clients know.
    pub certificate: PathBuf,
    /// The private key of that certificate; mode 0600.
    pub key: PathBuf,
    /// The CAs whose certificates clients may come with: one, or two while one is replaced.
    pub client_ca: PathBuf,
}

/// TLS of a listener, with the certificates that are in force.
#[derive(Debug)]
pub struct ServerTls {
    files: ServerFiles,
    exchange: KeyExchange,
    alpn: Vec<Alpn>,
    live: Live<Configs>,
}

/// The library takes the client's favourite among the groups that both know. So a client that knows X25519MLKEM768 meets a
/// configuration that knows nothing else.
#[derive(Debug)]
struct Configs {
    post_quantum: Arc<ServerConfig>,
    /// For clients that do not know it.
    other: Option<Arc<ServerConfig>>,
}

/// A connection whose client is verified.
#[derive(Debug)]
pub struct Accepted<S> {
    /// The connection.
    pub stream: TlsStream<S>,
    /// Who is at the other end.
    pub identity: Identity,
    /// The key exchange.
    pub group: Group,
    /// The protocol inside; none if the client named none.
    pub alpn: Option<Alpn>,
}

impl ServerTls {
    /// Reads and judges the files. `alpn` is what the listener speaks inside, the favourite first; a client that names protocols
    /// and none of these is refused.
    ///
    /// # Errors
    /// [`TlsError`]: a file that is not there, or that others may read or write; a certificate that has ended, is not for a server, or not
    /// the key's; a client CA that is none. Whatever would be refused later is refused here.
    pub fn load(files: ServerFiles, exchange: KeyExchange, alpn: &[Alpn]) -> Result<Self, TlsError> {
        let loaded = load(&files, exchange, alpn)?;
        Ok(Self {
            files,
            exchange,
            alpn: alpn.to_vec(),
            live: Live::new(loaded),
        })
    }

    /// Reads all files anew. New connections get what is read, or, if anything is wrong, nothing changes. Connections that stand, go on.
    /// Reads small files: not on a thread that must not wait.
    ///
    /// # Errors
    /// As [`ServerTls::load`]; what was in force stays so.
    pub fn reload(&self) -> Result<Reload, TlsError> {
        self.live.reload(|| load(&self.files, self.exchange, &self.alpn))
    }

    /// Whether a file is another one than the one that is in force: by device, inode, size and times. Cheap enough for each minute. After
    /// a reload that failed it stays true until one succeeds.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.live.changed(self.files.paths())
    }

    /// The certificates in force.
    #[must_use]
    pub fn installed(&self) -> Installed {
        self.live.current().installed.clone()
    }

    /// Which key exchanges it takes part in.
    #[must_use]
    pub fn exchange(&self) -> KeyExchange {
        self.exchange
    }

    /// Does the handshake with a client, and knows who it is when this returns. `deadline` bounds all of it, from the first byte.
    ///
    /// # Errors
    /// [`HandshakeError`]; the client was sent an alert if there was somebody who would understand it.
    pub async fn accept<S>(&self, stream: S, deadline: Duration) -> Result<Accepted<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        tokio::time::timeout(deadline, self.handshake(stream))
            .await
            .unwrap_or_else(|_| Err(HandshakeError::timeout(Side::Server, deadline)))
    }

    async fn handshake<S>(&self, stream: S) -> Result<Accepted<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let failed = |error| HandshakeError::of(Side::Server, &error);
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(failed)?;
        let knows = hello
            .client_hello()
            .named_groups()
            .is_some_and(|groups| groups.contains(&NamedGroup::X25519MLKEM768));
        let loaded = self.live.current();
        let configs = &loaded.config;
        let config = match &configs.other {
            Some(other) if !knows => other,
            Some(_) | None => &configs.post_quantum,
        };
        let stream = hello.into_stream(Arc::clone(config)).await.map_err(failed)?;
        let connection = stream.get_ref().1;
        let impossible = |what: &str| HandshakeError::new(Side::Server, Refusal::Other, what);
        let own = connection.peer_certificates().and_then(<[_]>::first);
        let own = own.ok_or_else(|| impossible("the library let a client through without a certificate"))?;
        let identity = Identity::of(own).map_err(|error| impossible(&error.to_string()))?;
        let group = Group::of(connection).ok_or_else(|| impossible("the library took a group that was not offered"))?;
        let alpn = Alpn::negotiated(connection.alpn_protocol());
        Ok(Accepted {
            stream,
            identity,
            group,
            alpn,
        })
    }
}

impl ServerFiles {
    fn paths(&self) -> Paths<'_> {
        Paths {
            certificate: &self.certificate,
            key: &self.key,
            authorities: &self.client_ca,
        }
    }
}

fn load(files: &ServerFiles, exchange: KeyExchange, alpn: &[Alpn]) -> Result<Loaded<Configs>, TlsError> {
    let paths = files.paths();
    let stamps = paths.stamps();
    let material = Material::read(paths, Side::Server, now())?;
    let post_quantum = provider(KeyExchange::RequirePostQuantum);
    let clients = Arc::new(Clients::new(&material.authorities, &post_quantum)?);
    let own = CertifiedKey::from_der(material.chain, material.key, &post_quantum).map_err(|error| Material::refused(paths, &error))?;
    let own = Arc::new(SingleCertAndKey::from(own));
    let config = |exchange| -> Result<Arc<ServerConfig>, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider(exchange))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| TlsError::Library {
                what: "TLS 1.3".to_owned(),
                why: error.to_string(),
            })?;
        let mut config = builder
            .with_client_cert_verifier(Arc::clone(&clients) as _)
            .with_cert_resolver(Arc::clone(&own) as _);
        config.alpn_protocols = Alpn::list(alpn);
        // No resumption: a resumed session would not ask the CA that is in force now.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        Ok(Arc::new(config))
    };
    let other = match exchange {
        KeyExchange::Preferred => Some(config(KeyExchange::Preferred)?),
        KeyExchange::RequirePostQuantum => None,
    };
    Ok(Loaded {
        config: Configs {
            post_quantum: config(KeyExchange::RequirePostQuantum)?,
            other,
        },
        installed: material.installed,
        stamps,
    })
}
