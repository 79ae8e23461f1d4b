#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use super::*;
use crate::vault::tests::vault;
use sigwarden_core::verify::verify;

fn id(text: &str) -> KeyId {
    text.parse().unwrap()
}

#[test]
fn it_signs_with_every_scheme_and_core_accepts() {
    let (_directory, vault) = vault();
    let vault = Arc::new(vault);
    let backend = SealedFileBackend::new(Arc::clone(&vault));
    for (name, scheme, input) in [
        ("a.ecdsa.v1", Scheme::Secp256k1Ecdsa, SigningInput::Digest([1; 32])),
        ("b.schnorr.v1", Scheme::Secp256k1Schnorr, SigningInput::Digest([2; 32])),
        ("c.ed25519.v1", Scheme::Ed25519, SigningInput::Message(b"hello".to_vec())),
        ("d.ml-dsa.v1", Scheme::MlDsa44, SigningInput::Message(b"hello".to_vec())),
    ] {
        let public_key = vault.generate(&id(name), scheme, 1).unwrap();
        let signatures = backend.sign_inputs(&id(name), scheme, [&input, &input].into_iter()).unwrap();
        assert_eq!(signatures.len(), 2);
        for signature in signatures {
            assert_eq!(verify(scheme, &public_key, &input, &signature), Ok(()));
            assert_eq!(signature.recovery_id.is_some(), scheme == Scheme::Secp256k1Ecdsa);
        }
    }
}

#[test]
fn an_input_of_the_wrong_kind_or_another_scheme_is_refused() {
    let (_directory, vault) = vault();
    let backend = SealedFileBackend::new(Arc::new(vault));
    backend.vault.generate(&id("a.b.v1"), Scheme::Ed25519, 1).unwrap();
    backend.vault.generate(&id("a.c.v1"), Scheme::Secp256k1Ecdsa, 1).unwrap();
    let digest = SigningInput::Digest([1; 32]);
    let message = SigningInput::Message(vec![1; 32]);
    let sign = |name: &str, scheme, input| backend.sign_inputs(&id(name), scheme, [input].into_iter()).err().unwrap();
    assert_eq!(
        sign("a.b.v1", Scheme::Ed25519, &digest),
        BackendFailure::Failed("ed25519 signs a message, and was given a digest".into())
    );
    assert_eq!(
        sign("a.c.v1", Scheme::Secp256k1Ecdsa, &message),
        BackendFailure::Failed("secp256k1-ecdsa signs a 32-byte digest, and was given a message".into())
    );
    assert_eq!(
        sign("a.c.v1", Scheme::Secp256k1Schnorr, &digest),
        BackendFailure::Failed("`a.c.v1` is a key of secp256k1-ecdsa, not of secp256k1-schnorr".into())
    );
    assert!(matches!(sign("a.d.v1", Scheme::Ed25519, &message), BackendFailure::Failed(_)));
}

#[test]
fn a_key_is_opened_once_until_it_is_forgotten() {
    let (directory, vault) = vault();
    let backend = SealedFileBackend::new(Arc::new(vault));
    backend.vault.generate(&id("a.b.v1"), Scheme::Ed25519, 1).unwrap();
    let input = SigningInput::Message(b"hello".to_vec());
    let sign = || backend.sign_inputs(&id("a.b.v1"), Scheme::Ed25519, [&input].into_iter());
    let first = sign().unwrap();
    let path = directory.path().join("keys/a.b.v1.key");
    std::fs::rename(&path, path.with_extension("away")).unwrap();
    assert_eq!(sign().unwrap(), first);
    backend.forget(&id("a.b.v1"));
    assert!(matches!(sign(), Err(BackendFailure::Unavailable(text)) if text.contains("is not there")));
    std::fs::rename(path.with_extension("away"), &path).unwrap();
    assert_eq!(sign().unwrap(), first);
}

#[test]
fn no_more_keys_are_held_than_the_bound() {
    let (_directory, vault) = vault();
    let backend = SealedFileBackend {
        vault: Arc::new(vault),
        cache: Cache::new(DEFAULT_TTL, 2),
    };
    let input = SigningInput::Message(b"hello".to_vec());
    for version in 1..=5 {
        let key = id(&format!("a.b.v{version}"));
        backend.vault.generate(&key, Scheme::Ed25519, 1).unwrap();
        backend.sign_inputs(&key, Scheme::Ed25519, [&input].into_iter()).unwrap();
        assert!(backend.cache.len() <= 2);
    }
}

