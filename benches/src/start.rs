//! `start-10k`: opening a deployment with ten thousand sealed keys, less one key derivation.

use crate::rig::now_ms;
use crate::table::{Row, Target};
use anyhow::Result;
use sigwarden_core::Scheme;
use sigwarden_core::key::KeyId;
use sigwarden_keys::{Passphrase, Vault};
use std::fmt::Write as _;
use std::time::Instant;

/// Starts the real daemon twice: once to pin keys and warm the code cache, once measured.
///
/// # Errors
/// It does not start.
pub fn start_10k(count: u32) -> Result<Row> {
    let mut node = crate::daemon::node()?;
    let passphrase_file = node.passphrase_file();
    let keys: Vec<(KeyId, Scheme)> = (0..count)
        .map(|n| Ok((format!("many.k{n}.v1").parse()?, Scheme::Secp256k1Ecdsa)))
        .collect::<Result<_>>()?;
    let vault_dir = node.vault_dir();
    let vault = Vault::open(&vault_dir, &Passphrase::from_file(&passphrase_file)?)?;
    vault.generate_many(&keys, now_ms())?;
    drop(vault);
    let mut tables = String::new();
    for (id, scheme) in &keys {
        writeln!(
            tables,
            "[[key]]\nname = \"{}\"\nroles = [\"account\"]\nscheme = \"{scheme}\"\nbackend = \"vault\"\n",
            id.name
        )?;
    }
    let config = node.dir().join("sigwarden.toml");
    let text = std::fs::read_to_string(&config)?;
    std::fs::write(&config, text.replacen("[[policy]]", &format!("{tables}[[policy]]"), 1))?;

    node.start()?;
    node.stop()?;
    // One derivation by itself, as the start makes it.
    let begun = Instant::now();
    let derived = Vault::open(&vault_dir, &Passphrase::from_file(&passphrase_file)?)?;
    let derivation = begun.elapsed();
    drop(derived);
    let begun = Instant::now();
    node.start()?;
    let start = begun.elapsed();
    node.stop()?;
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
