//! What the tests share: a configured module, and what cryptoki makes long.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::dsa::{HedgeType, SignAdditionalContext};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, MlDsaParameterSetType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use sigwarden_mock_hsm::{CONFIG_VARIABLE, Config, Faults, Scheme, Token, TokenFaults, library_path};
use std::path::PathBuf;

/// Names the test of a process.
pub(crate) const ROLE: &str = "SIGWARDEN_TEST_ROLE";
pub(crate) const PIN: &str = "1234";
pub(crate) const TOKEN: &str = "validator";
pub(crate) const SCHEMES: [Scheme; 3] = [Scheme::Secp256k1Ecdsa, Scheme::Ed25519, Scheme::MlDsa44];

/// The module, initialised.
pub(crate) struct Rig {
    pub(crate) pkcs11: Pkcs11,
}

/// The configuration file of this process.
pub(crate) fn config_path() -> PathBuf {
    std::env::var_os(CONFIG_VARIABLE).unwrap().into()
}

/// A file beside the configuration.
pub(crate) fn beside(name: &str) -> PathBuf {
    config_path().with_file_name(name)
}

/// One token, kept in a directory, with a faults file.
pub(crate) fn config() -> Config {
    Config {
        directory: Some("tokens".into()),
        faults: Some("faults.toml".into()),
        token: vec![Token::new(TOKEN, PIN)],
    }
}

pub(crate) fn load() -> Pkcs11 {
    Pkcs11::new(library_path().expect("cargo builds the module for this test")).unwrap()
}

pub(crate) fn os_threads() -> CInitializeArgs {
    CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)
}

impl Rig {
    pub(crate) fn start(config: &Config) -> Self {
        config.write(&config_path()).unwrap();
        Self::attach()
    }

    /// The module with the configuration that is there.
    pub(crate) fn attach() -> Self {
        let rig = Self { pkcs11: load() };
        rig.pkcs11.initialize(os_threads()).unwrap();
        rig
    }

    /// Finalizes and initializes again.
    pub(crate) fn restart(self) -> Self {
        self.pkcs11.finalize().unwrap();
        Self::attach()
    }

    pub(crate) fn slot_of(&self, label: &str) -> Slot {
        let slots = self.pkcs11.get_slots_with_token().unwrap();
        let is = |slot: &Slot| self.pkcs11.get_token_info(*slot).unwrap().label() == label;
        slots.into_iter().find(is).expect("the token is there")
    }

    pub(crate) fn slot(&self) -> Slot {
        self.slot_of(TOKEN)
    }

    pub(crate) fn open(&self) -> Session {
        self.pkcs11.open_rw_session(self.slot()).unwrap()
    }

    pub(crate) fn logged_in(&self) -> Session {
        let session = self.open();
        login(&session, PIN).unwrap();
        session
    }

    /// Another session, and the login if the token has lost it.
    pub(crate) fn logged_in_beside(&self) -> Session {
        let session = self.open();
        if session.get_session_info().unwrap().session_state() != SessionState::RwUser {
            login(&session, PIN).unwrap();
        }
        session
    }

    pub(crate) fn faults(&self, faults: TokenFaults) {
        Faults::of(TOKEN, faults).write(&beside("faults.toml")).unwrap();
    }
}

pub(crate) fn login(session: &Session, pin: &str) -> Result<(), Error> {
    session.login(UserType::User, Some(&AuthPin::new(pin.into())))
}

/// The `CKR_` code of a failure.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> RvError {
    match result {
        Err(Error::Pkcs11(code, _)) => code,
        other => panic!("{other:?} is no refusal of the module"),
    }
}

pub(crate) fn generation(scheme: Scheme) -> (Mechanism<'static>, Attribute) {
    match scheme {
        Scheme::Secp256k1Ecdsa => (
            Mechanism::EccKeyPairGen,
            Attribute::EcParams(vec![0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a]),
        ),
        Scheme::Ed25519 => (
            Mechanism::EccEdwardsKeyPairGen,
            Attribute::EcParams(vec![0x06, 0x03, 0x2b, 0x65, 0x70]),
        ),
        Scheme::MlDsa44 => (
            Mechanism::MlDsaKeyPairGen,
            Attribute::ParameterSet(MlDsaParameterSetType::ML_DSA_44.into()),
        ),
    }
}

