//! Certificates that change or end while the daemon runs.

use super::{OUT, authority, connect, request, runtime, secured, tls};
use crate::peers_evm::free_port;
use rustix::process::Signal;
use sigwarden::client::Client;
use sigwarden_tests::Node;
use sigwarden_tls::ca;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Puts a CA of its own and its certificates in the place of those that are there.
fn replace(own: &Path) {
    let fresh = tempfile::tempdir().unwrap();
    authority(fresh.path(), "node-a.example");
    for file in ["server.crt", "server.key", "client.crt", "client.key", "ca/ca.crt"] {
        std::fs::copy(fresh.path().join(file), own.join(file)).unwrap();
    }
}

/// Waits until the daemon says that it took new ones, and signs over a connection that only they can make.
fn sign_with_the_new(node: &Node, port: u16, patience: Duration) {
    let begun = Instant::now();
    while !node.log().contains("new certificates") {
        assert!(begun.elapsed() < patience, "{}", node.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let own = node.dir().join(OUT);
    runtime().block_on(async {
        let mut client = Client::over(connect(port, tls(&own, &own)).await.unwrap());
        client.sign(request(1)).await.unwrap();
    });
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn new_certificates_are_taken_without_a_restart() {
    let port = free_port();
    let mut node = secured(port, "");
    let config = node.dir().join("sigwarden.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[limits]\nwatch_ms = 50\n")).unwrap();
    node.start().unwrap();
    let own = node.dir().join(OUT);
    let before = runtime().block_on(async { connect(port, tls(&own, &own)).await.is_ok() });
    assert!(before, "{}", node.log());
    replace(&own);
    sign_with_the_new(&node, port, Duration::from_secs(60));
}

/// A minute is the watch's default: only the signal can have been it.
#[test]
fn a_hangup_takes_new_certificates_at_once() {
    let port = free_port();
    let mut node = secured(port, "");
    node.start().unwrap();
    replace(&node.dir().join(OUT));
    node.signal(Signal::HUP).unwrap();
    sign_with_the_new(&node, port, Duration::from_secs(30));
}

#[test]
fn a_connection_ends_with_its_clients_certificate() {
    let port = free_port();
    let mut node = secured(port, "");
    let own = node.dir().join(OUT);
    let brief = tempfile::tempdir().unwrap();
    node.start().unwrap();
    let wanted = ca::Request {
        kind: ca::Kind::Client,
        names: vec!["node-a.example".parse().unwrap()],
        days: 1,
        out: brief.path().join("client"),
    };
    let ends = now() + 10;
    ca::issue_between(&own.join("ca"), &wanted, now() - 60, ends).unwrap();
    runtime().block_on(async {
        let mut client = Client::over(connect(port, tls(brief.path(), &own)).await.unwrap());
        client.sign(request(1)).await.unwrap();
        while !node.log().contains("its client's certificate has ended") {
            assert!(now() < ends + 20, "{}", node.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // Neither on the old connection nor on a new one.
        client.sign(request(2)).await.unwrap_err();
        // The client may know of the alert before the daemon has written of it.
        while !node.log().contains("handshake failed") {
            assert!(now() < ends + 30, "{}", node.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
}
