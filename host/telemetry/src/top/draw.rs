//! The picture, as lines of text with a style for each piece: the same for a terminal, a file and a test. All of it is ASCII, since a
//! name on the page may be anything, and a terminal obeys what it is sent.

use super::view::{Key, View};
use std::fmt::Write as _;

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
}

/// What the keys are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Sort {
    /// Signatures a second.
    #[default]
    Rate,
    /// Refusals a second.
    Refused,
    /// Signatures, ever.
    Uses,
    /// Name.
    Name,
}

impl Sort {
    fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Refused => "refused",
            Self::Uses => "uses",
            Self::Name => "name",
        }
    }

    pub(super) fn next(self) -> Self {
        match self {
            Self::Rate => Self::Refused,
            Self::Refused => Self::Uses,
            Self::Uses => Self::Name,
            Self::Name => Self::Rate,
        }
    }
}

/// A picture of so many columns and lines at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    width: usize,
    height: usize,
    lines: Vec<Vec<(Style, String)>>,
}

impl Frame {
    fn new(width: u16, height: u16) -> Self {
        Self {
            width: width.into(),
            height: height.into(),
            lines: Vec::new(),
        }
    }

    fn line(&mut self, pieces: impl IntoIterator<Item = (Style, String)>) {
        if self.lines.len() >= self.height {
            return;
        }
        let mut left = self.width;
        let mut line = Vec::new();
        for (style, text) in pieces {
            let text = fit(&text, left);
            left -= text.len();
            line.push((style, text));
        }
        self.lines.push(line);
    }

    fn left(&self) -> usize {
        self.height.saturating_sub(self.lines.len())
    }

    /// Without styles, a line each, no blanks at the ends.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            let joined: String = line.iter().map(|(_, piece)| piece.as_str()).collect();
            text.push_str(joined.trim_end());
            text.push('\n');
        }
        text
    }

    /// For a terminal: from its top left corner, what was there before erased.
    pub(super) fn ansi(&self) -> String {
        let mut text = String::from("\x1b[H");
        for (index, line) in self.lines.iter().enumerate() {
            if index > 0 {
                text.push_str("\r\n");
            }
            for (style, piece) in line {
                let code = match style {
                    Style::Plain => "0",
                    Style::Bold => "1",
                    Style::Dim => "2",
                    Style::Good => "32",
                    Style::Bad => "1;31",
                };
                // Writing to a String does not fail.
                let _ = write!(text, "\x1b[{code}m{piece}\x1b[0m");
            }
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        text
    }
}

/// Cut to a width, with a mark; what is no printable ASCII is a question mark.
fn fit(text: &str, width: usize) -> String {
    let mut shown: String = text
        .chars()
        .map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' })
        .collect();
    if shown.len() > width {
        shown.truncate(width.saturating_sub(1));
        if width > 0 {
            shown.push('~');
        }
    }
    shown
}

fn left(text: &str, width: usize) -> String {
    format!("{:<width$}", fit(text, width))
}

fn right(text: &str, width: usize) -> String {
    format!("{:>width$}", fit(text, width))
}

fn rate(value: f64) -> String {
    match value {
        value if value >= 10_000.0 => format!("{:.1}k", value / 1000.0),
        value if value >= 100.0 => format!("{value:.0}"),
        value => format!("{value:.1}"),
    }
}

/// A whole number, grouped by thousands.
fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn duration(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".into(),
        Some(seconds) if seconds < 0.001 => format!("{:.0} us", seconds * 1e6),
        Some(seconds) if seconds < 1.0 => format!("{:.2} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.2} s"),
    }
}

fn bytes(value: f64) -> String {
    let mebibytes = value / (1024.0 * 1024.0);
    if mebibytes < 1024.0 {
        format!("{mebibytes:.0} MiB")
    } else {
        format!("{:.1} GiB", mebibytes / 1024.0)
    }
}

fn since(seconds: f64) -> String {
    let minutes = seconds / 60.0;
    match minutes {
        minutes if minutes < 60.0 => format!("{:.0}m {:02.0}s", minutes.floor(), (seconds % 60.0).floor()),
        minutes if minutes < 1440.0 => format!("{:.0}h {:02.0}m", (minutes / 60.0).floor(), (minutes % 60.0).floor()),
        minutes => format!("{:.0}d {:02.0}h", (minutes / 1440.0).floor(), (minutes / 60.0 % 24.0).floor()),
    }
}

