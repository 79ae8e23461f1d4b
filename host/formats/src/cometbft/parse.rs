//! CometBFT's canonical messages, parsed from canonical bytes. What CometBFT's own `ValidateBasic` of votes and proposals would
//! not let pass is refused too.

use super::message::{BlockId, MessageTime, PROPOSAL_TYPE, Proposal, Vote, VoteExtension, VoteType};
use crate::protobuf::{Field, Fields};
use crate::same_bytes;
use sigwarden_core::fact::PayloadError;

/// CometBFT's `MaxChainIDLen`.
const CHAIN_ID_MAX: usize = 50;

/// `google.protobuf.Timestamp` goes from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

impl Vote {
    /// Parses canonical bytes, the inverse of [`Vote::sign_bytes`].
    ///
    /// # Errors
    /// What is wrong, at which byte, and what would be right.
    pub fn parse(payload: &[u8]) -> Result<Self, PayloadError> {
        let (vote, end) = Self::parse_first(payload)?;
        nothing_after(payload, end, "vote")?;
        Ok(vote)
    }

    /// Parses the vote that `payload` starts with, and tells where it ends.
    pub(super) fn parse_first(payload: &[u8]) -> Result<(Self, usize), PayloadError> {
        let (mut fields, end) = Fields::delimited("CanonicalVote", payload, 0)?;
        let (mut vote_type, mut height, mut round) = (None, 0, 0);
        let (mut block_id, mut timestamp, mut chain_id) = (None, None, None);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => vote_type = Some(vote_type_of(&field)?),
                2 => height = field.sfixed64("height")?,
                3 => round = field.sfixed64("round")?,
                4 => block_id = Some(block_id_of(&field)?),
                5 => timestamp = Some(timestamp_of(&field)?),
                6 => chain_id = Some(chain_id_of(&field)?),
                _ => return Err(fields.unknown(&field)),
            }
        }
        let vote = Self {
            vote_type: vote_type.ok_or_else(|| missing("type", "1 (prevote) or 2 (precommit)"))?,
            height: height_of(height)?,
            round: round_of(round)?,
            block_id,
            timestamp: timestamp.ok_or_else(|| missing("timestamp", "CometBFT always writes it"))?,
            chain_id: chain_id.ok_or_else(no_chain_id)?,
        };
        same_bytes("vote", payload.get(..end).unwrap_or(payload), &vote.sign_bytes())?;
        Ok((vote, end))
    }
}

impl Proposal {
    /// Parses canonical bytes, the inverse of [`Proposal::sign_bytes`].
    ///
    /// # Errors
    /// What is wrong, at which byte, and what would be right.
    pub fn parse(payload: &[u8]) -> Result<Self, PayloadError> {
        let (mut fields, end) = Fields::delimited("CanonicalProposal", payload, 0)?;
        let (mut message_type, mut height, mut round, mut pol_round) = (None, 0, 0, 0);
        let (mut block_id, mut timestamp, mut chain_id) = (None, None, None);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => message_type = Some(proposal_type_of(&field)?),
                2 => height = field.sfixed64("height")?,
                3 => round = field.sfixed64("round")?,
                4 => pol_round = field.int64("pol_round")?,
                5 => block_id = Some(block_id_of(&field)?),
                6 => timestamp = Some(timestamp_of(&field)?),
                7 => chain_id = Some(chain_id_of(&field)?),
                _ => return Err(fields.unknown(&field)),
            }
        }
        message_type.ok_or_else(|| missing("type", "32 (proposal)"))?;
        let round = round_of(round)?;
        let proposal = Self {
            height: height_of(height)?,
            round,
            pol_round: pol_round_of(pol_round, round)?,
            block_id: block_id.ok_or_else(|| missing("block_id", "a proposal is for a block"))?,
            timestamp: timestamp.ok_or_else(|| missing("timestamp", "CometBFT always writes it"))?,
            chain_id: chain_id.ok_or_else(no_chain_id)?,
        };
        nothing_after(payload, end, "proposal")?;
        same_bytes("proposal", payload, &proposal.sign_bytes())?;
        Ok(proposal)
    }
}

impl VoteExtension {
    /// Parses the extension that `payload` ends with, from `start`.
    pub(super) fn parse_last(payload: &[u8], start: usize) -> Result<Self, PayloadError> {
        let (mut fields, end) = Fields::delimited("CanonicalVoteExtension", payload, start)?;
        let (mut extension, mut height, mut round, mut chain_id) = (Vec::new(), 0, 0, None);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => extension = field.bytes("extension")?.to_vec(),
                2 => height = field.sfixed64("height")?,
                3 => round = field.sfixed64("round")?,
                4 => chain_id = Some(chain_id_of(&field)?),
                _ => return Err(fields.unknown(&field)),
            }
        }
        let extension = Self {
            extension,
            height: height_of(height)?,
            round: round_of(round)?,
            chain_id: chain_id.ok_or_else(no_chain_id)?,
        };
        nothing_after(payload, end, "vote extension")?;
        same_bytes("vote extension", payload.get(start..).unwrap_or_default(), &extension.sign_bytes())?;
        Ok(extension)
    }
}

fn vote_type_of(field: &Field<'_>) -> Result<VoteType, PayloadError> {
    if field.bytes("type").is_ok() {
        return Err(PayloadError::Malformed(format!(
            "`type` at byte {} is length-delimited, as in a vote extension, which is signed only beside its precommit; send the precommit's sign bytes first, as `cometbft/vote-extension`",
            field.offset
        )));
    }
    match field.varint("type")? {
        1 => Ok(VoteType::Prevote),
        2 => Ok(VoteType::Precommit),
        PROPOSAL_TYPE => Err(PayloadError::Malformed(format!(
            "`type` at byte {} is 32, a proposal; send it as `cometbft/proposal`",
            field.offset
        ))),
        other => Err(PayloadError::Malformed(format!(
            "`type` at byte {} is {other}; a vote has 1 (prevote) or 2 (precommit)",
            field.offset
        ))),
    }
}

