//! `keyring.kek`: the one key derivation of a deployment. `docs/sealed-file.md` gives every byte.

use crate::bytes::Fields;
use crate::secret::{Passphrase, RootKey};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

/// The file's name.
pub(crate) const NAME: &str = "keyring.kek";
/// Its size: it has one.
pub(crate) const SIZE: usize = HEADER + 32 + 16;

const MAGIC: [u8; 8] = *b"SWKEYRNG";
const VERSION: u16 = 1;
const ARGON2ID: u8 = 1;
const XCHACHA20_POLY1305: u8 = 1;
const HEADER: usize = 8 + 2 + 1 + 1 + 4 + 4 + 4 + 16 + 24;

/// What Argon2id costs (RFC 9106 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Memory, KiB.
    pub(crate) memory_kib: u32,
    /// Passes.
    pub(crate) passes: u32,
    /// Lanes.
    pub(crate) lanes: u32,
}

impl Cost {
    /// RFC 9106 §4, the second recommended option, for hosts where 2 GiB are too much.
    pub(crate) const DEFAULT: Self = Self {
        memory_kib: 64 * 1024,
        passes: 3,
        lanes: 4,
    };

    /// Bounds before anything is allocated: a file that says otherwise was not written by us, and could take the host's memory (up)
    /// or make guessing cheap (down).
    fn check(self) -> Result<Self, KeyringError> {
        let bounds = [
            ("memory in KiB", self.memory_kib, 8 * 1024, 1024 * 1024),
            ("number of passes", self.passes, 1, 16),
            ("number of lanes", self.lanes, 1, 16),
        ];
        for (what, found, least, most) in bounds {
            if !(least..=most).contains(&found) {
                return Err(KeyringError::Cost { what, found, least, most });
            }
        }
        Ok(self)
    }
}

/// Why `keyring.kek` does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// It has not the form of such a file.
    #[error("it is damaged, or no such file: {0}")]
    Form(&'static str),
    /// It asks for an absurd key derivation.
    #[error("its {what} for Argon2id is {found}, and {least} to {most} are allowed: it is damaged, or not Sigwarden's")]
    Cost {
        /// The parameter.
        what: &'static str,
        /// Its value.
        found: u32,
        /// The least allowed.
        least: u32,
        /// The most allowed.
        most: u32,
    },
    /// The tag does not fit.
    #[error("the passphrase is wrong, or the file is damaged; the two cannot be told apart")]
    WrongPassphraseOrDamaged,
    /// The host has not the memory that Argon2id needs.
    #[error("Argon2id needs {0} KiB of memory, and the system does not give them")]
    Memory(u32),
    /// Argon2id refused.
    #[error("Argon2id failed: {0}")]
    Derivation(argon2::Error),
    /// Encryption refused.
    #[error("encryption failed")]
    Encryption,
}

/// What is drawn at random for a new file.
pub(crate) struct Fresh {
    pub(crate) salt: [u8; 16],
    pub(crate) nonce: [u8; 24],
}

/// The file's bytes: `header || XChaCha20-Poly1305(KEK, nonce, aad = header, root)`, `KEK = Argon2id(passphrase, salt)`.
pub(crate) fn wrap(passphrase: &Passphrase, root: &RootKey, cost: Cost, fresh: &Fresh) -> Result<Vec<u8>, KeyringError> {
    let mut file = Vec::with_capacity(SIZE);
    file.extend(MAGIC);
    file.extend(VERSION.to_be_bytes());
    file.extend([ARGON2ID, XCHACHA20_POLY1305]);
    for number in [cost.memory_kib, cost.passes, cost.lanes] {
        file.extend(number.to_be_bytes());
    }
    file.extend(fresh.salt);
    file.extend(fresh.nonce);
    let kek = derive(passphrase, cost, &fresh.salt)?;
    let mut sealed = Zeroizing::new(*root.expose_secret());
    let tag = XChaCha20Poly1305::new((&*kek).into())
        .encrypt_inout_detached(&XNonce::from(fresh.nonce), &file, sealed.as_mut_slice().into())
        .map_err(|_| KeyringError::Encryption)?;
    file.extend(*sealed);
    file.extend(tag);
    Ok(file)
}

