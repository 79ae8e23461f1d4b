//! Chores of this repository.

mod bench;
mod cargo;
mod crash;
mod fuzz;
mod kryoptic;
mod mutants;
mod peers;
mod policies;
mod python;
mod soak;
mod softhsm;
mod test;
mod tmkms;
mod without_env;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask CHORE

  demo            runs the main job end to end: a throw-away deployment, a daemon, a client
  test [NAME]     every test; with NAME those whose path (package::target::module::test) contains it; `peers`: all with
                  clients and nodes of others
  test --kryoptic those against Kryoptic, a soft token with ML-DSA, which is built under the target directory once
  lint            rustfmt, clippy, and cargo deny, which is installed under the target directory
  crash [--seeds N] [--from SEED] [--exhaustive [N]] [--mutants [NAME]]
                  the ledger on a disk that lies: so many seeds; N workloads cut at every call; mutants of the
                  sources, on each of which the test must fail
  fuzz [--minutes N] [TARGET]
                  fuzzes, ten minutes a target unless told; without cargo fuzz runs the corpus once
  bench [--json FILE] [NAME]
                  the benchmark table; with NAME its row, or those that begin so; --json writes the same as JSON lines
  bench [--json FILE] peers
                  Sigwarden and the published tmkms, which is built under the target directory, in one run: votes for
                  CometBFT's own listener
  soak [--minutes N] [--out DIR] [--tls]
                  a daemon under load through kills, restarts, full disks and clock steps, ten minutes unless told:
                  a table, and a plot under target/soak; --tls: its clients come over mutual TLS
  policies        builds the reference policies into target/policies/*.wasm
  install-deps    fetches what the chores need and exits

Each chore fetches what it lacks.";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (chore, rest) = match arguments.split_first() {
        Some((chore, rest)) => (chore.as_str(), rest),
        None => ("--help", [].as_slice()),
    };
    match chore {
        "demo" => {
            policies::build_all()?;
            // All at once: built one by one, packages get different features of the same dependencies, which then compile twice.
            cargo::run(&["build", "--quiet", "--workspace", "--bins"])?;
            cargo::run_built("demo")
        }
        "test" if rest.iter().any(|argument| argument == "--kryoptic") => test::with_kryoptic(rest),
        "test" => test::run(rest.first().map(String::as_str)),
        "crash" => crash::run(rest),
        "fuzz" => {
            policies::build_all()?;
            fuzz::run(rest)
        }
        "lint" => {
            policies::build_all()?;
            cargo::run(&["fmt", "--all", "--check"])?;
            cargo::run(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
            cargo::deny()
        }
        "bench" => bench::run(rest),
        "soak" => {
            policies::build_all()?;
            soak::run(rest)
        }
        "policies" => {
            for path in policies::build_all()? {
                println!("{}", path.display());
            }
            Ok(())
        }
        "install-deps" => {
            policies::build_all()?;
            softhsm::ready()?;
            peers::ready()?;
            python::ready().map(|_| ())
        }
        "--help" | "-h" | "help" => {
            println!("{USAGE}");
            Ok(())
        }
        unknown => bail!("there is no chore `{unknown}`\n\n{USAGE}"),
    }
}
