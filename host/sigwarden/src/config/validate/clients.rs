//! `[[client]]` and `[[client.allow]]`.

use super::{Checker, way};
use crate::config::document::Step;
use crate::config::{Admission, raw};
use sigwarden_core::caller::{Allow, Client, KeyPattern, OVERFLOW_UID};
use sigwarden_core::key::KeyName;
use sigwarden_tls::SanName;
use std::collections::{BTreeMap, BTreeSet};
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
            let san = self.san(&at("san"), client.san.as_deref().unwrap_or_default());
            if let Some(name) = san.iter().find(|name| clients.iter().any(|other| other.san.contains(name))) {
                self.wrong(
                    &at("san"),
                    format!("another client has the name `{name}`; a certificate is one client's"),
                );
            }
            if client.gid.is_some() && client.uid.is_none() {
                self.wrong(&at("gid"), "a group without `uid` is nobody");
            }
            if client.uid == Some(OVERFLOW_UID) {
                self.wrong(
                    &at("uid"),
                    format!("{OVERFLOW_UID} stands for users that the kernel cannot map; nobody is it"),
                );
            }
            let same = |other: &&Arc<Client>| {
                client.uid.is_some() && other.uid == client.uid && (other.gid == client.gid || other.gid.is_none() || client.gid.is_none())
            };
            if let Some(other) = clients.iter().find(same) {
                let message = format!("this is also client `{}`; give both a `gid`, or make them one client", other.name);
                self.wrong(&at("uid"), message);
            }
            let allow = self.allow(index, &client.allow, names);
            clients.push(Arc::new(Client {
                name: client.name.as_str().into(),
                uid: client.uid,
                gid: client.gid,
                san,
                allow,
            }));
        }
        clients
    }

    /// A client without a uid and a name is somebody only by a connection that is given to it.
    pub(super) fn clients_that_nobody_is(&mut self, clients: &[raw::Client], listeners: &[raw::Listener], privvals: &[raw::Privval]) {
        for (index, client) in clients.iter().enumerate() {
            let is_somebody = client.uid.is_some() || client.san.as_ref().is_some_and(|names| !names.is_empty());
            let of_listener = listeners.iter().any(|listener| listener.client.as_ref() == Some(&client.name));
            let of_node = privvals.iter().any(|privval| privval.client == client.name);
            if !is_somebody && !of_listener && !of_node {
                let message =
                    "nobody is this client: give it a `uid` (Unix socket) or `san` (TLS), or name it in a `[[listener]]` or `[[privval]]`";
                self.wrong(way!["client", index, "name"], message);
            }
        }
    }

    /// Names of certificates, in lower case as certificates are read.
    fn san(&mut self, way: &[Step], texts: &[String]) -> Vec<Box<str>> {
        let mut names: Vec<Box<str>> = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let mut way = way.to_vec();
            way.push(Step::Item(index));
            match SanName::parse(text) {
                Ok(name) if names.iter().any(|other| **other == *name.as_str()) => self.wrong(&way, "this name is there twice"),
                Ok(name) => names.push(name.as_str().into()),
                Err(error) => self.wrong(&way, error.to_string()),
            }
        }
        names
    }

    /// What each client may ask for, where that is said.
    pub(super) fn admissions(&mut self, raw: &[raw::Client]) -> BTreeMap<Arc<str>, Admission> {
        let mut admissions = BTreeMap::new();
        for (index, client) in raw.iter().enumerate() {
            let admission = Admission {
                per_second: client.requests_per_second,
                at_once: client.requests_at_once,
            };
            for (field, given) in [
                ("requests_per_second", admission.per_second),
                ("requests_at_once", admission.at_once),
            ] {
                if given == Some(0) {
                    let message = "with 0 the client could ask for nothing; leave out the client, or the field for no bound";
                    self.wrong(way!["client", index, field], message);
                }
            }
            if admission != Admission::default() {
                admissions.insert(client.name.as_str().into(), admission);
            }
        }
        admissions
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
