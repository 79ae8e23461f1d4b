//! Policies at the start: modules read once, compared with their pins, configured, and bound.

use crate::config::{Config, Policy, PolicyConfig};
use sha2::{Digest, Sha256};
use sigwarden_core::PolicySet;
use sigwarden_core::policy::Binding;
use sigwarden_core::shadow::ShadowSet;
use sigwarden_core::state::{Effect, State};
use sigwarden_keys::{Vault, VaultError};
use sigwarden_policy::{CodeCache, Engine, LoadError, Loaded, ModuleSource, PolicyLimits, Sandbox};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of a module at most: the reference policies have 200 KiB; compiling takes a hundred times the memory.
pub(crate) const MODULE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Bytes of a policy's configuration at most: a list of 100,000 addresses has 5 MiB.
const CONFIG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What the code cache's key is derived for.
const CACHE_PURPOSE: &str = "code-cache";

/// A policy does not load.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file cannot be read.
    #[error("policy `{policy}`: {}: {error}", file.display())]
    Unreadable {
        /// The instance.
        policy: String,
        /// The file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The module is not the one that was pinned.
    #[error(
        "policy `{policy}`: {} has SHA-256 {found}, pinned is {pinned}; if you replaced it on purpose, `sigwarden policy pin {policy}`",
        file.display()
    )]
    Pin {
        /// The instance.
        policy: String,
        /// The module.
        file: PathBuf,
        /// Pinned, hex.
        pinned: String,
        /// Found, hex.
        found: String,
    },
    /// Its configuration file is no text.
    #[error("policy `{policy}`: {} is not UTF-8; JSON is wanted", file.display())]
    Text {
        /// The instance.
        policy: String,
        /// The file.
        file: PathBuf,
    },
    /// The sandbox refuses it.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The cache of compiled code has no place.
    #[error("{}: {error}", dir.display())]
    Cache {
        /// Its directory.
        dir: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The cache has no key.
    #[error(transparent)]
    CacheKey(#[from] VaultError),
}

/// The policies of a configuration, loaded.
pub(crate) struct LoadedPolicies {
    /// Those in force.
    pub(crate) set: PolicySet,
    /// The shadows, if there are any.
    pub(crate) shadows: Option<ShadowSet>,
    /// All of them, those in force first.
    pub(crate) loaded: Vec<Loaded>,
}

/// Loads every policy. `given`: what a module's file is to hold.
pub(crate) fn load(
    config: &Config,
    engine: &Engine,
    vault: Option<&Arc<Vault>>,
    given: Option<(&Path, &[u8])>,
) -> Result<LoadedPolicies, PolicyError> {
    // No root key, no cache: compiled code is trusted only by its MAC.
    let cache = match vault {
        Some(vault) => Some(cache(&config.state_dir, vault)?),
        None => None,
    };
    let (shadows, live): (Vec<&Policy>, Vec<&Policy>) = config.policies.iter().partition(|policy| policy.shadow);
    let (set, mut loaded) = load_set(&live, engine, cache.as_ref(), given)?;
    let mut shadow_set = None;
    if !shadows.is_empty() {
        // In a sandbox of their own.
        let (policies, more) = load_set(&shadows, engine, cache.as_ref(), given)?;
        loaded.extend(more);
        let copy = |policy: &&Policy| policy.shadow_of.as_deref().map(Arc::from);
        shadow_set = Some(ShadowSet {
            policies,
            copies: shadows.iter().map(copy).collect(),
        });
    }
    sigwarden_keys::release_memory();
    Ok(LoadedPolicies {
        set,
        shadows: shadow_set,
        loaded,
    })
}

fn load_set(
    policies: &[&Policy],
    engine: &Engine,
    cache: Option<&CodeCache>,
    given: Option<(&Path, &[u8])>,
) -> Result<(PolicySet, Vec<Loaded>), PolicyError> {
    let module = |policy: &Policy| match given {
        Some((file, wasm)) if file == policy.module => as_pinned(policy, wasm.to_vec()),
        Some(_) | None => read_module(policy),
    };
    let sources: Vec<ModuleSource> = policies
        .iter()
        .map(|policy| source(policy, module(policy)?))
        .collect::<Result<_, _>>()?;
    let (sandbox, loaded) = Sandbox::load(engine, sources, cache)?;
    sandbox.self_test()?;
    let bindings = policies
        .iter()
        .zip(&loaded)
        .map(|(policy, loaded)| binding(policy, loaded))
        .collect();
    let set = PolicySet {
        bindings,
        evaluator: Box::new(sandbox),
        engine_hash: engine.hash().into(),
    };
    Ok((set, loaded))
}

/// What differs from what the ledger knows, as effects to record.
pub(crate) fn changed(loaded: &[Loaded], state: &State) -> Vec<Effect> {
    let differs = |loaded: &&Loaded| {
        state.policies.get(loaded.instance.as_str()).is_none_or(|known| {
            (known.module_digest.as_str(), known.config_digest.as_str()) != (loaded.module_digest.as_str(), loaded.config_digest.as_str())
        })
    };
    let effect = |loaded: &Loaded| Effect::PolicyInstance {
        instance: loaded.instance.as_str().into(),
        module_digest: loaded.module_digest.clone(),
        config_digest: loaded.config_digest.clone(),
        version: loaded.manifest.version.clone(),
    };
    loaded.iter().filter(differs).map(effect).collect()
}

/// Reads a policy's module and compares it with its pin.
///
/// # Errors
/// It cannot be read, or is another.
pub(crate) fn read_module(policy: &Policy) -> Result<Vec<u8>, PolicyError> {
    as_pinned(policy, read_module_file(policy)?)
}

fn as_pinned(policy: &Policy, wasm: Vec<u8>) -> Result<Vec<u8>, PolicyError> {
    let found: [u8; 32] = Sha256::digest(&wasm).into();
    match policy.sha256 {
        Some(pinned) if pinned != found => Err(PolicyError::Pin {
            policy: policy.name.clone(),
            file: policy.module.clone(),
            pinned: hex::encode(pinned),
            found: hex::encode(found),
        }),
        Some(_) | None => Ok(wasm),
    }
}

/// Reads a policy's module, whatever its pin says.
///
/// # Errors
/// It cannot be read.
pub(crate) fn read_module_file(policy: &Policy) -> Result<Vec<u8>, PolicyError> {
    read(policy, &policy.module, MODULE_BYTES_MAX)
}

fn source(policy: &Policy, wasm: Vec<u8>) -> Result<ModuleSource, PolicyError> {
    let config_json = match &policy.config {
        PolicyConfig::Inline(json) => json.clone(),
        PolicyConfig::File(file) => String::from_utf8(read(policy, file, CONFIG_BYTES_MAX)?).map_err(|_| PolicyError::Text {
            policy: policy.name.clone(),
            file: file.clone(),
        })?,
    };
    let default = PolicyLimits::default();
    Ok(ModuleSource {
        instance: policy.name.clone(),
        wasm,
        config_json,
        limits: PolicyLimits {
            fuel: policy.fuel.unwrap_or(default.fuel),
            deadline: policy.deadline.unwrap_or(default.deadline),
            memory_bytes: policy.memory_bytes.unwrap_or(default.memory_bytes),
            ..default
        },
    })
}

fn read(policy: &Policy, file: &Path, most: u64) -> Result<Vec<u8>, PolicyError> {
    let unreadable = |error| PolicyError::Unreadable {
        policy: policy.name.clone(),
        file: file.to_owned(),
        error,
    };
    crate::files::read(file, most).map_err(unreadable)
}

fn cache(state_dir: &Path, vault: &Vault) -> Result<CodeCache, PolicyError> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = state_dir.join("code");
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    made.map_err(|error| PolicyError::Cache { dir: dir.clone(), error })?;
    Ok(CodeCache::new(dir, vault.subkey(CACHE_PURPOSE)?))
}

fn binding(policy: &Policy, loaded: &Loaded) -> Binding {
    Binding {
        instance: policy.name.as_str().into(),
        module_digest: loaded.module_digest.as_str().into(),
        config_digest: loaded.config_digest.as_str().into(),
        version: loaded.manifest.version.as_str().into(),
        understands: loaded.manifest.formats.clone(),
        keys: policy.keys.clone(),
        roles: policy.roles.clone(),
        formats: policy.formats.clone(),
    }
}
