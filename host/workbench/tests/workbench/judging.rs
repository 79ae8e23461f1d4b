//! What is not as a fixture says fails, with what was wanted and what came; what is, passes, faults and deaths included.

use crate::rig::{prepared, run};
use sigwarden_workbench::run::{FixtureResult, run as run_prepared};

fn failures(result: &FixtureResult) -> Vec<String> {
    assert_eq!(result.trouble, None);
    result.steps.iter().flat_map(|step| step.failures.clone()).collect()
}

fn fails_with(steps: &str, wanted: &str) {
    let failures = failures(&run(steps));
    assert!(
        failures.iter().any(|failure| failure.contains(wanted)),
        "{failures:?} lack `{wanted}`"
    );
}

#[test]
fn another_outcome_fails() {
    fails_with("[[step]]\nexpect = \"exceeded\"", "expected exceeded, got allow");
    fails_with(
        "[[step]]\ntimes = 3\nexpect = \"allow\"",
        "expected allow, got policy/limits/exceeded",
    );
    fails_with("[[step]]\ntimes = 3\nexpect = \"allow\"", "in request 3 of 3");
    fails_with("[[step]]\nexpect = \"floor/conflict\"", "expected floor/conflict, got allow");
    fails_with("[[step]]\nexpect = [\"exceeded\"]", "expected exceeded, got allow");
    let two = "[[step]]\ntimes = 2\nexpect = \"allow\"\n[[step]]\nexpect = [\"exceeded\", \"exceeded\"]";
    fails_with(two, "expected exceeded + exceeded, got policy/limits/exceeded");
}

#[test]
fn another_retry_time_or_message_fails() {
    let before = "[[step]]\ntimes = 2\nexpect = \"allow\"\n[[step]]\nname = \"denied\"\nexpect = \"exceeded\"\n";
    assert_eq!(failures(&run(&format!("{before}retry_after = \"30s\""))), [] as [&str; 0]);
    fails_with(&format!("{before}retry_after = \"31s\""), "(after 31000 ms), got at");
    fails_with(&format!("{before}retry_at = \"never\""), "expected to retry never, got at");
    fails_with(&format!("{before}message = \"tomorrow\""), "the message does not hold `tomorrow`");
    fails_with(&format!("{before}log = [\"anything\"]"), "no guest log line holds `anything`");
}

#[test]
fn another_state_fails() {
    let step = "[[step]]\nexpect = \"allow\"\n";
    assert_eq!(failures(&run(&format!("{step}after.limits.limits.all = 1"))), [] as [&str; 0]);
    fails_with(&format!("{step}after.limits.limits.all = 2"), "holds 1, expected 2");
    fails_with(
        &format!("{step}after.limits.limits.none = 2"),
        "no policy has asked for bucket `none`",
    );
    fails_with(
        &format!("{step}after.watermarks.limits.x = [1]"),
        "watermark `x` of limits is none, expected [1]",
    );
    fails_with(
        &format!("{step}after.storage.limits.x = \"a\""),
        "stored `x` of limits is none, expected \"a\"",
    );
    fails_with(&format!("{step}after.uses.\"eth.hot\" = 2"), "was used 1 times, expected 2");
    fails_with(
        &format!("{step}after.unchanged = true"),
        "expected nothing to change: bucket limits `all`: 2 -> 1",
    );
    fails_with(
        &format!("{step}after.floors.\"eth.hot\" = \"1/0/1\""),
        "stands at none, expected 1/0/1",
    );
}

#[test]
fn other_signatures_fail() {
    // ECDSA nonces are deterministic: the same transaction has the same signature, another one has another.
    let steps = "[[step]]\nname = \"a\"\nexpect = \"allow\"\n[[step]]\nexpect = \"allow\"\nsame_signature_as = \"a\"\n";
    assert_eq!(failures(&run(steps)), [] as [&str; 0]);
    fails_with(&format!("{steps}evm.nonce = 1"), "the signatures are not those of `a`");
}

#[test]
fn every_fault_of_the_hsm_has_its_refusal() {
    let cases = [
        ("slow", "allow"),
        ("busy", "backend/unavailable"),
        ("token-lost", "backend/unavailable"),
        ("fails", "backend/failed"),
        ("wrong-signature", "backend/signature-invalid"),
        ("wrong-key", "backend/signature-invalid"),
        ("high-s", "backend/signature-invalid"),
        ("short-signature", "backend/signature-invalid"),
        ("missing-signature", "backend/failed"),
    ];
    for (fault, code) in cases {
        let steps = format!("[[step]]\nfault.hsm = \"{fault}\"\nexpect = \"{code}\"\n[[step]]\nexpect = \"allow\"");
        assert_eq!(failures(&run(&steps)), [] as [&str; 0], "{fault}");
    }
}

