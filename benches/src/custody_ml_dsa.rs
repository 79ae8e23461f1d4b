//! `ml-dsa-44`: a post-quantum request in process, in raw ML-DSA-44 signatures.

use crate::in_process::{frame_bytes, payload, rig};
use crate::measure::Samples;
use crate::stages::medians;
use crate::table::{Row, Target};
use anyhow::{Result, anyhow};
use aws_lc_rs::signature::{ML_DSA_44_SIGNING, PqdsaKeyPair};
use sigwarden_core::Scheme;
use sigwarden_ledger::AppendProbe;
use std::hint::black_box;
use std::path::Path;

/// One in flight: a request's p50 less p50 of an append of as many bytes, in raw signatures by a key pair that is held expanded.
///
/// # Errors
/// The rig does not stand, or the library does not sign.
pub fn ml_dsa_44(base: &Path, rounds: usize) -> Result<Row> {
    let rig = rig(base, Scheme::MlDsa44)?;
    let (format, payload) = payload(Scheme::MlDsa44);
    let mut nonce = 0;
    let mut next = || {
        nonce += 1;
        rig.sign(format, payload(nonce))
    };
    for _ in 0..rounds / 10 {
        next();
    }
    let bytes = frame_bytes(&rig)?;
    let probe_dir = rig.dir.join("probe");
    std::fs::create_dir(&probe_dir)?;
    let mut probe = AppendProbe::new(&probe_dir)?;
    let blanks = vec![b' '; bytes];

    let pair = PqdsaKeyPair::generate(&ML_DSA_44_SIGNING).map_err(|_| anyhow!("no ML-DSA-44 key pair"))?;
    let mut signature = vec![0; ML_DSA_44_SIGNING.signature_len()];
    let (mut raw, mut append, mut request) = (Samples::default(), Samples::default(), Samples::default());
    for round in 0..rounds as u64 {
        let message = payload(round);
        raw.time(|| pair.sign(black_box(&message), &mut signature))
            .map_err(|_| anyhow!("the library does not sign"))?;
        black_box(&signature);
        append.time(|| probe.append(&blanks))?;
        request.time(&mut next);
    }
    let note = format!(
        "ml-dsa-44: request {:.0} us less an append of {bytes} bytes, {:.0} us, in raw ML-DSA-44 signatures ({})",
        request.p50(),
        append.p50(),
        medians(&rig, request.p50())?
    );
    Ok(Row::new(
        "ml-dsa-44",
        (request.p50() - append.p50()) / raw.p50(),
        (request.p50(), request.p99()),
        raw.p50(),
        Some(Target::AtMost(2.0)),
        note,
    ))
}
