//! `SignBatch` over the socket: `sign-batch-64` with 16 clients, `sign-batch-64-1` with one, against raw signing on as many cores.

use crate::address::Address;
use crate::deployment::node;
use crate::load::{Ask, Each, load};
use crate::measure::{Samples, throughput};
use crate::raw::Raw;
use crate::table::{Row, Target};
use anyhow::Result;
use sigwarden_core::Scheme;
use std::time::Duration;

/// Requests in a batch.
const BATCH: usize = 64;

/// Signatures a second by batches, each client with one batch in flight.
///
/// # Errors
/// The daemon does not start, or refuses.
pub fn sign_batch_64(window: Duration) -> Result<Vec<Row>> {
    let mut node = node()?;
    node.start()?;
    let at = Address::Socket(node.socket());
    let ask = Ask::of(Scheme::Secp256k1Ecdsa);
    Ok(vec![
        row("sign-batch-64", &at, 16, &ask, window, Some(Target::AtLeast(0.35)))?,
        row("sign-batch-64-1", &at, 1, &ask, window, None)?,
    ])
}

fn row(name: &'static str, at: &Address, clients: usize, ask: &Ask, window: Duration, target: Option<Target>) -> Result<Row> {
    let window = window / 4;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let raw = || {
        throughput(cores, window, |_| {
            let mut raw = Raw::default();
            move || raw.sign()
        })
    };
    load(at, clients, window, ask, Each::Batch(BATCH))?;
    let (mut rate, mut base, mut samples) = (0.0, 0.0, Samples::default());
    for _ in 0..4 {
        base += raw().0 / 4.0;
        let (signatures, times) = load(at, clients, window, ask, Each::Batch(BATCH))?;
        rate += signatures / 4.0;
        samples.extend(times);
    }
    let note = format!(
        "batches of {BATCH} over the socket, {clients} clients: {rate:.0} signatures/s against {base:.0} raw signatures/s on {cores} cores"
    );
    Ok(Row::new(name, rate / base, (samples.p50(), samples.p99()), base, target, note))
}
