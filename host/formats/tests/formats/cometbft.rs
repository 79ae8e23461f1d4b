//! CometBFT sign bytes: what the floor gets, and every refusal.

use crate::samples::{block_id, extension, nil_prevote, precommit, proposal};
use crate::{assert_malformed, assert_non_canonical, decode, fact, hex, refusal};
use sha2::{Digest, Sha256};
use sigwarden_core::Format::{CometBftProposal, CometBftVote, CometBftVoteExtension};
use sigwarden_core::Scheme;
use sigwarden_core::fact::{PayloadError, SigningInput};
use sigwarden_core::floor::{MessageClass, Position, SIGN_BYTES_MAX};
use sigwarden_formats::cometbft::{BlockId, MessageTime, Proposal, Vote, VoteExtension, VoteType};

/// A message of these bytes with its length before it.
fn delimited(body: &[u8]) -> Vec<u8> {
    let mut out = vec![u8::try_from(body.len()).unwrap()];
    assert!(out[0] < 0x80, "one byte of length");
    out.extend_from_slice(body);
    out
}

/// The fields of a prevote for nil at height 1, round 1, at the epoch, on chain `A`.
const FIELDS: [&str; 5] = ["0801", "110100000000000000", "190100000000000000", "2a00", "320141"];

fn nil_vote_of(fields: &[&str]) -> Vec<u8> {
    delimited(&hex(&fields.concat()))
}

#[test]
fn the_base_of_the_refusals_below_is_fine() {
    assert!(decode(CometBftVote, &nil_vote_of(&FIELDS)).is_ok());
}

#[test]
fn the_floor_gets_position_identity_and_the_exact_bytes() {
    let payload = precommit().sign_bytes();
    let decoded = decode(CometBftVote, &payload).unwrap();
    let message = decoded.consensus.unwrap();
    assert_eq!(message.chain_id, "test-chain");
    assert_eq!(message.class, MessageClass::CometBft);
    assert_eq!(message.position, Position([12_345, 2, 3]));
    assert_eq!(message.sign_bytes, payload);
    assert_eq!(message.timestamp, Some(precommit().timestamp));
    assert_eq!(message.extension, None);
    // BLAKE3 of the domain and of the message without field 5 and without its length prefix.
    let timestamp = hex("2a0b08b1d381d2051080 9dca6f".replace(' ', "").as_str());
    let body = &payload[1..];
    let at = body.windows(timestamp.len()).position(|window| window == timestamp).unwrap();
    let mut image = b"sigwarden/cometbft/identity/v1\0".to_vec();
    image.extend_from_slice(&body[..at]);
    image.extend_from_slice(&body[at + timestamp.len()..]);
    assert_eq!(message.identity, *blake3::hash(&image).as_bytes());
}

#[test]
fn identity_ignores_the_timestamp_and_nothing_else() {
    let identity = |vote: &Vote| decode(CometBftVote, &vote.sign_bytes()).unwrap().consensus.unwrap().identity;
    let base = precommit();
    let other_time = Vote {
        timestamp: MessageTime { seconds: 7, nanos: 1 },
        ..base.clone()
    };
    assert_eq!(identity(&base), identity(&other_time));
    let others = [
        Vote {
            vote_type: VoteType::Prevote,
            ..base.clone()
        },
        Vote { height: 1, ..base.clone() },
        Vote { round: 3, ..base.clone() },
        Vote {
            block_id: None,
            ..base.clone()
        },
        Vote {
            block_id: Some(BlockId {
                hash: [0; 32],
                ..block_id()
            }),
            ..base.clone()
        },
        Vote {
            block_id: Some(BlockId {
                parts_total: 2,
                ..block_id()
            }),
            ..base.clone()
        },
        Vote {
            block_id: Some(BlockId {
                parts_hash: [0; 32],
                ..block_id()
            }),
            ..base.clone()
        },
        Vote {
            chain_id: "other".into(),
            ..base.clone()
        },
    ];
    for other in &others {
        assert_ne!(identity(&base), identity(other), "{other:?}");
    }
}

#[test]
fn steps_rise_from_proposal_to_prevote_to_precommit() {
    let prevote = Vote {
        vote_type: VoteType::Prevote,
        ..precommit()
    };
    let position = |format, payload: &[u8]| decode(format, payload).unwrap().consensus.unwrap().position;
    assert_eq!(position(CometBftProposal, &proposal().sign_bytes()), Position([12_345, 2, 1]));
    assert_eq!(position(CometBftVote, &prevote.sign_bytes()), Position([12_345, 2, 2]));
    assert_eq!(position(CometBftVote, &precommit().sign_bytes()), Position([12_345, 2, 3]));
}

