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
    let backend = SealedFileBackend::holding(Arc::new(vault), 2);
    let input = SigningInput::Message(b"hello".to_vec());
    for version in 1..=5 {
        let key = id(&format!("a.b.v{version}"));
        backend.vault.generate(&key, Scheme::Ed25519, 1).unwrap();
        backend.sign_inputs(&key, Scheme::Ed25519, [&input].into_iter()).unwrap();
        assert!(backend.held.read().unwrap().len() <= 2);
    }
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
