//! `sigwarden top`, of `sigwarden-telemetry`, over the daemon's page of metrics.

use super::output::{Failure, Output};
use crate::config::Config;
use sigwarden_telemetry::top::{TopArgs, scrape};
use std::path::Path;

pub(super) fn run(args: &TopArgs, dir: &Path, output: &Output) -> Result<(), Failure> {
    let config = Config::load(dir)?;
    let Some(address) = config.metrics_listen else {
        let message = "sigwarden.toml has no `metrics.listen`, and the numbers are told nowhere: add `[metrics]` with `listen = \"127.0.0.1:9464\"` and start the daemon again";
        return Err(Failure::no(message));
    };
    let shown = sigwarden_telemetry::top::run(args, output.is_json(), &mut std::io::stdout(), || scrape(address));
    shown.map_err(|error| Failure::cannot(error.to_string()))
}
