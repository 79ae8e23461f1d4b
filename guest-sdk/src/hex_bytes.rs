//! Bytes as hex text.

use crate::serde_text::serde_text;
use std::fmt;
use std::str::FromStr;

/// Bytes that a configuration gives as hex, with or without `0x`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HexBytes(pub Vec<u8>);

/// Text that is no hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HexError {
    given: String,
}

impl fmt::Display for HexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no hex; an even number of hex digits, `0xa9059cbb` for one, is right",
            self.given
        )
    }
}

impl std::error::Error for HexError {}

impl FromStr for HexBytes {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        hex::decode(text.strip_prefix("0x").unwrap_or(text))
            .map(Self)
            .map_err(|_| HexError {
                given: text.chars().take(80).collect(),
            })
    }
}

impl fmt::Display for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(&self.0))
    }
}

serde_text!(HexBytes, "hex text such as `0xa9059cbb`", {
    "description": "Bytes as hex, with or without 0x.",
    "type": "string",
    "pattern": "^(0x)?([0-9a-fA-F]{2})*$"
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_with_or_without_its_prefix() {
        assert_eq!("0xA9059cbb".parse(), Ok(HexBytes(vec![0xa9, 0x05, 0x9c, 0xbb])));
        assert_eq!("a9".parse(), Ok(HexBytes(vec![0xa9])));
        for wrong in ["0xa", "0xzz", "0x0x"] {
            assert!(wrong.parse::<HexBytes>().is_err(), "{wrong}");
        }
    }
}
