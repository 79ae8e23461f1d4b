//! Raw messages and digests: what is signed, and that nothing structured passes as raw.

use crate::samples::{eip1559, eip2930, extension, legacy, nil_prevote, payloads, precommit, proposal};
use crate::{decode, digest_of, hex, refusal};
use sigwarden_core::Format;
use sigwarden_core::fact::{PayloadError, SigningInput};
use sigwarden_formats::evm::{Eip1559, U256};

const RAW: [Format; 3] = [Format::RawMessageSha256, Format::RawMessageKeccak256, Format::RawMessageNone];

fn assert_structured(payload: &[u8], format: Format) {
    for raw in RAW {
        assert_eq!(refusal(raw, payload), PayloadError::Structured(format), "{}", hex::encode(payload));
    }
}

fn assert_passes(payload: &[u8]) {
    for raw in RAW {
        assert_eq!(decode(raw, payload).err(), None, "{}", hex::encode(payload));
    }
}

/// SHA-256 of `abc`: FIPS 180-2, appendix B.1. Keccak-256 of the empty string: Ethereum Yellow Paper, `KEC(())`.
#[test]
fn the_hash_is_part_of_the_name() {
    let sha256 = decode(Format::RawMessageSha256, b"abc").unwrap();
    assert_eq!(
        digest_of(&sha256),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    let keccak256 = decode(Format::RawMessageKeccak256, b"").unwrap();
    assert_eq!(
        digest_of(&keccak256),
        "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    );
    let none = decode(Format::RawMessageNone, b"abc").unwrap();
    assert_eq!(none.inputs.first, SigningInput::Message(b"abc".to_vec()));
    assert_eq!(none.consensus, None);
}

#[test]
fn a_digest_is_exactly_32_bytes() {
    let decoded = decode(Format::RawDigest, &[7; 32]).unwrap();
    assert_eq!(decoded.inputs.first, SigningInput::Digest([7; 32]));
    for length in [0, 31, 33, 64] {
        assert_eq!(refusal(Format::RawDigest, &vec![7; length]), PayloadError::DigestLength(length));
    }
}

#[test]
fn ordinary_messages_pass() {
    assert_passes(b"");
    assert_passes(b"hello world");
    assert_passes("Příliš žluťoučký kůň úpěl ďábelské ódy\r\n\t".as_bytes());
    assert_passes(br#"{"type":"precommit","height":"12345","round":"2","chain_id":"test"}"#);
    // Six RLP items by accident; the fourth is no recipient.
    assert_passes("\u{180}abcde".as_bytes());
    assert_passes(&[0; 64]);
    assert_passes(&[0xff; 64]);
    // A protobuf message of somebody else's, delimited and not.
    assert_passes(&hex("0a0568656c6c6f1003"));
    assert_passes(&hex("090a0568656c6c6f1003"));
}

#[test]
fn whatever_a_structured_format_takes_no_raw_message_is() {
    for format in Format::ALL {
        match format {
            Format::RawMessageSha256 | Format::RawMessageKeccak256 | Format::RawMessageNone | Format::RawDigest => {}
            // Nothing in it is signed, so a signature over it means nothing.
            Format::MlKem768Ciphertext => {}
            // The payload is the message, which is signed behind a prefix: that is what no raw message may have.
            Format::EvmEip191 => {
                for payload in payloads(*format) {
                    let length = payload.len().to_string();
                    assert_structured(&[b"\x19Ethereum Signed Message:\n", length.as_bytes(), &payload].concat(), *format);
                }
            }
            // An application's bytes are structured if Celestia wrote them.
            Format::CometBftRawBytes => {
                assert_structured(&crate::samples::raw_bytes().sign_bytes(), *format);
                assert_structured(b"COMET::RAW_BYTES::SIGN and whatever follows", *format);
            }
            Format::EvmLegacy
            | Format::EvmEip2930
            | Format::EvmEip1559
            | Format::EvmEip4844
            | Format::EvmEip7702
            | Format::EvmEip712
            | Format::CometBftVote
            | Format::CometBftProposal
            | Format::CometBftVoteExtension
            | Format::HotStuffProposal
            | Format::HotStuffVote
            | Format::HotStuffTimeout
            | Format::TaggedMessage => {
                for payload in payloads(*format) {
                    assert_structured(&payload, *format);
                }
            }
        }
    }
}

#[test]
fn typed_data_is_no_raw_message_in_any_form() {
    assert_structured(crate::samples::MAIL.as_bytes(), Format::EvmEip712);
    assert_structured(&[&[0x19, 0x01], [7; 64].as_slice()].concat(), Format::EvmEip712);
    assert_structured(b"\x19\x01 and whatever follows", Format::EvmEip712);
    assert_passes(br#"{"primaryType":"Mail"}"#);
}

#[test]
fn what_eip_191_starts_with_is_no_raw_message() {
    assert_structured(b"\x19Ethereum Signed Message:\n5hello world", Format::EvmEip191);
    for raw in RAW {
        match refusal(raw, b"\x19\x00a validator's address and data") {
            PayloadError::Malformed(message) => assert!(message.contains("EIP-191, version 0x00"), "{message}"),
            other => panic!("{other:?}"),
        }
    }
    assert_passes(b"\x19Cosmos Signed Message:\n11hello world");
}

#[test]
fn a_bare_vote_extension_is_structured() {
    assert_structured(&extension().sign_bytes(), Format::CometBftVoteExtension);
    let mut empty = extension();
    empty.extension.clear();
    assert_structured(&empty.sign_bytes(), Format::CometBftVoteExtension);
}

#[test]
fn transactions_that_the_decoders_refuse_are_structured_too() {
    let without_chain_id = hex("e9098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080");
    assert_structured(&without_chain_id, Format::EvmLegacy);
    assert_structured(&legacy().signed(&[1; 32], &[2; 32], 0), Format::EvmLegacy);
    let absurd = Eip1559 {
        chain_id: 0,
        nonce: u64::MAX,
        max_priority_fee_per_gas: U256::MAX,
        ..eip1559()
    };
    assert_structured(&absurd.unsigned(), Format::EvmEip1559);
    assert_structured(&eip2930().signed(&[1; 32], &[2; 32], 0), Format::EvmEip2930);
}

#[test]
fn transactions_of_types_without_a_format_are_refused_by_name() {
    let items = &eip1559().unsigned()[1..];
    for (transaction_type, name) in [(5, "EIP-7702 authorization"), (0x7b, "EIP-2718"), (0x00, "EIP-2718")] {
        let mut payload = vec![transaction_type];
        payload.extend_from_slice(items);
        match refusal(Format::RawMessageKeccak256, &payload) {
            PayloadError::Malformed(message) => assert!(message.contains(name), "{message}"),
            other => panic!("{other:?}"),
        }
    }
}

/// Text made to be six RLP strings with an empty fourth: the rule is about bytes, and this could be a transaction.
#[test]
fn text_that_is_a_transaction_is_structured() {
    assert_structured("\u{302}aÂaÂaÀaa".as_bytes(), Format::EvmLegacy);
}

/// Encodings that no canonical encoder writes, but that a lax verifier may read as a vote.
#[test]
fn votes_in_other_encodings_are_structured() {
    let (kind, height, round, time, chain) = ("0802", "110100000000000000", "190100000000000000", "2a00", "320141");
    let delimited = |fields: &str| {
        let mut out = vec![u8::try_from(fields.len() / 2).unwrap()];
        out.extend(hex(fields));
        out
    };
    let variants = [
        format!("{kind}{height}{round}{time}{chain}"),
        // Another order, without timestamp, without chain id, without round.
        format!("{chain}{round}{time}{height}{kind}"),
        format!("{kind}{height}{round}{chain}"),
        format!("{kind}{height}"),
        // Unknown fields of every wire type at the end, groups included; a repeated field.
        format!("{kind}{height}{round}{time}{chain}5801"),
        format!("{kind}{height}{round}{time}{chain}590000000000000000"),
        format!("{kind}{height}{round}{time}{chain}5a0178"),
        format!("{kind}{height}{round}{time}{chain}5d00000000"),
        format!("{kind}{height}{round}{time}{chain}5b08015c"),
        format!("0820{kind}{height}"),
        // Varints longer than need be, and a type whose high half decoders drop.
        format!("88008280{}00{height}", "80".repeat(3)),
        format!("0882808080f0ffffffff01{height}").replace("f0ffffffff01", "10"),
    ];
    for fields in &variants {
        assert_structured(&delimited(fields), Format::CometBftVote);
        assert_structured(&hex(fields), Format::CometBftVote);
    }
    let mut trailing = delimited(&variants[0]);
    trailing.extend_from_slice(b"whatever follows");
    assert_structured(&trailing, Format::CometBftVote);
    assert_structured(&proposal().sign_bytes()[1..], Format::CometBftProposal);
    assert_structured(&precommit().sign_bytes()[1..], Format::CometBftVote);
    assert_structured(&nil_prevote().sign_bytes()[1..], Format::CometBftVote);
}

#[test]
fn messages_that_only_look_like_protobuf_pass() {
    // No height; height zero; no such type; a group that ends without a start, or starts without an end; field number 0.
    for fields in [
        "0802",
        "0802110000000000000000",
        "0803110100000000000000",
        "08021101000000000000005c",
        "08021101000000000000005b",
        "08021101000000000000000001",
        "0802110100000000000000ff",
    ] {
        assert_passes(&hex(fields));
    }
}
