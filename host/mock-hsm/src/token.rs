//! One token: its PIN, its login, its objects.

use crate::attributes::{Answer, Attribute, Object, Origin, Wanted};
use crate::config::{self, Config, ConfigError};
use crate::faults::{SigningFaults, TokenFaults};
use crate::keys::{Pair, Scheme};
use crate::store::{Half, KeptObject, Store};
use cryptoki_sys::*;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

/// Objects of a token: two for each key. The ledger's largest tests use fewer, and a file of them is read in one go.
const OBJECTS_MAX: usize = 20_000;

/// Handles of sessions and objects: never given twice in a process, so that a stale one names nothing.
#[derive(Default)]
pub(crate) struct Handles(CK_ULONG);

impl Handles {
    /// A new one. Never `CK_INVALID_HANDLE`, which is 0.
    pub(crate) fn next(&mut self) -> CK_ULONG {
        self.0 += 1;
        self.0
    }
}

/// A token.
pub(crate) struct Token {
    pub(crate) settings: config::Token,
    slot: CK_SLOT_ID,
    store: Store,
    configured: Vec<Object>,
    objects: BTreeMap<CK_OBJECT_HANDLE, Object>,
    pub(crate) logged_in: bool,
    pub(crate) faults: TokenFaults,
    /// Signatures since the faults were last changed.
    signatures: u64,
    /// ECDSA signatures: every second one gets a high S.
    ecdsa_signatures: u64,
    /// Calls that will find their session closed.
    pub(crate) closes: u64,
}

impl Token {
    /// Opens a token of the configuration: its keys derived, its file read.
    pub(crate) fn open(settings: &config::Token, slot: CK_SLOT_ID, config: &Config, handles: &mut Handles) -> Result<Self, ConfigError> {
        let store = Store::open(config.directory.as_deref(), &settings.label)?;
        let mut configured = Vec::new();
        for key in &settings.key {
            let pair = Pair::derive(&key.seed, &key.label, key.scheme).map_err(|error| ConfigError::Content {
                path: "the configuration".into(),
                message: format!("key `{}`: {error}", key.label),
            })?;
            let pair = Arc::new(pair);
            for half in [Half::Public, Half::Private] {
                configured.push(Object {
                    half,
                    label: key.label.clone(),
                    // `Config::read` has refused what is not hex.
                    id: hex::decode(&key.id).unwrap_or_default(),
                    pair: Arc::clone(&pair),
                    origin: Origin::Configured,
                });
            }
        }
        let mut token = Self {
            settings: settings.clone(),
            slot,
            store,
            configured,
            objects: BTreeMap::new(),
            logged_in: false,
            faults: TokenFaults::default(),
            signatures: 0,
            ecdsa_signatures: 0,
            closes: 0,
        };
        for object in token.configured.clone() {
            token.objects.insert(handles.next(), object);
        }
        token.take_up_kept(handles).map_err(|_| ConfigError::Content {
            path: settings.label.clone().into(),
            message: "the token's file has an object that is no key".into(),
        })?;
        Ok(token)
    }

    /// The slot it is in.
    pub(crate) fn slot(&self) -> CK_SLOT_ID {
        self.faults.slot.map_or(self.slot, CK_SLOT_ID::from)
    }

    /// Takes new faults, and says whether they took the token away from its sessions.
    pub(crate) fn take_faults(&mut self, faults: TokenFaults) -> bool {
        let back = self.faults.device_removed && !faults.device_removed;
        let elsewhere = self.faults.slot != faults.slot || self.faults.restarts != faults.restarts;
        self.closes = faults.session_closed;
        self.signatures = 0;
        self.faults = faults;
        back || elsewhere
    }

    /// It has made as many signatures as the script lets it.
    pub(crate) fn is_dead(&self) -> bool {
        self.faults.dies_after.is_some_and(|limit| self.signatures >= limit)
    }

    /// Fails if the script says it is busy.
    pub(crate) fn not_busy(&self) -> Answer<()> {
        if self.faults.busy { Err(CKR_FUNCTION_FAILED) } else { Ok(()) }
    }

    /// Sessions there may be at once.
    pub(crate) fn max_sessions(&self) -> u32 {
        self.faults.max_sessions.unwrap_or(self.settings.max_sessions)
    }