#[test]
fn a_failed_sync_refuses_all_until_a_restart_and_nothing_of_it_survives() {
    let steps = r#"
[[step]]
fault.ledger = "fsync-fails"
expect = "ledger/failed"
[[step]]
expect = "ledger/failed"
[[step]]
restart = "killed"
expect = "allow"
after.limits.limits.all = 1
after.uses."eth.hot" = 1
"#;
    assert_eq!(failures(&run(steps)), [] as [&str; 0]);
}

#[test]
fn a_death_loses_what_was_not_decided_and_nothing_that_was() {
    for (death, left) in [("before-commit", 1), ("after-commit", 0), ("after-signing", 0)] {
        let steps = format!(
            "[[step]]\nfault.dies = \"{death}\"\nexpect = \"no-answer\"\n[[step]]\nexpect = \"allow\"\nafter.limits.limits.all = {left}\n"
        );
        assert_eq!(failures(&run(&steps)), [] as [&str; 0], "{death}");
    }
    // One that is refused before it could die is a failure.
    fails_with(
        "[[step]]\ntimes = 2\nexpect = \"allow\"\n[[step]]\nfault.dies = \"after-commit\"\nexpect = \"no-answer\"",
        "expected no-answer, got policy/limits/exceeded",
    );
}

#[test]
fn a_vote_that_was_decided_before_a_death_is_signed_once() {
    let fixture = r#"
fixture = 1
[[key]]
name = "cosmos.validator"
roles = ["consensus"]
scheme = "ed25519"
floors = [{ chain_id = "test-chain", height = 9 }]
[[policy]]
module = "network-mode"
[defaults]
caller = "node"
key = "cosmos.validator"
format = "cometbft/vote"
cometbft = { type = "precommit", height = 10 }
[[step]]
at = "1s"
fault.dies = "after-commit"
expect = "no-answer"
[[step]]
name = "the retry"
at = "3s"
expect = "allow"
after.floors."cosmos.validator" = "10/0/3"
after.uses."cosmos.validator" = 1
[[step]]
at = "4s"
expect = "allow"
same_signature_as = "the retry"
[[step]]
cometbft.block = "B"
expect = "floor/conflict"
"#;
    let (_dir, prepared) = prepared(fixture);
    let result = run_prepared(&prepared, "engine", &mut ());
    assert_eq!(failures(&result), [] as [&str; 0]);
    assert_eq!(result.steps.len(), 4);
}

#[test]
fn clocks_that_go_back_or_leap_refuse_in_their_step_only() {
    let steps = r#"
[[step]]
at = "20s"
expect = "allow"
[[step]]
fault.clock = "-10s"
expect = "clock/behind"
[[step]]
fault.clock = "+2m"
expect = "clock/step"
[[step]]
expect = "allow"
[[step]]
at = "400d"
expect = "clock/ahead"
"#;
    assert_eq!(failures(&run(steps)), [] as [&str; 0]);
}

#[test]
fn a_request_id_is_one_decision() {
    let steps = r#"
[[step]]
name = "first"
request_id = "a"
expect = "allow"
[[step]]
name = "again"
request_id = "a"
expect = "allow"
same_signature_as = "first"
after.limits.limits.all = 1
[[step]]
name = "for something else"
request_id = "a"
evm.nonce = 9
expect = "request/id-reused"
[[step]]
name = "after a kill"
restart = "killed"
request_id = "a"
expect = "allow"
"#;
    assert_eq!(failures(&run(steps)), [] as [&str; 0]);
}

#[test]
fn a_configuration_must_be_refused_where_the_fixture_says() {
    let fixture = |paths: &str| {
        let text = format!(
            "fixture = 1\n[[key]]\nname = \"a.b\"\nroles = [\"account\"]\nscheme = \"ed25519\"\n[[policy]]\nmodule = \"rate-limit\"\nconfig = {{ rules = [] }}\nrefuses_config = {paths}\n"
        );
        let (_dir, prepared) = prepared(&text);
        run_prepared(&prepared, "engine", &mut ())
    };
    assert!(fixture("[\"rules\"]").passed());
    assert_eq!(
        failures(&fixture("[\"rules[0]\"]")),
        ["expected configuration refused at `rules[0]`, got configuration refused at `rules`"]
    );
}
