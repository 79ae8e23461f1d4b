//! A deployment as a recording begins with it: keys, clients, policies, and the state that all of it stands by.

use crate::admin::NotDone;
use crate::config::{Config, Key, Policy, PolicyConfig};
use crate::deployment::{now_ms, read_module_file};
use crate::embedded;
use sha2::{Digest, Sha256};
use sigwarden_core::PolicySet;
use sigwarden_core::caller::{Client, KeyPattern};
use sigwarden_core::floor::{MessageClass, Taken};
use sigwarden_core::policy::Binding;
use sigwarden_core::state::{KeyStatus, State, StateName};
use sigwarden_workbench::recording::{
    RecordedAllow, RecordedBinding, RecordedClient, RecordedDeployment, RecordedFloor, RecordedKey, RecordedPolicy, RecordedState,
    RecordedValue, VERSION,
};

/// Entries of policies' state at most, and bytes of their names and values: a recording's line has 8 MiB, a fixture 4.
const STATE_MAX: Room = Room {
    entries: 2_000,
    bytes: 256 * 1024,
};
/// Bytes of all configurations at most.
const CONFIG_BYTES_MAX: usize = 1024 * 1024;
/// Keys that a note names.
const NAMED_MAX: usize = 5;
/// In a name of policies' state that is a hash of its parts, as the SDK makes them.
const HASHED: &str = "/sha256:";

/// What may still be told of policies' state.
struct Room {
    entries: usize,
    bytes: usize,
}

impl Room {
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.entries.checked_sub(1).zip(self.bytes.checked_sub(bytes));
        if let Some((entries, bytes)) = left {
            *self = Self { entries, bytes };
        }
        left.is_some()
    }
}

/// Public keys in names of policies' state: a fixture's keys have others.
struct Names(Vec<(String, String)>);

impl Names {
    fn of(config: &Config, state: &State) -> Self {
        let keys = config.keys.iter().filter_map(|key| Some((key, state.keys.get(&key.id)?)));
        Self(
            keys.map(|(key, status)| (hex::encode(&status.public_key), format!("{{{}}}", key.id)))
                .collect(),
        )
    }

    /// As a fixture has it.
    fn told(&self, name: &str) -> String {
        self.0
            .iter()
            .fold(name.to_owned(), |name, (public_key, id)| name.replace(public_key, id))
    }
}

/// The deployment, and what of it a fixture cannot have.
pub(super) fn describe(config: &Config, policies: &PolicySet, state: &State) -> Result<(RecordedDeployment, Vec<String>), NotDone> {
    let mut notes = Vec::new();
    let known = config.keys.iter().filter_map(|key| Some((key, state.keys.get(&key.id)?)));
    let keys: Vec<RecordedKey> = known.clone().map(|(key, status)| recorded_key(key, status, state)).collect();
    let used = known.filter(|(_, status)| status.uses > 0).map(|(key, _)| key.id.to_string());
    notes.extend(named(
        used.collect(),
        "had signed before; to a policy that counts their uses they are new here",
    ));
    let twins = config
        .keys
        .iter()
        .filter(|key| key.replica_of.is_some())
        .map(|key| key.id.to_string());
    notes.extend(named(
        twins.collect(),
        "are replicas of other keys; here each has floors of its own",
    ));
    let names = Names::of(config, state);
    let mut recorded = Vec::with_capacity(policies.bindings.len());
    let (mut config_bytes, mut room) = (0, STATE_MAX);
    for binding in &policies.bindings {
        let policy = config.policies.iter().find(|policy| *policy.name == *binding.instance);
        let policy = policy.ok_or_else(|| {
            NotDone::cannot(format!(
                "the daemon runs a policy `{}` that it has no `[[policy]]` of",
                binding.instance
            ))
        })?;
        let (policy, left_out) = recorded_policy(policy, binding, state, &names, &mut room)?;
        config_bytes += policy.config_json.len();
        if policy.state.names().any(|name| name.contains(HASHED)) {
            notes.push(format!(
                "Policy `{}` had state under names that are hashes: what is counted by public key begins anew here.",
                policy.name
            ));
        }
        if left_out > 0 {
            notes.push(format!(
                "Policy `{}` had {left_out} more entries of state, which are not in it.",
                policy.name
            ));
        }
        recorded.push(policy);
    }
    if config_bytes > CONFIG_BYTES_MAX {
        return Err(NotDone::no(format!(
            "the policies' configurations have {config_bytes} bytes, a recording holds {CONFIG_BYTES_MAX}; record with smaller ones"
        )));
    }
    let deployment = RecordedDeployment {
        version: VERSION,
        network: config.network,
        started_ms: now_ms(),
        keys,
        clients: config.clients.iter().map(|client| recorded_client(client)).collect(),
        policies: recorded,
    };
    Ok((deployment, notes))
}

fn named(keys: Vec<String>, what: &str) -> Option<String> {
    let more = keys.len().saturating_sub(NAMED_MAX);
    let shown = keys.get(..keys.len() - more).filter(|shown| !shown.is_empty())?.join(", ");
    Some(match more {
        0 => format!("Keys that {what}: {shown}."),
        more => format!("Keys that {what}: {shown} and {more} more."),
    })
}

