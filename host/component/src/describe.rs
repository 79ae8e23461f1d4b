//! Asks a core module what it is: its `describe`, run once in an interpreter, and the manifest read out of its memory by the
//! canonical ABI's layout. Nothing of what it imports is there, but for `log.emit`, which is taken and dropped.

use crate::section::Manifest;
use wasmi::{Config, Engine, Extern, ExternType, Instance, Linker, Memory, Module, Store, StoreLimits, StoreLimitsBuilder, Val};

/// Fuel of the call, about a unit an instruction: the largest schema of the reference policies takes a few million.
const FUEL: u64 = 200_000_000;
/// Memory of the module at most: what the host's sandbox gives by default, and as much again.
const MEMORY_BYTES: usize = 32 * 1024 * 1024;
/// Entries of its table at most; one for each function whose address is taken.
const TABLE_ELEMENTS: usize = 100_000;
/// Bytes of one text, and of all texts of one list. The host takes a schema of 256 KiB.
const TEXT_MAX: usize = 256 * 1024;
/// Entries of one list at most, as in the host.
const ENTRIES_MAX: usize = 256;

/// The exports of a module of world `policy`.
const EXPORTS: [&str; 5] = ["config-digest", "describe", "configure", "evaluate", "memory"];

/// Why a module does not say what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescribeError {
    /// The interpreter does not take it.
    #[error("the module cannot be run: {0}")]
    Module(String),
    /// It has no part that says of which world it is.
    #[error("the module is of no world: `sigwarden-guest` puts that in, and it is missing")]
    World,
    /// It lacks a function of the contract, or its memory.
    #[error("the module does not export `{0}`; `sigwarden_guest::export!(MyPolicy);` in src/lib.rs makes the exports of a policy")]
    Export(&'static str),
    /// The call failed.
    #[error("its `describe` failed: {0}")]
    Call(String),
    /// The answer is none.
    #[error("its `describe` gave {0}")]
    Answer(&'static str),
}

/// The manifest of a core module of world `policy`.
///
/// # Errors
/// It has no `describe`, or that fails, takes too long, or answers what is no manifest.
pub fn describe(module: &[u8]) -> Result<Manifest, DescribeError> {
    let refused = |error: wasmi::Error| DescribeError::Module(error.to_string());
    let mut config = Config::default();
    config.consume_fuel(true);
    let engine = Engine::new(&config);
    let module = Module::new(&engine, module).map_err(refused)?;
    for export in EXPORTS {
        if module.get_export(export).is_none() {
            return Err(DescribeError::Export(export));
        }
    }
    // `wit-component` would make an empty component of a module without.
    if !module.custom_sections().any(|section| section.name().starts_with("component-type")) {
        return Err(DescribeError::World);
    }
    let limits = StoreLimitsBuilder::new()
        .memory_size(MEMORY_BYTES)
        .table_elements(TABLE_ELEMENTS)
        .instances(1)
        .trap_on_grow_failure(true)
        .build();
    let mut store = Store::new(&engine, limits);
    store.limiter(|limits| limits);
    store.set_fuel(FUEL).map_err(refused)?;
    let instance = linker(&engine, &module)?
        .instantiate_and_start(&mut store, &module)
        .map_err(refused)?;

    let called = |error: wasmi::Error| DescribeError::Call(error.to_string());
    // A reactor's constructors, as `wit-component` has them called.
    if let Ok(initialize) = instance.get_typed_func::<(), ()>(&store, "_initialize") {
        initialize.call(&mut store, ()).map_err(called)?;
    }
    let Ok(describe) = instance.get_typed_func::<(), i32>(&store, "describe") else {
        return Err(DescribeError::Export("describe"));
    };
    let at = describe.call(&mut store, ()).map_err(called)?;
    read(&memory(&instance, &store)?, &store, at.cast_unsigned())
}

/// A linker in which every import traps, but for `log.emit`.
fn linker(engine: &Engine, module: &Module) -> Result<Linker<StoreLimits>, DescribeError> {
    let mut linker = Linker::new(engine);
    for import in module.imports() {
        let ExternType::Func(ty) = import.ty() else {
            return Err(DescribeError::Module(format!(
                "it imports `{}` `{}`, which is no function",
                import.module().escape_debug(),
                import.name().escape_debug()
            )));
        };
        let log = import.module().starts_with("sigwarden:policy/log@") && import.name() == "emit";
        let name = format!("{}#{}", import.module(), import.name());
        let call = move |_: wasmi::Caller<'_, StoreLimits>, _: &[Val], _: &mut [Val]| {
            if log {
                return Ok(());
            }
            Err(wasmi::Error::new(format!(
                "it called `{}`, which only `evaluate` may",
                name.escape_debug()
            )))
        };
        let linked = linker.func_new(import.module(), import.name(), ty.clone(), call);
        linked.map_err(|error| DescribeError::Module(error.to_string()))?;
    }
    Ok(linker)
}

fn memory(instance: &Instance, store: &Store<StoreLimits>) -> Result<Memory, DescribeError> {
    match instance.get_export(store, "memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        Some(_) | None => Err(DescribeError::Export("memory")),
    }
}

/// The record at an address: four texts, then three lists of texts, each an address and a length.
fn read(memory: &Memory, store: &Store<StoreLimits>, at: u32) -> Result<Manifest, DescribeError> {
    let bytes = Bytes(memory.data(store));
    let text = |field: u32| bytes.text(offset(at, field)?);
    let list = |field: u32| bytes.texts(offset(at, field)?);
    Ok(Manifest {
        name: text(0)?,
        version: text(1)?,
        purpose: text(2)?,
        config_schema: text(3)?,
        formats: list(4)?,
        facts: list(5)?,
        denial_codes: list(6)?,
    })
}

