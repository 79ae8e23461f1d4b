//! From what the signer decided to the message that the node gets.

use crate::dialect::Dialect;
use crate::request::{Pending, RequestError};
use crate::wire::{self, Message, RemoteSignerError, Sum, Timestamp};
use sigwarden_core::fact::MessageTime;

/// Both of CometBFT's kinds of key sign with 64 bytes: Ed25519, and secp256k1 as r and s without a recovery id, s in the lower half.
const SIGNATURE_BYTES: usize = 64;

/// Bytes of an error's text at most: the node reads no more than 10 KiB, and writes it to its log.
const DESCRIPTION_MAX: usize = 1024;

/// The validator's public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicKey {
    /// 32 bytes.
    Ed25519([u8; 32]),
    /// Compressed, 33 bytes.
    Secp256k1([u8; 33]),
}

/// The caller's answer to an [`crate::Asked`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// To [`crate::Asked::PublicKey`].
    PublicKey(PublicKey),
    /// To the others.
    Signed {
        /// 64 bytes; of the vote, the proposal or the raw bytes.
        signature: Vec<u8>,
        /// 64 bytes; there if, and only if, the payload was a `cometbft/vote-extension`.
        extension_signature: Option<Vec<u8>>,
        /// The timestamp of what was signed, if that may be another than the one asked for: when an earlier signature is repeated. None is the
        /// one asked for.
        timestamp: Option<MessageTime>,
    },
    /// To any.
    Refused {
        /// Why, for the node's log: the refusal's code, its text, and for an old height the watermark. Cut to 1 KiB.
        description: String,
    },
}

/// `RemoteSignerError.code` in answers of Sigwarden. Stable; none is one of CometBFT's own, 0 to 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// Refused: [`Answered::Refused`].
    Refused = 16,
    /// The node's message is malformed.
    Malformed = 17,
    /// The node's message is of another dialect.
    WrongDialect = 18,
    /// The signer failed.
    Internal = 19,
}

impl From<MessageTime> for Timestamp {
    fn from(time: MessageTime) -> Self {
        Self {
            seconds: time.seconds,
            nanos: time.nanos,
        }
    }
}

impl RequestError {
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::WrongDialect { .. } => ErrorCode::WrongDialect,
            Self::Malformed { .. } => ErrorCode::Malformed,
            Self::UnfitAnswer { .. } => ErrorCode::Internal,
        }
    }
}

impl Pending {
    /// The response that carries an error.
    pub(crate) fn refuse(&self, code: ErrorCode, description: &str) -> Message {
        let end = description.floor_char_boundary(DESCRIPTION_MAX);
        let error = Some(RemoteSignerError {
            code: code as i32,
            description: description.get(..end).unwrap_or_default().to_owned(),
        });
        match self {
            Self::PublicKey => Sum::PubKeyResponse(wire::PubKeyResponse {
                error,
                ..Default::default()
            }),
            Self::Vote { .. } => Sum::SignedVoteResponse(wire::SignedVoteResponse { vote: None, error }),
            Self::Proposal(_) => Sum::SignedProposalResponse(wire::SignedProposalResponse { proposal: None, error }),
            Self::Raw => Sum::RawResponse(wire::RawResponse {
                signature: Vec::new(),
                error,
            }),
        }
        .into()
    }

    /// The response.
    ///
    /// # Errors
    /// The answer does not fit the question.
    pub(crate) fn respond(&self, dialect: Dialect, answered: Answered) -> Result<Message, RequestError> {
        let unfit = |wrong: &str| RequestError::UnfitAnswer {
            message: self.name(),
            wrong: wrong.to_owned(),
        };
        let (signature, extension_signature, timestamp) = match (self, answered) {
            (_, Answered::Refused { description }) => return Ok(self.refuse(ErrorCode::Refused, &description)),
            (Self::PublicKey, Answered::PublicKey(key)) => return Ok(public_key(dialect, key)),
            (Self::PublicKey, Answered::Signed { .. }) => return Err(unfit("a signature, to a question for the public key")),
            (Self::Vote { .. } | Self::Proposal(_) | Self::Raw, Answered::PublicKey(_)) => {
                return Err(unfit("a public key, to a question for a signature"));
            }
            (
                Self::Vote { .. } | Self::Proposal(_) | Self::Raw,
                Answered::Signed {
                    signature,
                    extension_signature,
                    timestamp,
                },
            ) => (signature, extension_signature, timestamp),
        };
        let wanted = matches!(self, Self::Vote { with_extension: true, .. });
        if extension_signature.is_some() != wanted {
            return Err(unfit("the extension's signature is there without an extension, or missing"));
        }
        let extension_signature = extension_signature.unwrap_or_default();
        if signature.len() != SIGNATURE_BYTES || (wanted && extension_signature.len() != SIGNATURE_BYTES) {
            return Err(unfit("a signature of another length than 64 bytes"));
        }
        let timestamp = timestamp.map(Timestamp::from);
        match self {
            // Without its questions answered above; nothing else is left of it.
            Self::PublicKey => Err(unfit("no public key")),
            Self::Vote { vote, .. } => {
                let mut vote = wire::Vote {
                    signature,
                    extension_signature,
                    ..(**vote).clone()
                };
                vote.timestamp = timestamp.or(vote.timestamp);
                Ok(Sum::SignedVoteResponse(wire::SignedVoteResponse {
                    vote: Some(vote),
                    error: None,
                })
                .into())
            }
            Self::Proposal(proposal) => {
                let mut proposal = wire::Proposal {
                    signature,
                    ..(**proposal).clone()
                };
                proposal.timestamp = timestamp.or(proposal.timestamp);
                Ok(Sum::SignedProposalResponse(wire::SignedProposalResponse {
                    proposal: Some(proposal),
                    error: None,
                })
                .into())
            }
            Self::Raw => Ok(Sum::RawResponse(wire::RawResponse { signature, error: None }).into()),
        }
    }
}

/// v1.x: `pub_key_type` and `pub_key_bytes`. Before: the oneof `tendermint.crypto.PublicKey`.
fn public_key(dialect: Dialect, key: PublicKey) -> Message {
    let response = match dialect {
        Dialect::V0_34 | Dialect::V0_38 | Dialect::Celestia => {
            let sum = match key {
                PublicKey::Ed25519(bytes) => wire::PublicKeySum::Ed25519(bytes.to_vec()),
                PublicKey::Secp256k1(bytes) => wire::PublicKeySum::Secp256k1(bytes.to_vec()),
            };
            wire::PubKeyResponse {
                pub_key: Some(wire::PublicKey { sum: Some(sum) }),
                ..Default::default()
            }
        }
        Dialect::V1 => {
            let (pub_key_type, pub_key_bytes) = match key {
                PublicKey::Ed25519(bytes) => ("ed25519", bytes.to_vec()),
                PublicKey::Secp256k1(bytes) => ("secp256k1", bytes.to_vec()),
            };
            wire::PubKeyResponse {
                pub_key_type: pub_key_type.to_owned(),
                pub_key_bytes,
                ..Default::default()
            }
        }
    };
    Sum::PubKeyResponse(response).into()
}
