//! Certificates and keys of files, judged before they are used: a mistake is told at load, with the file, not by a refused handshake.

use crate::certificate::{CertificateError, Facts, utc};
use crate::files::{self, FileError, Kind, Stamp};
use crate::live::{Installed, Validity};
use der::SecretDocument;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer, UnixTime};
use std::path::{Path, PathBuf};

/// Certificates of a file: a chain has two or three, and a CA file holds two while a CA is replaced.
const CERTIFICATES_MAX: usize = 16;

/// Why TLS cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// No certificate in it.
    #[error("{} holds no certificate; PEM with -----BEGIN CERTIFICATE----- is wanted", .0.display())]
    NoCertificate(PathBuf),
    /// The PEM is broken.
    #[error("{}: {why}; PEM is wanted, as `sigwarden certs` and openssl write it", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// More than are read.
    #[error("{} holds more than {CERTIFICATES_MAX} certificates; only those that are needed belong there", .0.display())]
    TooMany(PathBuf),
    /// One of them cannot be read.
    #[error("{}, certificate {number}: {error}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Which, from 1.
        number: usize,
        /// Why.
        error: CertificateError,
    },
    /// In a CA file, and no CA.
    #[error("{}: {subject} is no CA (basicConstraints or keyUsage say so); name the CA's certificate here, not one that it issued", path.display())]
    NotAuthority {
        /// The file.
        path: PathBuf,
        /// Its subject.
        subject: String,
    },
    /// Its end has come.
    #[error("{}: {subject} was valid until {}; issue a new one", path.display(), utc(*not_after))]
    Expired {
        /// The file.
        path: PathBuf,
        /// Its subject.
        subject: String,
        /// Its end.
        not_after: u64,
    },
    /// It begins later.
    #[error("{}: {subject} is valid from {} only; is this machine's clock right?", path.display(), utc(*not_before))]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// Its subject.
        subject: String,
        /// Its begin.
        not_before: u64,
    },
    /// Not issued for this.
    #[error("{}: {subject} is not for a {side}: its extended key usage lacks {side}Auth, or it is a CA; `sigwarden certs issue {side}` makes one that is", path.display())]
    Purpose {
        /// The file.
        path: PathBuf,
        /// Its subject.
        subject: String,
        /// `server` or `client`.
        side: &'static str,
    },
    /// A certificate is followed by another than its issuer's.
    #[error("{}: certificate {number} was issued by {issuer}, and what follows is {next}; the own certificate comes first, each one's issuer next", path.display())]
    Order {
        /// The file.
        path: PathBuf,
        /// Which, from 1.
        number: usize,
        /// Its issuer.
        issuer: String,
        /// The next one's subject.
        next: String,
    },
    /// No private key in it.
    #[error("{} holds no private key; PEM with -----BEGIN PRIVATE KEY----- is wanted", .0.display())]
    NoKey(PathBuf),
    /// Encrypted.
    #[error("the private key in {path} is encrypted, and nobody is asked for its passphrase at a start: `openssl pkey -in {path} -out KEY`, and mode 0600", path = .0.display())]
    EncryptedKey(PathBuf),
    /// Of no kind that TLS takes here.
    #[error("the private key in {} cannot be used: {why}; ECDSA P-256 or P-384, Ed25519 or RSA of 2048 bits or more", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What the library says.
        why: String,
    },
    /// Of another certificate.
    #[error("the private key in {} is not the key of the certificate in {}; were they issued together?", key.display(), certificate.display())]
    KeyMismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's.
        certificate: PathBuf,
    },
    /// No name to verify a server by.
    #[error("{0:?} is no server name; a DNS name or an IP address among the server certificate's names is wanted")]
    ServerName(String),
    /// What the library says to the rest.
    #[error("{what}: {why}")]
    Library {
        /// About what.
        what: String,
        /// What it says.
        why: String,
    },
}

/// Which side's files they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

/// The three files of a side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paths<'a> {
    pub(crate) certificate: &'a Path,
    pub(crate) key: &'a Path,
    pub(crate) authorities: &'a Path,
}

impl Paths<'_> {
    pub(crate) fn stamps(&self) -> [Option<Stamp>; 3] {
        [self.certificate, self.key, self.authorities].map(Stamp::of)
    }
}

/// What the files hold, checked.
pub(crate) struct Material {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    /// CA certificates that are valid now, with their ends.
    pub(crate) authorities: Vec<(CertificateDer<'static>, u64)>,
    pub(crate) installed: Installed,
}

impl Material {
    /// Reads and judges the files.
    pub(crate) fn read(paths: Paths<'_>, side: Side, now: u64) -> Result<Self, TlsError> {
        let (chain, certificate) = read_chain(paths.certificate, side, now)?;
        let key = read_key(paths.key)?;
        let all = read_certificates(paths.authorities)?;
        let (mut authorities, mut installed) = (Vec::new(), Vec::new());
        for (der, facts) in all {
            if !facts.authority {
                return Err(TlsError::NotAuthority {
                    path: paths.authorities.to_owned(),
                    subject: facts.subject,
                });
            }
            installed.push(Validity::of(&facts));
            // Trust anchors' ends are nobody's business in RFC 5280 §6; here they are. One of two may have ended: then the other is in force.
            if facts.not_after > now {
                authorities.push((der, facts.not_after));
            }
        }
        if authorities.is_empty() {
            let last = installed.iter().max_by_key(|validity| validity.not_after);
            return Err(TlsError::Expired {
                path: paths.authorities.to_owned(),
                subject: last.map(|last| last.subject.clone()).unwrap_or_default(),
                not_after: last.map(|last| last.not_after).unwrap_or_default(),
            });
        }
        Ok(Self {
            chain,
            key,
            authorities,
            installed: Installed {
                certificate,
                authorities: installed,
            },
        })
    }

