//! The only place where a key is touched. Signatures are verified against the pinned public key.

use crate::backend::{Backend, BackendFailure};
use crate::proof::{Committed, Product, RawSignature, Signature, Work};
use crate::refusal::{Code, Refusal};
use crate::verify::verify;
use crate::vocabulary::Operation;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Signs or decapsulates what was committed, or releases what was recorded.
///
/// # Errors
/// The backend cannot, or a signature that it returns does not verify. The decision stands.
pub fn sign(committed: Committed, backends: &BTreeMap<String, Arc<dyn Backend>>) -> Result<Signature, Refusal> {
    let product = match committed.approved.request.view.operation {
        Operation::Sign => Product::Signatures(signatures(&committed, backends)?),
        Operation::Decapsulate => {
            committed.work.as_ref().map_err(Clone::clone)?;
            Product::SharedSecret(backend(&committed, backends)?.decapsulate(&committed).map_err(refuse)?)
        }
        Operation::PublicKey => return Err(Refusal::new(Code::Internal, "a public key is read, and nothing is decided for it")),
    };
    Ok(Signature { committed, product })
}

fn backend<'a>(committed: &Committed, backends: &'a BTreeMap<String, Arc<dyn Backend>>) -> Result<&'a Arc<dyn Backend>, Refusal> {
    backends
        .get(&committed.key().backend)
        .ok_or_else(|| Refusal::new(Code::Internal, "the key's backend is not configured"))
}

/// Callers get the code; the detail is the operator's.
fn refuse(failure: BackendFailure) -> Refusal {
    match failure {
        BackendFailure::Unavailable(detail) => {
            Refusal::new(Code::BackendUnavailable, "the key's backend does not answer; the decision stands").with_detail(detail)
        }
        BackendFailure::Failed(detail) => {
            Refusal::new(Code::BackendFailed, "the key's backend could not use the key; the decision stands").with_detail(detail)
        }
        BackendFailure::SignatureInvalid(detail) => {
            let what = "what the key's backend answered is not the pinned key's, and was not released; the decision stands";
            Refusal::new(Code::SignatureInvalid, what).with_detail(detail)
        }
    }
}

fn signatures(committed: &Committed, backends: &BTreeMap<String, Arc<dyn Backend>>) -> Result<Vec<RawSignature>, Refusal> {
    let key = committed.key();
    let all = committed.work.as_ref().map_err(Clone::clone)?;
    let mut fresh = Vec::new();
    if committed.to_sign().next().is_some() {
        fresh = backend(committed, backends)?.sign(committed).map_err(refuse)?;
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
    Ok(signatures)
}
