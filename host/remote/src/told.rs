//! How often the log says the same.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Time between two lines: who fills the log hides in it.
const BETWEEN: Duration = Duration::from_secs(1);

/// Lines of one kind about one remote: one a second, the others counted.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    last: Option<Instant>,
    unsaid: u64,
}

impl Told {
    /// Counts one; how many were not told before it, if it may be told.
    pub(crate) fn count(&self, now: Instant) -> Option<u64> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.last.is_some_and(|last| now.saturating_duration_since(last) < BETWEEN) {
            counted.unsaid = counted.unsaid.saturating_add(1);
            return None;
        }
        counted.last = Some(now);
        Some(std::mem::take(&mut counted.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_says_how_many_were_left_out() {
        let told = Told::default();
        let start = Instant::now();
        let at = |millis| told.count(start + Duration::from_millis(millis));
        assert_eq!(
            [0, 1, 500, 999, 1000, 1001, 2001, 9000].map(at),
            [Some(0), None, None, None, Some(3), None, Some(1), Some(0)]
        );
    }
}
