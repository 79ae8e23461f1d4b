//! `policy new | build | inspect` without the rest of `sigwarden`: `cargo run -p sigwarden-component --example policy -- new max-value`.

use clap::Parser;
use sigwarden_component::cli::{self, BuildArgs, Inspect, New, Streams};
use std::process::ExitCode;

/// Policy modules as files.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// For machines
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Write the crate of a new policy
    New(New),
    /// Make a policy's component
    Build(BuildArgs),
    /// Say what a component is, without running it
    Inspect(Inspect),
}

fn main() -> ExitCode {
    let Cli { command, json } = Cli::parse();
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let mut streams = Streams {
        out: &mut out,
        err: &mut err,
        json,
    };
    let code = match &command {
        Command::New(new) => cli::new(new, &mut streams),
        Command::Build(build) => cli::build(build, &mut streams),
        Command::Inspect(inspect) => cli::inspect(inspect, &mut streams),
    };
    ExitCode::from(code)
}
