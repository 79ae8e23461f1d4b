//! What others make of the values that were decoded: `alloy` for EVM, `prost` for CometBFT.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, TxKind};
use prost::Message;
use sigwarden_formats::cometbft::{BlockId, MessageTime, Proposal, RawBytes, Vote, VoteType};
use sigwarden_formats::evm::{self, AccessListItem, Eip1559, Eip2930, Eip4844, Eip7702, Legacy, U256};
use sigwarden_formats::{hotstuff, tagged};

/// What `alloy` takes for a price; more is more than there is of any coin.
fn price(price: &U256) -> Option<u128> {
    u128::try_from(*price).ok()
}

fn to(to: Option<[u8; 20]>) -> TxKind {
    to.map_or(TxKind::Create, |to| TxKind::Call(Address::from(to)))
}

fn list(list: &[AccessListItem]) -> alloy_eips::eip2930::AccessList {
    let item = |item: &AccessListItem| alloy_eips::eip2930::AccessListItem {
        address: Address::from(item.address),
        storage_keys: item.storage_keys.iter().map(|key| B256::from(*key)).collect(),
    };
    alloy_eips::eip2930::AccessList(list.iter().map(item).collect())
}

pub(crate) fn legacy(ours: &Legacy) -> Option<Vec<u8>> {
    let theirs = TxLegacy {
        chain_id: Some(ours.chain_id),
        nonce: ours.nonce,
        gas_price: price(&ours.gas_price)?,
        gas_limit: ours.gas_limit,
        to: to(ours.to),
        value: ours.value,
        input: ours.data.clone().into(),
    };
    Some(theirs.encoded_for_signing())
}

pub(crate) fn eip2930(ours: &Eip2930) -> Option<Vec<u8>> {
    let theirs = TxEip2930 {
        chain_id: ours.chain_id,
        nonce: ours.nonce,
        gas_price: price(&ours.gas_price)?,
        gas_limit: ours.gas_limit,
        to: to(ours.to),
        value: ours.value,
        access_list: list(&ours.access_list),
        input: ours.data.clone().into(),
    };
    Some(theirs.encoded_for_signing())
}

pub(crate) fn eip1559(ours: &Eip1559) -> Option<Vec<u8>> {
    let theirs = TxEip1559 {
        chain_id: ours.chain_id,
        nonce: ours.nonce,
        gas_limit: ours.gas_limit,
        max_fee_per_gas: price(&ours.max_fee_per_gas)?,
        max_priority_fee_per_gas: price(&ours.max_priority_fee_per_gas)?,
        to: to(ours.to),
        value: ours.value,
        access_list: list(&ours.access_list),
        input: ours.data.clone().into(),
    };
    Some(theirs.encoded_for_signing())
}

pub(crate) fn eip4844(ours: &Eip4844) -> Option<Vec<u8>> {
    let theirs = TxEip4844 {
        chain_id: ours.chain_id,
        nonce: ours.nonce,
        gas_limit: ours.gas_limit,
        max_fee_per_gas: price(&ours.max_fee_per_gas)?,
        max_priority_fee_per_gas: price(&ours.max_priority_fee_per_gas)?,
        to: Address::from(ours.to),
        value: ours.value,
        access_list: list(&ours.access_list),
        blob_versioned_hashes: ours.blob_versioned_hashes.iter().map(|hash| B256::from(*hash)).collect(),
        max_fee_per_blob_gas: price(&ours.max_fee_per_blob_gas)?,
        input: ours.data.clone().into(),
    };
    Some(theirs.encoded_for_signing())
}

fn authorization(ours: &evm::Authorization) -> SignedAuthorization {
    let inner = Authorization {
        chain_id: ours.chain_id,
        address: Address::from(ours.address),
        nonce: ours.nonce,
    };
    SignedAuthorization::new_unchecked(inner, ours.y_parity, ours.r, ours.s)
}

pub(crate) fn eip7702(ours: &Eip7702) -> Option<Vec<u8>> {
    let theirs = TxEip7702 {
        chain_id: ours.chain_id,
        nonce: ours.nonce,
        gas_limit: ours.gas_limit,
        max_fee_per_gas: price(&ours.max_fee_per_gas)?,
        max_priority_fee_per_gas: price(&ours.max_priority_fee_per_gas)?,
        to: Address::from(ours.to),
        value: ours.value,
        access_list: list(&ours.access_list),
        authorization_list: ours.authorization_list.iter().map(authorization).collect(),
        input: ours.data.clone().into(),
    };
    Some(theirs.encoded_for_signing())
}

/// What a JSON library writes of the text: keys in order, no white space.
pub(crate) fn json(text: &[u8]) -> Vec<u8> {
    let json: serde_json::Value = serde_json::from_slice(text).expect("it decoded");
    json.to_string().into_bytes()
}

#[derive(Clone, PartialEq, Message)]
struct SignRawBytesRequest {
    #[prost(string, tag = "1")]
    chain_id: String,
    #[prost(bytes = "vec", tag = "2")]
    raw_bytes: Vec<u8>,
    #[prost(string, tag = "3")]
    unique_id: String,
}

pub(crate) fn raw_bytes(ours: &RawBytes) -> Vec<u8> {
    let theirs = SignRawBytesRequest {
        chain_id: ours.chain_id.clone(),
        raw_bytes: ours.raw_bytes.clone(),
        unique_id: ours.unique_id.clone(),
    };
    [b"COMET::RAW_BYTES::SIGN".as_slice(), &theirs.encode_length_delimited_to_vec()].concat()
}

