//! What stands at some point of a log, for an auditor who goes on from there.

use super::Witness;
use serde::Serialize;
use sigwarden_core::floor::{Floor, FloorKey, Position};
use sigwarden_core::key::KeyId;
use sigwarden_core::proof::DecisionId;
use sigwarden_core::request_id::{Remembered, RequestTag};
use sigwarden_core::watermark::Watermark;
use sigwarden_core::{RawSignature, wire};
use std::sync::Arc;

/// A decision whose outcome is to come.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Open {
    #[serde(with = "wire::decimal")]
    pub(super) sequence: u64,
    pub(super) decision: String,
    pub(super) request: String,
    pub(super) caller: String,
    pub(super) key: String,
    /// Its request's id in its scope.
    pub(super) tag: RequestTag,
    pub(super) inputs: usize,
    /// The floor that its first signature is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) floor: Option<(FloorKey, Position)>,
    /// For a replay of what was signed before: that signature, and no other.
    #[serde(with = "wire::optional_bytes")]
    pub(super) recorded: Option<Vec<u8>>,
}

/// A key, for an auditor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct PinnedKey {
    key: KeyId,
    #[serde(with = "wire::bytes")]
    public_key: Vec<u8>,
}

/// A floor, as the effect of this name tells it.
#[derive(Debug, Clone, Serialize)]
struct StandingFloor {
    key: FloorKey,
    floor: Floor,
}

/// A watermark, as the effect of this name tells it.
#[derive(Debug, Clone, Serialize)]
struct StandingWatermark {
    instance: Arc<str>,
    name: Arc<str>,
    watermark: Watermark,
}

/// A request id, as the effects of these names tell it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RememberedRequest {
    tag: RequestTag,
    version: u32,
    #[serde(with = "wire::array32")]
    payload: [u8; 32],
    decision: DecisionId,
    #[serde(with = "wire::decimal")]
    at_ms: u64,
    signatures: Vec<RawSignature>,
}

/// What a reader must know to go on from here, in order.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Known {
    complete: bool,
    keys: Vec<PinnedKey>,
    floors: Vec<StandingFloor>,
    watermarks: Vec<StandingWatermark>,
    requests: Vec<RememberedRequest>,
    decisions: Vec<Open>,
}

impl Witness {
    /// What stands now.
    pub(crate) fn known(&self) -> Known {
        let mut keys: Vec<_> = self.keys.iter().map(|(key, public)| pinned(key, public)).collect();
        keys.sort_by(|a, b| a.key.cmp(&b.key));
        let mut floors: Vec<_> = self.floors.iter().map(|(key, floor)| standing(key, floor)).collect();
        floors.sort_by(|a, b| a.key.cmp(&b.key));
        let mut watermarks: Vec<_> = self.watermarks.iter().collect();
        watermarks.sort_by_key(|(name, _)| *name);
        let watermarks = watermarks.into_iter().map(|(name, watermark)| StandingWatermark {
            instance: Arc::clone(&name.instance),
            name: Arc::clone(&name.name),
            watermark: watermark.clone(),
        });
        let mut requests: Vec<_> = self.requests.iter().map(|(tag, remembered)| request(*tag, remembered)).collect();
        requests.sort_by_key(|request| request.tag);
        Known {
            complete: self.complete,
            keys,
            floors,
            watermarks: watermarks.collect(),
            requests,
            decisions: self.open.values().cloned().collect(),
        }
    }
}

fn request(tag: RequestTag, remembered: &Remembered) -> RememberedRequest {
    RememberedRequest {
        tag,
        version: remembered.version,
        payload: remembered.payload,
        decision: remembered.decision,
        at_ms: remembered.at_ms,
        signatures: remembered.signatures.clone(),
    }
}

fn pinned(key: &KeyId, public_key: &[u8]) -> PinnedKey {
    PinnedKey {
        key: key.clone(),
        public_key: public_key.to_vec(),
    }
}

fn standing(key: &FloorKey, floor: &Floor) -> StandingFloor {
    StandingFloor {
        key: key.clone(),
        floor: floor.clone(),
    }
}
