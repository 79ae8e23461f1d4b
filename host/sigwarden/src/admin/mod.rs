//! Administration: one function for each command that changes a deployment. A daemon runs it for a client of its `admin.sock`
//! ([`service`]); without a daemon the command line takes the deployment's lock and runs the very same ([`reach`]). What goes in and comes
//! out are the messages of `proto/sigwarden/admin/v1/admin.proto` in both cases.

pub(crate) mod adopt;
mod backends;
pub(crate) mod edit;
mod floors;
mod keys;
mod lifecycle;
mod maker;
mod policies;
pub mod reach;
mod record;
mod rotation;
mod secrets;
pub mod socket;
mod succession;

pub(crate) use keys::{first_state, pins};

use crate::config::{Config, Key};
use crate::deployment::{Backends, mark, marker_place, now_ms, open_vault, operator, settings};
use crate::fatal::Fatal;
use crate::proto::admin as wire;
use sigwarden_core::Pipeline;
use sigwarden_core::key::{KeyId, KeyName};
use sigwarden_core::state::Effect;
use sigwarden_keys::Vault;
use sigwarden_ledger::{AdminKind, AdministerError, Administration, DeploymentLock, EmbeddedLedger};
use sigwarden_policy::Engine;
use sigwarden_telemetry::metrics::PolicyFact;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

/// The commands, and what each takes and gives: a method of [`Administrator`], of [`reach::Reach`], and a call of the service.
macro_rules! commands {
    ($with:ident) => {
        $with! {
            set_key_state: SetKeyStateRequest => SetKeyStateResponse;
            rotate_key: RotateKeyRequest => RotateKeyResponse;
            activate_key: ActivateKeyRequest => ActivateKeyResponse;
            add_key: AddKeyRequest => AddKeyResponse;
            secret: SecretRequest => SecretResponse;
            backends: BackendsRequest => BackendsResponse;
            retry_login: RetryLoginRequest => BackendsResponse;
            raise_floors: RaiseFloorsRequest => RaiseFloorsResponse;
            accept_clock: AcceptClockRequest => AcceptClockResponse;
            pin_policy: PinPolicyRequest => PinPolicyResponse;
            reload_policies: ReloadPoliciesRequest => ReloadPoliciesResponse;
        }
    };
}
pub(crate) use commands;

/// Why a command did nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotDone {
    /// It was refused; otherwise it could not be tried.
    pub refused: bool,
    /// What was wrong, and what would be right.
    pub text: String,
}

impl NotDone {
    /// Refused.
    pub(crate) fn no(text: impl Into<String>) -> Self {
        Self {
            refused: true,
            text: text.into(),
        }
    }

    /// Could not be tried.
    pub(crate) fn cannot(text: impl Into<String>) -> Self {
        Self {
            refused: false,
            text: text.into(),
        }
    }
}

// As for `cli::output::Failure`: it is no `std::error::Error`, so that every error becomes one.
impl<E: std::error::Error> From<E> for NotDone {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            let inner_text = inner.to_string();
            if !text.contains(&inner_text) {
                text.push_str(": ");
                text.push_str(&inner_text);
            }
            source = inner.source();
        }
        Self::cannot(text)
    }
}

/// Changes one deployment, in a daemon or without one.
pub struct Administrator {
    /// The configuration in force: as of the start, with what was added since.
    config: RwLock<Arc<Config>>,
    place: Place,
    /// One command at a time: each reads before it writes. Nobody waits for a token meanwhile: `keys suspend` is the first act at night.
    turn: Mutex<()>,
    /// One loads policies at a time, which may take minutes. Taken before `turn`.
    loading: Mutex<()>,
    /// One makes keys at a time, which may wait for a token. Taken before `turn`.
    making: Mutex<()>,
}

enum Place {
    Daemon(Daemon),
    Alone(Alone),
}

/// What a daemon has open.
pub(crate) struct Daemon {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) ledger: Arc<EmbeddedLedger>,
    pub(crate) backends: Arc<Backends>,
    pub(crate) engine: Engine,
    /// What a scrape is told of the policies.
    pub(crate) told_policies: Arc<RwLock<Vec<PolicyFact>>>,
}

/// What a command opens when it needs it.
struct Alone {
    ledger: OnceLock<EmbeddedLedger>,
    vault: OnceLock<Arc<Vault>>,
    tokens: OnceLock<Arc<Backends>>,
    // Last, so that it is released last.
    _lock: DeploymentLock,
}

impl Administrator {
    /// Of a daemon.
    pub(crate) fn of_daemon(config: Config, daemon: Daemon) -> Self {
        Self {
            config: RwLock::new(Arc::new(config)),
            place: Place::Daemon(daemon),
            turn: Mutex::new(()),
            loading: Mutex::new(()),
            making: Mutex::new(()),
        }
    }

