//! From a directory to a pipeline: everything that a start opens and checks, in order. Nothing is recorded before all of it holds.

mod at_rest;
mod backends;
mod error;
mod keys;
mod machine;
mod marker;
mod metrics;
mod policies;
mod refused;
mod remotes;
mod tend;
mod ticker;
pub(crate) mod tokens;
mod vault;
mod watch;

pub(crate) use at_rest::state_at_rest;
pub use backends::BackendError;
pub use error::OpenError;
pub(crate) use keys::same_secret;
pub use keys::{KeyFault, PublicKeySource};
use machine::engine_settings;
pub(crate) use machine::{bare_settings, default_marker_dir, marker_place, operator, settings};
pub use machine::{boot_ms, now_ms, settle};
pub(crate) use metrics::policies as told_policies;
pub use policies::PolicyError;
pub(crate) use policies::{LoadedPolicies, MODULE_BYTES_MAX, changed as changed_policies, load as load_policies, read_module_file};
pub(crate) use refused::refuse_what_the_network_refuses;
pub use sigwarden_keys::MockScript;
pub(crate) use vault::judge_passphrase;
pub use vault::{open_vault, read_passphrase};
pub(crate) use watch::{mark, mark_anew};

use crate::admin::{Administrator, Daemon};
use crate::check::Finding;
use crate::config::Config;
use crate::fatal::Fatal;
use crate::server;
use at_rest::admitted_at_rest;
pub(crate) use backends::Backends;
use marker::Place;
use metrics::{build, watch_requests};
use refused::refuse_tokens;
use sigwarden_core::caller::Clients;
use sigwarden_core::pipeline::{Clock, Limits, Parts};
use sigwarden_core::{Ledger, Pipeline};
use sigwarden_keys::{MockHsm, Passphrase};
use sigwarden_ledger::{AdminKind, AdministerError, Administration, DeploymentLock, EmbeddedLedger, Room};
use sigwarden_pkcs11::TokenStatus;
use sigwarden_policy::{Engine, Loaded};
use sigwarden_remote::RemoteStatus;
use sigwarden_telemetry::metrics::PolicyFact;
use sigwarden_telemetry::trace::Traces;
use sigwarden_telemetry::{Metrics, Observed};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, RwLock};
use ticker::Ticker;
use watch::Watched;

/// A deployment that is open: this process holds its lock.
pub struct Deployment {
    config: Config,
    pipeline: Arc<Pipeline>,
    ledger: Arc<EmbeddedLedger>,
    backends: Arc<Backends>,
    loaded: Vec<Loaded>,
    findings: Vec<Finding>,
    listeners: Vec<server::Ready>,
    metrics: Arc<Metrics>,
    traces: Option<Arc<Traces>>,
    told_policies: Arc<RwLock<Vec<PolicyFact>>>,
    queued: Arc<AtomicU64>,
    fatal: Arc<Fatal>,
    place: Place,
    watch: Option<Ticker>,
    tending: Option<[Ticker; 4]>,
    administrator: Arc<Administrator>,
    // Last, so that it is released last.
    _lock: DeploymentLock,
}

/// What has certificates: listeners and remotes.
pub(crate) struct Certificates {
    listeners: Vec<server::Ready>,
    backends: Arc<Backends>,
}

impl Certificates {
    /// Takes those that have changed on disk, for new connections; what is wrong with one is told to the log, and the old ones stay.
    pub(crate) fn renew(&self) {
        server::renew_certificates(&self.listeners);
        tend::renew(&self.backends);
    }
}

/// How a deployment is opened.
pub struct Options {
    /// The wall clock, milliseconds since the Unix epoch.
    pub clock: Clock,
    /// The boot clock.
    pub boot_clock: Clock,
    /// The passphrase; none to take it from where the configuration says.
    pub passphrase: Option<Passphrase>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Arc::new(now_ms),
            boot_clock: Arc::new(boot_ms),
            passphrase: None,
        }
    }
}

/// What others in whose hands keys are were like when a start was rehearsed; none if they were not looked at.
#[derive(Debug, Default)]
pub struct Looked {
    /// Tokens of `pkcs11` backends.
    pub tokens: Option<Vec<Vec<TokenStatus>>>,
    /// Remotes of `remote` backends.
    pub remotes: Option<Vec<Vec<RemoteStatus>>>,
}

