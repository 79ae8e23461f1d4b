#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use super::*;
use sigwarden_guest::testing::{self, RequestBuilder, Trial};

const EXAMPLE: &str = include_str!("../fixtures/config.json");

fn ms(time: &str) -> u64 {
    time.parse::<UtcTime>().unwrap().milliseconds()
}

fn judged(config: &str, request: &RequestBuilder) -> Verdict {
    Trial::<TimeWindow>::new(config).unwrap().evaluate(&request.clone().build())
}

fn rule(fields: &str) -> String {
    format!(r#"{{"rules":[{{"name":"r",{fields}}}]}}"#)
}

/// What a rule says at a time: nothing, or a code and when to try again.
fn at(fields: &str, time: &str) -> Option<(String, Option<String>)> {
    let denied = judged(&rule(fields), &testing::evm_transfer().now(ms(time))).err()?;
    let denial = denied.into_denials().remove(0);
    let retry = denial.retry_at.map(|at| UtcTime::from_milliseconds(at).to_string());
    Some((denial.code, retry))
}

fn closed(until: &str) -> Option<(String, Option<String>)> {
    Some(("closed".to_owned(), Some(until.to_owned())))
}

/// 2026-11-21 is a Saturday.
const OFFICE: &str = r#""windows":[{"days":["mon","tue","wed","thu","fri"],"from":"08:00","to":"18:00"}]"#;

#[test]
fn a_window_is_open_from_its_first_minute_to_before_its_last() {
    assert_eq!(at(OFFICE, "2026-11-20T08:00:00Z"), None);
    assert_eq!(at(OFFICE, "2026-11-20T17:59:59Z"), None);
    assert_eq!(at(OFFICE, "2026-11-20T07:59:59Z"), closed("2026-11-20T08:00:00Z"));
    // Friday evening: Monday.
    assert_eq!(at(OFFICE, "2026-11-20T18:00:00Z"), closed("2026-11-23T08:00:00Z"));
    assert_eq!(at(OFFICE, "2026-11-22T12:00:00Z"), closed("2026-11-23T08:00:00Z"));
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_on_which_it_opens() {
    let night = r#""windows":[{"days":["sat"],"from":"22:00","to":"06:00"}]"#;
    assert_eq!(at(night, "2026-11-21T22:00:00Z"), None);
    assert_eq!(at(night, "2026-11-22T05:59:59Z"), None);
    assert_eq!(at(night, "2026-11-22T06:00:00Z"), closed("2026-11-28T22:00:00Z"));
    assert_eq!(at(night, "2026-11-21T05:00:00Z"), closed("2026-11-21T22:00:00Z"));
    // To midnight, and from it.
    assert_eq!(at(r#""windows":[{"from":"22:00","to":"00:00"}]"#, "2026-11-21T23:59:59Z"), None);
    assert_eq!(
        at(r#""windows":[{"days":["sat"]}]"#, "2026-11-22T00:00:00Z"),
        closed("2026-11-28T00:00:00Z")
    );
}

#[test]
fn any_window_will_do_and_the_nearest_is_told() {
    let two = r#""windows":[{"days":["mon"],"from":"08:00","to":"09:00"},{"days":["wed"],"from":"08:00","to":"09:00"}]"#;
    assert_eq!(at(two, "2026-11-23T08:30:00Z"), None);
    assert_eq!(at(two, "2026-11-25T08:30:00Z"), None);
    assert_eq!(at(two, "2026-11-23T09:00:00Z"), closed("2026-11-25T08:00:00Z"));
    assert_eq!(at(two, "2026-11-25T09:00:00Z"), closed("2026-11-30T08:00:00Z"));
}

#[test]
fn a_rule_begins_and_ends() {
    let span = r#""not_before":"2026-11-21T00:00:00Z","not_after":"2026-11-28T00:00:00Z""#;
    let early = Some(("not-yet".to_owned(), Some("2026-11-21T00:00:00Z".to_owned())));
    assert_eq!(at(span, "2026-11-20T23:59:59Z"), early);
    assert_eq!(at(span, "2026-11-21T00:00:00Z"), None);
    assert_eq!(at(span, "2026-11-28T00:00:00Z"), Some(("expired".to_owned(), None)));
    // With windows, it begins with the first one after its begin, and a window after its end never opens.
    let both = format!("{span},{OFFICE}");
    let monday = Some(("not-yet".to_owned(), Some("2026-11-23T08:00:00Z".to_owned())));
    assert_eq!(at(&both, "2026-11-20T12:00:00Z"), monday);
    assert_eq!(at(&both, "2026-11-22T12:00:00Z"), closed("2026-11-23T08:00:00Z"));
    assert_eq!(at(&both, "2026-11-27T18:00:00Z"), Some(("closed".to_owned(), None)));
}

#[test]
fn every_rule_that_matches_must_be_open_and_each_that_is_not_is_told() {
    let config = r#"{"rules":[
        {"name":"mornings","windows":[{"to":"12:00"}]},
        {"name":"hot","keys":["test.*"],"windows":[{"from":"10:00"}]},
        {"name":"votes","roles":["consensus"],"formats":["cometbft/*"],"windows":[{"days":["sun"]}]}
    ]}"#;
    let transfer = |time: &str| judged(config, &testing::evm_transfer().now(ms(time)));
    assert!(transfer("2026-11-20T11:00:00Z").is_ok());
    assert_eq!(transfer("2026-11-20T09:00:00Z").unwrap_err().codes(), ["closed"]);
    let vote = judged(config, &testing::cometbft_vote("prevote", 1, 0).now(ms("2026-11-20T13:00:00Z")));
    let denied = vote.unwrap_err();
    assert_eq!(denied.codes(), ["closed", "closed"]);
    assert_eq!(
        denied.denials()[1].message,
        "rule `votes` allows this from 2026-11-22T00:00:00Z; it is 2026-11-20T13:00:00Z"
    );
}

#[test]
fn what_no_rule_matches_is_denied_unless_told_otherwise() {
    for fields in [r#""keys":["other.*"]"#, r#""roles":["batch"]"#, r#""formats":["raw-digest"]"#] {
        let rules = rule(&format!(r#"{fields},"windows":[{{}}]"#));
        let denied = judged(&rules, &testing::evm_transfer()).unwrap_err();
        assert_eq!((denied.codes(), denied.denials()[0].retry_at), (vec!["no-rule"], None), "{fields}");
        let lax = rules.replacen('{', r#"{"allow_unmatched":true,"#, 1);
        assert!(judged(&lax, &testing::evm_transfer()).is_ok(), "{fields}");
    }
}

#[test]
fn the_ends_of_time_are_no_trap() {
    let denied = judged(&rule(OFFICE), &testing::evm_transfer().now(u64::MAX)).unwrap_err();
    assert_eq!(denied.codes(), ["closed"]);
    assert_eq!(at(OFFICE, "1970-01-01T00:00:00Z"), closed("1970-01-01T08:00:00Z"));
}

#[test]
fn the_example_is_valid() {
    let payout = testing::evm_transfer().key("hot.payouts");
    assert!(judged(EXAMPLE, &payout.clone().now(ms("2026-11-20T09:00:00Z"))).is_ok());
    assert_eq!(
        judged(EXAMPLE, &payout.now(ms("2026-11-21T09:00:00Z"))).unwrap_err().codes(),
        ["closed"]
    );
}

#[test]
fn a_wrong_configuration_is_refused_with_its_path() {
    let paths = |config: &str| -> Vec<String> {
        let problems = Trial::<TimeWindow>::new(config).unwrap_err();
        problems.into_iter().map(|problem| problem.path).collect()
    };
    assert_eq!(paths(r#"{"rules":[]}"#), ["rules"]);
    assert_eq!(paths(r#"{"rules":[{"name":"r"}]}"#), ["rules[0].windows"]);
    assert_eq!(paths(r#"{"rules":[{"name":"R","windows":[{}]}]}"#), ["rules[0].name"]);
    let twice = r#"{"rules":[{"name":"r","windows":[{"to":"01:00"}]},{"name":"r","windows":[{"to":"01:00"}]}]}"#;
    assert_eq!(paths(twice), ["rules[1].name"]);
    for (fields, path) in [
        (r#""windows":[]"#, "rules[0].windows"),
        (r#""windows":[{"days":[]}]"#, "rules[0].windows[0].days"),
        (r#""windows":[{"days":["monday"]}]"#, "rules[0].windows[0].days[0]"),
        (r#""windows":[{"from":"8:00"}]"#, "rules[0].windows[0].from"),
        (r#""windows":[{"from":"08:00","to":"08:00"}]"#, "rules[0].windows[0].to"),
        (r#""windows":[{"from":"24:00","to":"08:00"}]"#, "rules[0].windows[0].from"),
        (r#""windows":[{"zone":"CET"}]"#, "rules[0].windows[0].zone"),
        (r#""not_before":"2026-11-21""#, "rules[0].not_before"),
        (
            r#""not_before":"2026-11-21T00:00:00Z","not_after":"2026-11-20T00:00:00Z""#,
            "rules[0].not_after",
        ),
    ] {
        assert_eq!(paths(&rule(fields)), [path], "{fields}");
    }
}
