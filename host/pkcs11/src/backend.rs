//! The backend: keys on one token, or the same keys on several.

use crate::counters::{Counters, Tally};
use crate::encoding;
use crate::failure::Failure;
use crate::keeper::Keeper;
use crate::mechanism::MechanismChoice;
use crate::objects::{self, Wanted};
use crate::settings::{KeySettings, Settings, SettingsError};
use crate::status::{Distrusted, TokenState, TokenStatus};
use crate::token::{Limit, Token};
use sigwarden_core::fact::SigningInput;
use sigwarden_core::key::KeyId;
use sigwarden_core::{Backend, BackendFailure, Committed, RawSignature, Scheme};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How long the end of the backend waits for the threads that watch its tokens: a library that hangs would keep it for ever.
const END_MAX: Duration = Duration::from_secs(2);
/// How long an operator's command waits for a token that has no deadline of its own. A key that comes later is found by the next command.
const COMMAND_MAX: Duration = Duration::from_secs(30);

/// Signs with keys on tokens.
pub struct Pkcs11Backend {
    settings: Settings,
    keys: RwLock<BTreeMap<KeyId, KeySettings>>,
    tokens: Vec<Arc<Token>>,
    tally: Arc<Tally>,
    distrusted: Mutex<BTreeMap<KeyId, Distrusted>>,
    /// Tokens, by their place, that lacked a key when [`Self::public_key`] last looked: they are not asked to sign with it.
    lacking: Mutex<BTreeMap<KeyId, BTreeSet<usize>>>,
}

/// A backend that cannot be made. A token that is not there is no reason: it may come.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings make no sense.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The system starts no thread to watch a token.
    #[error("no thread for the token `{token}`: {why}")]
    Thread {
        /// The token.
        token: String,
        /// Why.
        why: std::io::Error,
    },
}

impl Pkcs11Backend {
    /// Looks for the tokens and logs in: one attempt each. Waits until each was looked for once, at most [`crate::Pace::patience`]. Tokens that
    /// are missing or refuse the PIN are no error: [`Self::tokens`] tells, and what goes away by itself is tried again by itself.
    ///
    /// # Errors
    /// The settings make no sense; no threads.
    pub fn open(mut settings: Settings) -> Result<Self, OpenError> {
        settings.validate()?;
        let tally = Arc::<Tally>::default();
        let tokens = std::mem::take(&mut settings.tokens);
        let keys = RwLock::new(std::mem::take(&mut settings.keys));
        let token = |place| Arc::new(Token::new(place, settings.pace, settings.sessions, Arc::clone(&tally)));
        let backend = Self {
            tokens: tokens.into_iter().map(token).collect(),
            tally,
            distrusted: Mutex::default(),
            lacking: Mutex::default(),
            keys,
            settings,
        };
        for token in &backend.tokens {
            let keeper = Keeper::new(Arc::clone(token), backend.settings.by_operator);
            let thread = std::thread::Builder::new()
                .name("pkcs11-keeper".into())
                .spawn(move || keeper.keep());
            thread.map_err(|why| OpenError::Thread {
                token: token.label().into(),
                why,
            })?;
        }
        let until = Instant::now() + backend.settings.pace.patience;
        for token in &backend.tokens {
            token.wait_for_look(until);
        }
        Ok(backend)
    }

