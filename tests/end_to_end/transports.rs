//! Callers over mutual TLS; batches and streams; bounds of a client; health pages.

mod attacks;
mod certificates;

use crate::common::node;
use crate::peers_evm::free_port;
use hyper_util::rt::TokioIo;
use sigwarden::client::{CallError, Client};
use sigwarden::proto::sign_result::Result as Either;
use sigwarden::proto::signer_client::SignerClient;
use sigwarden_tests::payload::{ACCOUNT, ALLOWED, transfer};
use sigwarden_tests::{Node, caller, example};
use sigwarden_tls::{Alpn, ClientFiles, ClientTls, KeyExchange};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

const OUT: &str = "certs";

/// Runs a command of the binary that needs no deployment.
fn certs(arguments: &[&str]) {
    let output = std::process::Command::new(sigwarden_tests::binary().unwrap())
        .arg("certs")
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "certs {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A CA, a server's certificate and that of a caller of this name.
fn authority(dir: &Path, caller: &str) {
    let path = |name: &str| dir.join(name).display().to_string();
    certs(&["new", "--ca", &path("ca"), "--name", "test CA"]);
    certs(&[
        "issue",
        "server",
        "localhost",
        "127.0.0.1",
        "--ca",
        &path("ca"),
        "--out",
        &path("server"),
    ]);
    certs(&["issue", "client", caller, "--ca", &path("ca"), "--out", &path("client")]);
}

/// A daemon with a TLS listener, whose caller is `node-a.example`.
fn secured(port: u16, more: &str) -> Node {
    let rules = format!(
        r#"
[[listener]]
name = "signing"
kind = "grpc"
listen = "127.0.0.1:{port}"
certificate = "{OUT}/server.crt"
key = "{OUT}/server.key"
client_ca = "{OUT}/ca/ca.crt"

[[client]]
name = "node-a"
san = ["node-a.example"]
{more}
[[client.allow]]
keys = ["demo.*"]
operations = ["sign", "public-key"]

{}"#,
        example::OPEN
    );
    let node = Node::init(|config| example::with_rules(&config, &rules)).unwrap();
    std::fs::create_dir(node.dir().join(OUT)).unwrap();
    authority(&node.dir().join(OUT), "node-a.example");
    node
}

fn tls(certificates: &Path, authority: &Path) -> ClientTls {
    let files = ClientFiles {
        ca: authority.join("ca/ca.crt"),
        certificate: certificates.join("client.crt"),
        key: certificates.join("client.key"),
        server_name: "localhost".into(),
    };
    ClientTls::load(files, KeyExchange::Preferred, &[Alpn::Http2]).unwrap()
}

async fn connect(port: u16, tls: ClientTls) -> Result<Channel, tonic::transport::Error> {
    let tls = Arc::new(tls);
    let connector = tower::service_fn(move |_: tonic::transport::Uri| {
        let tls = Arc::clone(&tls);
        async move {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            let dialed = tls.connect(stream, Duration::from_secs(20)).await.map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(TokioIo::new(dialed.stream))
        }
    });
    Endpoint::from_static("http://localhost").connect_with_connector(connector).await
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn request(nonce: u64) -> sigwarden::proto::SignRequest {
    caller::request(ACCOUNT, "evm/eip-1559", transfer(nonce, Some(ALLOWED), 1).unsigned())
}

#[test]
fn a_certificates_name_is_the_caller_and_other_certificates_are_nobodys() {
    let port = free_port();
    let mut node = secured(port, "");
    node.start().unwrap();
    let own = node.dir().join(OUT);
    runtime().block_on(async {
        let mut client = Client::over(connect(port, tls(&own, &own)).await.unwrap());
        let signed = client.sign(request(1)).await.unwrap();
        assert_eq!(signed.signatures.len(), 1);
        // Another CA's certificate of the same name, and this CA's certificate of another name.
        let other = tempfile::tempdir().unwrap();
        authority(other.path(), "node-a.example");
        let mut client = Client::over(match connect(port, tls(other.path(), &own)).await {
            Ok(channel) => channel,
            Err(_) => return,
        });
        assert!(client.sign(request(2)).await.is_err(), "a certificate of another CA signed");
    });
    let stranger = node.dir().join("stranger");
    std::fs::create_dir(&stranger).unwrap();
    let (authority, out) = (own.join("ca").display().to_string(), stranger.join("client").display().to_string());
    certs(&["issue", "client", "node-b.example", "--ca", &authority, "--out", &out]);
    runtime().block_on(async {
        if let Ok(channel) = connect(port, tls(&stranger, &own)).await {
            assert!(
                Client::over(channel).sign(request(3)).await.is_err(),
                "a name that is no client's signed"
            );
        }
    });
    // No TLS at all.
    let mut plain = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.windows(4).any(|bytes| bytes == b"HTTP"), "{answer:?}");

    // Refusals become durable within a second.
    let begun = std::time::Instant::now();
    let (audit, at) = loop {
        let audit = node.audit(100).unwrap();
        let at = audit.iter().position(|line| line["body"]["code"] == "caller/unauthenticated");
        if let Some(at) = at {
            break (audit, at);
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{audit:#?}\n{}", node.log());
        std::thread::sleep(Duration::from_millis(50));
    };
    let decision = audit.iter().find(|line| line["kind"] == "decision").unwrap();
    assert_eq!(decision["body"]["caller"], "node-a");
    let refused = &audit[at];
    assert_eq!(refused["body"]["peer"], "certificate node-b.example", "{refused}");
    let log = node.log();
    assert!(log.contains("a handshake failed"), "{log}");
}

/// The same, running, with four places for connections on each listener.
fn with_four_places(port: u16) -> Node {
    let mut node = secured(port, "");
    let config = node.dir().join("sigwarden.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[limits]\nconnections = 4\nconnections_per_client = 4\n")).unwrap();
    node.start().unwrap();
    node
}

#[test]
fn connections_that_say_nothing_on_a_port_keep_nobody_from_the_socket() {
    let port = free_port();
    let node = with_four_places(port);
    let silent: Vec<_> = (0..16)
        .map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap())
        .collect();
    node.caller().unwrap().call(request(1)).unwrap();
    drop(silent);
}

#[test]
fn a_client_that_asks_too_often_is_refused_and_the_others_are_not() {
    let port = free_port();
    let mut node = secured(port, "requests_per_second = 2");
    node.start().unwrap();
    let own = node.dir().join(OUT);
    let refused = runtime().block_on(async {
        let mut client = Client::over(connect(port, tls(&own, &own)).await.unwrap());
        let requests = (0..3).map(request).collect();
        client.sign_batch(requests).await.unwrap_err()
    });
    assert_eq!(refused.refusal().unwrap().code, "caller/rate-limited");
    node.caller().unwrap().call(request(9)).unwrap();
}

#[test]
fn a_batch_has_a_verdict_for_each_in_order_and_one_durable_write() {
    let mut node = node();
    node.start().unwrap();
    let results = runtime().block_on(async {
        let mut client = Client::connect(&node.socket()).await.unwrap();
        let mut requests: Vec<_> = (0..20).map(request).collect();
        requests[7].key = "demo.unknown".into();
        client.sign_batch(requests).await.unwrap()
    });
    assert_eq!(results.len(), 20);
    let mut sequences = Vec::new();
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result.index, index as u64);
        match (index, result.result.as_ref().unwrap()) {
            (7, Either::Refused(refusal)) => assert_eq!(refusal.code, "caller/forbidden"),
            (_, Either::Signed(signed)) => sequences.push(signed.sequence),
            (index, other) => panic!("{index}: {other:?}"),
        }
    }
    // The refusal was recorded before; the decisions follow each other without a gap.
    let first = sequences[0];
    assert!(
        sequences
            .iter()
            .enumerate()
            .all(|(index, sequence)| *sequence == first + index as u64),
        "{sequences:?}"
    );
    let too_many = runtime().block_on(async {
        let mut client = Client::connect(&node.socket()).await.unwrap();
        client.sign_batch((0..257).map(request).collect()).await.unwrap_err()
    });
    assert_eq!(too_many.refusal().unwrap().code, "request/too-large");
}

