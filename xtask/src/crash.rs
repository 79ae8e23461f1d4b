//! Runs the ledger's crash test: on as many seeds as asked, cut at every call, or against mutants of the sources that it must notice.

use crate::{cargo, mutants};
use anyhow::{Context, Result, bail};

const SEEDS: &str = "nothing_acknowledged_is_lost_and_nothing_is_signed_twice";
const EXHAUSTIVE: &str = "a_cut_after_any_call_of_a_workload_loses_nothing";

/// Workloads of which every call is cut, if no number is given.
const WORKLOADS: u64 = 20;

/// `[--seeds N] [--from SEED] [--exhaustive [N]] [--mutants [NAME]]`
pub fn run(arguments: &[String]) -> Result<()> {
    let (mut seeds, mut from, mut exhaustive) = (None, None, None);
    let mut arguments = arguments.iter().peekable();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seeds" => seeds = Some(number(argument, arguments.next())?),
            "--from" => from = Some(number(argument, arguments.next())?),
            "--exhaustive" => {
                let count = arguments.next_if(|next| !next.starts_with("--"));
                exhaustive = Some(count.map_or(Ok(WORKLOADS), |count| number(argument, Some(count)))?);
            }
            "--mutants" => return mutants::run(arguments.next().map(String::as_str)),
            unknown => bail!("crash has no option {unknown}; it has --seeds N, --from SEED, --exhaustive [N] and --mutants [NAME]"),
        }
    }
    let mut command = cargo::command(&["test", "--quiet", "--package", "sigwarden-ledger", "--test", "crash", "--"]);
    command.args(["--nocapture", "--test-threads", "1"]);
    let asked = [
        ("SIGWARDEN_CRASH_SEEDS", seeds),
        ("SIGWARDEN_CRASH_FROM", from),
        ("SIGWARDEN_CRASH_EXHAUSTIVE", exhaustive),
    ];
    for (variable, value) in asked {
        if let Some(value) = value {
            command.env(variable, value.to_string());
        }
    }
    match (seeds, exhaustive) {
        (Some(_), None) => command.args(["--exact", SEEDS]),
        (None, Some(_)) => command.args(["--exact", EXHAUSTIVE]),
        (Some(_), Some(_)) | (None, None) => &mut command,
    };
    match command.status().context("cargo test")?.success() {
        true => Ok(()),
        false => bail!("the crash test failed; what it printed last replays the seed"),
    }
}

fn number(option: &str, value: Option<&String>) -> Result<u64> {
    let value = value.with_context(|| format!("{option} takes a number"))?;
    value.parse().with_context(|| format!("{option} takes a number, `{value}` is none"))
}
