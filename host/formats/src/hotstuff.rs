//! HotStuff proposals, votes and timeouts with QBIND's domain tags: fixed-width layouts, all integers big-endian. The layouts are
//! documented byte by byte in `docs/formats.md`.
//!
//! The payload is what is signed, unhashed.

use crate::facts;
use crate::reader::Reader;
use sigwarden_core::fact::{ConsensusMessage, Decoded, Fact, PayloadError, SigningInput, SigningInputs};
use sigwarden_core::floor::{MessageClass, Position};

/// What a proposal begins with.
pub const PROPOSAL_TAG: &str = "QBIND_PROPOSAL_V1";
/// What a vote begins with.
pub const VOTE_TAG: &str = "QBIND_VOTE_V1";
/// What a timeout begins with.
pub const TIMEOUT_TAG: &str = "QBIND_TIMEOUT_V1";

/// The highest quorum certificate that a proposer knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumCertificate {
    /// The view it was formed in; below the proposal's.
    pub view: u64,
    /// The block it certifies.
    pub block_hash: [u8; 32],
}

/// A proposal: tag, chain id, view, block hash, high QC, proposer id, epoch, suite id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The chain.
    pub chain_id: u64,
    /// The view; 0 is the genesis view.
    pub view: u64,
    /// The block proposed.
    pub block_hash: [u8; 32],
    /// The high QC; none at genesis.
    pub high_qc: Option<QuorumCertificate>,
    /// The leader.
    pub proposer_id: u64,
    /// The epoch.
    pub epoch: u64,
    /// The signature suite, 100 for ML-DSA-44.
    pub suite_id: u16,
}

/// A vote: tag, chain id, view, block hash, voter id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// The chain.
    pub chain_id: u64,
    /// The view; 0 is the genesis view.
    pub view: u64,
    /// The block voted for.
    pub block_hash: [u8; 32],
    /// The voter.
    pub voter_id: u64,
}

/// A timeout: tag, chain id, view, hash of the high QC, voter id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeout {
    /// The chain.
    pub chain_id: u64,
    /// The view that is given up; 0 is the genesis view.
    pub view: u64,
    /// The hash of the high QC; none if the voter knows none.
    pub high_qc_hash: Option<[u8; 32]>,
    /// The voter.
    pub voter_id: u64,
}

impl Proposal {
    /// Reads a whole payload.
    ///
    /// # Errors
    /// Another tag, cut short, bytes to spare, a QC flag other than 0 and 1, or a QC that is not of an earlier view.
    pub fn parse(payload: &[u8]) -> Result<Self, PayloadError> {
        let mut reader = Reader::after_tag("a HotStuff proposal", PROPOSAL_TAG, payload)?;
        let chain_id = reader.u64("chain_id")?;
        let view = reader.u64("view")?;
        let block_hash = reader.array("block_hash")?;
        let high_qc = if reader.flag("high_qc")? {
            Some(QuorumCertificate {
                view: reader.u64("qc_view")?,
                block_hash: reader.array("qc_block_hash")?,
            })
        } else {
            None
        };
        if let Some(qc) = high_qc.as_ref().filter(|qc| qc.view >= view) {
            return Err(PayloadError::Malformed(format!(
                "the high QC is of view {} and the proposal of view {view}; a QC's view is below",
                qc.view
            )));
        }
        let proposal = Self {
            chain_id,
            view,
            block_hash,
            high_qc,
            proposer_id: reader.u64("proposer_id")?,
            epoch: reader.u64("epoch")?,
            suite_id: reader.u16("suite_id")?,
        };
        reader.end()?;
        Ok(proposal)
    }

    /// The payload.
    #[must_use]
    pub fn sign_bytes(&self) -> Vec<u8> {
        let mut bytes = head(PROPOSAL_TAG, self.chain_id, self.view);
        bytes.extend(self.block_hash);
        match &self.high_qc {
            None => bytes.push(0),
            Some(qc) => {
                bytes.push(1);
                bytes.extend(qc.view.to_be_bytes());
                bytes.extend(qc.block_hash);
            }
        }
        bytes.extend(self.proposer_id.to_be_bytes());
        bytes.extend(self.epoch.to_be_bytes());
        bytes.extend(self.suite_id.to_be_bytes());
        bytes
    }
}

impl Vote {
    /// Reads a whole payload.
    ///
    /// # Errors
    /// Another tag, cut short, or bytes to spare.
    pub fn parse(payload: &[u8]) -> Result<Self, PayloadError> {
        let mut reader = Reader::after_tag("a HotStuff vote", VOTE_TAG, payload)?;
        let vote = Self {
            chain_id: reader.u64("chain_id")?,
            view: reader.u64("view")?,
            block_hash: reader.array("block_hash")?,
            voter_id: reader.u64("voter_id")?,
        };
        reader.end()?;
        Ok(vote)
    }

    /// The payload.
    #[must_use]
    pub fn sign_bytes(&self) -> Vec<u8> {
        let mut bytes = head(VOTE_TAG, self.chain_id, self.view);
        bytes.extend(self.block_hash);
        bytes.extend(self.voter_id.to_be_bytes());
        bytes
    }
}

