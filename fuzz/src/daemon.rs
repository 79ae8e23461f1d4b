//! Targets that need the daemon's code.

use arbitrary::{Arbitrary, Unstructured};
use prost::Message;
use sigwarden::config::Config;
use sigwarden::proto;
use sigwarden_core::caller::{Client, Clients, Peer};
use sigwarden_core::pipeline::{Limits, SignCall};
use sigwarden_core::policy::Verdict;
use sigwarden_core::stages::{authenticate::authenticate, open::open};
use sigwarden_core::Operation;
use sigwarden_core::staging::Staging;
use sigwarden_core::state::State;
use sigwarden_core::watermark::Order;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A message as it comes from the socket, opened: what was understood says what was sent.
pub fn envelope(data: &[u8]) {
    let Ok(request) = proto::SignRequest::decode(data) else { return };
    let clients = Clients(vec![Arc::new(Client {
        name: "fuzzer".into(),
        uid: Some(1),
        gid: None,
        san: Vec::new(),
        allow: Vec::new(),
    })]);
    let caller = authenticate(&clients, &Peer::User { uid: 1, gid: 1 }).expect("the one client");
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
    // Each operation has a call of its own; what asks for the one comes in by it.
    let wanted = match request.operation.as_str() {
        "decapsulate" => Operation::Decapsulate,
        _ => Operation::Sign,
    };
    match open(caller, call, wanted, &limits, || "host".to_owned()) {
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
