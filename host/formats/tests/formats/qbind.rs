//! HotStuff and tagged messages, and ML-KEM ciphertexts. QBIND publishes no vectors, so the vectors are made from `docs/formats.md` by
//! hand, with Python's `struct`, which shares no code with ours; the lines that made them stand beside them.

use crate::samples::{hotstuff_proposal, hotstuff_timeout, hotstuff_vote, payloads, tagged};
use crate::{assert_malformed, decode, fact, facts_of, hex, refusal, samples};
use sigwarden_core::fact::{PayloadError, SigningInput};
use sigwarden_core::floor::{MessageClass, Position};
use sigwarden_core::{Format, Role, Scheme};
use sigwarden_formats::hotstuff::{PROPOSAL_TAG, Proposal, QuorumCertificate, TIMEOUT_TAG, VOTE_TAG};
use sigwarden_formats::tagged::{Domain, Tagged};

/// `b"QBIND_PROPOSAL_V1" + pack(">QQ", 7, 10) + b"\xab"*32 + b"\x01" + pack(">Q", 9) + b"\xcd"*32 + pack(">QQH", 3, 1, 100)`
const PROPOSAL: &str = "5142494e445f50524f504f53414c5f56310000000000000007000000000000000aabababababababababababababababababababababababababababababababab010000000000000009cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd000000000000000300000000000000010064";
/// `b"QBIND_PROPOSAL_V1" + pack(">QQ", 7, 0) + b"\xab"*32 + b"\x00" + pack(">QQH", 3, 1, 100)`
const GENESIS_PROPOSAL: &str = "5142494e445f50524f504f53414c5f563100000000000000070000000000000000abababababababababababababababababababababababababababababababab00000000000000000300000000000000010064";
/// `b"QBIND_VOTE_V1" + pack(">QQ", 7, 10) + b"\xab"*32 + pack(">Q", 3)`
const VOTE: &str = "5142494e445f564f54455f56310000000000000007000000000000000aabababababababababababababababababababababababababababababababab0000000000000003";
/// `b"QBIND_TIMEOUT_V1" + pack(">QQ", 7, 10) + b"\x01" + b"\xcd"*32 + pack(">Q", 3)`
const TIMEOUT: &str = "5142494e445f54494d454f55545f56310000000000000007000000000000000a01cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd0000000000000003";
/// `b"QBIND_TIMEOUT_V1" + pack(">QQ", 7, 0) + b"\x00" + pack(">Q", 3)`
const GENESIS_TIMEOUT: &str = "5142494e445f54494d454f55545f563100000000000000070000000000000000000000000000000003";
/// `b"QBIND_BATCH_ACK_V1" + pack(">QI", 7, 4) + b"body"`
const BATCH_ACK: &str = "5142494e445f42415443485f41434b5f5631000000000000000700000004626f6479";

const HOTSTUFF: [Format; 3] = [Format::HotStuffProposal, Format::HotStuffVote, Format::HotStuffTimeout];
const FIXED: [Format; 4] = [
    Format::HotStuffProposal,
    Format::HotStuffVote,
    Format::HotStuffTimeout,
    Format::TaggedMessage,
];

