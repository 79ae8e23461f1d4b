//! Looks for planted secrets in the whole memory of the test's own process.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use crate::keyring::tests::CHEAP;
use crate::schemes::PublicHalf;
use crate::sealed_file::SealedFileBackend;
use crate::secret::{Passphrase, SecretKey, secret_key_bytes};
use crate::vault::{Vault, tests as vaults};
use sigwarden_core::Scheme;
use sigwarden_core::fact::SigningInput;
use sigwarden_core::key::KeyId;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A secret as the test may hold it: every byte with `MASK` on it, so that the pattern itself is never found.
struct Planted(Vec<u8>);
const MASK: u8 = 0x5a;

impl Planted {
    fn new() -> Self {
        Self::long(32)
    }

    fn long(length: usize) -> Self {
        let mut masked = vec![0; length];
        getrandom::fill(&mut masked).unwrap();
        // Below the order of secp256k1 once unmasked.
        masked[0] = MASK;
        Self(masked)
    }

    fn of(bytes: &[u8]) -> Self {
        Self(bytes.iter().map(|byte| byte ^ MASK).collect())
    }

    fn unmasked(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.iter().map(|byte| byte ^ MASK).collect())
    }

    /// Where 16 successive bytes of it lie, as they are, in reverse (a scalar's little-endian limbs), or with `digest` on them.
    fn found(&self, digest: &[u8; 32]) -> Vec<String> {
        let mut reversed = self.0.clone();
        reversed.reverse();
        let mut mixed = self.0.clone();
        mixed.iter_mut().zip(digest).for_each(|(to, from)| *to ^= from);
        let needles: Vec<[u8; 16]> = [self.0.clone(), reversed, mixed]
            .iter()
            .flat_map(|pattern| pattern.chunks_exact(16))
            .map(|part| part.try_into().unwrap())
            .collect();
        let memory = File::open("/proc/self/mem").unwrap();
        let mut found = Vec::new();
        for line in std::fs::read_to_string("/proc/self/maps").unwrap().lines() {
            let mut words = line.split_whitespace();
            let (range, mode) = (words.next().unwrap(), words.next().unwrap());
            let (from, to) = range.split_once('-').unwrap();
            let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
            if !mode.starts_with("rw") || line.ends_with("[vvar]") {
                continue;
            }
            // Compared byte by byte, so that the search never holds the secret unmasked.
            let hit = |window: &[u8], needle: &[u8]| window.iter().zip(needle).all(|(byte, masked)| byte ^ MASK == *masked);
            let mut page = vec![0_u8; 4096 + 15];
            for at in (from..to).step_by(4096) {
                let length = usize::try_from((to - at).min(4096 + 15)).unwrap();
                if memory.read_exact_at(&mut page[..length], at).is_err() {
                    continue;
                }
                for needle in &needles {
                    if page[..length].windows(16).any(|window| hit(window, needle)) {
                        found.push(line.to_owned());
                    }
                }
            }
        }
        found
    }
}

#[test]
fn the_search_finds_what_is_there() {
    let planted = Planted::new();
    assert_eq!(planted.found(&[0; 32]), Vec::<String>::new());
    let lying_about = Box::new(planted.unmasked());
    assert!(!planted.found(&[0; 32]).is_empty());
    drop(lying_about);
}

#[test]
fn after_a_signature_the_key_is_nowhere_in_memory() {
    let (_directory, vault) = vaults::vault();
    let vault = Arc::new(vault);
    for scheme in Scheme::ALL {
        let id: KeyId = format!("planted.{scheme}.v1").parse().unwrap();
        let planted = Planted::long(secret_key_bytes(*scheme));
        import(&vault, &id, *scheme, &planted);
        let digest = [0x11; 32];
        let input = match scheme {
            Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr => SigningInput::Digest(digest),
            Scheme::Ed25519 | Scheme::MlDsa44 => SigningInput::Message(digest.to_vec()),
            Scheme::MlKem768 => SigningInput::Message(vec![0x11; 1088]),
        };
        assert_eq!(planted.found(&digest), Vec::<String>::new(), "{scheme}: imported");
        // First use: the file is opened. Second use: the key was waiting in memory.
        let backend = SealedFileBackend::new(Arc::clone(&vault));
        for _ in 0..2 {
            if *scheme == Scheme::MlKem768 {
                drop(backend.decapsulate_inputs(&id, *scheme, [&input].into_iter()).unwrap());
            } else {
                backend.sign_inputs(&id, *scheme, [&input].into_iter()).unwrap();
            }
            assert_eq!(planted.found(&digest), Vec::<String>::new(), "{scheme}: signed");
        }
    }
}

/// In a frame of its own, which is gone when the search begins.
#[inline(never)]
fn import(vault: &Vault, id: &KeyId, scheme: Scheme, planted: &Planted) {
    let key = SecretKey::from_bytes(scheme, planted.unmasked().as_slice()).unwrap();
    assert!(PublicHalf::of(scheme, key.expose_secret()).is_ok());
    vault.import(id, scheme, key, 1).unwrap();
}

#[test]
fn an_open_vault_has_neither_passphrase_nor_root_key_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    let planted = Planted::new();
    for vault in [create(directory.path(), &planted), open(directory.path(), &planted)] {
        assert_eq!(planted.found(&[0; 32]), Vec::<String>::new(), "passphrase");
        let root = vault.with_root_key(Planted::of);
        crate::arena::wipe_stack();
        assert_eq!(root.found(&[0; 32]), Vec::<String>::new(), "root key");
    }
}

#[inline(never)]
fn passphrase(planted: &Planted) -> Passphrase {
    Passphrase::from_bytes(planted.unmasked().to_vec()).unwrap()
}

#[inline(never)]
fn create(path: &Path, planted: &Planted) -> Vault {
    Vault::create_with(path, &passphrase(planted), CHEAP).unwrap()
}

#[inline(never)]
fn open(path: &Path, planted: &Planted) -> Vault {
    Vault::open(path, &passphrase(planted)).unwrap()
}
