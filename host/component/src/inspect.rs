//! What a component is, read from its bytes. Nothing of it runs, so that a file from anywhere can be looked at.

use crate::manifest;
use crate::section::{self, BYTES_MAX, Description, SectionError};
use crate::signature;
use crate::text::escape;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;
use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::Types;
use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};

/// Bytes of a module at most, as in the host: the reference policies have some 300 KiB.
pub const MODULE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Components in components at most. The host takes none; some are still looked at, to be named.
const NESTING_MAX: usize = 8;
/// Core modules at most: the policy and two adapters is what `wit-component` makes.
const MODULES_MAX: usize = 64;
/// Imports or exports at most; the contract has nine.
const NAMES_MAX: usize = 256;
/// Characters of a name that are shown.
const NAME_MAX: usize = 128;
/// Bytes of a page of linear memory.
const PAGE: u64 = 64 * 1024;

/// The contract's package, and the version that this Sigwarden speaks.
const PACKAGE: &str = "sigwarden:policy";
const VERSION: &str = "0.1.0";
/// Its interfaces that a policy may import.
const INTERFACES: [&str; 5] = ["limits", "log", "storage", "types", "watermarks"];
/// What a policy exports.
const EXPORTS: [&str; 4] = ["config-digest", "describe", "configure", "evaluate"];

/// What the sandbox allows; a module with anything else does not load. `host/policy` has the reasons.
const FEATURES: WasmFeatures = WasmFeatures::FLOATS
    .union(WasmFeatures::MUTABLE_GLOBAL)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG)
    .union(WasmFeatures::COMPONENT_MODEL);

/// What cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// A folder.
    #[error("this is a folder; `sigwarden policy build {}` makes the module, target/policies/NAME.wasm, and that can be inspected", .0.display())]
    Folder(std::path::PathBuf),
    /// No file, or not to be read.
    #[error("{0}")]
    Read(#[from] std::io::Error),
    /// Too many bytes.
    #[error("it has more than {MODULE_BYTES_MAX} bytes, which is the most that the host takes")]
    Size,
    /// Some other file.
    #[error("this is {0}; a policy is a WebAssembly component of world `{PACKAGE}/policy@{VERSION}` (`sigwarden policy build` makes one)")]
    NotAComponent(String),
    /// Not to be parsed, or not valid under the features that the sandbox allows.
    #[error("it is no valid component: {0}")]
    Invalid(String),
    /// More of something than any policy has.
    #[error("it has {0}, which no policy has")]
    TooMany(String),
}

/// An import or export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its name, escaped and cut.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: String,
}

/// A linear memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// What it begins with, before a configuration.
    pub initial: u64,
    /// The most that the module itself allows. The host's `memory_bytes` bounds it either way.
    pub maximum: Option<u64>,
}

/// What a component is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// SHA-256 of the file, hex: what a deployment pins.
    pub digest: String,
    /// Its size.
    pub bytes: usize,
    /// What it imports, but for names of types.
    pub imports: Vec<Item>,
    /// What it exports.
    pub exports: Vec<Item>,
    /// Its linear memories; a policy has one.
    pub memories: Vec<Memory>,
    /// What its section says; none if it was not built by `sigwarden policy build`.
    #[serde(skip)]
    pub description: Option<Description>,
    /// Why the host would not load it, as far as can be told from here. Empty for a policy.
    pub problems: Vec<String>,
}

/// Reads a file, of the size that the host would take.
///
/// # Errors
/// It cannot be read, or is too large.
pub fn read(path: &Path) -> Result<Vec<u8>, InspectError> {
    if path.is_dir() {
        return Err(InspectError::Folder(path.to_owned()));
    }
    let mut bytes = Vec::new();
    let most = MODULE_BYTES_MAX as u64 + 1;
    std::fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
    if bytes.len() > MODULE_BYTES_MAX {
        return Err(InspectError::Size);
    }
    Ok(bytes)
}

