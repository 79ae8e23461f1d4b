//! Guests in WebAssembly text, made components the way real ones are, so that each can do one thing wrong.

use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// The contract that the guests are made for.
const WIT: &str = include_str!("../../../../wit/policy.wit");

/// Where static data begins in a guest's memory. Below is room for the answers of imports.
const DATA: usize = 4096;
/// Where the guest's allocator begins.
const HEAP: usize = 128 * 1024;

/// A guest: what it says and does. By default it allows everything.
#[derive(Clone)]
pub(crate) struct Guest {
    /// Its manifest's denial codes.
    pub(crate) codes: Vec<&'static str>,
    /// Its manifest's formats.
    pub(crate) formats: Vec<&'static str>,
    /// Its manifest's version.
    pub(crate) version: &'static str,
    /// Instructions of `evaluate`; `$request` is the request's address, the result that of a verdict.
    pub(crate) evaluate: String,
    /// Instructions of `configure`; `$at` and `$length` are the configuration's, the result an address of `result<_, list<problem>>`.
    pub(crate) configure: String,
    /// Instructions of `config-digest`; the result an address of a list.
    pub(crate) digest: String,
    /// Instructions of `describe`; without any, the manifest's address.
    pub(crate) describe: Option<String>,
    /// Its imports.
    pub(crate) imports: String,
    /// Instructions that its allocator begins with.
    pub(crate) realloc: String,
    /// More fields of the module.
    pub(crate) fields: String,
    /// Limits of its memory, in pages.
    pub(crate) memory: &'static str,
    /// Bytes that it can refer to by address: see [`Guest::text`].
    pub(crate) data: Vec<u8>,
}

/// `allow(none)`, at address 0, which is zeros.
pub(crate) const ALLOW: &str = "(i32.const 0)";

impl Guest {
    pub(crate) fn new() -> Self {
        let mut guest = Self {
            codes: vec!["no"],
            formats: vec!["*"],
            version: "1.0.0",
            evaluate: ALLOW.to_owned(),
            configure: "(i32.const 0)".to_owned(),
            digest: String::new(),
            describe: None,
            imports: String::new(),
            realloc: String::new(),
            fields: String::new(),
            memory: "4",
            data: Vec::new(),
        };
        let digest = guest.list_of_bytes(b"digest");
        guest.digest = format!("(i32.const {digest})");
        guest
    }

    /// A guest with these instructions of `evaluate`.
    pub(crate) fn evaluating(instructions: &str) -> Self {
        Self {
            evaluate: instructions.to_owned(),
            ..Self::new()
        }
    }