/// Draws. What has no room is left out from the end, with a count of what is missing.
#[must_use]
pub fn draw(view: &View, sort: Sort, width: u16, height: u16) -> Frame {
    let mut frame = Frame::new(width, height.max(1));
    title(&mut frame, view);
    frame.line([]);
    middle(&mut frame, view);
    frame.line([]);
    // One line below for the keys that can be pressed; headings and a blank between are three.
    let room = frame.left().saturating_sub(4);
    let wanted = view.refusals.len().max(1);
    let refusals = wanted
        .min((room / 2).max(1))
        .max(room.saturating_sub(view.keys.len().max(1)).min(wanted));
    keys(&mut frame, view, sort, room.saturating_sub(refusals));
    frame.line([]);
    refused(&mut frame, view, refusals);
    if frame.left() > 0 {
        let text = format!("q quit   s sort by (now: {})   every {:.1} s", sort.name(), view.interval_seconds);
        frame.line([(Style::Dim, text)]);
    }
    frame
}

fn title(frame: &mut Frame, view: &View) {
    let state = match view.ready {
        true if view.troubles.is_empty() => (Style::Good, "ready".to_owned()),
        true => (Style::Bad, format!("ready, but for {}", view.troubles.join(", "))),
        false => (Style::Bad, format!("NOT READY: {}", view.troubles.join(", "))),
    };
    let up = view
        .uptime_seconds
        .map(|seconds| format!("   up {}", since(seconds)))
        .unwrap_or_default();
    frame.line([
        (Style::Bold, format!("sigwarden {}", view.version)),
        (Style::Plain, format!("   {}   ", view.network)),
        state,
        (Style::Plain, up),
    ]);
    let mut line = vec![(Style::Plain, "requests/s".to_owned())];
    for name in ["done", "repeated", "refused", "failed"] {
        let per_second = view
            .requests
            .iter()
            .find(|rate| rate.name == name)
            .map_or(0.0, |rate| rate.per_second);
        let bad = matches!(name, "refused" | "failed") && per_second > 0.0;
        line.push((Style::Plain, format!("   {name} ")));
        line.push((if bad { Style::Bad } else { Style::Bold }, rate(per_second)));
    }
    frame.line(line);
}

/// Latencies at the left, and how everything else is beside them.
fn middle(frame: &mut Frame, view: &View) {
    let (ledger, edges, process) = (&view.ledger, &view.edges, &view.process);
    let total = edges.connections.values().fold(0.0, |sum, open| sum + open);
    let open: Vec<_> = edges.connections.iter().map(|(name, open)| format!("{name} {open:.0}")).collect();
    let by_listener = if open.is_empty() {
        String::new()
    } else {
        format!(" ({})", open.join(", "))
    };
    let down: Vec<_> = edges.up.iter().filter(|(_, up)| !**up).map(|(name, _)| name.as_str()).collect();
    let plain = |text: String| (Style::Plain, text);
    let warn = |bad: bool, text: String| (if bad { Style::Bad } else { Style::Plain }, text);
    let beside = [
        plain(format!(
            "ledger       {}/s records, {}/s writes, {} not durable",
            rate(ledger.records_per_second),
            rate(ledger.writes_per_second),
            count(ledger.lag)
        )),
        warn(ledger.room != "plenty", format!("disk         {}", ledger.room)),
        plain(format!("connections  {total:.0}{by_listener}")),
        plain(format!(
            "queue        {} of {}, handshakes failed {}/s",
            count(edges.queue.0),
            count(edges.queue.1),
            rate(edges.handshake_failures_per_second)
        )),
        match down.is_empty() {
            true => plain(format!("backends     {} up", edges.up.len())),
            false => (Style::Bad, format!("backends     down: {}", down.join(", "))),
        },
        plain(format!(
            "process      {}, {} of {} descriptors, cpu {:.0} %",
            bytes(process.memory_bytes),
            count(process.descriptors.0),
            count(process.descriptors.1),
            process.cpu * 100.0
        )),
    ];
    let heading = format!("{}{}{}{}", left("latency", 10), right("p50", 9), right("p90", 9), right("p99", 9));
    let row = |latency: &super::view::Latency| {
        let quantiles = [latency.p50, latency.p90, latency.p99].map(|value| right(&duration(value), 9));
        format!("{}{}", left(&latency.name, 10), quantiles.concat())
    };
    let rows = std::iter::once((Style::Bold, heading)).chain(view.latencies.iter().map(|latency| plain(row(latency))));
    let wide = frame.width >= 100;
    let mut beside_left = beside.into_iter();
    for (style, text) in rows {
        let at_its_side = if wide { beside_left.next() } else { None };
        let mut line = vec![(style, left(&text, 40))];
        line.extend(at_its_side);
        frame.line(line);
    }
    beside_left.for_each(|piece| frame.line([piece]));
}

