//! Typed views of a request. What a format may or may not have is a variant, so that a policy says what it thinks of each case; a
//! fact that should be there and is not is an error.

mod carries;
mod cometbft;
mod erc20;
mod evm;
mod hotstuff;
mod messages;
mod raw;
mod raw_bytes;
mod tagged;

pub use carries::{Authority, Authorization, Authorizations, AuthorizedChain, Blobs, Carries, Delegate};
pub use cometbft::{CometbftBlock, CometbftPosition, CometbftProposal, CometbftStep, CometbftVote, PolRound, Timestamp, VoteExtension};
pub use erc20::{Erc20, Erc20Error};
pub use evm::{AccessList, EvmTransaction, Fees, Input, Recipient};
pub use hotstuff::{HotstuffPosition, HotstuffProposal, HotstuffQc, HotstuffStep, HotstuffTimeout, HotstuffVote};
pub use messages::{SignedMessage, TypedChain, TypedContract, TypedData, TypedDomain, TypedValue};
pub use raw_bytes::{RawBytes, RawLayout};
pub use tagged::{TaggedDomain, TaggedMessage};
