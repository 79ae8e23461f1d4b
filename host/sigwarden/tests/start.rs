//! What stops a start, and what a start records: deployments on disk, opened as `serve` opens them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use sigwarden::check::Rule;
use sigwarden::deployment::{Deployment, KeyFault, OpenError, PolicyError, PublicKeySource};
use sigwarden::embedded;
use sigwarden_core::Ledger;
use sigwarden_ledger::{EmbeddedLedger, LockError, Settings};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

const POLICY: &str = r#"
[[policy]]
name = "network-mode"
module = "policies/network-mode.wasm"
"#;

const MOCK: &str = r#"
[[backend]]
name = "hsm"
kind = "mock-hsm"
script = { seed = "test" }
"#;

fn key(name: &str, more: &str) -> String {
    format!("[[key]]\nname = \"{name}\"\nroles = [\"account\"]\nscheme = \"secp256k1-ecdsa\"\nbackend = \"hsm\"\n{more}\n")
}

/// A deployment of `network` with these tables, an empty ledger and one module.
fn made(network: &str, tables: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("policies")).unwrap();
    let wasm = embedded::policy("network-mode").unwrap();
    std::fs::write(dir.path().join("policies/network-mode.wasm"), wasm).unwrap();
    let settings = Settings::new(sigwarden::deployment::now_ms(), Arc::new(|_| {}));
    let ledger = EmbeddedLedger::create(&dir.path().join("state"), settings).unwrap();
    ledger.close().unwrap();
    configure(dir.path(), network, tables);
    sigwarden::deployment::settle(&dir.path().join("markers"), &dir.path().join("state"), &ledger).unwrap();
    dir
}

fn configure(dir: &Path, network: &str, tables: &str) {
    std::fs::write(
        dir.join("sigwarden.toml"),
        format!("version = 1\nnetwork = \"{network}\"\nstate = {{ marker_dir = \"markers\" }}\n{tables}"),
    )
    .unwrap();
}

