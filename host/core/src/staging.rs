//! What one policy stages in one request: every read and write goes through here in the sandbox, and again at commit against the
//! state of that moment.

use crate::limit::{self, Bucket, Take};
use crate::state::{Effect, State, StateName};
use crate::watermark::{self, Advance, Order, Watermark};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most state calls of one evaluation. A record's line is at most 32 KiB, and each change takes up to 300 bytes of it.
pub const CHANGES_MAX: usize = 32;
/// The longest period of a bucket, milliseconds: ten years. Keeps the arithmetic of [`crate::limit`] below 2^128 for any cost and
/// capacity.
pub const PERIOD_MAX_MS: u64 = 10 * 366 * 24 * 3600 * 1000;
/// The longest bucket, watermark or storage name, in bytes.
pub const NAME_MAX: usize = 256;
/// The most components of a watermark's position.
pub const COMPONENTS_MAX: usize = 8;
/// The longest watermark identity, in bytes: two hashes.
pub const IDENTITY_MAX: usize = 64;
/// The longest stored value, in bytes.
pub const VALUE_MAX: usize = 1024;
/// The most bytes stored in one evaluation, names included.
pub const STORED_MAX: usize = 4096;

/// One state call of a policy, with what it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `limits.take`.
    Take {
        /// The bucket.
        bucket: Arc<str>,
        /// What was asked.
        cost: u64,
        /// What the bucket holds when full.
        capacity: u64,
        /// Milliseconds from empty to full.
        period_ms: u64,
        /// Whether it was taken.
        taken: bool,
    },
    /// `watermarks.advance`.
    Advance {
        /// The watermark.
        name: Arc<str>,
        /// The position asked for.
        position: Vec<u64>,
        /// By what.
        identity: Vec<u8>,
        /// How positions compare.
        order: Order,
        /// What was answered.
        answer: Advanced,
    },
    /// `storage.get`.
    Get {
        /// The name.
        name: Arc<str>,
        /// The version read; 0 for absent.
        version: u64,
    },
    /// `storage.set`, or `delete` with no value.
    Set {
        /// The name.
        name: Arc<str>,
        /// The value.
        value: Option<Vec<u8>>,
    },
}

/// The variant of an answer to `watermarks.advance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advanced {
    /// Moved.
    Moved,
    /// Same position, same identity.
    Same,
    /// It stands higher.
    Regression,
    /// Same position, another identity.
    Conflict,
}

/// A state call that breaks the contract; the policy traps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StagingFault {
    /// Too many calls.
    #[error("more than {CHANGES_MAX} state calls in one evaluation")]
    TooMany,
    /// A name that is empty or too long.
    #[error("a {0} has a name of 1 to {NAME_MAX} bytes")]
    Name(&'static str),
    /// A capacity or period of 0, or a period that is too long.
    #[error("capacity and period of a bucket are at least 1, the period at most ten years")]
    Bucket,
    /// A position with no or too many components, or another number than before.
    #[error("a position has 1 to {COMPONENTS_MAX} components, as many as the watermark's first")]
    Position,
    /// An identity that is too long.
    #[error("an identity has at most {IDENTITY_MAX} bytes")]
    Identity,
    /// A value that is too long, or too many of them.
    #[error("a stored value has at most {VALUE_MAX} bytes, all of one evaluation {STORED_MAX}")]
    Value,
}

/// A policy instance's view of the state in one request: a snapshot, and what it staged on top.
#[derive(Debug)]
pub struct Staging {
    state: State,
    instance: Arc<str>,
    now_ms: u64,
    buckets: BTreeMap<Arc<str>, Bucket>,
    watermarks: BTreeMap<Arc<str>, Watermark>,
    storage: BTreeMap<Arc<str>, Option<Vec<u8>>>,
    stored_bytes: usize,
    changes: Vec<Change>,
}

impl Staging {
    /// An empty stage over a snapshot.
    #[must_use]
    pub fn new(state: State, instance: Arc<str>, now_ms: u64) -> Self {
        Self {
            state,
            instance,
            now_ms,
            buckets: BTreeMap::new(),
            watermarks: BTreeMap::new(),
            storage: BTreeMap::new(),
            stored_bytes: 0,
            changes: Vec::new(),
        }
    }

