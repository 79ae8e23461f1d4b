//! Unsigned EVM transactions as values: parsed from canonical bytes, written to them, and written signed.

use super::U256;
use crate::rlp::{put_list, put_string, put_u64, put_u256};
use sha3::{Digest, Keccak256};

/// An entry of an access list (EIP-2930).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessListItem {
    /// The contract.
    pub address: [u8; 20],
    /// Its storage slots.
    pub storage_keys: Vec<[u8; 32]>,
}

/// A legacy transaction that is bound to a chain (EIP-155).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Legacy {
    /// The chain; never 0.
    pub chain_id: u64,
    /// The sender's next nonce.
    pub nonce: u64,
    /// Wei for each unit of gas.
    pub gas_price: U256,
    /// The most gas it may use.
    pub gas_limit: u64,
    /// The recipient; none creates a contract.
    pub to: Option<[u8; 20]>,
    /// Wei.
    pub value: U256,
    /// Call data, or the contract's init code.
    pub data: Vec<u8>,
}

/// An access-list transaction, type 1 (EIP-2930).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eip2930 {
    /// The chain; never 0.
    pub chain_id: u64,
    /// The sender's next nonce.
    pub nonce: u64,
    /// Wei for each unit of gas.
    pub gas_price: U256,
    /// The most gas it may use.
    pub gas_limit: u64,
    /// The recipient; none creates a contract.
    pub to: Option<[u8; 20]>,
    /// Wei.
    pub value: U256,
    /// Call data, or the contract's init code.
    pub data: Vec<u8>,
    /// What it says it will touch.
    pub access_list: Vec<AccessListItem>,
}

/// A fee-market transaction, type 2 (EIP-1559).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eip1559 {
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
    /// The recipient; none creates a contract.
    pub to: Option<[u8; 20]>,
    /// Wei.
    pub value: U256,
    /// Call data, or the contract's init code.
    pub data: Vec<u8>,
    /// What it says it will touch.
    pub access_list: Vec<AccessListItem>,
}

/// A signature as a transaction carries it.
pub(super) struct Signature<'a> {
    pub(super) r: &'a [u8; 32],
    pub(super) s: &'a [u8; 32],
    /// The parity of R's y coordinate: 0 or 1.
    pub(super) recovery_id: u8,
}