#[test]
fn the_vectors_decode_and_are_what_is_encoded() {
    assert_eq!(hotstuff_proposal().sign_bytes(), hex(PROPOSAL));
    assert_eq!(hotstuff_vote().sign_bytes(), hex(VOTE));
    assert_eq!(hotstuff_timeout().sign_bytes(), hex(TIMEOUT));
    assert_eq!(payloads(Format::HotStuffProposal)[1], hex(GENESIS_PROPOSAL));
    assert_eq!(payloads(Format::HotStuffTimeout)[1], hex(GENESIS_TIMEOUT));
    assert_eq!(tagged(Domain::BatchAck).sign_bytes().unwrap(), hex(BATCH_ACK));
    let facts = |format, vector| facts_of(&decode(format, &hex(vector)).unwrap());
    let text = |name: &'static str, value: &str| (name, value.to_owned());
    let (ab, cd) = (format!("0x{}", "ab".repeat(32)), format!("0x{}", "cd".repeat(32)));
    assert_eq!(
        facts(Format::HotStuffProposal, PROPOSAL),
        [
            text("hotstuff.chain-id", "7"),
            text("hotstuff.view", "10"),
            text("hotstuff.step", "\"proposal\""),
            text("hotstuff.validator-id", "3"),
            text("hotstuff.block-hash", &ab),
            text("hotstuff.has-qc", "true"),
            text("hotstuff.qc-view", "9"),
            text("hotstuff.qc-block-hash", &cd),
            text("hotstuff.epoch", "1"),
            text("hotstuff.suite-id", "100"),
        ]
    );
    let genesis = decode(Format::HotStuffTimeout, &hex(GENESIS_TIMEOUT)).unwrap();
    assert_eq!(fact(&genesis, "hotstuff.has-qc").as_deref(), Some("false"));
    assert_eq!(fact(&genesis, "hotstuff.qc-hash"), None);
    assert_eq!(
        facts(Format::TaggedMessage, BATCH_ACK),
        [
            text("tagged.domain", "\"batch-ack\""),
            text("tagged.chain-id", "7"),
            text("tagged.body", "0x626f6479"),
        ]
    );
}

#[test]
fn the_floor_gets_view_step_validator_and_the_whole_payload() {
    for (format, vector, position) in [
        (Format::HotStuffProposal, PROPOSAL, [10, 1, 0]),
        (Format::HotStuffVote, VOTE, [10, 2, 0]),
        (Format::HotStuffTimeout, TIMEOUT, [10, 3, 0]),
        (Format::HotStuffProposal, GENESIS_PROPOSAL, [0, 1, 0]),
        (Format::HotStuffTimeout, GENESIS_TIMEOUT, [0, 3, 0]),
    ] {
        for scheme in [Scheme::Ed25519, Scheme::MlDsa44] {
            let decoded = sigwarden_formats::decode(format, scheme, &hex(vector)).unwrap();
            assert_eq!(decoded.inputs.first, SigningInput::Message(hex(vector)));
            assert_eq!((decoded.inputs.second, decoded.role), (None, None));
            let message = decoded.consensus.unwrap();
            assert_eq!((message.class, message.position), (MessageClass::HotStuff, Position(position)));
            assert_eq!((message.chain_id.as_str(), message.validator_id), ("7", Some(3)));
            assert_eq!(message.sign_bytes, hex(vector));
            assert_eq!(message.identity, *blake3::hash(&hex(vector)).as_bytes());
            let proposal = format == Format::HotStuffProposal;
            assert_eq!((message.epoch, message.suite_id), (proposal.then_some(1), proposal.then_some(100)));
            assert_eq!((message.timestamp, message.extension), (None, None));
        }
    }
}

#[test]
fn a_chain_id_is_decimal_whatever_its_size() {
    let vote = sigwarden_formats::hotstuff::Vote {
        chain_id: u64::MAX,
        ..hotstuff_vote()
    };
    let decoded = decode(Format::HotStuffVote, &vote.sign_bytes()).unwrap();
    assert_eq!(decoded.consensus.unwrap().chain_id, "18446744073709551615");
}

#[test]
fn the_tag_says_the_role() {
    for (domain, role) in [
        (Domain::Batch, Role::Batch),
        (Domain::BatchAck, Role::Batch),
        (Domain::Governance, Role::Governance),
        (Domain::Operation, Role::Operational),
        (Domain::Withdrawal, Role::Withdrawal),
    ] {
        let payload = tagged(domain).sign_bytes().unwrap();
        for scheme in [Scheme::Ed25519, Scheme::MlDsa44] {
            let decoded = sigwarden_formats::decode(Format::TaggedMessage, scheme, &payload).unwrap();
            assert_eq!((decoded.role, decoded.consensus), (Some(role), None));
            assert_eq!(decoded.inputs.first, SigningInput::Message(payload.clone()));
        }
    }
}

