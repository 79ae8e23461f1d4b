//! The facts of a scrape as samples.

use super::catalogue as c;
use super::facts::{Build, Facts, Room};
use super::page::{Page, number, yes};
use crate::http::Readiness;
use sigwarden_core::KeyState;
use std::collections::BTreeMap;
use std::fmt;

/// Floors shown, by key, chain and class, and watermarks: a validator of a hundred chains has two floors each. What has no more room is in
/// `sigwarden_state_entries`.
const SHOWN_MAX: usize = 256;

/// Keys shown one by one; a deployment of more than that is watched by its totals.
const KEYS_MAX: usize = 1024;

pub(super) fn about(page: &mut Page<'_, '_>, build: &Build, readiness: &Readiness) -> fmt::Result {
    let network = build.network.name();
    page.family(&c::BUILD)?.info(&[&build.version, &build.revision, network])?;
    page.family(&c::READY)?.gauge(&[network], yes(readiness.ready()))?;
    let mut checks = page.family(&c::CHECK)?;
    readiness
        .checks
        .iter()
        .try_for_each(|check| checks.gauge(&[&check.name], yes(check.trouble.is_none())))
}

pub(super) fn ledger(page: &mut Page<'_, '_>, build: &Build, facts: &Facts) -> fmt::Result {
    let (ledger, network) = (&facts.ledger, build.network.name());
    page.family(&c::RECORDS)?.counter(&[network], ledger.last_sequence)?;
    page.family(&c::WRITES)?.counter(&[network], ledger.writes)?;
    page.family(&c::DROPPED)?.counter(&[network], ledger.refusals_dropped)?;
    page.gauge(&c::LAG, number(ledger.last_sequence.saturating_sub(ledger.durable_sequence)))?;
    let mut rooms = page.family(&c::ROOM)?;
    for room in Room::ALL {
        rooms.gauge(&[room.name()], yes(ledger.room == Some(room)))?;
    }
    if let Some(free) = ledger.free_bytes {
        page.gauge(&c::DISK_FREE, number(free))?;
    }
    let behind = facts.state.high_water_ms.saturating_sub(facts.now_ms);
    page.gauge(&c::CLOCK_BEHIND, number(behind) / 1000.0)?;
    let state = &facts.state;
    let kinds = [
        ("floors", state.floors.len()),
        ("buckets", state.buckets.len()),
        ("watermarks", state.watermarks.len()),
        ("values", state.storage.len()),
        ("request-ids", state.requests.len()),
    ];
    let mut entries = page.family(&c::STATE)?;
    kinds
        .iter()
        .try_for_each(|(kind, count)| entries.gauge(&[kind], number(*count as u64)))
}

pub(super) fn keys(page: &mut Page<'_, '_>, build: &Build, facts: &Facts) -> fmt::Result {
    let (state, network) = (&facts.state, build.network.name());
    let mut states = page.family(&c::KEYS)?;
    for wanted in KeyState::ALL {
        let count = state.keys.values().filter(|status| status.state == *wanted).count();
        states.gauge(&[wanted.name()], number(count as u64))?;
    }
    let due = facts.keys.iter().filter(|key| key.due).count();
    page.family(&c::KEYS_DUE)?.gauge(&[network], number(due as u64))?;
    // A version above the first came by a rotation.
    let rotations = state.keys.keys().filter(|id| id.version > 1).count();
    page.family(&c::ROTATIONS)?.counter(&[network], rotations as u64)?;

    let shown = facts.keys.get(..KEYS_MAX.min(facts.keys.len())).unwrap_or_default();
    let named: Vec<_> = shown.iter().map(|key| (key.id.to_string(), key)).collect();
    let mut infos = page.family(&c::KEY)?;
    for (name, key) in &named {
        let roles: Vec<_> = key.roles.iter().map(|role| role.name()).collect();
        infos.info(&[name, &roles.join("+"), key.scheme.name(), &key.backend])?;
    }
    let known: Vec<_> = named
        .iter()
        .filter_map(|(name, key)| state.keys.get(&key.id).map(|status| (name, *key, status)))
        .collect();
    let mut signs = page.family(&c::KEY_SIGNS)?;
    for (name, _, status) in &known {
        signs.gauge(&[name, status.state.name()], yes(status.state.signs()))?;
    }
    let mut uses = page.family(&c::KEY_USES)?;
    for (name, _, status) in &known {
        uses.counter(&[name], status.uses)?;
    }
    let mut dues = page.family(&c::KEY_DUE)?;
    for (name, key, _) in &known {
        dues.gauge(&[name], yes(key.due))?;
    }
    let mut created = page.family(&c::KEY_CREATED)?;
    for (name, _, status) in &known {
        created.gauge(&[name], number(status.created_ms) / 1000.0)?;
    }
    floors(page, facts)?;
    watermarks(page, facts)
}

