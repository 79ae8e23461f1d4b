//! Why a handshake failed: a class to count by, and a sentence that says what would be right.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the library's enums grow; what is new has no class of its own until somebody gives it one"
)]

use crate::certificate::utc;
use crate::material::Side;
use crate::text::shown;
use crate::verify::Unacceptable;
use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

/// Characters of a detail: a line of a log, not a page.
const DETAIL_MAX: usize = 512;

/// The class of a failed handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The client has no certificate.
    NoCertificate,
    /// The certificate is of another CA.
    UnknownCa,
    /// The certificate has ended.
    Expired,
    /// The certificate begins later.
    NotYetValid,
    /// The certificate is a server's where a client's is wanted, or the reverse.
    Purpose,
    /// The certificate names no caller, or, seen by a client, not the server that was asked for.
    Name,
    /// The certificate is malformed, its signature is false, or its algorithm is not taken.
    Certificate,
    /// All of our own CAs have ended.
    OwnCaExpired,
    /// The other side does not speak TLS 1.3.
    Version,
    /// There is no key exchange that both sides know.
    KeyExchange,
    /// There is no protocol inside (ALPN) that both sides know.
    Protocol,
    /// What came is not TLS.
    NotTls,
    /// The other side refused us, and said so by an alert.
    Alert,
    /// The other side went away.
    Disconnected,
    /// It took too long.
    Timeout,
    /// Something else.
    Other,
}

impl Refusal {
    /// All of them, for counters that exist from the start.
    pub const ALL: [Self; 16] = [
        Self::NoCertificate,
        Self::UnknownCa,
        Self::Expired,
        Self::NotYetValid,
        Self::Purpose,
        Self::Name,
        Self::Certificate,
        Self::OwnCaExpired,
        Self::Version,
        Self::KeyExchange,
        Self::Protocol,
        Self::NotTls,
        Self::Alert,
        Self::Disconnected,
        Self::Timeout,
        Self::Other,
    ];

    /// Its name, for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoCertificate => "no-certificate",
            Self::UnknownCa => "unknown-ca",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::Purpose => "purpose",
            Self::Name => "name",
            Self::Certificate => "certificate",
            Self::OwnCaExpired => "own-ca-expired",
            Self::Version => "version",
            Self::KeyExchange => "key-exchange",
            Self::Protocol => "protocol",
            Self::NotTls => "not-tls",
            Self::Alert => "alert",
            Self::Disconnected => "disconnected",
            Self::Timeout => "timeout",
            Self::Other => "other",
        }
    }

    /// What was wrong, and what would be right, seen from this side.
    fn texts(self, side: Side) -> (&'static str, &'static str) {
        match (self, side) {
            (Self::NoCertificate, _) => ("the client has no certificate", "give it one of the listener's client_ca"),
            (Self::UnknownCa, Side::Server) => (
                "the client's certificate is of another CA",
                "issue it by a CA of client_ca, or add its CA there",
            ),
            (Self::UnknownCa, Side::Client) => ("the server's certificate is of another CA", "name the server's CA in ca"),
            (Self::Expired, Side::Server) => ("the client's certificate has ended", "issue a new one"),
            (Self::Expired, Side::Client) => ("the server's certificate has ended", "issue a new one"),
            (Self::NotYetValid, _) => ("the certificate begins later", "compare the clocks of both machines"),
            (Self::Purpose, Side::Server) => (
                "the client's certificate is not for a client",
                "issue one with `sigwarden certs issue client`",
            ),
            (Self::Purpose, Side::Client) => (
                "the server's certificate is not for a server",
                "issue one with `sigwarden certs issue server`",
            ),
            (Self::Name, Side::Server) => ("the client's certificate names no caller", "issue one with a DNS name or a URI"),
            (Self::Name, Side::Client) => (
                "the server's certificate has another name",
                "set server_name to one of its names, or issue one with that name",
            ),
            (Self::Certificate, _) => ("the certificate is not taken", "issue a new one with `sigwarden certs issue`"),
            (Self::OwnCaExpired, _) => ("no CA is left to verify by", "make a new CA and name it beside the old one"),
            (Self::Version, _) => ("the other side does not speak TLS 1.3", "update it, or allow TLS 1.3 there"),
            (Self::KeyExchange, _) => (
                "no common key exchange",
                "X25519MLKEM768 is wanted at both ends, or X25519 or P-256 unless cryptography = \"pq-only\"",
            ),
            (Self::Protocol, _) => (
                "no common protocol inside TLS",
                "gRPC speaks h2, JSON-RPC http/1.1 or h2: is it the right port?",
            ),
            (Self::NotTls, Side::Server) => ("what came is not TLS", "the client must use TLS on this port"),
            (Self::NotTls, Side::Client) => ("what came is not TLS", "is it the port of a listener with TLS?"),
            (Self::Alert, _) => ("the other side refused", "its own log says why"),
            (Self::Disconnected, _) => (
                "the other side went away",
                "its own log may say why; port scans and load balancers' probes look so too",
            ),
            (Self::Timeout, _) => (
                "the handshake took too long",
                "is the network slow, or the other side not speaking TLS?",
            ),
            (Self::Other, _) => ("the handshake failed", "the other side's log may say more"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failed handshake.
#[derive(Debug, Clone)]
pub struct HandshakeError {
    refusal: Refusal,
    side: Side,
    detail: String,
}

impl HandshakeError {
    pub(crate) fn new(side: Side, refusal: Refusal, detail: &str) -> Self {
        Self {
            refusal,
            side,
            // Names of the other side's certificate may stand in it, and it goes to a log.
            detail: shown(detail).chars().take(DETAIL_MAX).collect(),
        }
    }

    pub(crate) fn timeout(side: Side, deadline: Duration) -> Self {
        Self::new(side, Refusal::Timeout, &format!("{} ms have passed", deadline.as_millis()))
    }

    pub(crate) fn of(side: Side, error: &io::Error) -> Self {
        match library_error(error) {
            Some(error) => Self::classify(side, error),
            None => {
                use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
                let gone = [UnexpectedEof, ConnectionReset, ConnectionAborted, BrokenPipe].contains(&error.kind());
                let refusal = if gone { Refusal::Disconnected } else { Refusal::Other };
                Self::new(side, refusal, &error.to_string())
            }
        }
    }

    /// Finds what TLS said in a client's error, however deep: a server that refuses the client's certificate says so on the first read.
    #[must_use]
    pub fn within(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            let found = error
                .downcast_ref::<io::Error>()
                .and_then(library_error)
                .or_else(|| error.downcast_ref::<Error>());
            if let Some(error) = found {
                return Some(Self::classify(Side::Client, error));
            }
            if let Some(error) = error.downcast_ref::<Self>() {
                return Some(error.clone());
            }
            next = error.source();
        }
        None
    }

    /// Its class.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        self.refusal
    }

    fn classify(side: Side, error: &Error) -> Self {
        let refusal = match error {
            Error::NoCertificatesPresented => Refusal::NoCertificate,
            Error::InvalidCertificate(error) => return Self::new(side, of_certificate(error), &judged(error)),
            Error::PeerIncompatible(error) => of_incompatible(error),
            Error::NoApplicationProtocol => Refusal::Protocol,
            Error::InvalidMessage(_)
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::PeerSentOversizedRecord => Refusal::NotTls,
            Error::AlertReceived(alert) => return Self::new(side, Refusal::Alert, &said(side, *alert)),
            _ => Refusal::Other,
        };
        Self::new(side, refusal, &error.to_string())
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, right) = self.refusal.texts(self.side);
        write!(f, "{what} ({}); {right}", self.detail)
    }
}

