//! How many refusals of one caller are recorded: ten a second, the rest as one counted line. A caller that is refused a thousand times
//! a second must not fill the disk, nor hide the others.

use std::collections::HashMap;
use std::sync::Arc;

/// Refusals of one caller that are recorded in one second: a person reads no more, and a client that retries sends fewer.
pub(crate) const A_SECOND: u32 = 10;
/// Callers counted one by one. Configured clients are fewer; uids that are nobody's share what is left.
const CALLERS_MAX: usize = 1024;

/// Whose refusals.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// A configured client.
    Caller(Arc<str>),
    /// A uid that is no client's.
    Uid(u32),
    /// All that are too many to be told apart.
    Others,
}

/// Refusals that were counted and not recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) who: Who,
    pub(crate) count: u64,
    /// The second that they were in, milliseconds since the Unix epoch.
    pub(crate) since_ms: u64,
}

#[derive(Debug, Default)]
struct Spent {
    second: u64,
    recorded: u32,
    counted: u64,
}

/// What each caller has spent of its second.
#[derive(Debug, Default)]
pub(crate) struct Budget(HashMap<Who, Spent>);

impl Budget {
    /// Spends one. Says whether it is recorded, and what was counted in an earlier second and is to be recorded before it.
    pub(crate) fn spend(&mut self, who: Who, now_ms: u64) -> (bool, Option<Counted>) {
        let who = if self.0.len() >= CALLERS_MAX && !self.0.contains_key(&who) {
            Who::Others
        } else {
            who
        };
        let second = now_ms / 1000;
        let spent = self.0.entry(who.clone()).or_default();
        let mut earlier = None;
        if spent.second != second {
            earlier = take(who, spent);
            *spent = Spent {
                second,
                ..Spent::default()
            };
        }
        let recorded = spent.recorded < A_SECOND;
        if recorded {
            spent.recorded += 1;
        } else {
            spent.counted += 1;
        }
        (recorded, earlier)
    }

    /// What was counted so far, to be recorded now; forgets everybody who is quiet.
    pub(crate) fn counted(&mut self) -> Vec<Counted> {
        let counted = self.0.iter_mut().filter_map(|(who, spent)| take(who.clone(), spent)).collect();
        if self.0.len() >= CALLERS_MAX / 2 {
            self.0.clear();
        }
        counted
    }
}

fn take(who: Who, spent: &mut Spent) -> Option<Counted> {
    let count = std::mem::take(&mut spent.counted);
    (count > 0).then_some(Counted {
        who,
        count,
        since_ms: spent.second.saturating_mul(1000),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_a_second_for_each_caller_and_the_rest_as_a_count() {
        let mut budget = Budget::default();
        let node = || Who::Caller("node".into());
        let mut recorded = 0;
        for _ in 0..25 {
            let (record, earlier) = budget.spend(node(), 5_000);
            assert_eq!(earlier, None);
            recorded += u32::from(record);
        }
        assert_eq!(recorded, A_SECOND);
        assert_eq!(budget.spend(Who::Uid(7), 5_000), (true, None), "another caller's own ten");
        let counted = Counted {
            who: node(),
            count: 15,
            since_ms: 5_000,
        };
        assert_eq!(budget.spend(node(), 6_000), (true, Some(counted)));
        assert_eq!(budget.counted(), []);
    }

    #[test]
    fn what_was_counted_is_told_once_and_callers_are_bounded() {
        let mut budget = Budget::default();
        for _ in 0..12 {
            budget.spend(Who::Uid(1), 1_000);
        }
        assert_eq!(budget.counted().iter().map(|counted| counted.count).sum::<u64>(), 2);
        assert_eq!(budget.counted(), []);
        for uid in 2..100_000 {
            budget.spend(Who::Uid(uid), 1_000);
        }
        assert!(budget.0.len() <= CALLERS_MAX + 1);
        assert!(budget.counted().iter().all(|counted| counted.who == Who::Others));
    }
}
