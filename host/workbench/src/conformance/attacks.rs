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

/// Host calls that answer with an error, or with a value that nobody stored, by a state that makes them: the decision is checked against
/// that very state when it commits, as a real one is. All calls of a kind at once, then each by itself. `storage.set`, `storage.delete`
/// and `log.emit` have no error to answer with.
fn states(instance: &str, before: &State, clean: &Evaluated, report: &Report, attacks: &mut Vec<Attack>) {
    let now_ns = clean.job.request.now_ms.saturating_mul(1_000_000);
    let instance: Arc<str> = instance.into();
    for answer in Answer::ALL {
        let effects = report.changes.iter().map(|change| answer.brought_about(&instance, change, now_ns));
        let effects: Vec<(usize, Effect)> = effects.flatten().enumerate().collect();
        let with = |effects: &[(usize, Effect)]| {
            let mut state = before.clone();
            effects.iter().for_each(|(_, effect)| state.apply(effect));
            Kind::State(state)
        };
        if effects.is_empty() {
            continue;
        }
        attacks.push(attack(answer.every(), with(&effects), answer.never_allows()));
        for one in effects.iter().filter(|_| effects.len() > 1) {
            let name = format!("{} number {} answers: {}", answer.call(), one.0 + 1, answer.every());
            attacks.push(attack(name, with(std::slice::from_ref(one)), answer.never_allows()));
        }
    }
}

/// What a host call is made to answer.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Exceeded,
    Regression,
    Conflict,
    Nothing,
    Stored(&'static str, Stored),
}

/// A value that the policy did not store.
#[derive(Debug, Clone, Copy)]
enum Stored {
    Huge,
    Empty,
    Text,
}

impl Answer {
    const ALL: [Self; 7] = [
        Self::Exceeded,
        Self::Regression,
        Self::Conflict,
        Self::Nothing,
        Self::Stored("every stored value is huge", Stored::Huge),
        Self::Stored("every stored value is empty", Stored::Empty),
        Self::Stored("every stored value is a text", Stored::Text),
    ];

    fn call(self) -> &'static str {
        match self {
            Self::Exceeded => HostCall::Take.name(),
            Self::Regression | Self::Conflict => HostCall::Advance.name(),
            Self::Nothing | Self::Stored(..) => HostCall::Get.name(),
        }
    }

    fn every(self) -> &'static str {
        match self {
            Self::Exceeded => "every bucket is empty",
            Self::Regression => "every watermark stands at the end",
            Self::Conflict => "every watermark is taken by another",
            Self::Nothing => "nothing is stored",
            Self::Stored(what, _) => what,
        }
    }

    /// A counter that is not there yet counts from the beginning, and that is no fault.
    fn never_allows(self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Exceeded | Self::Regression | Self::Conflict | Self::Stored(..) => true,
        }
    }

    /// What makes this call answer so; none if it is another's answer.
    fn brought_about(self, instance: &Arc<str>, change: &Change, now_ns: u64) -> Option<Effect> {
        let instance = Arc::clone(instance);
        match (self, change) {
            (Self::Exceeded, Change::Take { bucket, period_ms, .. }) => Some(Effect::Bucket {
                instance,
                name: Arc::clone(bucket),
                arrival_ns: now_ns.saturating_add(period_ms.saturating_mul(1_000_000)),
            }),
            (Self::Regression | Self::Conflict, Change::Advance { name, position, .. }) => Some(Effect::Watermark {
                instance,
                name: Arc::clone(name),
                watermark: Watermark {
                    position: match self {
                        Self::Regression => vec![u64::MAX; position.len()],
                        Self::Exceeded | Self::Conflict | Self::Nothing | Self::Stored(..) => position.clone(),
                    },
                    identity: vec![0xff; 64],
                },
            }),
            (Self::Nothing, Change::Get { name, .. }) => Some(Effect::Store {
                instance,
                name: Arc::clone(name),
                value: None,
            }),
            (Self::Stored(_, stored), Change::Get { name, .. }) => Some(Effect::Store {
                instance,
                name: Arc::clone(name),
                value: Some(match stored {
                    Stored::Huge => vec![0xff; VALUE_MAX],
                    Stored::Empty => Vec::new(),
                    Stored::Text => b"not what was stored".to_vec(),
                }),
            }),
            (
                Self::Exceeded | Self::Regression | Self::Conflict | Self::Nothing | Self::Stored(..),
                Change::Take { .. } | Change::Advance { .. } | Change::Get { .. } | Change::Set { .. },
            ) => None,
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
            !crate::facts::may_be_absent(request.format.name(), name),
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
