//! What a remote is asked, and what its answer has to be. For one decision it is always the same: the decision's id and the bytes that
//! were decided first, whatever this attempt's request carries.

use crate::failure::{Failure, WrongKey};
use crate::text::shown;
use secrecy::SecretBox;
use sigwarden_core::Operation;
use sigwarden_core::fact::MessageTime;
use sigwarden_core::ledger::Grant;
use sigwarden_core::proof::{Committed, RawSignature, SharedSecret};
use sigwarden_protocol::proto;
use zeroize::Zeroize;

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    Sign(proto::SignRequest),
    Decapsulate(proto::DecapsulateRequest),
}

/// What came back.
pub(crate) enum Reply {
    Signed(proto::SignResponse),
    Opened(Opened),
}

/// An answer to a decapsulation, its secret already where it is wiped.
pub(crate) struct Opened {
    /// None if it has not the length of one.
    pub(crate) secret: Option<SharedSecret>,
    pub(crate) public_key: Vec<u8>,
    pub(crate) request_id: String,
}

impl From<proto::DecapsulateResponse> for Opened {
    fn from(mut response: proto::DecapsulateResponse) -> Self {
        let secret = <&[u8; 32]>::try_from(response.shared_secret.as_slice()).ok();
        let secret = secret.map(|bytes| SecretBox::init_with_mut(|secret: &mut [u8; 32]| *secret = *bytes));
        response.shared_secret.zeroize();
        Self {
            secret,
            public_key: response.public_key,
            request_id: response.request_id,
        }
    }
}

impl Question {
    /// Of a signature; `name` is the remote's name of the key.
    pub(crate) fn sign(committed: &Committed, name: String) -> Result<Self, Failure> {
        Ok(Self::Sign(proto::SignRequest {
            operation: Operation::Sign.name().to_owned(),
            key: name,
            format: committed.format().name().to_owned(),
            payload: payload(committed)?,
            request_id: committed.decision().to_string(),
            scheme: committed.key().scheme.name().to_owned(),
        }))
    }

    /// Of a decapsulation.
    pub(crate) fn decapsulate(committed: &Committed, name: String) -> Self {
        Self::Decapsulate(proto::DecapsulateRequest {
            key: name,
            ciphertext: committed.payload().to_vec(),
            request_id: committed.decision().to_string(),
        })
    }

    pub(crate) fn request_id(&self) -> &str {
        match self {
            Self::Sign(request) => &request.request_id,
            Self::Decapsulate(request) => &request.request_id,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Sign(request) => &request.key,
            Self::Decapsulate(request) => &request.key,
        }
    }
}

/// The payload, with the bytes that the floor keeps in the place of the request's own. A precommit's extension follows as it came.
fn payload(committed: &Committed) -> Result<Vec<u8>, Failure> {
    let own = committed.payload();
    let mut grants = committed.receipt().grants.iter();
    let first = grants.next().and_then(decided_first);
    if grants.any(|grant| decided_first(grant).is_some()) {
        return Err(Failure::Request("a floor keeps the bytes of a message, never of its extension"));
    }
    let Some(decided) = first else {
        return Ok(own.to_vec());
    };
    let message = committed.approved().request().decoded().consensus.as_ref();
    let rest = message.and_then(|message| own.strip_prefix(message.sign_bytes.as_slice()));
    let rest = rest.ok_or(Failure::Request("the payload does not begin with its message's sign bytes"))?;
    Ok([decided, rest].concat())
}

/// The bytes that were decided before this request's own.
fn decided_first(grant: &Grant) -> Option<&[u8]> {
    match grant {
        Grant::Sign { .. } | Grant::Released { .. } => None,
        Grant::SignStored { sign_bytes, .. } | Grant::Recorded { sign_bytes, .. } => Some(sign_bytes),
    }
}

/// The signatures that [`Committed::to_sign`] asks for, out of those that the remote made for every signing input.
pub(crate) fn signatures(
    committed: &Committed,
    question: &Question,
    remote: &str,
    response: proto::SignResponse,
) -> Result<Vec<RawSignature>, Failure> {
    check(committed, question, remote, &response.public_key, &response.request_id)?;
    let refuse = |what: String| Failure::Answer {
        remote: remote.to_owned(),
        what,
    };
    let grants = &committed.receipt().grants;
    let given = response.signatures.len();
    if given != grants.len() {
        return Err(refuse(format!("{given} signatures came for {} signing inputs", grants.len())));
    }
    let ours = grants.first().and_then(Grant::timestamp);
    let theirs = response.timestamp_signed.map(|time| MessageTime {
        seconds: time.seconds,
        nanos: time.nanos,
    });
    if theirs.is_some() && theirs != ours {
        return Err(refuse(
            "it signed this message before, with another timestamp than the one decided here: somebody asks it past this deployment"
                .to_owned(),
        ));
    }
    let fresh = grants.iter().zip(response.signatures).filter(|(grant, _)| grant.is_fresh());
    fresh
        .map(|(_, signature)| {
            let recovery_id = signature.recovery_id.map(u8::try_from).transpose();
            Ok(RawSignature {
                bytes: signature.signature,
                recovery_id: recovery_id.map_err(|_| refuse("a recovery id is over 255; 0 to 3 are right".to_owned()))?,
            })
        })
        .collect()
}

/// The secret of a decapsulation.
pub(crate) fn secret(committed: &Committed, question: &Question, remote: &str, opened: Opened) -> Result<SharedSecret, Failure> {
    check(committed, question, remote, &opened.public_key, &opened.request_id)?;
    opened.secret.ok_or_else(|| Failure::Answer {
        remote: remote.to_owned(),
        what: "its shared secret has not 32 bytes".to_owned(),
    })
}

/// Whether the answer is of the key that is pinned here, and of this decision.
fn check(committed: &Committed, question: &Question, remote: &str, public_key: &[u8], request_id: &str) -> Result<(), Failure> {
    let key = committed.key();
    if public_key != key.public_key {
        return Err(Failure::WrongKey(Box::new(WrongKey {
            remote: remote.to_owned(),
            key: key.id.clone(),
            name: question.name().to_owned(),
            found: brief(public_key),
            pinned: brief(&key.public_key),
        })));
    }
    if request_id != question.request_id() {
        return Err(Failure::Answer {
            remote: remote.to_owned(),
            what: format!(
                "it answered request id `{}`, and was asked `{}`",
                shown(request_id),
                question.request_id()
            ),
        });
    }
    Ok(())
}

/// The first 32 bytes, hex: post-quantum keys have over a thousand.
fn brief(bytes: &[u8]) -> String {
    match bytes.split_at_checked(32) {
        Some((head, rest)) if !rest.is_empty() => format!("{}…", hex::encode(head)),
        Some(_) | None => hex::encode(bytes),
    }
}
