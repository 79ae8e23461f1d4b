//! Peers that are no node, or a broken one.

use super::signed;
use crate::codec::{ConnectionError, Limits};
use crate::connection::{Ended, serve};
use crate::dialect::Dialect;
use proptest::prelude::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

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
    assert!(matches!(ended.why, ConnectionError::Idle(limit) if limit == Duration::from_secs(10)));
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
