//! Log lines on standard error. What is logged never holds a secret or a payload: spans carry names, codes and times only.

use super::args::{Cli, Command, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging. A filter that does not parse is replaced by the default, and said so.
pub(super) fn start(cli: &Cli) {
    let default = match cli.command {
        Command::Serve => "info",
        Command::Init(_)
        | Command::Check(_)
        | Command::Sign(_)
        | Command::Keys(_)
        | Command::Secrets(_)
        | Command::Completions { .. }
        | Command::Policy(_)
        | Command::Floors(_)
        | Command::Ledger(_)
        | Command::Audit(_)
        | Command::Top(_)
        | Command::Certs(_)
        | Command::Docs(_) => "warn",
    };
    // The transport's own lines quote headers and frames at `debug`, and at `warn` h2 has a line for each frame that a peer should not have
    // sent, with which one connection could fill a disk. They stay out unless asked for by name: what is asked comes last, and wins.
    let with_quiet_transport = |level: &str| format!("h2=off,hyper=error,tonic=warn,tower=warn,{level}");
    let asked = cli.log.as_deref().unwrap_or(default);
    let (filter, wrong) = match EnvFilter::try_new(with_quiet_transport(asked)) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(with_quiet_transport(default)), Some(error)),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would report a write to a closed standard error on standard error, which panics: a daemon outlives its log's reader.
        .log_internal_errors(false);
    match cli.log_format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, "--log is no filter; logging at {default}");
    }
}
