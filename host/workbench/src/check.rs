//! Compares what came of a step with what its fixture wants.

use crate::deployment::Answer;
use crate::fixture::{Expect, Retry, Step, Wanted, values};
use crate::prepared::Prepared;
use crate::run::{Memory, codes, got};
use crate::state::{difference, matches, value};
use sigwarden_core::fact::SigningInput;
use sigwarden_core::key::KeyId;
use sigwarden_core::state::{State, StateName};
use sigwarden_core::verify::verify;
use sigwarden_core::{Code, Operation, Refusal, Signed};

/// What is not as wanted in an answer, a line each.
pub(crate) fn answer(prepared: &Prepared, step: &Step, answer: &Answer, memory: &mut Memory) -> Vec<String> {
    let mut failures = Vec::new();
    let came = got(answer);
    let as_wanted = match (&step.expect, &answer.result) {
        (Expect::NoAnswer, _) => answer.died,
        _ if answer.died => false,
        (Expect::Allow, result) => result.is_ok(),
        (Expect::Refusal(..) | Expect::Denials(_), Ok(_)) => false,
        (Expect::Refusal(code, _), Err(refusal)) => is_code(code, &refusal.code()),
        (Expect::Denials(wanted), Err(refusal)) => same_codes(wanted.iter().map(|(code, _)| code.as_str()), &codes(refusal)),
    };
    if !as_wanted {
        failures.push(format!("expected {}, got {came}", step.expect));
    }
    match &answer.result {
        Ok(signed) if !answer.died => {
            failures.extend(signatures(step, signed, memory));
            if let Some(earlier) = &step.same_signature_as
                && memory.signatures.get(earlier) != Some(&signed.signatures)
            {
                failures.push(format!("the signatures are not those of `{earlier}`"));
            }
            memory.signatures.insert(step.name.clone(), signed.signatures.clone());
        }
        Ok(_) => {}
        Err(refusal) => {
            failures.extend(retry(step, refusal));
            if let Some(wanted) = step.message.as_ref().filter(|wanted| !refusal.message.contains(*wanted)) {
                failures.push(format!("the message does not hold `{wanted}`"));
            }
            if !answer.died && !is_outcome(refusal) {
                let changed = difference(&answer.before, &answer.after, &memory.rates, step.at_ms);
                failures.extend(changed.iter().map(|line| format!("refused, and yet the state changed: {line}")));
            }
        }
    }
    if answer.died {
        // It may have been signed all the same, and a retry may get the signature over these bytes.
        remember(prepared, step, memory);
    }
    failures
}

/// Whether a code is the one wanted, which may be short for a policy's.
pub(crate) fn is_code(wanted: &str, got: &str) -> bool {
    let short = got
        .strip_prefix("policy/")
        .and_then(|rest| rest.split_once('/'))
        .map(|(_, code)| code);
    wanted == got || short == Some(wanted)
}

fn same_codes<'w>(wanted: impl Iterator<Item = &'w str>, got: &[String]) -> bool {
    let mut left: Vec<&str> = got.iter().map(String::as_str).collect();
    for code in wanted {
        match left.iter().position(|got| is_code(code, got)) {
            Some(at) => drop(left.swap_remove(at)),
            None => return false,
        }
    }
    left.is_empty()
}

/// Refusals that come after a decision, which stands.
fn is_outcome(refusal: &Refusal) -> bool {
    let after_commit = [
        Code::BackendUnavailable,
        Code::BackendFailed,
        Code::SignatureInvalid,
        // A write that failed may have been sequenced; nothing of it is ever released.
        Code::LedgerFailed,
        Code::LedgerUnknown,
    ];
    after_commit.contains(&refusal.kind())
}

