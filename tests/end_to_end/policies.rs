//! Policies that change under a running daemon, and shadows that decide nothing.

use sigwarden::client::CallError;
use sigwarden_tests::example::{OPEN, with_rules};
use sigwarden_tests::payload::{ACCOUNT, ALLOWED, transfer};
use sigwarden_tests::{Caller, Node, caller};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Long enough for any machine; a daemon that does not come so far has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn sign(node: &Node, nonce: u64, value: u64) -> Result<sigwarden::proto::SignResponse, CallError> {
    let payload = transfer(nonce, Some(ALLOWED), value.into()).unsigned();
    node.caller().unwrap().call(caller::request(ACCOUNT, "evm/eip-1559", payload))
}

fn rules(max_value: &str) -> String {
    format!(
        "{OPEN}\n[[policy]]\nname = \"amounts\"\nmodule = \"policies/payload-rules.wasm\"\nroles = [\"account\"]\n[policy.config.evm]\nchain_ids = [1337]\nrecipients = [\"0xa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1\"]\nmax_value = \"{max_value}\"\nmax_gas_limit = 100000\nmax_fee_per_gas = \"100000000000\"\n"
    )
}

fn write(node: &Node, rules: &str) {
    let file = node.dir().join("sigwarden.toml");
    fs::write(&file, with_rules(&fs::read_to_string(&file).unwrap(), rules)).unwrap();
}

