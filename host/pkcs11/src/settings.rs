//! What the backend is told: plain data, but for the PIN. The configuration file is read elsewhere.

use crate::mechanism::MechanismChoice;
use crate::refused_pin::RefusedPin;
use secrecy::SecretString;
use sigwarden_core::key::KeyId;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Gives the PIN when a login is due, and at no other time. Whoever made it keeps the PIN shielded in between; what it returns is wiped
/// directly after the login. An error is shown to the operator, so it says where the PIN was looked for and never what was found.
pub type PinSource = Box<dyn Fn() -> Result<SecretString, String> + Send + Sync>;

/// The settings of one backend.
pub struct Settings {
    /// The backend's name in the configuration, for messages.
    pub name: String,
    /// One token, or several that hold the same keys, the preferred one first.
    pub tokens: Vec<TokenSettings>,
    /// What is special about a key. A key that is not here has its id as its label and its scheme's mechanism.
    pub keys: BTreeMap<KeyId, KeySettings>,
    /// Sessions that work at once, for each token.
    pub sessions: usize,
    /// How long a call waits for a free session.
    pub session_wait: Duration,
    /// How long a token may take for one call, whatever it is asked for. With a deadline each call is handed to a thread that can be left,
    /// so that its caller can go on to the next token; that costs 5 to 100 us. Without one a signature may take [`Self::SIGNATURE_MAX`],
    /// and while the token answers one call after the other its caller runs the next himself; so a token that never answers again keeps
    /// a caller or two.
    pub call_deadline: Option<Duration>,
    /// An operator opens the backend to have the PINs used: as after [`crate::Pkcs11Backend::retry_login`], each token's first login uses
    /// the PIN although it was refused before or one attempt is left.
    pub by_operator: bool,
    /// How often the tokens are looked at.
    pub pace: Pace,
}

/// A token.
pub struct TokenSettings {
    /// The PKCS#11 library.
    pub library: PathBuf,
    /// The token's label: slots are renumbered, labels stay.
    pub label: String,
    /// The slot that the token must be in, where that is certain.
    pub slot_id: Option<u64>,
    /// The user PIN. None for a token that asks for it itself (a PIN pad) or wants none.
    pub pin: Option<PinSource>,
    /// Where a refusal of it is remembered; None forgets it with the process.
    pub refused_pin: Option<RefusedPin>,
}

/// What is special about a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySettings {
    /// The key's label on the token, if it is not the key's id.
    pub label: Option<String>,
    /// The mechanism, if it is not the scheme's own.
    pub mechanism: Option<MechanismChoice>,
}

impl KeySettings {
    /// The label on the tokens.
    pub(crate) fn label(&self, id: &KeyId) -> String {
        self.label.clone().unwrap_or_else(|| id.to_string())
    }
}

/// How often the tokens are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two looks at a token that is ready. A call that fails has it looked at directly.
    pub health: Duration,
    /// From the first attempt to reach a lost token to the second; doubled from one to the next.
    pub retry_first: Duration,
    /// The longest time between two attempts.
    pub retry_most: Duration,
    /// From a token's absence to the first time that its library is started anew for it although other tokens of that library are
    /// connected, which pauses them and logs them in again; doubled from one to the next.
    pub interrupt_first: Duration,
    /// The longest time between two such starts.
    pub interrupt_most: Duration,
    /// How long [`crate::Pkcs11Backend::open`] and [`crate::Pkcs11Backend::retry_login`] wait for every token's first answer.
    pub patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            // A search and two queries a second are nothing to a token, and a second is what an operator's alarm is late by.
            health: Duration::from_secs(1),
            retry_first: Duration::from_millis(100),
            // A token is back in service two seconds after it returned.
            retry_most: Duration::from_secs(2),
            // A device that is replugged is back by then, and most libraries see it by themselves.
            interrupt_first: Duration::from_secs(5),
            // A pause of tenths of a second in five minutes, while a token is away for good.
            interrupt_most: Duration::from_secs(300),
            // Network HSMs take seconds to connect; an operator waits so long before a prompt.
            patience: Duration::from_secs(10),
        }
    }
}

impl Settings {
    /// How long a signature may take where there is no deadline. Above what a healthy token takes: sixteen sessions at a device that
    /// signs one by one in a tenth of a second wait 1.6 s. Below the 5 s that a request has until its decision, and that a Sigwarden in
    /// front waits for an answer.
    pub const SIGNATURE_MAX: Duration = Duration::from_secs(3);
    /// Sessions of a token at most: far above what any HSM signs at once, and a typing error opens no thousand.
    pub const SESSIONS_MAX: usize = 64;
    /// Tokens at most: each has a thread that watches it.
    pub const TOKENS_MAX: usize = 8;
    /// Any of the waits at most: no client of the signer waits longer.
    pub const WAIT_MAX: Duration = Duration::from_secs(60);
    /// Between two looks at most: an operator who learns of a lost token later has no use for looks.
    pub const LOOK_MAX: Duration = Duration::from_secs(3600);
    /// A label at most, bytes: a key id fits.
    pub const LABEL_MAX: usize = 192;
    /// PKCS#11's field for a token's label, bytes (`CK_TOKEN_INFO`).
    pub const TOKEN_LABEL_MAX: usize = 32;

