use super::*;
use sigwarden_guest::SigningInput;
use sigwarden_guest::testing::{self, RequestBuilder, Trial, codes};

const EXAMPLE: &str = include_str!("../fixtures/config.json");

fn example() -> Trial<Monotonic> {
    Trial::new(EXAMPLE).unwrap()
}

fn nonce(nonce: u64) -> RequestBuilder {
    testing::evm_transfer().u64("evm.nonce", nonce)
}

#[track_caller]
fn denied(trial: &mut Trial<Monotonic>, request: RequestBuilder, wanted: &[&str]) {
    assert_eq!(codes(&trial.evaluate(&request.build())), wanted);
}

#[test]
fn a_nonce_rises_may_be_repeated_and_never_falls() {
    let mut trial = example();
    denied(&mut trial, nonce(5), &[]);
    denied(&mut trial, nonce(5), &[]);
    denied(&mut trial, nonce(7), &[]);
    let lower = trial.evaluate(&nonce(6).build()).unwrap_err();
    assert_eq!(lower.codes(), ["regression"]);
    assert_eq!(
        lower.denials()[0].message,
        "rule `evm-nonce`: evm.nonce stands at 7 and may only rise; this is 6"
    );
    denied(&mut trial, nonce(7), &[]);
}

#[test]
fn another_message_at_the_same_nonce_is_a_conflict() {
    let mut trial = example();
    denied(&mut trial, nonce(5), &[]);
    denied(&mut trial, nonce(5).u256("evm.value", 1u64), &["conflict"]);
    denied(&mut trial, nonce(5), &[]);
    let inputs = |message: bool| {
        let bytes = vec![7; 32];
        vec![if message {
            SigningInput::Message(bytes)
        } else {
            SigningInput::Digest(bytes)
        }]
    };
    denied(&mut trial, nonce(6).signing_inputs(inputs(false)), &[]);
    denied(&mut trial, nonce(6).signing_inputs(inputs(true)), &["conflict"]);
}

#[test]
fn each_key_and_chain_has_a_nonce_of_its_own() {
    let mut trial = example();
    denied(&mut trial, nonce(5), &[]);
    denied(&mut trial, nonce(0).u64("evm.chain-id", 10), &[]);
    denied(&mut trial, nonce(0).key("test.other"), &[]);
    denied(&mut trial, nonce(4), &["regression"]);
    denied(&mut trial, nonce(0).key("test.other").u64("evm.chain-id", 10), &[]);
}

#[test]
fn two_names_of_one_public_key_share_a_nonce() {
    let mut trial = example();
    let mut other_name = nonce(4).build();
    other_name.key.name = "test.alias".to_owned();
    denied(&mut trial, nonce(5), &[]);
    assert_eq!(codes(&trial.evaluate(&other_name)), ["regression"]);
}

#[test]
fn a_denied_request_moves_nothing() {
    let config = r#"{"rules":[
        {"name":"gas","formats":["evm/*"],"facts":["evm.gas-limit"]},
        {"name":"nonce","formats":["evm/*"],"facts":["evm.nonce"]}]}"#;
    let mut trial = Trial::<Monotonic>::new(config).unwrap();
    denied(&mut trial, nonce(5), &[]);
    denied(&mut trial, nonce(4).u64("evm.gas-limit", 90_000), &["regression"]);
    denied(&mut trial, nonce(6).u64("evm.gas-limit", 50_000), &[]);
}

#[test]
fn heights_and_rounds_rise_together_for_each_step() {
    let mut trial = example();
    let prevote = |height, round| testing::cometbft_vote("prevote", height, round);
    denied(&mut trial, prevote(7, 3), &[]);
    denied(&mut trial, prevote(8, 0), &[]);
    denied(&mut trial, prevote(8, 1), &[]);
    denied(&mut trial, prevote(8, 0), &["regression"]);
    denied(&mut trial, prevote(7, 9), &["regression"]);
    denied(&mut trial, testing::cometbft_vote("precommit", 7, 0), &[]);
    denied(&mut trial, prevote(1, 0).text("cometbft.chain-id", "other-chain"), &[]);
}