    /// Puts bytes into the guest's memory and gives their address.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> usize {
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        let at = DATA + self.data.len();
        self.data.extend_from_slice(bytes);
        assert!(at + bytes.len() < HEAP, "the data does not fit below the heap");
        at
    }

    /// Puts a text into the guest's memory and gives the two operands that a call takes for it.
    pub(crate) fn text(&mut self, text: &str) -> String {
        format!("(i32.const {}) (i32.const {})", self.bytes(text.as_bytes()), text.len())
    }

    /// Puts a list's head and bytes into the guest's memory and gives the head's address.
    pub(crate) fn list_of_bytes(&mut self, bytes: &[u8]) -> usize {
        let at = self.bytes(bytes);
        self.words(&[at, bytes.len()])
    }

    /// Puts 32-bit words into the guest's memory and gives their address.
    pub(crate) fn words(&mut self, words: &[usize]) -> usize {
        let bytes: Vec<u8> = words.iter().flat_map(|word| u32::try_from(*word).unwrap().to_le_bytes()).collect();
        self.bytes(&bytes)
    }

    /// Puts a list of texts into the guest's memory and gives its head's two words.
    fn texts(&mut self, texts: &[&str]) -> [usize; 2] {
        let heads: Vec<usize> = texts.iter().flat_map(|text| [self.bytes(text.as_bytes()), text.len()]).collect();
        [self.words(&heads), texts.len()]
    }

    /// Puts `deny` with one denial into the guest's memory and gives its address.
    pub(crate) fn deny(&mut self, code: &str, message: &str, retry_at: Option<u64>) -> usize {
        let denial = self.denial(code, message, retry_at);
        self.words(&[1, denial, 1])
    }

    /// Puts a denial into the guest's memory and gives its address.
    pub(crate) fn denial(&mut self, code: &str, message: &str, retry_at: Option<u64>) -> usize {
        let (code_at, message_at) = (self.bytes(code.as_bytes()), self.bytes(message.as_bytes()));
        let at = retry_at.unwrap_or_default();
        let (low, high) = (at as u32 as usize, (at >> 32) as usize);
        self.words(&[
            code_at,
            code.len(),
            message_at,
            message.len(),
            usize::from(retry_at.is_some()),
            0,
            low,
            high,
        ])
    }

    /// Puts `allow` with a note into the guest's memory and gives its address.
    pub(crate) fn allow_with(&mut self, note: &str) -> usize {
        let at = self.bytes(note.as_bytes());
        self.words(&[0, 1, at, note.len()])
    }

    /// The core module.
    pub(crate) fn core(&self) -> Vec<u8> {
        let mut guest = self.clone();
        let name = [guest.bytes(b"hostile"), 7];
        let version = [guest.bytes(self.version.as_bytes()), self.version.len()];
        let purpose = [guest.bytes(b"To be tested."), 13];
        let schema = [guest.bytes(b"{}"), 2];
        let lists = [guest.texts(&self.formats), [0, 0], guest.texts(&self.codes)];
        let manifest: Vec<usize> = [name, version, purpose, schema].into_iter().chain(lists).flatten().collect();
        let manifest = format!("(i32.const {})", guest.words(&manifest));
        let escaped: String = guest.data.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let text = format!(
            r#"(module
                {imports}
                (memory (export "memory") {memory})
                (data (i32.const {DATA}) "{escaped}")
                (global $heap (mut i32) (i32.const {HEAP}))
                (global $count (mut i32) (i32.const 0))
                {fields}
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
                    {realloc}
                    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
                    (global.set $heap (i32.add (local.get $at) (local.get 3)))
                    (local.get $at))
                (func (export "config-digest") (result i32) {digest})
                (func (export "describe") (result i32) {describe})
                (func (export "configure") (param $at i32) (param $length i32) (result i32) {configure})
                (func $evaluate (export "evaluate") (param $request i32) (result i32) (local $i i32) {evaluate}))"#,
            imports = self.imports,
            memory = self.memory,
            fields = self.fields,
            realloc = self.realloc,
            digest = self.digest,
            describe = self.describe.as_ref().unwrap_or(&manifest),
            configure = self.configure,
            evaluate = self.evaluate,
        );
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// The component.
    pub(crate) fn component(&self) -> Vec<u8> {
        self.component_of(WIT, "policy")
    }

    /// The component, for another contract.
    pub(crate) fn component_of(&self, wit: &str, world: &str) -> Vec<u8> {
        component(self.core(), wit, world)
    }
}

/// A core module made a component.
pub(crate) fn component(mut core: Vec<u8>, wit: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("policy.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    wit_component::embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().validate(true).module(&core).unwrap().encode().unwrap()
}

/// The contract with something replaced.
pub(crate) fn wit(from: &str, to: &str) -> String {
    assert!(WIT.contains(from), "{from}");
    WIT.replace(from, to)
}

/// The import of `log.emit`.
pub(crate) const EMIT: &str = r#"(import "sigwarden:policy/log@0.1.0" "emit" (func $emit (param i32 i32 i32)))"#;
/// The import of `limits.take`.
pub(crate) const TAKE: &str = r#"(import "sigwarden:policy/limits@0.1.0" "take" (func $take (param i32 i32 i64 i64 i64 i32)))"#;
/// The import of `watermarks.advance`.
pub(crate) const ADVANCE: &str =
    r#"(import "sigwarden:policy/watermarks@0.1.0" "advance" (func $advance (param i32 i32 i32 i32 i32 i32 i32 i32)))"#;
/// The imports of `storage`.
pub(crate) const STORAGE: &str = r#"
    (import "sigwarden:policy/storage@0.1.0" "get" (func $get (param i32 i32 i32)))
    (import "sigwarden:policy/storage@0.1.0" "set" (func $set (param i32 i32 i32 i32)))
    (import "sigwarden:policy/storage@0.1.0" "delete" (func $delete (param i32 i32)))"#;
