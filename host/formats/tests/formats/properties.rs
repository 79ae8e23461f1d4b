//! Laws: what is encoded decodes to the same, what decodes is what an independent encoder writes, nothing panics.

use crate::alloy::{self, agrees_with_alloy_eip1559, agrees_with_alloy_eip2930, agrees_with_alloy_legacy, narrow};
use crate::cometbft_vectors::{proposal_agrees_with_prost, vote_agrees_with_prost};
use crate::strategies::{
    eip1559, eip2930, eip4844, eip7702, hotstuff_proposal, hotstuff_timeout, hotstuff_vote, legacy, proposal, raw_bytes, structured,
    tagged, typed_json, vote,
};
use crate::{decode, refusal, samples, scheme_of};
use proptest::prelude::*;
use proptest::sample::Index;
use sigwarden_core::fact::PayloadError;
use sigwarden_core::{Format, Scheme};
use sigwarden_formats::cometbft::{Proposal, RawBytes, Vote};
use sigwarden_formats::evm::{Eip1559, Eip2930, Eip4844, Eip7702, Legacy, TypedData, typed_data};
use sigwarden_formats::hotstuff;
use sigwarden_formats::tagged::Tagged;

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
