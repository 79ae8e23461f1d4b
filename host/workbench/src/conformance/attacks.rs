//! What is done to a policy in a step, made from what it did in a clean run of it.

use crate::deployment::Evaluated;
use sigwarden_core::fact::{Fact, FactValue, Scalar};
use sigwarden_core::policy::{Report, RequestView};
use sigwarden_core::staging::Change;
use sigwarden_core::state::{Effect, State};
use sigwarden_core::watermark::Watermark;
use sigwarden_policy::{HostCall, HostCallFault};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Bytes of an oversized fact: as long as a payload may be.
const OVERSIZED: usize = 64 * 1024;
/// A stored value of the most bytes that the host keeps.
const VALUE_MAX: usize = 1024;

/// Facts that not every request of their family has (`wit/facts.md`): that one is absent says something, and a policy may go by it.
const MAY_BE_ABSENT: [&str; 21] = [
    "evm.to",
    "evm.selector",
    "evm.gas-price",
    "evm.max-fee-per-gas",
    "evm.max-priority-fee-per-gas",
    "evm.access-list.addresses",
    "evm.access-list.storage-keys",
    "cometbft.nil",
    "cometbft.block-hash",
    "cometbft.timestamp-seconds",
    "cometbft.timestamp-nanos",
    "cometbft.has-pol",
    "cometbft.pol-round",
    "cometbft.extension",
    "hotstuff.block-hash",
    "hotstuff.has-qc",
    "hotstuff.qc-view",
    "hotstuff.qc-block-hash",
    "hotstuff.qc-hash",
    "hotstuff.epoch",
    "hotstuff.suite-id",
];

/// One attack on one policy in one step.
pub(super) struct Attack {
    /// What it is, for people.
    pub(super) name: String,
    /// What is done.
    pub(super) kind: Kind,
    /// Whether an allow is a fault where the clean run was refused. Not where the attack is another, honest request: a later time lets a
    /// rate limit allow, and a longer chain id is another chain.
    pub(super) never_allows: bool,
}

/// What is done.
pub(super) enum Kind {
    /// Nothing: two runs agree.
    Again,
    /// A host call fails, which traps the guest.
    HostCall(HostCallFault),
    /// It gets so much fuel.
    Fuel(u64),
    /// The state is this.
    State(State),
    /// The request is this.
    Request(Arc<RequestView>),
}

/// Every attack on a policy in a step.
pub(super) fn all(instance: &str, before: &State, clean: &Evaluated) -> Vec<Attack> {
    let mut attacks = vec![attack("asked again", Kind::Again, true)];
    if let Ok(report) = &clean.result {
        host_calls(report, &mut attacks);
        fuel(report, &mut attacks);
        states(instance, before, clean, report, &mut attacks);
    }
    clocks(&clean.job.request, &mut attacks);
    facts(&clean.job.request, &mut attacks);
    attacks
}

fn attack(name: impl Into<String>, kind: Kind, never_allows: bool) -> Attack {
    Attack {
        name: name.into(),
        kind,
        never_allows,
    }
}

fn host_calls(report: &Report, attacks: &mut Vec<Attack>) {
    let made = |call: HostCall| {
        let state = report.changes.iter().filter(|change| host_call(change) == call).count();
        match call {
            HostCall::Emit => report.log.len(),
            HostCall::Take | HostCall::Advance | HostCall::Get | HostCall::Set | HostCall::Delete => state,
        }
    };
    let calls = [
        HostCall::Take,
        HostCall::Advance,
        HostCall::Get,
        HostCall::Set,
        HostCall::Delete,
        HostCall::Emit,
    ];
    for call in calls {
        for after in 0..u32::try_from(made(call)).unwrap_or(u32::MAX) {
            let name = format!("{} number {} fails", call.name(), after + 1);
            attacks.push(attack(name, Kind::HostCall(HostCallFault { call, after }), true));
        }
    }
}

fn host_call(change: &Change) -> HostCall {
    match change {
        Change::Take { .. } => HostCall::Take,
        Change::Advance { .. } => HostCall::Advance,
        Change::Get { .. } => HostCall::Get,
        Change::Set { value: Some(_), .. } => HostCall::Set,
        Change::Set { value: None, .. } => HostCall::Delete,
    }
}

/// Half, a quarter, one too little, and cuts on the way, between and in host calls.
fn fuel(report: &Report, attacks: &mut Vec<Attack>) {
    let used = report.fuel;
    let cuts = [used / 2, used / 4, used / 8, used / 8 * 5, used / 8 * 7, used.saturating_sub(1)];
    let cuts: BTreeSet<u64> = cuts.into_iter().filter(|cut| *cut > 0 && *cut < used).collect();
    for cut in cuts {
        attacks.push(attack(format!("{cut} of the {used} fuel that it used"), Kind::Fuel(cut), true));
    }
}

