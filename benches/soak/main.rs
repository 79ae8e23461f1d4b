//! `cargo xtask soak`: a daemon under a mixed load at 80 % of what it was measured to do, through kills, restarts, full disks and clock
//! steps. Prints a table, writes a plot, and ends with an error if anything was lost, contradicted itself, or grew without an end.

mod episodes;
mod load;
mod plot;
mod watch;

use anyhow::{Context, Result, bail};
use episodes::Episodes;
use load::Load;
use sigwarden_benches::address::Address;
use sigwarden_benches::deployment::{certificates, certify, free_port, listener};
use sigwarden_tests::Node;
use sigwarden_tests::payload::{COMETBFT_CHAIN, VALIDATOR};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use watch::Second;

/// Connections of the load.
const CLIENTS: usize = 16;
/// Share of the measured capacity that is asked for.
const SHARE: f64 = 0.8;
/// How long the capacity is measured.
const MEASURED: Duration = Duration::from_secs(8);

/// Rules that let the load through, refuse a recipient that is not listed, and count everything in one bucket.
const RULES: &str = r#"
[[policy]]
name = "network-mode"
module = "policies/network-mode.wasm"
config = {}

[[policy]]
name = "payload-rules"
module = "policies/payload-rules.wasm"
[policy.config.evm]
chain_ids = [1337]
recipients = ["0xa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"]
max_value = "1000000000000000000"
max_gas_limit = 100000
max_fee_per_gas = "100000000000"
[policy.config.cometbft]
chain_ids = ["sigwarden-devnet"]

[[policy]]
name = "rate-limit"
module = "policies/rate-limit.wasm"
config = { rules = [{ name = "all", capacity = 1000000000, period = "1s" }] }
"#;

fn main() -> Result<()> {
    let Arguments { minutes, out, tls } = arguments()?;
    let (mut node, address) = node(tls)?;
    let floor = [
        "floors",
        "set",
        "--key",
        VALIDATOR,
        "--chain-id",
        COMETBFT_CHAIN,
        "--height",
        "0",
        "--reason",
        "soak",
    ];
    node.expect(&floor)?;
    let episodes = Episodes::prepare(&mut node)?;
    node.start()?;

    let load = Load::new(address);
    let capacity = load.capacity(CLIENTS, MEASURED)?;
    let rate = capacity * SHARE;
    println!(
        "capacity {capacity:.0} requests/s with {CLIENTS} clients over {}; the soak asks for {rate:.0}/s over {minutes} minutes",
        if tls { "mutual TLS" } else { "the socket" }
    );
    println!("episodes: {}", episodes.described());

    let begun = Instant::now();
    let length = Duration::from_secs(minutes * 60);
    let seconds = Mutex::new(Vec::<Second>::new());
    let node = Mutex::new(node);
    let happened = std::thread::scope(|scope| {
        let running = scope.spawn(|| load.run(CLIENTS, rate, begun, length));
        let watching = scope.spawn(|| watch::every_second(&node, &load, &seconds, begun, length));
        let happened = episodes.play(&node, begun, length);
        running.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
        watching.join().map_err(|_| anyhow::anyhow!("the watch panicked"))?;
        happened
    })?;

    let mut node = node.into_inner().map_err(|_| anyhow::anyhow!("a thread panicked"))?;
    if !node.stop()?.success() {
        bail!("the daemon did not stop in order\n{}", node.log());
    }
    let verified = node.expect(&["audit", "verify"])?;
    let seconds = seconds.into_inner().map_err(|_| anyhow::anyhow!("a thread panicked"))?;
    std::fs::create_dir_all(&out)?;
    let svg = out.join("soak.svg");
    std::fs::write(&svg, plot::svg(&seconds, &happened)).with_context(|| svg.display().to_string())?;
    print!("{}", watch::table(&seconds, &happened));
    println!("\nplot: {}\n{}", svg.display(), verified.trim_end());
    load.judge(&node)?;
    watch::judge(&seconds, load.ids())
}

/// The deployment, and where its clients come in.
fn node(tls: bool) -> Result<(Node, Address)> {
    let init = |tables: &str| Node::init(|config| sigwarden_tests::example::with_rules(&config, &format!("{tables}{RULES}")));
    if !tls {
        let node = init("")?;
        let address = Address::Socket(node.socket());
        return Ok((node, address));
    }
    let port = free_port()?;
    let node = init(&listener(port))?;
    certify(&certificates(&node))?;
    let address = Address::secured(port, &certificates(&node))?;
    Ok((node, address))
}

struct Arguments {
    minutes: u64,
    out: PathBuf,
    /// Clients come over mutual TLS, not over the socket.
    tls: bool,
}

fn arguments() -> Result<Arguments> {
    let (mut minutes, mut out, mut tls) = (10, PathBuf::from("target/soak"), false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--minutes" => minutes = arguments.next().context("--minutes N")?.parse().context("--minutes N")?,
            "--out" => out = arguments.next().context("--out DIRECTORY")?.into(),
            "--tls" => tls = true,
            unknown => bail!("there is no option {unknown}; --minutes N, --out DIRECTORY, --tls"),
        }
    }
    if minutes == 0 {
        bail!("at least one minute");
    }
    Ok(Arguments { minutes, out, tls })
}
