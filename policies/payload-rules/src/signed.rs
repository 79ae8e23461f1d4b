//! What EVM accounts sign besides transactions, against its rules.

use crate::config::{SignedMessages, TypedDataRules};
use crate::messages::begins;
use sigwarden_guest::{Denied, SignedMessage, TypedChain, TypedContract, TypedData, Verdict, allow, deny};

/// Judges an EIP-191 message. What it holds is not repeated.
pub(crate) fn message(rules: &SignedMessages, message: &SignedMessage<'_>) -> Verdict {
    let bytes = message.bytes();
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let too_long = (size > rules.max_bytes).then(|| {
        let text = format!("the message of {size} bytes is over the limit of {}", rules.max_bytes);
        Denied::because("signed-message/size", text)
    });
    let strange = (!rules.prefixes.as_ref().is_none_or(|prefixes| begins(prefixes, bytes)))
        .then(|| Denied::because("signed-message/prefix", "the message begins with none of the configured prefixes"));
    let no_text = match message {
        SignedMessage::Text(_) => None,
        SignedMessage::Bytes(_) if rules.dangerous_allow_bytes => None,
        SignedMessage::Bytes(_) => Some(Denied::because(
            "signed-message/bytes",
            "the message is no text; `dangerous_allow_bytes` would allow it",
        )),
    };
    [too_long, strange, no_text]
        .into_iter()
        .flatten()
        .reduce(Denied::and)
        .map_or_else(allow, Err)
}

/// Judges typed data: its chain, contract and type must be those of a rule.
pub(crate) fn typed_data(rules: &TypedDataRules, data: &TypedData<'_>) -> Verdict {
    let (TypedChain::One(chain_id), TypedContract::One(contract)) = (data.domain.chain, data.domain.contract) else {
        return deny(
            "typed-data/domain",
            "the domain does not say chain and contract, so the signature may count elsewhere too",
        );
    };
    let mut of_domain = rules
        .allow
        .iter()
        .filter(|rule| (rule.chain_id, rule.contract) == (chain_id, contract))
        .peekable();
    if of_domain.peek().is_none() {
        return deny("typed-data/domain", format!("no rule is for {contract} on chain {chain_id}"));
    }
    let named = data.primary_type;
    let gives_away = is_permission(named);
    let mut types = of_domain.flat_map(|rule| &rule.primary_types);
    if types.any(|allowed| allowed == named || (allowed == "*" && !gives_away)) {
        return allow();
    }
    let why = if gives_away {
        "; a permit or authorization is allowed by its name only"
    } else {
        ""
    };
    deny(
        "typed-data/primary-type",
        format!("no rule for {contract} on chain {chain_id} has the type `{named}`{why}"),
    )
}

/// Types that let somebody else take tokens: EIP-2612's and DAI's `Permit`, Permit2's `PermitSingle`, `PermitBatch`, `PermitTransferFrom` and
/// the like, EIP-3009's `TransferWithAuthorization` and `ReceiveWithAuthorization`.
fn is_permission(primary_type: &str) -> bool {
    let lower = primary_type.to_ascii_lowercase();
    lower.contains("permit") || lower.contains("authorization")
}
