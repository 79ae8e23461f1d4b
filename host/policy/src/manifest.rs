//! What a policy says about itself, checked.

use crate::convert::is_code;
use crate::text;
use crate::wit::sigwarden::policy::types;
use serde::{Deserialize, Serialize};
use sigwarden_core::Format;
use sigwarden_core::policy::Understands;

/// Bytes of a name, a version, a fact's name at most.
const NAME_MAX: usize = 64;
/// Bytes of the sentence at most.
const PURPOSE_MAX: usize = 512;
/// Bytes of the schema at most: the reference policies' have some 10 KiB.
const SCHEMA_MAX: usize = 256 * 1024;
/// Entries of a list at most.
const ENTRIES_MAX: usize = 256;

/// What a policy says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its name: 1 to 64 bytes of `a-z`, `0-9`, `-`.
    pub name: String,
    /// Its version: semver.
    pub version: String,
    /// One sentence: what it is for.
    pub purpose: String,
    /// JSON Schema of its configuration.
    pub config_schema: String,
    /// The formats it understands.
    pub formats: Understands,
    /// The facts it reads.
    pub facts: Vec<String>,
    /// The denial codes it can return, sorted.
    pub denial_codes: Vec<String>,
}

/// A manifest as the guest gave it; what the code cache keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RawManifest {
    name: String,
    version: String,
    purpose: String,
    config_schema: String,
    formats: Vec<String>,
    facts: Vec<String>,
    denial_codes: Vec<String>,
}

impl From<types::Manifest> for RawManifest {
    fn from(manifest: types::Manifest) -> Self {
        Self {
            name: manifest.name,
            version: manifest.version,
            purpose: manifest.purpose,
            config_schema: manifest.config_schema,
            formats: manifest.formats,
            facts: manifest.facts,
            denial_codes: manifest.denial_codes,
        }
    }
}

impl RawManifest {
    /// Checks its form. The error completes "its manifest has".
    pub(crate) fn check(&self) -> Result<Manifest, String> {
        let name_like = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if !(1..=NAME_MAX).contains(&self.name.len()) || !self.name.bytes().all(name_like) {
            let name = text::escape(&self.name, NAME_MAX);
            return Err(format!("the name `{name}`; 1 to {NAME_MAX} bytes of `a-z`, `0-9`, `-` are right"));
        }
        if !is_version(&self.version) {
            let version = text::escape(&self.version, NAME_MAX);
            return Err(format!("the version `{version}`; semver is wanted, `1.0.0` for one"));
        }
        if self.purpose.is_empty() || self.purpose.len() > PURPOSE_MAX {
            return Err(format!(
                "a purpose of {} bytes; one sentence of 1 to {PURPOSE_MAX} is right",
                self.purpose.len()
            ));
        }
        if self.config_schema.len() > SCHEMA_MAX || serde_json::from_str::<serde::de::IgnoredAny>(&self.config_schema).is_err() {
            return Err(format!("a config-schema that is no JSON of at most {SCHEMA_MAX} bytes"));
        }
        for (list, what) in [
            (&self.formats, "formats"),
            (&self.facts, "facts"),
            (&self.denial_codes, "denial-codes"),
        ] {
            if list.len() > ENTRIES_MAX {
                return Err(format!("{} {what}, {ENTRIES_MAX} are the most", list.len()));
            }
        }
        if let Some(fact) = self.facts.iter().find(|fact| !(1..=NAME_MAX).contains(&fact.len())) {
            return Err(format!("a fact's name of {} bytes; 1 to {NAME_MAX} are right", fact.len()));
        }
        if let Some(code) = self.denial_codes.iter().find(|code| !is_code(code)) {
            let code = text::escape(code, NAME_MAX);
            return Err(format!(
                "the denial code `{code}`; 1 to 64 bytes of `a-z`, `0-9`, `-`, `/` are right"
            ));
        }
        let mut denial_codes = self.denial_codes.clone();
        denial_codes.sort_unstable();
        denial_codes.dedup();
        Ok(Manifest {
            name: self.name.clone(),
            version: self.version.clone(),
            purpose: text::escape(&self.purpose, PURPOSE_MAX),
            config_schema: self.config_schema.clone(),
            formats: self.formats()?,
            facts: self.facts.iter().map(|fact| text::escape(fact, NAME_MAX)).collect(),
            denial_codes,
        })
    }

    fn formats(&self) -> Result<Understands, String> {
        if self.formats.iter().any(|format| format == "*") {
            return match self.formats.len() {
                1 => Ok(Understands::Any),
                _ => Err("`*` and other formats; `*` stands alone, for a policy that never looks at the payload".to_owned()),
            };
        }
        if self.formats.is_empty() {
            return Err("no formats, so that it could only ever deny".to_owned());
        }
        let formats = self
            .formats
            .iter()
            .map(|format| format.parse::<Format>().map_err(|error| error.to_string()));
        let formats = formats.collect::<Result<Vec<_>, _>>();
        formats
            .map(Understands::Formats)
            .map_err(|error| format!("an unknown format: {}", text::escape(&error, PURPOSE_MAX)))
    }
}

/// `MAJOR.MINOR.PATCH`, with a pre-release or build tag at most.
fn is_version(version: &str) -> bool {
    let numbers = version.split(['-', '+']).next().unwrap_or(version);
    let tag = version.get(numbers.len()..).unwrap_or_default();
    let number = |part: &str| !part.is_empty() && part.len() <= 9 && part.bytes().all(|b| b.is_ascii_digit());
    version.len() <= NAME_MAX
        && numbers.split('.').count() == 3
        && numbers.split('.').all(number)
        && tag.len() != 1
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+'))
}
