//! A cache that was tampered with is built anew, and nothing of it runs.

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
