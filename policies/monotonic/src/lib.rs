//! placeholder that builds
use sigwarden_guest::prelude::*;
#[derive(Deserialize, Serialize, JsonSchema)]
struct Config {
    /// The most.
    max_value: U256,
}
struct MaxValue;
impl Policy for MaxValue {
    type Config = Config;
    const MANIFEST: Manifest = Manifest {
        name: "monotonic",
        version: env!("CARGO_PKG_VERSION"),
        purpose: "Placeholder.",
        formats: &["evm/legacy", "evm/eip-2930", "evm/eip-1559"],
        facts: &["evm.value"],
        denial_codes: &["value"],
    };
    fn evaluate(config: &Config, request: &Request, _: &mut Host) -> Verdict {
        let value = request.evm()?.value;
        if value <= config.max_value { allow() } else { deny("value", format!("{value} wei are over the limit of {}", config.max_value)) }
    }
}
sigwarden_guest::export!(MaxValue);
