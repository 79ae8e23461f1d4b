//! `[[rotation]]`, `cryptography`, and what keys are bound to.

use super::Checker;
use crate::config::document::Step;
use crate::config::{Key, Rotation, raw};
use sigwarden_core::key::KeyName;
use sigwarden_core::lifecycle::{Bound, RotationRule};
use sigwarden_core::{Role, Scheme};
use std::collections::BTreeSet;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Days that a key may be old, at most: a hundred years, so that nothing overflows.
const AGE_MAX_DAYS: u64 = 36_500;

impl Checker<'_> {
    pub(super) fn rotations(&mut self, raw: &[raw::Rotation], names: &BTreeSet<&KeyName>) -> Vec<Rotation> {
        let mut rotations = Vec::with_capacity(raw.len());
        for (index, rotation) in raw.iter().enumerate() {
            let at = |field: &str| vec![Step::from("rotation"), Step::from(index), Step::from(field)];
            let keys = rotation.keys.as_ref().and_then(|keys| self.patterns(&at("keys"), keys, names));
            let roles = rotation.roles.as_ref().and_then(|roles| self.names(&at("roles"), roles));
            if rotation.max_age_days.is_none() && rotation.max_uses.is_none() {
                self.wrong(&at("max_age_days"), "a rule needs `max_age_days`, `max_uses` or both");
            }
            if rotation.max_age_days.is_some_and(|days| days == 0 || days > AGE_MAX_DAYS) {
                self.wrong(&at("max_age_days"), format!("1 to {AGE_MAX_DAYS} days are right"));
            }
            if rotation.max_uses == Some(0) {
                self.wrong(&at("max_uses"), "a key that may be used never signs nothing; 1 or more is right");
            }
            rotations.push(Rotation {
                keys,
                roles,
                rule: RotationRule {
                    max_age_ms: rotation.max_age_days.map(|days| days.saturating_mul(DAY_MS)),
                    max_uses: rotation.max_uses,
                    enforce: rotation.enforce.unwrap_or(false),
                },
            });
        }
        rotations
    }

    /// Whether classical cryptography is refused; then every key must do without. `written` keys stand in the file: places are right only
    /// if all of them are.
    pub(super) fn pq_only(&mut self, text: Option<&str>, keys: &[Key], written: usize) -> bool {
        match text {
            None | Some("any") => return false,
            Some("pq-only") => {}
            Some(_) => {
                self.wrong(&[Step::from("cryptography")], "`any` or `pq-only` is right");
                return false;
            }
        }
        for (index, key) in keys.iter().enumerate().filter(|(_, key)| !key.scheme.is_post_quantum()) {
            let post_quantum: Vec<&str> = Scheme::ALL
                .iter()
                .filter(|scheme| scheme.is_post_quantum())
                .map(|scheme| scheme.name())
                .collect();
            let message = format!(
                "{} is of {}, which `cryptography = \"pq-only\"` refuses; {} are right",
                key.id,
                key.scheme,
                post_quantum.join(" and ")
            );
            let mut way = vec![Step::from("key")];
            if keys.len() == written {
                way.extend([Step::from(index), Step::from("scheme")]);
            }
            self.wrong(&way, message);
        }
        true
    }

    /// What a consensus key is bound to.
    pub(super) fn bound(&mut self, index: usize, key: &raw::Key, roles: &BTreeSet<Role>, scheme: Scheme) -> Option<Bound> {
        let bind = key.bind.as_ref()?;
        let table = [Step::from("key"), Step::from(index), Step::from("bind")];
        if !roles.contains(&Role::Consensus) {
            self.wrong(
                &table,
                "only a consensus key is bound: its messages alone say chain, validator and suite",
            );
        }
        if bind.chain_id.is_none() && bind.validator_id.is_none() && bind.suite_id.is_none() {
            self.wrong(&table, "`chain_id`, `validator_id` or `suite_id` is wanted");
        }
        if let Some(suite) = bind.suite_id.filter(|suite| scheme.suite_id() != Some(*suite)) {
            let own = scheme.suite_id().map_or("none".to_owned(), |own| own.to_string());
            self.wrong(&table, format!("the suite of {scheme} is {own}, not {suite}"));
        }
        Some(Bound {
            chain_id: bind.chain_id.clone(),
            validator_id: bind.validator_id,
            suite_id: bind.suite_id,
        })
    }
}
