//! From an author's [`Policy`] to the exports of `wit/policy.wit`.

use crate::bindings::sigwarden::policy::types as wit;
use crate::config;
use crate::host::Host;
use crate::policy::{Denied, Policy, Verdict, problem};
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

/// Makes a module of a policy: `sigwarden_guest::export!(MyPolicy);`, once in a crate. Natively it does nothing, so that the
/// policy's crate runs its tests.
#[macro_export]
macro_rules! export {
    ($policy:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            static EXPORTED: $crate::Exported<$policy> = $crate::Exported::new();

            struct Component;

            impl $crate::bindings::Guest for Component {
                fn config_digest() -> ::std::vec::Vec<u8> {
                    EXPORTED.config_digest()
                }
                fn describe() -> $crate::bindings::Manifest {
                    $crate::Exported::<$policy>::describe()
                }
                fn configure(config: ::std::string::String) -> ::std::result::Result<(), ::std::vec::Vec<$crate::Problem>> {
                    EXPORTED.configure(config)
                }
                fn evaluate(request: $crate::Request) -> $crate::bindings::Verdict {
                    // The host makes an instance for each request and drops it whole; freeing is time that a signature waits for.
                    let request = ::std::mem::ManuallyDrop::new(request);
                    $crate::Exported::<$policy>::answer(EXPORTED.evaluate(&request, &mut $crate::Host::imports()))
                }
            }

    $crate::bindings::export_policy!(Component with_types_in $crate::bindings);
        };
    };
}

/// A policy with the configuration in force: what [`export!`] and [`crate::testing::Trial`] share.
pub struct Exported<P: Policy> {
    config: OnceLock<P::Config>,
}

impl<P: Policy> std::fmt::Debug for Exported<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct(P::MANIFEST.name)
            .field("configured", &self.config.get().is_some())
            .finish()
    }
}

impl<P: Policy> Exported<P> {
    /// Not configured.
    #[must_use]
    pub const fn new() -> Self {
        Self { config: OnceLock::new() }
    }

    /// SHA-256 over the configuration in force, serialized from memory, so that a snapshot that lost a part of it gives another
    /// digest. Empty if there is none.
    #[must_use]
    pub fn config_digest(&self) -> Vec<u8> {
        let mut digest = Hashing(Sha256::new());
        match self.config.get().map(|config| serde_json::to_writer(&mut digest, config)) {
            Some(Ok(())) => digest.0.finalize().to_vec(),
            Some(Err(_)) | None => Vec::new(),
        }
    }

    /// The manifest, with the configuration's schema and the SDK's own denial codes.
    #[must_use]
    pub fn describe() -> wit::Manifest {
        let manifest = P::MANIFEST;
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>();
        let mut denial_codes = owned(manifest.denial_codes);
        for code in [Denied::FACTS_MISSING, Denied::NOT_CONFIGURED] {
            if !manifest.denial_codes.contains(&code) {
                denial_codes.push(code.to_owned());
            }
        }
        wit::Manifest {
            name: manifest.name.to_owned(),
            version: manifest.version.to_owned(),
            purpose: manifest.purpose.to_owned(),
            config_schema: schemars::schema_for!(P::Config).as_value().to_string(),
            formats: owned(manifest.formats),
            facts: owned(manifest.facts),
            denial_codes,
        }
    }