fn recorded_key(key: &Key, status: &KeyStatus, state: &State) -> RecordedKey {
    let own = state.floors.iter().filter(|(floor, _)| floor.public_key == status.public_key);
    // An extension's floor follows its precommit's.
    let own = own.filter(|(floor, _)| floor.class != MessageClass::CometBftExtension);
    let mut floors: Vec<RecordedFloor> = own
        .map(|(key, floor)| RecordedFloor {
            chain_id: key.chain_id.clone(),
            class: key.class,
            position: floor.position,
            sign_bytes: match &floor.taken {
                Taken::Message { sign_bytes, .. } => Some(sign_bytes.clone()),
                Taken::Operator | Taken::Extension { .. } => None,
            },
        })
        .collect();
    floors.sort_by(|one, other| (&one.chain_id, one.class.name()).cmp(&(&other.chain_id, other.class.name())));
    RecordedKey {
        name: key.id.name.clone(),
        version: key.id.version,
        roles: key.roles.iter().copied().collect(),
        scheme: key.scheme,
        state: status.state,
        created_ms: status.created_ms,
        dangerous_allow_raw_messages: key.dangerous_allow_raw_messages,
        dangerous_allow_raw_digests: key.dangerous_allow_raw_digests,
        dangerous_allow_prefixed_raw: key
            .dangerous_allow_prefixed_raw
            .iter()
            .map(|prefix| prefix.as_str().to_owned())
            .collect(),
        bind: key.bound.as_ref().map(|bound| RecordedBinding {
            chain_id: bound.chain_id.clone(),
            validator_id: bound.validator_id,
            suite_id: bound.suite_id,
        }),
        floors,
    }
}

fn recorded_client(client: &Client) -> RecordedClient {
    RecordedClient {
        name: client.name.to_string(),
        allow: client
            .allow
            .iter()
            .map(|allow| RecordedAllow {
                keys: allow.keys.iter().map(pattern).collect(),
                operations: allow.operations.clone(),
                formats: allow
                    .formats
                    .as_ref()
                    .map(|formats| formats.iter().map(ToString::to_string).collect()),
            })
            .collect(),
    }
}

fn pattern(pattern: &KeyPattern) -> String {
    match pattern {
        KeyPattern::All => "*".to_owned(),
        KeyPattern::Namespace(prefix) => format!("{prefix}*"),
        KeyPattern::One(name) => name.to_string(),
    }
}

/// A policy as it runs, and how many entries of its state are not in it.
fn recorded_policy(
    policy: &Policy,
    binding: &Binding,
    state: &State,
    names: &Names,
    room: &mut Room,
) -> Result<(RecordedPolicy, usize), NotDone> {
    let other = |what: String| {
        NotDone::no(format!(
            "policy `{}`: {what} is not what the daemon runs; `sigwarden policy reload --reason TEXT` first, so that the fixture tests what was recorded",
            policy.name
        ))
    };
    let sha256 = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let own = embedded::LIBRARY.iter().find(|(_, wasm)| sha256(wasm) == *binding.module_digest);
    let module = match own {
        Some((name, _)) => (*name).to_owned(),
        None if sha256(&read_module_file(policy)?) != *binding.module_digest => return Err(other(policy.module.display().to_string())),
        None => std::path::absolute(&policy.module)?.display().to_string(),
    };
    let config_json = match &policy.config {
        PolicyConfig::Inline(json) => json.clone(),
        PolicyConfig::File(file) => {
            let bytes = crate::files::read(file, CONFIG_BYTES_MAX as u64)?;
            String::from_utf8(bytes).map_err(|_| other(file.display().to_string()))?
        }
    };
    if sha256(config_json.as_bytes()) != *binding.config_digest {
        return Err(other("its configuration".to_owned()));
    }
    let (state, left_out) = recorded_state(&binding.instance, state, names, room);
    let recorded = RecordedPolicy {
        name: policy.name.clone(),
        module,
        config_json,
        keys: policy.keys.as_ref().map(|keys| keys.iter().map(pattern).collect()),
        roles: policy.roles.clone(),
        formats: policy
            .formats
            .as_ref()
            .map(|formats| formats.iter().map(ToString::to_string).collect()),
        fuel: policy.fuel,
        deadline_ms: policy
            .deadline
            .map(|deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)),
        memory_bytes: policy.memory_bytes,
        state,
    };
    Ok((recorded, left_out))
}

/// What an instance had counted, passed and stored, as much as fits.
fn recorded_state(instance: &str, state: &State, names: &Names, room: &mut Room) -> (RecordedState, usize) {
    fn own<'s, V: 's>(
        map: impl IntoIterator<Item = (&'s StateName, &'s V)>,
        instance: &str,
        names: &Names,
    ) -> impl Iterator<Item = (String, &'s V)> {
        map.into_iter()
            .filter(move |(name, _)| *name.instance == *instance)
            .map(|(name, value)| (names.told(&name.name), value))
    }
    let mut recorded = RecordedState::default();
    let mut left_out = 0;
    let mut fits = |size: usize| {
        let right = room.take(size);
        left_out += usize::from(!right);
        right
    };
    let now_ns = now_ms().saturating_mul(1_000_000);
    for (name, bucket) in own(&state.buckets, instance, names) {
        // A full one is as good as none.
        if bucket.arrival_ns > now_ns && fits(name.len()) {
            recorded.limits.insert(name, bucket.arrival_ns);
        }
    }
    for (name, watermark) in own(&state.watermarks, instance, names) {
        if fits(name.len() + watermark.identity.len()) {
            recorded.watermarks.insert(name, watermark.clone());
        }
    }
    for (name, stored) in own(&state.storage, instance, names) {
        if fits(name.len() + stored.value.len()) {
            recorded.storage.insert(name, RecordedValue(stored.value.clone()));
        }
    }
    (recorded, left_out)
}
