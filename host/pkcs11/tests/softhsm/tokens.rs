//! Tokens: found, lost, back again, one in another's place.

use crate::support::pipeline::{self, pipeline};
use crate::support::{
    PIN, SO_PIN, assert_right, counted_pin, digest, id, logged_in, open, open_watching, place, settings, state, token, until,
};
use crate::{library, with_tokens};
use cryptoki::context::Pkcs11;
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use sigwarden_core::fact::SigningInput;
use sigwarden_core::{Code, Scheme};
use sigwarden_pkcs11::{ErrorKind, Failure, KeySettings, Pkcs11Backend, Provider, Settings, TokenSettings, TokenState};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SCHEME: Scheme = Scheme::Secp256k1Ecdsa;

pub(crate) fn the_token_tells_what_it_is() {
    with_tokens(&["validator"]);
    let backend = open(vec![token(&library(), "validator")]);
    let status = backend.tokens().remove(0);
    let seen = status.seen.unwrap();
    assert_eq!((status.label.as_str(), status.state.name()), ("validator", "ready"));
    assert_eq!((status.sessions_in_use, status.sessions, status.calls_overdue), (0, 4, 0));
    assert_eq!(status.library, library());
    assert_eq!(
        (seen.provider, seen.model.as_str(), seen.manufacturer.as_str()),
        (Provider::SoftHsm, "SoftHSM v2", "SoftHSM project")
    );
    assert_eq!(
        (seen.library_manufacturer.as_str(), seen.library_version.as_str()),
        ("SoftHSM", "2.6")
    );
    assert_eq!(seen.schemes, [Scheme::Secp256k1Ecdsa, Scheme::Ed25519]);
    assert_eq!(seen.generates, [Scheme::Secp256k1Ecdsa, Scheme::Ed25519]);
    assert!(!seen.derives && !seen.serial.is_empty());
}

