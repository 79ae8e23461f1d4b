//! Certificates in DER (RFC 5280 §4.1), and the keys that sign them.

use super::{CaError, IssuedName, Kind};
use crate::certificate::Facts;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::pkcs8::Document as Pkcs8;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use der::asn1::{Any, BitString, Ia5String, ObjectIdentifier, OctetString, Utf8StringRef};
use der::oid::AssociatedOid;
use der::oid::db::{rfc4519, rfc5280, rfc5912};
use der::{DateTime, Decode, Encode, Sequence};
use std::time::Duration;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::certificate::Version;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};
use x509_cert::{AlgorithmIdentifier, SubjectPublicKeyInfo};

/// Bytes of a serial number: 20 at most, and 64 random bits at least (RFC 5280 §4.1.2.2; CA/Browser Forum ballot 164).
const SERIAL_BYTES: usize = 16;
/// Bytes of a key identifier (RFC 7093 §2, method 1).
const KEY_ID_BYTES: usize = 20;

/// `TBSCertificate`.
#[derive(Sequence)]
struct ToBeSigned {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: Version,
    serial_number: SerialNumber,
    signature: AlgorithmIdentifier,
    issuer: Name,
    validity: Validity,
    subject: Name,
    subject_public_key_info: SubjectPublicKeyInfo,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

/// `Certificate`.
#[derive(Sequence)]
struct Signed {
    certificate: ToBeSigned,
    algorithm: AlgorithmIdentifier,
    signature: BitString,
}

/// A key pair that can sign certificates.
pub(super) struct Signer(EcdsaKeyPair, ObjectIdentifier);

impl Signer {
    /// P-256, for a CA too: every TLS takes it, and of the usual curves it is verified quickest, by both ends of each connection. Another
    /// curve would outlive it against nothing that is known.
    pub(super) fn generate() -> Result<Self, CaError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| failed("generate a key"))?;
        Ok(Self(pair, rfc5912::ECDSA_WITH_SHA_256))
    }

    /// Reads PKCS#8.
    pub(super) fn read(pkcs8: &[u8]) -> Option<Self> {
        let p384 = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, pkcs8).map(|pair| Self(pair, rfc5912::ECDSA_WITH_SHA_384));
        let p256 = |_| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8).map(|pair| Self(pair, rfc5912::ECDSA_WITH_SHA_256));
        p384.or_else(p256).ok()
    }

    /// The public key's point, uncompressed.
    pub(super) fn key_bits(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    pub(super) fn public_key(&self) -> Result<SubjectPublicKeyInfo, CaError> {
        let der = self.0.public_key().as_der().map_err(|_| failed("encode a public key"))?;
        SubjectPublicKeyInfo::from_der(der.as_ref()).map_err(encoding)
    }

    /// Wiped when dropped.
    pub(super) fn pkcs8(&self) -> Result<Pkcs8, CaError> {
        self.0.to_pkcs8v1().map_err(|_| failed("encode a key"))
    }

    fn algorithm(&self) -> AlgorithmIdentifier {
        AlgorithmIdentifier {
            oid: self.1,
            parameters: None,
        }
    }

    fn sign(&self, message: &[u8]) -> Result<BitString, CaError> {
        let signature = self.0.sign(&SystemRandom::new(), message).map_err(|_| failed("sign"))?;
        BitString::from_bytes(signature.as_ref()).map_err(encoding)
    }
}

/// Who signs.
pub(super) struct Issuer {
    name: Name,
    key_id: OctetString,
}

impl Issuer {
    /// A CA that signs its own certificate.
    pub(super) fn itself(name: &str, signer: &Signer) -> Result<Self, CaError> {
        Ok(Self {
            name: common_name(name)?,
            key_id: key_id(signer.key_bits())?,
        })
    }

    /// A CA by its certificate.
    pub(super) fn of(authority: &Facts) -> Result<Self, CaError> {
        let own = match &authority.key_id {
            // What it calls itself, which need not be what this crate would call it.
            Some(id) => OctetString::new(id.as_slice()).map_err(encoding)?,
            None => key_id(&authority.key_bits)?,
        };
        Ok(Self {
            name: Name::from_der(&authority.subject_der).map_err(encoding)?,
            key_id: own,
        })
    }
}

/// What a certificate may be used for.
pub(super) enum Extensions<'a> {
    Authority,
    Leaf { kind: Kind, names: &'a [IssuedName] },
}

