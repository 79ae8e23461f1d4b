//! `sigwarden policy record`.

use super::presentation;
use crate::admin::reach::Reach;
use crate::cli::output::{Failure, Output};
use crate::config::Config;
use crate::embedded;
use crate::proto::admin::RecordRequestsRequest;
use sigwarden_workbench::cli::{self as workbench, RecordArgs};
use std::path::Path;

/// Requests, unless told otherwise: a fixture that a person still reads.
const REQUESTS: usize = 1_000;

pub(super) fn run(args: &RecordArgs, dir: &Path, output: &Output) -> Result<(), Failure> {
    args.refuse_existing()?;
    let recorded;
    let mut source = match args.source()? {
        Some(source) => source,
        None => {
            recorded = of_daemon(args, dir, output)?;
            Box::new(recorded.as_slice())
        }
    };
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let written = workbench::record(args, embedded::LIBRARY, source.as_mut(), presentation(output), &mut out, &mut err);
    Failure::said(written?.exit_code())
}

/// What the deployment's daemon sees from now on.
fn of_daemon(args: &RecordArgs, dir: &Path, output: &Output) -> Result<Vec<u8>, Failure> {
    let config = Config::load(dir)?;
    let number = |given: Option<usize>| given.map_or(0, |number| u32::try_from(number).unwrap_or(u32::MAX));
    let request = RecordRequestsRequest {
        requests: number(Some(args.requests.unwrap_or(REQUESTS))),
        seconds: number(args.seconds),
    };
    let (requests, seconds) = (request.requests, request.seconds);
    let begun = || {
        let until = match seconds {
            0 => String::new(),
            seconds => format!(" or {seconds} s"),
        };
        output.note(&format!(
            "recording what the daemon sees, until {requests} requests{until}; Ctrl-C ends it and writes the fixture"
        ));
    };
    let mut reach = Reach::to(&config).map_err(Failure::of)?;
    let recorded = reach.record_requests(request, begun).map_err(Failure::of);
    reach.close().map_err(Failure::of)?;
    recorded
}
