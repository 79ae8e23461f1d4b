//! PINs: used once.

use crate::support::{PIN, counted_pin, id, message, open, state, token};
use crate::{library, with_tokens};
use sigwarden_core::Scheme;
use sigwarden_pkcs11::{ErrorKind, Failure, PinAttempts, RefusedPin, SecretString, TokenSettings, TokenState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(crate) fn a_wrong_pin_is_used_once() {
    with_tokens(&["validator"]);
    let (asked, right) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let pin = {
        let (asked, right) = (Arc::clone(&asked), Arc::clone(&right));
        Box::new(move || {
            asked.fetch_add(1, Ordering::SeqCst);
            Ok(SecretString::from(if right.load(Ordering::SeqCst) { PIN } else { "000000" }))
        })
    };
    let backend = open(vec![TokenSettings {
        pin: Some(pin),
        ..token(&library(), "validator")
    }]);
    // The token tells by a flag that an attempt was wrong.
    let refused = |state: TokenState| {
        let TokenState::PinRefused { why, attempts } = state else {
            panic!("{state}")
        };
        (why, attempts)
    };
    let (why, attempts) = refused(state(&backend));
    assert!(why.starts_with("C_Login: CKR_PIN_INCORRECT; the PIN is not used again"), "{why}");
    assert_eq!(attempts, PinAttempts::Fewer);
    for n in 0..50 {
        let error = backend
            .sign_inputs(&id("test.key.v1"), Scheme::Ed25519, &[0; 32], [&message(n)].into_iter())
            .unwrap_err();
        assert!(matches!(error, Failure::NotReady { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Pin);
        assert!(!error.to_string().contains("000000"));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // The operator acts: once more, and once more only.
    refused(backend.retry_login()[0].state.clone());
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    right.store(true, Ordering::SeqCst);
    assert_eq!(backend.retry_login()[0].state, TokenState::Ready);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    backend.generate(&id("test.key.v1"), Scheme::Ed25519).unwrap();
    backend.retry_login();
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

pub(crate) fn a_refused_pin_is_remembered_by_the_next_process() {
    with_tokens(&["validator"]);
    let home = tempfile::tempdir().unwrap();
    let marker = || RefusedPin::in_dir(&home.path().join("refused-pins"), "hsm", "validator");
    let (asked, pin) = counted_pin("000000");
    let with = |pin| {
        open(vec![TokenSettings {
            pin: Some(pin),
            refused_pin: Some(marker()),
            ..token(&library(), "validator")
        }])
    };
    drop(with(pin));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // Even a PIN that would be right: nobody knows that it was mended.
    let (asked, pin) = counted_pin(PIN);
    let backend = with(pin);
    let TokenState::PinRefused { why, .. } = state(&backend) else {
        panic!("{}", state(&backend))
    };
    assert!(why.contains("refused before this start (C_Login: CKR_PIN_INCORRECT)"), "{why}");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert_eq!(backend.retry_login()[0].state, TokenState::Ready);
    drop(backend);
    assert!(!marker().clear().unwrap(), "forgotten with the operator's act");
    let (asked, pin) = counted_pin(PIN);
    assert_eq!(state(&with(pin)), TokenState::Ready);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

pub(crate) fn a_pin_whose_use_cannot_be_remembered_is_not_used() {
    with_tokens(&["validator"]);
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("refused-pins");
    // As after a restore that went wrong. Root may write anywhere else.
    std::os::unix::fs::symlink(home.path().join("nowhere/dir"), &dir).unwrap();
    let (asked, pin) = counted_pin("000000");
    let backend = open(vec![TokenSettings {
        pin: Some(pin),
        refused_pin: Some(RefusedPin::in_dir(&dir, "hsm", "validator")),
        ..token(&library(), "validator")
    }]);
    let TokenState::Broken(why) = state(&backend) else {
        panic!("{}", state(&backend))
    };
    assert!(
        why.starts_with("the PIN was not used, since the attempt cannot be remembered in `"),
        "{why}"
    );
    assert!(why.contains("refused-pins/hsm.") && why.contains("make room there"), "{why}");
    // Mended, it is used by itself, once; had it been used before, the token would have been told so.
    std::fs::remove_file(&dir).unwrap();
    crate::support::until("its use", || matches!(state(&backend), TokenState::PinRefused { .. }));
    drop(backend);
    let (again, pin) = counted_pin(PIN);
    let backend = open(vec![TokenSettings {
        pin: Some(pin),
        refused_pin: Some(RefusedPin::in_dir(&dir, "hsm", "validator")),
        ..token(&library(), "validator")
    }]);
    assert!(matches!(state(&backend), TokenState::PinRefused { .. }));
    assert_eq!(again.load(Ordering::SeqCst), 0);
    assert!(asked.load(Ordering::SeqCst) >= 1);
}

pub(crate) fn a_pin_that_is_not_to_be_had_is_said() {
    with_tokens(&["validator"]);
    let backend = open(vec![TokenSettings {
        pin: Some(Box::new(|| Err("the variable `HSM_PIN` is not set".into()))),
        ..token(&library(), "validator")
    }]);
    assert_eq!(
        state(&backend),
        TokenState::Broken("no PIN: the variable `HSM_PIN` is not set".into())
    );
    drop(backend);
    let backend = open(vec![TokenSettings {
        pin: None,
        ..token(&library(), "validator")
    }]);
    assert!(matches!(state(&backend), TokenState::PinRefused { why, .. } if why == "it wants a PIN, and none is configured"));
}

pub(crate) fn a_second_backend_shares_the_login() {
    with_tokens(&["validator"]);
    let (asked, pin) = counted_pin(PIN);
    let first = open(vec![TokenSettings {
        pin: Some(pin),
        ..token(&library(), "validator")
    }]);
    let public_key = first.generate(&id("test.key.v1"), Scheme::Ed25519).unwrap();
    let second = open(vec![token(&library(), "validator")]);
    assert_eq!(second.public_key(&id("test.key.v1"), Scheme::Ed25519).unwrap(), public_key);
    // The end of one does not log the other out.
    drop(second);
    let sign = |n| first.sign_inputs(&id("test.key.v1"), Scheme::Ed25519, &public_key, [&message(n)].into_iter());
    for n in 0..20 {
        assert!(sign(n).is_ok());
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(first.counters().reconnects, 0);
}
