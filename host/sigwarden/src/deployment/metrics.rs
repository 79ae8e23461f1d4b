//! What a scrape is told of the deployment beside what is counted: facts as they are now, and whether it is ready.

use super::{Backends, OpenError};
use crate::config::Config;
use crate::server::{Pages, Ready};
use sigwarden_core::Ledger;
use sigwarden_ledger::{EmbeddedLedger, Room};
use sigwarden_pkcs11::TokenState;
use sigwarden_policy::Loaded;
use sigwarden_telemetry::Metrics;
use sigwarden_telemetry::http::{Readiness, Trouble};
use sigwarden_telemetry::metrics::{
    BackendFact, Build, CertificateFact, Facts, HsmFact, KeyFact, LedgerFact, PeerKind, PolicyFact, QueueFact, Room as RoomFact, TokenFact,
};
use sigwarden_telemetry::trace::Traces;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// What is told of.
pub(super) struct Told {
    pub(super) config: Config,
    pub(super) backends: Arc<Backends>,
    pub(super) ledger: Arc<EmbeddedLedger>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) listeners: Vec<Ready>,
    /// The policies of the start or of the last reload.
    pub(super) policies: Arc<RwLock<Vec<PolicyFact>>>,
    /// Requests that wait for a thread.
    pub(super) queued: Arc<AtomicU64>,
    pub(super) stopping: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Policies as they are told of.
pub(crate) fn policies(loaded: &[Loaded], config: &Config) -> Vec<PolicyFact> {
    let is_shadow = |name: &str| config.policies.iter().any(|policy| policy.name == name && policy.shadow);
    let facts = loaded.iter().map(|loaded| PolicyFact {
        instance: loaded.instance.clone(),
        version: loaded.manifest.version.clone(),
        module_digest: loaded.module_digest.clone(),
        config_digest: loaded.config_digest.clone(),
        shadow: is_shadow(&loaded.instance),
    });
    facts.collect()
}

/// The pages.
pub(super) fn pages(told: Told) -> Pages {
    let told = Arc::new(told);
    let of_page = Arc::clone(&told);
    Pages {
        metrics: Arc::new(move || of_page.metrics.page(of_page.facts(), &of_page.readiness())),
        readiness: Arc::new(move || told.readiness()),
    }
}

impl Told {
    fn readiness(&self) -> Readiness {
        let health = self.ledger.health();
        let ledger = match health.room {
            _ if (self.stopping)() => Some(Trouble::Stopping),
            _ if health.poisoned.is_some() => Some(Trouble::LedgerFailed),
            Room::Full => Some(Trouble::DiskFull),
            Room::ConsensusOnly => Some(Trouble::DiskReserved),
            Room::Short | Room::Plenty => None,
        };
        let policies = self.policies.read().unwrap_or_else(PoisonError::into_inner).is_empty();
        let readiness = Readiness::default()
            .with("ledger", true, ledger)
            .with("policies", true, policies.then_some(Trouble::NoPolicies));
        self.backends().into_iter().fold(readiness, |readiness, backend| {
            // A key whose token is away refuses by itself; the others sign.
            let trouble = (!backend.up).then_some(Trouble::Unanswered);
            readiness.with(format!("backend/{}", backend.name), false, trouble)
        })
    }

    fn facts(&self) -> Facts {
        self.tell_of_remotes();
        let state = self.ledger.snapshot();
        let health = self.ledger.health();
        let now_ms = super::now_ms();
        let keys = self.config.keys.iter().map(|key| {
            let status = state.keys.get(&key.id).filter(|status| status.state.signs());
            let rule = self.config.rotation(key);
            KeyFact {
                id: key.id.clone(),
                roles: key.roles.iter().copied().collect(),
                scheme: key.scheme,
                backend: key.backend.clone(),
                due: status.zip(rule).is_some_and(|(status, rule)| rule.due(status, now_ms).is_some()),
            }
        });
        Facts {
            now_ms,
            keys: keys.collect(),
            ledger: LedgerFact {
                last_sequence: health.last_sequence,
                durable_sequence: health.durable_sequence,
                writes: health.writes,
                refusals_dropped: health.refusals_dropped,
                room: Some(match health.room {
                    Room::Full => RoomFact::Full,
                    Room::ConsensusOnly => RoomFact::ConsensusOnly,
                    Room::Short => RoomFact::Short,
                    Room::Plenty => RoomFact::Plenty,
                }),
                free_bytes: None,
            },
            state,
            policies: self.policies.read().unwrap_or_else(PoisonError::into_inner).clone(),
            backends: self.backends(),
            hsms: self.hsms(),
            certificates: self.certificates(),
            queue: QueueFact {
                waiting: self.queued.load(Ordering::Relaxed),
                limit: u64::try_from(self.config.limits.queue).unwrap_or(u64::MAX),
            },
        }
    }

