//! `sigwarden policy test` and `policy bench` by themselves, for working on the workbench:
//! `cargo run -p sigwarden-workbench --example policy_test -- test policies`.

use clap::{Parser, Subcommand};
use sigwarden_workbench::cli::{self, BenchArgs, Presentation, TestArgs};
use std::io::{self, IsTerminal};
use std::process::ExitCode;

#[derive(Debug, Parser)]
struct Cli {
    /// Print JSON, for machines
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Test(TestArgs),
    Bench(BenchArgs),
}

fn main() -> ExitCode {
    let args = Cli::parse();
    let presentation = Presentation {
        json: args.json,
        colour: io::stdout().is_terminal(),
    };
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let done = match &args.command {
        Command::Test(args) => cli::test(args, &[], presentation, &mut out, &mut err),
        Command::Bench(args) => cli::bench(args, &[], presentation, &mut out, &mut err),
    };
    match done {
        Ok(outcome) => ExitCode::from(outcome.exit_code()),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
