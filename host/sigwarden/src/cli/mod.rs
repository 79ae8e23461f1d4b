//! The command line. Exit codes: 0 done; 1 refused, or something is wrong with what was looked at; 2 it could not be tried.

mod args;
mod audit;
mod certs;
mod check;
mod docs;
mod floors;
mod init;
mod keys;
mod ledger;
mod logs;
mod output;
mod policy;
mod secrets;
mod serve;
mod sign;
mod state_file;
mod template;
mod top;

pub use args::Cli;
pub use docs::refusals_markdown;

use crate::admin::NotDone;
use crate::admin::reach::Reach;
use crate::config::Config;
use args::Command;
use clap::Parser;
use output::{Failure, Output};
use std::process::ExitCode;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    // Before anything else: no secret is in memory yet.
    let hardened = sigwarden_keys::harden_process();
    sigwarden_keys::limit_allocator();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_arguments(&error),
    };
    let output = Output::new(cli.json);
    logs::start(&cli);
    if let Err(error) = hardened {
        tracing::warn!(%error, "the process could not be hardened; `sigwarden check` says what the network makes of it");
    }
    match run(cli, &output) {
        // What could not be printed was not done: `audit verify > /dev/full` must not look like a verified log.
        Ok(()) if output.lost() => ExitCode::from(2),
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output.fail(&failure),
    }
}

/// What clap says of the arguments; with `--json` among them, as JSON like any other error. Help and version are no errors.
fn refuse_arguments(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if !json || !error.use_stderr() {
        // A closed pipe is the reader's wish.
        drop(error.print());
        return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
    }
    let text = error.to_string();
    let text = text.trim_end().strip_prefix("error: ").unwrap_or(text.trim_end());
    Output::new(true).fail(&Failure::cannot(text))
}

/// Runs a command that changes the deployment: in its daemon, or here if none runs.
fn administer<A>(config: &Config, command: impl FnOnce(&mut Reach) -> Result<A, NotDone>) -> Result<A, Failure> {
    let mut reach = Reach::to(config).map_err(Failure::of)?;
    let done = command(&mut reach);
    let closed = reach.close();
    let done = done.map_err(Failure::of)?;
    closed.map_err(Failure::of)?;
    Ok(done)
}

fn completions(shell: clap_complete::Shell) {
    clap_complete::generate(
        shell,
        &mut <Cli as clap::CommandFactory>::command(),
        "sigwarden",
        &mut std::io::stdout(),
    );
}

fn run(cli: Cli, output: &Output) -> Result<(), Failure> {
    let dir = cli.deployment.as_path();
    match cli.command {
        Command::Init(args) => init::run(args, dir, output),
        Command::Serve => serve::run(dir, output),
        Command::Check(args) => check::run(&args, dir, output),
        Command::Sign(args) => sign::run(args, dir, output),
        Command::Keys(command) => keys::run(command, dir, output),
        Command::Secrets(command) => secrets::run(command, dir, output),
        Command::Completions { shell } => {
            completions(shell);
            Ok(())
        }
        Command::Policy(command) => policy::run(command, dir, output),
        Command::Floors(command) => floors::run(command, dir, output),
        Command::Ledger(command) => ledger::run(command, dir, output),
        Command::Audit(command) => audit::run(command, dir, output),
        Command::Certs(command) => certs::run(&command, output),
        Command::Top(args) => top::run(&args, dir, output),
        Command::Docs(command) => docs::run(command),
    }
}
