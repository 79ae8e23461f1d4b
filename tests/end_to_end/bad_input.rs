//! What bad input gets: a refusal with a stable code and a sentence that helps, a record, and a daemon that keeps serving.

use crate::common::{floor, node};
use sigwarden_tests::caller::request;
use sigwarden_tests::payload::{ACCOUNT, ALLOWED, VALIDATOR, precommit, transfer};

#[test]
fn every_kind_of_bad_request_is_refused_by_its_code_recorded_and_survived() {
    let mut node = node();
    floor(&node, 0);
    node.start().unwrap();
    let mut caller = node.caller().unwrap();
    let good = transfer(0, Some(ALLOWED), 1).unsigned();
    let vote = precommit(5, 0, 1, 1_700_000_000).sign_bytes();
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
    let trailing = |bytes: &[u8]| [bytes, &[0]].concat();
    // A nonce of 0 written as the byte 0x00 instead of the empty string: RLP has one encoding for each integer.
    let mut leading_zero = good.clone();
    let nonce_at = leading_zero.iter().position(|byte| *byte == 0x80).expect("the empty nonce");
    leading_zero[nonce_at] = 0x00;

    let cases: Vec<(&str, &str, &str, Vec<u8>, &str)> = vec![
        ("cut short", ACCOUNT, "evm/eip-1559", cut(&good), "payload/malformed"),
        ("empty", ACCOUNT, "evm/eip-1559", Vec::new(), "payload/malformed"),
        ("trailing byte", ACCOUNT, "evm/eip-1559", trailing(&good), "payload/malformed"),
        ("non-canonical RLP", ACCOUNT, "evm/eip-1559", leading_zero, "payload/non-canonical"),
        ("too large", ACCOUNT, "evm/eip-1559", vec![2; 64 * 1024 + 1], "request/too-large"),
        ("unknown key", "demo.nobody", "evm/eip-1559", good.clone(), "caller/forbidden"),
        ("no key name", "", "evm/eip-1559", good.clone(), "request/malformed"),
        ("unknown format", ACCOUNT, "evm/eip-9999", good.clone(), "request/unknown-format"),
        (
            "a transaction by a consensus key",
            VALIDATOR,
            "evm/eip-1559",
            good.clone(),
            "format/role",
        ),
        ("a vote by an account key", ACCOUNT, "cometbft/vote", vote.clone(), "format/role"),
        (
            "a vote as a raw message",
            VALIDATOR,
            "raw-message/none",
            vote.clone(),
            "format/role",
        ),
        (
            "raw without the flag",
            ACCOUNT,
            "raw-message/sha256",
            b"hello".to_vec(),
            "format/raw-not-allowed",
        ),
        ("a vote cut short", VALIDATOR, "cometbft/vote", cut(&vote), "payload/malformed"),
        (
            "a vote with a trailing byte",
            VALIDATOR,
            "cometbft/vote",
            trailing(&vote),
            "payload/malformed",
        ),
    ];
    let mut codes: Vec<&str> = Vec::new();
    for (what, key, format, payload, code) in cases {
        codes.push(code);
        let refusal = caller
            .refused(key, format, payload)
            .unwrap_or_else(|error| panic!("{what}: {error:#}"));
        assert_eq!(refusal.code, code, "{what}: {}", refusal.message);
        assert!(refusal.message.len() > 10, "{what}: a sentence");
        // The daemon still signs.
    }
    let mut odd = request(ACCOUNT, "evm/eip-1559", good.clone());
    odd.scheme = "rsa".into();
    assert_eq!(
        caller.call(odd.clone()).unwrap_err().refusal().unwrap().code,
        "request/unknown-scheme"
    );
    odd.scheme = "ed25519".into();
    assert_eq!(caller.call(odd.clone()).unwrap_err().refusal().unwrap().code, "key/scheme-mismatch");
    odd.scheme = String::new();
    odd.operation = "decrypt".into();
    assert_eq!(
        caller.call(odd.clone()).unwrap_err().refusal().unwrap().code,
        "request/unknown-operation"
    );
    odd.operation = String::new();
    odd.request_id = "x".repeat(65);
    assert_eq!(caller.call(odd).unwrap_err().refusal().unwrap().code, "request/malformed");
    codes.extend([
        "request/unknown-scheme",
        "key/scheme-mismatch",
        "request/unknown-operation",
        "request/malformed",
    ]);

    caller.signed(ACCOUNT, "evm/eip-1559", good).unwrap();
    assert!(node.stop().unwrap().success());
    // Ten of a caller's refusals in one second are recorded one by one, the others counted: none is lost.
    let lines = node.audit(100).unwrap();
    let recorded: Vec<_> = lines
        .iter()
        .filter(|line| line["kind"] == "refusal")
        .map(|line| line["body"]["code"].as_str().unwrap().to_owned())
        .collect();
    let counted: usize = lines
        .iter()
        .filter(|line| line["kind"] == "refusals")
        .map(|line| line["body"]["count"].as_str().unwrap().parse::<usize>().unwrap())
        .sum();
    assert_eq!(recorded.len() + counted, codes.len(), "{recorded:?} and {counted}");
    assert!(recorded.len() >= 10);
    assert_eq!(recorded[..10], codes[..10], "the first ten, in order");
    node.expect(&["audit", "verify"]).unwrap();
}

