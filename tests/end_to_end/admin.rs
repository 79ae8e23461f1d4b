//! Administration beside a running daemon: the same commands, in force when they are acknowledged.

use crate::common::node;
use sigwarden::client::CallError;
use sigwarden_tests::payload::{ACCOUNT, ALLOWED, transfer};
use sigwarden_tests::{Caller, Node, caller};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// One request of a signer: when it began, and the code of its refusal.
type Asked = (Instant, Option<String>);

/// Asks for signatures until one was refused that was asked for after the acknowledgement.
fn sign_until_refused(socket: &Path, signer: u64, signed: &AtomicU64, acknowledged: &AtomicBool) -> Vec<Asked> {
    let mut caller = Caller::connect(socket).unwrap();
    let mut asked: Vec<Asked> = Vec::new();
    for nonce in 0.. {
        let payload = transfer(signer << 32 | nonce, Some(ALLOWED), 1).unsigned();
        let last = acknowledged.load(Ordering::SeqCst);
        let begun = Instant::now();
        match caller.call(caller::request(ACCOUNT, "evm/eip-1559", payload)) {
            Ok(_) => {
                signed.fetch_add(1, Ordering::SeqCst);
                asked.push((begun, None));
            }
            Err(CallError::Refused(refusal)) => {
                asked.push((begun, Some(refusal.code)));
            }
            Err(error) => panic!("{error}"),
        }
        if last {
            break;
        }
        assert!(nonce < 1_000_000, "the suspension never came");
    }
    asked
}

#[test]
fn a_suspension_raced_by_64_signers_lets_no_signature_out_after_its_acknowledgement() {
    let mut node = node();
    node.start().unwrap();
    let (socket, signed, over) = (node.socket(), AtomicU64::new(0), AtomicBool::new(false));
    let (acknowledged, asked) = std::thread::scope(|scope| {
        let signers: Vec<_> = (0..64)
            .map(|signer| {
                let (socket, signed, over) = (&socket, &signed, &over);
                scope.spawn(move || sign_until_refused(socket, signer, signed, over))
            })
            .collect();
        wait_until("the signers are at work", || signed.load(Ordering::SeqCst) > 640);
        node.expect(&["keys", "suspend", ACCOUNT, "--reason", "a race"]).unwrap();
        let acknowledged = Instant::now();
        over.store(true, Ordering::SeqCst);
        let asked: Vec<Asked> = signers.into_iter().flat_map(|signer| signer.join().unwrap()).collect();
        (acknowledged, asked)
    });
    let after: Vec<_> = asked.iter().filter(|(begun, _)| *begun > acknowledged).collect();
    assert!(after.len() >= 64, "every signer asked after it: {}", after.len());
    assert!(asked.iter().all(|(_, code)| code.as_deref().is_none_or(|code| code == "key/state")));
    assert!(
        after.iter().all(|(_, code)| code.is_some()),
        "no request that began after it was signed"
    );

    node.stop().unwrap();
    let records = node.audit(1_000_000).unwrap();
    let number = |value: &serde_json::Value| value.as_str().unwrap().parse::<u64>().unwrap();
    let of = |kind: &'static str| records.iter().filter(move |record| record["kind"] == kind);
    let suspended = number(&of("lifecycle").next().unwrap()["sequence"]);
    for decision in of("decision") {
        assert!(
            number(&decision["sequence"]) < suspended,
            "a decision after the suspension: {decision}"
        );
    }
    let released: Vec<_> = of("outcome").filter(|outcome| outcome["body"]["signatures"].is_array()).collect();
    assert_eq!(
        released.len() as u64,
        signed.load(Ordering::SeqCst),
        "every signature that left is recorded"
    );
    for outcome in &released {
        assert!(
            number(&outcome["sequence"]) < suspended,
            "a signature after the suspension: {outcome}"
        );
    }
    assert_eq!(of("decision").count(), of("outcome").count());
    for outcome in of("outcome").filter(|outcome| number(&outcome["sequence"]) > suspended) {
        assert_eq!(outcome["body"]["code"], "key/state", "{outcome}");
    }
}

