//! `[[client]]` and `[[client.allow]]`.

use super::{Checker, way};
use crate::config::document::Step;
use crate::config::raw;
use sigwarden_core::caller::{Allow, Client, KeyPattern, OVERFLOW_UID};
use sigwarden_core::key::KeyName;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Checker<'_> {
    pub(super) fn clients(&mut self, raw: &[raw::Client], names: &BTreeSet<&KeyName>) -> Vec<Arc<Client>> {
        let mut clients: Vec<Arc<Client>> = Vec::with_capacity(raw.len());
        for (index, client) in raw.iter().enumerate() {
            let at = |field: &str| vec![Step::from("client"), Step::from(index), Step::from(field)];
            self.plain_name(&at("name"), &client.name);
            if clients.iter().any(|other| *other.name == *client.name) {
                self.wrong(&at("name"), format!("there are two clients `{}`", client.name.escape_debug()));
            }
            if client.uid == OVERFLOW_UID {
                self.wrong(
                    &at("uid"),
                    format!("{OVERFLOW_UID} stands for users that the kernel cannot map; nobody is it"),
                );
            }
            let same = |other: &&Arc<Client>| {
                other.uid == Some(client.uid) && (other.gid == client.gid || other.gid.is_none() || client.gid.is_none())
            };
            if let Some(other) = clients.iter().find(same) {
                let message = format!("this is also client `{}`; give both a `gid`, or make them one client", other.name);
                self.wrong(&at("uid"), message);
            }
            let allow = self.allow(index, &client.allow, names);
            clients.push(Arc::new(Client {
                name: client.name.as_str().into(),
                uid: Some(client.uid),
                gid: client.gid,
                san: Vec::new(),
                allow,
            }));
        }
        clients
    }

    fn allow(&mut self, client: usize, raw: &[raw::Allow], names: &BTreeSet<&KeyName>) -> Vec<Allow> {
        let mut all = Vec::with_capacity(raw.len());
        for (index, allow) in raw.iter().enumerate() {
            let at = |field: &str| way!["client", client, "allow", index, field].to_vec();
            let keys = self.patterns(&at("keys"), &allow.keys, names);
            let operations = self.names(&at("operations"), &allow.operations);
            let formats = match &allow.formats {
                Some(formats) => self.names(&at("formats"), formats).map(Some),
                None => Some(None),
            };
            if let (Some(keys), Some(operations), Some(formats)) = (keys, operations, formats) {
                all.push(Allow { keys, operations, formats });
            }
        }
        all
    }

    pub(super) fn patterns(&mut self, way: &[Step], texts: &[String], names: &BTreeSet<&KeyName>) -> Option<Vec<KeyPattern>> {
        let patterns: Vec<KeyPattern> = self.names(way, texts)?;
        for (index, pattern) in patterns.iter().enumerate() {
            // `*` and `ns.*` may come before their keys; a name that no key has is a typing error.
            if let KeyPattern::One(name) = pattern
                && !names.contains(name)
            {
                let mut way = way.to_vec();
                way.push(Step::Item(index));
                self.wrong(&way, format!("there is no `[[key]]` of the name `{name}`"));
            }
        }
        Some(patterns)
    }
}
