//! Looks for planted secrets in the whole memory of the test's own process.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use crate::keyring::tests::CHEAP;
use crate::keystore::Keystore;
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
            let mut begins = [false; 256];
            needles.iter().for_each(|needle| begins[usize::from(needle[0] ^ MASK)] = true);
            let mut page = vec![0_u8; 4096 + 15];
            for at in (from..to).step_by(4096) {
                let length = usize::try_from((to - at).min(4096 + 15)).unwrap();
                if memory.read_exact_at(&mut page[..length], at).is_err() {
                    continue;
                }
                let mut windows = page[..length].windows(16).filter(|window| begins[usize::from(window[0])]);
                if windows.any(|window| needles.iter().any(|needle| hit(window, needle))) {
                    found.push(line.to_owned());
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

/// Whether a line of `/proc/self/maps` is the mapping that has this address in it.
fn holds(line: &str, address: usize) -> bool {
    let (from, to) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
    let range = usize::from_str_radix(from, 16).unwrap()..usize::from_str_radix(to, 16).unwrap();
    range.contains(&address)
}

fn input(scheme: Scheme) -> SigningInput {
    match scheme {
        Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr => SigningInput::Digest([0x11; 32]),
        Scheme::Ed25519 | Scheme::MlDsa44 => SigningInput::Message(vec![0x11; 32]),
        Scheme::MlKem768 => SigningInput::Message(vec![0x11; 1088]),
    }
}

fn use_key(backend: &SealedFileBackend, id: &KeyId, scheme: Scheme) {
    let input = input(scheme);
    if scheme == Scheme::MlKem768 {
        drop(backend.decapsulate_inputs(id, scheme, [&input].into_iter()).unwrap());
    } else {
        backend.sign_inputs(id, scheme, [&input].into_iter()).unwrap();
    }
}

/// What FIPS 204's expanded key has that is secret: K, and the beginning of s1. By the second implementation, in a frame that is gone
/// and overwritten.
fn expanded(planted: &Planted) -> [Planted; 2] {
    #[inline(never)]
    fn expand(planted: &Planted) -> [Planted; 2] {
        use fips204::traits::{KeyGen, SerDes};
        let seed: [u8; 32] = planted.unmasked().as_slice().try_into().unwrap();
        let (_, secret) = fips204::ml_dsa_44::KG::keygen_from_seed(&seed);
        let bytes = Zeroizing::new(secret.into_bytes());
        [Planted::of(&bytes[32..64]), Planted::of(&bytes[128..224])]
    }
    #[inline(never)]
    fn overwrite() {
        std::hint::black_box([0_u8; 1024 * 1024]);
    }
    let expanded = expand(planted);
    overwrite();
    expanded
}

/// While a key lies open it is in the arena and nowhere else.
#[test]
fn an_open_key_lies_in_the_arena_alone() {
    let (_directory, vault) = vaults::vault();
    for scheme in Scheme::ALL {
        let id: KeyId = format!("planted.{scheme}.v1").parse().unwrap();
        let planted = Planted::long(secret_key_bytes(*scheme));
        import(&vault, &id, *scheme, &planted);
        let held = vault.hold(&id).ok().unwrap();
        let (at, found) = held.while_open(|secret| (secret.as_ptr().addr(), planted.found(&[0x11; 32])));
        assert!(!found.is_empty() && found.iter().all(|line| holds(line, at)), "{scheme}: {found:?}");
        assert_eq!(planted.found(&[0x11; 32]), Vec::<String>::new(), "{scheme}: closed again");
    }
}

/// While another thread signs without pause, the key is found in the arena and on that thread's stack at most. ML-DSA's library takes
/// heap for the time of a signature, and wipes it.
#[test]
fn during_signatures_the_key_is_in_the_arena_and_on_the_signing_stack_at_most() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let (_directory, vault) = vaults::vault();
    let vault = Arc::new(vault);
    for scheme in Scheme::ALL {
        let id: KeyId = format!("planted.{scheme}.v1").parse().unwrap();
        let planted = Planted::long(secret_key_bytes(*scheme));
        import(&vault, &id, *scheme, &planted);
        let arena = vault.hold(&id).ok().unwrap().while_open(|secret| secret.as_ptr().addr());
        let backend = SealedFileBackend::new(Arc::clone(&vault));
        let stop = AtomicBool::new(false);
        let (told, hear) = std::sync::mpsc::channel();
        let found = std::thread::scope(|scope| {
            scope.spawn(|| {
                let local = 0_u8;
                use_key(&backend, &id, *scheme);
                told.send(std::ptr::from_ref(&local).addr()).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    use_key(&backend, &id, *scheme);
                }
            });
            let stack = hear.recv().unwrap();
            let mut found = planted.found(&[0x11; 32]);
            stop.store(true, Ordering::Relaxed);
            found.retain(|line| !holds(line, arena) && !holds(line, stack));
            found
        });
        if *scheme != Scheme::MlDsa44 {
            assert_eq!(found, Vec::<String>::new(), "{scheme}: while signing");
        }
        assert_eq!(planted.found(&[0x11; 32]), Vec::<String>::new(), "{scheme}: after");
    }
}