/// Floors belong to public keys; the least of its names stands for one.
fn floors(page: &mut Page<'_, '_>, facts: &Facts) -> fmt::Result {
    let mut names = BTreeMap::new();
    for (id, status) in &facts.state.keys {
        let name = names.entry(status.public_key.as_slice()).or_insert(id);
        *name = (*name).min(id);
    }
    let named = facts.state.floors.iter().filter_map(|(key, floor)| {
        let id = names.get(key.public_key.as_slice())?;
        Some(((id.to_string(), key.chain_id.as_str(), key.class.name()), floor.position.0[0]))
    });
    let mut family = page.family(&c::FLOOR)?;
    least(named)
        .iter()
        .try_for_each(|((key, chain_id, class), height)| family.gauge(&[key, chain_id, class], number(*height)))
}

/// Where policies' watermarks stand: the first component, which is the one that rises longest.
fn watermarks(page: &mut Page<'_, '_>, facts: &Facts) -> fmt::Result {
    let named = facts.state.watermarks.iter().filter_map(|(name, watermark)| {
        let first = watermark.position.first()?;
        Some(((name.instance.as_ref(), name.name.as_ref()), *first))
    });
    let mut family = page.family(&c::WATERMARK)?;
    least(named)
        .iter()
        .try_for_each(|((policy, name), position)| family.gauge(&[policy, name], number(*position)))
}

/// The first [`SHOWN_MAX`] in order, so that it is the same ones at each scrape, however many there are.
fn least<K: Ord, V>(named: impl Iterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut least = BTreeMap::new();
    for (name, value) in named {
        least.insert(name, value);
        if least.len() > SHOWN_MAX {
            least.pop_last();
        }
    }
    least
}

pub(super) fn policies(page: &mut Page<'_, '_>, facts: &Facts) -> fmt::Result {
    let mut infos = page.family(&c::POLICY)?;
    facts.policies.iter().try_for_each(|policy| {
        let mode = if policy.shadow { "shadow" } else { "in-force" };
        infos.info(&[
            &policy.instance,
            &policy.version,
            mode,
            &policy.module_digest,
            &policy.config_digest,
        ])
    })
}

pub(super) fn backends(page: &mut Page<'_, '_>, facts: &Facts) -> fmt::Result {
    let mut up = page.family(&c::BACKEND_UP)?;
    for backend in &facts.backends {
        up.gauge(&[&backend.name, backend.kind], yes(backend.up))?;
    }
    let hsms = &facts.hsms;
    let mut success = page.family(&c::HSM_SUCCESS)?;
    hsms.iter().try_for_each(|hsm| success.counter(&[&hsm.backend], hsm.sign_success))?;
    let mut errors = page.family(&c::HSM_ERROR)?;
    for hsm in hsms {
        for (kind, count) in &hsm.sign_errors {
            errors.counter(&[&hsm.backend, kind], *count)?;
        }
    }
    let mut latency = page.family(&c::HSM_LATENCY)?;
    hsms.iter()
        .try_for_each(|hsm| latency.gauge(&[&hsm.backend], number(hsm.last_latency_micros) / 1000.0))?;
    let mut failovers = page.family(&c::HSM_FAILOVERS)?;
    hsms.iter().try_for_each(|hsm| failovers.counter(&[&hsm.backend], hsm.failovers))?;
    let mut reconnects = page.family(&c::HSM_RECONNECTS)?;
    hsms.iter()
        .try_for_each(|hsm| reconnects.counter(&[&hsm.backend], hsm.reconnects))?;
    let tokens: Vec<_> = hsms
        .iter()
        .flat_map(|hsm| hsm.tokens.iter().map(move |token| (&hsm.backend, token)))
        .collect();
    let mut sessions = page.family(&c::HSM_SESSIONS)?;
    tokens
        .iter()
        .try_for_each(|(backend, token)| sessions.gauge(&[backend, &token.label], number(token.sessions_in_use)))?;
    let mut ready = page.family(&c::HSM_READY)?;
    tokens
        .iter()
        .try_for_each(|(backend, token)| ready.gauge(&[backend, &token.label, token.state], yes(token.ready)))
}

pub(super) fn edges(page: &mut Page<'_, '_>, facts: &Facts) -> fmt::Result {
    let mut certificates = page.family(&c::CERTIFICATE)?;
    for certificate in &facts.certificates {
        certificates.gauge(&[&certificate.name], number(certificate.expires))?;
    }
    page.gauge(&c::QUEUE, number(facts.queue.waiting))?;
    page.gauge(&c::QUEUE_LIMIT, number(facts.queue.limit))
}
