//! One sealed key: `KEY_ID.key`. `docs/sealed-file.md` gives every byte.

use crate::bytes::Fields;
use crate::secret::{SECRET_KEY_MAX, secret_key_bytes};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;
use sigwarden_core::Scheme;
use sigwarden_core::key::KeyId;

/// How the names of sealed keys end.
pub(crate) const SUFFIX: &str = ".key";
/// Bytes at most: 142, a public key of 1312 and a name of 140 today, with room for larger public keys.
pub(crate) const MAX: u64 = 8 * 1024;

const MAGIC: [u8; 8] = *b"SWSEALED";
const VERSION: u16 = 1;
const TAG: usize = 16;

/// What a sealed key says of itself, in the open but authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    /// Drawn at random for each file; every file has its own key.
    pub(crate) file_id: [u8; 16],
    pub(crate) id: KeyId,
    pub(crate) scheme: Scheme,
    pub(crate) public_key: Vec<u8>,
    pub(crate) created_ms: u64,
}

/// Why a sealed key does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    /// It has not the form of such a file.
    #[error("it is damaged, or no such file: {0}")]
    Form(&'static str),
    /// It says something else of itself than the index.
    #[error("it is another key's file, or an older one: its label is not the one in the index")]
    Label,
    /// The tag does not fit.
    #[error("it was changed, or belongs to another keyring")]
    Tag,
    /// It opens, and is not the key that it says.
    #[error("the key inside is not the one of its public key")]
    PublicKey,
    /// A field has no room.
    #[error("its public key or name is too long for the format")]
    TooLong,
    /// HKDF refused.
    #[error("key derivation failed")]
    Derivation,
    /// Encryption refused.
    #[error("encryption failed")]
    Encryption,
}

/// The name of a key's file.
pub(crate) fn file_name(id: &KeyId) -> String {
    format!("{id}{SUFFIX}")
}

/// A scheme as a byte of a file. Numbers are never given again.
pub(crate) fn scheme_code(scheme: Scheme) -> u8 {
    match scheme {
        Scheme::Secp256k1Ecdsa => 1,
        Scheme::Secp256k1Schnorr => 2,
        Scheme::Ed25519 => 3,
        Scheme::MlDsa44 => 4,
        Scheme::MlKem768 => 5,
    }
}

/// The scheme of a byte.
pub(crate) fn scheme_of(code: u8) -> Option<Scheme> {
    Scheme::ALL.iter().copied().find(|scheme| scheme_code(*scheme) == code)
}

/// The key of one file.
pub(crate) struct FileKey(SecretBox<[u8; 32]>);

impl FileKey {
    /// `HKDF-SHA-256(salt = none, ikm = root, info = "sigwarden sealed file v1" || file id)`, 32 bytes (RFC 5869).
    pub(crate) fn derive(root: &[u8], file_id: &[u8; 16]) -> Result<Self, SealedError> {
        subkey(root, &[b"sigwarden sealed file v1", file_id]).map(Self)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.0.expose_secret().into())
    }
}

/// `HKDF-SHA-256(salt = none, ikm = root, info)`, 32 bytes. Labels of different uses begin differently, and none is a prefix of another.
pub(crate) fn subkey(root: &[u8], info: &[&[u8]]) -> Result<SecretBox<[u8; 32]>, SealedError> {
    let mut expanded = Ok(());
    let key = SecretBox::init_with_mut(|key: &mut [u8; 32]| expanded = Hkdf::<Sha256>::new(None, root).expand_multi_info(info, key));
    expanded.map(|()| key).map_err(|_| SealedError::Derivation)
}

fn header(label: &Label, nonce: &[u8; 24]) -> Result<Vec<u8>, SealedError> {
    let id = label.id.to_string();
    let public_key_length = u16::try_from(label.public_key.len()).map_err(|_| SealedError::TooLong)?;
    let id_length = u8::try_from(id.len()).map_err(|_| SealedError::TooLong)?;
    let mut header = Vec::with_capacity(256);
    header.extend(MAGIC);
    header.extend(VERSION.to_be_bytes());
    header.extend(label.file_id);
    header.extend(nonce);
    header.push(scheme_code(label.scheme));
    header.extend(label.created_ms.to_be_bytes());
    header.extend(public_key_length.to_be_bytes());
    header.extend(&label.public_key);
    header.push(id_length);
    header.extend(id.as_bytes());
    Ok(header)
}

/// The file's bytes: `header || XChaCha20-Poly1305(file key, nonce, aad = header, secret)`. `secret` is overwritten.
pub(crate) fn seal(key: &FileKey, label: &Label, nonce: &[u8; 24], secret: &mut [u8]) -> Result<Vec<u8>, SealedError> {
    let mut file = header(label, nonce)?;
    let tag = key
        .cipher()
        .encrypt_inout_detached(&XNonce::from(*nonce), &file, (&mut *secret).into())
        .map_err(|_| SealedError::Encryption)?;
    file.extend_from_slice(secret);
    file.extend(tag);
    Ok(file)
}

