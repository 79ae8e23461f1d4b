//! How values are written in records: bytes as lower-case hex, 64-bit integers as decimal strings (JSON numbers lose them above
//! 2^53).

/// `u64` as a decimal string.
pub mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

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
        super::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
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
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

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
        super::unhex(&String::deserialize(deserializer)?).map_err(D::Error::custom)
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
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

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
        let bytes = super::unhex(&String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        bytes.try_into().map_err(|_| D::Error::custom("64 hex digits are wanted"))
    }
}

/// One spelling only: what was changed and means the same was changed all the same.
pub(crate) fn unhex(text: &str) -> Result<Vec<u8>, String> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("lower-case hex is wanted".to_owned());
    }
    hex::decode(text).map_err(|error| error.to_string())
}

fn parse(text: &str) -> Result<u64, String> {
    let value: u64 = text
        .parse()
        .map_err(|_| "a decimal string of a 64-bit integer is wanted".to_owned())?;
    if value.to_string() == text {
        Ok(value)
    } else {
        Err("a decimal string without sign and leading zeros is wanted".to_owned())
    }
}
