//! `[[policy]]`.

use super::{Checker, way};
use crate::config::document::Step;
use crate::config::{Policy, PolicyConfig, raw};
use sigwarden_core::key::KeyName;
use std::collections::BTreeSet;
use std::path::{Component, Path};
use std::time::Duration;

/// The most memory that a policy may be given: 256 MiB, sixteen times the default; the pool reserves as much for each slot.
const MEMORY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The least memory: one page of WebAssembly (64 KiB). A component with less cannot even hold its stack.
const MEMORY_BYTES_MIN: u64 = 64 * 1024;

impl Checker<'_> {
    pub(super) fn policies(&mut self, raw: &[raw::Policy], names: &BTreeSet<&KeyName>) -> Vec<Policy> {
        if raw.is_empty() {
            self.wrong(
                &[],
                "there is no `[[policy]]`, and nothing is signed without a policy's approval; `sigwarden init` writes four",
            );
        }
        let mut policies: Vec<Policy> = Vec::with_capacity(raw.len());
        for (index, policy) in raw.iter().enumerate() {
            if policies.iter().any(|other| other.name == policy.name) {
                let message = format!(
                    "there are two policies `{}`; the name is an instance's own, its state goes by it",
                    policy.name.escape_debug()
                );
                self.wrong(way!["policy", index, "name"], message);
            }
            policies.extend(self.policy(index, policy, names));
        }
        if !policies.is_empty() && policies.iter().all(|policy| policy.shadow) {
            self.wrong(
                &[],
                "every `[[policy]]` is a shadow, and shadows decide nothing; nothing is signed without a policy's approval",
            );
        }
        for (index, policy) in raw.iter().enumerate() {
            let Some(of) = &policy.shadow_of else { continue };
            if !policies.iter().any(|other| other.name == *of && !other.shadow) {
                let message = format!("a `[[policy]]` that is in force is wanted, and `{}` is none", of.escape_debug());
                self.wrong(way!["policy", index, "shadow_of"], message);
            }
            if policy.shadow == Some(false) {
                self.wrong(
                    way!["policy", index, "shadow"],
                    "`shadow_of` makes it a shadow; take one of the two out",
                );
            }
        }
        policies
    }

    fn policy(&mut self, index: usize, policy: &raw::Policy, names: &BTreeSet<&KeyName>) -> Option<Policy> {
        let at = |field: &str| vec![Step::from("policy"), Step::from(index), Step::from(field)];
        self.plain_name(&at("name"), &policy.name);
        let relative = Path::new(&policy.module);
        if !relative.components().all(|component| matches!(component, Component::Normal(_))) {
            self.wrong(&at("module"), "a path inside the deployment is wanted: `policies/rate-limit.wasm`");
        }
        let module = self.path(&at("module"), &policy.module);
        let sha256 = policy.sha256.as_deref().and_then(|text| {
            let mut digest = [0; 32];
            match hex::decode_to_slice(text, &mut digest) {
                Ok(()) => Some(digest),
                Err(_) => {
                    self.wrong(&at("sha256"), "64 hex digits are wanted; `sigwarden policy pin NAME` writes them");
                    None
                }
            }
        });
        let config = self.policy_config(index, policy);
        let keys = match &policy.keys {
            Some(texts) => Some(self.patterns(&at("keys"), texts, names)?),
            None => None,
        };
        let roles = match &policy.roles {
            Some(texts) => Some(self.names(&at("roles"), texts)?),
            None => None,
        };
        let formats = match &policy.formats {
            Some(texts) => Some(self.names(&at("formats"), texts)?),
            None => None,
        };
        for (field, given) in [("fuel", policy.fuel), ("deadline_ms", policy.deadline_ms)] {
            if given == Some(0) {
                self.wrong(&at(field), "more than 0 is wanted; leave it out for the default");
            }
        }
        if policy.deadline_ms.is_some_and(|millis| millis > 60_000) {
            self.wrong(&at("deadline_ms"), "at most 60000: no request waits longer");
        }
        if policy.memory_bytes.is_some_and(|bytes| bytes < MEMORY_BYTES_MIN) {
            self.wrong(
                &at("memory_bytes"),
                format!("at least {MEMORY_BYTES_MIN}: memory comes in pages of that size; leave it out for the default"),
            );
        }
        if policy.memory_bytes.is_some_and(|bytes| bytes > MEMORY_BYTES_MAX) {
            self.wrong(
                &at("memory_bytes"),
                format!("at most {MEMORY_BYTES_MAX}: every evaluation at once has as much"),
            );
        }
        Some(Policy {
            name: policy.name.clone(),
            module,
            sha256,
            config,
            keys,
            roles,
            formats,
            fuel: policy.fuel,
            deadline: policy.deadline_ms.map(Duration::from_millis),
            memory_bytes: policy.memory_bytes.and_then(|bytes| usize::try_from(bytes).ok()),
            shadow: policy.shadow.unwrap_or(policy.shadow_of.is_some()),
            shadow_of: policy.shadow_of.clone(),
        })
    }

    fn policy_config(&mut self, index: usize, policy: &raw::Policy) -> PolicyConfig {
        let at = |field: &str| vec![Step::from("policy"), Step::from(index), Step::from(field)];
        match (&policy.config, &policy.config_file) {
            (Some(_), Some(_)) => {
                self.wrong(&at("config_file"), "a policy has one configuration; `config` gives another");
                PolicyConfig::Inline(String::new())
            }
            (None, Some(file)) => PolicyConfig::File(self.path(&at("config_file"), file)),
            (Some(config), None) => {
                // Keys are sorted, so that the same configuration has the same digest however it is written.
                let json = serde_json::to_string(config).unwrap_or_else(|error| {
                    self.wrong(&at("config"), error.to_string());
                    String::new()
                });
                PolicyConfig::Inline(json)
            }
            (None, None) => PolicyConfig::Inline("{}".to_owned()),
        }
    }
}
