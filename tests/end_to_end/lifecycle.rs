//! The life of keys: rotation under load and through power cuts, graces, replicas, rules, bindings.

use crate::common::{floor, node};
use sigwarden::client::CallError;
use sigwarden_tests::payload::{ACCOUNT, ALLOWED, COMETBFT_CHAIN, VALIDATOR, precommit, transfer};
use sigwarden_tests::{Caller, Node, caller};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

fn json(node: &Node, arguments: &[&str]) -> serde_json::Value {
    let mut all = vec!["--json"];
    all.extend(arguments);
    serde_json::from_str(&node.expect(&all).unwrap()).unwrap()
}

fn code(error: &CallError) -> &str {
    &error.refusal().unwrap().code
}

fn transfer_by(node: &Node, key: &str, nonce: u64) -> Result<sigwarden::proto::SignResponse, CallError> {
    let payload = transfer(nonce, Some(ALLOWED), 1).unsigned();
    node.caller().unwrap().call(caller::request(key, "evm/eip-1559", payload))
}

fn vote_by(node: &Node, key: &str, height: u64) -> Result<sigwarden::proto::SignResponse, CallError> {
    let vote = precommit(height, 0, 1, 1).sign_bytes();
    node.caller().unwrap().call(caller::request(key, "cometbft/vote", vote))
}

#[test]
fn a_rotation_under_load_refuses_no_request() {
    let mut node = node();
    node.start().unwrap();
    let (socket, over, signed) = (node.socket(), AtomicBool::new(false), AtomicU64::new(0));
    let versions = std::thread::scope(|scope| {
        let signers: Vec<_> = (0..8_u64)
            .map(|signer| {
                let (socket, over, signed) = (&socket, &over, &signed);
                scope.spawn(move || {
                    let mut caller = Caller::connect(socket).unwrap();
                    let mut versions = Vec::new();
                    for nonce in 0..1_000_000 {
                        if over.load(Ordering::SeqCst) {
                            break;
                        }
                        let payload = transfer(signer << 32 | nonce, Some(ALLOWED), 1).unsigned();
                        let answer = caller.call(caller::request(ACCOUNT, "evm/eip-1559", payload)).unwrap();
                        signed.fetch_add(1, Ordering::SeqCst);
                        versions.push(answer.key_version);
                    }
                    versions
                })
            })
            .collect();
        let more = |count: u64| {
            let from = signed.load(Ordering::SeqCst);
            while signed.load(Ordering::SeqCst) < from + count && !signers.iter().any(std::thread::ScopedJoinHandle::is_finished) {
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        more(200);
        let rotated = json(&node, &["keys", "rotate", ACCOUNT, "--reason", "every quarter"]);
        assert_eq!(
            (&rotated["key"], &rotated["replaces"], &rotated["in_force"]),
            (&"demo.account.v2".into(), &"demo.account.v1".into(), &true.into())
        );
        more(200);
        let activated = json(
            &node,
            &["keys", "activate", ACCOUNT, "--grace-until", "+1h", "--reason", "registered"],
        );
        assert_eq!(activated["key"], "demo.account.v2");
        assert_eq!(activated["grace"][0], "demo.account.v1");
        more(200);
        over.store(true, Ordering::SeqCst);
        signers.into_iter().map(|signer| signer.join().unwrap()).collect::<Vec<_>>()
    });
    for versions in versions {
        assert!(versions.is_sorted(), "a caller never gets the old version after the new one");
        assert_eq!((versions.first(), versions.last()), (Some(&1), Some(&2)));
    }
    // In grace it signs by its own name.
    assert_eq!(transfer_by(&node, "demo.account.v1", u64::MAX - 1).unwrap().key_version, 1);
    let listed = json(&node, &["keys", "list", "--versions"]);
    let state = |key: &str| listed.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap()["state"].clone();
    assert_eq!(
        (state("demo.account.v1"), state("demo.account.v2")),
        ("grace".into(), "active".into())
    );
    let listed = json(&node, &["keys", "list"]);
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap()).collect();
    assert_eq!(names, ["demo.account.v2", "demo.validator.v1"]);
    assert!(node.stop().unwrap().success());
    node.start().unwrap();
    assert_eq!(transfer_by(&node, ACCOUNT, u64::MAX - 2).unwrap().key_version, 2);
}

/// Kills `keys rotate` and `keys activate` anywhere, and asks again until they say that it is done.
#[test]
fn a_rotation_that_is_cut_anywhere_leaves_the_old_or_the_new() {
    let mut node = node();
    // Delays that fall before, into and after each step of a command; it takes some hundred milliseconds, mostly for the passphrase.
    let delays = [0, 40, 80, 120, 160, 200, 240, 280, 320, 400];
    for (version, delay) in (1u32..).zip(delays) {
        for command in [
            vec!["keys", "rotate", ACCOUNT, "--reason", "a test"],
            vec!["keys", "activate", ACCOUNT, "--reason", "a test"],
        ] {
            let mut child = std::process::Command::new(sigwarden_tests::node::binary().unwrap())
                .arg("--deployment")
                .arg(node.dir())
                .args(&command)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(delay));
            let _ = child.kill();
            child.wait().unwrap();
            node.start().unwrap();
            let answer = transfer_by(
                &node,
                ACCOUNT,
                u64::from(version) << 20 | delay << 1 | u64::from(command[1] == "rotate"),
            )
            .unwrap();
            assert!((version..=version + 1).contains(&answer.key_version), "{}", answer.key_version);
            node.stop().unwrap();
        }
        // Whatever was left, asking again brings it to its end.
        let listed = json(&node, &["keys", "list", "--versions"]);
        let next = format!("{ACCOUNT}.v{}", version + 1);
        let state = listed
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["key"] == *next)
            .map(|row| row["state"].clone());
        let activated = || {
            let output = node.run(&["keys", "activate", ACCOUNT, "--reason", "again"]).unwrap();
            output.status.success()
        };
        if state != Some("active".into()) && (state.is_none() || !activated()) {
            node.expect(&["keys", "rotate", ACCOUNT, "--reason", "again"]).unwrap();
            node.expect(&["keys", "activate", ACCOUNT, "--reason", "again"]).unwrap();
        }
    }
    let verified = node.expect(&["audit", "verify"]).unwrap();
    assert!(verified.contains("holds"), "{verified}");
}