#[test]
fn no_tag_is_the_beginning_of_another() {
    let tags: Vec<_> = Domain::ALL
        .iter()
        .map(|domain| domain.tag())
        .chain([PROPOSAL_TAG, VOTE_TAG, TIMEOUT_TAG])
        .collect();
    for (at, tag) in tags.iter().enumerate() {
        for (other_at, other) in tags.iter().enumerate() {
            assert_eq!(other.starts_with(tag), at == other_at, "{tag} {other}");
        }
    }
}

#[test]
fn a_message_cut_short_at_any_byte_or_with_one_to_spare_is_malformed() {
    for format in FIXED {
        for payload in payloads(format) {
            for end in 0..payload.len() {
                assert_malformed(format, &payload[..end], "");
            }
            for spare in [0, 1, 0xff] {
                let longer = [payload.as_slice(), &[spare]].concat();
                assert_malformed(format, &longer, "follow");
            }
        }
    }
    assert_malformed(
        Format::HotStuffVote,
        &hex(VOTE)[..68],
        "byte 61: `voter_id` of a HotStuff vote has 8 bytes, and 7 are left",
    );
    let longer = [hex(VOTE), vec![0, 0]].concat();
    assert_malformed(Format::HotStuffVote, &longer, "a HotStuff vote ends at byte 69, and 2 bytes follow");
}

#[test]
fn a_message_of_another_tag_is_malformed() {
    for format in FIXED {
        for other in FIXED.into_iter().filter(|other| *other != format) {
            for payload in payloads(other) {
                assert_malformed(format, &payload, "begins with");
            }
        }
    }
    for wrong in ["qbind_vote_v1", "QBIND_VOTE_V2", "\0QBIND_VOTE_V"] {
        let payload = [wrong.as_bytes(), &hex(VOTE)[13..]].concat();
        assert_malformed(Format::HotStuffVote, &payload, "begins with `QBIND_VOTE_V1`");
    }
}

#[test]
fn a_flag_is_0_or_1() {
    for (format, vector, at) in [(Format::HotStuffProposal, PROPOSAL, 65), (Format::HotStuffTimeout, TIMEOUT, 32)] {
        for flag in 2..=0xff {
            let mut payload = hex(vector);
            payload[at] = flag;
            assert_malformed(format, &payload, &format!("byte {at}: the flag"));
        }
        // A flag that says the other thing leaves too many bytes.
        let mut payload = hex(vector);
        payload[at] = 0;
        assert_malformed(format, &payload, "follow");
    }
}

#[test]
fn a_certificate_is_of_an_earlier_view() {
    let with = |view, qc_view| {
        let high_qc = Some(QuorumCertificate {
            view: qc_view,
            block_hash: [0xcd; 32],
        });
        Proposal {
            view,
            high_qc,
            ..hotstuff_proposal()
        }
        .sign_bytes()
    };
    for (view, qc_view) in [(10, 10), (10, 11), (0, 0), (u64::MAX, u64::MAX)] {
        assert_malformed(Format::HotStuffProposal, &with(view, qc_view), "a QC's view is below");
    }
    for (view, qc_view) in [(10, 9), (10, 0), (1, 0), (u64::MAX, u64::MAX - 1)] {
        assert_eq!(decode(Format::HotStuffProposal, &with(view, qc_view)).err(), None);
    }
}

