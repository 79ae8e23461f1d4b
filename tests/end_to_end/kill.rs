//! kill -9 at any moment under load: no conflicting signature, every signature that a client saw has its record, the chain verifies.

use crate::common::{floor, node};
use sigwarden_tests::Caller;
use sigwarden_tests::caller::request;
use sigwarden_tests::payload::{ACCOUNT, ALLOWED, VALIDATOR, precommit, transfer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How often the daemon is killed.
const KILLS: u64 = 200;

#[derive(Default)]
struct Seen {
    /// Signatures by height: (block, signature). More than one pair is a double sign.
    votes: BTreeMap<u64, BTreeSet<(u8, Vec<u8>)>>,
    /// For every signature that a client got: the sequence of its decision, and BLAKE3 of the payload that it sent.
    released: Vec<(u64, String)>,
}

#[test]
fn two_hundred_kills_under_load_yield_no_conflicting_signature_and_lose_no_record() {
    let mut node = node();
    floor(&node, 0);
    let (height, nonce) = (AtomicU64::new(1), AtomicU64::new(0));
    let seen = Mutex::new(Seen::default());
    // A small linear congruential generator (Knuth, TAOCP 3.3.4): the moments differ, and are the same in each run.
    let mut random = 0x5EED_u64;
    for round in 0..KILLS {
        node.start().unwrap_or_else(|error| panic!("start {round}: {error:#}"));
        let socket = node.socket();
        let over = AtomicBool::new(false);
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let moment = Duration::from_micros(500 + (random >> 33) % 30_000);
        std::thread::scope(|scope| {
            for client in 0..4u8 {
                let (socket, over, seen, height, nonce) = (&socket, &over, &seen, &height, &nonce);
                scope.spawn(move || {
                    let Ok(mut caller) = Caller::connect(socket) else { return };
                    while !over.load(Ordering::Relaxed) {
                        if client < 3 {
                            // Three clients vote at one height for two blocks; now and then one goes on to the next height.
                            let at = height.load(Ordering::Relaxed);
                            let block = 1 + client % 2;
                            let vote = precommit(at, 0, block, 1_700_000_000 + i64::from(client));
                            if let Ok(answer) = caller.call(request(VALIDATOR, "cometbft/vote", vote.sign_bytes())) {
                                let mut seen = seen.lock().unwrap();
                                let signature = answer.signatures[0].signature.clone();
                                seen.votes.entry(at).or_default().insert((block, signature));
                                seen.released.push((answer.sequence, blake3::hash(&vote.sign_bytes()).to_string()));
                            }
                            if client == 2 {
                                height.fetch_add(1, Ordering::Relaxed);
                            }
                        } else {
                            let transfer = transfer(nonce.fetch_add(1, Ordering::Relaxed), Some(ALLOWED), 1);
                            if let Ok(answer) = caller.call(request(ACCOUNT, "evm/eip-1559", transfer.unsigned())) {
                                let mut seen = seen.lock().unwrap();
                                seen.released
                                    .push((answer.sequence, blake3::hash(&transfer.unsigned()).to_string()));
                            }
                        }
                    }
                });
            }
            std::thread::sleep(moment);
            node.kill().unwrap();
            over.store(true, Ordering::Relaxed);
        });
    }

    let verified = node.expect(&["audit", "verify", "--json"]).unwrap();
    assert!(verified.contains("head"), "{verified}");
    let seen = seen.into_inner().unwrap();
    let double: Vec<_> = seen.votes.iter().filter(|(_, signed)| signed.len() > 1).collect();
    assert!(double.is_empty(), "two messages signed at one height: {double:?}");
    assert!(seen.released.len() > 100, "the load was real: {}", seen.released.len());

    // From the files themselves: a record that was lost and whose sequence was given to another request must not pass.
    let mut decided = BTreeMap::new();
    for entry in std::fs::read_dir(node.dir().join("state/log")).unwrap() {
        for line in std::fs::read_to_string(entry.unwrap().path()).unwrap().lines() {
            let Ok(line) = serde_json::from_str::<serde_json::Value>(line.trim_matches('\0')) else {
                continue;
            };
            if line["kind"] == "decision" || line["kind"] == "replay" {
                let sequence: u64 = line["sequence"].as_str().unwrap().parse().unwrap();
                decided.insert(sequence, line["body"]["payload"]["blake3"].as_str().unwrap().to_owned());
            }
        }
    }
    for (sequence, payload) in &seen.released {
        assert_eq!(
            decided.get(sequence),
            Some(payload),
            "a signature was released under decision {sequence}, which is not on disk as it was made"
        );
    }
}
