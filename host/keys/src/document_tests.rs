//! `docs/sealed-file.md` and the code say the same: its vector is built here, and read back as a vault.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use crate::enc;
use crate::index;
use crate::keyring::{self, Cost, Fresh, KeyringError};
use crate::keystore::Keystore;
use crate::sealed::{self, FileKey, Label};
use crate::sealed_secret;
use crate::secret::{Passphrase, RootKey};
use crate::vault::Vault;
use secrecy::ExposeSecret;
use sigwarden_core::Scheme;
use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt;

const DOCUMENT: &str = include_str!("../../../docs/sealed-file.md");

/// The indented block after the line that begins with `heading`.
fn block(heading: &str) -> Vec<u8> {
    let vector = DOCUMENT.split_once("## Test vector").unwrap().1;
    let after = vector.split_once(&format!("\n{heading}:\n")).unwrap().1;
    let digits: String = after
        .lines()
        .skip_while(|line| line.is_empty())
        .map_while(|line| line.strip_prefix("    "))
        .collect();
    hex::decode(digits).unwrap()
}

fn counting<const N: usize>(from: u8) -> [u8; N] {
    let mut bytes = [0; N];
    for (byte, value) in bytes.iter_mut().zip(from..) {
        *byte = value;
    }
    bytes
}

fn passphrase() -> Passphrase {
    Passphrase::from_bytes(b"correct horse battery staple".to_vec()).unwrap()
}

fn label() -> Label {
    Label {
        file_id: counting(0xa0),
        id: "evm.hot.v1".parse().unwrap(),
        scheme: Scheme::Secp256k1Ecdsa,
        public_key: hex::decode("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798").unwrap(),
        created_ms: 1_700_000_000_000,
    }
}

fn one() -> [u8; 32] {
    let mut one = [0; 32];
    one[31] = 1;
    one
}

#[test]
fn the_keyring_is_as_documented() {
    let root = RootKey::fill(|root| {
        *root = counting(0x40);
        Ok::<_, KeyringError>(())
    });
    let fresh = Fresh {
        salt: counting(0),
        nonce: counting(0x10),
    };
    let file = keyring::wrap(&passphrase(), &root.unwrap(), Cost::DEFAULT, &fresh).unwrap();
    assert_eq!(hex::encode(file), hex::encode(block("`keyring.kek`")));
}

#[test]
fn derived_keys_are_as_documented() {
    let root = counting::<32>(0x40);
    let index_key = sealed::subkey(&root, &[b"sigwarden key index v1"]).unwrap();
    assert_eq!(index_key.expose_secret().to_vec(), block("Index key"));
    let file_key = sealed::subkey(&root, &[b"sigwarden sealed file v1", &label().file_id]).unwrap();
    assert_eq!(file_key.expose_secret().to_vec(), block("File key"));
}

#[test]
fn a_sealed_key_is_as_documented() {
    let key = FileKey::derive(&counting::<32>(0x40), &label().file_id).unwrap();
    let file = sealed::seal(&key, &label(), &counting(0xc0), &mut one()).unwrap();
    assert_eq!(hex::encode(file), hex::encode(block("`evm.hot.v1.key`")));
}

#[test]
fn the_index_is_as_documented() {
    let key = sealed::subkey(&counting::<32>(0x40), &[b"sigwarden key index v1"]).unwrap();
    let entries = BTreeMap::from([(label().id, label())]);
    let file = index::encode(key.expose_secret(), &entries).unwrap();
    assert_eq!(hex::encode(file), hex::encode(block("`index`")));
}

#[test]
fn a_secret_is_as_documented() {
    let file = sealed_secret::tests::vector(&counting::<32>(0x40), counting(0xb0), counting(0xc0));
    assert_eq!(hex::encode(file), hex::encode(block("`igra.hd.wallet_secret.secret`")));
}

#[test]
fn an_entry_of_a_keystore_is_as_documented_and_opens() {
    let label = enc::Label {
        derivation: enc::Derivation {
            iterations: enc::ITERATIONS,
            salt: counting(0),
        },
        nonce: counting(0x10),
        created_ms: 1_700_000_000_000,
        key: None,
        id: "igra.hd.wallet_secret".to_owned(),
    };
    let key = label.derivation.key(passphrase().expose_secret()).unwrap();
    let file = enc::seal(key.expose_secret(), &label, b"devnet-secret").unwrap();
    assert_eq!(hex::encode(&file), hex::encode(block("`igra.hd.wallet_secret.enc`")));

    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "igra.hd.wallet_secret.enc");
    let keystore = Keystore::open(directory.path(), &passphrase()).ok().unwrap();
    let secret = keystore.secret_get(&"igra.hd.wallet_secret".parse().unwrap()).ok().unwrap();
    assert_eq!(secret.expose_secret(), b"devnet-secret");
}

/// Writes a block of the document into a file of its name.
fn write(directory: &std::path::Path, name: &str) {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(directory.join(name)).unwrap();
    std::io::Write::write_all(&mut file, &block(&format!("`{name}`"))).unwrap();
}

/// The documented bytes, put into a directory, are a vault whose key signs.
#[test]
fn the_documented_vault_opens() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["keyring.kek", "index", "evm.hot.v1.key", "igra.hd.wallet_secret.secret"] {
        write(directory.path(), name);
    }
    let vault = Vault::open(directory.path(), &passphrase()).ok().unwrap();
    assert_eq!(
        vault.subkey("code cache").unwrap().to_vec(),
        block("Subkey for the purpose `code cache`")
    );
    let secret = vault.secret_get(&"igra.hd.wallet_secret".parse().unwrap()).ok().unwrap();
    assert_eq!(secret.expose_secret(), b"devnet-secret");
    let held = vault.hold(&label().id).ok().unwrap();
    assert_eq!(held.public().encode(), label().public_key);
    let input = sigwarden_core::fact::SigningInput::Digest([1; 32]);
    let signature = held.sign([&input].into_iter()).unwrap().pop().unwrap();
    assert_eq!(
        sigwarden_core::verify::verify(Scheme::Secp256k1Ecdsa, &label().public_key, &input, &signature),
        Ok(())
    );
}
