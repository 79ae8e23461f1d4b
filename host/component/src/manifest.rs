//! What a manifest must be, found out when the module is built: the host would refuse it at load, or nobody would notice a fact that
//! no format has.

use crate::section::Manifest;
use std::collections::BTreeSet;

/// Bytes of a name, a version, a code or a fact at most, as in the host.
const NAME_MAX: usize = 64;
/// Bytes of the sentence at most, as in the host.
const PURPOSE_MAX: usize = 512;
/// Entries of a list at most, as in the host.
const ENTRIES_MAX: usize = 256;
/// Problems that are told; nobody mends more at once.
const PROBLEMS_MAX: usize = 16;

/// Every format and its facts; a test of host/formats holds the page to the decoders.
const FACTS: &str = include_str!("../../../wit/facts.md");

/// What is wrong with a manifest, one after the other. Empty for one that the host takes.
#[must_use]
pub fn problems(manifest: &Manifest) -> Vec<String> {
    let mut problems = Vec::new();
    let name_like = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if !has(&manifest.name, NAME_MAX, name_like) {
        problems.push(format!(
            "the name `{}`: 1 to {NAME_MAX} bytes of `a-z`, `0-9`, `-` are right",
            shown(&manifest.name)
        ));
    }
    if !is_version(&manifest.version) {
        problems.push(format!(
            "the version `{}`: semver is right, such as `1.0.0`",
            shown(&manifest.version)
        ));
    }
    if !(1..=PURPOSE_MAX).contains(&manifest.purpose.len()) {
        problems.push(format!(
            "a purpose of {} bytes: one sentence of 1 to {PURPOSE_MAX} is right",
            manifest.purpose.len()
        ));
    }
    if serde_json::from_str::<serde::de::IgnoredAny>(&manifest.config_schema).is_err() {
        problems.push("a schema of the configuration that is no JSON".to_owned());
    }
    for (what, list) in [
        ("formats", &manifest.formats),
        ("facts", &manifest.facts),
        ("denial codes", &manifest.denial_codes),
    ] {
        if list.len() > ENTRIES_MAX {
            problems.push(format!("{} {what}: {ENTRIES_MAX} are the most", list.len()));
        }
    }
    format_problems(&manifest.formats, &mut problems);
    let known = facts();
    for fact in manifest.facts.iter().filter(|fact| !known.contains(fact.as_str())) {
        problems.push(format!("the fact `{}`, which no format has{}", shown(fact), nearest(fact, &known)));
    }
    let code_like = |byte: u8| name_like(byte) || byte == b'/';
    for code in manifest.denial_codes.iter().filter(|code| !has(code, NAME_MAX, code_like)) {
        problems.push(format!(
            "the denial code `{}`: 1 to {NAME_MAX} bytes of `a-z`, `0-9`, `-`, `/` are right",
            shown(code)
        ));
    }
    problems.truncate(PROBLEMS_MAX);
    problems
}

fn format_problems(formats: &[String], problems: &mut Vec<String>) {
    if formats.is_empty() {
        problems.push("no formats: the host would deny every request without asking it".to_owned());
    }
    if formats.iter().any(|format| format == "*") {
        if formats.len() > 1 {
            problems.push("`*` beside other formats: it stands alone, for a policy that never looks at the payload".to_owned());
        }
        return;
    }
    let known = self::formats();
    for format in formats.iter().filter(|format| !known.contains(format.as_str())) {
        problems.push(format!(
            "the format `{}`, which there is not{}",
            shown(format),
            nearest(format, &known)
        ));
    }
}

/// What is in backticks at the heads of the page's chapters.
fn formats() -> BTreeSet<&'static str> {
    let heads = FACTS.lines().filter_map(|line| line.strip_prefix("## "));
    heads.flat_map(|head| head.split('`').skip(1).step_by(2)).collect()
}

/// What is in backticks at the start of a table's row.
fn facts() -> BTreeSet<&'static str> {
    let rows = FACTS.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).collect()
}

fn has(text: &str, most: usize, right: impl Fn(u8) -> bool) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(right)
}

/// `MAJOR.MINOR.PATCH`, with a pre-release or build tag at most; as the host has it.
fn is_version(version: &str) -> bool {
    let numbers = version.split(['-', '+']).next().unwrap_or(version);
    let tag = version.get(numbers.len()..).unwrap_or_default();
    let number = |part: &str| has(part, 9, |byte| byte.is_ascii_digit());
    version.len() <= NAME_MAX
        && numbers.split('.').count() == 3
        && numbers.split('.').all(number)
        && tag.len() != 1
        && tag
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+'))
}

