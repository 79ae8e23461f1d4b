//! Which connections may stay: those of configured clients. Others are closed at once, with a record.

use super::connection::Told;
use super::front::reading;
use sigwarden_core::Pipeline;
use sigwarden_core::caller::{Clients, Peer};
use std::sync::{Arc, Mutex, PoisonError};

pub(super) struct Known {
    pipeline: Arc<Pipeline>,
    clients: Clients,
    told: Mutex<Told>,
}

impl Known {
    pub(super) fn new(pipeline: Arc<Pipeline>, clients: Clients) -> Self {
        Self {
            pipeline,
            clients,
            told: Mutex::default(),
        }
    }

    /// The client's name.
    pub(super) fn client(&self, peer: &Peer) -> Option<Arc<str>> {
        match sigwarden_core::stages::authenticate::authenticate(&self.clients, peer) {
            Ok(caller) => Some(Arc::clone(caller.name())),
            Err(refusal) => {
                let mut nothing = reading(String::new());
                nothing.operation = String::new();
                let refusal = self.pipeline.refuse(peer.clone(), &nothing, refusal);
                let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(before) = told.count() {
                    tracing::warn!(%peer, before, %refusal, "closed a connection; `before` more since the last line");
                }
                None
            }
        }
    }
}
