//! The clients: transfers, votes, retries of votes, requests repeated by id, denied transfers and garbage, at a steady rate.

use anyhow::{Context, Result, bail};
use sigwarden::client::CallError;
use sigwarden::proto::SignRequest;
use sigwarden_benches::address::{Address, Line};
use sigwarden_tests::payload::{ACCOUNT, ALLOWED, VALIDATOR, precommit, transfer};
use sigwarden_tests::{Node, caller};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a second's requests came to.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    /// Microseconds of those that were answered, from when they were due.
    pub(crate) latencies: Vec<u64>,
    /// Signed.
    pub(crate) signed: u64,
    /// Refused, by code.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Without an answer: the daemon was away.
    pub(crate) lost: u64,
}

/// The load and what it saw.
pub(crate) struct Load {
    address: Address,
    tally: Mutex<Tally>,
    nonce: AtomicU64,
    height: AtomicU64,
    ids: AtomicU64,
    /// What was signed of votes: by height, every signature.
    votes: Mutex<BTreeMap<u64, Vec<u8>>>,
    /// The first thing that must not happen.
    broken: Mutex<Option<String>>,
}

/// One thing that a client asks for, with the code that it must be refused with, if any.
struct Ask {
    request: SignRequest,
    refused_with: Option<&'static str>,
    /// A vote's height, and whether it is for the block that is voted for.
    vote: Option<(u64, bool)>,
}

/// Refusals that say that the daemon cannot now: expected in an episode, none at other times.
pub(crate) fn is_trouble(code: &str) -> bool {
    ["clock/", "ledger/", "busy/"].iter().any(|family| code.starts_with(family))
}

