//! From the document as written to a [`Config`]: names parsed, references followed, every fault collected with its place.

mod backends;
mod clients;
mod keys;
mod policies;
mod remotes;
mod rotation;
mod transports;

use super::document::{Document, Step};
use super::{Config, ConfigError, FILE_NAME, Limits, PassphraseSource, raw};
use sigwarden_core::key::KeyName;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// The configuration's format.
const VERSION: u32 = 1;
/// The most of each table: every request looks through clients and policies one by one; keys are a map.
const BACKENDS_MAX: usize = 16;
const KEYS_MAX: usize = 100_000;
const ROTATIONS_MAX: usize = 256;
const CLIENTS_MAX: usize = 256;
const POLICIES_MAX: usize = 32;
const LISTENERS_MAX: usize = 16;
/// Each has a task and a connection of its own.
const PRIVVALS_MAX: usize = 64;
/// Seconds that a secret stays in memory: five minutes, as the IGRA guide has it; a day at most.
const SECRET_CACHE_TTL: u64 = 300;
const SECRET_CACHE_TTL_MAX: u64 = 24 * 60 * 60;

pub(super) fn parse(dir: &Path, text: &str) -> Result<Config, Vec<ConfigError>> {
    let file = dir.join(FILE_NAME);
    let document = Document::parse(&file, text).map_err(|error| vec![error])?;
    // Before anything else looks at a value: serde's messages quote values.
    let secrets = document.secrets();
    if !secrets.is_empty() {
        return Err(secrets);
    }
    let schema = schemars::schema_for!(raw::Root).to_value();
    let unknown = document.unknown_fields(&schema);
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let root = deserialize(&document).map_err(|error| vec![error])?;
    let mut checker = Checker {
        dir,
        document: &document,
        errors: Vec::new(),
    };
    let config = checker.config(file.clone(), root);
    match config {
        Some(config) if checker.errors.is_empty() => Ok(config),
        _ => Err(checker.errors),
    }
}

fn deserialize(document: &Document<'_>) -> Result<raw::Root, ConfigError> {
    let deserializer = toml::Deserializer::from(document.root());
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let field = error.path().to_string();
        let field = if field == "." { String::new() } else { field };
        let inner = error.into_inner();
        document.error_at_span(inner.span(), field, without_value(inner.message()))
    })
}

/// `invalid type: string "…", expected u32` without the string, which somebody may have meant to keep.
fn without_value(message: &str) -> String {
    match (message.find('"'), message.rfind('"')) {
        (Some(from), Some(to)) if from < to => {
            let (before, after) = (message.get(..from).unwrap_or(""), message.get(to + 1..).unwrap_or(""));
            format!("{}{after}", before.trim_end())
        }
        _ => message.to_owned(),
    }
}

macro_rules! way {
    ($($step:expr),+) => { &[$($crate::config::document::Step::from($step)),+] };
}
use way;

impl From<&str> for Step {
    fn from(name: &str) -> Self {
        Self::Field(name.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Item(index)
    }
}

struct Checker<'d> {
    dir: &'d Path,
    document: &'d Document<'d>,
    errors: Vec<ConfigError>,
}

