//! The facts that there are: the tables of `wit/facts.md`, which a test of host/formats holds to the decoders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

const FACTS: &str = include_str!("../../../wit/facts.md");

/// A chapter: some formats, and the facts that they have.
struct Chapter {
    formats: Vec<&'static str>,
    /// What its first fact begins with: `evm` of transactions, `message` of messages for the same keys.
    kind: &'static str,
    /// Whether each is always there.
    facts: BTreeMap<&'static str, bool>,
}

fn chapters() -> &'static [Chapter] {
    static CHAPTERS: OnceLock<Vec<Chapter>> = OnceLock::new();
    CHAPTERS.get_or_init(|| FACTS.split("\n## ").skip(1).filter_map(chapter).collect())
}

/// None of those that only introduce others.
fn chapter(text: &'static str) -> Option<Chapter> {
    let rows: Vec<(&str, bool)> = text.lines().filter_map(row).collect();
    Some(Chapter {
        formats: text.lines().next()?.split('`').skip(1).step_by(2).collect(),
        kind: kind(rows.first()?.0),
        facts: rows.into_iter().collect(),
    })
}

fn kind(fact: &str) -> &str {
    fact.split('.').next().unwrap_or_default()
}

/// `` | `evm.to` | bytes20 | unless `evm.create` | the recipient | ``
fn row(line: &'static str) -> Option<(&'static str, bool)> {
    let mut cells = line.strip_prefix("| ")?.split(" | ");
    let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
    Some((name, cells.nth(1)? == "always"))
}

/// Every fact's name.
pub(crate) fn names() -> BTreeSet<&'static str> {
    chapters().iter().flat_map(|chapter| chapter.facts.keys()).copied().collect()
}

/// Whether an honest request in this format, or of its kind, may lack the fact: that it is absent says something, and a policy may go by it.
pub(crate) fn may_be_absent(format: &str, name: &str) -> bool {
    chapters()
        .iter()
        .filter(|chapter| chapter.kind == kind(name) || chapter.formats.contains(&format))
        .any(|chapter| chapter.facts.get(name) != Some(&true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_read() {
        let names = names();
        for name in [
            "evm.value",
            "message.length",
            "cometbft.pol-round",
            "hotstuff.qc-hash",
            "ml-kem.ciphertext-length",
        ] {
            assert!(names.contains(name), "{name}");
        }
        assert!(!names.contains("fact") && !names.contains("evm.vlaue"));
    }

    #[test]
    fn a_fact_is_sure_only_if_every_format_of_its_kind_always_has_it() {
        for (format, sure) in [
            ("evm/legacy", "evm.value"),
            ("evm/eip-1559", "evm.nonce"),
            ("cometbft/vote", "cometbft.height"),
            ("cometbft/vote", "cometbft.chain-id"),
            ("hotstuff/vote", "hotstuff.view"),
            ("tagged-message", "tagged.body"),
            ("raw-digest", "digest.bytes"),
        ] {
            assert!(!may_be_absent(format, sure), "{sure}");
        }
        for (format, unsure) in [
            ("evm/legacy", "evm.to"),
            ("evm/legacy", "evm.gas-price"),
            ("cometbft/vote", "cometbft.nil"),
            ("cometbft/vote-extension", "cometbft.extension"),
            ("cometbft/raw-bytes", "cometbft.chain-id"),
            ("hotstuff/vote", "hotstuff.block-hash"),
            ("hotstuff/timeout", "hotstuff.qc-hash"),
        ] {
            assert!(may_be_absent(format, unsure), "{unsure}");
        }
    }
}