#[test]
fn ed25519_signs_the_bytes_and_secp256k1_their_sha256() {
    let payload = precommit().sign_bytes_with_extension(b"extension");
    let (vote, extension) = (precommit().sign_bytes(), extension().sign_bytes());
    let inputs = |scheme| {
        let inputs = sigwarden_formats::decode(CometBftVoteExtension, scheme, &payload).unwrap().inputs;
        (inputs.first, inputs.second.unwrap())
    };
    let digest = |bytes: &[u8]| SigningInput::Digest(Sha256::digest(bytes).into());
    assert_eq!(inputs(Scheme::Secp256k1Ecdsa), (digest(&vote), digest(&extension)));
    assert_eq!(
        inputs(Scheme::Ed25519),
        (SigningInput::Message(vote), SigningInput::Message(extension))
    );
}

#[test]
fn a_schnorr_key_signs_no_vote() {
    let error = sigwarden_formats::decode(CometBftVote, Scheme::Secp256k1Schnorr, &precommit().sign_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "a `secp256k1-schnorr` key signs no `cometbft/vote`");
}

#[test]
fn the_longest_vote_fits_a_floor() {
    let vote = Vote {
        height: u64::try_from(i64::MAX).unwrap(),
        round: u32::try_from(i32::MAX).unwrap(),
        block_id: Some(BlockId {
            parts_total: u32::MAX,
            ..block_id()
        }),
        timestamp: MessageTime {
            seconds: -1,
            nanos: 999_999_999,
        },
        chain_id: "x".repeat(50),
        ..precommit()
    };
    let decoded = decode(CometBftVote, &vote.sign_bytes()).unwrap();
    let length = decoded.consensus.unwrap().sign_bytes.len();
    assert!(length < 200, "{length} bytes, of which a floor keeps {SIGN_BYTES_MAX}");
}

#[test]
fn a_place_out_of_range_is_no_position() {
    let no_position = |fields: &[&str], says: &str| match refusal(CometBftVote, &nil_vote_of(fields)) {
        PayloadError::NoPosition(message) => assert!(message.contains(says), "{message}"),
        other => panic!("no position is wanted, got {other:?}"),
    };
    let [kind, height, round, time, chain] = FIELDS;
    no_position(&[kind, round, time, chain], "`height` is 0");
    no_position(&[kind, "11ffffffffffffffff", round, time, chain], "`height` is -1");
    no_position(&[kind, height, "19ffffffffffffffff", time, chain], "`round` is -1");
    no_position(&[kind, height, "190000008000000000", time, chain], "`round` is 2147483648");
    let highest = nil_vote_of(&[kind, "11ffffffffffffff7f", "19ffffff7f00000000", time, chain]);
    let position = decode(CometBftVote, &highest).unwrap().consensus.unwrap().position;
    assert_eq!(position, Position([i64::MAX.cast_unsigned(), 2_147_483_647, 2]));
}

#[test]
fn every_other_encoding_of_a_vote_is_refused() {
    let [kind, height, round, time, chain] = FIELDS;
    let vote = |fields: &[&str]| nil_vote_of(fields);
    assert_non_canonical(
        CometBftVote,
        &vote(&[height, kind, round, time, chain]),
        "field 1 at byte 10 comes after field 2",
    );
    assert_non_canonical(CometBftVote, &vote(&[kind, kind, height, round, time, chain]), "at most once");
    assert_non_canonical(CometBftVote, &vote(&["088100", height, round, time, chain]), "trailing zero group");
    assert_non_canonical(CometBftVote, &vote(&["880001", height, round, time, chain]), "trailing zero group");
    assert_non_canonical(
        CometBftVote,
        &vote(&[kind, height, "190000000000000000", time, chain]),
        "byte 0: a canonical encoder of this vote writes",
    );
    assert_non_canonical(
        CometBftVote,
        &vote(&[kind, height, round, "2a020800", chain]),
        "a canonical encoder",
    );
    assert_non_canonical(
        CometBftVote,
        &vote(&[kind, height, round, "2a0410000800", chain]),
        "comes after field 2",
    );
    assert_malformed(CometBftVote, &vote(&[kind, height, round, chain]), "`timestamp` is missing");
    assert_malformed(CometBftVote, &vote(&[kind, height, round, time]), "`chain_id` is missing");
    assert_non_canonical(CometBftVote, &vote(&[kind, height, round, time, "3200"]), "a canonical encoder");
}

