//! `alloy` as a second opinion on EVM transactions.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxLegacy};
use alloy_primitives::{Address, B256, Signature, TxKind};
use sigwarden_formats::evm::{AccessListItem, Eip1559, Eip2930, Legacy};

fn alloy_to(to: Option<[u8; 20]>) -> TxKind {
    to.map_or(TxKind::Create, |to| TxKind::Call(Address::from(to)))
}

fn alloy_list(list: &[AccessListItem]) -> alloy_eips::eip2930::AccessList {
    let item = |item: &AccessListItem| alloy_eips::eip2930::AccessListItem {
        address: Address::from(item.address),
        storage_keys: item.storage_keys.iter().map(|key| B256::from(*key)).collect(),
    };
    alloy_eips::eip2930::AccessList(list.iter().map(item).collect())
}

/// What `alloy` would sign, its hash, and the transaction it would send with [`R`] and [`S`].
fn alloy_says(transaction: impl SignableTransaction<Signature> + alloy_consensus::transaction::RlpEcdsaEncodableTx) -> Encodings {
    let signature = Signature::from_scalars_and_parity(R.into(), S.into(), true);
    let mut signed = vec![];
    transaction.eip2718_encode(&signature, &mut signed);
    (transaction.encoded_for_signing(), transaction.signature_hash().0, signed)
}

/// Unsigned bytes, signing hash, signed bytes.
type Encodings = (Vec<u8>, [u8; 32], Vec<u8>);

const R: [u8; 32] = [0x11; 32];
/// With leading zeros, which an integer has not.
const S: [u8; 32] = {
    let mut s = [0; 32];
    s[31] = 5;
    s
};

pub fn agrees_with_alloy_legacy(ours: &Legacy) {
    let theirs = alloy_says(TxLegacy {
        chain_id: Some(ours.chain_id),
        nonce: ours.nonce,
        gas_price: ours.gas_price.to(),
        gas_limit: ours.gas_limit,
        to: alloy_to(ours.to),
        value: ours.value,
        input: ours.data.clone().into(),
    });
    assert_eq!((ours.unsigned(), ours.signing_hash(), ours.signed(&R, &S, 1)), theirs);
}

pub fn agrees_with_alloy_eip2930(ours: &Eip2930) {
    let theirs = alloy_says(TxEip2930 {
        chain_id: ours.chain_id,
        nonce: ours.nonce,
        gas_price: ours.gas_price.to(),
        gas_limit: ours.gas_limit,
        to: alloy_to(ours.to),
        value: ours.value,
        access_list: alloy_list(&ours.access_list),
        input: ours.data.clone().into(),
    });
    assert_eq!((ours.unsigned(), ours.signing_hash(), ours.signed(&R, &S, 1)), theirs);
}

pub fn agrees_with_alloy_eip1559(ours: &Eip1559) {
    let theirs = alloy_says(TxEip1559 {
        chain_id: ours.chain_id,
        nonce: ours.nonce,
        gas_limit: ours.gas_limit,
        max_fee_per_gas: ours.max_fee_per_gas.to(),
        max_priority_fee_per_gas: ours.max_priority_fee_per_gas.to(),
        to: alloy_to(ours.to),
        value: ours.value,
        access_list: alloy_list(&ours.access_list),
        input: ours.data.clone().into(),
    });
    assert_eq!((ours.unsigned(), ours.signing_hash(), ours.signed(&R, &S, 1)), theirs);
}
