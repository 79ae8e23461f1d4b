use super::*;
use sigwarden_guest::testing::{self, RequestBuilder, Trial, codes};

const EXAMPLE: &str = include_str!("../fixtures/config.json");
/// The router of the example: only its own functions may be called.
const ROUTER: [u8; 20] = [0x22; 20];

fn verdict(config: &str, request: &RequestBuilder) -> Verdict {
    Trial::<PayloadRules>::new(config).unwrap().evaluate(&request.clone().build())
}

#[track_caller]
fn denied(request: RequestBuilder, wanted: &[&str]) {
    assert_eq!(codes(&verdict(EXAMPLE, &request)), wanted);
}

fn transfer() -> RequestBuilder {
    testing::evm_transfer()
}

#[test]
fn the_example_allows_a_transfer_to_a_listed_address() {
    denied(transfer(), &[]);
    denied(testing::evm_legacy(), &[]);
    denied(transfer().u64("evm.chain-id", 11_155_111), &[]);
}

#[test]
fn each_limit_is_reached_and_not_passed() {
    let ether = 1_000_000_000_000_000_000u64;
    denied(transfer().u256("evm.value", ether), &[]);
    denied(transfer().u256("evm.value", ether + 1), &["evm/value"]);
    denied(transfer().u256("evm.value", U256::MAX), &["evm/value"]);
    denied(transfer().u64("evm.gas-limit", 200_000), &[]);
    denied(transfer().u64("evm.gas-limit", 200_001), &["evm/gas-limit"]);
    denied(transfer().u256("evm.max-fee-per-gas", 100_000_000_000u64), &[]);
    denied(transfer().u256("evm.max-fee-per-gas", 100_000_000_001u64), &["evm/fee-cap"]);
    denied(transfer().u256("evm.max-priority-fee-per-gas", 2_000_000_000u64), &[]);
    denied(
        transfer().u256("evm.max-priority-fee-per-gas", 2_000_000_001u64),
        &["evm/priority-fee"],
    );
    denied(testing::evm_legacy().u256("evm.gas-price", 50_000_000_000u64), &[]);
    denied(testing::evm_legacy().u256("evm.gas-price", 50_000_000_001u64), &["evm/gas-price"]);
    let call = |bytes: usize| transfer().bytes("evm.data", &[&[0xa9, 0x05, 0x9c, 0xbb], vec![0; bytes - 4].as_slice()].concat());
    denied(call(512), &[]);
    denied(call(513), &["evm/data-size"]);
}

#[test]
fn chains_and_recipients_that_are_not_listed_are_denied() {
    denied(transfer().u64("evm.chain-id", 2), &["evm/chain-id"]);
    denied(transfer().bytes("evm.to", &[0x33; 20]), &["evm/recipient"]);
    let denied = verdict(EXAMPLE, &transfer().bytes("evm.to", &[0x33; 20])).unwrap_err();
    let message = "0x3333333333333333333333333333333333333333 is not among the 2 allowed recipients";
    assert_eq!(denied.denials()[0].message, message);
}

#[test]
fn call_data_needs_a_selector_of_its_recipient() {
    let data = |data: &[u8]| transfer().bytes("evm.data", data);
    denied(data(&[0xa9, 0x05, 0x9c, 0xbb]), &[]);
    denied(data(&[0xa9, 0x05, 0x9c, 0xbc]), &["evm/selector"]);
    denied(data(&[0xa9, 0x05, 0x9c]), &["evm/selector"]);
    // The router has a list of its own, in place of the common one.
    let router = |data: &[u8]| transfer().bytes("evm.to", &ROUTER).bytes("evm.data", data);
    denied(router(&[0x38, 0xed, 0x17, 0x39, 1]), &[]);
    denied(router(&[0xa9, 0x05, 0x9c, 0xbb]), &["evm/selector"]);
    denied(router(&[]), &[]);
}

