//! What the fuzz targets run, and what must hold of it. No input makes any of this panic; what is asserted beside that says so.

use arbitrary::{Arbitrary, Unstructured};
use prost::Message;
use sigwarden::config::Config;
use sigwarden::proto;
use sigwarden_core::caller::{Client, Clients, Peer};
use sigwarden_core::fact::SigningInput;
use sigwarden_core::pipeline::{Limits, SignCall};
use sigwarden_core::policy::Verdict;
use sigwarden_core::stages::{authenticate::authenticate, open::open};
use sigwarden_core::staging::Staging;
use sigwarden_core::state::State;
use sigwarden_core::watermark::Order;
use sigwarden_core::{Format, Ledger, Scheme};
use sigwarden_formats::{cometbft, decode, evm};
use sigwarden_ledger::disk::simulated::SimulatedDisk;
use sigwarden_ledger::disk::{Access, Disk};
use sigwarden_ledger::{EmbeddedLedger, Settings};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A message as it comes from the socket, opened: what was understood says what was sent.
pub fn envelope(data: &[u8]) {
    let Ok(request) = proto::SignRequest::decode(data) else { return };
    let clients = Clients(vec![Arc::new(Client {
        name: "fuzzer".into(),
        uid: 1,
        gid: None,
        allow: Vec::new(),
    })]);
    let caller = authenticate(&clients, Peer { uid: 1, gid: 1 }).expect("the one client");
    let call = SignCall {
        operation: request.operation.clone(),
        key: request.key.clone(),
        format: request.format.clone(),
        scheme: request.scheme.clone(),
        request_id: request.request_id.clone(),
        payload: request.payload.clone(),
        received: Instant::now(),
    };
    let limits = Limits::default();
    match open(caller, call, &limits, || "host".to_owned()) {
        Ok(envelope) => {
            assert!(request.payload.len() <= limits.payload_bytes);
            let shown = format!("{envelope:?}");
            assert!(!shown.is_empty());
        }
        Err(refusal) => assert!(
            refusal.message.len() < 4096,
            "a refusal is short whatever was sent: {}",
            refusal.message.len()
        ),
    }
}

/// Every decoder on the same bytes: what decodes is what an encoder writes, and decodes to the same again.
pub fn decoders(data: &[u8]) {
    let Some((&chosen, payload)) = data.split_first() else { return };
    let format = Format::ALL[usize::from(chosen) % Format::ALL.len()];
    for scheme in Scheme::ALL {
        let Ok(decoded) = decode(format, *scheme, payload) else { continue };
        assert_eq!(
            decode(format, *scheme, payload).as_ref(),
            Ok(&decoded),
            "decoding is a function of the bytes"
        );
        let encoded = match format {
            Format::EvmLegacy => Some(evm::Legacy::parse(payload).expect("it decoded").unsigned()),
            Format::EvmEip2930 => Some(evm::Eip2930::parse(payload).expect("it decoded").unsigned()),
            Format::EvmEip1559 => Some(evm::Eip1559::parse(payload).expect("it decoded").unsigned()),
            Format::CometBftVote => Some(cometbft::Vote::parse(payload).expect("it decoded").sign_bytes()),
            Format::CometBftProposal => Some(cometbft::Proposal::parse(payload).expect("it decoded").sign_bytes()),
            Format::CometBftVoteExtension
            | Format::RawMessageSha256
            | Format::RawMessageKeccak256
            | Format::RawMessageNone
            | Format::RawDigest => None,
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

/// A configuration of any text: understood or refused with reasons, never half.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Config::parse(Path::new("/deployment"), text) {
        Ok(_) => {}
        Err(errors) => assert!(!errors.is_empty(), "a refusal has a reason"),
    }
}

/// What a hostile policy may answer and ask for.
#[derive(Debug, Arbitrary)]
struct Guest {
    answer: Result<Option<String>, Vec<(String, String, Option<u64>)>>,
    codes: Vec<String>,
    calls: Vec<Call>,
    now_ms: u64,
}

#[derive(Debug, Arbitrary)]
enum Call {
    Take {
        bucket: String,
        cost: u64,
        capacity: u64,
        period_ms: u64,
    },
    Advance {
        name: String,
        position: Vec<u64>,
        identity: Vec<u8>,
        component_wise: bool,
    },
    Get {
        name: String,
    },
    Set {
        name: String,
        value: Option<Vec<u8>>,
    },
}

/// Verdicts and state calls of a guest that says what it likes.
pub fn guest_answers(data: &[u8]) {
    let Ok(mut guest) = Guest::arbitrary(&mut Unstructured::new(data)) else {
        return;
    };
    guest.codes.sort();
    if let Ok(Verdict::Allow(Some(text))) = sigwarden_policy::judge_answer(guest.answer.clone(), &guest.codes) {
        assert!(
            text.chars().all(|c| !c.is_control()) && text.len() <= 16 * 1024,
            "a note is bounded and printable"
        );
    }
    if let Ok(Verdict::Deny(denials)) = sigwarden_policy::judge_answer(guest.answer, &guest.codes) {
        assert!(!denials.is_empty());
        for denial in denials {
            assert!(guest.codes.contains(&denial.code), "a denial's code is in the manifest");
            assert!(denial.message.chars().all(|c| !c.is_control()), "a message is printable");
        }
    }
    let state = State::default();
    let mut staging = Staging::new(state.clone(), "guest".into(), guest.now_ms);
    for call in guest.calls {
        // A fault traps the policy: nothing of it is committed.
        let traps = match call {
            Call::Take {
                bucket,
                cost,
                capacity,
                period_ms,
            } => staging.take(&bucket, cost, capacity, period_ms).is_err(),
            Call::Advance {
                name,
                position,
                identity,
                component_wise,
            } => {
                let order = if component_wise {
                    Order::ComponentWise
                } else {
                    Order::Lexicographic
                };
                staging.advance(&name, &position, &identity, order).is_err()
            }
            Call::Get { name } => staging.get(&name).is_err(),
            Call::Set { name, value } => staging.set(&name, value.as_deref()).is_err(),
        };
        if traps {
            return;
        }
    }
    let changes = staging.into_changes();
    let mut again = Staging::new(state, "guest".into(), guest.now_ms);
    assert!(
        again.stands(&changes),
        "on the state that it saw, everything is answered the same again"
    );
}
