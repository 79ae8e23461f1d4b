//! The main job: what the demo shows, asserted.

use crate::common::{floor, strict_node};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use sha3::{Digest, Keccak256};
use sigwarden_tests::payload::{ACCOUNT, ALLOWED, COMETBFT_CHAIN, ETHER, VALIDATOR, precommit, transfer};

#[test]
fn a_transfer_that_the_rules_allow_is_signed_by_the_account_and_recorded() {
    let mut node = strict_node();
    node.start().unwrap();
    let mut caller = node.caller().unwrap();
    let transaction = transfer(0, Some(ALLOWED), ETHER / 2);
    let answer = caller.signed(ACCOUNT, "evm/eip-1559", transaction.unsigned()).unwrap();

    // The signature recovers to the account's key over keccak256 of the payload (EIP-1559, SEC 1 §4.1.6).
    let digest: [u8; 32] = Keccak256::digest(transaction.unsigned()).into();
    let signature = &answer.signatures[0];
    let id = RecoveryId::try_from(i32::try_from(signature.recovery_id.unwrap()).unwrap()).unwrap();
    let recoverable = RecoverableSignature::from_compact(&signature.signature, id).unwrap();
    let recovered = recoverable.recover(secp256k1::Message::from_digest(digest)).unwrap();
    let key = caller.public_key(ACCOUNT).unwrap();
    assert_eq!(recovered.serialize().as_slice(), key.public_key);
    assert_eq!(answer.public_key, key.public_key);
    assert_eq!(answer.key, format!("{ACCOUNT}.v1"));

    let lines = node.audit_of(&answer.request_id).unwrap();
    let decision = lines
        .iter()
        .find(|line| line["kind"] == "decision" && line["sequence"].as_str() == Some(answer.sequence.to_string().as_str()))
        .expect("its decision");
    let text = decision.to_string();
    for instance in ["network-mode", "payload-rules", "rate-limit", "monotonic"] {
        assert!(text.contains(instance), "the decision names {instance}: {text}");
    }
    assert!(
        !text.contains(&hex::encode(transaction.unsigned())),
        "payloads are hashed, not logged"
    );
}

#[test]
fn each_rule_denies_by_its_own_code_and_each_denial_is_recorded() {
    let mut node = strict_node();
    node.start().unwrap();
    let mut caller = node.caller().unwrap();
    let cases = [
        (transfer(0, Some(ALLOWED), 5 * ETHER), "policy/payload-rules/evm/value"),
        (transfer(0, Some([0xB2; 20]), 1), "policy/payload-rules/evm/recipient"),
        (transfer(0, None, 1), "policy/payload-rules/evm/creation"),
    ];
    for (transaction, code) in cases {
        let refusal = caller.refused(ACCOUNT, "evm/eip-1559", transaction.unsigned()).unwrap();
        assert_eq!(refusal.code, code, "{}", refusal.message);
    }
    // A refusal has no fsync of its own; it is durable within a second, and at the stop at the latest.
    assert!(node.stop().unwrap().success());
    let text = node.expect(&["audit", "tail", "--json", "-n", "50"]).unwrap();
    for code in ["evm/value", "evm/recipient", "evm/creation"] {
        assert!(text.contains(code), "{code} is recorded");
    }
}

#[test]
fn a_denied_request_takes_nothing_from_the_rate_limit_and_the_limit_says_when_to_retry() {
    let mut node = strict_node();
    node.start().unwrap();
    let mut caller = node.caller().unwrap();
    for _ in 0..10 {
        caller.refused(ACCOUNT, "evm/eip-1559", transfer(0, None, 1).unsigned()).unwrap();
    }
    let mut signed = 0;
    let refusal = loop {
        match caller.call(sigwarden_tests::caller::request(
            ACCOUNT,
            "evm/eip-1559",
            transfer(signed, Some(ALLOWED), 1).unsigned(),
        )) {
            Ok(_) => signed += 1,
            Err(error) => break error.refusal().cloned().expect("a refusal"),
        }
        assert!(signed < 100, "the limit never comes");
    };
    assert_eq!(signed, sigwarden_tests::example::STRICT_BURST, "the whole burst was there");
    assert_eq!(refusal.code, "policy/rate-limit/exceeded");
    assert!(
        refusal.retry_at_ms.is_some_and(|at| at > 1_600_000_000_000),
        "it says when: {refusal:?}"
    );
}

