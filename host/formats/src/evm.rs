//! EVM transactions before their signature: legacy with chain id (EIP-155), access list (EIP-2930), fee market (EIP-1559), blob
//! (EIP-4844) and set-code (EIP-7702); and what an account signs besides: messages (EIP-191) and typed data (EIP-712).
//!
//! A transaction's payload is the very preimage whose Keccak-256 is signed.

mod blob;
mod message;
mod set_code;
mod signed;
mod transaction;
pub mod typed_data;

pub use blob::{Eip4844, decode_eip4844};
pub(crate) use message::PREFIX as MESSAGE_PREFIX;
pub use message::{decode_eip191, signed_message_hash};
pub use set_code::{Authorization, Eip7702, decode_eip7702};
pub use signed::signed;
pub(crate) use transaction::keccak256;
pub use transaction::{AccessListItem, Eip1559, Eip2930, Legacy, transaction_hash};
pub use typed_data::{TypedData, decode_eip712};

use crate::rlp::{Item, Items};
use crate::{facts, same_bytes};
use sigwarden_core::fact::{Decoded, Fact, PayloadError, SigningInput, SigningInputs};

/// An unsigned 256-bit integer.
pub type U256 = ruint::aliases::U256;

const LEGACY: &str = "legacy transaction";
const EIP_2930: &str = "EIP-2930 transaction";
const EIP_1559: &str = "EIP-1559 transaction";

/// Decodes the payload of format `evm/legacy`.
///
/// # Errors
/// It is no canonical EIP-155 preimage.
pub fn decode_legacy(payload: &[u8]) -> Result<Decoded, PayloadError> {
    let transaction = Legacy::parse(payload)?;
    let mut facts = head(0, transaction.chain_id, transaction.nonce, transaction.gas_limit);
    facts.push(facts::u256("evm.gas-price", transaction.gas_price));
    call_facts(&mut facts, transaction.to.as_ref(), transaction.value, &transaction.data);
    Ok(decoded(facts, payload))
}

/// Decodes the payload of format `evm/eip-2930`.
///
/// # Errors
/// It is no canonical unsigned EIP-2930 transaction.
pub fn decode_eip2930(payload: &[u8]) -> Result<Decoded, PayloadError> {
    let transaction = Eip2930::parse(payload)?;
    let mut facts = head(1, transaction.chain_id, transaction.nonce, transaction.gas_limit);
    facts.push(facts::u256("evm.gas-price", transaction.gas_price));
    call_facts(&mut facts, transaction.to.as_ref(), transaction.value, &transaction.data);
    access_list_facts(&mut facts, &transaction.access_list);
    Ok(decoded(facts, payload))
}

/// Decodes the payload of format `evm/eip-1559`.
///
/// # Errors
/// It is no canonical unsigned EIP-1559 transaction.
pub fn decode_eip1559(payload: &[u8]) -> Result<Decoded, PayloadError> {
    let transaction = Eip1559::parse(payload)?;
    let mut facts = head(2, transaction.chain_id, transaction.nonce, transaction.gas_limit);
    facts.push(facts::u256("evm.max-fee-per-gas", transaction.max_fee_per_gas));
    facts.push(facts::u256("evm.max-priority-fee-per-gas", transaction.max_priority_fee_per_gas));
    call_facts(&mut facts, transaction.to.as_ref(), transaction.value, &transaction.data);
    access_list_facts(&mut facts, &transaction.access_list);
    Ok(decoded(facts, payload))
}

impl Legacy {
    /// Parses canonical bytes, the inverse of [`Legacy::unsigned`].
    ///
    /// # Errors
    /// What is wrong, at which byte, and what would be right.
    pub fn parse(payload: &[u8]) -> Result<Self, PayloadError> {
        if let Some(first @ 0x01..=0x7f) = payload.first() {
            return Err(PayloadError::Malformed(format!(
                "byte 0 is 0x{first:02x}, as in a typed transaction (EIP-2718); a legacy transaction starts with its list (0xc0 or above){}",
                name_of_type(*first)
            )));
        }
        let mut items = Items::spanning(LEGACY, payload, 0)?;
        let nonce = nonce(items.next("nonce")?)?;
        let gas_price = items.next("gasPrice")?.u256()?;
        let gas_limit = items.next("gasLimit")?.u64()?;
        let to = recipient(items.next("to")?)?;
        let value = items.next("value")?.u256()?;
        let data = items.next("data")?.string()?.to_vec();
        if items.is_empty() {
            return Err(PayloadError::Malformed(
                "the list has six items and no chain id, so its signature could be replayed on any chain; append chainId, 0, 0 (EIP-155)"
                    .into(),
            ));
        }
        let chain_item = items.next("chainId")?;
        let (r, s) = (items.next("0 in place of r")?, items.next("0 in place of s")?);
        if [r, s].iter().any(|item| item.string().is_ok_and(|bytes| bytes.len() > 1)) {
            return Err(PayloadError::Malformed(format!(
                "the transaction is signed already (r at byte {}, s at byte {}); send it unsigned, with chainId, 0, 0 in place of v, r, s (EIP-155)",
                r.offset, s.offset
            )));
        }
        for item in [r, s] {
            if item.u64()? != 0 {
                return Err(PayloadError::Malformed(format!(
                    "the item at byte {} is not 0; an unsigned legacy transaction ends with chainId, 0, 0 (EIP-155)",
                    item.offset
                )));
            }
        }
        finish(&items, LEGACY, "nonce, gasPrice, gasLimit, to, value, data, chainId, 0, 0")?;
        let transaction = Self {
            chain_id: chain_id(chain_item)?,
            nonce,
            gas_price,
            gas_limit,
            to,
            value,
            data,
        };
        same_bytes(LEGACY, payload, &transaction.unsigned())?;
        Ok(transaction)
    }
}