#[test]
fn a_vote_is_the_same_with_another_timestamp_and_not_with_another_block() {
    let mut trial = example();
    let vote = || testing::cometbft_vote("precommit", 7, 0);
    denied(&mut trial, vote(), &[]);
    denied(&mut trial, vote().u64("cometbft.timestamp-seconds", 1_700_000_009), &[]);
    denied(&mut trial, vote().bytes("cometbft.block-hash", &[0xcd; 32]), &["conflict"]);
    denied(
        &mut trial,
        vote().boolean("cometbft.nil", true).without("cometbft.block-hash"),
        &["conflict"],
    );
    denied(&mut trial, vote().bytes("cometbft.block-hash", &[]), &["conflict"]);
}

#[test]
fn a_view_rises_for_each_step_and_another_block_is_a_conflict() {
    let mut trial = example();
    denied(&mut trial, testing::hotstuff_vote(9), &[]);
    denied(&mut trial, testing::hotstuff_vote(9), &[]);
    denied(
        &mut trial,
        testing::hotstuff_vote(9).bytes("hotstuff.block-hash", &[0xcd; 32]),
        &["conflict"],
    );
    denied(&mut trial, testing::hotstuff_vote(8), &["regression"]);
    denied(&mut trial, testing::hotstuff_timeout(8), &[]);
    denied(&mut trial, testing::hotstuff_vote(0).u64("hotstuff.chain-id", 8), &[]);
    denied(&mut trial, testing::hotstuff_vote(10), &[]);
}

#[test]
fn the_orders_differ_where_one_fact_falls() {
    let with = |order: &str| {
        let config = format!(r#"{{"rules":[{{"name":"r","formats":["evm/*"],"facts":["evm.nonce","evm.gas-limit"],"order":"{order}"}}]}}"#);
        let mut trial = Trial::<Monotonic>::new(&config).unwrap();
        denied(&mut trial, nonce(5).u64("evm.gas-limit", 100), &[]);
        codes(&trial.evaluate(&nonce(6).u64("evm.gas-limit", 99).build())).len()
    };
    assert_eq!((with("lexicographic"), with("component-wise")), (0, 1));
}

#[test]
fn a_fact_that_is_missing_or_no_u64_is_denied() {
    let mut trial = example();
    denied(&mut trial, nonce(1).without("evm.nonce"), &["facts/missing"]);
    denied(&mut trial, nonce(1).without("evm.chain-id"), &["facts/missing"]);
    denied(&mut trial, nonce(1).u256("evm.nonce", 1u64), &["facts/missing"]);
    denied(&mut trial, nonce(1).list("evm.chain-id", Vec::new()), &["facts/missing"]);
}

#[test]
fn a_format_without_a_rule_passes_with_a_note() {
    let allowed = example().evaluate(&testing::message(b"m").build()).unwrap();
    assert_eq!(allowed.note.as_deref(), Some("no rule is for this format"));
}

#[test]
fn a_wrong_configuration_is_refused_with_its_path() {
    let paths = |config: &str| -> Vec<String> {
        Trial::<Monotonic>::new(config)
            .unwrap_err()
            .into_iter()
            .map(|problem| problem.path)
            .collect()
    };
    let rule = |fields: &str| format!(r#"{{"rules":[{{"name":"r","formats":["evm/*"],{fields}}}]}}"#);
    assert_eq!(paths(r#"{"rules":[]}"#), ["rules"]);
    assert_eq!(paths(&rule(r#""facts":[]"#)), ["rules[0].facts"]);
    assert_eq!(paths(&rule(r#""facts":["nonce"]"#)), ["rules[0].facts[0]"]);
    assert_eq!(paths(&rule(r#""facts":["evm.nonce"],"per":["key","chain"]"#)), ["rules[0].per[1]"]);
    assert_eq!(paths(&rule(r#""facts":["evm.nonce"],"order":"any"#)).len(), 1);
    assert_eq!(paths(&rule(r#""facts":["evm.nonce"],"identity":[]"#)), ["rules[0].identity"]);
    assert_eq!(paths(&rule(r#""facts":["evm.nonce"],"fact":"x""#)), ["rules[0].fact"]);
    let nine = ["\"evm.nonce\""; 9].join(",");
    assert_eq!(paths(&rule(&format!(r#""facts":[{nine}]"#))), ["rules[0].facts"]);
    let twice = r#"{"rules":[{"name":"r","formats":["*"],"facts":["evm.nonce"]},{"name":"r","formats":[],"facts":["evm.nonce"]}]}"#;
    assert_eq!(paths(twice), ["rules[1].name", "rules[1].formats"]);
}

#[test]
fn a_key_with_letters_in_its_hex_has_its_own_name() {
    assert_eq!(hex_text(&[0x00, 0x9f, 0xab]), "009fab");
}
