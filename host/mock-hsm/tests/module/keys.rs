//! Keys: generated, found, read, signing, destroyed, kept.

use crate::rig::*;
use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::dsa::{HedgeType, SignAdditionalContext};
use cryptoki::object::{Attribute, AttributeInfo, AttributeType, ObjectClass};
use sigwarden_mock_hsm::{EcPoint, Key, Scheme, Token, public_key};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// 32 bytes: a digest for ECDSA, a message for the others.
const MESSAGE: &[u8; 32] = b"thirty-two bytes that get signed";

pub(crate) fn each_scheme_generates_finds_and_signs() {
    let rig = Rig::start(&config());
    let session = rig.logged_in();
    for scheme in SCHEMES {
        let label = scheme.name();
        let (public_handle, private_handle) = generate(&session, scheme, label).unwrap();
        assert_eq!(find(&session, ObjectClass::PUBLIC_KEY, label).unwrap(), [public_handle]);
        assert_eq!(private(&session, label), private_handle);
        let by_type = session.find_objects(&[Attribute::KeyType(key_type(scheme))]).unwrap();
        assert_eq!(by_type, [public_handle, private_handle]);
        let key = public(&session, label);
        for _ in 0..4 {
            let signature = session.sign(&signing(scheme), private_handle, MESSAGE).unwrap();
            assert_eq!(signature.len(), if scheme == Scheme::MlDsa44 { 2420 } else { 64 });
            assert!(verifies(scheme, &key, MESSAGE, &signature), "{label}");
            assert!(!verifies(scheme, &key, b"another message of 32 bytes, yes", &signature), "{label}");
        }
    }
    // By ID alone: both halves of all three.
    assert_eq!(session.find_objects(&[Attribute::Id(vec![0x0a, 0x0b])]).unwrap().len(), 6);
    assert_eq!(session.find_objects(&[Attribute::Id(vec![0x0a])]).unwrap(), []);
    // Half of the ECDSA signatures are high-S, as SoftHSM's are.
    let handle = private(&session, Scheme::Secp256k1Ecdsa.name());
    let sign = || session.sign(&Mechanism::Ecdsa, handle, MESSAGE).unwrap();
    let high = [(); 4].map(|()| is_high_s(&sign()));
    assert_eq!(high.iter().filter(|high| **high).count(), 2, "{high:?}");
}

pub(crate) fn public_points_come_wrapped_or_bare() {
    let mut config = config();
    config.token[0].seed = Some("seed".into());
    config.token.push(Token {
        ec_point: EcPoint::Bare,
        ..Token {
            label: "bare".into(),
            ..config.token[0].clone()
        }
    });
    let rig = Rig::start(&config);
    let (wrapped, bare) = (rig.logged_in(), rig.pkcs11.open_rw_session(rig.slot_of("bare")).unwrap());
    login(&bare, PIN).unwrap();
    for (scheme, length) in [(Scheme::Secp256k1Ecdsa, 65_u8), (Scheme::Ed25519, 32)] {
        generate(&wrapped, scheme, scheme.name()).unwrap();
        generate(&bare, scheme, scheme.name()).unwrap();
        // One seed, two tokens: one key.
        let point = public(&bare, scheme.name());
        assert_eq!(point.len(), usize::from(length));
        assert_eq!(public(&wrapped, scheme.name()), [&[0x04, length], point.as_slice()].concat());
    }
}

pub(crate) fn configured_and_seeded_keys_are_known_beforehand() {
    let mut config = config();
    config.token[0].seed = Some("generated".into());
    config.token[0].key = SCHEMES
        .map(|scheme| Key {
            label: format!("configured {}", scheme.name()),
            scheme,
            seed: "configured".into(),
            id: "00ff".into(),
        })
        .to_vec();
    let rig = Rig::start(&config);
    let session = rig.logged_in();
    for scheme in SCHEMES {
        let label = scheme.name();
        generate(&session, scheme, label).unwrap();
        for (seed, label) in [("generated", label.to_owned()), ("configured", format!("configured {label}"))] {
            let known = public_key(seed, &label, scheme);
            let read = public(&session, &label);
            match scheme {
                Scheme::Secp256k1Ecdsa => {
                    let point = secp256k1::PublicKey::from_slice(&read[2..]).unwrap();
                    assert_eq!(known, point.serialize());
                }
                Scheme::Ed25519 => assert_eq!(known, read[2..]),
                Scheme::MlDsa44 => assert_eq!(known, read),
            }
            let signature = session.sign(&signing(scheme), private(&session, &label), MESSAGE).unwrap();
            assert!(verifies(scheme, &read, MESSAGE, &signature), "{label}");
        }
        assert_ne!(public_key("a", "k", scheme), public_key("b", "k", scheme));
        assert_ne!(public_key("a", "k", scheme), public_key("a", "l", scheme));
        // A second key of a label is another key.
        let (public_handle, _) = generate(&session, scheme, label).unwrap();
        let wanted = [AttributeType::EcPoint, AttributeType::Value];
        let second = session.get_attributes(public_handle, &wanted).unwrap();
        let first = session
            .get_attributes(find(&session, ObjectClass::PUBLIC_KEY, label).unwrap()[0], &wanted)
            .unwrap();
        assert!(second.len() == 1 && first.len() == 1 && second != first, "{label}");
    }
    assert_eq!(session.find_objects(&[Attribute::Id(vec![0x00, 0xff])]).unwrap().len(), 6);
}

