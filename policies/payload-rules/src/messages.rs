//! Raw messages against their rules.

use crate::config::{Messages, Prefix};
use sigwarden_guest::{Denied, Verdict, allow};

/// Judges a message. What it holds is not repeated.
pub(crate) fn judge(rules: &Messages, message: &[u8]) -> Verdict {
    let size = u64::try_from(message.len()).unwrap_or(u64::MAX);
    let too_long = (size > rules.max_bytes).then(|| {
        let text = format!("the message of {size} bytes is over the limit of {}", rules.max_bytes);
        Denied::because("message/size", text)
    });
    let strange = (!rules.prefixes.as_ref().is_none_or(|prefixes| begins(prefixes, message)))
        .then(|| Denied::because("message/prefix", "the message begins with none of the configured prefixes"));
    [too_long, strange]
        .into_iter()
        .flatten()
        .reduce(Denied::and)
        .map_or_else(allow, Err)
}

/// Whether the bytes begin with one of the prefixes.
pub(crate) fn begins(prefixes: &[Prefix], bytes: &[u8]) -> bool {
    prefixes.iter().any(|prefix| bytes.starts_with(prefix.bytes()))
}
