//! What the rows `policy-1k` and `policy-100k` measure: a recipient looked up in a list, and one `limits.take`.
#![forbid(unsafe_code)]

use sigwarden_guest::Rate;
use sigwarden_guest::prelude::*;

/// The list and the bucket.
#[derive(Debug, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    /// The recipients allowed.
    pub addresses: AddressSet,
    /// What the bucket holds.
    pub capacity: u64,
    /// In how many milliseconds it fills.
    pub period_ms: u64,
}

/// The policy.
pub struct ListAndTake;

impl Policy for ListAndTake {
    type Config = Config;

    const MANIFEST: Manifest = Manifest {
        name: "bench-list-and-take",
        version: env!("CARGO_PKG_VERSION"),
        purpose: "Looks a recipient up and takes from one bucket.",
        formats: &["evm/eip-1559"],
        facts: &["evm.to"],
        denial_codes: &["recipient", "exceeded"],
    };

    fn evaluate(config: &Config, request: &Request, host: &mut Host) -> Verdict {
        match request.evm()?.recipient {
            Recipient::Call(address) if config.addresses.contains(&address) => {}
            Recipient::Call(_) | Recipient::Create => return deny("recipient", "not on the list"),
        }
        match host.take(
            "all",
            1,
            Rate {
                capacity: config.capacity,
                period_ms: config.period_ms,
            },
        ) {
            Ok(_) => allow(),
            Err(_) => deny("exceeded", "too many"),
        }
    }
}

sigwarden_guest::export!(ListAndTake);
