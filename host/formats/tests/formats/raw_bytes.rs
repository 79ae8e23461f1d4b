//! An application's prefixed bytes: Celestia's layout, any other, and what they may not resemble.

use crate::samples::{extension, nil_prevote, precommit, proposal, raw_bytes};
use crate::{assert_malformed, assert_non_canonical, decode, fact, hex, refusal};
use sha2::Digest;
use sigwarden_core::Format::CometBftRawBytes;
use sigwarden_core::fact::{PayloadError, SigningInput};
use sigwarden_core::{Format, Scheme};
use sigwarden_formats::cometbft::RawBytes;

/// celestia-core v0.39.10, `types/priv_validator_test.go`, `TestRawDataSignBytes`: prefix and length-delimited protobuf, here by `prost`.
#[test]
fn celestia_s_layout_is_what_its_code_marshals() {
    #[derive(prost::Message)]
    struct SignRawBytesRequest {
        #[prost(string, tag = "1")]
        chain_id: String,
        #[prost(bytes = "vec", tag = "2")]
        raw_bytes: Vec<u8>,
        #[prost(string, tag = "3")]
        unique_id: String,
    }
    let RawBytes {
        chain_id,
        unique_id,
        raw_bytes: bytes,
    } = raw_bytes();
    let message = SignRawBytesRequest {
        chain_id,
        raw_bytes: bytes,
        unique_id,
    };
    let mut expected = b"COMET::RAW_BYTES::SIGN".to_vec();
    expected.extend(prost::Message::encode_length_delimited_to_vec(&message));
    let payload = raw_bytes().sign_bytes();
    assert_eq!(payload, expected);
    let decoded = sigwarden_formats::decode(CometBftRawBytes, Scheme::Ed25519, &payload).unwrap();
    assert_eq!(decoded.inputs.first, SigningInput::Message(payload.clone()));
    assert_eq!(decoded.consensus, None);
    assert_eq!(fact(&decoded, "raw-bytes.layout").unwrap(), "\"celestia\"");
    assert_eq!(fact(&decoded, "cometbft.chain-id").unwrap(), "\"test-chain\"");
    assert_eq!(fact(&decoded, "raw-bytes.unique-id").unwrap(), "\"unique-id-123\"");
    assert_eq!(fact(&decoded, "raw-bytes.body").unwrap(), format!("0x{}", hex::encode("test data")));
    let ecdsa = sigwarden_formats::decode(CometBftRawBytes, Scheme::Secp256k1Ecdsa, &payload).unwrap();
    assert_eq!(ecdsa.inputs.first, SigningInput::Digest(sha2::Sha256::digest(&payload).into()));
}

#[test]
fn what_celestia_refuses_to_sign_is_refused() {
    for (raw, says) in [
        (
            RawBytes {
                chain_id: String::new(),
                ..raw_bytes()
            },
            "`chain_id` is missing",
        ),
        (
            RawBytes {
                unique_id: String::new(),
                ..raw_bytes()
            },
            "`unique_id` is missing",
        ),
        (
            RawBytes {
                raw_bytes: vec![],
                ..raw_bytes()
            },
            "`raw_bytes` is missing",
        ),
        (
            RawBytes {
                chain_id: "x".repeat(51),
                ..raw_bytes()
            },
            "1 to 50 printable",
        ),
        (
            RawBytes {
                unique_id: "x".repeat(257),
                ..raw_bytes()
            },
            "1 to 256 printable",
        ),
        (
            RawBytes {
                unique_id: "a\u{1b}[2J".into(),
                ..raw_bytes()
            },
            "1 to 256 printable",
        ),
    ] {
        assert_malformed(CometBftRawBytes, &raw.sign_bytes(), says);
    }
}

#[test]
fn another_encoding_behind_celestia_s_prefix_is_refused() {
    let behind = |bytes: &str| [b"COMET::RAW_BYTES::SIGN".as_slice(), &hex(bytes)].concat();
    let whole = "090a01411201421a0143";
    assert!(decode(CometBftRawBytes, &behind(whole)).is_ok());
    // The layout of earlier versions of celestia-core had no length.
    assert_malformed(CometBftRawBytes, &behind("0a01411201421a0143"), "runs past the end");
    assert_malformed(CometBftRawBytes, &behind(&format!("{whole}00")), "1 more bytes follow");
    assert_non_canonical(CometBftRawBytes, &behind("091201420a01411a0143"), "rising order");
    assert_non_canonical(
        CometBftRawBytes,
        &behind("8900 0a01411201421a0143".replace(' ', "").as_str()),
        "trailing zero group",
    );
    assert_malformed(CometBftRawBytes, &behind("0c0a01411201421a0143220144"), "none of its fields");
    assert_malformed(CometBftRawBytes, b"COMET::RAW_BYTES::SIGN", "length prefix");
}

#[test]
fn bytes_of_another_application_are_opaque() {
    let decoded = decode(CometBftRawBytes, b"oracle/prices: 42").unwrap();
    assert_eq!(fact(&decoded, "raw-bytes.layout").unwrap(), "\"opaque\"");
    assert_eq!(fact(&decoded, "raw-bytes.length").unwrap(), "17");
    assert_eq!(fact(&decoded, "cometbft.chain-id"), None);
    assert_malformed(CometBftRawBytes, b"", "begin with their prefix");
}

#[test]
fn consensus_messages_are_no_raw_bytes() {
    for (payload, format) in [
        (precommit().sign_bytes(), Format::CometBftVote),
        (nil_prevote().sign_bytes(), Format::CometBftVote),
        (proposal().sign_bytes(), Format::CometBftProposal),
        (extension().sign_bytes(), Format::CometBftVoteExtension),
        (precommit().sign_bytes_with_extension(b"x"), Format::CometBftVoteExtension),
        (crate::samples::hotstuff_vote().sign_bytes(), Format::HotStuffVote),
        (crate::samples::legacy().unsigned(), Format::EvmLegacy),
    ] {
        assert_eq!(refusal(CometBftRawBytes, &payload), PayloadError::Structured(format));
        // Undelimited, as a lax verifier might take it.
        if matches!(format, Format::CometBftVote | Format::CometBftProposal) {
            assert_eq!(refusal(CometBftRawBytes, &payload[1..]), PayloadError::Structured(format));
        }
    }
}
