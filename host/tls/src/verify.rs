//! Who is trusted: the configured CAs and nobody else, each until its own end.

use crate::certificate::Facts;
use crate::identity::{Identity, IdentityError};
use crate::material::TlsError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerIncompatible, RootCertStore, SignatureScheme,
};
use std::sync::Arc;

/// What the library's verifier does not ask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unacceptable {
    #[error("every CA of the file has ended; give it one that is valid")]
    AuthoritiesEnded,
    #[error(transparent)]
    Identity(IdentityError),
}

impl Unacceptable {
    fn error(self) -> Error {
        CertificateError::Other(OtherError(Arc::new(self))).into()
    }
}

/// One CA: the library's verifier with it alone, and its end, which RFC 5280 §6 leaves to whoever configures it.
#[derive(Debug)]
struct Authority<V: ?Sized> {
    not_after: u64,
    verifier: Arc<V>,
}

/// Asks each CA that has not ended. What says most is told: who is unknown to one CA may be an expired acquaintance of another.
fn any<V: ?Sized, T>(authorities: &[Authority<V>], now: UnixTime, verify: impl Fn(&V) -> Result<T, Error>) -> Result<T, Error> {
    let mut told = None;
    for authority in authorities.iter().filter(|authority| authority.not_after > now.as_secs()) {
        match verify(&authority.verifier) {
            Ok(verified) => return Ok(verified),
            // A CA of the same name with another key: to the peer's certificate it is as unknown.
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
                told.get_or_insert(Error::InvalidCertificate(CertificateError::UnknownIssuer));
            }
            Err(other) => told = Some(other),
        }
    }
    Err(told.unwrap_or_else(|| Unacceptable::AuthoritiesEnded.error()))
}

fn roots(authority: &CertificateDer<'static>) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).map_err(|error| library(&error))?;
    Ok(Arc::new(roots))
}

fn library(why: &dyn std::fmt::Display) -> TlsError {
    TlsError::Library {
        what: "a CA's certificate is not taken as one".to_owned(),
        why: why.to_string(),
    }
}

/// Verifies clients, and that they have a name.
#[derive(Debug)]
pub(crate) struct Clients {
    authorities: Vec<Authority<dyn ClientCertVerifier>>,
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Clients {
    pub(crate) fn new(authorities: &[(CertificateDer<'static>, u64)], provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let mut made = Self {
            authorities: Vec::with_capacity(authorities.len()),
            hints: Vec::new(),
            algorithms: provider.signature_verification_algorithms,
        };
        for (authority, not_after) in authorities {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots(authority)?, Arc::clone(provider)).build();
            let verifier = verifier.map_err(|error| library(&error))?;
            made.hints.extend_from_slice(verifier.root_hint_subjects());
            made.authorities.push(Authority {
                not_after: *not_after,
                verifier,
            });
        }
        Ok(made)
    }
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = any(&self.authorities, now, |verifier| verifier.verify_client_cert(own, others, now))?;
        let identity = Facts::of(own)
            .map_err(IdentityError::from)
            .and_then(|facts| Identity::of_facts(&facts));
        identity.map(|_| verified).map_err(|error| Unacceptable::Identity(error).error())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::SupportedVersionsExtensionRequired.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, own, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Verifies a server, and that it has the name that was asked for.
#[derive(Debug)]
pub(crate) struct Servers {
    authorities: Vec<Authority<dyn ServerCertVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Servers {
    pub(crate) fn new(authorities: &[(CertificateDer<'static>, u64)], provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let mut made = Self {
            authorities: Vec::with_capacity(authorities.len()),
            algorithms: provider.signature_verification_algorithms,
        };
        for (authority, not_after) in authorities {
            let verifier = WebPkiServerVerifier::builder_with_provider(roots(authority)?, Arc::clone(provider)).build();
            made.authorities.push(Authority {
                not_after: *not_after,
                verifier: verifier.map_err(|error| library(&error))?,
            });
        }
        Ok(made)
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        any(&self.authorities, now, |verifier| {
            verifier.verify_server_cert(own, others, name, ocsp, now)
        })
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, own, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::{Clients, Servers, Unacceptable};
    use crate::ca::{self, Kind, Request};
    use crate::exchange::{KeyExchange, provider};
    use crate::material::{now, read_certificates};
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::server::danger::ClientCertVerifier;
    use rustls::{CertificateError, Error, OtherError};
    use std::path::Path;
    use std::time::Duration;

    const HOUR: u64 = 3600;

    fn issued(dir: &Path, kind: Kind) -> CertificateDer<'static> {
        let request = Request {
            kind,
            names: vec!["a.example".parse().unwrap()],
            days: 1,
            out: dir.join(format!("{kind:?}")),
        };
        let made = ca::issue_between(dir, &request, now() - HOUR, now() + HOUR).unwrap();
        read_certificates(&made.certificate).unwrap().remove(0).0
    }

    fn ended(error: &Error) -> bool {
        let Error::InvalidCertificate(CertificateError::Other(OtherError(error))) = error else {
            return false;
        };
        error.downcast_ref() == Some(&Unacceptable::AuthoritiesEnded)
    }

    /// RFC 5280 §6.1.1 (d) leaves a trust anchor's validity to the configuration; the library asks for none.
    #[test]
    fn a_ca_is_trusted_until_its_end_also_when_nobody_reloads() {
        let dir = tempfile::tempdir().unwrap();
        ca::new(dir.path(), "tests", 1).unwrap();
        let authority = read_certificates(&dir.path().join(ca::CERTIFICATE)).unwrap().remove(0).0;
        let (client, server) = (issued(dir.path(), Kind::Client), issued(dir.path(), Kind::Server));
        let name = ServerName::try_from("a.example").unwrap();
        let provider = provider(KeyExchange::Preferred);
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let ends = now() + 60;
        // As if the CA's certificate ended in a minute.
        let authorities = [(authority, ends)];
        let clients = Clients::new(&authorities, &provider).unwrap();
        let servers = Servers::new(&authorities, &provider).unwrap();
        assert!(clients.verify_client_cert(&client, &[], at(ends - 1)).is_ok());
        assert!(servers.verify_server_cert(&server, &[], &name, &[], at(ends - 1)).is_ok());
        assert!(ended(&clients.verify_client_cert(&client, &[], at(ends)).unwrap_err()));
        assert!(ended(&servers.verify_server_cert(&server, &[], &name, &[], at(ends)).unwrap_err()));
    }
}
