//! Keys on a token: found by their label, looked at, made, used.

use crate::encoding::{self, ED25519_OID, SECP256K1_OID};
use crate::failure::Failure;
use crate::keeper::listed;
use crate::mechanism::MechanismChoice;
use crate::pool::Open;
use crate::token::Token;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, MlDsaParameterSetType, ObjectClass, ObjectHandle, ParameterSetType};
use cryptoki::session::Session;
use sigwarden_core::Scheme;
use sigwarden_core::fact::SigningInput;

/// Objects of one label that are counted: more is as wrong as many.
const COUNTED_MAX: usize = 16;

/// A key as the configuration knows it.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) label: String,
    pub(crate) scheme: Scheme,
    pub(crate) mechanism: MechanismChoice,
}

/// Signs each input. The signatures are the token's, and nothing is known of them yet.
pub(crate) fn sign(
    token: &Token,
    open: &mut Open,
    wanted: &Wanted,
    pinned: &[u8],
    inputs: &[SigningInput],
) -> Result<Vec<Vec<u8>>, Failure> {
    let key = match open.key(&wanted.label) {
        Some(key) => key,
        None => {
            let key = private_key(token, &open.session, wanted)?;
            // What the token says of the key already tells some wrong ones, before they sign.
            if let Some(public_key) = public_key(token, &open.session, wanted, key)?
                && public_key != pinned
            {
                return Err(Failure::Lie {
                    token: token.label().into(),
                    key: wanted.label.clone(),
                    what: "the key of this label has another public key than the pinned one".into(),
                });
            }
            open.remember(&wanted.label, key);
            token.found(&wanted.label);
            key
        }
    };
    let mechanism = wanted.mechanism.mechanism().map_err(|error| token.call("C_SignInit", &error))?;
    let sign = |input: &SigningInput| {
        let bytes = match input {
            SigningInput::Digest(digest) => digest.as_slice(),
            SigningInput::Message(message) => message.as_slice(),
        };
        open.session
            .sign(&mechanism, key, bytes)
            .map_err(|error| token.call("C_Sign", &error))
    };
    inputs.iter().map(sign).collect()
}

/// The one private key of this label, of the right kind.
pub(crate) fn private_key(token: &Token, session: &Session, wanted: &Wanted) -> Result<ObjectHandle, Failure> {
    let keys = find(token, session, ObjectClass::PRIVATE_KEY, Some(&wanted.label))?;
    let key = match keys.as_slice() {
        [one] => *one,
        [] => {
            return Err(Failure::NoKey {
                token: token.label().into(),
                label: wanted.label.clone(),
                found: labels(token, session)?,
            });
        }
        several => return Err(ambiguous(token, wanted, "private keys", several.len())),
    };
    check_kind(token, session, wanted, key)?;
    Ok(key)
}

/// The public key of a private one, from the public object beside it, else from the private one. None if the token tells it nowhere.
pub(crate) fn public_key(token: &Token, session: &Session, wanted: &Wanted, private: ObjectHandle) -> Result<Option<Vec<u8>>, Failure> {
    let beside = find(token, session, ObjectClass::PUBLIC_KEY, Some(&wanted.label))?;
    let from = match beside.as_slice() {
        [] => private,
        [one] => *one,
        several => return Err(ambiguous(token, wanted, "public keys", several.len())),
    };
    // A private ML-DSA key's CKA_VALUE is the secret itself: it is never asked for.
    let attribute = match wanted.scheme {
        Scheme::MlDsa44 if from == private => return Ok(None),
        Scheme::MlDsa44 => AttributeType::Value,
        Scheme::Secp256k1Ecdsa | Scheme::Ed25519 => AttributeType::EcPoint,
        Scheme::Secp256k1Schnorr | Scheme::MlKem768 => return Ok(None),
    };
    let mut public = None;
    for attribute in attributes(token, session, from, &[attribute])? {
        if let Attribute::EcPoint(bytes) | Attribute::Value(bytes) = attribute
            && !bytes.is_empty()
        {
            let decoded = match wanted.scheme {
                Scheme::MlDsa44 => (bytes.len() == wanted.scheme.public_key_len()).then_some(bytes),
                Scheme::Secp256k1Ecdsa | Scheme::Ed25519 | Scheme::Secp256k1Schnorr | Scheme::MlKem768 => {
                    encoding::public_key(wanted.scheme, &bytes)
                }
            };
            public = Some(decoded.ok_or_else(|| other_kind(token, wanted, "its public key is in no known encoding"))?);
        }
    }
    Ok(public)
}

