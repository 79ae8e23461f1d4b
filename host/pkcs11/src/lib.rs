//! The `pkcs11` backend: keys that live in hardware security modules, spoken to through a vendor's PKCS#11 library in this process.
//!
//! [`Pkcs11Backend`] holds one token, or several that hold the same keys. What it makes sure of, whatever the token does:
//!
//! - A signature is released only after it verified against the pinned public key (`objects`, `encoding`); a token whose signature
//!   does not is never asked for that key again until an operator says so ([`Pkcs11Backend::trust_again`]).
//! - A PIN that failed is not used again until an operator acts ([`Pkcs11Backend::retry_login`]); one that succeeded is used once each
//!   time the token comes back (`login`, `keeper`).
//! - One signature at most is released for one call. With several tokens the next one is asked only after the one before failed or
//!   overran its deadline, and an answer that comes later is dropped. ECDSA on tokens is not deterministic, so two tokens may both have
//!   signed the same bytes, with different signatures; only one of them leaves. So may one token, whose session closed amid a call, which
//!   is then made once more in a new one. Two different messages are never signed for one call.
//! - No signature is ever made that no decision asked for: health is looked at with `C_GetTokenInfo` and a search, never by signing.
//!
//! A PKCS#11 library runs in this process and can do anything here; its path is configuration, to be trusted like this binary.
#![forbid(unsafe_code)]

mod backend;
mod settings;

mod calls;
mod keeper;
mod library;
mod login;
mod pool;
mod refused_pin;
mod token;

mod encoding;
mod mechanism;
mod objects;

mod counters;
mod failure;
mod status;

pub use backend::{OpenError, Pkcs11Backend};
pub use counters::Counters;
pub use failure::{CallError, ErrorKind, Failure};
pub use mechanism::{MechanismChoice, MechanismError};
pub use refused_pin::RefusedPin;
pub use settings::{KeySettings, Pace, PinSource, Settings, SettingsError, TokenSettings};
pub use status::{Distrusted, PinAttempts, Provider, TokenInfo, TokenState, TokenStatus};

/// The form in which a PIN is handed over.
pub use secrecy::SecretString;