fn proposal_type_of(field: &Field<'_>) -> Result<(), PayloadError> {
    match field.varint("type")? {
        PROPOSAL_TYPE => Ok(()),
        1 | 2 => Err(PayloadError::Malformed(format!(
            "`type` at byte {} is that of a vote; send it as `cometbft/vote`",
            field.offset
        ))),
        other => Err(PayloadError::Malformed(format!(
            "`type` at byte {} is {other}; a proposal has 32",
            field.offset
        ))),
    }
}

fn height_of(height: i64) -> Result<u64, PayloadError> {
    u64::try_from(height)
        .ok()
        .filter(|height| *height >= 1)
        .ok_or_else(|| PayloadError::NoPosition(format!("`height` is {height}; the first height is 1")))
}

fn round_of(round: i64) -> Result<u32, PayloadError> {
    u32::try_from(round)
        .ok()
        .filter(|round| i32::try_from(*round).is_ok())
        .ok_or_else(|| PayloadError::NoPosition(format!("`round` is {round}; rounds go from 0 to {}", i32::MAX)))
}

fn pol_round_of(pol_round: i64, round: u32) -> Result<Option<u32>, PayloadError> {
    if pol_round == -1 {
        return Ok(None);
    }
    u32::try_from(pol_round)
        .ok()
        .filter(|pol_round| *pol_round < round)
        .map(Some)
        .ok_or_else(|| {
            PayloadError::Malformed(format!(
                "`pol_round` is {pol_round}; it is -1, or an earlier round than the proposal's own, {round}"
            ))
        })
}

/// A complete block id (CometBFT, `BlockID.IsComplete`): an incomplete one is written by no correct node.
fn block_id_of(field: &Field<'_>) -> Result<BlockId, PayloadError> {
    let incomplete = |what: &str| {
        PayloadError::Malformed(format!(
            "`block_id` at byte {}: {what}; a block id is complete, and a vote for nil has none",
            field.offset
        ))
    };
    let mut fields = field.message("block_id")?;
    let (mut hash, mut parts) = (None, None);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => hash = field.bytes("block_id.hash")?.try_into().ok(),
            2 => parts = Some(field.message("block_id.part_set_header")?),
            _ => return Err(fields.unknown(&field)),
        }
    }
    let hash = hash.ok_or_else(|| incomplete("`hash` has 32 bytes"))?;
    let mut parts = parts.ok_or_else(|| incomplete("`part_set_header` is missing"))?;
    let (mut parts_total, mut parts_hash) = (0, None);
    while let Some(field) = parts.next()? {
        match field.number {
            1 => parts_total = u32::try_from(field.varint("block_id.part_set_header.total")?).unwrap_or(0),
            2 => parts_hash = field.bytes("block_id.part_set_header.hash")?.try_into().ok(),
            _ => return Err(parts.unknown(&field)),
        }
    }
    if parts_total == 0 {
        return Err(incomplete("`part_set_header.total` is 1 to 2^32-1"));
    }
    Ok(BlockId {
        hash,
        parts_total,
        parts_hash: parts_hash.ok_or_else(|| incomplete("`part_set_header.hash` has 32 bytes"))?,
    })
}

fn timestamp_of(field: &Field<'_>) -> Result<MessageTime, PayloadError> {
    let mut fields = field.message("timestamp")?;
    let (mut seconds, mut nanos) = (0, 0);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => seconds = field.int64("timestamp.seconds")?,
            2 => nanos = field.int64("timestamp.nanos")?,
            _ => return Err(fields.unknown(&field)),
        }
    }
    if !SECONDS.contains(&seconds) {
        return Err(PayloadError::Malformed(format!(
            "`timestamp` at byte {}: second {seconds} is outside of the years 1 to 9999",
            field.offset
        )));
    }
    let nanos = i32::try_from(nanos)
        .ok()
        .filter(|nanos| (0..1_000_000_000).contains(nanos))
        .ok_or_else(|| {
            PayloadError::Malformed(format!(
                "`timestamp` at byte {}: `nanos` is {nanos}; they go from 0 to 999999999",
                field.offset
            ))
        })?;
    Ok(MessageTime { seconds, nanos })
}

pub(super) fn chain_id_of(field: &Field<'_>) -> Result<String, PayloadError> {
    printable(field, "chain_id", CHAIN_ID_MAX)
}

/// Text of printable ASCII characters; an empty one is not written, so it fails the comparison with the canonical bytes.
pub(super) fn printable(field: &Field<'_>, name: &str, max: usize) -> Result<String, PayloadError> {
    let bytes = field.bytes(name)?;
    if bytes.len() > max || !bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return Err(PayloadError::Malformed(format!(
            "`{name}` at byte {}: 1 to {max} printable ASCII characters are wanted",
            field.offset
        )));
    }
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| PayloadError::Malformed(format!("`{name}` at byte {} is no UTF-8", field.offset)))
}

fn no_chain_id() -> PayloadError {
    missing("chain_id", "a signature without it would count on any chain")
}

pub(super) fn missing(name: &str, why: &str) -> PayloadError {
    PayloadError::Malformed(format!("`{name}` is missing; {why}"))
}

pub(super) fn nothing_after(payload: &[u8], end: usize, what: &str) -> Result<(), PayloadError> {
    match payload.len().saturating_sub(end) {
        0 => Ok(()),
        more => Err(PayloadError::Malformed(format!(
            "the {what} ends at byte {end}, as its length prefix says, but {more} more bytes follow; send nothing after it"
        ))),
    }
}
