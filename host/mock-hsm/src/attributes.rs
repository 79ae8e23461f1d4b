//! Objects as their attributes: what templates ask for, and what an object answers.

use crate::config::EcPoint;
use crate::faults::SigningFaults;
use crate::keys::{Pair, Scheme};
use crate::store::Half;
use cryptoki_sys::*;
use std::sync::Arc;

/// An answer of the module: a value, or the `CKR_` code that a caller gets.
pub(crate) type Answer<T> = Result<T, CK_RV>;

/// An attribute of a template.
pub(crate) type Attribute<'a> = (CK_ATTRIBUTE_TYPE, &'a [u8]);

/// Bytes of a label or an ID: real tokens have less.
const NAME_MAX: usize = 256;

/// One half of a key pair.
#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) half: Half,
    pub(crate) label: String,
    pub(crate) id: Vec<u8>,
    pub(crate) pair: Arc<Pair>,
    pub(crate) origin: Origin,
}

/// Where an object comes from, and so when it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The configuration.
    Configured,
    /// `C_GenerateKeyPair`, kept.
    Generated,
    /// `C_GenerateKeyPair`, gone with its session.
    Session(CK_SESSION_HANDLE),
}

impl Object {
    /// The value of an attribute, or `CKR_ATTRIBUTE_SENSITIVE`, or `CKR_ATTRIBUTE_TYPE_INVALID` if such an object has none.
    pub(crate) fn attribute(&self, attribute: CK_ATTRIBUTE_TYPE, point: EcPoint, faults: &SigningFaults) -> Answer<Vec<u8>> {
        let scheme = self.pair.scheme();
        let public = self.half == Half::Public;
        Ok(match attribute {
            CKA_CLASS if public => ulong(CKO_PUBLIC_KEY),
            CKA_CLASS => ulong(CKO_PRIVATE_KEY),
            CKA_KEY_TYPE => ulong(scheme.key_type()),
            CKA_LABEL => self.label.clone().into_bytes(),
            CKA_ID => self.id.clone(),
            CKA_TOKEN => boolean(!matches!(self.origin, Origin::Session(_))),
            CKA_PRIVATE => boolean(!public),
            CKA_LOCAL => boolean(true),
            CKA_KEY_GEN_MECHANISM => ulong(scheme.generation()),
            CKA_DESTROYABLE => boolean(true),
            CKA_MODIFIABLE | CKA_COPYABLE | CKA_DERIVE => boolean(false),
            CKA_EC_PARAMS => scheme.curve().ok_or(CKR_ATTRIBUTE_TYPE_INVALID)?.to_vec(),
            CKA_PARAMETER_SET => ulong(scheme.parameter_set().ok_or(CKR_ATTRIBUTE_TYPE_INVALID)?),
            CKA_VERIFY if public => boolean(true),
            CKA_ENCRYPT | CKA_WRAP | CKA_VERIFY_RECOVER | CKA_TRUSTED if public => boolean(false),
            CKA_EC_POINT if public && scheme.curve().is_some() => wrap(self.pair.public_point(faults), point),
            CKA_VALUE if public && scheme == Scheme::MlDsa44 => self.pair.public_point(faults),
            CKA_SIGN | CKA_SENSITIVE | CKA_ALWAYS_SENSITIVE | CKA_NEVER_EXTRACTABLE if !public => boolean(true),
            CKA_DECRYPT | CKA_UNWRAP | CKA_SIGN_RECOVER | CKA_EXTRACTABLE | CKA_ALWAYS_AUTHENTICATE | CKA_WRAP_WITH_TRUSTED if !public => {
                boolean(false)
            }
            CKA_VALUE | CKA_SEED if !public => return Err(CKR_ATTRIBUTE_SENSITIVE),
            _ => return Err(CKR_ATTRIBUTE_TYPE_INVALID),
        })
    }

