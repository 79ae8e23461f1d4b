//! Sign bytes that other implementations publish, and prost as a second encoder.
//!
//! - CometBFT, `types/vote_test.go`, `TestVoteSignBytesTestVectors` (numbered as there).
//! - tendermint-rs, `tendermint/src/vote/sign_vote.rs` and `tendermint/src/proposal.rs`: vectors made with Go's Tendermint, the
//!   program that made each beside it.

use crate::samples::{extension, go_zero_time, nil_prevote, precommit, proposal};
use crate::{assert_malformed, decode, fact, hex, refusal};
use prost::Message;
use sigwarden_core::Format::{CometBftProposal, CometBftVote};
use sigwarden_core::fact::PayloadError;
use sigwarden_core::floor::Position;
use sigwarden_formats::cometbft::{BlockId, MessageTime, Proposal, Vote, VoteType};

/// Go's zero time, as field 5 of a vote.
const ZERO_TIME: &str = "2a0b088092b8c398feffffff01";

fn go_test_vote(vote_type: VoteType, chain_id: &str) -> Vote {
    Vote {
        vote_type,
        height: 1,
        round: 1,
        block_id: None,
        timestamp: go_zero_time(),
        chain_id: chain_id.into(),
    }
}

#[test]
fn cometbft_vectors_1_and_2_are_what_the_encoder_writes() {
    let first = format!("21080211010000000000000019 0100000000000000{ZERO_TIME}").replace(' ', "");
    assert_eq!(hex::encode(go_test_vote(VoteType::Precommit, "").sign_bytes()), first);
    let second = format!("21080111010000000000000019 0100000000000000{ZERO_TIME}").replace(' ', "");
    assert_eq!(hex::encode(go_test_vote(VoteType::Prevote, "").sign_bytes()), second);
    // Without a chain id they are no payload.
    assert_malformed(CometBftVote, &hex(&first), "`chain_id` is missing");
    assert_malformed(CometBftVote, &hex(&second), "`chain_id` is missing");
}

/// Vectors 0, 3, 4 and 5 have no type (`SIGNED_MSG_TYPE_UNKNOWN`), which no vote has (`IsVoteTypeValid`).
#[test]
fn cometbft_vectors_without_a_type_are_refused() {
    assert_malformed(CometBftVote, &hex(&format!("0d{ZERO_TIME}")), "`type` is missing");
    let place = "110100000000000000190100000000000000";
    assert_malformed(CometBftVote, &hex(&format!("1f{place}{ZERO_TIME}")), "`type` is missing");
    let chain_id = "320d746573745f636861696e5f6964";
    assert_malformed(CometBftVote, &hex(&format!("2e{place}{ZERO_TIME}{chain_id}")), "`type` is missing");
    // Vector 4 with vector 1's type is a whole precommit for nil.
    let whole = hex(&format!("300802{place}{ZERO_TIME}{chain_id}"));
    assert_eq!(go_test_vote(VoteType::Precommit, "test_chain_id").sign_bytes(), whole);
    let decoded = decode(CometBftVote, &whole).unwrap();
    assert_eq!(decoded.consensus.as_ref().unwrap().position, Position([1, 1, 3]));
    assert_eq!(fact(&decoded, "cometbft.nil").unwrap(), "true");
    assert_eq!(fact(&decoded, "cometbft.timestamp-seconds"), None);
}

/// tendermint-rs, `sign_vote.rs`, `test_vote_serialization`.
#[test]
fn tendermint_rs_prevote() {
    let want = [
        124, 8, 1, 17, 57, 48, 0, 0, 0, 0, 0, 0, 25, 2, 0, 0, 0, 0, 0, 0, 0, 34, 74, 10, 32, 68, 69, 65, 68, 66, 69, 69, 70, 68, 69, 65,
        68, 66, 69, 69, 70, 66, 65, 70, 66, 65, 70, 66, 65, 70, 66, 65, 70, 66, 65, 70, 65, 18, 38, 8, 192, 132, 61, 18, 32, 48, 48, 50,
        50, 52, 52, 54, 54, 56, 56, 65, 65, 67, 67, 69, 69, 49, 49, 51, 51, 53, 53, 55, 55, 57, 57, 66, 66, 68, 68, 70, 70, 42, 11, 8, 177,
        211, 129, 210, 5, 16, 128, 157, 202, 111, 50, 13, 116, 101, 115, 116, 95, 99, 104, 97, 105, 110, 95, 105, 100,
    ];
    let vote = Vote {
        vote_type: VoteType::Prevote,
        height: 12_345,
        round: 2,
        block_id: Some(BlockId {
            hash: *b"DEADBEEFDEADBEEFBAFBAFBAFBAFBAFA",
            parts_total: 1_000_000,
            parts_hash: *b"0022446688AACCEE1133557799BBDDFF",
        }),
        // 2017-12-25T03:00:01.234Z
        timestamp: MessageTime {
            seconds: 1_514_170_801,
            nanos: 234_000_000,
        },
        chain_id: "test_chain_id".into(),
    };
    assert_eq!(vote.sign_bytes(), want);
    let decoded = decode(CometBftVote, &want).unwrap();
    assert_eq!(
        fact(&decoded, "cometbft.block-hash").unwrap(),
        format!("0x{}", hex::encode(b"DEADBEEFDEADBEEFBAFBAFBAFBAFBAFA"))
    );
    assert_eq!(decoded.consensus.unwrap().position, Position([12_345, 2, 2]));
}

