//! Keys: made, found, refused.

use crate::support::{assert_right, digest, id, input, logged_in, message, open, settings, token};
use crate::{library, with_tokens};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use sigwarden_core::Scheme;
use sigwarden_pkcs11::{ErrorKind, Failure, KeySettings, MechanismChoice, Pkcs11Backend};

const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// Makes a key as others would: with a label that may be taken, on any curve.
fn make(session: &cryptoki::session::Session, label: &str, mechanism: &Mechanism<'_>, curve: &[u8]) {
    let label = Attribute::Label(label.into());
    let public = [Attribute::Token(true), Attribute::EcParams(curve.to_vec()), label.clone()];
    let private = [Attribute::Token(true), Attribute::Private(true), Attribute::Sign(true), label];
    session.generate_key_pair(mechanism, &public, &private).unwrap();
}

pub(crate) fn keys_made_on_the_token_sign() {
    let module = with_tokens(&["validator"]);
    let backend = open(vec![token(&library(), "validator")]);
    for (scheme, length) in [(Scheme::Secp256k1Ecdsa, 33), (Scheme::Ed25519, 32)] {
        let id = id(&format!("test.{scheme}.v1"));
        let public_key = backend.generate(&id, scheme).unwrap();
        assert_eq!(public_key.len(), length);
        assert_eq!(backend.public_key(&id, scheme).unwrap(), public_key);
        // Half of SoftHSM's ECDSA signatures have a high S, half of the recovery ids are odd.
        for n in 0..20 {
            let input = input(scheme, n);
            let signatures = backend.sign_inputs(&id, scheme, &public_key, [&input].into_iter()).unwrap();
            assert_eq!(signatures.len(), 1);
            assert_right(scheme, &public_key, &input, &signatures[0]);
        }
    }
    assert_eq!(backend.counters().sign_success, 40);
    assert_eq!(backend.counters().sign_errors.values().sum::<u64>(), 0);
    assert!(backend.counters().last_latency_micros > 0);
    drop(backend);
    // They are where they can only be used.
    let session = logged_in(&module, "validator");
    let keys = session
        .find_objects(&[Attribute::Class(cryptoki::object::ObjectClass::PRIVATE_KEY)])
        .unwrap();
    assert_eq!(keys.len(), 2);
    for key in keys {
        use cryptoki::object::AttributeType;
        let asked = [
            AttributeType::Sensitive,
            AttributeType::Extractable,
            AttributeType::Private,
            AttributeType::Token,
        ];
        let told = session.get_attributes(key, &asked).unwrap();
        assert!(matches!(
            told.as_slice(),
            [
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Private(true),
                Attribute::Token(true)
            ]
        ));
    }
}

pub(crate) fn two_inputs_have_two_signatures() {
    with_tokens(&["validator"]);
    let backend = open(vec![token(&library(), "validator")]);
    let id = id("test.vote.v1");
    let public_key = backend.generate(&id, Scheme::Ed25519).unwrap();
    let inputs = [message(1), message(2)];
    let signatures = backend.sign_inputs(&id, Scheme::Ed25519, &public_key, inputs.iter()).unwrap();
    assert_eq!(signatures.len(), 2);
    for (input, signature) in inputs.iter().zip(&signatures) {
        assert_right(Scheme::Ed25519, &public_key, input, signature);
    }
    let none = backend.sign_inputs(&id, Scheme::Ed25519, &public_key, [].into_iter()).unwrap();
    assert!(none.is_empty());
}

pub(crate) fn a_label_that_is_taken_is_not_used_again() {
    with_tokens(&["validator"]);
    let backend = open(vec![token(&library(), "validator")]);
    let id = id("test.key.v1");
    let first = backend.generate(&id, Scheme::Secp256k1Ecdsa).unwrap();
    for scheme in [Scheme::Secp256k1Ecdsa, Scheme::Ed25519] {
        let error = backend.generate(&id, scheme).unwrap_err();
        assert!(matches!(error, Failure::Exists { .. }), "{error}");
    }
    assert_eq!(backend.public_key(&id, Scheme::Secp256k1Ecdsa).unwrap(), first);
}