fn inputs(step: &Step, signed_by: &KeyId, prepared: &Prepared) -> Vec<SigningInput> {
    let key = prepared.fixture.keys.iter().find(|key| key.id == *signed_by);
    let decoded = key.and_then(|key| sigwarden_formats::decode(step.format, key.scheme, &step.payload).ok());
    decoded.map_or_else(Vec::new, |decoded| decoded.inputs.iter().cloned().collect())
}

fn remember(prepared: &Prepared, step: &Step, memory: &mut Memory) {
    for key in &prepared.fixture.keys {
        if key.id.to_string() == step.key || key.id.name.as_str() == step.key {
            let inputs = inputs(step, &key.id, prepared);
            memory.signed.extend(inputs.into_iter().map(|input| (key.id.clone(), input)));
        }
    }
}

/// Verifies every signature against the pinned public key, over what the decoder says is signed.
fn signatures(step: &Step, signed: &Signed, memory: &mut Memory) -> Vec<String> {
    if step.format.operation() == Operation::Decapsulate {
        return Vec::new();
    }
    let inputs: Vec<SigningInput> = match sigwarden_formats::decode(step.format, signed.scheme, &step.payload) {
        Ok(decoded) => decoded.inputs.iter().cloned().collect(),
        Err(error) => return vec![format!("it was signed, and does not decode: {error}")],
    };
    let mut failures = Vec::new();
    if inputs.len() != signed.signatures.len() {
        failures.push(format!("{} signatures for {} inputs", signed.signatures.len(), inputs.len()));
    }
    for (index, (input, signature)) in inputs.iter().zip(&signed.signatures).enumerate() {
        let over = |input: &SigningInput| verify(signed.scheme, &signed.public_key, input, signature).is_ok();
        // A retried vote is answered with what was decided first.
        let earlier = || {
            let mut same_key = memory.signed.iter().filter(|(key, _)| *key == signed.key);
            signed.replay && same_key.any(|(_, input)| over(input))
        };
        if !over(input) && !earlier() {
            failures.push(format!("signature {} does not verify against the pinned public key", index + 1));
        }
    }
    memory.signed.extend(inputs.into_iter().map(|input| (signed.key.clone(), input)));
    failures
}

fn retry(step: &Step, refusal: &Refusal) -> Option<String> {
    let wanted = match step.retry? {
        Retry::At(ms) => Some(ms),
        Retry::Never => None,
    };
    let came = refusal.retry_at_ms();
    let shown = |at: Option<u64>| at.map_or_else(|| "never".to_owned(), |at| shown_time(at, step.at_ms));
    (wanted != came).then(|| format!("expected to retry {}, got {}", shown(wanted), shown(came)))
}

fn shown_time(at_ms: u64, now_ms: u64) -> String {
    match at_ms.checked_sub(now_ms) {
        Some(after) => format!("at {} (after {after} ms)", values::shown_ms(at_ms)),
        None => format!("at {} (in the past)", values::shown_ms(at_ms)),
    }
}

