//! What a module must be to be loaded at all, and what the refusal says.

use crate::guest::{Guest, component, wit};
use crate::job::{engine, fault, limits, source};
use sigwarden_core::Format;
use sigwarden_core::policy::{FailureKind, Understands};
use sigwarden_policy::{Engine, EngineSettings, LoadFault, ModuleSource, PolicyLimits, Sandbox, inspect};

fn text(component: &str) -> ModuleSource {
    source(wat::parse_str(component).unwrap())
}

fn manifest_fault(change: impl FnOnce(&mut Guest)) -> String {
    let mut guest = Guest::new();
    change(&mut guest);
    let fault = fault(source(guest.component()));
    let LoadFault::Manifest(what) = fault else { panic!("{fault}") };
    what
}

#[test]
fn what_is_no_component_is_called_what_it_is() {
    for (bytes, what) in [
        (Guest::new().core(), "a core WebAssembly module"),
        (b"(component)".to_vec(), "WebAssembly text"),
        (b"\x7fELF\x02".to_vec(), "ELF"),
        (b"\x1f\x8b\x08".to_vec(), "gzip"),
        (b"\0asm\x0d".to_vec(), "of version 0d"),
        (b"{}".to_vec(), "begins with 7b7d"),
        (Vec::new(), "an empty file"),
    ] {
        let fault = fault(source(bytes)).to_string();
        assert!(fault.contains(what) && fault.contains("component of world"), "{fault}");
    }
}

#[test]
fn a_cut_or_broken_component_does_not_compile() {
    let whole = Guest::new().component();
    assert!(matches!(fault(source(whole[..whole.len() / 2].to_vec())), LoadFault::Compile(_)));
    assert!(matches!(fault(source(whole[..8].to_vec())), LoadFault::Exports { .. }));
}

#[test]
fn wasi_is_refused_by_name() {
    let fault = fault(text(
        r#"(component (import "wasi:cli/environment@0.2.3" (instance)) (import "wasi:clocks/wall-clock@0.2.3" (instance)))"#,
    ));
    let names = vec!["wasi:cli/environment@0.2.3".to_owned(), "wasi:clocks/wall-clock@0.2.3".to_owned()];
    assert_eq!(fault, LoadFault::Imports { names });
    assert!(
        fault
            .to_string()
            .contains("it imports `wasi:cli/environment@0.2.3`, `wasi:clocks/wall-clock@0.2.3`")
    );
}

#[test]
fn only_the_contract_s_own_interfaces_may_be_imported() {
    for import in [
        r#""now" (func)"#,
        r#""sigwarden:policy/clock@0.1.0" (instance)"#,
        r#""sigwarden:policy-extra/limits@0.1.0" (instance)"#,
    ] {
        assert!(
            matches!(fault(text(&format!("(component (import {import}))"))), LoadFault::Imports { .. }),
            "{import}"
        );
    }
}

#[test]
fn another_version_of_the_contract_is_named() {
    let other = Guest::new().component_of(&wit("policy@0.1.0", "policy@0.2.0"), "policy");
    let mut guest = Guest::new();
    guest.imports = crate::guest::EMIT.replace("0.1.0", "0.2.0");
    let with_log = guest.component_of(&wit("policy@0.1.0", "policy@0.2.0"), "policy");
    for wasm in [other, with_log] {
        let fault = fault(source(wasm));
        assert!(
            matches!(&fault, LoadFault::Version { names } if names.contains(&"sigwarden:policy/types@0.2.0".to_owned())),
            "{fault}"
        );
        assert!(fault.to_string().contains("this host speaks `sigwarden:policy@0.1.0`"));
    }
}

#[test]
fn missing_exports_are_named() {
    let wit = wit("export evaluate:", "// evaluate:");
    let fault = fault(source(Guest::new().component_of(&wit, "policy")));
    assert_eq!(
        fault,
        LoadFault::Exports {
            names: vec!["evaluate".to_owned()]
        }
    );
}

#[test]
fn exports_and_imports_of_the_wrong_type_are_refused() {
    let exported = wit(
        "export configure: func(config: string) -> result<_, list<problem>>;",
        "export configure: func(config: string) -> u32;",
    );
    assert!(matches!(
        fault(source(Guest::new().component_of(&exported, "policy"))),
        LoadFault::Types(_)
    ));
    let imported = wit("period: u64)", "period: s64)");
    let mut guest = Guest::new();
    guest.imports = crate::guest::TAKE.to_owned();
    let fault = fault(source(guest.component_of(&imported, "policy")));
    assert!(matches!(&fault, LoadFault::Types(what) if what.contains("limits")), "{fault}");
}

#[test]
fn features_that_rust_guests_do_not_need_are_off() {
    for (feature, field) in [
        ("simd", "(func (drop (v128.const i32x4 0 0 0 0)))"),
        ("tail call", "(func $f (return_call $f))"),
        ("multi memory", "(memory 1)"),
        ("threads", "(func (atomic.fence))"),
        ("reference types", "(table $t 1 funcref) (func (drop (table.size $t)))"),
        ("exceptions", "(tag $t) (func (throw $t))"),
        ("extended const", "(global i32 (i32.add (i32.const 1) (i32.const 1)))"),
        ("gc", "(type (struct))"),
        (
            "wide arithmetic",
            "(func (param i64 i64) (result i64 i64) (i64.mul_wide_u (local.get 0) (local.get 1)))",
        ),
    ] {
        let mut guest = Guest::new();
        guest.fields = field.to_owned();
        let fault = fault(source(guest.component()));
        assert!(matches!(fault, LoadFault::Compile(_)), "{feature}: {fault}");
    }
}

