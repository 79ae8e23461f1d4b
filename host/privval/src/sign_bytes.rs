//! From the fields of a message to what is signed. Only the values are taken over here: their bytes are written by
//! `sigwarden_formats::cometbft`, and judged by its decoder.

use crate::wire::{self, BlockId, PartSetHeader, RawRequest};
use prost::Message;
use sigwarden_core::fact::MessageTime;
use sigwarden_formats::cometbft;

/// `RawBytesSignBytesPrefix` of celestia-core, `types/priv_validator.go`: so that no raw bytes are a consensus message.
const CELESTIA_PREFIX: &[u8] = b"COMET::RAW_BYTES::SIGN";

/// What is wrong with a message: field, value, what would be right.
type Wrong = String;

/// CometBFT's `CanonicalizeVote`, of a vote whose fields are a vote's.
pub(crate) fn vote(vote: &wire::Vote, chain_id: &str) -> Result<cometbft::Vote, Wrong> {
    let vote_type = match vote.message_type {
        wire::PREVOTE => cometbft::VoteType::Prevote,
        wire::PRECOMMIT => cometbft::VoteType::Precommit,
        other => return Err(format!("`type` is {other}; a vote has 1 (prevote) or 2 (precommit)")),
    };
    Ok(cometbft::Vote {
        vote_type,
        height: height(vote.height)?,
        round: round("round", vote.round)?,
        block_id: block_id(vote.block_id.as_ref())?,
        timestamp: timestamp(vote.timestamp.as_ref())?,
        chain_id: chain_id.to_owned(),
    })
}

/// CometBFT's `CanonicalizeProposal`, of a proposal whose fields are a proposal's.
pub(crate) fn proposal(proposal: &wire::Proposal, chain_id: &str) -> Result<cometbft::Proposal, Wrong> {
    if proposal.message_type != wire::PROPOSAL {
        return Err(format!("`type` is {}; a proposal has 32", proposal.message_type));
    }
    let pol_round = match proposal.pol_round {
        -1 => None,
        number => Some(round("pol_round", number)?),
    };
    Ok(cometbft::Proposal {
        height: height(proposal.height)?,
        round: round("round", proposal.round)?,
        pol_round,
        block_id: block_id(proposal.block_id.as_ref())?.ok_or("`block_id` is missing; a proposal is for a block")?,
        timestamp: timestamp(proposal.timestamp.as_ref())?,
        chain_id: chain_id.to_owned(),
    })
}

/// `RawBytesMessageSignBytes` of celestia-core, `types/priv_validator.go`: the prefix, then the request, length-delimited. The chain id too.
pub(crate) fn celestia_raw(request: &RawRequest) -> Result<(String, Vec<u8>), Wrong> {
    let fields = [
        ("chain_id", &request.value_or_chain_id),
        ("raw_bytes", &request.raw_bytes),
        ("unique_id", &request.unique_id),
    ];
    for (name, field) in fields {
        if field.is_empty() {
            return Err(format!(
                "`{name}` is empty; celestia-core signs only with all of `chain_id`, `raw_bytes` and `unique_id`"
            ));
        }
    }
    let chain_id = String::from_utf8(request.value_or_chain_id.clone()).map_err(|_| "`chain_id` is no UTF-8")?;
    std::str::from_utf8(&request.unique_id).map_err(|_| "`unique_id` is no UTF-8")?;
    let mut sign_bytes = CELESTIA_PREFIX.to_vec();
    sign_bytes.extend_from_slice(&request.encode_length_delimited_to_vec());
    Ok((chain_id, sign_bytes))
}

/// The chain id in bytes that are laid out as Celestia's: they are valid there, whatever dialect asks for them. Bytes that begin with the prefix
/// and are not laid out so have no chain id, and the decoder refuses them.
pub(crate) fn chain_of_raw(sign_bytes: &[u8]) -> Option<String> {
    cometbft::RawBytes::parse(sign_bytes).ok().map(|read| read.chain_id)
}

fn height(height: i64) -> Result<u64, Wrong> {
    u64::try_from(height)
        .ok()
        .filter(|height| *height >= 1)
        .ok_or_else(|| format!("`height` is {height}; the first height is 1"))
}

fn round(name: &str, round: i32) -> Result<u32, Wrong> {
    u32::try_from(round).map_err(|_| format!("`{name}` is {round}; the first round is 0"))
}

/// A complete block id, or none if all of it is empty (CometBFT, `BlockID.IsZero` and `IsComplete`). CometBFT would sign one that is neither; no
/// correct node has one.
fn block_id(block_id: Option<&BlockId>) -> Result<Option<cometbft::BlockId>, Wrong> {
    let Some(block_id) = block_id else {
        return Ok(None);
    };
    let none = PartSetHeader::default();
    let parts = block_id.part_set_header.as_ref().unwrap_or(&none);
    if block_id.hash.is_empty() && parts.total == 0 && parts.hash.is_empty() {
        return Ok(None);
    }
    match (block_id.hash.as_slice().try_into(), parts.hash.as_slice().try_into(), parts.total) {
        (Ok(hash), Ok(parts_hash), 1..) => Ok(Some(cometbft::BlockId {
            hash,
            parts_total: parts.total,
            parts_hash,
        })),
        (Ok(_) | Err(_), Ok(_) | Err(_), _) => Err(format!(
            "`block_id` has a hash of {} bytes and {} parts with a hash of {} bytes; 32, 1 or more, and 32 is a block, nothing at all is nil",
            block_id.hash.len(),
            parts.total,
            parts.hash.len()
        )),
    }
}

fn timestamp(timestamp: Option<&wire::Timestamp>) -> Result<MessageTime, Wrong> {
    let timestamp = timestamp.ok_or("`timestamp` is missing; CometBFT always writes it")?;
    Ok(MessageTime {
        seconds: timestamp.seconds,
        nanos: timestamp.nanos,
    })
}
