//! Post-quantum keys, named secrets, and what `init` writes for each network.

mod memory;

use crate::common::node;
use sigwarden::client::CallError;
use sigwarden::proto::{DecapsulateRequest, SignRequest};
use sigwarden_formats::hotstuff::Vote;
use sigwarden_tests::{Node, caller, example};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

fn code(error: &CallError) -> &str {
    &error.refusal().unwrap().code
}

fn generate(node: &Node, name: &str, scheme: &str, role: &str) -> Vec<u8> {
    let made = node
        .expect(&[
            "--json",
            "keys",
            "generate",
            name,
            "--scheme",
            scheme,
            "--role",
            role,
            "--add-to-config",
        ])
        .unwrap();
    let made = json(&made);
    assert_eq!(made["in_force"], true, "{made}");
    hex::decode(made["public_key"].as_str().unwrap()).unwrap()
}

fn open_node() -> Node {
    let open = "[[policy]]\nname = \"all\"\nmodule = \"policies/network-mode.wasm\"\nconfig = {}\n";
    Node::init(|config| {
        // The template's client may sign and read; here it decapsulates as well.
        assert!(config.contains("\"decapsulate\""));
        example::with_rules(&config, open)
    })
    .unwrap()
}

#[test]
fn a_node_s_identity_decapsulates_through_policies_and_records() {
    use ml_kem::kem::{KeyExport, TryKeyInit};
    use ml_kem::ml_kem_768::EncapsulationKey;
    let mut node = open_node();
    node.start().unwrap();
    let public_key = generate(&node, "p2p.identity", "ml-kem-768", "p2p-identity");
    assert_eq!(public_key.len(), 1184);
    let key = EncapsulationKey::new_from_slice(&public_key).unwrap();
    assert_eq!(key.to_bytes().as_slice(), public_key);
    // FIPS 203 §6.2 with this `m`; a peer draws it.
    let (ciphertext, shared) = key.encapsulate_deterministic(&[7; 32].into());
    let ask = |ciphertext: &[u8], id: &str| {
        node.caller().unwrap().decapsulated(DecapsulateRequest {
            key: "p2p.identity".into(),
            ciphertext: ciphertext.to_vec(),
            request_id: id.into(),
        })
    };
    let answer = ask(&ciphertext, "first").unwrap();
    assert_eq!(answer.shared_secret, shared.as_slice());
    assert_eq!((answer.public_key.len(), answer.replay), (1184, false));
    // The same id again: the same secret under the same decision.
    let again = ask(&ciphertext, "first").unwrap();
    assert_eq!((again.shared_secret.as_slice(), again.replay), (shared.as_slice(), true));
    // Another key's ciphertext gives a secret that nobody shares (FIPS 203's implicit rejection).
    let mut other = ciphertext.to_vec();
    other[0] ^= 1;
    assert_ne!(ask(&other, "").unwrap().shared_secret, shared.as_slice());
    assert_eq!(code(&ask(&ciphertext[1..], "").err().unwrap()), "payload/malformed");
    // It signs nothing, and no other key decapsulates.
    let sign = |key: &str, format: &str, payload: &[u8]| {
        let request = SignRequest {
            key: key.into(),
            format: format.into(),
            payload: payload.to_vec(),
            ..SignRequest::default()
        };
        node.caller().unwrap().call(request).unwrap_err()
    };
    assert_eq!(
        code(&sign("p2p.identity", "ml-kem-768/ciphertext", &ciphertext)),
        "format/operation"
    );
    assert_eq!(code(&sign("p2p.identity", "raw-message/none", b"hello")), "format/raw-not-allowed");
    let wrong = node.caller().unwrap().decapsulated(DecapsulateRequest {
        key: "demo.account".into(),
        ciphertext: ciphertext.to_vec(),
        request_id: String::new(),
    });
    assert_eq!(code(&wrong.err().unwrap()), "format/role");

    assert!(node.stop().unwrap().success());
    let log = Path::new(&node.dir().join("state/log")).read_dir().unwrap();
    let all: Vec<u8> = log.flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    let text = String::from_utf8(all).unwrap();
    assert!(text.contains("\"operation\":\"decapsulate\""));
    for secret in [hex::encode(shared.as_slice()), hex::encode(&again.shared_secret)] {
        assert!(
            !text.contains(&secret) && !node.log().contains(&secret),
            "the shared secret is written down"
        );
    }
    let verified = node.expect(&["audit", "verify"]).unwrap();
    assert!(verified.contains("holds"), "{verified}");
}