impl StdError for HandshakeError {}

fn library_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn of_certificate(error: &CertificateError) -> Refusal {
    match error {
        CertificateError::UnknownIssuer => Refusal::UnknownCa,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Refusal::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Refusal::NotYetValid,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Refusal::Purpose,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Refusal::Name,
        CertificateError::Other(OtherError(error)) => match error.downcast_ref::<Unacceptable>() {
            Some(Unacceptable::AuthoritiesEnded) => Refusal::OwnCaExpired,
            Some(Unacceptable::Identity(_)) => Refusal::Name,
            None => Refusal::Certificate,
        },
        _ => Refusal::Certificate,
    }
}

fn judged(error: &CertificateError) -> String {
    match error {
        // The library would print these for programmers.
        CertificateError::Other(OtherError(error)) => error.to_string(),
        CertificateError::UnknownIssuer => "no CA that is trusted here issued it".to_owned(),
        // Of a certificate it is an unknown issuer, see `verify`: here it is the handshake's.
        CertificateError::BadSignature => "the other side does not hold its key".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => format!("it was valid until {}", utc(not_after.as_secs())),
        CertificateError::NotValidYetContext { not_before, .. } => format!("it is valid from {}", utc(not_before.as_secs())),
        error => error.to_string(),
    }
}

fn of_incompatible(error: &PeerIncompatible) -> Refusal {
    match error {
        PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => Refusal::Version,
        PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NamedGroupsExtensionRequired
        | PeerIncompatible::KeyShareExtensionRequired => Refusal::KeyExchange,
        _ => Refusal::Other,
    }
}

/// What an alert means to whoever reads this log.
fn said(side: Side, alert: AlertDescription) -> String {
    let meaning = match (alert, side) {
        (AlertDescription::CertificateRequired, _) => "it wants a certificate",
        (AlertDescription::UnknownCA, Side::Client) => "it does not know the CA of this client's certificate",
        (AlertDescription::UnknownCA, Side::Server) => "it does not know the CA of this listener's certificate",
        (AlertDescription::CertificateExpired, _) => "the certificate has ended, or begins later by its clock",
        (AlertDescription::CertificateUnknown, _) => "the certificate names nobody, or is not taken for another reason",
        (AlertDescription::UnsupportedCertificate, _) => "the certificate is for another purpose",
        (AlertDescription::BadCertificate, _) => "the certificate is malformed, or has another name than was asked for",
        (AlertDescription::DecryptError, _) => "a signature is false: is the key the certificate's?",
        (AlertDescription::ProtocolVersion, _) => "it speaks another version of TLS",
        (AlertDescription::HandshakeFailure, _) => "there is no common key exchange or algorithm",
        (AlertDescription::NoApplicationProtocol, _) => "there is no common protocol inside TLS",
        _ => "alert",
    };
    format!("{meaning}, {alert:?}")
}
