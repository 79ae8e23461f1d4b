//! The order in which requests that came side by side come out the same one after the other.
//!
//! Decisions keep the order of their records, since each stands by the state at its commit. What was refused, or repeats a decision, stands
//! by the state that it was judged by, and comes after as many decisions as that one had. Time follows: it never goes back.

use super::{Event, RecordedKeyState, RecordedRequest};

/// A request in its place.
pub(super) struct Placed<'r> {
    /// Its place among the requests of the recording, from 1.
    pub(super) number: usize,
    pub(super) request: &'r RecordedRequest,
    /// When it is asked: as recorded, or later if one before it was judged later.
    pub(super) at_ms: u64,
    /// Changes of the state that it was judged by; the line, if it does not say.
    pub(super) revision: u64,
}

impl Placed<'_> {
    fn decides(&self) -> bool {
        self.request.sequence.is_some() && !self.request.replay
    }
}

/// Requests in order, and changes of keys' states with the revision that each makes.
pub(super) fn placed(events: &[Event]) -> (Vec<Placed<'_>>, Vec<(u64, &RecordedKeyState)>) {
    let (mut decided, mut others, mut changes) = (Vec::new(), Vec::new(), Vec::new());
    let mut number = 0;
    for (line, event) in (1..).zip(events) {
        let revision = |given: u64| if given == 0 { line } else { given };
        match event {
            Event::KeyState(change) => changes.push((revision(change.revision), change)),
            Event::Request(request) => {
                number += 1;
                let one = Placed {
                    number,
                    request,
                    at_ms: request.at_ms,
                    revision: revision(request.revision),
                };
                if one.decides() {
                    decided.push(one);
                } else {
                    let before = request.decisions.unwrap_or(decided.len() as u64);
                    others.push((before, one));
                }
            }
        }
    }
    decided.sort_by_key(|one| one.request.sequence);
    others.sort_by_key(|(before, one)| (*before, one.at_ms));
    let mut others = others.into_iter().peekable();
    let mut placed = Vec::with_capacity(number);
    for (before, one) in (0_u64..).zip(decided) {
        while let Some((_, other)) = others.next_if(|(needs, _)| *needs <= before) {
            placed.push(other);
        }
        placed.push(one);
    }
    placed.extend(others.map(|(_, other)| other));
    let mut latest = 0;
    for one in &mut placed {
        latest = one.at_ms.max(latest);
        one.at_ms = latest;
    }
    changes.sort_by_key(|(revision, _)| *revision);
    (placed, changes)
}

#[cfg(test)]
mod tests {
    use super::super::RecordedOutcome;
    use super::*;

    fn request(at_ms: u64, decisions: Option<u64>, sequence: Option<u64>, replay: bool) -> Event {
        Event::Request(RecordedRequest {
            at_ms,
            caller: None,
            operation: String::new(),
            key: String::new(),
            key_version: None,
            format: String::new(),
            scheme: String::new(),
            request_id: String::new(),
            payload: Vec::new(),
            outcome: RecordedOutcome::Allowed,
            revision: 0,
            decisions,
            sequence,
            replay,
        })
    }

    fn order(events: &[Event]) -> Vec<(usize, u64)> {
        placed(events).0.iter().map(|one| (one.number, one.at_ms)).collect()
    }

    #[test]
    fn a_refusal_that_was_answered_first_comes_after_what_it_was_refused_for() {
        let events = [request(100, Some(1), None, false), request(100, Some(0), Some(20), false)];
        assert_eq!(order(&events), [(2, 100), (1, 100)]);
        let events = [request(100, Some(0), Some(20), false), request(101, Some(0), None, false)];
        assert_eq!(order(&events), [(2, 101), (1, 101)], "it did not see the decision");
    }

    #[test]
    fn decisions_keep_the_order_of_their_records_and_time_never_goes_back() {
        let events = [
            request(100, Some(0), Some(21), false),
            request(101, Some(0), Some(20), false),
            request(102, Some(1), Some(22), true),
        ];
        assert_eq!(order(&events), [(2, 101), (3, 102), (1, 102)], "a replay decides nothing");
    }

    #[test]
    fn what_does_not_say_what_it_saw_comes_after_the_lines_before_it() {
        let events = [
            request(1, None, Some(20), false),
            request(3, None, None, false),
            request(2, None, Some(21), false),
            request(4, None, None, false),
        ];
        assert_eq!(order(&events), [(1, 1), (2, 3), (3, 3), (4, 4)]);
    }
}
