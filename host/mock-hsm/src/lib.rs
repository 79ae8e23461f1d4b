//! A PKCS#11 module (version 2.40, with ML-DSA of version 3.2) over software keys. It stands in for a vendor's library, so that tests go
//! through the very code path of one, and fails as a script says. Its keys protect nothing.
//!
//! The cdylib is the module. As a Rust library this crate has what a test needs around it: the types of its two files, which write
//! themselves ([`Config`], [`Faults`]), where the module was built ([`library_path`]), and the public key that a seed gives
//! ([`public_key`]).
//!
//! A call travels `ffi` (raw pointers to slices, and nothing else) → `module` and `operations` (sessions, logins, faults) → `token`
//! (PIN, objects) → `keys` (signing). README.md has each setting.

mod attributes;
mod config;
mod faults;
mod ffi;
mod functions;
mod keys;
mod library;
mod mechanism;
mod module;
mod operations;
mod state;
mod store;
mod token;
mod unsupported;

pub use config::{Config, ConfigError, EcPoint, Key, Token};
pub use faults::{Faults, SigningFaults, TokenFaults};
pub use keys::{Scheme, public_key};
pub use library::library_path;

/// The environment variable that names the configuration.
pub const CONFIG_VARIABLE: &str = "SIGWARDEN_MOCK_HSM";

/// The manufacturer of the library, of every slot and of every token: what the mock is known by, whatever its file is called.
pub const MANUFACTURER: &str = "Sigwarden mock HSM";

/// The library's description of itself.
pub const DESCRIPTION: &str = "Software keys, for tests only";

/// README.md's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
