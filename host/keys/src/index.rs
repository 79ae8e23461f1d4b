//! `index`: every key's public half, in one authenticated file, so that a start opens no sealed key. `docs/sealed-file.md` gives
//! every byte.

use crate::bytes::Fields;
use crate::sealed::{Label, scheme_code, scheme_of};
use sigwarden_core::key::KeyId;
use std::collections::BTreeMap;

/// The file's name.
pub(crate) const NAME: &str = "index";
/// Keys at most: ten times what a start is measured with.
pub(crate) const MAX_KEYS: usize = 100_000;
/// Bytes at most: a hundred thousand keys with the longest names (140) and public keys (1312) of today, rounded up.
pub(crate) const MAX: u64 = 144 * 1024 * 1024;

const MAGIC: [u8; 8] = *b"SWKEYIDX";
const VERSION: u16 = 1;
const MAC: usize = 32;

/// Why the index is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// It has not the form of such a file.
    #[error("it is damaged, or no such file: {0}")]
    Form(&'static str),
    /// Its authentication code does not fit.
    #[error("it was changed or cut, or belongs to another keyring")]
    Mac,
    /// There is no room for more.
    #[error("it would hold over {MAX_KEYS} keys")]
    Full,
    /// A field has no room.
    #[error("a public key or name is too long for the format")]
    TooLong,
}

/// The file's bytes: `fields || BLAKE3(key, fields)`, entries in the order of their key ids.
pub(crate) fn encode(key: &[u8; 32], entries: &BTreeMap<KeyId, Label>) -> Result<Vec<u8>, IndexError> {
    if entries.len() > MAX_KEYS {
        return Err(IndexError::Full);
    }
    let mut file = Vec::with_capacity(64 + 128 * entries.len());
    file.extend(MAGIC);
    file.extend(VERSION.to_be_bytes());
    file.extend(u32::try_from(entries.len()).map_err(|_| IndexError::Full)?.to_be_bytes());
    for label in entries.values() {
        let id = label.id.to_string();
        file.extend(label.file_id);
        file.push(scheme_code(label.scheme));
        file.extend(label.created_ms.to_be_bytes());
        let length = u16::try_from(label.public_key.len()).map_err(|_| IndexError::TooLong)?;
        file.extend(length.to_be_bytes());
        file.extend(&label.public_key);
        file.push(u8::try_from(id.len()).map_err(|_| IndexError::TooLong)?);
        file.extend(id.as_bytes());
    }
    let mac = blake3::keyed_hash(key, &file);
    file.extend(mac.as_bytes());
    Ok(file)
}

/// Reads the file. Nothing of it is looked at before its authentication code fits.
pub(crate) fn decode(key: &[u8; 32], file: &[u8]) -> Result<BTreeMap<KeyId, Label>, IndexError> {
    let cut = IndexError::Form("it is cut");
    let (authentic, mac) = file.split_last_chunk::<MAC>().ok_or(cut)?;
    // The comparison takes constant time (`blake3::Hash`).
    if blake3::keyed_hash(key, authentic) != blake3::Hash::from_bytes(*mac) {
        return Err(IndexError::Mac);
    }
    let mut fields = Fields(authentic);
    if fields.array().ok_or(cut)? != MAGIC {
        return Err(IndexError::Form("it does not begin with `SWKEYIDX`"));
    }
    if fields.u16().ok_or(cut)? != VERSION {
        return Err(IndexError::Form("its version is not 1, the only one this program knows"));
    }
    let count = fields.u32().ok_or(cut)?;
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        let label = entry(&mut fields)?;
        if entries.last_key_value().is_some_and(|(last, _)| *last >= label.id) {
            return Err(IndexError::Form("its entries are not in order"));
        }
        entries.insert(label.id.clone(), label);
    }
    if !fields.0.is_empty() {
        return Err(IndexError::Form("it has bytes too many"));
    }
    Ok(entries)
}

fn entry(fields: &mut Fields<'_>) -> Result<Label, IndexError> {
    let cut = IndexError::Form("it is cut");
    let file_id = fields.array().ok_or(cut)?;
    let scheme = fields.u8().ok_or(cut)?;
    let created_ms = fields.u64().ok_or(cut)?;
    let public_key_length = fields.u16().ok_or(cut)?;
    let public_key = fields.slice(public_key_length.into()).ok_or(cut)?;
    let id_length = fields.u8().ok_or(cut)?;
    let id = fields.slice(id_length.into()).ok_or(cut)?;
    Ok(Label {
        file_id,
        id: std::str::from_utf8(id)
            .ok()
            .and_then(|id| id.parse().ok())
            .ok_or(IndexError::Form("a key id is none"))?,
        scheme: scheme_of(scheme).ok_or(IndexError::Form("a scheme is none this program knows"))?,
        public_key: public_key.to_vec(),
        created_ms,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use sigwarden_core::Scheme;

    fn entries() -> BTreeMap<KeyId, Label> {
        [("evm.hot.v1", Scheme::Secp256k1Ecdsa), ("cosmos.validator.v2", Scheme::Ed25519)]
            .into_iter()
            .map(|(id, scheme)| {
                let id: KeyId = id.parse().unwrap();
                let label = Label {
                    file_id: [3; 16],
                    id: id.clone(),
                    scheme,
                    public_key: vec![4; scheme.public_key_len()],
                    created_ms: 1_700_000_000_000,
                };
                (id, label)
            })
            .collect()
    }

    #[test]
    fn what_was_written_reads_back() {
        for entries in [BTreeMap::new(), entries()] {
            assert_eq!(decode(&[1; 32], &encode(&[1; 32], &entries).unwrap()), Ok(entries));
        }
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_refused() {
        let file = encode(&[1; 32], &entries()).unwrap();
        for at in 0..file.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = file.clone();
                damaged[at] ^= flip;
                assert_eq!(decode(&[1; 32], &damaged), Err(IndexError::Mac), "byte {at}");
            }
            assert!(decode(&[1; 32], &file[..at]).is_err(), "cut at {at}");
        }
        assert_eq!(decode(&[1; 32], &[file.as_slice(), &[0]].concat()), Err(IndexError::Mac));
        assert_eq!(decode(&[2; 32], &file), Err(IndexError::Mac));
    }

    #[test]
    fn authentic_nonsense_is_refused_too() {
        let encoded = encode(&[1; 32], &entries()).unwrap();
        let again = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut body = encoded[..encoded.len() - MAC].to_vec();
            change(&mut body);
            let mac = blake3::keyed_hash(&[1; 32], &body);
            body.extend(mac.as_bytes());
            decode(&[1; 32], &body)
        };
        assert!(again(&|_| {}).is_ok());
        assert_eq!(again(&|body| body.push(0)), Err(IndexError::Form("it has bytes too many")));
        assert_eq!(
            again(&|body| body[9] = 2),
            Err(IndexError::Form("its version is not 1, the only one this program knows"))
        );
        assert_eq!(again(&|body| body[13] = 3), Err(IndexError::Form("it is cut")));
        // A count of four billion: refused when the bytes end, without room made for them.
        assert_eq!(again(&|body| body[10..14].fill(0xff)), Err(IndexError::Form("it is cut")));
        let twice = |body: &mut Vec<u8>| {
            let entry = body[14..].to_vec();
            body.extend(entry);
            body[13] = 4;
        };
        assert_eq!(again(&twice), Err(IndexError::Form("its entries are not in order")));
    }
}
