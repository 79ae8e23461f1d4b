//! Values for the tests of this crate.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::disk::{Access, Disk, DiskFile, RealDisk};
use sigwarden_core::floor::{Floor, FloorKey, MessageClass, Position, Taken};
use sigwarden_core::proof::DecisionId;
use sigwarden_core::request_id::RequestTag;
use sigwarden_core::state::{Effect, State};
use sigwarden_core::watermark::Watermark;
use sigwarden_core::{KeyState, RawSignature, Scheme};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// The effects of request ids.
pub(crate) fn of_requests() -> Vec<Effect> {
    let tag = RequestTag([6; 32]);
    let signature = |recovery_id| RawSignature {
        bytes: vec![7; 64],
        recovery_id,
    };
    vec![
        Effect::Request {
            tag,
            version: 1,
            identity: [8; 32],
            payload: [9; 32],
            decision: DecisionId([10; 16]),
            at_ms: u64::MAX,
        },
        Effect::RequestSigned {
            tag,
            signatures: vec![signature(None), signature(Some(3))],
        },
        Effect::RequestForgotten { tag },
        removal(),
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
        keys.iter_mut().for_each(|(_, status)| std::sync::Arc::make_mut(status).version = 0);
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

/// The real disk without its syncs; counts the files that are open at once.
#[derive(Debug, Default, Clone)]
pub(crate) struct CountingDisk {
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct CountedFile(Box<dyn DiskFile>, Arc<AtomicUsize>);

impl CountingDisk {
    /// As many were open at once.
    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

impl Drop for CountedFile {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Disk for CountingDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let file = RealDisk.open(path, access)?;
        let now = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        Ok(Box::new(CountedFile(file, Arc::clone(&self.open))))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(path)
    }
}

impl DiskFile for CountedFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, out)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.0.allocate(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}
