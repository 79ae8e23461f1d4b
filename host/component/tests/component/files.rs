//! Components made by hand.

use sigwarden_component::section::{BuiltWith, Description, Manifest, NAME};

/// A component with the exports of a policy, of any type, and whatever else.
pub(crate) fn policy(more: &str) -> Vec<u8> {
    wat(&format!(
        r#"(component
            (core module $m
                (memory (export "memory") 3 40)
                (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (export "config-digest" (func $f)) (export "describe" (func $f))
            (export "configure" (func $f)) (export "evaluate" (func $f))
            {more})"#
    ))
}

pub(crate) fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// A description that tries to draw on the reader's terminal.
pub(crate) fn description(name: &str) -> Description {
    let text = str::to_owned;
    Description {
        manifest: Manifest {
            name: text(name),
            version: text("1.0.0"),
            purpose: text("To be\u{1b}[2Jtested"),
            config_schema: text("{\"title\":\"\u{202e}x\"}"),
            formats: vec![text("*")],
            facts: vec![],
            denial_codes: vec![text("no"), text("not/at-all")],
        },
        built_with: BuiltWith {
            rustc: text("rustc 1.95.0"),
            target: text("wasm32-unknown-unknown"),
            std: text("prebuilt"),
            sdk: text("0.1.0"),
            sigwarden: text("0.1.0"),
        },
    }
}

/// A custom section with any content.
pub(crate) fn section(content: &[u8]) -> Vec<u8> {
    let mut body = vec![NAME.len() as u8];
    body.extend_from_slice(NAME.as_bytes());
    body.extend_from_slice(content);
    let mut section = vec![0];
    let mut length = body.len();
    while length >= 0x80 {
        section.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    section.push(length as u8);
    section.extend_from_slice(&body);
    section
}
