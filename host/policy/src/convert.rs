//! The one border between the contract's types and core's. Requests are borrowed across it, never copied.

use crate::failure::failure;
use crate::text;
use crate::wit::sigwarden::policy::{limits, log, types, watermarks};
use sigwarden_core::fact::{FactValue, Scalar, SigningInput};
use sigwarden_core::limit::Take;
use sigwarden_core::policy::{Denial, EvaluationFailure, FailureKind, LogLevel, RequestView, Verdict};
use sigwarden_core::staging::StagingFault;
use sigwarden_core::vocabulary::{KeyState, Network, Operation, Role, Scheme};
use sigwarden_core::watermark::{Advance, Order};

/// Denials of one verdict at most: each goes into the record, whose line is bounded.
const DENIALS_MAX: usize = 16;
/// Bytes of a denial code at most.
pub(crate) const CODE_MAX: usize = 64;
/// Bytes of a denial's message at most; a longer one is cut.
const MESSAGE_MAX: usize = 512;
/// Bytes of an allowing note at most; a longer one is cut.
const NOTE_MAX: usize = 256;

/// What a fact costs besides its name and bytes: its record in the guest's memory.
const FACT_BYTES: usize = 56;

/// Hands `call` the request as the contract has it, and how many bytes of it cross the border.
pub(crate) fn with_request<R>(
    view: &RequestView,
    call: impl FnOnce(types::Request<'_>, usize) -> Result<R, EvaluationFailure>,
) -> Result<R, EvaluationFailure> {
    let roles: Vec<types::Role> = view.key.roles.iter().copied().map(role).collect();
    let inputs: Vec<types::SigningInput<'_>> = view.decoded.inputs.iter().map(signing_input).collect();
    let lists: Vec<Vec<types::Scalar<'_>>> = view
        .decoded
        .facts
        .iter()
        .filter_map(|fact| match &fact.value {
            FactValue::Many(scalars) => Some(scalars.iter().map(scalar).collect()),
            FactValue::One(_) => None,
        })
        .collect();
    let mut next_list = lists.iter();
    let facts: Vec<types::Fact<'_>> = view
        .decoded
        .facts
        .iter()
        .map(|fact| types::Fact {
            name: fact.name,
            value: match &fact.value {
                FactValue::One(one) => types::Value::One(scalar(one)),
                FactValue::Many(_) => types::Value::Many(next_list.next().map_or(&[], Vec::as_slice)),
            },
        })
        .collect();
    let request = types::Request {
        id: &view.id,
        operation: operation(view.operation)?,
        caller: &view.caller,
        network: network(view.network),
        key: types::Key {
            name: view.key.id.name.as_str(),
            version: view.key.id.version,
            roles: &roles,
            scheme: scheme(view.key.scheme),
            public_key: &view.key.public_key,
            created: view.key_status.created_ms,
            uses: view.key_status.uses,
            state: key_state(view.key_status.state),
        },
        format: view.format.name(),
        format_version: view.format.version(),
        payload: &view.payload,
        signing_inputs: &inputs,
        facts: &facts,
        now: view.now_ms,
    };
    let bytes = bytes(&request);
    call(request, bytes)
}

fn bytes(request: &types::Request<'_>) -> usize {
    let scalar = |scalar: &types::Scalar<'_>| match scalar {
        types::Scalar::Text(text) => text.len(),
        types::Scalar::Bytes(bytes) => bytes.len(),
        types::Scalar::Boolean(_) | types::Scalar::Unsigned(_) | types::Scalar::Unsigned256(_) => 0,
    };
    let fact = |fact: &types::Fact<'_>| {
        FACT_BYTES
            + fact.name.len()
            + match &fact.value {
                types::Value::One(one) => scalar(one),
                types::Value::Many(many) => many.iter().map(|one| FACT_BYTES + scalar(one)).sum(),
            }
    };
    let input = |input: &types::SigningInput<'_>| match input {
        types::SigningInput::Digest(bytes) | types::SigningInput::Message(bytes) => bytes.len(),
    };
    let names = request.id.len() + request.caller.len() + request.key.name.len() + request.key.public_key.len() + request.format.len();
    names + request.payload.len() + request.signing_inputs.iter().map(input).sum::<usize>() + request.facts.iter().map(fact).sum::<usize>()
}

/// Judges a verdict's form. `codes` are the manifest's, sorted.
pub(crate) fn verdict(verdict: types::Verdict, codes: &[String]) -> Result<Verdict, EvaluationFailure> {
    match verdict {
        types::Verdict::Allow(note) => Ok(Verdict::Allow(note.map(|note| text::escape(&note, NOTE_MAX)))),
        types::Verdict::Deny(denials) => {
            if denials.is_empty() {
                return Err(malformed("it denied and gave no reason; a denial has a code"));
            }
            if denials.len() > DENIALS_MAX {
                return Err(malformed(&format!("it gave {} denials, {DENIALS_MAX} are the most", denials.len())));
            }
            let denials = denials.into_iter().map(|one| denial(one, codes)).collect::<Result<_, _>>()?;
            Ok(Verdict::Deny(denials))
        }
    }
}

/// A denial as code, message and time to retry at.
type Told = (String, String, Option<u64>);

/// For the fuzzer: judges an answer that was made elsewhere, either a note or denials as code, message and time to retry at.
///
/// # Errors
/// It is malformed.
pub fn judge_answer(answer: Result<Option<String>, Vec<Told>>, codes: &[String]) -> Result<Verdict, EvaluationFailure> {
    let denial = |(code, message, retry_at)| types::Denial { code, message, retry_at };
    let answered = match answer {
        Ok(note) => types::Verdict::Allow(note),
        Err(denials) => types::Verdict::Deny(denials.into_iter().map(denial).collect()),
    };
    verdict(answered, codes)
}

