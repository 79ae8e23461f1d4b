//! `sigwarden secrets`.

use super::administer;
use super::args::Secrets;
use super::output::{Failure, Output, table, time};
use crate::config::Config;
use crate::proto::admin::{SecretRequest, SecretResponse};
use serde_json::json;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// A secret at most, bytes; the vault's own bound.
const SECRET_MAX: u64 = 64 * 1024;

pub(super) fn run(command: Secrets, dir: &Path, output: &Output) -> Result<(), Failure> {
    let config = Config::load(dir)?;
    match command {
        Secrets::Set { name, file, reason } => {
            let secret = read(file.as_deref())?;
            let done = ask(&config, "set", name.as_str(), secret.to_vec(), reason)?;
            output.print(&json!({ "name": name.as_str(), "sequence": done.sequence }), || {
                format!("set {name}  (record {})\n", done.sequence)
            });
        }
        Secrets::Get { name, to, reason } => {
            // The file first: a secret that was given out and could not be written would be recorded for nothing.
            let file = match to.as_os_str() == "-" {
                true => None,
                false => Some(fresh(&to)?),
            };
            let asked = ask(&config, "get", name.as_str(), Vec::new(), reason);
            let mut done = asked.inspect_err(|_| {
                if file.is_some() {
                    // Ours, empty, and made a moment ago.
                    drop(std::fs::remove_file(&to));
                }
            })?;
            let secret = Zeroizing::new(done.secret.take().unwrap_or_default());
            match file {
                Some(mut file) => {
                    let written = file.write_all(&secret).and_then(|()| file.sync_all());
                    written.map_err(|error| Failure::cannot(format!("{}: {error}", to.display())))?;
                    output.print(&json!({ "name": name.as_str(), "file": to, "sequence": done.sequence }), || {
                        format!("wrote {name} to {}  (record {})\n", to.display(), done.sequence)
                    });
                }
                None => std::io::stdout()
                    .write_all(&secret)
                    .map_err(|error| Failure::cannot(format!("standard output: {error}")))?,
            }
        }
        Secrets::List { reason } => {
            let done = ask(&config, "list", "", Vec::new(), reason)?;
            let entries = done.secrets.iter();
            let value = entries
                .map(|entry| json!({ "name": entry.name, "created_ms": entry.created_ms }))
                .collect();
            output.print(&value, || {
                if done.secrets.is_empty() {
                    return "no secrets; `sigwarden secrets set` keeps one\n".to_owned();
                }
                table(
                    &done
                        .secrets
                        .iter()
                        .map(|entry| vec![entry.name.clone(), time(entry.created_ms)])
                        .collect::<Vec<_>>(),
                )
            });
        }
        Secrets::Remove { name, reason } => {
            let done = ask(&config, "remove", name.as_str(), Vec::new(), reason)?;
            output.print(&json!({ "name": name.as_str(), "sequence": done.sequence }), || {
                format!("removed {name}  (record {}); backups still have it\n", done.sequence)
            });
        }
    }
    Ok(())
}

fn ask(config: &Config, command: &str, name: &str, secret: Vec<u8>, reason: String) -> Result<SecretResponse, Failure> {
    administer(config, |reach| {
        reach.secret(SecretRequest {
            command: command.to_owned(),
            name: name.to_owned(),
            secret,
            reason,
        })
    })
}

fn fresh(path: &Path) -> Result<std::fs::File, Failure> {
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    opened.map_err(|error| Failure::cannot(format!("{}: {error}; a secret is written to a new file only", path.display())))
}

/// The secret as it is in the file; from a prompt, the line without its end.
fn read(file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let Some(path) = file else {
        let asked = rpassword::prompt_password("The secret: ").map(Zeroizing::new);
        let asked = asked.map_err(|error| Failure::cannot(format!("no prompt: {error}; --file names a file")))?;
        return bounded(Zeroizing::new(asked.as_bytes().to_vec()));
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_MAX as usize + 1));
    let failed = |error: std::io::Error| Failure::cannot(format!("{}: {error}", path.display()));
    if path.as_os_str() == "-" {
        std::io::stdin().take(SECRET_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let opened = std::fs::File::open(path).map_err(failed)?;
        let mode = opened.metadata().map_err(failed)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(Failure::no(format!(
                "{} has mode {mode:04o}, so others may have read it; if they have not, `chmod 600` it",
                path.display()
            )));
        }
        opened.take(SECRET_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    bounded(bytes)
}

fn bounded(bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if bytes.is_empty() {
        return Err(Failure::no("the secret is empty"));
    }
    if bytes.len() as u64 > SECRET_MAX {
        return Err(Failure::no(format!("the secret has more than {SECRET_MAX} bytes")));
    }
    Ok(bytes)
}
