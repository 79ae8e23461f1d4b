//! The only place where a key is touched. What the backend returns is verified against the pinned public key.

use crate::backend::{Backend, BackendFailure};
use crate::proof::{Committed, RawSignature, Signature, Work};
use crate::refusal::{Code, Refusal};
use crate::verify::verify;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Signs what was committed, or releases what was recorded.
///
/// # Errors
/// The backend cannot sign, or what it returns does not verify. The decision stands.
pub fn sign(committed: Committed, backends: &BTreeMap<String, Arc<dyn Backend>>) -> Result<Signature, Refusal> {
    let key = committed.key();
    let all = committed.work.as_ref().map_err(Clone::clone)?;
    let mut fresh = Vec::new();
    if committed.to_sign().next().is_some() {
        let backend = backends
            .get(&key.backend)
            .ok_or_else(|| Refusal::new(Code::Internal, "the key's backend is not configured"))?;
        fresh = backend.sign(&committed).map_err(|failure| {
            // Callers get the code; the detail is the operator's.
            match failure {
                BackendFailure::Unavailable(detail) => {
                    Refusal::new(Code::BackendUnavailable, "the key's backend does not answer; the decision stands").with_detail(detail)
                }
                BackendFailure::Failed(detail) => {
                    Refusal::new(Code::BackendFailed, "the key's backend could not sign; the decision stands").with_detail(detail)
                }
            }
        })?;
    }
    if fresh.len() != committed.to_sign().count() {
        return Err(Refusal::new(
            Code::BackendFailed,
            "the backend returned another number of signatures than it was asked for",
        ));
    }
    let mut fresh = fresh.into_iter();
    let mut signatures = Vec::with_capacity(2);
    for work in all {
        let (input, signature) = match work {
            Work::Sign(input) => (
                input,
                fresh.next().unwrap_or(RawSignature {
                    bytes: Vec::new(),
                    recovery_id: None,
                }),
            ),
            Work::Recorded(input, signature) => (input, signature.clone()),
        };
        verify(key.scheme, &key.public_key, input, &signature).map_err(|invalid| {
            Refusal::new(
                Code::SignatureInvalid,
                format!("a signature of {} was not released: {invalid}", key.id),
            )
        })?;
        signatures.push(signature);
    }
    Ok(Signature { committed, signatures })
}
