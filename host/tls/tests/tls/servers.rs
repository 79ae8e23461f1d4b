//! The client's side: which servers it takes.

use crate::support::{DAY, Deployment, NODE, SERVER, meet_client, now};
use sigwarden_tls::ca::{self, Kind};
use sigwarden_tls::{Alpn, ClientFiles, ClientTls, HandshakeError, KeyExchange, Refusal, ServerFiles, ServerTls, TlsError};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn client(deployment: &Deployment, change: impl FnOnce(&mut ClientFiles)) -> ClientTls {
    let mut files = deployment.client_files("client");
    change(&mut files);
    ClientTls::load(files, KeyExchange::Preferred, &[Alpn::Http2]).unwrap()
}

#[tokio::test]
async fn a_server_is_known_by_any_of_its_names_and_by_no_other() {
    let deployment = Deployment::new();
    let server = deployment.server(KeyExchange::Preferred);
    for name in [SERVER, "SIGNER.example", "127.0.0.1"] {
        let (accepted, dialed) = meet_client(&server, &client(&deployment, |files| files.server_name = name.to_owned())).await;
        assert!(accepted.is_ok() && dialed.is_ok(), "{name}");
    }
    for name in ["other.example", "127.0.0.2"] {
        let (accepted, dialed) = meet_client(&server, &client(&deployment, |files| files.server_name = name.to_owned())).await;
        let error = dialed.expect_err("another name");
        assert_eq!(error.refusal(), Refusal::Name, "{error}");
        assert!(error.to_string().contains("set server_name to one of its names"), "{error}");
        assert_eq!(accepted.unwrap_err().refusal(), Refusal::Alert);
    }
}

#[tokio::test]
async fn a_server_of_another_ca_is_refused_and_learns_it() {
    let deployment = Deployment::new();
    ca::new(&deployment.path("other"), "tests", 30).unwrap();
    let other = client(&deployment, |files| files.ca = deployment.path("other").join(ca::CERTIFICATE));
    let (accepted, dialed) = meet_client(&deployment.server(KeyExchange::Preferred), &other).await;
    let error = dialed.expect_err("another CA");
    assert_eq!(error.refusal(), Refusal::UnknownCa, "{error}");
    assert!(error.to_string().contains("name the server's CA in ca"), "{error}");
    let told = accepted.unwrap_err();
    assert!(
        told.to_string().contains("it does not know the CA of this listener's certificate"),
        "{told}"
    );
}

#[tokio::test]
async fn a_client_learns_on_its_first_read_that_it_was_refused() {
    let deployment = Deployment::new();
    // The listener knows another CA's clients only.
    ca::new(&deployment.path("other"), "other", 30).unwrap();
    let files = ServerFiles {
        client_ca: deployment.path("other").join(ca::CERTIFICATE),
        ..deployment.server_files()
    };
    let server = Arc::new(ServerTls::load(files, KeyExchange::Preferred, &[Alpn::Http2]).unwrap());
    let (accepted, dialed) = meet_client(&server, &deployment.client("client")).await;
    assert_eq!(accepted.unwrap_err().refusal(), Refusal::UnknownCa);
    let error = dialed.unwrap().stream.read_u8().await.unwrap_err();
    // As a transport would wrap it.
    let wrapped = std::io::Error::other(Wrapped(error));
    let told = HandshakeError::within(&wrapped).unwrap();
    assert_eq!(told.refusal(), Refusal::Alert);
    assert!(
        told.to_string().contains("it does not know the CA of this client's certificate"),
        "{told}"
    );
    assert!(HandshakeError::within(&std::io::Error::other("something else")).is_none());
}

#[derive(Debug)]
struct Wrapped(std::io::Error);

impl std::fmt::Display for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("transport error")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[tokio::test]
async fn a_clients_certificate_is_no_servers() {
    let deployment = Deployment::new();
    let files = ServerFiles {
        certificate: deployment.path("client.crt"),
        key: deployment.path("client.key"),
        client_ca: deployment.ca_certificate(),
    };
    let error = ServerTls::load(files, KeyExchange::Preferred, &[]).unwrap_err();
    assert!(matches!(error, TlsError::Purpose { side: "server", .. }), "{error}");
    assert!(error.to_string().contains("`sigwarden certs issue server`"), "{error}");
    let mut files = deployment.client_files("server");
    files.server_name = SERVER.to_owned();
    let error = ClientTls::load(files, KeyExchange::Preferred, &[]).unwrap_err();
    assert!(matches!(error, TlsError::Purpose { side: "client", .. }), "{error}");
}

#[tokio::test]
async fn an_expired_server_is_refused_by_a_client_and_does_not_start() {
    let deployment = Deployment::new();
    let request = deployment.request(Kind::Server, &[SERVER], "ended");
    ca::issue_between(&deployment.ca(), &request, now() - 2 * DAY, now() - DAY).unwrap();
    let files = ServerFiles {
        certificate: deployment.path("ended.crt"),
        key: deployment.path("ended.key"),
        client_ca: deployment.ca_certificate(),
    };
    let error = ServerTls::load(files, KeyExchange::Preferred, &[]).unwrap_err();
    assert!(matches!(error, TlsError::Expired { .. }), "{error}");

    // A server that does not look at its own certificate.
    let chain = vec![crate::support::certificate(&deployment.path("ended.crt"))];
    let key = rustls::pki_types::pem::PemObject::from_pem_file(deployment.path("ended.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await.map(|_| ())
    });
    let dialed = deployment
        .client("client")
        .connect(TcpStream::connect(address).await.unwrap(), crate::support::PATIENCE)
        .await;
    assert_eq!(dialed.unwrap_err().refusal(), Refusal::Expired);
    assert!(serving.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_ends_at_the_deadline() {
    let deployment = Deployment::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let _silent = listener.accept().await.unwrap();
    let error = deployment
        .client("client")
        .connect(stream, Duration::from_secs(3))
        .await
        .unwrap_err();
    assert_eq!(error.refusal(), Refusal::Timeout);
}

#[tokio::test]
async fn a_port_without_tls_is_named_so() {
    let deployment = Deployment::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut plain, _) = listener.accept().await.unwrap();
    plain.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let error = deployment
        .client("client")
        .connect(stream, crate::support::PATIENCE)
        .await
        .unwrap_err();
    assert_eq!(error.refusal(), Refusal::NotTls);
    assert!(error.to_string().contains("is it the port of a listener with TLS?"), "{error}");
}

#[test]
fn a_server_name_that_is_none_does_not_start() {
    let deployment = Deployment::new();
    let mut files = deployment.client_files("client");
    files.server_name = "signer example".to_owned();
    let error = ClientTls::load(files, KeyExchange::Preferred, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"signer example\" is no server name; a DNS name or an IP address among the server certificate's names is wanted"
    );
}

#[tokio::test]
async fn a_clients_certificate_is_reloaded_too() {
    let deployment = Deployment::new();
    let (server, client) = (deployment.server(KeyExchange::Preferred), deployment.client("client"));
    let (accepted, _) = meet_client(&server, &client).await;
    assert_eq!(accepted.unwrap().identity.names, [NODE.parse().unwrap()]);
    deployment.issue(Kind::Client, &["node-z.example"], "fresh");
    deployment.replace("client", "fresh");
    assert!(client.changed());
    assert!(client.reload().unwrap().changed());
    assert!(!client.changed());
    let (accepted, _) = meet_client(&server, &client).await;
    assert_eq!(accepted.unwrap().identity.names, ["node-z.example".parse().unwrap()]);
}