#[test]
fn fields_of_another_kind_are_refused() {
    let [kind, height, round, time, chain] = FIELDS;
    let refused = |fields: &[&str], says: &str| assert_malformed(CometBftVote, &nil_vote_of(fields), says);
    refused(
        &[kind, height, round, time, chain, "3801"],
        "field 7 at byte 26 is none of its fields",
    );
    refused(
        &[kind, height, round, "2a021801", chain],
        "field 3 at byte 23 is none of its fields",
    );
    refused(
        &[kind, "1001", round, time, chain],
        "`height` at byte 3 has another wire type; it is a sfixed64",
    );
    refused(&[kind, height, "1801", time, chain], "`round`");
    refused(
        &[kind, height, round, "2801", chain],
        "`timestamp` at byte 21 has another wire type",
    );
    refused(
        &["0901000000000000 00".replace(' ', "").as_str(), height, round, time, chain],
        "`type` at byte 1 has another wire type",
    );
    refused(&[kind, height, round, time, "3001"], "`chain_id`");
    refused(&[kind, "1d01000000", height], "wire type 5");
    refused(&[kind, "1314"], "wire type 3");
    refused(
        &["0800", height, round, time, chain],
        "`type` at byte 1 is 0; a vote has 1 (prevote) or 2 (precommit)",
    );
    refused(&["0803", height, round, time, chain], "`type` at byte 1 is 3");
    refused(&["0820", height, round, time, chain], "send it as `cometbft/proposal`");
    refused(
        &["0801", height, round, "2a0b08ffffffffffffffffff7f", chain],
        "a varint of more than 64 bits",
    );
}

#[test]
fn times_and_chain_ids_out_of_range_are_refused() {
    let [kind, height, round, time, chain] = FIELDS;
    let refused = |fields: &[&str], says: &str| assert_malformed(CometBftVote, &nil_vote_of(fields), says);
    refused(
        &[kind, height, round, "2a061080 94ebdc03".replace(' ', "").as_str(), chain],
        "`nanos` is 1000000000",
    );
    refused(&[kind, height, round, "2a0b10ffffffffffffffffff01", chain], "`nanos` is -1");
    refused(
        &[kind, height, round, "2a07088083d1ffaf07", chain],
        "outside of the years 1 to 9999",
    );
    refused(&[kind, height, round, time, "32010a"], "1 to 50 printable ASCII characters");
    refused(&[kind, height, round, time, "3202c3a9"], "printable ASCII");
    let long = format!("3233{}", "61".repeat(51));
    refused(&[kind, height, round, time, &long], "1 to 50");
}

#[test]
fn incomplete_block_ids_are_refused() {
    let [kind, height, round, time, chain] = FIELDS;
    let with = |block_id: &str| {
        let bytes = hex(block_id);
        let field = format!("22{:02x}{block_id}", bytes.len());
        nil_vote_of(&[kind, height, round, &field, time, chain])
    };
    let hash = format!("0a20{}", "ab".repeat(32));
    let parts_hash = format!("1220{}", "cd".repeat(32));
    assert!(decode(CometBftVote, &with(&format!("{hash}12240801{parts_hash}"))).is_ok());
    let refused = |block_id: String, says: &str| assert_malformed(CometBftVote, &with(&block_id), says);
    refused(String::new(), "`hash` has 32 bytes");
    refused(format!("0a1f{}12240801{parts_hash}", "ab".repeat(31)), "`hash` has 32 bytes");
    refused(hash.clone(), "`part_set_header` is missing");
    refused(format!("{hash}1200"), "`part_set_header.total` is 1 to");
    refused(format!("{hash}1222{parts_hash}"), "`part_set_header.total` is 1 to");
    refused(format!("{hash}12020801"), "`part_set_header.hash` has 32 bytes");
    refused(
        format!("{hash}12280880808080 10{parts_hash}").replace(' ', ""),
        "`part_set_header.total` is 1 to",
    );
}

