//! Addresses of the EVM, and sets of many of them.

use serde::de::{SeqAccess, Visitor};
use sha3::{Digest, Keccak256};
use std::fmt;
use std::str::FromStr;

/// An EVM address. Written and shown with the EIP-55 checksum; read with it, or all in one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 20]);

/// Text that is no [`Address`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressError {
    /// Not `0x` and 40 hex digits.
    Form {
        /// What was given, cut to 80 characters.
        given: String,
    },
    /// Mixed case that is not the EIP-55 checksum: most likely a typing error.
    Checksum {
        /// What was given.
        given: String,
        /// The same address with its checksum.
        checksummed: String,
    },
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form { given } => write!(f, "`{given}` is no address; `0x` and 40 hex digits are right"),
            Self::Checksum { given, checksummed } => {
                write!(
                    f,
                    "the checksum (EIP-55) of `{given}` is wrong; if every digit is right, it is `{checksummed}`"
                )
            }
        }
    }
}

impl std::error::Error for AddressError {}

impl Address {
    /// From exactly 20 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    fn lower_hex(&self) -> String {
        format!("0x{}", hex::encode(self.0))
    }

    /// EIP-55: a letter is upper case where the hash of the lower-case digits has a nibble of 8 or more.
    fn checksummed(&self) -> String {
        let lower = hex::encode(self.0);
        let hash = hex::encode(Keccak256::digest(lower.as_bytes()));
        let digits = lower.chars().zip(hash.bytes());
        let cased = digits.map(|(digit, nibble)| if nibble >= b'8' { digit.to_ascii_uppercase() } else { digit });
        "0x".chars().chain(cased).collect()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refuse = || AddressError::Form {
            given: text.chars().take(80).collect(),
        };
        let digits = text.strip_prefix("0x").ok_or_else(refuse)?;
        let mut bytes = [0; 20];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| refuse())?;
        let address = Self(bytes);
        let has = |case: fn(&u8) -> bool| digits.as_bytes().iter().any(case);
        if has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) {
            let checksummed = address.checksummed();
            if checksummed != text {
                return Err(AddressError::Checksum {
                    given: text.to_owned(),
                    checksummed,
                });
            }
        }
        Ok(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.checksummed())
    }
}

crate::serde_text::serde_text!(Address, "an address: `0x` and 40 hex digits", {
    "description": "An EVM address: 0x and 40 hex digits; mixed case is checked as EIP-55.",
    "type": "string",
    "pattern": "^0x[0-9a-fA-F]{40}$"
});

/// A set of addresses, at home with 100,000 of them: sorted and contiguous, 20 bytes each, so that a snapshot of it stays small. In
/// a configuration it is a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressSet {
    sorted: Box<[[u8; 20]]>,
    /// The first four bytes of every [`BLOCK`]th address. A lookup searches these, which lie together, and then about one block,
    /// and so touches two or three pages of a memory that was mapped a moment ago, instead of one for each step of a search.
    index: Box<[u32]>,
}

/// Addresses under one entry of the index: 2,560 bytes, which is less than a page.
const BLOCK: usize = 128;

impl AddressSet {
    /// Whether the address is in it.
    #[must_use]
    pub fn contains(&self, address: &Address) -> bool {
        let prefix = prefix(&address.0);
        // The address, if it is there, follows the last block that begins below its prefix, and precedes the first that begins above.
        let first = self.index.partition_point(|start| *start < prefix).saturating_sub(1) * BLOCK;
        let end = (self.index.partition_point(|start| *start <= prefix) * BLOCK).min(self.sorted.len());
        self.sorted
            .get(first..end)
            .is_some_and(|blocks| blocks.binary_search(&address.0).is_ok())
    }

    /// How many it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// Every address, in order.
    pub fn iter(&self) -> impl Iterator<Item = Address> {
        self.sorted.iter().map(|bytes| Address(*bytes))
    }
}

