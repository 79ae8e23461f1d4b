#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use super::*;
use sigwarden_core::verify::{Invalid, verify};

/// Those that sign.
const SCHEMES: [Scheme; 4] = [Scheme::Secp256k1Ecdsa, Scheme::Secp256k1Schnorr, Scheme::Ed25519, Scheme::MlDsa44];

fn id() -> KeyId {
    "evm.hot.v1".parse().unwrap()
}

fn input(scheme: Scheme) -> SigningInput {
    match scheme {
        Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr => SigningInput::Digest([5; 32]),
        Scheme::Ed25519 | Scheme::MlDsa44 => SigningInput::Message(b"hello".to_vec()),
        Scheme::MlKem768 => SigningInput::Message(vec![5; 1088]),
    }
}

fn sign(mock: &MockHsm, scheme: Scheme) -> Result<RawSignature, BackendFailure> {
    let input = input(scheme);
    mock.sign_inputs(&id(), scheme, [&input].into_iter())
        .map(|mut signatures| signatures.pop().unwrap())
}

/// What core says of the signature that a mock with these faults gives.
fn judged(scheme: Scheme, faults: Faults) -> Result<(), Invalid> {
    let mock = MockHsm::new(MockScript::default());
    let public_key = mock.generate(&id(), scheme).unwrap();
    mock.set_faults(faults);
    verify(scheme, &public_key, &input(scheme), &sign(&mock, scheme).unwrap())
}

#[test]
fn without_faults_it_signs() {
    for scheme in SCHEMES {
        assert_eq!(judged(scheme, Faults::default()), Ok(()), "{scheme}");
    }
}

#[test]
fn the_same_seed_gives_the_same_keys_and_another_gives_others() {
    let script = |seed: &str| MockScript {
        seed: seed.into(),
        ..MockScript::default()
    };
    for scheme in Scheme::ALL.iter().copied() {
        let key = |seed| MockHsm::new(script(seed)).generate(&id(), scheme).unwrap();
        assert_eq!(key("a"), key("a"));
        assert_ne!(key("a"), key("b"));
        let mock = MockHsm::new(script("a"));
        assert_eq!(mock.public_key(&id()), None);
        let public_key = mock.generate(&id(), scheme).unwrap();
        assert_eq!(mock.public_key(&id()), Some(public_key));
    }
}

#[test]
fn faulty_signatures_are_refused_by_core_for_the_right_reason() {
    let wrong_signature = Faults {
        wrong_signature: true,
        ..Faults::default()
    };
    let wrong_key = Faults {
        wrong_key: true,
        ..Faults::default()
    };
    let short = Faults {
        short_signature: true,
        ..Faults::default()
    };
    let high_s = Faults {
        high_s: true,
        ..Faults::default()
    };
    for scheme in SCHEMES {
        assert_eq!(judged(scheme, wrong_signature.clone()), Err(Invalid::Signature), "{scheme}");
        assert_eq!(judged(scheme, wrong_key.clone()), Err(Invalid::Signature), "{scheme}");
        assert_eq!(judged(scheme, short.clone()), Err(Invalid::Encoding), "{scheme}");
    }
    assert_eq!(judged(Scheme::Secp256k1Ecdsa, high_s.clone()), Err(Invalid::HighS));
    assert_eq!(judged(Scheme::Ed25519, high_s.clone()), Err(Invalid::Signature));
    assert_eq!(judged(Scheme::Secp256k1Schnorr, high_s.clone()), Err(Invalid::Signature));
    assert_eq!(judged(Scheme::MlDsa44, high_s), Err(Invalid::Signature));
}

/// A high S is wrong for its form only: put down again, it is the signature that was.
#[test]
fn a_raised_s_still_signs_the_same() {
    let mock = MockHsm::new(MockScript::default());
    let public_key = mock.generate(&id(), Scheme::Secp256k1Ecdsa).unwrap();
    let mut signature = sign(&mock, Scheme::Secp256k1Ecdsa).unwrap();
    let sound = signature.clone();
    raise_ecdsa(&mut signature);
    assert_ne!(signature, sound);
    raise_ecdsa(&mut signature);
    assert_eq!(signature, sound);
    assert_eq!(
        verify(Scheme::Secp256k1Ecdsa, &public_key, &input(Scheme::Secp256k1Ecdsa), &sound),
        Ok(())
    );
}

