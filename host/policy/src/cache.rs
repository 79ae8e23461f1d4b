//! Compiled code on disk. Loading it is `unsafe`: whoever writes it decides what this process runs. So a file is trusted by its MAC
//! alone, under a key that only this deployment has; it is read once, and what was verified is what is loaded. This is the one file
//! of the crate with `unsafe`.
//!
//! A file is `mac (32) || manifest length (4, little-endian) || manifest (JSON) || code`, and
//! `mac = BLAKE3-keyed(key, label || module digest || config digest || engine hash || all after the mac)`. A file that is wrong in
//! any way is compiled again and replaced, with a warning, and never an error.
//!
//! Beside the code of each configuration lie a module's code before its configuration, under a configuration digest of zeros, and its
//! compiled functions (`mac || functions`, with a label of their own): with both, another configuration is compiled in a quarter of the time.
#![allow(unsafe_code, reason = "Component::deserialize, of authenticated bytes only")]

use crate::engine::Engine;
use crate::functions::Functions;
use crate::load::Configured;
use crate::manifest::RawManifest;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::component::Component;

/// What the MAC is for; a change of the file's layout changes it.
const LABEL: &[u8] = b"sigwarden compiled code 1\0";
/// The same for functions.
const FUNCTIONS_LABEL: &[u8] = b"sigwarden compiled functions 1\0";
const MAC_BYTES: usize = 32;
/// Bytes of a cached file at most. A module of 16 MiB compiles to some 60 MiB, and a snapshot adds its memory.
const FILE_BYTES_MAX: u64 = 192 * 1024 * 1024;
/// Files kept. A deployment has a handful of policies, of which each has two; each new configuration or engine leaves one behind.
const FILES_MAX: usize = 64;
/// The suffix of its files.
const SUFFIX: &str = "code";
/// The suffix of a module's functions.
const FUNCTIONS_SUFFIX: &str = "functions";

/// A directory of compiled code, and the key that authenticates it.
pub struct CodeCache {
    dir: PathBuf,
    mac_key: [u8; 32],
}

impl std::fmt::Debug for CodeCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeCache").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// What compiled code depends on.
pub(crate) struct CodeKey<'a> {
    pub(crate) module: [u8; 32],
    pub(crate) config: [u8; 32],
    pub(crate) engine: &'a str,
}

impl<'a> CodeKey<'a> {
    /// Of the module before it is configured; it has a digest of its own, since it can be read out.
    pub(crate) fn unconfigured(instrumented: [u8; 32], engine: &'a str) -> Self {
        Self {
            module: instrumented,
            config: [0; 32],
            engine,
        }
    }

    /// Short names suffice: the MAC binds the digests in full.
    fn file_name(&self, suffix: &str) -> String {
        let [module, config] = [self.module, self.config].map(|digest| hex::encode(digest).chars().take(16).collect::<String>());
        let engine: String = self.engine.chars().take(16).collect();
        format!("{module}-{config}-{engine}.{suffix}")
    }
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it has {0} bytes")]
    Size(u64),
    #[error("its MAC is wrong: it was cut, changed, or written under another key")]
    Mac,
    #[error("its manifest does not parse")]
    Manifest,
    #[error("its functions do not parse")]
    Functions,
    #[error("the engine does not take it: {0}")]
    Engine(String),
}

impl CodeCache {
    /// A cache in a directory that exists, under a key that nobody else has: from the deployment's root key. Without a root key
    /// there is no cache.
    #[must_use]
    pub fn new(dir: PathBuf, mac_key: [u8; 32]) -> Self {
        Self { dir, mac_key }
    }

    /// The code for this key, if there is a file and it is authentic.
    pub(crate) fn get(&self, engine: &Engine, key: &CodeKey<'_>) -> Option<Configured> {
        let path = self.dir.join(key.file_name(SUFFIX));
        usable(&path, self.read(engine, key, &path))
    }

    /// The functions of the module that this key is of; none if there is no file, or it is not authentic.
    pub(crate) fn functions(&self, key: &CodeKey<'_>) -> Functions {
        let path = self.dir.join(key.file_name(FUNCTIONS_SUFFIX));
        let read = read_file(&path).and_then(|bytes| {
            let functions = self.authentic(FUNCTIONS_LABEL, key, &bytes)?;
            Functions::decode(functions).ok_or(Unusable::Functions)
        });
        usable(&path, read).unwrap_or_default()
    }

    fn read(&self, engine: &Engine, key: &CodeKey<'_>, path: &Path) -> Result<Configured, Unusable> {
        self.open(engine, key, &read_file(path)?)
    }