fn shown(text: &str) -> String {
    text.chars().take(NAME_MAX).flat_map(char::escape_debug).collect()
}

/// The known name with the fewest letters to change, if few are.
fn nearest(name: &str, known: &BTreeSet<&str>) -> String {
    let near = known.iter().map(|known| (distance(name, known), known)).min();
    match near.filter(|(distance, _)| *distance <= 1 + name.len().min(NAME_MAX) / 3) {
        Some((_, near)) => format!("; did you mean `{near}`?"),
        None => "; wit/facts.md lists them".to_owned(),
    }
}

/// Levenshtein's distance over bytes; of a long name only the beginning counts.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (line, x) in a.bytes().take(2 * NAME_MAX).enumerate() {
        let mut next = vec![line + 1];
        for ((above, diagonal), y) in row.iter().skip(1).zip(&row).zip(b.bytes()) {
            let before = next.last().copied().unwrap_or(0);
            next.push((diagonal + usize::from(x != y)).min(above + 1).min(before + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Manifest {
        let text = str::to_owned;
        Manifest {
            name: text("max-value"),
            version: text("1.0.0-rc.1"),
            purpose: text("Bounds values."),
            config_schema: text("{}"),
            formats: vec![text("evm/legacy"), text("raw-message/none")],
            facts: vec![text("evm.value")],
            denial_codes: vec![text("value"), text("evm/to-2")],
        }
    }

    #[test]
    fn a_manifest_that_the_host_takes_has_no_problem() {
        assert_eq!(problems(&good()), Vec::<String>::new());
        let any = Manifest {
            formats: vec!["*".to_owned()],
            facts: vec![],
            ..good()
        };
        assert_eq!(problems(&any), Vec::<String>::new());
    }

    #[test]
    fn each_problem_says_what_is_right() {
        let list = |one: &str| vec![one.to_owned()];
        for (bad, wanted) in [
            (
                Manifest {
                    name: "Max Value".to_owned(),
                    ..good()
                },
                "the name `Max Value`: 1 to 64 bytes",
            ),
            (
                Manifest {
                    version: "1.0".to_owned(),
                    ..good()
                },
                "the version `1.0`: semver",
            ),
            (
                Manifest {
                    purpose: String::new(),
                    ..good()
                },
                "a purpose of 0 bytes",
            ),
            (
                Manifest {
                    config_schema: "{".to_owned(),
                    ..good()
                },
                "no JSON",
            ),
            (Manifest { formats: vec![], ..good() }, "no formats"),
            (
                Manifest {
                    formats: list("evm/eip1559"),
                    ..good()
                },
                "`evm/eip1559`, which there is not; did you mean `evm/eip-1559`?",
            ),
            (
                Manifest {
                    formats: vec!["*".to_owned(), "raw-digest".to_owned()],
                    ..good()
                },
                "`*` beside",
            ),
            (
                Manifest {
                    facts: list("evm.vlaue"),
                    ..good()
                },
                "the fact `evm.vlaue`, which no format has; did you mean `evm.value`?",
            ),
            (
                Manifest {
                    facts: list("something.else.entirely"),
                    ..good()
                },
                "wit/facts.md lists them",
            ),
            (
                Manifest {
                    denial_codes: list("Too Much"),
                    ..good()
                },
                "the denial code `Too Much`: 1 to 64 bytes",
            ),
            (
                Manifest {
                    denial_codes: list(""),
                    ..good()
                },
                "the denial code ``",
            ),
            (
                Manifest {
                    denial_codes: vec!["a".to_owned(); 300],
                    ..good()
                },
                "300 denial codes: 256 are the most",
            ),
            (
                Manifest {
                    name: "a\u{1b}[2J".to_owned(),
                    ..good()
                },
                "`a\\u{1b}[2J`",
            ),
        ] {
            let problems = problems(&bad);
            assert!(
                matches!(problems.as_slice(), [one] if one.contains(wanted)),
                "{wanted}: {problems:?}"
            );
        }
    }

    #[test]
    fn the_page_s_formats_and_facts_are_found() {
        let (formats, facts) = (formats(), facts());
        for format in ["raw-message/keccak256", "raw-digest", "evm/legacy", "ml-kem-768/ciphertext"] {
            assert!(formats.contains(format), "{format}");
        }
        for fact in ["message.length", "evm.access-list.addresses", "hotstuff.qc-hash"] {
            assert!(facts.contains(fact), "{fact}");
        }
    }
}