#[test]
fn after_a_signature_the_expanded_ml_dsa_key_is_nowhere_in_memory() {
    let (_directory, vault) = vaults::vault();
    let (id, planted): (KeyId, _) = ("planted.expanded.v1".parse().unwrap(), Planted::new());
    import(&vault, &id, Scheme::MlDsa44, &planted);
    let backend = SealedFileBackend::new(Arc::new(vault));
    let parts = expanded(&planted);
    use_key(&backend, &id, Scheme::MlDsa44);
    for part in parts {
        assert_eq!(part.found(&[0; 32]), Vec::<String>::new());
    }
}

#[test]
fn a_shared_secret_that_was_dropped_is_nowhere_in_memory() {
    use secrecy::ExposeSecret;
    let (_directory, vault) = vaults::vault();
    let id: KeyId = "planted.shared.v1".parse().unwrap();
    vault.generate(&id, Scheme::MlKem768, 1).unwrap();
    let backend = SealedFileBackend::new(Arc::new(vault));
    let input = input(Scheme::MlKem768);
    let secret = backend.decapsulate_inputs(&id, Scheme::MlKem768, [&input].into_iter()).unwrap();
    let planted = Planted::of(secret.expose_secret());
    // In the box, and not elsewhere.
    let at = secret.expose_secret().as_ptr().addr();
    let found = planted.found(&[0; 32]);
    assert!(!found.is_empty() && found.iter().all(|line| holds(line, at)), "{found:?}");
    drop(secret);
    assert_eq!(planted.found(&[0; 32]), Vec::<String>::new());
}

#[test]
fn named_secrets_are_nowhere_in_memory_once_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let (passphrase_planted, planted) = (Planted::new(), Planted::long(96));
    let name = "planted.secret".parse().unwrap();
    let vault = create(&directory.path().join("vault"), &passphrase_planted);
    let keystore = Keystore::create(&directory.path().join("store"), &passphrase(&passphrase_planted))
        .ok()
        .unwrap();
    for round in 0..2 {
        vault.secret_set(&name, &planted.unmasked(), 1).unwrap();
        keystore.secret_set(&name, &planted.unmasked(), 1).unwrap();
        drop(vault.secret_get(&name).unwrap());
        drop(keystore.secret_get(&name).unwrap());
        crate::arena::wipe_stack();
        assert_eq!(planted.found(&[0; 32]), Vec::<String>::new(), "round {round}");
        assert_eq!(
            passphrase_planted.found(&[0; 32]),
            Vec::<String>::new(),
            "round {round}: passphrase"
        );
    }
}

#[test]
fn a_judged_passphrase_is_nowhere_in_memory() {
    use sigwarden_core::Network;
    // Text, as passphrases are.
    let mut digits = [0; 20];
    getrandom::fill(&mut digits).unwrap();
    let planted = Planted(hex::encode(digits).bytes().map(|byte| byte ^ MASK).collect());
    assert!(crate::check_passphrase(&passphrase(&planted), Network::Mainnet, crate::PassphraseFor::Vault).is_ok());
    crate::arena::wipe_stack();
    assert_eq!(planted.found(&[0; 32]), Vec::<String>::new());
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
        assert_eq!(planted.found(&digest), Vec::<String>::new(), "{scheme}: imported");
        // First use: the file is opened. Second use: the key was waiting in memory.
        let backend = SealedFileBackend::new(Arc::clone(&vault));
        for _ in 0..2 {
            use_key(&backend, &id, *scheme);
            assert_eq!(planted.found(&digest), Vec::<String>::new(), "{scheme}: signed");
        }
        backend.forget(&id);
        assert_eq!(planted.found(&digest), Vec::<String>::new(), "{scheme}: evicted");
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
