//! `sigwarden certs`, of `sigwarden-tls`.

use super::output::{Failure, Output};
use sigwarden_tls::cli::{Answer, Certs};

pub(super) fn run(command: &Certs, output: &Output) -> Result<(), Failure> {
    let answer = sigwarden_tls::cli::run(command);
    let Answer { json, text, problem } = answer.map_err(|error| match error.exit_code() {
        1 => Failure::no(error.to_string()),
        _ => Failure::cannot(error.to_string()),
    })?;
    output.print(&json, || text);
    if problem { Err(Failure::said_no()) } else { Ok(()) }
}
