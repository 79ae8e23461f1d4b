//! A CA in a temporary directory, a listener, and clients that the library would not make.

use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use sigwarden_tls::ca::{self, IssuedName, Kind, Made, Request};
use sigwarden_tls::{Accepted, Alpn, ClientFiles, ClientTls, HandshakeError, KeyExchange, ServerFiles, ServerTls};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longer than any handshake here takes; the tests that reach a deadline bring their own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const SERVER: &str = "signer.example";
pub(crate) const NODE: &str = "node-a.example";
pub(crate) const DAY: u64 = 24 * 60 * 60;

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// A CA with a server's and a caller's certificate.
pub(crate) struct Deployment {
    dir: TempDir,
}

pub(crate) type Acceptance = JoinHandle<Result<Accepted<TcpStream>, HandshakeError>>;

impl Deployment {
    pub(crate) fn new() -> Self {
        let made = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        ca::new(&made.ca(), "tests", 30).unwrap();
        made.issue(Kind::Server, &[SERVER, "127.0.0.1"], "server");
        made.issue(Kind::Client, &[NODE], "client");
        made
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.path("ca")
    }

    pub(crate) fn ca_certificate(&self) -> PathBuf {
        self.ca().join(ca::CERTIFICATE)
    }

    pub(crate) fn request(&self, kind: Kind, names: &[&str], stem: &str) -> Request {
        Request {
            kind,
            names: names.iter().map(|name| name.parse::<IssuedName>().unwrap()).collect(),
            days: 7,
            out: self.path(stem),
        }
    }

    pub(crate) fn issue(&self, kind: Kind, names: &[&str], stem: &str) -> Made {
        ca::issue(&self.ca(), &self.request(kind, names, stem)).unwrap()
    }

    /// Takes the place of what is there, as an operator's `mv` would.
    pub(crate) fn replace(&self, stem: &str, by: &str) {
        for suffix in ["crt", "key"] {
            std::fs::rename(self.path(&format!("{by}.{suffix}")), self.path(&format!("{stem}.{suffix}"))).unwrap();
        }
    }

    pub(crate) fn server_files(&self) -> ServerFiles {
        ServerFiles {
            certificate: self.path("server.crt"),
            key: self.path("server.key"),
            client_ca: self.ca_certificate(),
        }
    }

    pub(crate) fn client_files(&self, stem: &str) -> ClientFiles {
        ClientFiles {
            ca: self.ca_certificate(),
            certificate: self.path(&format!("{stem}.crt")),
            key: self.path(&format!("{stem}.key")),
            server_name: SERVER.to_owned(),
        }
    }

    pub(crate) fn server(&self, exchange: KeyExchange) -> Arc<ServerTls> {
        Arc::new(ServerTls::load(self.server_files(), exchange, &[Alpn::Http2]).unwrap())
    }

    pub(crate) fn client(&self, stem: &str) -> ClientTls {
        ClientTls::load(self.client_files(stem), KeyExchange::Preferred, &[Alpn::Http2]).unwrap()
    }
}

/// Accepts one connection.
pub(crate) async fn listen(server: &Arc<ServerTls>, deadline: Duration) -> (SocketAddr, Acceptance) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Arc::clone(server);
    let accepting = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        server.accept(stream, deadline).await
    });
    (address, accepting)
}

/// What the server says to a client, and what the client got: its stream, or the first error that it saw.
pub(crate) async fn meet(
    server: &Arc<ServerTls>,
    client: &Raw,
) -> (
    Result<Accepted<TcpStream>, HandshakeError>,
    Result<TlsStream<TcpStream>, std::io::Error>,
) {
    let (address, accepting) = listen(server, PATIENCE).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let connected = TlsConnector::from(client.config())
        .connect(ServerName::try_from(SERVER).unwrap(), stream)
        .await;
    let accepted = accepting.await.unwrap();
    // The server's refusal comes after the client's handshake: the first read brings it.
    let connected = match (connected, &accepted) {
        (Ok(mut stream), Err(_)) => Err(stream.read_u8().await.expect_err("a refused client reads nothing")),
        (connected, _) => connected,
    };
    (accepted, connected)
}

/// Two sides of this crate.
pub(crate) async fn meet_client(
    server: &Arc<ServerTls>,
    client: &ClientTls,
) -> (
    Result<Accepted<TcpStream>, HandshakeError>,
    Result<sigwarden_tls::Dialed<TcpStream>, HandshakeError>,
) {
    let (address, accepting) = listen(server, PATIENCE).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let connected = client.connect(stream, PATIENCE).await;
    (accepting.await.unwrap(), connected)
}

/// A client by the library alone, as wrong as it is wanted.
pub(crate) struct Raw {
    pub(crate) ca: PathBuf,
    /// Certificate and key.
    pub(crate) own: Option<(PathBuf, PathBuf)>,
    pub(crate) version: &'static SupportedProtocolVersion,
    pub(crate) groups: Vec<&'static dyn SupportedKxGroup>,
    pub(crate) alpn: Vec<Vec<u8>>,
}

impl Raw {
    pub(crate) fn new(deployment: &Deployment, stem: Option<&str>) -> Self {
        let own = stem.map(|stem| (deployment.path(&format!("{stem}.crt")), deployment.path(&format!("{stem}.key"))));
        Self {
            ca: deployment.ca_certificate(),
            own,
            version: &rustls::version::TLS13,
            groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1],
            alpn: vec![b"h2".to_vec()],
        }
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        let provider = CryptoProvider {
            kx_groups: self.groups.clone(),
            ..default_provider()
        };
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.ca)).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[self.version])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.own {
            Some((own, key)) => {
                // Also with a key that is another's.
                let key = default_provider()
                    .key_provider
                    .load_private_key(PrivateKeyDer::from_pem_file(key).unwrap())
                    .unwrap();
                let own = rustls::sign::CertifiedKey::new(vec![certificate(own)], key);
                builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(own)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        Arc::new(config)
    }
}

pub(crate) fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

/// Runs openssl, which these tests do not do without.
pub(crate) fn openssl(arguments: &[&str]) -> Output {
    let ran = Command::new("openssl").args(arguments).stdin(Stdio::null()).output();
    ran.expect("the tests need openssl: apt-get install openssl")
}

/// Runs openssl, which must succeed.
pub(crate) fn openssl_done(arguments: &[&str]) -> String {
    let output = openssl(arguments);
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A client's certificate of the deployment's CA with any extensions, as this crate would never issue it.
pub(crate) fn issue_by_openssl(deployment: &Deployment, stem: &str, extensions: &str) {
    let path = |suffix: &str| deployment.path(&format!("{stem}.{suffix}")).to_str().unwrap().to_owned();
    let (key, request, out, file) = (path("key"), path("csr"), path("crt"), path("ext"));
    std::fs::write(&file, extensions).unwrap();
    let (ca, ca_key) = (deployment.ca().join(ca::CERTIFICATE), deployment.ca().join(ca::KEY));
    openssl_done(&[
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        &key,
        "-out",
        &request,
        "-subj",
        "/CN=node-a.example",
    ]);
    openssl_done(&[
        "x509",
        "-req",
        "-in",
        &request,
        "-out",
        &out,
        "-CA",
        ca.to_str().unwrap(),
        "-CAkey",
        ca_key.to_str().unwrap(),
        "-days",
        "7",
        "-extfile",
        &file,
    ]);
}