/// What every typed transaction (EIP-2718) is asked for; the attributes are those of `unsigned`, the fields in their order come from `items`.
macro_rules! typed_transaction {
    ($(#[$unsigned:meta])* $name:ident, $type:literal) => {
        impl $name {
            /// The transaction type (EIP-2718).
            pub const TYPE: u8 = $type;

            $(#[$unsigned])*
            #[must_use]
            pub fn unsigned(&self) -> Vec<u8> {
                typed(Self::TYPE, &self.items(None))
            }

            /// The transaction as it stands in a block, and, but for blobs, as a node takes it: a blob transaction goes to a node wrapped
            /// with its sidecar, `0x03 || rlp([these items, ...])` (EIP-4844, "Networking").
            #[must_use]
            pub fn signed(&self, r: &[u8; 32], s: &[u8; 32], recovery_id: u8) -> Vec<u8> {
                typed(Self::TYPE, &self.items(Some(Signature { r, s, recovery_id })))
            }

            /// What is signed: Keccak-256 of [`Self::unsigned`].
            #[must_use]
            pub fn signing_hash(&self) -> [u8; 32] {
                keccak256(&self.unsigned())
            }
        }
    };
}
pub(super) use typed_transaction;

impl Legacy {
    /// The payload of format `evm/legacy`: `rlp([nonce, gasPrice, gasLimit, to, value, data, chainId, 0, 0])` (EIP-155).
    #[must_use]
    pub fn unsigned(&self) -> Vec<u8> {
        let mut items = self.items();
        put_u64(&mut items, self.chain_id);
        put_u64(&mut items, 0);
        put_u64(&mut items, 0);
        list(&items)
    }

    /// The transaction as a node takes it, with `v = chain id * 2 + 35 + recovery id` (EIP-155).
    #[must_use]
    pub fn signed(&self, r: &[u8; 32], s: &[u8; 32], recovery_id: u8) -> Vec<u8> {
        let v = u128::from(self.chain_id) * 2 + 35 + u128::from(recovery_id);
        let mut items = self.items();
        put_u256(&mut items, U256::from(v));
        put_scalars(&mut items, r, s);
        list(&items)
    }

    /// What is signed: Keccak-256 of [`Self::unsigned`].
    #[must_use]
    pub fn signing_hash(&self) -> [u8; 32] {
        keccak256(&self.unsigned())
    }

    fn items(&self) -> Vec<u8> {
        let mut items = Vec::new();
        put_u64(&mut items, self.nonce);
        put_u256(&mut items, self.gas_price);
        put_u64(&mut items, self.gas_limit);
        put_call(&mut items, self.to.as_ref(), self.value, &self.data);
        items
    }
}

typed_transaction! {
    /// The payload of format `evm/eip-2930`:
    /// `0x01 || rlp([chainId, nonce, gasPrice, gasLimit, to, value, data, accessList])`.
    Eip2930, 1
}

impl Eip2930 {
    fn items(&self, signature: Option<Signature<'_>>) -> Vec<u8> {
        let mut items = Vec::new();
        put_u64(&mut items, self.chain_id);
        put_u64(&mut items, self.nonce);
        put_u256(&mut items, self.gas_price);
        put_u64(&mut items, self.gas_limit);
        put_call(&mut items, self.to.as_ref(), self.value, &self.data);
        put_access_list(&mut items, &self.access_list);
        put_signature(&mut items, signature);
        items
    }
}

typed_transaction! {
    /// The payload of format `evm/eip-1559`:
    /// `0x02 || rlp([chainId, nonce, maxPriorityFeePerGas, maxFeePerGas, gasLimit, to, value, data, accessList])`.
    ///
    /// ```
    /// use sigwarden_formats::evm::{Eip1559, U256};
    /// let transfer = Eip1559 {
    ///     chain_id: 1,
    ///     nonce: 0,
    ///     max_priority_fee_per_gas: U256::from(1_000_000_000),
    ///     max_fee_per_gas: U256::from(30_000_000_000_u64),
    ///     gas_limit: 21_000,
    ///     to: Some([0x35; 20]),
    ///     value: U256::from(10).pow(U256::from(18)),
    ///     data: vec![],
    ///     access_list: vec![],
    /// };
    /// assert_eq!(Eip1559::parse(&transfer.unsigned()), Ok(transfer));
    /// ```
    Eip1559, 2
}

impl Eip1559 {
    fn items(&self, signature: Option<Signature<'_>>) -> Vec<u8> {
        let mut items = Vec::new();
        let fees = [self.max_priority_fee_per_gas, self.max_fee_per_gas];
        put_head(&mut items, self.chain_id, self.nonce, fees, self.gas_limit);
        put_call(&mut items, self.to.as_ref(), self.value, &self.data);
        put_access_list(&mut items, &self.access_list);
        put_signature(&mut items, signature);
        items
    }
}

/// A signed transaction's hash, its id on the chain: Keccak-256 of the bytes that a `signed` of this module returns.
#[must_use]
pub fn transaction_hash(signed: &[u8]) -> [u8; 32] {
    keccak256(signed)
}

pub(crate) fn keccak256(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

fn list(items: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(items.len() + 5);
    put_list(&mut out, items);
    out
}

pub(super) fn typed(transaction_type: u8, items: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(items.len() + 6);
    out.push(transaction_type);
    put_list(&mut out, items);
    out
}

/// What a fee-market transaction (EIP-1559) and those after it begin with. `fees` are the priority fee and the whole.
pub(super) fn put_head(out: &mut Vec<u8>, chain_id: u64, nonce: u64, fees: [U256; 2], gas_limit: u64) {
    put_u64(out, chain_id);
    put_u64(out, nonce);
    fees.into_iter().for_each(|fee| put_u256(out, fee));
    put_u64(out, gas_limit);
}

pub(super) fn put_call(out: &mut Vec<u8>, to: Option<&[u8; 20]>, value: U256, data: &[u8]) {
    put_string(out, to.map_or(&[], |to| to.as_slice()));
    put_u256(out, value);
    put_string(out, data);
}

pub(super) fn put_access_list(out: &mut Vec<u8>, access_list: &[AccessListItem]) {
    let mut entries = Vec::new();
    for item in access_list {
        let mut keys = Vec::new();
        for key in &item.storage_keys {
            put_string(&mut keys, key);
        }
        let mut entry = Vec::new();
        put_string(&mut entry, &item.address);
        put_list(&mut entry, &keys);
        put_list(&mut entries, &entry);
    }
    put_list(out, &entries);
}

pub(super) fn put_signature(out: &mut Vec<u8>, signature: Option<Signature<'_>>) {
    if let Some(Signature { r, s, recovery_id }) = signature {
        put_u64(out, u64::from(recovery_id));
        put_scalars(out, r, s);
    }
}

/// R and S are integers here: their leading zeros go.
fn put_scalars(out: &mut Vec<u8>, r: &[u8; 32], s: &[u8; 32]) {
    put_u256(out, U256::from_be_bytes(*r));
    put_u256(out, U256::from_be_bytes(*s));
}
