//! The `env` backend: keys from environment variables, for developers' networks. Absent from a build without `env-secrets`.

use crate::held::{HeldKey, HoldError};
use crate::os::{TakeVariableError, take_variable};
use crate::secret::SecretKey;
use crate::shield::ShieldError;
use base64ct::{Base64, Encoding};
use sigwarden_core::fact::SigningInput;
use sigwarden_core::key::{KeyId, KeyName};
use sigwarden_core::proof::SharedSecret;
use sigwarden_core::{Backend, BackendFailure, Committed, RawSignature, Scheme};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// The variable that holds a key by default: `SIGWARDEN_SECRET__` and the name, dots as double underscores.
///
/// ```
/// let name = "evm.hot".parse()?;
/// assert_eq!(sigwarden_keys::variable_name(&name), "SIGWARDEN_SECRET__evm__hot");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn variable_name(name: &KeyName) -> String {
    format!("SIGWARDEN_SECRET__{}", name.as_str().replace('.', "__"))
}

/// Why a variable gives no key. Names the variable, never its value.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// It cannot be taken.
    #[error(transparent)]
    Variable(#[from] TakeVariableError),
    /// Two keys name it.
    #[error("two keys name the environment variable `{0}`; each needs its own")]
    Twice(String),
    /// Neither `hex:` nor `b64:` at its beginning.
    #[error("the environment variable `{0}` begins with neither `hex:` nor `b64:`, so it is not clear how its key is written")]
    Prefix(String),
    /// What follows the prefix is not in that encoding.
    #[error("the environment variable `{variable}` is not {encoding} after its prefix")]
    Encoding {
        /// The variable.
        variable: String,
        /// The encoding that its prefix names.
        encoding: &'static str,
    },
    /// Two variables give one secret.
    #[error("the environment variables `{first}` and `{second}` both give the secret `{name}`; one of them is to go")]
    TwoValues {
        /// The secret.
        name: KeyName,
        /// A variable.
        first: String,
        /// Another one.
        second: String,
    },
    /// A variable that looks like one of ours.
    #[error(
        "the environment variable `{0}` names no secret: `SIGWARDEN_SECRET__<namespace>__<key>` is right, or with the IGRA preset \
         `IGRA_SECRET__igra_<namespace>__<key>`, in lower case"
    )]
    Name(String),
    /// No variable gives a key.
    #[error("no environment variable gives the key `{0}`; `{variable}` would", variable = variable_name(.0))]
    NoVariable(KeyName),
    /// No locked memory.
    #[error(transparent)]
    Shield(#[from] ShieldError),
    /// The bytes are no key.
    #[error("the environment variable `{variable}`: {source}")]
    Key {
        /// The variable.
        variable: String,
        /// Why.
        source: HoldError,
    },
}

/// Signs with keys from the environment.
pub struct EnvBackend {
    keys: BTreeMap<KeyId, HeldKey>,
}

impl EnvBackend {
    /// Takes each key's variable out of the environment and wipes it there. Call it at the top of main, before threads run.
    ///
    /// # Errors
    /// A variable is not set, named twice, or holds no key of its scheme; other threads run.
    pub fn from_variables(variables: impl IntoIterator<Item = (KeyId, Scheme, String)>) -> Result<Self, EnvError> {
        let mut values: BTreeMap<String, (KeyId, Scheme, Zeroizing<Vec<u8>>)> = BTreeMap::new();
        for (id, scheme, variable) in variables {
            if values.contains_key(&variable) {
                return Err(EnvError::Twice(variable));
            }
            let value = take_variable(&variable)?;
            values.insert(variable, (id, scheme, value));
        }
        Self::from_values(values)
    }

    fn from_values(values: BTreeMap<String, (KeyId, Scheme, Zeroizing<Vec<u8>>)>) -> Result<Self, EnvError> {
        let mut backend = Self::empty();
        for (variable, (id, scheme, value)) in values {
            let bytes = decode(&variable, &value)?;
            backend.insert(&variable, id, scheme, &bytes)?;
        }
        Ok(backend)
    }

    pub(crate) fn empty() -> Self {
        Self { keys: BTreeMap::new() }
    }

    pub(crate) fn insert(&mut self, variable: &str, id: KeyId, scheme: Scheme, bytes: &[u8]) -> Result<(), EnvError> {
        let held = SecretKey::from_bytes(scheme, bytes)
            .map_err(HoldError::from)
            .and_then(|key| HeldKey::hold(scheme, &key))
            .map_err(|source| EnvError::Key {
                variable: variable.to_owned(),
                source,
            })?;
        self.keys.insert(id, held);
        Ok(())
    }

    /// A key's public key.
    #[must_use]
    pub fn public_key(&self, id: &KeyId) -> Option<Vec<u8>> {
        self.keys.get(id).map(|key| key.public().encode())
    }

