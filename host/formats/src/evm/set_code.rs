//! Set-code transactions, type 4 (EIP-7702), and the authorizations in them.

use super::transaction::{
    AccessListItem, Signature, keccak256, put_access_list, put_call, put_head, put_signature, typed, typed_transaction,
};
use super::{U256, access_list, access_list_facts, call_facts, chain_id, decoded, finish, head, nonce, typed_items};
use crate::rlp::{Item, put_list, put_string, put_u64, put_u256};
use crate::{facts, same_bytes};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId, Signature as Ecdsa};
use sigwarden_core::fact::{Decoded, PayloadError};

const EIP_7702: &str = "EIP-7702 transaction";

/// `MAGIC` (EIP-7702), before what an authorization's signature is over.
const MAGIC: u8 = 5;

/// Authorizations at most: each takes 25000 gas before anything runs (EIP-7702), a transaction 2^24 in all (EIP-7825), and here each
/// costs the recovery of a public key.
const AUTHORIZATIONS_MAX: usize = 671;

/// A set-code transaction, type 4 (EIP-7702).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eip7702 {
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
    /// The recipient; a set-code transaction creates no contract.
    pub to: [u8; 20],
    /// Wei.
    pub value: U256,
    /// Call data.
    pub data: Vec<u8>,
    /// What it says it will touch.
    pub access_list: Vec<AccessListItem>,
    /// Whose code becomes what; at least one.
    pub authorization_list: Vec<Authorization>,
}

/// An account's word that its code becomes a delegate's (EIP-7702): somebody's signature, which this transaction only carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The chain; 0 is every chain.
    pub chain_id: U256,
    /// Whose code it gets; the zero address takes the code away.
    pub address: [u8; 20],
    /// The authority's next nonce.
    pub nonce: u64,
    /// The parity of R's y coordinate: 0 or 1.
    pub y_parity: u8,
    /// The signature's R.
    pub r: U256,
    /// The signature's S.
    pub s: U256,
}

/// Decodes the payload of format `evm/eip-7702`.
///
/// # Errors
/// It is no canonical unsigned EIP-7702 transaction.
pub fn decode_eip7702(payload: &[u8]) -> Result<Decoded, PayloadError> {
    let transaction = Eip7702::parse(payload)?;
    let mut facts = head(4, transaction.chain_id, transaction.nonce, transaction.gas_limit);
    facts.push(facts::u256("evm.max-fee-per-gas", transaction.max_fee_per_gas));
    facts.push(facts::u256("evm.max-priority-fee-per-gas", transaction.max_priority_fee_per_gas));
    call_facts(&mut facts, Some(&transaction.to), transaction.value, &transaction.data);
    access_list_facts(&mut facts, &transaction.access_list);
    let list = &transaction.authorization_list;
    facts.push(facts::list_of_u256(
        "evm.authorizations.chain-ids",
        list.iter().map(|one| one.chain_id),
    ));
    facts.push(facts::list_of_bytes(
        "evm.authorizations.delegates",
        list.iter().map(|one| one.address.as_slice()),
    ));
    facts.push(facts::list_of_u64("evm.authorizations.nonces", list.iter().map(|one| one.nonce)));
    let authorities: Vec<_> = list.iter().map(Authorization::authority).collect();
    let authorities = authorities
        .iter()
        .map(|authority| authority.as_ref().map_or(&[][..], |address| address));
    facts.push(facts::list_of_bytes("evm.authorizations.authorities", authorities));
    Ok(decoded(facts, payload))
}

typed_transaction! {
    /// The payload of format `evm/eip-7702`: `0x04 || rlp([chainId, nonce, maxPriorityFeePerGas, maxFeePerGas, gasLimit, to, value,
    /// data, accessList, authorizationList])`.
    Eip7702, 4
}

