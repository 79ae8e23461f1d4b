//! Two tokens that hold the same keys, and tokens that hang.

use crate::faults::sign;
use crate::rig::{fail, fail_signing, mend, mock};
use crate::support::{settings, until};
use sigwarden_core::Scheme;
use sigwarden_mock_hsm::{SigningFaults, TokenFaults};
use sigwarden_pkcs11::{ErrorKind, Failure, Pkcs11Backend, Settings, TokenState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SCHEME: Scheme = Scheme::Secp256k1Ecdsa;
/// Much longer than a call's deadline here, and ended by the script.
const FOR_EVER_MS: u64 = 60_000;

fn two(sessions: usize) -> Pkcs11Backend {
    let mut settings = settings(mock(&["first", "second"]));
    settings.sessions = sessions;
    settings.pace.health = Duration::from_millis(20);
    assert_eq!(settings.call_deadline, Some(Duration::from_millis(700)));
    Pkcs11Backend::open(settings).unwrap()
}

fn ready(backend: &Pkcs11Backend) -> [bool; 2] {
    let tokens = backend.tokens();
    [0, 1].map(|token: usize| tokens[token].state == TokenState::Ready)
}

fn hang(token: &str) {
    fail_signing(
        token,
        SigningFaults {
            latency_ms: FOR_EVER_MS,
            ..SigningFaults::default()
        },
    );
}

pub(crate) fn a_late_answer_is_dropped_and_the_other_token_signs() {
    let backend = two(4);
    assert_eq!(ready(&backend), [true, true]);
    sign(&backend, SCHEME, 0).unwrap();
    hang("first");
    sign(&backend, SCHEME, 1).unwrap();
    let counters = backend.counters();
    assert_eq!((counters.failovers, counters.sign_errors[&ErrorKind::Timeout]), (1, 1));
    assert_eq!(backend.tokens()[0].calls_overdue, 1);
    // The one that hangs is not asked while the other signs.
    for n in 2..20 {
        sign(&backend, SCHEME, n).unwrap();
    }
    assert_eq!(backend.counters().failovers, 1);
    mend();
    until("the call's return", || backend.tokens()[0].calls_overdue == 0);
    let counters = backend.counters();
    // Its answer came, and nothing was made of it.
    assert_eq!((counters.sign_success, counters.sessions_in_use), (20, 0));
    // It is asked again: with the second one gone, it has to be.
    hang("second");
    until("its turn", || {
        sign(&backend, SCHEME, 21).unwrap();
        backend.tokens()[1].calls_overdue == 0
    });
    mend();
}

pub(crate) fn a_token_that_hangs_is_left() {
    let backend = two(4);
    fail(
        "first",
        TokenFaults {
            latency_ms: FOR_EVER_MS,
            ..TokenFaults::default()
        },
    );
    // Looks at it hang as well; calls go on.
    for n in 0..10 {
        sign(&backend, SCHEME, n).unwrap();
    }
    assert_eq!(backend.counters().sign_success, 10);
    mend();
    until("its return", || {
        ready(&backend) == [true, true] && backend.tokens()[0].calls_overdue == 0
    });
}

pub(crate) fn a_token_whose_calls_never_return_is_broken() {
    let mut settings = settings(mock(&["first"]));
    settings.sessions = 2;
    settings.call_deadline = Some(Duration::from_millis(200));
    let backend = Pkcs11Backend::open(settings).unwrap();
    sign(&backend, SCHEME, 0).unwrap();
    hang("first");
    for n in 1..=2 {
        assert!(matches!(sign(&backend, SCHEME, n).unwrap_err(), Failure::Overdue { .. }));
    }
    // No session is left, and nobody waits for one.
    for n in 3..20 {
        let failure = sign(&backend, SCHEME, n).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "token `first` is broken: 2 calls have not returned, and there are no more sessions"
        );
    }
    let status = backend.tokens().remove(0);
    assert_eq!((status.calls_overdue, status.sessions_in_use), (2, 2));
    mend();
    until("the calls' return", || ready_alone(&backend));
    sign(&backend, SCHEME, 20).unwrap();
    assert_eq!(backend.counters().sign_success, 2);
}

fn ready_alone(backend: &Pkcs11Backend) -> bool {
    let status = backend.tokens().remove(0);
    status.state == TokenState::Ready && status.calls_overdue == 0
}

