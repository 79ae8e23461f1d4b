#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use super::*;
use crate::keystore_backend::KeystoreBackend;
use crate::vault::tests::passphrase;
use sigwarden_core::BackendFailure;
use sigwarden_core::fact::SigningInput;
use sigwarden_core::verify::verify;
use std::time::Duration;

fn keystore() -> (tempfile::TempDir, Keystore) {
    let directory = tempfile::tempdir().unwrap();
    let keystore = Keystore::create(&directory.path().join("store"), &passphrase()).ok().unwrap();
    (directory, keystore)
}

fn name(text: &str) -> KeyName {
    text.parse().unwrap()
}

fn refused<T>(result: Result<T, KeystoreError>) -> EncError {
    let Some(KeystoreError::Entry { source, .. }) = result.err() else {
        panic!("an entry that does not open is what was wanted")
    };
    source
}

#[test]
fn secrets_and_keys_are_there_after_a_restart() {
    let (directory, keystore) = keystore();
    let id: KeyId = "evm.hot.v1".parse().unwrap();
    keystore.secret_set(&name("igra.hd.wallet_secret"), b"first", 1).unwrap();
    keystore.secret_set(&name("igra.hd.wallet_secret"), b"second", 2).unwrap();
    let public_key = keystore.generate(&id, Scheme::MlDsa44, 3).unwrap();
    assert!(matches!(
        keystore.generate(&id, Scheme::Ed25519, 4),
        Err(KeystoreError::File(FileError::Exists(_)))
    ));
    let path = directory.path().join("store");
    assert!(matches!(Keystore::create(&path, &passphrase()), Err(KeystoreError::NotEmpty(_))));
    let again = Keystore::open(&path, &passphrase()).ok().unwrap();
    assert_eq!(
        again.secret_get(&name("igra.hd.wallet_secret")).ok().unwrap().expose_secret(),
        b"second"
    );
    let listed = again.secret_list().unwrap();
    assert!(matches!(listed.as_slice(), [entry] if entry.name.as_str() == "igra.hd.wallet_secret" && entry.created_ms == 2));
    let keys = again.index().unwrap();
    assert!(matches!(keys.as_slice(), [entry] if entry.id == id && entry.public_key == public_key && entry.created_ms == 3));

    let backend = KeystoreBackend::with_ttl(Arc::new(again), Duration::ZERO);
    let input = SigningInput::Message(b"hello".to_vec());
    let signed = backend.sign_inputs(&id, Scheme::MlDsa44, [&input].into_iter()).unwrap();
    assert_eq!(verify(Scheme::MlDsa44, &public_key, &input, &signed[0]), Ok(()));
    let other = backend.sign_inputs(&id, Scheme::Ed25519, [&input].into_iter());
    assert!(matches!(other, Err(BackendFailure::Failed(text)) if text.contains("is a key of ml-dsa-44")));
    keystore.destroy(&id).unwrap();
    keystore.destroy(&id).unwrap();
    let gone = backend.sign_inputs(&id, Scheme::MlDsa44, [&input].into_iter());
    assert!(matches!(gone, Err(BackendFailure::Unavailable(_))));
}

#[test]
fn a_wrong_passphrase_is_refused_when_it_is_opened() {
    let (directory, keystore) = keystore();
    keystore.secret_set(&name("a.b"), b"secret", 1).unwrap();
    for wrong in ["another passphrase", &"long".repeat(17)] {
        let wrong = Passphrase::from_bytes(wrong.into()).unwrap();
        let opened = Keystore::open(&directory.path().join("store"), &wrong);
        assert_eq!(refused(opened), EncError::WrongPassphraseOrDamaged);
    }
    assert!(matches!(
        Keystore::open(&directory.path().join("none"), &passphrase()),
        Err(KeystoreError::File(FileError::Missing(_)))
    ));
}

/// RFC 2104 §2: a key longer than a block is its hash. So what is kept of a long passphrase derives the same.
#[test]
fn a_passphrase_longer_than_a_block_opens_what_it_sealed() {
    let directory = tempfile::tempdir().unwrap();
    let long = || Passphrase::from_bytes(vec![b'x'; 65]).unwrap();
    let derivation = Derivation {
        iterations: ITERATIONS,
        salt: [1; 16],
    };
    let straight = derivation.key(&[b'x'; 65]).unwrap();
    let keystore = Keystore::create(directory.path(), &long()).ok().unwrap();
    let kept = keystore.passphrase.with(|passphrase| derivation.key(passphrase)).unwrap().unwrap();
    assert_eq!(straight.expose_secret(), kept.expose_secret());
}

#[test]
fn costs_out_of_bounds_are_refused_before_anything_is_derived() {
    let (_directory, keystore) = keystore();
    keystore.secret_set(&name("a.b"), b"secret", 1).unwrap();
    let sound = std::fs::read(keystore.path_of("a.b")).unwrap();
    for iterations in [0, 1, 599_999, 10_000_001, u32::MAX] {
        let mut absurd = sound.clone();
        absurd[12..16].copy_from_slice(&iterations.to_be_bytes());
        std::fs::write(keystore.path_of("a.b"), absurd).unwrap();
        assert_eq!(refused(keystore.secret_get(&name("a.b"))), EncError::Iterations(iterations));
    }
}

#[test]
fn every_flipped_byte_every_cut_and_another_name_are_refused() {
    let (_directory, keystore) = keystore();
    keystore.secret_set(&name("a.b"), b"secret", 1).unwrap();
    let path = keystore.path_of("a.b");
    let sound = std::fs::read(&path).unwrap();
    for at in 0..sound.len() {
        // A byte of the iterations or the salt each costs a derivation: one of each will do.
        if !(13..=30).contains(&at) {
            let mut damaged = sound.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            refused(keystore.secret_get(&name("a.b")));
        }
        std::fs::write(&path, &sound[..at]).unwrap();
        refused(keystore.secret_get(&name("a.b")));
    }
    std::fs::write(&path, &sound).unwrap();
    std::fs::copy(&path, keystore.path_of("a.c")).unwrap();
    assert_eq!(refused(keystore.secret_get(&name("a.c"))), EncError::Name);
    assert_eq!(keystore.secret_get(&name("a.b")).ok().unwrap().expose_secret(), b"secret");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(
        keystore.secret_get(&name("a.b")),
        Err(KeystoreError::File(FileError::Mode { mode: 0o640, .. }))
    ));
}

#[test]
fn a_secret_is_no_key_and_what_is_removed_is_gone() {
    let (_directory, keystore) = keystore();
    keystore.secret_set(&name("a.b"), b"secret", 1).unwrap();
    let id: KeyId = "a.b.v1".parse().unwrap();
    assert!(matches!(keystore.entry(&id), Err(KeystoreError::Unknown(unknown)) if unknown == "a.b.v1"));
    keystore.secret_remove(&name("a.b")).unwrap();
    assert!(matches!(keystore.secret_remove(&name("a.b")), Err(KeystoreError::Unknown(_))));
    assert!(matches!(keystore.secret_get(&name("a.b")), Err(KeystoreError::Unknown(_))));
    for secret in [Vec::new(), vec![1; SecretBytes::MAX + 1]] {
        let refused = keystore.secret_set(&name("a.b"), &secret, 1);
        assert!(matches!(refused, Err(KeystoreError::SecretLength(length)) if length == secret.len()));
    }
}
