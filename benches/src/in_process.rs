//! Whole requests in process: `request-1`, `requests-64`, and the same with ed25519.

use crate::measure::{Samples, throughput};
use crate::policies::{allowed, three};
use crate::raw::Raw;
use crate::rig::Rig;
use crate::stages::medians;
use crate::table::{Row, Target};
use anyhow::Result;
use sigwarden_core::{Role, Scheme};
use sigwarden_ledger::AppendProbe;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One in flight: a request's p50 less p50 of an append of as many bytes, in raw signatures.
///
/// # Errors
/// The rig does not stand.
pub fn request_1(base: &Path, name: &'static str, scheme: Scheme, rounds: usize) -> Result<Row> {
    let rig = rig(base, scheme)?;
    let (format, payload) = payload(scheme);
    let mut nonce = 0;
    let mut next = || {
        nonce += 1;
        rig.sign(format, payload(nonce))
    };
    for _ in 0..rounds / 10 {
        next();
    }
    // A decision's frame, without the outcome that travels with the next one.
    let bytes = frame_bytes(&rig)?;
    let probe_dir = rig.dir.join("probe");
    std::fs::create_dir(&probe_dir)?;
    let mut probe = AppendProbe::new(&probe_dir)?;
    let zeros = vec![b' '; bytes];

    let mut raw = Raw::default();
    let (mut base, mut append, mut request) = (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..rounds {
        base.time(|| raw.sign());
        append.time(|| probe.append(&zeros))?;
        request.time(&mut next);
    }
    let ratio = (request.p50() - append.p50()) / base.p50();
    let target = (scheme == Scheme::Secp256k1Ecdsa).then_some(Target::AtMost(2.7));
    let note = format!(
        "{scheme}: request {:.0} us less an append of {bytes} bytes, {:.0} us ({})",
        request.p50(),
        append.p50(),
        medians(&rig, request.p50())?
    );
    Ok(Row::new(name, ratio, (request.p50(), request.p99()), base.p50(), target, note))
}

/// Threads, and requests that each has in flight: as the daemon's pool does it with 64 that wait on two cores, where one batch is judged
/// while another is made durable.
const TOGETHER: (usize, usize) = (4, 16);

/// Sixty-four in flight: requests a second against raw signatures a second on as many cores.
///
/// # Errors
/// The rig does not stand.
pub fn requests_64(base: &Path, name: &'static str, scheme: Scheme, window: Duration) -> Result<Row> {
    let rig = rig(base, scheme)?;
    let (format, payload) = payload(scheme);
    let nonce = AtomicU64::new(0);
    let requests = |window| {
        let (threads, each) = TOGETHER;
        let (batches, times) = throughput(threads, window, |_| {
            || rig.sign_together(format, (0..each).map(|_| payload(nonce.fetch_add(1, Ordering::Relaxed))))
        });
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let each = each as f64;
        (batches * each, times)
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let raw = |window| {
        throughput(cores, window, |_| {
            let mut raw = Raw::default();
            move || raw.sign()
        })
    };
    requests(window / 4);
    // Interleaved: four windows of each.
    let (mut rate, mut base, mut samples) = (0.0, 0.0, Samples::default());
    for _ in 0..4 {
        base += raw(window / 4).0 / 4.0;
        let (requests, times) = requests(window / 4);
        rate += requests / 4.0;
        samples.extend(times);
    }
    let target = (scheme == Scheme::Secp256k1Ecdsa).then_some(Target::AtLeast(0.35));
    let note = format!("{scheme}: {rate:.0} requests/s against {base:.0} raw signatures/s on {cores} cores");
    Ok(Row::new(name, rate / base, (samples.p50(), samples.p99()), base, target, note))
}

pub(crate) fn rig(base: &Path, scheme: Scheme) -> Result<Rig> {
    let role = match scheme {
        Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr => Role::Account,
        Scheme::Ed25519 | Scheme::MlDsa44 => Role::Operational,
        Scheme::MlKem768 => Role::P2pIdentity,
    };
    Rig::new(base, scheme, role, three(1_000)?)
}

/// What a key of this scheme signs: an EIP-1559 transfer, or a message of 200 bytes.
pub(crate) fn payload(scheme: Scheme) -> (&'static str, fn(u64) -> Vec<u8>) {
    match scheme {
        Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr => ("evm/eip-1559", |nonce| {
            sigwarden_tests::payload::transfer(nonce, Some(allowed(nonce)), 1).unsigned()
        }),
        Scheme::Ed25519 | Scheme::MlDsa44 | Scheme::MlKem768 => ("raw-message/none", |nonce| format!("{nonce:0200}").into_bytes()),
    }
}

/// The bytes of the last frame with a decision in it: what a lone request makes durable.
pub(crate) fn frame_bytes(rig: &Rig) -> Result<usize> {
    let lines = sigwarden_ledger::tail(&rig.dir.join("state"), 4)?;
    Ok(lines.iter().rev().take(2).map(|line| line.len() + 1).sum::<usize>() + 200)
}
