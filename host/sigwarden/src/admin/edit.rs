//! Changes to sigwarden.toml: comments and order stay, the result is checked before it is written, and written as a whole.

use super::NotDone;
use crate::config::{Config, Key};
use sigwarden_core::key::KeyId;
use sigwarden_core::{Role, Scheme};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use toml_edit::{DocumentMut, value};

/// One `[[key]]`.
pub(crate) fn key(id: &KeyId, roles: &BTreeSet<Role>, scheme: Scheme, backend: &str, public_key: Option<&[u8]>) -> String {
    let roles: Vec<String> = roles.iter().map(|role| format!("\"{role}\"")).collect();
    let mut text = format!("[[key]]\nname = \"{}\"\n", id.name);
    if id.version != 1 {
        let _ = writeln!(text, "version = {}", id.version);
    }
    let _ = writeln!(
        text,
        "roles = [{}]\nscheme = \"{scheme}\"\nbackend = \"{backend}\"",
        roles.join(", ")
    );
    if let Some(public_key) = public_key {
        let _ = writeln!(text, "public_key = \"{}\"", hex::encode(public_key));
    }
    text
}

/// The `[[key]]` of another version: all that the one before may do, with a public key of its own.
pub(crate) fn like(before: &Key, id: &KeyId, public_key: &[u8]) -> String {
    let mut text = key(id, &before.roles, before.scheme, &before.backend, Some(public_key));
    let flags = [
        ("dangerous_allow_raw_messages", before.dangerous_allow_raw_messages),
        ("dangerous_allow_raw_digests", before.dangerous_allow_raw_digests),
    ];
    for (flag, _) in flags.iter().filter(|(_, set)| *set) {
        let _ = writeln!(text, "{flag} = true");
    }
    if let Some(mechanism) = before.mechanism {
        let _ = writeln!(text, "mechanism = \"{mechanism}\"");
    }
    if let Some(bound) = &before.bound {
        let mut fields = Vec::new();
        fields.extend(
            bound
                .chain_id
                .as_ref()
                .map(|id| format!("chain_id = {}", toml::Value::from(id.as_str()))),
        );
        fields.extend(bound.validator_id.map(|id| format!("validator_id = {id}")));
        fields.extend(bound.suite_id.map(|id| format!("suite_id = {id}")));
        let _ = writeln!(text, "bind = {{ {} }}", fields.join(", "));
    }
    text
}

/// The configuration with `block` at its end.
///
/// # Errors
/// The result would be wrong.
pub(crate) fn appended(config: &Config, block: &str) -> Result<String, NotDone> {
    let text = read(config)?;
    let text = format!("{}\n\n{block}", text.trim_end());
    checked(config, text)
}

/// The configuration with another `sha256` on a policy.
///
/// # Errors
/// There is no such policy, or the result would be wrong.
pub(crate) fn pinned(config: &Config, policy: &str, sha256: &str) -> Result<String, NotDone> {
    let mut document: DocumentMut = read(config)?.parse()?;
    let tables = document.get_mut("policy").and_then(|item| item.as_array_of_tables_mut());
    let is_it = |table: &&mut toml_edit::Table| table.get("name").and_then(|name| name.as_str()) == Some(policy);
    let table = tables.and_then(|tables| tables.iter_mut().find(is_it));
    let table = table.ok_or_else(|| NotDone::no(format!("{} has no `[[policy]]` of the name `{policy}`", config.file.display())))?;
    table.insert("sha256", value(sha256));
    checked(config, document.to_string())
}

fn read(config: &Config) -> Result<String, NotDone> {
    let text = crate::files::read_text(&config.file, crate::config::FILE_BYTES_MAX);
    text.map_err(|error| NotDone::cannot(format!("{}: {error}", config.file.display())))
}

fn checked(config: &Config, text: String) -> Result<String, NotDone> {
    match Config::parse(&config.dir, &text) {
        Ok(_) => Ok(text),
        Err(errors) => {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Err(NotDone::no(format!(
                "with this change, sigwarden.toml would be wrong:\n{}",
                errors.join("\n")
            )))
        }
    }
}

/// Replaces a file's contents at once: a crash leaves the old ones or the new ones. The mode stays.
///
/// # Errors
/// The system's.
pub(crate) fn write(file: &Path, text: &str) -> Result<(), NotDone> {
    let mode = std::fs::metadata(file).map_or(0o600, |metadata| metadata.permissions().mode() & 0o7777);
    replace(file, text.as_bytes(), mode)
}

/// Writes a file as a whole, whether or not there is one.
///
/// # Errors
/// The system's.
pub(crate) fn replace(file: &Path, bytes: &[u8], mode: u32) -> Result<(), NotDone> {
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(".new");
    let failed = |error: std::io::Error| NotDone::cannot(format!("{}: {error}", file.display()));
    let mut options = std::fs::OpenOptions::new();
    let mut opened = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&fresh)
        .map_err(failed)?;
    opened.write_all(bytes).and_then(|()| opened.sync_all()).map_err(failed)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    std::fs::rename(&fresh, file).map_err(failed)?;
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)
}
