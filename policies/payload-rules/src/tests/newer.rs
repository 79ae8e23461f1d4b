//! Blobs, set-code, EIP-191 messages, typed data, raw bytes.

use super::*;
use sigwarden_guest::Scalar;

fn number(value: u64) -> Scalar {
    Scalar::Unsigned256((value, 0, 0, 0))
}

#[test]
fn blobs_are_judged_by_number_and_fee() {
    denied(testing::evm_blobs(2), &[]);
    denied(testing::evm_blobs(3), &["evm/blobs"]);
    denied(testing::evm_blobs(2).u256("evm.max-fee-per-blob-gas", 5_000_000_000u64), &[]);
    denied(
        testing::evm_blobs(2).u256("evm.max-fee-per-blob-gas", 5_000_000_001u64),
        &["evm/blob-fee"],
    );
    // What holds for all transactions holds for these.
    denied(testing::evm_blobs(1).u64("evm.chain-id", 2), &["evm/chain-id"]);
    denied(testing::evm_blobs(1).without("evm.blobs"), &["facts/missing"]);
    let without = EXAMPLE.replace(
        r#""blobs": { "max_fee_per_blob_gas": "5000000000", "max_blobs": 2 }"#,
        r#""blobs": null"#,
    );
    assert_eq!(codes(&verdict(&without, &testing::evm_blobs(1))), ["evm/blobs"]);
}

#[test]
fn every_authorization_must_be_for_a_listed_delegate_account_and_chain() {
    let set_code = || testing::evm_set_code(&[0xcc; 20]);
    denied(set_code(), &[]);
    denied(testing::evm_set_code(&[0xcd; 20]), &["evm/delegate"]);
    denied(testing::evm_set_code(&[0; 20]), &["evm/delegate"]);
    let chain = |chain: u64| set_code().list("evm.authorizations.chain-ids", vec![number(chain)]);
    denied(chain(0), &["evm/delegation-chain"]);
    denied(chain(11_155_111), &["evm/delegation-chain"]);
    let authority = |bytes: &[u8]| set_code().list("evm.authorizations.authorities", vec![Scalar::Bytes(bytes.to_vec())]);
    denied(authority(&[0x12; 20]), &["evm/authority"]);
    denied(authority(&[]), &["evm/authority"]);
    // The second of two.
    let two = |name: &str, first: Scalar, second: Scalar| (name.to_owned(), vec![first, second]);
    let mut request = set_code();
    for (name, list) in [
        two("evm.authorizations.chain-ids", number(1), number(1)),
        two(
            "evm.authorizations.delegates",
            Scalar::Bytes(vec![0xcc; 20]),
            Scalar::Bytes(vec![0xcd; 20]),
        ),
        two("evm.authorizations.nonces", Scalar::Unsigned(1), Scalar::Unsigned(2)),
        two(
            "evm.authorizations.authorities",
            Scalar::Bytes(vec![0x11; 20]),
            Scalar::Bytes(vec![0x11; 20]),
        ),
    ] {
        request = request.list(&name, list);
    }
    denied(request, &["evm/delegate"]);
    let open = EXAMPLE.replace(
        r#""delegates": ["0xcccccccccccccccccccccccccccccccccccccccc"],"#,
        r#""allow_clearing": true, "dangerous_allow_every_chain": true,"#,
    );
    let cleared = testing::evm_set_code(&[0; 20]).list("evm.authorizations.chain-ids", vec![number(0)]);
    assert_eq!(codes(&verdict(&open, &cleared)), [""; 0]);
    let config = r#"{"evm":{"chain_ids":[1],"max_value":"1000000000000000000","max_gas_limit":21000,"max_fee_per_gas":"30000000000",
        "dangerous_allow_any_recipient":true}}"#;
    assert_eq!(codes(&verdict(config, &set_code())), ["evm/set-code"]);
}

#[test]
fn signed_messages_are_short_texts_with_a_prefix() {
    denied(testing::signed_message(b"login:alice"), &[]);
    denied(testing::signed_message(b"logout"), &["signed-message/prefix"]);
    denied(testing::signed_message(b"login:\x07"), &["signed-message/bytes"]);
    denied(
        testing::signed_message(&[b"login:".as_slice(), &[b'a'; 251]].concat()),
        &["signed-message/size"],
    );
    denied(
        testing::signed_message(&[0xff; 32]),
        &["signed-message/prefix", "signed-message/bytes"],
    );
    let open = r#"{"signed_messages":{"max_bytes":32,"dangerous_allow_bytes":true}}"#;
    assert!(verdict(open, &testing::signed_message(&[0xff; 32])).is_ok());
}