/// What is not as wanted in the state after a step, a line each.
pub(crate) fn after(prepared: &Prepared, step: &Step, answer: &Answer, memory: &Memory, public_keys: &[Vec<u8>]) -> Vec<String> {
    let (wanted, state) = (&step.after, &answer.after);
    let mut failures = Vec::new();
    for one in &wanted.limits {
        let names = memory.rates.names().chain(state.buckets.keys());
        match find(one, names) {
            Err(failure) => failures.push(format!("bucket {failure}")),
            Ok(None) => failures.push(format!("no policy has asked for bucket `{}` of {}", one.name, one.instance)),
            Ok(Some(name)) => {
                let holds = memory.rates.remaining(state, &name, step.at_ms);
                if holds != Some(one.value) {
                    let holds = holds.map_or_else(|| "an unknown amount".to_owned(), |holds| holds.to_string());
                    failures.push(format!(
                        "bucket `{}` of {} holds {holds}, expected {}",
                        name.name, name.instance, one.value
                    ));
                }
            }
        }
    }
    for one in &wanted.watermarks {
        let found = find(one, state.watermarks.keys());
        let position = |name: &StateName| state.watermarks.get(name).map(|watermark| watermark.position.clone());
        failures.extend(compare("watermark", one, found, position, |position| format!("{position:?}")));
    }
    for one in &wanted.storage {
        let found = find(one, state.storage.keys());
        let stored = |name: &StateName| state.storage.get(name).map(|stored| stored.value.clone());
        failures.extend(compare("stored", one, found, stored, |bytes| value(Some(bytes))));
    }
    failures.extend(floors(prepared, step, state, public_keys));
    for (name, uses) in &wanted.uses {
        let of_name = prepared.fixture.keys.iter().filter(|key| key.id.name == *name);
        let came: u64 = of_name.filter_map(|key| Some(state.keys.get(&key.id)?.uses)).sum();
        if came != *uses {
            failures.push(format!("key {name} was used {came} times, expected {uses}"));
        }
    }
    if wanted.unchanged {
        let changed = crate::state::policy_state(&answer.before, state, &memory.rates, step.at_ms);
        failures.extend(changed.iter().map(|line| format!("expected nothing to change: {line}")));
    }
    failures
}

/// The one name that a pattern stands for.
fn find<'s, T>(wanted: &Wanted<T>, names: impl Iterator<Item = &'s StateName>) -> Result<Option<StateName>, String> {
    let mut found: Vec<&StateName> = names
        .filter(|name| *name.instance == *wanted.instance && matches(&wanted.name, &name.name))
        .collect();
    found.sort();
    found.dedup();
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some((*one).clone())),
        many => {
            let names: Vec<&str> = many.iter().take(4).map(|name| name.name.as_ref()).collect();
            Err(format!(
                "`{}` of {} could be {} names: {}",
                wanted.name,
                wanted.instance,
                many.len(),
                names.join(", ")
            ))
        }
    }
}

fn compare<T: PartialEq>(
    what: &str,
    wanted: &Wanted<Option<T>>,
    found: Result<Option<StateName>, String>,
    get: impl Fn(&StateName) -> Option<T>,
    show: impl Fn(&T) -> String,
) -> Option<String> {
    let name = match found {
        Ok(name) => name,
        Err(failure) => return Some(format!("{what} {failure}")),
    };
    let came = name.as_ref().and_then(get);
    let shown = |value: &Option<T>| value.as_ref().map_or_else(|| "none".to_owned(), &show);
    (came != wanted.value).then(|| {
        format!(
            "{what} `{}` of {} is {}, expected {}",
            name.as_ref().map_or(wanted.name.as_str(), |name| name.name.as_ref()),
            wanted.instance,
            shown(&came),
            shown(&wanted.value)
        )
    })
}

fn floors(prepared: &Prepared, step: &Step, state: &State, public_keys: &[Vec<u8>]) -> Vec<String> {
    let mut failures = Vec::new();
    for (name, chain, wanted) in &step.after.floors {
        let keys = prepared
            .fixture
            .keys
            .iter()
            .zip(public_keys)
            .filter(|(key, _)| key.id.name == *name);
        let of_key: Vec<&[u8]> = keys.map(|(_, public_key)| public_key.as_slice()).collect();
        let extension = sigwarden_core::floor::MessageClass::CometBftExtension;
        let mut came: Vec<String> = state
            .floors
            .iter()
            .filter(|(key, _)| of_key.contains(&key.public_key.as_slice()) && key.class != extension)
            .filter(|(key, _)| chain.as_ref().is_none_or(|chain| key.chain_id == *chain))
            .map(|(_, floor)| floor.position.to_string())
            .collect();
        came.sort();
        let came = if came.is_empty() { "none".to_owned() } else { came.join(" and ") };
        if came != *wanted {
            failures.push(format!("the floor of {name} stands at {came}, expected {wanted}"));
        }
    }
    failures
}
