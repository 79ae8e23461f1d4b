//! Reading a page of metrics: OpenMetrics or Prometheus text. The page comes from a daemon that may be another version, or not ours at
//! all: bounded, and what is odd is an error with its line.

use std::collections::BTreeMap;

/// Bytes of a page: a thousand keys are under 1 MiB.
pub const PAGE_MAX: usize = 8 * 1024 * 1024;
/// Samples of a page.
const SAMPLES_MAX: usize = 100_000;
/// Labels of a sample.
const LABELS_MAX: usize = 32;

/// The page is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Too long.
    #[error("the page has over {0} {1}; is it Sigwarden's /metrics?")]
    TooLong(usize, &'static str),
    /// A line that does not parse.
    #[error("line {line} of the page is no sample ({wanted}); is it Sigwarden's /metrics?")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What was looked for.
        wanted: &'static str,
    },
    /// Nothing of ours in it.
    #[error("the page has no metric of Sigwarden's; is it Sigwarden's /metrics?")]
    Foreign,
}

/// One sample.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    labels: BTreeMap<String, String>,
    value: f64,
}

/// A page, by the samples' names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scrape(BTreeMap<String, Vec<Sample>>);

/// A histogram: cumulative counts by upper bound, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Buckets {
    pub(super) le: Vec<(f64, f64)>,
    pub(super) count: f64,
    pub(super) sum: f64,
}

impl Scrape {
    /// Reads a page.
    ///
    /// # Errors
    /// It is too long, has a line that is no sample, or nothing of Sigwarden's.
    pub fn parse(page: &str) -> Result<Self, PageError> {
        if page.len() > PAGE_MAX {
            return Err(PageError::TooLong(PAGE_MAX, "bytes"));
        }
        let mut scrape = Self::default();
        for (index, line) in page.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if index >= SAMPLES_MAX {
                return Err(PageError::TooLong(SAMPLES_MAX, "lines"));
            }
            let (name, sample) = sample(line).map_err(|wanted| PageError::Line { line: index + 1, wanted })?;
            match scrape.0.get_mut(name) {
                Some(samples) => samples.push(sample),
                None => {
                    scrape.0.insert(name.to_owned(), vec![sample]);
                }
            }
        }
        if !scrape.0.keys().any(|name| name.starts_with("sigwarden_")) {
            return Err(PageError::Foreign);
        }
        Ok(scrape)
    }

    fn samples(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.0.get(name).into_iter().flatten()
    }

    /// The sum of a metric's samples that have these labels; none if there is no such.
    pub(super) fn sum(&self, name: &str, wanted: &[(&str, &str)]) -> Option<f64> {
        self.samples(name)
            .filter(|sample| sample.has(wanted))
            .map(|sample| sample.value)
            .reduce(|a, b| a + b)
    }

    /// The sums by one label's values.
    pub(super) fn by(&self, name: &str, label: &str, wanted: &[(&str, &str)]) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for sample in self.samples(name).filter(|sample| sample.has(wanted)) {
            if let Some(value) = sample.labels.get(label) {
                *sums.entry(value.clone()).or_default() += sample.value;
            }
        }
        sums
    }

    /// The labels of a metric's samples, with their values.
    pub(super) fn labels(&self, name: &str) -> impl Iterator<Item = (&BTreeMap<String, String>, f64)> {
        self.samples(name).map(|sample| (&sample.labels, sample.value))
    }

    /// A histogram, the sum of those that have these labels.
    pub(super) fn histogram(&self, name: &str, wanted: &[(&str, &str)]) -> Buckets {
        let mut le: Vec<(f64, f64)> = Vec::new();
        for sample in self.samples(&format!("{name}_bucket")).filter(|sample| sample.has(wanted)) {
            let bound = sample.labels.get("le").and_then(|bound| number(bound)).unwrap_or(f64::INFINITY);
            match le.iter_mut().find(|(known, _)| known.total_cmp(&bound).is_eq()) {
                Some((_, count)) => *count += sample.value,
                None => le.push((bound, sample.value)),
            }
        }
        le.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        Buckets {
            le,
            count: self.sum(&format!("{name}_count"), wanted).unwrap_or_default(),
            sum: self.sum(&format!("{name}_sum"), wanted).unwrap_or_default(),
        }
    }
}

impl Sample {
    fn has(&self, wanted: &[(&str, &str)]) -> bool {
        wanted
            .iter()
            .all(|(name, value)| self.labels.get(*name).is_some_and(|has| has == value))
    }
}

/// `name{label="value",…} value [timestamp] [# exemplar]`.
fn sample(line: &str) -> Result<(&str, Sample), &'static str> {
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("a name");
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = rest.split_whitespace().next().and_then(number).ok_or("a value")?;
    Ok((name, Sample { labels, value }))
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        text if text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+' || c == '.') => text.parse().ok(),
        _ => None,
    }
}

/// What is between the braces, and what comes after them.
fn labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str), &'static str> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        if labels.len() >= LABELS_MAX {
            return Err("at most 32 labels");
        }
        let (name, after) = rest.split_once("=\"").ok_or("a label and its value")?;
        let (value, after) = quoted(after)?;
        labels.insert(name.to_owned(), value);
        rest = after;
    }
}