pub(crate) fn a_token_that_is_not_there_is_named_with_those_that_are() {
    leave(with_tokens(&["first", "second"]));
    let (asked, pin) = counted_pin(PIN);
    let backend = open(vec![TokenSettings {
        pin: Some(pin),
        ..token(&library(), "third")
    }]);
    let error = backend.public_key(&id("test.key.v1"), SCHEME).unwrap_err().to_string();
    assert!(
        error.starts_with("token `third` is absent: no token of this label; there is "),
        "{error}"
    );
    assert!(error.contains("`first` in slot ") && error.contains("`second` in slot "), "{error}");
    assert!(error.contains("a token that was never initialised in slot "), "{error}");
    assert_eq!(
        backend.public_key(&id("test.key.v1"), SCHEME).unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    // It comes, and is used.
    init_token_elsewhere("third");
    until("the token's coming", || state(&backend) == TokenState::Ready);
    assert!(backend.generate(&id("test.key.v1"), SCHEME).is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

pub(crate) fn a_library_that_is_not_there_is_named() {
    let missing = place().join("libmissing.so");
    let backend = open(vec![token(&missing, "validator")]);
    let TokenState::Broken(why) = state(&backend) else {
        panic!("{}", state(&backend))
    };
    assert!(
        why.starts_with(&format!("there is no PKCS#11 library `{}`", missing.display())),
        "{why}"
    );
    drop(backend);
    let text = place().join("text.so");
    std::fs::write(&text, "no library").unwrap();
    let backend = open(vec![token(&text, "validator")]);
    assert!(matches!(state(&backend), TokenState::Broken(why) if why.contains("is no PKCS#11 library")));
}

pub(crate) fn a_slot_that_is_not_the_label_s_is_refused() {
    let module = with_tokens(&["first", "second"]);
    let slot = |label| crate::support::slot_of(&module, label).id();
    let open = |slot_id| {
        open(vec![TokenSettings {
            slot_id: Some(slot_id),
            ..token(&library(), "first")
        }])
    };
    assert_eq!(state(&open(slot("first"))), TokenState::Ready);
    let TokenState::Broken(why) = state(&open(slot("second"))) else {
        panic!("the second token is not the first")
    };
    let wanted = format!("`slot_id` is {}, and the token is in slot {};", slot("second"), slot("first"));
    assert!(why.starts_with(&wanted), "{why}");
}

pub(crate) fn settings_without_sense_are_refused() {
    let library = library();
    let refused = |settings: Settings| Pkcs11Backend::open(settings).err().unwrap().to_string();
    assert_eq!(refused(settings(Vec::new())), "backend `hsm`: 0 tokens; 1 to 8 are right");
    let twice = vec![token(&library, "a"), token(&library, "a")];
    assert!(refused(settings(twice)).contains("is named twice"));
    assert!(refused(settings(vec![token(&library, &"a".repeat(33))])).contains("has 33 bytes; 1 to 32 are right"));
    let mut none = settings(vec![token(&library, "a")]);
    none.sessions = 0;
    assert_eq!(refused(none), "backend `hsm`: 0 sessions; 1 to 64 are right");
    let mut late = settings(vec![token(&library, "a")]);
    late.call_deadline = Some(std::time::Duration::ZERO);
    assert_eq!(refused(late), "backend `hsm`: the call deadline is 0ns; 1ms to 60s are right");
    let mut same = settings(vec![token(&library, "a")]);
    for key in ["test.one.v1", "test.two.v1"] {
        let label = KeySettings {
            label: Some("one".into()),
            mechanism: None,
        };
        same.keys.insert(id(key), label);
    }
    assert!(refused(same).contains("both have the label `one`"));
}

pub(crate) fn more_callers_than_sessions_all_sign() {
    with_tokens(&["validator"]);
    let mut settings = settings(vec![token(&library(), "validator")]);
    settings.sessions = 2;
    let backend = Pkcs11Backend::open(settings).unwrap();
    let id = id("test.key.v1");
    let public_key = backend.generate(&id, SCHEME).unwrap();
    std::thread::scope(|scope| {
        for caller in 0..8_u8 {
            let (backend, id, public_key) = (&backend, &id, &public_key);
            scope.spawn(move || {
                for n in 0..20 {
                    let input = digest(caller * 20 + n);
                    let signatures = backend.sign_inputs(id, SCHEME, public_key, [&input].into_iter()).unwrap();
                    assert_right(SCHEME, public_key, &input, &signatures[0]);
                    assert!(backend.counters().sessions_in_use <= 2);
                }
            });
        }
    });
    let counters = backend.counters();
    assert_eq!((counters.sign_success, counters.sessions_in_use), (160, 0));
}

/// Lets the backend start the library, and so start it again: SoftHSM sees a token that came back in no other way.
fn leave(module: Pkcs11) {
    module.finalize().unwrap();
}

/// The directory of the token of this label: SoftHSM writes the label into a file there.
fn directory_of(label: &str) -> PathBuf {
    let directories = std::fs::read_dir(place().join("tokens")).unwrap();
    let holds = |directory: &Path| {
        let object = std::fs::read(directory.join("token.object")).unwrap();
        object.windows(label.len()).any(|window| window == label.as_bytes())
    };
    directories.map(|entry| entry.unwrap().path()).find(|path| holds(path)).unwrap()
}

pub(crate) fn a_token_that_goes_away_refuses_and_comes_back_by_itself() {
    leave(with_tokens(&["validator"]));
    let backend = open_watching(vec![token(&library(), "validator")]);
    let id = id("test.key.v1");
    let public_key = backend.generate(&id, SCHEME).unwrap();
    let sign = |n| backend.sign_inputs(&id, SCHEME, &public_key, [&digest(n)].into_iter());
    assert!(sign(0).is_ok());
    let (here, away) = (directory_of("validator"), place().join("away"));
    for round in 1..=2 {
        std::fs::rename(&here, &away).unwrap();
        until("its going", || state(&backend) != TokenState::Ready);
        let error = sign(1).unwrap_err();
        assert!(matches!(error, Failure::NotReady { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        std::fs::rename(&away, &here).unwrap();
        until("its return", || state(&backend) == TokenState::Ready);
        assert_right(SCHEME, &public_key, &digest(2), &sign(2).unwrap()[0]);
        assert_eq!(backend.counters().reconnects, round);
    }
}

/// Makes a token as another process does, and puts it among ours in one step.
fn init_token_elsewhere(label: &str) {
    let elsewhere = place().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let config = place().join("elsewhere.conf");
    std::fs::write(&config, crate::configuration(&elsewhere)).unwrap();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", PIN])
        .env("SOFTHSM2_CONF", config)
        .stdout(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let token = std::fs::read_dir(&elsewhere).unwrap().next().unwrap().unwrap();
    std::fs::rename(token.path(), place().join("tokens").join(token.file_name())).unwrap();
}

pub(crate) fn another_token_of_the_label_is_not_told_the_pin() {
    leave(with_tokens(&["validator"]));
    let (asked, pin) = counted_pin(PIN);
    let backend = open_watching(vec![TokenSettings {
        pin: Some(pin),
        ..token(&library(), "validator")
    }]);
    assert_eq!(state(&backend), TokenState::Ready);
    std::fs::rename(directory_of("validator"), place().join("away")).unwrap();
    until("its going", || state(&backend) != TokenState::Ready);
    init_token_elsewhere("validator");
    until("the other's being seen", || {
        matches!(state(&backend), TokenState::PinRefused { .. })
    });
    let seen = state(&backend).to_string();
    assert!(seen.contains("this is another token of the same label"), "{seen}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(backend.retry_login()[0].state, TokenState::Ready);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// Puts one key on a token, as a vendor's cloning does.
fn put_key(module: &Pkcs11, token: &str, label: &str, secret: u8) -> Vec<u8> {
    let secret = secp256k1::SecretKey::from_secret_bytes([secret; 32]).unwrap();
    let point = secret.public_key().serialize_uncompressed();
    let curve = Attribute::EcParams(vec![0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a]);
    let common = |class| {
        vec![
            Attribute::Class(class),
            Attribute::KeyType(KeyType::EC),
            Attribute::Token(true),
            Attribute::Label(label.into()),
            curve.clone(),
        ]
    };
    let mut private = common(ObjectClass::PRIVATE_KEY);
    private.extend([
        Attribute::Private(true),
        Attribute::Sign(true),
        Attribute::Value(secret.to_secret_bytes().to_vec()),
    ]);
    let mut public = common(ObjectClass::PUBLIC_KEY);
    public.push(Attribute::EcPoint([&[0x04, 65], point.as_slice()].concat()));
    let session = logged_in(module, token);
    session.create_object(&private).unwrap();
    session.create_object(&public).unwrap();
    secret.public_key().serialize().to_vec()
}

pub(crate) fn another_token_takes_over() {
    let module = with_tokens(&["first", "second"]);
    let id = id("test.key.v1");
    let public_key = put_key(&module, "first", "test.key.v1", 7);
    put_key(&module, "second", "test.key.v1", 7);
    leave(module);
    // As two vendors' libraries: neither is interrupted for the other.
    let copy = |name: &str| {
        let copy = place().join(name);
        std::fs::copy(library(), &copy).unwrap();
        copy
    };
    let settings = settings(vec![token(&copy("first.so"), "first"), token(&copy("second.so"), "second")]);
    let backend = Pkcs11Backend::open(settings).unwrap();
    assert_eq!(backend.public_key(&id, SCHEME).unwrap(), public_key);
    let sign = |n| {
        let signatures = backend.sign_inputs(&id, SCHEME, &public_key, [&digest(n)].into_iter()).unwrap();
        assert_right(SCHEME, &public_key, &digest(n), &signatures[0]);
    };
    sign(1);
    assert_eq!(backend.counters().failovers, 0);
    let (here, away) = (directory_of("first"), place().join("away"));
    std::fs::rename(&here, &away).unwrap();
    for n in 0..10 {
        sign(n);
    }
    assert_eq!(backend.counters().sign_success, 11);
    std::fs::rename(&away, &here).unwrap();
    until("its return", || {
        backend.tokens().iter().all(|token| token.state == TokenState::Ready)
    });
    // And the other way round: the one that is left is asked, though it is not the preferred one's turn.
    let gone = directory_of("second");
    std::fs::rename(&gone, &away).unwrap();
    for n in 0..10 {
        sign(n);
    }
    // Both away: refused.
    std::fs::rename(&here, place().join("away too")).unwrap();
    let error = backend.sign_inputs(&id, SCHEME, &public_key, [&digest(1)].into_iter()).unwrap_err();
    assert!(
        error.to_string().contains("`first`") && error.to_string().contains("`second`"),
        "{error}"
    );
}

/// Two tokens of one library with one key, watched closely; their PINs are counted.
fn one_library(pace: impl FnOnce(&mut Settings)) -> (Pkcs11Backend, Vec<u8>, [Arc<AtomicUsize>; 2]) {
    let module = with_tokens(&["first", "second"]);
    let public_key = put_key(&module, "first", "test.key.v1", 7);
    put_key(&module, "second", "test.key.v1", 7);
    leave(module);
    let (first, pin) = counted_pin(PIN);
    let one = TokenSettings {
        pin: Some(pin),
        ..token(&library(), "first")
    };
    let (second, pin) = counted_pin(PIN);
    let two = TokenSettings {
        pin: Some(pin),
        ..token(&library(), "second")
    };
    let mut settings = settings(vec![one, two]);
    settings.pace.health = Duration::from_millis(20);
    settings.pace.interrupt_first = Duration::from_millis(20);
    // Nobody is late, so that nobody is refused.
    (settings.session_wait, settings.call_deadline) = (Settings::WAIT_MAX, Some(Settings::WAIT_MAX));
    pace(&mut settings);
    (Pkcs11Backend::open(settings).unwrap(), public_key, [first, second])
}

fn is_ready(backend: &Pkcs11Backend, token: usize) -> bool {
    backend.tokens()[token].state == TokenState::Ready
}

pub(crate) fn a_token_comes_back_while_another_of_its_library_signs() {
    let (backend, public_key, asked) = one_library(|_| {});
    let id = id("test.key.v1");
    // While nobody logs in: SoftHSM writes the outcome into the file that tells the label.
    let directories = ["first", "second"].map(directory_of);
    let (signed, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // Not for ever, should the test fail.
                while !done.load(Ordering::SeqCst) && begun.elapsed() < Duration::from_secs(240) {
                    // Never refused, and never wrong.
                    let signatures = backend.sign_inputs(&id, SCHEME, &public_key, [&digest(1)].into_iter()).unwrap();
                    assert_right(SCHEME, &public_key, &digest(1), &signatures[0]);
                    signed.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let away = place().join("away");
        for (pulled, other) in [(0, 1), (1, 0), (0, 1)] {
            let here = &directories[pulled];
            std::fs::rename(here, &away).unwrap();
            until("its going", || !is_ready(&backend, pulled));
            // The other one is interrupted for it in vain, and signs on.
            let before = asked[other].load(Ordering::SeqCst);
            until("the other's login", || asked[other].load(Ordering::SeqCst) > before);
            let before = signed.load(Ordering::SeqCst);
            until("signing", || signed.load(Ordering::SeqCst) > before + 20);
            std::fs::rename(&away, here).unwrap();
            until("its return", || is_ready(&backend, 0) && is_ready(&backend, 1));
        }
        done.store(true, Ordering::SeqCst);
    });
    drop(backend);
}

pub(crate) fn a_token_away_for_good_seldom_interrupts_the_other() {
    let (backend, public_key, [_, asked]) = one_library(|settings| settings.pace.health = Duration::from_millis(5));
    let begun = Instant::now();
    std::fs::rename(directory_of("first"), place().join("away")).unwrap();
    until("its going", || !is_ready(&backend, 0));
    until("five interruptions", || asked.load(Ordering::SeqCst) > 5);
    // 20 ms, then twice that, and so on.
    assert!(begun.elapsed() >= Duration::from_millis(20 * 31), "{:?}", begun.elapsed());
    // A PIN is used once each time.
    until("its being ready", || {
        asked.load(Ordering::SeqCst) as u64 == backend.counters().reconnects + 1
    });
    let signed = backend.sign_inputs(&id("test.key.v1"), SCHEME, &public_key, [&digest(1)].into_iter());
    assert_right(SCHEME, &public_key, &digest(1), &signed.unwrap()[0]);
}

pub(crate) fn a_refused_pin_is_not_used_again_for_another_token_s_sake() {
    let module = with_tokens(&["first", "second", "third"]);
    leave(module);
    let with = |pin, label| {
        let (asked, pin) = counted_pin(pin);
        let pin = Some(pin);
        (
            asked,
            TokenSettings {
                pin,
                ..token(&library(), label)
            },
        )
    };
    let ((right, first), (wrong, second), (_, third)) = (with(PIN, "first"), with("000000", "second"), with(PIN, "third"));
    let mut settings = settings(vec![first, second, third]);
    settings.pace.health = Duration::from_millis(20);
    settings.pace.interrupt_first = Duration::from_millis(20);
    let gone = directory_of("third");
    let backend = Pkcs11Backend::open(settings).unwrap();
    std::fs::rename(gone, place().join("away")).unwrap();
    until("three interruptions", || right.load(Ordering::SeqCst) > 3);
    assert_eq!(wrong.load(Ordering::SeqCst), 1);
    assert!(matches!(backend.tokens()[1].state, TokenState::PinRefused { .. }));
}

pub(crate) fn a_token_that_lacks_a_key_is_not_asked_for_it() {
    let module = with_tokens(&["first", "second"]);
    let public_key = put_key(&module, "second", "test.key.v1", 7);
    let other_key = put_key(&module, "first", "test.other.v1", 8);
    let backend = open(vec![token(&library(), "first"), token(&library(), "second")]);
    assert_eq!(backend.public_key(&id("test.key.v1"), SCHEME).unwrap(), public_key);
    assert_eq!(backend.public_key(&id("test.other.v1"), SCHEME).unwrap(), other_key);
    for (key, public_key) in [("test.key.v1", &public_key), ("test.other.v1", &other_key)] {
        let signatures = backend.sign_inputs(&id(key), SCHEME, public_key, [&digest(1)].into_iter());
        assert_right(SCHEME, public_key, &digest(1), &signatures.unwrap()[0]);
    }
    let counters = backend.counters();
    assert_eq!((counters.failovers, counters.sign_errors[&ErrorKind::Other]), (0, 0));
    // None has it: as ever.
    let error = backend.public_key(&id("test.third.v1"), SCHEME).unwrap_err();
    assert!(!error.is_passing());
    assert_eq!(
        error.to_string(),
        "token `first` has no private key labelled `test.third.v1`; it has `test.other.v1`"
    );
    // Copied, and looked at again; a token that is away may have what the other lacks.
    drop(backend);
    put_key(&module, "first", "test.key.v1", 7);
    let backend = open(vec![token(&library(), "first"), token(&library(), "second")]);
    assert_eq!(backend.public_key(&id("test.key.v1"), SCHEME).unwrap(), public_key);
    let backend = open(vec![token(&library(), "second"), token(&library(), "away")]);
    assert!(backend.public_key(&id("test.other.v1"), SCHEME).unwrap_err().is_passing());
}

pub(crate) fn tokens_with_different_keys_are_told_apart() {
    let module = with_tokens(&["first", "second"]);
    put_key(&module, "first", "test.key.v1", 7);
    put_key(&module, "second", "test.key.v1", 8);
    let backend = open(vec![token(&library(), "first"), token(&library(), "second")]);
    let error = backend.public_key(&id("test.key.v1"), SCHEME).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tokens `first` and `second` hold different keys labelled `test.key.v1`; copy one to the other with the vendor's tools"
    );
}

pub(crate) fn the_pipeline_signs_through_it() {
    with_tokens(&["validator"]);
    let backend = Arc::new(open_watching(vec![token(&library(), "validator")]));
    let schemes = [Scheme::Secp256k1Ecdsa, Scheme::Ed25519];
    let keys = schemes.map(|scheme| (scheme, backend.generate(&pipeline::id(scheme), scheme).unwrap()));
    let pipeline = pipeline(Arc::<Pkcs11Backend>::clone(&backend), &keys);
    for (scheme, public_key) in &keys {
        let signed = pipeline::sign(&pipeline, *scheme).unwrap();
        let input = if *scheme == Scheme::Ed25519 {
            SigningInput::Message(vec![7; 32])
        } else {
            digest(7)
        };
        assert_right(*scheme, public_key, &input, &signed.signatures[0]);
    }
    let away = place().join("away");
    std::fs::rename(directory_of("validator"), &away).unwrap();
    until("its going", || state(&backend) != TokenState::Ready);
    for (scheme, _) in &keys {
        assert_eq!(pipeline::sign(&pipeline, *scheme).unwrap_err().kind(), Code::BackendUnavailable);
    }
}
