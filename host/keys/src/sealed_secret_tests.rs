#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use super::*;
use crate::vault::tests::{passphrase, vault};

/// The file of the documented secret.
pub(crate) fn vector(root: &[u8; 32], file_id: [u8; 16], nonce: [u8; 24]) -> Vec<u8> {
    let key = crate::sealed::subkey(root, &[b"sigwarden secret file v1", &file_id]).unwrap();
    let label = Label {
        file_id,
        nonce,
        created_ms: 1_700_000_000_000,
        name: name("igra.hd.wallet_secret"),
    };
    seal(key.expose_secret(), &label, b"devnet-secret").unwrap()
}

fn name(text: &str) -> KeyName {
    text.parse().unwrap()
}

#[test]
fn what_was_set_is_given_after_a_restart_and_replaced_by_what_is_set_next() {
    let (directory, vault) = vault();
    let name = name("igra.hd.wallet_secret");
    vault.secret_set(&name, b"first", 1).unwrap();
    vault.secret_set(&name, b"second", 2).unwrap();
    vault.secret_set(&self::name("a.b"), &vec![7; SecretBytes::MAX], 3).unwrap();
    drop(vault);
    let again = Vault::open(&directory.path().join("keys"), &passphrase()).ok().unwrap();
    assert_eq!(again.secret_get(&name).ok().unwrap().expose_secret(), b"second");
    assert_eq!(
        again.secret_get(&self::name("a.b")).ok().unwrap().expose_secret(),
        vec![7; SecretBytes::MAX]
    );
    let listed = again.secret_list().unwrap();
    let listed: Vec<_> = listed.iter().map(|entry| (entry.name.as_str(), entry.created_ms)).collect();
    assert_eq!(listed, [("a.b", 3), ("igra.hd.wallet_secret", 2)]);
    assert_eq!(again.strays().unwrap(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn what_was_removed_is_gone() {
    let (_directory, vault) = vault();
    let name = name("a.b");
    vault.secret_set(&name, b"secret", 1).unwrap();
    vault.secret_remove(&name).unwrap();
    for refused in [vault.secret_remove(&name), vault.secret_get(&name).map(|_| ())] {
        assert!(matches!(refused, Err(VaultError::UnknownSecret(unknown)) if unknown == name));
    }
    assert_eq!(vault.secret_list().unwrap(), []);
}

#[test]
fn no_bytes_and_too_many_are_refused() {
    let (_directory, vault) = vault();
    for secret in [Vec::new(), vec![1; SecretBytes::MAX + 1]] {
        let refused = vault.secret_set(&name("a.b"), &secret, 1);
        assert!(matches!(refused, Err(VaultError::SecretLength(length)) if length == secret.len()));
    }
    assert_eq!(vault.secret_list().unwrap(), []);
}

#[test]
fn every_flipped_byte_every_cut_and_another_name_are_refused() {
    let (_directory, vault) = vault();
    vault.secret_set(&name("a.b"), b"secret", 1).unwrap();
    let path = vault.directory.path_of("a.b.secret");
    let sound = std::fs::read(&path).unwrap();
    for at in 0..sound.len() {
        let mut damaged = sound.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        assert!(
            matches!(vault.secret_get(&name("a.b")), Err(VaultError::Secret { .. })),
            "byte {at}"
        );
        std::fs::write(&path, &sound[..at]).unwrap();
        assert!(
            matches!(vault.secret_get(&name("a.b")), Err(VaultError::Secret { .. })),
            "cut at {at}"
        );
    }
    std::fs::write(&path, &sound).unwrap();
    std::fs::copy(&path, vault.directory.path_of("a.c.secret")).unwrap();
    let refused = vault.secret_get(&name("a.c"));
    assert!(matches!(
        refused,
        Err(VaultError::Secret {
            source: SealedSecretError::Name,
            ..
        })
    ));
    assert_eq!(vault.secret_get(&name("a.b")).ok().unwrap().expose_secret(), b"secret");
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (_directory, vault) = vault();
    vault.secret_set(&name("a.b"), b"secret", 1).unwrap();
    let path = vault.directory.path_of("a.b.secret");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = vault.secret_get(&name("a.b"));
    assert!(matches!(refused, Err(VaultError::File(FileError::Mode { mode: 0o644, .. }))));
}
