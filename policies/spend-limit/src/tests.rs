#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use super::*;
use sigwarden_guest::Erc20;
use sigwarden_guest::testing::{self, RequestBuilder, Trial};

const EXAMPLE: &str = include_str!("../fixtures/config.json");
const START: u64 = 1_700_000_000_000;
const ETHER: u64 = 1_000_000_000_000_000_000;
const TOKEN: Address = Address([0x70; 20]);
const TOKEN_TEXT: &str = "0x7070707070707070707070707070707070707070";
const ALICE: Address = Address([0xaa; 20]);
const BOB: Address = Address([0xbb; 20]);

fn trial(config: &str) -> Trial<SpendLimit> {
    Trial::new(config).unwrap()
}

/// One limit of ten ether a day, with these fields besides, and these beside the limits.
fn coins(fields: &str, besides: &str) -> String {
    format!(r#"{{"limits":[{{"name":"eth","chain_id":1,"amount":"10000000000000000000","period":"1d"{fields}}}]{besides}}}"#)
}

/// One limit of 1,000 tokens a day, with these fields besides.
fn tokens(fields: &str) -> String {
    format!(r#"{{"limits":[{{"name":"usd","chain_id":1,"token":"{TOKEN_TEXT}","amount":1000,"period":"1d"{fields}}}]}}"#)
}

fn pays(to: Address, ether: u64) -> RequestBuilder {
    testing::evm_transfer()
        .bytes("evm.to", &to.0)
        .u256("evm.value", u128::from(ether) * u128::from(ETHER))
        .now(START)
}

fn calls(contract: Address, data: &[u8]) -> RequestBuilder {
    testing::evm_transfer()
        .bytes("evm.to", &contract.0)
        .bytes("evm.data", data)
        .u256("evm.value", 0u64)
        .now(START)
}

fn transfers(to: Address, amount: impl Into<U256>) -> RequestBuilder {
    calls(TOKEN, &Erc20::Transfer { to, amount: amount.into() }.call_data())
}

/// Code and retry time of a denial.
fn denial(trial: &mut Trial<SpendLimit>, request: &RequestBuilder) -> Option<(String, Option<u64>)> {
    let denied = trial.evaluate(&request.clone().build()).err()?;
    let denial = denied.into_denials().remove(0);
    Some((denial.code, denial.retry_at))
}

fn code(config: &str, request: &RequestBuilder) -> Option<String> {
    denial(&mut trial(config), request).map(|(code, _)| code)
}

#[test]
fn coins_are_spent_until_the_amount_is_gone_and_come_back_evenly() {
    let mut trial = trial(&coins("", ""));
    assert_eq!(denial(&mut trial, &pays(ALICE, 6)), None);
    assert_eq!(denial(&mut trial, &pays(BOB, 4)), None);
    // A tenth of a day brings one ether back.
    let denied = trial.evaluate(&pays(BOB, 1).build()).unwrap_err();
    assert_eq!(
        (denied.codes(), denied.denials()[0].retry_at),
        (vec!["exceeded"], Some(START + 8_640_000))
    );
    assert_eq!(
        denied.denials()[0].message,
        "limit `eth` allows 10000000000000000000 of the coin of chain 1 in 1d for all requests; 0 left, and this spends 1000000000000000000"
    );
    assert_eq!(denial(&mut trial, &pays(BOB, 1).now(START + 8_640_000)), None);
    assert_eq!(denial(&mut trial, &pays(BOB, 0)), None);
}

#[test]
fn what_is_more_than_the_whole_amount_is_never_allowed() {
    assert_eq!(
        denial(&mut trial(&coins("", "")), &pays(ALICE, 11)),
        Some(("too-large".to_owned(), None))
    );
    assert_eq!(code(&tokens(""), &transfers(ALICE, U256::MAX)).unwrap(), "too-large");
    let whole = pays(ALICE, 0).u256("evm.value", 10_000_000_000_000_000_001u128);
    assert_eq!(code(&coins("", ""), &whole).unwrap(), "too-large");
}

#[test]
fn a_denial_counts_nothing() {
    let config = format!(
        r#"{{"limits":[{{"name":"a","chain_id":1,"amount":"{e}0","period":"1d"}},{{"name":"b","chain_id":1,"amount":"{e}","period":"1d"}}]}}"#,
        e = ETHER
    );
    let mut trial = trial(&config);
    for _ in 0..5 {
        assert_eq!(denial(&mut trial, &pays(ALICE, 2)).unwrap().0, "too-large");
    }
    assert_eq!(denial(&mut trial, &pays(ALICE, 1)), None);
    assert_eq!(trial.evaluate(&pays(ALICE, 1).build()).unwrap_err().codes(), ["exceeded"]);
    let both = trial.evaluate(&pays(ALICE, 10).build()).unwrap_err();
    assert_eq!(both.codes(), ["exceeded", "too-large"]);
}

#[test]
fn each_scope_has_an_amount_of_its_own() {
    let base = pays(ALICE, 10);
    let (other_key, other_caller, other_recipient) = (base.clone().key("test.other"), base.clone().caller("bob"), pays(BOB, 10));
    for (per, allowed) in [
        (r"[]", [false, false, false]),
        (r#"["key"]"#, [true, false, false]),
        (r#"["caller"]"#, [false, true, false]),
        (r#"["recipient"]"#, [false, false, true]),
        (r#"["key","caller","recipient"]"#, [true, true, true]),
    ] {
        for (request, allowed) in [&other_key, &other_caller, &other_recipient].into_iter().zip(allowed) {
            let mut trial = trial(&coins(&format!(r#","per":{per}"#), ""));
            assert_eq!(denial(&mut trial, &base), None);
            assert_eq!(denial(&mut trial, request).is_none(), allowed, "{per}");
        }
    }
}

#[test]
fn the_three_calls_of_a_token_are_counted_for_whom_they_serve() {
    let limit = format!(r#","per":["recipient"],"recipients":["{BOB}"]"#);
    let amount = U256::from(600u64);
    for call in [
        Erc20::Transfer { to: BOB, amount },
        Erc20::TransferFrom {
            from: ALICE,
            to: BOB,
            amount,
        },
        Erc20::Approve { spender: BOB, amount },
    ] {
        let mut trial = trial(&tokens(&limit));
        let request = calls(TOKEN, &call.call_data());
        assert_eq!(denial(&mut trial, &request), None);
        assert_eq!(denial(&mut trial, &request).unwrap().0, "exceeded", "{call:?}");
    }
    assert_eq!(code(&tokens(&limit), &transfers(ALICE, 1u64)).unwrap(), "no-limit");
}

#[test]
fn an_unlimited_approval_is_too_large_and_a_withdrawn_one_is_free() {
    let approves = |amount| calls(TOKEN, &Erc20::Approve { spender: BOB, amount }.call_data());
    assert_eq!(code(&tokens(""), &approves(U256::MAX)).unwrap(), "too-large");
    let mut trial = trial(&tokens(""));
    assert_eq!(denial(&mut trial, &approves(U256::from(1_000u64))), None);
    assert_eq!(denial(&mut trial, &approves(U256::ZERO)), None);
}

#[test]
fn a_call_of_a_watched_token_that_cannot_be_read_is_denied() {
    let whole = Erc20::Transfer {
        to: BOB,
        amount: U256::from(1u64),
    }
    .call_data();
    let permit = [0xd5, 0x05, 0xac, 0xcf];
    for data in [&[] as &[u8], &whole[..3], &whole[..67], &[whole.as_slice(), &[0]].concat(), &permit] {
        assert_eq!(code(&tokens(""), &calls(TOKEN, data)).unwrap(), "call-data", "{} bytes", data.len());
    }
}

#[test]
fn coins_sent_to_a_token_are_counted_beside_its_tokens() {
    let both = transfers(BOB, 1u64).u256("evm.value", 1u64);
    assert_eq!(code(&tokens(""), &both).unwrap(), "no-limit");
    let config = tokens("").replace(
        r#"{"limits":["#,
        r#"{"limits":[{"name":"eth","chain_id":1,"amount":1,"period":"1d"},"#,
    );
    let mut trial = trial(&config);
    assert_eq!(denial(&mut trial, &both), None);
    assert_eq!(trial.evaluate(&both.build()).unwrap_err().codes(), ["exceeded"]);
}

#[test]
fn call_data_for_other_contracts_needs_a_word() {
    let call = calls(BOB, &[1, 2, 3, 4]).u256("evm.value", 2 * u128::from(ETHER));
    assert_eq!(code(&coins("", ""), &call).unwrap(), "contract");
    for besides in [
        format!(r#","contracts":["{BOB}"]"#),
        r#","dangerous_allow_any_contract":true"#.to_owned(),
    ] {
        let mut trial = trial(&coins("", &besides));
        assert_eq!(denial(&mut trial, &call), None);
        // The coins are counted all the same.
        assert_eq!(denial(&mut trial, &pays(BOB, 9)).unwrap().0, "exceeded");
    }
}

#[test]
fn the_creation_of_a_contract_needs_a_word() {
    let creation = testing::evm_creation(&[0x60]).u256("evm.value", 6 * u128::from(ETHER)).now(START);
    assert_eq!(code(&coins("", ""), &creation).unwrap(), "creation");
    let mut trial = trial(&coins(r#","per":["recipient"]"#, r#","allow_creation":true"#));
    assert_eq!(denial(&mut trial, &creation), None);
    assert_eq!(denial(&mut trial, &creation).unwrap().0, "exceeded");
}

#[test]
fn fees_are_counted_where_the_limit_says_so() {
    // 21,000 gas at 30 gwei are 0.00063 ether.
    let free = pays(ALICE, 10);
    assert_eq!(code(&coins("", ""), &free), None);
    assert_eq!(code(&coins(r#","count_fees":true"#, ""), &free).unwrap(), "too-large");
    let mut trial = trial(&coins(r#","count_fees":true"#, ""));
    let costly = pays(ALICE, 0).u256("evm.max-fee-per-gas", 400_000_000_000_000u64);
    assert_eq!(denial(&mut trial, &costly), None);
    assert_eq!(denial(&mut trial, &costly).unwrap().0, "exceeded");
    let overflowing = pays(ALICE, 0).u256("evm.max-fee-per-gas", U256::MAX);
    assert_eq!(denial(&mut trial, &overflowing).unwrap().0, "too-large");
}

#[test]
fn what_no_limit_covers_is_denied() {
    assert_eq!(code(&coins("", ""), &pays(ALICE, 1).u64("evm.chain-id", 2)).unwrap(), "chain-id");
    for fields in [
        r#","keys":["other.*"]"#,
        r#","callers":["bob"]"#,
        r#","recipients":["0xbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"]"#,
    ] {
        assert_eq!(code(&coins(fields, ""), &pays(ALICE, 1)).unwrap(), "no-limit", "{fields}");
        assert_eq!(code(&coins(fields, ""), &pays(ALICE, 0)), None, "{fields}");
    }
}

#[test]
fn amounts_far_over_64_bits_are_counted() {
    let config = r#"{"limits":[{"name":"big","chain_id":1,"amount":"1000000000000000000000000000000","period":"1d"}]}"#;
    let mut trial = trial(config);
    let half = pays(ALICE, 0).u256("evm.value", 500_000_000_000_000_000_000_000_000_000u128);
    assert_eq!(denial(&mut trial, &half), None);
    assert_eq!(denial(&mut trial, &half), None);
    // One wei is rounded up to a unit, which is not there.
    assert_eq!(denial(&mut trial, &pays(ALICE, 0).u256("evm.value", 1u64)).unwrap().0, "exceeded");
}

#[test]
fn a_missing_fact_is_a_denial() {
    let request = pays(ALICE, 1).without("evm.value");
    assert_eq!(code(&coins("", ""), &request).unwrap(), "facts/missing");
}

#[test]
fn the_example_is_valid() {
    assert_eq!(code(EXAMPLE, &pays(ALICE, 1).key("hot.payouts")), None);
    assert_eq!(code(EXAMPLE, &pays(ALICE, 3).key("hot.payouts")).unwrap(), "too-large");
}

#[test]
fn a_wrong_configuration_is_refused_with_its_path() {
    let paths = |config: &str| -> Vec<String> {
        let problems = Trial::<SpendLimit>::new(config).unwrap_err();
        problems.into_iter().map(|problem| problem.path).collect()
    };
    assert_eq!(paths(r#"{"limits":[]}"#), ["limits"]);
    for (fields, path) in [
        (
            r#","count_fees":true,"token":"0x7070707070707070707070707070707070707070""#,
            "limits[0].count_fees",
        ),
        (r#","per":["key","key"]"#, "limits[0].per"),
        (r#","per":["sender"]"#, "limits[0].per[0]"),
        (r#","recipients":[]"#, "limits[0].recipients"),
        (r#","keys":["hot"]"#, "limits[0].keys[0]"),
        (r#","scale":{}"#, "limits[0].scale"),
    ] {
        assert_eq!(paths(&coins(fields, "")), [path], "{fields}");
    }
    assert_eq!(paths(&coins("", "").replace("10000000000000000000", "0")), ["limits[0].amount"]);
    assert_eq!(paths(&coins("", "").replace("eth", "ETH")), ["limits[0].name"]);
    let both = format!(r#","dangerous_allow_any_contract":true,"contracts":["{BOB}"]"#);
    assert_eq!(paths(&coins("", &both)), ["contracts"]);
    let counted_nowhere = tokens("").replace("]}", &format!(r#"],"contracts":["{TOKEN}"]}}"#));
    assert_eq!(paths(&counted_nowhere), ["limits[0].token"]);
    let one = r#"{"name":"NAME","chain_id":1,"amount":1,"period":"1d"}"#;
    let many = |names: &[String]| {
        let limits: Vec<String> = names.iter().map(|name| one.replace("NAME", name)).collect();
        format!(r#"{{"limits":[{}]}}"#, limits.join(","))
    };
    assert_eq!(paths(&many(&["a".to_owned(), "a".to_owned()])), ["limits[1].name"]);
    let names: Vec<String> = (0..33).map(|n| format!("l{n}")).collect();
    assert_eq!(paths(&many(&names)), ["limits"]);
}

#[test]
fn the_scale_is_in_the_digest_and_not_in_the_schema() {
    let manifest = sigwarden_guest::Exported::<SpendLimit>::describe();
    assert!(manifest.config_schema.contains("count_fees") && !manifest.config_schema.contains("scale"));
    let mut config: Config = sigwarden_guest::parse_config(&coins("", "")).unwrap();
    SpendLimit::prepare(&mut config).unwrap();
    assert_eq!(config.limits[0].scale.capacity(), 1_000_000_000_000);
}

#[test]
fn blobs_cost_fees_and_set_code_is_denied() {
    let mut counted = trial(&coins(r#","count_fees":true"#, ""));
    // 9.9986 ether, and at most 0.001416432 for gas and two blobs.
    let blobs = testing::evm_blobs(2).bytes("evm.to", &ALICE.0).now(START);
    let fits = blobs.clone().u256("evm.value", 9_998_583_568_000_000_000u64);
    let over = blobs.u256("evm.value", 9_998_583_568_000_000_001u64);
    assert_eq!(denial(&mut counted, &over).unwrap().0, "too-large");
    assert_eq!(denial(&mut counted, &fits), None);
    // The host would not run the policy; were it to, this must deny too.
    assert!(!SpendLimit::MANIFEST.formats.contains(&"evm/eip-7702"));
    let config: Config = sigwarden_guest::parse_config(&coins("", "")).unwrap();
    let set_code = testing::evm_set_code(&[0xcc; 20]).build();
    let denied = config.spends(&set_code.evm().unwrap()).err().unwrap();
    assert_eq!(denied.codes(), ["call-data"]);
}