#[test]
fn a_hotstuff_validator_signs_with_ml_dsa_and_never_twice() {
    let mut node = open_node();
    node.start().unwrap();
    let public_key = generate(&node, "qbind.validator", "ml-dsa-44", "consensus");
    let vote = |view: u64, block: u8| Vote {
        chain_id: 7,
        view,
        block_hash: [block; 32],
        voter_id: 3,
    };
    let sign = |vote: Vote| {
        let request = caller::request("qbind.validator", "hotstuff/vote", vote.sign_bytes());
        node.caller().unwrap().call(request)
    };
    let refused = sign(vote(10, 1)).unwrap_err();
    assert_eq!(code(&refused), "floor/uninitialised");
    let hint = "sigwarden floors set --key KEY --chain-id '7' --view N";
    assert!(refused.to_string().contains(hint), "{refused}");
    node.expect(&[
        "floors",
        "set",
        "--key",
        "qbind.validator",
        "--chain-id",
        "7",
        "--view",
        "9",
        "--reason",
        "a new key",
    ])
    .unwrap();
    let first = sign(vote(10, 1)).unwrap();
    assert_eq!((first.scheme.as_str(), first.signatures[0].signature.len()), ("ml-dsa-44", 2420));
    let message = vote(10, 1).sign_bytes();
    let verifier = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ML_DSA_44, &public_key);
    verifier.verify(&message, &first.signatures[0].signature).unwrap();
    let again = sign(vote(10, 1)).unwrap();
    assert_eq!((&again.signatures, again.replay), (&first.signatures, true));
    assert_eq!(code(&sign(vote(10, 2)).unwrap_err()), "floor/conflict");
    assert_eq!(code(&sign(vote(9, 1)).unwrap_err()), "floor/regression");
    let mistaken = "floors set --key qbind.validator --chain-id 7 --height 9 --reason mistaken";
    let (_, errors) = node.expect_failure(&mistaken.split(' ').collect::<Vec<_>>()).unwrap();
    assert!(
        errors.contains("signs messages of class `hotstuff` on chain 7, last at 10/2/0"),
        "{errors}"
    );
    node.kill().unwrap();
    node.start().unwrap();
    let sign = |vote: Vote| {
        let request = caller::request("qbind.validator", "hotstuff/vote", vote.sign_bytes());
        node.caller().unwrap().call(request)
    };
    assert!(sign(vote(10, 1)).unwrap().replay);
    assert_eq!(code(&sign(vote(10, 2)).unwrap_err()), "floor/conflict");
    let exported = json(&node.expect(&["floors", "export"]).unwrap());
    let floor = exported["floors"]
        .as_array()
        .unwrap()
        .iter()
        .find(|floor| floor["class"] == "hotstuff")
        .unwrap();
    assert_eq!((&floor["chain_id"], &floor["height"]), (&"7".into(), &"10".into()));
}

#[test]
fn pq_only_refuses_every_classical_key() {
    let mut node = node();
    let config = node.dir().join("sigwarden.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("cryptography = \"pq-only\"\n{text}")).unwrap();
    let (_, errors) = node.expect_failure(&["keys", "list"]).unwrap();
    assert!(
        errors.contains("key[0].scheme") && errors.contains("key[1].scheme") && errors.contains("ml-dsa-44"),
        "{errors}"
    );
    assert!(node.start().is_err());
}

#[test]
fn secrets_are_set_given_listed_and_removed_and_each_access_is_recorded() {
    let mut node = node();
    for running in [false, true] {
        if running {
            node.start().unwrap();
        }
        let given = node.dir().with_extension("given");
        std::fs::write(&given, b"a planted secret\n").unwrap();
        std::fs::set_permissions(&given, std::fs::Permissions::from_mode(0o644)).unwrap();
        let set = [
            "secrets",
            "set",
            "igra.hd.payment_secret",
            "--file",
            &given.display().to_string(),
            "--reason",
            "a test",
        ]
        .map(str::to_owned);
        let set: Vec<&str> = set.iter().map(String::as_str).collect();
        let (status, errors) = node.expect_failure(&set).unwrap();
        assert_eq!((status, errors.contains("mode 0644")), (1, true), "{errors}");
        std::fs::set_permissions(&given, std::fs::Permissions::from_mode(0o600)).unwrap();
        node.expect(&set).unwrap();
        let listed = json(&node.expect(&["--json", "secrets", "list"]).unwrap());
        assert_eq!(listed[0]["name"], "igra.hd.payment_secret");
        let to = node.dir().with_extension("taken");
        let path = to.display().to_string();
        node.expect(&["secrets", "get", "igra.hd.payment_secret", "--to", &path, "--reason", "a test"])
            .unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"a planted secret\n");
        assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        // Never over a file that is there.
        assert!(
            node.run(&["secrets", "get", "igra.hd.payment_secret", "--to", &path, "--reason", "a test"])
                .unwrap()
                .status
                .code()
                != Some(0)
        );
        std::fs::remove_file(&to).unwrap();
        node.expect(&["secrets", "remove", "igra.hd.payment_secret", "--reason", "a test"])
            .unwrap();
        assert!(
            !node
                .run(&["secrets", "get", "igra.hd.payment_secret", "--to", &path, "--reason", "a test"])
                .unwrap()
                .status
                .success()
        );
    }
    node.stop().unwrap();
    let accesses: Vec<String> = node
        .audit(1000)
        .unwrap()
        .iter()
        .filter(|record| record["kind"] == "secret-access")
        .map(|record| record["body"]["reason"].as_str().unwrap().split(':').next().unwrap().to_owned())
        .collect();
    let expected = ["set", "list", "get", "remove", "get"].map(|what| match what {
        "list" => "list".to_owned(),
        what => format!("{what} igra.hd.payment_secret"),
    });
    assert_eq!(accesses, [expected.clone(), expected].concat());
    let log = std::fs::read_dir(node.dir().join("state/log")).unwrap();
    for entry in log {
        let text = String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned();
        assert!(!text.contains("planted") && !text.contains(&hex::encode("planted")));
    }
}

