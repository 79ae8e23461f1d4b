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
use proptest::prelude::*;
use sigwarden_core::fact::MessageTime;
use sigwarden_core::{Format, Scheme};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

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

#[tokio::test]
async fn an_answer_that_does_not_fit_becomes_an_error_and_no_signature() {
    let key = Answered::PublicKey(PublicKey::Ed25519([1; 32]));
    let short = Answered::Signed {
        signature: vec![8; 65],
        extension_signature: None,
        timestamp: None,
    };
    let plain = || ask_vote(vote(wire::PREVOTE, block(), b""), false);
    let extended = || ask_vote(vote(wire::PRECOMMIT, block(), b""), false);
    let public_key = || Message::from(Sum::PubKeyRequest(PubKeyRequest::default()));
    for (message, answered) in [
        (plain(), key.clone()),
        (plain(), short),
        (plain(), signed_with_extension()),
        (extended(), signed()),
        (public_key(), signed()),
        (raw([b"c", b"raw", b"uid"]), key),
    ] {
        let (response, asked, noted) = exchange(Dialect::Celestia, message, answered).await;
        assert!(asked.is_some());
        assert_eq!(error_of(&response).code, ErrorCode::Internal as i32);
        assert!(matches!(noted, Some(RequestError::UnfitAnswer { .. })));
    }
}

#[tokio::test]
async fn a_refusal_reaches_the_node_and_is_cut_where_it_must() {
    let text = "floor/regression: height 5 is below the watermark 1000/0/precommit".to_owned();
    let refused = |description| Answered::Refused { description };
    let message = || ask_vote(vote(wire::PREVOTE, block(), b""), false);
    let (response, _, noted) = exchange(Dialect::V0_38, message(), refused(text.clone())).await;
    assert_eq!(
        *error_of(&response),
        RemoteSignerError {
            code: 16,
            description: text
        }
    );
    assert_eq!(noted, None, "the caller knows");
    let (response, _, _) = exchange(Dialect::V0_38, message(), refused("é".repeat(1000))).await;
    assert_eq!(error_of(&response).description, "é".repeat(512));
}

#[tokio::test]
async fn an_extension_that_the_node_could_not_read_back_is_refused() {
    let large = vec![7; Dialect::V1.message_max() - 250];
    let (response, _, noted) = exchange(
        Dialect::V1,
        ask_vote(vote(wire::PRECOMMIT, block(), &large), false),
        signed_with_extension(),
    )
    .await;
    assert_eq!(error_of(&response).code, ErrorCode::Internal as i32);
    assert!(noted.unwrap().to_string().contains("is the vote extension too large?"));
    let (response, _, noted) = exchange(
        Dialect::V0_38,
        ask_vote(vote(wire::PRECOMMIT, block(), &large), false),
        signed_with_extension(),
    )
    .await;
    assert_eq!(noted, None);
    assert!(matches!(response.sum, Some(Sum::SignedVoteResponse(response)) if response.vote.as_ref().unwrap().extension == large));
}

/// How a connection ends on which a node sends these bytes and no more; the node stays if `stays`.
async fn end_of(bytes: &[u8], stays: bool) -> (Ended, Vec<u8>, DuplexStream) {
    let (mut node, stream) = duplex(1 << 16);
    node.write_all(bytes).await.unwrap();
    if !stays {
        node.shutdown().await.unwrap();
    }
    let ended = serve(stream, Dialect::V0_34, Limits::default(), |_| std::future::ready(signed()), |_| {}).await;
    let mut response = Vec::new();
    if !stays {
        node.read_to_end(&mut response).await.unwrap();
    }
    (ended, response, node)
}

#[tokio::test(start_paused = true)]
async fn silence_and_slowness_end_a_connection() {
    let (ended, _, _node) = end_of(b"", true).await;
    assert!(matches!(ended.why, ConnectionError::Idle(limit) if limit == Duration::from_secs(15)));
    let (ended, _, _node) = end_of(b"\x02\x3a", true).await;
    assert!(
        matches!(
            ended.why,
            ConnectionError::Slow {
                what: "reading a message",
                ..
            }
        ),
        "{:?}",
        ended.why
    );
}