impl Timeout {
    /// Reads a whole payload.
    ///
    /// # Errors
    /// Another tag, cut short, bytes to spare, or a QC flag other than 0 and 1.
    pub fn parse(payload: &[u8]) -> Result<Self, PayloadError> {
        let mut reader = Reader::after_tag("a HotStuff timeout", TIMEOUT_TAG, payload)?;
        let chain_id = reader.u64("chain_id")?;
        let view = reader.u64("view")?;
        let high_qc_hash = if reader.flag("high_qc_hash")? {
            Some(reader.array("high_qc_hash")?)
        } else {
            None
        };
        let timeout = Self {
            chain_id,
            view,
            high_qc_hash,
            voter_id: reader.u64("voter_id")?,
        };
        reader.end()?;
        Ok(timeout)
    }

    /// The payload.
    #[must_use]
    pub fn sign_bytes(&self) -> Vec<u8> {
        let mut bytes = head(TIMEOUT_TAG, self.chain_id, self.view);
        match &self.high_qc_hash {
            None => bytes.push(0),
            Some(hash) => {
                bytes.push(1);
                bytes.extend(hash);
            }
        }
        bytes.extend(self.voter_id.to_be_bytes());
        bytes
    }
}

fn head(tag: &str, chain_id: u64, view: u64) -> Vec<u8> {
    [tag.as_bytes(), &chain_id.to_be_bytes(), &view.to_be_bytes()].concat()
}

/// Decodes the payload of format `hotstuff/proposal`.
///
/// # Errors
/// As [`Proposal::parse`].
pub fn decode_proposal(payload: &[u8]) -> Result<Decoded, PayloadError> {
    let proposal = Proposal::parse(payload)?;
    let mut facts = head_facts(proposal.chain_id, proposal.view, Step::Proposal, proposal.proposer_id);
    facts.push(facts::bytes("hotstuff.block-hash", &proposal.block_hash));
    facts.push(facts::boolean("hotstuff.has-qc", proposal.high_qc.is_some()));
    if let Some(qc) = &proposal.high_qc {
        facts.push(facts::u64("hotstuff.qc-view", qc.view));
        facts.push(facts::bytes("hotstuff.qc-block-hash", &qc.block_hash));
    }
    facts.push(facts::u64("hotstuff.epoch", proposal.epoch));
    facts.push(facts::u64("hotstuff.suite-id", proposal.suite_id.into()));
    let message = ConsensusMessage {
        suite_id: Some(proposal.suite_id),
        epoch: Some(proposal.epoch),
        ..message(proposal.chain_id, proposal.view, Step::Proposal, proposal.proposer_id, payload)
    };
    Ok(decoded(facts, message, payload))
}

/// Decodes the payload of format `hotstuff/vote`.
///
/// # Errors
/// As [`Vote::parse`].
pub fn decode_vote(payload: &[u8]) -> Result<Decoded, PayloadError> {
    let vote = Vote::parse(payload)?;
    let mut facts = head_facts(vote.chain_id, vote.view, Step::Vote, vote.voter_id);
    facts.push(facts::bytes("hotstuff.block-hash", &vote.block_hash));
    let message = message(vote.chain_id, vote.view, Step::Vote, vote.voter_id, payload);
    Ok(decoded(facts, message, payload))
}

/// Decodes the payload of format `hotstuff/timeout`.
///
/// # Errors
/// As [`Timeout::parse`].
pub fn decode_timeout(payload: &[u8]) -> Result<Decoded, PayloadError> {
    let timeout = Timeout::parse(payload)?;
    let mut facts = head_facts(timeout.chain_id, timeout.view, Step::Timeout, timeout.voter_id);
    facts.push(facts::boolean("hotstuff.has-qc", timeout.high_qc_hash.is_some()));
    if let Some(hash) = &timeout.high_qc_hash {
        facts.push(facts::bytes("hotstuff.qc-hash", hash));
    }
    let message = message(timeout.chain_id, timeout.view, Step::Timeout, timeout.voter_id, payload);
    Ok(decoded(facts, message, payload))
}

/// The place of a message in its view ([`MessageClass::HotStuff`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Proposal,
    Vote,
    Timeout,
}

impl Step {
    fn number(self) -> u64 {
        match self {
            Self::Proposal => 1,
            Self::Vote => 2,
            Self::Timeout => 3,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Proposal => "proposal",
            Self::Vote => "vote",
            Self::Timeout => "timeout",
        }
    }
}

fn head_facts(chain_id: u64, view: u64, step: Step, validator_id: u64) -> Vec<Fact> {
    // Ten at most: one allocation.
    let mut facts = Vec::with_capacity(10);
    facts.push(facts::u64("hotstuff.chain-id", chain_id));
    facts.push(facts::u64("hotstuff.view", view));
    facts.push(facts::text("hotstuff.step", step.name()));
    facts.push(facts::u64("hotstuff.validator-id", validator_id));
    facts
}

/// The identity is the BLAKE3 of the payload, which has nothing that a retry may change.
fn message(chain_id: u64, view: u64, step: Step, validator_id: u64, payload: &[u8]) -> ConsensusMessage {
    ConsensusMessage {
        chain_id: chain_id.to_string(),
        class: MessageClass::HotStuff,
        position: Position([view, step.number(), 0]),
        identity: *blake3::hash(payload).as_bytes(),
        sign_bytes: payload.to_vec(),
        timestamp: None,
        extension: None,
        validator_id: Some(validator_id),
        suite_id: None,
        epoch: None,
    }
}

fn decoded(facts: Vec<Fact>, message: ConsensusMessage, payload: &[u8]) -> Decoded {
    Decoded {
        facts,
        inputs: SigningInputs::one(SigningInput::Message(payload.to_vec())),
        consensus: Some(message),
        role: None,
    }
}