    /// Whether every attribute of the template is the object's.
    pub(crate) fn matches(&self, template: &[Attribute<'_>], point: EcPoint, faults: &SigningFaults) -> bool {
        template
            .iter()
            .all(|(attribute, wanted)| self.attribute(*attribute, point, faults).is_ok_and(|value| value == *wanted))
    }
}

/// What a template of `C_GenerateKeyPair` asks for.
pub(crate) struct Wanted {
    pub(crate) token: bool,
    pub(crate) label: String,
    pub(crate) id: Vec<u8>,
    named_key: bool,
}

impl Wanted {
    /// Reads the template of one half. What contradicts the mechanism, or would let a secret out, is refused.
    pub(crate) fn read(half: Half, scheme: Scheme, template: &[Attribute<'_>]) -> Answer<Self> {
        let public = half == Half::Public;
        let mut wanted = Self {
            token: false,
            label: String::new(),
            id: Vec::new(),
            named_key: false,
        };
        let class = if public { CKO_PUBLIC_KEY } else { CKO_PRIVATE_KEY };
        for &(attribute, value) in template {
            match attribute {
                CKA_CLASS => consistent(value == ulong(class))?,
                CKA_KEY_TYPE => consistent(value == ulong(scheme.key_type()))?,
                CKA_TOKEN => wanted.token = read_boolean(value)?,
                CKA_LABEL => wanted.label = String::from_utf8(named(value)?).map_err(|_| CKR_ATTRIBUTE_VALUE_INVALID)?,
                CKA_ID => wanted.id = named(value)?,
                CKA_EC_PARAMS if scheme.is_curve(value) => wanted.named_key = true,
                CKA_EC_PARAMS if scheme.curve().is_some() => return Err(CKR_CURVE_NOT_SUPPORTED),
                CKA_PARAMETER_SET if scheme.parameter_set().is_some_and(|set| value == ulong(set)) => wanted.named_key = true,
                CKA_PARAMETER_SET if scheme.parameter_set().is_some() => return Err(CKR_PARAMETER_SET_NOT_SUPPORTED),
                CKA_PRIVATE => is_boolean(value, !public)?,
                CKA_VERIFY if public => is_boolean(value, true)?,
                CKA_SIGN | CKA_SENSITIVE if !public => is_boolean(value, true)?,
                CKA_EXTRACTABLE if !public => is_boolean(value, false)?,
                CKA_ENCRYPT | CKA_WRAP | CKA_VERIFY_RECOVER | CKA_TRUSTED if public => is_boolean(value, false)?,
                CKA_DECRYPT | CKA_UNWRAP | CKA_SIGN_RECOVER | CKA_ALWAYS_AUTHENTICATE if !public => is_boolean(value, false)?,
                CKA_DERIVE => is_boolean(value, false)?,
                // Asked for or not, it is as `Object::attribute` says.
                CKA_MODIFIABLE | CKA_COPYABLE | CKA_DESTROYABLE => drop(read_boolean(value)?),
                _ => return Err(CKR_ATTRIBUTE_TYPE_INVALID),
            }
        }
        // The curve or the parameter set is said with the public half, and nowhere else has to be.
        if public && !wanted.named_key {
            return Err(CKR_TEMPLATE_INCOMPLETE);
        }
        Ok(wanted)
    }
}

fn consistent(is: bool) -> Answer<()> {
    is.then_some(()).ok_or(CKR_TEMPLATE_INCONSISTENT)
}

fn named(value: &[u8]) -> Answer<Vec<u8>> {
    (value.len() <= NAME_MAX).then(|| value.to_vec()).ok_or(CKR_ATTRIBUTE_VALUE_INVALID)
}

fn read_boolean(value: &[u8]) -> Answer<bool> {
    match value {
        [CK_FALSE] => Ok(false),
        [CK_TRUE] => Ok(true),
        _ => Err(CKR_ATTRIBUTE_VALUE_INVALID),
    }
}

fn is_boolean(value: &[u8], wanted: bool) -> Answer<()> {
    (read_boolean(value)? == wanted).then_some(()).ok_or(CKR_ATTRIBUTE_VALUE_INVALID)
}

fn ulong(value: CK_ULONG) -> Vec<u8> {
    value.to_ne_bytes().to_vec()
}

fn boolean(value: bool) -> Vec<u8> {
    vec![if value { CK_TRUE } else { CK_FALSE }]
}

/// A point of at most 65 bytes in a DER OCTET STRING, whose length then fits one byte.
fn wrap(point: Vec<u8>, form: EcPoint) -> Vec<u8> {
    match form {
        EcPoint::Bare => point,
        EcPoint::Wrapped => [&[0x04, point.len().to_le_bytes()[0]], point.as_slice()].concat(),
    }
}
