//! The `mock-hsm` backend: an HSM that fails as a script says, for tests and developers' networks. Its keys come from the script's
//! seed and protect nothing.

use crate::held::{HeldKey, HoldError};
use crate::secret::{SECRET_KEY_MAX, SecretKey, SecretKeyError, secret_key_bytes};
use serde::Deserialize;
use sigwarden_core::fact::SigningInput;
use sigwarden_core::key::KeyId;
use sigwarden_core::proof::SharedSecret;
use sigwarden_core::{Backend, BackendFailure, Committed, RawSignature, Scheme};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// What the mock does: data, so that a test or a configuration writes it down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MockScript {
    /// What the keys are derived from: the same seed, the same keys.
    #[serde(default)]
    pub seed: String,
    /// Faults of every key that has none of its own.
    #[serde(default)]
    pub faults: Faults,
    /// Faults by key, `namespace.key_id.v1`.
    #[serde(default)]
    pub keys: BTreeMap<KeyId, Faults>,
}

/// What goes wrong. By default nothing does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// It answers so late, milliseconds; at most [`Self::LATENCY_MAX_MS`] are waited.
    pub latency_ms: u64,
    /// It does not answer at all.
    pub unavailable: bool,
    /// It answers that it has no session free.
    pub busy: bool,
    /// It signs so many times (all keys counted, since the faults were set), then answers with an error.
    pub fail_after: Option<u64>,
    /// The signature does not verify.
    pub wrong_signature: bool,
    /// The signature is another key's.
    pub wrong_key: bool,
    /// ECDSA: S is in the upper half of the order. Ed25519: S is the order too large. BIP-340 and ML-DSA have no such form: there the
    /// signature does not verify.
    pub high_s: bool,
    /// The signature has a byte too few.
    pub short_signature: bool,
    /// It answers with one signature too few.
    pub missing_signature: bool,
}

impl Faults {
    /// A minute: no client waits longer, and a typing error stops nobody's test for an hour.
    pub const LATENCY_MAX_MS: u64 = 60_000;
}

/// The mock.
pub struct MockHsm {
    script: RwLock<Arc<MockScript>>,
    keys: RwLock<BTreeMap<KeyId, Arc<MockKey>>>,
    signed: AtomicU64,
}

struct MockKey {
    right: HeldKey,
    wrong: HeldKey,
}

impl MockHsm {
    /// A mock without keys.
    #[must_use]
    pub fn new(script: MockScript) -> Self {
        Self {
            script: RwLock::new(Arc::new(script)),
            keys: RwLock::default(),
            signed: AtomicU64::new(0),
        }
    }

    /// Derives a key from seed, id and scheme; the same ones give the same key. Returns the public key.
    ///
    /// # Errors
    /// No locked memory.
    pub fn generate(&self, id: &KeyId, scheme: Scheme) -> Result<Vec<u8>, HoldError> {
        let seed = self.script().seed.clone();
        let key = MockKey {
            right: HeldKey::hold(scheme, &derive(&seed, id, scheme, "right")?)?,
            wrong: HeldKey::hold(scheme, &derive(&seed, id, scheme, "wrong")?)?,
        };
        let public_key = key.right.public().encode();
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(id.clone(), Arc::new(key));
        Ok(public_key)
    }

    /// A key's public key.
    #[must_use]
    pub fn public_key(&self, id: &KeyId) -> Option<Vec<u8>> {
        self.key(id).map(|key| key.right.public().encode())
    }

    /// Replaces the faults of every key while the mock runs, and counts `fail_after` anew.
    pub fn set_faults(&self, faults: Faults) {
        self.change(|script| script.faults = faults);
    }

    /// Replaces the faults of one key, or with None lets those of every key apply, and counts `fail_after` anew.
    pub fn set_key_faults(&self, id: &KeyId, faults: Option<Faults>) {
        self.change(|script| match faults {
            Some(faults) => {
                script.keys.insert(id.clone(), faults);
            }
            None => {
                script.keys.remove(id);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut MockScript)) {
        let mut script = self.script.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut script));
        self.signed.store(0, Ordering::SeqCst);
    }

    fn script(&self) -> Arc<MockScript> {
        Arc::clone(&self.script.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn key(&self, id: &KeyId) -> Option<Arc<MockKey>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(id).map(Arc::clone)
    }

    fn sign_inputs<'a>(
        &self,
        id: &KeyId,
        scheme: Scheme,
        inputs: impl Iterator<Item = &'a SigningInput>,
    ) -> Result<Vec<RawSignature>, BackendFailure> {
        let (key, faults) = self.admit(id, scheme)?;
        let signer = if faults.wrong_key { &key.wrong } else { &key.right };
        let mut signatures = signer.sign(inputs)?;
        for signature in &mut signatures {
            spoil(&faults, scheme, signature);
        }
        if faults.missing_signature {
            signatures.pop();
        }
        Ok(signatures)
    }