#[test]
fn typed_data_is_for_a_listed_chain_contract_and_type() {
    let permit = || testing::typed_permit(&[1; 20], 1);
    denied(permit(), &[]);
    denied(permit().u256("typed-data.domain.chain-id", 5u64), &["typed-data/domain"]);
    denied(
        permit().bytes("typed-data.domain.verifying-contract", &[0x71; 20]),
        &["typed-data/domain"],
    );
    denied(permit().without("typed-data.domain.chain-id"), &["typed-data/domain"]);
    denied(permit().without("typed-data.domain.verifying-contract"), &["typed-data/domain"]);
    denied(permit().text("typed-data.primary-type", "Order"), &["typed-data/primary-type"]);
}

/// `*` means any type but those that let somebody else take tokens.
#[test]
fn permits_are_allowed_by_name_only() {
    let at_any = |name: &str| {
        testing::typed_permit(&[1; 20], 1)
            .bytes("typed-data.domain.verifying-contract", &[0xcc; 20])
            .text("typed-data.primary-type", name)
    };
    denied(at_any("Order"), &[]);
    for name in [
        "Permit",
        "PermitSingle",
        "PermitBatchTransferFrom",
        "permit",
        "TransferWithAuthorization",
        "MyPermit",
    ] {
        denied(at_any(name), &["typed-data/primary-type"]);
    }
    let message = verdict(EXAMPLE, &at_any("Permit")).unwrap_err().denials()[0].message.clone();
    assert!(
        message.ends_with("a permit or authorization is allowed by its name only"),
        "{message}"
    );
}

#[test]
fn raw_bytes_are_for_a_listed_chain_and_purpose() {
    let raw = |chain: &str, id: &str| testing::raw_bytes(chain, id, &[7; 1024]);
    denied(raw("test-chain", "unique-id-123"), &[]);
    denied(raw("other", "unique-id-123"), &["raw-bytes/chain-id"]);
    denied(raw("test-chain", "other"), &["raw-bytes/unique-id"]);
    denied(testing::raw_bytes("test-chain", "unique-id-123", &[7; 1025]), &["raw-bytes/size"]);
    denied(testing::opaque_raw_bytes(b"oracle/prices: 42"), &[]);
    denied(testing::opaque_raw_bytes(b"oracle/votes: 42"), &["raw-bytes/prefix"]);
}

#[test]
fn rules_that_allow_nothing_or_everything_by_accident_are_refused() {
    let paths = |config: &str| -> Vec<String> {
        let problems = Trial::<PayloadRules>::new(config).unwrap_err();
        problems.into_iter().map(|problem| problem.path).collect()
    };
    let evm = |fields: &str| format!(r#"{{"evm":{{"chain_ids":[1],"max_value":1,"max_gas_limit":1,"max_fee_per_gas":1,{fields}}}}}"#);
    assert_eq!(
        paths(&evm(r#""blobs":{"max_fee_per_blob_gas":1,"max_blobs":0}"#)),
        ["evm.blobs.max_blobs"]
    );
    assert_eq!(paths(&evm(r#""set_code":{}"#)), ["evm.set_code"]);
    assert_eq!(paths(r#"{"typed_data":{"allow":[]}}"#), ["typed_data.allow"]);
    assert_eq!(
        paths(r#"{"typed_data":{"allow":[{"chain_id":1,"contract":"0x7070707070707070707070707070707070707070","primary_types":[]}]}}"#),
        ["typed_data.allow[0].primary_types"]
    );
    assert_eq!(
        paths(r#"{"signed_messages":{"max_bytes":1,"prefixes":[{"text":""}]}}"#),
        ["signed_messages.prefixes[0]"]
    );
    assert_eq!(paths(r#"{"raw_bytes":{"max_bytes":1}}"#), ["raw_bytes"]);
    assert_eq!(paths(r#"{"raw_bytes":{"max_bytes":1,"chain_ids":["a"]}}"#), ["raw_bytes"]);
    assert_eq!(
        paths(r#"{"raw_bytes":{"max_bytes":1,"opaque_prefixes":[{"hex":"0x"}]}}"#),
        ["raw_bytes.opaque_prefixes[0]"]
    );
}
