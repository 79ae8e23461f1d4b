//! The rule by itself, on this machine: `cargo test`. `sigwarden policy test` runs fixtures/ through the real pipeline.

use sigwarden_guest::testing::{Trial, codes, evm_transfer};

#[test]
fn a_value_up_to_the_limit_is_allowed() {
    let mut trial = Trial::<CRATE::Rule>::new(r#"{"max_value": "1000000000000000000"}"#).unwrap();
    let limit = 1_000_000_000_000_000_000u64;
    assert!(trial.evaluate(&evm_transfer().u256("evm.value", limit).build()).is_ok());
    assert_eq!(codes(&trial.evaluate(&evm_transfer().u256("evm.value", limit + 1).build())), ["value"]);
}