/// tendermint-rs, `sign_vote.rs`, `test_vote_encoding_with_empty_block_id`: no hash, but a part set header.
#[test]
fn tendermint_rs_incomplete_block_id_is_refused() {
    let vector = [
        90, 8, 1, 17, 57, 48, 0, 0, 0, 0, 0, 0, 25, 2, 0, 0, 0, 0, 0, 0, 0, 34, 40, 18, 38, 8, 192, 132, 61, 18, 32, 48, 48, 50, 50, 52,
        52, 54, 54, 56, 56, 65, 65, 67, 67, 69, 69, 49, 49, 51, 51, 53, 53, 55, 55, 57, 57, 66, 66, 68, 68, 70, 70, 42, 11, 8, 177, 211,
        129, 210, 5, 16, 128, 157, 202, 111, 50, 13, 116, 101, 115, 116, 95, 99, 104, 97, 105, 110, 95, 105, 100,
    ];
    assert_malformed(CometBftVote, &vector, "`block_id` at byte 21: `hash` has 32 bytes");
}

/// tendermint-rs, `sign_vote.rs`, `test_sign_bytes_compatibility`: round 0 is left out, the Unix epoch is an empty message.
#[test]
fn tendermint_rs_epoch_vote() {
    let want = [
        0x10, 0x8, 0x1, 0x11, 0x1, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x2a, 0x0, 0x32, 0x1, 0x41,
    ];
    let vote = Vote {
        round: 0,
        timestamp: MessageTime { seconds: 0, nanos: 0 },
        ..go_test_vote(VoteType::Prevote, "A")
    };
    assert_eq!(vote.sign_bytes(), want);
    let decoded = decode(CometBftVote, &want).unwrap();
    assert_eq!(fact(&decoded, "cometbft.timestamp-seconds").unwrap(), "0");
}

/// tendermint-rs, `proposal.rs`, `test_serialization`.
#[test]
fn tendermint_rs_proposal() {
    let want = [
        136, 1, 8, 32, 17, 57, 48, 0, 0, 0, 0, 0, 0, 25, 160, 91, 0, 0, 0, 0, 0, 0, 32, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 42,
        74, 10, 32, 222, 173, 190, 239, 222, 173, 190, 239, 186, 251, 175, 186, 251, 175, 186, 250, 222, 173, 190, 239, 222, 173, 190, 239,
        186, 251, 175, 186, 251, 175, 186, 250, 18, 38, 8, 255, 255, 3, 18, 32, 0, 34, 68, 102, 136, 170, 204, 238, 17, 51, 85, 119, 153,
        187, 221, 255, 0, 34, 68, 102, 136, 170, 204, 238, 17, 51, 85, 119, 153, 187, 221, 255, 50, 12, 8, 162, 216, 255, 211, 5, 16, 192,
        242, 227, 236, 2, 58, 13, 116, 101, 115, 116, 95, 99, 104, 97, 105, 110, 95, 105, 100,
    ];
    let proposal = Proposal {
        height: 12_345,
        round: 23_456,
        pol_round: None,
        block_id: BlockId {
            hash: hex("deadbeefdeadbeefbafbafbafbafbafadeadbeefdeadbeefbafbafbafbafbafa")
                .try_into()
                .unwrap(),
            parts_total: 65_535,
            parts_hash: hex("0022446688aaccee1133557799bbddff0022446688aaccee1133557799bbddff")
                .try_into()
                .unwrap(),
        },
        // 2018-02-11T07:09:22.765Z
        timestamp: MessageTime {
            seconds: 1_518_332_962,
            nanos: 765_000_000,
        },
        chain_id: "test_chain_id".into(),
    };
    assert_eq!(proposal.sign_bytes(), want);
    let decoded = decode(CometBftProposal, &want).unwrap();
    assert_eq!(fact(&decoded, "cometbft.has-pol").unwrap(), "false");
    assert_eq!(fact(&decoded, "cometbft.pol-round"), None);
    assert_eq!(decoded.consensus.unwrap().position, Position([12_345, 23_456, 1]));
}