/// Signs a certificate.
pub(super) fn certificate(
    issuer: &Issuer,
    signer: &Signer,
    subject: &str,
    key: &SubjectPublicKeyInfo,
    (not_before, not_after): (u64, u64),
    extensions: &Extensions<'_>,
) -> Result<Vec<u8>, CaError> {
    let subject = common_name(subject)?;
    let own_id = key_id(key.subject_public_key.raw_bytes())?;
    let certificate = ToBeSigned {
        version: Version::V3,
        serial_number: serial_number()?,
        signature: signer.algorithm(),
        issuer: issuer.name.clone(),
        validity: Validity::new(time(not_before)?, time(not_after)?),
        extensions: list(issuer, own_id, subject.is_empty(), extensions)?,
        subject,
        subject_public_key_info: key.clone(),
    };
    let signature = signer.sign(&certificate.to_der().map_err(encoding)?)?;
    let algorithm = signer.algorithm();
    let signed = Signed {
        certificate,
        algorithm,
        signature,
    };
    signed.to_der().map_err(encoding)
}

fn list(issuer: &Issuer, own_id: OctetString, nameless: bool, extensions: &Extensions<'_>) -> Result<Vec<Extension>, CaError> {
    let issuers_id = AuthorityKeyIdentifier {
        key_identifier: Some(issuer.key_id.clone()),
        ..AuthorityKeyIdentifier::default()
    };
    let mut list = vec![extension(false, &SubjectKeyIdentifier(own_id))?, extension(false, &issuers_id)?];
    let (ca, usage) = match extensions {
        Extensions::Authority => (true, KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign)),
        Extensions::Leaf { .. } => (false, KeyUsage(KeyUsages::DigitalSignature.into())),
    };
    let path_len_constraint = ca.then_some(0);
    list.push(extension(true, &BasicConstraints { ca, path_len_constraint })?);
    list.push(extension(true, &usage)?);
    if let Extensions::Leaf { kind, names } = extensions {
        let purpose = match kind {
            Kind::Server => rfc5280::ID_KP_SERVER_AUTH,
            Kind::Client => rfc5280::ID_KP_CLIENT_AUTH,
        };
        list.push(extension(false, &ExtendedKeyUsage(vec![purpose]))?);
        let names = names.iter().map(general_name).collect::<Result<_, _>>()?;
        // Critical where it is the only name (§4.2.1.6).
        list.push(extension(nameless, &SubjectAltName(names))?);
    }
    Ok(list)
}

fn general_name(name: &IssuedName) -> Result<GeneralName, CaError> {
    let ia5 = |text: &str| Ia5String::new(text).map_err(encoding);
    Ok(match name {
        IssuedName::Address(address) => (*address).into(),
        IssuedName::Name(name) if name.is_uri() => GeneralName::UniformResourceIdentifier(ia5(name.as_str())?),
        IssuedName::Name(name) => GeneralName::DnsName(ia5(name.as_str())?),
    })
}

fn extension<T: Encode + AssociatedOid>(critical: bool, value: &T) -> Result<Extension, CaError> {
    Ok(Extension {
        extn_id: T::OID,
        critical,
        extn_value: OctetString::new(value.to_der().map_err(encoding)?).map_err(encoding)?,
    })
}

/// A distinguished name of a common name alone, or empty.
fn common_name(text: &str) -> Result<Name, CaError> {
    let mut names = RdnSequence::default();
    if !text.is_empty() {
        let value = Any::from(Utf8StringRef::new(text).map_err(encoding)?);
        let attribute = AttributeTypeAndValue {
            oid: rfc4519::COMMON_NAME,
            value,
        };
        names.push(RelativeDistinguishedName::try_from(vec![attribute]).map_err(encoding)?);
    }
    names.to_der().and_then(|der| Name::from_der(&der)).map_err(encoding)
}

fn key_id(key_bits: &[u8]) -> Result<OctetString, CaError> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key_bits);
    let id = digest.as_ref().get(..KEY_ID_BYTES).unwrap_or_default();
    OctetString::new(id).map_err(encoding)
}

/// Random, positive, and always of the same length.
fn serial_number() -> Result<SerialNumber, CaError> {
    let mut bytes = [0; SERIAL_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| failed("find random bytes"))?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    SerialNumber::new(&bytes).map_err(encoding)
}

fn time(seconds: u64) -> Result<Time, CaError> {
    DateTime::from_unix_duration(Duration::from_secs(seconds))
        .map(Time::from)
        .map_err(encoding)
}

fn encoding(error: der::Error) -> CaError {
    CaError::Library(format!("the certificate cannot be encoded: {error}"))
}

fn failed(verb: &str) -> CaError {
    CaError::Library(format!("aws-lc could not {verb}"))
}
