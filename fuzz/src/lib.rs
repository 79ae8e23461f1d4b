//! What the fuzz targets run, and what must hold of it. No input makes any of this panic; what is asserted beside that says so. The
//! targets that need the daemon's code, and so its sandbox, are behind the feature `daemon`: the others build in a fraction of the time.

#[cfg(feature = "daemon")]
mod daemon;
mod peers;

#[cfg(feature = "daemon")]
pub use daemon::{config, envelope, guest_answers};
use sigwarden_core::fact::{PayloadError, SigningInput};
use sigwarden_core::format::Family;
use sigwarden_core::{Format, Ledger, Scheme};
use sigwarden_formats::{cometbft, decode, evm, hotstuff, tagged};
use sigwarden_ledger::disk::simulated::SimulatedDisk;
use sigwarden_ledger::disk::{Access, Disk};
use sigwarden_ledger::{EmbeddedLedger, Settings};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Any JSON as a wallet library's: what is made canonical is so, and decodes.
fn typed_data(json: &[u8]) {
    let Ok(canonical) = evm::typed_data::canonical(json) else { return };
    assert_eq!(evm::typed_data::canonical(&canonical).as_ref(), Ok(&canonical), "there is one form");
    assert!(decode(Format::EvmEip712, Scheme::Secp256k1Ecdsa, &canonical).is_ok(), "the one form decodes");
}

/// Every decoder on the same bytes: what decodes is what an encoder writes, and decodes to the same again.
pub fn decoders(data: &[u8]) {
    let Some((&chosen, payload)) = data.split_first() else { return };
    let format = Format::ALL[usize::from(chosen) % Format::ALL.len()];
    if format == Format::EvmEip712 {
        typed_data(payload);
    }
    for scheme in Scheme::ALL {
        let Ok(decoded) = decode(format, *scheme, payload) else { continue };
        assert_eq!(
            decode(format, *scheme, payload).as_ref(),
            Ok(&decoded),
            "decoding is a function of the bytes"
        );
        // By encoders that share no code with ours.
        let encoded = match format {
            Format::EvmLegacy => peers::legacy(&evm::Legacy::parse(payload).expect("it decoded")),
            Format::EvmEip2930 => peers::eip2930(&evm::Eip2930::parse(payload).expect("it decoded")),
            Format::EvmEip1559 => peers::eip1559(&evm::Eip1559::parse(payload).expect("it decoded")),
            Format::EvmEip4844 => peers::eip4844(&evm::Eip4844::parse(payload).expect("it decoded")),
            Format::EvmEip7702 => peers::eip7702(&evm::Eip7702::parse(payload).expect("it decoded")),
            Format::EvmEip712 => Some(peers::json(payload)),
            Format::CometBftVote => Some(peers::vote(&cometbft::Vote::parse(payload).expect("it decoded"))),
            Format::CometBftProposal => Some(peers::proposal(&cometbft::Proposal::parse(payload).expect("it decoded"))),
            Format::HotStuffProposal => Some(peers::hotstuff_proposal(&hotstuff::Proposal::parse(payload).expect("it decoded"))),
            Format::HotStuffVote => Some(peers::hotstuff_vote(&hotstuff::Vote::parse(payload).expect("it decoded"))),
            Format::HotStuffTimeout => Some(peers::hotstuff_timeout(&hotstuff::Timeout::parse(payload).expect("it decoded"))),
            Format::TaggedMessage => Some(peers::tagged(&tagged::Tagged::parse(payload).expect("it decoded"))),
            Format::CometBftRawBytes if payload.starts_with(cometbft::RawBytes::PREFIX.as_bytes()) => {
                Some(peers::raw_bytes(&cometbft::RawBytes::parse(payload).expect("it decoded")))
            }
            // Two messages of which the parts are checked above and below.
            Format::CometBftVoteExtension
            | Format::CometBftRawBytes
            | Format::EvmEip191
            | Format::RawMessageSha256
            | Format::RawMessageKeccak256
            | Format::RawMessageNone
            | Format::RawDigest
            | Format::MlKem768Ciphertext => None,
        };
        if let Some(encoded) = encoded {
            assert_eq!(encoded, payload, "what decodes encodes to the same bytes");
        }
        let consensus = decoded.consensus.as_ref();
        if let Some(message) = consensus {
            // What the floor keeps is what is signed, and says again what it said.
            let signed = matches!(&decoded.inputs.first, SigningInput::Message(bytes) if *bytes == message.sign_bytes);
            assert!(signed || *scheme != Scheme::Ed25519, "Ed25519 signs what the floor keeps");
            assert_eq!(decoded.inputs.second.is_some(), message.extension.is_some());
        }
        assert_eq!(
            decoded.consensus.is_some(),
            format.family().has_floor(),
            "every consensus message has a position"
        );
        assert_eq!(decoded.role.is_some(), format == Format::TaggedMessage, "every tag has a role");
        if matches!(format.family(), Family::HotStuff | Family::Tagged) {
            let raw = decode(Format::RawMessageNone, Scheme::Ed25519, payload);
            assert_eq!(raw, Err(PayloadError::Structured(format)), "what has a format is no raw message");
        }
        if format == Format::CometBftRawBytes {
            for other in [Format::CometBftVote, Format::CometBftProposal, Format::CometBftVoteExtension] {
                assert!(decode(other, *scheme, payload).is_err(), "raw bytes are no {other}");
            }
        }
        let mut names: Vec<_> = decoded.facts.iter().map(|fact| fact.name.to_string()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), decoded.facts.len(), "no fact is told twice");
    }
}

