//! What is told of a file, and of files that would rather not be looked at.

use crate::commands;
use crate::files::{description, policy, section, wat};
use sigwarden_component::cli;
use sigwarden_component::inspect::{InspectError, Inspection, MODULE_BYTES_MAX, Memory, inspect};

fn problems(wasm: &[u8]) -> String {
    inspect(wasm).unwrap().problems.join("\n")
}

fn error(wasm: &[u8]) -> String {
    inspect(wasm)
        .map(|inspection: Inspection| inspection.digest)
        .unwrap_err()
        .to_string()
}

#[test]
fn imports_exports_memory_and_digest_are_told() {
    let wasm = wat(r#"(component
            (import "sigwarden:policy/limits@0.1.0" (instance (export "take" (func (param "bucket" string) (result u64)))))
            (core module $m (memory (export "memory") 3 40) (func (export "f") (result i32) i32.const 0)
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable))
            (core instance $i (instantiate $m))
            (func $f (result (list u8)) (canon lift (core func $i "f") (memory (core memory $i "memory"))))
            (export "config-digest" (func $f)) (export "describe" (func $f))
            (export "configure" (func $f)) (export "evaluate" (func $f)))"#);
    let found = inspect(&wasm).unwrap();
    assert_eq!(found.problems, Vec::<String>::new());
    assert_eq!(found.imports[0].name, "sigwarden:policy/limits@0.1.0");
    assert_eq!(found.imports[0].ty, "interface of take");
    let exports: Vec<(&str, &str)> = found.exports.iter().map(|item| (item.name.as_str(), item.ty.as_str())).collect();
    assert_eq!(exports[0], ("config-digest", "func() -> list<u8>"));
    assert_eq!(exports.len(), 4);
    let memory = Memory {
        initial: 3 * 65_536,
        maximum: Some(40 * 65_536),
    };
    assert_eq!(found.memories, [memory]);
    assert_eq!((found.bytes, found.digest.len()), (wasm.len(), 64));
    assert_eq!(found.description, None);
}

#[test]
fn a_description_is_shown_and_cannot_draw_on_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.wasm");
    let mut wasm = policy("");
    description("tested").append_to(&mut wasm).unwrap();
    std::fs::write(&path, &wasm).unwrap();
    let ran = commands::inspect(&path, false);
    assert_eq!(ran.code, cli::DONE, "{}", ran.err);
    assert!(
        ran.out.contains("tested 1.0.0") && ran.out.contains("To be\\u{1b}[2Jtested"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("\"title\": \"\\u{202e}x\""), "{}", ran.out);
    assert!(ran.out.contains("no, not/at-all"), "{}", ran.out);
    assert!(
        !ran.out.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'),
        "{}",
        ran.out
    );

    let json = commands::inspect(&path, true).json();
    assert_eq!(json["manifest"]["name"], "tested");
    assert_eq!(json["manifest"]["config_schema"]["title"], "\u{202e}x");
    assert_eq!(json["memories"][0]["maximum"], 40 * 65_536);
}