#[test]
fn four_keys_of_a_slow_backend_are_waited_for_side_by_side() {
    let keys: String = (0..4)
        .map(|key| format!("[[key]]\nname = \"slow.k{key}\"\nroles = [\"account\"]\nscheme = \"secp256k1-ecdsa\"\nbackend = \"slow\"\n\n"))
        .collect();
    let slow = format!(
        "[[backend]]\nname = \"slow\"\nkind = \"mock-hsm\"\nscript = {{ seed = \"s\", faults = {{ latency_ms = 200 }} }}\n\n{keys}{}",
        example::OPEN
    );
    let mut node = Node::init(|config| example::with_rules(&config, &slow).replace("\"demo.*\"", "\"*\"")).unwrap();
    node.start().unwrap();
    let of = |key: usize| {
        let mut request = request(key as u64);
        request.key = format!("slow.k{key}");
        request
    };
    let micros = |node: &Node| {
        // How long the backend was waited for, by the record of each.
        let audit = node.audit(200).unwrap();
        let outcomes: Vec<_> = audit.into_iter().filter(|line| line["kind"] == "outcome").collect();
        outcomes.len()
    };
    let (batch, spent) = runtime().block_on(async {
        let mut client = Client::connect(&node.socket()).await.unwrap();
        let begun = std::time::Instant::now();
        let batch = client.sign_batch((0..4).map(of).collect()).await.unwrap();
        (batch, begun.elapsed())
    });
    assert!(
        batch.iter().all(|result| matches!(result.result, Some(Either::Signed(_)))),
        "{batch:?}"
    );
    // One after the other they take 800 ms at least, whatever the machine does.
    assert!(spent < Duration::from_millis(800), "{spent:?}");
    assert!(micros(&node) <= 4);
}

