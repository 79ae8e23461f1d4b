//! A private CA for a small deployment: one key, which signs the certificates of the listener and of its callers.
//!
//! The CA's key makes callers. It is needed to issue, never to run: keep its directory on another machine or a medium that lies in a
//! drawer, and take only `ca.crt` to the machines. It is not encrypted; encrypt what it lies on.
//!
//! The CA carries no name constraints: nobody trusts it but listeners and clients that are told to, and URIs could not be constrained the
//! way DNS names are.

mod encode;

use crate::certificate::{Facts, SubjectName, utc};
use crate::files::{FileError, create_directory, create_pair};
use crate::identity::NAMES_MAX;
use crate::material::{TlsError, now, read_certificates, read_key};
use crate::name::{NameError, SanName};
use crate::text::prints;
use der::pem::LineEnding;
use der::{Document, SecretDocument};
use encode::{Extensions, Issuer, Signer};
use rustls::pki_types::PrivateKeyDer;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The CA's certificate, in its directory.
pub const CERTIFICATE: &str = "ca.crt";
/// The CA's private key, in its directory: PKCS#8 PEM, mode 0600.
pub const KEY: &str = "ca.key";

/// A CA's days, unless others are asked for: ten years. Replacing it touches every machine.
pub const AUTHORITY_DAYS: u32 = 3650;
/// The most days of a CA. After twenty years its algorithm is to be thought about again.
pub const AUTHORITY_DAYS_MAX: u32 = 7300;
/// A certificate's days, unless others are asked for. There is no revocation list: what is stolen ends by itself.
pub const CERTIFICATE_DAYS: u32 = 90;
/// The most days of a certificate: a year and the time to notice. What is renewed more rarely is renewed by nobody.
pub const CERTIFICATE_DAYS_MAX: u32 = 398;

const DAY: u64 = 24 * 60 * 60;
/// A certificate begins this long before it is made, in seconds: the clock of the machine that it goes to may be behind.
const CLOCK_SKEW: u64 = 300;
/// Characters of a common name (RFC 5280, `ub-common-name`).
const COMMON_NAME_MAX: usize = 64;

/// What a certificate is for; exactly that, and not the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A listener proves itself (`serverAuth`).
    Server,
    /// A caller proves itself (`clientAuth`).
    Client,
}

/// A name to issue a certificate for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssuedName {
    /// A DNS name or a URI.
    Name(SanName),
    /// An IP address, for a server that is dialled by it.
    Address(IpAddr),
}

impl std::str::FromStr for IssuedName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => SanName::parse(text).map(Self::Name),
        }
    }
}

impl std::fmt::Display for IssuedName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// A certificate to be issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// For which side.
    pub kind: Kind,
    /// Its subject alternative names; the first one is its common name, too.
    pub names: Vec<IssuedName>,
    /// How long it is valid.
    pub days: u32,
    /// Where it goes: `OUT.crt`, and the key to `OUT.key`.
    pub out: PathBuf,
}

/// A key and its certificate, on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The certificate's file, mode 0644.
    pub certificate: PathBuf,
    /// The private key's file, mode 0600.
    pub key: PathBuf,
    /// What the certificate says.
    pub facts: Facts,
}

/// Why no certificate was made. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The CA's certificate or key cannot be used.
    #[error(transparent)]
    Authority(#[from] TlsError),
    /// The name of the CA.
    #[error("{0:?} is no name for a CA; 1 to {COMMON_NAME_MAX} printable characters are wanted")]
    AuthorityName(String),
    /// The days.
    #[error("{days} days; 1 to {max} are possible")]
    Days {
        /// Asked for.
        days: u32,
        /// The bound.
        max: u32,
    },
    /// It would outlive the CA.
    #[error("the CA in {} ends on {}, before the certificate would; {possible} days are possible, or make a new CA", dir.display(), utc(*ends))]
    Outlives {
        /// The CA's directory.
        dir: PathBuf,
        /// The CA's end.
        ends: u64,
        /// What is left.
        possible: u64,
    },
    /// No names, or too many.
    #[error("{0} names; 1 to {NAMES_MAX} are possible")]
    Names(usize),
    /// No name by which the other side would take it.
    #[error("{0}")]
    Useless(&'static str),
    /// The CA's key is of a kind that signs nothing here.
    #[error("{}: a CA's key is {wanted} here", path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What it should be.
        wanted: &'static str,
    },
    /// The key is not the CA's.
    #[error("{key} is not the key of {certificate}", key = key.display(), certificate = certificate.display())]
    KeyMismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's.
        certificate: PathBuf,
    },
    /// A library refuses.
    #[error("{0}")]
    Library(String),
}

/// Makes a CA: `ca.key` (ECDSA P-256) and `ca.crt` in `dir`, which is made, with mode 0700, if it is not there. It issues certificates
/// but no CAs (path length 0).
///
/// # Errors
/// [`CaError`]; a CA that is there already is never overwritten.
pub fn new(dir: &Path, name: &str, days: u32) -> Result<Made, CaError> {
    if name.trim().is_empty() || name.chars().count() > COMMON_NAME_MAX || !name.chars().all(prints) {
        return Err(CaError::AuthorityName(name.to_owned()));
    }
    check_days(days, AUTHORITY_DAYS_MAX)?;
    let begin = now();
    new_between(
        dir,
        name,
        begin.saturating_sub(CLOCK_SKEW),
        begin.saturating_add(u64::from(days) * DAY),
    )
}

