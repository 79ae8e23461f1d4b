#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use sigwarden_guest::prelude::*;

/// Nothing yet.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {}

/// The policy.
pub struct Expressions;

impl Policy for Expressions {
    type Config = Config;

    const MANIFEST: Manifest = Manifest {
        name: "expressions",
        version: env!("CARGO_PKG_VERSION"),
        purpose: "Rules in CEL.",
        formats: &["*"],
        facts: &[],
        denial_codes: &["no-rule"],
    };

    fn evaluate(_: &Config, _: &Request, _: &mut Host) -> Verdict {
        deny("no-rule", "there are no rules")
    }
}

sigwarden_guest::export!(Expressions);
