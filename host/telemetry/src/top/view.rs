//! What `top` shows: two scrapes and the time between them, as plain data. `--json` prints it.

use super::exposition::{Buckets, Scrape};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// One picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct View {
    /// The daemon's version.
    pub version: String,
    /// Its network.
    pub network: String,
    /// Whether it is ready.
    pub ready: bool,
    /// What is wrong, by the names of its checks.
    pub troubles: Vec<String>,
    /// Seconds since it was started.
    pub uptime_seconds: Option<f64>,
    /// Seconds between the two scrapes.
    pub interval_seconds: f64,
    /// Requests by what came of them.
    pub requests: Vec<Rate>,
    /// Requests by format, those that came.
    pub formats: Vec<Rate>,
    /// How long they took, in the interval.
    pub latencies: Vec<Latency>,
    /// Refusals by code, those that came; a policy's as `policy/<instance>/<code>`.
    pub refusals: Vec<Rate>,
    /// Keys.
    pub keys: Vec<Key>,
    /// The ledger.
    pub ledger: Ledger,
    /// What is connected.
    pub edges: Edges,
    /// The process.
    pub process: Process,
}

/// A counter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rate {
    /// Of what.
    pub name: String,
    /// In the interval.
    pub per_second: f64,
    /// Since the start.
    pub total: f64,
}

/// A histogram, in seconds. None where nothing was observed in the interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Latency {
    /// Of what.
    pub name: String,
    /// The median.
    pub p50: Option<f64>,
    /// Nine of ten.
    pub p90: Option<f64>,
    /// All but one of a hundred.
    pub p99: Option<f64>,
    /// The mean.
    pub mean: Option<f64>,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Key {
    /// Name and version.
    pub name: String,
    /// What it is for.
    pub role: String,
    /// Its state.
    pub state: String,
    /// Where it lives.
    pub backend: String,
    /// Signatures, ever.
    pub uses: f64,
    /// Signatures, in the interval.
    pub per_second: f64,
    /// Refusals that named it, in the interval.
    pub refused_per_second: f64,
    /// Its highest floor.
    pub floor: Option<f64>,
    /// It is due to be rotated.
    pub due: bool,
}

/// The ledger.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ledger {
    /// Records a second.
    pub records_per_second: f64,
    /// Durable writes a second.
    pub writes_per_second: f64,
    /// Records that are not durable yet.
    pub lag: f64,
    /// What the disk has room for.
    pub room: String,
}

/// What is connected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Edges {
    /// Open connections by listener.
    pub connections: BTreeMap<String, f64>,
    /// Requests that wait, and how many may.
    pub queue: (f64, f64),
    /// Handshakes that failed, a second.
    pub handshake_failures_per_second: f64,
    /// Backends and peers, and whether they are up.
    pub up: BTreeMap<String, bool>,
}

/// The process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Process {
    /// Share of one core, in the interval.
    pub cpu: f64,
    /// Bytes in memory.
    pub memory_bytes: f64,
    /// Open descriptors, and how many there may be.
    pub descriptors: (f64, f64),
}

/// Two scrapes.
struct Between<'a> {
    before: &'a Scrape,
    now: &'a Scrape,
    seconds: f64,
}

impl Between<'_> {
    /// How fast a counter rose. One that fell began anew.
    fn rate(&self, before: Option<f64>, now: f64) -> f64 {
        let before = before.filter(|before| *before <= now).unwrap_or_default();
        (now - before) / self.seconds
    }

    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.rate(self.before.sum(name, labels), self.now.sum(name, labels).unwrap_or_default())
    }

    fn by(&self, name: &str, label: &str, labels: &[(&str, &str)]) -> Vec<Rate> {
        let before = self.before.by(name, label, labels);
        let now = self.now.by(name, label, labels);
        let rate = |(name, total): (String, f64)| Rate {
            per_second: self.rate(before.get(&name).copied(), total),
            name,
            total,
        };
        now.into_iter().map(rate).collect()
    }

    fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Buckets {
        self.now.histogram(name, labels).since(&self.before.histogram(name, labels))
    }
}

impl View {
    /// Of two scrapes, the earlier first. The time between them is what the caller measured.
    #[must_use]
    pub fn between(before: &Scrape, now: &Scrape, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64().max(0.001);
        let between = Between { before, now, seconds };
        let about = |label: &str| {
            let info = now.labels("sigwarden_build_info").next();
            info.and_then(|(labels, _)| labels.get(label).cloned())
                .unwrap_or_else(|| "?".into())
        };
        let came = |rate: &Rate| rate.total > 0.0;
        Self {
            version: about("version"),
            network: about("network"),
            ready: now.sum("sigwarden_ready", &[]).is_some_and(|ready| ready > 0.0),
            troubles: now
                .by("sigwarden_check_ok", "check", &[])
                .into_iter()
                .filter(|(_, ok)| *ok == 0.0)
                .map(|(name, _)| name)
                .collect(),
            uptime_seconds: uptime(now),
            interval_seconds: seconds,
            requests: between.by("sigwarden_requests_total", "result", &[]),
            formats: between
                .by("sigwarden_requests_total", "format", &[])
                .into_iter()
                .filter(came)
                .collect(),
            latencies: latencies(&between),
            refusals: refusals(&between),
            keys: keys(&between),
            ledger: Ledger {
                records_per_second: between.sum("sigwarden_ledger_records_total", &[]),
                writes_per_second: between.sum("sigwarden_ledger_writes_total", &[]),
                lag: now.sum("sigwarden_ledger_lag_records", &[]).unwrap_or_default(),
                room: now
                    .by("sigwarden_ledger_room", "room", &[])
                    .into_iter()
                    .find_map(|(name, is)| (is > 0.0).then_some(name))
                    .unwrap_or_else(|| "?".into()),
            },
            edges: edges(&between),
            process: Process {
                cpu: between.sum("process_cpu_seconds_total", &[]),
                memory_bytes: now.sum("process_resident_memory_bytes", &[]).unwrap_or_default(),
                descriptors: (
                    now.sum("process_open_fds", &[]).unwrap_or_default(),
                    now.sum("process_max_fds", &[]).unwrap_or_default(),
                ),
            },
        }
    }
}

