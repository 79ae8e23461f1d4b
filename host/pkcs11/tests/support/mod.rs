//! What the tests of both modules share: a process for each case, tokens, backends over them.
#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod pipeline;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use sigwarden_core::fact::SigningInput;
use sigwarden_core::key::KeyId;
use sigwarden_core::{RawSignature, Scheme, verify};
use sigwarden_pkcs11::{Pace, PinSource, Pkcs11Backend, SecretString, Settings, TokenSettings, TokenState};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub(crate) const PIN: &str = "648219";
pub(crate) const SO_PIN: &str = "87654321";

const ROLE: &str = "SIGWARDEN_TEST_ROLE";
const PLACE: &str = "SIGWARDEN_TEST_PLACE";

/// A case: its name and what runs in a process of its own.
pub(crate) type Case = (&'static str, fn());

/// Runs each case in a process and a directory of its own. `variables` prepares the directory and says what the process needs to know.
pub(crate) fn run(cases: &[Case], variables: fn(&Path) -> Vec<(&'static str, PathBuf)>) {
    if let Ok(role) = std::env::var(ROLE) {
        let (_, case) = cases.iter().find(|(name, _)| *name == role).expect("a case has this name");
        return case();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for (name, _) in cases {
            println!("{name}: test");
        }
        return;
    }
    let filters: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let mut failed = 0;
    for (name, _) in cases {
        if !filters.is_empty() && !filters.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let place = tempfile::tempdir().unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .env(ROLE, name)
            .env(PLACE, place.path())
            .envs(variables(place.path()))
            .status()
            .unwrap();
        println!("test {name} ... {}", if status.success() { "ok" } else { "FAILED" });
        failed += i32::from(!status.success());
    }
    std::process::exit(failed.min(1));
}

/// The case's directory.
pub(crate) fn place() -> PathBuf {
    std::env::var_os(PLACE).expect("the case has a directory").into()
}

/// The library, initialised: the backend finds it so and uses it.
pub(crate) fn module(library: &Path) -> Pkcs11 {
    let module = Pkcs11::new(library).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    module
}

pub(crate) fn slot_of(module: &Pkcs11, label: &str) -> Slot {
    let slots = module.get_slots_with_token().unwrap();
    let right = |slot: &Slot| module.get_token_info(*slot).is_ok_and(|info| info.label().trim_end() == label);
    slots.into_iter().find(right).expect("the token is there")
}

/// Makes a token in a slot that has none yet.
pub(crate) fn init_token(module: &Pkcs11, label: &str) {
    let slots = module.get_slots_with_token().unwrap();
    let blank = |slot: &Slot| module.get_token_info(*slot).is_ok_and(|info| !info.token_initialized());
    let slot = slots.into_iter().find(blank).expect("a slot has a blank token");
    module.init_token(slot, &AuthPin::from(SO_PIN), label).unwrap();
    let session = module.open_rw_session(slot_of(module, label)).unwrap();
    session.login(UserType::So, Some(&AuthPin::from(SO_PIN))).unwrap();
    session.init_pin(&AuthPin::from(PIN)).unwrap();
}

/// A session in which a case does what the backend never would. Ended before the backend logs in.
pub(crate) fn logged_in(module: &Pkcs11, label: &str) -> Session {
    let session = module.open_rw_session(slot_of(module, label)).unwrap();
    session.login(UserType::User, Some(&AuthPin::from(PIN))).unwrap();
    session
}

/// A PIN, and how often it was asked for.
pub(crate) fn counted_pin(pin: &'static str) -> (Arc<AtomicUsize>, PinSource) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let source = Box::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(SecretString::from(pin))
    });
    (asked, source)
}

pub(crate) fn token(library: &Path, label: &str) -> TokenSettings {
    TokenSettings {
        library: library.into(),
        label: label.into(),
        slot_id: None,
        pin: Some(counted_pin(PIN).1),
        refused_pin: None,
    }
}

/// Settings that lose no time. A token is looked at when a call fails, and not in between.
pub(crate) fn settings(tokens: Vec<TokenSettings>) -> Settings {
    let mut settings = Settings::new("hsm", tokens);
    settings.sessions = 4;
    settings.pace = Pace {
        health: Settings::LOOK_MAX,
        retry_first: Duration::from_millis(5),
        retry_most: Duration::from_millis(50),
        ..Pace::default()
    };
    settings
}

pub(crate) fn open(tokens: Vec<TokenSettings>) -> Pkcs11Backend {
    Pkcs11Backend::open(settings(tokens)).unwrap()
}

/// A backend that looks at its tokens often.
pub(crate) fn open_watching(tokens: Vec<TokenSettings>) -> Pkcs11Backend {
    let mut settings = settings(tokens);
    settings.pace.health = Duration::from_millis(20);
    Pkcs11Backend::open(settings).unwrap()
}

pub(crate) fn state(backend: &Pkcs11Backend) -> TokenState {
    backend.tokens()[0].state.clone()
}

/// Waits for what comes by itself, a minute at most.
pub(crate) fn until(what: &str, happened: impl Fn() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} does not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn id(text: &str) -> KeyId {
    text.parse().unwrap()
}

pub(crate) fn digest(n: u8) -> SigningInput {
    SigningInput::Digest([n; 32])
}

pub(crate) fn message(n: u8) -> SigningInput {
    SigningInput::Message(vec![n; 100 + usize::from(n)])
}

/// An input that the scheme signs.
pub(crate) fn input(scheme: Scheme, n: u8) -> SigningInput {
    match scheme {
        Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr => digest(n),
        Scheme::Ed25519 | Scheme::MlDsa44 | Scheme::MlKem768 => message(n),
    }
}

/// That core would release it: low S and the right recovery id included.
pub(crate) fn assert_right(scheme: Scheme, public_key: &[u8], input: &SigningInput, signature: &RawSignature) {
    assert_eq!(signature.recovery_id.is_some(), scheme == Scheme::Secp256k1Ecdsa);
    assert_eq!(verify::verify(scheme, public_key, input, signature), Ok(()), "{scheme}");
}
