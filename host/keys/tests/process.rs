//! What concerns the process as a whole, each in a process of its own: this binary starts itself again, since a test harness runs
//! threads, and secrets leave the environment only before there are any.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use rustix::process::{DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, setrlimit};
use rustix::thread::CapabilitySet;
use sigwarden_keys::{ArenaError, Passphrase, PassphraseError, ShieldError, TakeVariableError, Vault, VaultError, harden_process};
use std::process::Command;

/// A test: its name, the variables of its process, and what runs there.
type Test = (&'static str, &'static [(&'static str, &'static str)], fn());

const TESTS: &[Test] = &[
    (
        "a_passphrase_is_taken_out_of_the_environment",
        &[("SIGWARDEN_TEST_PASSPHRASE", VALUE), ("SIGWARDEN_TEST_OTHER", "kept")],
        a_passphrase_is_taken_out_of_the_environment,
    ),
    ("a_variable_that_is_not_set_is_named", &[], a_variable_that_is_not_set_is_named),
    ("a_hardened_process_is_not_dumpable", &[], a_hardened_process_is_not_dumpable),
    (
        "without_a_limit_for_locked_memory_no_vault_is_made",
        &[],
        without_a_limit_for_locked_memory_no_vault_is_made,
    ),
    #[cfg(feature = "env-secrets")]
    (
        "secrets_are_taken_out_of_the_environment",
        &[
            ("IGRA_SECRET__igra_hd__wallet_secret", VALUE),
            ("KASPA_IGRA_WALLET_SECRET", "an older value"),
            ("SIGWARDEN_SECRET__evm__hot", KEY),
        ],
        env::secrets_are_taken_out_of_the_environment,
    ),
    #[cfg(feature = "env-secrets")]
    (
        "keys_are_taken_out_of_the_environment",
        &[("SIGWARDEN_SECRET__evm__hot", KEY), ("SIGWARDEN_SECRET__evm__cold", KEY)],
        env::keys_are_taken_out_of_the_environment,
    ),
];

const ROLE: &str = "SIGWARDEN_TEST_ROLE";
const VALUE: &str = "plain-battery-staple";
#[cfg(feature = "env-secrets")]
const KEY: &str = "hex:0000000000000000000000000000000000000000000000000000000000000001";

fn main() {
    if let Ok(role) = std::env::var(ROLE) {
        let (_, _, test) = TESTS.iter().find(|(name, ..)| *name == role).expect("a test has this name");
        return test();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for (name, ..) in TESTS {
            println!("{name}: test");
        }
        return;
    }
    let mut failed = 0;
    for (name, variables, _) in TESTS {
        let filtered = arguments.iter().filter(|argument| !argument.starts_with('-'));
        if filtered.clone().count() > 0 && !filtered.clone().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let status = Command::new(std::env::current_exe().unwrap())
            .env(ROLE, name)
            .envs(variables.iter().copied())
            .status()
            .unwrap();
        println!("test {name} ... {}", if status.success() { "ok" } else { "FAILED" });
        failed += i32::from(!status.success());
    }
    std::process::exit(failed.min(1));
}

/// What `/proc/self/environ` shows: the environment as it was when the process started, unless it was overwritten.
fn environment() -> String {
    String::from_utf8_lossy(&std::fs::read("/proc/self/environ").unwrap()).into_owned()
}

fn a_passphrase_is_taken_out_of_the_environment() {
    assert!(environment().contains(VALUE));
    assert!(Passphrase::from_env_var("SIGWARDEN_TEST_PASSPHRASE").is_ok());
    assert!(std::env::var_os("SIGWARDEN_TEST_PASSPHRASE").is_none());
    let left = environment();
    assert!(!left.contains(VALUE), "{left}");
    assert!(left.contains("SIGWARDEN_TEST_OTHER=kept"));
    assert_eq!(std::env::var("SIGWARDEN_TEST_OTHER").unwrap(), "kept");
    assert!(matches!(
        Passphrase::from_env_var("SIGWARDEN_TEST_PASSPHRASE"),
        Err(PassphraseError::Variable(TakeVariableError::NotSet(_)))
    ));
}

