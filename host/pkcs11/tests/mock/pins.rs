//! PINs on a token that counts.

use crate::rig::{configure, fail, library, mend, mock_token};
use crate::support::{PIN, counted_pin, open_watching, place, settings, state, token, until};
use sigwarden_mock_hsm::{Token, TokenFaults};
use sigwarden_pkcs11::{PinAttempts, Pkcs11Backend, RefusedPin, TokenSettings, TokenState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn with_pin(pin: &'static str) -> (Arc<AtomicUsize>, Pkcs11Backend) {
    let (asked, pin) = counted_pin(pin);
    let backend = open_watching(vec![TokenSettings {
        pin: Some(pin),
        ..token(&library(), "mock")
    }]);
    (asked, backend)
}

fn attempts(state: TokenState) -> PinAttempts {
    let TokenState::PinRefused { attempts, .. } = state else {
        panic!("{state}")
    };
    attempts
}

fn counting(max_pin_attempts: u32) {
    configure(vec![Token {
        max_pin_attempts,
        ..mock_token("mock")
    }]);
}

pub(crate) fn a_wrong_pin_costs_one_attempt() {
    counting(3);
    let (asked, backend) = with_pin("000000");
    assert_eq!(attempts(state(&backend)), PinAttempts::Fewer);
    for n in 0..100 {
        assert!(crate::faults::sign(&backend, sigwarden_core::Scheme::Ed25519, n).is_err());
    }
    // The token goes and returns: that makes a wrong PIN no better.
    fail(
        "mock",
        TokenFaults {
            restarts: 1,
            ..TokenFaults::default()
        },
    );
    for n in 0..100 {
        assert!(crate::faults::sign(&backend, sigwarden_core::Scheme::Ed25519, n).is_err());
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    drop(backend);
    // The token counted one: two are left, and the right PIN is taken.
    let (_, backend) = with_pin(PIN);
    assert_eq!(state(&backend), TokenState::Ready);
}

pub(crate) fn a_pin_that_was_changed_is_used_once() {
    counting(3);
    let (asked, backend) = with_pin(PIN);
    assert_eq!(state(&backend), TokenState::Ready);
    let away = |device_removed| TokenFaults {
        device_removed,
        pin: Some("another one".into()),
        ..TokenFaults::default()
    };
    fail("mock", away(true));
    until("its going", || state(&backend) != TokenState::Ready);
    fail("mock", away(false));
    until("the refusal", || matches!(state(&backend), TokenState::PinRefused { .. }));
    assert_eq!(attempts(state(&backend)), PinAttempts::Fewer);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    mend();
    assert_eq!(backend.retry_login()[0].state, TokenState::Ready);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

pub(crate) fn the_last_attempt_is_the_operator_s() {
    counting(2);
    let (asked, backend) = with_pin("000000");
    assert_eq!(attempts(state(&backend)), PinAttempts::One);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    drop(backend);
    // Another start, with the right PIN, does not know that it is right.
    let (asked, backend) = with_pin(PIN);
    assert_eq!(attempts(state(&backend)), PinAttempts::One);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert_eq!(backend.retry_login()[0].state, TokenState::Ready);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    drop(backend);
    let (_, backend) = with_pin("000000");
    assert_eq!(attempts(state(&backend)), PinAttempts::One);
    assert_eq!(attempts(backend.retry_login()[0].state.clone()), PinAttempts::Locked);
    // Locked: no PIN is used any more, not even for an operator.
    drop(backend);
    let (asked, backend) = with_pin(PIN);
    assert_eq!(attempts(state(&backend)), PinAttempts::Locked);
    assert_eq!(attempts(backend.retry_login()[0].state.clone()), PinAttempts::Locked);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

pub(crate) fn an_operator_s_start_uses_the_last_attempt() {
    counting(2);
    let (_, backend) = with_pin("000000");
    assert_eq!(attempts(state(&backend)), PinAttempts::One);
    drop(backend);
    let (asked, pin) = counted_pin(PIN);
    let mut settings = settings(vec![TokenSettings {
        pin: Some(pin),
        refused_pin: Some(RefusedPin::in_dir(&place().join("refused-pins"), "hsm", "mock")),
        ..token(&library(), "mock")
    }]);
    settings.by_operator = true;
    let backend = Pkcs11Backend::open(settings).unwrap();
    assert_eq!(state(&backend), TokenState::Ready);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

pub(crate) fn an_operator_s_start_uses_a_wrong_pin_once() {
    counting(4);
    let (asked, pin) = counted_pin("000000");
    let mut settings = settings(vec![TokenSettings {
        pin: Some(pin),
        ..token(&library(), "mock")
    }]);
    settings.by_operator = true;
    settings.pace.health = std::time::Duration::from_millis(20);
    let backend = Pkcs11Backend::open(settings).unwrap();
    for n in 0..100 {
        assert!(crate::faults::sign(&backend, sigwarden_core::Scheme::Ed25519, n).is_err());
    }
    assert_eq!((attempts(state(&backend)), asked.load(Ordering::SeqCst)), (PinAttempts::Fewer, 1));
}
