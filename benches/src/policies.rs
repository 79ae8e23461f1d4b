//! Policies alone: `policy-1k`, `policy-100k`, `policies-3`.

use crate::measure::alternate;
use crate::raw::Raw;
use crate::rig::{KEY, module, now_ms, sandbox};
use crate::table::{Row, Target};
use anyhow::{Result, bail};
use sigwarden_core::key::KeyEntry;
use sigwarden_core::policy::{Evaluator, Job, RequestView, Verdict};
use sigwarden_core::state::{KeyStatus, State};
use sigwarden_core::{Format, KeyState, Network, Operation, Role, Scheme};
use sigwarden_policy::ModuleSource;
use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;

/// The n-th address of the allow-list's first thousand.
#[must_use]
pub fn allowed(n: u64) -> [u8; 20] {
    address((n % 1_000) * 7919 % 1_000)
}

fn address(n: u64) -> [u8; 20] {
    let mut address = [0xA0; 20];
    address[..8].copy_from_slice(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    address
}

/// An allow-list of so many addresses.
#[must_use]
pub fn addresses(count: u64) -> Vec<String> {
    (0..count).map(|n| format!("0x{}", hex::encode(address(n)))).collect()
}

/// The three policies of the rows marked with a star.
///
/// # Errors
/// They are not built.
pub fn three(addresses_count: u64) -> Result<Vec<ModuleSource>> {
    Ok(vec![
        module("network-mode", "network-mode", sigwarden_tests::example::bench_network_mode())?,
        module(
            "payload-rules",
            "payload-rules",
            sigwarden_tests::example::bench_payload_rules(&addresses(addresses_count)),
        )?,
        module("rate-limit", "rate-limit", sigwarden_tests::example::bench_rate_limit())?,
    ])
}

/// One policy that searches a list of `entries` and takes from one bucket.
///
/// # Errors
/// It is not built, or denies.
pub fn one(name: &'static str, entries: u64, bound: f64, rounds: usize) -> Result<Row> {
    let config = serde_json::json!({ "addresses": addresses(entries), "capacity": 1_000_000_000_u64, "period-ms": 1_000 });
    let modules = vec![module("list", "bench-list-and-take", config.to_string())?];
    row(
        name,
        modules,
        bound,
        rounds,
        format!("a list of {entries} entries, one limits.take"),
    )
}

/// Three policies on one request, evaluation only.
///
/// # Errors
/// They are not built, or deny.
pub fn three_row(rounds: usize) -> Result<Row> {
    row(
        "policies-3",
        three(1_000)?,
        0.6,
        rounds,
        "network-mode, payload-rules (1,000 addresses), rate-limit on an EIP-1559 transfer".to_owned(),
    )
}

fn row(name: &'static str, modules: Vec<ModuleSource>, bound: f64, rounds: usize, note: String) -> Result<Row> {
    let count = modules.len();
    let (_engine, sandbox, _) = sandbox(modules)?;
    let request = Arc::new(request()?);
    let snapshot = State::default();
    let evaluate = || {
        for binding in 0..count {
            let job = Job {
                binding,
                request: Arc::clone(&request),
                snapshot: snapshot.clone(),
            };
            black_box(sandbox.evaluate(job)).ok();
        }
    };
    for binding in 0..count {
        let report = sandbox.evaluate(Job {
            binding,
            request: Arc::clone(&request),
            snapshot: snapshot.clone(),
        })?;
        if let Verdict::Deny(denials) = report.verdict {
            bail!("a benchmark's request was denied: {denials:?}");
        }
    }
    let mut raw = Raw::default();
    let (base, samples) = alternate(rounds, || raw.sign(), evaluate);
    Ok(Row::new(
        name,
        samples.p50() / base.p50(),
        (samples.p50(), samples.p99()),
        base.p50(),
        Some(Target::AtMost(bound)),
        note,
    ))
}

/// A transfer as the pipeline would show it.
///
/// # Errors
/// It does not decode.
pub fn request() -> Result<RequestView> {
    let payload = sigwarden_tests::payload::transfer(7, Some(allowed(7)), 1).unsigned();
    let key = KeyEntry {
        id: format!("{KEY}.v1").parse()?,
        roles: BTreeSet::from([Role::Account]),
        scheme: Scheme::Secp256k1Ecdsa,
        public_key: vec![2; 33],
        backend: "vault".to_owned(),
        dangerous_allow_raw_messages: false,
        dangerous_allow_raw_digests: false,
        dangerous_allow_prefixed_raw: vec![],
        bound: None,
        rotation: None,
    };
    let key_status = KeyStatus {
        scheme: key.scheme,
        public_key: key.public_key.clone(),
        created_ms: 1,
        state: KeyState::Active,
        version: 1,
        grace: None,
        uses: 1,
    };
    Ok(RequestView {
        id: "bench".into(),
        operation: Operation::Sign,
        caller: "bench".into(),
        network: Network::Devnet,
        key: Arc::new(key),
        key_status,
        format: Format::EvmEip1559,
        decoded: sigwarden_formats::decode(Format::EvmEip1559, Scheme::Secp256k1Ecdsa, &payload)?,
        payload: payload.into(),
        now_ms: now_ms(),
    })
}
