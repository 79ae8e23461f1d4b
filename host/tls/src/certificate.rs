//! What a certificate says (RFC 5280). Only read here: whether it is true is for the handshake, which asks the CA.

use der::asn1::ObjectIdentifier;
use der::oid::AssociatedOid;
use der::oid::db::{rfc5280, rfc5912, rfc8410};
use der::{Decode, Encode};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use x509_cert::Certificate;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName, SubjectKeyIdentifier};

/// SHA-256 of a certificate as it was sent (DER): what `openssl x509 -fingerprint -sha256` shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    pub(crate) fn of(der: &[u8]) -> Self {
        let mut bytes = [0; 32];
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
        for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a certificate cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It is not DER of RFC 5280.
    #[error("it is no X.509 certificate of RFC 5280: {0}")]
    Malformed(String),
    /// An extension is not what its OID says, or is there twice.
    #[error("its extension {extension} is malformed or there twice: {why}")]
    Extension {
        /// Which.
        extension: &'static str,
        /// What the parser says.
        why: String,
    },
}

/// One subject alternative name, as the certificate spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectName {
    /// A DNS name.
    Dns(String),
    /// A URI.
    Uri(String),
    /// An IP address.
    Ip(IpAddr),
    /// Of another kind: which.
    Other(&'static str),
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "DNS:{name}"),
            Self::Uri(uri) => write!(f, "URI:{uri}"),
            Self::Ip(address) => write!(f, "IP:{address}"),
            Self::Other(kind) => write!(f, "{kind}"),
        }
    }
}

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its subject's distinguished name (RFC 4514).
    pub subject: String,
    /// Its issuer's.
    pub issuer: String,
    /// Subject and issuer as they are encoded, to be compared.
    pub(crate) subject_der: Vec<u8>,
    pub(crate) issuer_der: Vec<u8>,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// Subject alternative names.
    pub names: Vec<SubjectName>,
    /// Valid from, in seconds since the epoch.
    pub not_before: u64,
    /// Valid until, in seconds since the epoch.
    pub not_after: u64,
    /// The kind of its public key.
    pub key: String,
    /// The subject public key's bits, without algorithm: what a key identifier is made of.
    pub(crate) key_bits: Vec<u8>,
    pub(crate) key_id: Option<Vec<u8>>,
    /// Whether it may sign certificates: basic constraints say so, and key usage, if there, too.
    pub authority: bool,
    /// How many CAs may stand between it and a certificate, if it is bounded.
    pub path_length: Option<u8>,
    /// Whether it may prove a server: extended key usage is absent or lists it.
    pub server: bool,
    /// Whether it may prove a client.
    pub client: bool,
    /// SHA-256 of the certificate.
    pub fingerprint: Fingerprint,
}

impl Facts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn of(der: &[u8]) -> Result<Self, CertificateError> {
        let malformed = |error: der::Error| CertificateError::Malformed(error.to_string());
        let certificate = Certificate::from_der(der).map_err(malformed)?;
        let tbs = certificate.tbs_certificate();
        let constraints = extension::<BasicConstraints>(&certificate, "basicConstraints")?;
        let usage = extension::<KeyUsage>(&certificate, "keyUsage")?;
        let purposes = extension::<ExtendedKeyUsage>(&certificate, "extKeyUsage")?;
        let names = extension::<SubjectAltName>(&certificate, "subjectAltName")?;
        let key_id = extension::<SubjectKeyIdentifier>(&certificate, "subjectKeyIdentifier")?;
        let may = |purpose: ObjectIdentifier| purposes.as_ref().is_none_or(|purposes| purposes.0.contains(&purpose));
        let is_authority = constraints.as_ref().is_some_and(|constraints| constraints.ca);
        Ok(Self {
            subject: tbs.subject().to_string(),
            issuer: tbs.issuer().to_string(),
            subject_der: tbs.subject().to_der().map_err(malformed)?,
            issuer_der: tbs.issuer().to_der().map_err(malformed)?,
            serial: hex::encode(tbs.serial_number().as_bytes()),
            names: names.map_or_else(Vec::new, |names| names.0.iter().map(subject_name).collect()),
            not_before: tbs.validity().not_before.to_unix_duration().as_secs(),
            not_after: tbs.validity().not_after.to_unix_duration().as_secs(),
            key: key_kind(&certificate),
            key_bits: tbs.subject_public_key_info().subject_public_key.raw_bytes().to_vec(),
            key_id: key_id.map(|id| id.0.as_bytes().to_vec()),
            authority: is_authority && usage.is_none_or(|usage| usage.key_cert_sign()),
            path_length: constraints.and_then(|constraints| constraints.path_len_constraint),
            server: !is_authority && may(rfc5280::ID_KP_SERVER_AUTH),
            client: !is_authority && may(rfc5280::ID_KP_CLIENT_AUTH),
            fingerprint: Fingerprint::of(der),
        })
    }
}

