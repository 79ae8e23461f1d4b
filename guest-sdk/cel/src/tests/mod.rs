#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod language;
mod refused;

use super::*;
use crate::facts::written;
use sigwarden_guest::testing::{self, RequestBuilder};
use sigwarden_guest::{Address, Erc20, FORMATS, FactKind, FormatPattern, Role, Scalar, U256, facts_of};

fn formats(pattern: &str) -> Vec<FormatPattern> {
    vec![pattern.parse().unwrap()]
}

fn sets() -> Sets {
    Sets::from([("friends".to_owned(), [Address([0x11; 20])].into_iter().collect())])
}

/// Whether an expression holds, or why nobody can say.
fn holds(expression: &str, request: &RequestBuilder) -> Result<bool, String> {
    let (request, sets, mut facts) = (request.clone().build(), sets(), Facts::default());
    let program = Program::compile(expression, &formats(&request.format), &sets, &mut facts);
    let program = program.unwrap_or_else(|error| panic!("{expression}: {error}"));
    let values = facts.values(&request);
    program.judge(&Scope::new(&values, &sets)).map_err(|fault| fault.to_string())
}

/// What is said of an expression that cannot be compiled.
fn refused(pattern: &str, expression: &str) -> String {
    match Program::compile(expression, &formats(pattern), &sets(), &mut Facts::default()) {
        Ok(_) => panic!("`{expression}` is taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn programs_share_a_table_of_facts() {
    let (sets, mut facts) = (sets(), Facts::default());
    let mut compile = |pattern: &str, text: &str| Program::compile(text, &formats(pattern), &sets, &mut facts).unwrap();
    let small = compile("evm/*", "evm.value < 5");
    let chain = compile("evm/eip-1559", "evm.chain_id == 1 && evm.value > 0");
    let vote = compile("cometbft/vote", "cometbft.round < 5");
    let request = testing::evm_transfer().u256("evm.value", 7u64).build();
    let values = facts.values(&request);
    let scope = Scope::new(&values, &sets);
    assert_eq!([&small, &chain, &vote].map(|program| program.covers(&values)), [true, true, false]);
    assert_eq!((small.judge(&scope), chain.judge(&scope)), (Ok(false), Ok(true)));
    assert_eq!(small.findings(&scope), "evm.value = 7");
    assert_eq!(chain.findings(&scope), "evm.value = 7, evm.chain_id = 1");
    assert_eq!(vote.findings(&scope), "cometbft.round = missing");
    let fault = vote.judge(&scope).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "the request has no `cometbft.round`; `has(cometbft.round)` asks for it"
    );
    // A format that is newer than the SDK is no pattern's.
    let stranger = testing::evm_transfer().format("evm/eip-9999").build();
    assert!(!small.covers(&facts.values(&stranger)));
}

#[test]
fn what_does_not_depend_on_a_request_is_settled() {
    let compile = |text: &str| Program::compile(text, &formats("evm/*"), &sets(), &mut Facts::default()).unwrap();
    for (expression, expected) in [
        ("evm.value < 0", Some(false)),
        ("evm.create && false", Some(false)),
        ("evm.create ? false : 1 > 2", Some(false)),
        ("evm.value >= 0", Some(true)),
        ("evm.create || true", Some(true)),
        ("true", Some(true)),
        ("evm.create || !evm.create", None),
        ("evm.value > 0", None),
        ("1 / 0 == 1 || evm.create", None),
    ] {
        let program = compile(expression);
        assert_eq!(
            (program.settled(), program.is_true()),
            (expected, expression == "true"),
            "{expression}"
        );
    }
}

#[test]
fn a_set_that_is_gone_is_a_fault_and_not_an_empty_one() {
    let mut facts = Facts::default();
    let program = Program::compile("evm.to in sets.friends", &formats("evm/*"), &sets(), &mut facts).unwrap();
    let request = testing::evm_transfer().build();
    let (values, none) = (facts.values(&request), Sets::new());
    let fault = program.judge(&Scope::new(&values, &none)).unwrap_err();
    assert_eq!(fault.to_string(), "a set that the expression names is gone");
}

#[test]
fn sets_have_names_that_an_expression_can_write() {
    for name in ["a", "_", "friends_2", "In"] {
        assert!(is_set_name(name), "{name}");
    }
    for name in ["", "2nd", "my-friends", "a.b", "ä", " a"] {
        assert!(!is_set_name(name), "{name}");
    }
}

#[test]
fn a_program_is_shown_on_one_line_and_before_it_is_compiled_is_for_nothing() {
    let compile = |text: &str| Program::compile(text, &formats("evm/*"), &sets(), &mut Facts::default()).unwrap();
    assert_eq!(
        compile("evm.create ||\n\t evm.value < 5").to_string(),
        "evm.create || evm.value < 5"
    );
    let long = vec!["evm.create"; 100].join(" || ");
    let shown = compile(&long).to_string();
    assert!(shown.chars().count() == 201 && shown.ends_with('…'), "{shown}");
    let (request, sets, facts) = (testing::evm_transfer().build(), sets(), Facts::default());
    let values = facts.values(&request);
    let scope = Scope::new(&values, &sets);
    let nothing = Program::default();
    assert_eq!((nothing.covers(&values), nothing.judge(&scope)), (false, Ok(false)));
}
