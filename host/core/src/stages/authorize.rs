//! The caller may use the key so; its role, scheme and flags allow the format; it is active.

use crate::caller::Caller;
use crate::format::FormatRefused;
use crate::key::{KeyEntry, KeyId, KeyName};
use crate::proof::{Authorized, Envelope};
use crate::refusal::{Code, Refusal};
use crate::stages::open::key_reference;
use crate::state::{KeyStatus, State};
use crate::vocabulary::{KeyState, Operation};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The keys of the deployment: every version of every name.
#[derive(Debug, Clone, Default)]
pub struct Keyring(BTreeMap<KeyId, Arc<KeyEntry>>);

/// What a caller may know of a key.
#[derive(Debug, Clone)]
pub struct Readable {
    /// The key.
    pub key: Arc<KeyEntry>,
    /// Its status.
    pub status: KeyStatus,
}

impl Keyring {
    /// Adds a key.
    pub fn insert(&mut self, key: KeyEntry) {
        self.0.insert(key.id.clone(), Arc::new(key));
    }

    /// This very version.
    #[must_use]
    pub fn get(&self, id: &KeyId) -> Option<&Arc<KeyEntry>> {
        self.0.get(id)
    }

    /// Every key, by its id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<KeyEntry>> {
        self.0.values()
    }

    /// Every version of a name, in order.
    fn versions(&self, name: &KeyName) -> impl DoubleEndedIterator<Item = &Arc<KeyEntry>> {
        let id = |version| KeyId {
            name: name.clone(),
            version,
        };
        self.0.range(id(0)..=id(u32::MAX)).map(|(_, key)| key)
    }

    /// This version of a name.
    fn version(&self, name: &KeyName, version: u32) -> Option<&Arc<KeyEntry>> {
        self.get(&KeyId {
            name: name.clone(),
            version,
        })
    }

    /// The keys that a client may mean by what it writes: that version, or every one.
    pub(crate) fn named(&self, text: &str) -> Vec<&Arc<KeyEntry>> {
        match key_reference(text) {
            Ok((name, Some(version))) => self.version(&name, version).into_iter().collect(),
            Ok((name, None)) => self.versions(&name).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// The version asked for; without one the newest active, else the newest.
    fn find(&self, name: &KeyName, version: Option<u32>, state: &State) -> Option<Readable> {
        let status = |key: &Arc<KeyEntry>| {
            Some(Readable {
                status: KeyStatus::clone(state.keys.get(&key.id)?),
                key: Arc::clone(key),
            })
        };
        if let Some(version) = version {
            return self.version(name, version).and_then(status);
        }
        let newest_first = || self.versions(name).rev().filter_map(status);
        newest_first()
            .find(|readable| readable.status.state == KeyState::Active)
            .or_else(|| newest_first().next())
    }
}

/// Unknown and forbidden get the same answer.
fn forbidden(operation: Operation, key: &str) -> Refusal {
    Refusal::new(
        Code::CallerForbidden,
        format!("this caller may not use a key `{key}` for `{operation}`, or there is none"),
    )
}

/// A key in this state does not sign.
pub(crate) fn refuse_state(id: &KeyId, state: KeyState) -> Refusal {
    Refusal::new(Code::KeyState, format!("{id} is {state}; only active and grace keys sign"))
}

/// Judges caller, key and format.
///
/// # Errors
/// [`Code::CallerForbidden`], [`Code::SchemeMismatch`], [`Code::FormatRole`], [`Code::FormatRaw`], [`Code::FormatScheme`],
/// [`Code::KeyState`].
pub fn authorize(envelope: Arc<Envelope>, keys: &Keyring, snapshot: State) -> Result<Authorized, Refusal> {
    let format = envelope.format;
    if !envelope.caller.client().may(envelope.operation, &envelope.key, Some(format)) {
        return Err(forbidden(envelope.operation, envelope.key.as_str()));
    }
    let Some(Readable { key, status }) = keys.find(&envelope.key, envelope.version, &snapshot) else {
        return Err(forbidden(envelope.operation, envelope.key.as_str()));
    };
    if let Some(scheme) = envelope.scheme.filter(|scheme| *scheme != key.scheme) {
        return Err(Refusal::new(
            Code::SchemeMismatch,
            format!("{} signs {}, not {scheme}", key.id, key.scheme),
        ));
    }
    format.check(&key).map_err(|refused| {
        let roles = || key.roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ");
        match refused {
            FormatRefused::Role => Refusal::new(Code::FormatRole, format!("a key of role {} does not sign {format}", roles())),
            FormatRefused::Flag(flag) => Refusal::new(
                Code::FormatRaw,
                format!("{} signs {format} only with `{flag} = true` on the key", key.id),
            ),
            FormatRefused::Prefix => Refusal::new(
                Code::FormatRaw,
                format!(
                    "{} signs {format} only with `dangerous_allow_prefixed_raw` on the key, which names their prefix",
                    key.id
                ),
            ),
            FormatRefused::Scheme => Refusal::new(
                Code::FormatScheme,
                format!("{} is a key of {}, which cannot sign {format}", key.id, key.scheme),
            ),
        }
    })?;
    if !status.state.signs() {
        return Err(refuse_state(&key.id, status.state));
    }
    Ok(Authorized {
        envelope,
        key,
        status,
        snapshot,
    })
}

/// A key for reading.
///
/// # Errors
/// [`Code::RequestMalformed`], [`Code::CallerForbidden`].
pub fn read(caller: &Caller, key: &str, keys: &Keyring, snapshot: &State) -> Result<Readable, Refusal> {
    let (name, version) = key_reference(key)?;
    Some(())
        .filter(|()| caller.client().may(Operation::PublicKey, &name, None))
        .and_then(|()| keys.find(&name, version, snapshot))
        .ok_or_else(|| forbidden(Operation::PublicKey, name.as_str()))
}

/// Every key that the caller may read.
#[must_use]
pub fn list(caller: &Caller, keys: &Keyring, snapshot: &State) -> Vec<Readable> {
    let readable = keys
        .iter()
        .filter(|key| caller.client().may(Operation::PublicKey, &key.id.name, None));
    readable
        .filter_map(|key| {
            Some(Readable {
                status: KeyStatus::clone(snapshot.keys.get(&key.id)?),
                key: Arc::clone(key),
            })
        })
        .collect()
}