/// Looks at a component.
///
/// # Errors
/// It is none, is not valid, or has more of something than is looked at.
pub fn inspect(wasm: &[u8]) -> Result<Inspection, InspectError> {
    if wasm.len() > MODULE_BYTES_MAX {
        return Err(InspectError::Size);
    }
    header(wasm)?;
    let outline = Outline::of(wasm)?;
    let types = Validator::new_with_features(FEATURES).validate_all(wasm).map_err(invalid)?;
    let mut problems = outline.problems;
    // A type that is imported is a name for one of an interface's; nothing comes in by it.
    let is_type = |name: &&str| {
        let found = types.as_ref().component_item_for_import(name);
        found.is_some_and(|found| matches!(found.ty, ComponentEntityType::Type { .. }))
    };
    let mut imported = outline.imports;
    imported.retain(|name| !is_type(name));
    let imports = items(&imported, &types, true);
    let exports = items(&outline.exports, &types, false);
    problems.extend(manifest_problems(outline.description.as_ref()));
    problems.extend(import_problem(&imported));
    problems.extend(export_problem(&outline.exports, &types));
    if outline.memories.len() > 1 {
        problems.push(format!("it has {} memories, 1 is allowed", outline.memories.len()));
    }
    Ok(Inspection {
        digest: hex::encode(Sha256::digest(wasm)),
        bytes: wasm.len(),
        imports,
        exports,
        memories: outline.memories,
        description: outline.description,
        problems,
    })
}

/// What one pass over the bytes finds.
#[derive(Default)]
struct Outline<'a> {
    imports: Vec<&'a str>,
    exports: Vec<&'a str>,
    memories: Vec<Memory>,
    description: Option<Description>,
    problems: Vec<String>,
}

impl<'a> Outline<'a> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "a parser's events, of which a few are of use")]
    fn of(wasm: &'a [u8]) -> Result<Self, InspectError> {
        let mut outline = Self::default();
        // How many modules and components are open, and which section of the outermost one describes it.
        let (mut open, mut modules) = (0_usize, 0_usize);
        let mut sections = Vec::new();
        let mut parser = Parser::new(0);
        parser.set_features(FEATURES);
        for payload in parser.parse_all(wasm) {
            match payload.map_err(invalid)? {
                Payload::Version { encoding, .. } => {
                    open += 1;
                    modules += usize::from(encoding == Encoding::Module);
                    // One is the component itself, and a core module may be innermost.
                    if open > NESTING_MAX + 2 {
                        return Err(InspectError::TooMany(format!("components nested more than {NESTING_MAX} deep")));
                    }
                    if modules > MODULES_MAX {
                        return Err(InspectError::TooMany(format!("more than {MODULES_MAX} core modules")));
                    }
                }
                Payload::End(_) => open = open.saturating_sub(1),
                Payload::ComponentImportSection(section) if open == 1 => {
                    for import in section {
                        name(&mut outline.imports, import.map_err(invalid)?.name.name, "imports")?;
                    }
                }
                Payload::ComponentExportSection(section) if open == 1 => {
                    for export in section {
                        name(&mut outline.exports, export.map_err(invalid)?.name.name, "exports")?;
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        let memory = memory.map_err(invalid)?;
                        // More are told by their number only.
                        if outline.memories.len() <= NAMES_MAX {
                            outline.memories.push(Memory {
                                initial: memory.initial.saturating_mul(PAGE),
                                maximum: memory.maximum.map(|pages| pages.saturating_mul(PAGE)),
                            });
                        }
                    }
                }
                Payload::CustomSection(custom) if open == 1 && custom.name() == section::NAME => sections.push(custom.data()),
                _ => {}
            }
        }
        match sections.as_slice() {
            [] => {}
            [section] => match Description::read(section) {
                Ok(description) => outline.description = Some(description),
                Err(error) => outline.problems.push(unreadable(&error)),
            },
            more => outline
                .problems
                .push(format!("it has {} sections `{}`, 1 is right", more.len(), section::NAME)),
        }
        Ok(outline)
    }
}

