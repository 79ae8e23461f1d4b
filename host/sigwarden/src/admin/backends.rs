//! What backends and tokens are like, and their PINs.

use super::{Administrator, NotDone, wanted};
use crate::config::BackendKind;
use crate::deployment::tokens::refused_pin;
use crate::proto::admin as wire;
use sigwarden_ledger::AdminKind;
use sigwarden_pkcs11::{Pkcs11Backend, TokenStatus};

impl Administrator {
    /// What each backend can do and, if it has tokens, how they are. Without a daemon tokens are looked at now.
    ///
    /// # Errors
    /// The backends do not open.
    pub fn backends(&self, _request: wire::BackendsRequest) -> Result<wire::BackendsResponse, NotDone> {
        let opened;
        let open = match self.daemon() {
            Some(daemon) => &daemon.backends,
            None => {
                opened = self.tokens_alone(None)?;
                &opened
            }
        };
        let mut backends: Vec<wire::BackendStatus> = open
            .abilities()
            .into_iter()
            .map(|able| wire::BackendStatus {
                name: able.name,
                kind: able.kind,
                schemes: able.schemes,
                generates: able.generates,
                derives: able.derives,
                exports: able.exports,
                rotates: able.rotates,
                ..wire::BackendStatus::default()
            })
            .collect();
        for (name, backend) in open.pkcs11() {
            if let Some(status) = backends.iter_mut().find(|status| status.name == *name) {
                describe(status, backend);
            }
        }
        Ok(wire::BackendsResponse { backends })
    }

    /// Lets a backend use its PIN once more: what an operator does who has mended it. A PIN from a file is read anew.
    ///
    /// # Errors
    /// There is no such backend.
    pub fn retry_login(&self, request: wire::RetryLoginRequest) -> Result<wire::BackendsResponse, NotDone> {
        wanted(&request.reason)?;
        let missing = || NotDone::no(format!("there is no `pkcs11` backend `{}`", request.backend));
        let reason = format!("backend `{}`: the PIN may be used again: {}", request.backend, request.reason);
        // Logging in may wait for a token: not in the turn of others.
        let record = || {
            let _turn = self.turn();
            self.record(AdminKind::Maintenance, &reason, Vec::new())
        };
        match self.daemon() {
            Some(daemon) => {
                let found = daemon.backends.pkcs11().find(|(name, _)| **name == request.backend);
                let (_, backend) = found.ok_or_else(missing)?;
                record()?;
                backend.retry_login();
            }
            None => {
                let config = self.config();
                let found = config.backends.iter().find(|backend| backend.name == request.backend);
                let Some(BackendKind::Pkcs11(pkcs11)) = found.map(|backend| &backend.kind) else {
                    return Err(missing());
                };
                record()?;
                for token in &pkcs11.tokens {
                    refused_pin(&config, &request.backend, token).clear()?;
                }
                self.tokens_alone(Some(&request.backend))?;
            }
        }
        self.backends(wire::BackendsRequest {})
    }
}

fn describe(status: &mut wire::BackendStatus, backend: &Pkcs11Backend) {
    let counters = backend.counters();
    status.sign_success = Some(counters.sign_success);
    let errors = counters.sign_errors.iter().filter(|(_, count)| **count > 0);
    status.sign_errors = errors.map(|(kind, count)| (kind.name().to_owned(), *count)).collect();
    status.last_latency_micros = counters.last_latency_micros;
    status.failovers = counters.failovers;
    status.tokens = backend.tokens().iter().map(token).collect();
}

fn token(token: &TokenStatus) -> wire::TokenStatus {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let mut status = wire::TokenStatus {
        label: token.label.clone(),
        state: token.state.name().to_owned(),
        detail: token.state.to_string(),
        library: token.library.display().to_string(),
        sessions_in_use: count(token.sessions_in_use),
        sessions: count(token.sessions),
        ..wire::TokenStatus::default()
    };
    if let Some(seen) = &token.seen {
        status.slot = seen.slot;
        status.manufacturer = seen.manufacturer.clone();
        status.model = seen.model.clone();
        status.serial = seen.serial.clone();
        status.library_description = seen.library_description.clone();
        status.library_version = seen.library_version.clone();
    }
    status
}
