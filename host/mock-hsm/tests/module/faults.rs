//! What goes wrong, as the faults file says, changed while the module runs.

use crate::rig::*;
use cryptoki::error::RvError;
use cryptoki::object::{ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState};
use sigwarden_mock_hsm::{Scheme, SigningFaults, TokenFaults};
use std::time::{Duration, Instant};

const MESSAGE: &[u8; 32] = b"thirty-two bytes that get signed";

fn sign(session: &Session, scheme: Scheme, key: ObjectHandle) -> Result<Vec<u8>, cryptoki::error::Error> {
    session.sign(&signing(scheme), key, MESSAGE)
}

fn signing_faults(signing: SigningFaults) -> TokenFaults {
    TokenFaults {
        signing,
        ..TokenFaults::default()
    }
}

pub(crate) fn a_pulled_token_answers_so_and_comes_back_empty_handed() {
    let rig = Rig::start(&config());
    let slot = rig.slot();
    let session = rig.logged_in();
    let (_, key) = generate(&session, Scheme::Ed25519, "k").unwrap();
    rig.faults(TokenFaults {
        device_removed: true,
        ..TokenFaults::default()
    });
    assert_eq!(code(sign(&session, Scheme::Ed25519, key)), RvError::DeviceRemoved);
    assert_eq!(code(find(&session, ObjectClass::PRIVATE_KEY, "k")), RvError::DeviceRemoved);
    assert_eq!(rig.pkcs11.get_slots_with_token().unwrap(), []);
    assert_eq!(rig.pkcs11.get_all_slots().unwrap(), [slot]);
    assert!(!rig.pkcs11.get_slot_info(slot).unwrap().token_present());
    assert_eq!(code(rig.pkcs11.get_token_info(slot)), RvError::TokenNotPresent);
    assert_eq!(code(rig.pkcs11.open_rw_session(slot)), RvError::TokenNotPresent);
    rig.faults(TokenFaults::default());
    assert_eq!(code(sign(&session, Scheme::Ed25519, key)), RvError::SessionHandleInvalid);
    let session = rig.open();
    assert_eq!(session.get_session_info().unwrap().session_state(), SessionState::RwPublic);
    login(&session, PIN).unwrap();
    assert_eq!(code(sign(&session, Scheme::Ed25519, key)), RvError::KeyHandleInvalid);
    let key = private(&session, "k");
    assert_eq!(sign(&session, Scheme::Ed25519, key).unwrap().len(), 64);
}

pub(crate) fn a_restart_between_two_calls_is_noticed() {
    let rig = Rig::start(&config());
    let session = rig.logged_in();
    let restarts = |restarts| {
        rig.faults(TokenFaults {
            restarts,
            ..TokenFaults::default()
        });
    };
    restarts(1);
    assert_eq!(code(session.get_session_info()), RvError::SessionHandleInvalid);
    let session = rig.logged_in();
    restarts(1);
    assert_eq!(session.get_session_info().unwrap().session_state(), SessionState::RwUser);
    restarts(2);
    assert_eq!(code(session.get_session_info()), RvError::SessionHandleInvalid);
}

pub(crate) fn a_moved_token_is_found_by_its_label() {
    let rig = Rig::start(&config());
    let (before, session) = (rig.slot(), rig.logged_in());
    rig.faults(TokenFaults {
        slot: Some(9),
        ..TokenFaults::default()
    });
    assert_eq!(rig.slot().id(), 9);
    assert_eq!(code(rig.pkcs11.open_rw_session(before)), RvError::SlotIdInvalid);
    assert_eq!(code(session.get_session_info()), RvError::SessionHandleInvalid);
    assert_eq!(rig.logged_in().get_session_info().unwrap().slot_id().id(), 9);
}

pub(crate) fn closed_sessions_stay_closed() {
    let rig = Rig::start(&config());
    let (anchor, worker) = (rig.logged_in(), rig.open());
    let (_, key) = generate(&worker, Scheme::Ed25519, "k").unwrap();
    rig.faults(TokenFaults {
        session_closed: 2,
        ..TokenFaults::default()
    });
    assert_eq!(code(sign(&worker, Scheme::Ed25519, key)), RvError::SessionClosed);
    assert_eq!(code(sign(&worker, Scheme::Ed25519, key)), RvError::SessionHandleInvalid);
    // The anchor holds the login, so handles are good still.
    let fresh = rig.open();
    assert_eq!(code(sign(&fresh, Scheme::Ed25519, key)), RvError::SessionClosed);
    let fresh = rig.open();
    assert_eq!(sign(&fresh, Scheme::Ed25519, key).unwrap().len(), 64);
    drop(anchor);
}

