//! Between uses, keys wait in memory encrypted under a random key of this process, which lies in the locked arena.

use crate::arena::{Arena, wipe_stack};
use crate::os::{ArenaError, SLOT_BYTES, Slot, SlotBytes};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a key cannot be shielded or opened.
#[derive(Debug, thiserror::Error)]
pub enum ShieldError {
    /// No locked memory.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// No randomness.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// What was shielded is not what lies there now.
    #[error("a shielded key was changed in memory: restart, and test this machine's memory")]
    Changed,
    /// A secret that no slot of the arena holds.
    #[error("a secret of over {SLOT_BYTES} bytes has no room in the locked arena")]
    Length,
}

/// The process's shielding key, and the arena in which keys are opened.
pub(crate) struct Shield {
    arena: Arena,
    /// The first 32 bytes are the key.
    key: Slot,
    nonces: AtomicU64,
}

/// A shielded secret of at most 64 bytes: useless without the shielding key.
pub(crate) struct Shielded {
    nonce: Nonce,
    ciphertext: SlotBytes,
    length: usize,
    tag: Tag,
}

impl Shield {
    /// The shield of this process, made on first use.
    pub(crate) fn of_process() -> Result<&'static Self, ShieldError> {
        static SHIELD: OnceLock<Shield> = OnceLock::new();
        if let Some(shield) = SHIELD.get() {
            return Ok(shield);
        }
        let shield = Self::new()?;
        Ok(SHIELD.get_or_init(|| shield))
    }

    fn new() -> Result<Self, ShieldError> {
        let (arena, mut key) = Arena::new()?;
        let [bytes, _] = &mut *key;
        getrandom::fill(bytes).map_err(ShieldError::Random)?;
        Ok(Self {
            arena,
            key,
            nonces: AtomicU64::new(0),
        })
    }

    /// Fills a secret of `length` bytes, at most 64, in the arena and shields it. `fill` returns what else it learned.
    pub(crate) fn close<T, E: From<ShieldError>>(
        &self,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<T, E>,
    ) -> Result<(Shielded, T), E> {
        self.arena.with_slot(|slot| {
            let secret = slot.as_flattened_mut().get_mut(..length).ok_or(ShieldError::Length)?;
            let learned = fill(secret)?;
            let nonce = self.next_nonce();
            let tag = self
                .cipher()
                .encrypt_inout_detached(&nonce, &[], secret.into())
                .map_err(|_| ShieldError::Changed)?;
            wipe_stack();
            let shielded = Shielded {
                nonce,
                ciphertext: *slot,
                length,
                tag,
            };
            Ok((shielded, learned))
        })
    }

    /// Opens a secret in the arena for as long as `work` takes. `work` opens no other one.
    pub(crate) fn open<T>(&self, shielded: &Shielded, work: impl FnOnce(&[u8]) -> T) -> Result<T, ShieldError> {
        self.arena.with_slot(|slot| {
            *slot = shielded.ciphertext;
            let secret = slot.as_flattened_mut().get_mut(..shielded.length).ok_or(ShieldError::Length)?;
            self.cipher()
                .decrypt_inout_detached(&shielded.nonce, &[], (&mut *secret).into(), &shielded.tag)
                .map_err(|_| ShieldError::Changed)?;
            // The cipher leaves a copy of a whole block there.
            wipe_stack();
            Ok(work(secret))
        })
    }

    /// Never the same one twice: 2^64 secrets are never shielded in one process.
    fn next_nonce(&self) -> Nonce {
        let count = self.nonces.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        let mut nonce = Nonce::default();
        for (to, from) in nonce.iter_mut().zip(count) {
            *to = from;
        }
        nonce
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        let [key, _] = &*self.key;
        ChaCha20Poly1305::new(key.into())
    }
}
