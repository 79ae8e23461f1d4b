//! From the bytes of a module to something that evaluates: what a module must be, and in which order it is found out.

use crate::cache::{CodeCache, CodeKey};
use crate::configure;
use crate::engine::Engine;
use crate::error::{LoadError, LoadFault};
use crate::evaluate::Module;
use crate::guest::Guest;
use crate::imports::{self, INTERFACES, PACKAGE, VERSION};
use crate::limiter::{MEMORIES_MAX, TABLES_MAX};
use crate::manifest::{Manifest, RawManifest};
use crate::settings::PolicyLimits;
use crate::shape;
use crate::text;
use crate::wit::PolicyPre;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

/// Bytes of a module at most: the reference policies have some 200 KiB, and compiling takes a hundred times the memory.
const MODULE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a configuration at most: a list of 100,000 addresses has 5 MiB.
const CONFIG_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Least memory that a policy can be given: one page.
const MEMORY_MIN: usize = 64 * 1024;
/// Names listed in an error.
const NAMES_MAX: usize = 16;
/// The exports of world `policy`.
const EXPORTS: [&str; 4] = ["config-digest", "describe", "configure", "evaluate"];

/// A module and what to make of it.
#[derive(Clone)]
pub struct ModuleSource {
    /// The configured name; namespaces its state.
    pub instance: String,
    /// The component.
    pub wasm: Vec<u8>,
    /// Its configuration, JSON.
    pub config_json: String,
    /// Limits of its evaluations.
    pub limits: PolicyLimits,
}

impl std::fmt::Debug for ModuleSource {
    /// A configuration is none of a log's business.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModuleSource")
            .field("instance", &self.instance)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The configured name.
    pub instance: String,
    /// SHA-256 of the module as delivered, hex.
    pub module_digest: String,
    /// SHA-256 of the configuration as given, hex.
    pub config_digest: String,
    /// What it says about itself.
    pub manifest: Manifest,
    /// The compiled code came from the cache.
    pub from_cache: bool,
}

/// A module looked at without a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// SHA-256 of the module, hex.
    pub digest: String,
    /// Its size in bytes.
    pub bytes: usize,
    /// What it imports.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// What it says about itself.
    pub manifest: Manifest,
    /// Linear memory that it starts with, in bytes, before a configuration.
    pub memory_bytes: u64,
}

/// Looks at a module: what it imports and exports, and what it says about itself. It gets no configuration.
///
/// # Errors
/// It is no policy that this host could load.
pub fn inspect(engine: &Engine, wasm: &[u8]) -> Result<Inspection, LoadError> {
    look_at(engine, wasm).map_err(|fault| LoadError { instance: None, fault })
}

fn look_at(engine: &Engine, wasm: &[u8]) -> Result<Inspection, LoadFault> {
    component_header(wasm)?;
    shape::judge(wasm)?;
    let component = compile(engine, wasm)?;
    let memory_bytes = engine.settings().memory_bytes;
    check(engine, &component, memory_bytes)?;
    let linker = linker(engine)?;
    let pre = pre(&linker, &component)?;
    let manifest = configure::describe(engine, &pre, &Arc::from("inspected"), memory_bytes)?
        .check()
        .map_err(LoadFault::Manifest)?;
    let ty = component.component_type();
    let wasmtime = engine.wasmtime();
    Ok(Inspection {
        digest: hex::encode(Sha256::digest(wasm)),
        bytes: wasm.len(),
        imports: ty.imports(wasmtime).map(|(name, _)| name.to_owned()).collect(),
        exports: ty.exports(wasmtime).map(|(name, _)| name.to_owned()).collect(),
        manifest,
        memory_bytes: initial_memory(&component),
    })
}

/// Loads one module: from the cache, or compiled, described, configured and snapshotted.
pub(crate) fn load(
    engine: &Engine,
    linker: &Linker<Guest>,
    source: &ModuleSource,
    cache: Option<&CodeCache>,
) -> Result<(Module, Loaded), LoadError> {
    load_fault(engine, linker, source, cache).map_err(|fault| LoadError {
        instance: Some(source.instance.clone()),
        fault,
    })
}

fn load_fault(
    engine: &Engine,
    linker: &Linker<Guest>,
    source: &ModuleSource,
    cache: Option<&CodeCache>,
) -> Result<(Module, Loaded), LoadFault> {
    component_header(&source.wasm)?;
    let most = engine.settings().memory_bytes;
    if source.config_json.len() > CONFIG_BYTES_MAX {
        return Err(LoadFault::ConfigSize {
            bytes: source.config_json.len(),
            most: CONFIG_BYTES_MAX,
        });
    }
    if !(MEMORY_MIN..=most).contains(&source.limits.memory_bytes) {
        return Err(LoadFault::MemorySetting {
            asked: source.limits.memory_bytes,
            most,
        });
    }
    let key = CodeKey {
        module: Sha256::digest(&source.wasm).into(),
        config: Sha256::digest(source.config_json.as_bytes()).into(),
        engine: engine.hash(),
    };
    let (component, raw, from_cache) = match cache.and_then(|cache| cache.get(engine, &key)) {
        Some((component, raw)) => (component, raw, true),
        None => {
            shape::judge(&source.wasm)?;
            let (component, raw) = configure::configured(engine, linker, source, cache)?;
            if let Some(cache) = cache {
                cache.put(&key, &component, &raw);
            }
            (component, raw, false)
        }
    };
    // Also for what comes from the cache: `memory_bytes` may have changed since.
    check(engine, &component, source.limits.memory_bytes)?;
    let manifest = raw.check().map_err(LoadFault::Manifest)?;
    let loaded = Loaded {
        instance: source.instance.clone(),
        module_digest: hex::encode(key.module),
        config_digest: hex::encode(key.config),
        manifest,
        from_cache,
    };
    let module = Module::new(source, pre(linker, &component)?, loaded.manifest.denial_codes.clone())
        .ok_or_else(|| LoadFault::Types("it does not export `evaluate`".to_owned()))?;
    Ok((module, loaded))
}

