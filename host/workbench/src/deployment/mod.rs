//! A fixture's deployment in process: the real pipeline, sandbox and ledger, on a simulated disk, with a mock HSM and a virtual clock.

mod disk;
mod mortal;
mod overheard;
mod scratch;
mod seed;
mod watched;

pub use watched::Evaluated;

use crate::fixture::{Fixture, LedgerFault, Restart, Step};
use crate::library::LoadedPolicy;
use disk::FaultyDisk;
use mortal::Mortal;
use scratch::Scratch;
use sigwarden_core::caller::{Clients, Peer};
use sigwarden_core::floor::FloorKey;
use sigwarden_core::key::KeyEntry;
use sigwarden_core::pipeline::{Limits, Parts};
use sigwarden_core::policy::{Binding, Evaluator};
use sigwarden_core::stages::authorize::Keyring;
use sigwarden_core::state::{Effect, State};
use sigwarden_core::{Backend, Ledger, Operation, Pipeline, PolicySet, Refusal, SignCall, Signed};
use sigwarden_keys::{Faults as HsmFaults, HoldError, MockHsm, MockScript};
use sigwarden_ledger::{AdminKind, AdministerError, Administration, EmbeddedLedger, OpenError, Settings};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use watched::{Shared, Watched};

/// Where the state is on the simulated disk.
const STATE_DIR: &str = "/state";
/// The backend's name.
const BACKEND: &str = "mock-hsm";
/// A request of a fixture waits for nobody; a machine under load is no refusal.
const DEADLINE: Duration = Duration::from_secs(60);

