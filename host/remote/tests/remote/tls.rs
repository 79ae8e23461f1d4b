//! Over mutual TLS: what is refused says what to mend, and new certificates are taken without a restart.

use crate::signer::Daemon;
use crate::world::{Front, VALIDATOR, digest_call, id, public_key, settings, verifies, vote, vote_call};
use sigwarden_core::Code;
use sigwarden_remote::{OpenError, Remote, RemoteBackend};
use sigwarden_tls::ca::{self, Kind, Request};
use sigwarden_tls::{Alpn, ClientFiles, ClientTls, KeyExchange, ServerFiles, ServerTls};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A CA with certificates for a daemon and a front.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let made = Self(tempfile::tempdir().unwrap());
        ca::new(&made.path("ca"), "tests", 30).unwrap();
        made.issue(Kind::Server, "signer.example", "server");
        made.issue(Kind::Client, "front.example", "client");
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn issue(&self, kind: Kind, name: &str, stem: &str) {
        let request = Request {
            kind,
            names: vec![name.parse().unwrap()],
            days: 7,
            out: self.path(stem),
        };
        ca::issue(&self.path("ca"), &request).unwrap();
    }

    fn certificate(&self) -> PathBuf {
        self.path("ca").join(ca::CERTIFICATE)
    }

    fn server(&self, client_ca: &Path) -> Arc<ServerTls> {
        let files = ServerFiles {
            certificate: self.path("server.crt"),
            key: self.path("server.key"),
            client_ca: client_ca.to_owned(),
        };
        Arc::new(ServerTls::load(files, KeyExchange::Preferred, &[Alpn::Http2]).unwrap())
    }

    fn client(&self, ca: &Path, server_name: &str) -> Arc<ClientTls> {
        let files = ClientFiles {
            ca: ca.to_owned(),
            certificate: self.path("client.crt"),
            key: self.path("client.key"),
            server_name: server_name.into(),
        };
        Arc::new(ClientTls::load(files, KeyExchange::Preferred, &[Alpn::Http2]).unwrap())
    }
}

fn remote(address: SocketAddr, tls: Arc<ClientTls>) -> Remote {
    Remote::Tls {
        address: address.to_string(),
        tls,
    }
}

/// Why a remote is down.
fn reason(remote: Remote) -> String {
    let front = Front::looked(settings(vec![remote]));
    let status = &front.backend.status()[0];
    assert!(!status.up);
    let refused = front.deployment.sign(digest_call(1, "")).unwrap_err();
    assert_eq!(refused.kind(), Code::BackendUnavailable);
    status.reason.clone().unwrap()
}

#[test]
fn votes_are_signed_over_mutual_tls_and_failed_over_to_another_port() {
    let authority = Authority::new();
    let daemons = [Daemon::new(), Daemon::new()];
    let tls = authority.client(&authority.certificate(), "signer.example");
    let remotes = daemons.iter().map(|daemon| {
        let address = daemon.on_port(0, authority.server(&authority.certificate()));
        remote(address, Arc::clone(&tls))
    });
    let front = Front::looked(settings(remotes.collect()));
    front.until(0, |status| status.up);
    for height in 2..6 {
        daemons[0].script([crate::signer::Fault::LoseReply]);
        let signed = front.deployment.sign(vote_call(height, 100, "")).unwrap();
        assert!(verifies(
            &public_key(VALIDATOR),
            &vote(height, 100).sign_bytes(),
            &signed.signatures[0].bytes
        ));
    }
    assert_eq!((daemons[0].seen().len(), daemons[1].seen().len()), (8, 0));
    daemons[0].stop();
    front.deployment.sign(vote_call(6, 100, "")).unwrap();
    assert_eq!((daemons[0].seen().len(), daemons[1].seen().len()), (8, 1));
}

#[test]
fn a_remote_of_another_ca_or_name_says_which_setting_to_look_at() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let daemon = Daemon::new();
    let address = daemon.on_port(0, authority.server(&authority.certificate()));
    let told = reason(remote(address, authority.client(&stranger.certificate(), "signer.example")));
    assert!(told.contains("another CA") && told.contains("ca"), "{told}");
    let told = reason(remote(address, authority.client(&authority.certificate(), "other.example")));
    assert!(told.contains("server_name"), "{told}");
    assert_eq!(daemon.seen(), []);
}

