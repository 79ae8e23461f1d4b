//! The fake host: the meaning of `wit/policy.wit`, in memory. A call that would trap in the sandbox fails the test.
#![allow(clippy::panic, reason = "natively, a broken contract fails the author's test")]

use super::Rate;
use crate::bindings::sigwarden::policy::limits::{Exceeded, Remaining};
use crate::bindings::sigwarden::policy::log::Level;
use crate::bindings::sigwarden::policy::watermarks::{Advanced, Order, Refused};
use std::collections::BTreeMap;

/// The host's limits, as `wit/policy.wit` gives them.
const NAME_MAX: usize = 256;
const COMPONENTS_MAX: usize = 8;
const IDENTITY_MAX: usize = 64;
const VALUE_MAX: usize = 1024;
const STORED_MAX: usize = 4096;
/// State calls in one evaluation; the host allows no more.
const CALLS_MAX: usize = 32;

/// The state, and what one evaluation has done so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fake {
    pub(crate) now_ms: u64,
    /// Each bucket's theoretical arrival time, in nanoseconds.
    buckets: BTreeMap<String, u128>,
    watermarks: BTreeMap<String, (Vec<u64>, Vec<u8>)>,
    pub(crate) storage: BTreeMap<String, Vec<u8>>,
    pub(crate) log: Vec<(Level, String)>,
    calls: usize,
    stored_bytes: usize,
}

impl Fake {
    /// A new evaluation begins.
    pub(crate) fn begin(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.calls = 0;
        self.stored_bytes = 0;
        self.log.clear();
    }

    #[track_caller]
    fn called(&mut self, kind: &str, name: &str) {
        self.calls += 1;
        if self.calls > CALLS_MAX {
            panic!("more than {CALLS_MAX} state calls in one evaluation; the host would trap");
        }
        if name.is_empty() || name.len() > NAME_MAX {
            panic!(
                "a {kind} has a name of 1 to {NAME_MAX} bytes, this one has {}; the host would trap",
                name.len()
            );
        }
    }

    /// The generic cell rate algorithm in its virtual-scheduling form (ITU-T I.371).
    #[track_caller]
    pub(crate) fn take(&mut self, bucket: &str, cost: u64, rate: Rate) -> Result<Remaining, Exceeded> {
        self.called("bucket", bucket);
        if rate.capacity == 0 || rate.period_ms == 0 {
            panic!("capacity and period of a bucket are at least 1; the host would trap");
        }
        let (capacity, period, now) = (
            u128::from(rate.capacity),
            u128::from(rate.period_ms) * 1_000_000,
            u128::from(self.now_ms) * 1_000_000,
        );
        let debt = self
            .buckets
            .get(bucket)
            .map_or(0, |arrival| arrival.saturating_sub(now))
            .min(period);
        let price = (u128::from(cost) * period).div_ceil(capacity);
        let left = |debt: u128| {
            u64::try_from((period - debt) * capacity / period)
                .unwrap_or(u64::MAX)
                .min(rate.capacity)
        };
        if debt + price > period {
            let wait = (price <= period).then(|| debt + price - period);
            return Err(Exceeded {
                remaining: left(debt),
                retry_at: wait.and_then(|wait| u64::try_from((now + wait).div_ceil(1_000_000)).ok()),
            });
        }
        self.buckets.insert(bucket.to_owned(), now + debt + price);
        Ok(Remaining {
            remaining: left(debt + price),
        })
    }

