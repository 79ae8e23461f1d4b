//! What is not in memory: `secret-load` and `key-reload`, in milliseconds.

use crate::in_process::{payload, rig};
use crate::measure::Samples;
use crate::rig::now_ms;
use crate::table::{Row, Target};
use anyhow::{Result, ensure};
use sigwarden_core::Scheme;
use sigwarden_core::key::{KeyId, KeyName};
use sigwarden_keys::{Keystore, Passphrase, Vault};
use std::path::Path;
use std::time::Instant;

const SECRET: &[u8] = b"postgres://sigwarden:benchmarks-only@localhost/deployment";

/// Secrets that no memory holds, of a vault and of a keystore directory; and a key that was evicted.
///
/// # Errors
/// A file cannot be written or opened.
pub fn secret_load(dir: &Path, rounds: usize) -> Result<Vec<Row>> {
    Ok(vec![of_vault(dir, rounds)?, of_keystore(dir)?, key_reload(dir, rounds)?])
}

/// The vault opens the file at each call, with the shielded root key: it keeps no secret.
fn of_vault(dir: &Path, rounds: usize) -> Result<Row> {
    let home = tempfile::tempdir_in(dir)?;
    let vault = Vault::create(&home.path().join("vault"), &passphrase()?)?;
    let name: KeyName = "bench.secret".parse()?;
    vault.secret_set(&name, SECRET, now_ms())?;
    let mut samples = Samples::default();
    for _ in 0..rounds {
        let secret = samples.time(|| vault.secret_get(&name))?;
        ensure!(secret.expose_secret() == SECRET, "the vault gives another secret");
    }
    Ok(row(
        "secret-load",
        &samples,
        Some(100.0),
        "ms, p99: a secret of a vault, from its file".to_owned(),
    ))
}

/// A keystore derives a key for each file (PBKDF2) and keeps that: only the first call after its opening is one that loads.
fn of_keystore(dir: &Path) -> Result<Row> {
    const OPENINGS: usize = 15;
    let home = tempfile::tempdir_in(dir)?;
    let path = home.path().join("keystore");
    let (passphrase, names) = (passphrase()?, ["bench.first", "bench.second"]);
    let keystore = Keystore::create(&path, &passphrase)?;
    for name in names {
        keystore.secret_set(&name.parse()?, SECRET, now_ms())?;
    }
    drop(keystore);
    let mut samples = Samples::default();
    for _ in 0..OPENINGS {
        let keystore = Keystore::open(&path, &passphrase)?;
        // Opening derives for one of them; the other is the slower.
        let mut both = Vec::new();
        for name in names {
            let name: KeyName = name.parse()?;
            let begun = Instant::now();
            let secret = keystore.secret_get(&name)?;
            both.push(begun.elapsed());
            ensure!(secret.expose_secret() == SECRET, "the keystore gives another secret");
        }
        samples.push(both.into_iter().max().unwrap_or_default());
    }
    let note = "ms, p50: a secret of a keystore directory, its one derivation included".to_owned();
    let mut row = row("secret-load-keystore", &samples, None, note);
    row.ratio = samples.p50() / 1e3;
    Ok(row)
}

/// A whole request whose key was dropped from memory before: all of it, so at least what the reload takes.
fn key_reload(dir: &Path, rounds: usize) -> Result<Row> {
    let rig = rig(dir, Scheme::Secp256k1Ecdsa)?;
    let (format, payload) = payload(Scheme::Secp256k1Ecdsa);
    let id: KeyId = format!("{}.v1", crate::rig::KEY).parse()?;
    let (mut held, mut evicted) = (Samples::default(), Samples::default());
    for round in 0..rounds as u64 {
        held.time(|| rig.sign(format, payload(2 * round)));
        rig.backend.forget(&id);
        evicted.time(|| rig.sign(format, payload(2 * round + 1)));
    }
    let note = format!(
        "ms, p99: a whole request that reloads its key by the shielded root key; p50 {:.0} us, {:.0} us with the key held",
        evicted.p50(),
        held.p50()
    );
    Ok(row("key-reload", &evicted, Some(10.0), note))
}

fn passphrase() -> Result<Passphrase> {
    Ok(Passphrase::from_bytes(b"benchmarks only".to_vec())?)
}

fn row(name: &'static str, samples: &Samples, most: Option<f64>, note: String) -> Row {
    let times = (samples.p50(), samples.p99());
    Row::new(name, samples.p99() / 1e3, times, 0.0, most.map(Target::AtMost), note)
}
