//! Single stages under criterion: `cargo bench --package sigwarden-benches`.
#![allow(
    clippy::expect_used,
    missing_docs,
    reason = "a benchmark that cannot go on stops; criterion's macros make undocumented items"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use sigwarden_benches::policies::{request, three};
use sigwarden_benches::raw::Raw;
use sigwarden_benches::rig::sandbox;
use sigwarden_core::policy::{Evaluator, Job};
use sigwarden_core::state::State;
use sigwarden_core::{Format, Scheme};
use std::hint::black_box;
use std::sync::Arc;

fn stages(criterion: &mut Criterion) {
    let mut raw = Raw::default();
    criterion.bench_function("raw-signature", |bencher| bencher.iter(|| raw.sign()));

    let payload = sigwarden_tests::payload::transfer(7, Some([1; 20]), 1).unsigned();
    criterion.bench_function("decode-eip-1559", |bencher| {
        bencher.iter(|| sigwarden_formats::decode(Format::EvmEip1559, Scheme::Secp256k1Ecdsa, black_box(&payload)));
    });

    let (_engine, sandbox, loaded) = sandbox(three(1_000).expect("built policies")).expect("a sandbox");
    let request = Arc::new(request().expect("a transfer"));
    for (binding, loaded) in loaded.iter().enumerate() {
        criterion.bench_function(&format!("evaluate-{}", loaded.instance), |bencher| {
            bencher.iter(|| {
                sandbox.evaluate(Job {
                    binding,
                    request: Arc::clone(&request),
                    snapshot: State::default(),
                })
            });
        });
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
