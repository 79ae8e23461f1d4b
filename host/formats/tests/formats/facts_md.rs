//! `wit/facts.md` lists exactly what the decoders emit, and its examples are true.

use crate::{decode, facts_of, samples};
use sigwarden_core::fact::{FactValue, Scalar};
use sigwarden_core::{Format, Scheme};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A row of a format's table.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    name: String,
    kind: String,
    always: bool,
}

/// What the document says of one format.
#[derive(Debug, Default)]
struct Section {
    rows: BTreeSet<Row>,
    /// The example's payload.
    payload: Vec<u8>,
    /// The example's facts, as `name = value`.
    facts: Vec<String>,
    /// The example's signing inputs, hex, by scheme.
    inputs: Vec<(Scheme, Vec<String>)>,
}

fn backticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Sections start with a heading that names formats; tables have rows of `fact`, type, when; examples are fenced blocks.
fn read() -> BTreeMap<&'static str, Section> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/facts.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut sections = BTreeMap::<&'static str, Section>::new();
    let (mut formats, mut fence) = (Vec::<Format>::new(), String::new());
    for line in text.lines() {
        if line.starts_with('#') {
            formats = backticked(line).iter().filter_map(|name| name.parse().ok()).collect();
            for format in &formats {
                assert!(!sections.contains_key(format.name()), "{format} has two sections");
            }
        }
        if let Some(name) = line.strip_prefix("```") {
            fence = name.to_owned();
            continue;
        }
        for format in &formats {
            let section = sections.entry(format.name()).or_default();
            if fence == "payload" {
                let bytes = line.split('#').next().unwrap().replace(' ', "");
                section.payload.extend(hex::decode(bytes).unwrap());
            } else if fence == "json" {
                // The payload is this text without its line breaks.
                section.payload.extend(line.as_bytes());
            } else if fence == "facts" {
                section.facts.push(line.to_owned());
            } else if let Some(rest) = line.strip_prefix("Signing input") {
                let mut ticked = backticked(rest).into_iter();
                let scheme = ticked.next().unwrap().parse().unwrap();
                section.inputs.push((scheme, ticked.map(str::to_owned).collect()));
            } else if line.starts_with("| `") {
                let cells: Vec<_> = line.split('|').map(str::trim).collect();
                section.rows.insert(Row {
                    name: backticked(cells[1])[0].to_owned(),
                    kind: cells[2].to_owned(),
                    always: cells[3] == "always",
                });
            }
        }
    }
    sections
}

fn kind_of(value: &FactValue) -> String {
    let scalar = |value: &Scalar| match value {
        Scalar::Text(_) => "text",
        Scalar::Bytes(_) => "bytes",
        Scalar::Bool(_) => "bool",
        Scalar::U64(_) => "u64",
        Scalar::U256(_) => "u256",
    };
    match value {
        FactValue::One(value) => scalar(value).to_owned(),
        FactValue::Many(values) => format!("list of {}", values.first().map_or("bytes", scalar)),
    }
}

/// The facts of all samples: a fact is always there if every sample has it.
fn emitted(format: Format) -> BTreeSet<Row> {
    let samples: Vec<_> = samples::payloads(format)
        .iter()
        .map(|payload| decode(format, payload).unwrap())
        .collect();
    let mut seen = BTreeMap::<(&str, String), usize>::new();
    for fact in samples.iter().flat_map(|decoded| &decoded.facts) {
        *seen.entry((fact.name, kind_of(&fact.value))).or_default() += 1;
    }
    seen.into_iter()
        .map(|((name, kind), count)| Row {
            name: name.to_owned(),
            kind,
            always: count == samples.len(),
        })
        .collect()
}

#[test]
fn every_format_has_a_section_and_no_other_has() {
    let documented: Vec<_> = read().into_keys().collect();
    let mut formats: Vec<_> = Format::ALL.iter().map(|format| format.name()).collect();
    formats.sort_unstable();
    assert_eq!(documented, formats);
}

#[test]
fn the_tables_list_exactly_the_facts_that_the_decoders_emit() {
    let sections = read();
    for format in Format::ALL {
        // The documented types of bytes carry their length; the emitted ones cannot.
        let unsized_kind = |kind: &str| match kind.trim_end_matches(char::is_numeric) {
            bytes if bytes.ends_with("bytes") => bytes.to_owned(),
            _ => kind.to_owned(),
        };
        let documented: BTreeSet<_> = sections[format.name()]
            .rows
            .iter()
            .map(|row| Row {
                name: row.name.clone(),
                kind: unsized_kind(&row.kind),
                always: row.always,
            })
            .collect();
        assert_eq!(documented, emitted(*format), "{format}");
    }
}

fn kind_in(section: &Section, name: &str) -> String {
    section.rows.iter().find(|row| row.name == name).unwrap().kind.clone()
}

/// `bytes20` in the table means that the fact has 20 bytes in every sample.
#[test]
fn documented_lengths_are_the_emitted_ones() {
    let sections = read();
    for format in Format::ALL {
        for payload in samples::payloads(*format) {
            for fact in decode(*format, &payload).unwrap().facts {
                let kind = kind_in(&sections[format.name()], fact.name);
                let Some((_, length)) = kind.split_once("bytes").filter(|(_, length)| !length.is_empty()) else {
                    continue;
                };
                let scalars = match fact.value {
                    FactValue::One(scalar) => vec![scalar],
                    FactValue::Many(scalars) => scalars,
                };
                for scalar in scalars {
                    let Scalar::Bytes(bytes) = scalar else {
                        panic!("{} is no bytes", fact.name)
                    };
                    assert_eq!(bytes.len().to_string(), length, "{}", fact.name);
                }
            }
        }
    }
}

#[test]
fn the_examples_are_true() {
    let sections = read();
    for format in Format::ALL {
        let section = &sections[format.name()];
        assert!(!section.inputs.is_empty() && !section.payload.is_empty(), "{format} has no example");
        let mut checked = 0;
        for (scheme, inputs) in section.inputs.iter().filter(|(scheme, _)| format.scheme_can_sign(*scheme)) {
            let decoded = sigwarden_formats::decode(*format, *scheme, &section.payload).unwrap();
            let facts: Vec<_> = facts_of(&decoded)
                .into_iter()
                .map(|(name, value)| format!("{name} = {value}"))
                .collect();
            assert_eq!(facts, section.facts, "{format}");
            let got: Vec<_> = decoded.inputs.iter().map(|input| hex::encode(input.as_bytes())).collect();
            if inputs.first().is_some_and(|input| input.parse::<Format>().is_ok()) {
                // A section of several formats: each format's name, then its input.
                let at = inputs.iter().position(|name| name == format.name()).unwrap();
                assert_eq!(got, [inputs[at + 1].clone()], "{format}");
            } else {
                assert_eq!(&got, inputs, "{format}");
            }
            checked += 1;
        }
        assert!(checked > 0, "{format}'s example is for schemes that cannot sign it");
    }
}
