//! Valid values and payloads of every structured format, at random.

use proptest::prelude::*;
use sigwarden_core::Format;
use sigwarden_formats::cometbft::{BlockId, MessageTime, Proposal, RawBytes, Vote, VoteType};
use sigwarden_formats::evm::{AccessListItem, Authorization, Eip1559, Eip2930, Eip4844, Eip7702, Legacy, U256, typed_data};
use sigwarden_formats::hotstuff;
use sigwarden_formats::tagged::{Domain, Tagged};

/// Integers of every length, `alloy`'s fees being 128 bits.
pub fn fee() -> impl Strategy<Value = U256> {
    (any::<u128>(), 0..128_u32).prop_map(|(value, shift)| U256::from(value >> shift))
}

pub fn integer() -> impl Strategy<Value = U256> {
    (any::<[u64; 4]>(), 0..256_usize).prop_map(|(limbs, shift)| U256::from_limbs(limbs) >> shift)
}

pub fn small() -> impl Strategy<Value = u64> {
    (1..u64::MAX, 0..63_u32).prop_map(|(value, shift)| (value >> shift).max(1))
}

pub fn data() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

pub fn access_list() -> impl Strategy<Value = Vec<AccessListItem>> {
    let item = (any::<[u8; 20]>(), prop::collection::vec(any::<[u8; 32]>(), 0..4))
        .prop_map(|(address, storage_keys)| AccessListItem { address, storage_keys });
    prop::collection::vec(item, 0..4)
}

prop_compose! {
    pub fn legacy()(chain_id in small(), nonce in small(), gas_price in fee(), gas_limit in any::<u64>(), to in any::<Option<[u8; 20]>>(),
        value in integer(), data in data()) -> Legacy {
        Legacy { chain_id, nonce: nonce - 1, gas_price, gas_limit, to, value, data }
    }
}

prop_compose! {
    pub fn eip2930()(base in legacy(), access_list in access_list()) -> Eip2930 {
        let Legacy { chain_id, nonce, gas_price, gas_limit, to, value, data } = base;
        Eip2930 { chain_id, nonce, gas_price, gas_limit, to, value, data, access_list }
    }
}

prop_compose! {
    pub fn eip1559()(base in legacy(), other in fee(), access_list in access_list()) -> Eip1559 {
        let Legacy { chain_id, nonce, gas_price, gas_limit, to, value, data } = base;
        let (max_priority_fee_per_gas, max_fee_per_gas) = (gas_price.min(other), gas_price.max(other));
        Eip1559 { chain_id, nonce, max_priority_fee_per_gas, max_fee_per_gas, gas_limit, to, value, data, access_list }
    }
}

prop_compose! {
    pub fn eip4844()(base in eip1559(), to: [u8; 20], max_fee_per_blob_gas in fee(), hashes in prop::collection::vec(any::<[u8; 32]>(), 1..5)) -> Eip4844 {
        let Eip1559 { chain_id, nonce, max_priority_fee_per_gas, max_fee_per_gas, gas_limit, value, data, access_list, to: _ } = base;
        let version = |mut hash: [u8; 32]| { hash[0] = 1; hash };
        let blob_versioned_hashes = hashes.into_iter().map(version).collect();
        Eip4844 {
            chain_id, nonce, max_priority_fee_per_gas, max_fee_per_gas, gas_limit, to, value, data, access_list, max_fee_per_blob_gas,
            blob_versioned_hashes,
        }
    }
}

prop_compose! {
    pub fn authorization()(chain_id in integer(), address: [u8; 20], nonce in small(), parity: bool, r in integer(), s in integer()) -> Authorization {
        Authorization { chain_id, address, nonce: nonce - 1, y_parity: parity.into(), r, s }
    }
}

prop_compose! {
    pub fn eip7702()(base in eip4844(), authorization_list in prop::collection::vec(authorization(), 1..4)) -> Eip7702 {
        let Eip4844 { chain_id, nonce, max_priority_fee_per_gas, max_fee_per_gas, gas_limit, to, value, data, access_list, .. } = base;
        Eip7702 { chain_id, nonce, max_priority_fee_per_gas, max_fee_per_gas, gas_limit, to, value, data, access_list, authorization_list }
    }
}

/// Typed data as a wallet library may write it: values in any of their forms, white space, keys in another order.
pub fn typed_json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        integer().prop_map(|number| format!("\"{number}\"")),
        integer().prop_map(|number| format!("\"0x{number:x}\"")),
        (0..=9_007_199_254_740_991_u64).prop_map(|number| number.to_string()),
    ];
    let delta = any::<i64>().prop_map(|number| format!("\"{number}\""));
    let bytes = data().prop_map(|bytes| format!("\"0x{}\"", hex::encode_upper(bytes)));
    let text = any::<String>().prop_map(|text| serde_json::Value::from(text).to_string());
    let list = prop::collection::vec((any::<[u8; 20]>(), any::<bool>()), 0..4);
    (number, delta, bytes, text, list).prop_map(|(number, delta, bytes, text, list)| {
        let item = |(token, flag): ([u8; 20], bool)| format!("{{ \"flag\": {flag}, \"token\": \"0x{}\" }}", hex::encode(token));
        let list: Vec<_> = list.into_iter().map(item).collect();
        format!(
            r#"{{ "types": {{ "EIP712Domain": [{{ "type": "uint256", "name": "chainId" }}],
                "Item": [{{"name":"token","type":"address"}},{{"name":"flag","type":"bool"}}],
                "Order": [{{"name":"text","type":"string"}},{{"name":"bytes","type":"bytes"}},{{"name":"number","type":"uint256"}},
                    {{"name":"delta","type":"int64"}},{{"name":"list","type":"Item[]"}}] }},
              "primaryType": "Order", "domain": {{ "chainId": {number} }},
              "message": {{ "number": {number}, "delta": {delta}, "bytes": {bytes}, "text": {text}, "list": [{}] }} }}"#,
            list.join(", ")
        )
    })
}

