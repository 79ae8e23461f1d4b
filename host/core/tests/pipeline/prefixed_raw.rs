//! An application's raw bytes, which no floor guards: signed only behind a prefix that the key names.

use crate::fakes::{PEER, World, allow, vote};
use sigwarden_core::{Code, Format, SignCall};
use std::sync::atomic::Ordering;

fn raw(key: &str, payload: &str) -> SignCall {
    SignCall {
        key: key.into(),
        format: Format::CometBftRawBytes.name().into(),
        payload: payload.into(),
        ..vote("2/1/a")
    }
}

fn refused(world: &World, call: SignCall, code: Code) -> String {
    let refusal = world.pipeline.sign(PEER, call).unwrap_err();
    assert_eq!(refusal.kind(), code, "{refusal}");
    assert_eq!(world.ledger.decided.load(Ordering::SeqCst), 0);
    assert_eq!(world.backend_calls(), 0);
    refusal.message
}

#[test]
fn a_key_that_names_no_prefix_signs_no_raw_bytes() {
    let world = World::new(vec![allow()]);
    let message = refused(&world, raw("cosmos.validator", "oracle: 42"), Code::FormatRaw);
    assert!(message.contains("only with `dangerous_allow_prefixed_raw`"), "{message}");
    // Whatever its flags, no account does.
    refused(&world, raw("own.account", "oracle: 42"), Code::FormatRole);
}

#[test]
fn raw_bytes_begin_with_a_prefix_that_the_key_names() {
    let world = World::new(vec![allow()]);
    for payload in ["oracle:", "Oracle: 42", " oracle: 42", ""] {
        let message = refused(&world, raw("cosmos.prefixed", payload), Code::FormatRaw);
        assert!(message.contains("`oracle: ` or `COMET::RAW_BYTES::SIGN`"), "{message}");
    }
    for payload in ["oracle: 42", "COMET::RAW_BYTES::SIGN on chain"] {
        world.pipeline.sign(PEER, raw("cosmos.prefixed", payload)).unwrap();
    }
    // The prefix opens raw bytes, and nothing else.
    let mut message = raw("cosmos.prefixed", "oracle: 42");
    message.format = Format::RawMessageNone.name().into();
    assert_eq!(world.pipeline.sign(PEER, message).unwrap_err().kind(), Code::FormatRole);
}

/// The fakes' decoder reads what follows ` on ` as the chain.
#[test]
fn raw_bytes_of_another_chain_than_the_key_s_are_refused() {
    let world = World::new(vec![allow()]);
    let message = refused(&world, raw("cosmos.prefixed", "oracle: 42 on other"), Code::KeyBinding);
    assert!(message.contains("bound to chain id chain, and the message has other"), "{message}");
    world.pipeline.sign(PEER, raw("cosmos.prefixed", "oracle: 42 on chain")).unwrap();
}