/// As [`new`], with any times: for tests of what has ended.
///
/// # Errors
/// As [`new`].
#[doc(hidden)]
pub fn new_between(dir: &Path, name: &str, not_before: u64, not_after: u64) -> Result<Made, CaError> {
    create_directory(dir)?;
    let signer = Signer::generate()?;
    let issuer = Issuer::itself(name, &signer)?;
    let der = encode::certificate(
        &issuer,
        &signer,
        name,
        &signer.public_key()?,
        (not_before, not_after),
        &Extensions::Authority,
    )?;
    write(&signer, &der, dir.join(KEY), dir.join(CERTIFICATE))
}

/// Issues a certificate by the CA in `dir`, with a new key (ECDSA P-256).
///
/// # Errors
/// [`CaError`]; files that are there already are never overwritten.
pub fn issue(dir: &Path, request: &Request) -> Result<Made, CaError> {
    check_days(request.days, CERTIFICATE_DAYS_MAX)?;
    let begin = now();
    let ends = begin.saturating_add(u64::from(request.days) * DAY);
    issue_between(dir, request, begin.saturating_sub(CLOCK_SKEW), ends)
}

/// As [`issue`], with any times and whatever the request's days: for tests of what has ended.
///
/// # Errors
/// As [`issue`].
#[doc(hidden)]
pub fn issue_between(dir: &Path, request: &Request, not_before: u64, not_after: u64) -> Result<Made, CaError> {
    check_names(request)?;
    let (authority, signer) = open(dir)?;
    if not_after > authority.not_after {
        let possible = authority.not_after.saturating_sub(now()) / DAY;
        return Err(CaError::Outlives {
            dir: dir.to_owned(),
            ends: authority.not_after,
            possible,
        });
    }
    let key = Signer::generate()?;
    let common_name = request
        .names
        .first()
        .map(ToString::to_string)
        .filter(|name| name.len() <= COMMON_NAME_MAX);
    let issuer = Issuer::of(&authority)?;
    let extensions = Extensions::Leaf {
        kind: request.kind,
        names: &request.names,
    };
    let subject = common_name.unwrap_or_default();
    let der = encode::certificate(&issuer, &signer, &subject, &key.public_key()?, (not_before, not_after), &extensions)?;
    if let Some(parent) = request.out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_directory(parent)?;
    }
    write(&key, &der, with_suffix(&request.out, ".key"), with_suffix(&request.out, ".crt"))
}

fn check_days(days: u32, max: u32) -> Result<(), CaError> {
    if days == 0 || days > max {
        return Err(CaError::Days { days, max });
    }
    Ok(())
}

fn check_names(request: &Request) -> Result<(), CaError> {
    if request.names.is_empty() || request.names.len() > NAMES_MAX {
        return Err(CaError::Names(request.names.len()));
    }
    let is_uri = |name: &IssuedName| matches!(name, IssuedName::Name(name) if name.is_uri());
    let is_address = |name: &IssuedName| matches!(name, IssuedName::Address(_));
    match request.kind {
        Kind::Server if request.names.iter().all(is_uri) => Err(CaError::Useless(
            "a server is known by a DNS name or an IP address; name the one that clients have as server_name",
        )),
        Kind::Client if request.names.iter().all(is_address) => Err(CaError::Useless(
            "a caller is known by a DNS name or a URI, never by an address; give it a name like node-a.example",
        )),
        Kind::Server | Kind::Client => Ok(()),
    }
}

/// The CA of a directory: its certificate, still valid, and its key.
fn open(dir: &Path) -> Result<(Facts, Signer), CaError> {
    let (certificate_path, key_path) = (dir.join(CERTIFICATE), dir.join(KEY));
    let mut certificates = read_certificates(&certificate_path)?;
    if certificates.len() > 1 {
        return Err(TlsError::TooMany(certificate_path).into());
    }
    let Some((_, facts)) = certificates.pop() else {
        return Err(TlsError::NoCertificate(certificate_path).into());
    };
    if !facts.authority {
        return Err(TlsError::NotAuthority {
            path: certificate_path,
            subject: facts.subject,
        }
        .into());
    }
    let key = Zeroizing::new(read_key(&key_path)?);
    let PrivateKeyDer::Pkcs8(pkcs8) = &*key else {
        return Err(CaError::Key {
            path: key_path,
            wanted: "PKCS#8, with -----BEGIN PRIVATE KEY-----",
        });
    };
    let Some(signer) = Signer::read(pkcs8.secret_pkcs8_der()) else {
        return Err(CaError::Key {
            path: key_path,
            wanted: "ECDSA on P-384 or P-256",
        });
    };
    if signer.key_bits() != facts.key_bits {
        return Err(CaError::KeyMismatch {
            key: key_path,
            certificate: certificate_path,
        });
    }
    Ok((facts, signer))
}

fn write(key: &Signer, certificate: &[u8], key_path: PathBuf, certificate_path: PathBuf) -> Result<Made, CaError> {
    let facts = Facts::of(certificate).map_err(|error| CaError::Library(error.to_string()))?;
    let der = |error: der::Error| CaError::Library(error.to_string());
    let certificate = Document::try_from(certificate)
        .and_then(|document| document.to_pem("CERTIFICATE", LineEnding::LF))
        .map_err(der)?;
    let pkcs8 = key.pkcs8()?;
    let secret = SecretDocument::try_from(pkcs8.as_ref())
        .and_then(|document| document.to_pem("PRIVATE KEY", LineEnding::LF))
        .map_err(der)?;
    create_pair((&key_path, &secret), (&certificate_path, &certificate))?;
    Ok(Made {
        certificate: certificate_path,
        key: key_path,
        facts,
    })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl From<&IssuedName> for SubjectName {
    fn from(name: &IssuedName) -> Self {
        match name {
            IssuedName::Address(address) => Self::Ip(*address),
            IssuedName::Name(name) if name.is_uri() => Self::Uri(name.as_str().to_owned()),
            IssuedName::Name(name) => Self::Dns(name.as_str().to_owned()),
        }
    }
}
