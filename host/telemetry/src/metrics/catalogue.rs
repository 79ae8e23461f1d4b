//! Every metric: name, type, labels, unit and meaning, by section. `docs/metrics.md` is generated from here, and a test
//! holds the page to it.

/// What kind of metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises; the sample's name ends with `_total`.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Samples `_bucket`, `_count` and `_sum`.
    Histogram,
    /// Always 1, and what it says is in its labels; the sample's name ends with `_info`.
    Info,
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name, without the suffix of its samples.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// The unit of its values.
    pub unit: &'static str,
    /// What it means, in one sentence without a full stop.
    pub help: &'static str,
}

impl Metric {
    /// The names of its samples.
    pub fn samples(&self) -> impl Iterator<Item = String> + '_ {
        let suffixes: &[&str] = match self.kind {
            Kind::Counter => &["_total"],
            Kind::Gauge => &[""],
            Kind::Histogram => &["_bucket", "_count", "_sum"],
            Kind::Info => &["_info"],
        };
        suffixes.iter().map(|suffix| format!("{}{suffix}", self.name))
    }
}

macro_rules! catalogue {
    ($($section:literal { $($id:ident = $name:literal $kind:ident [$($label:literal)*] $unit:literal $help:literal;)+ })+) => {
        $($(#[doc = $help] pub const $id: Metric = Metric {
            name: $name, kind: Kind::$kind, labels: &[$($label),*], unit: $unit, help: $help,
        };)+)+

        /// Every metric, by section.
        pub const SECTIONS: &[(&str, &[Metric])] = &[$(($section, &[$($id),+])),+];
    };
}

