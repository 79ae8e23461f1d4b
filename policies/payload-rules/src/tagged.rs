//! Tagged messages against their rules.

use crate::config::Tagged;
use sigwarden_guest::{Denied, TaggedMessage, Verdict, allow};

/// Judges a message. What its body holds is not repeated.
pub(crate) fn judge(rules: &Tagged, message: &TaggedMessage<'_>) -> Verdict {
    let strange = (!rules.domains.contains(&message.domain)).then(|| {
        let allowed: Vec<&str> = rules.domains.iter().map(|domain| domain.name()).collect();
        let text = format!("a {} message is not allowed; {} is", message.domain, allowed.join(", "));
        Denied::because("tagged/domain", text)
    });
    let size = u64::try_from(message.body.len()).unwrap_or(u64::MAX);
    let too_long = (size > rules.max_body_bytes).then(|| {
        let text = format!("the body of {size} bytes is over the limit of {}", rules.max_body_bytes);
        Denied::because("tagged/size", text)
    });
    [chain("tagged/chain-id", &rules.chain_ids, message.chain_id), strange, too_long]
        .into_iter()
        .flatten()
        .reduce(Denied::and)
        .map_or_else(allow, Err)
}

/// A chain that is not listed.
pub(crate) fn chain(code: &'static str, allowed: &[u64], chain_id: u64) -> Option<Denied> {
    if allowed.contains(&chain_id) {
        return None;
    }
    let allowed: Vec<String> = allowed.iter().map(u64::to_string).collect();
    let message = format!("chain {chain_id} is not allowed; {} is", allowed.join(", "));
    Some(Denied::because(code, message))
}
