//! Request ids over the socket and over the daemon's death.

use crate::common::{floor, node};
use sigwarden::proto::SignRequest;
use sigwarden_tests::Node;
use sigwarden_tests::payload::{ACCOUNT, ALLOWED, VALIDATOR, precommit, transfer};

fn pay(nonce: u64, id: &str) -> SignRequest {
    SignRequest {
        request_id: id.to_owned(),
        ..sigwarden_tests::caller::request(ACCOUNT, "evm/eip-1559", transfer(nonce, Some(ALLOWED), 1).unsigned())
    }
}

fn vote(height: u64, seconds: i64, id: &str) -> SignRequest {
    SignRequest {
        request_id: id.to_owned(),
        ..sigwarden_tests::caller::request(VALIDATOR, "cometbft/vote", precommit(height, 0, 1, seconds).sign_bytes())
    }
}

fn code(node: &Node, request: SignRequest) -> String {
    let refused = node.caller().unwrap().call(request).unwrap_err();
    refused.refusal().map(|refusal| refusal.code.clone()).unwrap_or_default()
}

#[test]
fn an_id_gets_its_signature_back_after_kill_9_and_nothing_else_gets_its_id() {
    let mut node = node();
    floor(&node, 0);
    node.start().unwrap();
    let mut caller = node.caller().unwrap();
    let paid = caller.call(pay(1, "order-1")).unwrap();
    let voted = caller.call(vote(5, 100, "vote-5")).unwrap();
    caller.call(vote(6, 100, "vote-6")).unwrap();
    assert!(!paid.replay && paid.request_id == "order-1");
    // The outcomes are durable with the next batch, within a second.
    node.audit_of("vote-6").unwrap();
    for restart in ["kill", "stop"] {
        match restart {
            "kill" => node.kill().unwrap(),
            _ => assert!(node.stop().unwrap().success()),
        }
        node.start().unwrap();
        let mut caller = node.caller().unwrap();
        let again = caller.call(pay(1, "order-1")).unwrap();
        assert!(again.replay, "{restart}");
        assert_eq!(again.signatures, paid.signatures, "{restart}: with its recovery id");
        // The floor has moved on: what was signed for this very payload may leave again, and nothing else.
        let again = caller.call(vote(5, 100, "vote-5")).unwrap();
        assert_eq!((again.replay, &again.signatures), (true, &voted.signatures), "{restart}");
        assert_eq!(code(&node, vote(5, 200, "vote-5")), "floor/regression", "{restart}");
        assert_eq!(code(&node, pay(2, "order-1")), "request/id-reused", "{restart}");
    }
    let lines = node.audit_of("order-1").unwrap();
    let kinds: Vec<_> = lines.iter().filter_map(|line| line["kind"].as_str()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "decision").count(), 1, "{kinds:?}");
    assert!(node.stop().unwrap().success());
    node.expect(&["audit", "verify"]).unwrap();
}

/// Killed again and again between decision and outcome: the id never gets a second decision or another message.
#[test]
fn however_often_the_daemon_dies_an_id_has_one_decision_and_one_signature() {
    let mut node = node();
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for round in 0..12 {
        node.start().unwrap();
        let socket = node.socket();
        // Asked by several at once, and killed while they wait.
        let answers: Vec<_> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut caller = sigwarden_tests::Caller::connect(&socket).ok()?;
                        caller.call(pay(1, "the-one")).ok()
                    })
                })
                .collect();
            std::thread::sleep(std::time::Duration::from_micros(300 * round));
            node.kill().unwrap();
            asking.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        seen.extend(answers.iter().map(|answer| answer.signatures[0].signature.clone()));
    }
    node.start().unwrap();
    let last = node.caller().unwrap().call(pay(1, "the-one")).unwrap();
    assert!(seen.iter().all(|signature| *signature == last.signatures[0].signature));
    let lines = node.audit_of("the-one").unwrap();
    let decisions = lines.iter().filter(|line| line["kind"] == "decision").count();
    assert_eq!(decisions, 1, "{lines:?}");
    assert!(node.stop().unwrap().success());
    node.expect(&["audit", "verify"]).unwrap();
}