impl Eip7702 {
    /// Parses canonical bytes, the inverse of [`Eip7702::unsigned`].
    ///
    /// # Errors
    /// What is wrong, at which byte, and what would be right.
    pub fn parse(payload: &[u8]) -> Result<Self, PayloadError> {
        let mut items = typed_items(EIP_7702, Self::TYPE, payload)?;
        let chain_id = chain_id(items.next("chainId")?)?;
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
            authorization_list: authorization_list(items.next("authorizationList")?)?,
        };
        finish(
            &items,
            EIP_7702,
            "chainId, nonce, maxPriorityFeePerGas, maxFeePerGas, gasLimit, to, value, data, accessList, authorizationList",
        )?;
        super::priority_within(priority, transaction.max_priority_fee_per_gas, transaction.max_fee_per_gas)?;
        same_bytes(EIP_7702, payload, &transaction.unsigned())?;
        Ok(transaction)
    }

    fn items(&self, signature: Option<Signature<'_>>) -> Vec<u8> {
        let mut items = Vec::new();
        let fees = [self.max_priority_fee_per_gas, self.max_fee_per_gas];
        put_head(&mut items, self.chain_id, self.nonce, fees, self.gas_limit);
        put_call(&mut items, Some(&self.to), self.value, &self.data);
        put_access_list(&mut items, &self.access_list);
        let mut entries = Vec::new();
        for authorization in &self.authorization_list {
            put_list(&mut entries, &authorization.items());
        }
        put_list(&mut items, &entries);
        put_signature(&mut items, signature);
        items
    }
}

impl Authorization {
    /// Who gave it, if its signature counts: chains pass over one that recovers nobody or whose S is in the upper half of the order.
    #[must_use]
    pub fn authority(&self) -> Option<[u8; 20]> {
        let mut compact = [0; 64];
        let (r, s) = compact.split_at_mut(32);
        r.copy_from_slice(&self.r.to_be_bytes::<32>());
        s.copy_from_slice(&self.s.to_be_bytes::<32>());
        let signature = Ecdsa::from_compact(&compact).ok()?;
        let mut low = signature;
        low.normalize_s();
        if low != signature {
            return None;
        }
        let id = RecoveryId::try_from(i32::from(self.y_parity)).ok()?;
        let message = secp256k1::Message::from_digest(self.signing_hash());
        let key = RecoverableSignature::from_compact(&compact, id).ok()?.recover(message).ok()?;
        super::address_of(&key.serialize_uncompressed())
    }

    /// What the authority signed: Keccak-256 of `0x05 || rlp([chain_id, address, nonce])` (EIP-7702).
    #[must_use]
    pub fn signing_hash(&self) -> [u8; 32] {
        keccak256(&typed(MAGIC, &self.head()))
    }

    fn head(&self) -> Vec<u8> {
        let mut items = Vec::new();
        put_u256(&mut items, self.chain_id);
        put_string(&mut items, &self.address);
        put_u64(&mut items, self.nonce);
        items
    }

    fn items(&self) -> Vec<u8> {
        let mut items = self.head();
        put_u64(&mut items, self.y_parity.into());
        put_u256(&mut items, self.r);
        put_u256(&mut items, self.s);
        items
    }
}

fn authorization_list(item: Item<'_>) -> Result<Vec<Authorization>, PayloadError> {
    let mut entries = item.items()?;
    let mut list = Vec::new();
    while !entries.is_empty() {
        if list.len() == AUTHORIZATIONS_MAX {
            return Err(PayloadError::Malformed(format!(
                "`authorizationList` at byte {} has more than {AUTHORIZATIONS_MAX} authorizations, for which no transaction has the gas (EIP-7825)",
                item.offset
            )));
        }
        list.push(authorization(entries.next("authorizationList entry")?)?);
    }
    if list.is_empty() {
        return Err(PayloadError::Malformed(format!(
            "`authorizationList` at byte {} is empty; a set-code transaction has at least one authorization (EIP-7702), one without is `evm/eip-1559`",
            item.offset
        )));
    }
    Ok(list)
}

fn authorization(entry: Item<'_>) -> Result<Authorization, PayloadError> {
    let mut parts = entry.items()?;
    let chain_id = parts.next("authorization chain_id")?.u256()?;
    let address = parts.next("authorization address")?.array()?;
    let nonce = nonce(parts.next("authorization nonce")?)?;
    let parity = parts.next("authorization y_parity")?;
    let authorization = Authorization {
        chain_id,
        address,
        nonce,
        y_parity: match parity.u256()? {
            U256::ZERO => 0,
            U256::ONE => 1,
            other => {
                return Err(PayloadError::Malformed(format!(
                    "`y_parity` at byte {} is {other}; it is 0 or 1 (EIP-7702)",
                    parity.offset
                )));
            }
        },
        r: parts.next("authorization r")?.u256()?,
        s: parts.next("authorization s")?.u256()?,
    };
    if !parts.is_empty() {
        return Err(PayloadError::Malformed(format!(
            "the authorization at byte {} has more than chain_id, address, nonce, y_parity, r, s",
            entry.offset
        )));
    }
    Ok(authorization)
}
