//! What a raw message may not be. Wider than what the decoders take: bytes that only resemble a structured payload are refused too,
//! because somebody's verifier may be laxer than ours. The rule, which `wit/facts.md` repeats for operators:
//!
//! - **EVM**: a byte up to 0x7f (EIP-2718) followed by one RLP list that ends with the message (0x01 and 0x02 are EIP-2930 and EIP-1559;
//!   0x03 and 0x04 are EIP-4844 and EIP-7702, 0x05 is the authorization of the latter), or one RLP list of six or
//!   nine strings that spans the message, whose fourth has 0 or 20 bytes (a legacy transaction, with or without chain id).
//! - **CometBFT**: the message, or what a length prefix at its start delimits, is well-formed protobuf with fields in any order, repeated
//!   or unknown ones included, and has a non-zero `height` (field 2, fixed64) and either a `type` (field 1, varint) of 1, 2 or 32, or
//!   none and a `chain_id` (field 4, length-delimited, as in a vote extension). Or it begins with Celestia's prefix of raw bytes.
//! - **EIP-191**: it begins with 0x19 and a version: 0x00 (a validator's data), 0x01 (the hashes of EIP-712) or `Ethereum Signed
//!   Message:\n`. Or it is the JSON of typed data (EIP-712).
//! - **QBIND**: it begins with the tag of a proposal, vote, timeout or tagged message, or with `QBIND_` and a tag that no format reads:
//!   a later version's vote is a vote too.
//!
//! No printable ASCII text is any of them but the prefixes and typed data: the others need control characters or bytes above 0x7f. A
//! ciphertext of ML-KEM is none of these, because a signature over it opens nothing.

use crate::cometbft;
use crate::evm::{MESSAGE_PREFIX, TypedData};
use crate::hotstuff::{PROPOSAL_TAG, TIMEOUT_TAG, VOTE_TAG};
use crate::protobuf::{Varint, read_varint};
use crate::rlp::Items;
use crate::tagged::Domain;
use sigwarden_core::Format;
use sigwarden_core::fact::PayloadError;

/// Refuses bytes that are, or resemble, a structured payload.
pub(crate) fn refuse(payload: &[u8]) -> Result<(), PayloadError> {
    if payload.starts_with(cometbft::RawBytes::PREFIX.as_bytes()) {
        return Err(PayloadError::Structured(Format::CometBftRawBytes));
    }
    match eip191(payload) {
        Some(found) => Err(found),
        None => refuse_positions(payload),
    }
}

/// Refuses bytes that are, or resemble, a consensus message, a tagged message or a transaction: what raw bytes with a prefix may not
/// be either.
pub(crate) fn refuse_positions(payload: &[u8]) -> Result<(), PayloadError> {
    if let Some(found) = qbind(payload).or_else(|| evm(payload)) {
        return Err(found);
    }
    match lax_cometbft(payload) {
        Some(format) => Err(PayloadError::Structured(format)),
        None => Ok(()),
    }
}

/// What every tag of QBIND begins with.
const QBIND: &[u8] = b"QBIND_";

fn qbind(payload: &[u8]) -> Option<PayloadError> {
    let hotstuff = [
        (PROPOSAL_TAG, Format::HotStuffProposal),
        (VOTE_TAG, Format::HotStuffVote),
        (TIMEOUT_TAG, Format::HotStuffTimeout),
    ];
    let tagged = Domain::ALL.iter().map(|domain| (domain.tag(), Format::TaggedMessage));
    if let Some((_, format)) = hotstuff
        .into_iter()
        .chain(tagged)
        .find(|(tag, _)| payload.starts_with(tag.as_bytes()))
    {
        return Some(PayloadError::Structured(format));
    }
    payload.starts_with(QBIND).then(|| {
        PayloadError::Malformed(
            "these bytes begin with `QBIND_` and a tag that Sigwarden does not read, and so does not sign as a raw message".into(),
        )
    })
}

/// Whatever stands after the version: a verifier of another length or layout may exist.
fn eip191(payload: &[u8]) -> Option<PayloadError> {
    match payload {
        [0x19, 0x00, ..] => Some(PayloadError::Malformed(
            "these bytes begin with 0x1900, as data for a validator (EIP-191, version 0x00), which Sigwarden does not read and does not sign as a raw message".into(),
        )),
        // 0x1901 and two hashes; 0x01 could be followed by anything that somebody's verifier takes for them.
        [0x19, 0x01, ..] => Some(PayloadError::Structured(Format::EvmEip712)),
        [b'{', ..] if names_a_primary_type(payload) && TypedData::from_json(payload).is_ok() => Some(PayloadError::Structured(Format::EvmEip712)),
        _ => payload.starts_with(MESSAGE_PREFIX).then_some(PayloadError::Structured(Format::EvmEip191)),
    }
}