    fn decapsulate_inputs<'a>(
        &self,
        id: &KeyId,
        scheme: Scheme,
        inputs: impl Iterator<Item = &'a SigningInput>,
    ) -> Result<SharedSecret, BackendFailure> {
        let (key, faults) = self.admit(id, scheme)?;
        // A token that answers wrongly answers with a secret that nobody shares: nothing tells it from a right one.
        let astray = faults.wrong_key || faults.wrong_signature;
        if astray { &key.wrong } else { &key.right }.decapsulate(inputs)
    }

    /// The key and its faults, unless the script lets the operation fail before it begins.
    fn admit(&self, id: &KeyId, scheme: Scheme) -> Result<(Arc<MockKey>, Faults), BackendFailure> {
        let script = self.script();
        let faults = script.keys.get(id).unwrap_or(&script.faults);
        if faults.latency_ms > 0 {
            std::thread::sleep(Duration::from_millis(faults.latency_ms.min(Faults::LATENCY_MAX_MS)));
        }
        if faults.unavailable {
            return Err(BackendFailure::Unavailable("the mock HSM is unavailable, as scripted".into()));
        }
        if faults.busy {
            return Err(BackendFailure::Unavailable("the mock HSM has no session free, as scripted".into()));
        }
        let key = self
            .key(id)
            .filter(|key| key.right.public().scheme() == scheme)
            .ok_or_else(|| BackendFailure::Failed(format!("the mock HSM has no key of {scheme} for `{id}`")))?;
        let before = self.signed.fetch_add(1, Ordering::SeqCst);
        if faults.fail_after.is_some_and(|limit| before >= limit) {
            return Err(BackendFailure::Failed("the mock HSM fails from here on, as scripted".into()));
        }
        Ok((key, faults.clone()))
    }
}

impl Backend for MockHsm {
    fn waits(&self) -> bool {
        let script = self.script.read().unwrap_or_else(PoisonError::into_inner);
        std::iter::once(&script.faults)
            .chain(script.keys.values())
            .any(|faults| faults.latency_ms > 0)
    }

    fn sign(&self, committed: &Committed) -> Result<Vec<RawSignature>, BackendFailure> {
        let key = committed.key();
        self.sign_inputs(&key.id, key.scheme, committed.to_sign())
    }

    fn decapsulate(&self, committed: &Committed) -> Result<SharedSecret, BackendFailure> {
        let key = committed.key();
        self.decapsulate_inputs(&key.id, key.scheme, committed.to_sign())
    }
}

/// `BLAKE3-derive-key("sigwarden mock hsm v1", length || seed || id || scheme || which || attempt)`, as many bytes as the scheme wants,
/// drawn again until it is a key.
fn derive(seed: &str, id: &KeyId, scheme: Scheme, which: &str) -> Result<SecretKey, SecretKeyError> {
    let mut attempt = 0_u64;
    loop {
        let mut hasher = blake3::Hasher::new_derive_key("sigwarden mock hsm v1");
        for part in [seed, &id.to_string(), scheme.name(), which] {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&attempt.to_be_bytes());
        let mut bytes = [0; SECRET_KEY_MAX];
        let (bytes, _) = bytes.split_at_mut(secret_key_bytes(scheme));
        hasher.finalize_xof().fill(bytes);
        match SecretKey::from_bytes(scheme, bytes) {
            Err(SecretKeyError::Range(_)) => attempt += 1,
            derived => return derived,
        }
    }
}

fn spoil(faults: &Faults, scheme: Scheme, signature: &mut RawSignature) {
    if faults.high_s {
        match scheme {
            Scheme::Secp256k1Ecdsa => raise_ecdsa(signature),
            Scheme::Ed25519 => raise_ed25519(&mut signature.bytes),
            Scheme::Secp256k1Schnorr | Scheme::MlDsa44 | Scheme::MlKem768 => flip(&mut signature.bytes),
        }
    }
    if faults.wrong_signature {
        flip(&mut signature.bytes);
    }
    if faults.short_signature {
        signature.bytes.pop();
    }
}

fn flip(bytes: &mut [u8]) {
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
}

/// `(r, s)` to `(r, n - s)`, which signs the same (SEC 1 §4.1.4), and whose recovery id has the other parity.
fn raise_ecdsa(signature: &mut RawSignature) {
    let Some((_, tail)) = signature.bytes.split_last_chunk_mut::<32>() else {
        return;
    };
    // A scalar of the curve is what a secret key is to libsecp256k1; this one is public.
    if let Ok(s) = secp256k1::SecretKey::from_secret_bytes(*tail) {
        *tail = s.negate().to_secret_bytes();
        signature.recovery_id = signature.recovery_id.map(|id| id ^ 1);
    }
}

/// The order of edwards25519, `2^252 + 27742317777372353535851937790883648493` (RFC 8032 §5.1), little-endian.
const ED25519_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0x10,
];

/// `S` to `S + L`, which RFC 8032 §5.1.7 refuses.
fn raise_ed25519(bytes: &mut [u8]) {
    let mut carry = 0_u16;
    for (byte, order) in bytes.iter_mut().skip(32).zip(ED25519_ORDER) {
        let [low, high] = (u16::from(*byte) + u16::from(order) + carry).to_le_bytes();
        *byte = low;
        carry = u16::from(high);
    }
}

#[cfg(test)]
#[path = "mock_hsm_tests.rs"]
mod tests;