    /// Takes the configuration.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn configure(&self, json: String) -> Result<(), Vec<wit::Problem>> {
        #[cfg(target_arch = "wasm32")]
        crate::panics::log();
        let parsed = config::parse::<P::Config>(&json);
        wipe(json);
        let mut config = parsed?;
        P::prepare(&mut config)?;
        // What cannot be serialized has no digest.
        serde_json::to_writer(std::io::sink(), &config)
            .map_err(|error| vec![problem("", format!("this configuration has no digest: {error}"))])?;
        self.config
            .set(config)
            .map_err(|_| vec![problem("", "the policy is configured already; it takes one configuration")])
    }

    /// Judges a request with the configuration in force.
    ///
    /// # Errors
    /// The policy's denial, or that there is no configuration.
    pub fn evaluate(&self, request: &wit::Request, host: &mut Host) -> Verdict {
        match self.config.get() {
            Some(config) => P::evaluate(config, request, host),
            None => Err(Denied::because(
                Denied::NOT_CONFIGURED,
                "the policy was asked before it was configured",
            )),
        }
    }

    /// The verdict as the contract has it.
    #[must_use]
    pub fn answer(verdict: Verdict) -> wit::Verdict {
        match verdict {
            Ok(allowed) => wit::Verdict::Allow(allowed.note),
            Err(denied) => wit::Verdict::Deny(denied.into_denials()),
        }
    }
}

impl<P: Policy> Default for Exported<P> {
    fn default() -> Self {
        Self::new()
    }
}

/// Overwrites the text with zeros before it is freed: the memory is snapshotted, and zero pages are left out. A list of 100,000
/// addresses is 4.5 MB of it.
fn wipe(text: String) {
    let mut bytes = text.into_bytes();
    bytes.fill(0);
    // Or the compiler would drop a write that nobody reads.
    std::hint::black_box(&bytes);
}

struct Hashing(Sha256);

impl std::io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Manifest, allow};

    struct Strict;
    impl Policy for Strict {
        type Config = std::collections::BTreeMap<String, u64>;
        const MANIFEST: Manifest = Manifest {
            name: "strict",
            version: "1.0.0",
            purpose: "For this test.",
            formats: &["*"],
            facts: &[],
            denial_codes: &["a"],
        };
        fn check(config: &Self::Config) -> Result<(), Vec<wit::Problem>> {
            if config.is_empty() {
                Err(vec![problem("", "empty")])
            } else {
                Ok(())
            }
        }
        fn evaluate(_: &Self::Config, _: &wit::Request, _: &mut Host) -> Verdict {
            allow()
        }
    }

    #[test]
    fn the_digest_is_of_the_configuration_and_not_of_its_text() {
        let configured = |json: &str| {
            let exported = Exported::<Strict>::new();
            exported.configure(json.to_owned()).unwrap();
            exported.config_digest()
        };
        assert_eq!(configured(r#"{"a":1,"b":2}"#), configured(r#" {"b": 2, "a": 1} "#));
        assert_ne!(configured(r#"{"a":1}"#), configured(r#"{"a":2}"#));
        assert_eq!(configured(r#"{"a":1}"#), Sha256::digest(br#"{"a":1}"#).to_vec());
        assert!(Exported::<Strict>::new().config_digest().is_empty());
    }

    #[test]
    fn one_configuration_is_taken_and_only_if_its_check_passes() {
        let exported = Exported::<Strict>::new();
        assert_eq!(exported.configure("{}".to_owned()).unwrap_err()[0].message, "empty");
        assert_eq!(exported.configure(r#"{"a":1}"#.to_owned()), Ok(()));
        assert!(exported.configure(r#"{"a":2}"#.to_owned()).is_err());
        assert_eq!(exported.config_digest(), Sha256::digest(br#"{"a":1}"#).to_vec());
    }

    #[test]
    fn the_manifest_carries_the_schema_and_the_sdk_s_codes() {
        let manifest = Exported::<Strict>::describe();
        assert_eq!(manifest.denial_codes, ["a", "facts/missing", "sdk/not-configured"]);
        let schema: serde_json::Value = serde_json::from_str(&manifest.config_schema).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }

    #[test]
    fn a_request_before_the_configuration_is_denied() {
        let request = crate::testing::request("raw-digest").build();
        let denied = Exported::<Strict>::new().evaluate(&request, &mut Host::fake()).unwrap_err();
        assert_eq!(denied.codes(), ["sdk/not-configured"]);
    }
}