#[test]
fn cut_short_and_trailing_bytes_are_refused() {
    let payload = precommit().sign_bytes();
    for cut in 0..payload.len() {
        assert_malformed(CometBftVote, &payload[..cut], "cut short");
    }
    let mut longer = payload;
    longer.push(0);
    assert_malformed(CometBftVote, &longer, "1 more bytes follow");
}

#[test]
fn proposals_are_checked_as_cometbft_does() {
    let refused = |proposal: &Proposal, says: &str| assert_malformed(CometBftProposal, &proposal.sign_bytes(), says);
    let with_pol = |pol_round| Proposal { pol_round, ..proposal() };
    refused(&with_pol(Some(2)), "`pol_round` is 2");
    refused(&with_pol(Some(9)), "an earlier round than the proposal's own, 2");
    let decoded = decode(CometBftProposal, &with_pol(Some(0)).sign_bytes()).unwrap();
    assert_eq!(fact(&decoded, "cometbft.has-pol").unwrap(), "true");
    assert_eq!(fact(&decoded, "cometbft.pol-round").unwrap(), "0");
    assert_malformed(CometBftProposal, &nil_vote_of(&FIELDS), "send it as `cometbft/vote`");
    let [_, height, round, time, chain] = FIELDS;
    let minus_two = "20feffffffffffffffff01";
    let no_block = nil_vote_of(&["0820", height, round, minus_two, "3200", "3a0141"]);
    assert_malformed(CometBftProposal, &no_block, "`pol_round` is -2");
    let no_block = nil_vote_of(&["0820", height, round, "20ffffffffffffffffff01", "3200", "3a0141"]);
    assert_malformed(CometBftProposal, &no_block, "`block_id` is missing");
    assert_malformed(CometBftProposal, &nil_vote_of(&[height, round, time, chain]), "`block_id` at byte");
}

#[test]
fn an_extension_comes_with_its_precommit_and_yields_two_inputs() {
    let payload = precommit().sign_bytes_with_extension(b"extension");
    let decoded = decode(CometBftVoteExtension, &payload).unwrap();
    assert_eq!(fact(&decoded, "cometbft.extension").unwrap(), "0x657874656e73696f6e");
    let message = decoded.consensus.unwrap();
    assert_eq!(message.extension, Some(*blake3::hash(&extension().sign_bytes()).as_bytes()));
    let alone = decode(CometBftVote, &precommit().sign_bytes()).unwrap().consensus.unwrap();
    assert_eq!(message.sign_bytes, alone.sign_bytes);
    assert_eq!(message.identity, alone.identity);
    assert_eq!(message.position, alone.position);
}

#[test]
fn an_extension_without_its_own_precommit_is_refused() {
    let refused = |vote: Vote, extension: &[u8], says: &str| {
        let mut payload = vote.sign_bytes();
        payload.extend_from_slice(extension);
        assert_malformed(CometBftVoteExtension, &payload, says);
    };
    let bytes = extension().sign_bytes();
    let prevote = Vote {
        vote_type: VoteType::Prevote,
        ..precommit()
    };
    let nil = Vote {
        block_id: None,
        ..precommit()
    };
    refused(prevote, &bytes, "only a precommit for a block");
    refused(nil, &bytes, "only a precommit for a block");
    refused(precommit(), &[], "no extension follows; send it alone as `cometbft/vote`");
    let of = |height, round, chain_id: &str| {
        VoteExtension {
            height,
            round,
            chain_id: chain_id.into(),
            ..extension()
        }
        .sign_bytes()
    };
    refused(precommit(), &of(12_346, 2, "test-chain"), "must be the same");
    refused(precommit(), &of(12_345, 1, "test-chain"), "must be the same");
    refused(precommit(), &of(12_345, 2, "other-chain"), "must be the same");
    let mut longer = bytes.clone();
    longer.push(0);
    refused(precommit(), &longer, "1 more bytes follow");
    refused(precommit(), &bytes[..bytes.len() - 1], "CanonicalVoteExtension: cut short");
    refused(precommit(), &precommit().sign_bytes(), "`extension` at byte");
    assert_malformed(
        CometBftVoteExtension,
        &bytes,
        "`type` at byte 1 is length-delimited, as in a vote extension",
    );
    assert_malformed(CometBftVote, &precommit().sign_bytes_with_extension(b"x"), "more bytes follow");
    assert!(decode(CometBftVote, &nil_prevote().sign_bytes()).is_ok());
}
