//! A daemon in this process: real transport, pipeline and ledger; a policy and a key that wait at gates.

use sigwarden::client::Client;
use sigwarden::config::Limits;
use sigwarden::fatal::Fatal;
use sigwarden::proto::SignRequest;
use sigwarden::server::{Condition, Parts, ServeError, serve};
use sigwarden_core::caller::{Allow, Client as Caller, Clients, KeyPattern};
use sigwarden_core::key::{KeyEntry, KeyId};
use sigwarden_core::pipeline::{Limits as CoreLimits, Parts as CoreParts};
use sigwarden_core::policy::{Binding, EvaluationFailure, Evaluator, Job, PolicySet, Report, Understands, Verdict};
use sigwarden_core::stages::authorize::Keyring;
use sigwarden_core::state::Effect;
use sigwarden_core::{Backend, BackendFailure, Committed, KeyState, Ledger, Network, Operation, Pipeline, RawSignature, Role, Scheme};
use sigwarden_keys::{MockHsm, MockScript};
use sigwarden_ledger::{AdminKind, Administration, EmbeddedLedger, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use tempfile::TempDir;
use tokio::sync::{Notify, oneshot};

/// The key that the stand has.
pub(crate) const KEY: &str = "demo.account.v1";

/// EIP-155's example: the unsigned transaction with nonce 9 on chain 1.
const EIP155_EXAMPLE: &str = "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080";

/// A request that the stand signs.
pub(crate) fn request(id: &str) -> SignRequest {
    SignRequest {
        operation: String::new(),
        key: "demo.account".into(),
        format: "evm/legacy".into(),
        payload: hex::decode(EIP155_EXAMPLE).unwrap(),
        request_id: id.into(),
        scheme: String::new(),
    }
}

/// A place where a request waits while a test has closed it.
#[derive(Default)]
pub(crate) struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
    entered: Notify,
}

impl Gate {
    pub(crate) fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    pub(crate) fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.opened.notify_all();
    }

    /// Waits until a request is there.
    pub(crate) async fn entered(&self) {
        self.entered.notified().await;
    }

    fn pass(&self) {
        self.entered.notify_one();
        drop(self.opened.wait_while(self.closed.lock().unwrap(), |closed| *closed).unwrap());
    }
}

struct AllowAtGate(Arc<Gate>);

impl Evaluator for AllowAtGate {
    fn evaluate(&self, _job: Job) -> Result<Report, EvaluationFailure> {
        self.0.pass();
        Ok(Report {
            verdict: Verdict::Allow(None),
            changes: Vec::new(),
            fuel: 1,
            log: Vec::new(),
        })
    }
}

struct SignAtGate(Arc<Gate>, MockHsm);

impl Backend for SignAtGate {
    fn sign(&self, committed: &Committed) -> Result<Vec<RawSignature>, BackendFailure> {
        self.0.pass();
        self.1.sign(committed)
    }
}

pub(crate) struct Stand {
    pub(crate) socket: PathBuf,
    /// Where the policy waits: before the decision.
    pub(crate) gate: Arc<Gate>,
    /// Where the key waits: after it.
    pub(crate) signing: Arc<Gate>,
    pub(crate) fatal: Arc<Fatal>,
    /// Whether the ledger says that its disk is full.
    pub(crate) full: Arc<std::sync::atomic::AtomicBool>,
    ledger: Arc<EmbeddedLedger>,
    runtime: tokio::runtime::Runtime,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    server: JoinHandle<Result<(), ServeError>>,
    dir: TempDir,
}

impl Stand {
    pub(crate) fn start() -> Self {
        Self::prepared(|_| {}, |_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Limits)) -> Self {
        Self::prepared(|_| {}, |parts| change(&mut parts.limits))
    }

    pub(crate) fn for_uid(uid: u32) -> Self {
        Self::built(uid, |_| {}, |_| {})
    }

    /// A stand whose socket's place and parts a test has prepared.
    pub(crate) fn prepared(prepare: impl FnOnce(&Path), change: impl FnOnce(&mut Parts)) -> Self {
        Self::built(rustix::process::getuid().as_raw(), prepare, change)
    }