#[test]
fn a_file_that_an_interrupted_rotation_left_is_set_aside_and_the_next_one_goes_on() {
    let node = node();
    let file = |name: &str| node.vault_dir().join(name);
    // As a cut leaves it: durable, and named by nothing.
    std::fs::copy(file("demo.account.v1.key"), file("demo.account.v2.key")).unwrap();
    let rotated = json(&node, &["keys", "rotate", ACCOUNT, "--reason", "a test"]);
    assert_eq!(rotated["key"], "demo.account.v2");
    let names = std::fs::read_dir(node.vault_dir()).unwrap();
    let names: Vec<String> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let aside: Vec<_> = names.iter().filter(|name| name.starts_with("demo.account.v2.key.stray-")).collect();
    assert_eq!(aside.len(), 1, "{names:?}");
    assert_eq!(
        std::fs::read(file(aside[0])).unwrap(),
        std::fs::read(file("demo.account.v1.key")).unwrap(),
        "nothing is erased"
    );
    node.expect(&["keys", "activate", ACCOUNT, "--reason", "a test"]).unwrap();
}

#[test]
fn a_grace_by_height_ends_at_that_height() {
    let mut node = node();
    floor(&node, 100);
    node.start().unwrap();
    vote_by(&node, VALIDATOR, 101).unwrap();
    node.expect(&["keys", "rotate", VALIDATOR, "--reason", "a test"]).unwrap();
    // Pending: it signs nothing, even by its name.
    assert_eq!(code(&vote_by(&node, "demo.validator.v2", 150).unwrap_err()), "key/state");
    let wrong = ["keys", "activate", VALIDATOR, "--grace-until", "block:3", "--reason", "a test"];
    assert_eq!(node.expect_failure(&wrong).unwrap().0, 2);
    let activate = |until: &str| {
        let end = format!("height:{until}");
        node.expect_failure(&["keys", "activate", VALIDATOR, "--grace-until", &end, "--reason", "a test"])
    };
    // Without a floor of its own the new key would sign nothing; with a low one, where the old one still does.
    let (status, errors) = activate("120").unwrap();
    let fix = format!("floors set --key demo.validator.v2 --chain-id {COMETBFT_CHAIN} --height 119 --reason TEXT");
    assert!(status == 1 && errors.contains("has no floor") && errors.contains(&fix), "{errors}");
    let raise = |height: &str| {
        let floors = ["floors", "set", "--key", "demo.validator.v2", "--chain-id", COMETBFT_CHAIN];
        node.expect(&[&floors[..], &["--height", height, "--reason", "new"]].concat())
    };
    // Nor where the old one stands already, wherever its grace is said to end.
    raise("49").unwrap();
    let (_, errors) = activate("50").unwrap();
    let fix_101 = fix.replace("--height 119", "--height 101");
    assert!(errors.contains("did or still does") && errors.contains(&fix_101), "{errors}");
    // A suspension of the old one changes nothing of that: it could be resumed.
    node.expect(&["keys", "suspend", "demo.validator.v1", "--reason", "a test"])
        .unwrap();
    assert!(activate("50").unwrap().1.contains(&fix_101));
    node.expect(&["keys", "resume", "demo.validator.v1", "--reason", "a test"]).unwrap();
    raise("118").unwrap();
    let (_, errors) = activate("120").unwrap();
    assert!(errors.contains("has its floor at 118") && errors.contains(&fix), "{errors}");
    raise("119").unwrap();
    // An end that no message carries ends nothing.
    for end in ["+1h", "view:120"] {
        let activate = ["keys", "activate", VALIDATOR, "--grace-until", end, "--reason", "a test"];
        let (status, errors) = node.expect_failure(&activate).unwrap();
        assert!(status == 1 && errors.contains("--grace-until height:N"), "{errors}");
    }
    let without = ["keys", "activate", VALIDATOR, "--reason", "a test"];
    assert!(node.expect_failure(&without).unwrap().1.contains("--grace-until height:N"));
    node.expect(&[&without[..], &["--grace-until", "height:120"]].concat()).unwrap();
    vote_by(&node, "demo.validator.v1", 119).unwrap();
    assert_eq!(code(&vote_by(&node, "demo.validator.v1", 120).unwrap_err()), "key/grace-ended");
    assert_eq!(code(&vote_by(&node, VALIDATOR, 119).unwrap_err()), "floor/regression");
    assert_eq!(vote_by(&node, VALIDATOR, 120).unwrap().key_version, 2);
    // A key in grace that was suspended comes back in grace.
    node.expect(&["keys", "suspend", "demo.validator.v1", "--reason", "a test"])
        .unwrap();
    let resumed = json(&node, &["keys", "resume", "demo.validator.v1", "--reason", "a test"]);
    assert_eq!(resumed["state"], "grace");
    assert_eq!(code(&vote_by(&node, "demo.validator.v1", 121).unwrap_err()), "key/grace-ended");
    // Taken back, it would sign again what the other one signed meanwhile.
    let back = [
        "keys",
        "activate",
        "demo.validator.v1",
        "--grace-until",
        "height:120",
        "--reason",
        "a test",
    ];
    let (status, errors) = node.expect_failure(&back).unwrap();
    assert!(status == 1 && errors.contains("demo.validator.v1 has its floor at 119"), "{errors}");
    // Whatever the order, a resume gives nothing back that the activation took.
    for key in ["demo.validator.v2", "demo.validator.v1"] {
        node.expect(&["keys", "suspend", key, "--reason", "an incident"]).unwrap();
    }
    for (key, state) in [("demo.validator.v1", "grace"), ("demo.validator.v2", "active")] {
        assert_eq!(json(&node, &["keys", "resume", key, "--reason", "over"])["state"], state, "{key}");
    }
    assert_eq!(code(&vote_by(&node, "demo.validator.v1", 122).unwrap_err()), "key/grace-ended");
}