impl Eip2930 {
    /// Parses canonical bytes, the inverse of [`Eip2930::unsigned`].
    ///
    /// # Errors
    /// What is wrong, at which byte, and what would be right.
    pub fn parse(payload: &[u8]) -> Result<Self, PayloadError> {
        let mut items = typed_items(EIP_2930, Self::TYPE, payload)?;
        let transaction = Self {
            chain_id: chain_id(items.next("chainId")?)?,
            nonce: nonce(items.next("nonce")?)?,
            gas_price: items.next("gasPrice")?.u256()?,
            gas_limit: items.next("gasLimit")?.u64()?,
            to: recipient(items.next("to")?)?,
            value: items.next("value")?.u256()?,
            data: items.next("data")?.string()?.to_vec(),
            access_list: access_list(items.next("accessList")?)?,
        };
        finish(&items, EIP_2930, "chainId, nonce, gasPrice, gasLimit, to, value, data, accessList")?;
        same_bytes(EIP_2930, payload, &transaction.unsigned())?;
        Ok(transaction)
    }
}

impl Eip1559 {
    /// Parses canonical bytes, the inverse of [`Eip1559::unsigned`].
    ///
    /// # Errors
    /// What is wrong, at which byte, and what would be right.
    pub fn parse(payload: &[u8]) -> Result<Self, PayloadError> {
        let mut items = typed_items(EIP_1559, Self::TYPE, payload)?;
        let chain_id = chain_id(items.next("chainId")?)?;
        let nonce = nonce(items.next("nonce")?)?;
        let priority = items.next("maxPriorityFeePerGas")?;
        let transaction = Self {
            chain_id,
            nonce,
            max_priority_fee_per_gas: priority.u256()?,
            max_fee_per_gas: items.next("maxFeePerGas")?.u256()?,
            gas_limit: items.next("gasLimit")?.u64()?,
            to: recipient(items.next("to")?)?,
            value: items.next("value")?.u256()?,
            data: items.next("data")?.string()?.to_vec(),
            access_list: access_list(items.next("accessList")?)?,
        };
        finish(
            &items,
            EIP_1559,
            "chainId, nonce, maxPriorityFeePerGas, maxFeePerGas, gasLimit, to, value, data, accessList",
        )?;
        priority_within(priority, transaction.max_priority_fee_per_gas, transaction.max_fee_per_gas)?;
        same_bytes(EIP_1559, payload, &transaction.unsigned())?;
        Ok(transaction)
    }
}

fn priority_within(item: Item<'_>, priority_fee: U256, fee: U256) -> Result<(), PayloadError> {
    if priority_fee <= fee {
        return Ok(());
    }
    Err(PayloadError::Malformed(format!(
        "`maxPriorityFeePerGas` at byte {} is {priority_fee}, above `maxFeePerGas`, {fee}; no chain takes that (EIP-1559), so lower the one or raise the other",
        item.offset
    )))
}

/// The account of an uncompressed public key, `0x04 || x || y`: the last 20 bytes of the Keccak-256 of `x || y`.
#[must_use]
pub fn address_of(uncompressed: &[u8; 65]) -> Option<[u8; 20]> {
    let (_, point) = uncompressed.split_first()?;
    keccak256(point).last_chunk().copied()
}

fn typed_items<'a>(what: &'static str, transaction_type: u8, payload: &'a [u8]) -> Result<Items<'a>, PayloadError> {
    match payload.split_first() {
        Some((first, rest)) if *first == transaction_type => Items::spanning(what, rest, 1),
        Some((first @ 0xc0.., _)) => Err(PayloadError::Malformed(format!(
            "byte 0 is 0x{first:02x}, a list as in a legacy transaction (`evm/legacy`); an {what} starts with 0x{transaction_type:02x}"
        ))),
        Some((first, _)) => Err(PayloadError::Malformed(format!(
            "byte 0 is 0x{first:02x}; an {what} starts with 0x{transaction_type:02x}{}",
            name_of_type(*first)
        ))),
        None => Err(PayloadError::Malformed(format!(
            "the payload is empty; an {what} starts with 0x{transaction_type:02x}"
        ))),
    }
}