/// Up to the closing quote, unescaped.
fn quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c)) => value.push(c),
                None => break,
            },
            c => value.push(c),
        }
    }
    Err("a closing quote")
}

impl Buckets {
    /// What was observed since an earlier scrape; everything, if the counters began anew.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        if self.count < earlier.count || self.le.len() != earlier.le.len() {
            return self.clone();
        }
        let pairs = self.le.iter().zip(&earlier.le);
        Self {
            le: pairs.map(|((bound, now), (_, then))| (*bound, (now - then).max(0.0))).collect(),
            count: self.count - earlier.count,
            sum: (self.sum - earlier.sum).max(0.0),
        }
    }

    /// The value below which a share of what was observed is: linear inside a bucket, as Prometheus' histogram_quantile does it. None if
    /// nothing was observed; the last finite bound if it lies beyond.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let rank = share * self.le.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
        let (mut below, mut lower) = (0.0, 0.0);
        for (bound, count) in &self.le {
            if *count >= rank {
                let within = (rank - below) / (count - below).max(f64::MIN_POSITIVE);
                return Some(if bound.is_finite() {
                    lower + (bound - lower) * within
                } else {
                    lower
                });
            }
            (below, lower) = (*count, *bound);
        }
        None
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn samples_are_read_with_their_labels_and_escapes() {
        let page = "# HELP sigwarden_a text\n# TYPE sigwarden_a counter\nsigwarden_a_total{x=\"1\",y=\"a \\\"b\\\" \\\\ {c},\\nd\"} 3 1700000000 # {t=\"x\"} 1\n\
                    sigwarden_a_total{x=\"2\", y=\"z\",} 4.5\nsigwarden_b 1e3\nsigwarden_b{} +Inf\n\n# EOF\n";
        let scrape = Scrape::parse(page).unwrap();
        assert_eq!(scrape.sum("sigwarden_a_total", &[]), Some(7.5));
        assert_eq!(scrape.sum("sigwarden_a_total", &[("y", "a \"b\" \\ {c},\nd")]), Some(3.0));
        assert_eq!(
            scrape.by("sigwarden_a_total", "x", &[]),
            [("1".into(), 3.0), ("2".into(), 4.5)].into()
        );
        assert_eq!(scrape.sum("sigwarden_b", &[]), Some(f64::INFINITY));
        assert_eq!(scrape.sum("sigwarden_c", &[]), None);
    }

    #[test]
    fn what_is_no_page_is_refused_with_its_line() {
        for (page, wanted) in [
            ("<html>", "a name"),
            ("sigwarden_a\n", "a value"),
            ("sigwarden_a nought", "a value"),
            ("sigwarden_a infinity", "a value"),
            ("sigwarden_a{x=1} 1", "a label and its value"),
            ("sigwarden_a{x=\"1} 1", "a closing quote"),
            ("sigwarden_a{x=\"1\\", "a closing quote"),
            ("sigwarden_a{", "a label and its value"),
        ] {
            assert_eq!(
                Scrape::parse(&format!("# c\n{page}")),
                Err(PageError::Line { line: 2, wanted }),
                "{page}"
            );
        }
        let many: String = (0..33).map(|n| format!("l{n}=\"\",")).collect();
        assert!(Scrape::parse(&format!("sigwarden_a{{{many}}} 1")).is_err());
        assert_eq!(Scrape::parse("up 1\n"), Err(PageError::Foreign));
        assert_eq!(Scrape::parse(""), Err(PageError::Foreign));
        assert!(matches!(Scrape::parse(&"a 1\n".repeat(100_001)), Err(PageError::TooLong(..))));
        assert!(matches!(Scrape::parse(&" ".repeat(PAGE_MAX + 1)), Err(PageError::TooLong(..))));
    }

    /// The example of Prometheus' documentation of histogram_quantile: linear within the bucket.
    #[test]
    fn quantiles_are_interpolated_and_of_the_interval() {
        let page = |a: u32, b: u32, c: u32| {
            let text = format!(
                "sigwarden_h_bucket{{le=\"0.1\"}} {a}\nsigwarden_h_bucket{{le=\"0.2\"}} {b}\nsigwarden_h_bucket{{le=\"+Inf\"}} {c}\nsigwarden_h_count {c}\nsigwarden_h_sum {c}\n"
            );
            Scrape::parse(&text).unwrap().histogram("sigwarden_h", &[])
        };
        let now = page(10, 30, 40);
        assert_eq!(now.quantile(0.25), Some(0.1));
        assert!((now.quantile(0.5).unwrap() - 0.15).abs() < 1e-9);
        assert_eq!(now.quantile(0.99), Some(0.2));
        let since = now.since(&page(10, 10, 20));
        assert_eq!((since.count, since.mean()), (20.0, Some(1.0)));
        assert!((since.quantile(0.5).unwrap() - 0.15).abs() < 1e-9);
        assert_eq!(page(0, 0, 0).quantile(0.5), None);
        // The daemon was restarted in between.
        assert_eq!(page(1, 2, 3).since(&now), page(1, 2, 3));
    }
}
