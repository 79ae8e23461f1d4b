//! Where a node listens for its signer.

use crate::secret_connection::PeerId;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A node's `priv_validator_laddr`, as its signer dials it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `unix:///path`: the messages as they are.
    Unix(PathBuf),
    /// `tcp://host:port` or `tcp://id@host:port`: within a SecretConnection, with the peer of this id, or any.
    Tcp {
        /// Whom to speak to, and nobody else. CometBFT's own listener has a new id at each start of the node.
        peer: Option<PeerId>,
        /// `host:port`; IPv6 in brackets.
        authority: String,
    },
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither `unix://` nor `tcp://`.
    #[error("`unix:///path`, `tcp://host:port` or `tcp://id@host:port` is right")]
    Form,
    /// A path that is relative or empty.
    #[error("the path after `unix://` starts with `/`")]
    RelativePath,
    /// No host, or no port.
    #[error("`host:port` is wanted after `tcp://`, with a port from 1 to 65535 and an IPv6 address in brackets")]
    Authority,
    /// The part before `@`.
    #[error("the peer id before `@` has 40 hexadecimal digits")]
    PeerId,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix://") {
            return match path.starts_with('/') {
                true => Ok(Self::Unix(path.into())),
                false => Err(AddressError::RelativePath),
            };
        }
        let rest = text.strip_prefix("tcp://").ok_or(AddressError::Form)?;
        let (peer, authority) = match rest.split_once('@') {
            Some((id, authority)) => (Some(id.parse().map_err(|_| AddressError::PeerId)?), authority),
            None => (None, rest),
        };
        let (host, port) = authority.rsplit_once(':').ok_or(AddressError::Authority)?;
        let port_is_right = port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host_is_right = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && !host.contains(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_')),
        };
        if !port_is_right || !host_is_right {
            return Err(AddressError::Authority);
        }
        Ok(Self::Tcp {
            peer,
            authority: authority.to_owned(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { peer: None, authority } => write!(f, "tcp://{authority}"),
            Self::Tcp {
                peer: Some(peer),
                authority,
            } => write!(f, "tcp://{peer}@{authority}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn addresses_are_written_as_they_are_read() {
        for text in [
            "unix:///run/node/privval.sock",
            "tcp://127.0.0.1:26659",
            "tcp://[::1]:26659",
            "tcp://validator-1.internal:1",
            "tcp://6765cf10712a5d8dde50b2ee02b31ef02e26eb36@10.0.0.1:26659",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_says_what_is_right() {
        for (text, error) in [
            ("", AddressError::Form),
            ("http://127.0.0.1:1", AddressError::Form),
            ("127.0.0.1:26659", AddressError::Form),
            ("unix://privval.sock", AddressError::RelativePath),
            ("unix://", AddressError::RelativePath),
            ("tcp://127.0.0.1", AddressError::Authority),
            ("tcp://:26659", AddressError::Authority),
            ("tcp://127.0.0.1:0", AddressError::Authority),
            ("tcp://127.0.0.1:+1", AddressError::Authority),
            ("tcp://127.0.0.1:65536", AddressError::Authority),
            ("tcp://::1:26659", AddressError::Authority),
            ("tcp://a b:26659", AddressError::Authority),
            ("tcp://6765cf@10.0.0.1:26659", AddressError::PeerId),
            ("tcp://@10.0.0.1:26659", AddressError::PeerId),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
    }
}
