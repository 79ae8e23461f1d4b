//! A fixture may begin with what policies had counted and with votes that were decided.

use crate::rig::{HEAD, library, prepared, written};
use sigwarden_formats::cometbft::{BlockId, MessageTime, Vote, VoteType};
use sigwarden_workbench::fixture;
use sigwarden_workbench::run::{self, FixtureResult};

fn run(text: &str) -> FixtureResult {
    let (_dir, prepared) = prepared(text);
    run::run(&prepared, library().engine().hash(), &mut ())
}

/// A vote as it was decided before the fixture.
fn vote(block: u8) -> Vote {
    Vote {
        vote_type: VoteType::Precommit,
        height: 7,
        round: 0,
        block_id: Some(BlockId {
            hash: [block; 32],
            parts_total: 1,
            parts_hash: [block; 32],
        }),
        timestamp: MessageTime {
            seconds: 1_700_000_000,
            nanos: 5,
        },
        chain_id: "test-chain".to_owned(),
    }
}

/// Two policies with state: half of a bucket, and the nonce of a key by its public key.
const STATE: &str = r#"
start = "2026-01-01T00:00:00Z"
[[policy]]
name = "nonces"
module = "monotonic"
config = { rules = [{ name = "nonce", formats = ["evm/*"], facts = ["evm.nonce"], per = ["key"] }] }
state.watermarks = { "nonce/66:{eth.hot.v1}" = { position = [7], identity = "0x01" } }
state.storage = { text = "seen", "raw bytes" = "0x00ff" }
"#;

fn with_state(steps: &str) -> String {
    let state = "config = { rules = [{ name = \"all\", capacity = 2, period = \"60s\" }] }\nstate.limits = { all = \"2026-01-01T00:00:30.000000001Z\" }";
    let (start, nonces) = STATE.split_once("[[policy]]").unwrap();
    let head = HEAD.replace("config = { rules = [{ name = \"all\", capacity = 2, period = \"60s\" }] }", state);
    let head = head.replace("[[key]]", &format!("{start}[[key]]"));
    let head = head.replace("[defaults]", &format!("[[policy]]{nonces}[defaults]"));
    format!("{head}{steps}")
}

#[test]
fn policies_go_on_from_the_state_that_they_are_given_and_a_restart_keeps_it() {
    let result = run(&with_state(
        r#"
[[step]]
name = "a nanosecond is still lacking"
expect = "policy/limits/exceeded"
evm.nonce = 8
retry_at = "1ms"
after.storage.nonces = { text = "seen", "raw bytes" = "0x00ff" }
[[step]]
at = "1s"
restart = "killed"
expect = "policy/nonces/regression"
evm.nonce = 6
after.watermarks.nonces."nonce/*" = [7]
[[step]]
expect = "policy/nonces/conflict"
evm.nonce = 7
[[step]]
expect = "allow"
evm.nonce = 8
[[step]]
expect = "policy/limits/exceeded"
evm.nonce = 9
retry_at = "2026-01-01T00:00:30.001Z"
after.limits.limits.all = 0
"#,
    ));
    assert!(result.passed(), "{result:#?}");
}

#[test]
fn a_vote_that_was_decided_before_is_signed_again_and_no_other() {
    let head = |taken: &str| {
        format!(
            r#"
fixture = 1
[[key]]
name = "cosmos.validator"
roles = ["consensus"]
scheme = "ed25519"
floors = [{{ chain_id = "test-chain", position = "7/0/3"{taken} }}]
[[policy]]
name = "modes"
module = "network-mode"
[defaults]
caller = "node"
key = "cosmos.validator"
format = "cometbft/vote"
"#
        )
    };
    let mut again = vote(1);
    again.timestamp.seconds += 9;
    let step = |vote: &Vote, expect: &str| format!("[[step]]\nhex = \"{}\"\nexpect = \"{expect}\"\n", hex::encode(vote.sign_bytes()));
    let taken = format!(", sign_bytes = \"0x{}\"", hex::encode(vote(1).sign_bytes()));
    let steps = |expect: &str| step(&again, expect) + &step(&vote(2), "floor/conflict");
    for text in [head(&taken) + &steps("allow"), head("") + &steps("floor/conflict")] {
        let result = run(&text);
        assert!(result.passed(), "{result:#?}");
    }
    let (_dir, file) = written(&(head(&taken).replace("7/0/3", "8/0/3") + &steps("allow")));
    let errors = fixture::read(&file).unwrap_err();
    assert!(
        errors[0]
            .message
            .contains("the sign bytes of a message for 8/0/3 on chain `test-chain` are wanted"),
        "{errors:#?}"
    );
}

#[test]
fn state_that_cannot_be_is_refused_in_its_place() {
    for (right, wrong, field, wanted) in [
        ("00:00:30.000000001Z", "00:30 o'clock", "policy[0].state.limits.all", "is no time"),
        (
            "2026-01-01T00:00:30.000000001Z",
            "2046-01-01T00:00:00Z",
            "policy[0].state.limits.all",
            "ten years",
        ),
        (
            "position = [7]",
            "position = []",
            "policy[1].state.watermarks.nonce/66:{eth.hot.v1}.position",
            "1 to 8 components",
        ),
        (
            "identity = \"0x01\"",
            "identity = \"0x0\"",
            "policy[1].state.watermarks.nonce/66:{eth.hot.v1}.identity",
            "are no bytes",
        ),
        ("state.storage", "state.store", "policy[1].state.store", "did you mean `storage`?"),
    ] {
        let text = with_state("[[step]]\nexpect = \"allow\"\n");
        assert!(text.contains(right), "{right}");
        let (_dir, file) = written(&text.replace(right, wrong));
        let errors = fixture::read(&file).unwrap_err();
        assert!(
            errors.iter().any(|error| error.field == field && error.message.contains(wanted)),
            "{field}: {wanted}: {errors:#?}"
        );
    }
}