    /// The faults of a key.
    pub(crate) fn signing_faults(&self, label: &str) -> &SigningFaults {
        self.faults.key.get(label).unwrap_or(&self.faults.signing)
    }

    /// Counts a signature. Says whether it is to have a high S.
    pub(crate) fn count_signature(&mut self, scheme: Scheme) -> bool {
        self.signatures += 1;
        match scheme {
            Scheme::Secp256k1Ecdsa => {
                self.ecdsa_signatures += 1;
                self.ecdsa_signatures.is_multiple_of(2)
            }
            Scheme::Ed25519 | Scheme::MlDsa44 => false,
        }
    }

    /// Looks at what other processes did to the token.
    pub(crate) fn refresh(&mut self, handles: &mut Handles) -> Answer<()> {
        if self.store.refresh().map_err(|error| complain(&error))? {
            self.take_up_kept(handles)?;
        }
        Ok(())
    }

    /// The `CKF_USER_PIN_` flags.
    pub(crate) fn pin_flags(&self) -> CK_FLAGS {
        let failed = self.store.kept().failed_pin_attempts;
        let left = self.settings.max_pin_attempts.saturating_sub(failed);
        let mut flags = 0;
        if failed > 0 {
            flags |= CKF_USER_PIN_COUNT_LOW;
        }
        match left {
            0 => flags |= CKF_USER_PIN_LOCKED,
            1 => flags |= CKF_USER_PIN_FINAL_TRY,
            _ => {}
        }
        flags
    }

    /// Logs the user in. A second login is refused before the PIN is looked at, so that it checks nothing; a wrong PIN counts, and the
    /// one that was one too many locks the token for all that follow.
    pub(crate) fn login(&mut self, pin: &[u8]) -> Answer<()> {
        if self.logged_in {
            return Err(CKR_USER_ALREADY_LOGGED_IN);
        }
        let failed = self.store.kept().failed_pin_attempts;
        if failed >= self.settings.max_pin_attempts {
            return Err(CKR_PIN_LOCKED);
        }
        let right = pin == self.faults.pin.as_ref().unwrap_or(&self.settings.pin).as_bytes();
        if !right || failed > 0 {
            let attempts = |before: u32| if right { 0 } else { before.saturating_add(1) };
            self.store
                .change(|kept| kept.failed_pin_attempts = attempts(kept.failed_pin_attempts))
                .map_err(|error| complain(&error))?;
        }
        self.logged_in = right;
        if right { Ok(()) } else { Err(CKR_PIN_INCORRECT) }
    }

    /// Logs out. Every handle is stale then, as SoftHSM's are.
    pub(crate) fn logout(&mut self, handles: &mut Handles) {
        self.logged_in = false;
        let objects = std::mem::take(&mut self.objects);
        self.objects = objects.into_values().map(|object| (handles.next(), object)).collect();
    }

    /// The visible object of a handle: private ones are only while logged in, missing ones never.
    pub(crate) fn object(&self, handle: CK_OBJECT_HANDLE) -> Option<&Object> {
        self.objects.get(&handle).filter(|object| self.shows(object))
    }

    fn shows(&self, object: &Object) -> bool {
        (self.logged_in || object.half == Half::Public) && !self.signing_faults(&object.label).missing
    }

