//! `sigwarden policy test` by itself, for working on the workbench: `cargo run -p sigwarden-workbench --example policy_test -- policies`.

use clap::Parser;
use sigwarden_workbench::cli::{self, Presentation, TestArgs};
use std::io::{self, IsTerminal};
use std::process::ExitCode;

#[derive(Debug, Parser)]
struct Cli {
    /// Print JSON, for machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    test: TestArgs,
}

fn main() -> ExitCode {
    let args = Cli::parse();
    let presentation = Presentation {
        json: args.json,
        colour: io::stdout().is_terminal(),
    };
    let done = cli::test(&args.test, &[], presentation, &mut io::stdout(), &mut io::stderr());
    match done {
        Ok(outcome) => ExitCode::from(outcome.exit_code()),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
