//! The pipeline: one synchronous function for one request, each irreversible step consuming the proof value of the one before.
//! Run it on a bounded pool of blocking threads; a client that hangs up cannot cancel a request, since nothing here is async.

mod batch;
mod parts;
mod trail;

pub use batch::{Asked, Way};
pub use parts::{Clock, Limits, Parts, SignCall};

use crate::PolicySet;
use crate::caller::{Caller, Peer};
use crate::key::KeyEntry;
use crate::ledger::Announced;
use crate::permits::Permits;
use crate::proof::{Approved, Committed, Decapsulated, Envelope, Request, SharedSecret, Signed};
use crate::recorder::{Bounds, Recorder, Recording};
use crate::refusal::{Code, Refusal};
use crate::release::Releases;
use crate::request_id::{InFlight, Place, exclusive};
use crate::shadow::{ShadowSet, Shadows};
use crate::stages::authorize::{Keyring, Readable};
use crate::stages::{approve, authorize, commit, decode, evaluate, open, outcome, sign};
use crate::state::State;
use crate::time::Time;
use crate::vocabulary::{Operation, vocabulary};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;
use trail::Trail;

vocabulary! {
    /// The steps of a request, in order.
    Stage, "stage" {
        /// Connection to caller.
        Authenticate = "authenticate",
        /// Bytes to envelope.
        Open = "open",
        /// Caller, key, role and format agree.
        Authorize = "authorize",
        /// Payload to facts and signing inputs.
        Decode = "decode",
        /// Every bound policy, a fresh sandbox each.
        Evaluate = "evaluate",
        /// All allow.
        Approve = "approve",
        /// Floors, state and record: one durable write.
        Commit = "commit",
        /// The only place where a key is touched.
        Sign = "sign",
        /// Recorded and answered.
        Outcome = "outcome",
    }
}

/// The pipeline of one deployment.
pub struct Pipeline {
    parts: Parts,
    keys: RwLock<Arc<Keyring>>,
    policies: RwLock<Arc<PolicySet>>,
    releases: Releases,
    in_flight: InFlight,
    time: Time,
    evaluations: Permits,
    shadows: Shadows,
    recorder: Arc<Recorder>,
    next_id: AtomicU64,
    stopping: AtomicBool,
}

/// A request whose caller is known and whose fields are sound.
struct Admitted {
    envelope: Arc<Envelope>,
    deadline: Instant,
}

/// A request that every policy allows, and what it holds until it is concluded.
struct Judged<'a> {
    approved: Approved,
    /// Changes of keys' states that its authorization saw.
    changes: u64,
    announced: Announced<'a>,
    place: Place<'a>,
}

/// Whether a request waits for another one that could become the same signature.
#[derive(Clone, Copy)]
enum Wait {
    Not,
    UntilItsDeadline,
}

/// How often a request whose policies saw stale state is evaluated again.
const ATTEMPTS: usize = 3;

