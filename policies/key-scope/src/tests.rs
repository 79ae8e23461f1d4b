#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use super::*;
use sigwarden_guest::testing::{self, RequestBuilder, Trial, codes};

const EXAMPLE: &str = include_str!("../fixtures/config.json");

fn judged(config: &str, request: &RequestBuilder) -> Verdict {
    Trial::<KeyScope>::new(config).unwrap().evaluate(&request.clone().build())
}

/// One rule for the key `test.key` and EVM transactions, with these fields besides.
fn rule(fields: &str) -> String {
    format!(r#"{{"rules":[{{"keys":["test.key"],"formats":["evm/*"]{fields}}}]}}"#)
}

#[test]
fn a_request_that_fits_a_rule_in_every_part_is_allowed() {
    let transfer = testing::evm_transfer();
    let all = r#","operations":["sign"],"roles":["account"],"callers":["alice"],"networks":["devnet"]"#;
    assert!(judged(&rule(all), &transfer).is_ok());
    assert!(judged(&rule(""), &transfer).is_ok());
    assert!(judged(r#"{"rules":[{"keys":["*"],"formats":["*"]}]}"#, &testing::encapsulation()).is_ok());
}

#[test]
fn each_part_that_does_not_fit_has_its_code() {
    let transfer = testing::evm_transfer();
    for (config, request, code) in [
        (rule(""), transfer.clone().key("other.key"), "key"),
        (rule(""), testing::message(b"m"), "format"),
        (rule(r#","operations":["decapsulate"]"#), transfer.clone(), "operation"),
        (rule(r#","roles":["withdrawal"]"#), transfer.clone(), "role"),
        (rule(r#","callers":["bob"]"#), transfer.clone(), "caller"),
        (rule(r#","networks":["mainnet"]"#), transfer.clone(), "network"),
    ] {
        assert_eq!(codes(&judged(&config, &request)), [code]);
    }
}

#[test]
fn every_part_that_does_not_fit_is_told_with_what_would_be_allowed() {
    let config = rule(r#","callers":["bob","carol"],"networks":["mainnet"]"#);
    let denied = judged(&config, &testing::evm_transfer()).unwrap_err();
    assert_eq!(denied.codes(), ["caller", "network"]);
    assert_eq!(
        denied.denials()[0].message,
        "`alice` is not what rules[0] allows for `test.key`: `bob` or `carol`"
    );
    let stranger = judged(&config, &testing::evm_transfer().key("other.key")).unwrap_err();
    assert_eq!(
        stranger.denials()[0].message,
        "no rule names the key `other.key`; there are rules for `test.key`"
    );
}

#[test]
fn parts_of_two_rules_do_not_add_up() {
    let config = r#"{"rules":[
        {"keys":["test.*"],"formats":["evm/*"],"callers":["bob"]},
        {"keys":["test.*"],"formats":["raw-digest"],"callers":["alice"]}
    ]}"#;
    // Alice may not send, though each part is allowed by a rule; the first rule is as close as the second.
    assert_eq!(codes(&judged(config, &testing::evm_transfer())), ["caller"]);
    assert!(judged(config, &testing::evm_transfer().caller("bob")).is_ok());
    // The second is the closer one here.
    let message = testing::message(b"m");
    assert_eq!(codes(&judged(config, &message)), ["format"]);
    let closest = judged(config, &message).unwrap_err();
    assert!(
        closest.denials()[0].message.contains("rules[1]"),
        "{}",
        closest.denials()[0].message
    );
}

#[test]
fn a_key_with_a_role_besides_does_not_fit() {
    let both = testing::evm_transfer().roles(&[Role::Account, Role::Withdrawal]);
    assert_eq!(codes(&judged(&rule(r#","roles":["account"]"#), &both)), ["role"]);
    assert!(judged(&rule(r#","roles":["account","withdrawal"]"#), &both).is_ok());
}

#[test]
fn the_example_is_valid() {
    assert!(judged(EXAMPLE, &testing::evm_transfer().key("hot.payouts").caller("payouts")).is_ok());
    assert!(
        judged(
            EXAMPLE,
            &testing::cometbft_vote("prevote", 1, 0).key("validator.consensus").caller("node")
        )
        .is_ok()
    );
    assert_eq!(codes(&judged(EXAMPLE, &testing::evm_transfer())), ["key"]);
}

#[test]
fn a_wrong_configuration_is_refused_with_its_path() {
    let paths = |config: &str| -> Vec<String> {
        let problems = Trial::<KeyScope>::new(config).unwrap_err();
        problems.into_iter().map(|problem| problem.path).collect()
    };
    assert_eq!(paths(r#"{"rules":[]}"#), ["rules"]);
    assert_eq!(paths(r#"{"rules":[{"keys":[],"formats":["*"]}]}"#), ["rules[0].keys"]);
    assert_eq!(paths(r#"{"rules":[{"keys":["*"],"formats":[]}]}"#), ["rules[0].formats"]);
    assert_eq!(paths(r#"{"rules":[{"keys":["*"]}]}"#), ["rules[0]"]);
    assert_eq!(paths(r#"{"rules":[{"keys":["hot"],"formats":["*"]}]}"#), ["rules[0].keys[0]"]);
    assert_eq!(paths(r#"{"rules":[{"keys":["*"],"formats":["evm"]}]}"#), ["rules[0].formats[0]"]);
    for (field, path) in [
        (r#","operations":[]"#, "rules[0].operations"),
        (r#","operations":["derive"]"#, "rules[0].operations[0]"),
        (r#","roles":["admin"]"#, "rules[0].roles[0]"),
        (r#","networks":["testnet"]"#, "rules[0].networks[0]"),
        (r#","caller":["bob"]"#, "rules[0].caller"),
    ] {
        assert_eq!(paths(&rule(field)), [path]);
    }
}