fn refused(dir: &TempDir) -> OpenError {
    match Deployment::open(dir.path()) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

#[test]
fn a_start_pins_public_keys_and_records_the_policy_set_once() {
    let dir = made("devnet", &format!("{MOCK}{}{POLICY}", key("demo.one", "")));
    let first = Deployment::open(dir.path()).unwrap();
    let state = first.ledger().snapshot();
    let status = state
        .keys
        .get(&"demo.one.v1".parse::<sigwarden_core::key::KeyId>().unwrap())
        .unwrap();
    assert_eq!(status.public_key.len(), 33);
    let policy = state.policies.get("network-mode").unwrap();
    assert_eq!(policy.module_digest, first.loaded()[0].module_digest);
    first.close().unwrap();
    Deployment::open(dir.path()).unwrap().close().unwrap();
    let lines = sigwarden_ledger::tail(&dir.path().join("state"), 100).unwrap();
    let kinds: Vec<String> = lines
        .iter()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .filter(|kind| kind != "start")
        .collect();
    assert_eq!(
        kinds,
        ["public-key", "policy-set"],
        "a second start with the same keys and policies records neither again"
    );
}

#[test]
fn two_daemons_on_one_deployment_the_second_is_refused() {
    let dir = made("devnet", &format!("{MOCK}{POLICY}"));
    let first = Deployment::open(dir.path()).unwrap();
    assert!(matches!(refused(&dir), OpenError::Lock(LockError::Held { .. })));
    first.close().unwrap();
    Deployment::open(dir.path()).unwrap().close().unwrap();
}

#[test]
fn a_start_never_makes_a_ledger() {
    let dir = made("devnet", &format!("{MOCK}{POLICY}"));
    std::fs::remove_dir_all(dir.path().join("state/log")).unwrap();
    std::fs::remove_file(dir.path().join("state/checkpoint.redb")).unwrap();
    let error = refused(&dir);
    assert!(
        matches!(error, OpenError::Ledger(sigwarden_ledger::OpenError::Missing { .. })),
        "{error}"
    );
}

#[test]
fn a_public_key_other_than_the_configured_one_stops_the_start() {
    let pin = format!("public_key = \"02{}\"", "11".repeat(32));
    let dir = made("devnet", &format!("{MOCK}{}{POLICY}", key("demo.one", &pin)));
    let error = refused(&dir);
    let OpenError::Keys(faults) = &error else { panic!("{error}") };
    assert!(
        matches!(&faults[..], [KeyFault::PublicKey { id, by: PublicKeySource::Configuration, .. }] if id.to_string() == "demo.one.v1"),
        "{error}"
    );
}

#[test]
fn a_public_key_other_than_the_pinned_one_stops_the_start() {
    let dir = made("devnet", &format!("{MOCK}{}{POLICY}", key("demo.one", "")));
    Deployment::open(dir.path()).unwrap().close().unwrap();
    // Another seed is another HSM with another key behind the same name.
    let other = MOCK.replace("\"test\"", "\"swapped\"");
    configure(dir.path(), "devnet", &format!("{other}{}{POLICY}", key("demo.one", "")));
    let error = refused(&dir);
    let OpenError::Keys(faults) = &error else { panic!("{error}") };
    assert!(
        matches!(
            &faults[..],
            [KeyFault::PublicKey {
                by: PublicKeySource::Ledger,
                ..
            }]
        ),
        "{error}"
    );
}

#[test]
fn a_key_that_its_backend_lacks_stops_the_start() {
    let vault = "[security]\npassphrase_file = \"passphrase\"\n[[backend]]\nname = \"hsm\"\nkind = \"sealed-file\"\n";
    let dir = made("devnet", &format!("{vault}{}{}{POLICY}", key("demo.one", ""), key("demo.two", "")));
    let passphrase = sigwarden_keys::Passphrase::from_bytes(b"correct horse".to_vec()).unwrap();
    let vault = sigwarden_keys::Vault::create(&dir.path().join("keys"), &passphrase).unwrap();
    vault
        .generate(&"demo.one.v1".parse().unwrap(), sigwarden_core::Scheme::Secp256k1Ecdsa, 1)
        .unwrap();
    let write_private = |text: &str| {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let path = dir.path().join("passphrase");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.create(true).write(true).truncate(true).mode(0o600).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    write_private("correct horse\n");
    let error = refused(&dir);
    let OpenError::Keys(faults) = &error else { panic!("{error}") };
    assert!(
        matches!(&faults[..], [KeyFault::Missing { id, .. }] if id.to_string() == "demo.two.v1"),
        "{error}"
    );
    write_private("wrong horse\n");
    let error = refused(&dir);
    assert!(matches!(error, OpenError::Vault(_)), "{error}");
    assert!(!error.to_string().contains("wrong horse"));
}

#[test]
fn two_keys_with_one_public_key_stop_the_start_unless_declared_replicas() {
    let secret = "0101010101010101010101010101010101010101010101010101010101010101";
    let scheme = sigwarden_core::Scheme::Secp256k1Ecdsa;
    let backend = "[security]\npassphrase_file = \"passphrase\"\n[[backend]]\nname = \"hsm\"\nkind = \"sealed-file\"\n";
    let dir = made(
        "devnet",
        &format!("{backend}{}{}{POLICY}", key("demo.one", ""), key("demo.two", "")),
    );
    let passphrase = sigwarden_keys::Passphrase::from_bytes(b"correct horse".to_vec()).unwrap();
    let vault = sigwarden_keys::Vault::create(&dir.path().join("keys"), &passphrase).unwrap();
    for id in ["demo.one.v1", "demo.two.v1"] {
        let key = sigwarden_keys::SecretKey::from_hex(scheme, secret).unwrap();
        vault.import(&id.parse().unwrap(), scheme, key, 1).unwrap();
    }
    let path = dir.path().join("passphrase");
    std::fs::write(&path, "correct horse").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let error = refused(&dir);
    let OpenError::Keys(faults) = &error else { panic!("{error}") };
    assert!(matches!(&faults[..], [KeyFault::Same { .. }]), "{error}");

    let replica = key("demo.two", "replica_of = \"demo.one.v1\"");
    configure(dir.path(), "devnet", &format!("{backend}{}{replica}{POLICY}", key("demo.one", "")));
    Deployment::open(dir.path()).unwrap().close().unwrap();
}

#[test]
fn a_declared_replica_with_another_key_stops_the_start() {
    let two = key("demo.two", "replica_of = \"demo.one.v1\"");
    let dir = made("devnet", &format!("{MOCK}{}{two}{POLICY}", key("demo.one", "")));
    let error = refused(&dir);
    assert!(
        matches!(&error, OpenError::Keys(faults) if matches!(&faults[..], [KeyFault::NoReplica { .. }])),
        "{error}"
    );
}

#[test]
fn a_module_other_than_the_pinned_one_stops_the_start() {
    let pinned = format!("{POLICY}sha256 = \"{}\"\n", "ab".repeat(32));
    let dir = made("devnet", &format!("{MOCK}{pinned}"));
    let error = refused(&dir);
    assert!(
        matches!(&error, OpenError::Policy(PolicyError::Pin { policy, .. }) if policy == "network-mode"),
        "{error}"
    );
    assert!(error.to_string().contains("sigwarden policy pin network-mode"), "{error}");
}

#[test]
fn a_module_that_is_none_and_a_wrong_policy_configuration_stop_the_start() {
    let dir = made("devnet", &format!("{MOCK}{POLICY}config = {{ devnett = {{}} }}\n"));
    let error = refused(&dir);
    assert!(matches!(error, OpenError::Policy(PolicyError::Load(_))), "{error}");
    assert!(
        error.to_string().contains("devnett") && error.to_string().contains("network-mode"),
        "{error}"
    );
    configure(dir.path(), "devnet", &format!("{MOCK}{POLICY}"));
    std::fs::write(dir.path().join("policies/network-mode.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let error = refused(&dir);
    assert!(matches!(error, OpenError::Policy(PolicyError::Load(_))), "{error}");
}

#[test]
fn mainnet_refuses_the_mock_hsm_and_unpinned_modules_before_anything_is_opened() {
    let dir = made("mainnet", &format!("{MOCK}{POLICY}"));
    let error = refused(&dir);
    let OpenError::Refused { findings, .. } = &error else {
        panic!("{error}")
    };
    let rules: Vec<Rule> = findings.iter().map(|finding| finding.rule).collect();
    assert!(
        rules.contains(&Rule::MockHsmBackend) && rules.contains(&Rule::PolicyPins),
        "{rules:?}"
    );
}
