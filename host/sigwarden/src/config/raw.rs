//! `sigwarden.toml` as written: what serde reads, before names are parsed and references followed. The schema of these types also
//! says which fields are known.

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Root {
    pub(super) version: u32,
    pub(super) network: String,
    pub(super) cryptography: Option<String>,
    #[serde(default)]
    pub(super) server: Server,
    #[serde(default)]
    pub(super) state: StateDir,
    #[serde(default)]
    pub(super) security: Security,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) metrics: Metrics,
    #[serde(default)]
    pub(super) traces: Traces,
    #[serde(default)]
    pub(super) listener: Vec<Listener>,
    #[serde(default)]
    pub(super) privval: Vec<Privval>,
    #[serde(default)]
    pub(super) backend: Vec<Backend>,
    #[serde(default)]
    pub(super) key: Vec<Key>,
    #[serde(default)]
    pub(super) rotation: Vec<Rotation>,
    #[serde(default)]
    pub(super) client: Vec<Client>,
    #[serde(default)]
    pub(super) policy: Vec<Policy>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) socket: Option<String>,
    pub(super) socket_group_access: Option<bool>,
    pub(super) admin_socket: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StateDir {
    pub(super) dir: Option<String>,
    pub(super) marker_dir: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Security {
    pub(super) passphrase_file: Option<String>,
    pub(super) passphrase_env: Option<String>,
    pub(super) secret_cache_ttl: Option<u64>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) payload_bytes: Option<u64>,
    pub(super) deadline_ms: Option<u64>,
    pub(super) evaluations: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) queue: Option<u64>,
    pub(super) connections: Option<u64>,
    pub(super) connections_per_client: Option<u64>,
    pub(super) streams_per_connection: Option<u64>,
    pub(super) stop_grace_ms: Option<u64>,
    pub(super) watch_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Metrics {
    pub(super) listen: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Traces {
    pub(super) endpoint: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) listen: String,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) client_ca: Option<String>,
    pub(super) client: Option<String>,
    pub(super) chain_id: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Privval {
    pub(super) name: String,
    pub(super) client: String,
    pub(super) address: String,
    pub(super) dialect: String,
    pub(super) chain_id: String,
    pub(super) key: String,
    pub(super) idle_ms: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Backend {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) dir: Option<String>,
    #[schemars(with = "Option<serde_json::Value>")]
    pub(super) script: Option<toml::Value>,
    pub(super) preset: Option<String>,
    pub(super) passphrase_file: Option<String>,
    pub(super) passphrase_env: Option<String>,
    pub(super) library: Option<String>,
    pub(super) token: Option<String>,
    pub(super) slot_id: Option<u64>,
    pub(super) pin_env: Option<String>,
    pub(super) pin_file: Option<String>,
    pub(super) pin_prompt: Option<bool>,
    pub(super) sessions: Option<u64>,
    pub(super) session_timeout_ms: Option<u64>,
    pub(super) call_deadline_ms: Option<u64>,
    #[serde(default)]
    pub(super) replica: Vec<Token>,
    #[serde(default)]
    pub(super) remote: Vec<Remote>,
    pub(super) connections: Option<u64>,
    pub(super) total_deadline_ms: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    pub(super) library: String,
    pub(super) token: String,
    pub(super) slot_id: Option<u64>,
    pub(super) pin_env: Option<String>,
    pub(super) pin_file: Option<String>,
    pub(super) pin_prompt: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Remote {
    pub(super) address: String,
    pub(super) server_name: Option<String>,
    pub(super) ca: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) version: Option<u32>,
    pub(super) roles: Vec<String>,
    pub(super) scheme: String,
    pub(super) backend: String,
    pub(super) public_key: Option<String>,
    pub(super) replica_of: Option<String>,
    pub(super) dangerous_allow_raw_messages: Option<bool>,
    pub(super) dangerous_allow_raw_digests: Option<bool>,
    pub(super) dangerous_allow_prefixed_raw: Option<Vec<String>>,
    pub(super) bind: Option<Bind>,
    pub(super) label: Option<String>,
    pub(super) mechanism: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Bind {
    pub(super) chain_id: Option<String>,
    pub(super) validator_id: Option<u64>,
    pub(super) suite_id: Option<u16>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    pub(super) keys: Option<Vec<String>>,
    pub(super) roles: Option<Vec<String>>,
    pub(super) max_age_days: Option<u64>,
    pub(super) max_uses: Option<u64>,
    pub(super) enforce: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Client {
    pub(super) name: String,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) san: Option<Vec<String>>,
    pub(super) requests_per_second: Option<u32>,
    pub(super) requests_at_once: Option<u32>,
    #[serde(default)]
    pub(super) allow: Vec<Allow>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Allow {
    pub(super) keys: Vec<String>,
    pub(super) operations: Vec<String>,
    pub(super) formats: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) module: String,
    pub(super) sha256: Option<String>,
    #[schemars(with = "Option<serde_json::Value>")]
    pub(super) config: Option<toml::Value>,
    pub(super) config_file: Option<String>,
    pub(super) keys: Option<Vec<String>>,
    pub(super) roles: Option<Vec<String>>,
    pub(super) formats: Option<Vec<String>>,
    pub(super) fuel: Option<u64>,
    pub(super) deadline_ms: Option<u64>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) shadow: Option<bool>,
    pub(super) shadow_of: Option<String>,
}
