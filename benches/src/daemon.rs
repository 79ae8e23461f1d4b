//! The daemon over its socket and over mutual TLS, against a bare gRPC echo that signs: `daemon-16`, `daemon-16-tls`; and what one client
//! waits, `daemon-1`. The load generator runs on the same cores.

use crate::address::Address;
use crate::deployment::{node, resident_mib, secured};
use crate::echo::Echo;
use crate::load::{Ask, Each, load};
use crate::measure::Samples;
use crate::table::{Row, Target};
use anyhow::Result;
use sigwarden_core::Scheme;
use sigwarden_tests::Node;
use std::time::Duration;

/// What a load came to: requests a second and their latencies.
#[derive(Default)]
struct Came {
    rate: f64,
    samples: Samples,
}

impl Came {
    fn add(&mut self, (rate, samples): (f64, Samples), windows: f64) {
        self.rate += rate / windows;
        self.samples.extend(samples);
    }
}

/// The same load on daemon and echo, in windows that alternate: what came of it at each.
fn side_by_side(daemon: &Address, echo: &Address, clients: usize, ask: &Ask, window: Duration) -> Result<(Came, Came)> {
    let window = window / 4;
    load(daemon, clients, window, ask, Each::One)?;
    load(echo, clients, window / 4, ask, Each::One)?;
    let (mut signed, mut base) = (Came::default(), Came::default());
    for _ in 0..4 {
        base.add(load(echo, clients, window, ask, Each::One)?, 4.0);
        signed.add(load(daemon, clients, window, ask, Each::One)?, 4.0);
    }
    Ok((signed, base))
}

fn against(name: &'static str, signed: &Came, base: &Came, target: Option<f64>, what: &str) -> Row {
    let (rate, echo) = (signed.rate, base.rate);
    let note = format!("{what}: {rate:.0} requests/s against {echo:.0}/s of a bare echo that signs");
    let times = (signed.samples.p50(), signed.samples.p99());
    Row::new(name, rate / echo, times, echo, target.map(Target::AtLeast), note)
}

/// A daemon over its socket; with 16 clients and ECDSA also what it has resident afterwards.
///
/// # Errors
/// Daemon or echo does not start, or refuses.
pub fn daemon(name: &'static str, clients: usize, scheme: Scheme, window: Duration) -> Result<Vec<Row>> {
    let mut node = node()?;
    node.start()?;
    let (_echo, echo) = Echo::on_socket()?;
    let (signed, base) = side_by_side(&Address::Socket(node.socket()), &echo, clients, &Ask::of(scheme), window)?;
    let judged = scheme == Scheme::Secp256k1Ecdsa && clients == 16;
    let what = format!("{scheme}, {clients} clients");
    let mut rows = vec![against(name, &signed, &base, judged.then_some(0.7), &what)];
    if judged {
        rows.push(idle_memory(&node, "idle-memory", 64.0, "after the load, four policies")?);
    }
    Ok(rows)
}

/// A daemon over mutual TLS, each client with a connection and a handshake of its own.
///
/// # Errors
/// As [`daemon`].
pub fn daemon_tls(name: &'static str, clients: usize, window: Duration) -> Result<Row> {
    let (mut node, listener) = secured("")?;
    node.start()?;
    let (_echo, echo) = Echo::over_tls()?;
    let ask = Ask::of(Scheme::Secp256k1Ecdsa);
    let (signed, base) = side_by_side(&listener, &echo, clients, &ask, window)?;
    let what = format!("secp256k1-ecdsa, {clients} clients over mutual TLS");
    Ok(against(name, &signed, &base, Some(0.6), &what))
}

/// What one client over the socket waits: milliseconds, the median.
///
/// # Errors
/// As [`daemon`].
pub fn daemon_1(name: &'static str, window: Duration) -> Result<Row> {
    let mut node = node()?;
    node.start()?;
    let (_echo, echo) = Echo::on_socket()?;
    let ask = Ask::of(Scheme::Secp256k1Ecdsa);
    let (signed, base) = side_by_side(&Address::Socket(node.socket()), &echo, 1, &ask, window)?;
    let (p50, echo) = (signed.samples.p50(), base.samples.p50());
    let note = format!(
        "secp256k1-ecdsa, one client: {:.3} ms; a bare echo that signs {:.3} ms",
        p50 / 1e3,
        echo / 1e3
    );
    let times = (p50, signed.samples.p99());
    Ok(Row::new(name, p50 / 1e3, times, echo, Some(Target::AtMost(0.6)), note))
}

/// MiB that stay resident once a daemon idles.
pub(crate) fn idle_memory(node: &Node, name: &'static str, most: f64, what: &str) -> Result<Row> {
    std::thread::sleep(Duration::from_secs(2));
    let mib = resident_mib(node)?;
    let note = format!("{mib:.1} MiB resident {what}");
    Ok(Row::new(name, mib, (0.0, 0.0), 0.0, Some(Target::AtMost(most)), note))
}
