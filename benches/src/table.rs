//! The table and its JSON lines.

use serde::Serialize;

/// One row.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The row's stable name.
    pub name: &'static str,
    /// What was measured over what it is measured against; for `start-10k` seconds, for `idle-memory` and `idle-1000` MiB, for `daemon-1`,
    /// `privval`, `privval-precommit` and `remote-hop` milliseconds.
    pub ratio: f64,
    /// Median of a single call, microseconds.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// What the ratio is against: one raw signature, or the base's calls a second.
    pub floor: f64,
    /// The bound that `ratio` is to keep; none for rows that are reported only.
    pub target: Option<Target>,
    /// Whether it keeps it.
    pub holds: Option<bool>,
    /// What it means, for people.
    #[serde(skip)]
    pub note: String,
}

/// A bound.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(into = "f64")]
pub enum Target {
    /// At most.
    AtMost(f64),
    /// At least.
    AtLeast(f64),
}

impl From<Target> for f64 {
    fn from(target: Target) -> Self {
        match target {
            Target::AtMost(bound) | Target::AtLeast(bound) => bound,
        }
    }
}

impl Target {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(bound) => ratio <= bound,
            Self::AtLeast(bound) => ratio >= bound,
        }
    }
}

impl Row {
    /// A row; whether it holds follows.
    #[must_use]
    pub fn new(name: &'static str, ratio: f64, (p50_us, p99_us): (f64, f64), floor: f64, target: Option<Target>, note: String) -> Self {
        let holds = target.map(|target| target.holds(ratio));
        Self {
            name,
            ratio,
            p50_us,
            p99_us,
            floor,
            target,
            holds,
            note,
        }
    }

    /// The row as a line of the table.
    #[must_use]
    pub fn line(&self) -> String {
        let target = match self.target {
            Some(Target::AtMost(bound)) => format!("≤ {bound}"),
            Some(Target::AtLeast(bound)) => format!("≥ {bound}"),
            None => "reported".to_owned(),
        };
        let verdict = match self.holds {
            Some(true) => "holds",
            Some(false) => "MISSED",
            None => "",
        };
        let Self {
            name,
            ratio,
            p50_us,
            p99_us,
            floor,
            note,
            ..
        } = self;
        format!("{name:<20} {ratio:>8.3} {target:>10} {verdict:<7} {p50_us:>10.1} {p99_us:>10.1} {floor:>10.1}  {note}")
    }
}

/// The table's head.
#[must_use]
pub fn head() -> String {
    format!(
        "{:<20} {:>8} {:>10} {:<7} {:>10} {:>10} {:>10}  what",
        "name", "ratio", "target", "", "p50 us", "p99 us", "floor"
    )
}