impl Pipeline {
    /// Puts a pipeline together.
    #[must_use]
    pub fn new(mut parts: Parts) -> Self {
        let keys = RwLock::new(Arc::new(std::mem::take(&mut parts.keys)));
        let policies = RwLock::new(Arc::clone(&parts.policies));
        let time = Time::new(Arc::clone(&parts.clock), Arc::clone(&parts.boot_clock));
        let evaluations = Permits::new(parts.limits.evaluations);
        Self {
            parts,
            keys,
            policies,
            releases: Releases::default(),
            in_flight: InFlight::default(),
            time,
            evaluations,
            shadows: Shadows::default(),
            recorder: Arc::default(),
            next_id: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    /// Signs, or says why not. Whatever comes of it is recorded.
    ///
    /// # Errors
    /// The refusal, recorded in the ledger.
    pub fn sign(&self, peer: Peer, call: SignCall) -> Result<Signed, Refusal> {
        let (signed, _) = self.recorded(peer, call, Operation::Sign)?;
        Ok(signed)
    }

    /// Decapsulates: the payload is the ciphertext. Decided and recorded like a signature.
    ///
    /// # Errors
    /// The refusal, recorded in the ledger.
    pub fn decapsulate(&self, peer: Peer, call: SignCall) -> Result<Decapsulated, Refusal> {
        let (answer, secret) = self.recorded(peer, call, Operation::Decapsulate)?;
        let shared_secret = secret.ok_or_else(|| Refusal::new(Code::Internal, "a decapsulation made no secret"))?;
        Ok(Decapsulated { shared_secret, answer })
    }

    fn recorded(&self, peer: Peer, call: SignCall, operation: Operation) -> Result<(Signed, Option<SharedSecret>), Refusal> {
        let mut trail = self.trail(peer, &call);
        let answer = self
            .admit(call, operation, &mut trail)
            .and_then(|admitted| self.run(&admitted, &mut trail));
        self.told(trail, answer)
    }

    /// The way of one request, from here to the end of [`Self::conclude`].
    fn admit(&self, call: SignCall, operation: Operation, trail: &mut Trail) -> Result<Admitted, Refusal> {
        let deadline = call.received + self.parts.limits.deadline;
        let caller = trail.authenticate(&self.parts.clients)?;
        trail.caller = Some(Arc::clone(caller.name()));
        let envelope = trail.step(Stage::Open, || {
            open::open(caller, call, operation, &self.parts.limits, || self.next_id())
        })?;
        trail.request_id = Some(Arc::clone(&envelope.id));
        let envelope = Arc::new(envelope);
        Ok(Admitted { envelope, deadline })
    }

    fn run(&self, admitted: &Admitted, trail: &mut Trail) -> Result<(Signed, Option<SharedSecret>), Refusal> {
        for _ in 0..ATTEMPTS {
            let Some(judged) = self.judge(admitted, Wait::UntilItsDeadline, trail)? else {
                continue;
            };
            judged.announced.arrives();
            let committed = trail.step(Stage::Commit, || {
                commit::commit(judged.approved, self.parts.ledger.as_ref(), self.parts.decode)
            })?;
            if let Some(committed) = committed {
                return self.conclude(committed, judged.changes, trail);
            }
        }
        Err(Refusal::new(
            Code::Contention,
            format!("the state that the policies saw changed {ATTEMPTS} times in a row; ask again"),
        ))
    }

    /// Up to the proof that every policy allows. None: the request's place is taken, and it was not to wait for it.
    fn judge(&self, admitted: &Admitted, wait: Wait, trail: &mut Trail) -> Result<Option<Judged<'_>>, Refusal> {
        let policies = self.policies();
        let changes = self.releases.seen();
        let snapshot = self.parts.ledger.snapshot();
        trail.judged_by(&snapshot, &policies);
        let authorized = trail.step(Stage::Authorize, || {
            authorize::authorize(Arc::clone(&admitted.envelope), &self.keys(), snapshot)
        })?;
        let mut request = trail.step(Stage::Decode, || {
            decode::decode(authorized, self.parts.decode, self.parts.network, &self.time)
        })?;
        let Some(place) = self.wait_for_the_same(&mut request, admitted.deadline, wait)? else {
            return Ok(None);
        };
        trail.decoded(&request);
        trail.watched = self.shadows.watch(&request.view);
        let announced = Announced::to(self.parts.ledger.as_ref());
        let evaluation = trail.step(Stage::Evaluate, || {
            evaluate::evaluate(request, policies, &self.evaluations, admitted.deadline)
        })?;
        let approved = trail.step(Stage::Approve, || approve::approve(evaluation, || self.next_decision()))?;
        self.refuse_if_stopping()?;
        Ok(Some(Judged {
            approved,
            changes,
            announced,
            place,
        }))
    }

    /// From the durable decision to the answer: what comes of it is its outcome, success or not.
    fn conclude(&self, committed: Committed, changes: u64, trail: &mut Trail) -> Result<(Signed, Option<SharedSecret>), Refusal> {
        trail.decided = true;
        trail.counted = !committed.receipt.replay;
        trail.sequence = Some(committed.receipt.sequence);
        let origin = outcome::Origin::of(&committed);
        let signature = trail.step(Stage::Sign, || sign::sign(committed, &self.parts.backends));
        self.releases.release(changes, |changed| {
            let signature = match changed {
                true => signature.and_then(|signature| outcome::withhold_if_stopped(signature, &self.snapshot())),
                false => signature,
            };
            outcome::outcome(signature, origin, self.parts.ledger.as_ref(), &trail.stages)
        })
    }

    /// A key's public key and status, if the caller may read it.
    ///
    /// # Errors
    /// The refusal, recorded in the ledger.
    pub fn public_key(&self, peer: Peer, key: &str) -> Result<Readable, Refusal> {
        self.read(peer, key, |caller, snapshot| authorize::read(caller, key, &self.keys(), snapshot))
    }

    /// The keys that the caller may read, by name.
    ///
    /// # Errors
    /// The refusal, recorded in the ledger.
    pub fn list_keys(&self, peer: Peer) -> Result<Vec<Readable>, Refusal> {
        self.read(peer, "*", |caller, snapshot| Ok(authorize::list(caller, &self.keys(), snapshot)))
    }

    fn read<T>(&self, peer: Peer, key: &str, read: impl FnOnce(&Caller, &State) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let mut trail = Trail::new(peer, Operation::PublicKey.name(), key, "");
        let result = trail.authenticate(&self.parts.clients).and_then(|caller| {
            trail.caller = Some(Arc::clone(caller.name()));
            trail.step(Stage::Authorize, || read(&caller, &self.parts.ledger.snapshot()))
        });
        result.inspect_err(|refusal| self.record_refusal(trail, refusal))
    }

    /// Refuses a request that never came so far as the pipeline (a full queue, a body over the transport's limit), and records it.
    pub fn refuse(&self, peer: Peer, call: &SignCall, refusal: Refusal) -> Refusal {
        self.record_refusal(Trail::new(peer, &call.operation, &call.key, &call.format), &refusal);
        refusal
    }

    /// From now on requests without a decision are refused; those past commit finish.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether it stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Replaces the policies. Requests in flight finish under the set that they started with.
    pub fn replace_policies(&self, policies: Arc<PolicySet>) {
        *self.policies.write().unwrap_or_else(PoisonError::into_inner) = policies;
    }

    /// Replaces the shadow policies; none ends them. Each set begins with a copy of the state as it is now.
    pub fn replace_shadows(&self, shadows: Option<ShadowSet>) {
        self.shadows.replace(shadows, self.snapshot());
    }

    /// Shows the shadow policies what was answered since the last time. For a thread that does nothing else.
    pub fn run_shadows(&self) {
        self.shadows.run(self.parts.ledger.as_ref(), &self.stopping);
    }

    /// Shows requests that begin from now on, of every transport, as they are answered; none if somebody records already. What is asked
    /// is in it, payloads included, but nothing that a key made.
    #[must_use]
    pub fn begin_recording(&self, bounds: Bounds) -> Option<Recording> {
        self.recorder.begin(bounds)
    }

    /// Requests that no shadow saw, because too many were waiting.
    #[must_use]
    pub fn shadows_skipped(&self) -> u64 {
        self.shadows.skipped()
    }

    /// The policies in force.
    #[must_use]
    pub fn policies(&self) -> Arc<PolicySet> {
        Arc::clone(&self.policies.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a key, or replaces what is known of it. Its status is the ledger's, its backend one that the pipeline has.
    pub fn add_key(&self, key: KeyEntry) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut keys).insert(key);
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> Arc<Keyring> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `record`, which makes a change of keys' states durable. Once it returns, no signature leaves whose outcome is recorded after
    /// the change and whose key does not sign any more, whenever it was decided. Outcomes wait meanwhile, for one durable write.
    pub fn change_key_states<T>(&self, record: impl FnOnce() -> T) -> T {
        self.releases.change(record)
    }

    /// The state as of now.
    #[must_use]
    pub fn snapshot(&self) -> State {
        self.parts.ledger.snapshot()
    }

    fn refuse_if_stopping(&self) -> Result<(), Refusal> {
        if self.stopping.load(Ordering::SeqCst) {
            return Err(Refusal::new(
                Code::Stopping,
                "the daemon is stopping; nothing was decided, ask again once it is back",
            ));
        }
        Ok(())
    }

    /// Waits for a request with the same id, or with a vote for the same position, so that this one sees what became of it.
    fn wait_for_the_same(&self, request: &mut Request, deadline: Instant, wait: Wait) -> Result<Option<Place<'_>>, Refusal> {
        let wanted = exclusive(request.tag(), &request.key().public_key, request.decoded().consensus.as_ref());
        let alone = wanted.is_empty();
        let entered = match wait {
            Wait::Not => self.in_flight.enter_now(wanted),
            Wait::UntilItsDeadline => self.in_flight.enter(wanted, deadline),
        };
        let Some(place) = entered else {
            return match wait {
                Wait::Not => Ok(None),
                Wait::UntilItsDeadline => Err(Refusal::new(
                    Code::Deadline,
                    "a request with the same id, or with a vote for the same position, is still in flight; ask again",
                )),
            };
        };
        if !alone {
            // The policies see what the one before left, and no time before it: a limit that was taken from meanwhile would look used up.
            request.snapshot = self.parts.ledger.snapshot();
            let view = Arc::make_mut(&mut request.view);
            view.now_ms = view.now_ms.max(request.snapshot.high_water_ms);
        }
        Ok(Some(place))
    }

    /// An operator says that the wall clock is right as it is now. Call it once that is durable.
    pub fn accept_clock(&self) {
        self.time.accept();
    }

    fn next_id(&self) -> String {
        let [high, low] = self.next_pair();
        format!("host-{high:016x}-{low:x}")
    }

    fn next_decision(&self) -> [u8; 16] {
        let [high, low] = self.next_pair();
        ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
    }

    fn next_pair(&self) -> [u64; 2] {
        [self.parts.process_id, self.next_id.fetch_add(1, Ordering::Relaxed)]
    }
}
