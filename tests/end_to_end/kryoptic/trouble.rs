//! PINs that are wrong, tokens that are not there.

use super::{PIN, Slot, VALIDATOR, assert_signed, code, generate, set_floor, sign, token, vote};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const WRONG_PIN: &str = "000000";
/// Attempts after which Kryoptic locks a PIN.
const LOCKS_AT: usize = 10;

fn until(what: &str, happened: impl Fn() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < PATIENCE, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
#[ignore = "needs Kryoptic: `cargo xtask test --kryoptic`"]
fn a_wrong_pin_is_used_once_by_however_many_starts_and_requests() {
    let slot = Slot::with("signer");
    let mut node = slot.started("");
    let public_key = generate(&node, VALIDATOR, "ml-dsa-44", "consensus");
    set_floor(&node, VALIDATOR);
    node.stop().unwrap();

    slot.write_pin(WRONG_PIN);
    for _ in 0..3 {
        slot.alone(&node, &["check"]);
        node.start().unwrap();
        assert_eq!(code(&sign(&node, VALIDATOR, &vote(10, 1)).unwrap_err()), "backend/unavailable");
        assert_eq!(token(&node).0, "pin-refused");
        node.stop().unwrap();
    }
    node.start().unwrap();
    let retry = ["keys", "retry-login", "hsm", "--reason", "a test of the count"];
    // The operator's attempts, up to the last but one. Had anything above used two, the token would be locked after these.
    for _ in 2..LOCKS_AT {
        node.run(&retry).unwrap();
    }
    let (state, detail) = token(&node);
    assert_eq!(state, "pin-refused");
    assert!(
        detail.contains("CKR_PIN_INCORRECT") && detail.contains("one attempt is left"),
        "{detail}"
    );
    slot.write_pin(PIN);
    let told = node.expect(&retry).unwrap();
    assert!(told.contains("token signer: ready"), "{told}");
    // The decision stood all the while.
    assert_signed(&public_key, &vote(10, 1), &sign(&node, VALIDATOR, &vote(10, 1)).unwrap());
}

#[test]
#[ignore = "needs Kryoptic: `cargo xtask test --kryoptic`"]
fn a_pin_that_is_locked_is_said_and_no_longer_used() {
    let slot = Slot::with("signer");
    slot.write_pin(WRONG_PIN);
    let mut node = slot.started("");
    let retry = ["keys", "retry-login", "hsm", "--reason", "a test of the lock"];
    for n in 2..=LOCKS_AT {
        let (state, detail) = token(&node);
        assert_eq!(state, "pin-refused");
        assert!(!detail.contains("locked"), "attempt {n}: {detail}");
        node.run(&retry).unwrap();
    }
    let (_, detail) = token(&node);
    assert!(detail.contains("locked"), "{detail}");
    // Now not even the right one is of use, and the next start does not try it.
    slot.write_pin(PIN);
    node.run(&retry).unwrap();
    assert!(
        token(&node).1.contains("its user PIN is locked; ours was not used"),
        "{:?}",
        token(&node)
    );
    node.stop().unwrap();
    node.start().unwrap();
    assert_eq!(token(&node).0, "pin-refused");
}

#[test]
#[ignore = "needs Kryoptic: `cargo xtask test --kryoptic`"]
fn a_token_that_is_missing_is_named_with_the_one_that_is_there_and_used_when_it_comes() {
    let slot = Slot::with("signer");
    let mut node = slot.started("");
    let public_key = generate(&node, VALIDATOR, "ml-dsa-44", "consensus");
    set_floor(&node, VALIDATOR);
    node.stop().unwrap();

    // Another token is in the slot.
    let away = slot.token().with_extension("away");
    std::fs::rename(slot.token(), &away).unwrap();
    slot.init("visitor");
    let checked = slot.alone(&node, &["check"]);
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(text.contains("no token of this label; there is `visitor` in slot 42"), "{text}");
    node.start().unwrap();
    let (state, detail) = token(&node);
    assert_eq!(state, "absent");
    assert!(detail.contains("`visitor` in slot 42"), "{detail}");
    assert_eq!(code(&sign(&node, VALIDATOR, &vote(10, 1)).unwrap_err()), "backend/unavailable");

    // It comes back, to the daemon that runs.
    std::fs::rename(&away, slot.token()).unwrap();
    until("the token's return", || token(&node).0 == "ready");
    assert_signed(&public_key, &vote(10, 1), &sign(&node, VALIDATOR, &vote(10, 1)).unwrap());
    assert_eq!(code(&sign(&node, VALIDATOR, &vote(10, 2)).unwrap_err()), "floor/conflict");
}

#[test]
#[ignore = "needs Kryoptic: `cargo xtask test --kryoptic`"]
fn a_token_that_is_pulled_while_it_signs_refuses_and_comes_back_without_a_restart() {
    let slot = Slot::with("signer");
    let node = slot.started("");
    let public_key = generate(&node, VALIDATOR, "ml-dsa-44", "consensus");
    set_floor(&node, VALIDATOR);
    assert_signed(&public_key, &vote(10, 1), &sign(&node, VALIDATOR, &vote(10, 1)).unwrap());

    // Kryoptic keeps its file open: one that is moved away stays in use, one that is emptied does not.
    let inside = std::fs::read(slot.token()).unwrap();
    std::fs::write(slot.token(), []).unwrap();
    let refused = sign(&node, VALIDATOR, &vote(11, 1)).unwrap_err();
    assert!(code(&refused).starts_with("backend/"), "{refused}");
    until("the token's going", || token(&node).0 == "absent");
    assert_eq!(code(&sign(&node, VALIDATOR, &vote(11, 1)).unwrap_err()), "backend/unavailable");

    std::fs::write(slot.token(), inside).unwrap();
    until("the token's return", || token(&node).0 == "ready");
    // The vote that was decided gets its signature, and no other one of its view does.
    assert_eq!(code(&sign(&node, VALIDATOR, &vote(11, 2)).unwrap_err()), "floor/conflict");
    assert_signed(&public_key, &vote(11, 1), &sign(&node, VALIDATOR, &vote(11, 1)).unwrap());
}