/// Reads the root key: one key derivation.
pub(crate) fn unwrap(passphrase: &Passphrase, file: &[u8]) -> Result<RootKey, KeyringError> {
    if file.len() != SIZE {
        return Err(KeyringError::Form("its length is not 112 bytes"));
    }
    let (header, _) = file.split_at_checked(HEADER).ok_or(KeyringError::Form("it is cut"))?;
    let parsed = parse(&mut Fields(file)).ok_or(KeyringError::Form("it is cut"))?;
    if parsed.magic != MAGIC {
        return Err(KeyringError::Form("it does not begin with `SWKEYRNG`"));
    }
    if parsed.version != VERSION {
        return Err(KeyringError::Form("its version is not 1, the only one this program knows"));
    }
    if parsed.algorithms != [ARGON2ID, XCHACHA20_POLY1305] {
        return Err(KeyringError::Form("its algorithms are not 1, 1 (Argon2id, XChaCha20-Poly1305)"));
    }
    let cost = parsed.cost.check()?;
    let kek = derive(passphrase, cost, &parsed.fresh.salt)?;
    RootKey::fill(|root| {
        *root = parsed.sealed;
        XChaCha20Poly1305::new((&*kek).into())
            .decrypt_inout_detached(
                &XNonce::from(parsed.fresh.nonce),
                header,
                root.as_mut_slice().into(),
                &Tag::from(parsed.tag),
            )
            .map_err(|_| KeyringError::WrongPassphraseOrDamaged)
    })
}

struct Parsed {
    magic: [u8; 8],
    version: u16,
    algorithms: [u8; 2],
    cost: Cost,
    fresh: Fresh,
    sealed: [u8; 32],
    tag: [u8; 16],
}

fn parse(fields: &mut Fields<'_>) -> Option<Parsed> {
    Some(Parsed {
        magic: fields.array()?,
        version: fields.u16()?,
        algorithms: fields.array()?,
        cost: Cost {
            memory_kib: fields.u32()?,
            passes: fields.u32()?,
            lanes: fields.u32()?,
        },
        fresh: Fresh {
            salt: fields.array()?,
            nonce: fields.array()?,
        },
        sealed: fields.array()?,
        tag: fields.array()?,
    })
}

/// Argon2id, version 0x13 (RFC 9106). Its memory is wiped: the last block gives the key.
fn derive(passphrase: &Passphrase, cost: Cost, salt: &[u8; 16]) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).map_err(KeyringError::Derivation)?;
    let mut blocks: Zeroizing<Vec<Block>> = Zeroizing::new(Vec::new());
    let count = params.block_count();
    blocks.try_reserve_exact(count).map_err(|_| KeyringError::Memory(cost.memory_kib))?;
    blocks.resize(count, Block::new());
    let mut kek = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase.expose_secret(), salt, kek.as_mut_slice(), blocks.as_mut_slice())
        .map_err(KeyringError::Derivation)?;
    crate::arena::wipe_stack();
    Ok(kek)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    /// The cheapest cost that opens, for tests that derive many times.
    pub(crate) const CHEAP: Cost = Cost {
        memory_kib: 8 * 1024,
        passes: 1,
        lanes: 1,
    };

    fn sealed() -> (Passphrase, Vec<u8>) {
        let passphrase = Passphrase::from_bytes(b"correct horse".to_vec()).unwrap();
        let root = RootKey::fill(|root| {
            root.fill(9);
            Ok::<_, KeyringError>(())
        });
        let fresh = Fresh {
            salt: [1; 16],
            nonce: [2; 24],
        };
        let file = wrap(&passphrase, &root.unwrap(), CHEAP, &fresh).unwrap();
        (passphrase, file)
    }

    #[test]
    fn what_was_wrapped_unwraps() {
        let (passphrase, file) = sealed();
        assert_eq!(file.len(), SIZE);
        assert_eq!(unwrap(&passphrase, &file).ok().unwrap().expose_secret(), &[9; 32]);
    }

    #[test]
    fn a_wrong_passphrase_is_refused() {
        let (_, file) = sealed();
        let wrong = Passphrase::from_bytes(b"correct horsf".to_vec()).unwrap();
        assert_eq!(unwrap(&wrong, &file).err(), Some(KeyringError::WrongPassphraseOrDamaged));
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_refused() {
        let (passphrase, file) = sealed();
        for at in 0..file.len() {
            for flip in [0x01, 0x80] {
                let mut damaged = file.clone();
                damaged[at] ^= flip;
                assert!(unwrap(&passphrase, &damaged).is_err(), "byte {at} ^ {flip:#x}");
            }
            assert_eq!(
                unwrap(&passphrase, &file[..at]).err(),
                Some(KeyringError::Form("its length is not 112 bytes"))
            );
        }
        assert!(unwrap(&passphrase, &[file.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn absurd_costs_are_refused_before_anything_is_derived() {
        let (passphrase, file) = sealed();
        for (offset, value) in [
            (12, 0),
            (12, 8 * 1024 - 1),
            (12, 1024 * 1024 + 1),
            (12, u32::MAX),
            (16, 0),
            (16, 17),
            (16, u32::MAX),
            (20, 0),
            (20, 17),
        ] {
            let mut absurd = file.clone();
            absurd[offset..offset + 4].copy_from_slice(&u32::to_be_bytes(value));
            let error = unwrap(&passphrase, &absurd).err().unwrap();
            assert!(
                matches!(error, KeyringError::Cost { found, .. } if found == value),
                "{offset} {value}: {error}"
            );
        }
    }
}