    #[track_caller]
    pub(crate) fn advance(&mut self, name: &str, position: &[u64], identity: &[u8], order: Order) -> Result<Advanced, Refused> {
        self.called("watermark", name);
        let stands = self.watermarks.get(name);
        let same_length = stands.is_none_or(|(stands, _)| stands.len() == position.len());
        if position.is_empty() || position.len() > COMPONENTS_MAX || !same_length {
            panic!("a position has 1 to {COMPONENTS_MAX} components, as many as the watermark's first; the host would trap");
        }
        if identity.len() > IDENTITY_MAX {
            panic!("an identity has at most {IDENTITY_MAX} bytes; the host would trap");
        }
        if let Some((stands, taken_by)) = stands {
            if stands == position {
                return if taken_by == identity {
                    Ok(Advanced::Same)
                } else {
                    Err(Refused::Conflict)
                };
            }
            let rises = match order {
                Order::Lexicographic => position > stands.as_slice(),
                Order::ComponentWise => position.iter().zip(stands).all(|(new, old)| new >= old),
            };
            if !rises {
                return Err(Refused::Regression(stands.clone()));
            }
        }
        self.watermarks.insert(name.to_owned(), (position.to_vec(), identity.to_vec()));
        Ok(Advanced::Moved)
    }

    #[track_caller]
    pub(crate) fn get(&mut self, name: &str) -> Option<Vec<u8>> {
        self.called("stored value", name);
        self.storage.get(name).cloned()
    }

    #[track_caller]
    pub(crate) fn set(&mut self, name: &str, value: Option<&[u8]>) {
        self.called("stored value", name);
        let len = value.map_or(0, <[u8]>::len);
        self.stored_bytes += name.len() + len;
        if len > VALUE_MAX || self.stored_bytes > STORED_MAX {
            panic!("a stored value has at most {VALUE_MAX} bytes, all of one evaluation {STORED_MAX}; the host would trap");
        }
        match value {
            Some(value) => self.storage.insert(name.to_owned(), value.to_vec()),
            None => self.storage.remove(name),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE_IN_THREE_SECONDS: Rate = Rate {
        capacity: 3,
        period_ms: 3_000,
    };

    /// The same walk as `a_burst_then_the_rate_then_the_exact_retry_time` in `host/core/src/limit.rs`.
    #[test]
    fn a_bucket_is_the_host_s() {
        let mut fake = Fake::default();
        fake.begin(1_000);
        for remaining in [2, 1, 0] {
            assert_eq!(fake.take("b", 1, THREE_IN_THREE_SECONDS), Ok(Remaining { remaining }));
        }
        let exceeded = Exceeded {
            remaining: 0,
            retry_at: Some(2_000),
        };
        assert_eq!(fake.take("b", 1, THREE_IN_THREE_SECONDS), Err(exceeded));
        fake.begin(1_999);
        assert_eq!(fake.take("b", 1, THREE_IN_THREE_SECONDS), Err(exceeded));
        fake.begin(2_000);
        assert_eq!(fake.take("b", 1, THREE_IN_THREE_SECONDS), Ok(Remaining { remaining: 0 }));
        let never = Exceeded {
            remaining: 3,
            retry_at: None,
        };
        assert_eq!(fake.take("other", 4, THREE_IN_THREE_SECONDS), Err(never));
    }

    #[test]
    fn a_watermark_is_the_host_s() {
        let mut fake = Fake::default();
        assert_eq!(fake.advance("w", &[3, 5], b"a", Order::Lexicographic), Ok(Advanced::Moved));
        assert_eq!(fake.advance("w", &[3, 5], b"a", Order::Lexicographic), Ok(Advanced::Same));
        assert_eq!(fake.advance("w", &[3, 5], b"b", Order::Lexicographic), Err(Refused::Conflict));
        assert_eq!(
            fake.advance("w", &[4, 0], b"b", Order::ComponentWise),
            Err(Refused::Regression(vec![3, 5]))
        );
        assert_eq!(fake.advance("w", &[4, 0], b"b", Order::Lexicographic), Ok(Advanced::Moved));
    }

    #[test]
    #[should_panic(expected = "the host would trap")]
    fn a_name_that_is_too_long_fails_the_test() {
        Fake::default().set(&"n".repeat(257), Some(b"v"));
    }

    #[test]
    #[should_panic(expected = "the host would trap")]
    fn a_position_of_another_length_fails_the_test() {
        let mut fake = Fake::default();
        assert_eq!(fake.advance("w", &[3], b"", Order::Lexicographic), Ok(Advanced::Moved));
        let _ = fake.advance("w", &[3, 5], b"", Order::Lexicographic);
    }
}
