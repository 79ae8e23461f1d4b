//! CometBFT's sign bytes: prevotes and precommits, proposals, precommits with their vote extension, and an
//! application's prefixed raw bytes.
//!
//! The payload is what CometBFT calls sign bytes, a length-delimited canonical protobuf message. An Ed25519 key signs these bytes,
//! a secp256k1 key their SHA-256 (CometBFT, `crypto/secp256k1`).

mod message;
mod parse;
mod raw_bytes;

pub use message::{BlockId, MessageTime, Proposal, Vote, VoteExtension, VoteType};
pub use raw_bytes::{RawBytes, decode_raw_bytes};

use crate::facts;
use sha2::{Digest, Sha256};
use sigwarden_core::Scheme;
use sigwarden_core::fact::{ConsensusMessage, Decoded, Fact, PayloadError, SigningInput, SigningInputs};
use sigwarden_core::floor::{MessageClass, Position};

/// Stands before what an identity is the BLAKE3 of, so that it is the hash of nothing else.
const IDENTITY_DOMAIN: &[u8] = b"sigwarden/cometbft/identity/v1\0";

/// The place of a message in its round, as in CometBFT's `priv_validator_state.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Proposal,
    Prevote,
    Precommit,
}

impl Step {
    fn number(self) -> u64 {
        match self {
            Self::Proposal => 1,
            Self::Prevote => 2,
            Self::Precommit => 3,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Proposal => "proposal",
            Self::Prevote => "prevote",
            Self::Precommit => "precommit",
        }
    }
}

/// Decodes the payload of format `cometbft/vote`.
///
/// # Errors
/// It is no canonical sign bytes of a prevote or precommit, or yields no position.
pub fn decode_vote(scheme: Scheme, payload: &[u8]) -> Result<Decoded, PayloadError> {
    let vote = Vote::parse(payload)?;
    Ok(Decoded {
        facts: vote_facts(&vote),
        inputs: SigningInputs::one(input(scheme, payload)),
        consensus: Some(vote_message(vote, payload)),
        role: None,
    })
}

/// Decodes the payload of format `cometbft/proposal`.
///
/// # Errors
/// It is no canonical sign bytes of a proposal, or yields no position.
pub fn decode_proposal(scheme: Scheme, payload: &[u8]) -> Result<Decoded, PayloadError> {
    let proposal = Proposal::parse(payload)?;
    let mut facts = head_facts(&proposal.chain_id, proposal.height, proposal.round, Step::Proposal);
    facts.push(facts::bytes("cometbft.block-hash", &proposal.block_id.hash));
    facts.push(facts::boolean("cometbft.has-pol", proposal.pol_round.is_some()));
    if let Some(pol_round) = proposal.pol_round {
        facts.push(facts::u64("cometbft.pol-round", pol_round.into()));
    }
    timestamp_facts(&mut facts, proposal.timestamp);
    Ok(Decoded {
        facts,
        inputs: SigningInputs::one(input(scheme, payload)),
        consensus: Some(ConsensusMessage {
            class: MessageClass::CometBft,
            position: position(proposal.height, proposal.round, Step::Proposal),
            identity: identity(&proposal.body(None)),
            sign_bytes: payload.to_vec(),
            timestamp: Some(proposal.timestamp),
            extension: None,
            validator_id: None,
            suite_id: None,
            epoch: None,
            chain_id: proposal.chain_id,
        }),
        role: None,
    })
}

