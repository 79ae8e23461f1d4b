//! A hundred thousand sealed keys: `start-100k`, `idle-100k` and `request-100k-keys`.

use crate::measure::Samples;
use crate::policies::{allowed, three};
use crate::rig::{Rig, now_ms};
use crate::start::{key_name, warm, with_keys};
use crate::table::{Row, Target};
use anyhow::Result;
use sigwarden_core::{Role, Scheme};
use sigwarden_keys::{Passphrase, Vault};
use std::path::Path;
use std::time::{Duration, Instant};

/// Keys that requests go to in turn, and all the keys of the deployment that a large one is compared with.
const FEW: usize = 10;

/// Start, memory and a request with `count` keys; the keys are made once for the three.
///
/// # Errors
/// A deployment does not stand.
pub fn many_keys(dir: &Path, count: usize, rounds: usize) -> Result<Vec<Row>> {
    let mut node = with_keys(count)?;
    let start = warm(&mut node)?;
    let what = format!("after a start with {count} sealed keys, four policies");
    let idle = crate::daemon::idle_memory(&node, "idle-100k", 200.0, &what)?;
    node.stop()?;
    let derivation = derivation(dir)?;
    let seconds = start.saturating_sub(derivation).as_secs_f64();
    let (all, one) = (start.as_secs_f64(), derivation.as_secs_f64());
    let started = Row::new(
        "start-100k",
        seconds,
        (all * 1e6, all * 1e6),
        one * 1e6,
        Some(Target::AtMost(3.0)),
        format!("{count} sealed keys, four policies, warm code cache: {all:.2} s less {one:.2} s for opening an empty vault"),
    );

    let vault = Vault::open(&node.vault_dir(), &Passphrase::from_file(&node.passphrase_file())?)?;
    Ok(vec![started, idle, request(dir, vault, rounds)?])
}

/// One key derivation and nothing else: opening a vault without keys. Opening the large one would count its index too.
fn derivation(dir: &Path) -> Result<Duration> {
    let home = tempfile::tempdir_in(dir)?;
    let passphrase = Passphrase::from_bytes(b"benchmarks only".to_vec())?;
    let path = home.path().join("vault");
    drop(Vault::create(&path, &passphrase)?);
    let begun = Instant::now();
    Vault::open(&path, &passphrase)?;
    Ok(begun.elapsed())
}

/// A request in process with the keys of `vault`, in requests with ten keys. Both go to ten keys in turn: what differs is how many there are.
fn request(dir: &Path, vault: Vault, rounds: usize) -> Result<Row> {
    let count = vault.index().len();
    let home = tempfile::tempdir_in(dir)?;
    let ten = Vault::create(&home.path().join("vault"), &Passphrase::from_bytes(b"benchmarks only".to_vec())?)?;
    let names: Vec<String> = (0..FEW).map(key_name).collect();
    for name in &names {
        ten.generate(&format!("{name}.v1").parse()?, Scheme::Secp256k1Ecdsa, now_ms())?;
    }
    let rig = |vault| -> Result<Rig> {
        let rig = Rig::with_vault(dir, vault, Role::Account, three(1_000)?)?;
        // Nothing of the pinning is left to be written while requests are timed.
        rig.ledger.keep()?;
        Ok(rig)
    };
    let (few, many) = (rig(ten)?, rig(vault)?);
    let (mut with_few, mut with_many) = (Samples::default(), Samples::default());
    let mut nonce = 0;
    let mut next = |rig: &Rig, name: &str| {
        nonce += 1;
        let payload = sigwarden_tests::payload::transfer(nonce, Some(allowed(nonce)), 1).unsigned();
        rig.sign_with(name, "evm/eip-1559", payload)
    };
    for name in names.iter().cycle().take(rounds / 10) {
        next(&few, name);
        next(&many, name);
    }
    for (round, name) in names.iter().cycle().take(rounds).enumerate() {
        // Each goes first as often as the other.
        if (round / FEW).is_multiple_of(2) {
            with_few.time(|| next(&few, name));
            with_many.time(|| next(&many, name));
        } else {
            with_many.time(|| next(&many, name));
            with_few.time(|| next(&few, name));
        }
    }
    let note = format!(
        "a request with {count} keys: {:.0} us, with ten {:.0} us",
        with_many.p50(),
        with_few.p50()
    );
    Ok(Row::new(
        "request-100k-keys",
        with_many.p50() / with_few.p50(),
        (with_many.p50(), with_many.p99()),
        with_few.p50(),
        Some(Target::AtMost(1.1)),
        note,
    ))
}