impl Load {
    pub(crate) fn new(address: Address) -> Self {
        Self {
            address,
            tally: Mutex::default(),
            nonce: AtomicU64::new(0),
            height: AtomicU64::new(1),
            ids: AtomicU64::new(0),
            votes: Mutex::default(),
            broken: Mutex::default(),
        }
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was counted since the last call.
    pub(crate) fn take(&self) -> Tally {
        std::mem::take(&mut self.tally())
    }

    /// Requests a second that clients get through if each asks as soon as it was answered.
    pub(crate) fn capacity(&self, clients: usize, window: Duration) -> Result<f64> {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..clients)
                .map(|client| {
                    scope.spawn(move || {
                        let mut caller = self.address.line().context("a client")?;
                        while begun.elapsed() < window {
                            self.one(&mut Some(&mut caller), client, Instant::now());
                        }
                        anyhow::Ok(())
                    })
                })
                .collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
        })?;
        let tally = self.take();
        #[allow(clippy::cast_precision_loss, reason = "a count of some seconds")]
        let answered = (tally.signed + tally.refused.values().sum::<u64>()) as f64;
        Ok(answered / begun.elapsed().as_secs_f64())
    }

    /// Asks at `rate` a second until `length` is over. A request that is late counts from when it was due.
    pub(crate) fn run(&self, clients: usize, rate: f64, begun: Instant, length: Duration) -> Result<()> {
        #[allow(clippy::cast_precision_loss, reason = "a few clients")]
        let every = Duration::from_secs_f64(clients as f64 / rate);
        std::thread::scope(|scope| {
            for client in 0..clients {
                scope.spawn(move || {
                    let mut caller = None;
                    let offset =
                        every.mul_f64(f64::from(u32::try_from(client).unwrap_or(0)) / f64::from(u32::try_from(clients).unwrap_or(1)));
                    let mut due = begun + offset;
                    while begun.elapsed() < length {
                        std::thread::sleep(due.saturating_duration_since(Instant::now()));
                        if caller.is_none() {
                            caller = self.address.line().ok();
                        }
                        let lost = !self.one(&mut caller.as_mut(), client, due);
                        if lost {
                            caller = None;
                            // What could not be asked is not asked again: the daemon is away.
                            std::thread::sleep(Duration::from_millis(50));
                            due = Instant::now();
                        }
                        due += every;
                    }
                });
            }
        });
        Ok(())
    }

    fn ask(&self, client: usize) -> Ask {
        let number = self.nonce.fetch_add(1, Ordering::Relaxed);
        let free = |request| Ask {
            request,
            refused_with: None,
            vote: None,
        };
        let pay = |to| caller::request(ACCOUNT, "evm/eip-1559", transfer(number, Some(to), 1).unsigned());
        match number % 20 {
            // Votes rise; only client 0 makes a new height, the others repeat or contradict the one that stands.
            0..4 if client == 0 => {
                let height = self.height.fetch_add(1, Ordering::SeqCst) + 1;
                self.vote(height, 1, number)
            }
            0..3 => self.vote(self.height.load(Ordering::SeqCst), 1, number),
            3 => self.vote(self.height.load(Ordering::SeqCst), 2, number),
            4..6 => Ask {
                refused_with: Some("policy/payload-rules/evm/recipient"),
                ..free(pay([0xBB; 20]))
            },
            6 => Ask {
                refused_with: Some("payload/malformed"),
                ..free(caller::request(ACCOUNT, "evm/eip-1559", vec![2, 0xc0, 0]))
            },
            7..10 => {
                let request = pay(ALLOWED);
                self.ids.fetch_add(1, Ordering::Relaxed);
                free(SignRequest {
                    request_id: format!("soak-{client}-{number}"),
                    ..request
                })
            }
            _ => free(pay(ALLOWED)),
        }
    }

    fn vote(&self, height: u64, block: u8, number: u64) -> Ask {
        let seconds = 1_700_000_000 + i64::try_from(number).unwrap_or(0);
        Ask {
            request: caller::request(VALIDATOR, "cometbft/vote", precommit(height, 0, block, seconds).sign_bytes()),
            refused_with: None,
            vote: Some((height, block == 1)),
        }
    }

    /// Asks once; `false` if the daemon was away.
    fn one(&self, caller: &mut Option<&mut Line>, client: usize, due: Instant) -> bool {
        let Some(caller) = caller else {
            self.tally().lost += 1;
            return false;
        };
        let ask = self.ask(client);
        let answer = caller.call(ask.request.clone());
        let took = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
        match answer {
            Ok(signed) => {
                if let Some(code) = ask.refused_with {
                    self.breaks(format!("signed what was to be refused with {code}"));
                }
                if let (Some((height, _)), Some(signature)) = (ask.vote, signed.signatures.first()) {
                    let mut votes = self.votes.lock().unwrap_or_else(PoisonError::into_inner);
                    let first = votes.entry(height).or_insert_with(|| signature.signature.clone());
                    if *first != signature.signature {
                        self.breaks(format!("two signatures for height {height}"));
                    }
                }
                let mut tally = self.tally();
                tally.signed += 1;
                tally.latencies.push(took);
                true
            }
            Err(error) => match error.refusal() {
                Some(refusal) => {
                    let code = refusal.code.clone();
                    let of_a_vote = ask.vote.is_some() && code.starts_with("floor/");
                    if ask.refused_with != Some(code.as_str()) && !is_trouble(&code) && !of_a_vote {
                        self.breaks(format!("refused with {code}: {}", refusal.message));
                    }
                    let mut tally = self.tally();
                    *tally.refused.entry(code).or_default() += 1;
                    tally.latencies.push(took);
                    true
                }
                None => {
                    self.tally().lost += 1;
                    matches!(error, CallError::Refused(_))
                }
            },
        }
    }

    fn breaks(&self, what: String) {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    }

    /// Request ids that were given so far: the daemon remembers them for a day.
    pub(crate) fn ids(&self) -> u64 {
        self.ids.load(Ordering::Relaxed)
    }

    /// Nothing happened that must not, and every vote that a client saw signed is in the log, once.
    pub(crate) fn judge(&self, node: &Node) -> Result<()> {
        if let Some(what) = &*self.broken.lock().unwrap_or_else(PoisonError::into_inner) {
            bail!("{what}");
        }
        let votes = self.votes.lock().unwrap_or_else(PoisonError::into_inner);
        let highest = votes.keys().next_back().copied().unwrap_or(0);
        let floors = node.expect(&["floors", "show", "--json"])?;
        println!("{} heights were signed, the highest {highest}, each once", votes.len());
        let stands = floors
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|number| number.parse::<u64>().ok())
            .filter(|number| *number < 1_000_000_000)
            .max()
            .unwrap_or(0);
        if stands < highest {
            bail!("the floor stands at {stands}, below a vote that was signed at {highest}: {floors}");
        }
        Ok(())
    }
}
