//! Secrets from the environment, for developers' networks. Absent from a build without `env-secrets`.

use crate::env::{EnvBackend, EnvError, decode};
use crate::os::take_variable;
use crate::pin::Kept;
use crate::secret::SecretBytes;
use crate::shield::ShieldError;
use sigwarden_core::Scheme;
use sigwarden_core::key::{KeyId, KeyName};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Whose names are understood beside our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvPreset {
    /// Nobody's.
    None,
    /// `IGRA_SECRET__igra_hd__wallet_secret`, `IGRA_SECRET__igra__hd__wallet_secret`, an optional `__<profile>` after either, and
    /// `KASPA_IGRA_WALLET_SECRET`.
    Igra,
}

const OURS: &str = "SIGWARDEN_SECRET__";
const IGRA: &str = "IGRA_SECRET__";
/// What `igra.hd.wallet_secret` was called before.
const IGRA_WALLET: &str = "KASPA_IGRA_WALLET_SECRET";

/// Secrets taken out of the environment and kept shielded.
pub struct EnvSecrets {
    secrets: BTreeMap<KeyName, Taken>,
}

struct Taken {
    variable: String,
    /// Whether `hex:` or `b64:` said how it is written: a key must say so.
    encoded: bool,
    kept: Kept,
}

impl EnvSecrets {
    /// Takes every variable that carries a secret out of the environment, and wipes it there. Call it at the top of main, before
    /// threads run.
    ///
    /// # Errors
    /// A variable's name gives none, or its value does not decode; two variables give one name; other threads run.
    pub fn take(preset: EnvPreset) -> Result<Self, EnvError> {
        let mut values = Vec::new();
        for variable in secret_variables_present(preset) {
            let value = take_variable(&variable)?;
            values.push((variable, value));
        }
        Self::from_values(preset, values)
    }

    fn from_values(preset: EnvPreset, values: Vec<(String, Zeroizing<Vec<u8>>)>) -> Result<Self, EnvError> {
        let mut secrets = BTreeMap::<KeyName, Taken>::new();
        let (old, new): (Vec<_>, Vec<_>) = values.into_iter().partition(|(variable, _)| variable == IGRA_WALLET);
        for (variable, value) in new {
            let name = secret_name(preset, &variable)?;
            let taken = Taken::keep(variable, &value)?;
            if let Some(first) = secrets.get(&name) {
                return Err(EnvError::TwoValues {
                    name,
                    first: first.variable.clone(),
                    second: taken.variable,
                });
            }
            secrets.insert(name, taken);
        }
        for (variable, value) in old {
            let name = secret_name(preset, &variable)?;
            let taken = Taken::keep(variable, &value)?;
            // The new name wins.
            secrets.entry(name).or_insert(taken);
        }
        Ok(Self { secrets })
    }

    /// The secrets' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &KeyName> {
        self.secrets.keys()
    }

    /// A secret, if there is one of this name.
    ///
    /// # Errors
    /// It was changed in memory.
    pub fn get(&self, name: &KeyName) -> Result<Option<SecretBytes>, ShieldError> {
        self.secrets.get(name).map(|taken| taken.kept.open()).transpose()
    }

    /// A backend that signs with those of the secrets that are these keys.
    ///
    /// # Errors
    /// No variable gives a key; its value says not how it is written, or is no key of the scheme.
    pub fn backend(&self, keys: impl IntoIterator<Item = (KeyId, Scheme)>) -> Result<EnvBackend, EnvError> {
        let mut backend = EnvBackend::empty();
        for (id, scheme) in keys {
            let taken = self.secrets.get(&id.name).ok_or_else(|| EnvError::NoVariable(id.name.clone()))?;
            if !taken.encoded {
                return Err(EnvError::Prefix(taken.variable.clone()));
            }
            let secret = taken.kept.open()?;
            backend.insert(&taken.variable, id, scheme, secret.expose_secret())?;
        }
        Ok(backend)
    }
}

impl Taken {
    /// `hex:` and `b64:` as in [`decode`], else the text itself.
    fn keep(variable: String, value: &[u8]) -> Result<Self, EnvError> {
        let (encoded, kept) = match decode(&variable, value) {
            Ok(bytes) => (true, Kept::new(&bytes)?),
            Err(EnvError::Prefix(_)) if std::str::from_utf8(value).is_ok() => (false, Kept::new(value)?),
            Err(EnvError::Prefix(_)) => {
                return Err(EnvError::Encoding {
                    variable,
                    encoding: "UTF-8 text",
                });
            }
            Err(error) => return Err(error),
        };
        Ok(Self { variable, encoded, kept })
    }
}

/// The names of the variables that carry secrets, in order; never a value.
#[must_use]
pub fn secret_variables_present(preset: EnvPreset) -> Vec<String> {
    let carries = |name: &String| {
        name.starts_with(OURS)
            || match preset {
                EnvPreset::None => false,
                EnvPreset::Igra => name.starts_with(IGRA) || name == IGRA_WALLET,
            }
    };
    let mut names: Vec<String> = std::env::vars_os()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .filter(carries)
        .collect();
    names.sort();
    names
}

/// The secret that a variable names: `SIGWARDEN_SECRET__evm__hot` is `evm.hot`; the IGRA guide's
/// `IGRA_SECRET__<namespace>__<key_id>[__<profile>]`, whose namespace is `igra_hd` or `igra__hd`, is `igra.<namespace>.<key_id>[_<profile>]`.
fn secret_name(preset: EnvPreset, variable: &str) -> Result<KeyName, EnvError> {
    let wrong = || EnvError::Name(variable.to_owned());
    let parse = |name: String| name.parse().map_err(|_| wrong());
    if let Some(name) = variable.strip_prefix(OURS) {
        return parse(name.replace("__", "."));
    }
    if preset == EnvPreset::None {
        return Err(wrong());
    }
    if variable == IGRA_WALLET {
        return parse("igra.hd.wallet_secret".to_owned());
    }
    let rest = variable
        .strip_prefix(IGRA)
        .and_then(|rest| rest.strip_prefix("igra_"))
        .ok_or_else(wrong)?;
    let rest = rest.strip_prefix('_').unwrap_or(rest);
    let parts: Vec<&str> = rest.split("__").collect();
    match parts.as_slice() {
        [namespace, key] => parse(format!("igra.{namespace}.{key}")),
        [namespace, key, profile] => parse(format!("igra.{namespace}.{key}_{profile}")),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
#[path = "env_secrets_tests.rs"]
mod tests;