/// The address of an entry of eight bytes.
fn offset(at: u32, entry: u32) -> Result<u32, DescribeError> {
    entry.checked_mul(8).and_then(|bytes| at.checked_add(bytes)).ok_or(OUTSIDE)
}

const OUTSIDE: DescribeError = DescribeError::Answer("an address outside of its memory");

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn get(&self, at: u32, length: usize) -> Result<&'a [u8], DescribeError> {
        let at = at as usize;
        let end = at.checked_add(length).ok_or(OUTSIDE)?;
        self.0.get(at..end).ok_or(OUTSIDE)
    }

    fn word(&self, at: u32) -> Result<u32, DescribeError> {
        let bytes = self.get(at, 4)?.try_into().map_err(|_| OUTSIDE)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// An address and a length.
    fn span(&self, at: u32) -> Result<(u32, usize), DescribeError> {
        let length = at.checked_add(4).ok_or(OUTSIDE)?;
        Ok((self.word(at)?, self.word(length)? as usize))
    }

    fn text(&self, at: u32) -> Result<String, DescribeError> {
        let (start, length) = self.span(at)?;
        if length > TEXT_MAX {
            return Err(DescribeError::Answer("a text of more than 256 KiB"));
        }
        let text = std::str::from_utf8(self.get(start, length)?);
        text.map(str::to_owned)
            .map_err(|_| DescribeError::Answer("a text that is not UTF-8"))
    }

    fn texts(&self, at: u32) -> Result<Vec<String>, DescribeError> {
        let (start, length) = self.span(at)?;
        if length > ENTRIES_MAX {
            return Err(DescribeError::Answer("a list of more than 256 entries"));
        }
        let mut left = TEXT_MAX;
        let mut texts = Vec::with_capacity(length);
        for entry in 0..length as u32 {
            let text = self.text(offset(start, entry)?)?;
            left = left
                .checked_sub(text.len())
                .ok_or(DescribeError::Answer("a list of more than 256 KiB"))?;
            texts.push(text);
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const REST: &str = r#"(func (export "config-digest")) (func (export "configure")) (func (export "evaluate"))"#;

    fn described(describe: &str) -> Result<Manifest, DescribeError> {
        // The manifest is at 0; each of its texts is the `x` at 100, each of its lists empty.
        let text = r"\64\00\00\00\01\00\00\00".repeat(4);
        let wat = format!(
            r#"(module
                (import "sigwarden:policy/log@0.1.0" "emit" (func $emit (param i32 i32 i32)))
                (import "sigwarden:policy/limits@0.1.0" "take" (func $take (param i32 i32 i64 i64 i64 i32)))
                (memory (export "memory") 1)
                (data (i32.const 0) "{text}") (data (i32.const 100) "x")
                (func (export "describe") (result i32) {describe}) {REST} (@custom "component-type:policy" ""))"#
        );
        super::describe(&wat::parse_str(wat).unwrap())
    }

    #[test]
    fn the_manifest_is_read_from_memory_and_a_log_line_is_no_harm() {
        let manifest = described("(call $emit (i32.const 0) (i32.const 0) (i32.const 0)) (i32.const 0)").unwrap();
        assert_eq!((manifest.name.as_str(), manifest.config_schema.as_str()), ("x", "x"));
        assert_eq!(manifest.denial_codes, Vec::<String>::new());
    }

    #[test]
    fn what_fails_says_how() {
        let at = |address: u32| format!("(i32.const {})", address.cast_signed());
        let store = |field: u32, value: u32| format!("(i32.store (i32.const {field}) (i32.const {})) (i32.const 0)", value.cast_signed());
        for (instructions, part) in [
            ("unreachable".to_owned(), "`describe` failed"),
            ("(loop $l (br $l)) unreachable".to_owned(), "fuel"),
            (
                "(drop (memory.grow (i32.const 60000))) (i32.const 0)".to_owned(),
                "`describe` failed",
            ),
            (
                "(call $take (i32.const 0) (i32.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i32.const 0)) (i32.const 0)".to_owned(),
                "which only `evaluate` may",
            ),
            (at(65_536), "outside of its memory"),
            (at(u32::MAX), "outside of its memory"),
            (at(u32::MAX - 7), "outside of its memory"),
            (store(4, u32::MAX), "more than 256 KiB"),
            (store(0, 65_530 + 6), "outside of its memory"),
            (store(36, 257), "more than 256 entries"),
            ("(i32.store8 (i32.const 100) (i32.const 255)) (i32.const 0)".to_owned(), "not UTF-8"),
        ] {
            let error = described(&instructions).unwrap_err().to_string();
            assert!(error.contains(part), "{instructions}: {error}");
        }
    }

    #[test]
    fn what_is_no_policy_is_told_how_to_become_one() {
        let empty = wat::parse_str("(module)").unwrap();
        assert_eq!(super::describe(&empty), Err(DescribeError::Export("config-digest")));
        let worldless = format!(r#"(module {REST} (func (export "describe")) (memory (export "memory") 1))"#);
        assert_eq!(super::describe(&wat::parse_str(worldless).unwrap()), Err(DescribeError::World));
        assert!(matches!(super::describe(b"\0asm"), Err(DescribeError::Module(_))));
        let table = wat::parse_str(
            r#"(module (import "a" "b" (table 1 funcref)) REST (func (export "describe")) (memory (export "memory") 1)
            (@custom "component-type" ""))"#
                .replace("REST", REST),
        )
        .unwrap();
        assert!(matches!(super::describe(&table), Err(DescribeError::Module(what)) if what.contains("no function")));
    }
}
