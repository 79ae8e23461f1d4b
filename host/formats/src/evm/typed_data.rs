//! Typed structured data: EIP-712, as `eth_signTypedData_v4` takes it.
//!
//! Wallet libraries write the same data in many ways, so the payload is one canonical JSON of it, which [`canonical`] makes of theirs.
//! `docs/formats.md` has its rules. What is signed is `keccak256(0x1901 || domainSeparator || hashStruct(message))`.

mod hash;
mod json;
mod types;
mod value;

use super::keccak256;
use crate::{facts, same_bytes};
use json::Node;
use sigwarden_core::fact::{Decoded, PayloadError, SigningInput, SigningInputs};
use types::{DOMAIN, Types};
use value::{Reading, Value};

/// Typed data that has been read: every value has its type's form and range, every type that is left is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedData {
    types: Types,
    primary_type: String,
    domain: Vec<Value>,
    message: Vec<Value>,
}

/// The payload of format `evm/eip-712`, from the JSON that a wallet library sends with `eth_signTypedData_v4`: an object of `types`,
/// `primaryType`, `domain` and `message`.
///
/// # Errors
/// It is no such JSON, or has a key twice, a field or type that is unknown or missing, a value out of its type's range, or goes over a limit.
/// The message says what, and where.
///
/// ```
/// use sigwarden_formats::evm::typed_data;
/// let sent = br#"{
///   "types": {"EIP712Domain": [{"name": "chainId", "type": "uint256"}], "Vote": [{"name": "proposal", "type": "uint64"}]},
///   "primaryType": "Vote", "domain": {"chainId": 1}, "message": {"proposal": "0x2a"}
/// }"#;
/// let payload = typed_data::canonical(sent)?;
/// assert!(payload.starts_with(br#"{"domain":{"chainId":"1"},"message":{"proposal":"42"},"primaryType":"Vote","types":"#));
/// # Ok::<(), sigwarden_core::fact::PayloadError>(())
/// ```
pub fn canonical(json: &[u8]) -> Result<Vec<u8>, PayloadError> {
    Ok(TypedData::from_json(json)?.payload())
}

/// Decodes the payload of format `evm/eip-712`.
///
/// # Errors
/// As [`canonical`], or the bytes are not the canonical ones.
pub fn decode_eip712(payload: &[u8]) -> Result<Decoded, PayloadError> {
    let data = TypedData::from_json(payload)?;
    same_bytes("typed data", payload, &data.payload())?;
    let mut facts = vec![
        facts::text("typed-data.primary-type", &data.primary_type),
        facts::text("typed-data.encode-type", &data.types.encode_type(&data.primary_type)),
        facts::bytes("typed-data.type-hash", &hash::type_hash(&data.types, &data.primary_type)),
        facts::bytes("typed-data.domain-separator", &data.domain_separator()),
        facts::bytes("typed-data.message-hash", &data.message_hash()),
    ];
    for (field, value) in data.types.fields(DOMAIN).iter().zip(&data.domain) {
        // `Types` lets a domain have its five fields only, each of its type.
        let Some(name) = types::domain_fact(&field.name) else { continue };
        let fact = match value {
            Value::Text(text) => facts::text(name, text),
            Value::Uint(number) => facts::u256(name, *number),
            Value::Address(bytes) => facts::bytes(name, bytes),
            Value::FixedBytes(bytes) => facts::bytes(name, bytes),
            Value::Bool(_) | Value::Bytes(_) | Value::Int(_) | Value::Struct(..) | Value::List(_) => continue,
        };
        facts.push(fact);
    }
    facts.push(facts::list_of_text("typed-data.message", data.leaves()));
    Ok(Decoded {
        facts,
        inputs: SigningInputs::one(SigningInput::Digest(data.signing_hash())),
        consensus: None,
        role: None,
    })
}

impl TypedData {
    /// Reads the JSON of a wallet library, or the canonical one.
    ///
    /// # Errors
    /// As [`canonical`].
    pub fn from_json(json: &[u8]) -> Result<Self, PayloadError> {
        let whole = json::read(json)?;
        let [domain, message, primary_type, types] = whole.fields("typed data", ["domain", "message", "primaryType", "types"])?;
        let Node::Text(primary_type) = primary_type else {
            return Err(PayloadError::Malformed(format!(
                "`primaryType` is {}; it is the name of a type",
                primary_type.kind()
            )));
        };
        let types = Types::read(types, primary_type)?;
        let mut reading = Reading::of(&types);
        Ok(Self {
            domain: reading.structure(DOMAIN, domain, "domain")?,
            message: reading.structure(primary_type, message, "message")?,
            primary_type: primary_type.clone(),
            types,
        })
    }

    /// The payload: JSON without white space, keys in order, each value in its one form.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let mut out = String::from("{\"domain\":");
        value::write_structure(&mut out, &self.types, DOMAIN, &self.domain);
        out.push_str(",\"message\":");
        value::write_structure(&mut out, &self.types, &self.primary_type, &self.message);
        out.push_str(",\"primaryType\":");
        json::write_text(&mut out, &self.primary_type);
        out.push_str(",\"types\":");
        self.types.write(&mut out);
        out.push('}');
        out.into_bytes()
    }

    /// What is signed: `keccak256(0x1901 || domainSeparator || hashStruct(message))` (EIP-712).
    #[must_use]
    pub fn signing_hash(&self) -> [u8; 32] {
        keccak256(&[&[0x19, 0x01], &self.domain_separator()[..], &self.message_hash()].concat())
    }

    /// `hashStruct(eip712Domain)`.
    #[must_use]
    pub fn domain_separator(&self) -> [u8; 32] {
        hash::Hashing::of(&self.types).structure(DOMAIN, &self.domain)
    }

    /// `hashStruct(message)`.
    #[must_use]
    pub fn message_hash(&self) -> [u8; 32] {
        hash::Hashing::of(&self.types).structure(&self.primary_type, &self.message)
    }

    /// Each value of the message as `type path=value`: `address to.wallet=0x…`, `uint256 amounts[0]=5`.
    fn leaves(&self) -> Vec<String> {
        let mut leaves = Vec::new();
        value::leaves(&mut leaves, &self.types, &self.primary_type, &self.message);
        leaves
    }
}
