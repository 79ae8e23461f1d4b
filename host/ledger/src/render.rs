//! What the ledger is told, as the bodies of lines. Done outside the ledger's lock.

use crate::budget::{Counted, Who};
use crate::record::{self, Approval, Consensus, Decision, Denial, Hashed, LINE_MAX, Signature};
use serde::Serialize;
use sigwarden_core::caller::Peer;
use sigwarden_core::ledger::{LedgerFailure, Outcome, Refused, Shadowed};
use sigwarden_core::policy::Verdict;
use sigwarden_core::proof::Approved;
use sigwarden_core::state::Effect;
use std::borrow::Cow;

/// What a line has beside its body and its effects: fixed text, three integers, a hash.
const HEAD_MAX: usize = 512;

/// The body of a decision or replay.
pub(crate) fn decision(approved: &Approved) -> Result<Vec<u8>, LedgerFailure> {
    let request = approved.request();
    let (key, view, decoded) = (request.key(), request.view(), request.decoded());
    let approvals = approved.reports().iter().map(|report| Approval {
        instance: Cow::Borrowed(&report.instance),
        module: Cow::Borrowed(&report.module_digest),
        config: Cow::Borrowed(&report.config_digest),
        fuel: report.fuel,
        micros: report.micros,
        note: match &report.verdict {
            Verdict::Allow(note) => note.as_deref().map(Cow::Borrowed),
            // Core approves nothing that was denied.
            Verdict::Deny(_) => None,
        },
    });
    let consensus = decoded.consensus.as_ref().map(|message| Consensus {
        chain_id: Cow::Borrowed(&message.chain_id),
        class: message.class,
        position: message.position,
    });
    render(&Decision {
        decision: Cow::Owned(approved.decision().to_string()),
        request: Cow::Borrowed(request.id()),
        caller: Cow::Borrowed(request.caller().name()),
        key: Cow::Owned(key.id.to_string()),
        operation: view.operation,
        format: view.format,
        scheme: key.scheme,
        backend: Cow::Borrowed(&key.backend),
        payload: Hashed::of(&view.payload),
        inputs: decoded.inputs.iter().map(|input| Hashed::of(input.as_bytes())).collect(),
        consensus,
        engine: Cow::Borrowed(approved.engine_hash()),
        approvals: approvals.collect(),
    })
}

/// The body of an outcome, and what it does to the state.
pub(crate) fn outcome(outcome: &Outcome) -> Result<(Vec<Effect>, Vec<u8>), LedgerFailure> {
    let effects = outcome.effects();
    let (mut signatures, mut code, mut message) = (Vec::new(), None, None);
    let full;
    match &outcome.result {
        Ok(made) => {
            signatures.extend(made.iter().map(|signature| Signature {
                bytes: signature.bytes.clone(),
                recovery_id: signature.recovery_id,
            }));
        }
        Err(refusal) => {
            code = Some(refusal.code());
            // As long as a helpful sentence gets.
            full = refusal.full_message();
            message = Some(cut(&full, 1024));
        }
    }
    let body = render(&record::Outcome {
        decision_sequence: outcome.decision_sequence,
        decision: Cow::Owned(outcome.decision.to_string()),
        request: Cow::Borrowed(&outcome.request_id),
        caller: Cow::Borrowed(&outcome.caller),
        key: Cow::Owned(outcome.key.to_string()),
        scheme: outcome.scheme,
        backend: Cow::Borrowed(&outcome.backend),
        signatures,
        code,
        message,
        micros: Cow::Borrowed(&outcome.stages),
    })?;
    Ok((effects, body))
}

/// The body of a refusal. Its texts may be the caller's or a policy's: they are cut until the line is short enough.
pub(crate) fn refusal(refused: &Refused) -> Result<Vec<u8>, LedgerFailure> {
    // Characters of the message, denials, characters of each of their texts. The last fits whatever escaping does to it.
    const CUTS: [(usize, usize, usize); 3] = [(4096, 32, 512), (1024, 8, 128), (128, 1, 64)];
    let mut body = Vec::new();
    for (message, count, text) in CUTS {
        let denials = refused.refusal.denials.iter().take(count).map(|denial| Denial {
            instance: cut(&denial.instance, text),
            code: cut(&denial.code, text),
            message: cut(&denial.message, text),
            retry_at_ms: denial.retry_at_ms,
        });
        body = render(&record::Refusal {
            code: match refused.refusal.code() {
                Cow::Borrowed(code) => cut(code, text),
                Cow::Owned(code) => Cow::Owned(cut(&code, text).into_owned()),
            },
            message: cut(&refused.refusal.message, message),
            denials: denials.collect(),
            stage: refused.stage,
            request: refused.request_id.as_deref().map(Cow::Borrowed),
            caller: refused.caller.as_deref().map(Cow::Borrowed),
            uid: uid_of(&refused.peer),
            peer: match &refused.peer {
                Peer::User { .. } => None,
                other @ (Peer::Certificate(_) | Peer::Assigned(_)) => Some(Cow::Owned(cut(&other.to_string(), text).into_owned())),
            },
            operation: cut(&refused.operation, text),
            key: cut(&refused.key, text),
            format: cut(&refused.format, text),
            micros: Cow::Borrowed(&refused.stages),
        })?;
        if body.len() <= LINE_MAX - HEAD_MAX {
            break;
        }
    }
    Ok(body)
}

