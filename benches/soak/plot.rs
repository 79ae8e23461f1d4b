//! The plot: latency, memory and descriptors over time, with the episodes as bands.

use crate::episodes::Happened;
use crate::watch::Second;
use std::fmt::Write;

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 70.0;
const GAP: f64 = 50.0;

/// One line of a panel.
struct Line {
    name: &'static str,
    color: &'static str,
    value: fn(&Second) -> f64,
}

/// An SVG of three panels.
pub(crate) fn svg(seconds: &[Second], happened: &[Happened]) -> String {
    let end = seconds.last().map_or(1.0, |second| second.at);
    let panels: [(&str, &str, bool, &[Line]); 4] = [
        (
            "latency",
            "ms",
            true,
            &[
                Line {
                    name: "p50",
                    color: "#1668b8",
                    value: |second| second.p50_ms,
                },
                Line {
                    name: "p99",
                    color: "#c2410c",
                    value: |second| second.p99_ms,
                },
            ],
        ),
        (
            "requests",
            "a second",
            false,
            &[
                Line {
                    name: "signed",
                    color: "#15803d",
                    value: |second| count(second.signed),
                },
                Line {
                    name: "refused",
                    color: "#a16207",
                    value: |second| count(second.refused),
                },
                Line {
                    name: "lost",
                    color: "#b91c1c",
                    value: |second| count(second.lost),
                },
            ],
        ),
        (
            "memory",
            "MiB resident",
            false,
            &[Line {
                name: "resident",
                color: "#6d28d9",
                value: |second| second.mib,
            }],
        ),
        (
            "descriptors",
            "open",
            false,
            &[Line {
                name: "open",
                color: "#0f766e",
                value: |second| second.descriptors,
            }],
        ),
    ];
    #[allow(clippy::cast_precision_loss, reason = "four panels")]
    let total = panels.len() as f64 * (HEIGHT + GAP) + 40.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {total}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        LEFT + WIDTH + 30.0
    );
    let mut top = 30.0;
    for (title, unit, logarithmic, lines) in panels {
        panel(&mut out, top, end, seconds, happened, (title, unit, logarithmic, lines));
        top += HEIGHT + GAP;
    }
    out.push_str("</svg>\n");
    out
}

#[allow(clippy::cast_precision_loss, reason = "counts of a second")]
fn count(number: u64) -> f64 {
    number as f64
}

fn panel(
    out: &mut String,
    top: f64,
    end: f64,
    seconds: &[Second],
    happened: &[Happened],
    (title, unit, logarithmic, lines): (&str, &str, bool, &[Line]),
) {
    let highest = lines
        .iter()
        .flat_map(|line| seconds.iter().map(line.value))
        .filter(|value| value.is_finite())
        .fold(1.0, f64::max)
        * 1.1;
    let x = |at: f64| LEFT + at / end * WIDTH;
    let y = |value: f64| {
        let share = if logarithmic {
            (value.max(0.1) / 0.1).ln() / (highest.max(1.0) / 0.1).ln()
        } else {
            value / highest
        };
        top + HEIGHT * (1.0 - share.clamp(0.0, 1.0))
    };
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{title} ({unit})</text>",
        top - 8.0
    );
    for episode in happened {
        let (from, to) = (x(episode.from), x(episode.to).max(x(episode.from) + 2.0));
        let _ = writeln!(
            out,
            "<rect x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{HEIGHT}\" fill=\"#e5e7eb\"><title>{}</title></rect>",
            to - from,
            episode.what
        );
        if title == "latency" {
            let _ = writeln!(
                out,
                "<text x=\"{from:.1}\" y=\"{}\" font-size=\"9\" fill=\"#555\">{}</text>",
                top + 10.0,
                episode.what
            );
        }
    }
    let ticks: Vec<f64> = if logarithmic {
        [0.1, 1.0, 10.0, 100.0, 1_000.0, 10_000.0]
            .into_iter()
            .filter(|tick| *tick <= highest)
            .collect()
    } else {
        (0..=4).map(|part| highest / 4.0 * f64::from(part)).collect()
    };
    for tick in ticks {
        let at = y(tick);
        let label = if tick < 10.0 { format!("{tick:.1}") } else { format!("{tick:.0}") };
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT + WIDTH,
            LEFT - 6.0,
            at + 4.0
        );
    }
    for part in 0..=5 {
        let at = end / 5.0 * f64::from(part);
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555\">{at:.0} s</text>",
            x(at),
            top + HEIGHT + 16.0
        );
    }
    for (number, line) in lines.iter().enumerate() {
        // A gap where nothing was measured.
        for run in seconds
            .split(|second| !(line.value)(second).is_finite())
            .filter(|run| !run.is_empty())
        {
            let points: Vec<_> = run
                .iter()
                .map(|second| format!("{:.1},{:.1}", x(second.at), y((line.value)(second))))
                .collect();
            let _ = writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"/>",
                points.join(" "),
                line.color
            );
        }
        let at = LEFT + WIDTH - 70.0 * count(number as u64 + 1);
        let _ = writeln!(
            out,
            "<text x=\"{at:.1}\" y=\"{}\" fill=\"{}\">{}</text>",
            top - 8.0,
            line.color,
            line.name
        );
    }
}
