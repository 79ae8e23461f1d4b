//! NAME: no transaction sends more than the configured value.

use sigwarden_guest::prelude::*;

/// The configuration. A field that it does not have is a problem.
#[derive(Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// The most that one transaction may send, in wei.
    pub max_value: U256,
}

/// The policy.
pub struct Rule;

impl Policy for Rule {
    type Config = Config;
    const MANIFEST: Manifest = Manifest {
        name: "NAME",
        version: env!("CARGO_PKG_VERSION"),
        purpose: "No transaction sends more than the configured value.",
        formats: &["evm/legacy", "evm/eip-2930", "evm/eip-1559"],
        facts: &["evm.value"],
        denial_codes: &["value"],
    };

    fn evaluate(config: &Config, request: &Request, _host: &mut Host) -> Verdict {
        let value = request.evm()?.value;
        if value > config.max_value {
            return deny("value", format!("{value} wei are over the limit of {}", config.max_value));
        }
        allow()
    }
}

sigwarden_guest::export!(Rule);