pub(crate) fn signing(scheme: Scheme) -> Mechanism<'static> {
    match scheme {
        Scheme::Secp256k1Ecdsa => Mechanism::Ecdsa,
        Scheme::Ed25519 => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)),
        Scheme::MlDsa44 => Mechanism::MlDsa(SignAdditionalContext::new(HedgeType::Preferred, None)),
    }
}

pub(crate) fn key_type(scheme: Scheme) -> KeyType {
    match scheme {
        Scheme::Secp256k1Ecdsa => KeyType::EC,
        Scheme::Ed25519 => KeyType::EC_EDWARDS,
        Scheme::MlDsa44 => KeyType::ML_DSA,
    }
}

/// Generates a token key as an HSM's user does: public half, private half.
pub(crate) fn generate(session: &Session, scheme: Scheme, label: &str) -> Result<(ObjectHandle, ObjectHandle), Error> {
    let (mechanism, kind) = generation(scheme);
    let common = [
        Attribute::Token(true),
        Attribute::Label(label.into()),
        Attribute::Id(vec![0x0a, 0x0b]),
    ];
    let public = [&common[..], &[kind, Attribute::Private(false), Attribute::Verify(true)]].concat();
    let secret = [
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    session.generate_key_pair(&mechanism, &public, &[&common[..], &secret].concat())
}

/// The objects of a class and a label.
pub(crate) fn find(session: &Session, class: ObjectClass, label: &str) -> Result<Vec<ObjectHandle>, Error> {
    session.find_objects(&[Attribute::Class(class), Attribute::Label(label.into())])
}

/// The one private key of a label.
pub(crate) fn private(session: &Session, label: &str) -> ObjectHandle {
    let found = find(session, ObjectClass::PRIVATE_KEY, label).unwrap();
    assert_eq!(found.len(), 1, "private keys called {label}");
    found[0]
}

/// The public key of a label as the token gives it: a point, still wrapped, or an ML-DSA key.
pub(crate) fn public(session: &Session, label: &str) -> Vec<u8> {
    let found = find(session, ObjectClass::PUBLIC_KEY, label).unwrap();
    assert_eq!(found.len(), 1, "public keys called {label}");
    let wanted = [AttributeType::EcPoint, AttributeType::Value];
    let mut values = session.get_attributes(found[0], &wanted).unwrap();
    match values.pop() {
        Some(Attribute::EcPoint(bytes) | Attribute::Value(bytes)) if values.is_empty() => bytes,
        other => panic!("{other:?} is no public key"),
    }
}

/// Whether a signature is valid, by the scheme's own library. High S is let pass, as the standard for ECDSA does. `key` is what
/// [`public`] gives.
pub(crate) fn verifies(scheme: Scheme, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    match scheme {
        Scheme::Secp256k1Ecdsa => {
            assert_eq!(key[..2], [0x04, 65]);
            let key = secp256k1::PublicKey::from_slice(&key[2..]).unwrap();
            let Ok(mut signature) = secp256k1::ecdsa::Signature::from_compact(signature) else {
                return false;
            };
            signature.normalize_s();
            let message = secp256k1::Message::from_digest(message.try_into().unwrap());
            secp256k1::ecdsa::verify(&signature, message, &key).is_ok()
        }
        Scheme::Ed25519 => {
            assert_eq!(key[..2], [0x04, 32]);
            let key = ed25519_dalek::VerifyingKey::from_bytes(key[2..].try_into().unwrap()).unwrap();
            let signature = ed25519_dalek::Signature::from_slice(signature);
            signature.is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
        }
        Scheme::MlDsa44 => {
            use aws_lc_rs::signature::{ML_DSA_44, UnparsedPublicKey};
            UnparsedPublicKey::new(&ML_DSA_44, key).verify(message, signature).is_ok()
        }
    }
}

pub(crate) fn is_high_s(signature: &[u8]) -> bool {
    let signature = secp256k1::ecdsa::Signature::from_compact(signature).unwrap();
    let mut low = signature;
    low.normalize_s();
    low != signature
}
