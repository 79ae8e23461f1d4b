//! The facts that there are: the tables of `wit/facts.md`, which a test of host/formats holds to the decoders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

const FACTS: &str = include_str!("../../../wit/facts.md");

/// Of each format, its facts, and whether they are always there.
fn formats() -> &'static [BTreeMap<&'static str, bool>] {
    static FORMATS: OnceLock<Vec<BTreeMap<&'static str, bool>>> = OnceLock::new();
    FORMATS.get_or_init(|| {
        let sections = FACTS.split("\n## ").skip(1);
        let facts = sections.map(|section| section.lines().filter_map(row).collect::<BTreeMap<_, _>>());
        facts.filter(|facts| !facts.is_empty()).collect()
    })
}

/// `` | `evm.to` | bytes20 | unless `evm.create` | the recipient | ``
fn row(line: &'static str) -> Option<(&'static str, bool)> {
    let mut cells = line.strip_prefix("| ")?.split(" | ");
    let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
    Some((name, cells.nth(1)? == "always"))
}

/// Every fact's name.
pub(crate) fn names() -> BTreeSet<&'static str> {
    formats().iter().flat_map(BTreeMap::keys).copied().collect()
}

/// Whether some request of the fact's family lacks it: that one is absent says something, and a policy may go by it.
pub(crate) fn may_be_absent(name: &str) -> bool {
    let family = name.split('.').next().unwrap_or_default();
    let of_family = |facts: &&BTreeMap<&str, bool>| facts.keys().any(|fact| fact.split('.').next() == Some(family));
    formats().iter().filter(of_family).any(|facts| facts.get(name) != Some(&true))
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
    fn a_fact_is_sure_only_if_every_format_of_its_family_always_has_it() {
        for sure in [
            "evm.value",
            "evm.nonce",
            "cometbft.height",
            "hotstuff.view",
            "tagged.body",
            "digest.bytes",
        ] {
            assert!(!may_be_absent(sure), "{sure}");
        }
        for unsure in [
            "evm.to",
            "evm.gas-price",
            "cometbft.nil",
            "cometbft.extension",
            "hotstuff.block-hash",
            "hotstuff.qc-hash",
        ] {
            assert!(may_be_absent(unsure), "{unsure}");
        }
    }
}