/// Makes a key: private, sensitive, not extractable, on the token. Returns the public key.
pub(crate) fn generate(token: &Token, open: &Open, wanted: &Wanted) -> Result<Vec<u8>, Failure> {
    let session = open.link.library.pkcs11.open_rw_session(open.link.slot);
    let session = &session.map_err(|error| token.call("C_OpenSession (read-write)", &error))?;
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        if !find(token, session, class, Some(&wanted.label))?.is_empty() {
            return Err(Failure::Exists {
                token: token.label().into(),
                label: wanted.label.clone(),
            });
        }
    }
    let (mechanism, kind) = match wanted.scheme {
        Scheme::Secp256k1Ecdsa => (Mechanism::EccKeyPairGen, Attribute::EcParams(SECP256K1_OID.to_vec())),
        Scheme::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, Attribute::EcParams(ED25519_OID.to_vec())),
        Scheme::MlDsa44 => (
            Mechanism::MlDsaKeyPairGen,
            Attribute::ParameterSet(MlDsaParameterSetType::ML_DSA_44.into()),
        ),
        Scheme::Secp256k1Schnorr | Scheme::MlKem768 => return Err(other_kind(token, wanted, "PKCS#11 makes no such key")),
    };
    let label = wanted.label.as_bytes().to_vec();
    let named = || {
        [
            Attribute::Token(true),
            Attribute::Label(label.clone()),
            Attribute::Id(label.clone()),
        ]
    };
    let mut public = vec![kind, Attribute::Private(false), Attribute::Verify(true)];
    public.extend(named());
    let mut private = vec![
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    private.extend(named());
    let (public, private) = session
        .generate_key_pair(&mechanism, &public, &private)
        .map_err(|error| token.call("C_GenerateKeyPair", &error))?;
    let kept = kept_inside(token, session, wanted, private).and_then(|()| self::public_key(token, session, wanted, private));
    let why = match kept {
        Ok(Some(public_key)) => return Ok(public_key),
        Ok(None) => other_kind(token, wanted, "it has no public key"),
        Err(why) => why,
    };
    // A key that nobody knows the public key of, or that could leave, is of no use.
    for object in [public, private] {
        if let Err(error) = session.destroy_object(object) {
            tracing::warn!(token = %token.label(), label = %wanted.label, "a key that is of no use stays on the token: {error}");
        }
    }
    Err(why)
}

/// Whether the token did as it was told.
fn kept_inside(token: &Token, session: &Session, wanted: &Wanted, private: ObjectHandle) -> Result<(), Failure> {
    let asked = [AttributeType::Sensitive, AttributeType::Extractable];
    for attribute in attributes(token, session, private, &asked)? {
        if matches!(attribute, Attribute::Sensitive(false) | Attribute::Extractable(true)) {
            return Err(Failure::Lie {
                token: token.label().into(),
                key: wanted.label.clone(),
                what: "it was told to keep the key inside, and made one that can be read".into(),
            });
        }
    }
    Ok(())
}

