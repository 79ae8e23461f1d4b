//! docs/metrics.md, the dashboard and the alerts speak of metrics that there are.

use sigwarden_telemetry::metrics::catalogue::{SECTIONS, tables};
use sigwarden_telemetry::metrics::{HANDSHAKE_REASONS, Listener, PeerKind};
use std::collections::BTreeSet;

fn read(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("docs/{name}: {error}"))
}

fn samples() -> BTreeSet<String> {
    SECTIONS
        .iter()
        .flat_map(|(_, metrics)| *metrics)
        .flat_map(|metric| metric.samples())
        .collect()
}

/// Names of metrics in an expression. What a recording rule makes has a colon in its name.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    words
        .filter(|word| (word.starts_with("sigwarden_") || word.starts_with("process_")) && !word.contains(':'))
        .map(str::to_owned)
        .collect()
}

/// The text between the markers is what the catalogue says: every metric, and none that is not.
#[test]
fn metrics_md_is_what_the_catalogue_says() {
    let text = read("metrics.md");
    let (_, rest) = text.split_once("<!-- catalogue -->\n").expect("a marker before the tables");
    let (tables_there, after) = rest.split_once("<!-- end of catalogue -->").expect("a marker after the tables");
    assert_eq!(
        tables_there.trim(),
        tables().trim(),
        "write it anew: cargo run -p sigwarden-telemetry --example metrics-md"
    );
    // What the rest of the page names is there too.
    let known: BTreeSet<_> = SECTIONS
        .iter()
        .flat_map(|(_, metrics)| *metrics)
        .map(|metric| metric.name.to_owned())
        .collect();
    for name in named(after) {
        assert!(samples().contains(&name) || known.contains(&name), "docs/metrics.md names {name}");
    }
    for reason in HANDSHAKE_REASONS {
        assert!(
            text.contains(&format!("`{reason}`")),
            "docs/metrics.md does not say what `{reason}` is"
        );
    }
    let others = Listener::ALL
        .iter()
        .map(|listener| listener.name())
        .chain(PeerKind::ALL.iter().map(|kind| kind.name()));
    for label in others {
        assert!(
            text.contains(&format!("`{label}`")),
            "docs/metrics.md does not say what `{label}` is"
        );
    }
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let dashboard: serde_json::Value = serde_json::from_str(&read("grafana-dashboard.json")).unwrap();
    let (mut asked, mut ids) = (BTreeSet::new(), BTreeSet::new());
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels {
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "one id for two panels: {}",
            panel["title"]
        );
        assert!(!panel["title"].as_str().unwrap().is_empty());
        if panel["type"] == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{} asks for nothing", panel["title"]);
        for target in targets {
            let names = named(target["expr"].as_str().unwrap());
            assert!(!names.is_empty(), "{} asks for none of our metrics", panel["title"]);
            asked.extend(names);
        }
    }
    for query in dashboard["templating"]["list"].as_array().unwrap() {
        asked.extend(query["query"]["query"].as_str().map(named).unwrap_or_default());
    }
    let unknown: Vec<_> = asked.difference(&samples()).cloned().collect();
    assert_eq!(unknown, Vec::<String>::new());
    assert!(
        panels.len() > 15 && asked.len() > 25,
        "{} panels, {} metrics",
        panels.len(),
        asked.len()
    );
}

#[test]
fn the_alerts_ask_for_metrics_that_there_are_and_say_what_to_do() {
    let text = read("alerts.yml");
    // A runbook speaks of a histogram as a whole.
    let known: BTreeSet<_> = samples()
        .into_iter()
        .chain(
            SECTIONS
                .iter()
                .flat_map(|(_, metrics)| *metrics)
                .map(|metric| metric.name.to_owned()),
        )
        .collect();
    let (expressions, _): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.trim_start().starts_with("expr:"));
    let unknown: Vec<_> = named(&expressions.join("\n")).difference(&samples()).cloned().collect();
    assert_eq!(unknown, Vec::<String>::new());
    let unknown: Vec<_> = named(&text).difference(&known).cloned().collect();
    assert_eq!(unknown, Vec::<String>::new());
    let alerts: Vec<&str> = text.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 15, "{}", alerts.len());
    let mut names = BTreeSet::new();
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        assert!(names.insert(name), "two alerts are called {name}");
        for wanted in ["expr:", "severity: ", "summary: ", "description: ", "runbook: "] {
            assert!(alert.contains(wanted), "{name} has no {wanted}");
        }
        let severity = alert.split("severity: ").nth(1).unwrap().split_whitespace().next().unwrap();
        assert!(matches!(severity, "page" | "ticket"), "{name}: {severity}");
    }
}