#[derive(Clone, PartialEq, Message)]
struct PartSetHeader {
    #[prost(uint32, tag = "1")]
    total: u32,
    #[prost(bytes = "vec", tag = "2")]
    hash: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct CanonicalBlockId {
    #[prost(bytes = "vec", tag = "1")]
    hash: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    part_set_header: Option<PartSetHeader>,
}

#[derive(Clone, PartialEq, Message)]
struct CanonicalVote {
    #[prost(int32, tag = "1")]
    message_type: i32,
    #[prost(sfixed64, tag = "2")]
    height: i64,
    #[prost(sfixed64, tag = "3")]
    round: i64,
    #[prost(message, optional, tag = "4")]
    block_id: Option<CanonicalBlockId>,
    #[prost(message, optional, tag = "5")]
    timestamp: Option<Timestamp>,
    #[prost(string, tag = "6")]
    chain_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct CanonicalProposal {
    #[prost(int32, tag = "1")]
    message_type: i32,
    #[prost(sfixed64, tag = "2")]
    height: i64,
    #[prost(sfixed64, tag = "3")]
    round: i64,
    #[prost(int64, tag = "4")]
    pol_round: i64,
    #[prost(message, optional, tag = "5")]
    block_id: Option<CanonicalBlockId>,
    #[prost(message, optional, tag = "6")]
    timestamp: Option<Timestamp>,
    #[prost(string, tag = "7")]
    chain_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

fn block_id(block_id: &BlockId) -> CanonicalBlockId {
    CanonicalBlockId {
        hash: block_id.hash.to_vec(),
        part_set_header: Some(PartSetHeader {
            total: block_id.parts_total,
            hash: block_id.parts_hash.to_vec(),
        }),
    }
}

fn time(time: MessageTime) -> Option<Timestamp> {
    Some(Timestamp {
        seconds: time.seconds,
        nanos: time.nanos,
    })
}

pub(crate) fn vote(vote: &Vote) -> Vec<u8> {
    let theirs = CanonicalVote {
        message_type: if vote.vote_type == VoteType::Prevote { 1 } else { 2 },
        height: i64::try_from(vote.height).expect("a height is an int64"),
        round: vote.round.into(),
        block_id: vote.block_id.as_ref().map(block_id),
        timestamp: time(vote.timestamp),
        chain_id: vote.chain_id.clone(),
    };
    theirs.encode_length_delimited_to_vec()
}

pub(crate) fn proposal(proposal: &Proposal) -> Vec<u8> {
    let theirs = CanonicalProposal {
        message_type: 32,
        height: i64::try_from(proposal.height).expect("a height is an int64"),
        round: proposal.round.into(),
        pol_round: proposal.pol_round.map_or(-1, i64::from),
        block_id: Some(block_id(&proposal.block_id)),
        timestamp: time(proposal.timestamp),
        chain_id: proposal.chain_id.clone(),
    };
    theirs.encode_length_delimited_to_vec()
}

/// Fields one after another, as the tables of `docs/formats.md` have them.
fn fields(tag: &str, fields: &[&[u8]]) -> Vec<u8> {
    [&[tag.as_bytes()], fields].concat().concat()
}

/// The flag and what it announces.
fn optional(present: Option<Vec<u8>>) -> Vec<u8> {
    present.map_or_else(|| vec![0], |bytes| [vec![1], bytes].concat())
}

/// A HotStuff proposal's payload.
pub fn hotstuff_proposal(of: &hotstuff::Proposal) -> Vec<u8> {
    let qc = of.high_qc.as_ref().map(|qc| [&qc.view.to_be_bytes(), &qc.block_hash[..]].concat());
    fields(
        "QBIND_PROPOSAL_V1",
        &[
            &of.chain_id.to_be_bytes(),
            &of.view.to_be_bytes(),
            &of.block_hash,
            &optional(qc),
            &of.proposer_id.to_be_bytes(),
            &of.epoch.to_be_bytes(),
            &of.suite_id.to_be_bytes(),
        ],
    )
}

/// A HotStuff vote's payload.
pub fn hotstuff_vote(of: &hotstuff::Vote) -> Vec<u8> {
    let (chain_id, view, voter_id) = (of.chain_id.to_be_bytes(), of.view.to_be_bytes(), of.voter_id.to_be_bytes());
    fields("QBIND_VOTE_V1", &[&chain_id, &view, &of.block_hash, &voter_id])
}

/// A HotStuff timeout's payload.
pub fn hotstuff_timeout(of: &hotstuff::Timeout) -> Vec<u8> {
    let (chain_id, view, voter_id) = (of.chain_id.to_be_bytes(), of.view.to_be_bytes(), of.voter_id.to_be_bytes());
    let qc = optional(of.high_qc_hash.map(|hash| hash.to_vec()));
    fields("QBIND_TIMEOUT_V1", &[&chain_id, &view, &qc, &voter_id])
}

/// A tagged message's payload.
pub fn tagged(of: &tagged::Tagged) -> Vec<u8> {
    let tag = match of.domain {
        tagged::Domain::Batch => "QBIND_BATCH_V1",
        tagged::Domain::BatchAck => "QBIND_BATCH_ACK_V1",
        tagged::Domain::Governance => "QBIND_GOVERNANCE_V1",
        tagged::Domain::Operation => "QBIND_OPERATION_V1",
        tagged::Domain::Withdrawal => "QBIND_WITHDRAWAL_V1",
    };
    let length = u32::try_from(of.body.len()).expect("it decoded");
    fields(tag, &[&of.chain_id.to_be_bytes(), &length.to_be_bytes(), &of.body])
}
