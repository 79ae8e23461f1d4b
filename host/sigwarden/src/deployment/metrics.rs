//! What the daemon counts, as Prometheus reads it (OpenMetrics text). Names are stable; docs/hsm.md lists them.

use super::backends::Backends;
use crate::config::Config;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use sigwarden_core::{KeyState, Ledger};
use sigwarden_ledger::{EmbeddedLedger, Room};
use sigwarden_pkcs11::TokenState;
use std::fmt;
use std::sync::Arc;

/// Reads everything anew at each scrape.
pub(super) struct Metrics {
    pub(super) config: Config,
    pub(super) backends: Arc<Backends>,
    pub(super) ledger: Arc<EmbeddedLedger>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// A function that writes the metrics as text.
pub(super) fn writer(metrics: Metrics) -> Arc<dyn Fn() -> String + Send + Sync> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(metrics));
    let registry = registry;
    Arc::new(move || {
        let mut text = String::new();
        // Writing to a String fails only if a collector does, and ours does not.
        if prometheus_client::encoding::text::encode(&mut text, &registry).is_err() {
            text.clear();
        }
        text
    })
}

/// One metric with a value for each set of labels.
struct Family<'e, 'd> {
    encoder: &'e mut DescriptorEncoder<'d>,
}

type Labels = Vec<(&'static str, String)>;

impl Family<'_, '_> {
    fn counters(&mut self, name: &str, help: &str, values: &[(Labels, u64)]) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            one(&mut metric, labels, &ConstCounter::new(*value))?;
        }
        Ok(())
    }

    fn gauges(&mut self, name: &str, help: &str, values: &[(Labels, f64)]) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            one(&mut metric, labels, &ConstGauge::new(*value))?;
        }
        Ok(())
    }
}

fn one(metric: &mut MetricEncoder<'_>, labels: &Labels, value: &impl EncodeMetric) -> fmt::Result {
    value.encode(metric.encode_family(labels)?)
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut family = Family { encoder: &mut encoder };
        self.tokens(&mut family)?;
        self.keys(&mut family)?;
        self.ledger(&mut family)
    }
}

impl Metrics {
    /// What the deployment's own numbers are labelled with.
    fn network(&self) -> Labels {
        vec![("network", self.config.network.name().to_owned())]
    }

    fn tokens(&self, family: &mut Family<'_, '_>) -> fmt::Result {
        let (mut success, mut errors, mut latency, mut failovers, mut reconnects) = (vec![], vec![], vec![], vec![], vec![]);
        let (mut in_use, mut states) = (vec![], vec![]);
        for (name, backend) in self.backends.pkcs11() {
            let counters = backend.counters();
            let labels = || vec![("backend", name.clone())];
            success.push((labels(), counters.sign_success));
            for (kind, count) in counters.sign_errors {
                errors.push((vec![("backend", name.clone()), ("kind", kind.name().to_owned())], count));
            }
            latency.push((
                labels(),
                f64::from(u32::try_from(counters.last_latency_micros).unwrap_or(u32::MAX)) / 1000.0,
            ));
            failovers.push((labels(), counters.failovers));
            reconnects.push((labels(), counters.reconnects));
            for token in backend.tokens() {
                let of = || vec![("backend", name.clone()), ("token", token.label.clone())];
                in_use.push((of(), gauge(token.sessions_in_use)));
                let ready = token.state == TokenState::Ready;
                let mut labels = of();
                labels.push(("state", token.state.name().to_owned()));
                states.push((labels, gauge(usize::from(ready))));
            }
        }
        family.counters(
            "sigwarden_hsm_sign_success",
            "Signatures that tokens made and that verified",
            &success,
        )?;
        family.counters(
            "sigwarden_hsm_sign_error",
            "Calls to tokens that made no signature, by kind",
            &errors,
        )?;
        family.gauges(
            "sigwarden_hsm_last_latency_ms",
            "Milliseconds of the last signature, failovers included",
            &latency,
        )?;
        family.counters("sigwarden_hsm_failovers", "Calls passed on to another token", &failovers)?;
        family.counters("sigwarden_hsm_reconnects", "Times a lost token was connected again", &reconnects)?;
        family.gauges("sigwarden_hsm_sessions_in_use", "Sessions that work now", &in_use)?;
        family.gauges(
            "sigwarden_hsm_token_ready",
            "1 if the token is ready; its state as a label",
            &states,
        )
    }

    fn keys(&self, family: &mut Family<'_, '_>) -> fmt::Result {
        let state = self.ledger.snapshot();
        let now_ms = super::now_ms();
        let count = |wanted: KeyState| state.keys.values().filter(|status| status.state == wanted).count();
        let states: Vec<_> = KeyState::ALL
            .iter()
            .map(|wanted| (vec![("state", wanted.name().to_owned())], gauge(count(*wanted))))
            .collect();
        let is_due = |key: &&crate::config::Key| {
            let status = state.keys.get(&key.id).filter(|status| status.state.signs());
            let rule = self.config.rotation(key);
            status.zip(rule).is_some_and(|(status, rule)| rule.due(status, now_ms).is_some())
        };
        let due = self.config.keys.iter().filter(is_due).count();
        // A version above the first came by a rotation.
        let rotations = state.keys.keys().filter(|id| id.version > 1).count();
        family.gauges("sigwarden_keys", "Keys, by state", &states)?;
        family.gauges(
            "sigwarden_keys_due",
            "Keys that are due to be rotated",
            &[(self.network(), gauge(due))],
        )?;
        family.counters(
            "sigwarden_key_rotations",
            "Next versions of keys that were made",
            &[(self.network(), rotations as u64)],
        )
    }

    fn ledger(&self, family: &mut Family<'_, '_>) -> fmt::Result {
        let health = self.ledger.health();
        let sound = health.poisoned.is_none() && health.room != Room::Full;
        family.gauges(
            "sigwarden_ready",
            "1 if the ledger is sound and the disk has room",
            &[(self.network(), gauge(usize::from(sound)))],
        )?;
        family.counters(
            "sigwarden_ledger_records",
            "Records in the audit log",
            &[(self.network(), health.last_sequence)],
        )?;
        family.counters(
            "sigwarden_ledger_writes",
            "Durable writes since the start",
            &[(self.network(), health.writes)],
        )?;
        family.counters(
            "sigwarden_refusals_dropped",
            "Refusals that were only counted, for want of room",
            &[(self.network(), health.refusals_dropped)],
        )
    }
}

fn gauge(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
