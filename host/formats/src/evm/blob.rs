//! Blob transactions, type 3 (EIP-4844), without their sidecar: the blobs travel beside the transaction and are bound to it by their
//! versioned hashes, which are what is signed.

use super::transaction::{
    AccessListItem, Signature, keccak256, put_access_list, put_call, put_head, put_signature, typed, typed_transaction,
};
use super::{U256, access_list, access_list_facts, call_facts, chain_id, decoded, finish, head, nonce, typed_items};
use crate::rlp::{Item, put_list, put_string, put_u256};
use crate::{facts, same_bytes};
use sigwarden_core::fact::{Decoded, PayloadError};

const EIP_4844: &str = "EIP-4844 transaction";

/// `VERSIONED_HASH_VERSION_KZG` (EIP-4844): the only version that a chain takes.
const KZG: u8 = 1;

/// A blob transaction, type 3 (EIP-4844).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eip4844 {
    /// The chain; never 0.
    pub chain_id: u64,
    /// The sender's next nonce.
    pub nonce: u64,
    /// The most of the fee that goes to the block's proposer: wei for each unit of gas.
    pub max_priority_fee_per_gas: U256,
    /// The most in all: wei for each unit of gas.
    pub max_fee_per_gas: U256,
    /// The most gas it may use.
    pub gas_limit: u64,
    /// The recipient; a blob transaction creates no contract.
    pub to: [u8; 20],
    /// Wei.
    pub value: U256,
    /// Call data.
    pub data: Vec<u8>,
    /// What it says it will touch.
    pub access_list: Vec<AccessListItem>,
    /// Wei for each unit of blob gas; a blob takes 131072 units.
    pub max_fee_per_blob_gas: U256,
    /// The versioned hash of each blob, at least one; each starts with 0x01.
    pub blob_versioned_hashes: Vec<[u8; 32]>,
}

/// Decodes the payload of format `evm/eip-4844`.
///
/// # Errors
/// It is no canonical unsigned EIP-4844 transaction.
pub fn decode_eip4844(payload: &[u8]) -> Result<Decoded, PayloadError> {
    let transaction = Eip4844::parse(payload)?;
    let mut facts = head(3, transaction.chain_id, transaction.nonce, transaction.gas_limit);
    facts.push(facts::u256("evm.max-fee-per-gas", transaction.max_fee_per_gas));
    facts.push(facts::u256("evm.max-priority-fee-per-gas", transaction.max_priority_fee_per_gas));
    call_facts(&mut facts, Some(&transaction.to), transaction.value, &transaction.data);
    access_list_facts(&mut facts, &transaction.access_list);
    facts.push(facts::u256("evm.max-fee-per-blob-gas", transaction.max_fee_per_blob_gas));
    let hashes = transaction.blob_versioned_hashes.iter().map(<[u8; 32]>::as_slice);
    facts.push(facts::list_of_bytes("evm.blob-versioned-hashes", hashes));
    facts.push(facts::count("evm.blobs", transaction.blob_versioned_hashes.len()));
    Ok(decoded(facts, payload))
}

typed_transaction! {
    /// The payload of format `evm/eip-4844`: `0x03 || rlp([chainId, nonce, maxPriorityFeePerGas, maxFeePerGas, gasLimit, to, value,
    /// data, accessList, maxFeePerBlobGas, blobVersionedHashes])`.
    Eip4844, 3
}

impl Eip4844 {
    /// Parses canonical bytes, the inverse of [`Eip4844::unsigned`].
    ///
    /// # Errors
    /// What is wrong, at which byte, and what would be right.
    pub fn parse(payload: &[u8]) -> Result<Self, PayloadError> {
        let mut items = typed_items(EIP_4844, Self::TYPE, payload)?;
        let first = items.next("chainId")?;
        if first.string().is_err() {
            return Err(PayloadError::Malformed(format!(
                "`chainId` at byte {} is a list, as in the network form of a blob transaction; send the transaction alone, without blobs, commitments and proofs",
                first.offset
            )));
        }
        let chain_id = chain_id(first)?;
        let nonce = nonce(items.next("nonce")?)?;
        let priority = items.next("maxPriorityFeePerGas")?;
        let transaction = Self {
            chain_id,
            nonce,
            max_priority_fee_per_gas: priority.u256()?,
            max_fee_per_gas: items.next("maxFeePerGas")?.u256()?,
            gas_limit: items.next("gasLimit")?.u64()?,
            to: items.next("to")?.array()?,
            value: items.next("value")?.u256()?,
            data: items.next("data")?.string()?.to_vec(),
            access_list: access_list(items.next("accessList")?)?,
            max_fee_per_blob_gas: items.next("maxFeePerBlobGas")?.u256()?,
            blob_versioned_hashes: versioned_hashes(items.next("blobVersionedHashes")?)?,
        };
        finish(
            &items,
            EIP_4844,
            "chainId, nonce, maxPriorityFeePerGas, maxFeePerGas, gasLimit, to, value, data, accessList, maxFeePerBlobGas, blobVersionedHashes",
        )?;
        super::priority_within(priority, transaction.max_priority_fee_per_gas, transaction.max_fee_per_gas)?;
        same_bytes(EIP_4844, payload, &transaction.unsigned())?;
        Ok(transaction)
    }

    fn items(&self, signature: Option<Signature<'_>>) -> Vec<u8> {
        let mut items = Vec::new();
        let fees = [self.max_priority_fee_per_gas, self.max_fee_per_gas];
        put_head(&mut items, self.chain_id, self.nonce, fees, self.gas_limit);
        put_call(&mut items, Some(&self.to), self.value, &self.data);
        put_access_list(&mut items, &self.access_list);
        put_u256(&mut items, self.max_fee_per_blob_gas);
        let mut hashes = Vec::new();
        for hash in &self.blob_versioned_hashes {
            put_string(&mut hashes, hash);
        }
        put_list(&mut items, &hashes);
        put_signature(&mut items, signature);
        items
    }
}

/// No upper limit here: forks move it, and the payload's own bounds the work. Policies set one.
fn versioned_hashes(item: Item<'_>) -> Result<Vec<[u8; 32]>, PayloadError> {
    let mut items = item.items()?;
    let mut hashes = Vec::new();
    while !items.is_empty() {
        let entry = items.next("blobVersionedHashes entry")?;
        let hash: [u8; 32] = entry.array()?;
        if let [version, ..] = hash
            && version != KZG
        {
            return Err(PayloadError::Malformed(format!(
                "the blob's versioned hash at byte {} starts with 0x{version:02x}; the only version is 0x01 (EIP-4844)",
                entry.offset
            )));
        }
        hashes.push(hash);
    }
    if hashes.is_empty() {
        return Err(PayloadError::Malformed(format!(
            "`blobVersionedHashes` at byte {} is empty; a blob transaction has at least one blob (EIP-4844), one without is `evm/eip-1559`",
            item.offset
        )));
    }
    Ok(hashes)
}
