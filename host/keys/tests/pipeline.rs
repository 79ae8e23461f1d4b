//! The backends behind core's pipeline: what they are handed there, and what comes of their faults.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use sigwarden_core::caller::{Allow, Client, Clients, KeyPattern, Peer};
use sigwarden_core::fact::{Decoded, PayloadError, SigningInput, SigningInputs};
use sigwarden_core::key::{KeyEntry, KeyId};
use sigwarden_core::ledger::{Commitment, Conflict, Entry, Ledger, Receipt};
use sigwarden_core::pipeline::{Limits, Parts, Pipeline, SignCall};
use sigwarden_core::policy::{Binding, EvaluationFailure, Evaluator, Job, PolicySet, Report, Understands, Verdict};
use sigwarden_core::proof::{Approved, DecisionId, Signed};
use sigwarden_core::stages::authorize::Keyring;
use sigwarden_core::state::{KeyStatus, State};
use sigwarden_core::{Backend, Code, Format, KeyState, Network, Operation, Refusal, Role, Scheme, verify};
use sigwarden_keys::{Faults, MockHsm, MockScript, Passphrase, SealedFileBackend, Vault};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Allows everything.
struct Allowing;

impl Evaluator for Allowing {
    fn evaluate(&self, _: Job) -> Result<Report, EvaluationFailure> {
        Ok(Report {
            verdict: Verdict::Allow(None),
            changes: Vec::new(),
            fuel: 0,
            log: Vec::new(),
        })
    }
}

/// Commits to memory.
struct Forgetful(Mutex<State>);

impl Ledger for Forgetful {
    fn snapshot(&self) -> State {
        self.0.lock().unwrap().clone()
    }

    fn commit(&self, approved: &[Approved]) -> Vec<Commitment> {
        let settle = |approved| {
            let settlement = self.0.lock().unwrap().settle(approved)?;
            Ok::<_, Conflict>(Receipt {
                sequence: 1,
                grants: settlement.grants,
                replay: settlement.replay,
                repeats: settlement.repeats,
            })
        };
        approved
            .iter()
            .map(|one| settle(one).map_or_else(Commitment::Conflict, Commitment::Receipt))
            .collect()
    }

    fn look_up(&self, _: DecisionId) -> Option<Receipt> {
        None
    }

    fn append(&self, _: Entry) {}
}

fn decode(_: Format, scheme: Scheme, payload: &[u8]) -> Result<Decoded, PayloadError> {
    let input = match scheme {
        Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr => {
            SigningInput::Digest(payload.try_into().map_err(|_| PayloadError::DigestLength(payload.len()))?)
        }
        Scheme::Ed25519 => SigningInput::Message(payload.to_vec()),
    };
    Ok(Decoded {
        facts: Vec::new(),
        inputs: SigningInputs::one(input),
        consensus: None,
        role: None,
    })
}

fn id(scheme: Scheme) -> KeyId {
    format!("test.{scheme}.v1").parse().unwrap()
}

/// A pipeline over one backend and its keys.
fn pipeline(backend: Arc<dyn Backend>, keys: &[(Scheme, Vec<u8>)]) -> Pipeline {
    let (mut keyring, mut state) = (Keyring::default(), State::default());
    for (scheme, public_key) in keys {
        keyring.insert(KeyEntry {
            id: id(*scheme),
            roles: BTreeSet::from([Role::Account]),
            scheme: *scheme,
            public_key: public_key.clone(),
            backend: "backend".into(),
            dangerous_allow_raw_messages: true,
            dangerous_allow_raw_digests: true,
            bound: None,
            rotation: None,
        });
        let status = KeyStatus {
            scheme: *scheme,
            public_key: public_key.clone(),
            created_ms: 1,
            state: KeyState::Active,
            version: 1,
            grace: None,
            uses: 0,
        };
        state.maps_mut().keys.insert(id(*scheme), status.into());
    }
    let client = Client {
        name: "client".into(),
        uid: 1000,
        gid: None,
        allow: vec![Allow {
            keys: vec!["*".parse::<KeyPattern>().unwrap()],
            operations: vec![Operation::Sign],
            formats: None,
        }],
    };
    let binding = Binding {
        instance: "allowing".into(),
        module_digest: "".into(),
        config_digest: "".into(),
        version: "".into(),
        understands: Understands::Any,
        keys: None,
        roles: None,
        formats: None,
    };
    Pipeline::new(Parts {
        network: Network::Devnet,
        clients: Clients(vec![Arc::new(client)]),
        keys: keyring,
        policies: Arc::new(PolicySet {
            bindings: vec![binding],
            evaluator: Box::new(Allowing),
            engine_hash: "".into(),
        }),
        ledger: Arc::new(Forgetful(Mutex::new(state))),
        backends: BTreeMap::from([("backend".to_owned(), backend)]),
        decode,
        clock: Arc::new(|| 1_700_000_000_000),
        boot_clock: Arc::new(|| 0),
        limits: Limits::default(),
        process_id: 1,
    })
}