#[test]
fn a_retried_vote_gets_the_first_signature_and_a_conflicting_one_is_refused_by_the_floor() {
    let mut node = strict_node();
    let refusal = {
        node.start().unwrap();
        let refusal = node
            .caller()
            .unwrap()
            .refused(VALIDATOR, "cometbft/vote", precommit(5, 0, 1, 1_700_000_000).sign_bytes())
            .unwrap();
        assert!(node.stop().unwrap().success());
        refusal
    };
    assert_eq!(refusal.code, "floor/uninitialised");
    assert!(refusal.message.contains("floors set"), "it says what to do: {}", refusal.message);

    floor(&node, 4);
    node.start().unwrap();
    let mut caller = node.caller().unwrap();
    let first = caller
        .signed(VALIDATOR, "cometbft/vote", precommit(5, 0, 1, 1_700_000_000).sign_bytes())
        .unwrap();
    let again = caller
        .signed(VALIDATOR, "cometbft/vote", precommit(5, 0, 1, 1_700_000_099).sign_bytes())
        .unwrap();
    assert_eq!(first.signatures[0].signature, again.signatures[0].signature);
    assert!(again.replay && !first.replay);
    assert_eq!(
        again.timestamp_signed.as_ref().map(|time| time.seconds),
        Some(1_700_000_000),
        "the first one's timestamp"
    );
    // The signature is over the first vote's sign bytes (RFC 8032).
    let key = ed25519_dalek::VerifyingKey::from_bytes(first.public_key.as_slice().try_into().unwrap()).unwrap();
    let signature = ed25519_dalek::Signature::from_slice(&first.signatures[0].signature).unwrap();
    key.verify_strict(&precommit(5, 0, 1, 1_700_000_000).sign_bytes(), &signature)
        .unwrap();

    let code = |caller: &mut sigwarden_tests::Caller, vote: sigwarden_formats::cometbft::Vote| {
        caller.refused(VALIDATOR, "cometbft/vote", vote.sign_bytes()).unwrap().code
    };
    assert_eq!(code(&mut caller, precommit(5, 0, 2, 1_700_000_000)), "floor/conflict");
    assert_eq!(code(&mut caller, precommit(4, 0, 1, 1_700_000_000)), "floor/regression");
    assert_eq!(code(&mut caller, precommit(3, 9, 1, 1_700_000_000)), "floor/regression");

    // The floor outlives the daemon.
    assert!(node.stop().unwrap().success());
    node.start().unwrap();
    let mut caller = node.caller().unwrap();
    assert_eq!(code(&mut caller, precommit(5, 0, 2, 1_700_000_000)), "floor/conflict");
    let after = caller
        .signed(VALIDATOR, "cometbft/vote", precommit(5, 0, 1, 1_700_000_123).sign_bytes())
        .unwrap();
    assert_eq!(after.signatures[0].signature, first.signatures[0].signature);
    let floors = node.expect(&["floors", "show", "--json"]).unwrap();
    assert!(
        floors.contains(COMETBFT_CHAIN) && floors.contains("5/0/3") || floors.contains("\"5\",\"0\",\"3\""),
        "{floors}"
    );
}

#[test]
fn a_vote_extension_is_signed_beside_its_precommit_and_another_only_beside_the_same_one() {
    let mut node = strict_node();
    floor(&node, 0);
    node.start().unwrap();
    let mut caller = node.caller().unwrap();
    let vote = precommit(9, 1, 1, 1_700_000_000);
    let first = caller
        .signed(VALIDATOR, "cometbft/vote-extension", vote.sign_bytes_with_extension(b"one"))
        .unwrap();
    assert_eq!(first.signatures.len(), 2);
    let key = ed25519_dalek::VerifyingKey::from_bytes(first.public_key.as_slice().try_into().unwrap()).unwrap();
    let all = vote.sign_bytes_with_extension(b"one");
    let (of_vote, of_extension) = all.split_at(vote.sign_bytes().len());
    for (message, signature) in [of_vote, of_extension].into_iter().zip(&first.signatures) {
        key.verify_strict(message, &ed25519_dalek::Signature::from_slice(&signature.signature).unwrap())
            .unwrap();
    }
    let second = caller
        .signed(VALIDATOR, "cometbft/vote-extension", vote.sign_bytes_with_extension(b"two"))
        .unwrap();
    assert_eq!(second.signatures[0].signature, first.signatures[0].signature, "the same precommit");
    assert_ne!(second.signatures[1].signature, first.signatures[1].signature, "another extension");
    let other = precommit(9, 1, 2, 1_700_000_000);
    assert_eq!(
        caller
            .refused(VALIDATOR, "cometbft/vote-extension", other.sign_bytes_with_extension(b"one"))
            .unwrap()
            .code,
        "floor/conflict"
    );
}
