//! A signer of one key in the test's own process: dials a listener and answers it, in a thread.

use crate::peer::{Peer, Version};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::json;
use sigwarden_core::fact::{Decoded, MessageTime, SigningInput};
use sigwarden_core::{Format, Scheme};
use sigwarden_privval::{Address, Answered, Asked, Backoff, Dialect, Ended, Identity, Limits, PublicKey, dial, serve};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

pub(crate) const CHAIN: &str = "test-chain";

/// A validator's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Ed25519,
    Secp256k1,
}

impl Key {
    pub(crate) fn public(self) -> PublicKey {
        match self {
            Self::Ed25519 => PublicKey::Ed25519(SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes()),
            Self::Secp256k1 => PublicKey::Secp256k1(secret().public_key().serialize()),
        }
    }

    fn scheme(self) -> Scheme {
        match self {
            Self::Ed25519 => Scheme::Ed25519,
            Self::Secp256k1 => Scheme::Secp256k1Ecdsa,
        }
    }

    fn sign(self, input: &SigningInput) -> Vec<u8> {
        match (self, input) {
            (Self::Ed25519, SigningInput::Message(message)) => SigningKey::from_bytes(&[7; 32]).sign(message).to_vec(),
            (Self::Secp256k1, SigningInput::Digest(digest)) => {
                let message = secp256k1::Message::from_digest(*digest);
                secp256k1::ecdsa::sign(message, &secret()).serialize_compact().to_vec()
            }
            (key, input) => panic!("{key:?} does not sign {input:?}"),
        }
    }

    fn sign_raw(self, bytes: &[u8]) -> Vec<u8> {
        use sha2::{Digest, Sha256};
        match self {
            Self::Ed25519 => self.sign(&SigningInput::Message(bytes.to_vec())),
            Self::Secp256k1 => self.sign(&SigningInput::Digest(Sha256::digest(bytes).into())),
        }
    }
}

fn secret() -> secp256k1::SecretKey {
    secp256k1::SecretKey::from_secret_bytes([7; 32]).unwrap()
}

/// What the pipeline would do, with one floor: decodes, refuses what is below, repeats what is the same.
pub(crate) struct Floor {
    key: Key,
    last: Option<(Decoded, Vec<u8>, Option<MessageTime>)>,
    /// Everything that was refused.
    pub(crate) refused: Vec<String>,
    /// How often an earlier signature was repeated.
    pub(crate) repeated: usize,
}

impl Floor {
    pub(crate) fn new(key: Key) -> Self {
        Self {
            key,
            last: None,
            refused: Vec::new(),
            repeated: 0,
        }
    }

    fn answer(&mut self, asked: &Asked) -> Answered {
        let answered = self.decide(asked);
        if let Answered::Refused { description } = &answered {
            self.refused.push(description.clone());
        }
        answered
    }

    fn decide(&mut self, asked: &Asked) -> Answered {
        match asked {
            Asked::PublicKey { .. } => Answered::PublicKey(self.key.public()),
            Asked::RawBytes { sign_bytes, .. } => Answered::Signed {
                signature: self.key.sign_raw(sign_bytes),
                extension_signature: None,
                timestamp: None,
            },
            Asked::Message { format, payload, .. } => self.sign(*format, payload),
        }
    }

    fn sign(&mut self, format: Format, payload: &[u8]) -> Answered {
        let decoded = match sigwarden_formats::decode(format, self.key.scheme(), payload) {
            Ok(decoded) => decoded,
            Err(error) => {
                return Answered::Refused {
                    description: error.to_string(),
                };
            }
        };
        let extension_signature = decoded.inputs.second.as_ref().map(|input| self.key.sign(input));
        let asked = decoded.consensus.as_ref().unwrap();
        if let Some((before, signature, timestamp)) = &self.last {
            let before = before.consensus.as_ref().unwrap();
            if asked.position < before.position {
                let watermark = before.position.0.map(|part| part.to_string()).join("/");
                return Answered::Refused {
                    description: format!("floor/regression: the watermark is {watermark}"),
                };
            }
            if asked.position == before.position && asked.identity != before.identity {
                return Answered::Refused {
                    description: "floor/conflict: another message was signed here".into(),
                };
            }
            if asked.position == before.position {
                self.repeated += 1;
                return Answered::Signed {
                    signature: signature.clone(),
                    extension_signature,
                    timestamp: *timestamp,
                };
            }
        }
        let signature = self.key.sign(&decoded.inputs.first);
        let timestamp = asked.timestamp;
        self.last = Some((decoded, signature.clone(), timestamp));
        Answered::Signed {
            signature,
            extension_signature,
            timestamp,
        }
    }
}

