//! `sigwarden policy new`, `policy build` and `policy inspect`: arguments, and what is done with them. Exit codes: 0 done; 1 refused, or
//! something is wrong with what was looked at; 2 it could not be tried.

use crate::build::{self, Build, BuildError};
use crate::inspect::{self, InspectError, Inspection};
use crate::package::{Lock, LockFiles, Workspace};
use crate::scaffold::{Scaffold, ScaffoldError};
use crate::section::{Description, Manifest};
use crate::text::escape;
use crate::toolchain::Toolchain;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

/// Done.
pub const DONE: u8 = 0;
/// Refused, or something is wrong with what was looked at.
pub const REFUSED: u8 = 1;
/// It could not be tried.
pub const CANNOT: u8 = 2;

/// Characters of one line of a schema that are shown.
const LINE_MAX: usize = 2048;

/// `sigwarden policy new`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  sigwarden policy new max-value\n  cd max-value && sigwarden policy build && sigwarden policy test .")]
pub struct New {
    /// The policy's name: 1 to 64 bytes of a-z, 0-9, -
    pub name: String,
    /// Where the crate goes; a folder that does not exist [default: ./NAME]
    #[arg(long, value_name = "FOLDER")]
    pub path: Option<PathBuf>,
    /// Depend on the SDK in this folder (guest-sdk of a checkout) instead of carrying a copy
    #[arg(long, value_name = "FOLDER")]
    pub sdk: Option<PathBuf>,
}

/// `sigwarden policy build`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  sigwarden policy build                      target/policies/NAME.wasm of the workspace\n  sigwarden policy build policies/rate-limit --locked --out rate-limit.wasm"
)]
pub struct BuildArgs {
    /// The policy's crate
    #[arg(default_value = ".", value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Where the module goes [default: target/policies/NAME.wasm of the crate's workspace]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Where cargo builds on the way [default: CARGO_TARGET_DIR, or target of the crate's workspace]
    #[arg(long, value_name = "FOLDER")]
    pub target_dir: Option<PathBuf>,
    /// Fail if Cargo.lock is missing or would change
    #[arg(long)]
    pub locked: bool,
    /// Fetch nothing
    #[arg(long)]
    pub offline: bool,
}

/// `sigwarden policy inspect`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  sigwarden policy inspect target/policies/max-value.wasm\n  sigwarden policy inspect max-value.wasm --json | jq .manifest.config_schema"
)]
pub struct Inspect {
    /// The module
    pub module: PathBuf,
}

/// Where a command prints, and how.
pub struct Streams<'a> {
    /// What was asked for.
    pub out: &'a mut dyn Write,
    /// Progress and errors.
    pub err: &'a mut dyn Write,
    /// For machines: one JSON object on `out`, errors as `{"error": …}` on `err`.
    pub json: bool,
}

impl std::fmt::Debug for Streams<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams").field("json", &self.json).finish_non_exhaustive()
    }
}

impl Streams<'_> {
    /// Prints one of the two. What cannot be printed was not done; but a closed pipe is the reader's wish.
    fn print(&mut self, value: &Value, human: &str) -> u8 {
        let text = if self.json {
            value.to_string()
        } else {
            human.trim_end().to_owned()
        };
        match writeln!(self.out, "{text}").and_then(|()| self.out.flush()) {
            Ok(()) => DONE,
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => DONE,
            Err(error) => self.fail(CANNOT, &format!("the output was not taken: {error}")),
        }
    }

    /// Progress; nothing for machines.
    fn note(&mut self, text: &str) {
        if !self.json {
            let _ = writeln!(self.err, "{text}");
        }
    }

    fn fail(&mut self, code: u8, text: &str) -> u8 {
        let text = if self.json {
            json!({ "error": text }).to_string()
        } else {
            format!("error: {text}")
        };
        let _ = writeln!(self.err, "{text}");
        code
    }
}

