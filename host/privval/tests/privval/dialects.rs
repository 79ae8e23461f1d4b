//! What nodes of each version ask, signed, and judged by the node's own code.

use crate::peer::{Peer, Version};
use crate::signer::{Key, connected};
use serde_json::{Value, json};
use sigwarden_privval::{Dialect, PublicKey};

const TIME: &str = "2026-11-21T16:00:00.123456789Z";
const LATER: &str = "2026-11-21T16:00:01.5Z";

fn block(byte: u8) -> String {
    hex::encode([byte; 32])
}

/// What came back is signed, and CometBFT's verification takes it.
fn verified(answer: &Value) {
    assert_eq!(answer["ok"], json!(true), "{answer}");
    assert_eq!(answer["verified"], json!(true), "{answer}");
    assert_eq!(answer["signature"].as_str().unwrap().len(), 128);
}

fn extension_verified(answer: &Value, expected: bool) {
    verified(answer);
    assert_eq!(answer["extension_verified"], json!(expected), "{answer}");
    assert_eq!(answer["extension_signature"].is_string(), expected, "{answer}");
}

/// What every version asks, from the first message on.
fn every_version_s_messages(peer: &mut Peer, key: Key, extensions: bool) {
    assert_eq!(peer.ask(&json!({"do": "ping"}))["ok"], json!(true));
    let answer = peer.ask(&json!({"do": "pubkey"}));
    let (key_type, bytes) = match key.public() {
        PublicKey::Ed25519(bytes) => ("ed25519", hex::encode(bytes)),
        PublicKey::Secp256k1(bytes) => ("secp256k1", hex::encode(bytes)),
    };
    assert_eq!((answer["key_type"].clone(), answer["key"].clone()), (json!(key_type), json!(bytes)));

    verified(&peer.ask(&json!({"do": "proposal", "height": 1, "round": 0, "pol_round": -1, "block": block(1), "time": TIME})));
    extension_verified(
        &peer.ask(&json!({"do": "vote", "type": "prevote", "height": 1, "block": block(1), "time": TIME})),
        false,
    );
    let precommit = json!({"do": "vote", "type": "precommit", "height": 1, "block": block(1), "time": TIME});
    extension_verified(&peer.ask(&precommit), extensions);
    // A proposal that was locked in an earlier round; nil votes; Go's zero time.
    verified(&peer.ask(&json!({"do": "proposal", "height": 2, "round": 3, "pol_round": 1, "block": block(2), "time": TIME})));
    extension_verified(
        &peer.ask(&json!({"do": "vote", "type": "prevote", "height": 2, "round": 3, "time": TIME})),
        false,
    );
    extension_verified(
        &peer.ask(&json!({"do": "vote", "type": "precommit", "height": 2, "round": 3, "time": TIME})),
        false,
    );
    verified(&peer.ask(&json!({"do": "vote", "type": "prevote", "height": 3, "block": block(3)})));

    // The same vote again, at another time: the first signature and its time.
    let vote = |time, block| json!({"do": "vote", "type": "prevote", "height": 9, "block": block, "time": time});
    let first = peer.ask(&vote(TIME, block(9)));
    let again = peer.ask(&vote(LATER, block(9)));
    verified(&first);
    verified(&again);
    assert_eq!((&again["signature"], &again["time"]), (&first["signature"], &json!(TIME)));

    let conflict = peer.ask(&vote(LATER, block(8)));
    assert_eq!((&conflict["ok"], &conflict["code"]), (&json!(false), &json!(16)), "{conflict}");
    let old = peer.ask(&json!({"do": "vote", "type": "prevote", "height": 8, "block": block(8), "time": TIME}));
    assert_eq!(old["code"], json!(16));
    assert!(old["error"].as_str().unwrap().contains("the watermark is 9/0/2"), "{old}");
    assert_eq!(
        peer.ask(&json!({"do": "ping"}))["ok"],
        json!(true),
        "a refusal leaves the connection as it was"
    );
}

/// Both kinds of keys, both kinds of streams.
fn version_against(version: Version, dialect: Dialect, more: impl Fn(&mut Peer)) {
    let directory = tempfile::tempdir().unwrap();
    for (unix, key) in [(Some(&directory), Key::Ed25519), (None, Key::Secp256k1)] {
        let (mut peer, running) = connected(version, unix, dialect, key);
        every_version_s_messages(&mut peer, key, dialect != Dialect::V0_34);
        more(&mut peer);
        assert_eq!(
            running.noted.try_iter().collect::<Vec<_>>(),
            Vec::<String>::new(),
            "nothing was amiss"
        );
        peer.kill();
        running.ended();
    }
}

fn vote_with_extension(peer: &mut Peer, extension: &str) -> Value {
    peer.ask(&json!({"do": "vote", "type": "precommit", "height": 20, "block": block(2), "time": TIME, "extension": extension}))
}

#[test]
fn cometbft_v0_34_accepts_what_it_gets() {
    version_against(Version::V0_34, Dialect::V0_34, |_| {});
}