    fn backends(&self) -> Vec<BackendFact> {
        let backends = self.config.backends.iter().map(|backend| BackendFact {
            name: backend.name.clone(),
            kind: backend.kind.name(),
            up: self.backends.is_up(&backend.name),
        });
        backends.collect()
    }

    /// Remotes keep their own counts.
    fn tell_of_remotes(&self) {
        for (backend, remote) in self.backends.remotes() {
            for status in remote.status() {
                let peer = self.metrics.peer(PeerKind::Remote, &format!("{backend}/{}", status.address));
                peer.is(status.up, status.counts.came_up, status.counts.went_down);
            }
        }
    }

    fn hsms(&self) -> Vec<HsmFact> {
        let hsms = self.backends.pkcs11().map(|(name, backend)| {
            let counters = backend.counters();
            HsmFact {
                backend: name.clone(),
                sign_success: counters.sign_success,
                sign_errors: counters.sign_errors.into_iter().map(|(kind, count)| (kind.name(), count)).collect(),
                last_latency_micros: counters.last_latency_micros,
                failovers: counters.failovers,
                reconnects: counters.reconnects,
                tokens: backend
                    .tokens()
                    .into_iter()
                    .map(|token| TokenFact {
                        ready: token.state == TokenState::Ready,
                        state: token.state.name(),
                        sessions_in_use: u64::try_from(token.sessions_in_use).unwrap_or(u64::MAX),
                        label: token.label,
                    })
                    .collect(),
            }
        });
        hsms.collect()
    }

    fn certificates(&self) -> Vec<CertificateFact> {
        let listeners = self
            .listeners
            .iter()
            .filter_map(|ready| Some((&ready.listener.name, ready.tls.as_ref()?)));
        let mut facts = Vec::new();
        for (name, tls) in listeners {
            let installed = tls.installed();
            facts.push(CertificateFact {
                name: format!("{name}/own"),
                expires: installed.certificate.not_after,
            });
            // The one that ends first is the one to act on.
            let first = installed.authorities.iter().map(|authority| authority.not_after).min();
            facts.extend(first.map(|expires| CertificateFact {
                name: format!("{name}/client-ca"),
                expires,
            }));
        }
        for (backend, remote) in self.backends.remotes() {
            let installed = remote.certificates().into_iter();
            facts.extend(installed.map(|(address, installed)| CertificateFact {
                name: format!("{backend}/{address}"),
                expires: installed.certificate.not_after,
            }));
        }
        facts
    }
}

/// What is told of this build.
pub(super) fn build(config: &Config) -> Build {
    Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: String::new(),
        network: config.network,
    }
}

/// Tells what counts requests which keys and policies there are, and starts what makes traces of them.
pub(super) fn watch_requests(
    config: &Config,
    ledger: &EmbeddedLedger,
    loaded: &[Loaded],
    metrics: &Arc<Metrics>,
) -> Result<Option<Arc<Traces>>, OpenError> {
    let names: Vec<String> = config
        .keys
        .iter()
        .flat_map(|key| [key.id.name.to_string(), key.id.to_string()])
        .collect();
    metrics.keys(names.iter().map(String::as_str));
    for loaded in loaded {
        metrics.policy(&loaded.instance, loaded.manifest.denial_codes.iter().map(String::as_str));
    }
    let traces = match &config.traces_endpoint {
        Some(endpoint) => Some(Arc::new(Traces::start(
            endpoint,
            &build(config),
            ledger.deployment_id(),
            Arc::clone(metrics),
        )?)),
        None => None,
    };
    Ok(traces)
}