pub(crate) fn secrets_stay_inside() {
    let rig = Rig::start(&config());
    let session = rig.logged_in();
    for scheme in SCHEMES {
        let (_, key) = generate(&session, scheme, scheme.name()).unwrap();
        let info = session
            .get_attribute_info(key, &[AttributeType::Value, AttributeType::Sensitive])
            .unwrap();
        assert!(
            matches!(info[..], [AttributeInfo::Sensitive, AttributeInfo::Available(1)]),
            "{info:?}"
        );
        let values = session
            .get_attributes(key, &[AttributeType::Value, AttributeType::Sensitive, AttributeType::Extractable])
            .unwrap();
        let shown: Vec<_> = values
            .iter()
            .filter(|value| !matches!(value, Attribute::Value(bytes) if bytes.is_empty()))
            .collect();
        assert_eq!(shown, [&Attribute::Sensitive(true), &Attribute::Extractable(false)]);
    }
}

pub(crate) fn templates_that_contradict_are_refused() {
    let rig = Rig::start(&config());
    let session = rig.logged_in();
    let p256 = Attribute::EcParams(vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
    let curve = generation(Scheme::Secp256k1Ecdsa).1;
    let refused = |public: &[Attribute], private: &[Attribute]| code(session.generate_key_pair(&Mechanism::EccKeyPairGen, public, private));
    assert_eq!(refused(&[], &[]), RvError::TemplateIncomplete);
    assert_eq!(refused(&[p256], &[]), RvError::CurveNotSupported);
    let curve = std::slice::from_ref(&curve);
    assert_eq!(refused(curve, &[Attribute::Extractable(true)]), RvError::AttributeValueInvalid);
    assert_eq!(refused(curve, &[Attribute::Sensitive(false)]), RvError::AttributeValueInvalid);
    assert_eq!(
        refused(curve, &[Attribute::Class(ObjectClass::PUBLIC_KEY)]),
        RvError::TemplateInconsistent
    );
    assert_eq!(refused(curve, &[Attribute::Label(vec![0xff])]), RvError::AttributeValueInvalid);
    assert_eq!(refused(curve, &[Attribute::Modulus(vec![1])]), RvError::AttributeTypeInvalid);
    let aes = session.generate_key_pair(&Mechanism::AesKeyGen, curve, &[]);
    assert_eq!(code(aes), RvError::MechanismInvalid);
    let read_only = rig.pkcs11.open_ro_session(rig.slot()).unwrap();
    assert_eq!(code(generate(&read_only, Scheme::Ed25519, "k")), RvError::SessionReadOnly);
    assert_eq!(session.find_objects(&[]).unwrap(), []);
}

pub(crate) fn a_destroyed_key_is_gone() {
    let rig = Rig::start(&config());
    let session = rig.logged_in();
    let (public_handle, private_handle) = generate(&session, Scheme::Ed25519, "k").unwrap();
    session.destroy_object(private_handle).unwrap();
    assert_eq!(code(session.destroy_object(private_handle)), RvError::ObjectHandleInvalid);
    assert_eq!(
        code(session.sign(&signing(Scheme::Ed25519), private_handle, MESSAGE)),
        RvError::KeyHandleInvalid
    );
    assert_eq!(session.find_objects(&[]).unwrap(), [public_handle]);
    drop(session);
    let rig = rig.restart();
    let session = rig.logged_in();
    assert_eq!(find(&session, ObjectClass::PRIVATE_KEY, "k").unwrap(), []);
    assert_eq!(find(&session, ObjectClass::PUBLIC_KEY, "k").unwrap().len(), 1);
}

pub(crate) fn keys_survive_a_restart() {
    let rig = Rig::start(&config());
    let session = rig.logged_in();
    let before = SCHEMES.map(|scheme| {
        generate(&session, scheme, scheme.name()).unwrap();
        public(&session, scheme.name())
    });
    drop(session);
    let file = beside("tokens").join(format!("{TOKEN}.toml"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.lines().next().unwrap().contains("These keys protect nothing"), "{text}");
    let rig = rig.restart();
    let session = rig.logged_in();
    for (scheme, key) in SCHEMES.into_iter().zip(before) {
        assert_eq!(public(&session, scheme.name()), key);
        let signature = session.sign(&signing(scheme), private(&session, scheme.name()), MESSAGE).unwrap();
        assert!(verifies(scheme, &key, MESSAGE, &signature));
    }
    // What another process does to the token is seen: here it takes every key away.
    std::fs::write(&file, "").unwrap();
    assert_eq!(session.find_objects(&[]).unwrap(), []);
}

pub(crate) fn processes_share_a_token() {
    const WORKER: &str = "SIGWARDEN_TEST_WORKER";
    const KEYS: usize = 10;
    if let Ok(label) = std::env::var(WORKER) {
        let session = Rig::attach().logged_in();
        for _ in 0..KEYS {
            generate(&session, Scheme::Ed25519, &label).unwrap();
        }
        return;
    }
    let rig = Rig::start(&config());
    let session = rig.logged_in();
    let (_, own) = generate(&session, Scheme::Ed25519, "own").unwrap();
    let again = std::env::current_exe().unwrap();
    let workers = ["a", "b"].map(|label| Command::new(&again).env(WORKER, label).spawn().unwrap());
    for mut worker in workers {
        assert!(worker.wait().unwrap().success());
    }
    for label in ["a", "b"] {
        assert_eq!(find(&session, ObjectClass::PRIVATE_KEY, label).unwrap().len(), KEYS, "{label}");
    }
    // Handles from before are good still.
    assert_eq!(private(&session, "own"), own);
    let theirs = find(&session, ObjectClass::PRIVATE_KEY, "a").unwrap()[0];
    for key in [own, theirs] {
        assert_eq!(session.sign(&signing(Scheme::Ed25519), key, MESSAGE).unwrap().len(), 64);
    }
}

pub(crate) fn session_objects_go_with_their_session() {
    let rig = Rig::start(&config());
    let session = rig.logged_in();
    let other = rig.open();
    let (mechanism, kind) = generation(Scheme::Ed25519);
    let (_, key) = other.generate_key_pair(&mechanism, &[kind], &[]).unwrap();
    assert_eq!(session.sign(&signing(Scheme::Ed25519), key, MESSAGE).unwrap().len(), 64);
    assert_eq!(session.find_objects(&[]).unwrap().len(), 2);
    drop(other);
    assert_eq!(session.find_objects(&[]).unwrap(), []);
}

pub(crate) fn signing_follows_the_standard() {
    let rig = Rig::start(&config());
    let session = rig.logged_in();
    let handles = SCHEMES.map(|scheme| generate(&session, scheme, scheme.name()).unwrap());
    let [(_, secp256k1), (ed25519_public, ed25519), (_, ml_dsa)] = handles;
    assert_eq!(
        code(session.sign(&Mechanism::Ecdsa, ed25519, MESSAGE)),
        RvError::KeyTypeInconsistent
    );
    assert_eq!(
        code(session.sign(&signing(Scheme::Ed25519), ed25519_public, MESSAGE)),
        RvError::KeyFunctionNotPermitted
    );
    assert_eq!(
        code(session.sign(&Mechanism::EcdsaSha256, secp256k1, MESSAGE)),
        RvError::MechanismInvalid
    );
    let insists = Mechanism::MlDsa(SignAdditionalContext::new(HedgeType::DeterministicRequired, None));
    assert_eq!(code(session.sign(&insists, ml_dsa, MESSAGE)), RvError::MechanismParamInvalid);
    let context = Mechanism::MlDsa(SignAdditionalContext::new(HedgeType::Preferred, Some(b"context")));
    assert_eq!(code(session.sign(&context, ml_dsa, MESSAGE)), RvError::MechanismParamInvalid);
    let hedged = Mechanism::MlDsa(SignAdditionalContext::new(HedgeType::Required, None));
    let signature = session.sign(&hedged, ml_dsa, MESSAGE).unwrap();
    assert!(verifies(
        Scheme::MlDsa44,
        &public(&session, Scheme::MlDsa44.name()),
        MESSAGE,
        &signature
    ));
    // A "digest" of 31 or 33 bytes is signed without complaint, as tokens do.
    let key = public(&session, Scheme::Secp256k1Ecdsa.name());
    let long = session.sign(&Mechanism::Ecdsa, secp256k1, &[&MESSAGE[..], b"!"].concat()).unwrap();
    assert!(verifies(Scheme::Secp256k1Ecdsa, &key, MESSAGE, &long));
    let short = session.sign(&Mechanism::Ecdsa, secp256k1, &MESSAGE[1..]).unwrap();
    assert!(verifies(Scheme::Secp256k1Ecdsa, &key, &[&[0], &MESSAGE[1..]].concat(), &short));
    // What was begun and not finished stays so, and a session that has gone through nothing else is of no use.
    session.sign_init(&signing(Scheme::Ed25519), ed25519).unwrap();
    assert_eq!(
        code(session.sign(&signing(Scheme::Ed25519), ed25519, MESSAGE)),
        RvError::OperationActive
    );
    assert_eq!(code(session.sign_init(&Mechanism::Ecdsa, secp256k1)), RvError::OperationActive);
    let fresh = rig.open();
    assert_eq!(fresh.sign(&signing(Scheme::Ed25519), ed25519, MESSAGE).unwrap().len(), 64);
}