#[test]
fn a_contract_is_created_only_if_configured() {
    denied(testing::evm_creation(&[0x60; 10]), &["evm/creation"]);
    let config = EXAMPLE.replace(r#""allow_creation": false"#, r#""allow_creation": true"#);
    assert_eq!(codes(&verdict(&config, &testing::evm_creation(&[0x60; 10]))), [""; 0]);
    assert_eq!(codes(&verdict(&config, &testing::evm_creation(&[0x60; 513]))), ["evm/data-size"]);
}

#[test]
fn every_reason_is_told_at_once() {
    let wrong = transfer()
        .u64("evm.chain-id", 2)
        .bytes("evm.to", &[0x33; 20])
        .u256("evm.value", U256::MAX);
    denied(wrong, &["evm/chain-id", "evm/recipient", "evm/value"]);
}

#[test]
fn a_missing_fact_is_denied() {
    for fact in [
        "evm.chain-id",
        "evm.to",
        "evm.value",
        "evm.gas-limit",
        "evm.data",
        "evm.create",
        "evm.max-fee-per-gas",
    ] {
        denied(transfer().without(fact), &["facts/missing"]);
    }
    denied(
        testing::cometbft_vote("prevote", 1, 0).without("cometbft.chain-id"),
        &["facts/missing"],
    );
}

#[test]
fn a_family_without_rules_is_denied() {
    let digest = testing::request("raw-digest").payload(&[1; 32]);
    for (request, code) in [
        (transfer(), "evm/not-configured"),
        (testing::message(b"m"), "message/not-configured"),
        (digest.clone(), "digest/not-configured"),
        (testing::cometbft_vote("prevote", 1, 0), "cometbft/not-configured"),
        (testing::signed_message(b"login:"), "signed-message/not-configured"),
        (testing::typed_permit(&[1; 20], 1), "typed-data/not-configured"),
        (testing::raw_bytes("test-chain", "unique-id-123", b"b"), "raw-bytes/not-configured"),
    ] {
        assert_eq!(codes(&verdict("{}", &request)), [code]);
    }
    assert!(verdict(r#"{"dangerous_allow_digests":true}"#, &digest).is_ok());
}

#[test]
fn a_format_of_a_later_release_is_denied() {
    // The host would not run the policy; were it to, this must deny too.
    let policy: Config = sigwarden_guest::parse_config(EXAMPLE).unwrap();
    let request = transfer().format("evm/eip-9999").build();
    let verdict = PayloadRules::evaluate(&policy, &request, &mut Host::fake());
    assert_eq!(codes(&verdict), ["format/not-configured"]);
}

#[test]
fn messages_are_judged_by_size_and_beginning() {
    denied(testing::message(b"login:alice"), &[]);
    denied(testing::message(&[0xc0, 0xde, 7]), &[]);
    denied(testing::message(b"logout"), &["message/prefix"]);
    denied(testing::message(b""), &["message/prefix"]);
    denied(testing::message(&[b"login:".as_slice(), &[b'a'; 250]].concat()), &[]);
    denied(testing::message(&[b"login:".as_slice(), &[b'a'; 251]].concat()), &["message/size"]);
    assert!(verdict(r#"{"messages":{"max_bytes":3}}"#, &testing::message(b"any")).is_ok());
}

#[test]
fn consensus_messages_are_judged_by_chain() {
    denied(testing::cometbft_vote("precommit", 1, 0), &[]);
    denied(testing::cometbft_proposal(1, 0), &[]);
    denied(
        testing::cometbft_vote("prevote", 1, 0).text("cometbft.chain-id", "other-chain"),
        &["cometbft/chain-id"],
    );
}

#[test]
fn a_hundred_thousand_recipients_are_read_and_found() {
    let address = |n: u32| {
        let mut bytes = [0x5a; 20];
        bytes[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_be_bytes());
        bytes
    };
    let list: Vec<String> = (0..100_000)
        .map(|n| format!("\"{}\"", sigwarden_guest::HexBytes(address(n).to_vec())))
        .collect();
    let config = EXAMPLE.replace(r#""recipients": ["#, &format!(r#""recipients": [{},"#, list.join(",")));
    let mut trial = Trial::<PayloadRules>::new(&config).unwrap();
    assert!(trial.evaluate(&transfer().bytes("evm.to", &address(99_999)).build()).is_ok());
    let stranger = trial.evaluate(&transfer().bytes("evm.to", &address(100_000)).build()).unwrap_err();
    assert!(
        stranger.denials()[0].message.ends_with("among the 100002 allowed recipients"),
        "{stranger:?}"
    );
}

#[test]
fn a_wrong_configuration_is_refused_with_its_path() {
    let paths = |config: &str| -> Vec<String> {
        Trial::<PayloadRules>::new(config)
            .unwrap_err()
            .into_iter()
            .map(|problem| problem.path)
            .collect()
    };
    let evm = |fields: &str| format!(r#"{{"evm":{{"max_value":1,"max_gas_limit":1,"max_fee_per_gas":1,{fields}}}}}"#);
    assert_eq!(paths(&evm(r#""chain_ids":[]"#)), ["evm.chain_ids"]);
    assert_eq!(paths(&evm(r#""chain_ids":[1],"max-value":1"#)), ["evm.max-value"]);
    assert_eq!(paths(r#"{"evm":{"chain_ids":[1],"max_value":1,"max_gas_limit":1}}"#), ["evm"]);
    assert_eq!(paths(&evm(r#""chain_ids":[1],"recipients":["0x12"]"#)), ["evm.recipients[0]"]);
    assert_eq!(
        paths(&evm(r#""chain_ids":[1],"max_priority_fee_per_gas":2"#)),
        ["evm.max_priority_fee_per_gas"]
    );
    assert_eq!(
        paths(&evm(r#""chain_ids":[1],"selectors":["0xa9059cbb","0xa9"]"#)),
        ["evm.selectors[1]"]
    );
    let to = "0x2222222222222222222222222222222222222222";
    assert_eq!(
        paths(&evm(&format!(r#""chain_ids":[1],"calls":{{"{to}":[]}}"#))),
        [format!("evm.calls.{to}")]
    );
    let both = format!(r#""chain_ids":[1],"recipients":["{to}"],"dangerous_allow_any_recipient":true"#);
    assert_eq!(paths(&evm(&both)), ["evm.recipients"]);
    assert_eq!(
        paths(&evm(
            r#""chain_ids":[1],"selectors":["0xa9059cbb"],"dangerous_allow_any_call_data":true"#
        )),
        ["evm.selectors"]
    );
    assert_eq!(paths(r#"{"cometbft":{"chain_ids":[]}}"#), ["cometbft.chain_ids"]);
    assert_eq!(paths(r#"{"hotstuff":{"chain_ids":[]}}"#), ["hotstuff.chain_ids"]);
    assert_eq!(
        paths(r#"{"tagged":{"chain_ids":[],"domains":[],"max_body_bytes":1}}"#),
        ["tagged.chain_ids", "tagged.domains"]
    );
    assert_eq!(
        paths(r#"{"tagged":{"chain_ids":[7],"domains":["upgrade"],"max_body_bytes":1}}"#),
        ["tagged.domains[0]"]
    );
    assert_eq!(paths(r#"{"tagged":{"chain_ids":[7],"domains":["batch"]}}"#), ["tagged"]);
    assert_eq!(paths(r#"{"encapsulation":{"allow":true,"bytes":1}}"#), ["encapsulation.bytes"]);
    assert_eq!(
        paths(r#"{"messages":{"max_bytes":1,"prefixes":[{"text":""}]}}"#),
        ["messages.prefixes[0]"]
    );
    assert_eq!(paths(r#"{"messages":{"max_bytes":1,"prefixes":[{"words":"a"}]}}"#).len(), 1);
}

#[test]
fn any_recipient_and_any_call_data_are_allowed_by_their_flags() {
    let config = r#"{"evm":{"chain_ids":[1],"max_value":0,"max_gas_limit":100000,"max_fee_per_gas":"0xffffffffff",
        "dangerous_allow_any_recipient":true,"dangerous_allow_any_call_data":true}}"#;
    let any = transfer()
        .u256("evm.value", 0u64)
        .bytes("evm.to", &[9; 20])
        .bytes("evm.data", &[1, 2]);
    assert!(verdict(config, &any).is_ok());
}

#[test]
fn hotstuff_messages_are_for_a_listed_chain() {
    for message in [
        testing::hotstuff_vote(9),
        testing::hotstuff_proposal(9),
        testing::hotstuff_timeout(9),
    ] {
        assert!(verdict(EXAMPLE, &message).is_ok());
        let other = message.clone().u64("hotstuff.chain-id", 8);
        let denied = verdict(EXAMPLE, &other).unwrap_err();
        assert_eq!(denied.codes(), ["hotstuff/chain-id"]);
        assert_eq!(denied.denials()[0].message, "chain 8 is not allowed; 7 is");
        assert_eq!(verdict("{}", &message).unwrap_err().codes(), ["hotstuff/not-configured"]);
        let less = message.without("hotstuff.chain-id");
        assert_eq!(verdict(EXAMPLE, &less).unwrap_err().codes(), ["facts/missing"]);
    }
}

#[test]
fn a_tagged_message_is_for_a_listed_chain_and_purpose_and_not_too_long() {
    for domain in ["batch", "batch-ack"] {
        assert!(verdict(EXAMPLE, &testing::tagged_message(domain, &[1; 1024])).is_ok());
    }
    let all_wrong = testing::tagged_message("withdrawal", &[1; 1025]).u64("tagged.chain-id", 8);
    let denied = verdict(EXAMPLE, &all_wrong).unwrap_err();
    assert_eq!(denied.codes(), ["tagged/chain-id", "tagged/domain", "tagged/size"]);
    assert_eq!(
        denied.denials()[1].message,
        "a withdrawal message is not allowed; batch, batch-ack is"
    );
    let long = testing::tagged_message("batch", &[1; 1025]);
    assert_eq!(verdict(EXAMPLE, &long).unwrap_err().codes(), ["tagged/size"]);
    let newer = testing::tagged_message("upgrade", &[1]);
    assert_eq!(verdict(EXAMPLE, &newer).unwrap_err().codes(), ["facts/missing"]);
    assert_eq!(verdict("{}", &long).unwrap_err().codes(), ["tagged/not-configured"]);
}

#[test]
fn decapsulation_is_allowed_by_its_flag_only() {
    let request = testing::encapsulation();
    assert!(verdict(EXAMPLE, &request).is_ok());
    for config in ["{}", r#"{"encapsulation":{"allow":false}}"#] {
        assert_eq!(verdict(config, &request).unwrap_err().codes(), ["encapsulation/not-configured"]);
    }
}

mod newer;