/// Reads the facts of every certificate of a PEM file, in its order, for `certs show`.
///
/// # Errors
/// [`crate::TlsError`], with the file.
pub fn facts(path: &std::path::Path) -> Result<Vec<Facts>, crate::TlsError> {
    crate::material::read_certificates(path).map(|certificates| certificates.into_iter().map(|(_, facts)| facts).collect())
}

/// Seconds since the epoch as RFC 3339, in UTC; the number itself past the year 9999.
#[must_use]
pub fn utc(seconds: u64) -> String {
    der::DateTime::from_unix_duration(Duration::from_secs(seconds)).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

fn extension<T>(certificate: &Certificate, name: &'static str) -> Result<Option<T>, CertificateError>
where
    T: for<'a> Decode<'a, Error = der::Error> + AssociatedOid,
{
    let found = certificate.tbs_certificate().get_extension::<T>();
    found
        .map(|found| found.map(|(_, value)| value))
        .map_err(|why| CertificateError::Extension {
            extension: name,
            why: why.to_string(),
        })
}

fn subject_name(name: &GeneralName) -> SubjectName {
    match name {
        GeneralName::DnsName(name) => SubjectName::Dns(name.as_str().to_owned()),
        GeneralName::UniformResourceIdentifier(uri) => SubjectName::Uri(uri.as_str().to_owned()),
        GeneralName::IpAddress(bytes) => match *bytes.as_bytes() {
            [a, b, c, d] => SubjectName::Ip(IpAddr::from([a, b, c, d])),
            ref bytes => {
                <[u8; 16]>::try_from(bytes).map_or(SubjectName::Other("malformed IP address"), |bytes| SubjectName::Ip(bytes.into()))
            }
        },
        GeneralName::OtherName(_) => SubjectName::Other("other name"),
        GeneralName::Rfc822Name(_) => SubjectName::Other("e-mail address"),
        GeneralName::DirectoryName(_) => SubjectName::Other("directory name"),
        GeneralName::EdiPartyName(_) => SubjectName::Other("EDI party name"),
        GeneralName::RegisteredId(_) => SubjectName::Other("registered id"),
    }
}

fn key_kind(certificate: &Certificate) -> String {
    let key = certificate.tbs_certificate().subject_public_key_info();
    let curve = key
        .algorithm
        .parameters
        .as_ref()
        .and_then(|parameters| parameters.decode_as::<ObjectIdentifier>().ok());
    match (key.algorithm.oid, curve) {
        (rfc5912::ID_EC_PUBLIC_KEY, Some(rfc5912::SECP_256_R_1)) => "ECDSA P-256".to_owned(),
        (rfc5912::ID_EC_PUBLIC_KEY, Some(rfc5912::SECP_384_R_1)) => "ECDSA P-384".to_owned(),
        (rfc5912::RSA_ENCRYPTION, _) => "RSA".to_owned(),
        (rfc8410::ID_ED_25519, _) => "Ed25519".to_owned(),
        (other, _) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::{CertificateError, Facts, utc};
    use crate::ca::{self, Kind, Request};
    use crate::material::read_certificates;

    #[test]
    fn what_is_cut_off_or_changed_is_refused_or_another_certificate() {
        let dir = tempfile::tempdir().unwrap();
        ca::new(dir.path(), "tests", 2).unwrap();
        let request = Request {
            kind: Kind::Client,
            names: vec!["a.example".parse().unwrap(), "spiffe://example/a".parse().unwrap()],
            days: 1,
            out: dir.path().join("a"),
        };
        let made = ca::issue(dir.path(), &request).unwrap();
        let (der, facts) = read_certificates(&made.certificate).unwrap().remove(0);
        assert_eq!(facts, made.facts);
        for length in 0..der.len() {
            assert!(
                matches!(Facts::of(&der[..length]), Err(CertificateError::Malformed(_))),
                "{length} bytes"
            );
        }
        for index in 0..der.len() {
            for bit in 0..8 {
                let mut changed = der.to_vec();
                changed[index] ^= 1 << bit;
                // Never a panic, and never taken for the same.
                if let Ok(other) = Facts::of(&changed) {
                    assert_ne!(other.fingerprint, facts.fingerprint);
                }
            }
        }
    }

    #[test]
    fn times_are_rfc_3339_in_utc() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(1_795_278_955), "2026-11-21T16:35:55Z");
        assert_eq!(utc(u64::MAX), u64::MAX.to_string());
    }
}
