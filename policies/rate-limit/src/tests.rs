use super::*;
use sigwarden_guest::testing::{self, RequestBuilder, Trial};

const EXAMPLE: &str = include_str!("../fixtures/config.json");
const START: u64 = 1_700_000_000_000;

fn trial(config: &str) -> Trial<RateLimit> {
    Trial::new(config).unwrap()
}

/// How many of these are allowed, one after the other at one moment, until the first denial; 1,000 at the most.
fn burst(trial: &mut Trial<RateLimit>, request: &RequestBuilder, now: u64) -> usize {
    let request = request.clone().now(now).build();
    (0..1_000).take_while(|_| trial.evaluate(&request).is_ok()).count()
}

fn rule(text: &str) -> String {
    format!(r#"{{"rules":[{{"name":"r","capacity":3,"period":"3s",{text}}}]}}"#)
}

#[test]
fn a_burst_is_allowed_then_the_rate_and_the_denial_says_when() {
    let mut trial = trial(&rule(r#""per":[]"#));
    let transfer = testing::evm_transfer();
    assert_eq!(burst(&mut trial, &transfer, START), 3);
    let denied = trial.evaluate(&transfer.clone().now(START + 400).build()).unwrap_err();
    assert_eq!(denied.codes(), ["exceeded"]);
    assert_eq!(denied.denials()[0].retry_at, Some(START + 1_000));
    let message = "rule `r` allows 3 in 3s for all requests together; 0 left, and this takes 1; try again in 600 ms";
    assert_eq!(denied.denials()[0].message, message);
    assert_eq!(burst(&mut trial, &transfer, START + 1_000), 1);
    assert_eq!(burst(&mut trial, &transfer, START + 60_000), 3);
}

#[test]
fn each_scope_has_buckets_of_its_own() {
    let bob_other = testing::evm_transfer().caller("bob").key("test.other");
    let alice = testing::evm_transfer();
    for (per, other_caller, other_key) in [
        (r"[]", 0, 0),
        (r#"["caller"]"#, 3, 0),
        (r#"["key"]"#, 0, 3),
        (r#"["key","caller"]"#, 3, 3),
    ] {
        let config = rule(&format!(r#""per":{per}"#));
        let mut trial = trial(&config);
        assert_eq!(burst(&mut trial, &alice, START), 3, "{per}");
        assert_eq!(burst(&mut trial, &alice.clone().caller("bob"), START), other_caller, "{per}");
        assert_eq!(burst(&mut trial, &alice.clone().key("test.other"), START), other_key, "{per}");
        // Bob has drawn on his own bucket by now, and so has the other key.
        let both = if per.contains(',') { 3 } else { 0 };
        assert_eq!(burst(&mut trial, &bob_other, START), both, "{per}");
    }
}

#[test]
fn a_key_with_two_roles_takes_from_both() {
    let mut trial = trial(&rule(r#""per":["role"]"#));
    let both = testing::evm_transfer().roles(&[Role::Account, Role::Operational]);
    assert_eq!(burst(&mut trial, &both, START), 3);
    assert_eq!(burst(&mut trial, &testing::evm_transfer().roles(&[Role::Operational]), START), 0);
    assert_eq!(burst(&mut trial, &testing::evm_transfer().roles(&[Role::Governance]), START), 3);
    // Denied by the empty bucket of governance, it must not have taken from the full one of withdrawals.
    assert_eq!(
        burst(
            &mut trial,
            &testing::evm_transfer().roles(&[Role::Withdrawal, Role::Governance]),
            START
        ),
        0
    );
    assert_eq!(burst(&mut trial, &testing::evm_transfer().roles(&[Role::Withdrawal]), START), 3);
}

#[test]
fn formats_weigh_what_the_rule_says() {
    let mut trial = trial(&rule(
        r#""costs":[{"formats":["evm/legacy"],"cost":0},{"formats":["evm/*"],"cost":2}]"#,
    ));
    assert_eq!(burst(&mut trial, &testing::evm_legacy(), START), 1_000);
    assert_eq!(burst(&mut trial, &testing::evm_transfer(), START), 1);
    assert_eq!(burst(&mut trial, &testing::message(b"m"), START), 1);
    assert_eq!(burst(&mut trial, &testing::message(b"m"), START), 0);
}

#[test]
fn a_rule_counts_only_what_it_matches() {
    for matching in [
        r#""callers":["bob"]"#,
        r#""keys":["other.*"]"#,
        r#""keys":["test.other"]"#,
        r#""roles":["batch"]"#,
        r#""formats":["raw-message/*"]"#,
    ] {
        let mut trial = trial(&rule(matching));
        assert_eq!(burst(&mut trial, &testing::evm_transfer(), START), 1_000, "{matching}");
    }
    for matching in [
        r#""callers":["alice"]"#,
        r#""keys":["test.*"]"#,
        r#""keys":["*"]"#,
        r#""roles":["batch","account"]"#,
    ] {
        let mut trial = trial(&rule(matching));
        assert_eq!(burst(&mut trial, &testing::evm_transfer(), START), 3, "{matching}");
    }
}

#[test]
fn every_rule_must_be_met_and_each_that_is_not_is_told() {
    let config = r#"{"rules":[{"name":"second","capacity":2,"period":"1s"},{"name":"hour","per":["key"],"capacity":2,"period":"1h"}]}"#;
    let mut trial = trial(config);
    assert_eq!(burst(&mut trial, &testing::evm_transfer(), START), 2);
    let denied = trial.evaluate(&testing::evm_transfer().now(START).build()).unwrap_err();
    assert_eq!(denied.codes(), ["exceeded", "exceeded"]);
    assert_eq!(denied.denials()[1].retry_at, Some(START + 1_800_000));
    // Denied by the second rule alone, the first must not have been charged.
    let denied = trial.evaluate(&testing::evm_transfer().now(START + 1_000).build()).unwrap_err();
    assert_eq!(denied.codes(), ["exceeded"]);
    assert_eq!(burst(&mut trial, &testing::evm_transfer().key("test.other"), START + 1_000), 2);
}

#[test]
fn names_that_are_long_or_look_like_others_keep_their_own_buckets() {
    let mut trial = trial(&rule(r#""per":["caller","key"]"#));
    let long = "c".repeat(300);
    for caller in ["a", "a/8:test.key", long.as_str()] {
        assert_eq!(burst(&mut trial, &testing::evm_transfer().caller(caller), START), 3, "{caller}");
    }
    assert_eq!(burst(&mut trial, &testing::evm_transfer().caller(&format!("{long}c")), START), 3);
    assert_eq!(burst(&mut trial, &testing::evm_transfer().caller(&long), START), 0);
}

#[test]
fn the_example_is_valid() {
    assert_eq!(burst(&mut trial(EXAMPLE), &testing::evm_transfer(), START), 10);
}

#[test]
fn a_wrong_configuration_is_refused_with_its_path() {
    let paths = |config: &str| -> Vec<String> {
        Trial::<RateLimit>::new(config)
            .unwrap_err()
            .into_iter()
            .map(|problem| problem.path)
            .collect()
    };
    assert_eq!(paths(r#"{"rules":[]}"#), ["rules"]);
    assert_eq!(
        paths(r#"{"rules":[{"name":"r","capacity":0,"period":"1s"}]}"#),
        ["rules[0].capacity"]
    );
    assert_eq!(paths(r#"{"rules":[{"name":"R","capacity":1,"period":"1s"}]}"#), ["rules[0].name"]);
    assert_eq!(paths(r#"{"rules":[{"name":"r","capacity":1,"period":"1w"}]}"#), ["rules[0].period"]);
    assert_eq!(paths(&rule(r#""burst":3"#)), ["rules[0].burst"]);
    assert_eq!(paths(&rule(r#""per":["key","key"]"#)), ["rules[0].per[1]"]);
    assert_eq!(paths(&rule(r#""costs":[{"formats":["*"],"cost":4}]"#)), ["rules[0].costs[0].cost"]);
    assert_eq!(paths(&rule(r#""keys":["a.*b"]"#)), ["rules[0].keys[0]"]);
    let twice = r#"{"rules":[{"name":"r","capacity":1,"period":"1s"},{"name":"r","capacity":1,"period":"1s"}]}"#;
    assert_eq!(paths(twice), ["rules[1].name"]);
    let many: Vec<String> = (0..5)
        .map(|n| format!(r#"{{"name":"r{n}","capacity":1,"period":"1s","per":["role"]}}"#))
        .collect();
    assert_eq!(paths(&format!(r#"{{"rules":[{}]}}"#, many.join(","))), ["rules"]);
}

#[test]
fn the_formats_of_hotstuff_tags_and_encapsulations_have_costs_of_their_own() {
    let config = rule(
        r#""per":[],"costs":[{"formats":["hotstuff/*"],"cost":0},{"formats":["tagged-message"],"cost":3},{"formats":["ml-kem-768/*"],"cost":1}]"#,
    );
    for (request, allowed) in [
        (testing::hotstuff_vote(9), 1_000),
        (testing::tagged_message("batch", b"body"), 1),
        (testing::encapsulation(), 3),
    ] {
        assert_eq!(burst(&mut trial(&config), &request, START), allowed);
    }
}
