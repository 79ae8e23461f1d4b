//! CometBFT nodes that are dialled: one connection each, for ever, with `sigwarden-privval` in between.

use super::connection::Told;
use super::front::Front;
use crate::config::Privval;
use sigwarden_core::caller::Peer;
use sigwarden_core::pipeline::SignCall;
use sigwarden_core::{Format, Operation, Refusal, Scheme};
use sigwarden_privval::{Answered, Asked, Backoff, ConnectionError, Identity, Limits, PublicKey, dial, serve};
use sigwarden_telemetry::Metrics;
use sigwarden_telemetry::metrics::PeerKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// How often the log says that a node is still down.
const STILL_DOWN: Duration = Duration::from_secs(60);

/// How long a node may take to accept, and again for the handshake: one that wants a signer listens.
const DIAL: Duration = Duration::from_secs(3);

/// Dials a node until it is aborted.
pub(super) fn start(privval: Privval, front: Front, metrics: Arc<Metrics>) -> AbortHandle {
    let link = Link {
        privval,
        front,
        told_chain: Mutex::default(),
    };
    tokio::spawn(async move { link.keep(&metrics).await }).abort_handle()
}

struct Link {
    privval: Privval,
    front: Front,
    /// Lines about a node of another chain.
    told_chain: Mutex<Told>,
}

impl Link {
    async fn keep(&self, metrics: &Metrics) {
        let Privval { name, address, .. } = &self.privval;
        let gauge = metrics.peer(PeerKind::Privval, name);
        let mut backoff = Backoff::default();
        let mut told = Told::default();
        let (mut failures, mut comings, mut endings) = (Told::default(), Told::default(), Told::default());
        loop {
            let mut random = [0; 8];
            // Without randomness the identity could not be made either.
            let identity = getrandom::fill(&mut random).map_err(|error| error.to_string());
            let identity = identity.and_then(|()| Identity::ephemeral().map_err(|error| error.to_string()));
            let dialled = match identity {
                Ok(identity) => dial(address, &identity, DIAL).await.map_err(|error| error.to_string()),
                Err(error) => Err(error),
            };
            match dialled {
                Ok(stream) => {
                    gauge.up();
                    let node = stream.peer().map(ToString::to_string);
                    // A node may come and go many times a second.
                    if let Some(before) = comings.count() {
                        tracing::info!(node = %name, %address, id = node, before, "signing for the node; `before` more connections since the last line");
                    }
                    let limits = Limits {
                        idle: self.privval.idle,
                        ..Limits::default()
                    };
                    let note = |error: &sigwarden_privval::RequestError| {
                        if let Some(before) = told.count() {
                            tracing::error!(node = %name, before, "{error}; `before` more since the last line");
                        }
                    };
                    let ended = serve(stream, self.privval.dialect, limits, |asked| self.answer(asked), note).await;
                    if ended.answered > 0 {
                        failures = Told::default();
                        backoff.succeeded();
                    }
                    if matches!(ended.why, ConnectionError::Closed) {
                        gauge.closed();
                    } else {
                        gauge.failed();
                    }
                    // A beginning that was not told may have lasted for hours.
                    if let Some(before) = endings.count() {
                        tracing::warn!(node = %name, answered = ended.answered, before, "the connection ended: {}; it is dialled again; `before` more since the last line", ended.why);
                    }
                }
                Err(error) => {
                    gauge.failed();
                    // The first at once, then one a minute.
                    if let Some(before) = failures.count_every(STILL_DOWN) {
                        tracing::warn!(node = %name, %address, before, "{error}; it is dialled again, `before` more failures since the last line");
                    }
                }
            }
            tokio::time::sleep(backoff.wait(u64::from_ne_bytes(random))).await;
        }
    }

    async fn answer(&self, asked: Asked) -> Answered {
        let peer = Peer::Assigned(Arc::clone(&self.privval.client));
        match asked {
            Asked::PublicKey { chain_id } => match self.chain(Some(&chain_id)) {
                Ok(()) => self.public_key(peer).await,
                Err(refused) => refused,
            },
            Asked::Message { format, payload, chain_id } => match self.chain(Some(&chain_id)) {
                Ok(()) => self.sign(peer, format, payload).await,
                Err(refused) => refused,
            },
            Asked::RawBytes { sign_bytes, chain_id } => match self.chain(chain_id.as_deref()) {
                Ok(()) => self.sign(peer, Format::CometBftRawBytes, sign_bytes).await,
                Err(refused) => refused,
            },
        }
    }

    /// A node of another chain is given nothing, not even the public key.
    fn chain(&self, asked: Option<&str>) -> Result<(), Answered> {
        match asked {
            Some(asked) if asked != self.privval.chain_id => {
                let description = format!(
                    "the node is of chain `{}`, this connection of `{}`: see `[[privval]]` `{}`",
                    asked.escape_debug(),
                    self.privval.chain_id,
                    self.privval.name
                );
                let before = self.told_chain.lock().unwrap_or_else(PoisonError::into_inner).count();
                if let Some(before) = before {
                    tracing::warn!(before, "{description}; `before` more since the last line");
                }
                Err(Answered::Refused { description })
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn public_key(&self, peer: Peer) -> Answered {
        let readable = match self.front.public_key(peer, self.privval.key.clone()).await {
            Ok(readable) => readable,
            Err(refusal) => return refused(&refusal),
        };
        let key = &readable.key;
        let fits = match key.scheme {
            Scheme::Ed25519 => key.public_key.as_slice().try_into().ok().map(PublicKey::Ed25519),
            Scheme::Secp256k1Ecdsa => key.public_key.as_slice().try_into().ok().map(PublicKey::Secp256k1),
            Scheme::Secp256k1Schnorr | Scheme::MlDsa44 | Scheme::MlKem768 => None,
        };
        match fits {
            Some(public_key) => Answered::PublicKey(public_key),
            None => Answered::Refused {
                description: format!("{} is a key of {}, which CometBFT does not know", key.id, key.scheme),
            },
        }
    }

    async fn sign(&self, peer: Peer, format: Format, payload: Vec<u8>) -> Answered {
        let call = SignCall {
            operation: Operation::Sign.name().to_owned(),
            key: self.privval.key.clone(),
            format: format.name().to_owned(),
            scheme: String::new(),
            request_id: String::new(),
            payload,
            received: Instant::now(),
        };
        let signed = match self.front.sign(peer, call, None).await {
            Ok(signed) => signed,
            Err(refusal) => return refused(&refusal),
        };
        let mut signatures = signed.signatures.into_iter().map(|signature| signature.bytes);
        Answered::Signed {
            signature: signatures.next().unwrap_or_default(),
            extension_signature: signatures.next(),
            timestamp: signed.timestamp,
        }
    }
}

/// The node's log gets code and sentence: an old height's has the floor's own height in it.
fn refused(refusal: &Refusal) -> Answered {
    Answered::Refused {
        description: format!("{}: {}", refusal.code(), refusal.message),
    }
}
