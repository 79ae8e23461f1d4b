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
const JANUARY: &str = "2026-01-01T00:00:00Z";
const FEBRUARY: &str = "2026-02-01T00:00:00Z";

fn judged(config: &str, request: &RequestBuilder) -> Verdict {
    Trial::<AllowCallers>::new(config).unwrap().evaluate(&request.clone().build())
}

fn at(time: &str) -> RequestBuilder {
    testing::evm_transfer().now(time.parse::<UtcTime>().unwrap().milliseconds())
}

/// One entry for the key `test.key`, with these fields besides.
fn entry(fields: &str) -> String {
    format!(r#"{{"allow":[{{"keys":["test.key"]{fields}}}]}}"#)
}

#[test]
fn who_is_listed_for_the_key_is_allowed_and_nobody_else() {
    let config = entry(r#","callers":["alice"]"#);
    assert!(judged(&config, &testing::evm_transfer()).is_ok());
    let denied = judged(&config, &testing::evm_transfer().caller("bob")).unwrap_err();
    assert_eq!(denied.codes(), ["caller"]);
    assert_eq!(denied.denials()[0].message, "`bob` may not use `test.key`; allowed is `alice`");
    assert_eq!(codes(&judged(&config, &testing::evm_transfer().key("other.key"))), ["key"]);
    // A name that begins alike is another's.
    assert_eq!(codes(&judged(&config, &testing::evm_transfer().caller("alice2"))), ["caller"]);
}

#[test]
fn without_a_list_every_caller_of_the_key_is_allowed() {
    assert!(judged(&entry(""), &testing::evm_transfer().caller("anybody")).is_ok());
    assert_eq!(codes(&judged(&entry(""), &testing::evm_transfer().key("other.key"))), ["key"]);
}

#[test]
fn who_is_blocked_is_denied_everything() {
    let config = r#"{"allow":[{"keys":["*"]}],"blocked":["mallory"]}"#;
    assert_eq!(codes(&judged(config, &testing::evm_transfer().caller("mallory"))), ["blocked"]);
    assert!(judged(config, &testing::evm_transfer()).is_ok());
}

#[test]
fn entries_of_one_key_add_up() {
    let config = r#"{"allow":[{"keys":["test.*"],"callers":["alice"]},{"keys":["test.key"],"callers":["bob"]}]}"#;
    for caller in ["alice", "bob"] {
        assert!(judged(config, &testing::evm_transfer().caller(caller)).is_ok(), "{caller}");
    }
    assert_eq!(
        codes(&judged(config, &testing::evm_transfer().caller("bob").key("test.other"))),
        ["caller"]
    );
}

#[test]
fn an_entry_holds_from_its_begin_to_its_end() {
    let config = entry(&format!(
        r#","callers":["alice"],"not_before":"{JANUARY}","not_after":"{FEBRUARY}""#
    ));
    let early = judged(&config, &at("2025-12-31T23:59:59Z")).unwrap_err();
    assert_eq!(early.codes(), ["not-yet"]);
    assert_eq!(
        early.denials()[0].retry_at,
        Some(JANUARY.parse::<UtcTime>().unwrap().milliseconds())
    );
    assert!(judged(&config, &at(JANUARY)).is_ok());
    assert!(judged(&config, &at("2026-01-31T23:59:59Z")).is_ok());
    let late = judged(&config, &at(FEBRUARY)).unwrap_err();
    assert_eq!((late.codes(), late.denials()[0].retry_at), (vec!["expired"], None));
    assert_eq!(
        late.denials()[0].message,
        "`alice` could use `test.key` until 2026-02-01T00:00:00Z; it is 2026-02-01T00:00:00Z"
    );
}

#[test]
fn between_two_entries_the_next_one_is_told() {
    let config =
        format!(r#"{{"allow":[{{"keys":["*"],"callers":["alice"],"not_after":"{JANUARY}"}},{{"keys":["*"],"not_before":"{FEBRUARY}"}}]}}"#);
    let between = judged(&config, &at("2026-01-15T00:00:00Z")).unwrap_err();
    assert_eq!(between.codes(), ["not-yet"]);
    assert_eq!(
        between.denials()[0].retry_at,
        Some(FEBRUARY.parse::<UtcTime>().unwrap().milliseconds())
    );
    assert!(judged(&config, &at(FEBRUARY).caller("bob")).is_ok());
}

#[test]
fn the_example_is_valid() {
    assert!(judged(EXAMPLE, &testing::evm_transfer().key("hot.payouts").caller("payouts")).is_ok());
    assert_eq!(codes(&judged(EXAMPLE, &testing::evm_transfer().caller("old-laptop"))), ["blocked"]);
}

#[test]
fn a_wrong_configuration_is_refused_with_its_path() {
    let paths = |config: &str| -> Vec<String> {
        let problems = Trial::<AllowCallers>::new(config).unwrap_err();
        problems.into_iter().map(|problem| problem.path).collect()
    };
    assert_eq!(paths(r#"{"allow":[]}"#), ["allow"]);
    assert_eq!(paths("{}"), [""]);
    assert_eq!(paths(r#"{"allow":[{"keys":[]}]}"#), ["allow[0].keys"]);
    assert_eq!(
        paths(r#"{"allow":[{"keys":["*"],"callers":["a"]}],"blocked":["a"]}"#),
        ["allow[0].callers[0]"]
    );
    for (fields, path) in [
        (r#","callers":[]"#, "allow[0].callers"),
        (r#","callers":["a","*"]"#, "allow[0].callers[1]"),
        (r#","callers":[""]"#, "allow[0].callers[0]"),
        (r#","not_before":"tomorrow""#, "allow[0].not_before"),
        (
            r#","not_before":"2026-01-01T00:00:00Z","not_after":"2026-01-01T00:00:00Z""#,
            "allow[0].not_after",
        ),
        (r#","until":"2026-01-01T00:00:00Z""#, "allow[0].until"),
    ] {
        assert_eq!(paths(&entry(fields)), [path], "{fields}");
    }
}
