//! `hashStruct`, `encodeData` and `typeHash` (EIP-712).

use super::super::{U256, keccak256};
use super::types::Types;
use super::value::Value;
use std::collections::BTreeMap;

/// `keccak256(encodeType(name))`.
pub(super) fn type_hash(types: &Types, name: &str) -> [u8; 32] {
    keccak256(types.encode_type(name).as_bytes())
}

/// The hash of each type is computed once.
pub(super) struct Hashing<'t> {
    type_hashes: BTreeMap<&'t str, [u8; 32]>,
}

impl<'t> Hashing<'t> {
    pub(super) fn of(types: &'t Types) -> Self {
        let type_hashes = types.names().map(|name| (name, type_hash(types, name))).collect();
        Self { type_hashes }
    }

    /// `hashStruct`: `keccak256(typeHash || encodeData)`.
    pub(super) fn structure(&self, name: &str, values: &[Value]) -> [u8; 32] {
        let mut data = self.type_hashes.get(name).map_or_else(Vec::new, |hash| hash.to_vec());
        for value in values {
            data.extend_from_slice(&self.word(value));
        }
        keccak256(&data)
    }

    /// A value as the 32 bytes that it is in `encodeData`.
    fn word(&self, value: &Value) -> [u8; 32] {
        match value {
            Value::Bool(value) => U256::from(u8::from(*value)).to_be_bytes(),
            Value::Uint(number) | Value::Int(number) => number.to_be_bytes(),
            Value::Address(address) => padded(address, 12),
            Value::FixedBytes(bytes) => padded(bytes, 0),
            Value::Text(text) => keccak256(text.as_bytes()),
            Value::Bytes(bytes) => keccak256(bytes),
            Value::Struct(name, values) => self.structure(name, values),
            Value::List(items) => keccak256(&items.iter().map(|item| self.word(item)).collect::<Vec<_>>().concat()),
        }
    }
}

/// Bytes in a word, from `at`.
fn padded(bytes: &[u8], at: usize) -> [u8; 32] {
    let mut word = [0; 32];
    for (place, byte) in word.iter_mut().skip(at).zip(bytes) {
        *place = *byte;
    }
    word
}