/// The workbench's own trouble.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// The mock HSM makes no key.
    #[error("the mock HSM makes no key: {0}")]
    Key(#[from] HoldError),
    /// The ledger does not open.
    #[error("the ledger does not open: {0}")]
    Open(#[from] OpenError),
    /// The ledger takes no change.
    #[error("the ledger takes no change: {0}")]
    Administer(#[from] AdministerError),
    /// A policy's state at first cannot be brought about.
    #[error("a policy's `state` cannot be brought about: {0}")]
    Seed(#[from] Refusal),
}

/// What came of one request.
pub struct Answer {
    /// A signature, or the refusal; a decapsulation has no signatures.
    pub result: Result<Signed, Refusal>,
    /// The process died: the answer reached nobody.
    pub died: bool,
    /// What each policy was handed and answered, in order.
    pub evaluated: Vec<Evaluated>,
    /// How long it took.
    pub elapsed: Duration,
    /// The state before.
    pub before: State,
    /// The state after.
    pub after: State,
}

/// Virtual clocks, milliseconds.
#[derive(Default)]
struct Clocks {
    wall: AtomicU64,
    boot: AtomicU64,
}

/// What outlives a process.
pub(crate) struct Ground<'f> {
    fixture: &'f Fixture,
    policies: Vec<Arc<LoadedPolicy>>,
    engine_hash: Arc<str>,
    public_keys: Vec<Vec<u8>>,
    hsm: Arc<MockHsm>,
    clocks: Arc<Clocks>,
}

/// What ends when the process does.
struct Process {
    pipeline: Pipeline,
    ledger: Arc<EmbeddedLedger>,
    mortal: Arc<Mortal>,
    watched: Arc<Watched>,
}

/// A fixture's deployment.
pub struct Deployment<'f> {
    ground: Ground<'f>,
    disk: FaultyDisk,
    process: Process,
    /// Processes so far.
    lives: u64,
}

impl<'f> Deployment<'f> {
    /// A new deployment with the fixture's keys, floors and policies.
    ///
    /// # Errors
    /// The workbench's own trouble.
    pub fn new(fixture: &'f Fixture, policies: Vec<Arc<LoadedPolicy>>, engine_hash: &str) -> Result<Self, DeploymentError> {
        let ground = Ground::new(fixture, policies, engine_hash)?;
        ground.set_clocks(fixture.start_ms, 0);
        let disk = FaultyDisk::new();
        let ledger = EmbeddedLedger::create_on(Arc::new(disk.clone()), Path::new(STATE_DIR), settings(fixture.start_ms))?;
        let ledger = Arc::new(ledger);
        ground.set_up(&ledger)?;
        seed::seed(&ground, &ledger)?;
        Ok(Self {
            process: ground.start(ledger, 1),
            ground,
            disk,
            lives: 1,
        })
    }

    /// The keys' public keys, in the fixture's order.
    #[must_use]
    pub fn public_keys(&self) -> &[Vec<u8>] {
        &self.ground.public_keys
    }

    /// The state as of now.
    #[must_use]
    pub fn state(&self) -> State {
        self.process.ledger.snapshot()
    }

    /// Brings about what stands before a step: the time, a process that runs, key states, faults.
    ///
    /// # Errors
    /// The workbench's own trouble.
    pub fn prepare(&mut self, step: &Step) -> Result<(), DeploymentError> {
        self.ground.set_clocks(step.at_ms, 0);
        if self.process.mortal.is_dead() {
            self.restart(Restart::Killed, step.at_ms)?;
        }
        if let Some(restart) = step.restart {
            self.restart(restart, step.at_ms)?;
        }
        if !step.key_states.is_empty() {
            self.set_key_states(step)?;
        }
        self.ground.set_clocks(step.at_ms, step.fault.clock_ms);
        self.ground.hsm.set_faults(step.fault.hsm.clone().unwrap_or_default());
        match step.fault.ledger {
            Some(LedgerFault::FsyncFails) => self.disk.fail_next_sync(),
            Some(LedgerFault::Full) => self.fill_up(true),
            None => {}
        }
        if let Some(death) = step.fault.dies {
            self.process.mortal.die_at(death);
        }
        Ok(())
    }

    /// Asks once.
    pub fn ask(&mut self, step: &Step) -> Answer {
        let begun = Instant::now();
        let before = self.state();
        let result = call(&self.process.pipeline, step);
        Answer {
            result,
            died: self.process.mortal.is_dead(),
            evaluated: self.process.watched.take(),
            elapsed: begun.elapsed(),
            before,
            after: self.state(),
        }
    }

    /// Mends what a step's faults broke, but not a ledger whose sync failed.
    pub fn mend(&mut self, step: &Step) {
        self.ground.hsm.set_faults(HsmFaults::default());
        if step.fault.ledger == Some(LedgerFault::Full) {
            self.fill_up(false);
        }
    }

    fn fill_up(&self, full: bool) {
        self.disk.fill_up(full);
        // It looks at the room it has. A poisoned ledger does not, and refuses anyway.
        drop(self.process.ledger.keep());
    }

    fn restart(&mut self, restart: Restart, now_ms: u64) -> Result<(), DeploymentError> {
        match restart {
            // One that is poisoned says so, and is opened again all the same.
            Restart::Stopped => drop(self.process.ledger.close()),
            Restart::Killed => self.disk = self.disk.power_cut(),
        }
        let ledger = EmbeddedLedger::open_on(Arc::new(self.disk.clone()), Path::new(STATE_DIR), settings(now_ms))?;
        self.lives += 1;
        self.process = self.ground.start(Arc::new(ledger), self.lives);
        Ok(())
    }

    fn set_key_states(&self, step: &Step) -> Result<(), DeploymentError> {
        let effects = step.key_states.iter().map(|(key, state)| Effect::KeyState {
            key: key.clone(),
            state: *state,
            grace: None,
        });
        administer(&self.process.ledger, AdminKind::Lifecycle, step.at_ms, effects.collect())?;
        Ok(())
    }
}

impl<'f> Ground<'f> {
    pub(crate) fn new(fixture: &'f Fixture, policies: Vec<Arc<LoadedPolicy>>, engine_hash: &str) -> Result<Self, DeploymentError> {
        let hsm = MockHsm::new(MockScript {
            seed: "sigwarden workbench".to_owned(),
            ..MockScript::default()
        });
        let public_keys = fixture.keys.iter().map(|key| hsm.generate(&key.id, key.scheme));
        Ok(Self {
            public_keys: public_keys.collect::<Result<_, _>>()?,
            fixture,
            policies,
            engine_hash: engine_hash.into(),
            hsm: Arc::new(hsm),
            clocks: Arc::default(),
        })
    }

    /// Asks once, of a state that is nobody's: what comes of it is gone with the answer.
    pub(crate) fn ask_aside(&self, step: &Step, state: State, evaluator: Box<dyn Evaluator>) -> (Result<Signed, Refusal>, State) {
        self.set_clocks(step.at_ms, 0);
        let ledger = Arc::new(Scratch::new(state));
        let pipeline = self.pipeline(Arc::clone(&ledger) as Arc<dyn Ledger>, evaluator, 0);
        let result = call(&pipeline, step);
        (result, ledger.snapshot())
    }

    fn set_clocks(&self, now_ms: u64, off_ms: i64) {
        self.clocks.boot.store(now_ms, Ordering::SeqCst);
        self.clocks.wall.store(now_ms.saturating_add_signed(off_ms), Ordering::SeqCst);
    }

    /// Keys, floors and policies into a new ledger.
    fn set_up(&self, ledger: &EmbeddedLedger) -> Result<(), DeploymentError> {
        let now_ms = self.fixture.start_ms;
        let keys = || self.fixture.keys.iter().zip(&self.public_keys);
        let pinned = keys().map(|(key, public_key)| Effect::KeyPinned {
            key: key.id.clone(),
            scheme: key.scheme,
            public_key: public_key.clone(),
            created_ms: key.created_ms,
            state: key.state,
        });
        administer(ledger, AdminKind::PublicKey, now_ms, pinned.collect())?;
        let floors = keys().flat_map(|(key, public_key)| {
            key.floors.iter().map(|(key, floor)| Effect::Floor {
                key: FloorKey {
                    public_key: public_key.clone(),
                    ..key.clone()
                },
                floor: floor.clone(),
            })
        });
        administer(ledger, AdminKind::Floor, now_ms, floors.collect())?;
        let policies = self.policies.iter().map(|policy| Effect::PolicyInstance {
            instance: policy.loaded.instance.as_str().into(),
            module_digest: policy.loaded.module_digest.clone(),
            config_digest: policy.loaded.config_digest.clone(),
            version: policy.loaded.manifest.version.clone(),
        });
        administer(ledger, AdminKind::PolicySet, now_ms, policies.collect())
    }

    fn start(&self, ledger: Arc<EmbeddedLedger>, life: u64) -> Process {
        let mortal = Arc::new(Mortal::new(Arc::clone(&ledger)));
        let watched = Arc::new(Watched::new(self.policies.clone()));
        let evaluator = Box::new(Shared(Arc::clone(&watched)));
        let pipeline = self.pipeline(Arc::clone(&mortal) as Arc<dyn Ledger>, evaluator, life);
        Process {
            pipeline,
            ledger,
            mortal,
            watched,
        }
    }

    fn pipeline(&self, ledger: Arc<dyn Ledger>, evaluator: Box<dyn Evaluator>, life: u64) -> Pipeline {
        let policies = PolicySet {
            bindings: self.bindings(),
            evaluator,
            engine_hash: Arc::clone(&self.engine_hash),
        };
        let (wall, boot) = (Arc::clone(&self.clocks), Arc::clone(&self.clocks));
        Pipeline::new(Parts {
            network: self.fixture.network,
            clients: Clients(self.fixture.clients.clone()),
            keys: self.keyring(),
            policies: Arc::new(policies),
            ledger,
            backends: BTreeMap::from([(BACKEND.to_owned(), Arc::clone(&self.hsm) as Arc<dyn Backend>)]),
            decode: sigwarden_formats::decode,
            clock: Arc::new(move || wall.wall.load(Ordering::SeqCst)),
            boot_clock: Arc::new(move || boot.boot.load(Ordering::SeqCst)),
            limits: Limits {
                deadline: DEADLINE,
                ..Limits::default()
            },
            process_id: life,
        })
    }

    fn bindings(&self) -> Vec<Binding> {
        let policies = self.fixture.policies.iter().zip(&self.policies);
        policies
            .map(|(policy, module)| Binding {
                instance: policy.name.as_str().into(),
                module_digest: module.loaded.module_digest.as_str().into(),
                config_digest: module.loaded.config_digest.as_str().into(),
                version: module.loaded.manifest.version.as_str().into(),
                understands: module.loaded.manifest.formats.clone(),
                keys: policy.keys.clone(),
                roles: policy.roles.clone(),
                formats: policy.formats.clone(),
            })
            .collect()
    }

    fn keyring(&self) -> Keyring {
        let mut keyring = Keyring::default();
        for (key, public_key) in self.fixture.keys.iter().zip(&self.public_keys) {
            keyring.insert(KeyEntry {
                id: key.id.clone(),
                roles: key.roles.clone(),
                scheme: key.scheme,
                public_key: public_key.clone(),
                backend: BACKEND.to_owned(),
                dangerous_allow_raw_messages: key.dangerous_allow_raw_messages,
                dangerous_allow_raw_digests: key.dangerous_allow_raw_digests,
                dangerous_allow_prefixed_raw: key.dangerous_allow_prefixed_raw.clone(),
                bound: key.bound.clone(),
                rotation: None,
            });
        }
        keyring
    }
}

fn call(pipeline: &Pipeline, step: &Step) -> Result<Signed, Refusal> {
    let peer = Peer::User {
        uid: step.uid,
        gid: step.uid,
    };
    let operation = step.format.operation();
    let call = SignCall {
        operation: operation.name().to_owned(),
        key: step.key.clone(),
        format: step.format.name().to_owned(),
        scheme: String::new(),
        request_id: step.request_id.clone(),
        payload: step.payload.clone(),
        received: Instant::now(),
    };
    match operation {
        Operation::Decapsulate => pipeline.decapsulate(peer, call).map(|decapsulated| decapsulated.answer),
        Operation::Sign | Operation::PublicKey => pipeline.sign(peer, call),
    }
}

/// No thread of its own and no second for anything: what happens when is the fixture's.
fn settings(now_ms: u64) -> Settings {
    Settings {
        keeper: false,
        ..Settings::new(now_ms, Arc::new(|_: &str| {}))
    }
}

fn administer(ledger: &EmbeddedLedger, kind: AdminKind, now_ms: u64, effects: Vec<Effect>) -> Result<(), DeploymentError> {
    if effects.is_empty() {
        return Ok(());
    }
    ledger.administer(Administration {
        kind,
        operator: "workbench".to_owned(),
        reason: "a fixture".to_owned(),
        now_ms,
        effects,
    })?;
    Ok(())
}
