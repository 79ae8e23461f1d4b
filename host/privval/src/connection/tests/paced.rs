//! A node that repeats itself, and one that goes on.

use super::*;
use std::time::Duration;
use tokio::time::Instant;

/// When, in milliseconds, the signer was asked what; paused time goes on only where something waits.
async fn asked_at(dialect: Dialect, messages: Vec<Message>) -> Vec<u128> {
    let (mut node, stream) = duplex(1 << 20);
    let count = messages.len();
    for message in messages {
        node.write_all(&message.encode_length_delimited_to_vec()).await.unwrap();
    }
    node.shutdown().await.unwrap();
    let start = Instant::now();
    let mut asked = Vec::new();
    let ended = serve(
        stream,
        dialect,
        Limits::default(),
        |question| {
            asked.push(start.elapsed().as_millis());
            std::future::ready(match question {
                Asked::PublicKey { .. } => Answered::PublicKey(PublicKey::Ed25519([1; 32])),
                Asked::Message { .. } | Asked::RawBytes { .. } => signed(),
            })
        },
        |error| panic!("{error}"),
    )
    .await;
    assert!(matches!(ended.why, ConnectionError::Closed), "{:?}", ended.why);
    assert_eq!(ended.answered, count as u64, "each is answered");
    asked
}

fn prevote(height: i64, round: i32, seconds: i64) -> Message {
    let vote = wire::Vote {
        height,
        round,
        timestamp: Some(Timestamp { seconds, nanos: 0 }),
        ..vote(wire::PREVOTE, block(), b"")
    };
    ask_vote(vote, false)
}

/// So many at once, then one each 50 ms.
fn paced(count: u128) -> Vec<u128> {
    (0..count).map(|index| index.saturating_sub(19) * 50).collect()
}

#[tokio::test(start_paused = true)]
async fn a_vote_that_is_repeated_is_answered_twenty_times_a_second() {
    // At other times, and in turn with older positions; the first goes up.
    let same = (0..101).map(|seconds| prevote(5, 1, seconds)).collect();
    assert_eq!(asked_at(Dialect::V0_38, same).await, [vec![0], paced(100)].concat());
    let older = (0..101)
        .map(|index| prevote(if index == 0 { 9 } else { 5 + index % 2 }, 1, index))
        .collect();
    assert_eq!(asked_at(Dialect::V0_38, older).await, [vec![0], paced(100)].concat());
    let rounds = (0..101).map(|index| prevote(9, 100 - index, 0)).collect();
    assert_eq!(asked_at(Dialect::V0_38, rounds).await, [vec![0], paced(100)].concat());
}

#[tokio::test(start_paused = true)]
async fn what_goes_up_is_never_slowed() {
    let rising = (1..=1000).flat_map(|height| {
        let proposal = wire::Proposal { height, ..proposal() };
        let chain_id = "test-chain".to_owned();
        let vote = |message_type| wire::Vote {
            height,
            ..vote(message_type, block(), b"")
        };
        [
            Sum::SignProposalRequest(SignProposalRequest {
                proposal: Some(proposal),
                chain_id,
            })
            .into(),
            ask_vote(vote(wire::PREVOTE), false),
            ask_vote(vote(wire::PRECOMMIT), false),
        ]
    });
    assert_eq!(asked_at(Dialect::V0_34, rising.collect()).await, vec![0; 3000]);
    // Not even after a node has used up its repetitions; pings and public keys are no repetitions.
    let mut mixed: Vec<Message> = (0..22).map(|seconds| prevote(5, 1, seconds)).collect();
    mixed.extend((0..50).map(|_| Sum::PingRequest(Ping {}).into()));
    mixed.extend((0..50).map(|_| Sum::PubKeyRequest(PubKeyRequest { chain_id: "c".into() }).into()));
    mixed.extend((6..56).map(|height| prevote(height, 0, 0)));
    let (asked, rest) = (asked_at(Dialect::V0_34, mixed).await, vec![50; 100]);
    assert_eq!(asked, [vec![0], paced(21), rest].concat());
}

#[tokio::test(start_paused = true)]
async fn raw_bytes_repeat_nothing() {
    let ask = |index: u8| raw([b"mocha-4", &[index % 2], b"fiber-commitment"]);
    assert_eq!(asked_at(Dialect::Celestia, (0..200).map(ask).collect()).await, vec![0; 200]);
}

#[tokio::test(start_paused = true)]
async fn a_second_gives_twenty_repetitions_back() {
    let (mut node, stream) = duplex(1 << 20);
    let start = Instant::now();
    let mut asked = Vec::new();
    let ask = async {
        for burst in 0..3 {
            tokio::time::sleep_until(start + Duration::from_secs(5) * burst).await;
            // The first of all goes up.
            for seconds in 0..20 + i64::from(burst == 0) {
                node.write_all(&prevote(5, 1, seconds).encode_length_delimited_to_vec())
                    .await
                    .unwrap();
            }
        }
        node.shutdown().await.unwrap();
    };
    let answer = |_| {
        asked.push(start.elapsed().as_secs());
        std::future::ready(signed())
    };
    tokio::join!(serve(stream, Dialect::V0_34, Limits::default(), answer, |_| {}), ask);
    assert_eq!(asked, [vec![0; 21], vec![5; 20], vec![10; 20]].concat());
}