#[test]
fn what_the_host_would_refuse_is_a_problem_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.wasm");
    std::fs::write(&path, policy(r#"(import "wasi:cli/environment@0.2.3" (instance))"#)).unwrap();
    let ran = commands::inspect(&path, false);
    assert_eq!(ran.code, cli::REFUSED);
    assert!(
        ran.out
            .contains("it imports `wasi:cli/environment@0.2.3`; a policy may import only"),
        "{}",
        ran.out
    );

    let other = policy(r#"(import "sigwarden:policy/log@0.2.0" (instance))"#);
    let told = problems(&other);
    assert!(
        told.contains("made for `sigwarden:policy/log@0.2.0`; this Sigwarden speaks `sigwarden:policy@0.1.0`: build it against that"),
        "{told}"
    );
    assert!(problems(&policy(r#"(import "sigwarden:policy/clock@0.1.0" (instance))"#)).contains("`sigwarden:policy/clock@0.1.0`"));
    assert!(problems(&policy("(core module (memory 1))")).contains("2 memories, 1 is allowed"));
    let told = problems(&wat("(component)"));
    assert!(
        told.contains("does not export `config-digest`, `describe`, `configure`, `evaluate`"),
        "{told}"
    );
}

#[test]
fn a_manifest_that_the_host_would_refuse_is_a_problem() {
    let mut bad = description("Not A Name");
    bad.manifest.facts = vec!["evm.vlaue".to_owned()];
    bad.manifest.denial_codes = vec!["a\nb".to_owned()];
    let mut wasm = policy("");
    bad.append_to(&mut wasm).unwrap();
    assert_eq!(
        inspect(&wasm).unwrap().problems,
        [
            "its manifest has the name `Not A Name`: 1 to 64 bytes of `a-z`, `0-9`, `-` are right",
            "its manifest has the fact `evm.vlaue`, which no format has; did you mean `evm.value`?",
            "its manifest has the denial code `a\\nb`: 1 to 64 bytes of `a-z`, `0-9`, `-`, `/` are right",
        ]
    );
}

#[test]
fn a_folder_is_told_how_to_become_a_module() {
    let folder = tempfile::tempdir().unwrap();
    let ran = commands::inspect(folder.path(), false);
    assert_eq!(ran.code, cli::CANNOT);
    assert!(
        ran.err
            .contains(&format!("this is a folder; `sigwarden policy build {}`", folder.path().display())),
        "{}",
        ran.err
    );
}

#[test]
fn a_section_that_lies_is_a_problem() {
    let with = |content: &[u8]| [policy(""), section(content)].concat();
    assert!(problems(&with(b"")).contains("cannot be read"));
    assert!(problems(&with(br#"{"format":7}"#)).contains("layout 7"));
    assert!(
        problems(&with(&vec![b'['; 400_000])).contains("cannot be read"),
        "nesting without end"
    );
    let huge = problems(&with(&vec![b' '; 5_000_000]));
    assert!(huge.contains("5000000 bytes, 524288 are the most"), "{huge}");
    let mut twice = policy("");
    description("first").append_to(&mut twice).unwrap();
    description("second").append_to(&mut twice).unwrap();
    let found = inspect(&twice).unwrap();
    assert!(found.problems[0].contains("2 sections"), "{:?}", found.problems);
    assert_eq!(found.description, None, "neither is believed");
    // One inside of a core module is not the component's.
    let inner = wat(r#"(component (core module (@custom "sigwarden:policy" "{}")))"#);
    assert!(!problems(&inner).contains("section"));
}

#[test]
fn what_is_no_component_is_called_what_it_is() {
    for (bytes, what) in [
        (wat("(module)"), "a core WebAssembly module"),
        (b"(component)".to_vec(), "WebAssembly text"),
        (b"\x7fELF\x02".to_vec(), "ELF"),
        (b"\x1f\x8b\x08".to_vec(), "gzip"),
        (b"\0asm\x0d".to_vec(), "of version 0d"),
        (b"{}".to_vec(), "begins with 7b7d"),
        (Vec::new(), "an empty file"),
    ] {
        let error = error(&bytes);
        assert!(error.contains(what) && error.contains("sigwarden policy build"), "{error}");
    }
}

#[test]
fn a_cut_or_changed_file_is_refused_or_told_and_never_more() {
    let mut whole = policy("");
    description("tested").append_to(&mut whole).unwrap();
    let mut refused = 0;
    for length in 0..whole.len() {
        refused += usize::from(inspect(&whole[..length]).is_err());
    }
    assert!(refused > whole.len() / 2, "{refused} of {}", whole.len());
    for at in 8..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0xff;
        // Names and the like may change; then the digest does.
        if let Ok(found) = inspect(&changed) {
            assert_ne!(found.digest, inspect(&whole).unwrap().digest);
        }
    }
}

#[test]
fn too_much_of_anything_is_refused() {
    let mut large = b"\0asm\x0d\0\x01\0".to_vec();
    large.resize(MODULE_BYTES_MAX + 1, 0);
    assert!(matches!(inspect(&large), Err(InspectError::Size)));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.wasm");
    std::fs::write(&path, &large).unwrap();
    assert_eq!(commands::inspect(&path, false).code, cli::REFUSED);

    let deep = format!("{}{}", "(component ".repeat(40), ")".repeat(40));
    assert!(error(&wat(&deep)).contains("nested more than 8 deep"));
    let modules = format!("(component {})", "(core module)".repeat(65));
    assert!(error(&wat(&modules)).contains("more than 64 core modules"));
    let imports: String = (0..257).map(|number| format!("(import \"f{number}\" (func))")).collect();
    assert!(error(&wat(&format!("(component {imports})"))).contains("more than 256 imports"));
}

#[test]
fn a_type_that_unfolds_without_end_is_cut() {
    // Each is a pair of the one before: written out, 2 to the 60th.
    let mut types = String::from("(type $t0 (tuple u8 u8))");
    for depth in 1..16 {
        types.push_str(&format!("(type $t{depth} (tuple $t{} $t{}))", depth - 1, depth - 1));
    }
    let wasm = wat(&format!(
        "(component {types} (import \"f\" (func (param \"a\" $t15) (param \"b\" $t15))))"
    ));
    let found = inspect(&wasm).unwrap();
    assert!(found.imports[0].ty.len() <= 600, "{}", found.imports[0].ty);
    let parameters: String = (0..900).map(|number| format!("(param \"p{number}\" u8)")).collect();
    let wasm = wat(&format!("(component (import \"f\" (func {parameters})))"));
    assert!(inspect(&wasm).unwrap().imports[0].ty.ends_with('…'));
}

#[test]
fn what_the_sandbox_has_off_is_not_valid() {
    for field in [
        "(func (drop (v128.const i32x4 0 0 0 0)))",
        "(func $f (return_call $f))",
        "(memory i64 1)",
        "(memory 1 1 shared)",
    ] {
        let wasm = wat(&format!("(component (core module {field}))"));
        assert!(error(&wasm).starts_with("it is no valid component"), "{field}");
    }
}