pub(crate) fn a_busy_token_leaves_the_signature_begun() {
    let rig = Rig::start(&config());
    let session = rig.logged_in();
    let (_, key) = generate(&session, Scheme::Ed25519, "k").unwrap();
    let busy = |busy| {
        rig.faults(TokenFaults {
            busy,
            ..TokenFaults::default()
        });
    };
    busy(true);
    assert_eq!(code(rig.pkcs11.open_rw_session(rig.slot())), RvError::SessionCount);
    assert_eq!(code(sign(&session, Scheme::Ed25519, key)), RvError::FunctionFailed);
    assert_eq!(code(generate(&session, Scheme::Ed25519, "l")), RvError::FunctionFailed);
    assert_eq!(code(find(&session, ObjectClass::PRIVATE_KEY, "k")), RvError::FunctionFailed);
    busy(false);
    assert_eq!(sign(&session, Scheme::Ed25519, key).unwrap().len(), 64);
    session.sign_init(&signing(Scheme::Ed25519), key).unwrap();
    busy(true);
    assert_eq!(code(sign(&session, Scheme::Ed25519, key)), RvError::OperationActive);
    busy(false);
    assert_eq!(code(sign(&session, Scheme::Ed25519, key)), RvError::OperationActive);
    assert_eq!(sign(&rig.open(), Scheme::Ed25519, key).unwrap().len(), 64);
}

pub(crate) fn a_dead_token_stays_dead() {
    let rig = Rig::start(&config());
    let (slot, session) = (rig.slot(), rig.logged_in());
    let (_, key) = generate(&session, Scheme::Ed25519, "k").unwrap();
    rig.faults(TokenFaults {
        dies_after: Some(3),
        ..TokenFaults::default()
    });
    for _ in 0..3 {
        assert_eq!(sign(&session, Scheme::Ed25519, key).unwrap().len(), 64);
    }
    for _ in 0..3 {
        assert_eq!(code(sign(&session, Scheme::Ed25519, key)), RvError::DeviceError);
        assert_eq!(code(rig.pkcs11.get_token_info(slot)), RvError::DeviceError);
        assert_eq!(code(rig.pkcs11.open_rw_session(slot)), RvError::DeviceError);
    }
}

