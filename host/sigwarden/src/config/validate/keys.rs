//! `[[key]]`.

use super::Checker;
use crate::config::document::Step;
use crate::config::{Key, raw};
use sigwarden_core::key::{KeyId, KeyName, RawPrefix};
use sigwarden_core::{Role, Scheme};
use sigwarden_pkcs11::{MechanismChoice, Settings};
use std::collections::BTreeSet;

/// One application on a chain signs raw bytes; a few share a key at most.
const RAW_PREFIXES_MAX: usize = 8;

impl Checker<'_> {
    pub(super) fn keys(&mut self, raw: &[raw::Key], backends: &[String]) -> Vec<Key> {
        let mut seen = BTreeSet::new();
        let mut keys = Vec::with_capacity(raw.len());
        for (index, key) in raw.iter().enumerate() {
            let at = |field: &str| vec![Step::from("key"), Step::from(index), Step::from(field)];
            let name: Option<KeyName> = self.name(&at("name"), &key.name);
            let scheme: Option<Scheme> = self.name(&at("scheme"), &key.scheme);
            let roles = self.roles(&at("roles"), &key.roles, key);
            if key.version == Some(0) {
                self.wrong(&at("version"), "versions count from 1");
            }
            if !backends.contains(&key.backend) {
                let message = format!("there is no `[[backend]]` of the name `{}`", key.backend.escape_debug());
                self.wrong(&at("backend"), message);
            }
            let public_key = key
                .public_key
                .as_deref()
                .and_then(|text| self.public_key(&at("public_key"), text, scheme));
            let replica_of: Option<KeyId> = key.replica_of.as_deref().and_then(|text| self.name(&at("replica_of"), text));
            let (Some(name), Some(scheme), Some(roles)) = (name, scheme, roles) else {
                continue;
            };
            let id = KeyId {
                name,
                version: key.version.unwrap_or(1),
            };
            if !seen.insert(id.clone()) {
                self.wrong(
                    &at("name"),
                    format!("there are two keys `{id}`; another version of a key has another `version`"),
                );
            }
            let bound = self.bound(index, key, &roles, scheme);
            let prefixes = self.raw_prefixes(&at("dangerous_allow_prefixed_raw"), key, &roles);
            let mechanism: Option<MechanismChoice> = key.mechanism.as_deref().and_then(|text| self.name(&at("mechanism"), text));
            if key
                .label
                .as_ref()
                .is_some_and(|label| label.is_empty() || label.len() > Settings::LABEL_MAX)
            {
                self.wrong(&at("label"), format!("a label has 1 to {} bytes", Settings::LABEL_MAX));
            }
            keys.push(Key {
                id,
                bound,
                label: key.label.clone(),
                mechanism,
                roles,
                scheme,
                backend: key.backend.clone(),
                public_key,
                replica_of,
                dangerous_allow_raw_messages: key.dangerous_allow_raw_messages.unwrap_or(false),
                dangerous_allow_raw_digests: key.dangerous_allow_raw_digests.unwrap_or(false),
                dangerous_allow_prefixed_raw: prefixes,
            });
        }
        // With a key left out the places would be wrong; that key has its own error.
        if keys.len() == raw.len() {
            self.replicas(&keys);
        }
        keys
    }

    /// A replica is its original under a second name, and nothing more: with other roles or flags it would sign what the original may
    /// not, past the original's floor.
    fn replicas(&mut self, keys: &[Key]) {
        for (index, key) in keys.iter().enumerate() {
            let at = |field: &str| vec![Step::from("key"), Step::from(index), Step::from(field)];
            let Some(of) = &key.replica_of else { continue };
            let is_original = |other: &&Key| other.id == *of && other.id != key.id && other.replica_of.is_none();
            let Some(original) = keys.iter().find(is_original) else {
                self.wrong(&at("replica_of"), format!("there is no other key `{of}` that is no replica itself"));
                continue;
            };
            let fields = [
                ("roles", key.roles == original.roles),
                ("scheme", key.scheme == original.scheme),
                (
                    "dangerous_allow_raw_messages",
                    key.dangerous_allow_raw_messages == original.dangerous_allow_raw_messages,
                ),
                ("bind", key.bound == original.bound),
                (
                    "dangerous_allow_prefixed_raw",
                    key.dangerous_allow_prefixed_raw == original.dangerous_allow_prefixed_raw,
                ),
                (
                    "dangerous_allow_raw_digests",
                    key.dangerous_allow_raw_digests == original.dangerous_allow_raw_digests,
                ),
            ];
            for (field, _) in fields.iter().filter(|(_, same)| !same) {
                let message = format!("`{field}` must be what it is on {of}, whose replica this is: one secret key, one set of rights");
                self.wrong(&at(field), message);
            }
        }
    }

    fn roles(&mut self, way: &[Step], texts: &[String], key: &raw::Key) -> Option<BTreeSet<Role>> {
        let roles: BTreeSet<Role> = self.names(way, texts)?.into_iter().collect();
        if roles.contains(&Role::Consensus) {
            if roles.len() > 1 {
                self.wrong(
                    way,
                    "the role `consensus` stands alone: such a key signs consensus messages and nothing else",
                );
            }
            if key.dangerous_allow_raw_messages == Some(true) || key.dangerous_allow_raw_digests == Some(true) {
                let message = "a consensus key signs neither raw messages nor raw digests, since no floor could guard them; take the `dangerous_…` flags out";
                self.wrong(way, message);
            }
        }
        Some(roles)
    }

    fn raw_prefixes(&mut self, way: &[Step], key: &raw::Key, roles: &BTreeSet<Role>) -> Vec<RawPrefix> {
        let Some(texts) = &key.dangerous_allow_prefixed_raw else {
            return Vec::new();
        };
        if !roles.contains(&Role::Consensus) {
            self.wrong(way, "only consensus keys sign `cometbft/raw-bytes`; take it out");
        }
        if texts.len() > RAW_PREFIXES_MAX {
            self.wrong(way, format!("{RAW_PREFIXES_MAX} prefixes are the most"));
        }
        self.names(way, texts).unwrap_or_default()
    }

    fn public_key(&mut self, way: &[Step], text: &str, scheme: Option<Scheme>) -> Option<Vec<u8>> {
        let bytes = hex::decode(text).map_err(|_| self.wrong(way, "hex digits are wanted")).ok()?;
        let scheme = scheme?;
        if bytes.len() != scheme.public_key_len() {
            let message = format!(
                "a {scheme} public key has {} bytes, this has {}",
                scheme.public_key_len(),
                bytes.len()
            );
            self.wrong(way, message);
        }
        Some(bytes)
    }
}
