//! Keys that a backend keeps shielded in memory, each for a while since it was loaded.

use crate::held::HeldKey;
use sigwarden_core::key::KeyId;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Keys at most: with some 500 bytes each (2 KiB for ml-dsa-44), 8 MB. A vault with more opens the rest again and again.
pub(crate) const HELD_MAX: usize = 16_384;

/// Five minutes: what `security.secret_cache_ttl` is if nobody says otherwise.
pub(crate) const DEFAULT_TTL: Duration = Duration::from_secs(300);

/// The keys, with when each was loaded.
pub(crate) struct Cache {
    held: RwLock<HashMap<KeyId, Loaded>>,
    ttl: Duration,
    max: usize,
}

struct Loaded {
    key: Arc<HeldKey>,
    at: Instant,
}

impl Cache {
    /// Keeps keys for `ttl` since they were loaded; none at all if it is zero.
    pub(crate) fn new(ttl: Duration, max: usize) -> Self {
        Self {
            held: RwLock::default(),
            ttl,
            max,
        }
    }

    fn fresh(&self, loaded: &Loaded, now: Instant) -> bool {
        now.saturating_duration_since(loaded.at) < self.ttl
    }

    /// The key, loaded by `load` unless it is held and was loaded less than `ttl` ago.
    pub(crate) fn get<E>(&self, id: &KeyId, now: Instant, load: impl FnOnce() -> Result<HeldKey, E>) -> Result<Arc<HeldKey>, E> {
        if let Some(loaded) = self.held.read().unwrap_or_else(PoisonError::into_inner).get(id)
            && self.fresh(loaded, now)
        {
            return Ok(Arc::clone(&loaded.key));
        }
        // Without the lock: it reads a file. Two threads may both load a key; either copy serves.
        let key = Arc::new(load()?);
        if self.ttl.is_zero() {
            return Ok(key);
        }
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= self.max
            && !held.contains_key(id)
            && let Some(any) = held.keys().next().cloned()
        {
            held.remove(&any);
        }
        let loaded = Loaded {
            key: Arc::clone(&key),
            at: now,
        };
        held.insert(id.clone(), loaded);
        Ok(key)
    }

    /// Drops what was loaded `ttl` ago or longer. Returns how many keys that were.
    pub(crate) fn evict(&self, now: Instant) -> usize {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let before = held.len();
        held.retain(|_, loaded| self.fresh(loaded, now));
        before - held.len()
    }

    /// Drops one key.
    pub(crate) fn forget(&self, id: &KeyId) {
        self.held.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.held.read().unwrap().len()
    }
}