    fn name(&self, kind: &'static str, name: &str) -> Result<StateName, StagingFault> {
        if self.changes.len() >= CHANGES_MAX {
            return Err(StagingFault::TooMany);
        }
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(StagingFault::Name(kind));
        }
        Ok(StateName {
            instance: Arc::clone(&self.instance),
            name: Arc::from(name),
        })
    }

    /// `limits.take`.
    ///
    /// # Errors
    /// The call breaks the contract.
    pub fn take(&mut self, bucket: &str, cost: u64, capacity: u64, period_ms: u64) -> Result<Take, StagingFault> {
        let name = self.name("bucket", bucket)?;
        if capacity == 0 || period_ms == 0 || period_ms > PERIOD_MAX_MS {
            return Err(StagingFault::Bucket);
        }
        let stands = self
            .buckets
            .get(&name.name)
            .or_else(|| self.state.buckets.get(&name))
            .copied()
            .unwrap_or_default();
        let answer = limit::take(stands, self.now_ms, cost, capacity, period_ms);
        let taken = match answer {
            Take::Taken(next, _) => {
                self.buckets.insert(Arc::clone(&name.name), next);
                true
            }
            Take::Exceeded { .. } => false,
        };
        self.changes.push(Change::Take {
            bucket: name.name,
            cost,
            capacity,
            period_ms,
            taken,
        });
        Ok(answer)
    }

    /// `watermarks.advance`. Never answers [`Advance::Length`], which is a fault.
    ///
    /// # Errors
    /// The call breaks the contract.
    pub fn advance(&mut self, name: &str, position: &[u64], identity: &[u8], order: Order) -> Result<Advance, StagingFault> {
        let name = self.name("watermark", name)?;
        if position.is_empty() || position.len() > COMPONENTS_MAX {
            return Err(StagingFault::Position);
        }
        if identity.len() > IDENTITY_MAX {
            return Err(StagingFault::Identity);
        }
        let stands = self.watermarks.get(&name.name).or_else(|| self.state.watermarks.get(&name));
        let answer = watermark::advance(stands, position, identity, order);
        let variant = match answer {
            Advance::Moved => {
                let moved = Watermark {
                    position: position.to_vec(),
                    identity: identity.to_vec(),
                };
                self.watermarks.insert(Arc::clone(&name.name), moved);
                Advanced::Moved
            }
            Advance::Same => Advanced::Same,
            Advance::Regression(_) => Advanced::Regression,
            Advance::Conflict => Advanced::Conflict,
            Advance::Length => return Err(StagingFault::Position),
        };
        let (position, identity) = (position.to_vec(), identity.to_vec());
        self.changes.push(Change::Advance {
            name: name.name,
            position,
            identity,
            order,
            answer: variant,
        });
        Ok(answer)
    }

    /// `storage.get`.
    ///
    /// # Errors
    /// The call breaks the contract.
    pub fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, StagingFault> {
        let name = self.name("stored value", name)?;
        if let Some(staged) = self.storage.get(&name.name) {
            return Ok(staged.clone());
        }
        let stored = self.state.storage.get(&name);
        let (value, version) = stored.map_or((None, 0), |stored| (Some(stored.value.clone()), stored.version));
        self.changes.push(Change::Get { name: name.name, version });
        Ok(value)
    }

    /// `storage.set`, or `storage.delete` with no value.
    ///
    /// # Errors
    /// The call breaks the contract.
    pub fn set(&mut self, name: &str, value: Option<&[u8]>) -> Result<(), StagingFault> {
        let name = self.name("stored value", name)?;
        let len = value.map_or(0, <[u8]>::len);
        self.stored_bytes += name.name.len() + len;
        if len > VALUE_MAX || self.stored_bytes > STORED_MAX {
            return Err(StagingFault::Value);
        }
        self.storage.insert(Arc::clone(&name.name), value.map(<[u8]>::to_vec));
        self.changes.push(Change::Set {
            name: name.name,
            value: value.map(<[u8]>::to_vec),
        });
        Ok(())
    }

    /// Applies calls that another stage recorded and says whether each is answered by the same variant here. On `true`,
    /// [`Staging::into_effects`] gives their effects on this stage's state.
    #[must_use]
    pub fn stands(&mut self, changes: &[Change]) -> bool {
        changes.iter().all(|change| match change {
            Change::Take {
                bucket,
                cost,
                capacity,
                period_ms,
                taken,
            } => self
                .take(bucket, *cost, *capacity, *period_ms)
                .is_ok_and(|answer| matches!(answer, Take::Taken(..)) == *taken),
            Change::Advance {
                name,
                position,
                identity,
                order,
                answer: _,
            } => self.advance(name, position, identity, *order).is_ok() && self.changes.last() == Some(change),
            Change::Get { name, .. } => self.get(name).is_ok() && self.changes.last() == Some(change),
            Change::Set { name, value } => self.set(name, value.as_deref()).is_ok(),
        })
    }

    /// The calls so far, in order.
    #[must_use]
    pub fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// What the calls so far do to the state.
    #[must_use]
    pub fn into_effects(self) -> Vec<Effect> {
        let instance = self.instance;
        let buckets = self.buckets.into_iter().map(|(name, bucket)| Effect::Bucket {
            instance: Arc::clone(&instance),
            name,
            arrival_ns: bucket.arrival_ns,
        });
        let watermarks = self.watermarks.into_iter().map(|(name, watermark)| Effect::Watermark {
            instance: Arc::clone(&instance),
            name,
            watermark,
        });
        let storage = self.storage.into_iter().map(|(name, value)| Effect::Store {
            instance: Arc::clone(&instance),
            name,
            value,
        });
        buckets.chain(watermarks).chain(storage).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn a_policy_sees_what_it_staged_and_nobody_else_does() {
        let state = State::default();
        let mut stage = Staging::new(state.clone(), "a".into(), 1_000);
        assert_eq!(stage.get("x").unwrap(), None);
        stage.set("x", Some(b"1")).unwrap();
        assert_eq!(stage.get("x").unwrap(), Some(b"1".to_vec()));
        assert!(matches!(stage.take("b", 1, 1, 1_000).unwrap(), Take::Taken(..)));
        assert!(matches!(stage.take("b", 1, 1, 1_000).unwrap(), Take::Exceeded { .. }));
        assert_eq!(stage.advance("w", &[5], b"i", Order::Lexicographic).unwrap(), Advance::Moved);
        assert_eq!(
            stage.advance("w", &[4], b"i", Order::Lexicographic).unwrap(),
            Advance::Regression(vec![5])
        );
        assert_eq!(Staging::new(state, "a".into(), 1_000).get("x").unwrap(), None);
    }

    #[test]
    fn staged_calls_stand_until_an_answer_changes() {
        let mut state = State::default();
        let mut stage = Staging::new(state.clone(), "a".into(), 1_000);
        stage.get("x").unwrap();
        stage.take("b", 1, 2, 1_000).unwrap();
        let changes = stage.into_changes();
        let mut again = Staging::new(state.clone(), "a".into(), 1_000);
        assert!(again.stands(&changes));
        for effect in again.into_effects() {
            state.apply(&effect);
        }
        assert!(Staging::new(state.clone(), "a".into(), 1_000).stands(&changes), "one more is there");
        state.apply(&Effect::Store {
            instance: "a".into(),
            name: "x".into(),
            value: Some(vec![1]),
        });
        assert!(!Staging::new(state, "a".into(), 1_000).stands(&changes), "x was written since");
    }

    #[test]
    fn sizes_and_counts_are_bounded() {
        let mut stage = Staging::new(State::default(), "a".into(), 0);
        assert_eq!(stage.take("", 1, 1, 1), Err(StagingFault::Name("bucket")));
        assert_eq!(stage.take("b", 1, 0, 1), Err(StagingFault::Bucket));
        assert_eq!(stage.take("b", u64::MAX, 1, u64::MAX), Err(StagingFault::Bucket));
        assert!(matches!(
            stage.take("b", u64::MAX, 1, PERIOD_MAX_MS),
            Ok(Take::Exceeded { retry_at_ms: None, .. })
        ));
        assert!(matches!(stage.take("b", u64::MAX, u64::MAX, PERIOD_MAX_MS), Ok(Take::Taken(_, 0))));
        assert_eq!(stage.advance("w", &[], b"", Order::Lexicographic), Err(StagingFault::Position));
        assert_eq!(
            stage.advance("w", &[1], &[0; 65], Order::Lexicographic),
            Err(StagingFault::Identity)
        );
        assert_eq!(stage.set("x", Some(&[0; VALUE_MAX + 1])), Err(StagingFault::Value));
        let mut stage = Staging::new(State::default(), "a".into(), 0);
        for _ in 0..CHANGES_MAX {
            stage.take("b", 0, 1, 1).unwrap();
        }
        assert_eq!(stage.take("b", 0, 1, 1), Err(StagingFault::TooMany));
    }
}
