//! Why there is no signature. All of it is for the log and the record of this deployment; its callers get a code.

use sigwarden_core::key::KeyId;
use sigwarden_core::{BackendFailure, Code};

/// Why the remotes did not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A remote refused, on its own judgement. Final.
    #[error("the remote refused: {code}: {message} ({remote})")]
    Refused {
        /// Its address.
        remote: String,
        /// The refusal's stable code.
        code: String,
        /// The refusal's sentence.
        message: String,
    },
    /// A remote says that the decision's id stands for another payload there.
    #[error(
        "{remote} knows request id {request_id} for something else ({message}); this deployment never gives an id twice: find out who else uses its certificate or its decisions"
    )]
    Reused {
        /// Its address.
        remote: String,
        /// The id.
        request_id: String,
        /// The refusal's sentence.
        message: String,
    },
    /// A remote signed with another key than the one that is pinned here.
    #[error("{0}")]
    WrongKey(Box<WrongKey>),
    /// A remote's answer does not fit what it was asked.
    #[error("{remote}: {what}")]
    Answer {
        /// Its address.
        remote: String,
        /// What does not fit.
        what: String,
    },
    /// Remotes tell different public keys of one key.
    #[error("{first} and {second} have different public keys for `{name}`; both must hold the same key")]
    Differ {
        /// The one.
        first: String,
        /// The other.
        second: String,
        /// The key's name there.
        name: String,
    },
    /// No remote answers, or none can. The reason of each.
    #[error("no remote signs: {}", .0.join("; "))]
    Unreachable(Vec<String>),
    /// The request does not have the shape that its decision says.
    #[error("{0}")]
    Request(&'static str),
    /// The backend is being closed.
    #[error("the backend is being closed")]
    Stopped,
}

/// A remote signed with another key than the one that is pinned here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{remote} signs `{name}` with the public key {found}, and {pinned} is pinned for `{key}`; set the key's label to its name there")]
pub struct WrongKey {
    /// The remote's address.
    pub remote: String,
    /// The key here.
    pub key: KeyId,
    /// The key's name there.
    pub name: String,
    /// Its public key there, hex, cut.
    pub found: String,
    /// The one that is pinned, hex, cut.
    pub pinned: String,
}

impl Failure {
    /// Whether it passes by itself: somebody who is away comes back.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Stopped => true,
            Self::Refused { .. } | Self::Reused { .. } | Self::WrongKey(_) => false,
            Self::Answer { .. } | Self::Differ { .. } | Self::Request(_) => false,
        }
    }

    pub(crate) fn into_backend_failure(self) -> BackendFailure {
        // Whoever is in front of this Sigwarden must not ask another for what somebody behind it lied about.
        let lied = matches!(&self, Self::Refused { code, .. } if *code == Code::SignatureInvalid.as_str());
        match self.is_passing() {
            true => BackendFailure::Unavailable(self.to_string()),
            false if lied => BackendFailure::SignatureInvalid(self.to_string()),
            false => BackendFailure::Failed(self.to_string()),
        }
    }
}
