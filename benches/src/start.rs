//! `start-10k`: opening a deployment with ten thousand sealed keys, less one key derivation.

use crate::rig::now_ms;
use crate::table::{Row, Target};
use anyhow::{Context, Result};
use sigwarden_core::Scheme;
use sigwarden_core::key::KeyId;
use sigwarden_keys::{Passphrase, Vault};
use sigwarden_tests::Node;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// The name of the key of this number in [`with_keys`].
#[must_use]
pub fn key_name(number: usize) -> String {
    format!("m.k{number}")
}

/// The benchmarks' deployment with so many sealed keys in all, each in its configuration. It has not started yet.
///
/// # Errors
/// The keys cannot be sealed.
pub fn with_keys(count: usize) -> Result<Node> {
    let node = crate::deployment::node()?;
    let vault = Vault::open(&node.vault_dir(), &Passphrase::from_file(&node.passphrase_file())?)?;
    let more = count.checked_sub(vault.index().len()).context("fewer keys than it has already")?;
    let keys: Vec<(KeyId, Scheme)> = (0..more)
        .map(|n| Ok((format!("{}.v1", key_name(n)).parse()?, Scheme::Secp256k1Ecdsa)))
        .collect::<Result<_>>()?;
    vault.generate_many(&keys, now_ms())?;
    drop(vault);
    let mut tables = String::new();
    for (id, scheme) in &keys {
        // Without a space to spare: a hundred thousand of them just fit into the largest configuration that is read.
        writeln!(
            tables,
            "[[key]]\nname=\"{}\"\nroles=[\"account\"]\nscheme=\"{scheme}\"\nbackend=\"vault\"",
            id.name
        )?;
    }
    let config = node.dir().join("sigwarden.toml");
    let text = std::fs::read_to_string(&config)?;
    std::fs::write(&config, text.replacen("[[policy]]", &format!("{tables}\n[[policy]]"), 1))?;
    Ok(node)
}

/// How long the real daemon takes to start, once its keys are pinned and the code cache is warm. It runs afterwards.
///
/// # Errors
/// It does not start.
pub fn warm(node: &mut Node) -> Result<Duration> {
    node.start()?;
    node.stop()?;
    let begun = Instant::now();
    node.start()?;
    Ok(begun.elapsed())
}

/// Starts the real daemon twice: once to pin keys and warm the code cache, once measured.
///
/// # Errors
/// It does not start.
pub fn start_10k(count: usize) -> Result<Row> {
    let mut node = with_keys(count)?;
    let start = warm(&mut node)?;
    node.stop()?;
    // One derivation by itself, as the start makes it.
    let begun = Instant::now();
    let derived = Vault::open(&node.vault_dir(), &Passphrase::from_file(&node.passphrase_file())?)?;
    let derivation = begun.elapsed();
    drop(derived);
    let seconds = start.saturating_sub(derivation).as_secs_f64();
    let note = format!(
        "{count} sealed keys, four policies, warm code cache: {:.2} s less {:.2} s for opening the vault alone",
        start.as_secs_f64(),
        derivation.as_secs_f64()
    );
    let micros = start.as_secs_f64() * 1e6;
    Ok(Row::new(
        "start-10k",
        seconds,
        (micros, micros),
        derivation.as_secs_f64() * 1e6,
        Some(Target::AtMost(2.0)),
        note,
    ))
}
