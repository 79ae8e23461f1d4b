//! The handshake: station-to-station with X25519 and Ed25519.
//!
//! ```text
//! both    -> length || BytesValue(ephemeral public key)
//! secret   = X25519(own ephemeral secret key, the other's public key), not all zero
//! keys     = HKDF-SHA256(secret, no salt, "TENDERMINT_SECRET_CONNECTION_KEY_AND_CHALLENGE_GEN"), 96 bytes: whoever has the lower ephemeral public
//!            key receives with the first 32 and sends with the next 32; the last 32 are not used any more
//! challenge = merlin("TENDERMINT_SECRET_CONNECTION_TRANSCRIPT_HASH"; lower key, upper key, secret), 32 bytes
//! both    -> within frames: length || AuthSigMessage(identity's public key, its signature of the challenge)
//! ```

use super::frame::Cipher;
use super::{Identity, PeerId, SecretConnection};
use crate::wire::{AuthSigMessage, PublicKey, PublicKeySum};
use ed25519_dalek::{Signature, VerifyingKey};
use hkdf::Hkdf;
use merlin::Transcript;
use prost::Message as _;
use sha2::Sha256;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use x25519_dalek::{PublicKey as EphemeralPublic, SharedSecret, StaticSecret};
use zeroize::Zeroizing;

/// `length || tag of BytesValue.value || its length`: a message of 34 bytes, field 1 with 32.
const EPHEMERAL_HEAD: [u8; 3] = [34, 0x0a, 32];
const EPHEMERAL: usize = EPHEMERAL_HEAD.len() + 32;

/// An `AuthSigMessage` with an Ed25519 key has 102 bytes, so that its length prefix is one byte.
const AUTH_MAX: u8 = 127;

/// Why there is no SecretConnection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer took too long.
    #[error("the peer did not finish the handshake within {0:?}; a node answers one signer at a time, and may have another")]
    Slow(Duration),
    /// The stream failed or ended.
    #[error("the stream failed during the handshake: {0}")]
    Io(#[from] io::Error),
    /// What the peer sent first is no ephemeral key.
    #[error("the peer does not speak SecretConnection: its first bytes are {0}, 220a20 is right")]
    NoEphemeralKey(String),
    /// The peer's ephemeral key is a point of low order: whoever sends one wants a secret that others know.
    #[error("the peer's ephemeral key is a point of low order, which no honest peer has")]
    LowOrderPoint,
    /// The peer's authentication is malformed.
    #[error("the peer's authentication is malformed: {0}")]
    MalformedAuth(&'static str),
    /// The peer's signature of the challenge does not verify: somebody is in between.
    #[error("the peer's signature does not verify: it is not who it says, or somebody is in between")]
    WrongSignature,
    /// The peer's identity is our own: what we sent was sent back.
    #[error("the peer authenticates with this signer's own identity: it sent back what it was sent, and proves nothing")]
    OwnIdentity,
    /// The peer is another than the pinned one.
    #[error("the peer's id is {found}, {pinned} is pinned; CometBFT's own listener has a new one at each start of the node")]
    WrongPeer {
        /// Whom the address names.
        pinned: PeerId,
        /// Who it is.
        found: PeerId,
    },
    /// The operating system gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

impl<S: AsyncRead + AsyncWrite + Unpin> SecretConnection<S> {
    /// Makes a SecretConnection; both ends do the same. A connection from here is authenticated: by the pinned peer's identity, or by
    /// whichever identity the peer has.
    ///
    /// # Errors
    /// The peer does something else than the handshake, or is not `pinned`; or it takes longer than `limit`.
    pub async fn handshake(stream: S, identity: &Identity, pinned: Option<&PeerId>, limit: Duration) -> Result<Self, HandshakeError> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut_slice())?;
        let ephemeral = StaticSecret::from(*secret);
        match tokio::time::timeout(limit, with_ephemeral(stream, identity, pinned, ephemeral)).await {
            Ok(made) => made,
            Err(_) => Err(HandshakeError::Slow(limit)),
        }
    }
}

async fn with_ephemeral<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    identity: &Identity,
    pinned: Option<&PeerId>,
    ephemeral: StaticSecret,
) -> Result<SecretConnection<S>, HandshakeError> {
    let own = EphemeralPublic::from(&ephemeral);
    let other = exchange_ephemeral(&mut stream, &own).await?;
    let shared = ephemeral.diffie_hellman(&other);
    if !shared.was_contributory() {
        return Err(HandshakeError::LowOrderPoint);
    }
    let (receive, send) = ciphers(&shared, own.as_bytes() < other.as_bytes())?;
    let challenge = challenge(&own, &other, &shared);
    let mut connection = SecretConnection::new(stream, receive, send);
    connection.peer = exchange_auth(&mut connection, identity, &challenge).await?;
    match pinned {
        Some(pinned) if *pinned != connection.peer => Err(HandshakeError::WrongPeer {
            pinned: *pinned,
            found: connection.peer,
        }),
        Some(_) | None => Ok(connection),
    }
}