/// Host calls that answer with an error, or with a huge value: by a state that makes them.
fn states(instance: &str, before: &State, clean: &Evaluated, report: &Report, attacks: &mut Vec<Attack>) {
    let name: Arc<str> = instance.into();
    let with = |effects: Vec<Effect>| {
        let mut state = before.clone();
        effects.iter().for_each(|effect| state.apply(effect));
        Kind::State(state)
    };
    let now_ns = clean.job.request.now_ms.saturating_mul(1_000_000);
    let changes = || report.changes.iter();
    let exhausted: Vec<Effect> = changes()
        .filter_map(|change| match change {
            Change::Take { bucket, period_ms, .. } => Some(Effect::Bucket {
                instance: Arc::clone(&name),
                name: Arc::clone(bucket),
                arrival_ns: now_ns.saturating_add(period_ms.saturating_mul(1_000_000)),
            }),
            Change::Advance { .. } | Change::Get { .. } | Change::Set { .. } => None,
        })
        .collect();
    if !exhausted.is_empty() {
        attacks.push(attack("every bucket is empty", with(exhausted), true));
    }
    for (what, highest) in [("stands at the end", true), ("is taken by another", false)] {
        let watermarks: Vec<Effect> = changes()
            .filter_map(|change| match change {
                Change::Advance { name: mark, position, .. } => Some(Effect::Watermark {
                    instance: Arc::clone(&name),
                    name: Arc::clone(mark),
                    watermark: Watermark {
                        position: if highest {
                            vec![u64::MAX; position.len()]
                        } else {
                            position.clone()
                        },
                        identity: vec![0xff; 64],
                    },
                }),
                Change::Take { .. } | Change::Get { .. } | Change::Set { .. } => None,
            })
            .collect();
        if !watermarks.is_empty() {
            attacks.push(attack(format!("every watermark {what}"), with(watermarks), true));
        }
    }
    let values = [
        ("huge", vec![0xff; VALUE_MAX]),
        ("empty", Vec::new()),
        ("a text", b"not what was stored".to_vec()),
    ];
    for (what, value) in values {
        let stored: Vec<Effect> = changes()
            .filter_map(|change| match change {
                Change::Get { name: read, .. } => Some(Effect::Store {
                    instance: Arc::clone(&name),
                    name: Arc::clone(read),
                    value: Some(value.clone()),
                }),
                Change::Take { .. } | Change::Advance { .. } | Change::Set { .. } => None,
            })
            .collect();
        if !stored.is_empty() {
            attacks.push(attack(format!("every stored value is {what}"), with(stored), true));
        }
    }
}

fn clocks(request: &RequestView, attacks: &mut Vec<Attack>) {
    let edges = [0, 1, u64::from(u32::MAX), u64::MAX / 1_000_000, i64::MAX.unsigned_abs(), u64::MAX];
    for now_ms in edges {
        let changed = RequestView { now_ms, ..request.clone() };
        attacks.push(attack(
            format!("it is {now_ms} ms since 1970"),
            Kind::Request(Arc::new(changed)),
            false,
        ));
    }
}

fn facts(request: &RequestView, attacks: &mut Vec<Attack>) {
    let with = |facts: Vec<Fact>| {
        let mut changed = request.clone();
        changed.decoded.facts = facts;
        Kind::Request(Arc::new(changed))
    };
    let all = &request.decoded.facts;
    attacks.push(attack("there are no facts", with(Vec::new()), true));
    for index in 0..all.len() {
        let Some(name) = all.get(index).map(|fact| fact.name) else {
            continue;
        };
        let mut without = all.clone();
        without.remove(index);
        attacks.push(attack(
            format!("`{name}` is missing"),
            with(without),
            !MAY_BE_ABSENT.contains(&name),
        ));
        let replaced = |value: FactValue| {
            let mut facts = all.clone();
            if let Some(fact) = facts.get_mut(index) {
                fact.value = value;
            }
            with(facts)
        };
        let malformed = match all.get(index).map(|fact| &fact.value) {
            // Still a list: a single value would be well-formed where the author made it a list on purpose.
            Some(FactValue::Many(_)) => FactValue::Many(vec![Scalar::Bool(true)]),
            Some(FactValue::One(_)) | None => FactValue::Many(Vec::new()),
        };
        attacks.push(attack(format!("`{name}` is of another type"), replaced(malformed), true));
        if let Some(value) = all.get(index).map(|fact| oversized(&fact.value)) {
            attacks.push(attack(format!("`{name}` is oversized"), replaced(value), false));
        }
    }
}

fn oversized(value: &FactValue) -> FactValue {
    match value {
        FactValue::One(Scalar::Text(_)) => FactValue::One(Scalar::Text("x".repeat(OVERSIZED))),
        FactValue::One(Scalar::Bytes(_)) => FactValue::One(Scalar::Bytes(vec![0xff; OVERSIZED])),
        FactValue::One(Scalar::Bool(_)) => FactValue::One(Scalar::U64(u64::MAX)),
        FactValue::One(Scalar::U64(_) | Scalar::U256(_)) => FactValue::One(Scalar::U256([u64::MAX; 4])),
        FactValue::Many(_) => FactValue::Many(vec![Scalar::Bytes(vec![0xff; 20]); OVERSIZED / 20]),
    }
}
