//! Several requests at once: each with its own verdict, one durable write for all.

use super::{Admitted, Judged, Pipeline, SignCall, Stage, Wait, trail::Trail};
use crate::caller::Peer;
use crate::format::Format;
use crate::proof::{Committed, Signed};
use crate::refusal::Refusal;
use crate::stages::commit;
use crate::vocabulary::Operation;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Signatures that are waited for at once, of backends elsewhere. Each takes a thread for its time: 64 are what a token's sessions or a
/// remote's connections carry.
const WAITING_MAX: usize = 64;

/// One of several requests.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who asks.
    pub peer: Peer,
    /// For what.
    pub call: SignCall,
}

/// How a request is best done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Together with other clients'.
    Together,
    /// By itself: a consensus message, which must not wait until the others are judged.
    Alone,
    /// By itself, waiting for a token or another host.
    Elsewhere {
        /// The backend.
        backend: String,
        /// It is a consensus message: before the backend's others.
        first: bool,
    },
}

/// One of them on its way.
struct OnItsWay {
    index: usize,
    admitted: Admitted,
    trail: Trail,
}

/// How far one came before the commit.
enum Prepared<'a> {
    /// To the commit.
    Judged(Box<(OnItsWay, Judged<'a>)>),
    /// To another that it has to wait for.
    Alone(Box<OnItsWay>),
    /// To its answer.
    Answered,
}

type Answer<'a> = &'a (dyn Fn(usize, Result<Signed, Refusal>) + Sync);

impl Pipeline {
    /// Signs what it can of `asked`, and answers each by its index, once, as soon as it is known. Policies and local signatures run on at
    /// most `threads` threads; signatures of backends elsewhere are waited for side by side. `evaluated` is called when the policies have
    /// been asked and the cores are free for others.
    ///
    /// A request whose answer may depend on another one's (the same id, another message of a key that signs by position, state that the
    /// other one changed) is done after the others, in order, each by itself.
    pub fn sign_all(&self, asked: Vec<Asked>, threads: usize, evaluated: impl FnOnce(), answer: Answer<'_>) {
        let (first, later) = lanes(asked);
        let prepared = spread(threads, first, |(index, asked)| self.prepare(index, asked, answer));
        evaluated();
        let (mut ways, mut approved, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        for prepared in prepared {
            match prepared {
                Prepared::Judged(judged) => {
                    let (way, judged) = *judged;
                    judged.announced.arrives();
                    approved.push(judged.approved);
                    ways.push((way, judged.changes, judged.place));
                }
                Prepared::Alone(way) => alone.push(*way),
                Prepared::Answered => {}
            }
        }
        if !approved.is_empty() {
            let begun = Instant::now();
            let committed = commit::commit_all(approved, self.parts.ledger.as_ref(), self.parts.decode);
            let mut decided = Vec::with_capacity(ways.len());
            for ((mut way, changes, place), committed) in ways.into_iter().zip(committed) {
                way.trail.took(Stage::Commit, begun);
                match committed {
                    Ok(Some(committed)) => decided.push((way, changes, place, committed)),
                    Ok(None) => alone.push(way),
                    Err(refusal) => answer(way.index, self.told(way.trail, Err(refusal))),
                }
            }
            let threads = if decided.iter().any(|(.., committed)| self.waits(committed)) {
                WAITING_MAX
            } else {
                threads
            };
            spread(threads, decided, |(mut way, changes, place, committed)| {
                let signed = self.conclude(committed, changes, &mut way.trail);
                let signed = self.told(way.trail, signed.map(|(signed, _)| signed));
                drop(place);
                answer(way.index, signed);
            });
        }
        alone.sort_by_key(|way| way.index);
        for OnItsWay {
            index,
            admitted,
            mut trail,
        } in alone
        {
            let signed = self.run(&admitted, &mut trail).map(|(signed, _)| signed);
            answer(index, self.told(trail, signed));
        }
        for (index, Asked { peer, call }) in later {
            answer(index, self.sign(peer, call));
        }
    }

    fn prepare(&self, index: usize, asked: Asked, answer: Answer<'_>) -> Prepared<'_> {
        let Asked { peer, call } = asked;
        let mut trail = self.trail(peer, &call);
        let prepared = self.admit(call, Operation::Sign, &mut trail).and_then(|admitted| {
            let judged = self.judge(&admitted, Wait::Not, &mut trail)?;
            Ok((admitted, judged))
        });
        match prepared {
            Ok((admitted, judged)) => {
                let way = OnItsWay { index, admitted, trail };
                match judged {
                    Some(judged) => Prepared::Judged(Box::new((way, judged))),
                    None => Prepared::Alone(Box::new(way)),
                }
            }
            Err(refusal) => {
                answer(index, self.told(trail, Err(refusal)));
                Prepared::Answered
            }
        }
    }

    /// How a request is best done, as far as it can be told without asking who asks.
    #[must_use]
    pub fn way(&self, call: &SignCall) -> Way {
        if let Some(backend) = self.waited_for(&call.key) {
            let first = has_floor(call);
            return Way::Elsewhere { backend, first };
        }
        if has_floor(call) { Way::Alone } else { Way::Together }
    }

    /// The backend of a key, if it is waited for.
    fn waited_for(&self, key: &str) -> Option<String> {
        // Most deployments have no such backend.
        if !self.parts.backends.values().any(|backend| backend.waits()) {
            return None;
        }
        let waits = |backend: &String| self.parts.backends.get(backend).is_none_or(|backend| backend.waits());
        let keys = self.keys();
        // Which version signs is known when it is judged.
        let found = keys.named(key).into_iter().map(|key| &key.backend).find(|backend| waits(backend));
        found.cloned()
    }

    /// Whether signing this is a wait for somebody else rather than work for this machine's cores.
    fn waits(&self, committed: &Committed) -> bool {
        let backend = self.parts.backends.get(&committed.key().backend);
        backend.is_none_or(|backend| backend.waits())
    }
}

fn has_floor(call: &SignCall) -> bool {
    call.format.parse().is_ok_and(|format: Format| format.family().has_floor())
}

type Numbered = Vec<(usize, Asked)>;

/// Those that may run at once, and those whose answer depends on an earlier one's: the same id again, or another message of a key that
/// signs by position. By the names that the clients wrote: what these miss is only done in another order ([`Wait::Not`]).
fn lanes(asked: Vec<Asked>) -> (Numbered, Numbered) {
    let mut taken = HashSet::new();
    asked.into_iter().enumerate().partition(|(_, Asked { call, .. })| {
        // No id is empty.
        let lanes = [
            has_floor(call).then_some(""),
            (!call.request_id.is_empty()).then_some(&*call.request_id),
        ];
        let mut first = true;
        for lane in lanes.into_iter().flatten() {
            first &= taken.insert((call.key.clone(), lane.to_owned()));
        }
        first
    })
}

/// Does `work` with every item on at most `threads` threads, this one among them; the results are in the order of the items.
fn spread<T: Send, R: Send>(threads: usize, items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let share = items.len().div_ceil(threads.max(1)).max(1);
    if share >= items.len() {
        return items.into_iter().map(work).collect();
    }
    let mut shares = Vec::with_capacity(threads);
    let mut items = items.into_iter();
    loop {
        let one: Vec<T> = items.by_ref().take(share).collect();
        if one.is_empty() {
            break;
        }
        // Taken by its thread, or by this one if the system gives no thread.
        shares.push(Mutex::new(one));
    }
    let take = |share: &Mutex<Vec<T>>| std::mem::take(&mut *share.lock().unwrap_or_else(PoisonError::into_inner));
    let work = &work;
    std::thread::scope(|scope| {
        let started: Vec<_> = shares
            .iter()
            .skip(1)
            .map(|share| std::thread::Builder::new().spawn_scoped(scope, move || take(share).into_iter().map(work).collect::<Vec<R>>()))
            .collect();
        let mut results: Vec<R> = shares.iter().take(1).flat_map(take).map(work).collect();
        for (thread, share) in started.into_iter().zip(shares.iter().skip(1)) {
            match thread.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(done)) => results.extend(done),
                // No path of a request panics; if one does, the thread that asked goes the same way.
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(_) => results.extend(take(share).into_iter().map(work)),
            }
        }
        results
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_done_once_and_results_keep_their_order() {
        for (items, threads) in [(0, 4), (1, 4), (3, 2), (7, 3), (64, 64), (100, 8), (5, 0)] {
            let results = spread(threads, (0..items).collect(), |item| (item, std::thread::current().id()));
            assert!(results.iter().map(|(item, _)| *item).eq(0..items), "{items} items");
            let used: HashSet<_> = results.iter().map(|(_, thread)| thread).collect();
            assert!(used.len() <= threads.max(1), "{} threads for {threads}", used.len());
        }
    }
}
