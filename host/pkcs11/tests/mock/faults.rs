//! A token that fails, and is used again when it does not.

use crate::rig::{SCHEMES, configure, fail, fail_signing, key_id, library, mend, mock, mock_token, public_key};
use crate::support::{assert_right, counted_pin, id, input, module, open, open_watching, settings, state, token, until};
use sigwarden_core::{RawSignature, Scheme};
use sigwarden_mock_hsm::{EcPoint, SigningFaults, Token, TokenFaults};
use sigwarden_pkcs11::{ErrorKind, Failure, Pkcs11Backend, Provider, TokenSettings, TokenState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SCHEME: Scheme = Scheme::Secp256k1Ecdsa;

pub(crate) fn sign(backend: &Pkcs11Backend, scheme: Scheme, n: u8) -> Result<RawSignature, Failure> {
    let input = input(scheme, n);
    let signatures = backend.sign_inputs(&key_id(scheme), scheme, &public_key(scheme), [&input].into_iter())?;
    assert_eq!(signatures.len(), 1);
    assert_right(scheme, &public_key(scheme), &input, &signatures[0]);
    Ok(signatures[0].clone())
}

/// With one session, so that each call has the one of the call before.
fn single(tokens: Vec<TokenSettings>) -> Pkcs11Backend {
    let mut settings = settings(tokens);
    settings.sessions = 1;
    Pkcs11Backend::open(settings).unwrap()
}

pub(crate) fn every_scheme_signs() {
    let backend = open(mock(&["mock"]));
    let seen = backend.tokens()[0].seen.clone().unwrap();
    assert_eq!((seen.provider, seen.schemes.as_slice()), (Provider::Mock, SCHEMES.as_slice()));
    assert_eq!(seen.generates, SCHEMES);
    for scheme in SCHEMES {
        assert_eq!(backend.public_key(&key_id(scheme), scheme).unwrap(), public_key(scheme));
        for n in 0..4 {
            sign(&backend, scheme, n).unwrap();
        }
        let id = id(&format!("made.{scheme}.v1"));
        let made = backend.generate(&id, scheme).unwrap();
        assert_eq!(made.len(), scheme.public_key_len());
        assert!(matches!(backend.generate(&id, scheme).unwrap_err(), Failure::Exists { .. }));
        let signatures = backend.sign_inputs(&id, scheme, &made, [&input(scheme, 9)].into_iter()).unwrap();
        assert_right(scheme, &made, &input(scheme, 9), &signatures[0]);
    }
    // The keys are there for the next process: here, for the next backend.
    drop(backend);
    let backend = open(vec![token(&library(), "mock")]);
    assert!(backend.public_key(&id("made.ml-dsa-44.v1"), Scheme::MlDsa44).is_ok());
}

pub(crate) fn points_are_read_wrapped_and_bare() {
    let bare = Token {
        ec_point: EcPoint::Bare,
        ..mock_token("bare")
    };
    configure(vec![mock_token("wrapped"), bare]);
    for label in ["wrapped", "bare"] {
        let backend = open(vec![token(&library(), label)]);
        for scheme in SCHEMES {
            assert_eq!(backend.public_key(&key_id(scheme), scheme).unwrap(), public_key(scheme), "{label}");
            sign(&backend, scheme, 1).unwrap();
        }
    }
}

pub(crate) fn a_token_pulled_amid_a_thousand_requests() {
    mock(&["mock"]);
    let (asked, pin) = counted_pin(crate::support::PIN);
    let backend = open(vec![TokenSettings {
        pin: Some(pin),
        ..token(&library(), "mock")
    }]);
    let (begun, signed, refused) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while begun.fetch_add(1, Ordering::SeqCst) < 1000 {
                    match sign(&backend, SCHEME, 1) {
                        Ok(_) => signed.fetch_add(1, Ordering::SeqCst),
                        Err(failure) => {
                            let kind = failure.kind();
                            assert!(
                                matches!(kind, ErrorKind::Unavailable | ErrorKind::Session | ErrorKind::Pin),
                                "{failure}"
                            );
                            // As a client does, or all of the thousand were over before the token is back.
                            std::thread::sleep(Duration::from_millis(2));
                            refused.fetch_add(1, Ordering::SeqCst)
                        }
                    };
                }
            });
        }
        until("signing", || signed.load(Ordering::SeqCst) >= 200);
        fail(
            "mock",
            TokenFaults {
                device_removed: true,
                ..TokenFaults::default()
            },
        );
        until("refusing", || refused.load(Ordering::SeqCst) >= 50);
        assert_ne!(state(&backend), TokenState::Ready);
        mend();
        let before = signed.load(Ordering::SeqCst);
        until("signing again", || signed.load(Ordering::SeqCst) > before);
    });
    assert_eq!(signed.load(Ordering::SeqCst) + refused.load(Ordering::SeqCst), 1000);
    let counters = backend.counters();
    assert_eq!(counters.sign_success, signed.load(Ordering::SeqCst) as u64);
    assert_eq!(counters.sign_errors.values().sum::<u64>(), refused.load(Ordering::SeqCst) as u64);
    assert_eq!((counters.reconnects, counters.sessions_in_use), (1, 0));
    assert!(backend.distrusted().is_empty());
    // Once at the start, once when it came back.
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

