//! Writing samples: a metric of the catalogue and the values of its labels. Names, types and label names come from nowhere else.

use super::catalogue::{Kind, Metric};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::histogram::Histogram;
use std::fmt;

pub(super) struct Page<'e, 'd> {
    encoder: &'e mut DescriptorEncoder<'d>,
}

/// The samples of one metric.
pub(super) struct Family<'e> {
    encoder: MetricEncoder<'e>,
    labels: &'static [&'static str],
}

impl<'e, 'd> Page<'e, 'd> {
    pub(super) fn new(encoder: &'e mut DescriptorEncoder<'d>) -> Self {
        Self { encoder }
    }

    pub(super) fn family<'s>(&'s mut self, metric: &'s Metric) -> Result<Family<'s>, fmt::Error> {
        let kind = match metric.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
            Kind::Info => MetricType::Info,
        };
        let encoder = self.encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
        Ok(Family {
            encoder,
            labels: metric.labels,
        })
    }

    /// A gauge without labels.
    pub(super) fn gauge(&mut self, metric: &Metric, value: f64) -> fmt::Result {
        self.family(metric)?.gauge(&[], value)
    }

    /// A histogram without labels.
    pub(super) fn histogram(&mut self, metric: &Metric, value: &Histogram) -> fmt::Result {
        value.encode(self.family(metric)?.encoder)
    }
}

type Labels<'v> = Vec<(&'static str, &'v str)>;

impl Family<'_> {
    fn labelled<'v>(&self, values: &[&'v str]) -> Labels<'v> {
        debug_assert_eq!(self.labels.len(), values.len(), "one value for each label: {:?}", self.labels);
        self.labels.iter().copied().zip(values.iter().copied()).collect()
    }

    pub(super) fn counter(&mut self, values: &[&str], value: u64) -> fmt::Result {
        if values.is_empty() {
            return self.encoder.encode_counter::<NoLabelSet, u64, u64>(&value, None);
        }
        let labels = self.labelled(values);
        let mut encoder = self.encoder.encode_family(&labels)?;
        encoder.encode_counter::<NoLabelSet, u64, u64>(&value, None)
    }

    /// Of a counter that is no whole number.
    pub(super) fn seconds(&mut self, value: f64) -> fmt::Result {
        self.encoder.encode_counter::<NoLabelSet, f64, u64>(&value, None)
    }

    pub(super) fn gauge(&mut self, values: &[&str], value: f64) -> fmt::Result {
        if values.is_empty() {
            return self.encoder.encode_gauge(&value);
        }
        let labels = self.labelled(values);
        self.encoder.encode_family(&labels)?.encode_gauge(&value)
    }

    pub(super) fn histogram(&mut self, values: &[&str], value: &Histogram) -> fmt::Result {
        let labels = self.labelled(values);
        value.encode(self.encoder.encode_family(&labels)?)
    }

    pub(super) fn info(&mut self, values: &[&str]) -> fmt::Result {
        let labels = self.labelled(values);
        self.encoder.encode_info(&labels)
    }
}

/// A whole number as a gauge. Exact to 2^53, which no height or sequence reaches.
#[allow(clippy::cast_precision_loss, reason = "see above")]
pub(super) fn number(value: u64) -> f64 {
    value as f64
}

/// Yes or no as a gauge.
pub(super) fn yes(value: bool) -> f64 {
    f64::from(u8::from(value))
}
