//! Floors, state and record in one durable write, before a key is touched.

use crate::fact::{Decode, SigningInput};
use crate::floor::FloorRefused;
use crate::format::Format;
use crate::ledger::{Commitment, Conflict, Grant, Ledger, LedgerFailure, Receipt};
use crate::proof::{Approved, Committed, RawSignature, Work};
use crate::refusal::{Code, Refusal};

/// Commits one; see [`commit_all`].
///
/// # Errors
/// A floor refuses, or the ledger cannot.
pub fn commit(approved: Approved, ledger: &dyn Ledger, decode: Decode) -> Result<Option<Committed>, Refusal> {
    let unknown = || Refusal::new(Code::Internal, "the ledger did not answer");
    commit_all(vec![approved], ledger, decode).pop().unwrap_or_else(|| Err(unknown()))
}

/// Commits all with one durable write; one answer each, in order. `None`: what the policies saw has changed, and nothing was committed;
/// evaluate again. An error: a floor refuses, or the ledger cannot.
pub fn commit_all(approved: Vec<Approved>, ledger: &dyn Ledger, decode: Decode) -> Vec<Result<Option<Committed>, Refusal>> {
    let commitments = ledger.commit(&approved);
    // A ledger that answers too little does not say what became of the rest.
    let commitments = commitments.into_iter().chain(std::iter::repeat(Commitment::Unknown));
    let each = approved.into_iter().zip(commitments);
    each.map(|(approved, commitment)| committed(approved, commitment, ledger, decode))
        .collect()
}

fn committed(approved: Approved, commitment: Commitment, ledger: &dyn Ledger, decode: Decode) -> Result<Option<Committed>, Refusal> {
    let receipt = match commitment {
        Commitment::Receipt(receipt) => receipt,
        Commitment::Conflict(Conflict::Stale(_)) => return Ok(None),
        Commitment::Conflict(Conflict::Floor(refused)) => return Err(refuse_floor(&refused)),
        Commitment::Conflict(Conflict::RequestId(reused)) => return Err(Refusal::new(Code::RequestIdReused, reused.to_string())),
        Commitment::Failed(failure) => return Err(refuse_failure(&failure)),
        Commitment::Unknown => ledger.look_up(approved.decision).ok_or_else(|| {
            Refusal::new(
                Code::LedgerUnknown,
                "whether the decision became durable is not known; look the request id up in the audit log before asking again",
            )
        })?,
    };
    let work = work(&approved, &receipt, decode);
    Ok(Some(Committed { approved, receipt, work }))
}

fn refuse_floor(refused: &FloorRefused) -> Refusal {
    let code = match refused {
        FloorRefused::Uninitialised { .. } => Code::FloorUninitialised,
        FloorRefused::Conflict { .. } => Code::FloorConflict,
        FloorRefused::Regression { .. } => Code::FloorRegression,
    };
    Refusal::new(code, refused.to_string())
}

fn refuse_failure(failure: &LedgerFailure) -> Refusal {
    let code = match failure {
        // The reason is for the log, not for callers: it may name files.
        LedgerFailure::Poisoned(_) => {
            return Refusal::new(
                Code::LedgerFailed,
                "the ledger failed; the daemon refuses everything until its operator restarts it",
            );
        }
        LedgerFailure::Full(_) => Code::LedgerFull,
        LedgerFailure::RecordTooLarge(_) => Code::RecordTooLarge,
    };
    Refusal::new(code, failure.to_string())
}

/// Turns grants into inputs: stored sign bytes are decoded again, so that what is signed is always what a decoder made of a payload.
fn work(approved: &Approved, receipt: &Receipt, decode: Decode) -> Result<Vec<Work>, Refusal> {
    let decoded = approved.request.decoded();
    if receipt.grants.len() != decoded.inputs.iter().count() {
        return Err(Refusal::new(
            Code::Internal,
            "the ledger's receipt has not one grant for each signing input",
        ));
    }
    receipt
        .grants
        .iter()
        .map(|grant| match grant {
            Grant::Sign { input, .. } => Ok(Work::Sign(input.clone())),
            Grant::SignStored { sign_bytes, .. } => Ok(Work::Sign(stored_input(approved, sign_bytes, decode)?)),
            Grant::Released { input, signature, .. } => Ok(Work::Recorded(input.clone(), signature.clone())),
            Grant::Recorded { signature, sign_bytes, .. } => {
                let signature = RawSignature {
                    bytes: signature.clone(),
                    recovery_id: None,
                };
                Ok(Work::Recorded(stored_input(approved, sign_bytes, decode)?, signature))
            }
        })
        .collect()
}

fn stored_input(approved: &Approved, sign_bytes: &[u8], decode: Decode) -> Result<SigningInput, Refusal> {
    let internal = || {
        Refusal::new(
            Code::Internal,
            "the sign bytes that the floor keeps do not decode to the message that they are kept for",
        )
    };
    let format = match approved.request.view.format {
        // A floor keeps the precommit's bytes alone.
        Format::CometBftVoteExtension => Format::CometBftVote,
        Format::CometBftVote => Format::CometBftVote,
        Format::CometBftProposal => Format::CometBftProposal,
        same @ (Format::HotStuffProposal | Format::HotStuffVote | Format::HotStuffTimeout) => same,
        // Nothing else has a floor.
        Format::RawMessageSha256
        | Format::RawMessageKeccak256
        | Format::RawMessageNone
        | Format::RawDigest
        | Format::EvmLegacy
        | Format::EvmEip2930
        | Format::EvmEip1559
        | Format::EvmEip4844
        | Format::EvmEip7702
        | Format::EvmEip191
        | Format::EvmEip712
        | Format::CometBftRawBytes
        | Format::TaggedMessage
        | Format::MlKem768Ciphertext => return Err(internal()),
    };
    let stored = decode(format, approved.request.key().scheme, sign_bytes).map_err(|_| internal())?;
    let same = |message: &crate::fact::ConsensusMessage| Some((message.identity, message.position, message.chain_id.clone()));
    let asked = approved.request.decoded().consensus.as_ref().and_then(same);
    if stored.consensus.as_ref().and_then(same) != asked || asked.is_none() {
        return Err(internal());
    }
    Ok(stored.inputs.first)
}