pub(crate) fn a_token_that_restarts_is_logged_in_again() {
    mock(&["mock"]);
    let (asked, pin) = counted_pin(crate::support::PIN);
    let backend = single(vec![TokenSettings {
        pin: Some(pin),
        ..token(&library(), "mock")
    }]);
    sign(&backend, SCHEME, 1).unwrap();
    for restarts in 1..=3 {
        fail(
            "mock",
            TokenFaults {
                restarts,
                ..TokenFaults::default()
            },
        );
        // Its sessions are gone, and with them the login: this call finds out.
        let failure = sign(&backend, SCHEME, 2).unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::Pin, "{failure}");
        until("the login", || state(&backend) == TokenState::Ready);
        sign(&backend, SCHEME, 3).unwrap();
        assert_eq!(asked.load(Ordering::SeqCst) as u64, 1 + restarts);
        assert_eq!(backend.counters().reconnects, restarts);
    }
}

pub(crate) fn a_closed_session_is_replaced() {
    let backend = single(mock(&["mock"]));
    let close = |session_closed| {
        fail(
            "mock",
            TokenFaults {
                session_closed,
                ..TokenFaults::default()
            },
        );
    };
    for n in 0..5 {
        sign(&backend, SCHEME, n).unwrap();
        close(1);
        sign(&backend, SCHEME, n).unwrap();
    }
    assert_eq!(backend.counters().sign_errors.values().sum::<u64>(), 0);
    // The new one too: then it is a failure, of this call.
    close(2);
    assert_eq!(sign(&backend, SCHEME, 7).unwrap_err().kind(), ErrorKind::Session);
    until("its being ready", || state(&backend) == TokenState::Ready);
    sign(&backend, SCHEME, 8).unwrap();
}

pub(crate) fn a_busy_token_spoils_no_session() {
    let backend = single(mock(&["mock"]));
    for n in 0..5 {
        sign(&backend, SCHEME, n).unwrap();
        fail(
            "mock",
            TokenFaults {
                busy: true,
                ..TokenFaults::default()
            },
        );
        let failure = sign(&backend, SCHEME, n).unwrap_err();
        assert!(
            failure.to_string().contains("CKR_FUNCTION_FAILED") || failure.to_string().contains("CKR_SESSION_COUNT"),
            "{failure}"
        );
        mend();
        until("its being ready", || state(&backend) == TokenState::Ready);
    }
    assert_eq!(backend.counters().sign_success, 5);
}

