//! The host as a policy sees it: limits, watermarks, storage, log. On wasm these are the imports; natively a fake with the same
//! meaning, so that an author's unit tests run the policy as it is.

use crate::bindings::sigwarden::policy::limits::{Exceeded, Remaining};
use crate::bindings::sigwarden::policy::log::Level;
use crate::bindings::sigwarden::policy::watermarks::{Advanced, Order, Refused};

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod fake;

/// How fast a bucket refills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// What it holds when full; at least 1.
    pub capacity: u64,
    /// Milliseconds from empty to full; at least 1.
    pub period_ms: u64,
}

/// What a policy can ask of the host. Everything is staged: it is discarded unless every policy allows the request and the commit
/// succeeds. A call that breaks a rule of `wit/policy.wit` (a name over 256 bytes, say) traps; natively it panics.
#[derive(Debug, Clone)]
pub struct Host {
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fake: fake::Fake,
    #[cfg(target_arch = "wasm32")]
    _imports: (),
}

#[cfg(target_arch = "wasm32")]
impl Host {
    /// The imports.
    #[doc(hidden)]
    #[must_use]
    pub fn imports() -> Self {
        Self { _imports: () }
    }

    /// Takes `cost` out of a bucket, which starts full.
    ///
    /// # Errors
    /// The bucket does not hold it; it is unchanged.
    pub fn take(&mut self, bucket: &str, cost: u64, rate: Rate) -> Result<Remaining, Exceeded> {
        crate::bindings::sigwarden::policy::limits::take(bucket, cost, rate.capacity, rate.period_ms)
    }

    /// Moves a watermark to a position of one to eight components. `identity` says what the position is taken by.
    ///
    /// # Errors
    /// It stands higher, or there with another identity.
    pub fn advance(&mut self, name: &str, position: &[u64], identity: &[u8], order: Order) -> Result<Advanced, Refused> {
        crate::bindings::sigwarden::policy::watermarks::advance(name, position, identity, order)
    }

    /// A stored value, with what this evaluation has staged.
    #[must_use]
    pub fn get(&mut self, name: &str) -> Option<Vec<u8>> {
        crate::bindings::sigwarden::policy::storage::get(name)
    }

    /// Stages a value of at most 1 KiB.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        crate::bindings::sigwarden::policy::storage::set(name, value);
    }

    /// Stages a removal.
    pub fn delete(&mut self, name: &str) {
        crate::bindings::sigwarden::policy::storage::delete(name);
    }

    /// A note for the operator.
    pub fn log(&mut self, level: Level, text: &str) {
        crate::bindings::sigwarden::policy::log::emit(level, text);
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Host {
    /// A fake host with no state, at time 0.
    #[must_use]
    pub fn fake() -> Self {
        Self {
            fake: fake::Fake::default(),
        }
    }

    /// Takes `cost` out of a bucket, which starts full.
    ///
    /// # Errors
    /// The bucket does not hold it; it is unchanged.
    #[track_caller]
    pub fn take(&mut self, bucket: &str, cost: u64, rate: Rate) -> Result<Remaining, Exceeded> {
        self.fake.take(bucket, cost, rate)
    }

    /// Moves a watermark to a position of one to eight components. `identity` says what the position is taken by.
    ///
    /// # Errors
    /// It stands higher, or there with another identity.
    #[track_caller]
    pub fn advance(&mut self, name: &str, position: &[u64], identity: &[u8], order: Order) -> Result<Advanced, Refused> {
        self.fake.advance(name, position, identity, order)
    }

    /// A stored value, with what this evaluation has staged.
    #[must_use]
    #[track_caller]
    pub fn get(&mut self, name: &str) -> Option<Vec<u8>> {
        self.fake.get(name)
    }

    /// Stages a value of at most 1 KiB.
    #[track_caller]
    pub fn set(&mut self, name: &str, value: &[u8]) {
        self.fake.set(name, Some(value));
    }

    /// Stages a removal.
    #[track_caller]
    pub fn delete(&mut self, name: &str) {
        self.fake.set(name, None);
    }

    /// A note for the operator.
    pub fn log(&mut self, level: Level, text: &str) {
        self.fake.log.push((level, text.to_owned()));
    }
}
