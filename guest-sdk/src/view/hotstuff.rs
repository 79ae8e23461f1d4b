//! HotStuff's consensus messages.

use crate::bindings::sigwarden::policy::types::Request;
use crate::facts::FactError;

/// Where a consensus message stands and who signs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HotstuffPosition {
    /// The chain it is for.
    pub chain_id: u64,
    /// The view.
    pub view: u64,
    /// The step in that view.
    pub step: HotstuffStep,
    /// The validator that proposes, votes or times out.
    pub validator_id: u64,
}

/// Steps of a view, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HotstuffStep {
    /// A block is proposed.
    Proposal,
    /// A vote for it.
    Vote,
    /// The view is given up.
    Timeout,
}

/// A proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HotstuffProposal<'a> {
    /// Where it stands.
    pub position: HotstuffPosition,
    /// The proposed block.
    pub block_hash: &'a [u8],
    /// The highest quorum certificate that the proposer knows.
    pub qc: HotstuffQc<'a>,
    /// The epoch.
    pub epoch: u64,
    /// The signature suite.
    pub suite_id: u64,
}

/// A proposal's quorum certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HotstuffQc<'a> {
    /// None yet.
    Absent,
    /// Of an earlier view.
    Present {
        /// The view.
        view: u64,
        /// The block that it certifies.
        block_hash: &'a [u8],
    },
}

/// A vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HotstuffVote<'a> {
    /// Where it stands.
    pub position: HotstuffPosition,
    /// The block voted for.
    pub block_hash: &'a [u8],
}

/// A timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HotstuffTimeout<'a> {
    /// Where it stands.
    pub position: HotstuffPosition,
    /// The hash of the highest quorum certificate that the voter knows, if it knows one.
    pub qc_hash: Option<&'a [u8]>,
}

impl Request {
    /// Where the consensus message stands, of whatever kind it is.
    ///
    /// # Errors
    /// It is none, or a fact of it is missing or of another type.
    pub fn hotstuff_position(&self) -> Result<HotstuffPosition, FactError> {
        if !self.format.starts_with("hotstuff/") {
            return Err(self.no("HotStuff message"));
        }
        let step = match self.text_fact("hotstuff.step")? {
            "proposal" => HotstuffStep::Proposal,
            "vote" => HotstuffStep::Vote,
            "timeout" => HotstuffStep::Timeout,
            _ => {
                return Err(FactError::Value {
                    name: "hotstuff.step".to_owned(),
                    wanted: "proposal, vote or timeout",
                });
            }
        };
        Ok(HotstuffPosition {
            chain_id: self.u64_fact("hotstuff.chain-id")?,
            view: self.u64_fact("hotstuff.view")?,
            step,
            validator_id: self.u64_fact("hotstuff.validator-id")?,
        })
    }

    /// The proposal that would be signed.
    ///
    /// # Errors
    /// It is none, or a fact of it is missing or of another type.
    pub fn hotstuff_proposal(&self) -> Result<HotstuffProposal<'_>, FactError> {
        if self.format != "hotstuff/proposal" {
            return Err(self.no("HotStuff proposal"));
        }
        let qc = if self.bool_fact("hotstuff.has-qc")? {
            HotstuffQc::Present {
                view: self.u64_fact("hotstuff.qc-view")?,
                block_hash: self.bytes_fact("hotstuff.qc-block-hash")?,
            }
        } else {
            HotstuffQc::Absent
        };
        Ok(HotstuffProposal {
            position: self.hotstuff_position()?,
            block_hash: self.bytes_fact("hotstuff.block-hash")?,
            qc,
            epoch: self.u64_fact("hotstuff.epoch")?,
            suite_id: self.u64_fact("hotstuff.suite-id")?,
        })
    }

    /// The vote that would be signed.
    ///
    /// # Errors
    /// It is none, or a fact of it is missing or of another type.
    pub fn hotstuff_vote(&self) -> Result<HotstuffVote<'_>, FactError> {
        if self.format != "hotstuff/vote" {
            return Err(self.no("HotStuff vote"));
        }
        Ok(HotstuffVote {
            position: self.hotstuff_position()?,
            block_hash: self.bytes_fact("hotstuff.block-hash")?,
        })
    }

    /// The timeout that would be signed.
    ///
    /// # Errors
    /// It is none, or a fact of it is missing or of another type.
    pub fn hotstuff_timeout(&self) -> Result<HotstuffTimeout<'_>, FactError> {
        if self.format != "hotstuff/timeout" {
            return Err(self.no("HotStuff timeout"));
        }
        let qc_hash = if self.bool_fact("hotstuff.has-qc")? {
            Some(self.bytes_fact("hotstuff.qc-hash")?)
        } else {
            None
        };
        Ok(HotstuffTimeout {
            position: self.hotstuff_position()?,
            qc_hash,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn each_message_has_its_view_and_no_other() {
        let vote = testing::hotstuff_vote(9).build();
        assert_eq!(
            vote.hotstuff_vote().unwrap(),
            HotstuffVote {
                position: HotstuffPosition {
                    chain_id: 7,
                    view: 9,
                    step: HotstuffStep::Vote,
                    validator_id: 3
                },
                block_hash: &[0xab; 32],
            }
        );
        assert!(vote.hotstuff_proposal().is_err() && vote.hotstuff_timeout().is_err());
        let proposal = testing::hotstuff_proposal(9).build();
        let read = proposal.hotstuff_proposal().unwrap();
        assert_eq!((read.qc, read.epoch, read.suite_id), (HotstuffQc::Absent, 1, 100));
        assert!(proposal.hotstuff_vote().is_err());
        let timeout = testing::hotstuff_timeout(9).build();
        assert_eq!(timeout.hotstuff_timeout().unwrap().qc_hash, None);
        assert!(testing::evm_transfer().build().hotstuff_position().is_err());
    }

    #[test]
    fn a_certificate_that_is_there_is_read_whole() {
        let with = testing::hotstuff_proposal(9).boolean("hotstuff.has-qc", true);
        assert!(with.clone().build().hotstuff_proposal().is_err(), "the flag without its facts");
        let with = with.u64("hotstuff.qc-view", 8).bytes("hotstuff.qc-block-hash", &[1; 32]).build();
        let qc = HotstuffQc::Present {
            view: 8,
            block_hash: &[1; 32],
        };
        assert_eq!(with.hotstuff_proposal().unwrap().qc, qc);
        let timeout = testing::hotstuff_timeout(9).boolean("hotstuff.has-qc", true);
        assert!(timeout.clone().build().hotstuff_timeout().is_err());
        let timeout = timeout.bytes("hotstuff.qc-hash", &[2; 32]).build();
        assert_eq!(timeout.hotstuff_timeout().unwrap().qc_hash, Some(&[2; 32][..]));
    }

    #[test]
    fn every_fact_of_a_vote_is_missed_when_it_is_gone() {
        let whole = testing::hotstuff_vote(9).build();
        for fact in &whole.facts {
            let mut request = whole.clone();
            request.facts.retain(|other| other.name != fact.name);
            assert!(matches!(request.hotstuff_vote(), Err(FactError::Missing { .. })), "{}", fact.name);
        }
        let strange = testing::hotstuff_vote(9).text("hotstuff.step", "commit").build();
        assert!(matches!(strange.hotstuff_vote(), Err(FactError::Value { .. })));
    }
}
