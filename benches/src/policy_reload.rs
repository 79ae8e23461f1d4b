//! `policy-reload-4`: four policies replaced in a running daemon that signs meanwhile, as an operator does it: the configuration edited,
//! then `sigwarden policy reload`.

use crate::measure::Samples;
use crate::policies::{addresses, allowed};
use crate::table::{Row, Target};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use sigwarden_core::Role;
use sigwarden_tests::caller::{self, Caller};
use sigwarden_tests::payload::{ACCOUNT, transfer};
use sigwarden_tests::{Node, example};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Callers that sign meanwhile, each with one request in flight.
const CALLERS: u64 = 4;

/// Reloads with four new configurations, which are compiled anew, and as many with four that the code cache has.
///
/// # Errors
/// The daemon does not start, refuses a reload, or refuses a request meanwhile.
pub fn reload_4(rounds: u32) -> Result<Row> {
    let mut node = crate::deployment::node()?;
    node.start()?;
    let (over, signed) = (AtomicBool::new(false), AtomicU64::new(0));
    let measured = std::thread::scope(|scope| {
        let signers: Vec<_> = (0..CALLERS)
            .map(|number| {
                let (socket, over, signed) = (node.socket(), &over, &signed);
                scope.spawn(move || keep_signing(&socket, number, over, signed))
            })
            .collect();
        let measured = reloads(&node, rounds, &signed);
        over.store(true, Ordering::SeqCst);
        for signer in signers {
            signer.join().map_err(|_| anyhow::anyhow!("a caller panicked"))??;
        }
        measured
    });
    let (anew, cached) = measured?;
    let seconds = anew.p50() / 1e6;
    Ok(Row::new(
        "policy-reload-4",
        seconds,
        (anew.p50(), anew.p99()),
        cached.p50(),
        Some(Target::AtMost(1.0)),
        format!(
            "{seconds:.2} s for four new configurations (slowest {:.2} s), {:.3} s for four that were compiled before; {} requests signed by \
             {CALLERS} callers meanwhile, none refused",
            anew.p99() / 1e6,
            cached.p50() / 1e6,
            signed.load(Ordering::SeqCst)
        ),
    ))
}

fn keep_signing(socket: &Path, number: u64, over: &AtomicBool, signed: &AtomicU64) -> Result<()> {
    let mut caller = Caller::connect(socket)?;
    let mut nonce = number << 32;
    while !over.load(Ordering::SeqCst) {
        let payload = transfer(nonce, Some(allowed(nonce)), 1).unsigned();
        caller
            .call(caller::request(ACCOUNT, "evm/eip-1559", payload))
            .context("a request beside a reload was refused")?;
        signed.fetch_add(1, Ordering::SeqCst);
        nonce += 1;
    }
    Ok(())
}

fn reloads(node: &Node, rounds: u32, signed: &AtomicU64) -> Result<(Samples, Samples)> {
    let file = node.dir().join("sigwarden.toml");
    let written = std::fs::read_to_string(&file)?;
    let addresses = addresses(1_000);
    let reload = |number, samples: &mut Samples| -> Result<()> {
        configure(node, &file, &written, &addresses, number)?;
        let before = signed.load(Ordering::SeqCst);
        let told = samples.time(|| node.expect(&["--json", "policy", "reload", "--reason", "a benchmark"]))?;
        let told: serde_json::Value = serde_json::from_str(&told)?;
        let changed = told["changed"].as_array().map_or(0, Vec::len);
        ensure!(changed == 4, "{changed} policies changed, not four: {told}");
        ensure!(signed.load(Ordering::SeqCst) > before, "nobody signed during a reload");
        Ok(())
    };
    let (mut anew, mut cached) = (Samples::default(), Samples::default());
    reload(0, &mut Samples::default())?;
    for round in 1..=rounds {
        reload(round, &mut anew)?;
        // Those of the round before are compiled already.
        reload(round - 1, &mut cached)?;
    }
    Ok((anew, cached))
}

/// Four configurations that no other number has, all of which let the load through.
fn configure(node: &Node, file: &Path, written: &str, addresses: &[String], number: u32) -> Result<()> {
    // Another set of roles for each number, on a network that this is not.
    let roles = Role::ALL.iter().enumerate().filter(|(place, _)| (number + 1) >> place & 1 == 1);
    let roles: Vec<&str> = roles.map(|(_, role)| role.name()).collect();
    let mut payload_rules: serde_json::Value = serde_json::from_str(&example::bench_payload_rules(addresses))?;
    payload_rules["evm"]["max_gas_limit"] = json!(100_000 + number);
    let rate_limit = json!({ "rules": [{ "name": "all", "capacity": 1_000_000_001 + number, "period": "1s" }] });
    for (name, config) in [
        ("network-mode.json", json!({ "testnet-alpha": { "roles": roles } })),
        ("payload-rules.json", payload_rules),
        ("rate-limit.json", rate_limit),
    ] {
        std::fs::write(node.dir().join(name), config.to_string())?;
    }
    let monotonic = written.replace("rules = [{ name = \"nonce\"", &format!("rules = [{{ name = \"nonce-{number}\""));
    std::fs::write(file, monotonic)?;
    Ok(())
}