    /// Of a deployment that no daemon holds.
    pub(crate) fn alone(config: Config, lock: DeploymentLock) -> Self {
        let alone = Alone {
            ledger: OnceLock::new(),
            vault: OnceLock::new(),
            tokens: OnceLock::new(),
            _lock: lock,
        };
        Self {
            config: RwLock::new(Arc::new(config)),
            place: Place::Alone(alone),
            turn: Mutex::new(()),
            loading: Mutex::new(()),
            making: Mutex::new(()),
        }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loading(&self) -> MutexGuard<'_, ()> {
        self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn making(&self) -> MutexGuard<'_, ()> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace_config(&self, change: impl FnOnce(&mut Config)) {
        let mut config = self.config.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut config));
    }

    fn daemon(&self) -> Option<&Daemon> {
        match &self.place {
            Place::Daemon(daemon) => Some(daemon),
            Place::Alone(_) => None,
        }
    }

    fn ledger(&self) -> Result<&EmbeddedLedger, NotDone> {
        match &self.place {
            Place::Daemon(daemon) => Ok(&daemon.ledger),
            Place::Alone(alone) => {
                if let Some(ledger) = alone.ledger.get() {
                    return Ok(ledger);
                }
                let config = self.config();
                let settings = settings(&config, now_ms(), &Arc::new(Fatal::default()))?;
                let ledger = EmbeddedLedger::open(&config.state_dir, settings)?;
                Ok(alone.ledger.get_or_init(|| ledger))
            }
        }
    }

    fn vault(&self) -> Result<Arc<Vault>, NotDone> {
        match &self.place {
            Place::Daemon(daemon) => {
                daemon.backends.vault().cloned().ok_or_else(|| {
                    NotDone::no("the daemon was started without a `sealed-file` backend; it takes a new one at its next start")
                })
            }
            Place::Alone(alone) => {
                if let Some(vault) = alone.vault.get() {
                    return Ok(Arc::clone(vault));
                }
                let vault = open_vault(&self.config(), None)?;
                let vault = vault.ok_or_else(|| NotDone::no("the configuration has no `sealed-file` backend"))?;
                Ok(Arc::clone(alone.vault.get_or_init(|| vault)))
            }
        }
    }

    /// The tokens of the configuration, opened once for this command; the PINs of the backend `by_operator` as an operator has it.
    fn tokens_alone(&self, by_operator: Option<&str>) -> Result<Arc<Backends>, NotDone> {
        let Place::Alone(alone) = &self.place else {
            return Err(NotDone::cannot("the daemon has its backends open"));
        };
        if let Some(backends) = alone.tokens.get() {
            return Ok(Arc::clone(backends));
        }
        let backends = Arc::new(Backends::open_tokens(&self.config(), by_operator)?);
        Ok(Arc::clone(alone.tokens.get_or_init(|| backends)))
    }

    /// Takes a key that is no more out of the daemon's memory.
    fn forget(&self, id: &KeyId) {
        if let Some(daemon) = self.daemon() {
            daemon.backends.forget(id);
        }
    }

    /// Accepts the wall clock as it is now: neither its step, nor the time since the last record, nor a record of a clock that was ahead
    /// refuses anything any more.
    ///
    /// # Errors
    /// The ledger failed.
    pub fn accept_clock(&self, request: wire::AcceptClockRequest) -> Result<wire::AcceptClockResponse, NotDone> {
        let _turn = self.turn();
        wanted(&request.reason)?;
        let now_ms = now_ms();
        let sequence = self.record(AdminKind::Clock, &request.reason, vec![Effect::ClockAccepted { now_ms }])?;
        if let Some(daemon) = self.daemon() {
            daemon.pipeline.accept_clock();
        }
        Ok(wire::AcceptClockResponse { sequence, now_ms })
    }

    /// Records a change; durable when it returns.
    fn record(&self, kind: AdminKind, reason: &str, effects: Vec<Effect>) -> Result<u64, NotDone> {
        let administration = Administration {
            kind,
            operator: operator(),
            reason: reason.to_owned(),
            now_ms: now_ms(),
            effects,
        };
        match self.ledger()?.administer(administration) {
            Ok(sequence) => Ok(sequence),
            Err(error @ (AdministerError::FloorNotAbove { .. } | AdministerError::KeyKnown(_) | AdministerError::KeyUnknown(_))) => {
                Err(NotDone::no(error.to_string()))
            }
            Err(error @ (AdministerError::Ledger(_) | AdministerError::Foreign { .. })) => Err(error.into()),
        }
    }

    /// Makes durable what is not yet, and lets go. What a daemon has open stays open.
    ///
    /// # Errors
    /// The ledger failed.
    pub(crate) fn close(self) -> Result<(), NotDone> {
        if let Place::Alone(alone) = &self.place
            && let Some(ledger) = alone.ledger.get()
        {
            ledger.close()?;
            mark(&marker_place(&self.config())?, ledger)?;
        }
        Ok(())
    }
}

/// A reason is for the audit log: an empty one tells nobody anything.
fn wanted(reason: &str) -> Result<(), NotDone> {
    if reason.trim().is_empty() {
        return Err(NotDone::cannot("--reason: say why; it stands in the audit log"));
    }
    Ok(())
}

/// The configured key of a name (its highest version) or an id.
///
/// # Errors
/// There is none, or the text is neither.
pub(crate) fn find<'c>(config: &'c Config, text: &str) -> Result<&'c Key, NotDone> {
    if let Ok(id) = text.parse::<KeyId>() {
        return config
            .key(&id)
            .ok_or_else(|| NotDone::no(format!("there is no `[[key]]` {id}; `sigwarden keys list` lists them")));
    }
    let name: KeyName = text.parse()?;
    let versions = config.keys.iter().filter(|key| key.id.name == name);
    versions.max_by_key(|key| key.id.version).ok_or_else(|| {
        NotDone::no(format!(
            "there is no `[[key]]` of the name {name}; `sigwarden keys list` lists them"
        ))
    })
}
