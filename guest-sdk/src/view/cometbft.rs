//! CometBFT's consensus messages.

use crate::bindings::sigwarden::policy::types::Request;
use crate::facts::FactError;

/// Where a consensus message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CometbftPosition<'a> {
    /// The chain it is for.
    pub chain_id: &'a str,
    /// The block's height.
    pub height: u64,
    /// The round at that height.
    pub round: u64,
    /// The step in that round.
    pub step: CometbftStep,
}

/// Steps of a round, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CometbftStep {
    /// A block is proposed.
    Proposal,
    /// First vote.
    Prevote,
    /// Second vote.
    Precommit,
}

/// A prevote or precommit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CometbftVote<'a> {
    /// Where it stands.
    pub position: CometbftPosition<'a>,
    /// What it is for.
    pub block: CometbftBlock<'a>,
    /// When it says it was made.
    pub timestamp: Timestamp,
    /// What is signed beside it.
    pub extension: VoteExtension<'a>,
}

/// What a vote is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CometbftBlock<'a> {
    /// No block in this round.
    Nil,
    /// The block with this hash.
    Hash(&'a [u8]),
}

/// What is signed beside a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoteExtension<'a> {
    /// Nothing.
    Absent,
    /// An extension with this content.
    Present(&'a [u8]),
}

/// When a message says it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timestamp {
    /// Before 1970, such as the zero time of Go.
    BeforeEpoch,
    /// At this time since the Unix epoch.
    At {
        /// Seconds.
        seconds: u64,
        /// Nanoseconds beside them.
        nanos: u64,
    },
}

/// A proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CometbftProposal<'a> {
    /// Where it stands.
    pub position: CometbftPosition<'a>,
    /// The proposed block.
    pub block_hash: &'a [u8],
    /// The round of its proof of lock.
    pub pol: PolRound,
    /// When it says it was made.
    pub timestamp: Timestamp,
}

/// The round in which a proposal's block had its proof of lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolRound {
    /// It had none.
    None,
    /// This one.
    Round(u64),
}

