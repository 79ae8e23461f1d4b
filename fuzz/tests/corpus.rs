//! The corpus through every target once, without a fuzzer: what was found once is not found again.

#[cfg(feature = "daemon")]
use prost::Message;
#[cfg(feature = "daemon")]
use sigwarden::proto;
use sigwarden_core::floor::{Floor, FloorKey, MessageClass, Position, Taken};
use sigwarden_core::state::Effect;
use sigwarden_core::{Format, KeyState, Scheme};
use sigwarden_formats::{cometbft, evm, hotstuff, tagged};
use sigwarden_ledger::disk::simulated::SimulatedDisk;
use sigwarden_ledger::disk::{Access, Disk};
use sigwarden_ledger::{AdminKind, Administration, EmbeddedLedger, Settings};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// Runs every input of a target, and every cut and a flipped bit of each byte of it.
fn run(target: &str, of: fn(&[u8])) {
    let mut inputs: Vec<_> = fs::read_dir(corpus(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{target} has no corpus");
    for path in inputs {
        let input = fs::read(&path).unwrap();
        of(&input);
        let step = input.len() / 200 + 1;
        for at in (0..input.len()).step_by(step) {
            of(&input[..at]);
            let mut flipped = input.clone();
            flipped[at] ^= 1 << (at % 8);
            of(&flipped);
        }
    }
}

#[cfg(feature = "daemon")]
#[test]
fn envelope() {
    run("envelope", sigwarden_fuzz::envelope);
}

#[test]
fn decoders() {
    run("decoders", sigwarden_fuzz::decoders);
}

#[test]
fn log() {
    run("log", sigwarden_fuzz::log);
}

#[test]
fn sealed_file() {
    run("sealed_file", sigwarden_fuzz::sealed_file);
}

#[cfg(feature = "daemon")]
#[test]
fn config() {
    run("config", sigwarden_fuzz::config);
}

#[cfg(feature = "daemon")]
#[test]
fn guest_answers() {
    run("guest_answers", sigwarden_fuzz::guest_answers);
}

fn keep(target: &str, name: &str, bytes: &[u8]) {
    fs::create_dir_all(corpus(target)).unwrap();
    fs::write(corpus(target).join(name), bytes).unwrap();
}

/// Writes the valid seeds anew: `cargo test --test corpus -- --ignored seeds`, when a format has changed.
#[cfg(feature = "daemon")]
#[test]
#[ignore = "writes the corpus"]
fn seeds_of_the_daemon() {
    let request = proto::SignRequest {
        operation: "sign".into(),
        key: "demo.validator".into(),
        format: "cometbft/vote".into(),
        scheme: "ed25519".into(),
        request_id: "r-1".into(),
        payload: vec![1, 2, 3],
    };
    keep("envelope", "vote", &request.encode_to_vec());
}

/// As above.
#[test]
#[ignore = "writes the corpus"]
fn seeds() {
    let of = |format: Format, payload: Vec<u8>| {
        let chosen = Format::ALL.iter().position(|one| *one == format).unwrap();
        let input = [vec![u8::try_from(chosen).unwrap()], payload].concat();
        keep("decoders", &format.name().replace('/', "-"), &input);
    };
    let transfer = evm::Eip1559 {
        chain_id: 1337,
        nonce: 1,
        max_priority_fee_per_gas: evm::U256::from(1_u64),
        max_fee_per_gas: evm::U256::from(2_u64),
        gas_limit: 21_000,
        to: Some([0xA1; 20]),
        value: evm::U256::from(7_u64),
        data: vec![1],
        access_list: Vec::new(),
    };
    of(Format::EvmEip1559, transfer.unsigned());
    let legacy = evm::Legacy {
        chain_id: 1337,
        nonce: 9,
        gas_price: evm::U256::from(20_000_000_000_u64),
        gas_limit: 21_000,
        to: None,
        value: evm::U256::ZERO,
        data: vec![0x60, 0x80],
    };
    of(Format::EvmLegacy, legacy.unsigned());
    let listed = evm::Eip2930 {
        chain_id: 1337,
        nonce: 3,
        gas_price: evm::U256::from(7_u64),
        gas_limit: 90_000,
        to: Some([0xB2; 20]),
        value: evm::U256::MAX,
        data: vec![0xA9, 0x05, 0x9C, 0xBB],
        access_list: vec![evm::AccessListItem {
            address: [0xC3; 20],
            storage_keys: vec![[1; 32], [2; 32]],
        }],
    };
    of(Format::EvmEip2930, listed.unsigned());
    let blobs = evm::Eip4844 {
        chain_id: 1337,
        nonce: 3,
        max_priority_fee_per_gas: evm::U256::from(1_u64),
        max_fee_per_gas: evm::U256::from(2_u64),
        gas_limit: 21_000,
        to: [0xB2; 20],
        value: evm::U256::ZERO,
        data: vec![],
        access_list: vec![],
        max_fee_per_blob_gas: evm::U256::from(3_u64),
        blob_versioned_hashes: vec![[1; 32]],
    };
    of(Format::EvmEip4844, blobs.unsigned());
    let set_code = evm::Eip7702 {
        chain_id: 1337,
        nonce: 3,
        max_priority_fee_per_gas: evm::U256::from(1_u64),
        max_fee_per_gas: evm::U256::from(2_u64),
        gas_limit: 21_000,
        to: [0xB2; 20],
        value: evm::U256::ZERO,
        data: vec![],
        access_list: vec![],
        authorization_list: vec![evm::Authorization {
            chain_id: evm::U256::from(1337_u64),
            address: [0xC3; 20],
            nonce: 1,
            y_parity: 1,
            r: evm::U256::from(5_u64),
            s: evm::U256::from(6_u64),
        }],
    };
    of(Format::EvmEip7702, set_code.unsigned());
    of(Format::EvmEip191, b"log in".to_vec());
    let typed = br#"{"types":{"EIP712Domain":[{"name":"chainId","type":"uint256"}],"Order":[{"name":"items","type":"Item[]"},{"name":"delta","type":"int64"}],"Item":[{"name":"token","type":"address"},{"name":"ok","type":"bool"},{"name":"data","type":"bytes"},{"name":"tag","type":"bytes4"}]},"primaryType":"Order","domain":{"chainId":1},"message":{"items":[{"token":"0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","ok":true,"data":"0x","tag":"0x01020304"}],"delta":-7}}"#;
    of(Format::EvmEip712, evm::typed_data::canonical(typed).unwrap());
    let raw = cometbft::RawBytes {
        chain_id: "test-chain".into(),
        unique_id: "id".into(),
        raw_bytes: b"body".to_vec(),
    };
    of(Format::CometBftRawBytes, raw.sign_bytes());
    let timestamp = cometbft::MessageTime { seconds: 1, nanos: 2 };
    let vote = cometbft::Vote {
        vote_type: cometbft::VoteType::Precommit,
        height: 5,
        round: 1,
        block_id: None,
        timestamp,
        chain_id: "test-chain".into(),
    };
    of(Format::CometBftVote, vote.sign_bytes());
    let block_id = cometbft::BlockId {
        hash: [1; 32],
        parts_total: 4,
        parts_hash: [2; 32],
    };
    let proposal = cometbft::Proposal {
        height: 5,
        round: 1,
        pol_round: Some(0),
        block_id: block_id.clone(),
        timestamp,
        chain_id: "test-chain".into(),
    };
    of(Format::CometBftProposal, proposal.sign_bytes());
    let precommit = cometbft::Vote {
        block_id: Some(block_id),
        ..vote
    };
    of(Format::CometBftVoteExtension, precommit.sign_bytes_with_extension(b"prices"));
    of(Format::RawMessageNone, b"a message".to_vec());
    of(Format::RawDigest, vec![9; 32]);
    let proposal = hotstuff::Proposal {
        chain_id: 7,
        view: 10,
        block_hash: [1; 32],
        high_qc: Some(hotstuff::QuorumCertificate {
            view: 9,
            block_hash: [2; 32],
        }),
        proposer_id: 3,
        epoch: 1,
        suite_id: 100,
    };
    of(Format::HotStuffProposal, proposal.sign_bytes());
    let vote = hotstuff::Vote {
        chain_id: 7,
        view: 10,
        block_hash: [1; 32],
        voter_id: 3,
    };
    of(Format::HotStuffVote, vote.sign_bytes());
    let timeout = hotstuff::Timeout {
        chain_id: 7,
        view: 10,
        high_qc_hash: Some([2; 32]),
        voter_id: 3,
    };
    of(Format::HotStuffTimeout, timeout.sign_bytes());
    let acknowledgement = tagged::Tagged {
        domain: tagged::Domain::BatchAck,
        chain_id: 7,
        body: b"body".to_vec(),
    };
    of(Format::TaggedMessage, acknowledgement.sign_bytes().unwrap());
    of(Format::MlKem768Ciphertext, vec![9; 1088]);

    let disk = SimulatedDisk::new(0);
    let state_dir = Path::new("state");
    let settings = || Settings::new(1, Arc::new(|_: &str| {}));
    for part in 0..2 {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let ledger = match part {
            0 => EmbeddedLedger::create_on(shared, state_dir, settings()),
            _ => EmbeddedLedger::open_on(shared, state_dir, settings()),
        }
        .unwrap();
        let change = |kind, effect| Administration {
            kind,
            operator: "seed".into(),
            reason: "a seed".into(),
            now_ms: 1,
            effects: vec![effect],
        };
        if part == 0 {
            let pinned = Effect::KeyPinned {
                key: "demo.validator.v1".parse().unwrap(),
                scheme: Scheme::Ed25519,
                public_key: vec![3; 32],
                created_ms: 1,
                state: KeyState::Active,
            };
            ledger.administer(change(AdminKind::PublicKey, pinned)).unwrap();
        }
        let key = FloorKey {
            public_key: vec![3; 32],
            chain_id: "test-chain".into(),
            class: MessageClass::CometBft,
        };
        let floor = Floor {
            position: Position::end_of_height(part + 1),
            taken: Taken::Operator,
        };
        ledger.administer(change(AdminKind::Floor, Effect::Floor { key, floor })).unwrap();
        ledger.close().unwrap();
    }
    let mut names = disk.list(&state_dir.join("log")).unwrap();
    names.sort();
    let mut parts = Vec::new();
    for name in names {
        let file = disk.open(&state_dir.join("log").join(name), Access::Read).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        parts.push(bytes);
    }
    keep("log", "two-floors", &parts.join(&0xFF));

    let id = b"demo.validator.v1";
    let sealed = [
        b"SWSEALED".as_slice(),
        &[0, 1],
        &[1; 16],
        &[2; 24],
        &[3],
        &[0, 0, 1, 0, 0, 0, 0, 0],
        &[0, 32],
        &[4; 32],
        &[u8::try_from(id.len()).unwrap()],
        id,
        &[5; 32],
        &[6; 16],
    ];
    keep("sealed_file", "ed25519", &sealed.concat());

    let text = "version = 1\nnetwork = \"devnet\"\n\n[[client]]\nname = \"node\"\nuid = 1000\n\n[[key]]\nname = \"demo.validator\"\nroles = [\"consensus\"]\nscheme = \"ed25519\"\nbackend = \"vault\"\n";
    keep("config", "devnet", text.as_bytes());
    // Lists of calls end at odd bytes; lengths are taken from the end.
    for (name, odd, len) in [("calls", 0x0B_u8, 900_usize), ("denials", 0x55, 300), ("zeros", 0, 64)] {
        let bytes: Vec<u8> = (0..len).map(|at| u8::try_from(at * 7 % 256).unwrap() & 0x7F | odd).collect();
        keep("guest_answers", name, &bytes);
    }
    keep("guest_answers", "some", &(0..=255).cycle().take(400).collect::<Vec<u8>>());
}
