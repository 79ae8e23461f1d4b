//! What goes wrong at a token, and what may be done about it.

use crate::status::TokenState;
use cryptoki::error::{Error, RvError};
use sigwarden_core::key::KeyId;
use sigwarden_core::{BackendFailure, Scheme};
use std::time::Duration;

/// Kinds of failures, as they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// The token is not there, or not ready.
    Unavailable,
    /// No session, or one that was lost.
    Session,
    /// The device or its library failed.
    Device,
    /// Not logged in.
    Pin,
    /// A signature, or a key, that is not the pinned one's.
    InvalidSignature,
    /// The call overran its deadline.
    Timeout,
    /// Anything else: a missing key, a request that cannot be signed.
    Other,
}

impl ErrorKind {
    /// Every kind, in order.
    pub const ALL: [Self; 7] = [
        Self::Unavailable,
        Self::Session,
        Self::Device,
        Self::Pin,
        Self::InvalidSignature,
        Self::Timeout,
        Self::Other,
    ];

    /// The stable name, the label of the metric.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Session => "session",
            Self::Device => "device",
            Self::Pin => "pin",
            Self::InvalidSignature => "invalid-signature",
            Self::Timeout => "timeout",
            Self::Other => "other",
        }
    }
}

/// Why something was not done at a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The token is not ready.
    #[error("token `{token}` is {state}")]
    NotReady {
        /// Its label.
        token: String,
        /// What it is instead.
        state: TokenState,
    },
    /// All its sessions are busy.
    #[error("token `{token}`: none of its {sessions} sessions became free within {} ms", .waited.as_millis())]
    NoSession {
        /// Its label.
        token: String,
        /// How many there are.
        sessions: usize,
        /// How long was waited.
        waited: Duration,
    },
    /// A call to its library failed.
    #[error("token `{token}`: {call}")]
    Call {
        /// Its label.
        token: String,
        /// Which call, and what came back.
        call: CallError,
    },
    /// It did not answer in time.
    #[error("token `{token}` did not answer within {} ms", .deadline.as_millis())]
    Overdue {
        /// Its label.
        token: String,
        /// The time it had.
        deadline: Duration,
    },
    /// It has no such key.
    #[error("token `{token}` has no private key labelled `{label}`; {found}")]
    NoKey {
        /// Its label.
        token: String,
        /// The key's label.
        label: String,
        /// What there is instead.
        found: String,
    },
    /// It has several.
    #[error("token `{token}` has {count} {what} labelled `{label}`, and one is right; give each a label of its own")]
    Ambiguous {
        /// Its label.
        token: String,
        /// The keys' label.
        label: String,
        /// Private or public keys.
        what: &'static str,
        /// How many there are, as far as was counted.
        count: usize,
    },
    /// The label is taken.
    #[error("token `{token}` has a key labelled `{label}` already; nothing was generated")]
    Exists {
        /// Its label.
        token: String,
        /// The key's label.
        label: String,
    },
    /// The key there is of another kind.
    #[error("token `{token}`: the key labelled `{label}` is no key of {scheme}: {found}")]
    OtherKind {
        /// Its label.
        token: String,
        /// The key's label.
        label: String,
        /// What it should be of.
        scheme: Scheme,
        /// What it is.
        found: String,
    },
    /// The token lies: its key or its signature is not the pinned public key's.
    #[error("token `{token}` is not to be trusted with `{key}`: {what}")]
    Lie {
        /// Its label.
        token: String,
        /// The key's label.
        key: String,
        /// In what way.
        what: String,
    },
    /// Tokens that should hold one key hold several.
    #[error("tokens `{first}` and `{second}` hold different keys labelled `{label}`; copy one to the other with the vendor's tools")]
    Differ {
        /// One of them.
        first: String,
        /// Another.
        second: String,
        /// The keys' label.
        label: String,
    },
    /// A token lied about it before.
    #[error("`{key}` is distrusted since token `{token}` was caught: {what}; find out why before it is trusted again")]
    Distrusted {
        /// The key.
        key: KeyId,
        /// The token.
        token: String,
        /// What it did.
        what: String,
    },
    /// Not to be had over PKCS#11.
    #[error("{what}")]
    NotOverPkcs11 {
        /// What, and what to do instead.
        what: String,
    },
    /// The request does not fit the key.
    #[error("`{key}`: {what}")]
    Request {
        /// The key.
        key: KeyId,
        /// In what way.
        what: String,
    },
    /// No token did it.
    #[error("{}", list(.0))]
    Every(Vec<Failure>),
}

fn list(failures: &[Failure]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A call to a library that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {answer}")]
pub struct CallError {
    /// What was called.
    pub(crate) what: &'static str,
    /// `CKR_...`, or what else went wrong.
    pub(crate) answer: String,
    pub(crate) kind: ErrorKind,
    pub(crate) remedy: Remedy,
}

/// What may be done about a call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Nothing that we know of.
    None,
    /// A new session, and the key looked up again.
    NewSession,
    /// Look for the token, log in again.
    Reconnect,
}

impl CallError {
    pub(crate) fn new(what: &'static str, error: &Error) -> Self {
        let Error::Pkcs11(code, _) = error else {
            return Self {
                what,
                answer: error.to_string(),
                kind: ErrorKind::Other,
                remedy: Remedy::None,
            };
        };
        let (kind, remedy) = classify(*code);
        Self {
            what,
            answer: name(*code),
            kind,
            remedy,
        }
    }
}