/// Compiles a component.
pub(crate) fn compile(engine: &Engine, wasm: &[u8]) -> Result<Component, LoadFault> {
    Component::from_binary(engine.wasmtime(), wasm).map_err(|error| LoadFault::Compile(readable(&error)))
}

/// The linker with the contract's imports.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<Guest>, LoadFault> {
    imports::linker(engine.wasmtime()).map_err(|error| LoadFault::Host(readable(&error)))
}

/// Links a component and looks its exports up, once for all of its instances.
pub(crate) fn pre(linker: &Linker<Guest>, component: &Component) -> Result<PolicyPre<Guest>, LoadFault> {
    let pre = linker
        .instantiate_pre(component)
        .map_err(|error| LoadFault::Types(readable(&error)))?;
    PolicyPre::new(pre).map_err(|error| LoadFault::Types(readable(&error)))
}

/// What wasmtime says, escaped and cut.
pub(crate) fn readable(error: &wasmtime::Error) -> String {
    text::escape(&format!("{error:#}"), 1024)
}

/// Names and numbers of what a component asks for. Types are checked by [`pre`].
pub(crate) fn check(engine: &Engine, component: &Component, memory_bytes: usize) -> Result<(), LoadFault> {
    let ty = component.component_type();
    let wasmtime = engine.wasmtime();
    let prefix = format!("{PACKAGE}/");
    let (mut foreign, mut versions) = (Vec::new(), Vec::new());
    for (name, _) in ty.imports(wasmtime) {
        let (path, version) = name.rsplit_once('@').unwrap_or((name, ""));
        match path.strip_prefix(&prefix) {
            Some(_) if version != VERSION => versions.push(text::escape(name, 128)),
            Some(interface) if INTERFACES.contains(&interface) => {}
            Some(_) | None => foreign.push(text::escape(name, 128)),
        }
    }
    foreign.truncate(NAMES_MAX);
    versions.truncate(NAMES_MAX);
    if !foreign.is_empty() {
        return Err(LoadFault::Imports { names: foreign });
    }
    if !versions.is_empty() {
        return Err(LoadFault::Version { names: versions });
    }
    let is_function = |name: &str| {
        matches!(
            ty.get_export(wasmtime, name).map(|export| export.ty),
            Some(ComponentItem::ComponentFunc(_))
        )
    };
    let missing: Vec<String> = EXPORTS
        .iter()
        .filter(|name| !is_function(name))
        .map(|name| (*name).to_owned())
        .collect();
    if !missing.is_empty() {
        return Err(LoadFault::Exports { names: missing });
    }
    shape(component, memory_bytes).map_err(LoadFault::Shape)
}

fn shape(component: &Component, memory_bytes: usize) -> Result<(), String> {
    let Some(needs) = component.resources_required() else {
        return Err("instances of modules that it imports".to_owned());
    };
    if needs.num_memories > MEMORIES_MAX {
        return Err(format!("{} memories, {MEMORIES_MAX} is allowed", needs.num_memories));
    }
    if needs.num_tables > TABLES_MAX {
        return Err(format!("{} tables, {TABLES_MAX} are allowed", needs.num_tables));
    }
    let bytes = initial_memory(component);
    if bytes > memory_bytes as u64 {
        return Err(format!(
            "{bytes} bytes of memory to begin with, its configuration included; `memory_bytes` allows {memory_bytes}"
        ));
    }
    // Core instances are counted by the limiter when they are made, and the pool refuses to compile too large a table.
    Ok(())
}

/// Linear memory that a component starts with, in bytes. wasmtime counts it in pages.
fn initial_memory(component: &Component) -> u64 {
    const PAGE: u64 = 64 * 1024;
    let pages = component.resources_required().and_then(|needs| needs.max_initial_memory_size);
    pages.unwrap_or(0).saturating_mul(PAGE)
}

/// Tells a component from what people mistake for one.
fn component_header(wasm: &[u8]) -> Result<(), LoadFault> {
    if wasm.len() > MODULE_BYTES_MAX {
        return Err(LoadFault::ModuleSize {
            bytes: wasm.len(),
            most: MODULE_BYTES_MAX,
        });
    }
    let found = match wasm {
        // The component model's preamble: version 13, layer 1.
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => "a core WebAssembly module, not yet made a component".to_owned(),
        [0, b'a', b's', b'm', rest @ ..] => format!("WebAssembly of version {}", hex::encode(rest.get(..4).unwrap_or(rest))),
        [0x7f, b'E', b'L', b'F', ..] => "a native or precompiled binary (ELF)".to_owned(),
        [0x1f, 0x8b, ..] => "a gzip archive".to_owned(),
        [] => "an empty file".to_owned(),
        [b'(', ..] => "WebAssembly text".to_owned(),
        other => format!("a file that begins with {}", hex::encode(other.get(..8).unwrap_or(other))),
    };
    Err(LoadFault::NotAComponent { found })
}

/// What the cache keeps beside the code.
pub(crate) type Configured = (Component, RawManifest);