/// A hint for a payload that was sent in another format than its own.
fn name_of_type(first: u8) -> &'static str {
    match first {
        0x01 => "; these bytes look like `evm/eip-2930`",
        0x02 => "; these bytes look like `evm/eip-1559`",
        0x03 => "; these bytes look like `evm/eip-4844`",
        0x04 => "; these bytes look like `evm/eip-7702`",
        0x00 | 0x05..=0xff => "",
    }
}

fn chain_id(item: Item<'_>) -> Result<u64, PayloadError> {
    match item.u64()? {
        0 => Err(PayloadError::Malformed(format!(
            "`chainId` at byte {} is 0, which binds the signature to no chain (EIP-155)",
            item.offset
        ))),
        chain_id => Ok(chain_id),
    }
}

fn nonce(item: Item<'_>) -> Result<u64, PayloadError> {
    match item.u64()? {
        u64::MAX => Err(PayloadError::Malformed(format!(
            "`nonce` at byte {} is 2^64-1, which no chain takes (EIP-2681)",
            item.offset
        ))),
        nonce => Ok(nonce),
    }
}

fn recipient(item: Item<'_>) -> Result<Option<[u8; 20]>, PayloadError> {
    match item.string()? {
        [] => Ok(None),
        bytes => bytes.try_into().map(Some).map_err(|_| {
            PayloadError::Malformed(format!(
                "`to` at byte {} has {} bytes; an address has 20, a contract creation 0",
                item.offset,
                bytes.len()
            ))
        }),
    }
}

fn access_list(item: Item<'_>) -> Result<Vec<AccessListItem>, PayloadError> {
    let mut entries = item.items()?;
    let mut list = Vec::new();
    while !entries.is_empty() {
        let entry = entries.next("accessList entry")?;
        let mut parts = entry.items()?;
        let address = parts.next("accessList address")?.array()?;
        let mut keys = parts.next("accessList storage keys")?.items()?;
        if !parts.is_empty() {
            return Err(PayloadError::Malformed(format!(
                "the access list entry at byte {} has more than an address and its storage keys",
                entry.offset
            )));
        }
        let mut storage_keys = Vec::new();
        while !keys.is_empty() {
            storage_keys.push(keys.next("accessList storage key")?.array()?);
        }
        list.push(AccessListItem { address, storage_keys });
    }
    Ok(list)
}

/// Refuses items after the last one.
fn finish(items: &Items<'_>, what: &str, names: &str) -> Result<(), PayloadError> {
    match items.count() {
        Some(0) => Ok(()),
        Some(3) if what != LEGACY => Err(PayloadError::Malformed(format!(
            "three more items follow at byte {}: the transaction is signed already; send it unsigned ({names})",
            items.offset
        ))),
        Some(_) | None => Err(PayloadError::Malformed(format!(
            "more items follow at byte {}; an unsigned {what} has {names}",
            items.offset
        ))),
    }
}

fn head(transaction_type: u64, chain_id: u64, nonce: u64, gas_limit: u64) -> Vec<Fact> {
    // Seventeen at most: one allocation.
    let mut facts = Vec::with_capacity(17);
    facts.push(facts::u64("evm.transaction-type", transaction_type));
    facts.push(facts::u64("evm.chain-id", chain_id));
    facts.push(facts::u64("evm.nonce", nonce));
    facts.push(facts::u64("evm.gas-limit", gas_limit));
    facts
}

fn call_facts(facts: &mut Vec<Fact>, to: Option<&[u8; 20]>, value: U256, data: &[u8]) {
    facts.push(facts::boolean("evm.create", to.is_none()));
    if let Some(to) = to {
        facts.push(facts::bytes("evm.to", to));
    }
    facts.push(facts::u256("evm.value", value));
    facts.push(facts::bytes("evm.data", data));
    if let (Some(_), Some(selector)) = (to, data.first_chunk::<4>()) {
        facts.push(facts::bytes("evm.selector", selector));
    }
}

fn access_list_facts(facts: &mut Vec<Fact>, access_list: &[AccessListItem]) {
    let addresses = access_list.iter().map(|item| item.address.as_slice());
    facts.push(facts::list_of_bytes("evm.access-list.addresses", addresses));
    let keys = access_list.iter().map(|item| item.storage_keys.len()).sum();
    facts.push(facts::count("evm.access-list.storage-keys", keys));
}

fn decoded(facts: Vec<Fact>, payload: &[u8]) -> Decoded {
    Decoded {
        facts,
        inputs: SigningInputs::one(SigningInput::Digest(keccak256(payload))),
        consensus: None,
        role: None,
    }
}