#[test]
fn unknown_and_forbidden_keys_get_the_same_answer() {
    // The operator may use the account only.
    let mut node = sigwarden_tests::Node::init(|config| {
        let config = sigwarden_tests::example::with_rules(&config, sigwarden_tests::example::OPEN);
        config.replace("keys = [\"*\"]", &format!("keys = [\"{ACCOUNT}\"]"))
    })
    .unwrap();
    node.start().unwrap();
    let mut caller = node.caller().unwrap();
    let forbidden = caller
        .refused(VALIDATOR, "cometbft/vote", precommit(1, 0, 1, 1).sign_bytes())
        .unwrap();
    let unknown = caller
        .refused("demo.validatxr", "cometbft/vote", precommit(1, 0, 1, 1).sign_bytes())
        .unwrap();
    assert_eq!(
        (forbidden.code.as_str(), unknown.code.as_str()),
        ("caller/forbidden", "caller/forbidden")
    );
    assert_eq!(
        forbidden.message.replace(VALIDATOR, "K"),
        unknown.message.replace("demo.validatxr", "K")
    );
}

#[test]
fn a_raw_message_that_is_a_transaction_is_refused_even_where_raw_messages_are_allowed() {
    let mut node = sigwarden_tests::Node::init(|config| {
        let config = sigwarden_tests::example::with_rules(&config, sigwarden_tests::example::OPEN);
        let key = format!("name = \"{ACCOUNT}\"");
        config.replacen(
            &key,
            &format!("{key}\ndangerous_allow_raw_messages = true\ndangerous_allow_raw_digests = true"),
            1,
        )
    })
    .unwrap();
    node.start().unwrap();
    let mut caller = node.caller().unwrap();
    let transaction = transfer(0, Some(ALLOWED), 1).unsigned();
    assert_eq!(
        caller.refused(ACCOUNT, "raw-message/keccak256", transaction).unwrap().code,
        "payload/structured"
    );
    let vote = precommit(5, 0, 1, 1_700_000_000).sign_bytes();
    assert_eq!(
        caller.refused(ACCOUNT, "raw-message/sha256", vote).unwrap().code,
        "payload/structured"
    );
    assert_eq!(
        caller.refused(ACCOUNT, "raw-digest", vec![7; 31]).unwrap().code,
        "payload/digest-length"
    );
    caller.signed(ACCOUNT, "raw-digest", vec![7; 32]).unwrap();
    caller.signed(ACCOUNT, "raw-message/sha256", b"hello world".to_vec()).unwrap();
}
