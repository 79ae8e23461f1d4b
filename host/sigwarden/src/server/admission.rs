//! How much each client may ask for: requests a second, and requests that are on their way at once. A bound of its own for each, so that
//! one client that runs wild does not take the others' share of the queue.

use crate::config::Admission;
use sigwarden_core::{Code, Refusal};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The bounds of all clients that have any.
#[derive(Default)]
pub(super) struct Admissions(BTreeMap<Arc<str>, Arc<Gate>>);

struct Gate {
    bounds: Admission,
    on_their_way: AtomicU32,
    /// GCRA: when the client would be back at nothing used.
    empty_at: Mutex<Option<Instant>>,
}

/// Requests that were let in; their places are free again when it is dropped.
pub(super) struct Admitted(Option<(Arc<Gate>, u32)>);

impl Admitted {
    /// A client without a bound.
    pub(super) fn nobody() -> Self {
        Self(None)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some((gate, count)) = &self.0 {
            gate.on_their_way.fetch_sub(*count, Ordering::Relaxed);
        }
    }
}

impl Admissions {
    pub(super) fn new(bounds: &BTreeMap<Arc<str>, Admission>) -> Self {
        let gates = bounds.iter().map(|(name, bounds)| {
            let gate = Gate {
                bounds: *bounds,
                on_their_way: AtomicU32::new(0),
                empty_at: Mutex::new(None),
            };
            (Arc::clone(name), Arc::new(gate))
        });
        Self(gates.collect())
    }

    /// Whether any client has a bound.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lets so many requests of a client in, all or none.
    pub(super) fn admit(&self, client: &str, count: usize, now: Instant) -> Result<Admitted, Refusal> {
        let Some(gate) = self.0.get(client) else {
            return Ok(Admitted(None));
        };
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let admitted = gate.place(count)?;
        gate.take(count, now)?;
        Ok(admitted)
    }
}

impl Gate {
    fn place(self: &Arc<Self>, count: u32) -> Result<Admitted, Refusal> {
        let most = self.bounds.at_once.unwrap_or(u32::MAX);
        let more = |on_their_way: u32| on_their_way.checked_add(count).filter(|all| *all <= most);
        match self.on_their_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Admitted(Some((Arc::clone(self), count)))),
            Err(_) => Err(Refusal::new(
                Code::CallerBusy,
                format!("this client has as many requests on their way as its `requests_at_once` allows, {most}; wait for their answers"),
            )),
        }
    }

    /// GCRA with a burst of one second's worth.
    fn take(&self, count: u32, now: Instant) -> Result<(), Refusal> {
        let Some(per_second) = self.bounds.per_second else { return Ok(()) };
        let cost = Duration::from_secs(1).saturating_mul(count) / per_second;
        let mut empty_at = self.empty_at.lock().unwrap_or_else(PoisonError::into_inner);
        let used_until = empty_at.filter(|at| *at > now).unwrap_or(now) + cost;
        let over = used_until.saturating_duration_since(now + Duration::from_secs(1));
        if over.is_zero() {
            *empty_at = Some(used_until);
            return Ok(());
        }
        Err(Refusal::new(
            Code::CallerRate,
            format!(
                "this client's `requests_per_second` is {per_second}; ask again in {} ms",
                over.as_millis().max(1)
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admissions(per_second: Option<u32>, at_once: Option<u32>) -> Admissions {
        Admissions::new(&BTreeMap::from([("node".into(), Admission { per_second, at_once })]))
    }

    fn code(result: Result<Admitted, Refusal>) -> Option<Code> {
        result.err().map(|refusal| refusal.kind())
    }

    #[test]
    fn as_many_as_allowed_are_on_their_way_and_a_place_is_free_again_when_one_ends() {
        let admissions = admissions(None, Some(2));
        let now = Instant::now();
        let first = admissions.admit("node", 1, now).unwrap();
        let _second = admissions.admit("node", 1, now).unwrap();
        assert_eq!(code(admissions.admit("node", 1, now)), Some(Code::CallerBusy));
        assert_eq!(code(admissions.admit("other", 9, now)), None, "another client has no bound");
        drop(first);
        assert_eq!(code(admissions.admit("node", 2, now)), Some(Code::CallerBusy), "all or none");
        assert_eq!(code(admissions.admit("node", 1, now)), None);
    }

    #[test]
    fn a_second_has_so_many_and_time_gives_them_back() {
        let admissions = admissions(Some(10), None);
        let now = Instant::now();
        assert_eq!(code(admissions.admit("node", 10, now)), None);
        let refusal = admissions.admit("node", 1, now).err().unwrap();
        assert_eq!(refusal.kind(), Code::CallerRate);
        assert!(refusal.message.ends_with("ask again in 100 ms"), "{}", refusal.message);
        assert_eq!(code(admissions.admit("node", 1, now + Duration::from_millis(100))), None);
        assert_eq!(
            code(admissions.admit("node", 11, now + Duration::from_secs(60))),
            Some(Code::CallerRate)
        );
    }
}
