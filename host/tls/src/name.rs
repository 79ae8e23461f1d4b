//! The names by which callers are known: DNS names and URIs, each with one spelling.

use std::fmt;

/// Bytes of a DNS name (RFC 1035 §2.3.4, without the root's dot).
const DNS_BYTES_MAX: usize = 253;
/// Bytes of a label of a DNS name (RFC 1035 §2.3.4).
const LABEL_BYTES_MAX: usize = 63;
/// Bytes of a URI: what SPIFFE asks to be taken (SPIFFE-ID §2.3), and far more than a name needs.
const URI_BYTES_MAX: usize = 2048;

/// A caller's name, from a certificate's subject alternative names or from the configuration, in its one spelling:
///
/// - a DNS name in lower case, without a final dot, no wildcard, no IP address: `node-a.example`;
/// - a URI with scheme and authority in lower case, no user, no fragment: `spiffe://example/node-a`. What comes after the authority
///   keeps its case (RFC 3986 §6.2.2.1), and nothing is decoded: `/a` and `/%61` are two names.
///
/// What contains a colon is a URI, all else a DNS name; so no text can be both.
///
/// ```
/// use sigwarden_tls::SanName;
/// assert_eq!(SanName::parse("Node-A.example")?.as_str(), "node-a.example");
/// assert_eq!(SanName::parse("SPIFFE://Example/Node")?.as_str(), "spiffe://example/Node");
/// assert!(SanName::parse("*.example").is_err());
/// # Ok::<(), sigwarden_tls::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SanName(Box<str>);

/// Why a text is no name of a caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing.
    #[error("an empty name; a DNS name like node-a.example or a URI like spiffe://example/node-a is wanted")]
    Empty,
    /// Longer than a name may be.
    #[error("a name of {length} bytes; a {kind} has at most {max}")]
    TooLong {
        /// `DNS name`, `label of a DNS name` or `URI`.
        kind: &'static str,
        /// Its length.
        length: usize,
        /// The bound.
        max: usize,
    },
    /// It stands for many.
    #[error("{0:?} is a wildcard, and a caller is one: give it a name of its own")]
    Wildcard(String),
    /// It is an IP address.
    #[error("{0:?} is an IP address, which is no caller's name; give it a DNS name or a URI")]
    Address(String),
    /// It is no DNS name.
    #[error("{name:?} is no DNS name: {why}; letters, digits, - and _ between dots are wanted, like node-a.example")]
    Dns {
        /// The name.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// It is no URI that names somebody.
    #[error("{name:?} is no URI that names a caller: {why}; one like spiffe://example/node-a is wanted")]
    Uri {
        /// The URI.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
}

impl SanName {
    /// Reads a name as the configuration writes it.
    ///
    /// # Errors
    /// [`NameError`], with what is wrong.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.contains(':') { Self::uri(text) } else { Self::dns(text) }
    }

    /// Reads a DNS name.
    ///
    /// # Errors
    /// [`NameError`], with what is wrong.
    pub fn dns(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        within("DNS name", text.len(), DNS_BYTES_MAX)?;
        if text.contains('*') {
            return Err(NameError::Wildcard(text.to_owned()));
        }
        let wrong = |why| NameError::Dns {
            name: text.to_owned(),
            why,
        };
        for label in text.split('.') {
            within("label of a DNS name", label.len(), LABEL_BYTES_MAX)?;
            if label.is_empty() {
                return Err(wrong("it has an empty label, or ends with a dot"));
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(wrong("a label begins or ends with -"));
            }
            if !label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            {
                return Err(wrong("a character does not belong there"));
            }
        }
        // No top-level domain is a number; four numbers are an address, and fewer are read as one by old resolvers.
        let last = text.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NameError::Address(text.to_owned()));
        }
        Ok(Self(text.to_ascii_lowercase().into_boxed_str()))
    }

    /// Reads a URI (RFC 3986 §3).
    ///
    /// # Errors
    /// [`NameError`], with what is wrong.
    pub fn uri(text: &str) -> Result<Self, NameError> {
        within("URI", text.len(), URI_BYTES_MAX)?;
        let wrong = |why| NameError::Uri {
            name: text.to_owned(),
            why,
        };
        let (scheme, rest) = text.split_once(':').ok_or_else(|| wrong("it has no scheme"))?;
        let mut bytes = scheme.bytes();
        let begins = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic());
        if !begins || !bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')) {
            return Err(wrong("its scheme is malformed"));
        }
        // Unreserved, reserved and percent (§2), without the fragment's `#`.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&byte);
        if !rest.bytes().all(allowed) {
            return Err(wrong("a character does not belong there"));
        }
        let scheme = scheme.to_ascii_lowercase();
        let Some(after) = rest.strip_prefix("//") else {
            if rest.is_empty() {
                return Err(wrong("nothing follows its scheme"));
            }
            return Ok(Self(format!("{scheme}:{rest}").into_boxed_str()));
        };
        let end = after.find(['/', '?']).unwrap_or(after.len());
        let (authority, path) = after.split_at_checked(end).unwrap_or((after, ""));
        if authority.is_empty() {
            return Err(wrong("its authority is empty"));
        }
        if authority.contains('@') {
            return Err(wrong("it names a user before an @"));
        }
        if authority.contains('*') {
            return Err(NameError::Wildcard(text.to_owned()));
        }
        Ok(Self(
            format!("{scheme}://{}{path}", authority.to_ascii_lowercase()).into_boxed_str(),
        ))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a URI.
    #[must_use]
    pub fn is_uri(&self) -> bool {
        self.0.contains(':')
    }
}

