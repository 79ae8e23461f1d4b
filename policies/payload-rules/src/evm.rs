//! EVM transactions against their rules. Every reason is told at once, so that a caller mends them together.

use crate::config::Evm;
use crate::tagged::chain;
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
