#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use super::*;
use sigwarden_core::fact::SigningInput;
use sigwarden_core::verify::verify;

fn taken(values: &[(&str, &str)]) -> Result<EnvSecrets, EnvError> {
    let values = values
        .iter()
        .map(|(variable, value)| ((*variable).to_owned(), Zeroizing::new(value.as_bytes().to_vec())));
    EnvSecrets::from_values(EnvPreset::Igra, values.collect())
}

fn value(secrets: &EnvSecrets, name: &str) -> Option<Vec<u8>> {
    let secret = secrets.get(&name.parse().unwrap()).unwrap();
    secret.map(|secret| secret.expose_secret().to_vec())
}

/// The names of the IGRA guide's devnet ("Complete secret inventory", and its listing of a devnet's variables), with values of the
/// form that it gives there.
const DEVNET: &str = include_str!("../vectors/igra-devnet.env");

fn devnet() -> Vec<(&'static str, &'static str)> {
    DEVNET
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once('=').unwrap())
        .collect()
}

/// Each name is loaded, and each that is a key signs in its scheme.
#[test]
fn every_name_of_the_igra_devnet_is_loaded_and_every_key_signs() {
    let secrets = taken(&devnet()).ok().unwrap();
    let expected = [
        ("igra.devnet.rothschild_key", Some(Scheme::Secp256k1Schnorr)),
        ("igra.devnet.wallet_private_key", Some(Scheme::Secp256k1Schnorr)),
        ("igra.hd.mnemonic_signer_1", None),
        ("igra.hd.mnemonic_signer_2", None),
        ("igra.hd.mnemonic_signer_3", None),
        ("igra.hd.payment_secret", None),
        ("igra.hd.wallet_secret", None),
        ("igra.hyperlane.evm_key", Some(Scheme::Secp256k1Ecdsa)),
        ("igra.hyperlane.validator_1_key", Some(Scheme::Secp256k1Ecdsa)),
        ("igra.hyperlane.validator_2_key", Some(Scheme::Secp256k1Ecdsa)),
        ("igra.iroh.signer_seed_signer_1", Some(Scheme::Ed25519)),
        ("igra.iroh.signer_seed_signer_2", Some(Scheme::Ed25519)),
        ("igra.iroh.signer_seed_signer_3", Some(Scheme::Ed25519)),
        ("igra.wallet.mnemonic", None),
    ];
    let names: Vec<&str> = secrets.names().map(KeyName::as_str).collect();
    assert_eq!(names, expected.map(|(name, _)| name));
    let keys = expected
        .iter()
        .filter_map(|(name, scheme)| scheme.map(|scheme| (format!("{name}.v1").parse().unwrap(), scheme)));
    let keys: Vec<(KeyId, Scheme)> = keys.collect();
    let backend = secrets.backend(keys.clone()).ok().unwrap();
    assert_eq!(keys.len(), 8);
    for (id, scheme) in keys {
        let input = match scheme {
            Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr => SigningInput::Digest([5; 32]),
            Scheme::Ed25519 | Scheme::MlDsa44 | Scheme::MlKem768 => SigningInput::Message(vec![5; 32]),
        };
        let signed = backend.sign_inputs(&id, scheme, [&input].into_iter()).unwrap();
        assert_eq!(
            verify(scheme, &backend.public_key(&id).unwrap(), &input, &signed[0]),
            Ok(()),
            "{id}"
        );
    }
    for (name, scheme) in expected {
        let bytes = value(&secrets, name).unwrap();
        assert!(scheme.is_none() || bytes.len() == 32, "{name}");
    }
    assert_eq!(value(&secrets, "igra.hd.wallet_secret").unwrap(), b"devnet-secret");
    assert_eq!(value(&secrets, "igra.hd.payment_secret").unwrap(), b"optional_passphrase");
}

#[test]
fn both_spellings_and_a_profile_are_understood() {
    for (variable, name) in [
        ("IGRA_SECRET__igra_hd__wallet_secret", "igra.hd.wallet_secret"),
        ("IGRA_SECRET__igra__hd__wallet_secret", "igra.hd.wallet_secret"),
        ("IGRA_SECRET__igra_hd__mnemonic__signer_1", "igra.hd.mnemonic_signer_1"),
        ("IGRA_SECRET__igra__hd__mnemonic__signer_1", "igra.hd.mnemonic_signer_1"),
        ("KASPA_IGRA_WALLET_SECRET", "igra.hd.wallet_secret"),
        ("SIGWARDEN_SECRET__igra__hd__wallet_secret", "igra.hd.wallet_secret"),
    ] {
        assert_eq!(value(&taken(&[(variable, "x")]).ok().unwrap(), name).unwrap(), b"x", "{variable}");
    }
}

#[test]
fn the_new_name_wins_over_the_old_one_in_any_order() {
    let (old, new) = (("KASPA_IGRA_WALLET_SECRET", "old"), ("IGRA_SECRET__igra_hd__wallet_secret", "new"));
    for values in [[old, new], [new, old]] {
        assert_eq!(value(&taken(&values).ok().unwrap(), "igra.hd.wallet_secret").unwrap(), b"new");
    }
}

#[test]
fn two_values_for_one_name_are_refused_by_the_names_of_both() {
    let error = taken(&[
        ("IGRA_SECRET__igra_hd__wallet_secret", "same77"),
        ("IGRA_SECRET__igra__hd__wallet_secret", "same77"),
    ]);
    let text = error.err().unwrap().to_string();
    assert!(
        text.contains("`IGRA_SECRET__igra_hd__wallet_secret`") && text.contains("`IGRA_SECRET__igra__hd__wallet_secret`"),
        "{text}"
    );
    assert!(!text.contains("77"), "{text}");
}

#[test]
fn what_does_not_decode_or_names_nothing_stops_the_start_by_name() {
    for (variable, value) in [
        ("SIGWARDEN_SECRET__a__b", "hex:zz77"),
        ("SIGWARDEN_SECRET__a__b", "b64:77*"),
        ("SIGWARDEN_SECRET__alone", "77"),
        ("SIGWARDEN_SECRET__", "77"),
        ("IGRA_SECRET__hd__wallet_secret", "77"),
        ("IGRA_SECRET__igra_hd", "77"),
        ("IGRA_SECRET__igra_hd__a__b__c", "77"),
    ] {
        let text = taken(&[(variable, value)]).err().unwrap().to_string();
        assert!(text.contains(&format!("`{variable}`")) && !text.contains("77"), "{text}");
    }
}

#[test]
fn a_key_says_how_it_is_written_and_has_a_variable() {
    let secrets = taken(&[
        ("SIGWARDEN_SECRET__a__b", "0123456789abcdef0123456789abcdef"),
        ("SIGWARDEN_SECRET__a__c", "hex:00"),
    ]);
    let secrets = secrets.ok().unwrap();
    let backend = |id: &str| secrets.backend([(id.parse().unwrap(), Scheme::Ed25519)]).err().unwrap();
    assert!(matches!(backend("a.b.v1"), EnvError::Prefix(variable) if variable == "SIGWARDEN_SECRET__a__b"));
    assert!(matches!(backend("a.c.v1"), EnvError::Key { variable, .. } if variable == "SIGWARDEN_SECRET__a__c"));
    assert!(matches!(backend("a.d.v1"), EnvError::NoVariable(name) if name.as_str() == "a.d"));
}