fn prefix(address: &[u8; 20]) -> u32 {
    let [a, b, c, d, ..] = *address;
    u32::from_be_bytes([a, b, c, d])
}

impl FromIterator<Address> for AddressSet {
    fn from_iter<I: IntoIterator<Item = Address>>(addresses: I) -> Self {
        let mut sorted: Vec<[u8; 20]> = addresses.into_iter().map(|address| address.0).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let index = sorted.iter().step_by(BLOCK).map(prefix).collect();
        Self {
            sorted: sorted.into_boxed_slice(),
            index,
        }
    }
}

impl serde::Serialize for AddressSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Lower case: the checksum costs a hash for each address.
        serializer.collect_seq(self.iter().map(|address| address.lower_hex()))
    }
}

impl<'de> serde::Deserialize<'de> for AddressSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Addresses;
        impl<'de> Visitor<'de> for Addresses {
            type Value = AddressSet;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of addresses")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<AddressSet, A::Error> {
                let mut addresses = Vec::with_capacity(seq.size_hint().unwrap_or(0));
                while let Some(address) = seq.next_element::<Address>()? {
                    addresses.push(address);
                }
                Ok(addresses.into_iter().collect())
            }
        }
        deserializer.deserialize_seq(Addresses)
    }
}

impl schemars::JsonSchema for AddressSet {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AddressSet".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let items = generator.subschema_for::<Address>();
        schemars::json_schema!({"type": "array", "items": items})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of EIP-55, "Test Cases".
    const EIP_55: [&str; 8] = [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x27b1fdb04752bbc536007a920d24acb045561c26",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ];

    #[test]
    fn the_vectors_of_eip_55_read_and_write_themselves() {
        for text in EIP_55 {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
            assert!(text.to_ascii_lowercase().parse::<Address>().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_wrong_checksum_is_refused_and_the_right_one_told() {
        let error = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD".parse::<Address>().unwrap_err();
        assert!(
            error.to_string().ends_with("it is `0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed`"),
            "{error}"
        );
        for wrong in [
            "",
            "0x",
            "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
            "0xzz",
        ] {
            assert!(matches!(wrong.parse::<Address>(), Err(AddressError::Form { .. })), "{wrong}");
        }
    }

    fn spread(count: u64) -> Vec<Address> {
        let bytes = (0..count).map(|n| Keccak256::digest(n.to_be_bytes()));
        bytes.map(|hash| Address::from_slice(&hash[..20]).unwrap()).collect()
    }

    #[test]
    fn a_set_holds_its_members_and_nothing_else() {
        let all = spread(5_000);
        let (members, strangers) = all.split_at(2_500);
        let set: AddressSet = members.iter().copied().collect();
        assert_eq!(set.len(), 2_500);
        assert!(members.iter().all(|address| set.contains(address)));
        assert!(!strangers.iter().any(|address| set.contains(address)));
        assert!(!AddressSet::default().contains(&all[0]));
    }

    #[test]
    fn addresses_that_begin_alike_are_told_apart() {
        let alike = |n: u16| {
            let mut bytes = [0; 20];
            bytes[18..].copy_from_slice(&n.to_be_bytes());
            Address(bytes)
        };
        let set: AddressSet = (0..1_000).map(|n| alike(n * 2)).collect();
        for n in 0..2_000 {
            assert_eq!(set.contains(&alike(n)), n % 2 == 0, "{n}");
        }
        let edges: AddressSet = [Address([0; 20]), Address([0xff; 20])].into_iter().collect();
        assert!(edges.contains(&Address([0xff; 20])) && edges.contains(&Address([0; 20])) && !edges.contains(&Address([1; 20])));
    }

    #[test]
    fn a_set_reads_back_as_itself() {
        let set: AddressSet = spread(300).into_iter().collect();
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(serde_json::from_str::<AddressSet>(&json).unwrap(), set);
    }
}