/// The clock is the caller's: nothing waits here.
#[test]
fn a_key_is_opened_again_when_its_time_is_over() {
    let (directory, vault) = vault();
    vault.generate(&id("a.b.v1"), Scheme::Ed25519, 1).unwrap();
    let cache = Cache::new(DEFAULT_TTL, 2);
    let start = Instant::now();
    let load = |at| cache.get(&id("a.b.v1"), start + at, || vault.hold(&id("a.b.v1"))).map(|_| ());
    load(Duration::ZERO).unwrap();
    let path = directory.path().join("keys/a.b.v1.key");
    std::fs::rename(&path, path.with_extension("away")).unwrap();
    // Held, used or not, until its time is over, however often it is used meanwhile.
    for seconds in [1, 200, 299] {
        load(Duration::from_secs(seconds)).unwrap();
        assert_eq!(cache.evict(start + Duration::from_secs(seconds)), 0);
    }
    assert!(load(Duration::from_secs(300)).is_err());
    // A timer takes it out of memory when nobody asks for it.
    assert_eq!((cache.evict(start + Duration::from_secs(300)), cache.len()), (1, 0));
    std::fs::rename(path.with_extension("away"), &path).unwrap();
    load(Duration::from_secs(300)).unwrap();
    assert_eq!((cache.evict(start + Duration::from_secs(599)), cache.len()), (0, 1));
}

#[test]
fn with_no_time_at_all_every_signature_opens_the_file() {
    let (directory, vault) = vault();
    vault.generate(&id("a.b.v1"), Scheme::Ed25519, 1).unwrap();
    let backend = SealedFileBackend::with_ttl(Arc::new(vault), Duration::ZERO);
    let input = SigningInput::Message(b"hello".to_vec());
    let sign = || backend.sign_inputs(&id("a.b.v1"), Scheme::Ed25519, [&input].into_iter());
    sign().unwrap();
    assert_eq!(backend.cache.len(), 0);
    std::fs::remove_file(directory.path().join("keys/a.b.v1.key")).unwrap();
    assert!(matches!(sign(), Err(BackendFailure::Unavailable(_))));
}

#[test]
fn a_destroyed_key_is_gone_from_disk_and_after_forget_from_memory() {
    let (directory, vault) = vault();
    let public_key = vault.generate(&id("a.b.v1"), Scheme::Ed25519, 1).unwrap();
    let backend = SealedFileBackend::new(Arc::new(vault));
    let input = SigningInput::Message(b"hello".to_vec());
    let sign = || backend.sign_inputs(&id("a.b.v1"), Scheme::Ed25519, [&input].into_iter());
    sign().unwrap();
    let unfinished = directory.path().join("keys/.a.b.v1.key.00.tmp");
    std::fs::write(&unfinished, b"a copy that an interrupted writer left").unwrap();
    // A start after a power cut does it again.
    for _ in 0..2 {
        backend.vault.destroy(&id("a.b.v1")).unwrap();
        assert!(!directory.path().join("keys/a.b.v1.key").exists() && !unfinished.exists());
    }
    backend.forget(&id("a.b.v1"));
    assert!(matches!(sign(), Err(BackendFailure::Unavailable(_))));
    // Its public half stays, and its id is not given again.
    assert_eq!(backend.vault.entry(&id("a.b.v1")).map(|entry| entry.public_key), Some(public_key));
    assert!(matches!(
        backend.vault.generate(&id("a.b.v1"), Scheme::Ed25519, 2),
        Err(VaultError::KeyExists(_))
    ));
    assert!(matches!(backend.vault.destroy(&id("a.b.v2")), Err(VaultError::UnknownKey(_))));
}

/// More threads than slots in the arena, all at once, on few keys: nobody waits for ever, and every signature is right.
#[test]
fn a_hundred_threads_sign_at_once() {
    let (_directory, vault) = vault();
    let backend = SealedFileBackend::new(Arc::new(vault));
    let keys: Vec<_> = (1..=4)
        .map(|version| {
            let key = id(&format!("a.b.v{version}"));
            let public_key = backend.vault.generate(&key, Scheme::Secp256k1Ecdsa, 1).unwrap();
            (key, public_key)
        })
        .collect();
    let start = std::sync::Barrier::new(100);
    std::thread::scope(|scope| {
        for thread in 0..100_u8 {
            let (start, backend, (key, public_key)) = (&start, &backend, &keys[usize::from(thread) % 4]);
            scope.spawn(move || {
                start.wait();
                for round in 0..5 {
                    let mut digest = [thread; 32];
                    digest[0] = round;
                    let input = SigningInput::Digest(digest);
                    let signatures = backend.sign_inputs(key, Scheme::Secp256k1Ecdsa, [&input].into_iter()).unwrap();
                    assert_eq!(verify(Scheme::Secp256k1Ecdsa, public_key, &input, &signatures[0]), Ok(()));
                }
            });
        }
    });
}