pub(crate) fn a_key_that_is_not_there_is_named_with_those_that_are() {
    with_tokens(&["validator"]);
    let backend = open(vec![token(&library(), "validator")]);
    let error = backend.public_key(&id("test.none.v1"), Scheme::Ed25519).unwrap_err();
    assert_eq!(
        error.to_string(),
        "token `validator` has no private key labelled `test.none.v1`; it has no private keys at all"
    );
    backend.generate(&id("test.one.v1"), Scheme::Ed25519).unwrap();
    let error = backend
        .sign_inputs(&id("test.none.v1"), Scheme::Ed25519, &[0; 32], [&message(1)].into_iter())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "token `validator` has no private key labelled `test.none.v1`; it has `test.one.v1`"
    );
}

pub(crate) fn a_label_of_two_keys_is_refused() {
    let module = with_tokens(&["validator"]);
    let session = logged_in(&module, "validator");
    for _ in 0..2 {
        make(&session, "test.twice.v1", &Mechanism::EccKeyPairGen, crate::keys::SECP256K1);
    }
    drop(session);
    let backend = open(vec![token(&library(), "validator")]);
    let id = id("test.twice.v1");
    let error = backend.public_key(&id, Scheme::Secp256k1Ecdsa).unwrap_err();
    assert!(
        matches!(
            error,
            Failure::Ambiguous {
                count: 2,
                what: "private keys",
                ..
            }
        ),
        "{error}"
    );
    let error = backend
        .sign_inputs(&id, Scheme::Secp256k1Ecdsa, &[2; 33], [&digest(1)].into_iter())
        .unwrap_err();
    assert!(matches!(error, Failure::Ambiguous { .. }), "{error}");
}

const SECP256K1: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];

pub(crate) fn a_key_of_another_kind_is_refused() {
    let module = with_tokens(&["validator"]);
    let session = logged_in(&module, "validator");
    make(&session, "test.p256.v1", &Mechanism::EccKeyPairGen, P256);
    drop(session);
    let backend = open(vec![token(&library(), "validator")]);
    let error = backend.public_key(&id("test.p256.v1"), Scheme::Secp256k1Ecdsa).unwrap_err();
    assert_eq!(
        error.to_string(),
        "token `validator`: the key labelled `test.p256.v1` is no key of secp256k1-ecdsa: its curve is 06082a8648ce3d030107"
    );
    backend.generate(&id("test.ed.v1"), Scheme::Ed25519).unwrap();
    let error = backend
        .sign_inputs(&id("test.ed.v1"), Scheme::Secp256k1Ecdsa, &[2; 33], [&digest(1)].into_iter())
        .unwrap_err();
    assert!(matches!(error, Failure::OtherKind { .. }), "{error}");
    assert!(backend.distrusted().is_empty());
}

pub(crate) fn a_key_that_is_not_the_pinned_one_is_distrusted() {
    with_tokens(&["validator"]);
    let backend = open(vec![token(&library(), "validator")]);
    let id = id("test.key.v1");
    let public_key = backend.generate(&id, Scheme::Ed25519).unwrap();
    let pinned = [7; 32];
    let sign = |pinned: &[u8]| backend.sign_inputs(&id, Scheme::Ed25519, pinned, [&message(1)].into_iter());
    assert!(matches!(sign(&pinned).unwrap_err(), Failure::Lie { .. }));
    assert_eq!(backend.distrusted().len(), 1);
    assert_eq!(backend.distrusted()[0].key, id);
    // Not even for the right one, until an operator says so.
    assert!(matches!(sign(&public_key).unwrap_err(), Failure::Distrusted { .. }));
    assert_eq!(backend.counters().sign_success, 0);
    assert_eq!(backend.counters().sign_errors[&ErrorKind::InvalidSignature], 1);
    assert!(backend.trust_again(&id) && !backend.trust_again(&id));
    assert!(sign(&public_key).is_ok());
}

