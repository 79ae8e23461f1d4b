//! A mock with a token or two, and its faults.

use crate::support::{PIN, id, place};
use sigwarden_core::Scheme;
use sigwarden_core::key::KeyId;
use sigwarden_mock_hsm::{Config, Faults, Key, SigningFaults, Token, TokenFaults};
use sigwarden_pkcs11::TokenSettings;
use std::path::PathBuf;

/// What the tokens sign in.
pub(crate) const SCHEMES: [Scheme; 3] = [Scheme::Secp256k1Ecdsa, Scheme::Ed25519, Scheme::MlDsa44];

pub(crate) fn library() -> PathBuf {
    sigwarden_mock_hsm::library_path().expect("cargo builds the module with these tests")
}

fn theirs(scheme: Scheme) -> sigwarden_mock_hsm::Scheme {
    match scheme {
        Scheme::Secp256k1Ecdsa => sigwarden_mock_hsm::Scheme::Secp256k1Ecdsa,
        Scheme::Ed25519 => sigwarden_mock_hsm::Scheme::Ed25519,
        Scheme::MlDsa44 => sigwarden_mock_hsm::Scheme::MlDsa44,
        Scheme::Secp256k1Schnorr | Scheme::MlKem768 => panic!("the mock has no {scheme}"),
    }
}

/// A token with a key of each scheme, the same ones on each token.
pub(crate) fn mock_token(label: &str) -> Token {
    let key = |scheme| Key {
        label: key_id(scheme).to_string(),
        scheme: theirs(scheme),
        seed: "seed".into(),
        id: String::new(),
    };
    Token {
        key: SCHEMES.map(key).into(),
        ..Token::new(label, PIN)
    }
}

pub(crate) fn key_id(scheme: Scheme) -> KeyId {
    id(&format!("test.{scheme}.v1"))
}

/// The key's public key, known without asking a token.
pub(crate) fn public_key(scheme: Scheme) -> Vec<u8> {
    sigwarden_mock_hsm::public_key("seed", &key_id(scheme).to_string(), theirs(scheme))
}

/// Writes the configuration, to be read when the backend starts the library.
pub(crate) fn configure(token: Vec<Token>) {
    let config = Config {
        directory: Some("tokens".into()),
        faults: Some("faults.toml".into()),
        token,
    };
    config.write(&place().join("mock.toml")).unwrap();
}

/// A mock with tokens of these labels, and the settings that name them.
pub(crate) fn mock(labels: &[&str]) -> Vec<TokenSettings> {
    configure(labels.iter().map(|label| mock_token(label)).collect());
    labels.iter().map(|label| crate::support::token(&library(), label)).collect()
}

/// Makes a token fail so from now on, and the others not.
pub(crate) fn fail(token: &str, faults: TokenFaults) {
    Faults::of(token, faults).write(&place().join("faults.toml")).unwrap();
}

pub(crate) fn fail_signing(token: &str, signing: SigningFaults) {
    fail(
        token,
        TokenFaults {
            signing,
            ..TokenFaults::default()
        },
    );
}

/// Ends every fault.
pub(crate) fn mend() {
    Faults::default().write(&place().join("faults.toml")).unwrap();
}
