//! Rate limits by the generic cell rate algorithm: one number for each bucket (ITU-T I.371 §A, the virtual scheduling form). Pure.

/// What a bucket remembers: its theoretical arrival time, nanoseconds since the Unix epoch. At or before now the bucket is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    /// Nanoseconds since the Unix epoch.
    pub arrival_ns: u64,
}

/// What `take` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// Taken: the bucket now, and what it still holds.
    Taken(Bucket, u64),
    /// Not taken.
    Exceeded {
        /// What the bucket holds.
        remaining: u64,
        /// When the cost will be there, milliseconds since the Unix epoch; none if it is over the capacity.
        retry_at_ms: Option<u64>,
    },
}

/// Takes `cost` out of a bucket of `capacity` that refills from empty to full in `period_ms`. Both are at least 1, and the
/// period is at most [`crate::staging::PERIOD_MAX_MS`] (the caller checks; a longer one counts as that).
#[must_use]
pub fn take(bucket: Bucket, now_ms: u64, cost: u64, capacity: u64, period_ms: u64) -> Take {
    let period = u128::from(period_ms.min(crate::staging::PERIOD_MAX_MS)) * 1_000_000;
    let capacity_wide = u128::from(capacity.max(1));
    let now = u128::from(now_ms) * 1_000_000;
    // What the bucket lacks, in time. Never more than a period: a lowered period must not lock callers out for the old one.
    let debt = u128::from(bucket.arrival_ns).saturating_sub(now).min(period);
    // Rounded up, so that rounding never grants more than the rate.
    let price = (u128::from(cost) * period).div_ceil(capacity_wide);
    let remaining_after = |debt: u128| {
        u64::try_from((period - debt) * capacity_wide / period.max(1))
            .unwrap_or(u64::MAX)
            .min(capacity)
    };
    if price > period {
        return Take::Exceeded {
            remaining: remaining_after(debt),
            retry_at_ms: None,
        };
    }
    if debt + price > period {
        let wait = debt + price - period;
        let retry_at_ms = u64::try_from((now + wait).div_ceil(1_000_000)).ok();
        return Take::Exceeded {
            remaining: remaining_after(debt),
            retry_at_ms,
        };
    }
    match u64::try_from(now + debt + price) {
        Ok(arrival_ns) => Take::Taken(Bucket { arrival_ns }, remaining_after(debt + price)),
        // The year 2554: fail closed.
        Err(_) => Take::Exceeded {
            remaining: 0,
            retry_at_ms: None,
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_then_the_rate_then_the_exact_retry_time() {
        let mut bucket = Bucket::default();
        for left in [2, 1, 0] {
            let Take::Taken(next, remaining) = take(bucket, 1_000, 1, 3, 3_000) else {
                panic!("the bucket holds three")
            };
            assert_eq!(remaining, left);
            bucket = next;
        }
        assert_eq!(
            take(bucket, 1_000, 1, 3, 3_000),
            Take::Exceeded {
                remaining: 0,
                retry_at_ms: Some(2_000)
            }
        );
        assert_eq!(
            take(bucket, 1_999, 1, 3, 3_000),
            Take::Exceeded {
                remaining: 0,
                retry_at_ms: Some(2_000)
            }
        );
        assert!(matches!(take(bucket, 2_000, 1, 3, 3_000), Take::Taken(_, 0)));
    }

    #[test]
    fn a_cost_over_the_capacity_is_never_there() {
        assert_eq!(
            take(Bucket::default(), 1, 4, 3, 3_000),
            Take::Exceeded {
                remaining: 3,
                retry_at_ms: None
            }
        );
    }

    proptest! {
        #[test]
        fn never_more_than_capacity_and_rate(costs in prop::collection::vec((1u64..5, 0u64..500), 1..200), capacity in 1u64..20, period in 1u64..5_000) {
            let (mut bucket, start, mut now, mut taken) = (Bucket::default(), 1_000_000, 1_000_000u64, 0u128);
            for (cost, pause) in costs {
                now += pause;
                match take(bucket, now, cost, capacity, period) {
                    Take::Taken(next, _) => { bucket = next; taken += u128::from(cost); }
                    Take::Exceeded { retry_at_ms: Some(at), .. } => {
                        prop_assert!(at > now);
                        prop_assert!(matches!(take(bucket, at, cost, capacity, period), Take::Taken(..)));
                    }
                    Take::Exceeded { retry_at_ms: None, .. } => prop_assert!(cost > capacity),
                }
            }
            prop_assert!(taken * u128::from(period) <= u128::from(capacity) * u128::from(period) + u128::from(now - start) * u128::from(capacity));
        }
    }
}