#[tokio::test(start_paused = true)]
async fn a_byte_now_and_then_does_not_keep_a_message_open() {
    let (mut node, stream) = duplex(1 << 16);
    let drip = async {
        node.write_all(&[100]).await.unwrap();
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if node.write_all(&[0]).await.is_err() {
                break;
            }
        }
    };
    let (ended, ()) = tokio::join!(
        serve(stream, Dialect::V0_34, Limits::default(), |_| std::future::ready(signed()), |_| {}),
        drip
    );
    assert!(matches!(ended.why, ConnectionError::Slow { .. }), "{:?}", ended.why);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_reads_nothing_is_given_up() {
    let (mut node, stream) = duplex(64);
    let ask = async {
        // The node pings, and never reads: its answers fill the pipe.
        while node.write_all(b"\x02\x3a\x00").await.is_ok() {}
    };
    let (ended, ()) = tokio::join!(
        serve(stream, Dialect::V0_34, Limits::default(), |_| std::future::ready(signed()), |_| {}),
        ask
    );
    assert!(
        matches!(
            ended.why,
            ConnectionError::Slow {
                what: "writing a response",
                ..
            }
        ),
        "{:?}",
        ended.why
    );
}

#[tokio::test]
async fn what_is_no_message_ends_a_connection_by_name() {
    let (ended, response, _) = end_of(b"\x02\x3a\x00\x02\x3a\x00", false).await;
    assert_eq!(
        (ended.answered, response.as_slice()),
        (2, &b"\x02\x42\x00\x02\x42\x00"[..]),
        "two pings in one write"
    );
    assert!(matches!(ended.why, ConnectionError::Closed));
    for bytes in [&b"\x02\x3a"[..], b"\x80", b"\xff\xff"] {
        let (ended, _, _) = end_of(bytes, false).await;
        assert!(
            matches!(ended.why, ConnectionError::Truncated { have } if have <= bytes.len()),
            "{:?}",
            ended.why
        );
    }
    for bytes in [
        &b"\xff\xff\xff\xff\x0f"[..],
        b"\x81\x50",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x80\x80\x80\x80\x00",
    ] {
        let (ended, _, _node) = end_of(bytes, true).await;
        assert!(matches!(ended.why, ConnectionError::TooLong { max: 10240, .. }), "{:?}", ended.why);
    }
    for (bytes, what) in [
        (&b"\x02\x42\x00"[..], "a PingResponse"),
        (b"\x00", "a message that is empty"),
        (b"\x02\x5a\x00", "of a number above 10"),
    ] {
        let (ended, _, _) = end_of(bytes, false).await;
        assert!(
            matches!(ended.why, ConnectionError::NoRequest(found) if found.contains(what)),
            "{:?}",
            ended.why
        );
    }
    let (ended, _, _) = end_of(b"\x02\x1a\x7f", false).await;
    assert!(matches!(ended.why, ConnectionError::Malformed(_)), "{:?}", ended.why);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), number in 1_u8..11) {
        // As they come, and as the body of each message.
        let body = [&[number << 3 | 2, (bytes.len() as u8) | 0x80, (bytes.len() >> 7) as u8][..], &bytes].concat();
        let framed = [&[(body.len() as u8) | 0x80, (body.len() >> 7) as u8][..], &body].concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for bytes in [bytes, framed] {
            for dialect in Dialect::ALL {
                runtime.block_on(async {
                    let (mut node, stream) = duplex(1 << 16);
                    node.write_all(&bytes).await.unwrap();
                    node.shutdown().await.unwrap();
                    let ended = serve(stream, dialect, Limits::default(), |_| std::future::ready(signed()), |_| {}).await;
                    assert!(!matches!(ended.why, ConnectionError::Idle(_) | ConnectionError::Slow { .. }));
                });
            }
        }
    }
}