#[test]
fn a_key_is_suspended_resumed_and_revoked_alike_with_and_without_a_daemon() {
    for running in [false, true] {
        let mut node = node();
        let sign = |node: &Node| {
            node.caller()
                .unwrap()
                .call(caller::request(ACCOUNT, "evm/eip-1559", transfer(1, Some(ALLOWED), 1).unsigned()))
        };
        let with_daemon = |node: &mut Node, check: &dyn Fn(&Node)| {
            if !running {
                node.start().unwrap();
            }
            check(node);
            if !running {
                node.stop().unwrap();
            }
        };
        if running {
            node.start().unwrap();
        }
        let change = |node: &Node, what: &str| node.expect(&["--json", "keys", what, ACCOUNT, "--reason", "a test"]).unwrap();
        let suspended: serde_json::Value = serde_json::from_str(&change(&node, "suspend")).unwrap();
        assert_eq!((&suspended["before"], &suspended["state"]), (&"active".into(), &"suspended".into()));
        let (code, errors) = node.expect_failure(&["keys", "suspend", ACCOUNT, "--reason", "again"]).unwrap();
        assert_eq!((code, errors.contains("is suspended already")), (1, true), "{errors}");
        let refused = |node: &Node| assert_eq!(sign(node).unwrap_err().refusal().unwrap().code, "key/state");
        with_daemon(&mut node, &refused);
        change(&node, "resume");
        with_daemon(&mut node, &|node| {
            sign(node).unwrap();
        });
        change(&node, "revoke");
        with_daemon(&mut node, &refused);
        let (code, errors) = node
            .expect_failure(&["keys", "resume", ACCOUNT, "--reason", "no way back"])
            .unwrap();
        assert_eq!((code, errors.contains("for good")), (1, true), "{errors}");
        let (code, errors) = node.expect_failure(&["keys", "suspend", ACCOUNT, "--reason", " "]).unwrap();
        assert_eq!((code, errors.contains("say why")), (2, true), "{errors}");
    }
}

#[test]
fn the_admin_socket_is_its_owners_alone_and_no_signing_listener() {
    let mut node = Node::init(|config| config.replace("socket_group_access = false", "socket_group_access = true")).unwrap();
    node.start().unwrap();
    let admin = node.dir().join("run/admin.sock");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&node.socket()), mode(&admin)), (0o660, 0o600));
    // A caller is not listened to there, and administration not on the signing socket.
    let transport = |error: CallError| {
        matches!(
            error,
            CallError::Failed {
                code: tonic::Code::Unimplemented,
                ..
            }
        )
    };
    assert!(transport(Caller::connect(&admin).unwrap().health().unwrap_err()));
    let config = sigwarden::config::Config::load(node.dir()).unwrap();
    let misled = sigwarden::config::Config {
        admin_socket: node.socket(),
        ..config
    };
    let mut reach = sigwarden::admin::reach::Reach::to(&misled).unwrap();
    assert!(reach.is_daemon());
    let change = sigwarden::proto::admin::SetKeyStateRequest {
        key: ACCOUNT.into(),
        state: "suspended".into(),
        reason: "a test".into(),
    };
    let refused = reach.set_key_state(change).unwrap_err();
    assert!(refused.text.contains("Unimplemented"), "{}", refused.text);
    assert!(node.stop().unwrap().success());
    assert!(!admin.exists());
}

#[test]
fn a_new_key_and_a_pinned_policy_are_in_force_in_the_running_daemon() {
    let mut node = node();
    node.start().unwrap();
    let made = node
        .expect(&[
            "--json",
            "keys",
            "generate",
            "demo.second",
            "--scheme",
            "secp256k1-ecdsa",
            "--role",
            "account",
            "--add-to-config",
        ])
        .unwrap();
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    assert_eq!(made["in_force"], true);
    let signed = node
        .caller()
        .unwrap()
        .signed("demo.second", "evm/eip-1559", transfer(1, Some(ALLOWED), 1).unsigned())
        .unwrap();
    assert_eq!(hex::encode(signed.public_key), made["public_key"].as_str().unwrap());

    // Another module under the same file: it runs from the pin on, and the log says so.
    let module = node.dir().join("policies/network-mode.wasm");
    std::fs::copy(node.dir().join("policies/rate-limit.wasm"), &module).unwrap();
    let (code, errors) = node.expect_failure(&["policy", "pin", "accounts"]).unwrap();
    assert!(
        code != 0 && errors.contains("rules"),
        "a module that its configuration does not fit is not taken: {errors}"
    );
    node.caller()
        .unwrap()
        .signed(ACCOUNT, "evm/eip-1559", transfer(2, Some(ALLOWED), 1).unsigned())
        .unwrap();
    let text = std::fs::read_to_string(node.dir().join("sigwarden.toml")).unwrap();
    assert!(!text.contains("sha256"), "nothing was pinned");
    let pinned = node.expect(&["--json", "policy", "pin", "accounts", "--embedded"]).unwrap();
    let pinned: serde_json::Value = serde_json::from_str(&pinned).unwrap();
    assert_eq!(pinned["in_force"], true, "{pinned}");
    node.caller()
        .unwrap()
        .signed(ACCOUNT, "evm/eip-1559", transfer(3, Some(ALLOWED), 1).unsigned())
        .unwrap();
    assert!(node.stop().unwrap().success());
    node.start().unwrap();
    node.caller()
        .unwrap()
        .signed("demo.second", "evm/eip-1559", transfer(4, Some(ALLOWED), 1).unsigned())
        .unwrap();
}