/// A signer that has dialled a listener.
pub(crate) struct Running {
    /// What was noted, and at the end how it ended.
    pub(crate) noted: Receiver<String>,
    ended: Option<std::thread::JoinHandle<Option<Ended>>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Running {
    /// Dials and serves one connection.
    pub(crate) fn start(address: &str, dialect: Dialect, key: Key) -> Self {
        let address: Address = address.parse().unwrap();
        let (sender, noted) = channel();
        let (stop, stopped) = oneshot::channel();
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut floor = Floor::new(key);
                let identity = Identity::ephemeral().unwrap();
                let stream = dial(&address, &identity, Duration::from_secs(20)).await.unwrap();
                let served = serve(
                    stream,
                    dialect,
                    Limits::default(),
                    |asked| std::future::ready(floor.answer(&asked)),
                    |error| sender.send(error.to_string()).unwrap(),
                );
                tokio::select! {
                    ended = served => Some(ended),
                    _ = stopped => None,
                }
            })
        });
        Self {
            noted,
            ended: Some(ended),
            stop: Some(stop),
        }
    }

    /// Waits for the connection's end.
    pub(crate) fn ended(mut self) -> Ended {
        self.ended.take().unwrap().join().unwrap().unwrap()
    }

    /// Closes the connection.
    pub(crate) fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.ended.take().unwrap().join().unwrap();
    }
}

/// A listener of this version, on a Unix socket in the directory or on TCP, and a signer that has dialled it.
pub(crate) fn connected(version: Version, unix: Option<&tempfile::TempDir>, dialect: Dialect, key: Key) -> (Peer, Running) {
    let (peer, address) = listener(version, unix, &[]);
    let running = Running::start(&address, dialect, key);
    (peer, running)
}

/// A listener and where it listens.
pub(crate) fn listener(version: Version, unix: Option<&tempfile::TempDir>, more: &[&str]) -> (Peer, String) {
    let listen = match unix {
        Some(directory) => format!("unix://{}/privval.sock", directory.path().display()),
        None => "tcp://127.0.0.1:0".into(),
    };
    let arguments = ["listener", "-listen", &listen, "-chain", CHAIN, "-accept", "20s"];
    let peer = Peer::start(version, &[&arguments, more].concat());
    let line = peer.line();
    assert_eq!(line["do"], json!("listen"), "{line}");
    let mut address = line["address"].as_str().unwrap().to_owned();
    if unix.is_none() {
        // The listener's own peer id, pinned.
        address = address.replace("tcp://", &format!("tcp://{}@", line["peer_id"].as_str().unwrap()));
    }
    (peer, address)
}

/// A signer that dials for ever, whatever ends its connections, until it is stopped. The floor is its ledger.
pub(crate) struct Forever {
    thread: Option<std::thread::JoinHandle<()>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Forever {
    pub(crate) fn start(address: &str, dialect: Dialect, floor: &Arc<Mutex<Floor>>) -> Self {
        let address: Address = address.parse().unwrap();
        let floor = Arc::clone(floor);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = again_and_again(&address, dialect, &floor) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            thread: Some(thread),
            stop: Some(stop),
        }
    }
}

impl Drop for Forever {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

async fn again_and_again(address: &Address, dialect: Dialect, floor: &Mutex<Floor>) {
    let identity = Identity::ephemeral().unwrap();
    let mut backoff = Backoff::default();
    loop {
        if let Ok(stream) = dial(address, &identity, Duration::from_secs(3)).await {
            let answer = |asked| std::future::ready(floor.lock().unwrap().answer(&asked));
            let ended = serve(stream, dialect, Limits::default(), answer, |error| panic!("{error}")).await;
            if ended.answered > 0 {
                backoff.succeeded();
            }
        }
        tokio::time::sleep(backoff.wait(0)).await;
    }
}
