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
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests"
    )]
    use super::*;
    use crate::functions::OfThisThread;
    use crate::settings::EngineSettings;
    use std::time::{Duration, SystemTime};

    struct Kept {
        dir: tempfile::TempDir,
        engine: Engine,
        cache: CodeCache,
    }

    impl Kept {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let engine = Engine::new(EngineSettings::default()).unwrap();
            let cache = CodeCache::new(dir.path().to_owned(), [7; 32]);
            let kept = Self { dir, engine, cache };
            // The smallest component: a file of a few KiB, so that each of its bytes can be tried.
            let component = Component::from_binary(kept.engine.wasmtime(), b"\0asm\x0d\0\x01\0").unwrap();
            kept.cache.put(&kept.key(), &component, &manifest());
            kept
        }

        fn key(&self) -> CodeKey<'_> {
            CodeKey {
                module: [1; 32],
                config: [2; 32],
                engine: self.engine.hash(),
            }
        }

        fn file(&self) -> PathBuf {
            self.dir.path().join(self.key().file_name(SUFFIX))
        }

        fn read(&self) -> Result<RawManifest, Unusable> {
            self.cache
                .read(&self.engine, &self.key(), &self.file())
                .map(|(_, manifest)| manifest)
        }

        fn open(&self, bytes: &[u8]) -> Result<RawManifest, Unusable> {
            self.cache.open(&self.engine, &self.key(), bytes).map(|(_, manifest)| manifest)
        }
    }

    fn manifest() -> RawManifest {
        serde_json::from_str(
            r#"{"name":"a","version":"1.0.0","purpose":"b","config_schema":"{}","formats":["*"],"facts":[],"denial_codes":["c"]}"#,
        )
        .unwrap()
    }

    #[test]
    fn what_is_put_is_got() {
        let kept = Kept::new();
        assert_eq!(kept.read().unwrap(), manifest());
        let absent = CodeKey {
            module: [3; 32],
            ..kept.key()
        };
        assert!(kept.cache.get(&kept.engine, &absent).is_none());
    }

    #[test]
    fn no_byte_may_change() {
        let kept = Kept::new();
        let mut bytes = fs::read(kept.file()).unwrap();
        for at in 0..bytes.len() {
            let bit = 1 << (at % 8);
            bytes[at] ^= bit;
            assert!(matches!(kept.open(&bytes), Err(Unusable::Mac)), "byte {at}");
            bytes[at] ^= bit;
        }
        assert!(kept.open(&bytes).is_ok());
    }

    #[test]
    fn no_byte_may_be_missing_or_added() {
        let kept = Kept::new();
        let whole = fs::read(kept.file()).unwrap();
        for cut in 0..whole.len() {
            assert!(matches!(kept.open(&whole[..cut]), Err(Unusable::Mac)), "cut at {cut}");
        }
        assert!(matches!(kept.open(&[whole.as_slice(), b"x"].concat()), Err(Unusable::Mac)));
    }

    #[test]
    fn a_file_is_for_one_module_one_configuration_one_engine_and_one_key() {
        let kept = Kept::new();
        let read = |cache: &CodeCache, key: &CodeKey<'_>| cache.read(&kept.engine, key, &kept.file());
        let other_engine = "0".repeat(64);
        for other in [
            CodeKey {
                module: [3; 32],
                ..kept.key()
            },
            CodeKey {
                config: [3; 32],
                ..kept.key()
            },
            CodeKey {
                engine: &other_engine,
                ..kept.key()
            },
            CodeKey {
                module: [2; 32],
                config: [1; 32],
                ..kept.key()
            },
        ] {
            assert!(matches!(read(&kept.cache, &other), Err(Unusable::Mac)));
        }
        let other_cache = CodeCache::new(kept.dir.path().to_owned(), [8; 32]);
        assert!(matches!(read(&other_cache, &kept.key()), Err(Unusable::Mac)));
        assert!(read(&kept.cache, &kept.key()).is_ok());
    }

    #[test]
    fn authentic_bytes_of_another_layout_are_not_loaded() {
        let kept = Kept::new();
        for body in [
            &b""[..],
            &[1, 0][..],
            &[255, 255, 255, 255, 1][..],
            &[2, 0, 0, 0, b'{', b'}', 0][..],
        ] {
            let mac = kept.cache.mac(LABEL, &kept.key(), body);
            kept.cache.write(&kept.file(), &mac, body).unwrap();
            assert!(matches!(kept.read(), Err(Unusable::Manifest)), "{body:?}");
        }
    }

    #[test]
    fn functions_are_of_one_module_and_are_no_code() {
        let kept = Kept::new();
        let mut functions = Functions::default();
        functions.while_compiling(|| assert!(wasmtime::CacheStore::insert(&OfThisThread, b"key", vec![7; 40])));
        kept.cache.put_functions(&kept.key(), &functions);
        let path = kept.dir.path().join(kept.key().file_name(FUNCTIONS_SUFFIX));
        let whole = fs::read(&path).unwrap();
        assert_eq!(kept.cache.functions(&kept.key()).encode().len(), 0, "used by nothing yet");
        let found = |cache: &CodeCache, key: &CodeKey<'_>| {
            let mut functions = cache.functions(key);
            functions.while_compiling(|| wasmtime::CacheStore::get(&OfThisThread, b"key").is_some())
        };
        assert!(found(&kept.cache, &kept.key()));
        let other = CodeKey {
            module: [3; 32],
            ..kept.key()
        };
        fs::copy(&path, kept.dir.path().join(other.file_name(FUNCTIONS_SUFFIX))).unwrap();
        assert!(!found(&kept.cache, &other), "another module's");
        assert!(matches!(kept.open(&whole), Err(Unusable::Mac)), "functions as code");
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(&path, &changed).unwrap();
            assert!(!found(&kept.cache, &kept.key()), "byte {at}");
        }
    }

    #[test]
    fn the_oldest_files_go_and_other_files_stay() {
        let kept = Kept::new();
        fs::write(kept.dir.path().join("README"), "").unwrap();
        let written = SystemTime::UNIX_EPOCH;
        for age in 0..FILES_MAX + 8 {
            let file = File::create(kept.dir.path().join(format!("{age}.tmp"))).unwrap();
            file.set_modified(written + Duration::from_secs(age as u64)).unwrap();
        }
        kept.cache.prune(&kept.file()).unwrap();
        let left = fs::read_dir(kept.dir.path()).unwrap().count();
        assert_eq!(left, FILES_MAX + 1, "the limit, and the file that is none of the cache's");
        assert!(kept.read().is_ok());
        assert!(!kept.dir.path().join("0.tmp").exists());
        assert!(kept.dir.path().join(format!("{}.tmp", FILES_MAX + 7)).exists());
        assert!(kept.dir.path().join("README").exists());
    }
}