fn sorted(keys: &[Key], sort: Sort) -> Vec<&Key> {
    let mut sorted: Vec<_> = keys.iter().collect();
    let by = |value: fn(&Key) -> f64| move |a: &&Key, b: &&Key| value(b).total_cmp(&value(a)).then_with(|| a.name.cmp(&b.name));
    match sort {
        Sort::Rate => sorted.sort_by(by(|key| key.per_second)),
        Sort::Refused => sorted.sort_by(by(|key| key.refused_per_second)),
        Sort::Uses => sorted.sort_by(by(|key| key.uses)),
        Sort::Name => sorted.sort_by(|a, b| a.name.cmp(&b.name)),
    }
    sorted
}

fn keys(frame: &mut Frame, view: &View, sort: Sort, rows: usize) {
    // What is left of the width beside the other columns, at least a short name.
    let name = frame.width.saturating_sub(61).clamp(16, 48);
    let line = |cells: [&str; 7]| {
        let [key, role, state, uses, per_second, refused, floor] = cells;
        [left(key, name), left(" ", 1), left(role, 12), left(" ", 1), left(state, 10)].concat()
            + &[right(uses, 12), right(per_second, 7), right(refused, 7), right(floor, 11)].concat()
    };
    frame.line([(Style::Bold, line(["key", "role", "state", "signatures", "/s", "ref/s", "floor"]))]);
    let sorted = sorted(&view.keys, sort);
    let shown = if sorted.len() > rows {
        rows.saturating_sub(1)
    } else {
        sorted.len()
    };
    for key in sorted.iter().take(shown) {
        let state = if key.due { format!("{} due", key.state) } else { key.state.clone() };
        let floor = key.floor.map(|floor| format!("{floor:.0}")).unwrap_or_default();
        let text = line([
            &key.name,
            &key.role,
            &state,
            &count(key.uses),
            &rate(key.per_second),
            &rate(key.refused_per_second),
            &floor,
        ]);
        let bad = key.refused_per_second > 0.0 || matches!(key.state.as_str(), "suspended" | "revoked");
        frame.line([(if bad { Style::Bad } else { Style::Plain }, text)]);
    }
    if shown < sorted.len() {
        frame.line([(Style::Dim, format!("{} more", sorted.len() - shown))]);
    }
    if sorted.is_empty() {
        frame.line([(Style::Dim, "no keys".to_owned())]);
    }
}

fn refused(frame: &mut Frame, view: &View, rows: usize) {
    let name = frame.width.saturating_sub(20).clamp(16, 60);
    let heading = format!("{}{}{}", left("refused", name), right("/s", 8), right("ever", 12));
    frame.line([(Style::Bold, heading)]);
    if view.refusals.is_empty() {
        frame.line([(Style::Good, "nothing".to_owned())]);
    }
    let shown = if view.refusals.len() > rows { rows.saturating_sub(1) } else { rows };
    for refusal in view.refusals.iter().take(shown) {
        let text = format!(
            "{}{}{}",
            left(&refusal.name, name),
            right(&rate(refusal.per_second), 8),
            right(&count(refusal.total), 12)
        );
        frame.line([(if refusal.per_second > 0.0 { Style::Bad } else { Style::Plain }, text)]);
    }
    if shown < view.refusals.len() {
        frame.line([(Style::Dim, format!("{} more", view.refusals.len() - shown))]);
    }
}