/// Runs `policy new`.
pub fn new(arguments: &New, streams: &mut Streams<'_>) -> u8 {
    let scaffold = Scaffold::new(&arguments.name, arguments.path.clone(), arguments.sdk.as_deref());
    let scaffold = match scaffold.and_then(|scaffold| scaffold.write().map(|()| scaffold)) {
        Ok(scaffold) => scaffold,
        Err(error) => {
            let code = match &error {
                ScaffoldError::Name { .. } | ScaffoldError::Exists(_) | ScaffoldError::Sdk(_) => REFUSED,
                ScaffoldError::File { .. } => CANNOT,
            };
            return streams.fail(code, &error.to_string());
        }
    };
    let folder = scaffold.folder().display().to_string();
    let human = format!(
        "{folder}: a policy with one rule\n\n  cd {folder}\n  cargo test                 the rule by itself\n  sigwarden policy build     target/policies/{name}.wasm\n  sigwarden policy test .    fixtures/ through the real pipeline",
        name = arguments.name
    );
    streams.print(&json!({ "name": arguments.name, "folder": folder }), &human)
}

/// Runs `policy build`. Cargo speaks on this process's standard error.
pub fn build(arguments: &BuildArgs, streams: &mut Streams<'_>) -> u8 {
    match try_build(arguments, streams) {
        Ok(code) => code,
        Err(error) => {
            let code = match &error {
                BuildError::Cargo { .. }
                | BuildError::NoPackage { .. }
                | BuildError::NotACdylib { .. }
                | BuildError::Describe { .. }
                | BuildError::Manifest { .. }
                | BuildError::NotOfTheWorld { .. }
                | BuildError::Section { .. } => REFUSED,
                BuildError::Missing(_)
                | BuildError::Broken(_)
                | BuildError::NoCargo { .. }
                | BuildError::Metadata(_)
                | BuildError::File { .. }
                | BuildError::NoHome => CANNOT,
            };
            streams.fail(code, &error.to_string())
        }
    }
}

fn try_build(arguments: &BuildArgs, streams: &mut Streams<'_>) -> Result<u8, BuildError> {
    let folder = &arguments.folder;
    if !folder.join("Cargo.toml").is_file() {
        let folder = folder.clone();
        return Err(BuildError::NoPackage { folder });
    }
    let toolchain = Toolchain::find(folder)?;
    if let Some(note) = note_on(toolchain) {
        streams.note(note);
    }
    let before = LockFiles::around(folder);
    let lock = Lock {
        locked: arguments.locked,
        offline: arguments.offline,
    };
    let workspace = Workspace::read(toolchain, folder, lock)?;
    let package = workspace.package_in(folder)?.clone();
    let root = workspace.root.clone();
    let target_dir = match &arguments.target_dir {
        // Cargo runs in the workspace's root.
        Some(dir) => std::path::absolute(dir).map_err(|error| BuildError::File { path: dir.clone(), error })?,
        None => std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir)),
    };
    for (name, outside) in &workspace.outside {
        streams.note(&format!(
            "note: {name} lies outside of {}, in {}; from another place it could give other bytes",
            root.display(),
            outside.display()
        ));
    }
    let built = Build::new(toolchain, workspace, lock, &target_dir)?.component(&package)?;
    if let Some(note) = before.changed(&root) {
        streams.note(&note);
    }
    let default = || root.join("target").join("policies").join(format!("{}.wasm", package.name));
    let path = arguments.out.clone().unwrap_or_else(default);
    build::write(&built.wasm, &path)?;
    let digest = hex::encode(Sha256::digest(&built.wasm));
    let Description { manifest, built_with } = &built.description;
    let value = json!({
        "module": path,
        "digest": digest,
        "bytes": built.wasm.len(),
        "name": manifest.name,
        "version": manifest.version,
        "built_with": built_with,
    });
    let human = format!(
        "{}\n  {} {}, {} bytes\n  sha256  {digest}\n  built with {}",
        path.display(),
        escape(&manifest.name, 64),
        escape(&manifest.version, 64),
        built.wasm.len(),
        with(&built.description),
    );
    Ok(streams.print(&value, &human))
}

/// What somebody who did not choose the compiler should know.
fn note_on(toolchain: Toolchain) -> Option<&'static str> {
    match toolchain {
        Toolchain::Rustup => None,
        Toolchain::Debian => Some(
            "note: compiling with Debian's /usr/bin/rustc, and the standard library from its source, since rustup has no \
             wasm32-unknown-unknown here; another compiler makes other bytes, and `rustup target add wasm32-unknown-unknown` takes rustup's",
        ),
    }
}

/// Runs `policy inspect`.
pub fn inspect(arguments: &Inspect, streams: &mut Streams<'_>) -> u8 {
    let path = &arguments.module;
    let wasm = match inspect::read(path) {
        Ok(wasm) => wasm,
        Err(error) => return streams.fail(code_of(&error), &format!("{}: {error}", path.display())),
    };
    inspect_bytes(&path.display().to_string(), &wasm, streams)
}

