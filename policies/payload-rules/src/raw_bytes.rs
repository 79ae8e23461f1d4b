//! Prefixed raw bytes against their rules.

use crate::config::RawBytesRules;
use crate::messages::begins;
use sigwarden_guest::{Denied, RawBytes, RawLayout, Verdict, allow};

/// Judges raw bytes. What they hold is not repeated.
pub(crate) fn judge(rules: &RawBytesRules, raw: &RawBytes<'_>) -> Verdict {
    let size = u64::try_from(raw.body.len()).unwrap_or(u64::MAX);
    let too_long = (size > rules.max_bytes).then(|| {
        let text = format!("the body of {size} bytes is over the limit of {}", rules.max_bytes);
        Denied::because("raw-bytes/size", text)
    });
    let mut denied = vec![too_long];
    match raw.layout {
        RawLayout::Celestia { chain_id, unique_id } => {
            denied.push(listed("raw-bytes/chain-id", "chain", &rules.chain_ids, chain_id));
            denied.push(listed("raw-bytes/unique-id", "unique id", &rules.unique_ids, unique_id));
        }
        RawLayout::Opaque if begins(&rules.opaque_prefixes, raw.body) => {}
        RawLayout::Opaque => denied.push(Some(Denied::because(
            "raw-bytes/prefix",
            "the bytes begin with none of `opaque_prefixes`",
        ))),
    }
    denied.into_iter().flatten().reduce(Denied::and).map_or_else(allow, Err)
}

fn listed(code: &'static str, what: &str, allowed: &[String], found: &str) -> Option<Denied> {
    if allowed.iter().any(|one| one == found) {
        return None;
    }
    let allowed = if allowed.is_empty() {
        "none".to_owned()
    } else {
        allowed.join(", ")
    };
    Some(Denied::because(code, format!("{what} `{found}` is not allowed; {allowed} is")))
}
