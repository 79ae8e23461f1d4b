//! Keys at the start: what the configuration names must be in its backend, with the public key that configuration and ledger expect.

use super::backends::{Backends, Held};
use crate::config::{Config, Key};
use sigwarden_core::key::{KeyEntry, KeyId};
use sigwarden_core::stages::authorize::Keyring;
use sigwarden_core::state::{Effect, State};
use sigwarden_core::{KeyState, Role, Scheme};
use std::collections::HashMap;

/// Who says which public key a key must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicKeySource {
    /// `public_key` in sigwarden.toml.
    Configuration,
    /// The ledger, where it was pinned when the key was made or first used.
    Ledger,
}

impl std::fmt::Display for PublicKeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Configuration => "`public_key` in sigwarden.toml",
            Self::Ledger => "the ledger",
        })
    }
}

/// A key is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The backend has no such key.
    #[error(
        "key {id}: backend `{backend}` has no such key; `sigwarden keys generate` or `keys import` makes one, or take the `[[key]]` out"
    )]
    Missing {
        /// The key.
        id: KeyId,
        /// The backend.
        backend: String,
    },
    /// The backend lists it, but cannot give it.
    #[error("key {id}: {reason}; restore the file from its backup, or take the `[[key]]` out")]
    Unusable {
        /// The key.
        id: KeyId,
        /// What is wrong with it.
        reason: String,
    },
    /// The secret was revoked or destroyed under another name.
    #[error(
        "key {id}: this is the secret of {of}, which was withdrawn for good; it does not come back under another name, so take the `[[key]]` out"
    )]
    Withdrawn {
        /// The key.
        id: KeyId,
        /// The name under which it was withdrawn.
        of: KeyId,
    },
    /// The backend does not answer, and nobody knows the key's public key yet.
    #[error("key {id}: {reason}. It was never seen, so it cannot be told from another; let its token answer once")]
    NotSeen {
        /// The key.
        id: KeyId,
        /// What the backend said.
        reason: String,
    },
    /// The key is of another scheme.
    #[error("key {id}: configured as {configured}, but {source} knows it as {found}", source = .by)]
    Scheme {
        /// The key.
        id: KeyId,
        /// In the configuration.
        configured: Scheme,
        /// In the backend or ledger.
        found: Scheme,
        /// Who says so.
        by: &'static str,
    },
    /// The key has another public key.
    #[error("key {id}: {source} says its public key is {expected}, the backend's is {found}; this is another key, and another key is another version", source = .by)]
    PublicKey {
        /// The key.
        id: KeyId,
        /// Who expects another one.
        by: PublicKeySource,
        /// The public key expected, hex.
        expected: String,
        /// The backend's, hex.
        found: String,
    },
    /// Two keys are one.
    #[error("keys {first} and {second} have one public key, {public_key}; if that is meant, say `replica_of = \"{first}\"` on the second")]
    Same {
        /// One.
        first: KeyId,
        /// The other.
        second: KeyId,
        /// The public key, hex.
        public_key: String,
    },
    /// Two keys are one secret, of two schemes.
    #[error(
        "keys {first} and {second} are one secp256k1 secret under two schemes; floors and policies would take them for two keys, so take one of them out"
    )]
    TwoSchemes {
        /// One.
        first: KeyId,
        /// The other.
        second: KeyId,
    },
    /// A replica is none.
    #[error("key {id}: `replica_of` names {of}, which has another public key")]
    NoReplica {
        /// The key.
        id: KeyId,
        /// What it should be a replica of.
        of: KeyId,
    },
}

/// Keys that hold.
pub(super) struct Checked {
    pub(super) keyring: Keyring,
    /// Public keys that the ledger does not know yet.
    pub(super) to_pin: Vec<Effect>,
}

/// Checks every key; all faults at once.
pub(super) fn check(config: &Config, backends: &Backends, state: &State, now_ms: u64) -> Result<Checked, Vec<KeyFault>> {
    let mut checked = Checked {
        keyring: Keyring::default(),
        to_pin: Vec::new(),
    };
    let mut faults = Vec::new();
    let mut found: HashMap<KeyId, Vec<u8>> = HashMap::with_capacity(config.keys.len());
    for key in config.keys.iter() {
        match check_one(config, key, backends, state, now_ms) {
            Ok((entry, pin)) => {
                found.insert(key.id.clone(), entry.public_key.clone());
                checked.keyring.insert(entry);
                checked.to_pin.extend(pin);
            }
            Err(fault) => faults.push(fault),
        }
    }
    for (id, status) in &state.keys {
        if status.state == KeyState::Destroyed && !found.contains_key(id) {
            backends.sweep_everywhere(id);
        }
    }
    faults.extend(twins(config, &found));
    if faults.is_empty() { Ok(checked) } else { Err(faults) }
}