#[test]
fn cometbft_v0_38_accepts_what_it_gets() {
    version_against(Version::V0_38, Dialect::V0_38, |peer| {
        let first = vote_with_extension(peer, "0123");
        extension_verified(&first, true);
        let other = vote_with_extension(peer, "4567");
        extension_verified(&other, true);
        assert_eq!(first["signature"], other["signature"]);
        assert_ne!(first["extension_signature"], other["extension_signature"]);
        // 8 KiB of extension are eight frames of a SecretConnection, and what a node of v0.38 still reads.
        let large =
            json!({"do": "vote", "type": "precommit", "height": 21, "block": block(2), "time": TIME, "extension": "ab".repeat(8192)});
        extension_verified(&peer.ask(&large), true);
    });
}

#[test]
fn cometbft_v1_accepts_what_it_gets() {
    version_against(Version::V1, Dialect::V1, |peer| {
        extension_verified(&vote_with_extension(peer, "0123"), true);
        let skipped = json!({"do": "vote", "type": "precommit", "height": 21, "block": block(2), "time": TIME, "skip_extension": true});
        extension_verified(&peer.ask(&skipped), false);
        verified(&peer.ask(&json!({"do": "bytes", "value": hex::encode("PREFIX anything")})));
    });
}

#[test]
fn celestia_accepts_what_it_gets() {
    version_against(Version::Celestia, Dialect::Celestia, |peer| {
        extension_verified(&vote_with_extension(peer, "0123"), true);
        let raw = json!({"do": "rawbytes", "unique_id": "compact-block", "value": hex::encode([5; 32])});
        verified(&peer.ask(&raw));
    });
}

#[test]
fn a_node_of_another_dialect_is_named_and_still_served() {
    let directory = tempfile::tempdir().unwrap();
    let celestia = json!({"do": "rawbytes", "unique_id": "compact-block", "value": hex::encode([5; 32])});
    let v1 = json!({"do": "bytes", "value": hex::encode("PREFIX anything")});
    for (version, configured, message, right) in [
        (Version::Celestia, Dialect::V0_38, &celestia, "celestia"),
        (Version::Celestia, Dialect::V1, &celestia, "celestia"),
        (Version::V1, Dialect::Celestia, &v1, "v1"),
    ] {
        let (mut peer, running) = connected(version, Some(&directory), configured, Key::Ed25519);
        if configured == Dialect::V0_38 {
            // Where the public key has the node's form, votes go on.
            verified(&peer.ask(&json!({"do": "vote", "type": "prevote", "height": 1, "block": block(1), "time": TIME})));
            let answer = peer.ask(message);
            assert_eq!(answer["code"], json!(18), "{answer}");
            assert!(
                answer["error"]
                    .as_str()
                    .unwrap()
                    .contains(&format!("`privval.dialect = \"{right}\"`")),
                "{answer}"
            );
            verified(&peer.ask(&json!({"do": "vote", "type": "precommit", "height": 1, "block": block(1), "time": TIME})));
            let noted = running.noted.try_recv().unwrap();
            assert!(
                noted.contains("SignRawBytesRequest") && noted.contains("dialect `v0.38`"),
                "{noted}"
            );
        } else {
            // A key of the other form is none to the node, which is how v1 and the others notice first.
            let answer = peer.ask(&json!({"do": "pubkey"}));
            assert_eq!(answer["ok"], json!(false), "{answer}");
        }
        peer.kill();
        running.ended();
        std::fs::remove_file(directory.path().join("privval.sock")).unwrap();
    }
}

#[test]
fn a_node_of_v0_38_asked_in_v0_34_s_dialect_is_told_when_it_extends_votes() {
    let directory = tempfile::tempdir().unwrap();
    let (mut peer, running) = connected(Version::V0_38, Some(&directory), Dialect::V0_34, Key::Ed25519);
    let answer = vote_with_extension(&mut peer, "0123");
    assert_eq!(answer["code"], json!(18), "{answer}");
    assert!(running.noted.recv().unwrap().contains("`privval.dialect = \"v0.38\"`"));
}

#[test]
fn a_run_of_votes_is_signed_verified_and_measured() {
    let directory = tempfile::tempdir().unwrap();
    for unix in [Some(&directory), None] {
        let (mut peer, _running) = connected(Version::V0_38, unix, Dialect::V0_38, Key::Ed25519);
        let run =
            json!({"do": "load", "type": "precommit", "votes": 300, "height": 1, "block": block(1), "time": TIME, "extension": "0123"});
        let answer = peer.ask(&run);
        // For whoever looks: `--nocapture`.
        println!("{answer}");
        assert_eq!(
            (&answer["ok"], &answer["verified"], &answer["votes"]),
            (&json!(true), &json!(true), &json!(300)),
            "{answer}"
        );
        let (median, slowest) = (answer["median_us"].as_f64().unwrap(), answer["max_us"].as_f64().unwrap());
        assert!(
            0.0 < median && median <= answer["p99_us"].as_f64().unwrap() && median <= slowest,
            "{answer}"
        );
        let again = peer.ask(&run);
        assert_eq!(again["ok"], json!(false), "heights that are past: {again}");
        assert!(again["error"].as_str().unwrap().contains("the watermark is 300/0/3"), "{again}");
    }
}