    /// The visible objects that match, in the order in which they came to be.
    pub(crate) fn find(&self, template: &[Attribute<'_>]) -> Vec<CK_OBJECT_HANDLE> {
        let matches = |object: &Object| object.matches(template, self.settings.ec_point, self.signing_faults(&object.label));
        let visible = self.objects.iter().filter(|(_, object)| self.shows(object));
        visible.filter(|(_, object)| matches(object)).map(|(handle, _)| *handle).collect()
    }

    /// Generates a pair: public handle, private handle.
    pub(crate) fn generate(
        &mut self,
        scheme: Scheme,
        halves: [(Half, Wanted); 2],
        session: CK_SESSION_HANDLE,
        handles: &mut Handles,
    ) -> Answer<[CK_OBJECT_HANDLE; 2]> {
        if self.objects.len() + halves.len() > OBJECTS_MAX {
            return Err(CKR_DEVICE_MEMORY);
        }
        let [_, (_, private)] = &halves;
        let pair = Arc::new(self.new_pair(&private.label, scheme).map_err(|_| CKR_FUNCTION_FAILED)?);
        let mut kept = Vec::new();
        let made = halves.map(|(half, wanted)| {
            let object = Object {
                half,
                label: wanted.label,
                id: wanted.id,
                pair: Arc::clone(&pair),
                origin: if wanted.token {
                    Origin::Generated
                } else {
                    Origin::Session(session)
                },
            };
            kept.extend(wanted.token.then(|| to_keep(&object)));
            object
        });
        if !kept.is_empty() {
            self.store
                .change(|all| all.object.append(&mut kept))
                .map_err(|error| complain(&error))?;
        }
        Ok(made.map(|object| {
            let handle = handles.next();
            self.objects.insert(handle, object);
            handle
        }))
    }

    /// Derived if the token has a seed: the first key of a label and scheme is that of [`crate::public_key`], the next ones are others.
    fn new_pair(&self, label: &str, scheme: Scheme) -> Result<Pair, crate::keys::KeyError> {
        let Some(seed) = &self.settings.seed else {
            return Pair::random(scheme);
        };
        let same = |object: &&Object| object.half == Half::Private && object.label == label && object.pair.scheme() == scheme;
        match self.objects.values().filter(same).count() {
            0 => Pair::derive(seed, label, scheme),
            before => Pair::derive(seed, &format!("{label}#{before}"), scheme),
        }
    }

    /// Destroys an object, for good unless the configuration has it.
    pub(crate) fn destroy(&mut self, handle: CK_OBJECT_HANDLE) -> Answer<()> {
        let object = self.object(handle).ok_or(CKR_OBJECT_HANDLE_INVALID)?;
        if object.origin == Origin::Generated {
            let gone = to_keep(object);
            self.store
                .change(|kept| {
                    if let Some(place) = kept.object.iter().position(|object| *object == gone) {
                        kept.object.remove(place);
                    }
                })
                .map_err(|error| complain(&error))?;
        }
        self.objects.remove(&handle);
        Ok(())
    }

    /// Destroys the objects of a session.
    pub(crate) fn end_session(&mut self, session: CK_SESSION_HANDLE) {
        self.objects.retain(|_, object| object.origin != Origin::Session(session));
    }

    /// Brings the objects in line with what is kept: those that are still there keep their handles.
    fn take_up_kept(&mut self, handles: &mut Handles) -> Answer<()> {
        let mut missing = self.store.kept().object.clone();
        self.objects.retain(|_, object| {
            if object.origin != Origin::Generated {
                return true;
            }
            let kept = to_keep(object);
            let place = missing.iter().position(|other| *other == kept);
            place.map(|place| missing.remove(place)).is_some()
        });
        let mut pairs: BTreeMap<String, Arc<Pair>> = BTreeMap::new();
        for kept in missing {
            let pair = match pairs.get(&kept.secret) {
                Some(pair) if pair.scheme() == kept.scheme => Arc::clone(pair),
                Some(_) | None => {
                    let mut secret = [0; crate::keys::SECRET_BYTES];
                    hex::decode_to_slice(&kept.secret, &mut secret).map_err(|_| CKR_GENERAL_ERROR)?;
                    let pair = Arc::new(Pair::from_secret(kept.scheme, secret).map_err(|_| CKR_GENERAL_ERROR)?);
                    pairs.insert(kept.secret.clone(), Arc::clone(&pair));
                    pair
                }
            };
            let object = Object {
                half: kept.half,
                label: kept.label,
                id: hex::decode(&kept.id).map_err(|_| CKR_GENERAL_ERROR)?,
                pair,
                origin: Origin::Generated,
            };
            self.objects.insert(handles.next(), object);
        }
        Ok(())
    }
}

fn to_keep(object: &Object) -> KeptObject {
    KeptObject {
        half: object.half,
        label: object.label.clone(),
        id: hex::encode(&object.id),
        scheme: object.pair.scheme(),
        secret: hex::encode(object.pair.secret()),
    }
}

/// Says on standard error what is wrong with a file: PKCS#11 has no words for it.
pub(crate) fn complain(error: &ConfigError) -> CK_RV {
    // Standard error may be closed; then nobody reads it.
    let _ = writeln!(std::io::stderr(), "sigwarden mock HSM: {error}");
    CKR_GENERAL_ERROR
}
