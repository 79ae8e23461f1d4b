//! Recorded and answered: what came of a decision, signature or failure.

use crate::floor::{FloorKey, Position};
use crate::key::KeyId;
use crate::ledger::{Entry, Grant, Ledger, Outcome};
use crate::lifecycle;
use crate::pipeline::Stage;
use crate::proof::{Committed, DecisionId, Product, SharedSecret, Signature, Signed};
use crate::refusal::{Code, Refusal};
use crate::request_id::RequestTag;
use crate::stages::authorize::refuse_state;
use crate::state::State;
use crate::vocabulary::Scheme;
use std::sync::Arc;

/// What an outcome says of its decision, kept while the decision itself is consumed by signing.
pub struct Origin {
    decision_sequence: u64,
    decision: DecisionId,
    request_id: Arc<str>,
    caller: Arc<str>,
    key: KeyId,
    backend: String,
    scheme: Scheme,
    floor: Option<(FloorKey, Position)>,
    remember: Option<RequestTag>,
    now_ms: u64,
}

impl Origin {
    /// Of this decision.
    #[must_use]
    pub fn of(committed: &Committed) -> Self {
        let request = &committed.approved.request;
        let key = request.key();
        // Only a fresh signature is news for the floor.
        let grants = &committed.receipt.grants;
        let fresh = grants.first().is_some_and(Grant::is_fresh);
        let released = |grant: &Grant| matches!(grant, Grant::Released { .. });
        // A retry got the signature over the first one's bytes: that is not remembered as one over its own.
        let sign_bytes = request.decoded().consensus.as_ref().map(|message| &message.sign_bytes);
        let over_its_own = |grant: &Grant| match grant {
            Grant::Sign { .. } | Grant::Released { .. } => true,
            Grant::SignStored { sign_bytes: stored, .. } | Grant::Recorded { sign_bytes: stored, .. } => Some(stored) == sign_bytes,
        };
        let floor = request
            .decoded()
            .consensus
            .as_ref()
            .filter(|_| fresh && request.view.format.family().has_floor())
            .map(|message| {
                let floor = FloorKey {
                    public_key: key.public_key.clone(),
                    chain_id: message.chain_id.clone(),
                    class: message.class,
                };
                (floor, message.position)
            });
        Self {
            decision_sequence: committed.receipt.sequence,
            decision: committed.approved.decision,
            request_id: Arc::clone(request.id()),
            caller: Arc::clone(request.caller.name()),
            key: key.id.clone(),
            backend: key.backend.clone(),
            scheme: key.scheme,
            floor,
            // Signatures that were released by their id are remembered already.
            remember: request
                .tag()
                .filter(|_| !grants.iter().all(released) && grants.iter().all(over_its_own)),
            now_ms: request.now_ms(),
        }
    }
}

/// Lets a signature pass if its key still signs such a message.
///
/// # Errors
/// [`Code::KeyState`], [`Code::KeyGrace`]: the key was stopped after the decision, or its grace began and does not reach so far. The
/// decision stands.
pub fn withhold_if_stopped(signature: Signature, state: &State) -> Result<Signature, Refusal> {
    let request = &signature.committed.approved.request;
    let id = &request.key().id;
    match state.keys.get(id) {
        Some(status) if status.state.signs() => {
            lifecycle::judge_grace(request.key(), status, request.decoded(), request.now_ms())?;
            Ok(signature)
        }
        Some(status) => Err(refuse_state(id, status.state)),
        None => Err(Refusal::new(Code::Internal, format!("{id} is gone from the ledger"))),
    }
}

/// Records the outcome and makes the answer. A shared secret goes past the record, to the caller alone.
///
/// # Errors
/// The refusal that signing ended in, recorded as the decision's outcome.
pub fn outcome(
    signature: Result<Signature, Refusal>,
    origin: Origin,
    ledger: &dyn Ledger,
    stages: &[(Stage, u64)],
) -> Result<(Signed, Option<SharedSecret>), Refusal> {
    let mut shared_secret = None;
    let signed = signature.map(|Signature { committed, product }| {
        let request = &committed.approved.request;
        let signatures = match product {
            Product::Signatures(signatures) => signatures,
            Product::SharedSecret(secret) => {
                shared_secret = Some(secret);
                Vec::new()
            }
        };
        Signed {
            signatures,
            public_key: request.key().public_key.clone(),
            key: request.key().id.clone(),
            scheme: request.key().scheme,
            request_id: Arc::clone(request.id()),
            sequence: committed.receipt.sequence,
            timestamp: committed.receipt.grants.first().and_then(Grant::timestamp),
            replay: committed.receipt.replay,
        }
    });
    ledger.append(Entry::Outcome(Outcome {
        decision_sequence: origin.decision_sequence,
        decision: origin.decision,
        request_id: origin.request_id,
        caller: origin.caller,
        key: origin.key,
        backend: origin.backend,
        scheme: origin.scheme,
        result: signed.as_ref().map(|signed| signed.signatures.clone()).map_err(Clone::clone),
        floor: origin.floor,
        remember: origin.remember,
        stages: stages.to_vec(),
        now_ms: origin.now_ms,
    }));
    signed.map(|signed| (signed, shared_secret))
}