impl Deployment {
    /// Opens the deployment in `dir`.
    ///
    /// # Errors
    /// The first step that does not hold.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        Self::open_with(Config::load(dir)?, Options::default())
    }

    /// Opens the deployment of a configuration.
    ///
    /// # Errors
    /// The first step that does not hold.
    pub fn open_with(config: Config, options: Options) -> Result<Self, OpenError> {
        let lock = DeploymentLock::acquire(&config.state_dir)?;
        let findings = refuse_what_the_network_refuses(&config)?;
        let listeners = server::load_listeners(&config)?;
        // Secrets first: taking one out of the environment is sound only while this process has a single thread.
        let now_ms = (options.clock)();
        let vault = open_vault(&config, options.passphrase)?;
        let backends = Arc::new(Backends::open(&config, vault)?);
        let mut findings = findings;
        findings.extend(refuse_tokens(&config, &backends)?);

        let fatal = Arc::new(Fatal::default());
        let place = marker_place(&config)?;
        let metrics = Arc::new(Metrics::new(build(&config)));
        let mut settings = settings(&config, now_ms, &fatal)?;
        let of_writes = Arc::clone(&metrics);
        settings.wrote = Arc::new(move |records, took| of_writes.ledger_wrote(records, took));
        let ledger = Arc::new(EmbeddedLedger::open(&config.state_dir, settings)?);
        let state = ledger.snapshot();
        let keys = keys::check(&config, &backends, &state, now_ms).map_err(OpenError::Keys)?;
        let engine = Engine::new(engine_settings(&config))?;
        let LoadedPolicies { set, shadows, loaded } = policies::load(&config, &engine, backends.vault(), None)?;

        record(&ledger, AdminKind::PublicKey, "first use", now_ms, keys.to_pin)?;
        let changed = policies::changed(&loaded, &state);
        record(&ledger, AdminKind::PolicySet, "the policies of this start", now_ms, changed)?;
        mark(&place, &ledger).map_err(OpenError::Marker)?;
        let traces = watch_requests(&config, &ledger, &loaded, &metrics)?;
        let told = Arc::new(RwLock::new(told_policies(&loaded, &config)));
        let observed = Observed::new(Arc::clone(&ledger), Arc::clone(&metrics)).with_traces(traces.clone());
        let mut process_id = [0; 8];
        getrandom::fill(&mut process_id).map_err(OpenError::Random)?;
        let pipeline = Arc::new(Pipeline::new(Parts {
            network: config.network,
            clients: Clients(config.clients.clone()),
            keys: keys.keyring,
            policies: Arc::new(set),
            ledger: Arc::new(observed),
            backends: backends.by_name(),
            decode: sigwarden_formats::decode,
            clock: options.clock,
            boot_clock: options.boot_clock,
            limits: Limits {
                payload_bytes: config.limits.payload_bytes,
                deadline: config.limits.deadline,
                evaluations: config.limits.evaluations,
            },
            process_id: u64::from_be_bytes(process_id),
        }));
        pipeline.replace_shadows(shadows);
        let watched = Watched {
            config: config.clone(),
            ledger: Arc::clone(&ledger),
            fatal: Arc::clone(&fatal),
            place: place.clone(),
            every: config.limits.watch,
        };
        let watch = watch::start(watched).map_err(OpenError::Watch)?;
        let daemon = Daemon {
            pipeline: Arc::clone(&pipeline),
            ledger: Arc::clone(&ledger),
            backends: Arc::clone(&backends),
            engine: engine.clone(),
            told_policies: Arc::clone(&told),
        };
        let administrator = Arc::new(Administrator::of_daemon(config.clone(), daemon));
        let tending =
            tend::start(&pipeline, Arc::clone(&backends), Arc::clone(&administrator), config.limits.watch).map_err(OpenError::Watch)?;
        Ok(Self {
            config,
            pipeline,
            ledger,
            backends,
            loaded,
            findings,
            listeners,
            metrics,
            traces,
            told_policies: told,
            queued: Arc::default(),
            fatal,
            place,
            watch: Some(watch),
            tending: Some(tending),
            administrator,
            _lock: lock,
        })
    }

    /// Opens and checks what a start does, but reads the log instead of opening the ledger: no record is left. The checkpoint is not
    /// looked at. What every token is like is told whatever comes after: each PIN is used once.
    ///
    /// # Errors
    /// The first step that does not hold.
    pub fn rehearse(config: &Config, looked: &mut Looked) -> Result<(), OpenError> {
        let _lock = DeploymentLock::acquire(&config.state_dir)?;
        refuse_what_the_network_refuses(config)?;
        server::load_listeners(config)?;
        let backends = Backends::open(config, open_vault(config, None)?)?;
        looked.tokens = Some(backends.tokens());
        looked.remotes = Some(backends.remote_statuses());
        refuse_tokens(config, &backends)?;
        let state = state_at_rest(config)?;
        admitted_at_rest(config)?;
        keys::check(config, &backends, &state, now_ms()).map_err(OpenError::Keys)?;
        let engine = Engine::new(engine_settings(config))?;
        policies::load(config, &engine, backends.vault(), None)?;
        Ok(())
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What changes the deployment while it is open.
    pub(crate) fn administrator(&self) -> &Arc<Administrator> {
        &self.administrator
    }

    /// The way of every request.
    #[must_use]
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Arc<EmbeddedLedger> {
        &self.ledger
    }

    /// The policies, in the order of the configuration.
    #[must_use]
    pub fn loaded(&self) -> &[Loaded] {
        &self.loaded
    }

    /// What the rules of the network found.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// A `mock-hsm` backend, for tests that change its faults while it runs.
    #[must_use]
    pub fn mock_hsm(&self, name: &str) -> Option<&Arc<MockHsm>> {
        self.backends.mock_hsm(name)
    }

    /// What [`server::serve`] takes.
    #[must_use]
    pub fn server_parts(&self) -> server::Parts {
        let ledger = Arc::clone(&self.ledger);
        server::Parts {
            pipeline: Arc::clone(&self.pipeline),
            clients: Clients(self.config.clients.clone()),
            socket: self.config.socket.clone(),
            socket_group_access: self.config.socket_group_access,
            limits: self.config.limits.clone(),
            network: self.config.network,
            backends: self.backends.abilities(),
            condition: Arc::new(move || {
                let health = ledger.health();
                server::Condition {
                    trouble: health.poisoned,
                    full: health.room == Room::Full,
                    deployment_id: ledger.deployment_id().to_owned(),
                    last_sequence: health.last_sequence,
                }
            }),
            fatal: Arc::clone(&self.fatal),
            counted: Arc::clone(&self.metrics),
            queued: Arc::clone(&self.queued),
            traced: self.traces.is_some(),
            metrics: self.config.metrics_listen.map(|listen| server::MetricsParts {
                listen,
                pages: metrics::pages(self.told()),
            }),
            admissions: self.config.admissions.clone(),
            listeners: self.listeners.clone(),
            privvals: self.config.privvals.clone(),
            admin: Some(server::AdminParts {
                socket: self.config.admin_socket.clone(),
                administrator: Arc::clone(&self.administrator),
            }),
        }
    }

    /// Everything that has certificates.
    pub(crate) fn certificates(&self) -> Certificates {
        Certificates {
            listeners: self.listeners.clone(),
            backends: Arc::clone(&self.backends),
        }
    }

    fn told(&self) -> metrics::Told {
        let pipeline = Arc::clone(&self.pipeline);
        metrics::Told {
            config: self.config.clone(),
            backends: Arc::clone(&self.backends),
            ledger: Arc::clone(&self.ledger),
            metrics: Arc::clone(&self.metrics),
            listeners: self.listeners.clone(),
            policies: Arc::clone(&self.told_policies),
            queued: Arc::clone(&self.queued),
            stopping: Arc::new(move || pipeline.is_stopping()),
        }
    }

    /// Makes what was recorded durable and lets go of everything, the lock last.
    ///
    /// # Errors
    /// The ledger failed, now or before.
    pub fn close(mut self) -> Result<(), sigwarden_core::ledger::LedgerFailure> {
        self.pipeline.stop();
        drop(self.tending.take());
        drop(self.watch.take());
        if let Some(traces) = &self.traces {
            traces.stop();
        }
        self.ledger.close()?;
        if let Err(error) = mark(&self.place, &self.ledger) {
            // The next start finds it behind, which is no fault.
            tracing::error!(%error, "the marker could not be written");
        }
        Ok(())
    }
}

fn record(
    ledger: &EmbeddedLedger,
    kind: AdminKind,
    reason: &str,
    now_ms: u64,
    effects: Vec<sigwarden_core::state::Effect>,
) -> Result<(), AdministerError> {
    if effects.is_empty() {
        return Ok(());
    }
    let administration = Administration {
        kind,
        operator: operator(),
        reason: reason.to_owned(),
        now_ms,
        effects,
    };
    ledger.administer(administration).map(drop)
}
