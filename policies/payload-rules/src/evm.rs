//! EVM transactions against their rules. Every reason is told at once, so that a caller mends them together.

use crate::config::{Evm, SetCodeRules};
use crate::tagged::chain;
use sigwarden_guest::{Authority, Authorization, AuthorizedChain, Carries, Delegate};
use sigwarden_guest::{Denied, EvmTransaction, Fees, HexBytes, Input, Recipient, U256, Verdict, allow};

/// Judges a transaction.
pub(crate) fn judge(rules: &Evm, transaction: &EvmTransaction<'_>) -> Verdict {
    [
        chain("evm/chain-id", &rules.chain_ids, transaction.chain_id),
        recipient(rules, transaction),
        over("evm/value", "the value", "wei", transaction.value, rules.max_value),
        over(
            "evm/gas-limit",
            "the gas limit",
            "gas",
            transaction.gas_limit.into(),
            rules.max_gas_limit.into(),
        ),
        fees(rules, &transaction.fees),
        data_size(rules, transaction),
        input(rules, transaction),
        carries(rules, transaction),
    ]
    .into_iter()
    .flatten()
    .reduce(Denied::and)
    .map_or_else(allow, Err)
}

fn recipient(rules: &Evm, transaction: &EvmTransaction<'_>) -> Option<Denied> {
    match transaction.recipient {
        Recipient::Create if rules.allow_creation => None,
        Recipient::Create => Some(Denied::because(
            "evm/creation",
            "the transaction creates a contract; `allow_creation` would allow it",
        )),
        Recipient::Call(_) if rules.dangerous_allow_any_recipient => None,
        Recipient::Call(address) if rules.recipients.contains(&address) => None,
        Recipient::Call(address) => {
            let message = format!("{address} is not among the {} allowed recipients", rules.recipients.len());
            Some(Denied::because("evm/recipient", message))
        }
    }
}

fn over(code: &'static str, what: &str, unit: &str, found: U256, limit: U256) -> Option<Denied> {
    (found > limit).then(|| Denied::because(code, format!("{what} of {found} {unit} is over the limit of {limit}")))
}

fn fees(rules: &Evm, fees: &Fees) -> Option<Denied> {
    let cap = rules.max_fee_per_gas;
    match fees {
        Fees::Legacy { gas_price } => over(
            "evm/gas-price",
            "the gas price",
            "wei",
            *gas_price,
            rules.max_gas_price.unwrap_or(cap),
        ),
        Fees::Eip1559 {
            max_fee_per_gas,
            max_priority_fee_per_gas,
        } => {
            let priority_cap = rules.max_priority_fee_per_gas.unwrap_or(cap);
            let fee = over("evm/fee-cap", "the fee cap", "wei", *max_fee_per_gas, cap);
            let priority = over(
                "evm/priority-fee",
                "the priority fee",
                "wei",
                *max_priority_fee_per_gas,
                priority_cap,
            );
            [fee, priority].into_iter().flatten().reduce(Denied::and)
        }
    }
}

fn carries(rules: &Evm, transaction: &EvmTransaction<'_>) -> Option<Denied> {
    match (&transaction.carries, &rules.blobs, &rules.set_code) {
        (Carries::Nothing, _, _) => None,
        (Carries::Blobs(blobs), Some(rules), _) => {
            let fee = over(
                "evm/blob-fee",
                "the blob fee cap",
                "wei",
                blobs.max_fee_per_blob_gas,
                rules.max_fee_per_blob_gas,
            );
            let count = over("evm/blobs", "the number", "blobs", blobs.count.into(), rules.max_blobs.into());
            [fee, count].into_iter().flatten().reduce(Denied::and)
        }
        (Carries::Blobs(_), None, _) => Some(Denied::because(
            "evm/blobs",
            "the transaction carries blobs; `evm.blobs` would give rules for them",
        )),
        (Carries::Authorizations(list), _, Some(rules)) => {
            let judged = list.iter().filter_map(|one| match one {
                Ok(one) => set_code(rules, transaction.chain_id, &one),
                Err(error) => Some(error.into()),
            });
            judged.reduce(Denied::and)
        }
        (Carries::Authorizations(_), _, None) => Some(Denied::because(
            "evm/set-code",
            "the transaction sets the code of accounts; `evm.set_code` would give rules for that",
        )),
    }
}

fn set_code(rules: &SetCodeRules, chain_id: u64, authorization: &Authorization) -> Option<Denied> {
    let delegate = match authorization.delegate {
        Delegate::Contract(address) if rules.delegates.contains(&address) => None,
        Delegate::Contract(address) => {
            let message = format!("{address} is not among the {} allowed delegates", rules.delegates.len());
            Some(Denied::because("evm/delegate", message))
        }
        Delegate::Cleared if rules.allow_clearing => None,
        Delegate::Cleared => Some(Denied::because(
            "evm/delegate",
            "an authorization takes an account's code away; `allow_clearing` would allow it",
        )),
    };
    let chain = match authorization.chain {
        AuthorizedChain::Every if rules.dangerous_allow_every_chain => None,
        AuthorizedChain::One(chain) if chain == U256::from(chain_id) => None,
        AuthorizedChain::Every => Some(Denied::because("evm/delegation-chain", "an authorization counts on every chain")),
        AuthorizedChain::One(chain) => {
            let message = format!("an authorization is for chain {chain}, the transaction for {chain_id}");
            Some(Denied::because("evm/delegation-chain", message))
        }
    };
    let authority = match (authorization.authority, &rules.authorities) {
        (_, None) => None,
        (Authority::Account(address), Some(allowed)) if allowed.contains(&address) => None,
        (Authority::Account(address), Some(allowed)) => {
            let message = format!(
                "{address} is not among the {} accounts whose authorizations are allowed",
                allowed.len()
            );
            Some(Denied::because("evm/authority", message))
        }
        (Authority::Invalid, Some(_)) => Some(Denied::because(
            "evm/authority",
            "nobody can be told from an authorization's signature, which no chain counts",
        )),
    };
    [delegate, chain, authority].into_iter().flatten().reduce(Denied::and)
}

fn data_size(rules: &Evm, transaction: &EvmTransaction<'_>) -> Option<Denied> {
    let size = u64::try_from(transaction.data.len()).unwrap_or(u64::MAX);
    over("evm/data-size", "the data", "bytes", size.into(), rules.max_data_bytes.into())
}

fn input(rules: &Evm, transaction: &EvmTransaction<'_>) -> Option<Denied> {
    if rules.dangerous_allow_any_call_data {
        return None;
    }
    match (transaction.input(), transaction.recipient) {
        // Creation has its own rule, and no selector.
        (Input::None | Input::InitCode(_), _) | (Input::Call { .. } | Input::Short(_), Recipient::Create) => None,
        (Input::Short(data), Recipient::Call(_)) => {
            let message = format!(
                "{} bytes of call data name no function; none, or a selector of 4 bytes and its arguments, is right",
                data.len()
            );
            Some(Denied::because("evm/selector", message))
        }
        (Input::Call { selector, .. }, Recipient::Call(address)) => {
            let allowed = rules.calls.get(&address).unwrap_or(&rules.selectors);
            if allowed.iter().any(|one| one.0 == selector) {
                return None;
            }
            let names: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            let names = if names.is_empty() {
                "no call data".to_owned()
            } else {
                names.join(", ")
            };
            let selector = HexBytes(selector.to_vec());
            Some(Denied::because(
                "evm/selector",
                format!("function {selector} of {address} is not allowed; {names} is"),
            ))
        }
    }
}
