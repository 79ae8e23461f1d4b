//! 256-bit unsigned integers.

use serde::de::{Error, Visitor};
use std::fmt;
use std::str::FromStr;

/// An unsigned 256-bit integer: amounts in wei, fees. Its arithmetic is checked; nothing wraps. In a configuration it is a decimal
/// string, a `0x` string, or a plain number below 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct U256(ruint::aliases::U256);

/// Text that is no [`U256`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberError {
    given: String,
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no number below 2^256; decimal digits (`1000000000000000000`) or hex (`0xde0b6b3a7640000`) are right",
            self.given
        )
    }
}

impl std::error::Error for NumberError {}

impl U256 {
    /// 0.
    pub const ZERO: Self = Self(ruint::aliases::U256::ZERO);
    /// 2^256 - 1.
    pub const MAX: Self = Self(ruint::aliases::U256::MAX);

    /// From four 64-bit limbs, the least significant first.
    #[must_use]
    pub const fn from_limbs(limbs: [u64; 4]) -> Self {
        Self(ruint::aliases::U256::from_limbs(limbs))
    }

    /// Its four limbs, the least significant first.
    #[must_use]
    pub const fn limbs(self) -> [u64; 4] {
        self.0.into_limbs()
    }

    /// The sum, or none over 2^256 - 1.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or none below 0.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The product, or none over 2^256 - 1.
    #[must_use]
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        self.0.checked_mul(other.0).map(Self)
    }

    /// The quotient, rounded down, or none by 0.
    #[must_use]
    pub fn checked_div(self, other: Self) -> Option<Self> {
        self.0.checked_div(other.0).map(Self)
    }

    /// The quotient, rounded up, or none by 0.
    #[must_use]
    pub fn checked_div_ceil(self, other: Self) -> Option<Self> {
        let down = self.checked_div(other)?;
        // It cannot overflow: there is a remainder only if the divisor is over 1.
        if self.checked_rem(other)? == Self::ZERO {
            Some(down)
        } else {
            down.checked_add(1u64.into())
        }
    }

    /// The remainder, or none by 0.
    #[must_use]
    pub fn checked_rem(self, other: Self) -> Option<Self> {
        self.0.checked_rem(other.0).map(Self)
    }

    /// From 32 bytes, the most significant first, as the EVM has them.
    #[must_use]
    pub const fn from_be_bytes(bytes: &[u8; 32]) -> Self {
        Self(ruint::aliases::U256::from_be_bytes(*bytes))
    }

    /// 32 bytes, the most significant first.
    #[must_use]
    pub const fn to_be_bytes(self) -> [u8; 32] {
        self.0.to_be_bytes()
    }

    /// As a `u64`, if it fits.
    #[must_use]
    pub fn to_u64(self) -> Option<u64> {
        match self.limbs() {
            [low, 0, 0, 0] => Some(low),
            _ => None,
        }
    }
}

impl From<u64> for U256 {
    fn from(value: u64) -> Self {
        Self::from_limbs([value, 0, 0, 0])
    }
}

impl From<u128> for U256 {
    fn from(value: u128) -> Self {
        #[allow(clippy::cast_possible_truncation, reason = "the low and the high half")]
        Self::from_limbs([value as u64, (value >> 64) as u64, 0, 0])
    }
}

impl fmt::Display for U256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for U256 {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |hex| (hex, 16));
        let refuse = || NumberError {
            given: text.chars().take(80).collect(),
        };
        // ruint skips underscores, and reads nothing as 0.
        if digits.is_empty() || !digits.bytes().all(|byte| char::from(byte).is_digit(radix)) {
            return Err(refuse());
        }
        ruint::aliases::U256::from_str_radix(digits, u64::from(radix))
            .map(Self)
            .map_err(|_| refuse())
    }
}

impl serde::Serialize for U256 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for U256 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = U256;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number below 2^256: decimal or `0x` text, or a plain number below 2^64")
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<U256, E> {
                Ok(value.into())
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<U256, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl schemars::JsonSchema for U256 {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "U256".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A number below 2^256: decimal or hex text, or a plain number below 2^64.",
            "oneOf": [{"type": "string", "pattern": "^([0-9]+|0x[0-9a-fA-F]+)$"}, {"type": "integer", "minimum": 0}]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_and_hex_text_and_limbs_agree() {
        let ether: U256 = "1000000000000000000".parse().unwrap();
        assert_eq!(ether, "0xde0b6b3a7640000".parse().unwrap());
        assert_eq!(ether.limbs(), [1_000_000_000_000_000_000, 0, 0, 0]);
        let high: U256 = "0x0000000000000001000000000000000000000000000000000000000000000002"
            .parse()
            .unwrap();
        assert_eq!(high.limbs(), [2, 0, 0, 1]);
        assert_eq!(high.to_string(), "6277101735386680763835789423207666416102355444464034512898");
        assert_eq!(U256::from(u128::MAX).limbs(), [u64::MAX, u64::MAX, 0, 0]);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let over = format!("{}0", U256::MAX);
        for wrong in ["", "0x", "-1", "+1", "1.5", "1 ether", "1_000", "0b1", "0xg", "１", &over] {
            assert!(wrong.parse::<U256>().is_err(), "{wrong}");
        }
        assert_eq!(U256::MAX.to_string().parse(), Ok(U256::MAX));
    }

    #[test]
    fn arithmetic_is_checked_and_the_order_is_the_numbers() {
        assert_eq!(U256::MAX.checked_add(1u64.into()), None);
        assert_eq!(U256::ZERO.checked_sub(1u64.into()), None);
        assert_eq!(U256::MAX.checked_mul(2u64.into()), None);
        assert_eq!(U256::from(6u64).checked_mul(7u64.into()), Some(42u64.into()));
        assert!(U256::from_limbs([0, 1, 0, 0]) > U256::from_limbs([u64::MAX, 0, 0, 0]));
        assert_eq!(U256::from_limbs([5, 1, 0, 0]).to_u64(), None);
    }

    #[test]
    fn division_rounds_as_it_is_named_and_bytes_read_back() {
        let number = |value: u64| U256::from(value);
        assert_eq!(number(7).checked_div(number(2)), Some(number(3)));
        assert_eq!(number(7).checked_div_ceil(number(2)), Some(number(4)));
        assert_eq!(number(6).checked_div_ceil(number(2)), Some(number(3)));
        assert_eq!(number(7).checked_rem(number(4)), Some(number(3)));
        assert_eq!(U256::MAX.checked_div_ceil(number(1)), Some(U256::MAX));
        let by_zero = (
            number(1).checked_div(U256::ZERO),
            number(1).checked_div_ceil(U256::ZERO),
            number(1).checked_rem(U256::ZERO),
        );
        assert_eq!(by_zero, (None, None, None));
        let bytes = U256::from_limbs([2, 0, 0, 1]).to_be_bytes();
        assert_eq!((bytes[31], bytes[7]), (2, 1));
        assert_eq!(U256::from_be_bytes(&bytes), U256::from_limbs([2, 0, 0, 1]));
    }
}