fn denial(answer: Result<sigwarden::proto::SignResponse, CallError>) -> String {
    answer.unwrap_err().refusal().unwrap().denials[0].code.clone()
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_reload_takes_a_good_set_at_once_and_a_bad_one_changes_nothing() {
    let mut node = Node::init(|config| with_rules(&config, &rules("10"))).unwrap();
    let reload = ["policy", "reload", "--reason", "a test"];
    let (status, errors) = node.expect_failure(&reload).unwrap();
    assert!(status == 1 && errors.contains("no daemon runs"), "{errors}");
    node.start().unwrap();
    sign(&node, 1, 10).unwrap();
    assert_eq!(denial(sign(&node, 2, 11)), "policy/amounts/evm/value");

    write(&node, &rules("20"));
    // Nothing happens before somebody asks for it.
    assert_eq!(denial(sign(&node, 2, 11)), "policy/amounts/evm/value");
    let done = json(&node.expect(&[&["--json"], &reload[..]].concat()).unwrap());
    assert_eq!(done["changed"], serde_json::json!(["amounts"]));
    assert_eq!(done["policies"].as_array().unwrap().len(), 3);
    sign(&node, 2, 20).unwrap();

    for (bad, said) in [
        (rules("20").replace("max_value", "max_valeu"), "max_valeu"),
        (rules("20").replace("payload-rules.wasm", "missing.wasm"), "missing.wasm"),
        (
            rules("20").replace("roles = [\"account\"]\n[policy.config", "roles = [\"acount\"]\n[policy.config"),
            "acount",
        ),
        (
            rules("20").replace(
                "name = \"amounts\"",
                "name = \"amounts\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"",
            ),
            "pinned is 0000",
        ),
    ] {
        write(&node, &bad);
        let (status, errors) = node.expect_failure(&reload).unwrap();
        assert!(
            status == 1 && errors.contains("the policies in force stay") && errors.contains(said),
            "{errors}"
        );
    }
    sign(&node, 3, 20).unwrap();
    assert_eq!(denial(sign(&node, 4, 21)), "policy/amounts/evm/value");

    // One that is taken out is gone, and the record says so.
    write(&node, OPEN);
    let done = json(&node.expect(&[&["--json"], &reload[..]].concat()).unwrap());
    assert_eq!(done["removed"], serde_json::json!(["amounts"]));
    sign(&node, 4, 1_000).unwrap();
    let sequence = done["sequence"].as_u64().unwrap().to_string();
    let record = node
        .audit(100)
        .unwrap()
        .into_iter()
        .find(|record| record["sequence"] == *sequence)
        .unwrap();
    assert_eq!(record["kind"], "maintenance");
    assert_eq!(record["body"]["reason"], "policy reload: a test (no more: amounts)");
    assert!(node.stop().unwrap().success());
    node.expect(&["audit", "verify"]).unwrap();
}

#[test]
fn sighup_reloads_and_does_not_stop() {
    let mut node = Node::init(|config| with_rules(&config, &rules("10"))).unwrap();
    node.start().unwrap();
    write(&node, &rules("20"));
    node.signal(rustix::process::Signal::HUP).unwrap();
    let begun = Instant::now();
    while sign(&node, 1, 20).is_err() {
        assert!(begun.elapsed() < PATIENCE, "{}", node.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    write(&node, &rules("20").replace("max_value", "max_valeu"));
    node.signal(rustix::process::Signal::HUP).unwrap();
    while !node.log().contains("SIGHUP: the policies in force stay") {
        assert!(begun.elapsed() < PATIENCE, "{}", node.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    sign(&node, 2, 20).unwrap();
    assert!(node.stop().unwrap().success());
}

#[test]
fn a_reload_under_load_refuses_no_request() {
    let mut node = Node::init(|config| with_rules(&config, &rules("10"))).unwrap();
    node.start().unwrap();
    let (socket, over, signed) = (node.socket(), AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let signers: Vec<_> = (0..4_u64)
            .map(|signer| {
                let (socket, over, signed) = (&socket, &over, &signed);
                scope.spawn(move || {
                    let mut caller = Caller::connect(socket).unwrap();
                    let mut nonce = signer << 32;
                    while !over.load(Ordering::SeqCst) {
                        let payload = transfer(nonce, Some(ALLOWED), 1).unsigned();
                        caller.call(caller::request(ACCOUNT, "evm/eip-1559", payload)).unwrap();
                        signed.fetch_add(1, Ordering::SeqCst);
                        nonce += 1;
                    }
                })
            })
            .collect();
        for value in ["20", "30", "40"] {
            let from = signed.load(Ordering::SeqCst);
            while signed.load(Ordering::SeqCst) < from + 50 && !signers.iter().any(std::thread::ScopedJoinHandle::is_finished) {
                std::thread::sleep(Duration::from_millis(2));
            }
            write(&node, &rules(value));
            node.expect(&["policy", "reload", "--reason", "a test"]).unwrap();
        }
        over.store(true, Ordering::SeqCst);
        for signer in signers {
            signer.join().unwrap();
        }
    });
    assert!(signed.load(Ordering::SeqCst) >= 150);
}

#[test]
fn a_shadow_decides_nothing_and_its_report_tells_where_it_would_have_decided_otherwise() {
    let shadows = "\n[[policy]]\nname = \"limits-next\"\nmodule = \"policies/rate-limit.wasm\"\nshadow_of = \"limits\"\nroles = [\"account\"]\n[[policy.config.rules]]\nname = \"all\"\ncapacity = 3\nperiod = \"1h\"\n";
    let live = "\n[[policy]]\nname = \"limits\"\nmodule = \"policies/rate-limit.wasm\"\nroles = [\"account\"]\n[[policy.config.rules]]\nname = \"all\"\ncapacity = 5\nperiod = \"1h\"\n";
    let mut node = Node::init(|config| with_rules(&config, &format!("{OPEN}{live}"))).unwrap();
    node.start().unwrap();
    sign(&node, 1, 1).unwrap();
    // The candidate begins with what the policy in force has counted.
    write(&node, &format!("{OPEN}{live}{shadows}"));
    let done = node.expect(&["policy", "reload", "--reason", "a candidate"]).unwrap();
    assert!(done.contains("limits-next 0.1.0, a shadow, changed"), "{done}");
    for nonce in 2..=5 {
        sign(&node, nonce, 1).unwrap();
    }
    assert_eq!(denial(sign(&node, 6, 1)), "policy/limits/exceeded");
    let begun = Instant::now();
    let report = loop {
        let report = json(&node.expect(&["--json", "policy", "shadow-report"]).unwrap());
        if report[0]["requests"] == 5 {
            break report;
        }
        assert!(begun.elapsed() < PATIENCE, "{report}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let of_next = &report[0];
    assert_eq!(
        (&of_next["policy"], &of_next["same"], &of_next["otherwise"]),
        (&"limits-next".into(), &3.into(), &2.into())
    );
    assert_eq!(
        (&of_next["by_code"][0]["code"], &of_next["by_code"][0]["count"]),
        (&"refuses: exceeded".into(), &2.into())
    );
    assert_eq!(of_next["by_code"][0]["requests"][0]["key"], "demo.account.v1");
    let text = node.expect(&["policy", "shadow-report", "limits-next", "--limit", "1"]).unwrap();
    assert!(
        text.contains("5 requests, 3 as decided, 2 otherwise") && text.contains("and 1 more"),
        "{text}"
    );
    assert!(node.stop().unwrap().success());
    node.expect(&["audit", "verify"]).unwrap();

    // A deployment of shadows alone would approve nothing: it is no configuration.
    write(&node, &shadows.replace("shadow_of = \"limits\"", "shadow = true"));
    let (_, errors) = node.expect_failure(&["policy", "list"]).unwrap();
    assert!(errors.contains("every `[[policy]]` is a shadow"), "{errors}");
    write(&node, &format!("{OPEN}{}", shadows.replace("\"limits\"", "\"limit\"")));
    let (_, errors) = node.expect_failure(&["policy", "list"]).unwrap();
    assert!(errors.contains("policy[2].shadow_of"), "{errors}");
}