#[test]
fn a_destroyed_key_is_gone_and_the_daemon_starts_without_it() {
    let mut node = node();
    node.start().unwrap();
    let file = node.vault_dir().join("demo.account.v1.key");
    assert!(file.exists());
    let (status, errors) = node
        .expect_failure(&["keys", "destroy", "demo.account.v1", "--reason", "a slip"])
        .unwrap();
    assert_eq!((status, errors.contains("only a revoked key is destroyed")), (1, true), "{errors}");
    node.expect(&["keys", "revoke", "demo.account.v1", "--reason", "a test"]).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let destroyed = node.expect(&["keys", "destroy", "demo.account.v1", "--reason", "a test"]).unwrap();
    assert!(destroyed.contains("the sealed file of demo.account.v1 is erased"), "{destroyed}");
    assert!(!file.exists());
    assert_eq!(code(&transfer_by(&node, ACCOUNT, 1).unwrap_err()), "key/state");
    node.stop().unwrap();
    // A power cut before the file was gone leaves it; the next start sweeps it, whether or not the configuration still names the key.
    std::fs::write(&file, bytes).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    node.start().unwrap();
    assert!(!file.exists());
    assert_eq!(code(&transfer_by(&node, ACCOUNT, 2).unwrap_err()), "key/state");
    node.expect(&["keys", "rotate", ACCOUNT, "--reason", "a new one"]).unwrap();
    node.expect(&["keys", "activate", ACCOUNT, "--reason", "a new one"]).unwrap();
    assert_eq!(transfer_by(&node, ACCOUNT, 3).unwrap().key_version, 2);
}

