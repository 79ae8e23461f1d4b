//! The cache of compiled code, through `Sandbox::load`. That no byte of a file may change is tested beside the code.

use crate::guest::{ALLOW, Guest};
use crate::job::{engine, job, source};
use sigwarden_core::policy::{Evaluator, Verdict};
use sigwarden_core::state::State;
use sigwarden_policy::{CodeCache, LoadFault, ModuleSource, PolicyLimits, Sandbox};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn load(source: &ModuleSource, cache: &CodeCache) -> (Sandbox, bool) {
    let (sandbox, loaded) = Sandbox::load(engine(), vec![source.clone()], Some(cache)).unwrap();
    (sandbox, loaded[0].from_cache)
}

/// A module before its configuration has one of zeros.
const UNCONFIGURED: &str = "-0000000000000000-";

fn all_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Those of configured modules.
fn files(dir: &Path) -> Vec<PathBuf> {
    let configured = |path: &PathBuf| !path.to_str().unwrap().contains(UNCONFIGURED);
    all_files(dir).into_iter().filter(configured).collect()
}

/// A module's code before its configuration, and its functions.
fn of_all_configurations(dir: &Path) -> [PathBuf; 2] {
    let mut files = all_files(dir);
    files.retain(|path| path.to_str().unwrap().contains(UNCONFIGURED));
    files.try_into().unwrap()
}

/// Keeps the configuration's first byte, and allows only if it is an `a`.
fn guest() -> Guest {
    let mut guest = Guest::new();
    let deny = guest.deny("no", "", None);
    guest.configure = "(global.set $count (i32.load8_u (local.get $at))) (i32.const 0)".to_owned();
    guest.evaluate = format!("(if (i32.ne (global.get $count) (i32.const 97)) (then (return (i32.const {deny})))) {ALLOW}");
    guest
}

fn configured(config: &str) -> ModuleSource {
    ModuleSource {
        config_json: config.to_owned(),
        ..source(guest().component())
    }
}

#[test]
fn the_second_load_comes_from_the_cache_and_answers_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CodeCache::new(dir.path().to_owned(), [7; 32]);
    let source = configured("a");
    let (first, from_cache) = load(&source, &cache);
    assert!(!from_cache);
    let (second, from_cache) = load(&source, &cache);
    assert!(from_cache);
    let [first, second] = [first, second].map(|sandbox| sandbox.evaluate(job(State::default())).unwrap());
    assert_eq!(first, second);
    assert_eq!(first.verdict, Verdict::Allow(None));

    assert_eq!(files(dir.path()).len(), 1);
    for file in all_files(dir.path()) {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

/// With them, without them, and with them damaged: what is compiled for another configuration answers the same.
#[test]
fn what_no_configuration_changes_is_kept_and_mended() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CodeCache::new(dir.path().to_owned(), [7; 32]);
    load(&configured("a"), &cache);
    let files = of_all_configurations(dir.path());
    let whole = files.clone().map(|file| std::fs::read(file).unwrap());
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
    let other_key = CodeCache::new(dir.path().to_owned(), [8; 32]);
    let mut number = 0;
    for cache in [&cache, &other_key] {
        for damaged in [whole.clone(), whole.each_ref().map(|bytes| cut(bytes)), [Vec::new(), Vec::new()]] {
            for (file, bytes) in files.iter().zip(damaged) {
                std::fs::write(file, bytes).unwrap();
            }
            number += 1;
            for (config, allows) in [("a", true), ("b", false)] {
                // Each time another text, which is not in the cache.
                let (sandbox, from_cache) = load(&configured(&format!("{config}{number}")), cache);
                assert!(!from_cache);
                let verdict = sandbox.evaluate(job(State::default())).unwrap().verdict;
                assert_eq!(verdict == Verdict::Allow(None), allows, "{config}");
            }
            let [code, functions] = files.clone().map(|file| std::fs::read(file).unwrap().len());
            assert_eq!((code, functions), (whole[0].len(), whole[1].len()), "mended");
        }
    }
}

#[test]
fn another_configuration_is_other_code() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CodeCache::new(dir.path().to_owned(), [7; 32]);
    load(&configured("a"), &cache);
    let (sandbox, from_cache) = load(&configured("b"), &cache);
    assert!(!from_cache);
    assert!(matches!(sandbox.evaluate(job(State::default())).unwrap().verdict, Verdict::Deny(_)));

    // One's file under the other's name: the name is not what is trusted.
    let [one, other] = files(dir.path()).try_into().unwrap();
    let swapped = std::fs::read(&one).unwrap();
    std::fs::copy(&other, &one).unwrap();
    std::fs::write(&other, swapped).unwrap();
    for (config, allows) in [("a", true), ("b", false)] {
        let (sandbox, from_cache) = load(&configured(config), &cache);
        assert!(!from_cache);
        let verdict = sandbox.evaluate(job(State::default())).unwrap().verdict;
        assert_eq!(verdict == Verdict::Allow(None), allows, "{config}");
    }
}

#[test]
fn another_key_or_a_damaged_file_compiles_again_and_mends_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let source = configured("a");
    let cache = CodeCache::new(dir.path().to_owned(), [7; 32]);
    load(&source, &cache);
    let other = CodeCache::new(dir.path().to_owned(), [8; 32]);
    assert!(!load(&source, &other).1, "under another key");
    assert!(load(&source, &other).1);

    let [file] = files(dir.path()).try_into().unwrap();
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [whole[..whole.len() - 1].to_vec(), flipped, Vec::new()] {
        std::fs::write(&file, damaged).unwrap();
        assert!(!load(&source, &other).1);
        assert!(load(&source, &other).1);
    }
}

#[test]
fn without_its_directory_the_cache_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CodeCache::new(dir.path().join("absent"), [7; 32]);
    assert!(!load(&configured("a"), &cache).1);
    assert!(!load(&configured("a"), &cache).1);
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn limits_of_today_hold_for_code_of_yesterday() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CodeCache::new(dir.path().to_owned(), [7; 32]);
    let source = configured("a");
    load(&source, &cache);
    let tight = ModuleSource {
        limits: PolicyLimits {
            memory_bytes: 64 * 1024,
            ..source.limits.clone()
        },
        ..source
    };
    let error = Sandbox::load(engine(), vec![tight], Some(&cache)).unwrap_err();
    assert!(matches!(error.fault, LoadFault::Shape(_)), "{error}");
}