/// `CKR_DEVICE_REMOVED`: the names that vendors' manuals are searched for. The library's own text is a paragraph of the standard.
pub(crate) fn name(code: RvError) -> String {
    if let RvError::VendorDefined(number) | RvError::UnknownErrorCode(number) = code {
        return format!("the vendor's code {number:#010x}");
    }
    let mut text = String::from("CKR");
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a vendor's set of codes, open by its nature; the rest has no remedy"
)]
fn classify(code: RvError) -> (ErrorKind, Remedy) {
    match code {
        RvError::DeviceRemoved
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::CryptokiNotInitialized => (ErrorKind::Unavailable, Remedy::Reconnect),
        RvError::SessionClosed
        | RvError::SessionHandleInvalid
        | RvError::KeyHandleInvalid
        | RvError::ObjectHandleInvalid
        | RvError::OperationActive
        | RvError::OperationNotInitialized => (ErrorKind::Session, Remedy::NewSession),
        RvError::SessionCount | RvError::SessionExists => (ErrorKind::Session, Remedy::None),
        RvError::UserNotLoggedIn => (ErrorKind::Pin, Remedy::Reconnect),
        RvError::PinIncorrect
        | RvError::PinInvalid
        | RvError::PinLenRange
        | RvError::PinExpired
        | RvError::PinLocked
        | RvError::UserPinNotInitialized => (ErrorKind::Pin, Remedy::None),
        RvError::DeviceError
        | RvError::DeviceMemory
        | RvError::HostMemory
        | RvError::GeneralError
        | RvError::FunctionFailed
        | RvError::FunctionCanceled
        | RvError::FunctionRejected => (ErrorKind::Device, Remedy::None),
        _ => (ErrorKind::Other, Remedy::None),
    }
}

impl Failure {
    /// Whether it may go by itself: the token is away, busy or late. The others say that what is there is not what is wanted.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NotReady { .. } | Self::NoSession { .. } | Self::Call { .. } | Self::Overdue { .. } => true,
            Self::NoKey { .. }
            | Self::Ambiguous { .. }
            | Self::Exists { .. }
            | Self::OtherKind { .. }
            | Self::Lie { .. }
            | Self::Differ { .. }
            | Self::Distrusted { .. }
            | Self::NotOverPkcs11 { .. }
            | Self::Request { .. } => false,
            Self::Every(failures) => failures.iter().any(Self::is_passing),
        }
    }

    /// Its kind, as it is counted.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotReady { state, .. } => match state {
                TokenState::PinRefused { .. } => ErrorKind::Pin,
                TokenState::Ready | TokenState::Absent(_) | TokenState::Broken(_) => ErrorKind::Unavailable,
            },
            Self::NoSession { .. } => ErrorKind::Session,
            Self::Call { call, .. } => call.kind,
            Self::Overdue { .. } => ErrorKind::Timeout,
            Self::Lie { .. } | Self::Distrusted { .. } | Self::Differ { .. } => ErrorKind::InvalidSignature,
            Self::NoKey { .. } | Self::Ambiguous { .. } | Self::Exists { .. } | Self::OtherKind { .. } => ErrorKind::Other,
            Self::NotOverPkcs11 { .. } | Self::Request { .. } => ErrorKind::Other,
            Self::Every(failures) => failures.last().map_or(ErrorKind::Unavailable, Self::kind),
        }
    }

    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Self::Call { call, .. } => call.remedy,
            Self::NotReady { .. }
            | Self::NoSession { .. }
            | Self::Overdue { .. }
            | Self::NoKey { .. }
            | Self::Ambiguous { .. }
            | Self::Exists { .. }
            | Self::OtherKind { .. }
            | Self::Lie { .. }
            | Self::Differ { .. }
            | Self::Distrusted { .. }
            | Self::NotOverPkcs11 { .. }
            | Self::Request { .. }
            | Self::Every(_) => Remedy::None,
        }
    }

    /// Whether another token may do better. A lie is not passed on: somebody has to look.
    pub(crate) fn may_fail_over(&self) -> bool {
        match self {
            Self::NotReady { .. } | Self::NoSession { .. } | Self::Call { .. } | Self::Overdue { .. } => true,
            Self::NoKey { .. } | Self::Ambiguous { .. } | Self::OtherKind { .. } => true,
            Self::Lie { .. } | Self::Differ { .. } | Self::Distrusted { .. } => false,
            Self::Exists { .. } | Self::NotOverPkcs11 { .. } | Self::Request { .. } | Self::Every(_) => false,
        }
    }

    /// Whether it may be better in a while without anybody's doing, or after a login.
    fn is_unavailability(&self) -> bool {
        if let Self::Every(failures) = self {
            return failures.iter().all(Self::is_unavailability);
        }
        match self.kind() {
            ErrorKind::Unavailable | ErrorKind::Session | ErrorKind::Pin | ErrorKind::Timeout => true,
            ErrorKind::Device | ErrorKind::InvalidSignature | ErrorKind::Other => false,
        }
    }

    /// As core wants it. A lie is core's [`BackendFailure::SignatureInvalid`], and so is what follows from one: a Sigwarden in front asks
    /// nobody else either.
    pub(crate) fn into_backend_failure(self) -> BackendFailure {
        let text = self.to_string();
        match self.kind() {
            ErrorKind::InvalidSignature => BackendFailure::SignatureInvalid(text),
            ErrorKind::Unavailable | ErrorKind::Session | ErrorKind::Pin | ErrorKind::Timeout | ErrorKind::Device | ErrorKind::Other => {
                match self.is_unavailability() {
                    true => BackendFailure::Unavailable(text),
                    false => BackendFailure::Failed(text),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_named_as_the_standard_names_them() {
        assert_eq!(name(RvError::DeviceRemoved), "CKR_DEVICE_REMOVED");
        assert_eq!(name(RvError::PinLenRange), "CKR_PIN_LEN_RANGE");
        assert_eq!(name(RvError::VendorDefined(0x8000_0001)), "the vendor's code 0x80000001");
    }
}
