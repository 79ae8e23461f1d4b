//! `alloy` as a second opinion on EVM transactions.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Signature, TxKind};
use sigwarden_formats::evm::{self, AccessListItem, Eip1559, Eip2930, Eip4844, Eip7702, Legacy, U256};

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

pub fn agrees_with_alloy_eip4844(ours: &Eip4844) {
    let theirs = alloy_says(TxEip4844 {
        chain_id: ours.chain_id,
        nonce: ours.nonce,
        gas_limit: ours.gas_limit,
        max_fee_per_gas: ours.max_fee_per_gas.to(),
        max_priority_fee_per_gas: ours.max_priority_fee_per_gas.to(),
        to: Address::from(ours.to),
        value: ours.value,
        access_list: alloy_list(&ours.access_list),
        blob_versioned_hashes: ours.blob_versioned_hashes.iter().map(|hash| B256::from(*hash)).collect(),
        max_fee_per_blob_gas: ours.max_fee_per_blob_gas.to(),
        input: ours.data.clone().into(),
    });
    assert_eq!((ours.unsigned(), ours.signing_hash(), ours.signed(&R, &S, 1)), theirs);
}

pub fn alloy_authorization(ours: &evm::Authorization) -> SignedAuthorization {
    let inner = Authorization {
        chain_id: ours.chain_id,
        address: Address::from(ours.address),
        nonce: ours.nonce,
    };
    SignedAuthorization::new_unchecked(inner, ours.y_parity, ours.r, ours.s)
}

pub fn agrees_with_alloy_eip7702(ours: &Eip7702) {
    for authorization in &ours.authorization_list {
        assert_eq!(authorization.signing_hash(), alloy_authorization(authorization).signature_hash().0);
    }
    let theirs = alloy_says(TxEip7702 {
        chain_id: ours.chain_id,
        nonce: ours.nonce,
        gas_limit: ours.gas_limit,
        max_fee_per_gas: ours.max_fee_per_gas.to(),
        max_priority_fee_per_gas: ours.max_priority_fee_per_gas.to(),
        to: Address::from(ours.to),
        value: ours.value,
        access_list: alloy_list(&ours.access_list),
        authorization_list: ours.authorization_list.iter().map(alloy_authorization).collect(),
        input: ours.data.clone().into(),
    });
    assert_eq!((ours.unsigned(), ours.signing_hash(), ours.signed(&R, &S, 1)), theirs);
}

/// The bytes that `evm::signed` makes of any unsigned transaction are those that its type's own `signed` makes.
pub fn signed_agrees(unsigned: &[u8], signed: &[u8]) {
    let signature: [u8; 64] = [R, S].concat().try_into().unwrap();
    assert_eq!(evm::signed(unsigned, &signature, 1).unwrap(), signed);
}

pub fn scalars() -> ([u8; 32], [u8; 32]) {
    (R, S)
}

/// `alloy` has fees of 128 bits.
pub fn narrow(fees: &[U256]) -> bool {
    fees.iter().all(|fee| *fee <= U256::from(u128::MAX))
}