fn manifest_problems(description: Option<&Description>) -> Vec<String> {
    let problems = description.map(|description| manifest::problems(&description.manifest));
    let problems = problems.unwrap_or_default().into_iter();
    problems.map(|problem| format!("its manifest has {problem}")).collect()
}

fn unreadable(error: &SectionError) -> String {
    escape(&error.to_string(), BYTES_MAX.min(512))
}

fn name<'a>(names: &mut Vec<&'a str>, name: &'a str, what: &str) -> Result<(), InspectError> {
    if names.len() == NAMES_MAX {
        return Err(InspectError::TooMany(format!("more than {NAMES_MAX} {what}")));
    }
    names.push(name);
    Ok(())
}

fn items(names: &[&str], types: &Types, imported: bool) -> Vec<Item> {
    let types = types.as_ref();
    let item = |name: &&str| {
        let found = if imported {
            types.component_item_for_import(name)
        } else {
            types.component_item_for_export(name)
        };
        Item {
            name: escape(name, NAME_MAX),
            ty: found.map(|found| signature::entity(types, &found.ty)).unwrap_or_default(),
        }
    };
    names.iter().map(item).collect()
}

/// Imports that no policy may have, and of other versions of the contract.
fn import_problem(imports: &[&str]) -> Option<String> {
    let (mut foreign, mut versions) = (Vec::new(), Vec::new());
    for import in imports {
        let (path, version) = import.rsplit_once('@').unwrap_or((import, ""));
        let interface = path.strip_prefix(PACKAGE).and_then(|rest| rest.strip_prefix('/'));
        match interface {
            Some(_) if version != VERSION => versions.push(*import),
            Some(interface) if INTERFACES.contains(&interface) => {}
            Some(_) | None => foreign.push(*import),
        }
    }
    if !foreign.is_empty() {
        return Some(format!(
            "it imports {}; a policy may import only the interfaces of `{PACKAGE}@{VERSION}`: no clock, no files, no network, no WASI",
            list(&foreign)
        ));
    }
    if !versions.is_empty() {
        return Some(format!(
            "it is made for {}; this Sigwarden speaks `{PACKAGE}@{VERSION}`: build it against that, or use the Sigwarden that it was made for",
            list(&versions)
        ));
    }
    None
}

fn export_problem(exports: &[&str], types: &Types) -> Option<String> {
    let is_function = |name: &&str| {
        let found = types.as_ref().component_item_for_export(name);
        exports.contains(name) && found.is_some_and(|found| matches!(found.ty, ComponentEntityType::Func(_)))
    };
    let missing: Vec<&str> = EXPORTS.into_iter().filter(|name| !is_function(name)).collect();
    (!missing.is_empty()).then(|| format!("it does not export {}; a policy exports {}", list(&missing), list(&EXPORTS)))
}

/// Some of the names.
fn list(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(16).map(|name| format!("`{}`", escape(name, NAME_MAX))).collect();
    shown.join(", ")
}

fn invalid(error: wasmparser::Error) -> InspectError {
    InspectError::Invalid(escape(&error.to_string(), 512))
}

/// Tells a component from what people mistake for one.
fn header(wasm: &[u8]) -> Result<(), InspectError> {
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
    Err(InspectError::NotAComponent(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_is_that_of_the_wit() {
        let wit = include_str!("../../../wit/policy.wit");
        assert!(wit.contains(&format!("package {PACKAGE}@{VERSION};")));
        for interface in INTERFACES {
            assert!(wit.contains(&format!("interface {interface} {{")), "{interface}");
        }
        for export in EXPORTS {
            assert!(wit.contains(&format!("export {export}: func(")), "{export}");
        }
    }
}
