//! Floors that come from elsewhere: CometBFT's and tmkms' state files, our own export; beside a daemon and without one.

use crate::common::{floor, node};
use sigwarden_tests::Node;
use sigwarden_tests::payload::{COMETBFT_CHAIN, VALIDATOR, precommit};
use std::os::unix::fs::PermissionsExt;

/// A secret key under which two deployments can have one validator.
const SECRET: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

/// The validator's name where it is imported.
const MOVED: &str = "cosmos.moved";

/// A deployment with the validator of [`SECRET`], running.
fn with_validator() -> Node {
    let mut node = node();
    let secret = node.dir().join("secret.hex");
    std::fs::write(&secret, SECRET).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    node.start().unwrap();
    let file = secret.display().to_string();
    let import = [
        "keys",
        "import",
        MOVED,
        "--scheme",
        "ed25519",
        "--role",
        "consensus",
        "--add-to-config",
        "--secret-file",
        &file,
    ];
    let said = node.expect(&import).unwrap();
    assert!(said.contains("added to sigwarden.toml, and in force"), "{said}");
    node
}

fn import(node: &Node, text: &str, rest: &[&str]) -> Vec<String> {
    let file = node.dir().join("state.json");
    std::fs::write(&file, text).unwrap();
    let mut arguments = vec![
        "floors".to_owned(),
        "import".to_owned(),
        file.display().to_string(),
        "--reason".to_owned(),
        "moved".to_owned(),
    ];
    arguments.extend(rest.iter().map(|argument| (*argument).to_owned()));
    arguments
}