#[test]
fn a_stream_answers_each_by_its_index() {
    let mut node = node();
    node.start().unwrap();
    let socket = node.socket();
    let seen = runtime().block_on(async {
        let connector = tower::service_fn(move |_: tonic::transport::Uri| {
            let socket = socket.clone();
            async move { tokio::net::UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://sigwarden")
            .connect_with_connector(connector)
            .await
            .unwrap();
        let mut client = SignerClient::new(channel);
        let mut bad = request(1);
        bad.format = "evm/unheard-of".into();
        let requests = [request(0), bad, request(2), request(3)];
        let mut answers = client.sign_stream(tokio_stream::iter(requests)).await.unwrap().into_inner();
        let mut seen = std::collections::BTreeMap::new();
        while let Some(answer) = answers.message().await.unwrap() {
            seen.insert(answer.index, matches!(answer.result, Some(Either::Signed(_))));
        }
        seen
    });
    assert_eq!(
        seen,
        std::collections::BTreeMap::from([(0, true), (1, false), (2, true), (3, true)])
    );
}

fn get(port: u16, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn health_metrics_and_top_tell_what_happens() {
    let port = free_port();
    let metrics = format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n\n{}", example::OPEN);
    let mut node = Node::init(|config| example::with_rules(&config, &metrics)).unwrap();
    node.start().unwrap();
    let mut caller = node.caller().unwrap();
    caller.call(request(1)).unwrap();
    let refused = caller.call(caller::request(ACCOUNT, "raw-digest", vec![1; 32])).unwrap_err();
    assert!(matches!(refused, CallError::Refused(refusal) if refusal.code == "format/raw-not-allowed"));
    assert!(get(port, "/livez").starts_with("HTTP/1.1 200"));
    let ready = get(port, "/readyz");
    assert!(
        ready.starts_with("HTTP/1.1 200") && ready.contains("[+] ledger: ok") && ready.contains("[+] policies: ok"),
        "{ready}"
    );
    let page = get(port, "/metrics");
    for part in ["format/raw-not-allowed", "evm/eip-1559", "sigwarden_", "accounts"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    // The decision's durable write at least; the start's records may be in one before it.
    let writes = page
        .lines()
        .find_map(|line| line.strip_prefix("sigwarden_ledger_batch_records_count "));
    assert!(writes.is_some_and(|count| count.parse::<u64>().unwrap() >= 1), "{page}");
    let top = node.expect(&["top", "--once", "--interval", "0.2"]).unwrap();
    assert!(top.contains(ACCOUNT), "{top}");
}
