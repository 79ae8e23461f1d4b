//! What a caller gets instead of a signature: a stable code and a sentence that helps. `docs/refusals.md` is generated from
//! [`Code::ALL`].

use std::borrow::Cow;
use std::sync::Arc;

macro_rules! codes {
    ($($variant:ident = $code:literal, $meaning:literal, $remedy:literal;)+) => {
        /// Why a request was refused: one for each reason that a caller can act upon. The strings are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $meaning] $variant),+ }

        impl Code {
            /// Every code, in the order of a request's way.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable text. For [`Code::Policy`] a pattern; [`Refusal::code`] gives the full text.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// What it means.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),+ }
            }

            /// What to do.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy),+ }
            }
        }
    };
}

codes! {
    CallerUnauthenticated = "caller/unauthenticated", "The connection belongs to no configured client.", "Add a `[[client]]` with this uid to sigwarden.toml and restart.";
    Stopping = "busy/stopping", "The daemon is stopping.", "Ask again once it is back; nothing was decided.";
    QueueFull = "busy/queue-full", "More requests wait than `limits.queue` allows, or for the key's token or remote than its share of it, or more batches of this client than leave the others a place.", "Ask again later, or raise the limit.";
    Deadline = "busy/deadline", "The request waited longer than `limits.deadline_ms` before its decision.", "Ask again; nothing was decided.";
    RequestMalformed = "request/malformed", "A field of the request is missing, too long or has characters that it may not have.", "See the message for the field.";
    RequestTooLarge = "request/too-large", "The payload has more bytes than `limits.payload_bytes` allows.", "Send less, or raise the limit.";
    UnknownOperation = "request/unknown-operation", "There is no such operation.", "Use one that the message lists.";
    UnknownFormat = "request/unknown-format", "There is no such format.", "Use one that the message lists.";
    UnknownScheme = "request/unknown-scheme", "There is no such scheme.", "Use one that the message lists.";
    CallerForbidden = "caller/forbidden", "The caller may not do this with this key, or there is no such key; which of the two is not said.", "Check the name and the caller's `allow` entries.";
    CallerRate = "caller/rate-limited", "The caller sent more requests in this second than its `requests_per_second` allows.", "Ask again when the message says, or raise the client's bound.";
    CallerBusy = "caller/too-many-at-once", "The caller has as many requests on their way as its `requests_at_once` allows, or as one of several clients may have.", "Wait for their answers, or raise the client's bound.";
    FormatRole = "format/role", "A key of this role does not sign this format.", "Use a key whose role fits; see the role-and-format table in ARCHITECTURE.md.";
    FormatOperation = "format/operation", "This format is not for this operation: ciphertexts are decapsulated, all else is signed.", "Use the call that the message names.";
    FormatTag = "format/tag", "The message's domain tag belongs to a role that the key has not.", "Use a key of that role.";
    FormatScheme = "format/scheme", "The key's scheme cannot sign this format.", "Use another format, or a key of another scheme.";
    FormatRaw = "format/raw-not-allowed", "The key may not sign raw messages, digests, or raw bytes with this prefix.", "Send a structured format; else set the `dangerous_allow_…` field that the message names on the key.";
    SchemeMismatch = "key/scheme-mismatch", "The request names a scheme that is not the key's.", "Leave the scheme out, or name the key's.";
    KeyState = "key/state", "The key's state does not let it sign.", "See `sigwarden keys show`.";
    KeyGrace = "key/grace-ended", "The key's grace has ended, or the message does not say whether it has.", "Sign with the version that took its place; see `sigwarden keys show`.";
    KeyRotation = "key/rotation-due", "The key is older, or was used more often, than its rotation rule enforces.", "`sigwarden keys rotate`, then `sigwarden keys activate`.";
    KeyBinding = "key/binding", "The message's chain id, validator id or signature suite is not the one that the key is bound to.", "Check which node asks; the binding is the key's `bind` in sigwarden.toml.";
    RequestIdReused = "request/id-reused", "The request id was given before, for another payload, format or key version.", "Give each request an id of its own; repeat one only with the very same request.";
    ClockBehind = "clock/behind", "The wall clock is more than 5 s behind the ledger's latest record.", "Set the clock right; signing goes on by itself once it has caught up. If it is right, and a wrong one has signed before: `sigwarden ledger accept-clock --reason TEXT`.";
    ClockStep = "clock/step", "The wall clock has stepped more than 60 s ahead of the machine's boot clock since the start.", "Find out why; if the clock is right, `sigwarden ledger accept-clock --reason TEXT`.";
    ClockAhead = "clock/ahead", "The wall clock is more than a year ahead of the ledger's latest record.", "If the clock is right, `sigwarden ledger accept-clock --reason TEXT`.";
    PayloadMalformed = "payload/malformed", "The payload does not decode completely: cut short, trailing bytes, a field of the wrong type or size.", "Send the format's exact encoding; see the message for the place.";
    PayloadNonCanonical = "payload/non-canonical", "The payload decodes, but is not the canonical encoding of what it says.", "Encode it canonically; see the message for the place.";
    DigestLength = "payload/digest-length", "A raw digest that has not exactly 32 bytes.", "Send the 32-byte digest.";
    PayloadStructured = "payload/structured", "A raw message whose bytes are a structured payload too, such as a vote.", "Send it in its own format, so that policies can read it.";
    NoPosition = "payload/no-position", "A consensus payload without a position that a floor could guard.", "See the message for the field.";
    PolicyUnbound = "policy/unbound", "No policy binds the request; nothing is signed without a policy's approval.", "Bind a `[[policy]]` to this key, role and format.";
    SandboxTrap = "sandbox/trap", "A policy trapped.", "See the message for the policy, and its log lines; fix the module.";
    SandboxFuel = "sandbox/fuel", "A policy ran out of fuel.", "Make it cheaper, or raise `fuel`.";
    SandboxDeadline = "sandbox/deadline", "A policy ran longer than its deadline.", "Make it cheaper, or raise `deadline_ms`.";
    SandboxMemory = "sandbox/memory", "A policy asked for more memory than it may have.", "Make it smaller, or raise `memory_bytes`.";
    SandboxHostCall = "sandbox/host-call", "A policy broke the contract of an import, or moved more bytes through imports than it may.", "See the message for the call; fix the module.";
    SandboxMalformed = "sandbox/malformed", "A policy's answer is not well-formed: no denial in a deny, a code that is none, too many or too long.", "Fix the module.";
    SandboxHost = "sandbox/unavailable", "The sandbox could not run the policy.", "See the daemon's log.";
    FormatUnsupported = "format/unsupported", "A bound policy does not know the payload's format.", "Bind the policy only to formats that it lists, or bind one that knows this format.";
    Policy = "policy/<instance>/<code>", "A policy denied; instance and code are the policy's own.", "See the denial's message.";
    FloorUninitialised = "floor/uninitialised", "No floor is known for this consensus key on this chain, so an earlier vote cannot be excluded.", "`sigwarden floors set`, with the last height that this key has signed anywhere.";
    FloorConflict = "floor/conflict", "Another message was decided at this position: signing would be a double sign.", "None; this is what Sigwarden is for. Find out who else proposes or votes with this key.";
    FloorRegression = "floor/regression", "The position is below the floor.", "None, if the node is replaying old blocks; else find out why it is behind.";
    Contention = "ledger/contention", "The state that the policies saw changed three times in a row before the decision could be written.", "Ask again; nothing was decided.";
    LedgerFailed = "ledger/failed", "The decision could not be made durable. The daemon refuses everything from now on and exits.", "See the daemon's log; check the disk, then start again.";
    LedgerFull = "ledger/full", "The disk has too little room for another decision.", "Make room in the state directory.";
    RecordTooLarge = "ledger/record-too-large", "The decision's record would be longer than 32 KiB.", "Let the policies stage less state.";
    LedgerUnknown = "ledger/unknown", "Whether the decision became durable is not known.", "Look the request id up in the audit log before asking again.";
    BackendUnavailable = "backend/unavailable", "The backend that holds the key does not answer. The decision stands; a position that it took stays taken.", "See the daemon's log; ask again once it is back.";
    BackendFailed = "backend/failed", "The backend failed to sign or to decapsulate. The decision stands; a position that it took stays taken.", "See the daemon's log.";
    SignatureInvalid = "backend/signature-invalid", "The backend's signature does not verify against the pinned public key, or the backend was caught at that before; nothing was released.", "Do not trust this backend until you know why.";
    Internal = "host/internal", "A fault in Sigwarden itself; nothing was released.", "Please report it with the daemon's log.";
}

