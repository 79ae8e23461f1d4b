//! From a file of `modules/` to a component, and what its first lines promise.

use sigwarden_policy::PolicyLimits;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// The contract.
const WIT: &str = include_str!("../../wit/policy.wit");

/// What must come of a module. The text is part of what is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Must {
    /// It does not load: the fault, and for a failed call the export and the refusal's code.
    Load { fault: Vec<String>, part: String },
    /// An evaluation is refused with this code.
    Refuse { code: String, part: String },
    /// It allows, with a note or none.
    Allow { part: Option<String> },
    /// It denies.
    Deny { code: String, part: String, retry_at: Option<u64> },
    /// It allows and leaves so many lines.
    Log { lines: usize, part: String },
}

/// A hostile module.
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) must: Must,
    pub(crate) limits: PolicyLimits,
    pub(crate) wasm: Vec<u8>,
}

/// Every file of `modules/`, in order.
pub(crate) fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile/modules");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wat"));
    files.sort();
    files
}

/// Limits under which a hostile guest fails soon, and by its deadline only if it is to.
pub(crate) fn limits() -> PolicyLimits {
    PolicyLimits {
        fuel: 1_000_000,
        deadline: Duration::from_secs(60),
        memory_bytes: 2 * 1024 * 1024,
        host_call_bytes: 64 * 1024,
    }
}

impl Module {
    pub(crate) fn read(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(path).unwrap();
        let directives: Vec<(&str, &str)> = text
            .lines()
            .map_while(|line| line.strip_prefix(";; "))
            .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{name}: `{line}` is no directive")))
            .collect();
        let directive = |wanted: &str| directives.iter().find(|(key, _)| *key == wanted).map(|(_, value)| *value);
        for (key, _) in &directives {
            assert!(
                ["tries", "must", "limits", "wit", "raw"].contains(key),
                "{name}: there is no directive `{key}`"
            );
        }
        assert!(
            directive("tries").is_some_and(|tries| !tries.is_empty()),
            "{name} does not say what it tries"
        );
        let body = text.lines().skip(directives.len()).collect::<Vec<_>>().join("\n");
        let wasm = match directive("raw") {
            Some("core") => wat(&name, &body),
            Some(other) => panic!("{name}: `raw: {other}`"),
            None if body.starts_with("(component") => wat(&name, &body),
            None => component(&name, &body, directive("wit")),
        };
        Self {
            must: must(
                &name,
                directive("must").unwrap_or_else(|| panic!("{name} does not say what must happen")),
            ),
            limits: directive("limits").map_or_else(limits, changed_limits),
            name,
            wasm,
        }
    }
}

/// `load call describe sandbox/fuel "text"`.
fn must(name: &str, text: &str) -> Must {
    let (words, part, rest) = match text.split_once('"') {
        Some((words, quoted)) => {
            let (part, rest) = quoted.rsplit_once('"').unwrap_or_else(|| panic!("{name}: an open quote"));
            (words, Some(part.to_owned()), rest.trim())
        }
        None => (text, None, ""),
    };
    let said = || part.clone().unwrap_or_else(|| panic!("{name} does not say what is said"));
    match words.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["load", fault @ ..] if !fault.is_empty() => Must::Load {
            fault: fault.iter().map(|word| (*word).to_owned()).collect(),
            part: said(),
        },
        ["refuse", code] => Must::Refuse {
            code: (*code).to_owned(),
            part: said(),
        },
        ["allow"] => Must::Allow { part },
        ["deny", code] => Must::Deny {
            code: (*code).to_owned(),
            part: said(),
            retry_at: (!rest.is_empty()).then(|| rest.parse().unwrap()),
        },
        ["log", lines] => Must::Log {
            lines: lines.parse().unwrap(),
            part: said(),
        },
        other => panic!("{name}: {other:?} is nothing that must happen"),
    }
}

fn changed_limits(text: &str) -> PolicyLimits {
    let mut limits = limits();
    for (key, value) in text.split_whitespace().map(|setting| setting.split_once('=').unwrap()) {
        let number: u64 = value.parse().unwrap();
        match key {
            "fuel" => limits.fuel = number,
            "deadline_ms" => limits.deadline = Duration::from_millis(number),
            other => panic!("there is no limit `{other}`"),
        }
    }
    limits
}