pub(crate) fn threads_get_no_more_signatures_than_the_token_has() {
    let rig = Rig::start(&config());
    let anchor = rig.logged_in();
    let (_, key) = generate(&anchor, Scheme::Ed25519, "k").unwrap();
    let workers = [(); 4].map(|()| rig.open());
    rig.faults(TokenFaults {
        dies_after: Some(50),
        ..TokenFaults::default()
    });
    let signed = |worker: Session| (0..25).filter(|_| sign(&worker, Scheme::Ed25519, key).is_ok()).count();
    let counts = std::thread::scope(|scope| {
        let threads = workers.map(|worker| scope.spawn(move || signed(worker)));
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(counts.iter().sum::<usize>(), 50, "{counts:?}");
}

pub(crate) fn signatures_go_wrong_as_scripted() {
    let rig = Rig::start(&config());
    let session = rig.logged_in();
    for scheme in SCHEMES {
        let (_, handle) = generate(&session, scheme, scheme.name()).unwrap();
        let key = public(&session, scheme.name());
        let with = |signing: SigningFaults| {
            rig.faults(signing_faults(signing));
            sign(&session, scheme, handle)
        };
        let wrong = with(SigningFaults {
            wrong_signature: true,
            ..SigningFaults::default()
        });
        assert!(!verifies(scheme, &key, MESSAGE, &wrong.unwrap()));
        let short = with(SigningFaults {
            short_signature: true,
            ..SigningFaults::default()
        });
        assert_eq!(short.unwrap().len(), if scheme == Scheme::MlDsa44 { 2419 } else { 63 });
        let fails = with(SigningFaults {
            fails: true,
            ..SigningFaults::default()
        });
        assert_eq!(code(fails), RvError::FunctionFailed);
        let high = SigningFaults {
            high_s: true,
            ..SigningFaults::default()
        };
        match scheme {
            Scheme::Secp256k1Ecdsa => {
                for _ in 0..4 {
                    let signature = with(high.clone()).unwrap();
                    assert!(is_high_s(&signature) && verifies(scheme, &key, MESSAGE, &signature));
                }
            }
            Scheme::Ed25519 => assert!(!verifies(scheme, &key, MESSAGE, &with(high).unwrap())),
            Scheme::MlDsa44 => assert!(verifies(scheme, &key, MESSAGE, &with(high).unwrap())),
        }
        assert!(verifies(scheme, &key, MESSAGE, &with(SigningFaults::default()).unwrap()));
    }
}

pub(crate) fn another_key_is_behind_the_label() {
    let rig = Rig::start(&config());
    let session = rig.logged_in();
    for scheme in SCHEMES {
        let (_, handle) = generate(&session, scheme, scheme.name()).unwrap();
        let right = public(&session, scheme.name());
        rig.faults(signing_faults(SigningFaults {
            wrong_key: true,
            ..SigningFaults::default()
        }));
        let wrong = public(&session, scheme.name());
        assert_ne!(right, wrong);
        let signature = sign(&session, scheme, handle).unwrap();
        assert!(!verifies(scheme, &right, MESSAGE, &signature) && verifies(scheme, &wrong, MESSAGE, &signature));
        rig.faults(signing_faults(SigningFaults {
            wrong_signer: true,
            ..SigningFaults::default()
        }));
        assert_eq!(public(&session, scheme.name()), right);
        let signature = sign(&session, scheme, handle).unwrap();
        assert!(!verifies(scheme, &right, MESSAGE, &signature) && verifies(scheme, &wrong, MESSAGE, &signature));
        rig.faults(TokenFaults::default());
    }
}

pub(crate) fn a_missing_key_is_not_found() {
    let rig = Rig::start(&config());
    let session = rig.logged_in();
    let (_, key) = generate(&session, Scheme::Ed25519, "k").unwrap();
    let (_, other) = generate(&session, Scheme::Ed25519, "other").unwrap();
    let missing = SigningFaults {
        missing: true,
        ..SigningFaults::default()
    };
    rig.faults(TokenFaults {
        key: [("k".to_owned(), missing)].into(),
        ..TokenFaults::default()
    });
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        assert_eq!(find(&session, class, "k").unwrap(), []);
    }
    assert_eq!(code(sign(&session, Scheme::Ed25519, key)), RvError::KeyHandleInvalid);
    assert_eq!(private(&session, "other"), other);
    rig.faults(TokenFaults::default());
    assert_eq!(private(&session, "k"), key);
}

pub(crate) fn a_changed_pin_is_the_one_that_counts() {
    let rig = Rig::start(&config());
    rig.faults(TokenFaults {
        pin: Some("4321".into()),
        ..TokenFaults::default()
    });
    let session = rig.open();
    assert_eq!(code(login(&session, PIN)), RvError::PinIncorrect);
    login(&session, "4321").unwrap();
}

pub(crate) fn faults_of_a_key_stand_before_those_of_the_token() {
    let rig = Rig::start(&config());
    let session = rig.logged_in();
    let (_, spoilt) = generate(&session, Scheme::Ed25519, "spoilt").unwrap();
    let (_, spared) = generate(&session, Scheme::Ed25519, "spared").unwrap();
    let fails = SigningFaults {
        fails: true,
        ..SigningFaults::default()
    };
    rig.faults(TokenFaults {
        key: [("spoilt".to_owned(), fails.clone())].into(),
        ..TokenFaults::default()
    });
    assert_eq!(code(sign(&session, Scheme::Ed25519, spoilt)), RvError::FunctionFailed);
    assert_eq!(sign(&session, Scheme::Ed25519, spared).unwrap().len(), 64);
    rig.faults(TokenFaults {
        signing: fails,
        key: [("spared".to_owned(), SigningFaults::default())].into(),
        ..TokenFaults::default()
    });
    assert_eq!(code(sign(&session, Scheme::Ed25519, spoilt)), RvError::FunctionFailed);
    assert_eq!(sign(&session, Scheme::Ed25519, spared).unwrap().len(), 64);
}

pub(crate) fn a_late_call_ends_when_the_script_says_so() {
    let rig = Rig::start(&config());
    let session = rig.logged_in();
    let (_, key) = generate(&session, Scheme::Ed25519, "k").unwrap();
    let late = |latency_ms| {
        let call = TokenFaults {
            latency_ms,
            ..TokenFaults::default()
        };
        let signature = SigningFaults {
            latency_ms,
            ..SigningFaults::default()
        };
        [call, signing_faults(signature)]
    };
    for faults in late(20) {
        rig.faults(faults);
        let since = Instant::now();
        assert_eq!(sign(&session, Scheme::Ed25519, key).unwrap().len(), 64);
        assert!(since.elapsed() >= Duration::from_millis(20));
    }
    let removed = TokenFaults {
        device_removed: true,
        ..TokenFaults::default()
    };
    let since = Instant::now();
    let [call, signature] = late(60_000);
    for (faults, then) in [
        (call.clone(), TokenFaults::default()),
        (signature.clone(), TokenFaults::default()),
        (call, removed.clone()),
        (signature, removed),
    ] {
        rig.faults(TokenFaults::default());
        let worker = rig.logged_in_beside();
        let key = private(&worker, "k");
        rig.faults(faults);
        let answer = std::thread::scope(|scope| {
            let late = scope.spawn(move || sign(&worker, Scheme::Ed25519, key));
            rig.faults(then.clone());
            late.join().unwrap()
        });
        match then.device_removed {
            false => assert_eq!(answer.unwrap().len(), 64),
            true => assert_eq!(code(answer), RvError::DeviceRemoved),
        }
    }
    // No call waited its minute.
    assert!(since.elapsed() < Duration::from_secs(60));
}

pub(crate) fn a_wrong_faults_file_fails_every_call() {
    let rig = Rig::start(&config());
    let slot = rig.slot();
    for text in [
        "[token.validator]\nbusi = true\n",
        "[token.other]\n",
        "[token.validator]\nlatency_ms = 60001\n",
    ] {
        std::fs::write(beside("faults.toml"), text).unwrap();
        assert_eq!(code(rig.pkcs11.get_token_info(slot)), RvError::GeneralError, "{text}");
    }
    std::fs::remove_file(beside("faults.toml")).unwrap();
    assert_eq!(rig.pkcs11.get_token_info(slot).unwrap().label(), TOKEN);
}