/// Opens a file whose label is `wanted` into `secret`, which has the length of the scheme's. If it fails, `secret` is not a key.
pub(crate) fn open(key: &FileKey, wanted: &Label, file: &[u8], secret: &mut [u8]) -> Result<(), SealedError> {
    let mut fields = Fields(file);
    let (label, nonce) = parse(&mut fields)?;
    let header = file
        .len()
        .checked_sub(fields.0.len())
        .and_then(|length| file.get(..length))
        .ok_or(SealedError::Form("it is cut"))?;
    let cut = SealedError::Form("it is cut, or has bytes too many");
    let sealed = fields.slice(secret_key_bytes(label.scheme)).ok_or(cut)?;
    let tag: [u8; TAG] = fields.array().ok_or(cut)?;
    if !fields.0.is_empty() {
        return Err(cut);
    }
    if label != *wanted {
        return Err(SealedError::Label);
    }
    if secret.len() != sealed.len() {
        return Err(cut);
    }
    secret.copy_from_slice(sealed);
    key.cipher()
        .decrypt_inout_detached(&XNonce::from(nonce), header, secret.into(), &Tag::from(tag))
        .map_err(|_| SealedError::Tag)
}

fn parse(fields: &mut Fields<'_>) -> Result<(Label, [u8; 24]), SealedError> {
    let cut = SealedError::Form("it is cut");
    if fields.array().ok_or(cut)? != MAGIC {
        return Err(SealedError::Form("it does not begin with `SWSEALED`"));
    }
    if fields.u16().ok_or(cut)? != VERSION {
        return Err(SealedError::Form("its version is not 1, the only one this program knows"));
    }
    let file_id = fields.array().ok_or(cut)?;
    let nonce = fields.array().ok_or(cut)?;
    let scheme = fields.u8().ok_or(cut)?;
    let created_ms = fields.u64().ok_or(cut)?;
    let public_key_length = fields.u16().ok_or(cut)?;
    let public_key = fields.slice(public_key_length.into()).ok_or(cut)?;
    let id_length = fields.u8().ok_or(cut)?;
    let id = fields.slice(id_length.into()).ok_or(cut)?;
    let label = Label {
        file_id,
        id: std::str::from_utf8(id)
            .ok()
            .and_then(|id| id.parse().ok())
            .ok_or(SealedError::Form("its key id is none"))?,
        scheme: scheme_of(scheme).ok_or(SealedError::Form("its scheme is none this program knows"))?,
        public_key: public_key.to_vec(),
        created_ms,
    };
    Ok((label, nonce))
}

/// For the fuzzer: whether a header that parses renders to the bytes it was parsed from and, made without the key, opens nothing. `None`
/// if it does not parse.
#[must_use]
pub fn forged_header_is_faithful_and_opens_nothing(file: &[u8]) -> Option<bool> {
    let mut fields = Fields(file);
    let (label, nonce) = parse(&mut fields).ok()?;
    let length = file.len() - fields.0.len();
    let faithful = header(&label, &nonce).ok()? == file.get(..length)?;
    let key = FileKey::derive(&[7; 32], &label.file_id).ok()?;
    let mut secret = [0; SECRET_KEY_MAX];
    let (secret, _) = secret.split_at_mut(secret_key_bytes(label.scheme));
    Some(faithful && open(&key, &label, file, secret).is_err())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn label() -> Label {
        Label {
            file_id: [3; 16],
            id: "cosmos.validator.v1".parse().unwrap(),
            scheme: Scheme::Ed25519,
            public_key: vec![4; 32],
            created_ms: 1_700_000_000_000,
        }
    }

    fn key(root: u8) -> FileKey {
        FileKey::derive(&[root; 32], &label().file_id).unwrap()
    }

    fn sealed() -> Vec<u8> {
        seal(&key(1), &label(), &[2; 24], &mut [7; 32]).unwrap()
    }

    #[test]
    fn what_was_sealed_opens() {
        let mut secret = [0; 32];
        open(&key(1), &label(), &sealed(), &mut secret).unwrap();
        assert_eq!(secret, [7; 32]);
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_refused() {
        let file = sealed();
        for at in 0..file.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = file.clone();
                damaged[at] ^= flip;
                assert!(open(&key(1), &label(), &damaged, &mut [0; 32]).is_err(), "byte {at} ^ {flip:#x}");
            }
            assert!(open(&key(1), &label(), &file[..at], &mut [0; 32]).is_err(), "cut at {at}");
        }
        let longer = [file.as_slice(), &[0]].concat();
        assert!(matches!(open(&key(1), &label(), &longer, &mut [0; 32]), Err(SealedError::Form(_))));
    }

    /// Not only the comparison with the index guards the header: the tag does too.
    #[test]
    fn a_header_that_the_index_was_made_to_agree_with_is_refused() {
        let mut forged_label = label();
        forged_label.created_ms ^= 1;
        let mut forged = sealed();
        forged[51 + 7] ^= 1;
        assert_eq!(open(&key(1), &forged_label, &forged, &mut [0; 32]), Err(SealedError::Tag));
    }

    #[test]
    fn another_root_key_opens_nothing() {
        assert_eq!(open(&key(2), &label(), &sealed(), &mut [0; 32]), Err(SealedError::Tag));
    }

    #[test]
    fn scheme_codes_are_unique_and_read_back() {
        for scheme in Scheme::ALL {
            assert_eq!(scheme_of(scheme_code(*scheme)), Some(*scheme));
        }
        assert_eq!(scheme_of(0), None);
    }
}