fn sign(pipeline: &Pipeline, scheme: Scheme) -> Result<Signed, Refusal> {
    let format = match scheme {
        Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr => Format::RawDigest,
        Scheme::Ed25519 => Format::RawMessageNone,
    };
    let call = SignCall {
        operation: Operation::Sign.name().into(),
        key: id(scheme).name.to_string(),
        format: format.name().into(),
        scheme: String::new(),
        request_id: String::new(),
        payload: vec![7; 32],
        received: Instant::now(),
    };
    pipeline.sign(Peer { uid: 1000, gid: 1000 }, call)
}

#[test]
fn sealed_keys_sign_in_every_scheme() {
    let directory = tempfile::tempdir().unwrap();
    let passphrase = Passphrase::from_bytes(b"correct horse".to_vec()).unwrap();
    let vault = Arc::new(Vault::create(directory.path(), &passphrase).unwrap());
    let keys: Vec<_> = Scheme::ALL
        .iter()
        .map(|scheme| (*scheme, vault.generate(&id(*scheme), *scheme, 1).unwrap()))
        .collect();
    let pipeline = pipeline(Arc::new(SealedFileBackend::new(vault)), &keys);
    for (scheme, public_key) in keys {
        let signed = sign(&pipeline, scheme).unwrap();
        let input = decode(Format::RawDigest, scheme, &[7; 32]).unwrap().inputs.first;
        assert_eq!(signed.public_key, public_key);
        assert_eq!(
            verify::verify(scheme, &public_key, &input, &signed.signatures[0]),
            Ok(()),
            "{scheme}"
        );
    }
}

#[test]
fn each_fault_of_the_mock_is_a_refusal_of_its_own() {
    let mock = Arc::new(MockHsm::new(MockScript::default()));
    let keys: Vec<_> = Scheme::ALL
        .iter()
        .map(|scheme| (*scheme, mock.generate(&id(*scheme), *scheme).unwrap()))
        .collect();
    let pipeline = pipeline(Arc::<MockHsm>::clone(&mock), &keys);
    let fault = |set: fn(&mut Faults)| {
        let mut faults = Faults::default();
        set(&mut faults);
        faults
    };
    for (faults, code) in [
        (fault(|f| f.unavailable = true), Code::BackendUnavailable),
        (fault(|f| f.busy = true), Code::BackendUnavailable),
        (fault(|f| f.fail_after = Some(0)), Code::BackendFailed),
        (fault(|f| f.missing_signature = true), Code::BackendFailed),
        (fault(|f| f.wrong_signature = true), Code::SignatureInvalid),
        (fault(|f| f.wrong_key = true), Code::SignatureInvalid),
        (fault(|f| f.high_s = true), Code::SignatureInvalid),
        (fault(|f| f.short_signature = true), Code::SignatureInvalid),
    ] {
        mock.set_faults(faults.clone());
        for scheme in Scheme::ALL {
            assert_eq!(sign(&pipeline, *scheme).unwrap_err().kind(), code, "{scheme} {faults:?}");
        }
    }
    mock.set_faults(Faults::default());
    for scheme in Scheme::ALL {
        assert!(sign(&pipeline, *scheme).is_ok(), "{scheme}");
    }
}
