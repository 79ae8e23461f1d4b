//! `[[backend]]`.

use super::{Checker, way, without_value};
use crate::config::document::Step;
use crate::config::{Backend, BackendKind, PassphraseSource, Pkcs11, Token, raw};
use serde::Deserialize;
use sigwarden_pkcs11::Settings;
use std::time::Duration;

/// Milliseconds that a session or a call may take: a network HSM's slowest answer, and then some.
const TOKEN_MS: std::ops::RangeInclusive<u64> = 10..=60_000;

impl Checker<'_> {
    pub(super) fn backends(&mut self, raw: Vec<raw::Backend>) -> Vec<Backend> {
        let mut backends: Vec<Backend> = Vec::with_capacity(raw.len());
        for (index, backend) in raw.into_iter().enumerate() {
            self.plain_name(way!["backend", index, "name"], &backend.name);
            if backends.iter().any(|other| other.name == backend.name) {
                self.wrong(way!["backend", index, "name"], format!("there are two backends `{}`", backend.name));
            }
            self.fields_of_others(index, &backend);
            let kind = match backend.kind.as_str() {
                "sealed-file" => {
                    let dir = self.path(way!["backend", index, "dir"], backend.dir.as_deref().unwrap_or("keys"));
                    if backends.iter().any(|other| matches!(other.kind, BackendKind::SealedFile { .. })) {
                        let message = "a deployment has one `sealed-file` backend, since it has one passphrase";
                        self.wrong(way!["backend", index, "kind"], message);
                    }
                    BackendKind::SealedFile { dir }
                }
                "keystore" => {
                    let table = [Step::from("backend"), Step::from(index)];
                    let source = self.source(&table, "passphrase", &backend.passphrase_file, &backend.passphrase_env, false);
                    BackendKind::Keystore {
                        dir: self.path(way!["backend", index, "dir"], backend.dir.as_deref().unwrap_or("keystore")),
                        passphrase: source.unwrap_or(PassphraseSource::Prompt),
                    }
                }
                "env" if cfg!(feature = "env-secrets") => BackendKind::Env {
                    igra: match backend.preset.as_deref() {
                        None => false,
                        Some("igra") => true,
                        Some(_) => {
                            self.wrong(way!["backend", index, "preset"], "`igra` is the only preset");
                            false
                        }
                    },
                },
                "env" => {
                    let message = "this build has no `env` backend (feature `env-secrets`); use `sealed-file`";
                    self.wrong(way!["backend", index, "kind"], message);
                    continue;
                }
                "pkcs11" => match self.pkcs11(index, &backend) {
                    Some(pkcs11) => BackendKind::Pkcs11(pkcs11),
                    None => continue,
                },
                "remote" => match self.remotes(index, &backend) {
                    Some(remotes) => BackendKind::Remote(remotes),
                    None => continue,
                },
                "mock-hsm" => BackendKind::MockHsm {
                    script: self.script(way!["backend", index, "script"], backend.script),
                },
                _ => {
                    let message =
                        "there is no such kind of backend; `sealed-file`, `keystore`, `pkcs11`, `remote`, `env` and `mock-hsm` are";
                    self.wrong(way!["backend", index, "kind"], message);
                    continue;
                }
            };
            backends.push(Backend { name: backend.name, kind });
        }
        backends
    }

    /// A field that another kind of backend has does nothing here, and whoever wrote it thinks that it does.
    fn fields_of_others(&mut self, index: usize, backend: &raw::Backend) {
        let fields = [
            ("preset", backend.preset.is_some(), "env"),
            ("passphrase_file", backend.passphrase_file.is_some(), "keystore"),
            ("passphrase_env", backend.passphrase_env.is_some(), "keystore"),
            ("script", backend.script.is_some(), "mock-hsm"),
            ("library", backend.library.is_some(), "pkcs11"),
            ("token", backend.token.is_some(), "pkcs11"),
            ("slot_id", backend.slot_id.is_some(), "pkcs11"),
            ("pin_env", backend.pin_env.is_some(), "pkcs11"),
            ("pin_file", backend.pin_file.is_some(), "pkcs11"),
            ("pin_prompt", backend.pin_prompt.is_some(), "pkcs11"),
            ("sessions", backend.sessions.is_some(), "pkcs11"),
            ("session_timeout_ms", backend.session_timeout_ms.is_some(), "pkcs11"),
            ("replica", !backend.replica.is_empty(), "pkcs11"),
            ("remote", !backend.remote.is_empty(), "remote"),
            ("connections", backend.connections.is_some(), "remote"),
            ("total_deadline_ms", backend.total_deadline_ms.is_some(), "remote"),
        ];
        if backend.dir.is_some() && !matches!(backend.kind.as_str(), "sealed-file" | "keystore") {
            self.wrong(
                way!["backend", index, "dir"],
                "only a `sealed-file` or `keystore` backend has a directory",
            );
        }
        if backend.call_deadline_ms.is_some() && !matches!(backend.kind.as_str(), "pkcs11" | "remote") {
            self.wrong(
                way!["backend", index, "call_deadline_ms"],
                "only a `pkcs11` or `remote` backend has this field",
            );
        }
        for (field, given, kind) in fields {
            if given && backend.kind != kind {
                self.wrong(way!["backend", index, field], format!("only a `{kind}` backend has this field"));
            }
        }
    }

    fn pkcs11(&mut self, index: usize, backend: &raw::Backend) -> Option<Pkcs11> {
        let at = |field: &str| vec![Step::from("backend"), Step::from(index), Step::from(field)];
        let (Some(library), Some(token)) = (&backend.library, &backend.token) else {
            let field = if backend.library.is_none() { "library" } else { "token" };
            self.wrong(
                &at(field),
                format!("a `pkcs11` backend needs `{field}`: the vendor's library, and the label of the token in it"),
            );
            return None;
        };
        let first = raw::Token {
            library: library.clone(),
            token: token.clone(),
            slot_id: backend.slot_id,
            pin_env: backend.pin_env.clone(),
            pin_file: backend.pin_file.clone(),
            pin_prompt: backend.pin_prompt,
        };
        let mut tokens = vec![self.token(&way!["backend", index][..], &first)];
        for (which, replica) in backend.replica.iter().enumerate() {
            tokens.push(self.token(way!["backend", index, "replica", which], replica));
        }
        if tokens.len() > Settings::TOKENS_MAX {
            self.wrong(
                &at("replica"),
                format!("{} tokens; {} are the most", tokens.len(), Settings::TOKENS_MAX),
            );
        }
        for (place, token) in tokens.iter().enumerate() {
            let is_twice = |other: &Token| (&other.library, &other.label, other.slot_id) == (&token.library, &token.label, token.slot_id);
            if tokens.iter().take(place).any(is_twice) {
                let message = format!("the token `{}` is named twice; redundancy needs two", token.label.escape_debug());
                self.wrong(&at("replica"), message);
            }
        }
        let mut millis = |field: &str, given: Option<u64>| {
            let given = given?;
            if !TOKEN_MS.contains(&given) {
                let message = format!("{given} is out of range; {} to {} is right", TOKEN_MS.start(), TOKEN_MS.end());
                self.wrong(&at(field), message);
            }
            Some(Duration::from_millis(given))
        };
        let session_timeout = millis("session_timeout_ms", backend.session_timeout_ms);
        let call_deadline = millis("call_deadline_ms", backend.call_deadline_ms);
        let sessions = backend.sessions.map(|given| usize::try_from(given).unwrap_or(usize::MAX));
        if sessions.is_some_and(|sessions| sessions == 0 || sessions > Settings::SESSIONS_MAX) {
            self.wrong(&at("sessions"), format!("1 to {} are right", Settings::SESSIONS_MAX));
        }
        Some(Pkcs11 {
            tokens,
            sessions,
            session_timeout,
            call_deadline,
        })
    }

    fn token(&mut self, table: &[Step], raw: &raw::Token) -> Token {
        let at = |field: &str| {
            let mut way = table.to_vec();
            way.push(Step::from(field));
            way
        };
        if raw.token.is_empty() || raw.token.len() > Settings::TOKEN_LABEL_MAX {
            self.wrong(
                &at("token"),
                format!("a token's label has 1 to {} bytes", Settings::TOKEN_LABEL_MAX),
            );
        }
        Token {
            library: self.path(&at("library"), &raw.library),
            label: raw.token.clone(),
            slot_id: raw.slot_id,
            pin: self.source(table, "pin", &raw.pin_file, &raw.pin_env, raw.pin_prompt.unwrap_or(false)),
        }
    }

    fn script(&mut self, way: &[Step], script: Option<toml::Value>) -> toml::Value {
        let script = script.unwrap_or_else(|| toml::Value::Table(toml::Table::new()));
        if let Err(error) = crate::deployment::MockScript::deserialize(script.clone()) {
            self.wrong(way, without_value(error.message()));
        }
        script
    }
}