    /// Settings with the defaults that fit so many tokens: with one, five seconds for a free session and no deadline but [`Self::SIGNATURE_MAX`]; with several, 200 ms for a
    /// session and 700 ms for a call, so that a token that hangs is left in under a second.
    #[must_use]
    pub fn new(name: impl Into<String>, tokens: Vec<TokenSettings>) -> Self {
        let redundant = tokens.len() > 1;
        Self {
            name: name.into(),
            keys: BTreeMap::new(),
            sessions: default_sessions(),
            session_wait: Duration::from_millis(if redundant { 200 } else { 5_000 }),
            call_deadline: redundant.then_some(Duration::from_millis(700)),
            by_operator: false,
            pace: Pace::default(),
            tokens,
        }
    }

    /// Whether they make sense.
    pub(crate) fn validate(&self) -> Result<(), SettingsError> {
        let refuse = |what: String| {
            Err(SettingsError {
                backend: self.name.clone(),
                what,
            })
        };
        if self.tokens.is_empty() || self.tokens.len() > Self::TOKENS_MAX {
            return refuse(format!("{} tokens; 1 to {} are right", self.tokens.len(), Self::TOKENS_MAX));
        }
        if self.sessions == 0 || self.sessions > Self::SESSIONS_MAX {
            return refuse(format!("{} sessions; 1 to {} are right", self.sessions, Self::SESSIONS_MAX));
        }
        let (none, least, most) = (Duration::ZERO, Duration::from_millis(1), Self::WAIT_MAX);
        let pace = self.pace;
        for (what, wait, least, most) in [
            ("session wait", Some(self.session_wait), none, most),
            ("call deadline", self.call_deadline, least, most),
            ("time between two looks", Some(pace.health), least, Self::LOOK_MAX),
            ("first time between two attempts", Some(pace.retry_first), least, most),
            ("longest time between two attempts", Some(pace.retry_most), pace.retry_first, most),
            (
                "first time until a library is started anew",
                Some(pace.interrupt_first),
                least,
                most,
            ),
            (
                "longest time until a library is started anew",
                Some(pace.interrupt_most),
                pace.interrupt_first,
                Self::LOOK_MAX,
            ),
            ("patience", Some(pace.patience), none, most),
        ] {
            if let Some(wait) = wait.filter(|wait| *wait < least || *wait > most) {
                return refuse(format!("the {what} is {wait:?}; {least:?} to {most:?} are right"));
            }
        }
        for (at, token) in self.tokens.iter().enumerate() {
            if token.label.is_empty() || token.label.len() > Self::TOKEN_LABEL_MAX {
                return refuse(format!(
                    "the token label `{}` has {} bytes; 1 to {} are right",
                    token.label.escape_debug(),
                    token.label.len(),
                    Self::TOKEN_LABEL_MAX
                ));
            }
            let twice =
                |other: &TokenSettings| other.library == token.library && other.label == token.label && other.slot_id == token.slot_id;
            if self.tokens.iter().take(at).any(twice) {
                return refuse(format!("the token `{}` is named twice; redundancy needs two tokens", token.label));
            }
        }
        self.validate_labels(&self.keys)
    }

    /// Whether each key has a label of its own.
    pub(crate) fn validate_labels(&self, keys: &BTreeMap<KeyId, KeySettings>) -> Result<(), SettingsError> {
        let refuse = |what: String| {
            Err(SettingsError {
                backend: self.name.clone(),
                what,
            })
        };
        let mut labels: BTreeMap<String, &KeyId> = BTreeMap::new();
        for (id, special) in keys {
            let label = special.label(id);
            if label.is_empty() || label.len() > Self::LABEL_MAX {
                return refuse(format!(
                    "the label of `{id}` has {} bytes; 1 to {} are right",
                    label.len(),
                    Self::LABEL_MAX
                ));
            }
            let shown = label.escape_debug().to_string();
            if let Some(other) = labels.insert(label, id) {
                return refuse(format!("`{other}` and `{id}` both have the label `{shown}`; each needs its own"));
            }
        }
        Ok(())
    }
}

/// Two for each core, since a session waits for the token most of the time; at least four, at most sixteen, which small tokens have.
fn default_sessions() -> usize {
    std::thread::available_parallelism().map_or(4, |cores| (cores.get() * 2).clamp(4, 16))
}

/// Settings that make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("backend `{backend}`: {what}")]
pub struct SettingsError {
    backend: String,
    what: String,
}