/// One denial of one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The policy's instance name.
    pub instance: Arc<str>,
    /// The code that the caller sees: `policy/<instance>/<code>` or a host code.
    pub code: String,
    /// For people.
    pub message: String,
    /// Milliseconds since the Unix epoch.
    pub retry_at_ms: Option<u64>,
}

/// Why there is no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", self.code())]
pub struct Refusal {
    kind: Code,
    /// What was wrong and what would be right. Never holds a secret, a payload, or what a caller may not know.
    pub message: String,
    /// The denials, if policies denied.
    pub denials: Vec<Denied>,
    /// For the operator's log and record, never for the caller: what the backend or the disk said.
    pub detail: Option<String>,
}

impl Refusal {
    /// A refusal by the host.
    #[must_use]
    pub fn new(kind: Code, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            denials: Vec::new(),
            detail: None,
        }
    }

    /// The same, with what only the operator may know.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// A refusal by policies. `denials` is not empty; the first one names the refusal.
    #[must_use]
    pub(crate) fn denied(kind: Code, denials: Vec<Denied>) -> Self {
        let message = denials
            .iter()
            .map(|denial| format!("{}: {}", denial.instance, denial.message))
            .collect::<Vec<_>>()
            .join("; ");
        Self {
            kind,
            message,
            denials,
            detail: None,
        }
    }

    /// Which reason.
    #[must_use]
    pub fn kind(&self) -> Code {
        self.kind
    }

    /// The stable code: `floor/conflict`, `policy/rate-limit/exceeded`.
    #[must_use]
    pub fn code(&self) -> Cow<'static, str> {
        match self.denials.first() {
            Some(denial) => Cow::Owned(denial.code.clone()),
            None => Cow::Borrowed(self.kind.as_str()),
        }
    }

    /// The message for the record and the log: with the detail, if there is one.
    #[must_use]
    pub fn full_message(&self) -> Cow<'_, str> {
        match &self.detail {
            Some(detail) => Cow::Owned(format!("{}: {detail}", self.message)),
            None => Cow::Borrowed(&self.message),
        }
    }

    /// From when the same request could be allowed: the latest of the denials' times, if every denial has one.
    #[must_use]
    pub fn retry_at_ms(&self) -> Option<u64> {
        let times: Option<Vec<u64>> = self.denials.iter().map(|denial| denial.retry_at_ms).collect();
        times?.into_iter().max()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn codes_are_unique_and_well_formed() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{} twice", code.as_str());
            assert!(
                code.as_str().contains('/') && code.meaning().ends_with('.') && code.remedy().ends_with('.'),
                "{}",
                code.as_str()
            );
        }
    }
}
