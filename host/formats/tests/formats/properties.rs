//! Laws: what is encoded decodes to the same, what decodes is what an independent encoder writes, nothing panics.

use crate::alloy::{self, agrees_with_alloy_eip1559, agrees_with_alloy_eip2930, agrees_with_alloy_legacy, narrow};
use crate::cometbft_vectors::{proposal_agrees_with_prost, vote_agrees_with_prost};
use crate::{decode, refusal, samples, scheme_of};
use proptest::prelude::*;
use proptest::sample::Index;
use sigwarden_core::fact::PayloadError;
use sigwarden_core::{Format, Scheme};
use sigwarden_formats::cometbft::{BlockId, MessageTime, Proposal, RawBytes, Vote, VoteType};
use sigwarden_formats::evm::{AccessListItem, Authorization, Eip1559, Eip2930, Eip4844, Eip7702, Legacy, TypedData, U256, typed_data};
use sigwarden_formats::hotstuff;
use sigwarden_formats::tagged::{Domain, Tagged};

/// Integers of every length, `alloy`'s fees being 128 bits.
fn fee() -> impl Strategy<Value = U256> {
    (any::<u128>(), 0..128_u32).prop_map(|(value, shift)| U256::from(value >> shift))
}

fn integer() -> impl Strategy<Value = U256> {
    (any::<[u64; 4]>(), 0..256_usize).prop_map(|(limbs, shift)| U256::from_limbs(limbs) >> shift)
}