fn check_kind(token: &Token, session: &Session, wanted: &Wanted, key: ObjectHandle) -> Result<(), Failure> {
    let asked: &[AttributeType] = match wanted.scheme {
        Scheme::Secp256k1Ecdsa | Scheme::Ed25519 => &[AttributeType::KeyType, AttributeType::EcParams],
        Scheme::MlDsa44 | Scheme::Secp256k1Schnorr | Scheme::MlKem768 => &[AttributeType::KeyType, AttributeType::ParameterSet],
    };
    let kind = match wanted.scheme {
        Scheme::Secp256k1Ecdsa => KeyType::EC,
        Scheme::Ed25519 => KeyType::EC_EDWARDS,
        Scheme::MlDsa44 => KeyType::ML_DSA,
        Scheme::Secp256k1Schnorr | Scheme::MlKem768 => return Err(other_kind(token, wanted, "PKCS#11 has no such key")),
    };
    let set = ParameterSetType::from(MlDsaParameterSetType::ML_DSA_44);
    for attribute in attributes(token, session, key, asked)? {
        let wrong = if let Attribute::KeyType(found) = attribute {
            (found != kind).then(|| format!("its type is {found}"))
        } else if let Attribute::EcParams(params) = attribute {
            // Some tokens leave it out of the private key; then the public key and the signature tell.
            let right = params.is_empty() || encoding::is_curve(wanted.scheme, &params);
            let hex = |params: Vec<u8>| params.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>();
            (!right).then(|| format!("its curve is {}", hex(params)))
        } else if let Attribute::ParameterSet(found) = attribute {
            (found != set).then(|| format!("its parameter set is number {}", *found))
        } else {
            None
        };
        if let Some(found) = wrong {
            return Err(other_kind(token, wanted, &found));
        }
    }
    Ok(())
}

fn other_kind(token: &Token, wanted: &Wanted, found: &str) -> Failure {
    Failure::OtherKind {
        token: token.label().into(),
        label: wanted.label.clone(),
        scheme: wanted.scheme,
        found: found.into(),
    }
}

fn ambiguous(token: &Token, wanted: &Wanted, what: &'static str, count: usize) -> Failure {
    Failure::Ambiguous {
        token: token.label().into(),
        label: wanted.label.clone(),
        what,
        count,
    }
}

fn find(token: &Token, session: &Session, class: ObjectClass, label: Option<&str>) -> Result<Vec<ObjectHandle>, Failure> {
    let mut template = vec![Attribute::Class(class)];
    template.extend(label.map(|label| Attribute::Label(label.as_bytes().to_vec())));
    let failed = |error| token.call("C_FindObjects", &error);
    let found = session.iter_objects(&template).map_err(failed)?;
    found.take(COUNTED_MAX).map(|key| key.map_err(failed)).collect()
}

/// The labels of the private keys there are, for a message.
fn labels(token: &Token, session: &Session) -> Result<String, Failure> {
    let mut names = Vec::new();
    for key in find(token, session, ObjectClass::PRIVATE_KEY, None)? {
        for attribute in attributes(token, session, key, &[AttributeType::Label])? {
            if let Attribute::Label(label) = attribute {
                let label: String = String::from_utf8_lossy(&label)
                    .chars()
                    .take(64)
                    .flat_map(char::escape_debug)
                    .collect();
                names.push(format!("`{label}`"));
            }
        }
    }
    Ok(match names.len() {
        0 => "it has no private keys at all".into(),
        COUNTED_MAX => format!("it has {} among others", listed(&names)),
        _ => format!("it has {}", listed(&names)),
    })
}

fn attributes(token: &Token, session: &Session, key: ObjectHandle, asked: &[AttributeType]) -> Result<Vec<Attribute>, Failure> {
    session
        .get_attributes(key, asked)
        .map_err(|error| token.call("C_GetAttributeValue", &error))
}

/// The public key of the private one of this label.
pub(crate) fn exported(token: &Token, session: &Session, wanted: &Wanted) -> Result<Vec<u8>, Failure> {
    let private = private_key(token, session, wanted)?;
    let public = public_key(token, session, wanted, private)?;
    public.ok_or_else(|| other_kind(token, wanted, "the token has no public key of this label beside the private one"))
}