/// Spares other JSON being read.
fn names_a_primary_type(payload: &[u8]) -> bool {
    const KEY: &[u8] = b"\"primaryType\"";
    payload.windows(KEY.len()).any(|window| window == KEY)
}

fn evm(payload: &[u8]) -> Option<PayloadError> {
    let (first, rest) = payload.split_first()?;
    let unsupported = |name: &str| {
        PayloadError::Malformed(format!(
            "these bytes are an {name}, which Sigwarden does not read and does not sign as a raw message"
        ))
    };
    match first {
        // Every type byte of EIP-2718, known or not: 0x7b (CIP-64) and 0x7e (OP deposits) are in use somewhere.
        0x00..=0x7f => {
            Items::spanning("list", rest, 1).ok()?.count()?;
            Some(match first {
                0x01 => PayloadError::Structured(Format::EvmEip2930),
                0x02 => PayloadError::Structured(Format::EvmEip1559),
                0x03 => PayloadError::Structured(Format::EvmEip4844),
                0x04 => PayloadError::Structured(Format::EvmEip7702),
                0x05 => unsupported("EIP-7702 authorization"),
                _ => unsupported("EIP-2718 typed transaction of a type without a format"),
            })
        }
        0xc0..=0xff => {
            let mut items = Items::spanning("list", payload, 0).ok()?;
            let count = items.count()?;
            let mut recipient = None;
            for index in 0..count.min(9) {
                let string = items.next("item").ok()?.string().ok()?;
                if index == 3 {
                    recipient = Some(string.len());
                }
            }
            let legacy = matches!(count, 6 | 9) && matches!(recipient, Some(0 | 20));
            legacy.then_some(PayloadError::Structured(Format::EvmLegacy))
        }
        _ => None,
    }
}

/// What a lax verifier might take the bytes for.
fn lax_cometbft(payload: &[u8]) -> Option<Format> {
    let delimited = split_delimited(payload).and_then(|(message, rest)| Some((lax_message(message)?, rest)));
    match delimited {
        Some((Format::CometBftVote, rest))
            if split_delimited(rest).and_then(|(next, _)| lax_message(next)) == Some(Format::CometBftVoteExtension) =>
        {
            Some(Format::CometBftVoteExtension)
        }
        Some((format, _)) => Some(format),
        None => lax_message(payload),
    }
}

/// The message after a length prefix, and what follows it.
fn split_delimited(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = varint(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    match read_varint(bytes) {
        Varint::Read(value, length) => Some((value, bytes.get(length..)?)),
        Varint::CutShort | Varint::TooLong => None,
    }
}

/// The fields that tell the messages apart; of repeated ones the last counts, as in every protobuf decoder.
#[derive(Default)]
struct Seen {
    message_type: Option<u64>,
    height: Option<u64>,
    fourth_is_bytes: bool,
}

fn lax_message(message: &[u8]) -> Option<Format> {
    let seen = lax_fields(message)?;
    if seen.height.unwrap_or(0) == 0 {
        return None;
    }
    match seen.message_type {
        Some(1 | 2) => Some(Format::CometBftVote),
        Some(32) => Some(Format::CometBftProposal),
        Some(_) => None,
        None => seen.fourth_is_bytes.then_some(Format::CometBftVoteExtension),
    }
}

/// Reads all fields; none if the bytes are no well-formed protobuf.
fn lax_fields(mut rest: &[u8]) -> Option<Seen> {
    let mut seen = Seen::default();
    // Groups are counted, not descended into: what is inside is no field of the message.
    let mut depth = 0_usize;
    while !rest.is_empty() {
        let tag;
        (tag, rest) = varint(rest)?;
        let number = tag >> 3;
        let outside = depth == 0;
        match tag & 7 {
            0 => {
                let value;
                (value, rest) = varint(rest)?;
                if outside && number == 1 {
                    // An enum is an int32: decoders drop the high half.
                    seen.message_type = Some(value & 0xffff_ffff);
                }
            }
            1 => {
                let (value, after) = rest.split_first_chunk::<8>()?;
                rest = after;
                if outside && number == 2 {
                    seen.height = Some(u64::from_le_bytes(*value));
                }
            }
            2 => {
                let (value, after) = split_delimited(rest)?;
                rest = after;
                if outside && number == 4 {
                    seen.fourth_is_bytes = !value.is_empty();
                }
            }
            3 => depth += 1,
            4 => depth = depth.checked_sub(1)?,
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
        if number == 0 {
            return None;
        }
    }
    (depth == 0).then_some(seen)
}
