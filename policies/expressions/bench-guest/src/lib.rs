//! The ten rules of `../ten-rules.json`, written in Rust: what `expressions` is measured against.
#![forbid(unsafe_code)]

use sigwarden_guest::prelude::*;
use sigwarden_guest::{AccessList, Denied, Input, Network, Scalar, all};

/// Whom a transaction may pay.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// The recipients.
    pub recipients: AddressSet,
}

/// The policy.
pub struct TenRules;

impl Policy for TenRules {
    type Config = Config;

    const MANIFEST: Manifest = Manifest {
        name: "bench-ten-rules",
        version: env!("CARGO_PKG_VERSION"),
        purpose: "Ten rules by hand.",
        formats: &["evm/eip-1559"],
        facts: sigwarden_guest::EvmTransaction::FACTS,
        denial_codes: &["required"],
    };

    fn evaluate(config: &Config, request: &Request, _: &mut Host) -> Verdict {
        let transaction = request.evm()?;
        let Fees::Eip1559 {
            max_fee_per_gas,
            max_priority_fee_per_gas,
        } = transaction.fees
        else {
            return deny("required", "another type of transaction");
        };
        let listed = |address: &[u8]| Address::from_slice(address).is_some_and(|address| config.recipients.contains(&address));
        let value = transaction.value;
        let rule = |holds: bool, message: &'static str| if holds { Ok(()) } else { Err(Denied::because("required", message)) };
        all([
            rule(transaction.chain_id == 1, "chain"),
            rule(value <= U256::from(1_000_000_000_000_000_000u64), "value"),
            rule(
                matches!(transaction.recipient, Recipient::Call(to) if config.recipients.contains(&to)),
                "recipient",
            ),
            rule(transaction.gas_limit <= 500_000, "gas limit"),
            rule(max_fee_per_gas <= U256::from(200_000_000_000u64), "fee cap"),
            rule(max_priority_fee_per_gas <= U256::from(5_000_000_000u64), "priority fee"),
            rule(
                match transaction.input() {
                    Input::None => true,
                    Input::Call { selector, .. } => matches!(selector, [0xa9, 0x05, 0x9c, 0xbb] | [0x09, 0x5e, 0xa7, 0xb3]),
                    Input::InitCode(_) | Input::Short(_) => false,
                },
                "selector",
            ),
            rule(
                transaction.data.len() <= 8_192 && matches!(request.caller.as_str(), "bench" | "ops"),
                "caller",
            ),
            rule(
                request.network != Network::Mainnet || value <= U256::from(500_000_000_000_000_000u64),
                "mainnet",
            ),
            rule(
                match transaction.access_list {
                    AccessList::Absent => true,
                    AccessList::Present { addresses, .. } => {
                        addresses.len() <= 16
                            && addresses
                                .iter()
                                .all(|entry| matches!(entry, Scalar::Bytes(address) if listed(address)))
                    }
                },
                "access list",
            ),
        ])
    }
}

sigwarden_guest::export!(TenRules);
