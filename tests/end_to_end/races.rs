//! Many at once: two messages for one position, two daemons for one deployment.

use crate::common::{floor, node};
use sigwarden_tests::payload::{VALIDATOR, precommit};
use std::collections::BTreeSet;
use std::sync::Barrier;

#[test]
fn of_two_conflicting_votes_raced_by_64_clients_exactly_one_is_signed() {
    let mut node = node();
    floor(&node, 0);
    node.start().unwrap();
    let start = Barrier::new(64);
    let socket = node.socket();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..64u8)
            .map(|client| {
                let (start, socket) = (&start, &socket);
                scope.spawn(move || {
                    let mut caller = sigwarden_tests::Caller::connect(socket).unwrap();
                    // Even clients vote for block 1, odd ones for block 2; every one at a time of its own.
                    let vote = precommit(7, 0, 1 + client % 2, 1_700_000_000 + i64::from(client));
                    start.wait();
                    (
                        client % 2,
                        caller.call(sigwarden_tests::caller::request(VALIDATOR, "cometbft/vote", vote.sign_bytes())),
                    )
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let signed: BTreeSet<_> = answers
        .iter()
        .filter(|(_, answer)| answer.is_ok())
        .map(|(block, _)| *block)
        .collect();
    let signatures: BTreeSet<_> = answers
        .iter()
        .filter_map(|(_, answer)| answer.as_ref().ok())
        .map(|answer| answer.signatures[0].signature.clone())
        .collect();
    assert_eq!(signed.len(), 1, "one block");
    assert_eq!(
        signatures.len(),
        1,
        "one message: the one that was decided first, whatever timestamp the others had"
    );
    for (_, answer) in &answers {
        if let Err(error) = answer {
            assert_eq!(
                error.refusal().map(|refusal| refusal.code.as_str()),
                Some("floor/conflict"),
                "{error}"
            );
        }
    }
    assert_eq!(answers.iter().filter(|(_, answer)| answer.is_ok()).count(), 32);
    assert!(node.stop().unwrap().success());
    node.expect(&["audit", "verify"]).unwrap();
}

#[test]
fn a_second_daemon_on_one_deployment_refuses_to_start() {
    let mut node = node();
    node.start().unwrap();
    let (code, errors) = node.expect_failure(&["serve"]).unwrap();
    assert!(code == 1 || code == 2, "{errors}");
    assert!(errors.contains("daemon"), "it says who holds the deployment: {errors}");
    // Not even if somebody tidied the lock file away: the directory is what is locked.
    std::fs::remove_file(node.dir().join("state/lock")).unwrap();
    node.expect_failure(&["serve"]).unwrap();
    // The first one is unharmed, its socket is still its own.
    assert!(node.caller().unwrap().health().unwrap().ready);
    // What changes state is done by the daemon that has the deployment.
    let set = [
        "floors",
        "set",
        "--key",
        VALIDATOR,
        "--chain-id",
        "x",
        "--height",
        "1",
        "--reason",
        "test",
    ];
    node.expect(&set).unwrap();
    let refused = node.caller().unwrap().refused(VALIDATOR, "cometbft/vote", vote_on("x", 1)).unwrap();
    assert_eq!(refused.code, "floor/regression", "{}", refused.message);
}

fn vote_on(chain: &str, height: u64) -> Vec<u8> {
    let mut vote = precommit(height, 0, 1, 1_700_000_000);
    vote.chain_id = chain.to_owned();
    vote.sign_bytes()
}

#[test]
fn a_stop_under_load_answers_every_request_and_exits_zero() {
    let mut node = node();
    floor(&node, 0);
    node.start().unwrap();
    let socket = node.socket();
    let (signed, refused) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8u32)
            .map(|client| {
                let socket = &socket;
                scope.spawn(move || {
                    let mut caller = sigwarden_tests::Caller::connect(socket).unwrap();
                    let (mut signed, mut refused) = (Vec::new(), Vec::new());
                    for height in 1.. {
                        // A height for each client, so that floors refuse most; what matters is that each call is answered.
                        let vote = precommit(u64::from(client) + 8 * height, 0, 1, 1_700_000_000);
                        match caller.call(sigwarden_tests::caller::request(VALIDATOR, "cometbft/vote", vote.sign_bytes())) {
                            Ok(answer) => signed.push(answer.sequence),
                            Err(error) => match error.refusal() {
                                Some(refusal) => refused.push(refusal.code.clone()),
                                // The socket is gone: the daemon has stopped.
                                None => break,
                            },
                        }
                    }
                    (signed, refused)
                })
            })
            .collect();
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(node.stop().unwrap().success(), "{}", node.log());
        let parts: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        (
            parts.iter().flat_map(|part| part.0.clone()).collect::<Vec<_>>(),
            parts.iter().flat_map(|part| part.1.clone()).collect::<BTreeSet<_>>(),
        )
    });
    assert!(!signed.is_empty());
    for code in &refused {
        assert!(
            [
                "floor/regression",
                "floor/conflict",
                "busy/stopping",
                "policy/rate-limit/exceeded",
                "ledger/contention"
            ]
            .contains(&code.as_str()),
            "{code}"
        );
    }
    let lines = node.audit(100_000).unwrap();
    for sequence in signed {
        assert!(
            lines
                .iter()
                .any(|line| line["sequence"].as_str() == Some(sequence.to_string().as_str())
                    && (line["kind"] == "decision" || line["kind"] == "replay")),
            "decision {sequence} is recorded"
        );
    }
    node.expect(&["audit", "verify"]).unwrap();
}