fn small() -> impl Strategy<Value = u64> {
    (1..u64::MAX, 0..63_u32).prop_map(|(value, shift)| (value >> shift).max(1))
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

fn access_list() -> impl Strategy<Value = Vec<AccessListItem>> {
    let item = (any::<[u8; 20]>(), prop::collection::vec(any::<[u8; 32]>(), 0..4))
        .prop_map(|(address, storage_keys)| AccessListItem { address, storage_keys });
    prop::collection::vec(item, 0..4)
}

prop_compose! {
    fn legacy()(chain_id in small(), nonce in small(), gas_price in fee(), gas_limit in any::<u64>(), to in any::<Option<[u8; 20]>>(),
        value in integer(), data in data()) -> Legacy {
        Legacy { chain_id, nonce: nonce - 1, gas_price, gas_limit, to, value, data }
    }
}

prop_compose! {
    fn eip2930()(base in legacy(), access_list in access_list()) -> Eip2930 {
        let Legacy { chain_id, nonce, gas_price, gas_limit, to, value, data } = base;
        Eip2930 { chain_id, nonce, gas_price, gas_limit, to, value, data, access_list }
    }
}

prop_compose! {
    fn eip1559()(base in legacy(), other in fee(), access_list in access_list()) -> Eip1559 {
        let Legacy { chain_id, nonce, gas_price, gas_limit, to, value, data } = base;
        let (max_priority_fee_per_gas, max_fee_per_gas) = (gas_price.min(other), gas_price.max(other));
        Eip1559 { chain_id, nonce, max_priority_fee_per_gas, max_fee_per_gas, gas_limit, to, value, data, access_list }
    }
}

prop_compose! {
    fn eip4844()(base in eip1559(), to: [u8; 20], max_fee_per_blob_gas in fee(), hashes in prop::collection::vec(any::<[u8; 32]>(), 1..5)) -> Eip4844 {
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
    fn authorization()(chain_id in integer(), address: [u8; 20], nonce in small(), parity: bool, r in integer(), s in integer()) -> Authorization {
        Authorization { chain_id, address, nonce: nonce - 1, y_parity: parity.into(), r, s }
    }
}

prop_compose! {
    fn eip7702()(base in eip4844(), authorization_list in prop::collection::vec(authorization(), 1..4)) -> Eip7702 {
        let Eip4844 { chain_id, nonce, max_priority_fee_per_gas, max_fee_per_gas, gas_limit, to, value, data, access_list, .. } = base;
        Eip7702 { chain_id, nonce, max_priority_fee_per_gas, max_fee_per_gas, gas_limit, to, value, data, access_list, authorization_list }
    }
}

/// Typed data as a wallet library may write it: values in any of their forms, white space, keys in another order.
fn typed_json() -> impl Strategy<Value = String> {
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
    fn raw_bytes()(chain_id in "[ -~]{1,50}", unique_id in "[ -~]{1,256}", raw_bytes in prop::collection::vec(any::<u8>(), 1..300)) -> RawBytes {
        RawBytes { chain_id, unique_id, raw_bytes }
    }
}

prop_compose! {
    fn block_id()(hash in any::<[u8; 32]>(), parts_total in 1..=u32::MAX, parts_hash in any::<[u8; 32]>()) -> BlockId {
        BlockId { hash, parts_total, parts_hash }
    }
}

prop_compose! {
    fn timestamp()(seconds in prop_oneof![-62_135_596_800..=253_402_300_799_i64, Just(0)], nanos in prop_oneof![0..1_000_000_000, Just(0)]) -> MessageTime {
        MessageTime { seconds, nanos }
    }
}

prop_compose! {
    fn vote()(precommit in any::<bool>(), height in 1..=i64::MAX.cast_unsigned(), round in 0..=i32::MAX.cast_unsigned(),
        block_id in prop::option::of(block_id()), timestamp in timestamp(), chain_id in "[ -~]{1,50}") -> Vote {
        let vote_type = if precommit { VoteType::Precommit } else { VoteType::Prevote };
        Vote { vote_type, height, round, block_id, timestamp, chain_id }
    }
}

prop_compose! {
    fn proposal()(vote in vote(), block_id in block_id(), pol in any::<Option<u32>>()) -> Proposal {
        let Vote { height, round, timestamp, chain_id, .. } = vote;
        let pol_round = pol.and_then(|pol| pol.checked_rem(round));
        Proposal { height, round, pol_round, block_id, timestamp, chain_id }
    }
}

prop_compose! {
    fn hotstuff_vote()(chain_id: u64, view: u64, block_hash: [u8; 32], voter_id: u64) -> hotstuff::Vote {
        hotstuff::Vote { chain_id, view, block_hash, voter_id }
    }
}

prop_compose! {
    fn hotstuff_timeout()(chain_id: u64, view: u64, high_qc_hash: Option<[u8; 32]>, voter_id: u64) -> hotstuff::Timeout {
        hotstuff::Timeout { chain_id, view, high_qc_hash, voter_id }
    }
}

prop_compose! {
    fn hotstuff_proposal()(vote in hotstuff_vote(), qc: Option<(u64, [u8; 32])>, epoch: u64, suite_id: u16) -> hotstuff::Proposal {
        let hotstuff::Vote { chain_id, view, block_hash, voter_id: proposer_id } = vote;
        // Of an earlier view, so none at view 0.
        let earlier = |(qc_view, block_hash): (u64, _)| Some((qc_view.checked_rem(view)?, block_hash));
        let high_qc = qc.and_then(earlier).map(|(view, block_hash)| hotstuff::QuorumCertificate { view, block_hash });
        hotstuff::Proposal { chain_id, view, block_hash, high_qc, proposer_id, epoch, suite_id }
    }
}

prop_compose! {
    fn tagged()(domain in prop::sample::select(Domain::ALL), chain_id: u64, body in prop::collection::vec(any::<u8>(), 1..300)) -> Tagged {
        Tagged { domain, chain_id, body }
    }
}

/// A structured format and one of its valid payloads.
fn structured() -> impl Strategy<Value = (Format, Vec<u8>)> {
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

/// If the payload decodes, an encoder that is not ours writes the same bytes from what was read.
fn decodes_only_as_itself(format: Format, payload: &[u8]) {
    let Ok(decoded) = decode(format, payload) else { return };
    match format {
        Format::EvmLegacy => {
            let read = Legacy::parse(payload).unwrap();
            assert_eq!(read.unsigned(), payload);
            if narrow(&[read.gas_price]) {
                agrees_with_alloy_legacy(&read);
            }
        }
        Format::EvmEip2930 => {
            let read = Eip2930::parse(payload).unwrap();
            assert_eq!(read.unsigned(), payload);
            if narrow(&[read.gas_price]) {
                agrees_with_alloy_eip2930(&read);
            }
        }
        Format::EvmEip1559 => {
            let read = Eip1559::parse(payload).unwrap();
            assert_eq!(read.unsigned(), payload);
            if narrow(&[read.max_fee_per_gas]) {
                agrees_with_alloy_eip1559(&read);
            }
        }
        Format::EvmEip4844 => {
            let read = Eip4844::parse(payload).unwrap();
            assert_eq!(read.unsigned(), payload);
            if narrow(&[read.max_fee_per_gas, read.max_fee_per_blob_gas]) {
                alloy::agrees_with_alloy_eip4844(&read);
            }
        }
        Format::EvmEip7702 => {
            let read = Eip7702::parse(payload).unwrap();
            assert_eq!(read.unsigned(), payload);
            if narrow(&[read.max_fee_per_gas]) {
                alloy::agrees_with_alloy_eip7702(&read);
            }
        }
        Format::CometBftRawBytes if payload.starts_with(RawBytes::PREFIX.as_bytes()) => {
            assert_eq!(RawBytes::parse(payload).unwrap().sign_bytes(), payload);
        }
        Format::CometBftVote => {
            let read = Vote::parse(payload).unwrap();
            assert_eq!(read.sign_bytes(), payload);
            vote_agrees_with_prost(&read);
        }
        Format::CometBftProposal => {
            let read = Proposal::parse(payload).unwrap();
            assert_eq!(read.sign_bytes(), payload);
            proposal_agrees_with_prost(&read);
        }
        Format::CometBftVoteExtension => {
            let inputs = sigwarden_formats::decode(format, Scheme::Ed25519, payload).unwrap().inputs;
            let second = inputs.second.as_ref().unwrap();
            assert_eq!([inputs.first.as_bytes(), second.as_bytes()].concat(), payload);
            let read = Vote::parse(inputs.first.as_bytes()).unwrap();
            vote_agrees_with_prost(&read);
        }
        Format::HotStuffProposal => assert_eq!(hotstuff::Proposal::parse(payload).unwrap().sign_bytes(), payload),
        Format::HotStuffVote => assert_eq!(hotstuff::Vote::parse(payload).unwrap().sign_bytes(), payload),
        Format::HotStuffTimeout => assert_eq!(hotstuff::Timeout::parse(payload).unwrap().sign_bytes(), payload),
        Format::TaggedMessage => assert_eq!(Tagged::parse(payload).unwrap().sign_bytes().as_deref(), Some(payload)),
        Format::MlKem768Ciphertext => assert_eq!(payload.len(), 1088),
        Format::RawMessageSha256 | Format::RawMessageKeccak256 | Format::RawMessageNone | Format::RawDigest => {}
        Format::EvmEip191 | Format::CometBftRawBytes => {}
        Format::EvmEip712 => {
            let read = TypedData::from_json(payload).unwrap();
            assert_eq!(read.payload(), payload);
            // By a JSON library: no white space, keys in order.
            let json: serde_json::Value = serde_json::from_slice(payload).unwrap();
            assert_eq!(json.to_string().into_bytes(), payload);
        }
    }
    // Names are unique, whatever the payload.
    let mut names: Vec<_> = decoded.facts.iter().map(|fact| fact.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn transactions_decode_to_what_was_encoded_and_alloy_agrees(legacy in legacy(), eip2930 in eip2930(), eip1559 in eip1559()) {
        prop_assert_eq!(Legacy::parse(&legacy.unsigned()).unwrap(), legacy.clone());
        prop_assert_eq!(Eip2930::parse(&eip2930.unsigned()).unwrap(), eip2930.clone());
        prop_assert_eq!(Eip1559::parse(&eip1559.unsigned()).unwrap(), eip1559.clone());
        agrees_with_alloy_legacy(&legacy);
        agrees_with_alloy_eip2930(&eip2930);
        agrees_with_alloy_eip1559(&eip1559);
    }

    #[test]
    fn blob_and_set_code_transactions_decode_to_what_was_encoded_and_alloy_agrees(eip4844 in eip4844(), eip7702 in eip7702()) {
        prop_assert_eq!(Eip4844::parse(&eip4844.unsigned()).unwrap(), eip4844.clone());
        prop_assert_eq!(Eip7702::parse(&eip7702.unsigned()).unwrap(), eip7702.clone());
        alloy::agrees_with_alloy_eip4844(&eip4844);
        alloy::agrees_with_alloy_eip7702(&eip7702);
    }

    #[test]
    fn a_signature_is_put_into_any_transaction(legacy in legacy(), eip2930 in eip2930(), eip1559 in eip1559(), eip4844 in eip4844(), eip7702 in eip7702()) {
        let (r, s) = alloy::scalars();
        alloy::signed_agrees(&legacy.unsigned(), &legacy.signed(&r, &s, 1));
        alloy::signed_agrees(&eip2930.unsigned(), &eip2930.signed(&r, &s, 1));
        alloy::signed_agrees(&eip1559.unsigned(), &eip1559.signed(&r, &s, 1));
        alloy::signed_agrees(&eip4844.unsigned(), &eip4844.signed(&r, &s, 1));
        alloy::signed_agrees(&eip7702.unsigned(), &eip7702.signed(&r, &s, 1));
    }

    #[test]
    fn typed_data_has_one_payload(json in typed_json()) {
        let payload = typed_data::canonical(json.as_bytes()).unwrap();
        prop_assert_eq!(typed_data::canonical(&payload).unwrap(), payload.clone());
        let data = TypedData::from_json(json.as_bytes()).unwrap();
        prop_assert_eq!(crate::digest_of(&decode(Format::EvmEip712, &payload).unwrap()), hex::encode(data.signing_hash()));
        // The text itself is another's way of writing it.
        prop_assert!(matches!(decode(Format::EvmEip712, json.as_bytes()), Err(PayloadError::NonCanonical(_))));
    }

    #[test]
    fn raw_bytes_decode_to_what_was_encoded(raw in raw_bytes()) {
        prop_assert_eq!(RawBytes::parse(&raw.sign_bytes()).unwrap(), raw);
    }

    #[test]
    fn votes_and_proposals_decode_to_what_was_encoded_and_prost_agrees(vote in vote(), proposal in proposal()) {
        prop_assert_eq!(Vote::parse(&vote.sign_bytes()).unwrap(), vote.clone());
        prop_assert_eq!(Proposal::parse(&proposal.sign_bytes()).unwrap(), proposal.clone());
        vote_agrees_with_prost(&vote);
        proposal_agrees_with_prost(&proposal);
    }

    #[test]
    fn qbind_messages_decode_to_what_was_encoded(
        proposal in hotstuff_proposal(), vote in hotstuff_vote(), timeout in hotstuff_timeout(), tagged in tagged(),
    ) {
        prop_assert_eq!(hotstuff::Proposal::parse(&proposal.sign_bytes()).unwrap(), proposal);
        prop_assert_eq!(hotstuff::Vote::parse(&vote.sign_bytes()).unwrap(), vote);
        prop_assert_eq!(hotstuff::Timeout::parse(&timeout.sign_bytes()).unwrap(), timeout);
        prop_assert_eq!(Tagged::parse(&tagged.sign_bytes().unwrap()).unwrap(), tagged);
    }

    #[test]
    fn a_changed_byte_is_refused_or_read_as_what_it_says((format, mut payload) in structured(), at in any::<Index>(), flip in 1..=255_u8) {
        prop_assert!(decode(format, &payload).is_ok());
        let at = at.index(payload.len());
        payload[at] ^= flip;
        decodes_only_as_itself(format, &payload);
    }

    #[test]
    fn a_cut_payload_is_refused((format, payload) in structured(), at in any::<Index>()) {
        let cut = &payload[..at.index(payload.len())];
        // Less than Celestia's prefix is some other application's.
        let opaque = format == Format::CometBftRawBytes && cut.len() < RawBytes::PREFIX.len() && !cut.is_empty();
        prop_assert_eq!(decode(format, cut).is_ok(), opaque);
    }

    #[test]
    fn a_byte_too_many_is_refused((format, mut payload) in structured(), at in any::<Index>(), byte in any::<u8>()) {
        let mut appended = payload.clone();
        appended.push(byte);
        prop_assert!(decode(format, &appended).is_err());
        payload.insert(at.index(payload.len()), byte);
        decodes_only_as_itself(format, &payload);
    }

    #[test]
    fn no_structured_payload_is_a_raw_message((format, payload) in structured()) {
        for raw in [Format::RawMessageSha256, Format::RawMessageKeccak256, Format::RawMessageNone] {
            prop_assert_eq!(refusal(raw, &payload), PayloadError::Structured(format));
        }
    }

    #[test]
    fn ascii_text_is_a_raw_message(text in "[ -~\t\r\n]{0,300}") {
        prop_assert!(decode(Format::RawMessageSha256, text.as_bytes()).is_ok());
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), head in prop::option::of(0..=255_u8)) {
        let bytes: Vec<u8> = head.into_iter().chain(bytes).collect();
        for format in Format::ALL {
            decodes_only_as_itself(*format, &bytes);
        }
    }

    #[test]
    fn spliced_payloads_never_panic((_, payload) in structured(), (_, other) in structured(), a in any::<Index>(), b in any::<Index>()) {
        let spliced = [&payload[..a.index(payload.len())], &other[b.index(other.len())..]].concat();
        for format in Format::ALL {
            decodes_only_as_itself(*format, &spliced);
        }
    }
}

/// Every single-byte change of every sample, not only random ones.
#[test]
fn every_changed_byte_of_the_samples_is_refused_or_read_as_what_it_says() {
    for format in Format::ALL {
        for payload in samples::payloads(*format) {
            assert!(sigwarden_formats::decode(*format, scheme_of(*format), &payload).is_ok());
            for at in 0..payload.len() {
                for flip in [1, 0x40, 0x80, 0xff] {
                    let mut changed = payload.clone();
                    changed[at] ^= flip;
                    decodes_only_as_itself(*format, &changed);
                }
            }
        }
    }
}