#[test]
fn faults_change_while_it_runs() {
    let mock = MockHsm::new(MockScript::default());
    let scheme = Scheme::Ed25519;
    mock.generate(&id(), scheme).unwrap();
    mock.set_faults(Faults {
        unavailable: true,
        ..Faults::default()
    });
    assert!(matches!(sign(&mock, scheme), Err(BackendFailure::Unavailable(_))));
    mock.set_faults(Faults {
        busy: true,
        ..Faults::default()
    });
    assert!(matches!(sign(&mock, scheme), Err(BackendFailure::Unavailable(_))));
    mock.set_faults(Faults {
        fail_after: Some(2),
        ..Faults::default()
    });
    assert!(sign(&mock, scheme).is_ok() && sign(&mock, scheme).is_ok());
    assert!(matches!(sign(&mock, scheme), Err(BackendFailure::Failed(_))));
    mock.set_faults(Faults::default());
    assert!(sign(&mock, scheme).is_ok());
    mock.set_key_faults(
        &id(),
        Some(Faults {
            missing_signature: true,
            ..Faults::default()
        }),
    );
    let input = input(scheme);
    assert_eq!(mock.sign_inputs(&id(), scheme, [&input].into_iter()), Ok(Vec::new()));
    mock.set_key_faults(&id(), None);
    assert!(sign(&mock, scheme).is_ok());
}

#[test]
fn it_decapsulates_and_fails_as_scripted() {
    use secrecy::ExposeSecret;
    let mock = MockHsm::new(MockScript::default());
    let scheme = Scheme::MlKem768;
    mock.generate(&id(), scheme).unwrap();
    let input = input(scheme);
    let opened = || {
        let opened = mock.decapsulate_inputs(&id(), scheme, [&input].into_iter());
        opened.map(|secret| *secret.expose_secret())
    };
    let right = opened().unwrap();
    assert_eq!(opened(), Ok(right));
    for faults in [
        Faults {
            unavailable: true,
            ..Faults::default()
        },
        Faults {
            fail_after: Some(0),
            ..Faults::default()
        },
    ] {
        mock.set_faults(faults);
        assert!(opened().is_err());
    }
    mock.set_faults(Faults {
        wrong_key: true,
        ..Faults::default()
    });
    assert_ne!(opened().unwrap(), right);
    // It signs nothing, and the others decapsulate nothing.
    mock.set_faults(Faults::default());
    assert!(matches!(sign(&mock, scheme), Err(BackendFailure::Failed(text)) if text.contains("signs nothing")));
    mock.generate(&id(), Scheme::MlDsa44).unwrap();
    let refused = mock.decapsulate_inputs(&id(), Scheme::MlDsa44, [&input].into_iter()).err();
    assert!(matches!(refused, Some(BackendFailure::Failed(text)) if text.contains("decapsulates nothing")));
}

#[test]
fn an_unknown_key_or_another_scheme_is_refused() {
    let mock = MockHsm::new(MockScript::default());
    assert!(matches!(sign(&mock, Scheme::Ed25519), Err(BackendFailure::Failed(_))));
    mock.generate(&id(), Scheme::Secp256k1Ecdsa).unwrap();
    assert!(matches!(sign(&mock, Scheme::Ed25519), Err(BackendFailure::Failed(_))));
}

#[test]
fn a_script_is_data_and_unknown_fields_are_errors() {
    let script: MockScript =
        toml::from_str("seed = \"s\"\n[faults]\nlatency_ms = 5\n[keys.\"evm.hot.v1\"]\nhigh_s = true\nfail_after = 3\n").unwrap();
    assert_eq!(script.faults.latency_ms, 5);
    let hot = &script.keys[&id()];
    assert!(hot.high_s && hot.fail_after == Some(3) && hot.latency_ms == 0);
    assert!(toml::from_str::<MockScript>("[faults]\nlatency = 5\n").is_err());
    assert_eq!(serde_json::from_str::<MockScript>("{}").unwrap(), MockScript::default());
}
