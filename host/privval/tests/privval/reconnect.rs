//! The ends of connections, and what follows them.

use crate::peer::Version;
use crate::signer::{Key, Running, listener};
use serde_json::json;
use sigwarden_privval::{Address, ConnectionError, DialError, Dialect, HandshakeError, Identity, dial};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_millis(200);

#[test]
fn a_signer_that_comes_back_is_taken_again() {
    let directory = tempfile::tempdir().unwrap();
    for unix in [Some(&directory), None] {
        let (mut peer, address) = listener(Version::V0_38, unix, &["-timeout", "1s"]);
        let running = Running::start(&address, Dialect::V0_38, Key::Ed25519);
        assert_eq!(peer.ask(&json!({"do": "ping"}))["ok"], json!(true));
        running.stop();
        let running = Running::start(&address, Dialect::V0_38, Key::Ed25519);
        // CometBFT notices with a ping of its own that the first connection is gone; until then its requests fail.
        let start = Instant::now();
        let mut answered = peer.ask(&json!({"do": "pubkey"}));
        while answered["ok"] != json!(true) && start.elapsed() < Duration::from_secs(30) {
            answered = peer.ask(&json!({"do": "pubkey"}));
        }
        assert_eq!(answered["key_type"], json!("ed25519"), "{answered}");
        peer.kill();
        let ended = running.ended();
        assert!(
            matches!(ended.why, ConnectionError::Closed | ConnectionError::Io(_)),
            "{}",
            ended.why
        );
        assert!(ended.answered > 0);
    }
}

#[tokio::test]
async fn where_nobody_listens_the_error_says_what_to_look_at() {
    let directory = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [format!("unix://{}/none.sock", directory.path().display()), format!("tcp://{free}")] {
        let address: Address = address.parse().unwrap();
        let error = dial(&address, &Identity::ephemeral().unwrap(), LIMIT).await.err().unwrap();
        assert!(matches!(error, DialError::Connect(_)), "{error}");
        assert!(error.to_string().contains("priv_validator_laddr"), "{error}");
    }
}

#[tokio::test]
async fn a_listener_that_answers_nobody_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address: Address = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
    let error = dial(&address, &Identity::ephemeral().unwrap(), LIMIT).await.err().unwrap();
    assert!(
        matches!(error, DialError::Handshake(HandshakeError::Slow(limit)) if limit == LIMIT),
        "{error}"
    );
}