/// Runs `policy inspect` on what was read already, from wherever `name` says.
pub fn inspect_bytes(name: &str, wasm: &[u8], streams: &mut Streams<'_>) -> u8 {
    match inspect::inspect(wasm) {
        Ok(inspection) => {
            let printed = streams.print(&inspection_json(&inspection), &inspection_human(name, &inspection));
            if printed == DONE && !inspection.problems.is_empty() {
                REFUSED
            } else {
                printed
            }
        }
        Err(error) => streams.fail(code_of(&error), &format!("{name}: {error}")),
    }
}

fn code_of(error: &InspectError) -> u8 {
    match error {
        InspectError::Read(_) | InspectError::Folder(_) => CANNOT,
        InspectError::Size | InspectError::NotAComponent(_) | InspectError::Invalid(_) | InspectError::TooMany(_) => REFUSED,
    }
}

/// An inspection for machines.
#[must_use]
pub fn inspection_json(inspection: &Inspection) -> Value {
    let mut value = json!(inspection);
    if let Value::Object(fields) = &mut value {
        let manifest = inspection
            .description
            .as_ref()
            .map(|description| manifest_json(&description.manifest));
        fields.insert("manifest".to_owned(), json!(manifest));
        let built_with = inspection.description.as_ref().map(|description| &description.built_with);
        fields.insert("built_with".to_owned(), json!(built_with));
    }
    value
}

/// With the schema as JSON, if it is.
fn manifest_json(manifest: &Manifest) -> Value {
    let mut value = json!(manifest);
    if let (Value::Object(fields), Ok(schema)) = (&mut value, serde_json::from_str::<Value>(&manifest.config_schema)) {
        fields.insert("config_schema".to_owned(), schema);
    }
    value
}

/// An inspection for people. All that the module's author wrote is escaped.
#[must_use]
pub fn inspection_human(name: &str, inspection: &Inspection) -> String {
    let mut text = format!("{}\n", escape(name, LINE_MAX));
    for problem in &inspection.problems {
        let _ = writeln!(text, "  PROBLEM       {problem}");
    }
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<13} {value}");
    };
    if let Some(Description { manifest, .. }) = &inspection.description {
        line(
            "policy",
            &format!("{} {}", escape(&manifest.name, 64), escape(&manifest.version, 64)),
        );
        line("purpose", &escape(&manifest.purpose, 512));
    }
    line("sha256", &inspection.digest);
    line("size", &format!("{} bytes", inspection.bytes));
    for memory in &inspection.memories {
        let most = memory
            .maximum
            .map_or_else(|| "no maximum of its own".to_owned(), |most| format!("at most {most}"));
        line("memory", &format!("{} bytes to begin with, {most}", memory.initial));
    }
    match &inspection.description {
        None => line("manifest", "none in the file: `sigwarden policy build` puts it there"),
        Some(description) => {
            let Manifest {
                formats,
                facts,
                denial_codes,
                ..
            } = &description.manifest;
            for (name, list) in [("formats", formats), ("facts", facts), ("denial codes", denial_codes)] {
                let list = if list.is_empty() { "none".to_owned() } else { list.join(", ") };
                line(name, &escape(&list, LINE_MAX));
            }
            line("built with", &with(description));
        }
    }
    for (name, items) in [("exports", &inspection.exports), ("imports", &inspection.imports)] {
        let _ = writeln!(text, "\n{name}");
        for item in items {
            let _ = writeln!(text, "  {}: {}", item.name, item.ty);
        }
    }
    if let Some(description) = &inspection.description {
        text.push_str("\nconfiguration\n");
        let schema = &description.manifest.config_schema;
        let pretty = serde_json::from_str::<Value>(schema).and_then(|schema| serde_json::to_string_pretty(&schema));
        for line in pretty.unwrap_or_else(|_| schema.clone()).lines() {
            let _ = writeln!(text, "  {}", escape(line, LINE_MAX));
        }
    }
    text
}

fn with(description: &Description) -> String {
    let built_with = &description.built_with;
    let text = format!(
        "{}, {}, std {}, sigwarden-guest {}, sigwarden {}",
        built_with.rustc, built_with.target, built_with.std, built_with.sdk, built_with.sigwarden
    );
    escape(&text, 512)
}
