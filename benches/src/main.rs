//! Prints the benchmark table; `--json FILE` writes the same as JSON lines.

use anyhow::{Context, Result, bail};
use sigwarden_benches::custody_tokens::Module;
use sigwarden_benches::table::{Row, head};
use sigwarden_benches::{custody_many, custody_ml_dsa, custody_secrets, custody_tokens};
use sigwarden_benches::{daemon, group, in_process, ledger_files, machine, policies, policy_expressions, policy_reload, start};
use sigwarden_core::Scheme;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

type Measure = Box<dyn Fn() -> Result<Vec<Row>>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (mut json, mut only) = (None, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--echo" => return daemon::echo(&PathBuf::from(arguments.next().context("--echo SOCKET")?)),
            "--child" => return custody_tokens::child(&arguments.next().context("--child ROW")?),
            "--json" => json = Some(PathBuf::from(arguments.next().context("--json FILE")?)),
            name if !name.starts_with('-') => only = Some(name.to_owned()),
            unknown => bail!("there is no option {unknown}; --json FILE, or the beginning of a row's name"),
        }
    }
    let dir = std::env::temp_dir();
    println!("{}\n\n{}", machine::describe(&dir)?, head());
    let mut lines = Vec::new();
    let mut missed = false;
    for (name, measure) in measures(dir) {
        if only.as_ref().is_some_and(|only| !name.starts_with(only.as_str())) {
            continue;
        }
        for row in measure().with_context(|| format!("row {name}"))? {
            println!("{}", row.line());
            missed |= row.holds == Some(false);
            lines.push(serde_json::to_string(&row)?);
        }
    }
    if let Some(path) = json {
        let mut file = std::fs::File::create(&path).with_context(|| path.display().to_string())?;
        for line in lines {
            writeln!(file, "{line}")?;
        }
    }
    if missed {
        println!("\nA row missed its target. Machines are noisy: run it again alone, `cargo xtask bench NAME`, before believing it.");
    }
    Ok(())
}

fn measures(dir: PathBuf) -> Vec<(&'static str, Measure)> {
    let one = |row: Result<Row>| row.map(|row| vec![row]);
    let (ecdsa, ed25519) = (Scheme::Secp256k1Ecdsa, Scheme::Ed25519);
    let window = Duration::from_secs(8);
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o] = std::array::from_fn(|_| dir.clone());
    vec![
        ("policy-1k", Box::new(move || one(policies::one("policy-1k", 1_000, 0.25, 20_000)))),
        (
            "policy-100k",
            Box::new(move || one(policies::one("policy-100k", 100_000, 0.5, 20_000))),
        ),
        ("policies-3", Box::new(move || one(policies::three_row(20_000)))),
        ("expressions-10", Box::new(move || one(policy_expressions::ten_rules(20_000)))),
        ("policy-reload-4", Box::new(move || one(policy_reload::reload_4(8)))),
        (
            "request-1",
            Box::new(move || one(in_process::request_1(&a, "request-1", ecdsa, 4_000))),
        ),
        (
            "requests-64",
            Box::new(move || one(in_process::requests_64(&b, "requests-64", ecdsa, window))),
        ),
        ("daemon-16", Box::new(move || daemon::daemon("daemon-16", 16, ecdsa, window))),
        ("start-10k", Box::new(move || one(start::start_10k(10_000)))),
        ("group-commit", Box::new(move || group::group_commit(&e, window))),
        ("slow-disk-256", Box::new(move || one(group::slow_disk(&f, window)))),
        (
            "request-1-ed25519",
            Box::new(move || one(in_process::request_1(&c, "request-1-ed25519", ed25519, 4_000))),
        ),
        (
            "requests-64-ed25519",
            Box::new(move || one(in_process::requests_64(&d, "requests-64-ed25519", ed25519, window))),
        ),
        (
            "daemon-16-ed25519",
            Box::new(move || daemon::daemon("daemon-16-ed25519", 16, ed25519, window)),
        ),
        (
            "daemon-1-ed25519",
            Box::new(move || daemon::daemon("daemon-1-ed25519", 1, ed25519, window)),
        ),
        ("verify-speed", Box::new(move || one(ledger_files::verify_speed(&g, 500_000)))),
        ("catch-up", Box::new(move || one(ledger_files::catch_up(&h, 500_000)))),
        (
            "start-1m-floors",
            Box::new({
                let i = i.clone();
                move || one(ledger_files::start_with_floors(&i, 1_000_000))
            }),
        ),
        ("start-1m-ids", Box::new(move || one(ledger_files::start_with_ids(&i, 1_000_000)))),
        (
            "request-1m-floors",
            Box::new(move || one(ledger_files::request_with_floors(&j, 1_000_000, 2_000))),
        ),
        ("pkcs11-softhsm", Box::new(move || custody_tokens::tokens(&k, Module::SoftHsm))),
        ("pkcs11-mock", Box::new(move || custody_tokens::tokens(&l, Module::Mock))),
        ("ml-dsa-44", Box::new(move || one(custody_ml_dsa::ml_dsa_44(&m, 4_000)))),
        ("secret-load", Box::new(move || custody_secrets::secret_load(&n, 1_000))),
        // Also `idle-100k` and `request-100k-keys`: the keys are made once.
        ("start-100k", Box::new(move || custody_many::many_keys(&o, 100_000, 4_000))),
    ]
}
