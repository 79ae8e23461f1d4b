//! The state as rows of the checkpoint: a key that begins with a letter for the kind of entry, and a value.

use crate::record::effects::WrittenFloor;
use serde::{Deserialize, Serialize};
use sigwarden_core::floor::{Floor, FloorKey};
use sigwarden_core::key::KeyId;
use sigwarden_core::lifecycle::GraceEnd;
use sigwarden_core::limit::Bucket;
use sigwarden_core::proof::DecisionId;
use sigwarden_core::request_id::{Remembered, RequestTag};
use sigwarden_core::state::{Effect, KeyStatus, Maps, PolicyInstance, State, StateName, Stored};
use sigwarden_core::watermark::Watermark;
use sigwarden_core::{KeyState, RawSignature, Scheme, wire};
use std::sync::Arc;

/// One row: its value is `None` if the entry is no more.
pub(crate) type Row = (Vec<u8>, Option<Vec<u8>>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRow {
    scheme: Scheme,
    #[serde(with = "wire::bytes")]
    public_key: Vec<u8>,
    created_ms: u64,
    state: KeyState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grace: Option<GraceEnd>,
    uses: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyRow {
    module_digest: String,
    config_digest: String,
    version: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestRow {
    version: u32,
    #[serde(with = "wire::array32")]
    identity: [u8; 32],
    #[serde(with = "wire::array32")]
    payload: [u8; 32],
    decision: DecisionId,
    at_ms: u64,
    signatures: Vec<RawSignature>,
}

const KEY: u8 = b'k';
const FLOOR: u8 = b'f';
const BUCKET: u8 = b'b';
const WATERMARK: u8 = b'w';
const STORED: u8 = b's';
const POLICY: u8 = b'p';
/// A request id, in the first version: by its tag alone, so that no two of a second lay on one page.
const REQUEST_1: u8 = b'r';
/// A request id: its time, then its tag.
const REQUEST: u8 = b't';

/// Which row has changed.
#[derive(Debug)]
pub(crate) enum Touched {
    /// The one that this effect is about.
    By(Effect),
    /// A request id's that was remembered at that time, and is not any more.
    Left { tag: RequestTag, at_ms: u64 },
}

impl Touched {
    /// A row that the effect leaves behind; asked before it is applied.
    pub(crate) fn leaves(effect: &Effect, state: &State) -> Option<Self> {
        let (Effect::RequestForgotten { tag } | Effect::Request { tag, .. }) = effect else {
            return None;
        };
        let at_ms = state.requests.get(tag)?.at_ms;
        Some(Self::Left { tag: *tag, at_ms })
    }

    /// The row as it is in `state`; none if another one tells of it.
    pub(crate) fn now(&self, state: &State) -> Result<Option<Row>, serde_json::Error> {
        let effect = match self {
            Self::By(effect) => effect,
            Self::Left { tag, at_ms } => return request(state, *tag, *at_ms).map(Some),
        };
        match effect {
            Effect::Bucket { instance, name, .. } => Ok(bucket(state, &state_name(instance, name))),
            Effect::Watermark { instance, name, .. } => watermark(state, &state_name(instance, name)),
            Effect::Store { instance, name, .. } => Ok(stored(state, &state_name(instance, name))),
            Effect::Floor { key, .. } | Effect::FloorSignature { key, .. } => floor(state, key),
            Effect::Use { key } | Effect::KeyPinned { key, .. } | Effect::KeyState { key, .. } => key_row(state, key),
            Effect::PolicyInstance { instance, .. } => policy(state, instance),
            // All rows are written after this one.
            Effect::ClockAccepted { .. } => return Ok(None),
            Effect::Request { tag, at_ms, .. } => request(state, *tag, *at_ms),
            Effect::RequestSigned { tag, .. } => match state.requests.get(tag) {
                Some(remembered) => request(state, *tag, remembered.at_ms),
                None => return Ok(None),
            },
            // It left its row, or there was none.
            Effect::RequestForgotten { .. } => return Ok(None),
        }
        .map(Some)
    }
}

/// Every row of a state.
pub(crate) fn all(state: &State) -> impl Iterator<Item = Result<Row, serde_json::Error>> {
    let keys = state.keys.keys().map(|key| key_row(state, key));
    let floors = state.floors.keys().map(|key| floor(state, key));
    let buckets = state.buckets.keys().map(|name| Ok(bucket(state, name)));
    let watermarks = state.watermarks.keys().map(|name| watermark(state, name));
    let storage = state.storage.keys().map(|name| Ok(stored(state, name)));
    let policies = state.policies.keys().map(|instance| policy(state, instance));
    let requests = state.requests_by_age.iter().map(|(at_ms, tag)| request(state, *tag, *at_ms));
    keys.chain(floors)
        .chain(buckets)
        .chain(watermarks)
        .chain(storage)
        .chain(policies)
        .chain(requests)
}

fn state_name(instance: &Arc<str>, name: &Arc<str>) -> StateName {
    StateName {
        instance: Arc::clone(instance),
        name: Arc::clone(name),
    }
}

/// Length of the instance's name, the instance's name, the name: no two names give one key.
fn named(tag: u8, name: &StateName) -> Vec<u8> {
    let mut key = vec![tag];
    key.extend_from_slice(&(name.instance.len() as u64).to_be_bytes());
    key.extend_from_slice(name.instance.as_bytes());
    key.extend_from_slice(name.name.as_bytes());
    key
}

fn tagged(tag: u8, name: &[u8]) -> Vec<u8> {
    let mut key = vec![tag];
    key.extend_from_slice(name);
    key
}

fn bucket(state: &State, name: &StateName) -> Row {
    let value = state.buckets.get(name).map(|bucket| bucket.arrival_ns.to_be_bytes().to_vec());
    (named(BUCKET, name), value)
}

fn watermark(state: &State, name: &StateName) -> Result<Row, serde_json::Error> {
    let value = state.watermarks.get(name).map(serde_json::to_vec).transpose()?;
    Ok((named(WATERMARK, name), value))
}

fn stored(state: &State, name: &StateName) -> Row {
    (named(STORED, name), state.storage.get(name).map(|stored| stored.value.clone()))
}

fn floor(state: &State, key: &FloorKey) -> Result<Row, serde_json::Error> {
    let value = state.floors.get(key).map(serde_json::to_vec).transpose()?;
    Ok((tagged(FLOOR, &serde_json::to_vec(key)?), value))
}

fn key_row(state: &State, key: &KeyId) -> Result<Row, serde_json::Error> {
    let row = |status: &KeyStatus| {
        serde_json::to_vec(&KeyRow {
            scheme: status.scheme,
            public_key: status.public_key.clone(),
            created_ms: status.created_ms,
            state: status.state,
            grace: status.grace,
            uses: status.uses,
        })
    };
    let value = state.keys.get(key).map(|status| row(status)).transpose()?;
    Ok((tagged(KEY, key.to_string().as_bytes()), value))
}

fn policy(state: &State, instance: &Arc<str>) -> Result<Row, serde_json::Error> {
    let row = |ran: &PolicyInstance| {
        serde_json::to_vec(&PolicyRow {
            module_digest: ran.module_digest.clone(),
            config_digest: ran.config_digest.clone(),
            version: ran.version.clone(),
        })
    };
    let value = state.policies.get(instance).map(row).transpose()?;
    Ok((tagged(POLICY, instance.as_bytes()), value))
}

/// The row of an id that was given at that time: gone if it was forgotten, or given again since.
fn request(state: &State, tag: RequestTag, at_ms: u64) -> Result<Row, serde_json::Error> {
    let row = |remembered: &Remembered| {
        serde_json::to_vec(&RequestRow {
            version: remembered.version,
            identity: remembered.identity,
            payload: remembered.payload,
            decision: remembered.decision,
            at_ms: remembered.at_ms,
            signatures: remembered.signatures.clone(),
        })
    };
    let remembered = state.requests.get(&tag).filter(|remembered| remembered.at_ms == at_ms);
    let value = remembered.map(|remembered| row(remembered)).transpose()?;
    let mut key = tagged(REQUEST, &at_ms.to_be_bytes());
    key.extend_from_slice(&tag.0);
    Ok((key, value))
}

/// An entry of the state, read from its row.
pub(crate) enum Entry {
    Bucket(StateName, Bucket),
    Watermark(StateName, Watermark),
    Stored(StateName, Vec<u8>),
    Floor(Arc<FloorKey>, Arc<Floor>),
    Key(KeyId, KeyStatus),
    Policy(Arc<str>, PolicyInstance),
    Request(RequestTag, Remembered),
}

impl Entry {
    /// Reads a row. `None` if it is none.
    pub(crate) fn read(key: &[u8], value: &[u8]) -> Option<Self> {
        let (tag, name) = key.split_first()?;
        Some(match *tag {
            BUCKET => {
                let arrival_ns = u64::from_be_bytes(value.try_into().ok()?);
                Self::Bucket(read_name(name)?, Bucket { arrival_ns })
            }
            WATERMARK => Self::Watermark(read_name(name)?, serde_json::from_slice(value).ok()?),
            STORED => Self::Stored(read_name(name)?, value.to_vec()),
            FLOOR => Self::Floor(serde_json::from_slice(name).ok()?, read_floor(value)?.into()),
            KEY => {
                let row: KeyRow = serde_json::from_slice(value).ok()?;
                let status = KeyStatus {
                    scheme: row.scheme,
                    public_key: row.public_key,
                    created_ms: row.created_ms,
                    state: row.state,
                    version: 0,
                    grace: row.grace,
                    uses: row.uses,
                };
                Self::Key(std::str::from_utf8(name).ok()?.parse().ok()?, status)
            }
            POLICY => {
                let row: PolicyRow = serde_json::from_slice(value).ok()?;
                let ran = PolicyInstance {
                    module_digest: row.module_digest,
                    config_digest: row.config_digest,
                    version: row.version,
                };
                Self::Policy(std::str::from_utf8(name).ok()?.into(), ran)
            }
            REQUEST | REQUEST_1 => {
                let row: RequestRow = serde_json::from_slice(value).ok()?;
                let name = match *tag {
                    REQUEST => name.strip_prefix(&row.at_ms.to_be_bytes())?,
                    _ => name,
                };
                let remembered = Remembered {
                    version: row.version,
                    identity: row.identity,
                    payload: row.payload,
                    decision: row.decision,
                    at_ms: row.at_ms,
                    signatures: row.signatures,
                };
                Self::Request(RequestTag(name.try_into().ok()?), remembered)
            }
            _ => return None,
        })
    }

    /// Puts it back into the state.
    pub(crate) fn put(self, state: &mut Maps) {
        // Versions only tell writes of one process apart; none of another process is in flight.
        state.revision += 1;
        let version = state.revision;
        match self {
            Self::Bucket(name, bucket) => drop(state.buckets.insert(name, bucket)),
            Self::Watermark(name, watermark) => drop(state.watermarks.insert(name, watermark)),
            Self::Stored(name, value) => drop(state.storage.insert(name, Stored { value, version })),
            Self::Floor(key, floor) => drop(state.floors.insert(key, floor)),
            Self::Key(id, status) => drop(state.keys.insert(id, KeyStatus { version, ..status }.into())),
            Self::Policy(instance, ran) => drop(state.policies.insert(instance, ran)),
            Self::Request(tag, remembered) => state.remember(tag, remembered),
        }
    }
}

/// As we write it, in one pass; any other in two.
fn read_floor(value: &[u8]) -> Option<Floor> {
    match serde_json::from_slice::<WrittenFloor>(value) {
        Ok(floor) => Some(floor.into()),
        Err(_) => serde_json::from_slice(value).ok(),
    }
}

fn read_name(bytes: &[u8]) -> Option<StateName> {
    let (len, rest) = bytes.split_first_chunk::<8>()?;
    let (instance, name) = rest.split_at_checked(usize::try_from(u64::from_be_bytes(*len)).ok()?)?;
    Some(StateName {
        instance: std::str::from_utf8(instance).ok()?.into(),
        name: std::str::from_utf8(name).ok()?.into(),
    })
}

#[cfg(test)]
mod tests;
