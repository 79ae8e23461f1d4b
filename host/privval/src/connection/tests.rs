#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]
use super::*;
use crate::answer::PublicKey;
use crate::wire::{
    self, BlockId, PartSetHeader, PubKeyRequest, RawRequest, RemoteSignerError, SignProposalRequest, SignVoteRequest, Timestamp,
};
use sigwarden_core::fact::MessageTime;
use sigwarden_core::{Format, Scheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

mod answers;
mod hostile;
mod paced;

fn block() -> Option<BlockId> {
    Some(BlockId {
        hash: vec![1; 32],
        part_set_header: Some(PartSetHeader {
            total: 1,
            hash: vec![2; 32],
        }),
    })
}

fn vote(message_type: i32, block_id: Option<BlockId>, extension: &[u8]) -> wire::Vote {
    wire::Vote {
        message_type,
        height: 5,
        round: 1,
        block_id,
        timestamp: Some(Timestamp {
            seconds: 1_700_000_000,
            nanos: 5,
        }),
        validator_address: vec![3; 20],
        validator_index: 4,
        extension: extension.to_vec(),
        ..Default::default()
    }
}

fn ask_vote(vote: wire::Vote, skip_extension_signing: bool) -> Message {
    Sum::SignVoteRequest(SignVoteRequest {
        vote: Some(vote),
        chain_id: "test-chain".into(),
        skip_extension_signing,
    })
    .into()
}

fn proposal() -> wire::Proposal {
    wire::Proposal {
        message_type: wire::PROPOSAL,
        height: 5,
        round: 1,
        pol_round: -1,
        block_id: block(),
        timestamp: Some(Timestamp {
            seconds: 1_700_000_000,
            nanos: 5,
        }),
        ..Default::default()
    }
}

fn raw(fields: [&[u8]; 3]) -> Message {
    let [value_or_chain_id, raw_bytes, unique_id] = fields.map(<[u8]>::to_vec);
    Sum::RawRequest(RawRequest {
        value_or_chain_id,
        raw_bytes,
        unique_id,
    })
    .into()
}

/// What one message gets, what was asked of the signer, and what was noted.
async fn exchange(dialect: Dialect, message: Message, answered: Answered) -> (Message, Option<Asked>, Option<RequestError>) {
    let (mut node, stream) = duplex(1 << 16);
    node.write_all(&message.encode_length_delimited_to_vec()).await.unwrap();
    node.shutdown().await.unwrap();
    let (mut asked, mut noted) = (None, None);
    let ended = serve(
        stream,
        dialect,
        Limits::default(),
        |question| {
            asked = Some(question);
            std::future::ready(answered.clone())
        },
        |error| noted = Some(error.clone()),
    )
    .await;
    assert!(matches!(ended.why, ConnectionError::Closed), "{:?}", ended.why);
    assert_eq!(ended.answered, 1);
    let mut response = Vec::new();
    node.read_to_end(&mut response).await.unwrap();
    (Message::decode_length_delimited(response.as_slice()).unwrap(), asked, noted)
}

fn signed() -> Answered {
    Answered::Signed {
        signature: vec![8; 64],
        extension_signature: None,
        timestamp: None,
    }
}

fn signed_with_extension() -> Answered {
    Answered::Signed {
        signature: vec![8; 64],
        extension_signature: Some(vec![9; 64]),
        timestamp: None,
    }
}

fn error_of(message: &Message) -> &RemoteSignerError {
    match message.sum.as_ref().unwrap() {
        Sum::PubKeyResponse(response) => response.error.as_ref().unwrap(),
        Sum::SignedVoteResponse(response) => response.error.as_ref().unwrap(),
        Sum::SignedProposalResponse(response) => response.error.as_ref().unwrap(),
        Sum::RawResponse(response) => response.error.as_ref().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn which_format_a_vote_is_depends_on_dialect_block_and_skip() {
    let (v34, v38, v1, celestia) = (Dialect::V0_34, Dialect::V0_38, Dialect::V1, Dialect::Celestia);
    for (dialect, message_type, block_id, skip, extended) in [
        (v34, wire::PRECOMMIT, block(), false, false),
        (v38, wire::PRECOMMIT, block(), false, true),
        (v1, wire::PRECOMMIT, block(), false, true),
        (v1, wire::PRECOMMIT, block(), true, false),
        (celestia, wire::PRECOMMIT, block(), false, true),
        (v38, wire::PRECOMMIT, None, false, false),
        (v38, wire::PRECOMMIT, Some(BlockId::default()), false, false),
        (v38, wire::PREVOTE, block(), false, false),
        (v1, wire::PREVOTE, None, true, false),
    ] {
        let sent = vote(message_type, block_id, b"");
        let answered = if extended { signed_with_extension() } else { signed() };
        let (response, asked, noted) = exchange(dialect, ask_vote(sent.clone(), skip), answered).await;
        assert_eq!(noted, None);
        let Some(Asked::Message { format, payload, chain_id }) = asked else {
            panic!("{asked:?}");
        };
        assert_eq!(chain_id, "test-chain");
        assert_eq!(
            format,
            if extended {
                Format::CometBftVoteExtension
            } else {
                Format::CometBftVote
            }
        );
        let decoded = sigwarden_formats::decode(format, Scheme::Ed25519, &payload).unwrap();
        assert_eq!(decoded.inputs.second.is_some(), extended);
        let Some(Sum::SignedVoteResponse(response)) = response.sum else {
            panic!("{response:?}");
        };
        let expected = wire::Vote {
            signature: vec![8; 64],
            extension_signature: if extended { vec![9; 64] } else { Vec::new() },
            ..sent
        };
        assert_eq!(response.vote, Some(expected), "all else comes back as it was");
        assert_eq!(response.error, None);
    }
}

#[tokio::test]
async fn a_repeated_signature_comes_with_its_own_time() {
    let earlier = MessageTime {
        seconds: 1_600_000_000,
        nanos: 7,
    };
    let answered = Answered::Signed {
        signature: vec![8; 64],
        extension_signature: None,
        timestamp: Some(earlier),
    };
    let (response, _, _) = exchange(Dialect::V0_34, ask_vote(vote(wire::PREVOTE, None, b""), false), answered.clone()).await;
    let Some(Sum::SignedVoteResponse(response)) = response.sum else {
        panic!("{response:?}");
    };
    assert_eq!(response.vote.unwrap().timestamp, Some(earlier.into()));
    let request = Sum::SignProposalRequest(SignProposalRequest {
        proposal: Some(proposal()),
        chain_id: "c".into(),
    });
    let (response, _, _) = exchange(Dialect::V0_34, request.into(), answered).await;
    let Some(Sum::SignedProposalResponse(response)) = response.sum else {
        panic!("{response:?}");
    };
    assert_eq!(response.proposal.unwrap().timestamp, Some(earlier.into()));
}

#[tokio::test]
async fn a_public_key_has_each_dialect_s_form() {
    let key = PublicKey::Secp256k1([2; 33]);
    for dialect in Dialect::ALL {
        let request = Sum::PubKeyRequest(PubKeyRequest { chain_id: "c".into() });
        let (response, asked, _) = exchange(dialect, request.into(), Answered::PublicKey(key)).await;
        assert_eq!(asked, Some(Asked::PublicKey { chain_id: "c".into() }));
        // types.proto: v1 has fields 3 and 4, the others field 1, in it field 2.
        let expected = if dialect == Dialect::V1 {
            [&[0x12, 46, 0x1a, 33][..], &[2; 33], &[0x22, 9], b"secp256k1"].concat()
        } else {
            [&[0x12, 37, 0x0a, 35, 0x12, 33][..], &[2; 33]].concat()
        };
        assert_eq!(hex::encode(response.encode_to_vec()), hex::encode(expected), "{dialect}");
    }
}

#[tokio::test]
async fn a_message_of_another_dialect_is_named_with_the_setting_to_change() {
    let (v34, v38, v1, celestia) = (Dialect::V0_34, Dialect::V0_38, Dialect::V1, Dialect::Celestia);
    let bytes = || raw([b"anything", b"", b""]);
    let raw_bytes = || raw([b"mocha-4", b"compact block", b"compact-block"]);
    let extended = || ask_vote(vote(wire::PRECOMMIT, block(), b"oracle"), false);
    let skipping = || ask_vote(vote(wire::PRECOMMIT, block(), b""), true);
    for (configured, message, right, name) in [
        (v34, bytes(), v1, "SignBytesRequest"),
        (v38, bytes(), v1, "SignBytesRequest"),
        (celestia, bytes(), v1, "SignBytesRequest"),
        (v34, raw_bytes(), celestia, "SignRawBytesRequest"),
        (v38, raw_bytes(), celestia, "SignRawBytesRequest"),
        (v1, raw_bytes(), celestia, "SignRawBytesRequest"),
        (v34, extended(), v38, "SignVoteRequest with a vote extension"),
        (v34, skipping(), v1, "SignVoteRequest with skip_extension_signing"),
        (v38, skipping(), v1, "SignVoteRequest with skip_extension_signing"),
        (celestia, skipping(), v1, "SignVoteRequest with skip_extension_signing"),
    ] {
        let (response, asked, noted) = exchange(configured, message, signed()).await;
        assert_eq!(asked, None, "nothing is signed");
        let error = error_of(&response);
        assert_eq!(error.code, ErrorCode::WrongDialect as i32);
        assert_eq!(error.description, noted.unwrap().to_string());
        for part in [
            name,
            &format!("dialect `{configured}`"),
            &format!("`privval.dialect = \"{right}\"`"),
        ] {
            assert!(error.description.contains(part), "{part}: {}", error.description);
        }
    }
}

#[tokio::test]
async fn raw_bytes_are_signed_as_their_dialect_says() {
    let (response, asked, _) = exchange(Dialect::V1, raw([b"PREFIX anything", b"", b""]), signed()).await;
    assert_eq!(
        asked,
        Some(Asked::RawBytes {
            sign_bytes: b"PREFIX anything".to_vec(),
            chain_id: None
        })
    );
    assert!(matches!(response.sum, Some(Sum::RawResponse(response)) if response.signature == [8; 64] && response.error.is_none()));

    // Celestia's layout as bytes of v1: the chain in it is the one that is asked for. Without its length it is no such layout.
    let celestia = b"COMET::RAW_BYTES::SIGN\x13\x0a\x07mocha-4\x12\x03raw\x1a\x03uid";
    for (bytes, chain) in [(&celestia[..], Some("mocha-4")), (&celestia[..celestia.len() - 1], None)] {
        let (_, asked, _) = exchange(Dialect::V1, raw([bytes, b"", b""]), signed()).await;
        let Some(Asked::RawBytes { sign_bytes, chain_id }) = asked else {
            panic!("{asked:?}");
        };
        assert_eq!((sign_bytes.as_slice(), chain_id.as_deref()), (bytes, chain));
    }

    let (_, asked, _) = exchange(Dialect::Celestia, raw([b"mocha-4", b"raw", b"uid"]), signed()).await;
    assert_eq!(
        asked,
        Some(Asked::RawBytes {
            sign_bytes: b"COMET::RAW_BYTES::SIGN\x13\x0a\x07mocha-4\x12\x03raw\x1a\x03uid".to_vec(),
            chain_id: Some("mocha-4".into()),
        })
    );
    for fields in [
        [&b""[..], b"", b""],
        [b"mocha-4", b"raw", b""],
        [b"mocha-4", b"", b"uid"],
        [b"", b"raw", b"uid"],
        [b"\xff", b"raw", b"uid"],
    ] {
        let (response, asked, noted) = exchange(Dialect::Celestia, raw(fields), signed()).await;
        assert_eq!(asked, None);
        assert_eq!(error_of(&response).code, ErrorCode::Malformed as i32, "{noted:?}");
    }
    let (response, asked, _) = exchange(Dialect::V1, raw([b"", b"", b""]), signed()).await;
    assert_eq!((asked, error_of(&response).code), (None, ErrorCode::Malformed as i32));
}

#[tokio::test]
async fn what_no_correct_node_sends_is_refused_by_field() {
    let right = || vote(wire::PRECOMMIT, block(), b"");
    let half = BlockId {
        part_set_header: None,
        ..block().unwrap()
    };
    let short = BlockId {
        hash: vec![1; 20],
        ..block().unwrap()
    };
    for (field, wrong) in [
        (
            "`type` is 32",
            wire::Vote {
                message_type: 32,
                ..right()
            },
        ),
        ("`type` is 0", wire::Vote::default()),
        ("`height` is 0", wire::Vote { height: 0, ..right() }),
        ("`height` is -5", wire::Vote { height: -5, ..right() }),
        ("`round` is -1", wire::Vote { round: -1, ..right() }),
        (
            "`block_id` has a hash of 32 bytes and 0 parts",
            wire::Vote {
                block_id: Some(half),
                ..right()
            },
        ),
        (
            "`block_id` has a hash of 20 bytes",
            wire::Vote {
                block_id: Some(short),
                ..right()
            },
        ),
        (
            "`timestamp` is missing",
            wire::Vote {
                timestamp: None,
                ..right()
            },
        ),
        ("`extension` is there", vote(wire::PRECOMMIT, None, b"oracle")),
        ("`extension` is there", vote(wire::PREVOTE, block(), b"oracle")),
    ] {
        let (response, asked, noted) = exchange(Dialect::V0_38, ask_vote(wrong, false), signed()).await;
        assert_eq!(asked, None);
        assert_eq!(error_of(&response).code, ErrorCode::Malformed as i32);
        let text = noted.unwrap().to_string();
        assert!(text.starts_with("SignVoteRequest: ") && text.contains(field), "{field}: {text}");
    }
    for (field, wrong) in [
        (
            "`type` is 1",
            wire::Proposal {
                message_type: 1,
                ..proposal()
            },
        ),
        (
            "`pol_round` is -2",
            wire::Proposal {
                pol_round: -2,
                ..proposal()
            },
        ),
        (
            "`block_id` is missing",
            wire::Proposal {
                block_id: None,
                ..proposal()
            },
        ),
    ] {
        let request = Sum::SignProposalRequest(SignProposalRequest {
            proposal: Some(wrong),
            chain_id: "c".into(),
        });
        let (response, asked, noted) = exchange(Dialect::V0_38, request.into(), signed()).await;
        assert_eq!((asked, error_of(&response).code), (None, ErrorCode::Malformed as i32));
        assert!(noted.unwrap().to_string().contains(field), "{field}");
    }
}
