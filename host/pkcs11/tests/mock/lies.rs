//! A token that lies: nothing of it leaves, and it is not asked again.

use crate::faults::sign;
use crate::rig::{SCHEMES, fail_signing, key_id, mend, mock, public_key};
use crate::support::open;
use crate::support::pipeline::{self, pipeline};
use sigwarden_core::{Code, Scheme};
use sigwarden_mock_hsm::SigningFaults;
use sigwarden_pkcs11::{ErrorKind, Failure, Pkcs11Backend};
use std::sync::{Arc, Mutex};

fn fault(set: fn(&mut SigningFaults)) -> SigningFaults {
    let mut faults = SigningFaults::default();
    set(&mut faults);
    faults
}

pub(crate) fn a_high_s_is_lowered() {
    let backend = open(mock(&["mock"]));
    fail_signing("mock", fault(|faults| faults.high_s = true));
    let recovery_ids: Vec<_> = (0..40)
        .map(|n| sign(&backend, Scheme::Secp256k1Ecdsa, n).unwrap().recovery_id)
        .collect();
    for id in [0, 1] {
        assert!(recovery_ids.contains(&Some(id)), "{recovery_ids:?}");
    }
    // S beyond the order is no other form of the same signature: it is a wrong one.
    assert!(matches!(sign(&backend, Scheme::Ed25519, 1).unwrap_err(), Failure::Lie { .. }));
    assert_eq!(backend.distrusted().len(), 1);
}

fn assert_distrusted(backend: &Pkcs11Backend, scheme: Scheme) {
    let failure = sign(backend, scheme, 1).unwrap_err();
    assert!(matches!(failure, Failure::Lie { .. }), "{failure}");
    assert_eq!(failure.kind(), ErrorKind::InvalidSignature);
    mend();
    // Right again, and not believed until somebody looked.
    assert!(matches!(sign(backend, scheme, 2).unwrap_err(), Failure::Distrusted { .. }));
    assert_eq!(backend.distrusted().len(), 1);
    assert_eq!(backend.distrusted()[0].key, key_id(scheme));
    assert!(backend.trust_again(&key_id(scheme)));
    sign(backend, scheme, 3).unwrap();
}

pub(crate) fn a_wrong_signature_never_leaves() {
    let backend = open(mock(&["mock"]));
    for scheme in SCHEMES {
        for faults in [
            fault(|faults| faults.wrong_signature = true),
            fault(|faults| faults.short_signature = true),
        ] {
            sign(&backend, scheme, 0).unwrap();
            fail_signing("mock", faults);
            assert_distrusted(&backend, scheme);
        }
    }
    assert_eq!(backend.counters().sign_errors[&ErrorKind::InvalidSignature], 6);
    assert_eq!(backend.counters().sign_success, 12);
}

pub(crate) fn a_wrong_key_never_signs() {
    let backend = open(mock(&["mock"]));
    for scheme in SCHEMES {
        // Only the signature tells.
        fail_signing("mock", fault(|faults| faults.wrong_signer = true));
        assert_distrusted(&backend, scheme);
    }
    drop(backend);
    let backend = open(mock(&["mock"]));
    fail_signing("mock", fault(|faults| faults.wrong_key = true));
    for scheme in SCHEMES {
        assert_ne!(backend.public_key(&key_id(scheme), scheme).unwrap(), public_key(scheme));
        let failure = sign(&backend, scheme, 1).unwrap_err();
        assert_eq!(
            failure.to_string(),
            format!(
                "token `mock` is not to be trusted with `test.{scheme}.v1`: the key of this label has another public key than the pinned one"
            )
        );
    }
    assert_eq!(backend.distrusted().len(), 3);
}

/// Counts what is logged as an error, and keeps its text.
struct Alarms(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Alarms {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::ERROR
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0.push_str(&format!("{field}={value:?} "));
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

pub(crate) fn a_lie_raises_one_alarm() {
    let alarms = Arc::new(Mutex::new(Vec::new()));
    tracing::subscriber::set_global_default(Alarms(Arc::clone(&alarms))).unwrap();
    let backend = open(mock(&["mock"]));
    sign(&backend, Scheme::Ed25519, 0).unwrap();
    fail_signing("mock", fault(|faults| faults.wrong_signature = true));
    for n in 0..5 {
        assert!(sign(&backend, Scheme::Ed25519, n).is_err());
    }
    let alarms = alarms.lock().unwrap();
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    for part in [
        "ALARM",
        "test.ed25519.v1",
        "\"mock\"",
        "it does not verify against the pinned public key",
    ] {
        assert!(alarms[0].contains(part), "{}", alarms[0]);
    }
}

pub(crate) fn the_pipeline_refuses_what_a_liar_signs() {
    let backend = Arc::new(open(mock(&["mock"])));
    let schemes = [Scheme::Secp256k1Ecdsa, Scheme::Ed25519];
    let keys = schemes.map(|scheme| (scheme, public_key(scheme)));
    let pipeline = pipeline(Arc::<Pkcs11Backend>::clone(&backend), &keys);
    for scheme in schemes {
        assert_eq!(pipeline::id(scheme), key_id(scheme));
        assert!(pipeline::sign(&pipeline, scheme).is_ok());
    }
    fail_signing("mock", fault(|faults| faults.wrong_signature = true));
    for scheme in schemes {
        // The lie, then the distrust that follows from it.
        for _ in 0..2 {
            let refusal = pipeline::sign(&pipeline, scheme).unwrap_err();
            assert_eq!(refusal.kind(), Code::SignatureInvalid);
            assert!(!refusal.message.contains("mock"), "{}", refusal.message);
        }
    }
    assert_eq!(backend.distrusted().len(), 2);
}
