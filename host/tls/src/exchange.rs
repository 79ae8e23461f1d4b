//! Which key exchanges are offered, and which one a connection has.

use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{CommonState, NamedGroup};
use std::sync::Arc;

/// Which key exchanges a side takes part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyExchange {
    /// X25519MLKEM768 with whoever can, else X25519, else P-256.
    Preferred,
    /// X25519MLKEM768 and no other: what is recorded today cannot be read by a quantum computer later. A peer that cannot is refused.
    RequirePostQuantum,
}

/// The key exchange of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// X25519 and ML-KEM-768 together (draft-ietf-tls-ecdhe-mlkem).
    X25519MlKem768,
    /// X25519 (RFC 7748).
    X25519,
    /// ECDHE on P-256.
    P256,
}

impl Group {
    /// Its name in the registry of TLS.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X25519MlKem768 => "X25519MLKEM768",
            Self::X25519 => "x25519",
            Self::P256 => "secp256r1",
        }
    }

    /// Whether a quantum computer would be no help against it.
    #[must_use]
    pub fn is_post_quantum(self) -> bool {
        match self {
            Self::X25519MlKem768 => true,
            Self::X25519 | Self::P256 => false,
        }
    }

    /// None if it is none that this crate offers, which cannot be.
    pub(crate) fn of(connection: &CommonState) -> Option<Self> {
        let name = connection.negotiated_key_exchange_group()?.name();
        let groups = [
            (NamedGroup::X25519MLKEM768, Self::X25519MlKem768),
            (NamedGroup::X25519, Self::X25519),
            (NamedGroup::secp256r1, Self::P256),
        ];
        groups.into_iter().find_map(|(known, group)| (known == name).then_some(group))
    }
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

pub(crate) fn provider(exchange: KeyExchange) -> Arc<CryptoProvider> {
    let groups: &[&'static dyn SupportedKxGroup] = match exchange {
        KeyExchange::Preferred => &[kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1],
        KeyExchange::RequirePostQuantum => &[kx_group::X25519MLKEM768],
    };
    Arc::new(CryptoProvider {
        kx_groups: groups.to_vec(),
        ..default_provider()
    })
}
