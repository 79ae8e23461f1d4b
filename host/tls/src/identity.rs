//! Who the other side is: what its certificate says, once the handshake has proved that it holds it.

use crate::certificate::{CertificateError, Facts, Fingerprint, SubjectName};
use crate::name::{NameError, SanName};
use std::sync::Arc;

/// Names that a caller's certificate may carry. Each is looked up among the callers, and stands in the records.
pub const NAMES_MAX: usize = 16;

/// A caller, as its certificate names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The DNS names and URIs among the subject alternative names: one at least, [`NAMES_MAX`] at most, none twice, in the
    /// certificate's order. The subject (its common name) and other kinds of names (addresses, e-mail) name nobody.
    pub names: Vec<SanName>,
    /// When the certificate ends, in seconds since the epoch.
    pub not_after: u64,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// SHA-256 of the certificate.
    pub fingerprint: Fingerprint,
}

/// Why a certificate of the right CA is no caller's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// It cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// No DNS name, no URI.
    #[error("the certificate has neither a DNS name nor a URI among its subject alternative names; issue one that has")]
    NoName,
    /// Too many names.
    #[error("the certificate has {0} names; at most {NAMES_MAX} are read")]
    TooManyNames(usize),
    /// One of its names is none.
    #[error("a name of the certificate: {0}")]
    Name(#[from] NameError),
}

impl Identity {
    /// Reads a certificate. Whether it is to be trusted is not asked here.
    ///
    /// # Errors
    /// [`IdentityError`]: also if one of several names is malformed or a wildcard. A certificate that is half understood is not taken.
    pub fn of(der: &[u8]) -> Result<Self, IdentityError> {
        Self::of_facts(&Facts::of(der)?)
    }

    pub(crate) fn of_facts(facts: &Facts) -> Result<Self, IdentityError> {
        // All kinds are counted: the bound is on work, too.
        if facts.names.len() > NAMES_MAX {
            return Err(IdentityError::TooManyNames(facts.names.len()));
        }
        let mut names = Vec::with_capacity(facts.names.len());
        for name in &facts.names {
            let name = match name {
                SubjectName::Dns(text) => SanName::dns(text)?,
                SubjectName::Uri(text) => SanName::uri(text)?,
                SubjectName::Ip(_) | SubjectName::Other(_) => continue,
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.is_empty() {
            return Err(IdentityError::NoName);
        }
        Ok(Self {
            names,
            not_after: facts.not_after,
            serial: facts.serial.clone(),
            fingerprint: facts.fingerprint,
        })
    }

    /// The names as texts, to be compared with the texts of [`SanName`]s of the configuration.
    #[must_use]
    pub fn texts(&self) -> Arc<[Box<str>]> {
        self.names.iter().map(|name| Box::from(name.as_str())).collect()
    }
}
