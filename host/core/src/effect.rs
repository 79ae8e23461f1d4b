//! The changes of the state, as records carry them. What each does is [`crate::state::State::apply`].

use crate::floor::{Floor, FloorKey, Position};
use crate::key::KeyId;
use crate::lifecycle::GraceEnd;
use crate::proof::{DecisionId, RawSignature};
use crate::request_id::RequestTag;
use crate::vocabulary::{KeyState, Scheme};
use crate::watermark::Watermark;
use crate::wire;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One change of the state, with absolute values: applying it twice is applying it once (but for [`Effect::Use`], which counts).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Effect {
    /// A bucket's new arrival time.
    Bucket {
        /// The policy instance.
        instance: Arc<str>,
        /// The bucket.
        name: Arc<str>,
        /// Nanoseconds since the Unix epoch.
        #[serde(with = "wire::decimal")]
        arrival_ns: u64,
    },
    /// A policy's watermark's new position.
    Watermark {
        /// The policy instance.
        instance: Arc<str>,
        /// The watermark.
        name: Arc<str>,
        /// Where it stands now.
        watermark: Watermark,
    },
    /// A policy's stored value, or its removal.
    Store {
        /// The policy instance.
        instance: Arc<str>,
        /// The name.
        name: Arc<str>,
        /// The value; none removes.
        #[serde(with = "wire::optional_bytes")]
        value: Option<Vec<u8>>,
    },
    /// A floor's new position.
    Floor {
        /// Whose.
        key: FloorKey,
        /// What stands there now.
        floor: Floor,
    },
    /// The signature made for the message at a floor.
    FloorSignature {
        /// Whose.
        key: FloorKey,
        /// The position it belongs to; ignored if the floor has moved on.
        position: Position,
        /// The signature.
        #[serde(with = "wire::bytes")]
        signature: Vec<u8>,
    },
    /// One more signature was committed for a key.
    Use {
        /// The key.
        key: KeyId,
    },
    /// A key became known, with the public key that pins it.
    KeyPinned {
        /// The key.
        key: KeyId,
        /// How it signs.
        scheme: Scheme,
        /// Its public key.
        #[serde(with = "wire::bytes")]
        public_key: Vec<u8>,
        /// Milliseconds since the Unix epoch.
        #[serde(with = "wire::decimal")]
        created_ms: u64,
        /// Its first state.
        state: KeyState,
    },
    /// A key's state changed.
    KeyState {
        /// The key.
        key: KeyId,
        /// What it is now.
        state: KeyState,
        /// For a key in grace: where that ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grace: Option<GraceEnd>,
    },
    /// A request id was decided on.
    Request {
        /// The id in its scope.
        tag: RequestTag,
        /// The key's version.
        version: u32,
        /// What was asked for.
        #[serde(with = "wire::array32")]
        identity: [u8; 32],
        /// BLAKE3 of the payload.
        #[serde(with = "wire::array32")]
        payload: [u8; 32],
        /// The decision.
        decision: DecisionId,
        /// Milliseconds since the Unix epoch.
        #[serde(with = "wire::decimal")]
        at_ms: u64,
    },
    /// What was signed for a request id.
    RequestSigned {
        /// The id in its scope.
        tag: RequestTag,
        /// One for each signing input.
        signatures: Vec<RawSignature>,
    },
    /// A request id is too old, or there are too many.
    RequestForgotten {
        /// The id in its scope.
        tag: RequestTag,
    },
    /// An operator said that this is the time. Alone among effects it may lower something: the high-water mark and the arrival times of
    /// buckets, which a clock that was wrong has raised. Floors and watermarks know no time.
    ClockAccepted {
        /// Milliseconds since the Unix epoch.
        #[serde(with = "wire::decimal")]
        now_ms: u64,
    },
    /// A policy instance began to run this module with this configuration.
    PolicyInstance {
        /// The instance.
        instance: Arc<str>,
        /// SHA-256 of the module, hex.
        module_digest: String,
        /// SHA-256 of the configuration, hex.
        config_digest: String,
        /// The manifest's version.
        version: String,
    },
}
