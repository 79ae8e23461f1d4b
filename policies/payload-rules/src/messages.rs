//! Raw messages against their rules.

use crate::config::Messages;
use sigwarden_guest::{Denied, Verdict, allow};

/// Judges a message. What it holds is not repeated.
pub(crate) fn judge(rules: &Messages, message: &[u8]) -> Verdict {
    let size = u64::try_from(message.len()).unwrap_or(u64::MAX);
    let too_long = (size > rules.max_bytes).then(|| {
        let text = format!("the message of {size} bytes is over the limit of {}", rules.max_bytes);
        Denied::because("message/size", text)
    });
    let begins = |prefixes: &Vec<crate::Prefix>| prefixes.iter().any(|prefix| message.starts_with(prefix.bytes()));
    let strange = (!rules.prefixes.as_ref().is_none_or(begins))
        .then(|| Denied::because("message/prefix", "the message begins with none of the configured prefixes"));
    [too_long, strange]
        .into_iter()
        .flatten()
        .reduce(Denied::and)
        .map_or_else(allow, Err)
}