catalogue! {
    "The daemon" {
        BUILD = "sigwarden_build" Info ["version" "revision" "network"] "" "What runs, and for which network";
        READY = "sigwarden_ready" Gauge ["network"] "0 or 1" "1 if /readyz says ready: the ledger is sound, the disk has room, and what must answer answers";
        CHECK = "sigwarden_check_ok" Gauge ["check"] "0 or 1" "Each line of /readyz: 1 if nothing is wrong with it";
    }
    "Requests" {
        REQUESTS = "sigwarden_requests" Counter ["operation" "format" "result"] "requests" "Requests by what came of them: `done`; `repeated` (an earlier decision's signature was given again); `refused` before a decision; `failed` after one. Public keys that were read are not counted, only refused ones";
        REQUEST_SECONDS = "sigwarden_request_seconds" Histogram ["result"] "seconds" "How long requests took on their way: the sum of their stages, without the wait for a thread";
        STAGE_SECONDS = "sigwarden_stage_seconds" Histogram ["stage"] "seconds" "How long a request's stage took: `evaluate` (every policy), `commit` (until durable), `sign` (the backend)";
        QUEUE_SECONDS = "sigwarden_queue_seconds" Histogram [] "seconds" "How long requests waited for a thread";
        REFUSALS = "sigwarden_refusals" Counter ["code"] "requests" "Requests refused or failed, by the code of docs/refusals.md; `policy` for a policy's denial";
        KEY_REFUSALS = "sigwarden_key_refusals" Counter ["key"] "requests" "Requests refused that named this key; `other` for names that are no key";
        POLICY_DENIALS = "sigwarden_policy_denials" Counter ["policy" "code"] "denials" "Denials by policy instance and code, at most 32 codes each; `other` is the rest";
        POLICY_SECONDS = "sigwarden_policy_seconds" Histogram ["policy"] "seconds" "How long a policy took on requests that every policy allowed";
        SHADOW_VERDICTS = "sigwarden_shadow_verdicts" Counter ["policy" "verdict"] "requests" "What shadow policies would have said, beside what was said: `same`, `stricter`, `looser`, or `failed`";
    }
    "Ledger" {
        COMMIT_REQUESTS = "sigwarden_commit_requests" Histogram [] "requests" "Requests that came to commit together, in one call: more than 1 only in a SignBatch";
        BATCH_RECORDS = "sigwarden_ledger_batch_records" Histogram [] "records" "Records in one durable write";
        WRITE_SECONDS = "sigwarden_ledger_write_seconds" Histogram [] "seconds" "How long a durable write took, fdatasync included";
        RECORDS = "sigwarden_ledger_records" Counter ["network"] "records" "Records in the audit log";
        WRITES = "sigwarden_ledger_writes" Counter ["network"] "writes" "Durable writes since the start";
        DROPPED = "sigwarden_refusals_dropped" Counter ["network"] "refusals" "Refusals that were only counted, for want of room or because one caller had too many";
        LAG = "sigwarden_ledger_lag_records" Gauge [] "records" "Records that have a sequence and are not durable yet";
        ROOM = "sigwarden_ledger_room" Gauge ["room"] "0 or 1" "1 at what the disk has room for: `plenty`; `short` (refusals are only counted); `consensus-only`; `full` (nothing is decided)";
        DISK_FREE = "sigwarden_disk_free_bytes" Gauge [] "bytes" "Free on the disk of the state directory";
        CLOCK_BEHIND = "sigwarden_clock_behind_seconds" Gauge [] "seconds" "How far the wall clock is behind the latest record's time; above 5 everything is refused";
        STATE = "sigwarden_state_entries" Gauge ["kind"] "entries" "What the state keeps: `floors`, `buckets`, `watermarks`, `values`, `request-ids`";
    }
    "Keys" {
        KEYS = "sigwarden_keys" Gauge ["state"] "keys" "Keys, by state";
        KEYS_DUE = "sigwarden_keys_due" Gauge ["network"] "keys" "Keys that are due to be rotated";
        ROTATIONS = "sigwarden_key_rotations" Counter ["network"] "versions" "Next versions of keys that were made";
        KEY = "sigwarden_key" Info ["key" "role" "scheme" "backend"] "" "A key: its roles, joined by `+`, its scheme, and where it lives";
        KEY_SIGNS = "sigwarden_key_signs" Gauge ["key" "state"] "0 or 1" "1 if the key's state lets it sign; the state is a label";
        KEY_USES = "sigwarden_key_uses" Counter ["key"] "signatures" "Signatures committed with the key, ever";
        KEY_DUE = "sigwarden_key_due" Gauge ["key"] "0 or 1" "1 if the key is due to be rotated";
        KEY_CREATED = "sigwarden_key_created_timestamp_seconds" Gauge ["key"] "seconds" "When the key was made or imported, since the Unix epoch";
        FLOOR = "sigwarden_floor_height" Gauge ["key" "chain_id" "class"] "height" "Where a consensus key's floor stands: height, or view for HotStuff. 256 floors at most";
        WATERMARK = "sigwarden_watermark_position" Gauge ["policy" "name"] "position" "Where a policy's watermark stands, its first component: the last nonce of an account, say. 256 watermarks at most";
    }
    "Policies" {
        POLICY = "sigwarden_policy" Info ["policy" "version" "mode" "module_digest" "config_digest"] "" "A policy that is loaded; mode `in-force` or `shadow`; digests are SHA-256 in hex";
    }
    "Backends" {
        BACKEND_UP = "sigwarden_backend_up" Gauge ["backend" "kind"] "0 or 1" "1 if the backend answers";
        BACKEND_SECONDS = "sigwarden_backend_seconds" Histogram ["backend"] "seconds" "How long the backend took, verification included";
        BACKEND_ERRORS = "sigwarden_backend_errors" Counter ["backend" "code"] "requests" "Requests that were decided and that the backend failed";
        HSM_SUCCESS = "sigwarden_hsm_sign_success" Counter ["backend"] "signatures" "Signatures that tokens made and that verified";
        HSM_ERROR = "sigwarden_hsm_sign_error" Counter ["backend" "kind"] "calls" "Calls to tokens that made no signature, by kind";
        HSM_LATENCY = "sigwarden_hsm_last_latency_ms" Gauge ["backend"] "milliseconds" "The last signature, failovers included";
        HSM_FAILOVERS = "sigwarden_hsm_failovers" Counter ["backend"] "calls" "Calls passed on to another token";
        HSM_RECONNECTS = "sigwarden_hsm_reconnects" Counter ["backend"] "times" "Times a lost token was connected again";
        HSM_SESSIONS = "sigwarden_hsm_sessions_in_use" Gauge ["backend" "token"] "sessions" "Sessions that work now";
        HSM_READY = "sigwarden_hsm_token_ready" Gauge ["backend" "token" "state"] "0 or 1" "1 if the token is ready; its state as a label";
    }
    "Connections" {
        CONNECTIONS = "sigwarden_connections" Gauge ["listener"] "connections" "Open connections, by the listener that accepted them";
        CONNECTED = "sigwarden_connections_accepted" Counter ["listener"] "connections" "Connections accepted";
        TURNED_AWAY = "sigwarden_connections_refused" Counter ["listener"] "connections" "Connections closed at once, because too many were open";
        HANDSHAKES = "sigwarden_tls_handshake_failures" Counter ["reason"] "handshakes" "TLS handshakes that came to nothing";
        CERTIFICATE = "sigwarden_certificate_expiry_timestamp_seconds" Gauge ["certificate"] "seconds" "When a certificate expires, since the Unix epoch";
        QUEUE = "sigwarden_queue_length" Gauge [] "requests" "Requests that wait for a thread";
        QUEUE_LIMIT = "sigwarden_queue_limit" Gauge [] "requests" "How many may wait; what comes beyond is refused with busy/queue-full";
        JSON_RPC = "sigwarden_json_rpc_requests" Counter ["method" "result"] "requests" "JSON-RPC and REST calls: `answered`, or `error`";
        PEER_UP = "sigwarden_peer_up" Gauge ["kind" "peer"] "0 or 1" "1 while a connection that the daemon dials stands: `privval` to a node, `remote` to another Sigwarden";
        PEER_CONNECTS = "sigwarden_peer_connects" Counter ["kind" "peer"] "times" "Times that the peer was connected";
        PEER_FAILURES = "sigwarden_peer_failures" Counter ["kind" "peer"] "times" "Times that it could not be connected, or that a connection broke";
        TRACES = "sigwarden_traces" Counter ["result"] "traces" "Traces of requests: `exported`; `dropped` because the queue was full; `failed` because the collector did not take them";
    }
    "The process" {
        CPU = "process_cpu_seconds" Counter [] "seconds" "Processor time, user and system";
        MEMORY = "process_resident_memory_bytes" Gauge [] "bytes" "Memory in use";
        VIRTUAL = "process_virtual_memory_bytes" Gauge [] "bytes" "Address space; the sandbox reserves much that it never touches";
        FDS = "process_open_fds" Gauge [] "descriptors" "Open file descriptors";
        FDS_MAX = "process_max_fds" Gauge [] "descriptors" "How many there may be";
        THREADS = "process_threads" Gauge [] "threads" "Threads";
        STARTED = "process_start_time_seconds" Gauge [] "seconds" "When the process started, since the Unix epoch";
    }
}

/// The tables of `docs/metrics.md`.
#[must_use]
pub fn tables() -> String {
    let mut text = String::new();
    for (section, metrics) in SECTIONS {
        text.push_str(&format!(
            "\n## {section}\n\n| name | type | labels | unit | meaning |\n|---|---|---|---|---|\n"
        ));
        for metric in *metrics {
            let (name, kind) = match metric.kind {
                Kind::Counter => (format!("{}_total", metric.name), "counter"),
                Kind::Gauge => (metric.name.to_owned(), "gauge"),
                Kind::Histogram => (metric.name.to_owned(), "histogram"),
                Kind::Info => (format!("{}_info", metric.name), "info"),
            };
            let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let cells = [
                format!("`{name}`"),
                kind.to_owned(),
                labels.join(" "),
                metric.unit.to_owned(),
                metric.help.to_owned(),
            ];
            text.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
    }
    text
}