fn uptime(now: &Scrape) -> Option<f64> {
    let started = now.sum("process_start_time_seconds", &[])?;
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    Some((clock.as_secs_f64() - started).max(0.0))
}

fn latencies(between: &Between<'_>) -> Vec<Latency> {
    let of = |name: &str, buckets: &Buckets| Latency {
        name: name.to_owned(),
        p50: buckets.quantile(0.5),
        p90: buckets.quantile(0.9),
        p99: buckets.quantile(0.99),
        mean: buckets.mean(),
    };
    let mut latencies = vec![of("total", &between.histogram("sigwarden_request_seconds", &[("result", "done")]))];
    for stage in ["evaluate", "commit", "sign"] {
        latencies.push(of(stage, &between.histogram("sigwarden_stage_seconds", &[("stage", stage)])));
    }
    latencies.push(of("queue", &between.histogram("sigwarden_queue_seconds", &[])));
    latencies
}

/// By code, the policies' in full; the most frequent first.
fn refusals(between: &Between<'_>) -> Vec<Rate> {
    let mut refusals = between.by("sigwarden_refusals_total", "code", &[]);
    refusals.retain(|rate| rate.name != "policy");
    let policies = between.now.by("sigwarden_policy_denials_total", "policy", &[]);
    for policy in policies.keys() {
        let codes = between.by("sigwarden_policy_denials_total", "code", &[("policy", policy)]);
        refusals.extend(codes.into_iter().map(|rate| Rate {
            name: format!("policy/{policy}/{}", rate.name),
            ..rate
        }));
    }
    refusals.retain(|rate| rate.total > 0.0);
    refusals.sort_by(|a, b| {
        (b.per_second, b.total)
            .partial_cmp(&(a.per_second, a.total))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    refusals
}

fn keys(between: &Between<'_>) -> Vec<Key> {
    let now = between.now;
    let mut floors: BTreeMap<&str, f64> = BTreeMap::new();
    for (labels, height) in now.labels("sigwarden_floor_height") {
        if let Some(key) = labels.get("key") {
            let highest = floors.entry(key).or_default();
            *highest = highest.max(height);
        }
    }
    let rates = |name: &str| -> BTreeMap<String, Rate> {
        between
            .by(name, "key", &[])
            .into_iter()
            .map(|rate| (rate.name.clone(), rate))
            .collect()
    };
    let (uses, refused) = (rates("sigwarden_key_uses_total"), rates("sigwarden_key_refusals_total"));
    let due = now.by("sigwarden_key_due", "key", &[]);
    let states: BTreeMap<_, _> = now
        .labels("sigwarden_key_signs")
        .filter_map(|(labels, _)| Some((labels.get("key")?.as_str(), labels.get("state")?.as_str())))
        .collect();
    let mut keys = Vec::new();
    for (labels, _) in now.labels("sigwarden_key_info") {
        let text = |label: &str| labels.get(label).cloned().unwrap_or_default();
        let name = text("key");
        // A client names a key with or without its version.
        let unversioned = name.rsplit_once(".v").map_or(name.as_str(), |(name, _)| name);
        let refused_per_second = [name.as_str(), unversioned]
            .iter()
            .filter_map(|name| refused.get(*name))
            .fold(0.0, |sum, rate| sum + rate.per_second);
        keys.push(Key {
            role: text("role"),
            backend: text("backend"),
            state: states
                .get(name.as_str())
                .map_or_else(|| "?".to_owned(), |state| (*state).to_owned()),
            uses: uses.get(&name).map_or(0.0, |rate| rate.total),
            per_second: uses.get(&name).map_or(0.0, |rate| rate.per_second),
            refused_per_second,
            floor: floors.get(name.as_str()).copied(),
            due: due.get(&name).is_some_and(|due| *due > 0.0),
            name,
        });
    }
    keys
}

fn edges(between: &Between<'_>) -> Edges {
    let now = between.now;
    let mut up: BTreeMap<_, _> = now
        .by("sigwarden_backend_up", "backend", &[])
        .into_iter()
        .map(|(name, up)| (name, up > 0.0))
        .collect();
    for kind in now.by("sigwarden_peer_up", "kind", &[]).keys() {
        let peers = now.by("sigwarden_peer_up", "peer", &[("kind", kind)]);
        up.extend(peers.into_iter().map(|(name, up)| (format!("{kind}/{name}"), up > 0.0)));
    }
    Edges {
        connections: now
            .by("sigwarden_connections", "listener", &[])
            .into_iter()
            .filter(|(_, open)| *open > 0.0)
            .collect(),
        queue: (
            now.sum("sigwarden_queue_length", &[]).unwrap_or_default(),
            now.sum("sigwarden_queue_limit", &[]).unwrap_or_default(),
        ),
        handshake_failures_per_second: between.sum("sigwarden_tls_handshake_failures_total", &[]),
        up,
    }
}
