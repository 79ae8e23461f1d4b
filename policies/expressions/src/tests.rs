#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use super::*;
use sigwarden_guest::Network;
use sigwarden_guest::testing::{self, RequestBuilder, Trial};

const EXAMPLE: &str = include_str!("../fixtures/config.json");

/// A configuration of one rule that requires an expression.
fn requires(formats: &str, expression: &str) -> String {
    let rule = serde_json::json!({"name": "r", "formats": [formats], "require": expression});
    serde_json::json!({"rules": [rule], "sets": {"friends": ["0x1111111111111111111111111111111111111111"]}}).to_string()
}

/// What is said of an expression that cannot be compiled.
fn refused(formats: &str, expression: &str) -> String {
    let problems = Trial::<Expressions>::new(&requires(formats, expression)).err().unwrap_or_default();
    let [problem] = problems.as_slice() else {
        panic!("`{expression}` gave {problems:?}");
    };
    assert_eq!(problem.path, "rules[0].require");
    problem.message.clone()
}

#[test]
fn a_fact_that_only_some_formats_have_is_read_after_has() {
    let guarded = "!has(evm.gas_price) || evm.gas_price <= 30000000000";
    let config = requires("evm/*", guarded);
    let judged = |request: &RequestBuilder| Trial::<Expressions>::new(&config).unwrap().evaluate(&request.clone().build());
    assert!(judged(&testing::evm_transfer()).is_ok());
    assert!(judged(&testing::evm_legacy()).is_ok());
    let dear = testing::evm_legacy().u256("evm.gas-price", 30_000_000_001u64);
    let denied = judged(&dear).unwrap_err();
    assert_eq!(denied.codes(), ["required"]);
    assert_eq!(
        denied.denials()[0].message,
        format!("rule `r` requires `{guarded}`; found evm.gas_price = 30000000001")
    );
    // A legacy transaction without a price is no transaction that may go without one.
    let gone = judged(&testing::evm_legacy().without("evm.gas-price")).unwrap_err();
    assert_eq!(gone.codes(), ["fault"]);
    let conditional = requires("evm/*", "!has(evm.to)");
    let creation = testing::evm_creation(&[1]).build();
    assert!(Trial::<Expressions>::new(&conditional).unwrap().evaluate(&creation).is_ok());
}

#[test]
fn a_rule_over_transactions_is_no_leave_for_messages_of_their_family() {
    let config = |formats: &[&str]| {
        let rules = [
            serde_json::json!({"name": "small", "formats": formats, "require": "evm.value < 5"}),
            serde_json::json!({"name": "caller", "formats": ["evm/*"], "require": "request.caller == \"alice\""}),
        ];
        serde_json::json!({ "rules": rules }).to_string()
    };
    let mut trial = Trial::<Expressions>::new(&config(&["evm/*"])).unwrap();
    assert!(trial.evaluate(&testing::evm_transfer().u256("evm.value", 4u64).build()).is_ok());
    let denied = trial.evaluate(&testing::message(b"m").format("evm/eip-191").build()).unwrap_err();
    assert_eq!(denied.codes(), ["no-rule"]);
    assert!(denied.denials()[0].message.starts_with("no rule is for evm/eip-191"), "{denied:?}");
    // Who names it himself is told.
    let problems = Trial::<Expressions>::new(&config(&["evm/legacy", "evm/eip-191"])).err().unwrap();
    assert!(
        problems[0]
            .message
            .contains("`evm/eip-191`, which this rule covers, never has `evm.value`"),
        "{problems:?}"
    );
}

#[test]
fn every_rule_for_the_format_must_be_met_and_each_that_is_not_is_told() {
    let config = r#"{"rules":[
        {"name":"chain","formats":["evm/*"],"require":"evm.chain_id == 1"},
        {"name":"small","formats":["evm/*"],"require":"evm.value < 5","message":"small sums only"},
        {"name":"office","formats":["evm/*"],"deny_if":"request.caller != \"alice\""},
        {"name":"ratio","formats":["evm/legacy"],"require":"1 / evm.nonce == 1"}
    ]}"#;
    let judged = |request: &RequestBuilder| Trial::<Expressions>::new(config).unwrap().evaluate(&request.clone().build());
    let denied = judged(&testing::evm_transfer().caller("bob").u64("evm.chain-id", 5)).unwrap_err();
    assert_eq!(denied.codes(), ["required", "required", "denied"]);
    assert_eq!(
        denied.denials()[1].message,
        "small sums only: rule `small` requires `evm.value < 5`; found evm.value = 1000000000000000000"
    );
    assert_eq!(denied.denials()[2].message, "rule `office` denies `request.caller != \"alice\"`");
    assert!(judged(&testing::evm_transfer().u256("evm.value", 4u64)).is_ok());
    let unjudged = judged(&testing::evm_legacy().u256("evm.value", 4u64)).unwrap_err();
    assert_eq!(unjudged.codes(), ["fault"]);
    assert_eq!(
        unjudged.denials()[0].message,
        "rule `ratio` cannot be judged: a number is divided by 0 at character 3"
    );
    let message = judged(&testing::message(b"m")).unwrap_err();
    assert_eq!(message.codes(), ["no-rule"]);
    assert!(
        message.denials()[0]
            .message
            .starts_with("no rule is for raw-message/sha256; there are rules for `evm/*`")
    );
}