fn denial(denial: types::Denial, codes: &[String]) -> Result<Denial, EvaluationFailure> {
    if !is_code(&denial.code) {
        let code = text::escape(&denial.code, CODE_MAX);
        return Err(malformed(&format!(
            "`{code}` is no denial code: 1 to {CODE_MAX} bytes of `a-z`, `0-9`, `-`, `/`"
        )));
    }
    if codes.binary_search(&denial.code).is_err() {
        return Err(malformed(&format!("its manifest does not list the denial code `{}`", denial.code)));
    }
    Ok(Denial {
        code: denial.code,
        message: text::escape(&denial.message, MESSAGE_MAX),
        retry_at_ms: denial.retry_at,
    })
}

/// Whether a text has a denial code's form.
pub(crate) fn is_code(code: &str) -> bool {
    (1..=CODE_MAX).contains(&code.len()) && code.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'/'))
}

fn malformed(message: &str) -> EvaluationFailure {
    failure(FailureKind::Malformed, message)
}

/// The answer to `limits.take`.
pub(crate) fn taken(answer: Take) -> Result<limits::Remaining, limits::Exceeded> {
    match answer {
        Take::Taken(_, remaining) => Ok(limits::Remaining { remaining }),
        Take::Exceeded { remaining, retry_at_ms } => Err(limits::Exceeded {
            remaining,
            retry_at: retry_at_ms,
        }),
    }
}

/// The answer to `watermarks.advance`.
pub(crate) fn advanced(answer: Advance) -> Result<Result<watermarks::Advanced, watermarks::Refused>, StagingFault> {
    match answer {
        Advance::Moved => Ok(Ok(watermarks::Advanced::Moved)),
        Advance::Same => Ok(Ok(watermarks::Advanced::Same)),
        Advance::Regression(stands) => Ok(Err(watermarks::Refused::Regression(stands))),
        Advance::Conflict => Ok(Err(watermarks::Refused::Conflict)),
        Advance::Length => Err(StagingFault::Position),
    }
}

pub(crate) fn order(order: watermarks::Order) -> Order {
    match order {
        watermarks::Order::Lexicographic => Order::Lexicographic,
        watermarks::Order::ComponentWise => Order::ComponentWise,
    }
}

pub(crate) fn level(level: log::Level) -> LogLevel {
    match level {
        log::Level::Debug => LogLevel::Debug,
        log::Level::Info => LogLevel::Info,
        log::Level::Warn => LogLevel::Warn,
    }
}

fn scalar(scalar: &Scalar) -> types::Scalar<'_> {
    match scalar {
        Scalar::Text(text) => types::Scalar::Text(text),
        Scalar::Bytes(bytes) => types::Scalar::Bytes(bytes),
        Scalar::Bool(value) => types::Scalar::Boolean(*value),
        Scalar::U64(value) => types::Scalar::Unsigned(*value),
        Scalar::U256([a, b, c, d]) => types::Scalar::Unsigned256((*a, *b, *c, *d)),
    }
}

fn signing_input(input: &SigningInput) -> types::SigningInput<'_> {
    match input {
        SigningInput::Digest(digest) => types::SigningInput::Digest(digest),
        SigningInput::Message(message) => types::SigningInput::Message(message),
    }
}

fn operation(operation: Operation) -> Result<types::Operation, EvaluationFailure> {
    match operation {
        Operation::Sign => Ok(types::Operation::Sign),
        Operation::Decapsulate => Ok(types::Operation::Decapsulate),
        Operation::PublicKey => Err(failure(
            FailureKind::Host,
            "policies are asked about signatures and decapsulations only",
        )),
    }
}

fn network(network: Network) -> types::Network {
    match network {
        Network::Devnet => types::Network::Devnet,
        Network::TestnetAlpha => types::Network::TestnetAlpha,
        Network::TestnetBeta => types::Network::TestnetBeta,
        Network::Mainnet => types::Network::Mainnet,
    }
}

fn role(role: Role) -> types::Role {
    match role {
        Role::Consensus => types::Role::Consensus,
        Role::Batch => types::Role::Batch,
        Role::P2pIdentity => types::Role::P2pIdentity,
        Role::Governance => types::Role::Governance,
        Role::Operational => types::Role::Operational,
        Role::Withdrawal => types::Role::Withdrawal,
        Role::Account => types::Role::Account,
    }
}

fn scheme(scheme: Scheme) -> types::Scheme {
    match scheme {
        Scheme::Secp256k1Ecdsa => types::Scheme::Secp256k1Ecdsa,
        Scheme::Secp256k1Schnorr => types::Scheme::Secp256k1Schnorr,
        Scheme::Ed25519 => types::Scheme::Ed25519,
        Scheme::MlDsa44 => types::Scheme::MlDsa44,
        Scheme::MlKem768 => types::Scheme::MlKem768,
    }
}

fn key_state(state: KeyState) -> types::KeyState {
    match state {
        KeyState::Pending => types::KeyState::Pending,
        KeyState::Active => types::KeyState::Active,
        KeyState::Grace => types::KeyState::Grace,
        KeyState::Suspended => types::KeyState::Suspended,
        KeyState::Revoked => types::KeyState::Revoked,
        KeyState::Destroyed => types::KeyState::Destroyed,
    }
}