pub(crate) fn what_pkcs11_has_not_is_refused() {
    with_tokens(&["validator"]);
    let backend = open(vec![token(&library(), "validator")]);
    let id = id("test.key.v1");
    for scheme in [Scheme::Secp256k1Schnorr, Scheme::MlKem768] {
        for error in [
            backend.generate(&id, scheme).unwrap_err(),
            backend.sign_inputs(&id, scheme, &[0; 32], [&digest(1)].into_iter()).unwrap_err(),
        ] {
            assert!(matches!(error, Failure::NotOverPkcs11 { .. }), "{error}");
            assert!(error.to_string().contains("keep the key in a `sealed-file` backend"), "{error}");
        }
    }
    assert!(matches!(backend.derive(&id).unwrap_err(), Failure::NotOverPkcs11 { .. }));
    // SoftHSM 2.6 has no ML-DSA.
    let error = backend.generate(&id, Scheme::MlDsa44).unwrap_err();
    assert_eq!(error.to_string(), "token `validator`: C_GenerateKeyPair: CKR_MECHANISM_INVALID");
    let wrong = backend.sign_inputs(&id, Scheme::Secp256k1Ecdsa, &[2; 33], [&message(1)].into_iter());
    assert_eq!(
        wrong.unwrap_err().to_string(),
        "`test.key.v1`: secp256k1-ecdsa signs a 32-byte digest, and was given a message"
    );
    let wrong = backend.sign_inputs(&id, Scheme::Ed25519, &[2; 32], [&digest(1)].into_iter());
    assert!(matches!(wrong.unwrap_err(), Failure::Request { .. }));
}

pub(crate) fn a_mechanism_that_the_token_has_not_spoils_no_session() {
    with_tokens(&["validator"]);
    let (good, bad, crossed) = (id("test.good.v1"), id("test.bad.v1"), id("test.crossed.v1"));
    let mut settings = settings(vec![token(&library(), "validator")]);
    settings.sessions = 1;
    let special = |mechanism| KeySettings {
        label: None,
        mechanism: Some(mechanism),
    };
    settings.keys.insert(bad.clone(), special(MechanismChoice::Vendor(0x8000_0abc)));
    settings.keys.insert(crossed.clone(), special(MechanismChoice::Eddsa));
    let backend = Pkcs11Backend::open(settings).unwrap();
    let scheme = Scheme::Secp256k1Ecdsa;
    let (good_key, bad_key) = (backend.generate(&good, scheme).unwrap(), backend.generate(&bad, scheme).unwrap());
    for n in 0..3 {
        let error = backend.sign_inputs(&bad, scheme, &bad_key, [&digest(n)].into_iter()).unwrap_err();
        assert_eq!(error.to_string(), "token `validator`: C_Sign: CKR_MECHANISM_INVALID");
        let signatures = backend.sign_inputs(&good, scheme, &good_key, [&digest(n)].into_iter()).unwrap();
        assert_right(scheme, &good_key, &digest(n), &signatures[0]);
    }
    let error = backend
        .sign_inputs(&crossed, scheme, &[2; 33], [&digest(1)].into_iter())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`test.crossed.v1`: its mechanism is CKM_EDDSA, and a key of secp256k1-ecdsa signs with CKM_ECDSA"
    );
}

pub(crate) fn a_key_may_have_a_label_of_its_own() {
    let module = with_tokens(&["validator"]);
    let id = id("test.key.v1");
    let mut settings = settings(vec![token(&library(), "validator")]);
    let special = KeySettings {
        label: Some("Übergangsschlüssel 7".into()),
        mechanism: None,
    };
    settings.keys.insert(id.clone(), special);
    let backend = Pkcs11Backend::open(settings).unwrap();
    let public_key = backend.generate(&id, Scheme::Ed25519).unwrap();
    let signatures = backend
        .sign_inputs(&id, Scheme::Ed25519, &public_key, [&message(1)].into_iter())
        .unwrap();
    assert_right(Scheme::Ed25519, &public_key, &message(1), &signatures[0]);
    drop(backend);
    let session = logged_in(&module, "validator");
    let label = [Attribute::Label("Übergangsschlüssel 7".into())];
    assert_eq!(session.find_objects(&label).unwrap().len(), 2);
}