fn a_variable_that_is_not_set_is_named() {
    let Err(error) = Passphrase::from_env_var("SIGWARDEN_TEST_PASSPHRASE") else {
        panic!("it is not set")
    };
    assert_eq!(error.to_string(), "the environment variable `SIGWARDEN_TEST_PASSPHRASE` is not set");
}

fn a_hardened_process_is_not_dumpable() {
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::Dumpable);
    harden_process().unwrap();
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    let core = getrlimit(Resource::Core);
    assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
}

fn without_a_limit_for_locked_memory_no_vault_is_made() {
    // Root may lock without a limit; without this capability it may not.
    let mut capabilities = rustix::thread::capabilities(None).unwrap();
    capabilities.effective.remove(CapabilitySet::IPC_LOCK);
    rustix::thread::set_capabilities(None, capabilities).unwrap();
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Memlock, none).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let passphrase = Passphrase::from_bytes(b"correct horse".to_vec()).unwrap();
    let Err(error) = Vault::create(directory.path(), &passphrase) else {
        panic!("keys would reach the swap")
    };
    assert!(
        matches!(&error, VaultError::Shield(ShieldError::Arena(ArenaError::Lock { limit, .. })) if limit == "0 bytes"),
        "{error}"
    );
    assert!(error.to_string().contains("LimitMEMLOCK"));
}

#[cfg(feature = "env-secrets")]
mod env {
    use super::{KEY, VALUE, environment};
    use sigwarden_core::Scheme;
    use sigwarden_core::key::KeyId;
    use sigwarden_keys::{EnvBackend, EnvError, EnvPreset, EnvSecrets, secret_variables_present, variable_name};

    pub(super) fn secrets_are_taken_out_of_the_environment() {
        let present = [
            "IGRA_SECRET__igra_hd__wallet_secret",
            "KASPA_IGRA_WALLET_SECRET",
            "SIGWARDEN_SECRET__evm__hot",
        ];
        assert_eq!(secret_variables_present(EnvPreset::Igra), present);
        assert_eq!(secret_variables_present(EnvPreset::None), ["SIGWARDEN_SECRET__evm__hot"]);
        let secrets = EnvSecrets::take(EnvPreset::Igra).ok().unwrap();
        let wallet = secrets.get(&"igra.hd.wallet_secret".parse().unwrap()).unwrap().unwrap();
        assert_eq!(wallet.expose_secret(), VALUE.as_bytes());
        let id: KeyId = "evm.hot.v1".parse().unwrap();
        assert!(secrets.backend([(id, Scheme::Secp256k1Ecdsa)]).is_ok());
        let left = environment();
        assert!(
            !left.contains(VALUE) && !left.contains("an older value") && !left.contains(KEY),
            "{left}"
        );
        assert!(secret_variables_present(EnvPreset::Igra).is_empty());
    }

    pub(super) fn keys_are_taken_out_of_the_environment() {
        let id: KeyId = "evm.hot.v1".parse().unwrap();
        let variable = variable_name(&id.name);
        assert!(environment().contains(KEY));
        let twice = [
            (id.clone(), Scheme::Ed25519, "SIGWARDEN_SECRET__evm__cold".to_owned()),
            (id.clone(), Scheme::Ed25519, "SIGWARDEN_SECRET__evm__cold".to_owned()),
        ];
        assert!(matches!(EnvBackend::from_variables(twice), Err(EnvError::Twice(_))));
        let backend = EnvBackend::from_variables([(id.clone(), Scheme::Secp256k1Ecdsa, variable)])
            .ok()
            .unwrap();
        // The base point (SEC 2 §2.4.1).
        assert_eq!(
            hex::encode(backend.public_key(&id).unwrap()),
            "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
        );
        assert!(!environment().contains(KEY));
        assert!(std::env::vars_os().all(|(name, _)| !name.to_string_lossy().starts_with("SIGWARDEN_SECRET__")));
    }
}
