//! CometBFT's own code as the daemon's client: its privval listener, and a chain whose only validator is Sigwarden.

use crate::common::floor;
use crate::peers_evm::free_port;
use rustix::process::Signal;
use serde_json::{Value, json};
use sigwarden_tests::payload::COMETBFT_CHAIN;
use sigwarden_tests::{Node, example};

#[path = "../peers/cometbft/peer.rs"]
mod peer;

use peer::{Peer, Version};

fn node(address: &str, dialect: &str) -> Node {
    let link = format!(
        "[[privval]]\nname = \"node-a\"\nclient = \"operator\"\naddress = \"{address}\"\ndialect = \"{dialect}\"\nchain_id = \"{COMETBFT_CHAIN}\"\nkey = \"demo.validator\"\n\n"
    );
    Node::init(|config| example::with_rules(&config, &format!("{link}{}", example::OPEN))).unwrap()
}

fn vote(height: u64, block: u8, time: &str) -> Value {
    json!({ "do": "vote", "type": "precommit", "height": height, "round": 0, "block": hex::encode([block; 32]), "time": time })
}

#[test]
fn a_nodes_votes_are_signed_once_and_an_old_height_is_refused_with_the_floor() {
    let port = free_port();
    let address = format!("tcp://127.0.0.1:{port}");
    let mut node = node(&address, "v0.38");
    floor(&node, 10);
    let mut listener = Peer::start(
        Version::V0_38,
        &["listener", "-listen", &address, "-chain", COMETBFT_CHAIN, "-accept", "60s"],
    );
    assert!(listener.line()["address"].is_string());
    node.start().unwrap();
    assert_eq!(listener.ask(&json!({ "do": "connected" }))["ok"], true);
    let first = listener.ask(&vote(11, 1, "2026-01-01T00:00:00Z"));
    assert_eq!(
        (&first["ok"], &first["verified"]),
        (&json!(true), &json!(true)),
        "{first}\n{}",
        node.log()
    );
    // The node asks again with another clock: it gets the first signature, with the first timestamp.
    let again = listener.ask(&vote(11, 1, "2026-01-01T00:00:09Z"));
    assert_eq!(
        (&again["signature"], &again["time"]),
        (&first["signature"], &first["time"]),
        "{again}"
    );
    let conflict = listener.ask(&vote(11, 2, "2026-01-01T00:00:00Z"));
    assert!(conflict["error"].as_str().unwrap().contains("floor/conflict"), "{conflict}");
    let old = listener.ask(&vote(9, 1, "2026-01-01T00:00:00Z"));
    let text = old["error"].as_str().unwrap();
    assert!(text.contains("floor/regression") && text.contains("11/0/3"), "{old}");
    // The daemon dies in between, and comes back by itself to the same node.
    node.kill().unwrap();
    node.start().unwrap();
    // The node notices with its next call or ping that its signer was gone.
    let after = loop {
        listener.ask(&json!({ "do": "connected" }));
        let answer = listener.ask(&vote(11, 1, "2026-01-01T00:00:20Z"));
        if answer["ok"] == true {
            break answer;
        }
        assert!(!answer["error"].as_str().unwrap().contains('/'), "refused: {answer}");
    };
    assert_eq!(after["signature"], first["signature"], "{after}");
    assert_eq!(listener.ask(&vote(12, 2, "2026-01-01T00:00:21Z"))["verified"], true);
}

#[test]
fn a_node_of_another_dialect_is_told_the_setting_to_change() {
    let home = tempfile::tempdir().unwrap();
    let address = format!("unix://{}", home.path().join("privval.sock").display());
    let mut node = node(&address, "v0.38");
    let mut listener = Peer::start(
        Version::Celestia,
        &["listener", "-listen", &address, "-chain", COMETBFT_CHAIN, "-accept", "60s"],
    );
    listener.line();
    node.start().unwrap();
    assert_eq!(listener.ask(&json!({ "do": "connected" }))["ok"], true);
    let answer = listener.ask(&json!({ "do": "rawbytes", "value": hex::encode(b"anything"), "unique_id": "1" }));
    let error = answer["error"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert!(error.contains("privval.dialect"), "{answer}");
    assert!(node.log().contains("privval.dialect"), "{answer}\n{}", node.log());
}

/// Reads blocks until one of this height.
fn until(chain: &Peer, height: u64) -> Vec<Value> {
    let mut blocks = Vec::new();
    loop {
        let line = chain.line();
        assert!(line["error"].is_null(), "{line}");
        let at = line["height"].as_u64();
        blocks.push(line);
        if at.is_some_and(|at| at >= height) {
            return blocks;
        }
    }
}

#[test]
fn a_chain_with_one_validator_goes_on_whoever_is_killed() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("chain").display().to_string();
    let address = format!("tcp://127.0.0.1:{}", free_port());
    let mut node = node(&address, "v0.38");
    floor(&node, 0);
    node.start().unwrap();
    let key = hex::encode(node.caller().unwrap().public_key("demo.validator").unwrap().public_key);
    let init = Peer::start(
        Version::V0_38,
        &[
            "init",
            "-home",
            &dir,
            "-chain",
            COMETBFT_CHAIN,
            "-key-type",
            "ed25519",
            "-key",
            &key,
        ],
    );
    init.line();
    let start = || Peer::start(Version::V0_38, &["chain", "-home", &dir, "-privval", &address, "-commit", "20ms"]);

    let chain = start();
    until(&chain, 15);
    // The signer is killed and comes back: the node waits for it.
    node.kill().unwrap();
    node.start().unwrap();
    until(&chain, 30);
    // The node is killed and comes back: it asks again for what was signed already.
    chain.kill();
    let chain = start();
    until(&chain, 45);
    // Both at once.
    node.signal(Signal::KILL).unwrap();
    chain.kill();
    node.wait().unwrap();
    node.start().unwrap();
    let chain = start();
    until(&chain, 60);
    drop(chain);

    // No position was decided twice for two messages: the log says each position's identity once.
    node.stop().unwrap();
    let verified = node.expect(&["audit", "verify"]).unwrap();
    assert!(verified.contains("verif") || verified.contains("hold"), "{verified}");
    let mut seen = std::collections::BTreeMap::new();
    for line in node.audit(10_000).unwrap() {
        if line["kind"] != "decision" {
            continue;
        }
        let position = line["body"]["consensus"].to_string();
        let payload = line["body"]["payload"].to_string();
        assert!(seen.insert(position.clone(), payload).is_none(), "{position} was decided twice");
    }
    assert!(seen.len() >= 120, "{} decisions", seen.len());
}
