//! What stops a start: configuration, passphrase, files. Each says what was wrong, where, and what would be right.

use crate::common::node;
use sigwarden_tests::Node;
use sigwarden_tests::example::{OPEN, with_rules};
use sigwarden_tests::payload::{ACCOUNT, VALIDATOR};
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn refuses(node: &Node, words: &[&str]) {
    for command in ["check", "serve"] {
        let (code, errors) = node.expect_failure(&[command]).unwrap();
        assert!(code == 1 || code == 2, "{command}: {errors}");
        let output = node.run(&[command]).unwrap();
        let all = format!("{}{errors}", String::from_utf8_lossy(&output.stdout));
        for word in words {
            assert!(all.contains(word), "{command} says `{word}`:\n{all}");
        }
    }
}

fn edited(edit: impl FnOnce(String) -> String) -> Node {
    Node::init(|config| edit(with_rules(&config, OPEN))).unwrap()
}

#[test]
fn an_unknown_field_is_named_with_its_file_and_line() {
    let node = edited(|config| config.replace("network = \"devnet\"", "network = \"devnet\"\nnetwrk = \"mainnet\""));
    refuses(&node, &["sigwarden.toml:", "netwrk", "network"]);
}

#[test]
fn an_unknown_scheme_and_role_and_format_are_named() {
    refuses(
        &edited(|config| config.replacen("secp256k1-ecdsa", "rsa", 1)),
        &["rsa", "secp256k1-ecdsa"],
    );
    refuses(
        &edited(|config| config.replacen("roles = [\"account\"]", "roles = [\"treasurer\"]", 1)),
        &["treasurer", "account"],
    );
}

#[test]
fn an_empty_policy_set_stops_the_start() {
    let node = edited(|config| config.split("[[policy]]").next().unwrap().to_owned());
    refuses(&node, &["policy"]);
}

#[test]
fn a_request_that_no_policy_binds_is_refused() {
    let mut node = edited(|config| config.replace("roles = [\"consensus\"] # binds", "roles = [\"governance\"]"));
    crate::common::floor(&node, 0);
    node.start().unwrap();
    let vote = sigwarden_tests::payload::precommit(1, 0, 1, 1).sign_bytes();
    let refusal = node
        .caller()
        .unwrap()
        .refused(sigwarden_tests::payload::VALIDATOR, "cometbft/vote", vote)
        .unwrap();
    assert_eq!(refusal.code, "policy/unbound");
}

#[test]
fn a_key_that_the_backend_lacks_stops_the_start() {
    let node = edited(|config| {
        let lacking =
            "[[key]]\nname = \"evm.lacking\"\nroles = [\"account\"]\nscheme = \"secp256k1-ecdsa\"\nbackend = \"vault\"\n\n[[policy]]";
        config.replacen("[[policy]]", lacking, 1)
    });
    refuses(&node, &["evm.lacking"]);
}

#[test]
fn a_pinned_public_key_that_differs_stops_the_start() {
    let node = edited(|config| {
        let written = config
            .lines()
            .find(|line| line.starts_with("public_key = \"0"))
            .expect("init pins its keys")
            .to_owned();
        // The public key of secret key 1: the generator.
        config.replacen(
            &written,
            "public_key = \"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\"",
            1,
        )
    });
    refuses(&node, &[ACCOUNT, "public"]);
}

#[test]
fn a_secret_in_the_configuration_is_refused_and_not_echoed() {
    let secret = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
    let node = edited(|config| config.replacen("socket = \"run/sigwarden.sock\"", &format!("socket = \"{secret}\""), 1));
    for command in ["check", "serve"] {
        let output = node.run(&[command]).unwrap();
        assert!(!output.status.success());
        let all = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            all.contains("server.socket") && all.contains("looks like"),
            "the field is named: {all}"
        );
        assert!(!all.contains(&secret[..16]), "the value is not echoed: {all}");
    }
}

#[test]
fn a_wrong_passphrase_stops_the_start() {
    let node = node();
    let file = node.passphrase_file();
    fs::write(&file, "not the passphrase of this deployment\n").unwrap();
    refuses(&node, &["passphrase"]);
}

#[test]
fn a_passphrase_file_or_sealed_file_readable_by_others_is_refused_with_the_command_that_mends_it() {
    for named in [Node::passphrase_file, |node: &Node| node.vault_dir().join("keyring.kek")] {
        let node = node();
        let file = named(&node);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        refuses(&node, &["chmod", &file.file_name().unwrap().to_string_lossy()]);
    }
}

