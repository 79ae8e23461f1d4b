//! What an operator sees of a token.

use sigwarden_core::Scheme;
use sigwarden_core::key::KeyId;
use std::fmt;
use std::path::PathBuf;

/// How a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenState {
    /// Logged in; it signs.
    Ready,
    /// It is not there; looked for again all the time.
    Absent(String),
    /// It does not take the PIN, which is not used again until an operator acts.
    PinRefused {
        /// What it said.
        why: String,
        /// What it tells of the attempts that are left.
        attempts: PinAttempts,
    },
    /// It is there and does not work, or its library does not; tried again all the time.
    Broken(String),
}

/// What a token tells of the attempts that are left: PKCS#11 has flags, not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinAttempts {
    /// Nothing; many tokens never do.
    NotTold,
    /// Fewer than there were (`CKF_USER_PIN_COUNT_LOW`).
    Fewer,
    /// One; the next wrong PIN locks it (`CKF_USER_PIN_FINAL_TRY`).
    One,
    /// None: its security officer must unlock it (`CKF_USER_PIN_LOCKED`).
    Locked,
}

impl TokenState {
    /// The stable name, for metrics: `ready`, `absent`, `pin-refused`, `broken`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Absent(_) => "absent",
            Self::PinRefused { .. } => "pin-refused",
            Self::Broken(_) => "broken",
        }
    }
}

impl fmt::Display for TokenState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Absent(why) => write!(f, "absent: {why}"),
            Self::PinRefused { why, attempts } => write!(f, "not logged in: {why}; {attempts}"),
            Self::Broken(why) => write!(f, "broken: {why}"),
        }
    }
}

impl fmt::Display for PinAttempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotTold => "the token does not tell how many attempts are left",
            Self::Fewer => "the token tells that fewer attempts are left than there were",
            Self::One => "the token tells that one attempt is left before it locks",
            Self::Locked => "the token tells that it is locked; its security officer can unlock it",
        })
    }
}

/// Whose library it is, after what library and token say of themselves, whatever the file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provider {
    /// Sigwarden's mock, which protects nothing.
    Mock,
    /// SoftHSM: keys in files.
    SoftHsm,
    /// Any other.
    Other,
}

/// A token, its library and its sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenStatus {
    /// The label that the configuration names.
    pub label: String,
    /// The library's file.
    pub library: PathBuf,
    /// How it is.
    pub state: TokenState,
    /// What it was like when it was last seen; none if it never was.
    pub seen: Option<TokenInfo>,
    /// Sessions that work now.
    pub sessions_in_use: usize,
    /// Sessions that may.
    pub sessions: usize,
    /// Calls that overran their deadline and have not returned.
    pub calls_overdue: usize,
}

/// What a token says of itself. All of it is the vendor's text: shorten nothing, believe nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its slot, now.
    pub slot: u64,
    /// Its manufacturer.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Its serial number.
    pub serial: String,
    /// What the library calls itself.
    pub library_description: String,
    /// Who made the library.
    pub library_manufacturer: String,
    /// Its version.
    pub library_version: String,
    /// Whose it is.
    pub provider: Provider,
    /// Schemes whose mechanism it offers. `CKM_ECDSA` does not say whether secp256k1 is among its curves.
    pub schemes: Vec<Scheme>,
    /// Schemes that it generates keys for.
    pub generates: Vec<Scheme>,
    /// Whether it derives child keys: the standard has no mechanism for BIP-32, so none does.
    pub derives: bool,
}

/// A key that a token was caught lying about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distrusted {
    /// The key.
    pub key: KeyId,
    /// The token.
    pub token: String,
    /// What it did.
    pub what: String,
}