#[test]
fn a_front_that_the_remote_does_not_know_is_told_so_by_the_first_answer() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let daemon = Daemon::new();
    // The remote takes clients of its own CA only.
    let address = daemon.on_port(0, authority.server(&authority.certificate()));
    let told = reason(remote(address, stranger.client(&authority.certificate(), "signer.example")));
    // The alert, or, if the remote's reset of the connection overtakes it, where to look for it.
    let said = told.contains("does not know the CA of this client's certificate");
    assert!(said || told.contains("if it does not take this deployment's certificate"), "{told}");
    assert_eq!(daemon.clients(), Vec::<String>::new());
}

#[test]
fn what_listens_there_and_is_no_sigwarden_is_named() {
    use std::io::{Read, Write};
    let authority = Authority::new();
    let tls = || authority.client(&authority.certificate(), "signer.example");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            // Closed with something unread it would be reset.
            open.push(stream);
        }
    });
    let told = reason(remote(address, tls()));
    assert!(told.contains("what came is not TLS"), "{told}");
    // A port where nobody listens.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let told = reason(remote(free, tls()));
    assert!(told.contains("cannot connect") && told.contains("is the daemon running"), "{told}");
}

#[test]
fn new_certificates_are_taken_for_new_connections_without_losing_a_request() {
    let authority = Authority::new();
    let daemon = Daemon::new();
    let address = daemon.on_port(0, authority.server(&authority.certificate()));
    let tls = authority.client(&authority.certificate(), "signer.example");
    let front = Front::looked(settings(vec![remote(address, Arc::clone(&tls))]));
    front.deployment.sign(vote_call(2, 100, "")).unwrap();
    let before = front.backend.certificates()[0].1.certificate.fingerprint.to_string();
    assert!(!front.backend.certificates_changed());
    assert!(daemon.clients().iter().all(|client| *client == before));
    // Nothing changed: nothing is dropped.
    let reloaded = front.backend.reload();
    assert!(!reloaded[0].outcome.as_ref().unwrap().changed());
    assert_eq!(reloaded[0].remotes, [address.to_string()]);

    authority.issue(Kind::Client, "front.example", "next");
    for suffix in ["crt", "key"] {
        std::fs::rename(
            authority.path(&format!("next.{suffix}")),
            authority.path(&format!("client.{suffix}")),
        )
        .unwrap();
    }
    assert!(front.backend.certificates_changed());
    assert!(front.backend.reload()[0].outcome.as_ref().unwrap().changed());
    let after = front.backend.certificates()[0].1.certificate.fingerprint.to_string();
    assert_ne!(before, after);
    front.deployment.sign(vote_call(3, 100, "")).unwrap();
    front.until(0, |status| status.connections == 2);
    let clients = daemon.clients();
    assert!(clients.iter().rev().take(2).all(|client| *client == after), "{clients:?}");
    assert_eq!(front.backend.status()[0].counts.lost, 0);

    // What cannot be read changes nothing.
    std::fs::write(authority.path("client.crt"), "nonsense").unwrap();
    assert!(front.backend.reload()[0].outcome.is_err());
    front.deployment.sign(vote_call(4, 100, "")).unwrap();
}

#[test]
fn an_address_is_host_and_port() {
    let authority = Authority::new();
    let tls = authority.client(&authority.certificate(), "signer.example");
    for wrong in [
        "signer.example",
        "signer.example:",
        "signer.example:0",
        "signer.example:70000",
        ":9443",
        "https://signer.example:9443",
        "2001:db8::5:9443",
        "me@signer.example:9443",
        "a b:9443",
        &format!("{}:9443", "a".repeat(300)),
    ] {
        let remote = Remote::Tls {
            address: wrong.into(),
            tls: Arc::clone(&tls),
        };
        let refused = RemoteBackend::open(settings(vec![remote]));
        assert!(matches!(refused, Err(OpenError::Settings(_))), "{wrong}");
    }
    for right in ["localhost:1", "[::1]:1", "127.0.0.1:1"] {
        let remote = Remote::Tls {
            address: right.into(),
            tls: Arc::clone(&tls),
        };
        let backend = RemoteBackend::open(settings(vec![remote])).unwrap();
        assert!(backend.public_key(&id(VALIDATOR)).unwrap_err().is_passing(), "{right}");
    }
}