#[test]
fn a_keyring_that_is_cut_or_flipped_or_absurd_stops_the_start() {
    let node = node();
    let file = node.vault_dir().join("keyring.kek");
    let whole = fs::read(&file).unwrap();
    let mut damaged = vec![whole[..whole.len() - 1].to_vec(), Vec::new()];
    for at in (0..whole.len()).step_by(7) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x01;
        damaged.push(flipped);
    }
    for bytes in damaged {
        fs::write(&file, &bytes).unwrap();
        let (code, errors) = node.expect_failure(&["serve"]).unwrap();
        assert!(code == 1 || code == 2, "{errors}");
        assert!(errors.contains("keyring") || errors.contains("passphrase"), "{errors}");
    }
    fs::write(&file, &whole).unwrap();
    node.expect(&["check"]).unwrap();
}

#[test]
fn a_sealed_key_that_is_damaged_or_gone_or_readable_by_others_stops_the_start() {
    let node = node();
    let validator = node.vault_dir().join(format!("{VALIDATOR}.v1.key"));
    let whole = fs::read(&validator).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x80;
        fs::write(&validator, &flipped).unwrap();
        refuses(&node, &[VALIDATOR]);
    }
    fs::write(&validator, &whole[..whole.len() - 1]).unwrap();
    refuses(&node, &[VALIDATOR]);
    fs::write(&validator, &whole).unwrap();
    node.expect(&["check"]).unwrap();

    let account = node.vault_dir().join(format!("{ACCOUNT}.v1.key"));
    fs::set_permissions(&account, fs::Permissions::from_mode(0o644)).unwrap();
    refuses(&node, &[ACCOUNT, "chmod"]);
    fs::remove_file(&account).unwrap();
    refuses(&node, &[ACCOUNT]);
}

#[test]
fn two_keys_with_one_public_key_stop_the_start() {
    // Key 1 of secp256k1, imported under two names from a file.
    let node = edited(|config| {
        let key = |name: &str| {
            format!("[[key]]\nname = \"{name}\"\nroles = [\"account\"]\nscheme = \"secp256k1-ecdsa\"\nbackend = \"vault\"\n\n")
        };
        let two = key("evm.two").replace("\n\n", "\nreplica_of = \"evm.one.v1\"\n\n");
        config.replacen("[[policy]]", &format!("{}{two}[[policy]]", key("evm.one")), 1)
    });
    let secret = node.dir().join("one.hex");
    fs::write(&secret, format!("{:064x}\n", 1)).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    for name in ["evm.one", "evm.two"] {
        let arguments = [
            "keys",
            "import",
            name,
            "--scheme",
            "secp256k1-ecdsa",
            "--role",
            "account",
            "--secret-file",
            &secret.display().to_string(),
        ];
        node.expect(&arguments).unwrap();
    }
    // As replicas they may; then somebody takes that out.
    let file = node.dir().join("sigwarden.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("replica_of = \"evm.one.v1\"\n", "")).unwrap();
    refuses(&node, &["evm.one", "evm.two", "one public key"]);
}

#[test]
fn a_ledger_is_never_invented() {
    let node = node();
    let state = node.dir().join("state");
    fs::rename(&state, node.dir().join("elsewhere")).unwrap();
    let (code, errors) = node.expect_failure(&["serve"]).unwrap();
    assert!(code == 1 || code == 2, "{errors}");
    assert!(!state.join("log").exists(), "serve makes no ledger");
}

#[test]
fn check_says_that_the_example_would_start_and_what_mainnet_refuses() {
    let node = node();
    let report = node.expect(&["check", "--json"]).unwrap();
    serde_json::from_str::<serde_json::Value>(&report).unwrap();
    let matrix = node.expect(&["check", "--matrix"]).unwrap();
    for network in ["devnet", "testnet-alpha", "testnet-beta", "mainnet"] {
        assert!(matrix.contains(network), "{matrix}");
    }
    // The example's policies are not pinned, and its raw material is a devnet's: mainnet says so.
    let output = node.run(&["check", "--network", "mainnet"]).unwrap();
    let all = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(1), "{all}");
    assert!(all.contains("policy pin"), "it says what to do: {all}");
}