    /// What is behind the MAC of bytes that were read, if it is right.
    fn authentic<'b>(&self, label: &[u8], key: &CodeKey<'_>, bytes: &'b [u8]) -> Result<&'b [u8], Unusable> {
        let (mac, rest) = bytes.split_first_chunk::<MAC_BYTES>().ok_or(Unusable::Mac)?;
        // Compared in constant time by `blake3::Hash`.
        if self.mac(label, key, rest) != blake3::Hash::from_bytes(*mac) {
            return Err(Unusable::Mac);
        }
        Ok(rest)
    }

    /// Verifies bytes that were read, and loads the code from those very bytes.
    fn open(&self, engine: &Engine, key: &CodeKey<'_>, bytes: &[u8]) -> Result<Configured, Unusable> {
        let rest = self.authentic(LABEL, key, bytes)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or(Unusable::Manifest)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Unusable::Manifest)?;
        let (manifest, code) = rest.split_at_checked(length).ok_or(Unusable::Manifest)?;
        let manifest: RawManifest = serde_json::from_slice(manifest).map_err(|_| Unusable::Manifest)?;
        // SAFETY: `deserialize` wants bytes that `Component::serialize` made. `code` is a part of a buffer, read once, whose MAC has
        // just been verified under a key that only `put` of this deployment uses, over bytes that `serialize` made for an engine of
        // the same hash; wasmtime itself checks version and settings.
        let component = unsafe { Component::deserialize(engine.wasmtime(), code) };
        let component = component.map_err(|error| Unusable::Engine(format!("{error:#}")))?;
        Ok((component, manifest))
    }

    /// Keeps a module's functions, under the key of the module before its configuration.
    pub(crate) fn put_functions(&self, key: &CodeKey<'_>, functions: &Functions) {
        self.keep(FUNCTIONS_LABEL, FUNCTIONS_SUFFIX, key, Ok(functions.encode()));
    }

    /// Keeps code for this key. A cache that cannot be written is a slower start, and a warning.
    pub(crate) fn put(&self, key: &CodeKey<'_>, component: &Component, manifest: &RawManifest) {
        self.keep(LABEL, SUFFIX, key, encode(component, manifest));
    }

    fn keep(&self, label: &[u8], suffix: &str, key: &CodeKey<'_>, body: io::Result<Vec<u8>>) {
        let path = self.dir.join(key.file_name(suffix));
        let written = body.and_then(|body| self.write(&path, &self.mac(label, key, &body), &body));
        if let Err(error) = written.and_then(|()| self.prune(&path)) {
            tracing::warn!(file = %path.display(), %error, "compiled code is not kept; it will be compiled again");
        }
    }

    fn write(&self, path: &Path, mac: &blake3::Hash, body: &[u8]) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let unique = format!("{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let temporary = self.dir.join(unique);
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(mac.as_bytes())?;
            file.write_all(body)?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            File::open(&self.dir)?.sync_all()
        })();
        if written.is_err() {
            // What is left of it; that it may be gone already is fine.
            drop(fs::remove_file(&temporary));
        }
        written
    }

    /// Removes the oldest files over [`FILES_MAX`], those that a crash left half-written among them, and never the one just written.
    fn prune(&self, just_written: &Path) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let ours = path
                .extension()
                .is_some_and(|extension| [SUFFIX, FUNCTIONS_SUFFIX, "tmp"].iter().any(|suffix| extension == *suffix));
            if ours && path != just_written {
                files.push((fs::metadata(&path).and_then(|meta| meta.modified()).ok(), path));
            }
        }
        files.sort();
        let excess = files.len().saturating_sub(FILES_MAX - 1);
        for (_, path) in files.iter().take(excess) {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    fn mac(&self, label: &[u8], key: &CodeKey<'_>, body: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.mac_key);
        hasher.update(label);
        hasher.update(&key.module);
        hasher.update(&key.config);
        // Of fixed length, so that no other split of the same bytes has the same MAC.
        hasher.update(blake3::hash(key.engine.as_bytes()).as_bytes());
        hasher.update(body);
        hasher.finalize()
    }
}

fn usable<T>(path: &Path, read: Result<T, Unusable>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(Unusable::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "a file of compiled code is not used; compiling again");
            None
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, Unusable> {
    // A pipe under the name would make the start wait for ever.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("is no regular file").into());
    }
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    if size > FILE_BYTES_MAX {
        return Err(Unusable::Size(size));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn encode(component: &Component, manifest: &RawManifest) -> io::Result<Vec<u8>> {
    let code = component.serialize().map_err(|error| io::Error::other(format!("{error:#}")))?;
    let manifest = serde_json::to_vec(manifest)?;
    let length = u32::try_from(manifest.len()).map_err(io::Error::other)?;
    let mut body = Vec::with_capacity(4 + manifest.len() + code.len());
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(&manifest);
    body.extend_from_slice(&code);
    Ok(body)
}

#[cfg(test)]
mod tests;
