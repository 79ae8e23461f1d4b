//! One direction's frames.
//!
//! `sealed frame = ChaCha20-Poly1305(key, nonce, length || data || zeros)`, with a length of four bytes, little-endian, and data and zeros of 1,024 bytes
//! together; nonce: four zero bytes, then a counter of eight, little-endian, that starts at zero.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use std::ops::Range;

/// `dataMaxSize`.
pub(super) const DATA_MAX: usize = 1024;
const LENGTH: usize = 4;
const PLAIN: usize = LENGTH + DATA_MAX;
const TAG: usize = 16;
/// A sealed frame's bytes.
pub(super) const FRAME: usize = PLAIN + TAG;

pub(super) type Frame = [u8; FRAME];

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a frame is not the peer's, or not the one that follows: it was changed, repeated or left out on the way")]
    Authentication,
    #[error("a frame says that it has {0} bytes of data; 1 to 1024 are right")]
    Length(u32),
    #[error("2^64 frames have been sent; no nonce is left")]
    UsedUp,
}

/// A direction's key and the number of its next frame.
pub(super) struct Cipher {
    aead: ChaCha20Poly1305,
    /// None if all are used up: no nonce may come twice.
    next: Option<u64>,
}

impl Cipher {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self {
            aead: ChaCha20Poly1305::new(key.into()),
            next: Some(0),
        }
    }

    fn nonce(&mut self) -> Result<Nonce, FrameError> {
        let counter = self.next.ok_or(FrameError::UsedUp)?;
        self.next = counter.checked_add(1);
        let mut nonce = [0; 12];
        for (to, from) in nonce.iter_mut().skip(4).zip(counter.to_le_bytes()) {
            *to = from;
        }
        Ok(nonce.into())
    }

    /// Seals at most [`DATA_MAX`] bytes.
    pub(super) fn seal(&mut self, data: &[u8], frame: &mut Frame) -> Result<(), FrameError> {
        let length = u32::try_from(data.len()).ok().filter(|length| *length as usize <= DATA_MAX);
        let length = length.ok_or(FrameError::Length(u32::MAX))?;
        let nonce = self.nonce()?;
        frame.fill(0);
        for (to, from) in frame.iter_mut().zip(length.to_le_bytes().iter().chain(data)) {
            *to = *from;
        }
        let (plain, tag) = frame.split_at_mut(PLAIN);
        let sealed = self.aead.encrypt_inout_detached(&nonce, &[], plain.into());
        tag.copy_from_slice(&sealed.map_err(|_| FrameError::Authentication)?);
        Ok(())
    }

    /// Opens the frame in place, and tells where its data is.
    pub(super) fn open(&mut self, frame: &mut Frame) -> Result<Range<usize>, FrameError> {
        let nonce = self.nonce()?;
        let (plain, tag) = frame.split_at_mut(PLAIN);
        let tag = Tag::try_from(&*tag).map_err(|_| FrameError::Authentication)?;
        self.aead
            .decrypt_inout_detached(&nonce, &[], plain.into(), &tag)
            .map_err(|_| FrameError::Authentication)?;
        let length = plain.first_chunk::<LENGTH>().map_or(0, |length| u32::from_le_bytes(*length));
        match length as usize {
            // CometBFT writes no empty frames, and here they would look like the end.
            1..=DATA_MAX => Ok(LENGTH..LENGTH + length as usize),
            _ => Err(FrameError::Length(length)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn a_frame_opens_once_in_its_order_and_unchanged() {
        let (mut sender, mut receiver) = (Cipher::new(&[7; 32]), Cipher::new(&[7; 32]));
        let mut frames = [[0; FRAME]; 3];
        for (index, frame) in frames.iter_mut().enumerate() {
            sender.seal(&[index as u8; 5], frame).unwrap();
        }
        let mut first = frames[0];
        assert_eq!(receiver.open(&mut first).unwrap(), 4..9);
        assert_eq!(first[4..9], [0; 5]);
        assert_eq!(receiver.open(&mut frames[0].clone()), Err(FrameError::Authentication), "repeated");

        let mut receiver = Cipher::new(&[7; 32]);
        assert_eq!(receiver.open(&mut frames[1].clone()), Err(FrameError::Authentication), "moved");

        let mut receiver = Cipher::new(&[7; 32]);
        frames[0][FRAME - 1] ^= 1;
        assert_eq!(receiver.open(&mut frames[0].clone()), Err(FrameError::Authentication), "changed");
    }

    #[test]
    fn a_length_of_none_or_too_many_is_refused() {
        for length in [0_u32, 1025, u32::MAX] {
            let mut frame = [0; FRAME];
            frame[..4].copy_from_slice(&length.to_le_bytes());
            let (plain, tag) = frame.split_at_mut(PLAIN);
            let aead = ChaCha20Poly1305::new(&[7; 32].into());
            tag.copy_from_slice(&aead.encrypt_inout_detached(&Nonce::default(), &[], plain.into()).unwrap());
            assert_eq!(Cipher::new(&[7; 32]).open(&mut frame), Err(FrameError::Length(length)));
        }
        assert_eq!(
            Cipher::new(&[7; 32]).seal(&[0; DATA_MAX + 1], &mut [0; FRAME]),
            Err(FrameError::Length(u32::MAX))
        );
    }

    #[test]
    fn no_nonce_comes_twice() {
        let mut cipher = Cipher::new(&[7; 32]);
        cipher.next = Some(u64::MAX);
        cipher.seal(b"last", &mut [0; FRAME]).unwrap();
        assert_eq!(cipher.seal(b"one more", &mut [0; FRAME]), Err(FrameError::UsedUp));
    }
}