async fn exchange_ephemeral<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    own: &EphemeralPublic,
) -> Result<EphemeralPublic, HandshakeError> {
    let mut message = EPHEMERAL_HEAD.to_vec();
    message.extend_from_slice(own.as_bytes());
    stream.write_all(&message).await?;
    stream.flush().await?;
    let mut message = [0; EPHEMERAL];
    stream.read_exact(&mut message).await?;
    let (head, key) = message.split_at(EPHEMERAL_HEAD.len());
    match <[u8; 32]>::try_from(key) {
        Ok(key) if head == EPHEMERAL_HEAD => Ok(key.into()),
        Ok(_) | Err(_) => Err(HandshakeError::NoEphemeralKey(hex::encode(head))),
    }
}

/// For receiving and for sending.
fn ciphers(shared: &SharedSecret, own_is_lower: bool) -> Result<(Cipher, Cipher), HandshakeError> {
    let (lower, upper) = keys(shared.as_bytes())?;
    Ok(if own_is_lower {
        (Cipher::new(&lower), Cipher::new(&upper))
    } else {
        (Cipher::new(&upper), Cipher::new(&lower))
    })
}

/// A key for each direction.
type Keys = (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>);

/// The key that the lower end receives with, and the one that it sends with. The first 64 bytes of HKDF are the same, however many are asked for.
fn keys(shared: &[u8; 32]) -> Result<Keys, HandshakeError> {
    let mut lower = Zeroizing::new([0; 32]);
    let mut upper = Zeroizing::new([0; 32]);
    let mut both = Zeroizing::new([0; 64]);
    Hkdf::<Sha256>::new(None, shared)
        .expand(b"TENDERMINT_SECRET_CONNECTION_KEY_AND_CHALLENGE_GEN", both.as_mut_slice())
        .map_err(|error| io::Error::other(error.to_string()))?;
    let (first, second) = both.split_at(32);
    lower.copy_from_slice(first);
    upper.copy_from_slice(second);
    Ok((lower, upper))
}

fn challenge(own: &EphemeralPublic, other: &EphemeralPublic, shared: &SharedSecret) -> [u8; 32] {
    let mut transcript = Transcript::new(b"TENDERMINT_SECRET_CONNECTION_TRANSCRIPT_HASH");
    transcript.append_message(b"EPHEMERAL_LOWER_PUBLIC_KEY", own.as_bytes().min(other.as_bytes()));
    transcript.append_message(b"EPHEMERAL_UPPER_PUBLIC_KEY", own.as_bytes().max(other.as_bytes()));
    transcript.append_message(b"DH_SECRET", shared.as_bytes());
    let mut challenge = [0; 32];
    transcript.challenge_bytes(b"SECRET_CONNECTION_MAC", &mut challenge);
    challenge
}

async fn exchange_auth<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut SecretConnection<S>,
    identity: &Identity,
    challenge: &[u8; 32],
) -> Result<PeerId, HandshakeError> {
    let own = AuthSigMessage {
        pub_key: Some(PublicKey {
            sum: Some(PublicKeySum::Ed25519(identity.public_key().to_vec())),
        }),
        sig: identity.sign(challenge).to_vec(),
    };
    connection.write_all(&own.encode_length_delimited_to_vec()).await?;
    connection.flush().await?;

    let length = connection.read_u8().await?;
    if length > AUTH_MAX {
        return Err(HandshakeError::MalformedAuth("it is too long"));
    }
    let mut message = vec![0; length.into()];
    connection.read_exact(&mut message).await?;
    let message = AuthSigMessage::decode(message.as_slice()).map_err(|_| HandshakeError::MalformedAuth("it is no AuthSigMessage"))?;
    let Some(PublicKeySum::Ed25519(key)) = message.pub_key.and_then(|key| key.sum) else {
        return Err(HandshakeError::MalformedAuth("its key is not an Ed25519 key"));
    };
    let key = key.as_slice().try_into().ok().and_then(|key| VerifyingKey::from_bytes(key).ok());
    let key = key.ok_or(HandshakeError::MalformedAuth("its key is no point of Ed25519"))?;
    if key.to_bytes() == identity.public_key() {
        return Err(HandshakeError::OwnIdentity);
    }
    let signature = Signature::from_slice(&message.sig).map_err(|_| HandshakeError::MalformedAuth("its signature has not 64 bytes"))?;
    key.verify_strict(challenge, &signature)
        .map_err(|_| HandshakeError::WrongSignature)?;
    Ok(PeerId::of(&key))
}

#[cfg(test)]
mod tests;
