//! What a node's message asks, in the dialect of its connection.

use crate::dialect::Dialect;
use crate::sign_bytes;
use crate::wire::{self, Message, RawRequest, Sum};
use sigwarden_core::Format;

/// What a node asks its signer; answered with an [`crate::Answered`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The validator's public key.
    PublicKey {
        /// The chain it is for. v0.34 to v1.x all send it.
        chain_id: String,
    },
    /// A vote, a proposal, or a precommit with its extension.
    Message {
        /// `cometbft/vote`, `cometbft/proposal`, or `cometbft/vote-extension`, which takes two signatures.
        format: Format,
        /// The payload of that format: sign bytes built from the message's fields, the chain id among them.
        payload: Vec<u8>,
        /// The chain id that the node names, which is the one in the payload.
        chain_id: String,
    },
    /// Bytes that are no consensus message, signed without a floor: `SignBytes` of v1.x, `SignRawBytes` of Celestia.
    RawBytes {
        /// What is signed. v1.x: the bytes as they came, any bytes at all. Celestia: `COMET::RAW_BYTES::SIGN` and the length-delimited request.
        sign_bytes: Vec<u8>,
        /// The chain id that the node names. v1.x names none, unless the bytes are laid out as Celestia's, which have one inside.
        chain_id: Option<String>,
    },
}

/// What is wrong with a request, or with what the caller answered to it. The node got an error with this text, and the connection goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A message that another dialect has.
    #[error(
        "the node sent a {message}, which dialect `{configured}` does not have: if the node is of `{right}`, set `privval.dialect = \"{right}\"` for it"
    )]
    WrongDialect {
        /// The message's name in its dialect, and what of it is another dialect's.
        message: &'static str,
        /// What the connection is set to.
        configured: Dialect,
        /// Whose message it is.
        right: Dialect,
    },
    /// A message that no sign bytes are of.
    #[error("{message}: {wrong}")]
    Malformed {
        /// The message's name.
        message: &'static str,
        /// Which field, what is in it, what would be right.
        wrong: String,
    },
    /// What the caller answered is no answer to the question.
    #[error("{message}: the signer has no fitting answer: {wrong}")]
    UnfitAnswer {
        /// The request's name.
        message: &'static str,
        /// What does not fit.
        wrong: String,
    },
}

/// What of a request the answer is made with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pending {
    PublicKey,
    Vote { vote: Box<wire::Vote>, with_extension: bool },
    Proposal(Box<wire::Proposal>),
    Raw,
}

impl Pending {
    /// The request's name in CometBFT.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::PublicKey => "PubKeyRequest",
            Self::Vote { .. } => "SignVoteRequest",
            Self::Proposal(_) => "SignProposalRequest",
            Self::Raw => "SignBytesRequest or SignRawBytesRequest",
        }
    }
}

/// What a message is to the signer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    Ping,
    Ask(Pending, Asked),
    Refuse(Pending, RequestError),
    /// A response, or a number that no dialect has: the peer is no node.
    None(&'static str),
}

impl Request {
    pub(crate) fn of(message: Message, dialect: Dialect) -> Self {
        match message.sum {
            Some(Sum::PingRequest(_)) => Self::Ping,
            Some(Sum::PubKeyRequest(request)) => Self::Ask(
                Pending::PublicKey,
                Asked::PublicKey {
                    chain_id: request.chain_id,
                },
            ),
            Some(Sum::SignVoteRequest(request)) => vote(request, dialect),
            Some(Sum::SignProposalRequest(request)) => proposal(request),
            Some(Sum::RawRequest(request)) => match raw(request, dialect) {
                Ok(asked) => Self::Ask(Pending::Raw, asked),
                Err(error) => Self::Refuse(Pending::Raw, error),
            },
            Some(Sum::PubKeyResponse(_)) => Self::None("a PubKeyResponse"),
            Some(Sum::SignedVoteResponse(_)) => Self::None("a SignedVoteResponse"),
            Some(Sum::SignedProposalResponse(_)) => Self::None("a SignedProposalResponse"),
            Some(Sum::PingResponse(_)) => Self::None("a PingResponse"),
            Some(Sum::RawResponse(_)) => Self::None("a SignBytesResponse or SignedRawBytesResponse"),
            None => Self::None("a message that is empty or of a number above 10"),
        }
    }
}

const VOTE: &str = "SignVoteRequest";
const PROPOSAL: &str = "SignProposalRequest";

fn malformed(message: &'static str, wrong: impl Into<String>) -> RequestError {
    RequestError::Malformed {
        message,
        wrong: wrong.into(),
    }
}

