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
    use serde::{Deserializer, Serializer, de::Error};

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
        let bytes = super::text(deserializer, super::unhex)?;
        bytes.try_into().map_err(|_| D::Error::custom("64 hex digits are wanted"))
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

/// One spelling only: what was changed and means the same was changed all the same.
pub(crate) fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || "an even number of lower-case hex digits is wanted".to_owned();
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        0..=b'/' | b':'..=b'`' | b'g'.. => u8::MAX,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return Err(wrong());
    };
    let mut bytes = Vec::with_capacity(pairs.len());
    for [high, low] in pairs {
        let (high, low) = (digit(*high), digit(*low));
        if (high | low) > 15 {
            return Err(wrong());
        }
        bytes.push((high << 4) | low);
    }
    Ok(bytes)
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