#[test]
fn the_example_is_valid() {
    let mut trial = Trial::<Expressions>::new(EXAMPLE).unwrap();
    assert!(trial.evaluate(&testing::evm_transfer().build()).is_ok());
    let mainnet = testing::evm_transfer()
        .network(Network::Mainnet)
        .u256("evm.value", 2_000_000_000_000_000_000u64);
    assert_eq!(trial.evaluate(&mainnet.build()).unwrap_err().codes(), ["required"]);
}

#[test]
fn a_wrong_configuration_is_refused_with_its_path() {
    let paths = |config: &str| -> Vec<String> {
        let problems = Trial::<Expressions>::new(config).unwrap_err();
        problems.into_iter().map(|problem| problem.path).collect()
    };
    let rule = |fields: &str| format!(r#"{{"rules":[{{"name":"r","formats":["*"]{fields}}}]}}"#);
    assert_eq!(paths(r#"{"rules":[]}"#), ["rules"]);
    assert_eq!(paths(&rule("")), ["rules[0]"]);
    assert_eq!(paths(&rule(r#","require":"true","deny_if":"false""#)), ["rules[0]"]);
    assert_eq!(paths(&rule(r#","require":"tru""#)), ["rules[0].require"]);
    assert_eq!(paths(&rule(r#","deny_if":"tru""#)), ["rules[0].deny_if"]);
    assert_eq!(paths(&rule(r#","require":"true","program":{}"#)), ["rules[0].program"]);
    assert_eq!(paths(&rule(r#","if":"true""#)), ["rules[0].if"]);
    assert_eq!(
        paths(r#"{"rules":[{"name":"r","formats":["evm"],"require":"true"}]}"#),
        ["rules[0].formats[0]"]
    );
    let one = r#"{"name":"r","formats":["*"],"require":"true"}"#;
    assert_eq!(paths(&format!(r#"{{"rules":[{one},{one}]}}"#)), ["rules[1].name"]);
    assert_eq!(
        paths(&format!(r#"{{"rules":[{one}],"sets":{{"my-friends":[]}}}}"#)),
        ["sets.my-friends"]
    );
    assert_eq!(paths(&format!(r#"{{"rules":[{one}],"sets":{{"1st":[],"b2":[]}}}}"#)), ["sets.1st"]);
    let many: Vec<String> = (0..201).map(|n| one.replace("\"r\"", &format!("\"r{n}\""))).collect();
    assert_eq!(paths(&format!(r#"{{"rules":[{}]}}"#, many.join(","))), ["rules"]);
    // Every wrong rule is told.
    let two = rule(r#","require":"a""#)
        .replace("]}", r#"]}XX"#)
        .replace("}]}XX", r#"},{"name":"s","formats":["*"],"deny_if":"b"}]}"#);
    assert_eq!(paths(&two), ["rules[0].require", "rules[1].deny_if"]);
}

#[test]
fn what_is_compiled_is_in_the_digest() {
    let digest = |config: &str| {
        let exported = sigwarden_guest::Exported::<Expressions>::new();
        exported.configure(config.to_owned()).unwrap();
        exported.config_digest()
    };
    assert_eq!(
        digest(&requires("evm/*", "evm.value < 5")),
        digest(&requires("evm/*", "evm.value < 5"))
    );
    let mut config: Config = sigwarden_guest::parse_config(&requires("evm/*", "evm.value < 5")).unwrap();
    let before = serde_json::to_string(&config).unwrap();
    Expressions::prepare(&mut config).unwrap();
    assert_ne!(serde_json::to_string(&config).unwrap(), before);
    let manifest = sigwarden_guest::Exported::<Expressions>::describe();
    assert!(!manifest.config_schema.contains("program") && !manifest.config_schema.contains("places"));
}

#[test]
fn a_rule_that_is_the_same_for_every_request_is_refused() {
    for expression in [
        "false",
        "!true",
        "1 == 2",
        "evm.create && false",
        "evm.value < 0",
        "0 > evm.nonce",
        "evm.chain_id == 1 && 2 * 3 > 6",
        "\"a\" in [\"b\", \"c\"]",
        "b\"abc\".startsWith(b\"b\")",
        "evm.create ? false : 1 > 2",
        "[1, 2].size() == 3",
    ] {
        let found = refused("evm/*", expression);
        assert!(
            found.starts_with("this is false whatever the request, so that every request in `evm/*` would be denied"),
            "{expression}: {found}"
        );
    }
    for expression in [
        "1 < 2",
        "evm.create || true",
        "evm.value >= 0",
        "0 <= evm.nonce",
        "!false",
        "true ? 7 % 2 == 1 : evm.create",
    ] {
        let found = refused("evm/*", expression);
        assert!(found.contains("the rule says nothing"), "{expression}: {found}");
    }
    let denies = |expression: &str| {
        let rule = serde_json::json!({"name": "r", "formats": ["evm/*"], "deny_if": expression});
        let problems = Trial::<Expressions>::new(&serde_json::json!({ "rules": [rule] }).to_string()).err();
        problems.map(|problems| (problems[0].path.clone(), problems[0].message.contains("would be denied")))
    };
    assert_eq!(denies("true"), Some(("rules[0].deny_if".to_owned(), true)));
    assert_eq!(denies("1 > 2"), Some(("rules[0].deny_if".to_owned(), false)));
    assert_eq!(denies("evm.create"), None);
    // What depends on a request is left alone, and so is what lets a format through.
    for expression in [
        "true",
        "evm.create || !evm.create",
        "evm.value > 0",
        "[1].all(n, n == evm.nonce)",
        "1 / 0 == 1 || evm.create",
    ] {
        assert!(Trial::<Expressions>::new(&requires("evm/*", expression)).is_ok(), "{expression}");
    }
}