impl Request {
    /// Where the consensus message stands, of whatever kind it is.
    ///
    /// # Errors
    /// It is none, or a fact of it is missing or of another type.
    pub fn cometbft_position(&self) -> Result<CometbftPosition<'_>, FactError> {
        if !self.format.starts_with("cometbft/") {
            return Err(self.no("CometBFT message"));
        }
        let step = match self.text_fact("cometbft.step")? {
            "proposal" => CometbftStep::Proposal,
            "prevote" => CometbftStep::Prevote,
            "precommit" => CometbftStep::Precommit,
            _ => {
                return Err(FactError::Value {
                    name: "cometbft.step".to_owned(),
                    wanted: "proposal, prevote or precommit",
                });
            }
        };
        Ok(CometbftPosition {
            chain_id: self.text_fact("cometbft.chain-id")?,
            height: self.u64_fact("cometbft.height")?,
            round: self.u64_fact("cometbft.round")?,
            step,
        })
    }

    /// The vote that would be signed, with its extension if the format has one.
    ///
    /// # Errors
    /// It is none, or a fact of it is missing or of another type.
    pub fn cometbft_vote(&self) -> Result<CometbftVote<'_>, FactError> {
        let extension = match self.format.as_str() {
            "cometbft/vote" => VoteExtension::Absent,
            "cometbft/vote-extension" => VoteExtension::Present(self.bytes_fact("cometbft.extension")?),
            _ => return Err(self.no("CometBFT vote")),
        };
        let block = if self.bool_fact("cometbft.nil")? {
            CometbftBlock::Nil
        } else {
            CometbftBlock::Hash(self.bytes_fact("cometbft.block-hash")?)
        };
        Ok(CometbftVote {
            position: self.cometbft_position()?,
            block,
            timestamp: self.timestamp()?,
            extension,
        })
    }

    /// The proposal that would be signed.
    ///
    /// # Errors
    /// It is none, or a fact of it is missing or of another type.
    pub fn cometbft_proposal(&self) -> Result<CometbftProposal<'_>, FactError> {
        if self.format != "cometbft/proposal" {
            return Err(self.no("CometBFT proposal"));
        }
        let pol = if self.bool_fact("cometbft.has-pol")? {
            PolRound::Round(self.u64_fact("cometbft.pol-round")?)
        } else {
            PolRound::None
        };
        Ok(CometbftProposal {
            position: self.cometbft_position()?,
            block_hash: self.bytes_fact("cometbft.block-hash")?,
            pol,
            timestamp: self.timestamp()?,
        })
    }

    /// A time before 1970 has neither of the two facts.
    fn timestamp(&self) -> Result<Timestamp, FactError> {
        let (seconds, nanos) = ("cometbft.timestamp-seconds", "cometbft.timestamp-nanos");
        if self.fact(seconds).is_none() && self.fact(nanos).is_none() {
            return Ok(Timestamp::BeforeEpoch);
        }
        Ok(Timestamp::At {
            seconds: self.u64_fact(seconds)?,
            nanos: self.u64_fact(nanos)?,
        })
    }

    pub(crate) fn no(&self, wanted: &'static str) -> FactError {
        FactError::Format {
            format: self.format.clone(),
            wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_vote_is_for_a_block_or_for_nil() {
        let request = testing::cometbft_vote("precommit", 7, 1).build();
        let vote = request.cometbft_vote().unwrap();
        let position = CometbftPosition {
            chain_id: "test-chain",
            height: 7,
            round: 1,
            step: CometbftStep::Precommit,
        };
        assert_eq!(vote.position, position);
        assert_eq!(vote.block, CometbftBlock::Hash(&[0xab; 32]));
        assert_eq!(vote.extension, VoteExtension::Absent);
        assert_eq!(
            vote.timestamp,
            Timestamp::At {
                seconds: 1_700_000_000,
                nanos: 5
            }
        );
        let nil = testing::cometbft_vote("prevote", 7, 1)
            .boolean("cometbft.nil", true)
            .without("cometbft.block-hash");
        assert_eq!(nil.build().cometbft_vote().unwrap().block, CometbftBlock::Nil);
    }

    #[test]
    fn a_vote_that_should_have_a_block_hash_or_an_extension_and_has_none_is_an_error() {
        let headless = testing::cometbft_vote("prevote", 7, 1).without("cometbft.block-hash").build();
        assert!(matches!(headless.cometbft_vote(), Err(FactError::Missing { .. })));
        let mut bare = testing::cometbft_vote("precommit", 7, 1).build();
        bare.format = "cometbft/vote-extension".to_owned();
        assert!(matches!(bare.cometbft_vote(), Err(FactError::Missing { .. })));
        let half = testing::cometbft_vote("prevote", 7, 1).without("cometbft.timestamp-nanos").build();
        assert!(matches!(half.cometbft_vote(), Err(FactError::Missing { .. })));
        let strange = testing::cometbft_vote("commit", 7, 1).build();
        assert!(matches!(strange.cometbft_vote(), Err(FactError::Value { .. })));
    }

    #[test]
    fn a_proposal_has_a_proof_of_lock_or_none() {
        let request = testing::cometbft_proposal(9, 2).build();
        assert_eq!(request.cometbft_proposal().unwrap().pol, PolRound::None);
        assert!(matches!(request.cometbft_vote(), Err(FactError::Format { .. })));
        let locked = testing::cometbft_proposal(9, 2).boolean("cometbft.has-pol", true);
        assert!(matches!(locked.clone().build().cometbft_proposal(), Err(FactError::Missing { .. })));
        let locked = locked.u64("cometbft.pol-round", 1).build();
        assert_eq!(locked.cometbft_proposal().unwrap().pol, PolRound::Round(1));
    }
}