fn check_one(config: &Config, key: &Key, backends: &Backends, state: &State, now_ms: u64) -> Result<(KeyEntry, Option<Effect>), KeyFault> {
    if let Some(status) = state.keys.get(&key.id).filter(|status| status.state == KeyState::Destroyed) {
        // Its secret is gone, as it should be; what is left of a destruction that was interrupted is swept now.
        backends.sweep(&key.backend, &key.id);
        return Ok((config.entry(key, status.public_key.clone()), None));
    }
    let id = || key.id.clone();
    let scheme = |found: Scheme, by| {
        if found == key.scheme {
            return Ok(());
        }
        Err(KeyFault::Scheme {
            id: id(),
            configured: key.scheme,
            found,
            by,
        })
    };
    let held = backends.held(&key.backend, &key.id, key.scheme);
    // A version that signs nothing anyway (pending, suspended, revoked) keeps no other from signing: it comes to nothing that its backend
    // lacks it, until it is put to use.
    let resting = state.keys.get(&key.id).filter(|status| !status.state.signs());
    let missing = match &held {
        Held::Missing => Some("it is not there".to_owned()),
        Held::Wrong(reason) => Some(reason.clone()),
        Held::Sealed(_) | Held::Keystore(_) | Held::Public(_) | Held::Unreachable(_) => None,
    };
    let (public_key, created_ms) = if let (Some(status), Some(why)) = (resting, &missing) {
        tracing::error!(key = %key.id, backend = key.backend, state = %status.state, "{why}; it signs nothing in this state, and could not in another");
        (status.public_key.clone(), status.created_ms)
    } else {
        match held {
            Held::Sealed(entry) => {
                scheme(entry.scheme, "the backend")?;
                // A fault that shows at the first signature has taken a floor's position by then.
                let consensus = key.roles.contains(&Role::Consensus);
                backends.check(&key.id, consensus).map_err(|error| KeyFault::Unusable {
                    id: id(),
                    reason: error.to_string(),
                })?;
                (entry.public_key, entry.created_ms)
            }
            Held::Keystore(entry) => {
                scheme(entry.scheme, "the backend")?;
                (entry.public_key, entry.created_ms)
            }
            Held::Public(public_key) => (public_key, now_ms),
            Held::Missing => {
                return Err(KeyFault::Missing {
                    id: id(),
                    backend: key.backend.clone(),
                });
            }
            Held::Wrong(reason) => return Err(KeyFault::Unusable { id: id(), reason }),
            // A token that is away comes back without a restart: until then the key that was pinned stands, and signs nothing.
            Held::Unreachable(why) => match state.keys.get(&key.id) {
                Some(status) => {
                    tracing::error!(key = %key.id, backend = key.backend, "{why}; the pinned public key stands, and what no token signs is refused");
                    (status.public_key.clone(), status.created_ms)
                }
                None => return Err(KeyFault::NotSeen { id: id(), reason: why }),
            },
        }
    };
    let expect = |expected: &[u8], by| {
        if expected == public_key {
            return Ok(());
        }
        Err(KeyFault::PublicKey {
            id: id(),
            by,
            expected: hex::encode(expected),
            found: hex::encode(&public_key),
        })
    };
    if let Some(expected) = &key.public_key {
        expect(expected, PublicKeySource::Configuration)?;
    }
    let pin = match state.keys.get(&key.id) {
        Some(status) => {
            scheme(status.scheme, "the ledger")?;
            expect(&status.public_key, PublicKeySource::Ledger)?;
            None
        }
        None => Some(Effect::KeyPinned {
            key: id(),
            scheme: key.scheme,
            public_key: public_key.clone(),
            created_ms,
            state: crate::admin::first_state(state, &key.id, &public_key).map_err(|of| KeyFault::Withdrawn { id: id(), of })?,
        }),
    };
    Ok((config.entry(key, public_key), pin))
}

/// Whether two public keys are of one secret. A secp256k1 secret has a compressed public key for ECDSA and an x-only one for Schnorr.
pub(crate) fn same_secret(one: &[u8], other: &[u8]) -> bool {
    secret_of(one) == secret_of(other)
}

/// What tells secrets apart: a compressed public key (SEC 1 §2.3.3, 33 bytes) without its sign.
fn secret_of(public_key: &[u8]) -> &[u8] {
    match public_key {
        [2 | 3, x @ ..] if x.len() == 32 => x,
        other => other,
    }
}

/// Keys with one public key that are not declared replicas, and declared replicas that are none. A floor goes by public key, but
/// policies' state and permissions go by name.
fn twins(config: &Config, found: &HashMap<KeyId, Vec<u8>>) -> Vec<KeyFault> {
    let mut faults = Vec::new();
    let mut owners: HashMap<&[u8], &KeyId> = HashMap::with_capacity(found.len());
    let originals = config.keys.iter().filter(|key| key.replica_of.is_none());
    for key in originals {
        let Some(public_key) = found.get(&key.id) else { continue };
        if let Some(first) = owners.insert(secret_of(public_key), &key.id) {
            let (first, second) = (first.clone(), key.id.clone());
            faults.push(match found.get(&first) == Some(public_key) {
                true => KeyFault::Same {
                    first,
                    second,
                    public_key: hex::encode(public_key),
                },
                false => KeyFault::TwoSchemes { first, second },
            });
        }
    }
    for key in config.keys.iter() {
        let (Some(of), Some(public_key)) = (&key.replica_of, found.get(&key.id)) else {
            continue;
        };
        if found.get(of).is_some_and(|original| original != public_key) {
            faults.push(KeyFault::NoReplica {
                id: key.id.clone(),
                of: of.clone(),
            });
        }
    }
    faults
}