/// tendermint-rs, `proposal.rs`, `test_encoding_with_empty_block_id`.
#[test]
fn tendermint_rs_proposal_with_incomplete_block_id_is_refused() {
    let vector = [
        102, 8, 32, 17, 57, 48, 0, 0, 0, 0, 0, 0, 25, 160, 91, 0, 0, 0, 0, 0, 0, 32, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 42,
        40, 18, 38, 8, 255, 255, 3, 18, 32, 0, 34, 68, 102, 136, 170, 204, 238, 17, 51, 85, 119, 153, 187, 221, 255, 0, 34, 68, 102, 136,
        170, 204, 238, 17, 51, 85, 119, 153, 187, 221, 255, 50, 12, 8, 162, 216, 255, 211, 5, 16, 192, 242, 227, 236, 2, 58, 13, 116, 101,
        115, 116, 95, 99, 104, 97, 105, 110, 95, 105, 100,
    ];
    assert!(matches!(refusal(CometBftProposal, &vector), PayloadError::Malformed(message) if message.contains("complete")));
}

// The messages of CometBFT's `canonical.proto`, for prost to encode.

#[derive(Clone, PartialEq, Message)]
struct PartSetHeader {
    #[prost(uint32, tag = "1")]
    total: u32,
    #[prost(bytes = "vec", tag = "2")]
    hash: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct CanonicalBlockId {
    #[prost(bytes = "vec", tag = "1")]
    hash: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    part_set_header: Option<PartSetHeader>,
}

#[derive(Clone, PartialEq, Message)]
struct CanonicalVote {
    #[prost(int32, tag = "1")]
    message_type: i32,
    #[prost(sfixed64, tag = "2")]
    height: i64,
    #[prost(sfixed64, tag = "3")]
    round: i64,
    #[prost(message, optional, tag = "4")]
    block_id: Option<CanonicalBlockId>,
    #[prost(message, optional, tag = "5")]
    timestamp: Option<prost_types::Timestamp>,
    #[prost(string, tag = "6")]
    chain_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct CanonicalProposal {
    #[prost(int32, tag = "1")]
    message_type: i32,
    #[prost(sfixed64, tag = "2")]
    height: i64,
    #[prost(sfixed64, tag = "3")]
    round: i64,
    #[prost(int64, tag = "4")]
    pol_round: i64,
    #[prost(message, optional, tag = "5")]
    block_id: Option<CanonicalBlockId>,
    #[prost(message, optional, tag = "6")]
    timestamp: Option<prost_types::Timestamp>,
    #[prost(string, tag = "7")]
    chain_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct CanonicalVoteExtension {
    #[prost(bytes = "vec", tag = "1")]
    extension: Vec<u8>,
    #[prost(sfixed64, tag = "2")]
    height: i64,
    #[prost(sfixed64, tag = "3")]
    round: i64,
    #[prost(string, tag = "4")]
    chain_id: String,
}

fn prost_block_id(block_id: &BlockId) -> CanonicalBlockId {
    CanonicalBlockId {
        hash: block_id.hash.to_vec(),
        part_set_header: Some(PartSetHeader {
            total: block_id.parts_total,
            hash: block_id.parts_hash.to_vec(),
        }),
    }
}

fn prost_time(time: MessageTime) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.seconds,
        nanos: time.nanos,
    }
}

pub fn vote_agrees_with_prost(vote: &Vote) {
    let theirs = CanonicalVote {
        message_type: if vote.vote_type == VoteType::Prevote { 1 } else { 2 },
        height: vote.height.try_into().unwrap(),
        round: vote.round.into(),
        block_id: vote.block_id.as_ref().map(prost_block_id),
        timestamp: Some(prost_time(vote.timestamp)),
        chain_id: vote.chain_id.clone(),
    };
    assert_eq!(vote.sign_bytes(), theirs.encode_length_delimited_to_vec());
}

pub fn proposal_agrees_with_prost(proposal: &Proposal) {
    let theirs = CanonicalProposal {
        message_type: 32,
        height: proposal.height.try_into().unwrap(),
        round: proposal.round.into(),
        pol_round: proposal.pol_round.map_or(-1, i64::from),
        block_id: Some(prost_block_id(&proposal.block_id)),
        timestamp: Some(prost_time(proposal.timestamp)),
        chain_id: proposal.chain_id.clone(),
    };
    assert_eq!(proposal.sign_bytes(), theirs.encode_length_delimited_to_vec());
}

#[test]
fn prost_encodes_the_samples_alike() {
    vote_agrees_with_prost(&precommit());
    vote_agrees_with_prost(&nil_prevote());
    proposal_agrees_with_prost(&proposal());
    let extension = extension();
    let theirs = CanonicalVoteExtension {
        extension: extension.extension.clone(),
        height: 12_345,
        round: 2,
        chain_id: "test-chain".into(),
    };
    assert_eq!(extension.sign_bytes(), theirs.encode_length_delimited_to_vec());
}