    /// An error of the library when it took chain and key.
    pub(crate) fn refused(paths: Paths<'_>, error: &rustls::Error) -> TlsError {
        if *error == rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch) {
            return TlsError::KeyMismatch {
                key: paths.key.to_owned(),
                certificate: paths.certificate.to_owned(),
            };
        }
        TlsError::Key {
            path: paths.key.to_owned(),
            why: error.to_string(),
        }
    }
}

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    UnixTime::now().as_secs()
}

fn read_chain(path: &Path, side: Side, now: u64) -> Result<(Vec<CertificateDer<'static>>, Validity), TlsError> {
    let certificates = read_certificates(path)?;
    for (index, pair) in certificates.windows(2).enumerate() {
        if let [(_, facts), (_, next)] = pair
            && facts.issuer_der != next.subject_der
        {
            return Err(TlsError::Order {
                path: path.to_owned(),
                number: index + 1,
                issuer: facts.issuer.clone(),
                next: next.subject.clone(),
            });
        }
    }
    for (_, facts) in &certificates {
        within_validity(path, facts, now)?;
    }
    let Some((_, own)) = certificates.first() else {
        return Err(TlsError::NoCertificate(path.to_owned()));
    };
    let (fits, name) = match side {
        Side::Server => (own.server, "server"),
        Side::Client => (own.client, "client"),
    };
    if !fits {
        return Err(TlsError::Purpose {
            path: path.to_owned(),
            subject: own.subject.clone(),
            side: name,
        });
    }
    let validity = Validity::of(own);
    Ok((certificates.into_iter().map(|(der, _)| der).collect(), validity))
}

fn within_validity(path: &Path, facts: &Facts, now: u64) -> Result<(), TlsError> {
    if now >= facts.not_after {
        return Err(TlsError::Expired {
            path: path.to_owned(),
            subject: facts.subject.clone(),
            not_after: facts.not_after,
        });
    }
    if now < facts.not_before {
        return Err(TlsError::NotYetValid {
            path: path.to_owned(),
            subject: facts.subject.clone(),
            not_before: facts.not_before,
        });
    }
    Ok(())
}

/// The certificates of a PEM file, one at least.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<(CertificateDer<'static>, Facts)>, TlsError> {
    let text = files::read(path, Kind::Certificate)?;
    let mut certificates = Vec::new();
    for (index, der) in CertificateDer::pem_slice_iter(text.as_bytes()).enumerate() {
        if index == CERTIFICATES_MAX {
            return Err(TlsError::TooMany(path.to_owned()));
        }
        let der = der.map_err(|error| TlsError::Pem {
            path: path.to_owned(),
            why: format!("certificate {}: {error}", index + 1),
        })?;
        let facts = Facts::of(&der).map_err(|error| TlsError::Certificate {
            path: path.to_owned(),
            number: index + 1,
            error,
        })?;
        certificates.push((der, facts));
    }
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(certificates)
}

/// The first private key of a PEM file. The text and its DER are wiped here; the copy that rustls takes is wiped by rustls.
pub(crate) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = files::read(path, Kind::Key)?;
    let Some(block) = key_block(&text) else {
        return Err(TlsError::NoKey(path.to_owned()));
    };
    let (label, document) = SecretDocument::from_pem(block).map_err(|error| {
        if block.starts_with("-----BEGIN ENCRYPTED") || block.contains("Proc-Type: 4,ENCRYPTED") {
            return TlsError::EncryptedKey(path.to_owned());
        }
        TlsError::Pem {
            path: path.to_owned(),
            why: format!("the private key: {error}"),
        }
    })?;
    match label {
        "PRIVATE KEY" => Ok(PrivatePkcs8KeyDer::from(document.as_bytes().to_vec()).into()),
        "EC PRIVATE KEY" => Ok(PrivateSec1KeyDer::from(document.as_bytes().to_vec()).into()),
        "RSA PRIVATE KEY" => Ok(PrivatePkcs1KeyDer::from(document.as_bytes().to_vec()).into()),
        "ENCRYPTED PRIVATE KEY" => Err(TlsError::EncryptedKey(path.to_owned())),
        other => Err(TlsError::Key {
            path: path.to_owned(),
            why: format!("{other:?} is no kind that is read"),
        }),
    }
}

/// From `-----BEGIN … PRIVATE KEY-----` to the end of that block. Other blocks, like `EC PARAMETERS`, may stand before and after it.
fn key_block(text: &str) -> Option<&str> {
    let begin = text.match_indices("-----BEGIN ").map(|(at, _)| at).find(|at| {
        let line = text.get(*at..).and_then(|rest| rest.lines().next());
        line.is_some_and(|line| line.trim_end().ends_with("PRIVATE KEY-----"))
    })?;
    let block = text.get(begin..)?;
    let end = block.find("-----END ")?;
    let line = block.get(end..)?.lines().next()?;
    block.get(..end + line.len())
}