impl Checker<'_> {
    fn wrong(&mut self, way: &[Step], message: impl Into<String>) {
        self.errors.push(self.document.error(way, message));
    }

    fn name<T: FromStr<Err: std::fmt::Display>>(&mut self, way: &[Step], text: &str) -> Option<T> {
        text.parse().map_err(|error: T::Err| self.wrong(way, error.to_string())).ok()
    }

    fn names<T: FromStr<Err: std::fmt::Display>>(&mut self, way: &[Step], texts: &[String]) -> Option<Vec<T>> {
        if texts.is_empty() {
            self.wrong(way, "at least one is wanted; leave the field out for all, where it may be left out");
        }
        let mut all = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let mut way = way.to_vec();
            way.push(Step::Item(index));
            all.extend(self.name::<T>(&way, text));
        }
        (!texts.is_empty() && all.len() == texts.len()).then_some(all)
    }

    /// A path, relative to the deployment.
    fn path(&mut self, way: &[Step], text: &str) -> PathBuf {
        if text.is_empty() {
            self.wrong(way, "a path is wanted");
        }
        self.dir.join(text)
    }

    fn limit(&mut self, name: &str, given: Option<u64>, default: usize, range: std::ops::RangeInclusive<usize>) -> usize {
        let Some(given) = given else { return default };
        match usize::try_from(given) {
            Ok(given) if range.contains(&given) => given,
            Ok(_) | Err(_) => {
                let message = format!(
                    "{given} is out of range; {} to {} is right, {default} the default",
                    range.start(),
                    range.end()
                );
                self.wrong(way!["limits", name], message);
                default
            }
        }
    }

    fn at_most(&mut self, table: &str, count: usize, most: usize) {
        if count > most {
            self.wrong(way![table], format!("{count} of these; {most} are the most"));
        }
    }

    fn config(&mut self, file: PathBuf, root: raw::Root) -> Option<Config> {
        if root.version != VERSION {
            self.wrong(
                way!["version"],
                format!(
                    "{} is no version of this file that this Sigwarden knows; {VERSION} is",
                    root.version
                ),
            );
        }
        self.at_most("backend", root.backend.len(), BACKENDS_MAX);
        self.at_most("key", root.key.len(), KEYS_MAX);
        self.at_most("rotation", root.rotation.len(), ROTATIONS_MAX);
        self.at_most("client", root.client.len(), CLIENTS_MAX);
        self.at_most("policy", root.policy.len(), POLICIES_MAX);
        self.at_most("listener", root.listener.len(), LISTENERS_MAX);
        self.at_most("privval", root.privval.len(), PRIVVALS_MAX);
        let network = self.name(way!["network"], &root.network);
        let socket = root.server.socket.as_deref().unwrap_or("run/sigwarden.sock");
        let socket = self.path(way!["server", "socket"], socket);
        let admin_socket = match &root.server.admin_socket {
            Some(path) => self.path(way!["server", "admin_socket"], path),
            None => socket.with_file_name("admin.sock"),
        };
        if admin_socket == socket {
            self.wrong(
                way!["server", "admin_socket"],
                "callers and administration have a socket each; name another",
            );
        }
        let state_dir = self.path(way!["state", "dir"], root.state.dir.as_deref().unwrap_or("state"));
        let marker_dir = root
            .state
            .marker_dir
            .as_deref()
            .map(|dir| self.path(way!["state", "marker_dir"], dir));
        let passphrase = self.passphrase(&root.security);
        let secret_cache_ttl = self.secret_cache_ttl(&root.security);
        let metrics_listen = self.metrics_listen(root.metrics.listen.as_deref());
        let limits = self.limits(&root.limits);
        let declared: Vec<String> = root.backend.iter().map(|backend| backend.name.clone()).collect();
        let backends = self.backends(root.backend);
        let keys = self.keys(&root.key, &declared);
        let names: BTreeSet<&KeyName> = keys.iter().map(|key| &key.id.name).collect();
        let clients = self.clients(&root.client, &names);
        let admissions = self.admissions(&root.client);
        let listeners = self.listeners(&root.listener, &clients);
        let privvals = self.privvals(&root.privval, &clients, &keys);
        self.clients_that_nobody_is(&root.client, &root.listener, &root.privval);
        let traces_endpoint = self.traces_endpoint(root.traces.endpoint.as_deref());
        let rotations = self.rotations(&root.rotation, &names);
        let pq_only = self.pq_only(root.cryptography.as_deref(), &keys, root.key.len());
        let policies = self.policies(&root.policy, &names);
        Some(Config {
            file,
            dir: self.dir.to_owned(),
            network: network?,
            pq_only,
            socket,
            admin_socket,
            socket_group_access: root.server.socket_group_access.unwrap_or(false),
            state_dir,
            marker_dir,
            passphrase,
            secret_cache_ttl,
            metrics_listen,
            traces_endpoint,
            listeners,
            privvals,
            limits,
            backends,
            keys: Arc::new(keys),
            rotations,
            clients,
            admissions,
            policies,
        })
    }

    fn passphrase(&mut self, security: &raw::Security) -> PassphraseSource {
        let source = self.source(
            &[Step::from("security")],
            "passphrase",
            &security.passphrase_file,
            &security.passphrase_env,
            false,
        );
        source.unwrap_or(PassphraseSource::Prompt)
    }

    /// Where a passphrase or PIN comes from: `NAME_file`, `NAME_env`, or a prompt where that is said.
    fn source(
        &mut self,
        table: &[Step],
        name: &str,
        file: &Option<String>,
        variable: &Option<String>,
        prompt: bool,
    ) -> Option<PassphraseSource> {
        let at = |suffix: &str| {
            let mut way = table.to_vec();
            way.push(Step::from(format!("{name}_{suffix}").as_str()));
            way
        };
        if [file.is_some(), variable.is_some(), prompt].iter().filter(|given| **given).count() > 1 {
            let way = if variable.is_some() { at("env") } else { at("prompt") };
            self.wrong(
                &way,
                format!("it comes from one place, and another field names one too: `{name}_file`, `{name}_env` or a prompt"),
            );
            return None;
        }
        if let Some(file) = file {
            return Some(PassphraseSource::File(self.path(&at("file"), file)));
        }
        if let Some(name) = variable {
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                self.wrong(&at("env"), "the name of an environment variable is wanted: letters, digits and `_`");
            }
            return Some(PassphraseSource::Variable(name.clone()));
        }
        prompt.then_some(PassphraseSource::Prompt)
    }

    fn metrics_listen(&mut self, text: Option<&str>) -> Option<SocketAddr> {
        match text?.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Some(address),
            Ok(_) => {
                let message = "metrics are told on a loopback address only, `127.0.0.1:9464` for one: whom the keys belong to and when they sign is nobody else's";
                self.wrong(way!["metrics", "listen"], message);
                None
            }
            Err(_) => {
                self.wrong(
                    way!["metrics", "listen"],
                    "an address with a port is wanted, `127.0.0.1:9464` for one",
                );
                None
            }
        }
    }

    fn secret_cache_ttl(&mut self, security: &raw::Security) -> Duration {
        let seconds = security.secret_cache_ttl.unwrap_or(SECRET_CACHE_TTL);
        if seconds > SECRET_CACHE_TTL_MAX {
            self.wrong(
                way!["security", "secret_cache_ttl"],
                format!("{seconds} seconds; 0 (none) to {SECRET_CACHE_TTL_MAX} are right, {SECRET_CACHE_TTL} is the default"),
            );
        }
        Duration::from_secs(seconds.min(SECRET_CACHE_TTL_MAX))
    }

    fn limits(&mut self, raw: &raw::Limits) -> Limits {
        let default = Limits::default();
        let millis = |duration: Duration| usize::try_from(duration.as_millis()).unwrap_or(usize::MAX);
        let to_duration = |millis: usize| Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
        let streams = usize::try_from(default.streams_per_connection).unwrap_or(usize::MAX);
        let connections = self.limit("connections", raw.connections, default.connections, 1..=16_384);
        let quarter = (connections / 4).max(1);
        Limits {
            payload_bytes: self.limit("payload_bytes", raw.payload_bytes, default.payload_bytes, 1024..=1024 * 1024),
            deadline: to_duration(self.limit("deadline_ms", raw.deadline_ms, millis(default.deadline), 10..=60_000)),
            evaluations: self.limit("evaluations", raw.evaluations, default.evaluations, 1..=256),
            threads: self.limit("threads", raw.threads, default.threads, 1..=1024),
            queue: self.limit("queue", raw.queue, default.queue, 1..=65_536),
            connections,
            connections_per_client: self.limit("connections_per_client", raw.connections_per_client, quarter, 1..=connections),
            streams_per_connection: u32::try_from(self.limit("streams_per_connection", raw.streams_per_connection, streams, 1..=4096))
                .unwrap_or(default.streams_per_connection),
            stop_grace: to_duration(self.limit("stop_grace_ms", raw.stop_grace_ms, millis(default.stop_grace), 100..=120_000)),
            watch: to_duration(self.limit("watch_ms", raw.watch_ms, millis(default.watch), 50..=60_000)),
        }
    }

    /// Names of backends, clients and policies: they stand in records, file names and refusal codes.
    fn plain_name(&mut self, way: &[Step], name: &str) {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            self.wrong(way, "1 to 64 characters of `a-z`, `0-9` and `-` are wanted");
        }
    }
}