fn vote(request: wire::SignVoteRequest, dialect: Dialect) -> Request {
    let vote = request.vote.unwrap_or_default();
    match vote_payload(&vote, &request.chain_id, request.skip_extension_signing, dialect) {
        Ok((format, payload)) => {
            let asked = Asked::Message {
                format,
                payload,
                chain_id: request.chain_id,
            };
            let with_extension = format == Format::CometBftVoteExtension;
            Request::Ask(
                Pending::Vote {
                    vote: Box::new(vote),
                    with_extension,
                },
                asked,
            )
        }
        Err(error) => Request::Refuse(
            Pending::Vote {
                vote: Box::new(vote),
                with_extension: false,
            },
            error,
        ),
    }
}

/// A precommit for a block has an extension, an empty one too, unless the dialect has none or the node wants none (CometBFT,
/// `privval/file.go`, `signVote`).
fn vote_payload(vote: &wire::Vote, chain_id: &str, skip: bool, dialect: Dialect) -> Result<(Format, Vec<u8>), RequestError> {
    let wrong_dialect = |message, right| {
        Err(RequestError::WrongDialect {
            message,
            configured: dialect,
            right,
        })
    };
    if skip && dialect != Dialect::V1 {
        return wrong_dialect("SignVoteRequest with skip_extension_signing", Dialect::V1);
    }
    if !dialect.has_extensions() && !vote.extension.is_empty() {
        return wrong_dialect("SignVoteRequest with a vote extension", Dialect::V0_38);
    }
    let canonical = sign_bytes::vote(vote, chain_id).map_err(|wrong| malformed(VOTE, wrong))?;
    let extensible = vote.message_type == wire::PRECOMMIT && canonical.block_id.is_some();
    if !extensible && !vote.extension.is_empty() {
        return Err(malformed(VOTE, "`extension` is there; only a precommit for a block has one"));
    }
    if extensible && dialect.has_extensions() && !skip {
        return Ok((Format::CometBftVoteExtension, canonical.sign_bytes_with_extension(&vote.extension)));
    }
    Ok((Format::CometBftVote, canonical.sign_bytes()))
}

fn proposal(request: wire::SignProposalRequest) -> Request {
    let proposal = request.proposal.unwrap_or_default();
    match sign_bytes::proposal(&proposal, &request.chain_id) {
        Ok(canonical) => {
            let asked = Asked::Message {
                format: Format::CometBftProposal,
                payload: canonical.sign_bytes(),
                chain_id: request.chain_id,
            };
            Request::Ask(Pending::Proposal(Box::new(proposal)), asked)
        }
        Err(wrong) => Request::Refuse(Pending::Proposal(Box::new(proposal)), malformed(PROPOSAL, wrong)),
    }
}

/// The two messages of number 9 are told apart by their fields: v1.x has field 1 alone, Celestia all three.
fn raw(request: RawRequest, dialect: Dialect) -> Result<Asked, RequestError> {
    const V1: &str = "SignBytesRequest (message number 9 of v1)";
    const CELESTIA: &str = "SignRawBytesRequest (message number 9 of celestia)";
    let wrong_dialect = |message, right| {
        Err(RequestError::WrongDialect {
            message,
            configured: dialect,
            right,
        })
    };
    let celestia = !request.raw_bytes.is_empty() || !request.unique_id.is_empty();
    match dialect {
        Dialect::V0_34 | Dialect::V0_38 if celestia => wrong_dialect(CELESTIA, Dialect::Celestia),
        Dialect::V0_34 | Dialect::V0_38 => wrong_dialect(V1, Dialect::V1),
        Dialect::V1 if celestia => wrong_dialect(CELESTIA, Dialect::Celestia),
        Dialect::Celestia if !celestia && !request.value_or_chain_id.is_empty() => wrong_dialect(V1, Dialect::V1),
        Dialect::V1 if request.value_or_chain_id.is_empty() => Err(malformed(V1, "`value` is empty")),
        Dialect::V1 => Ok(Asked::RawBytes {
            chain_id: sign_bytes::chain_of_raw(&request.value_or_chain_id),
            sign_bytes: request.value_or_chain_id,
        }),
        Dialect::Celestia => {
            let (chain_id, sign_bytes) = sign_bytes::celestia_raw(&request).map_err(|wrong| malformed(CELESTIA, wrong))?;
            Ok(Asked::RawBytes {
                sign_bytes,
                chain_id: Some(chain_id),
            })
        }
    }
}
