//! An application's bytes that a validator's key signs: Celestia's `SignRawBytes`, and CometBFT v1's `SignBytes`. They take no position, so
//! what keeps them apart from votes is the prefix that the key names, and that nothing here may resemble one.

use super::{input, parse};
use crate::protobuf::{Fields, delimited, put_bytes_field};
use crate::{facts, same_bytes, structured};
use sha2::{Digest, Sha256};
use sigwarden_core::Scheme;
use sigwarden_core::fact::{Decoded, Fact, PayloadError, SigningInputs};

/// Bytes of a unique id at most: Celestia's own are under 30, and it stands in messages.
const UNIQUE_ID_MAX: usize = 256;

/// What Celestia signs for an application: `SignRawBytesRequest` behind a prefix (celestia-core v0.39.10, `types/priv_validator.go`,
/// `RawBytesMessageSignBytes`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawBytes {
    /// 1 to 50 printable ASCII characters.
    pub chain_id: String,
    /// What the bytes are for: 1 to 256 printable ASCII characters.
    pub unique_id: String,
    /// The application's bytes, at least one.
    pub raw_bytes: Vec<u8>,
}

/// Decodes the payload of format `cometbft/raw-bytes`: Celestia's, or any bytes of an application. Whether they begin with a prefix that the
/// key may sign is the host's to judge, which knows the key.
///
/// # Errors
/// They are empty, or resemble a consensus message, a tagged message or a transaction, or begin with Celestia's prefix and are not as
/// Celestia writes them.
pub fn decode_raw_bytes(scheme: Scheme, payload: &[u8]) -> Result<Decoded, PayloadError> {
    if payload.is_empty() {
        return Err(PayloadError::Malformed("raw bytes begin with their prefix; these are none".into()));
    }
    structured::refuse_positions(payload)?;
    let mut facts = vec![
        facts::count("raw-bytes.length", payload.len()),
        facts::bytes("raw-bytes.sha256", Sha256::digest(payload).as_slice()),
    ];
    if payload.starts_with(RawBytes::PREFIX.as_bytes()) {
        celestia_facts(&mut facts, &RawBytes::parse(payload)?);
    } else {
        facts.push(facts::text("raw-bytes.layout", "opaque"));
        facts.push(facts::bytes("raw-bytes.body", payload));
    }
    Ok(Decoded {
        facts,
        inputs: SigningInputs::one(input(scheme, payload)),
        consensus: None,
        role: None,
    })
}

fn celestia_facts(facts: &mut Vec<Fact>, read: &RawBytes) {
    facts.push(facts::text("raw-bytes.layout", "celestia"));
    facts.push(facts::bytes("raw-bytes.body", &read.raw_bytes));
    facts.push(facts::text("cometbft.chain-id", &read.chain_id));
    facts.push(facts::text("raw-bytes.unique-id", &read.unique_id));
}

impl RawBytes {
    /// Celestia's `RawBytesSignBytesPrefix`.
    pub const PREFIX: &'static str = "COMET::RAW_BYTES::SIGN";

    /// The payload: the prefix, a varint length, and the protobuf of chain id, raw bytes and unique id.
    #[must_use]
    pub fn sign_bytes(&self) -> Vec<u8> {
        let mut message = Vec::new();
        put_bytes_field(&mut message, 1, self.chain_id.as_bytes());
        put_bytes_field(&mut message, 2, &self.raw_bytes);
        put_bytes_field(&mut message, 3, self.unique_id.as_bytes());
        [Self::PREFIX.as_bytes(), &delimited(&message)].concat()
    }

    /// Parses canonical bytes, the inverse of [`RawBytes::sign_bytes`].
    ///
    /// # Errors
    /// What is wrong, at which byte, and what would be right.
    pub fn parse(payload: &[u8]) -> Result<Self, PayloadError> {
        if !payload.starts_with(Self::PREFIX.as_bytes()) {
            return Err(PayloadError::Malformed(format!(
                "Celestia's raw bytes begin with `{}`; these do not",
                Self::PREFIX
            )));
        }
        let (mut fields, end) = Fields::delimited("SignRawBytesRequest", payload, Self::PREFIX.len())?;
        let (mut chain_id, mut raw_bytes, mut unique_id) = (None, None, None);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => chain_id = Some(parse::chain_id_of(&field)?),
                2 => raw_bytes = Some(field.bytes("raw_bytes")?.to_vec()),
                3 => unique_id = Some(parse::printable(&field, "unique_id", UNIQUE_ID_MAX)?),
                _ => return Err(fields.unknown(&field)),
            }
        }
        parse::nothing_after(payload, end, "SignRawBytesRequest")?;
        let missing = |name| parse::missing(name, "Celestia signs no raw bytes without it");
        let read = Self {
            chain_id: chain_id.ok_or_else(|| missing("chain_id"))?,
            unique_id: unique_id.ok_or_else(|| missing("unique_id"))?,
            raw_bytes: raw_bytes.ok_or_else(|| missing("raw_bytes"))?,
        };
        same_bytes("SignRawBytesRequest", payload, &read.sign_bytes())?;
        Ok(read)
    }
}