    pub(crate) fn sign_inputs<'a>(
        &self,
        id: &KeyId,
        scheme: Scheme,
        inputs: impl Iterator<Item = &'a SigningInput>,
    ) -> Result<Vec<RawSignature>, BackendFailure> {
        self.key(id, scheme)?.sign(inputs)
    }

    fn key(&self, id: &KeyId, scheme: Scheme) -> Result<&HeldKey, BackendFailure> {
        match self.keys.get(id) {
            Some(key) if key.public().scheme() == scheme => Ok(key),
            Some(_) | None => Err(BackendFailure::Failed(format!("no variable gave a key of {scheme} for `{id}`"))),
        }
    }
}

impl Backend for EnvBackend {
    fn waits(&self) -> bool {
        false
    }

    fn sign(&self, committed: &Committed) -> Result<Vec<RawSignature>, BackendFailure> {
        let key = committed.key();
        self.sign_inputs(&key.id, key.scheme, committed.to_sign())
    }

    fn decapsulate(&self, committed: &Committed) -> Result<SharedSecret, BackendFailure> {
        let key = committed.key();
        self.key(&key.id, key.scheme)?.decapsulate(committed.to_sign())
    }
}

/// `hex:` and hexadecimal digits, or `b64:` and base64 with padding (RFC 4648 §4). Other secrets may be plain text; a key that is
/// plain text would be a guessable one.
pub(crate) fn decode(variable: &str, value: &[u8]) -> Result<Zeroizing<Vec<u8>>, EnvError> {
    let wrong = |encoding| EnvError::Encoding {
        variable: variable.to_owned(),
        encoding,
    };
    if let Some(digits) = value.strip_prefix(b"hex:") {
        return hex::decode(digits).map(Zeroizing::new).map_err(|_| wrong("hexadecimal"));
    }
    if let Some(text) = value.strip_prefix(b"b64:") {
        let text = std::str::from_utf8(text).map_err(|_| wrong("base64"))?;
        return Base64::decode_vec(text)
            .map(Zeroizing::new)
            .map_err(|_| wrong("base64 with padding"));
    }
    Err(EnvError::Prefix(variable.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    fn backend(value: &str) -> Result<EnvBackend, EnvError> {
        let id: KeyId = "evm.hot.v1".parse().unwrap();
        let value = Zeroizing::new(value.as_bytes().to_vec());
        EnvBackend::from_values(BTreeMap::from([("VARIABLE".to_owned(), (id, Scheme::Secp256k1Ecdsa, value))]))
    }

    /// The public key of 1 is the base point (SEC 2 §2.4.1).
    const ONE: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    #[test]
    fn hexadecimal_and_base64_give_the_key() {
        let id = "evm.hot.v1".parse().unwrap();
        for value in [
            "hex:0000000000000000000000000000000000000000000000000000000000000001",
            "b64:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=",
        ] {
            let backend = backend(value).ok().unwrap();
            assert_eq!(hex::encode(backend.public_key(&id).unwrap()), ONE);
            let digest = SigningInput::Digest([5; 32]);
            let signed = backend.sign_inputs(&id, Scheme::Secp256k1Ecdsa, [&digest].into_iter()).unwrap();
            let [signature] = signed.as_slice() else {
                panic!("one input, one signature")
            };
            let public_key = hex::decode(ONE).unwrap();
            assert_eq!(
                sigwarden_core::verify::verify(Scheme::Secp256k1Ecdsa, &public_key, &digest, signature),
                Ok(())
            );
        }
    }

    #[test]
    fn a_value_that_does_not_decode_is_refused_by_name_and_not_quoted() {
        for value in [
            "hex:zz77secret",
            "b64:zz77secret*",
            "b64:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE",
            "zz77secret",
            "hex:77",
        ] {
            let Err(error) = backend(value) else { panic!("{value} was read") };
            let text = error.to_string();
            assert!(text.contains("`VARIABLE`"), "{text}");
            assert!(!text.contains("77"), "{text}");
        }
    }

    #[test]
    fn another_key_or_scheme_is_refused() {
        let backend = backend(&format!("hex:{}", "11".repeat(32))).ok().unwrap();
        let digest = SigningInput::Digest([5; 32]);
        let sign = |id: &str, scheme| backend.sign_inputs(&id.parse().unwrap(), scheme, [&digest].into_iter());
        assert!(sign("evm.hot.v1", Scheme::Secp256k1Ecdsa).is_ok());
        assert!(matches!(sign("evm.hot.v2", Scheme::Secp256k1Ecdsa), Err(BackendFailure::Failed(_))));
        assert!(matches!(
            sign("evm.hot.v1", Scheme::Secp256k1Schnorr),
            Err(BackendFailure::Failed(_))
        ));
    }
}
