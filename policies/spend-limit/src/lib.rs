#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod limit;

pub use limit::{Limit, Scope};

use sigwarden_guest::prelude::*;
use sigwarden_guest::{Blobs, Carries, Denied, EvmTransaction, Input, OneOrMore, Problems, all};

/// State calls that the host allows in one evaluation; each limit makes one at the most.
const LIMITS_MAX: usize = 32;

/// What may be spent, of which asset, in what time. A transaction must fit every limit that it matches.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// At least one. The tokens that limits name are watched: a call of one that is no ERC-20 transfer or approval is denied.
    pub limits: OneOrMore<Limit>,
    /// Contracts besides the watched tokens that may be called with call data. Only the coins sent along are counted, whatever the
    /// contract does with tokens that were approved to it.
    #[serde(default)]
    pub contracts: AddressSet,
    /// Allows call data for every contract but the watched tokens.
    #[serde(default)]
    pub dangerous_allow_any_contract: bool,
    /// Allows the creation of contracts; the coins sent along are counted.
    #[serde(default)]
    pub allow_creation: bool,
}

/// What a transaction spends of one asset.
pub(crate) struct Spend {
    pub(crate) chain_id: u64,
    /// None for the chain's own coin.
    pub(crate) token: Option<Address>,
    /// None for a contract that does not exist yet.
    pub(crate) recipient: Option<Address>,
    pub(crate) amount: U256,
    /// What the gas may cost besides, in the chain's own coin.
    pub(crate) fees: U256,
}

impl Spend {
    /// For messages.
    fn asset(&self) -> String {
        let token = self.token.map_or("the coin".to_owned(), |token| format!("token {token}"));
        format!("{token} of chain {}", self.chain_id)
    }
}

/// The policy.
pub struct SpendLimit;

impl Policy for SpendLimit {
    type Config = Config;

    const MANIFEST: Manifest = Manifest {
        name: "spend-limit",
        version: env!("CARGO_PKG_VERSION"),
        purpose: "Limits what keys, callers and recipients get of coins and ERC-20 tokens in a time.",
        // No set-code transactions: what an account does with another's code cannot be read from a call. No messages and typed data:
        // what they permit, others spend.
        formats: &["evm/legacy", "evm/eip-2930", "evm/eip-1559", Blobs::FORMAT],
        facts: EvmTransaction::FACTS,
        denial_codes: &["exceeded", "too-large", "no-limit", "chain-id", "call-data", "contract", "creation"],
    };

    fn prepare(config: &mut Config) -> Result<(), Vec<Problem>> {
        let mut problems = Problems::new();
        let many = config.limits.len() > LIMITS_MAX;
        problems.when(many, "limits", "the host allows 32 state calls, so 32 limits");
        let both = config.dangerous_allow_any_contract && !config.contracts.is_empty();
        let message = "`dangerous_allow_any_contract` makes this list mean nothing; keep one";
        problems.when(both, "contracts", message);
        for index in 0..config.limits.len() {
            let (earlier, rest) = config.limits.split_at_mut(index);
            let Some(limit) = rest.first_mut() else { continue };
            problems.at(format!("limits[{index}]"));
            let twice = earlier.iter().any(|earlier| earlier.name == limit.name);
            problems.when(twice, "name", "another limit has this name; they would share buckets");
            let counted = limit.token.is_none_or(|token| !config.contracts.contains(&token));
            problems.when(!counted, "token", "it is in `contracts` too, where nothing is counted");
            limit.prepare(&mut problems);
        }
        problems.done()
    }

    fn evaluate(config: &Config, request: &Request, host: &mut Host) -> Verdict {
        let mut parts = Vec::new();
        for spend in config.spends(&request.evm()?)? {
            let matching = config.limits.iter().filter(|limit| limit.matches(&spend, request));
            let before = parts.len();
            // Every limit is asked, so that the caller is told the latest time; nothing is counted if one denies.
            parts.extend(matching.map(|limit| limit.take(&spend, request, host)));
            if parts.len() == before && spend.amount > U256::ZERO {
                let message = format!("no limit covers {} for this key, caller and recipient", spend.asset());
                parts.push(Err(Denied::because("no-limit", message)));
            }
        }
        all(parts)
    }
}

impl Config {
    /// What a transaction spends, if all that it may spend can be read: coins, and maybe a token.
    fn spends(&self, transaction: &EvmTransaction<'_>) -> Result<Vec<Spend>, Denied> {
        let chain_id = transaction.chain_id;
        if let Carries::Authorizations(_) = transaction.carries {
            let message = "it sets the code of accounts, which may spend what no limit counts";
            return Err(Denied::because("call-data", message));
        }
        let of_chain = || self.limits.iter().filter(|limit| limit.chain_id == chain_id);
        if of_chain().next().is_none() {
            return Err(Denied::because("chain-id", format!("no limit is for chain {chain_id}")));
        }
        let spend = |token, recipient, amount, fees| Spend {
            chain_id,
            token,
            recipient,
            amount,
            fees,
        };
        // What overflows is more than any limit.
        let fees = transaction.fees_at_most().unwrap_or(U256::MAX);
        let Recipient::Call(address) = transaction.recipient else {
            let coins = vec![spend(None, None, transaction.value, fees)];
            let denied = || Denied::because("creation", "it creates a contract; `allow_creation` would allow it");
            return self.allow_creation.then_some(coins).ok_or_else(denied);
        };
        let mut spends = vec![spend(None, Some(address), transaction.value, fees)];
        let free = self.dangerous_allow_any_contract || self.contracts.contains(&address);
        if of_chain().any(|limit| limit.token == Some(address)) {
            let call = transaction.erc20().map_err(|error| {
                let message = format!("what this call of the token {address} spends cannot be read: {error}");
                Denied::because("call-data", message)
            })?;
            spends.push(spend(Some(address), Some(call.recipient()), call.amount(), U256::ZERO));
        } else if transaction.input() != Input::None && !free {
            let message = format!("{address} is called with data and is no watched token; `contracts` would allow it");
            return Err(Denied::because("contract", message));
        }
        Ok(spends)
    }
}

sigwarden_guest::export!(SpendLimit);

#[cfg(test)]
mod tests;
