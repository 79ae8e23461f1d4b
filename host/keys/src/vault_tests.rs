#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use super::*;
use crate::keyring::tests::CHEAP;
use std::os::unix::fs::PermissionsExt;

pub(crate) fn passphrase() -> Passphrase {
    Passphrase::from_bytes(b"correct horse battery staple".to_vec()).unwrap()
}

/// A vault in a directory that is removed with the value, with the cheapest derivation allowed.
pub(crate) fn vault() -> (tempfile::TempDir, Vault) {
    let directory = tempfile::tempdir().unwrap();
    let vault = Vault::create_with(&directory.path().join("keys"), &passphrase(), CHEAP).unwrap();
    (directory, vault)
}

fn id(text: &str) -> KeyId {
    text.parse().unwrap()
}

fn reopen(vault: &Vault) -> Result<Vault, VaultError> {
    Vault::open(&vault.directory.path_of(""), &passphrase())
}

fn refusal(result: Result<Vault, VaultError>) -> VaultError {
    match result {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

#[test]
fn keys_survive_a_restart_and_sign_as_before() {
    let (_directory, vault) = vault();
    let mut wanted = Vec::new();
    for (name, scheme) in [
        ("a.ecdsa.v1", Scheme::Secp256k1Ecdsa),
        ("b.schnorr.v1", Scheme::Secp256k1Schnorr),
        ("c.ed25519.v1", Scheme::Ed25519),
    ] {
        let public_key = vault.generate(&id(name), scheme, 1_700_000_000_000).unwrap();
        assert_eq!(public_key.len(), scheme.public_key_len());
        wanted.push(IndexEntry {
            id: id(name),
            scheme,
            public_key,
            created_ms: 1_700_000_000_000,
        });
    }
    assert_eq!(vault.index(), wanted);
    let again = reopen(&vault).unwrap();
    assert_eq!(again.index(), wanted);
    for entry in wanted {
        assert_eq!(again.hold(&entry.id).ok().unwrap().public().encode(), entry.public_key);
        assert_eq!(again.entry(&entry.id), Some(entry));
    }
}

#[test]
fn an_imported_key_has_its_public_key() {
    let (_directory, vault) = vault();
    let key = SecretKey::from_hex(Scheme::Secp256k1Ecdsa, &format!("{:064x}", 1)).unwrap();
    let public_key = vault.import(&id("evm.one.v1"), Scheme::Secp256k1Ecdsa, key, 7).unwrap();
    // The base point (SEC 2 §2.4.1).
    assert_eq!(
        hex::encode(public_key),
        "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    );
}

#[test]
fn a_wrong_passphrase_is_refused_and_both_reasons_are_named() {
    let (_directory, vault) = vault();
    let wrong = Passphrase::from_bytes(b"wrong".to_vec()).unwrap();
    let error = refusal(Vault::open(&vault.directory.path_of(""), &wrong));
    assert_eq!(
        error.to_string(),
        format!(
            "{}: the passphrase is wrong, or the file is damaged; the two cannot be told apart",
            vault.directory.path_of("keyring.kek").display()
        )
    );
}

#[test]
fn a_vault_is_not_made_over_another_nor_opened_where_none_is() {
    let (directory, vault) = vault();
    let path = vault.directory.path_of("");
    for name in ["keyring.kek", "index"] {
        assert!(matches!(
            refusal(Vault::create_with(&path, &passphrase(), CHEAP)),
            VaultError::NotEmpty(_)
        ));
        std::fs::remove_file(path.join(name)).unwrap();
    }
    std::fs::write(path.join("evm.hot.v1.key"), b"").unwrap();
    assert!(matches!(
        refusal(Vault::create_with(&path, &passphrase(), CHEAP)),
        VaultError::NotEmpty(_)
    ));
    assert!(matches!(refusal(reopen(&vault)), VaultError::NoVault(_)));
    assert!(matches!(
        refusal(Vault::open(&directory.path().join("nowhere"), &passphrase())),
        VaultError::NoVault(_)
    ));
}

#[test]
fn a_key_that_is_there_is_never_overwritten() {
    let (_directory, vault) = vault();
    let first = vault.generate(&id("evm.hot.v1"), Scheme::Secp256k1Ecdsa, 1).unwrap();
    assert!(matches!(
        vault.generate(&id("evm.hot.v1"), Scheme::Ed25519, 2),
        Err(VaultError::KeyExists(_))
    ));
    let twice = [(id("evm.x.v1"), Scheme::Ed25519), (id("evm.x.v1"), Scheme::Ed25519)];
    assert!(matches!(vault.generate_many(&twice, 3), Err(VaultError::KeyExists(_))));
    let index = reopen(&vault).unwrap().index();
    assert_eq!(index.iter().map(|entry| &entry.public_key).collect::<Vec<_>>(), [&first]);
}

/// A crash after the key's file and before the index: the file is reported, and in the way of its name only.
#[test]
fn a_crash_between_key_and_index_leaves_a_stray_that_is_named() {
    let (_directory, vault) = vault();
    vault.generate(&id("evm.hot.v1"), Scheme::Ed25519, 1).unwrap();
    let before = std::fs::read(vault.directory.path_of("index")).unwrap();
    vault.generate(&id("evm.hot.v2"), Scheme::Ed25519, 2).unwrap();
    std::fs::write(vault.directory.path_of("index"), before).unwrap();
    std::fs::write(vault.directory.path_of(".index.00.tmp"), b"cut").unwrap();

    let again = reopen(&vault).unwrap();
    let stray = vault.directory.path_of("evm.hot.v2.key");
    assert_eq!(again.strays().unwrap(), [vault.directory.path_of(".index.00.tmp"), stray.clone()]);
    assert_eq!(again.index().len(), 1);
    assert!(matches!(again.hold(&id("evm.hot.v2")), Err(VaultError::UnknownKey(_))));
    assert!(matches!(
        again.generate(&id("evm.hot.v2"), Scheme::Ed25519, 3),
        Err(VaultError::Stray(path)) if path == stray
    ));
    again.generate(&id("evm.hot.v3"), Scheme::Ed25519, 3).unwrap();
}

#[test]
fn a_crash_in_create_leaves_a_vault_without_keys() {
    let (_directory, vault) = vault();
    std::fs::remove_file(vault.directory.path_of("index")).unwrap();
    assert_eq!(reopen(&vault).unwrap().index(), []);
    // But an index that is gone from beside its keys is a loss, not an empty vault.
    let again = reopen(&vault).unwrap();
    again.generate(&id("evm.hot.v1"), Scheme::Ed25519, 1).unwrap();
    std::fs::remove_file(vault.directory.path_of("index")).unwrap();
    assert!(matches!(refusal(reopen(&vault)), VaultError::File(FileError::Missing(_))));
}

#[test]
fn every_flipped_byte_of_the_index_or_a_key_is_refused() {
    let (_directory, vault) = vault();
    vault.generate(&id("evm.hot.v1"), Scheme::Ed25519, 1).unwrap();
    let sound = std::fs::read(vault.directory.path_of("index")).unwrap();
    let index_key = vault.index_key().unwrap();
    for at in 0..sound.len() {
        let mut damaged = sound.clone();
        damaged[at] ^= 1;
        assert!(index::decode(index_key.expose_secret(), &damaged).is_err(), "byte {at}");
    }
    let path = vault.directory.path_of("evm.hot.v1.key");
    let sound = std::fs::read(&path).unwrap();
    for at in 0..sound.len() {
        let mut damaged = sound.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        assert!(matches!(vault.hold(&id("evm.hot.v1")), Err(VaultError::Sealed { .. })), "byte {at}");
        std::fs::write(&path, &sound[..at]).unwrap();
        assert!(
            matches!(vault.hold(&id("evm.hot.v1")), Err(VaultError::Sealed { .. })),
            "cut at {at}"
        );
    }
    std::fs::write(&path, &sound).unwrap();
    assert!(vault.hold(&id("evm.hot.v1")).is_ok());
}

#[test]
fn a_key_file_under_another_name_is_refused() {
    let (_directory, vault) = vault();
    vault.generate(&id("evm.hot.v1"), Scheme::Ed25519, 1).unwrap();
    vault.generate(&id("evm.hot.v2"), Scheme::Ed25519, 1).unwrap();
    std::fs::copy(vault.directory.path_of("evm.hot.v1.key"), vault.directory.path_of("evm.hot.v2.key")).unwrap();
    assert!(matches!(
        vault.hold(&id("evm.hot.v2")),
        Err(VaultError::Sealed {
            source: SealedError::Label,
            ..
        })
    ));
}

#[test]
fn files_of_another_vault_are_refused() {
    let (_directory, vault) = vault();
    let (_other_directory, other) = self::vault();
    vault.generate(&id("evm.hot.v1"), Scheme::Ed25519, 1).unwrap();
    std::fs::copy(vault.directory.path_of("index"), other.directory.path_of("index")).unwrap();
    assert!(matches!(
        refusal(reopen(&other)),
        VaultError::Index {
            source: IndexError::Mac,
            ..
        }
    ));
}

#[test]
fn files_that_others_can_reach_are_refused_with_the_command_that_mends_them() {
    let (_directory, vault) = vault();
    vault.generate(&id("evm.hot.v1"), Scheme::Ed25519, 1).unwrap();
    for name in ["keyring.kek", "index", "evm.hot.v1.key"] {
        let path = vault.directory.path_of(name);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o604)).unwrap();
        let error = match reopen(&vault) {
            Ok(vault) => vault.hold(&id("evm.hot.v1")).err().unwrap(),
            Err(error) => error,
        };
        let path = path.display();
        assert_eq!(
            error.to_string(),
            format!("{path} has mode 0604, and must be for its owner alone: `chmod 600 {path}`")
        );
        std::fs::set_permissions(path.to_string(), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert!(reopen(&vault).is_ok());
    let directory = vault.directory.path_of("");
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o770)).unwrap();
    assert!(matches!(
        refusal(reopen(&vault)),
        VaultError::File(FileError::Mode {
            mode: 0o770,
            wanted: 0o700,
            ..
        })
    ));
}

#[test]
fn subkeys_differ_by_purpose_and_vault_and_stay() {
    let (_directory, vault) = vault();
    let (_other_directory, other) = self::vault();
    let cache = vault.subkey("code cache").unwrap();
    assert_eq!(reopen(&vault).unwrap().subkey("code cache").unwrap(), cache);
    assert_ne!(vault.subkey("code cache 2").unwrap(), cache);
    assert_ne!(other.subkey("code cache").unwrap(), cache);
}

#[test]
fn a_vault_opens_without_opening_a_sealed_key() {
    let (_directory, vault) = vault();
    let ids: Vec<_> = (1..=300)
        .map(|version| (id(&format!("evm.bulk.v{version}")), Scheme::Ed25519))
        .collect();
    let public_keys = vault.generate_many(&ids, 1).unwrap();
    // Every sealed key is damaged: a start does not see it, its first use does.
    for (id, _) in &ids {
        std::fs::write(vault.directory.path_of(&sealed::file_name(id)), b"damaged").unwrap();
    }
    let again = reopen(&vault).unwrap();
    for ((id, _), public_key) in ids.iter().zip(&public_keys) {
        assert_eq!(again.entry(id).map(|entry| entry.public_key).as_ref(), Some(public_key));
    }
    assert!(matches!(again.hold(&ids[0].0), Err(VaultError::Sealed { .. })));
}

/// What `memory_tests.rs` looks for, and where.
impl Vault {
    pub(crate) fn with_root_key<T>(&self, work: impl FnOnce(&[u8]) -> T) -> T {
        self.shield.open(&self.root, work).unwrap()
    }
}