#[test]
fn a_suspension_stops_every_name_of_the_key() {
    let mut node = Node::init(|config| {
        let twin = "[[key]]\nname = \"demo.twin\"\nroles = [\"account\"]\nscheme = \"secp256k1-ecdsa\"\nbackend = \"vault\"\nreplica_of = \"demo.one.v1\"\n\n[[key]]\nname = \"demo.one\"\nroles = [\"account\"]\nscheme = \"secp256k1-ecdsa\"\nbackend = \"vault\"\n\n";
        sigwarden_tests::example::with_rules(&config, &format!("{twin}{}", sigwarden_tests::example::OPEN))
    })
    .unwrap();
    let secret = node.dir().with_extension("hex");
    std::fs::write(&secret, "11".repeat(32)).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    for name in ["demo.one", "demo.twin"] {
        node.expect(&["keys", "import", name, "--secret-file", &secret.display().to_string()])
            .unwrap();
    }
    node.start().unwrap();
    transfer_by(&node, "demo.twin", 1).unwrap();
    let suspended = json(&node, &["keys", "suspend", "demo.one", "--reason", "it behaves oddly"]);
    assert_eq!(suspended["also"][0], "demo.twin.v1");
    assert_eq!(code(&transfer_by(&node, "demo.one", 2).unwrap_err()), "key/state");
    assert_eq!(code(&transfer_by(&node, "demo.twin", 3).unwrap_err()), "key/state");
    // Withdrawn under one name, it does not come back under a third.
    node.expect(&["keys", "revoke", "demo.one", "--reason", "leaked"]).unwrap();
    let third = [
        "keys",
        "import",
        "demo.three",
        "--scheme",
        "secp256k1-ecdsa",
        "--role",
        "account",
        "--add-to-config",
        "--secret-file",
    ];
    let secret = secret.display().to_string();
    let (status, errors) = node.expect_failure(&[&third[..], &[secret.as_str()]].concat()).unwrap();
    assert_eq!((status, errors.contains("was withdrawn for good")), (1, true), "{errors}");
    let config = std::fs::read_to_string(node.dir().join("sigwarden.toml")).unwrap();
    assert!(!config.contains("demo.three") && !node.vault_dir().join("demo.three.v1.key").exists());
}

#[test]
fn a_rotation_rule_tells_or_refuses() {
    for enforce in [false, true] {
        let mut node = Node::init(|config| {
            let rule = format!("[[rotation]]\nkeys = [\"{ACCOUNT}\"]\nmax_uses = 2\nenforce = {enforce}\n\n");
            sigwarden_tests::example::with_rules(&config, &format!("{rule}{}", sigwarden_tests::example::OPEN))
        })
        .unwrap();
        node.start().unwrap();
        transfer_by(&node, ACCOUNT, 1).unwrap();
        assert_eq!(json(&node, &["keys", "due"]).as_array().unwrap().len(), 0);
        transfer_by(&node, ACCOUNT, 2).unwrap();
        let due = node.run(&["--json", "keys", "due"]).unwrap();
        assert_eq!(due.status.code(), Some(1));
        let due: serde_json::Value = serde_json::from_slice(&due.stdout).unwrap();
        assert_eq!((&due[0]["key"], &due[0]["enforced"]), (&"demo.account.v1".into(), &enforce.into()));
        let third = transfer_by(&node, ACCOUNT, 3);
        match enforce {
            false => assert!(third.is_ok()),
            true => assert_eq!(code(&third.unwrap_err()), "key/rotation-due"),
        }
        node.expect(&["keys", "rotate", ACCOUNT, "--reason", "due"]).unwrap();
        node.expect(&["keys", "activate", ACCOUNT, "--reason", "due"]).unwrap();
        assert_eq!(transfer_by(&node, ACCOUNT, 4).unwrap().key_version, 2);
    }
}

#[test]
fn a_bound_key_signs_its_own_chain_only() {
    let mut node = Node::init(|config| {
        let bound = config.replace(
            "name = \"demo.validator\"\n",
            "name = \"demo.validator\"\nbind = { chain_id = \"another-chain\" }\n",
        );
        assert_ne!(bound, config);
        sigwarden_tests::example::with_rules(&bound, sigwarden_tests::example::OPEN)
    })
    .unwrap();
    floor(&node, 1);
    node.start().unwrap();
    assert_eq!(code(&vote_by(&node, VALIDATOR, 2).unwrap_err()), "key/binding");
}
