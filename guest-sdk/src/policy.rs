//! What an author implements, and the answers that it gives.

use crate::bindings::sigwarden::policy::types::{Denial, Problem, Request};
use crate::facts::FactError;
use crate::host::Host;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A policy. It judges one request at a time and keeps nothing between two, except what it stages through [`Host`].
pub trait Policy {
    /// The configuration, read from JSON once, at load. Unknown fields are refused without `deny_unknown_fields`; leave
    /// `#[serde(flatten)]` and untagged or internally tagged enums out of it, since serde hides unknown fields inside those.
    /// It is serialized for the digest that shows that a snapshot of it is whole, so a field must not skip serializing.
    type Config: DeserializeOwned + Serialize + JsonSchema + Send + Sync + 'static;

    /// What the policy says about itself.
    const MANIFEST: Manifest;

    /// Judges the configuration by what its types cannot say. Runs once, at load.
    ///
    /// # Errors
    /// What is wrong; [`problem`] makes one. Any stops the start.
    fn check(_config: &Self::Config) -> Result<(), Vec<Problem>> {
        Ok(())
    }

    /// Makes the configuration ready: judges it, and may compile what it holds, once, at load. What it leaves in the configuration is
    /// in the snapshot that every evaluation begins with. Unless written, it only runs [`Policy::check`].
    ///
    /// Keep what is compiled in a field that the operator cannot write and the digest covers: `#[serde(skip_deserializing)]`,
    /// `#[schemars(skip)]`, of a type that serializes itself.
    ///
    /// # Errors
    /// What is wrong, as for [`Policy::check`].
    fn prepare(config: &mut Self::Config) -> Result<(), Vec<Problem>> {
        Self::check(config)
    }

    /// Judges a request.
    ///
    /// # Errors
    /// A denial is the error, so that `?` denies what cannot be read: [`crate::FactError`] becomes a denial `facts/missing`.
    fn evaluate(config: &Self::Config, request: &Request, host: &mut Host) -> Verdict;
}

/// What a policy says about itself; `wit/policy.wit` has each field's rules. The SDK adds the configuration's schema and its own
/// denial codes, [`Denied::FACTS_MISSING`] and [`Denied::NOT_CONFIGURED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manifest {
    /// 1 to 64 bytes of `a-z`, `0-9`, `-`.
    pub name: &'static str,
    /// Semver; `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// One sentence.
    pub purpose: &'static str,
    /// The formats it understands; `["*"]` if it never looks at the payload or a format's facts.
    pub formats: &'static [&'static str],
    /// The facts it reads.
    pub facts: &'static [&'static str],
    /// Every denial code of its own.
    pub denial_codes: &'static [&'static str],
}

/// A policy's answer: allowed, or denied with reasons.
pub type Verdict = Result<Allowed, Denied>;

/// The request may be signed, as far as this policy is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Allowed {
    /// A note for the audit log.
    pub note: Option<String>,
}

/// The request may not be signed. Holds at least one denial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    denials: Vec<Denial>,
}

impl Denied {
    /// The code for a fact that a format should have and the request does not, or that has another type.
    pub const FACTS_MISSING: &'static str = "facts/missing";
    /// The code for a request that arrives before a configuration.
    pub const NOT_CONFIGURED: &'static str = "sdk/not-configured";

    /// One reason. `code` is one of the manifest's; `message` says what was wrong and what would be allowed.
    #[must_use]
    pub fn because(code: &'static str, message: impl Into<String>) -> Self {
        let denial = Denial {
            code: code.to_owned(),
            message: message.into(),
            retry_at: None,
        };
        Self { denials: vec![denial] }
    }

    /// The same, allowed again at a time in milliseconds since the Unix epoch.
    #[must_use]
    pub fn until(code: &'static str, message: impl Into<String>, retry_at_ms: Option<u64>) -> Self {
        let mut denied = Self::because(code, message);
        for denial in &mut denied.denials {
            denial.retry_at = retry_at_ms;
        }
        denied
    }

    /// Adds another's reasons.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.denials.extend(other.denials);
        self
    }

    /// The reasons, at least one.
    #[must_use]
    pub fn denials(&self) -> &[Denial] {
        &self.denials
    }

    /// The reasons, owned.
    #[must_use]
    pub fn into_denials(self) -> Vec<Denial> {
        self.denials
    }

    /// The codes in order: what a test compares.
    #[must_use]
    pub fn codes(&self) -> Vec<&str> {
        self.denials.iter().map(|denial| denial.code.as_str()).collect()
    }
}

impl From<FactError> for Denied {
    fn from(error: FactError) -> Self {
        Self::because(Self::FACTS_MISSING, error.to_string())
    }
}

/// Allows.
///
/// # Errors
/// Never; the type is the verdict's.
pub fn allow() -> Verdict {
    Ok(Allowed { note: None })
}

/// Allows if every part allows, and else denies with every part's reasons, so that a caller mends them together. Every part is
/// asked, also after one that denies.
///
/// # Errors
/// Any part's denial.
pub fn all(parts: impl IntoIterator<Item = Result<(), Denied>>) -> Verdict {
    let denials = parts.into_iter().filter_map(Result::err);
    denials.reduce(Denied::and).map_or_else(allow, Err)
}

/// Allows, with a note for the audit log.
///
/// # Errors
/// Never; the type is the verdict's.
pub fn allow_with(note: impl Into<String>) -> Verdict {
    Ok(Allowed { note: Some(note.into()) })
}

/// Denies for one reason: see [`Denied::because`].
///
/// # Errors
/// Always.
pub fn deny(code: &'static str, message: impl Into<String>) -> Verdict {
    Err(Denied::because(code, message))
}

/// Denies until a time: see [`Denied::until`].
///
/// # Errors
/// Always.
pub fn deny_until(code: &'static str, message: impl Into<String>, retry_at_ms: Option<u64>) -> Verdict {
    Err(Denied::until(code, message, retry_at_ms))
}

/// A fault in the configuration: where (`rules[2].max_value`), and what was wrong and what would be right.
#[must_use]
pub fn problem(path: impl Into<String>, message: impl Into<String>) -> Problem {
    Problem {
        path: path.into(),
        message: message.into(),
    }
}