/// Decodes the payload of format `cometbft/vote-extension`: a precommit's sign bytes, then its extension's. Two signing inputs.
///
/// # Errors
/// It is not that, the two are not for one place, or the precommit is for nil, which has no extension.
pub fn decode_vote_extension(scheme: Scheme, payload: &[u8]) -> Result<Decoded, PayloadError> {
    let (vote, end) = Vote::parse_first(payload)?;
    if vote.vote_type != VoteType::Precommit || vote.block_id.is_none() {
        return Err(PayloadError::Malformed(
            "only a precommit for a block has a vote extension; send a prevote or a vote for nil as `cometbft/vote`".into(),
        ));
    }
    if end == payload.len() {
        return Err(PayloadError::Malformed(format!(
            "the precommit ends at byte {end} and no extension follows; send it alone as `cometbft/vote`"
        )));
    }
    let extension = VoteExtension::parse_last(payload, end)?;
    let same_place = extension.height == vote.height && extension.round == vote.round && extension.chain_id == vote.chain_id;
    if !same_place {
        return Err(PayloadError::Malformed(format!(
            "the extension at byte {end} is for `{}` {}/{}, the precommit for `{}` {}/{}; chain id, height and round must be the same",
            extension.chain_id, extension.height, extension.round, vote.chain_id, vote.height, vote.round
        )));
    }
    let (vote_bytes, extension_bytes) = payload.split_at_checked(end).unwrap_or((payload, &[]));
    let mut facts = vote_facts(&vote);
    facts.push(facts::bytes("cometbft.extension", &extension.extension));
    Ok(Decoded {
        facts,
        inputs: SigningInputs {
            first: input(scheme, vote_bytes),
            second: Some(input(scheme, extension_bytes)),
        },
        consensus: Some(ConsensusMessage {
            extension: Some(*blake3::hash(extension_bytes).as_bytes()),
            ..vote_message(vote, vote_bytes)
        }),
        role: None,
    })
}

fn step(vote: &Vote) -> Step {
    match vote.vote_type {
        VoteType::Prevote => Step::Prevote,
        VoteType::Precommit => Step::Precommit,
    }
}

fn vote_message(vote: Vote, sign_bytes: &[u8]) -> ConsensusMessage {
    ConsensusMessage {
        class: MessageClass::CometBft,
        position: position(vote.height, vote.round, step(&vote)),
        identity: identity(&vote.body(None)),
        sign_bytes: sign_bytes.to_vec(),
        timestamp: Some(vote.timestamp),
        extension: None,
        validator_id: None,
        suite_id: None,
        epoch: None,
        chain_id: vote.chain_id,
    }
}

fn position(height: u64, round: u32, step: Step) -> Position {
    Position([height, round.into(), step.number()])
}

/// `BLAKE3(IDENTITY_DOMAIN || the message, canonical, without its timestamp field and its length prefix)`.
fn identity(body_without_timestamp: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(IDENTITY_DOMAIN).update(body_without_timestamp);
    *hasher.finalize().as_bytes()
}

fn input(scheme: Scheme, sign_bytes: &[u8]) -> SigningInput {
    match scheme {
        // `decode` lets no ML-DSA, ML-KEM or Schnorr key come here; these would be right for the ones that sign.
        Scheme::Ed25519 | Scheme::MlDsa44 | Scheme::MlKem768 => SigningInput::Message(sign_bytes.to_vec()),
        Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr => SigningInput::Digest(Sha256::digest(sign_bytes).into()),
    }
}

fn vote_facts(vote: &Vote) -> Vec<Fact> {
    let mut facts = head_facts(&vote.chain_id, vote.height, vote.round, step(vote));
    facts.push(facts::boolean("cometbft.nil", vote.block_id.is_none()));
    if let Some(block_id) = &vote.block_id {
        facts.push(facts::bytes("cometbft.block-hash", &block_id.hash));
    }
    timestamp_facts(&mut facts, vote.timestamp);
    facts
}

fn head_facts(chain_id: &str, height: u64, round: u32, step: Step) -> Vec<Fact> {
    // Ten at most: one allocation.
    let mut facts = Vec::with_capacity(10);
    facts.push(facts::text("cometbft.chain-id", chain_id));
    facts.push(facts::u64("cometbft.height", height));
    facts.push(facts::u64("cometbft.round", round.into()));
    facts.push(facts::text("cometbft.step", step.name()));
    facts
}

/// A time before 1970, such as Go's zero time, yields no facts: they are unsigned.
fn timestamp_facts(facts: &mut Vec<Fact>, timestamp: MessageTime) {
    if let (Ok(seconds), Ok(nanos)) = (u64::try_from(timestamp.seconds), u64::try_from(timestamp.nanos)) {
        facts.push(facts::u64("cometbft.timestamp-seconds", seconds));
        facts.push(facts::u64("cometbft.timestamp-nanos", nanos));
    }
}