/// A log of any bytes: it opens or is refused; what opens has the floors that its verification finds, and holds afterwards.
pub fn log(data: &[u8]) {
    let state_dir = Path::new("state");
    let disk = SimulatedDisk::new(0);
    disk.create_dir(state_dir).expect("an empty disk");
    disk.create_dir(&state_dir.join("log")).expect("an empty disk");
    // Segments are told apart by a byte that no log has.
    for (part, name) in data.split(|byte| *byte == 0xFF).zip(1_u64..).take(4) {
        let first = first_of(part).unwrap_or(name);
        let path = state_dir.join("log").join(format!("{first:020}.jsonl"));
        if let Ok(file) = disk.open(&path, Access::CreateNew) {
            file.write_at(0, part).expect("room");
        }
    }
    let before = sigwarden_ledger::verify_on(&disk, state_dir, &mut |_, _| {});
    let settings = Settings {
        rebuild_checkpoint: true,
        ..Settings::new(1, Arc::new(|_| {}))
    };
    let Ok(ledger) = EmbeddedLedger::open_on(Arc::new(disk.clone()), state_dir, settings) else {
        return;
    };
    let floors = ledger.snapshot().floors.clone();
    let _ = ledger.close();
    drop(ledger);
    let named = floors.iter().map(|(key, floor)| {
        let name = format!("{} {} {}", hex::encode(&key.public_key), key.chain_id, key.class);
        (name, floor.position.0.map(|number| number.to_string()).to_vec())
    });
    assert_eq!(
        named.collect::<BTreeMap<_, _>>(),
        told(&disk, state_dir),
        "the floors are those that the valid prefix tells"
    );
    let after = sigwarden_ledger::verify_on(&disk, state_dir, &mut |_, _| {});
    if let Ok(before) = before {
        let after = after.expect("what held before a start holds after it");
        assert!(after.last_sequence >= before.last_sequence, "a start takes no record away");
        let settings = Settings {
            rebuild_checkpoint: true,
            ..Settings::new(2, Arc::new(|_| {}))
        };
        let again = EmbeddedLedger::open_on(Arc::new(disk), state_dir, settings).expect("what opened opens again");
        assert!(again.snapshot().floors == floors, "floors neither fall nor rise by themselves");
    }
}

/// The floors that the lines on the disk tell, read as JSON and nothing more.
fn told(disk: &SimulatedDisk, state_dir: &Path) -> BTreeMap<String, Vec<String>> {
    let log = state_dir.join("log");
    let mut names = disk.list(&log).expect("it is there");
    names.sort();
    let mut floors = BTreeMap::new();
    for name in names {
        let file = disk.open(&log.join(name), Access::Read).expect("it is there");
        let mut bytes = vec![0; usize::try_from(file.len().expect("a length")).expect("small")];
        file.read_at(0, &mut bytes).expect("it can be read");
        let lines = bytes.split(|byte| *byte == b'\n');
        for line in lines.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok()) {
            let effects = line["effects"].as_array().into_iter().flatten();
            for effect in effects.filter(|effect| effect["effect"] == "floor") {
                let text = |name: &str| effect["key"][name].as_str().unwrap_or_default().to_owned();
                let position = effect["floor"]["position"].as_array().into_iter().flatten();
                let position = position.map(|number| number.as_str().unwrap_or_default().to_owned());
                let key = format!("{} {} {}", text("public-key"), text("chain-id"), text("class"));
                floors.insert(key, position.collect());
            }
        }
    }
    floors
}

/// The sequence that a segment says is its first.
fn first_of(segment: &[u8]) -> Option<u64> {
    let header = segment.split(|byte| *byte == b'\n').next()?;
    let text = std::str::from_utf8(header).ok()?;
    let (_, rest) = text.split_once("\"first\":\"")?;
    rest.split('"').next()?.parse().ok()
}

/// A sealed key file of any bytes.
pub fn sealed_file(data: &[u8]) {
    if let Some(right) = sigwarden_keys::forged_header_is_faithful_and_opens_nothing(data) {
        assert!(right, "a header renders to its own bytes, and a forged file does not open");
    }
}
