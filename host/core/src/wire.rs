//! How values are written in records: bytes as lower-case hex, 64-bit integers as decimal strings (JSON numbers lose them above
//! 2^53).

/// `u64` as a decimal string.
pub mod decimal {
    use serde::{Deserializer, Serializer};

    /// Writes it.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    /// Reads it; refuses signs, leading zeros and anything over 64 bits.
    ///
    /// # Errors
    /// Not such a string.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        super::text(deserializer, super::parse)
    }
}

/// `[u64; 3]` as decimal strings.
pub mod decimal_array {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    /// Writes them.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(value: &[u64; 3], serializer: S) -> Result<S::Ok, S::Error> {
        value.map(|component| component.to_string()).serialize(serializer)
    }

    /// Reads them.
    ///
    /// # Errors
    /// Not three such strings.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u64; 3], D::Error> {
        let [a, b, c] = <[String; 3]>::deserialize(deserializer)?;
        let parse = |text: &str| super::parse(text).map_err(D::Error::custom);
        Ok([parse(&a)?, parse(&b)?, parse(&c)?])
    }
}

/// `Vec<u64>` as decimal strings.
pub mod decimal_list {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes them.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(value: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(value.iter().map(ToString::to_string))
    }

    /// Reads them.
    ///
    /// # Errors
    /// Not such strings.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
        Vec::<String>::deserialize(deserializer)?
            .iter()
            .map(|text| super::parse(text).map_err(D::Error::custom))
            .collect()
    }
}

/// Bytes as lower-case hex.
pub mod bytes {
    use serde::{Deserializer, Serializer};

    /// Writes them.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(value: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(value))
    }

    /// Reads them.
    ///
    /// # Errors
    /// Not hex.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        super::text(deserializer, super::unhex)
    }
}

/// Bytes or nothing.
pub mod optional_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes them.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(value: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(bytes) => serializer.serialize_some(&hex::encode(bytes)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads them.
    ///
    /// # Errors
    /// Not hex.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| super::unhex(&text).map_err(D::Error::custom))
            .transpose()
    }
}

/// Thirty-two bytes as lower-case hex.
pub mod array32 {
    use serde::{Deserializer, Serializer};

    /// Writes them.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(value: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(value))
    }

    /// Reads them.
    ///
    /// # Errors
    /// Not 64 hex digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        super::text(deserializer, super::unhex_array)
    }
}

/// Reads a text without copying it first.
fn text<'de, D: serde::Deserializer<'de>, T>(deserializer: D, read: fn(&str) -> Result<T, String>) -> Result<T, D::Error> {
    struct Text<T>(fn(&str) -> Result<T, String>);
    impl<T> serde::de::Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a string")
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            (self.0)(text).map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Text(read))
}

const WANTED: &str = "an even number of lower-case hex digits is wanted";

/// What a digit stands for; 255 for what is none. One spelling only: what was changed and means the same was changed all the same.
#[allow(clippy::indexing_slicing, reason = "runs at compile time, within the arrays' bounds")]
const DIGITS: [u8; 256] = {
    let mut digits = [u8::MAX; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    digits
};

fn digit(byte: u8) -> u8 {
    DIGITS.get(usize::from(byte)).copied().unwrap_or(u8::MAX)
}

/// Reads pairs of digits into `to`, which is as long.
fn fill(pairs: &[[u8; 2]], to: &mut [u8]) -> Result<(), String> {
    let mut all = 0;
    for ([high, low], byte) in pairs.iter().zip(to) {
        let (high, low) = (digit(*high), digit(*low));
        all |= high | low;
        *byte = (high << 4) | low;
    }
    if all > 15 { Err(WANTED.to_owned()) } else { Ok(()) }
}

/// Bytes of any number.
pub(crate) fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return Err(WANTED.to_owned());
    };
    let mut bytes = vec![0; pairs.len()];
    fill(pairs, &mut bytes)?;
    Ok(bytes)
}

/// `N` bytes as lower-case hex.
///
/// # Errors
/// Not `2 * N` such digits.
pub fn unhex_array<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    match text.as_bytes().as_chunks::<2>() {
        (pairs, []) if pairs.len() == N => fill(pairs, &mut bytes).map(|()| bytes),
        _ => Err(format!("{} hex digits are wanted", 2 * N)),
    }
}

fn parse(text: &str) -> Result<u64, String> {
    let value = text
        .parse()
        .map_err(|_| "a decimal string of a 64-bit integer is wanted".to_owned())?;
    if text.starts_with('+') || (text.starts_with('0') && text != "0") {
        return Err("a decimal string without sign and leading zeros is wanted".to_owned());
    }
    Ok(value)
}
