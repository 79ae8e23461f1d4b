//! `sigwarden top` by itself: `cargo run -p sigwarden-telemetry --example top -- 127.0.0.1:9464`.

use clap::Parser;
use sigwarden_telemetry::top::{TopArgs, TopError, run, scrape};
use std::net::SocketAddr;

#[derive(Parser)]
struct Cli {
    /// Where the metrics are
    address: SocketAddr,
    #[command(flatten)]
    top: TopArgs,
    /// One sample, for machines
    #[arg(long)]
    json: bool,
}

fn main() -> Result<(), TopError> {
    let cli = Cli::parse();
    run(&cli.top, cli.json, &mut std::io::stdout(), || scrape(cli.address))
}