/// A passphrase that every network takes.
const STRONG: &str = "glacier-Timpani 94 orbit quagmire lintel";

#[test]
fn init_writes_a_deployment_for_each_network_that_check_accepts() {
    for network in ["devnet", "testnet-alpha", "testnet-beta", "mainnet"] {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let passphrase = dir.path().join("passphrase");
        std::fs::write(&passphrase, STRONG).unwrap();
        std::fs::set_permissions(&passphrase, std::fs::Permissions::from_mode(0o600)).unwrap();
        let run = |arguments: &[&str]| {
            let mut command = Command::new(sigwarden_tests::node::binary().unwrap());
            command.args(arguments).env_remove("SIGWARDEN_DEPLOYMENT").output().unwrap()
        };
        let made = run(&[
            "init",
            "--dir",
            &at("signer"),
            "--network",
            network,
            "--passphrase-file",
            &at("passphrase"),
            "--marker-dir",
            &at("markers"),
        ]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let checked = run(&["-d", &at("signer"), "--json", "check"]);
        let report = json(&String::from_utf8(checked.stdout).unwrap());
        assert_eq!(report["starts"], true, "{network}: {report}");
        assert_eq!(checked.status.code(), Some(0));
        // Of another network it says no, or says why it is none's business: identifiers stand in what init wrote.
        let other = if network == "mainnet" { "devnet" } else { "mainnet" };
        assert_eq!(
            run(&["-d", &at("signer"), "check", "--network", other]).status.code(),
            Some(1),
            "{network} as {other}"
        );
    }
}

#[test]
fn a_weak_passphrase_is_refused_with_its_score_and_how_to_do_better() {
    for (network, passphrase, words) in [
        ("mainnet", "correct horse", "16"),
        ("mainnet", "aaaaaaaaaaaaaaaaaaaaaaaa", "score"),
        ("testnet-beta", "short", "12"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("passphrase");
        std::fs::write(&file, passphrase).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let output = Command::new(sigwarden_tests::node::binary().unwrap())
            .args(["init", "--network", network, "--dir"])
            .arg(dir.path().join("signer"))
            .arg("--marker-dir")
            .arg(dir.path().join("markers"))
            .arg("--passphrase-file")
            .arg(&file)
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains(words) && !errors.contains(passphrase), "{errors}");
        assert!(!dir.path().join("signer").exists());
    }
}

#[test]
fn completions_are_written_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let output = Command::new(sigwarden_tests::node::binary().unwrap())
            .args(["completions", shell])
            .output()
            .unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains("retry-login"), "{shell}");
    }
}

#[test]
fn a_keystore_directory_holds_keys_under_a_passphrase_of_its_own() {
    let mut node = Node::init(|config| {
        let block = "[[backend]]\nname = \"files\"\nkind = \"keystore\"\ndir = \"keystore\"\npassphrase_file = \"keystore.pass\"\n\n";
        example::with_rules(&config, &format!("{block}{}", example::OPEN))
    })
    .unwrap();
    let passphrase = node.dir().join("keystore.pass");
    std::fs::write(&passphrase, "another passphrase").unwrap();
    std::fs::set_permissions(&passphrase, std::fs::Permissions::from_mode(0o600)).unwrap();
    node.start().unwrap();
    let made = node
        .expect(&[
            "--json",
            "keys",
            "generate",
            "demo.files",
            "--backend",
            "files",
            "--scheme",
            "secp256k1-ecdsa",
            "--role",
            "account",
            "--add-to-config",
        ])
        .unwrap();
    assert_eq!(json(&made)["in_force"], true);
    assert!(node.dir().join("keystore/demo.files.v1.enc").exists());
    let sign = |node: &Node, nonce: u64| {
        let payload = sigwarden_tests::payload::transfer(nonce, Some(sigwarden_tests::payload::ALLOWED), 1).unsigned();
        node.caller().unwrap().call(caller::request("demo.files", "evm/eip-1559", payload))
    };
    assert_eq!(
        hex::encode(sign(&node, 1).unwrap().public_key),
        json(&made)["public_key"].as_str().unwrap()
    );
    node.stop().unwrap();
    node.start().unwrap();
    sign(&node, 2).unwrap();
    node.stop().unwrap();
    std::fs::write(&passphrase, "a wrong one").unwrap();
    let refused = node.start().unwrap_err().to_string();
    assert!(refused.contains("backend `files`") && !refused.contains("a wrong one"), "{refused}");
}