prop_compose! {
    pub fn raw_bytes()(chain_id in "[ -~]{1,50}", unique_id in "[ -~]{1,256}", raw_bytes in prop::collection::vec(any::<u8>(), 1..300)) -> RawBytes {
        RawBytes { chain_id, unique_id, raw_bytes }
    }
}

prop_compose! {
    pub fn block_id()(hash in any::<[u8; 32]>(), parts_total in 1..=u32::MAX, parts_hash in any::<[u8; 32]>()) -> BlockId {
        BlockId { hash, parts_total, parts_hash }
    }
}

prop_compose! {
    pub fn timestamp()(seconds in prop_oneof![-62_135_596_800..=253_402_300_799_i64, Just(0)], nanos in prop_oneof![0..1_000_000_000, Just(0)]) -> MessageTime {
        MessageTime { seconds, nanos }
    }
}

prop_compose! {
    pub fn vote()(precommit in any::<bool>(), height in 1..=i64::MAX.cast_unsigned(), round in 0..=i32::MAX.cast_unsigned(),
        block_id in prop::option::of(block_id()), timestamp in timestamp(), chain_id in "[ -~]{1,50}") -> Vote {
        let vote_type = if precommit { VoteType::Precommit } else { VoteType::Prevote };
        Vote { vote_type, height, round, block_id, timestamp, chain_id }
    }
}

prop_compose! {
    pub fn proposal()(vote in vote(), block_id in block_id(), pol in any::<Option<u32>>()) -> Proposal {
        let Vote { height, round, timestamp, chain_id, .. } = vote;
        let pol_round = pol.and_then(|pol| pol.checked_rem(round));
        Proposal { height, round, pol_round, block_id, timestamp, chain_id }
    }
}

prop_compose! {
    pub fn hotstuff_vote()(chain_id: u64, view: u64, block_hash: [u8; 32], voter_id: u64) -> hotstuff::Vote {
        hotstuff::Vote { chain_id, view, block_hash, voter_id }
    }
}

prop_compose! {
    pub fn hotstuff_timeout()(chain_id: u64, view: u64, high_qc_hash: Option<[u8; 32]>, voter_id: u64) -> hotstuff::Timeout {
        hotstuff::Timeout { chain_id, view, high_qc_hash, voter_id }
    }
}

prop_compose! {
    pub fn hotstuff_proposal()(vote in hotstuff_vote(), qc: Option<(u64, [u8; 32])>, epoch: u64, suite_id: u16) -> hotstuff::Proposal {
        let hotstuff::Vote { chain_id, view, block_hash, voter_id: proposer_id } = vote;
        // Of an earlier view, so none at view 0.
        let earlier = |(qc_view, block_hash): (u64, _)| Some((qc_view.checked_rem(view)?, block_hash));
        let high_qc = qc.and_then(earlier).map(|(view, block_hash)| hotstuff::QuorumCertificate { view, block_hash });
        hotstuff::Proposal { chain_id, view, block_hash, high_qc, proposer_id, epoch, suite_id }
    }
}

prop_compose! {
    pub fn tagged()(domain in prop::sample::select(Domain::ALL), chain_id: u64, body in prop::collection::vec(any::<u8>(), 1..300)) -> Tagged {
        Tagged { domain, chain_id, body }
    }
}

/// A structured format and one of its valid payloads.
pub fn structured() -> impl Strategy<Value = (Format, Vec<u8>)> {
    prop_oneof![
        legacy().prop_map(|it| (Format::EvmLegacy, it.unsigned())),
        eip2930().prop_map(|it| (Format::EvmEip2930, it.unsigned())),
        eip1559().prop_map(|it| (Format::EvmEip1559, it.unsigned())),
        eip4844().prop_map(|it| (Format::EvmEip4844, it.unsigned())),
        eip7702().prop_map(|it| (Format::EvmEip7702, it.unsigned())),
        raw_bytes().prop_map(|it| (Format::CometBftRawBytes, it.sign_bytes())),
        typed_json().prop_map(|json| (Format::EvmEip712, typed_data::canonical(json.as_bytes()).unwrap())),
        vote().prop_map(|it| (Format::CometBftVote, it.sign_bytes())),
        proposal().prop_map(|it| (Format::CometBftProposal, it.sign_bytes())),
        (vote(), block_id(), data()).prop_map(|(vote, block_id, extension)| {
            let vote = Vote {
                vote_type: VoteType::Precommit,
                block_id: Some(block_id),
                ..vote
            };
            (Format::CometBftVoteExtension, vote.sign_bytes_with_extension(&extension))
        }),
        hotstuff_proposal().prop_map(|it| (Format::HotStuffProposal, it.sign_bytes())),
        hotstuff_vote().prop_map(|it| (Format::HotStuffVote, it.sign_bytes())),
        hotstuff_timeout().prop_map(|it| (Format::HotStuffTimeout, it.sign_bytes())),
        tagged().prop_map(|it| (Format::TaggedMessage, it.sign_bytes().unwrap())),
    ]
}