fn expect(node: &Node, arguments: &[String]) -> String {
    node.expect(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
}

fn refused(node: &Node, arguments: &[String], words: &[&str]) {
    let (code, errors) = node
        .expect_failure(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        .unwrap();
    assert_eq!(code, 1, "{errors}");
    for word in words {
        assert!(errors.contains(word), "`{word}`: {errors}");
    }
}

/// CometBFT's priv_validator_state.json after this vote.
fn cometbft_state(height: u64, sign_bytes: &[u8], signature: &[u8]) -> String {
    use base64ct::{Base64, Encoding};
    serde_json::json!({
        "height": height.to_string(),
        "round": 0,
        "step": 3,
        "signature": Base64::encode_string(signature),
        "signbytes": hex::encode_upper(sign_bytes),
    })
    .to_string()
}

const MINE: [&str; 4] = ["--key", MOVED, "--chain-id", COMETBFT_CHAIN];

#[test]
fn a_vote_signed_by_cometbft_is_answered_with_its_signature_after_the_import() {
    use ed25519_dalek::Signer;
    let signer = ed25519_dalek::SigningKey::from_bytes(&hex::decode(SECRET).unwrap().try_into().unwrap());
    let node = with_validator();
    let vote = precommit(5, 0, 1, 100);
    let refusal = |vote: &[u8]| node.caller().unwrap().refused(MOVED, "cometbft/vote", vote.to_vec()).unwrap().code;
    assert_eq!(refusal(&vote.sign_bytes()), "floor/uninitialised");

    let signature = signer.sign(&vote.sign_bytes()).to_bytes();
    let state = cometbft_state(5, &vote.sign_bytes(), &signature);
    // What is not this chain's, this key's, or does not agree with itself, is not taken.
    refused(
        &node,
        &import(&node, &state, &["--key", MOVED, "--chain-id", "other-1"]),
        &["chain `sigwarden-devnet`", "other-1"],
    );
    refused(
        &node,
        &import(&node, &state, &["--key", VALIDATOR, "--chain-id", COMETBFT_CHAIN]),
        &["another validator"],
    );
    refused(
        &node,
        &import(&node, &state.replace("\"5\"", "\"6\""), &MINE),
        &["5/0/3", "6/0/3", "contradicts itself"],
    );
    assert_eq!(refusal(&vote.sign_bytes()), "floor/uninitialised");

    let said = expect(&node, &import(&node, &state, &MINE));
    assert!(said.contains("stands at 5/0/3; it had none"), "{said}");
    let mut caller = node.caller().unwrap();
    let again = caller.signed(MOVED, "cometbft/vote", precommit(5, 0, 1, 999).sign_bytes()).unwrap();
    assert!(again.replay);
    assert_eq!(
        (again.signatures[0].signature.as_slice(), again.timestamp_signed.unwrap().seconds),
        (signature.as_slice(), 100)
    );
    assert_eq!(refusal(&precommit(5, 0, 2, 100).sign_bytes()), "floor/conflict");
    assert_eq!(refusal(&precommit(4, 0, 1, 100).sign_bytes()), "floor/regression");
    caller.signed(MOVED, "cometbft/vote", precommit(6, 0, 1, 101).sign_bytes()).unwrap();

    // Floors only rise: the file is old by now.
    refused(&node, &import(&node, &state, &MINE), &["stands at 6/0/3", "5/0/3 is not above it"]);
}

#[test]
fn a_tmkms_state_closes_its_position_and_says_what_could_not_be_checked() {
    let node = with_validator();
    let state = r#"{"height":"7","round":"1","step":2,"block_id":null}"#;
    let mut arguments = import(&node, state, &MINE);
    let output = node.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    assert!(output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("not checked: tmkms wrote no message"), "{errors}");
    let mut caller = node.caller().unwrap();
    let refusal = caller.refused(MOVED, "cometbft/vote", precommit(7, 1, 1, 1).sign_bytes()).unwrap();
    assert_eq!(refusal.code, "floor/conflict", "tmkms counts steps from 0: 2 is a precommit");
    caller.signed(MOVED, "cometbft/vote", precommit(7, 2, 1, 1).sign_bytes()).unwrap();
    // Without key and chain nothing can be told.
    arguments.truncate(5);
    let (code, errors) = node
        .expect_failure(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        .unwrap();
    assert!(code == 2 && errors.contains("--key and --chain-id are wanted"), "{errors}");
}

#[test]
fn an_export_moves_floors_with_what_was_signed_last_to_another_deployment() {
    let mut from = with_validator();
    expect(&from, &import(&from, r#"{"height":"0","round":0,"step":0}"#, &MINE));
    let signed = from
        .caller()
        .unwrap()
        .signed(MOVED, "cometbft/vote", precommit(9, 0, 1, 50).sign_bytes())
        .unwrap();
    from.stop().unwrap();
    floor(&from, 3);
    let export = from.expect(&["floors", "export"]).unwrap();

    let mut to = with_validator();
    refused(&to, &import(&to, &export, &[]), &["demo.validator.v1", "no key of this deployment"]);
    let said = expect(&to, &import(&to, &export, &["--key", MOVED]));
    assert!(said.contains("stands at 9/0/3"), "{said}");
    let again = to
        .caller()
        .unwrap()
        .signed(MOVED, "cometbft/vote", precommit(9, 0, 1, 60).sign_bytes())
        .unwrap();
    assert_eq!(again.signatures, signed.signatures);
    to.stop().unwrap();
    let said = expect(&to, &import(&to, &export, &["--key", MOVED]));
    assert!(said.contains("where it stood") && said.contains("nothing was to do"), "{said}");
}

#[test]
fn floors_are_raised_alike_with_and_without_a_daemon() {
    let mut node = node();
    let set = [
        "--json",
        "floors",
        "set",
        "--key",
        VALIDATOR,
        "--chain-id",
        COMETBFT_CHAIN,
        "--reason",
        "a test",
        "--height",
    ];
    let set = |node: &Node, height: &str| {
        node.expect(&[&set[..], &[height]].concat())
            .map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap())
    };
    let alone = set(&node, "1").unwrap();
    node.start().unwrap();
    let daemon = set(&node, "2").unwrap();
    assert_eq!(alone["floors"][0]["position"], "1/end");
    assert_eq!(
        (&daemon["floors"][0]["before"], &daemon["floors"][0]["position"]),
        (&"1/end".into(), &"2/end".into())
    );
    assert!(set(&node, "1").is_err());
    let refusal = node
        .caller()
        .unwrap()
        .refused(VALIDATOR, "cometbft/vote", precommit(2, 0, 1, 1).sign_bytes())
        .unwrap();
    assert_eq!(refusal.code, "floor/regression", "in force in the running daemon");
}