#[test]
fn a_body_is_as_long_as_it_says_and_not_empty() {
    let with = |length: u32, body: &[u8]| [b"QBIND_BATCH_V1".as_slice(), &7_u64.to_be_bytes(), &length.to_be_bytes(), body].concat();
    assert_malformed(Format::TaggedMessage, &with(0, b""), "at least one byte");
    assert_malformed(Format::TaggedMessage, &with(0, b"body"), "at least one byte");
    for length in [1, 3, 5, u32::MAX] {
        let says = format!("`body` of a tagged message has {length} bytes by its length, and 4 follow");
        assert_malformed(Format::TaggedMessage, &with(length, b"body"), &says);
    }
    let empty = Tagged {
        body: Vec::new(),
        ..tagged(Domain::Batch)
    };
    assert_eq!(empty.sign_bytes(), None);
}

#[test]
fn a_ciphertext_has_1088_bytes_and_is_opened_by_ml_kem_alone() {
    let ciphertext = vec![0x5a; 1088];
    let decoded = decode(Format::MlKem768Ciphertext, &ciphertext).unwrap();
    assert_eq!(decoded.inputs.first, SigningInput::Message(ciphertext.clone()));
    assert_eq!((decoded.consensus, decoded.role), (None, None));
    for length in [0, 1, 768, 1087, 1089, 1568] {
        assert_malformed(
            Format::MlKem768Ciphertext,
            &vec![0x5a; length],
            &format!("1088 bytes, this has {length}"),
        );
    }
    for scheme in Scheme::ALL.iter().filter(|scheme| **scheme != Scheme::MlKem768) {
        let refused = sigwarden_formats::decode(Format::MlKem768Ciphertext, *scheme, &ciphertext).unwrap_err();
        assert_eq!(refused.to_string(), format!("a `{scheme}` key opens no `ml-kem-768/ciphertext`"));
    }
    for format in Format::ALL.iter().filter(|format| **format != Format::MlKem768Ciphertext) {
        for payload in samples::payloads(*format) {
            assert!(sigwarden_formats::decode(*format, Scheme::MlKem768, &payload).is_err(), "{format}");
        }
    }
}

#[test]
fn ecdsa_and_schnorr_sign_none_of_them() {
    for format in FIXED {
        for scheme in [Scheme::Secp256k1Ecdsa, Scheme::Secp256k1Schnorr, Scheme::MlKem768] {
            let refused = sigwarden_formats::decode(format, scheme, &payloads(format)[0]).unwrap_err();
            assert_eq!(refused.to_string(), format!("a `{scheme}` key signs no `{format}`"));
        }
    }
}

/// Whatever follows the tag: a verifier may be laxer than ours.
#[test]
fn what_begins_with_a_tag_is_no_raw_message() {
    let tags = HOTSTUFF.into_iter().zip([PROPOSAL_TAG, VOTE_TAG, TIMEOUT_TAG]);
    let tagged = Domain::ALL.iter().map(|domain| (Format::TaggedMessage, domain.tag()));
    for (format, tag) in tags.chain(tagged) {
        for rest in ["", "\0", " and whatever follows"] {
            let payload = [tag, rest].concat();
            for raw in [Format::RawMessageSha256, Format::RawMessageKeccak256, Format::RawMessageNone] {
                assert_eq!(refusal(raw, payload.as_bytes()), PayloadError::Structured(format), "{payload}");
            }
        }
    }
    for unknown in ["QBIND_", "QBIND_VOTE_V2", "QBIND_SNAPSHOT_V1 and its rest"] {
        assert_malformed(Format::RawMessageNone, unknown.as_bytes(), "a tag that Sigwarden does not read");
    }
    for text in ["QBIND", "qbind_vote_v1", " QBIND_VOTE_V1", "a word on QBIND_VOTE_V1"] {
        assert_eq!(decode(Format::RawMessageNone, text.as_bytes()).err(), None, "{text}");
    }
}

#[test]
fn the_document_has_these_vectors() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats.md");
    let text = std::fs::read_to_string(path).unwrap();
    for vector in [PROPOSAL, GENESIS_PROPOSAL, VOTE, TIMEOUT, GENESIS_TIMEOUT, BATCH_ACK] {
        assert!(text.lines().any(|line| line == vector), "{vector}");
    }
}