fn wat(name: &str, text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"))
}

/// What an honest module has, each with the words that say that a file brings its own.
const DEFAULTS: [(&str, &str); 6] = [
    (r#"(export "memory")"#, r#"(memory (export "memory") 4)"#),
    (
        r#"(export "cabi_realloc")"#,
        r#"(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
            (global.set $heap (i32.add (local.get $at) (local.get 3)))
            (local.get $at))"#,
    ),
    (
        r#"(export "config-digest")"#,
        r#"(func (export "config-digest") (result i32) (i32.const 1088))"#,
    ),
    (
        r#"(export "describe")"#,
        r#"(func (export "describe") (result i32) (i32.const 1024))"#,
    ),
    (
        r#"(export "configure")"#,
        r#"(func (export "configure") (param i32 i32) (result i32) (i32.const 0))"#,
    ),
    (
        r#"(export "evaluate")"#,
        r#"(func (export "evaluate") (param i32) (result i32) (i32.const 0))"#,
    ),
];

/// A file with the defaults around it: its imports first, its data last.
fn module_text(body: &str) -> String {
    let (imports, rest): (Vec<&str>, Vec<&str>) = body.lines().partition(|line| line.starts_with("(import "));
    let defaults: Vec<&str> = DEFAULTS
        .iter()
        .filter(|(own, _)| !body.contains(own))
        .map(|(_, default)| *default)
        .collect();
    let words = |words: &[u32]| -> String {
        let bytes = words.iter().flat_map(|word| word.to_le_bytes());
        bytes.map(|byte| format!("\\{byte:02x}")).collect()
    };
    // Name, version, purpose, schema; formats, facts, codes: `wit/policy.wit`.
    let manifest = words(&[1100, 7, 1110, 5, 1120, 13, 1140, 2, 1200, 1, 0, 0, 1208, 1]);
    format!(
        r#"(module
        {imports}
        {defaults}
        (global $heap (mut i32) (i32.const 131072))
        (global $count (mut i32) (i32.const 0))
        (data (i32.const 1024) "{manifest}")
        (data (i32.const 1088) "{digest}") (data (i32.const 1230) "digest")
        (data (i32.const 1100) "hostile") (data (i32.const 1110) "1.0.0")
        (data (i32.const 1120) "To be tested.") (data (i32.const 1140) "{{}}")
        (data (i32.const 1200) "{lists}") (data (i32.const 1216) "*") (data (i32.const 1220) "no")
        (data (i32.const 1300) "{denied}") (data (i32.const 1320) "{denial}")
        {rest})"#,
        imports = imports.join("\n"),
        defaults = defaults.join("\n"),
        digest = words(&[1230, 6]),
        lists = words(&[1216, 1, 1220, 2]),
        denied = words(&[1, 1320, 1]),
        denial = words(&[1220, 2, 1100, 7, 0, 0, 0, 0]),
        rest = rest.join("\n"),
    )
}

/// The component of a file, for the contract, or one with something replaced.
pub(crate) fn component(name: &str, body: &str, changed: Option<&str>) -> Vec<u8> {
    let mut core = wat(name, &module_text(body));
    let wit = match changed {
        None => WIT.to_owned(),
        Some(change) => {
            let (from, to) = change.split_once(" => ").unwrap_or_else(|| panic!("{name}: `wit: FROM => TO`"));
            assert!(WIT.contains(from), "{name}: the contract has no `{from}`");
            let changed = WIT.replace(from, to);
            // Another version of the contract is another version of what is imported.
            if let (Some((_, old)), Some((_, new))) = (from.split_once('@'), to.split_once('@')) {
                core = wat(name, &module_text(&body.replace(old, new)));
            }
            changed
        }
    };
    let mut resolve = Resolve::default();
    let package = resolve
        .push_str("policy.wit", &wit)
        .unwrap_or_else(|error| panic!("{name}: {error:#}"));
    let world = resolve.select_world(&[package], Some("policy")).unwrap();
    wit_component::embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8, false).unwrap();
    // Not validated here: that is the sandbox's to do.
    let encoded = ComponentEncoder::default()
        .validate(false)
        .module(&core)
        .and_then(|encoder| encoder.encode());
    encoded.unwrap_or_else(|error| panic!("{name}: {error:#}"))
}
