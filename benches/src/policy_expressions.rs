//! `expressions-10`: ten rules that an operator wrote in CEL against the same ten in Rust, both as components in the sandbox.

use crate::measure::alternate;
use crate::policies::{addresses, allowed, request};
use crate::rig::{module, sandbox};
use crate::table::{Row, Target};
use anyhow::{Context, Result, bail};
use sigwarden_core::policy::{Evaluator, Job, RequestView, Verdict};
use sigwarden_core::state::State;
use sigwarden_core::{Format, Scheme};
use sigwarden_formats::evm::{AccessListItem, Eip1559, U256};
use std::hint::black_box;
use std::sync::Arc;

/// The rules; `bench-ten-rules` has them in Rust.
const RULES: &str = include_str!("../../policies/expressions/ten-rules.json");
/// Recipients that either looks for.
const RECIPIENTS: u64 = 1_000;
/// The order in which the two are loaded.
const BY_HAND: usize = 0;
const EXPRESSIONS: usize = 1;

/// One evaluation of each, in turn.
///
/// # Errors
/// They are not built, or deny.
pub fn ten_rules(rounds: usize) -> Result<Row> {
    let recipients = addresses(RECIPIENTS);
    let mut rules: serde_json::Value = serde_json::from_str(RULES).context("ten-rules.json")?;
    rules["sets"]["recipients"] = recipients.clone().into();
    let by_hand = serde_json::json!({ "recipients": recipients });
    let (_engine, sandbox, _) = sandbox(vec![
        module("by-hand", "bench-ten-rules", by_hand.to_string())?,
        module("expressions", "expressions", rules.to_string())?,
    ])?;
    let (request, snapshot) = (Arc::new(token_transfer()?), State::default());
    let job = |binding| Job {
        binding,
        request: Arc::clone(&request),
        snapshot: snapshot.clone(),
    };
    for binding in [BY_HAND, EXPRESSIONS] {
        if let Verdict::Deny(denials) = sandbox.evaluate(job(binding))?.verdict {
            bail!("a benchmark's request was denied: {denials:?}");
        }
    }
    let evaluate = |binding| {
        black_box(sandbox.evaluate(job(binding))).ok();
    };
    let (base, samples) = alternate(rounds, || evaluate(BY_HAND), || evaluate(EXPRESSIONS));
    Ok(Row::new(
        "expressions-10",
        samples.p50() / base.p50(),
        (samples.p50(), samples.p99()),
        base.p50(),
        Some(Target::AtMost(2.0)),
        format!(
            "ten rules in CEL against the same in Rust; the floor is Rust's, {:.1} us",
            base.p50()
        ),
    ))
}

/// A token transfer with an access list, so that every rule has something to read.
fn token_transfer() -> Result<RequestView> {
    let listed = |n| AccessListItem {
        address: allowed(n),
        storage_keys: Vec::new(),
    };
    let transaction = Eip1559 {
        chain_id: 1,
        nonce: 7,
        max_priority_fee_per_gas: U256::from(1_000_000_000_u64),
        max_fee_per_gas: U256::from(30_000_000_000_u64),
        gas_limit: 100_000,
        to: Some(allowed(7)),
        value: U256::from(1_000_000_u64),
        // `transfer(address,uint256)` and its arguments.
        data: [[0xa9, 0x05, 0x9c, 0xbb].as_slice(), &[0; 64]].concat(),
        access_list: vec![listed(70), listed(700)],
    };
    let payload = transaction.unsigned();
    Ok(RequestView {
        decoded: sigwarden_formats::decode(Format::EvmEip1559, Scheme::Secp256k1Ecdsa, &payload)?,
        payload: payload.into(),
        ..request()?
    })
}