pub(crate) fn no_request_fails_while_one_of_two_tokens_is_pulled() {
    let backend = two(4);
    let signed = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while done.load(Ordering::SeqCst) == 0 {
                    sign(&backend, SCHEME, 1).unwrap();
                    signed.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for (round, token) in ["first", "second", "first"].into_iter().enumerate() {
            until("signing", || signed.load(Ordering::SeqCst) >= 50 * (round + 1));
            fail(
                token,
                TokenFaults {
                    device_removed: true,
                    ..TokenFaults::default()
                },
            );
            until("its going", || ready(&backend) != [true, true]);
            let before = signed.load(Ordering::SeqCst);
            until("signing without it", || signed.load(Ordering::SeqCst) >= before + 20);
            mend();
            until("its return", || ready(&backend) == [true, true]);
        }
        done.store(1, Ordering::SeqCst);
    });
    let counters = backend.counters();
    assert_eq!(counters.sign_success, signed.load(Ordering::SeqCst) as u64);
    assert_eq!(counters.reconnects, 3);
}

pub(crate) fn a_lie_is_not_passed_on() {
    let backend = two(4);
    fail_signing(
        "first",
        SigningFaults {
            wrong_signature: true,
            ..SigningFaults::default()
        },
    );
    let failure = sign(&backend, SCHEME, 1).unwrap_err();
    assert!(matches!(&failure, Failure::Lie { token, .. } if token == "first"), "{failure}");
    let counters = backend.counters();
    assert_eq!((counters.failovers, counters.sign_success), (0, 0));
    assert_eq!(backend.distrusted()[0].token, "first");
}

/// A token alone, without a deadline, that stops answering: its callers, those who wait and those who come.
pub(crate) fn a_token_that_hangs_alone_holds_nobody_up() {
    let mut settings = settings(mock(&["first"]));
    settings.sessions = 2;
    settings.session_wait = Settings::WAIT_MAX;
    assert_eq!(settings.call_deadline, None);
    let backend = Pkcs11Backend::open(settings).unwrap();
    for n in 0..20 {
        sign(&backend, SCHEME, n).unwrap();
    }
    hang("first");
    let begun = Instant::now();
    let (signed, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // Two have the sessions, the others wait for one.
        for n in 0..8 {
            let (backend, signed, refused) = (&backend, &signed, &refused);
            scope.spawn(move || match sign(backend, SCHEME, n) {
                Ok(_) => signed.fetch_add(1, Ordering::SeqCst),
                Err(failure) => {
                    let late = matches!(failure, Failure::Overdue { .. });
                    assert!(late || matches!(failure, Failure::NotReady { .. }), "{failure}");
                    refused.fetch_add(1, Ordering::SeqCst)
                }
            });
        }
        until("its being found out", || state_name(&backend) == "broken");
        until("the refusal of those who wait", || refused.load(Ordering::SeqCst) >= 6);
        assert_eq!(signed.load(Ordering::SeqCst), 0);
        let status = backend.tokens().remove(0);
        assert_eq!((status.calls_overdue, status.sessions_in_use), (2, 2));
        until("the count", || backend.counters().sign_errors[&ErrorKind::Timeout] == 2);
        for n in 0..20 {
            let failure = sign(&backend, SCHEME, n).unwrap_err();
            assert!(matches!(failure, Failure::NotReady { .. }), "{failure}");
        }
        // Twice a session's wait would be over by then, had anybody waited.
        assert!(begun.elapsed() < Settings::WAIT_MAX, "{:?}", begun.elapsed());
        mend();
    });
    until("the calls' return", || ready_alone(&backend));
    // Whoever stayed with his call has its answer, and nobody else.
    assert_eq!(signed.load(Ordering::SeqCst) + refused.load(Ordering::SeqCst), 8);
    sign(&backend, SCHEME, 20).unwrap();
    assert_eq!(backend.counters().sign_success, 21 + signed.load(Ordering::SeqCst) as u64);
    assert_eq!(backend.counters().sign_errors[&ErrorKind::Timeout], 2);
}

/// Both its keeper and its callers hang.
pub(crate) fn a_library_that_hangs_from_the_start_is_said() {
    let tokens = mock(&["first"]);
    fail(
        "first",
        TokenFaults {
            latency_ms: FOR_EVER_MS,
            ..TokenFaults::default()
        },
    );
    let mut settings = settings(tokens);
    settings.pace.patience = Duration::ZERO;
    let backend = Pkcs11Backend::open(settings).unwrap();
    assert_eq!(state_name(&backend), "absent");
    until("its being found out", || state_name(&backend) == "broken");
    let state = backend.tokens()[0].state.to_string();
    assert!(
        state.contains("libsigwarden_mock_hsm") && state.contains("has not answered for ") && state.contains(" s, since the first look at"),
        "{state}"
    );
    mend();
    until("its answer", || ready_alone(&backend));
}

fn state_name(backend: &Pkcs11Backend) -> &'static str {
    backend.tokens()[0].state.name()
}