impl fmt::Display for SanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for SanName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl From<SanName> for Box<str> {
    fn from(name: SanName) -> Self {
        name.0
    }
}

fn within(kind: &'static str, length: usize, max: usize) -> Result<(), NameError> {
    if length > max {
        return Err(NameError::TooLong { kind, length, max });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::{NameError, SanName};

    #[test]
    fn a_name_has_one_spelling() {
        for (text, canonical) in [
            ("node-a.example", "node-a.example"),
            ("NODE-A.Example", "node-a.example"),
            ("localhost", "localhost"),
            ("node_1", "node_1"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("spiffe://Example/ns/Prod", "spiffe://example/ns/Prod"),
            ("URN:uuid:F81D4FAE", "urn:uuid:F81D4FAE"),
            ("https://A.example:8443?Q", "https://a.example:8443?Q"),
        ] {
            let name = SanName::parse(text).unwrap();
            assert_eq!(name.as_str(), canonical);
            assert_eq!(SanName::parse(canonical).unwrap(), name, "canonical is a fixed point");
            assert_eq!(name.is_uri(), canonical.contains(':'));
        }
    }

    #[test]
    fn what_is_no_callers_name_is_refused_with_the_reason() {
        let why = |text: &str| SanName::parse(text).unwrap_err();
        assert_eq!(why(""), NameError::Empty);
        assert_eq!(why("*.example"), NameError::Wildcard("*.example".to_owned()));
        assert_eq!(why("spiffe://*/a"), NameError::Wildcard("spiffe://*/a".to_owned()));
        assert_eq!(why("10.0.0.1"), NameError::Address("10.0.0.1".to_owned()));
        for text in [
            ".", "a..b", "a.", ".a", "-a", "a-.b", "a b", "a\0b", "a\nb", "nöde", "a/b", "a%b", "a@b",
        ] {
            assert!(matches!(why(text), NameError::Dns { .. }), "{text:?}");
        }
        for text in [
            ":",
            "1a:b",
            "a:",
            "a://",
            "a:///b",
            "a://u@h/x",
            "a://h/#f",
            "a://h/ b",
            "a://h/\u{e9}",
            "::1",
            "h ttp://x",
            "a://h/\"",
        ] {
            assert!(matches!(why(text), NameError::Uri { .. }), "{text:?}");
        }
    }

    #[test]
    fn a_name_is_bounded() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(longest.len(), 253);
        assert!(SanName::parse(&longest).is_ok());
        let over = |kind, length, max| NameError::TooLong { kind, length, max };
        assert_eq!(SanName::parse(&format!("{longest}a")).unwrap_err(), over("DNS name", 254, 253));
        assert_eq!(SanName::parse(&"a".repeat(64)).unwrap_err(), over("label of a DNS name", 64, 63));
        let uri = format!("urn:{}", "a".repeat(2044));
        assert!(SanName::parse(&uri).is_ok());
        assert_eq!(SanName::parse(&format!("{uri}a")).unwrap_err(), over("URI", 2049, 2048));
    }
}