pub(crate) fn a_dead_token_comes_back() {
    let tokens = mock(&["mock"]);
    // Started by somebody else, it is not started again by the backend: which would mend this fault.
    let _module = module(&library());
    let backend = single(tokens);
    fail(
        "mock",
        TokenFaults {
            dies_after: Some(10),
            ..TokenFaults::default()
        },
    );
    for n in 0..10 {
        sign(&backend, SCHEME, n).unwrap();
    }
    assert_eq!(sign(&backend, SCHEME, 10).unwrap_err().kind(), ErrorKind::Device);
    until("its being missed", || state(&backend) != TokenState::Ready);
    for n in 0..10 {
        assert!(matches!(sign(&backend, SCHEME, n).unwrap_err(), Failure::NotReady { .. }));
    }
    mend();
    until("its return", || state(&backend) == TokenState::Ready);
    sign(&backend, SCHEME, 11).unwrap();
    assert_eq!(backend.counters().sign_success, 11);
}

pub(crate) fn a_moved_token_is_found() {
    let backend = open_watching(mock(&["mock"]));
    let slot = || backend.tokens()[0].seen.as_ref().unwrap().slot;
    sign(&backend, SCHEME, 1).unwrap();
    assert_eq!(slot(), 0);
    fail(
        "mock",
        TokenFaults {
            slot: Some(9),
            ..TokenFaults::default()
        },
    );
    until("its being found", || slot() == 9 && state(&backend) == TokenState::Ready);
    sign(&backend, SCHEME, 2).unwrap();
}

pub(crate) fn a_key_that_goes_missing_is_said() {
    let backend = open_watching(mock(&["mock"]));
    sign(&backend, SCHEME, 1).unwrap();
    fail_signing(
        "mock",
        SigningFaults {
            missing: true,
            ..SigningFaults::default()
        },
    );
    // A look misses it before a call does, and begins anew with the token.
    until("its being looked for", || backend.counters().reconnects == 1);
    let missing = |failure: Failure| matches!(failure, Failure::NoKey { .. });
    until("its being missed", || sign(&backend, SCHEME, 2).is_err_and(missing));
    mend();
    until("its return", || sign(&backend, SCHEME, 3).is_ok());
    assert!(backend.distrusted().is_empty());
}

pub(crate) fn more_sessions_than_the_token_has_are_refused() {
    let small = Token {
        // The anchor, the one for looking, and one that works.
        max_sessions: 3,
        ..mock_token("mock")
    };
    configure(vec![small]);
    let backend = open(vec![token(&library(), "mock")]);
    let (signed, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    fail_signing(
        "mock",
        SigningFaults {
            latency_ms: 20,
            ..SigningFaults::default()
        },
    );
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| match sign(&backend, SCHEME, 1) {
                Ok(_) => signed.fetch_add(1, Ordering::SeqCst),
                Err(failure) => {
                    assert_eq!(failure.to_string(), "token `mock`: C_OpenSession: CKR_SESSION_COUNT");
                    refused.fetch_add(1, Ordering::SeqCst)
                }
            });
        }
    });
    assert!(signed.load(Ordering::SeqCst) >= 1);
    assert_eq!(signed.load(Ordering::SeqCst) + refused.load(Ordering::SeqCst), 4);
    mend();
    sign(&backend, SCHEME, 2).unwrap();
}

/// The threads that the backend starts, by the names it gives them.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.unwrap().path().join("comm"));
    tasks
        .filter_map(|task| name(task).ok())
        .filter(|name| name.starts_with("pkcs11-"))
        .count()
}

pub(crate) fn its_threads_end_with_it() {
    let mut settings = settings(mock(&["first", "second"]));
    settings.call_deadline = Some(Duration::from_secs(60));
    let backend = Pkcs11Backend::open(settings).unwrap();
    for n in 0..10 {
        sign(&backend, SCHEME, n).unwrap();
    }
    assert!(threads() >= 3, "{}", threads());
    drop(backend);
    until("the threads' end", || threads() == 0);
}