    /// The backend's name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Signs each input, in order, with the key of this id, and verifies each signature against `public_key`. With several tokens the next
    /// one is asked if one fails, for all inputs anew; signatures of one token are released, or none.
    ///
    /// # Errors
    /// No token signed; the key is distrusted, or becomes so now.
    pub fn sign_inputs<'a>(
        &self,
        id: &KeyId,
        scheme: Scheme,
        public_key: &[u8],
        inputs: impl Iterator<Item = &'a SigningInput>,
    ) -> Result<Vec<RawSignature>, Failure> {
        let begun = Instant::now();
        let inputs: Arc<[SigningInput]> = inputs.cloned().collect();
        let wanted = self.wanted(id, scheme)?;
        for input in inputs.iter() {
            check_input(id, scheme, input)?;
        }
        if let Some(distrusted) = self.distrusted.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            return Err(Failure::Distrusted {
                key: id.clone(),
                token: distrusted.token.clone(),
                what: distrusted.what.clone(),
            });
        }
        let limit = match self.settings.call_deadline {
            Some(deadline) => Limit::Strict(deadline),
            None => {
                let inputs = u32::try_from(inputs.len()).unwrap_or(u32::MAX);
                Limit::Lenient(Settings::SIGNATURE_MAX.saturating_mul(inputs).min(Settings::WAIT_MAX))
            }
        };
        let pinned: Arc<[u8]> = public_key.into();
        let mut failures = Vec::new();
        let lacking = self.lacking(id);
        for (_, token) in self.in_order().into_iter().filter(|(place, _)| !lacking.contains(place)) {
            if !failures.is_empty() {
                self.tally.failed_over();
            }
            let signed = {
                let (wanted, pinned, inputs) = (wanted.clone(), Arc::clone(&pinned), Arc::clone(&inputs));
                token.run(self.settings.session_wait, limit, move |token, open| {
                    objects::sign(token, open, &wanted, &pinned, &inputs)
                })
            };
            match signed.and_then(|signatures| verify(token, &wanted, &pinned, &inputs, signatures)) {
                Ok(signatures) => {
                    self.tally.succeeded(signatures.len(), begun.elapsed());
                    return Ok(signatures);
                }
                Err(failure) => {
                    self.tally.failed(failure.kind());
                    if let Failure::Lie { token, what, .. } = &failure {
                        self.distrust(id, token, what);
                    }
                    if !failure.may_fail_over() {
                        return Err(failure);
                    }
                    failures.push(failure);
                }
            }
        }
        Err(one_or_every(failures))
    }

    /// Makes a key on the first token, private, sensitive, not extractable, and returns its public key. With several tokens it must then be
    /// copied to the others with their vendor's tools: a key that can be copied by a host is no key of an HSM.
    ///
    /// # Errors
    /// The label is taken, the scheme is not to be had, the token fails.
    pub fn generate(&self, id: &KeyId, scheme: Scheme) -> Result<Vec<u8>, Failure> {
        let wanted = self.wanted(id, scheme)?;
        let Some(token) = self.tokens.first() else {
            return Err(Failure::Every(Vec::new()));
        };
        token.run(self.settings.session_wait, Limit::Strict(COMMAND_MAX), move |token, open| {
            objects::generate(token, open, &wanted)
        })
    }

    /// The public key of a key on the first token, where [`Self::generate`] makes keys; None if the token answers and has none.
    ///
    /// # Errors
    /// The token does not answer, has several such keys, or one of another kind.
    pub fn first_public_key(&self, id: &KeyId, scheme: Scheme) -> Result<Option<Vec<u8>>, Failure> {
        let wanted = self.wanted(id, scheme)?;
        let Some(token) = self.tokens.first() else {
            return Err(Failure::Every(Vec::new()));
        };
        let told = token.run(self.settings.session_wait, Limit::Strict(COMMAND_MAX), move |token, open| {
            objects::exported(token, &open.session, &wanted)
        });
        match told {
            Ok(key) => Ok(Some(key)),
            Err(Failure::NoKey { .. }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Takes in what is special about a key that was configured since the backend was opened.
    ///
    /// # Errors
    /// Another key has the label.
    pub fn learn(&self, id: &KeyId, special: KeySettings) -> Result<(), SettingsError> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let mut all = keys.clone();
        all.insert(id.clone(), special);
        self.settings.validate_labels(&all)?;
        *keys = all;
        Ok(())
    }

    /// A key's public key in its scheme's encoding, from every token that is ready. A token that lacks a key which another one has is an
    /// error in the log, and is not asked to sign with it until a later look finds the key there.
    ///
    /// # Errors
    /// No token is ready, or none that is has the key; one has several such keys, or does not tell its public key; two have different ones.
    pub fn public_key(&self, id: &KeyId, scheme: Scheme) -> Result<Vec<u8>, Failure> {
        let wanted = self.wanted(id, scheme)?;
        let mut found: Option<(&Token, Vec<u8>)> = None;
        let (mut failures, mut missing, mut lacking) = (Vec::new(), Vec::new(), self.lacking(id));
        for (place, token) in self.tokens.iter().enumerate() {
            let told = {
                let wanted = wanted.clone();
                let deadline = self.settings.call_deadline.unwrap_or(COMMAND_MAX);
                token.run(self.settings.session_wait, Limit::Strict(deadline), move |token, open| {
                    objects::exported(token, &open.session, &wanted)
                })
            };
            if told.is_ok() {
                lacking.remove(&place);
            }
            match (told, &found) {
                (Ok(key), None) => found = Some((token, key)),
                (Ok(key), Some((first, known))) if key != *known => {
                    return Err(Failure::Differ {
                        first: first.label().into(),
                        second: token.label().into(),
                        label: wanted.label,
                    });
                }
                (Ok(_), Some(_)) => {}
                // A token that is away tells nothing.
                (Err(failure @ Failure::NotReady { .. }), _) => failures.push(failure),
                (Err(failure @ Failure::NoKey { .. }), _) => {
                    lacking.insert(place);
                    missing.push(failure);
                }
                (Err(failure), _) => return Err(failure),
            }
        }
        let Some((_, key)) = found else {
            // One that is away may have it. If none is, the first that lacks it says what there is.
            match failures.is_empty() {
                true => missing.truncate(1),
                false => missing.append(&mut failures),
            }
            return Err(one_or_every(missing));
        };
        for lacks in missing {
            tracing::error!(
                backend = %self.settings.name,
                key = %id,
                "{lacks}; another token has it and signs alone: copy the key with the vendor's tools, then restart the daemon"
            );
        }
        let mut all = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        match lacking.is_empty() {
            true => all.remove(id),
            false => all.insert(id.clone(), lacking),
        };
        Ok(key)
    }

    fn lacking(&self, id: &KeyId) -> BTreeSet<usize> {
        let lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        lacking.get(id).cloned().unwrap_or_default()
    }

    /// Deriving a child key on the token: PKCS#11 has no mechanism for BIP-32, so this always refuses.
    ///
    /// # Errors
    /// Always.
    pub fn derive(&self, id: &KeyId) -> Result<Vec<u8>, Failure> {
        Err(Failure::NotOverPkcs11 {
            what: format!(
                "`{id}`: tokens derive no child keys over PKCS#11; generate a key of its own, or derive in a `sealed-file` backend"
            ),
        })
    }

    /// How the tokens are, the preferred one first.
    #[must_use]
    pub fn tokens(&self) -> Vec<TokenStatus> {
        self.tokens.iter().map(|token| token.status()).collect()
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let in_use: usize = self.tokens.iter().map(|token| token.status().sessions_in_use).sum();
        self.tally.read(in_use as u64)
    }

    /// An operator acts: tokens that are not ready are looked for now, and a PIN that was refused is used once more. Waits for the outcome.
    pub fn retry_login(&self) -> Vec<TokenStatus> {
        let until = Instant::now() + self.settings.pace.patience;
        let waiting = self.tokens.iter().filter(|token| token.state() != TokenState::Ready);
        let asked: Vec<_> = waiting.map(|token| (token, token.operator_acts())).collect();
        for (token, served) in asked {
            token.wait_for_operator(served, until);
        }
        self.tokens()
    }

    /// Keys that a token was caught lying about. They do not sign.
    #[must_use]
    pub fn distrusted(&self) -> Vec<Distrusted> {
        let distrusted = self.distrusted.lock().unwrap_or_else(PoisonError::into_inner);
        distrusted.values().cloned().collect()
    }

    /// An operator has found out what it was: the key may sign again. False if it was not distrusted.
    pub fn trust_again(&self, id: &KeyId) -> bool {
        let known = self.distrusted.lock().unwrap_or_else(PoisonError::into_inner).remove(id).is_some();
        if known {
            tracing::warn!(backend = %self.settings.name, key = %id, "an operator trusts the key again");
        }
        known
    }

    fn wanted(&self, id: &KeyId, scheme: Scheme) -> Result<Wanted, Failure> {
        let own = MechanismChoice::of(scheme).ok_or_else(|| Failure::NotOverPkcs11 {
            what: format!("`{id}`: PKCS#11 has no mechanism for {scheme}; keep the key in a `sealed-file` backend"),
        })?;
        let special = self.keys.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        let special = special.unwrap_or_default();
        let chosen = special.mechanism.unwrap_or(own);
        if chosen.scheme().is_some_and(|of| of != scheme) {
            return Err(Failure::Request {
                key: id.clone(),
                what: format!("its mechanism is {chosen}, and a key of {scheme} signs with {own}"),
            });
        }
        Ok(Wanted {
            label: special.label(id),
            scheme,
            mechanism: chosen,
        })
    }

    /// In the order of the configuration, those that failed lately after the others.
    fn in_order(&self) -> Vec<(usize, &Arc<Token>)> {
        let mut tokens: Vec<_> = self.tokens.iter().enumerate().collect();
        if tokens.len() > 1 {
            tokens.sort_by_cached_key(|(_, token)| (token.state() != TokenState::Ready, token.is_shaky()));
        }
        tokens
    }

    fn distrust(&self, id: &KeyId, token: &str, what: &str) {
        tracing::error!(
            backend = %self.settings.name,
            key = %id,
            token,
            "ALARM: the token lies ({what}); the key does not sign until an operator trusts it again"
        );
        let mut distrusted = self.distrusted.lock().unwrap_or_else(PoisonError::into_inner);
        distrusted.entry(id.clone()).or_insert_with(|| Distrusted {
            key: id.clone(),
            token: token.into(),
            what: what.into(),
        });
    }
}

impl Backend for Pkcs11Backend {
    fn sign(&self, committed: &Committed) -> Result<Vec<RawSignature>, BackendFailure> {
        let key = committed.key();
        self.sign_inputs(&key.id, key.scheme, &key.public_key, committed.to_sign())
            .map_err(Failure::into_backend_failure)
    }
}

impl Drop for Pkcs11Backend {
    fn drop(&mut self) {
        for token in &self.tokens {
            token.stop();
        }
        let until = Instant::now() + END_MAX;
        for token in &self.tokens {
            token.wait_for_end(until);
        }
    }
}

fn one_or_every(mut failures: Vec<Failure>) -> Failure {
    match failures.pop() {
        Some(only) if failures.is_empty() => only,
        last => {
            failures.extend(last);
            Failure::Every(failures)
        }
    }
}

/// Tokens sign "digests" of any length without complaint, so what they are given is looked at here.
fn check_input(id: &KeyId, scheme: Scheme, input: &SigningInput) -> Result<(), Failure> {
    let (wanted, fits) = match (scheme, input) {
        (Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr, SigningInput::Digest(_)) => return Ok(()),
        (Scheme::Ed25519 | Scheme::MlDsa44, SigningInput::Message(_)) => return Ok(()),
        (Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr, SigningInput::Message(_)) => ("a 32-byte digest", "a message"),
        (Scheme::Ed25519 | Scheme::MlDsa44, SigningInput::Digest(_)) => ("a message", "a digest"),
        (Scheme::MlKem768, SigningInput::Digest(_) | SigningInput::Message(_)) => ("nothing", "an input"),
    };
    Err(Failure::Request {
        key: id.clone(),
        what: format!("{scheme} signs {wanted}, and was given {fits}"),
    })
}

/// Every signature, or none.
fn verify(
    token: &Token,
    wanted: &Wanted,
    pinned: &[u8],
    inputs: &[SigningInput],
    signatures: Vec<Vec<u8>>,
) -> Result<Vec<RawSignature>, Failure> {
    let verified = inputs.iter().zip(signatures).map(|(input, bytes)| {
        encoding::verified(wanted.scheme, pinned, input, bytes).map_err(|what| Failure::Lie {
            token: token.label().into(),
            key: wanted.label.clone(),
            what,
        })
    });
    verified.collect()
}
