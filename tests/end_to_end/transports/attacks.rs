//! Clients that send what they should not, say nothing, read nothing, or take all there is: bounded, closed, and the others are served.

use super::{OUT, connect, request, runtime, secured, tls, with_four_places};
use crate::common::node;
use crate::peers_evm::free_port;
use sigwarden::client::Client;
use sigwarden::proto::sign_result::Result as Either;
use sigwarden_tests::{Node, example};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// HTTP/2's connection preface and empty SETTINGS (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// PING (§6.7), with and without ACK.
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\x0012345678";
const PING_ACK: &[u8] = b"\0\0\x08\x06\x01\0\0\0\x0012345678";

fn greeted(node: &Node) -> UnixStream {
    let mut stream = UnixStream::connect(node.socket()).unwrap();
    stream.write_all(PREFACE).unwrap();
    stream
}

/// h2 has a line at `warn` for each of them: in three seconds one connection wrote 170 MB.
#[test]
fn frames_that_nobody_asked_for_do_not_fill_the_log() {
    let mut node = node();
    node.start().unwrap();
    let mut stream = greeted(&node);
    let before = node.log().lines().count();
    for _ in 0..100 {
        stream.write_all(&PING_ACK.repeat(100)).unwrap();
    }
    // They were read: what follows them is answered.
    stream.write_all(PING).unwrap();
    let mut seen = Vec::new();
    while !seen.windows(PING_ACK.len()).any(|frame| frame == PING_ACK) {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "it was closed: {}", node.log());
        seen.extend_from_slice(&bytes[..read]);
    }
    node.caller().unwrap().call(request(1)).unwrap();
    let lines = node.log().lines().count() - before;
    assert!(lines < 20, "{lines} lines: {}", node.log().chars().take(2000).collect::<String>());
}

#[test]
fn a_client_that_reads_nothing_is_hung_up_on() {
    let mut node = node();
    node.start().unwrap();
    let mut stream = greeted(&node);
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let begun = Instant::now();
    let closed = loop {
        assert!(begun.elapsed() < Duration::from_secs(200), "it is open still");
        match stream.write_all(&PING.repeat(64)) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => break error.kind(),
        }
    };
    assert!(matches!(closed, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{closed}");
    node.caller().unwrap().call(request(1)).unwrap();
}

#[test]
fn connections_that_say_nothing_keep_no_client_from_the_port() {
    let port = free_port();
    let node = with_four_places(port);
    let own = node.dir().join(OUT);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let attack = scope.spawn(|| {
            // Each is opened anew when the daemon has closed it. Waiting for one another in front of four places they would take minutes.
            let mut silent: Vec<TcpStream> = Vec::new();
            while !over.load(Ordering::SeqCst) {
                silent.retain(|stream| {
                    stream.set_nonblocking(true).unwrap();
                    matches!((&*stream).read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
                });
                while silent.len() < 64 {
                    silent.push(TcpStream::connect(("127.0.0.1", port)).unwrap());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        std::thread::sleep(Duration::from_millis(500));
        let signed = runtime().block_on(async {
            let signing = async {
                let mut client = Client::over(connect(port, tls(&own, &own)).await.map_err(|error| error.to_string())?);
                client.sign(request(1)).await.map_err(|error| error.to_string())
            };
            tokio::time::timeout(Duration::from_secs(60), signing).await
        });
        over.store(true, Ordering::SeqCst);
        attack.join().unwrap();
        assert_eq!(signed.expect("a client waited for a minute").unwrap().signatures.len(), 1);
    });
}

#[test]
fn one_clients_batches_leave_the_others_a_place() {
    let port = free_port();
    let slow = r#"[[backend]]
name = "slow"
kind = "mock-hsm"
script = { seed = "s", faults = { latency_ms = 2000 } }

[[key]]
name = "demo.slow"
roles = ["account"]
scheme = "secp256k1-ecdsa"
backend = "slow"

"#;
    let mut node = secured(port, "");
    let config = node.dir().join("sigwarden.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replacen("[[listener]]", &format!("{slow}[[listener]]"), 1)).unwrap();
    node.start().unwrap();
    let own = node.dir().join(OUT);
    let of_slow = |nonce| {
        let mut request = request(nonce);
        request.key = "demo.slow".into();
        request
    };
    runtime().block_on(async {
        let channel = connect(port, tls(&own, &own)).await.unwrap();
        let greedy: Vec<_> = (0..20)
            .map(|nonce| {
                let mut client = Client::over(channel.clone());
                let batch = vec![of_slow(nonce)];
                tokio::spawn(async move { client.sign_batch(batch).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut other = Client::connect(&node.socket()).await.unwrap();
        // One after the other in front of four places it would wait for ten seconds, twice as long as a request may.
        let results = other.sign_batch(vec![request(100)]).await.unwrap();
        assert!(matches!(results[0].result, Some(Either::Signed(_))), "{results:?}");
        let mut full = 0;
        for one in greedy {
            match one.await.unwrap() {
                Ok(results) => assert!(matches!(results[0].result, Some(Either::Signed(_))), "{results:?}"),
                Err(error) => {
                    assert_eq!(error.refusal().unwrap().code, "busy/queue-full");
                    full += 1;
                }
            }
        }
        assert!((1..=17).contains(&full), "{full} of 20 found no place");
    });
}

#[test]
fn a_body_that_cannot_be_read_is_told_from_one_that_is_too_large() {
    let port = free_port();
    let listener = format!(
        "[[listener]]\nname = \"rpc\"\nkind = \"json-rpc\"\nlisten = \"127.0.0.1:{port}\"\nchain_id = 1337\nclient = \"operator\"\n\n{}",
        example::OPEN
    );
    let mut node = Node::init(|config| example::with_rules(&config, &listener)).unwrap();
    node.start().unwrap();
    let status = |rest: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        // The daemon may answer before all of it was sent.
        let _ = write!(
            stream,
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{rest}"
        );
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(
        status("Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nno number\r\n"),
        "HTTP/1.1 400 Bad Request"
    );
    let large = "7".repeat(2 * 1024 * 1024);
    let chunked = format!(
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n",
        large.len()
    );
    assert_eq!(status(&chunked), "HTTP/1.1 413 Payload Too Large");
}
