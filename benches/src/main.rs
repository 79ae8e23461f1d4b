//! Prints the benchmark table; `--json FILE` writes the same as JSON lines, `--peers LISTENER TMKMS` measures tmkms beside Sigwarden instead.

use anyhow::{Context, Result, bail};
use sigwarden_benches::custody_tokens::Module;
use sigwarden_benches::table::{Row, head};
use sigwarden_benches::{batch, daemon, echo, group, idle, in_process, ledger_files, machine, peers};
use sigwarden_benches::{custody_many, custody_ml_dsa, custody_secrets, custody_tokens};
use sigwarden_benches::{policies, policy_expressions, policy_reload, privval, remote_hop, start};
use sigwarden_core::Scheme;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

type Measure = Box<dyn Fn() -> Result<Vec<Row>>>;

/// What is asked for.
#[derive(Default)]
struct Arguments {
    /// Where the rows go as JSON lines.
    json: Option<PathBuf>,
    /// A row's name, or its beginning.
    only: Option<String>,
    /// CometBFT's listener and tmkms.
    beside: Option<(PathBuf, PathBuf)>,
}

fn main() -> Result<()> {
    let mut given = std::env::args().skip(1);
    let mut asked = Arguments::default();
    while let Some(argument) = given.next() {
        let mut next = |what: &'static str| given.next().context(what);
        match argument.as_str() {
            "--echo" => return echo::serve(&PathBuf::from(next("--echo SOCKET")?)),
            "--echo-tls" => {
                let port = next("--echo-tls PORT DIRECTORY")?.parse()?;
                return echo::serve_tls(port, &PathBuf::from(next("--echo-tls PORT DIRECTORY")?));
            }
            "--child" => return custody_tokens::child(&next("--child ROW")?),
            "--peers" => asked.beside = Some((next("--peers LISTENER TMKMS")?.into(), next("--peers LISTENER TMKMS")?.into())),
            "--json" => asked.json = Some(next("--json FILE")?.into()),
            name if !name.starts_with('-') => asked.only = Some(name.to_owned()),
            unknown => bail!("there is no option {unknown}; --json FILE, or the beginning of a row's name"),
        }
    }
    table(&asked)
}

fn table(asked: &Arguments) -> Result<()> {
    let dir = std::env::temp_dir();
    println!("{}\n\n{}", machine::describe(&dir)?, head());
    let mut measures = match &asked.beside {
        Some(programs) => vec![peers_of(programs.clone())],
        None => measures(dir),
    };
    if let Some(only) = &asked.only {
        // `daemon-1` is a name, and the beginning of others.
        let exact = measures.iter().any(|(name, _)| name == only);
        measures.retain(|(name, _)| if exact { name == only } else { name.starts_with(only.as_str()) });
    }
    let mut lines = Vec::new();
    let mut missed = false;
    for (name, measure) in measures {
        for row in measure().with_context(|| format!("row {name}"))? {
            println!("{}", row.line());
            missed |= row.holds == Some(false);
            lines.push(serde_json::to_string(&row)?);
        }
    }
    if let Some(path) = &asked.json {
        let mut file = std::fs::File::create(path).with_context(|| path.display().to_string())?;
        for line in lines {
            writeln!(file, "{line}")?;
        }
    }
    if asked.beside.is_some() {
        println!("\n{}", peers::DURABILITY);
    }
    if missed {
        println!("\nA row missed its target. Machines are noisy: run it again alone, `cargo xtask bench NAME`, before believing it.");
    }
    Ok(())
}

/// What `cargo xtask bench peers` runs, which brings both programs.
fn peers_of((listener, tmkms): (PathBuf, PathBuf)) -> (&'static str, Measure) {
    ("peers", Box::new(move || peers::peers(&listener, &tmkms, 2_000)))
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
        (
            "daemon-16-tls",
            Box::new(move || one(daemon::daemon_tls("daemon-16-tls", 16, window))),
        ),
        ("daemon-1", Box::new(move || one(daemon::daemon_1("daemon-1", window)))),
        // Also `sign-batch-64-1`.
        ("sign-batch-64", Box::new(move || batch::sign_batch_64(window))),
        // Also `privval-precommit`.
        ("privval", Box::new(|| privval::privval(2_000))),
        ("idle-1000", Box::new(move || one(idle::idle("idle-1000", 1_000, 64.0)))),
        ("remote-hop", Box::new(move || one(remote_hop::remote_hop("remote-hop", 2_000)))),
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