    fn built(uid: u32, prepare: impl FnOnce(&Path), change: impl FnOnce(&mut Parts)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("run/sigwarden.sock");
        prepare(&socket);
        let (gate, signing) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
        let ledger = EmbeddedLedger::create(&dir.path().join("state"), Settings::new(now_ms(), Arc::new(|_| {})));
        let ledger = Arc::new(ledger.unwrap());
        let clients = Clients(vec![Arc::new(client(uid))]);
        let pipeline = pipeline(&clients, &ledger, &gate, &signing);
        let fatal = Arc::new(Fatal::default());
        let full = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (of_ledger, of_full) = (Arc::clone(&ledger), Arc::clone(&full));
        let mut parts = Parts {
            pipeline,
            clients,
            socket: socket.clone(),
            socket_group_access: false,
            limits: Limits::default(),
            network: Network::Devnet,
            condition: Arc::new(move || Condition {
                trouble: None,
                full: of_full.load(std::sync::atomic::Ordering::SeqCst),
                deployment_id: of_ledger.deployment_id().to_owned(),
                last_sequence: of_ledger.health().last_sequence,
            }),
            fatal: Arc::clone(&fatal),
            admin: None,
            backends: Vec::new(),
            metrics: None,
            counted: Arc::new(sigwarden_telemetry::Metrics::new(sigwarden_telemetry::metrics::Build {
                version: "test".into(),
                revision: String::new(),
                network: Network::Devnet,
            })),
            queued: Arc::default(),
            traced: false,
            admissions: BTreeMap::new(),
            listeners: Vec::new(),
            privvals: Vec::new(),
        };
        change(&mut parts);
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let server = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            let stopped = async { drop(stopped.await) };
            runtime.block_on(serve(parts, stopped, move || ready.send(()).unwrap()))
        });
        // An error ends the thread, which drops the sender; the test looks at the error.
        let _ = is_ready.recv();
        Self {
            socket,
            gate,
            signing,
            fatal,
            full,
            ledger,
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap(),
            stop: Mutex::new(Some(stop)),
            server,
            dir,
        }
    }

    pub(crate) fn block_on<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(what)
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.socket).await.unwrap()
    }

    pub(crate) fn ask_to_stop(&self) {
        self.stop.lock().unwrap().take();
    }

    /// Waits for the daemon to end by itself.
    pub(crate) fn wait(self) -> Result<(), ServeError> {
        self.server.join().unwrap()
    }

    /// As [`Stand::wait`], with a look before the directory goes.
    pub(crate) fn wait_keeping(self, look: impl FnOnce()) -> Result<(), ServeError> {
        let ended = self.server.join().unwrap();
        look();
        drop(self.dir);
        ended
    }

    pub(crate) fn stop(self) -> Result<Arc<EmbeddedLedger>, ServeError> {
        self.ask_to_stop();
        self.server.join().unwrap()?;
        self.ledger.close().unwrap();
        Ok(self.ledger)
    }

    /// Stops, and reads the codes of the refusals that were recorded.
    pub(crate) fn stop_and_read_refusals(self) -> Vec<String> {
        self.ask_to_stop();
        self.server.join().unwrap().unwrap();
        self.ledger.close().unwrap();
        let lines = sigwarden_ledger::tail(&self.dir.path().join("state"), 1000).unwrap();
        let records = lines.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let refusals = records.filter(|record| record["kind"] == "refusal");
        refusals.map(|record| record["body"]["code"].as_str().unwrap().to_owned()).collect()
    }
}

fn now_ms() -> u64 {
    sigwarden::deployment::now_ms()
}

fn client(uid: u32) -> Caller {
    Caller {
        name: "operator".into(),
        uid: Some(uid),
        gid: None,
        san: Vec::new(),
        allow: vec![Allow {
            keys: vec![KeyPattern::All],
            operations: vec![Operation::Sign, Operation::PublicKey],
            formats: None,
        }],
    }
}

fn pipeline(clients: &Clients, ledger: &Arc<EmbeddedLedger>, gate: &Arc<Gate>, signing: &Arc<Gate>) -> Arc<Pipeline> {
    let id: KeyId = KEY.parse().unwrap();
    let mock = MockHsm::new(MockScript::default());
    let public_key = mock.generate(&id, Scheme::Secp256k1Ecdsa).unwrap();
    let pinned = Effect::KeyPinned {
        key: id.clone(),
        scheme: Scheme::Secp256k1Ecdsa,
        public_key: public_key.clone(),
        created_ms: now_ms(),
        state: KeyState::Active,
    };
    let administration = Administration {
        kind: AdminKind::PublicKey,
        operator: "test".into(),
        reason: "test".into(),
        now_ms: now_ms(),
        effects: vec![pinned],
    };
    ledger.administer(administration).unwrap();
    let mut keys = Keyring::default();
    keys.insert(KeyEntry {
        id,
        roles: BTreeSet::from([Role::Account]),
        scheme: Scheme::Secp256k1Ecdsa,
        public_key,
        backend: "mock".into(),
        dangerous_allow_raw_messages: false,
        dangerous_allow_raw_digests: false,
        dangerous_allow_prefixed_raw: vec![],
        bound: None,
        rotation: None,
    });
    let binding = Binding {
        instance: "allow".into(),
        module_digest: "00".into(),
        config_digest: "00".into(),
        version: "0.0.0".into(),
        understands: Understands::Any,
        keys: None,
        roles: None,
        formats: None,
    };
    let policies = PolicySet {
        bindings: vec![binding],
        evaluator: Box::new(AllowAtGate(Arc::clone(gate))),
        engine_hash: "00".into(),
    };
    let backend: Arc<dyn Backend> = Arc::new(SignAtGate(Arc::clone(signing), mock));
    Arc::new(Pipeline::new(CoreParts {
        network: Network::Devnet,
        clients: clients.clone(),
        keys,
        policies: Arc::new(policies),
        ledger: Arc::clone(ledger) as Arc<dyn Ledger>,
        backends: BTreeMap::from([("mock".to_owned(), backend)]),
        decode: sigwarden_formats::decode,
        clock: Arc::new(now_ms),
        boot_clock: Arc::new(sigwarden::deployment::boot_ms),
        limits: CoreLimits::default(),
        process_id: 1,
    }))
}