/// The body of a shadow's verdict. Its texts are cut so that the line fits whatever escaping does to them.
pub(crate) fn shadow(shadowed: &Shadowed) -> Result<Vec<u8>, LedgerFailure> {
    /// Denials, and codes of the policies in force.
    const COUNT: usize = 8;
    /// Characters of each of their texts.
    const TEXT: usize = 128;
    let (mut denials, mut code, mut message) = (Vec::new(), None, None);
    match &shadowed.verdict {
        Ok(Verdict::Allow(_)) => {}
        Ok(Verdict::Deny(list)) => denials.extend(list.iter().take(COUNT).map(|denial| Denial {
            instance: Cow::Borrowed(&shadowed.instance),
            code: cut(&denial.code, TEXT),
            message: cut(&denial.message, TEXT),
            retry_at_ms: denial.retry_at_ms,
        })),
        Err(refusal) => {
            code = Some(refusal.code());
            message = Some(cut(&refusal.message, TEXT));
        }
    }
    render(&record::Shadow {
        instance: Cow::Borrowed(&shadowed.instance),
        module: Cow::Borrowed(&shadowed.module_digest),
        config: Cow::Borrowed(&shadowed.config_digest),
        request: Cow::Borrowed(&shadowed.request_id),
        caller: Cow::Borrowed(&shadowed.caller),
        key: Cow::Owned(shadowed.key.to_string()),
        operation: shadowed.operation,
        format: shadowed.format,
        live: shadowed.live.iter().take(COUNT).map(|code| cut(code, TEXT)).collect(),
        denials,
        code,
        message,
        fuel: shadowed.fuel,
        micros: shadowed.micros,
    })
}

/// The body of a count of refusals.
pub(crate) fn counted(counted: &Counted) -> Result<Vec<u8>, LedgerFailure> {
    let (caller, uid) = match &counted.who {
        Who::Caller(name) => (Some(Cow::Borrowed(&**name)), None),
        Who::Uid(uid) => (None, Some(*uid)),
        Who::Others => (None, None),
    };
    render(&record::Refusals {
        caller,
        uid,
        count: counted.count,
    })
}

/// The user id of a peer that has one.
pub(crate) fn uid_of(peer: &Peer) -> Option<u32> {
    match peer {
        Peer::User { uid, .. } => Some(*uid),
        Peer::Certificate(_) | Peer::Assigned(_) => None,
    }
}

/// A body as JSON.
pub(crate) fn render(body: &impl Serialize) -> Result<Vec<u8>, LedgerFailure> {
    // A decision with three policies has about 1.2 KiB.
    let mut out = Vec::with_capacity(2048);
    serde_json::to_writer(&mut out, body).map_err(|error| LedgerFailure::Poisoned(format!("a record cannot be rendered: {error}")))?;
    Ok(out)
}

fn cut(text: &str, characters: usize) -> Cow<'_, str> {
    let end = text.char_indices().nth(characters).map(|(at, _)| at);
    Cow::Borrowed(end.and_then(|end| text.get(..end)).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use sigwarden_core::pipeline::Stage;
    use sigwarden_core::{Code, Refusal};

    #[test]
    fn a_refusal_fits_a_line_whatever_its_texts_are() {
        for text in ["\u{1}".repeat(20_000), "\u{10FFFF}".repeat(20_000), "plain".to_owned()] {
            let refused = Refused {
                request_id: Some("r".repeat(64).into()),
                caller: Some("c".into()),
                peer: Peer::Certificate([text.clone().into_boxed_str()].into()),
                operation: text.clone(),
                key: text.clone(),
                format: text.clone(),
                stage: Stage::Evaluate,
                refusal: Refusal::new(Code::SandboxTrap, text.clone()),
                stages: vec![(Stage::Authenticate, 1)],
                now_ms: 1,
            };
            let body = refusal(&refused).unwrap();
            assert!(body.len() <= LINE_MAX - HEAD_MAX, "{}", body.len());
            let read: record::Refusal<'_> = serde_json::from_slice(&body).unwrap();
            assert!(text.starts_with(&*read.message) && !read.message.is_empty());
            assert_eq!(read.code, "sandbox/trap");
        }
    }
}
