//! A scrape with something of everything.

use crate::world::{NOW, World};
use sigwarden_core::ledger::{Entry, Shadowed};
use sigwarden_core::policy::Verdict;
use sigwarden_core::state::Effect;
use sigwarden_core::watermark::Watermark;
use sigwarden_core::{Format, Ledger, Operation};
use sigwarden_telemetry::Observed;
use sigwarden_telemetry::http::{Readiness, Trouble};
use sigwarden_telemetry::metrics::{BackendFact, CertificateFact, Facts, HsmFact, Listener, PeerKind, PolicyFact, QueueFact, TokenFact};
use std::sync::Arc;

/// Facts with something of everything.
pub fn full() -> (World, Facts, Readiness) {
    let world = World::new();
    world.message("hello").unwrap();
    world.vote("3/a").unwrap();
    let digest = |digit: &str| digit.repeat(64);
    let mut state = world.facts().state;
    for index in 0..300 {
        state.apply(&Effect::Watermark {
            instance: "nonces".into(),
            name: format!("account-{index:03}").into(),
            watermark: Watermark {
                position: vec![1000 + index, 7],
                identity: vec![1],
            },
        });
    }
    let facts = Facts {
        state,
        policies: vec![PolicyFact {
            instance: "p0".into(),
            version: "0.1.0".into(),
            module_digest: digest("1"),
            config_digest: digest("2"),
            shadow: true,
        }],
        backends: vec![BackendFact {
            name: "hsm".into(),
            kind: "pkcs11",
            up: false,
        }],
        hsms: vec![HsmFact {
            backend: "hsm".into(),
            sign_success: 9,
            sign_errors: vec![("pin", 1)],
            last_latency_micros: 2500,
            failovers: 2,
            reconnects: 3,
            tokens: vec![TokenFact {
                label: "signer \"a\"".into(),
                state: "ready",
                ready: true,
                sessions_in_use: 4,
            }],
        }],
        certificates: vec![CertificateFact {
            name: "server".into(),
            expires: 1_800_000_000,
        }],
        queue: QueueFact { waiting: 5, limit: 1024 },
        ..world.facts()
    };
    let readiness = Readiness::default()
        .with("ledger", true, None)
        .with("backend/hsm", true, Some(Trouble::Unanswered));
    let shadow = Observed::new(Arc::clone(&world.ledger), Arc::clone(&world.metrics));
    let peer = world.metrics.peer(PeerKind::Privval, "sentry-1");
    peer.up();
    peer.failed();
    peer.up();
    drop(world.metrics.connected(Listener::Tls));
    world.metrics.handshake_failed("expired");
    world.metrics.handshake_failed("made-up");
    world.metrics.json_rpc("eth_sign", true);
    world.metrics.json_rpc("eth_getBalance", false);
    world.metrics.turned_away(Listener::Socket);
    let shadowed = Shadowed {
        instance: "p0".into(),
        module_digest: "11".into(),
        config_digest: "22".into(),
        request_id: "id".into(),
        caller: "tester".into(),
        key: "own.account.v1".parse().unwrap(),
        operation: Operation::Sign,
        format: Format::RawDigest,
        live: vec![],
        verdict: Ok(Verdict::Allow(None)),
        fuel: 1,
        micros: 1,
        now_ms: NOW,
    };
    shadow.append(Entry::Shadow(shadowed));
    (world, facts, readiness)
}
