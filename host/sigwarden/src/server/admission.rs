//! How much each client may ask for: requests a second, and requests that are on their way at once. A bound of its own for each, so that
//! one client that runs wild does not take the others' share of the queue. Who has no bound leaves a quarter of the queue to the others.

use crate::config::Admission;
use sigwarden_core::caller::Clients;
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
    /// Calls at once, each of which takes one place in the queue: one request, or a batch. None for a client whose requests are bounded,
    /// and for one that is alone.
    calls_most: Option<u32>,
    calls: AtomicU32,
    on_their_way: AtomicU32,
    /// GCRA: when the client would be back at nothing used.
    empty_at: Mutex<Option<Instant>>,
}

/// Requests that were let in; their places are free again when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Admitted {
    _places: Option<Arc<Places>>,
}

struct Places {
    gate: Arc<Gate>,
    count: u32,
}

impl Admitted {
    /// A client without a bound.
    pub(super) fn nobody() -> Self {
        Self { _places: None }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.gate.calls.fetch_sub(1, Ordering::Relaxed);
        self.gate.on_their_way.fetch_sub(self.count, Ordering::Relaxed);
    }
}

impl Admissions {
    /// `queue`: how many calls wait for a thread.
    pub(super) fn new(clients: &Clients, bounds: &BTreeMap<Arc<str>, Admission>, queue: usize) -> Self {
        let share = u32::try_from(queue - queue / 4).unwrap_or(u32::MAX);
        let shared = clients.0.len() > 1;
        let gates = clients.0.iter().filter_map(|client| {
            let bounds = bounds.get(&client.name).copied().unwrap_or_default();
            let calls_most = Some(share).filter(|_| shared && bounds.at_once.is_none());
            if bounds == Admission::default() && calls_most.is_none() {
                return None;
            }
            let gate = Gate {
                bounds,
                calls_most,
                calls: AtomicU32::new(0),
                on_their_way: AtomicU32::new(0),
                empty_at: Mutex::new(None),
            };
            Some((Arc::clone(&client.name), Arc::new(gate)))
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
            return Ok(Admitted::nobody());
        };
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let admitted = gate.place(count)?;
        gate.take(count, now)?;
        Ok(admitted)
    }
}

impl Gate {
    fn place(self: &Arc<Self>, count: u32) -> Result<Admitted, Refusal> {
        let requests_most = self.bounds.at_once.unwrap_or(u32::MAX);
        let calls_most = self.calls_most.unwrap_or(u32::MAX);
        if !add(&self.calls, 1, calls_most) {
            return Err(Refusal::new(
                Code::CallerBusy,
                format!(
                    "this client has {calls_most} calls on their way, three quarters of `limits.queue`; the rest is the other clients'. Wait \
                     for answers"
                ),
            ));
        }
        if !add(&self.on_their_way, count, requests_most) {
            self.calls.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::new(
                Code::CallerBusy,
                format!(
                    "this client has as many requests on their way as its `requests_at_once` allows, {requests_most}; wait for their answers"
                ),
            ));
        }
        let gate = Arc::clone(self);
        Ok(Admitted {
            _places: Some(Arc::new(Places { gate, count })),
        })
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

/// Adds, unless more than `most` would come of it.
fn add(counter: &AtomicU32, count: u32, most: u32) -> bool {
    let more = |now: u32| now.checked_add(count).filter(|all| *all <= most);
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sigwarden_core::caller::Client;

    fn clients(names: &[&str]) -> Clients {
        let client = |name: &&str| {
            Arc::new(Client {
                name: (*name).into(),
                uid: None,
                gid: None,
                san: Vec::new(),
                allow: Vec::new(),
            })
        };
        Clients(names.iter().map(client).collect())
    }

    fn admissions(per_second: Option<u32>, at_once: Option<u32>) -> Admissions {
        let bounds = BTreeMap::from([("node".into(), Admission { per_second, at_once })]);
        Admissions::new(&clients(&["node"]), &bounds, 1024)
    }

    #[test]
    fn one_of_several_clients_leaves_a_quarter_of_the_queue() {
        let now = Instant::now();
        let bounded = BTreeMap::from([(
            "bounded".into(),
            Admission {
                per_second: None,
                at_once: Some(9),
            },
        )]);
        let admissions = Admissions::new(&clients(&["wild", "calm", "bounded"]), &bounded, 4);
        let mut wild: Vec<Admitted> = (0..3).map(|_| admissions.admit("wild", 64, now).unwrap()).collect();
        let refusal = admissions.admit("wild", 1, now).err().unwrap();
        assert_eq!(refusal.kind(), Code::CallerBusy);
        assert!(
            refusal.message.contains("3 calls on their way, three quarters of `limits.queue`"),
            "{}",
            refusal.message
        );
        assert_eq!(code(admissions.admit("calm", 1, now)), None);
        wild.pop();
        assert_eq!(code(admissions.admit("wild", 1, now)), None, "a place is free again");
        let own: Vec<_> = (0..9).map(|_| admissions.admit("bounded", 1, now).unwrap()).collect();
        assert_eq!(
            code(admissions.admit("bounded", 1, now)),
            Some(Code::CallerBusy),
            "{} of its own",
            own.len()
        );
    }

    #[test]
    fn a_client_that_is_alone_has_the_whole_queue() {
        assert!(Admissions::new(&clients(&["node"]), &BTreeMap::new(), 4).is_empty());
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
        let listing = first.clone();
        drop(first);
        assert_eq!(
            code(admissions.admit("node", 1, now)),
            Some(Code::CallerBusy),
            "it is on its way still"
        );
        drop(listing);
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
