//! Values for the tests of this crate.
#![allow(clippy::unwrap_used, reason = "tests")]

use sigwarden_core::floor::{Floor, FloorKey, MessageClass, Position, Taken};
use sigwarden_core::state::{Effect, State};
use sigwarden_core::watermark::Watermark;
use sigwarden_core::{KeyState, Scheme};

/// Effects that leave one entry of each kind.
pub(crate) fn one_of_each() -> Vec<Effect> {
    let key: sigwarden_core::key::KeyId = "cosmos.validator.v1".parse().unwrap();
    let floor_key = FloorKey {
        public_key: vec![1; 32],
        chain_id: "chain".into(),
        class: MessageClass::CometBft,
    };
    let position = Position([5, 0, 3]);
    vec![
        Effect::KeyPinned {
            key: key.clone(),
            scheme: Scheme::Ed25519,
            public_key: vec![1; 32],
            created_ms: 7,
            state: KeyState::Active,
        },
        Effect::Use { key: key.clone() },
        Effect::Use { key },
        Effect::Floor {
            key: floor_key.clone(),
            floor: Floor {
                position,
                taken: Taken::Message {
                    identity: [2; 32],
                    sign_bytes: vec![3; 100],
                    timestamp: None,
                    signature: None,
                },
            },
        },
        Effect::FloorSignature {
            key: floor_key,
            position,
            signature: vec![4; 64],
        },
        Effect::Bucket {
            instance: "limit".into(),
            name: "a\0b".into(),
            arrival_ns: u64::MAX,
        },
        Effect::Watermark {
            instance: "mono".into(),
            name: "nonce".into(),
            watermark: Watermark {
                position: vec![1, u64::MAX],
                identity: vec![5],
            },
        },
        Effect::Store {
            instance: "own".into(),
            name: "x".into(),
            value: Some(vec![0, 255]),
        },
        Effect::PolicyInstance {
            instance: "own".into(),
            module_digest: "aa".into(),
            config_digest: "bb".into(),
            version: "0.1.0".into(),
        },
    ]
}

/// Removes the value that [`one_of_each`] stored.
pub(crate) fn removal() -> Effect {
    Effect::Store {
        instance: "own".into(),
        name: "x".into(),
        value: None,
    }
}

/// The same entries; versions are of one process only.
pub(crate) fn assert_same(one: &State, other: &State) {
    let keys = |state: &State| {
        let mut keys: Vec<_> = state.keys.iter().map(|(id, status)| (id.clone(), status.clone())).collect();
        keys.iter_mut().for_each(|(_, status)| status.version = 0);
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        keys
    };
    assert_eq!(keys(one), keys(other));
    assert_eq!((&one.floors, &one.buckets), (&other.floors, &other.buckets));
    assert_eq!((&one.watermarks, &one.policies), (&other.watermarks, &other.policies));
    let storage = |state: &State| {
        let mut values: Vec<_> = state
            .storage
            .iter()
            .map(|(name, stored)| (name.clone(), stored.value.clone()))
            .collect();
        values.sort();
        values
    };
    assert_eq!(storage(one), storage(other));
    assert_eq!(one.high_water_ms, other.high_water_ms);
}