#[test]
fn sizes_are_bounded() {
    let mut huge = b"\0asm\x0d\0\x01\0".to_vec();
    huge.resize(16 * 1024 * 1024 + 1, 0);
    assert!(matches!(fault(source(huge)), LoadFault::ModuleSize { .. }));
    let config = ModuleSource {
        config_json: " ".repeat(16 * 1024 * 1024 + 1),
        ..source(Guest::new().component())
    };
    assert!(matches!(fault(config), LoadFault::ConfigSize { .. }));
    for memory_bytes in [0, 65_535, 256 * 1024 * 1024 + 1, usize::MAX] {
        let memory = ModuleSource {
            limits: PolicyLimits { memory_bytes, ..limits() },
            ..source(Guest::new().component())
        };
        assert!(matches!(fault(memory), LoadFault::MemorySetting { .. }), "{memory_bytes}");
    }
}

#[test]
fn a_manifest_is_checked() {
    assert!(manifest_fault(|guest| guest.version = "one").contains("semver"));
    assert!(manifest_fault(|guest| guest.version = "1.0").contains("semver"));
    assert!(manifest_fault(|guest| guest.formats = vec![]).contains("no formats"));
    assert!(manifest_fault(|guest| guest.formats = vec!["*", "evm/legacy"]).contains("stands alone"));
    assert!(manifest_fault(|guest| guest.formats = vec!["evm/legcay"]).contains("`evm/legcay` is no format"));
    assert!(manifest_fault(|guest| guest.codes = vec!["Not A Code"]).contains("the denial code `Not A Code`"));
    assert!(manifest_fault(|guest| guest.codes = vec!["a"; 257]).contains("257 denial-codes"));
}

#[test]
fn describe_has_limits_of_its_own_and_no_state() {
    for (describe, kind) in [
        ("unreachable", FailureKind::Trap),
        ("(loop $l (br $l)) unreachable", FailureKind::Fuel),
        (
            "(call $take (i32.const 8) (i32.const 1) (i64.const 1) (i64.const 1) (i64.const 1) (i32.const 512)) unreachable",
            FailureKind::HostCall,
        ),
        ("(i32.const 262144)", FailureKind::Malformed),
    ] {
        let mut guest = Guest::new();
        guest.imports = crate::guest::TAKE.to_owned();
        guest.describe = Some(describe.to_owned());
        let fault = fault(source(guest.component()));
        assert!(
            matches!(&fault, LoadFault::Call { call: "describe", failure } if failure.kind == kind),
            "{describe}: {fault}"
        );
    }
}

#[test]
fn what_was_loaded_is_told() {
    let guest = Guest {
        formats: vec!["evm/legacy", "raw-digest"],
        codes: vec!["b", "a", "b"],
        version: "1.2.3-rc.1+x",
        ..Guest::new()
    };
    let source = source(guest.component());
    let (_, loaded) = Sandbox::load(engine(), vec![source.clone()], None).unwrap();
    let [loaded] = loaded.as_slice() else { panic!() };
    // SHA-256 of `{}`, by any other tool.
    assert_eq!(
        loaded.config_digest,
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    );
    assert_eq!(loaded.instance, "tested");
    assert!(!loaded.from_cache);
    assert_eq!(
        (loaded.manifest.name.as_str(), loaded.manifest.version.as_str()),
        ("hostile", "1.2.3-rc.1+x")
    );
    assert_eq!(
        loaded.manifest.formats,
        Understands::Formats(vec![Format::EvmLegacy, Format::RawDigest])
    );
    assert_eq!(loaded.manifest.denial_codes, ["a", "b"]);

    let inspection = inspect(engine(), &source.wasm).unwrap();
    assert_eq!(inspection.digest, loaded.module_digest);
    assert_eq!(inspection.manifest, loaded.manifest);
    assert_eq!((inspection.bytes, inspection.memory_bytes), (source.wasm.len(), 4 * 65536));
    assert!(inspection.exports.contains(&"evaluate".to_owned()));
    assert_eq!(inspect(engine(), b"").unwrap_err().instance, None);
}

#[test]
fn an_error_names_the_instance_and_the_first_fault_wins() {
    let good = source(Guest::new().component());
    let bad = |instance: &str| ModuleSource {
        instance: instance.to_owned(),
        ..source(component(wat::parse_str("(module)").unwrap(), "package a:b; world w {}", "w"))
    };
    let error = Sandbox::load(engine(), vec![good, bad("first"), bad("second")], None).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("policy `first`: it does not export `config-digest`, `describe`"),
        "{error}"
    );
}

#[test]
fn an_engine_wants_sensible_settings_and_hashes_the_same_each_time() {
    let engine_with = |instances, memory_bytes| {
        Engine::new(EngineSettings {
            instances,
            memory_bytes,
            ..EngineSettings::default()
        })
    };
    assert!(engine_with(0, 1 << 20).is_err());
    assert!(engine_with(1, 1).is_err());
    let small = engine_with(1, 1 << 20).unwrap();
    assert_eq!(small.hash(), engine().hash(), "the pool is not part of the code");
    assert_eq!(small.hash().len(), 64);
}
