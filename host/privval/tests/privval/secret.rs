//! SecretConnection against CometBFT's own.

use crate::peer::{Peer, Version};
use serde_json::json;
use sigwarden_privval::{HandshakeError, Identity, PeerId, SecretConnection};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(20);

struct Echo {
    peer: Peer,
    address: String,
    id: PeerId,
}

impl Echo {
    fn start() -> Self {
        let peer = Peer::start(Version::V0_38, &["echo"]);
        let line = peer.line();
        Self {
            address: line["address"].as_str().unwrap().trim_start_matches("tcp://").to_owned(),
            id: line["peer_id"].as_str().unwrap().parse().unwrap(),
            peer,
        }
    }

    async fn handshake(&self, identity: &Identity, pinned: &PeerId) -> Result<SecretConnection<TcpStream>, HandshakeError> {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        SecretConnection::handshake(stream, identity, Some(pinned), LIMIT).await
    }
}

#[tokio::test]
async fn cometbft_sends_back_what_it_got() {
    let echo = Echo::start();
    // Ephemeral keys decide who has the lower one: eight connections have either order but once in 128 runs.
    for round in 0..8 {
        let identity = Identity::from_seed(&[round; 32]);
        let mut connection = echo.handshake(&identity, &echo.id).await.unwrap();
        let line = echo.peer.line();
        let key = ed25519_dalek::SigningKey::from_bytes(&[round; 32]).verifying_key();
        assert_eq!(line["key"], json!(hex::encode(key.as_bytes())), "{line}");
        for size in [1, 1023, 1024, 1025, 4096, 20_000] {
            let data: Vec<u8> = (0..size).map(|index| (index % 253) as u8).collect();
            connection.write_all(&data).await.unwrap();
            connection.flush().await.unwrap();
            let mut read = vec![0; size];
            connection.read_exact(&mut read).await.unwrap();
            assert_eq!(read, data);
        }
        connection.shutdown().await.unwrap();
        drop(connection);
        assert_eq!(echo.peer.line()["do"], json!("closed"));
    }
}

#[tokio::test]
async fn another_id_than_cometbft_s_is_refused() {
    let echo = Echo::start();
    let identity = Identity::ephemeral().unwrap();
    let error = echo.handshake(&identity, &identity.peer_id()).await.err().unwrap();
    assert!(
        matches!(error, HandshakeError::WrongPeer { pinned, found } if pinned == identity.peer_id() && found == echo.id),
        "{error}"
    );
}
