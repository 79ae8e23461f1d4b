//! Hexadecimal as Ethereum's JSON-RPC writes it: quantities without leading zeros, data with two digits a byte.

use crate::account::checksummed;
use sha3::{Digest, Keccak256};
use sigwarden_formats::evm::U256;

/// Digits of a quantity: 256 bits.
const QUANTITY_DIGITS_MAX: usize = 64;

pub(crate) fn keccak256(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

/// `0x` and two digits a byte.
pub(crate) fn prefixed(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// A quantity: `0x` and its digits without leading zeros, `0x0` for zero.
pub(crate) fn quantity(text: &str) -> Result<U256, &'static str> {
    let digits = text
        .strip_prefix("0x")
        .ok_or("is no quantity: `0x` and hexadecimal digits are, `0x5208` for one")?;
    if digits.is_empty() {
        return Err("is `0x` without digits; zero is `0x0`");
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return Err("has leading zeros, which a quantity has not");
    }
    if digits.len() > QUANTITY_DIGITS_MAX {
        return Err("has over 256 bits");
    }
    // `from_str_radix` also takes underscores and a sign.
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("has characters that are no hexadecimal digits");
    }
    U256::from_str_radix(digits, 16).map_err(|_| "has over 256 bits")
}

/// Bytes: `0x` and two digits each.
pub(crate) fn data(text: &str) -> Result<Vec<u8>, &'static str> {
    let digits = text
        .strip_prefix("0x")
        .ok_or("is no data: `0x` and two hexadecimal digits for each byte are, `0x` alone for none")?;
    if !digits.len().is_multiple_of(2) {
        return Err("has an odd number of digits; each byte has two");
    }
    hex::decode(digits).map_err(|_| "has characters that are no hexadecimal digits")
}

/// Bytes of a known number.
pub(crate) fn array<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let bytes = data(text)?;
    <[u8; N]>::try_from(bytes.as_slice()).map_err(|_| format!("has {} bytes; {N} are right", bytes.len()))
}

/// An address. In mixed case it must have its checksum (EIP-55): a digit that was mistyped sends money to nobody.
pub(crate) fn address(text: &str) -> Result<[u8; 20], String> {
    let address = array::<20>(text)?;
    let lower = text.bytes().any(|digit| matches!(digit, b'a'..=b'f'));
    let upper = text.bytes().any(|digit| matches!(digit, b'A'..=b'F'));
    if lower && upper && checksummed(&address) != text {
        return Err("has a wrong checksum (EIP-55): a digit is mistyped; in lower case no checksum is looked at".into());
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn quantities_are_canonical_and_fit() {
        assert_eq!(quantity("0x0"), Ok(U256::ZERO));
        assert_eq!(quantity("0x5208"), Ok(U256::from(21_000)));
        assert_eq!(quantity(&format!("0x{}", "f".repeat(64))), Ok(U256::MAX));
        let long = format!("0x1{}", "0".repeat(64));
        for (text, problem) in [
            ("", "no quantity"),
            ("21000", "no quantity"),
            ("0X1", "no quantity"),
            ("0x", "zero is `0x0`"),
            ("0x01", "leading zeros"),
            ("0x00", "leading zeros"),
            ("0x1_0", "no hexadecimal digits"),
            ("0x+1", "no hexadecimal digits"),
            ("0xg", "no hexadecimal digits"),
            ("0xé", "no hexadecimal digits"),
            (&long, "over 256 bits"),
        ] {
            assert!(quantity(text).unwrap_err().contains(problem), "{text}");
        }
    }

    #[test]
    fn data_is_whole_bytes() {
        assert_eq!(data("0x"), Ok(vec![]));
        assert_eq!(data("0x00Ff"), Ok(vec![0, 255]));
        for (text, problem) in [("", "no data"), ("00", "no data"), ("0x0", "odd"), ("0xzz", "no hexadecimal")] {
            assert!(data(text).unwrap_err().contains(problem), "{text}");
        }
        assert!(array::<2>("0x00").unwrap_err().contains("1 bytes; 2 are right"));
    }

    #[test]
    fn a_mistyped_address_in_mixed_case_is_refused() {
        let right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        let bytes = address(right).unwrap();
        assert_eq!(address(&right.to_lowercase()), Ok(bytes));
        assert_eq!(address(&right.to_uppercase().replace("0X", "0x")), Ok(bytes));
        assert!(
            address("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed")
                .unwrap_err()
                .contains("EIP-55")
        );
    }
}
