//! What an EVM account signs besides transactions: messages (EIP-191) and typed data (EIP-712).

use crate::address::Address;
use crate::bindings::sigwarden::policy::types::{Request, Scalar};
use crate::facts::{FactError, wrong_type};
use crate::number::U256;

/// A message of `personal_sign` or `eth_sign` (EIP-191).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedMessage<'a> {
    /// Text that can be shown.
    Text(&'a str),
    /// Anything else: a hash, as likely as not.
    Bytes(&'a [u8]),
}

impl<'a> SignedMessage<'a> {
    /// The one format that it is.
    pub const FORMAT: &'static str = "evm/eip-191";
    /// The facts that `Request::signed_message` reads, for a manifest.
    pub const FACTS: &'static [&'static str] = &["message.length", "message.text"];

    /// The message itself.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// Typed data (EIP-712).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypedData<'a> {
    /// The name of the message's type.
    pub primary_type: &'a str,
    /// `encodeType` of it: `Mail(Person from,string contents)Person(string name)`.
    pub encode_type: &'a str,
    /// The hash of that.
    pub type_hash: &'a [u8],
    /// Whom the data is for.
    pub domain: TypedDomain<'a>,
    /// Each value without parts.
    lines: &'a [Scalar],
}

/// Whom typed data is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypedDomain<'a> {
    /// The application's name, if it has one; anybody can give themselves any.
    pub name: Option<&'a str>,
    /// Its version, if it has one.
    pub version: Option<&'a str>,
    /// Where it counts.
    pub chain: TypedChain,
    /// Who takes it.
    pub contract: TypedContract,
    /// What else tells applications apart, if it has one: 32 bytes.
    pub salt: Option<&'a [u8]>,
}

/// Where typed data counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypedChain {
    /// It says none, so maybe on every chain.
    Unsaid,
    /// On this one.
    One(U256),
}

/// Who takes typed data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypedContract {
    /// It does not say, so maybe more than one.
    Unsaid,
    /// This contract.
    One(Address),
}

/// A value of typed data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypedValue<'a> {
    /// Its type: `address`, `uint256`.
    pub kind: &'a str,
    /// Where it stands: `to.wallet`, `amounts[0]`.
    pub path: &'a str,
    /// The value: integers in decimal, bytes in lower-case hex after `0x`.
    pub value: &'a str,
}

impl<'a> TypedData<'a> {
    /// The one format that it is.
    pub const FORMAT: &'static str = "evm/eip-712";
    /// The facts that `Request::typed_data` reads, for a manifest.
    pub const FACTS: &'static [&'static str] = &[
        "typed-data.primary-type",
        "typed-data.encode-type",
        "typed-data.type-hash",
        "typed-data.domain.name",
        "typed-data.domain.version",
        "typed-data.domain.chain-id",
        "typed-data.domain.verifying-contract",
        "typed-data.domain.salt",
        "typed-data.message",
    ];

    /// Each value of the message, in the order of its types.
    pub fn values(&self) -> impl Iterator<Item = Result<TypedValue<'a>, FactError>> {
        self.lines.iter().map(read_line)
    }

    /// The one value of this type at this path. Another type there is an error, as is none.
    ///
    /// # Errors
    /// There is no such value.
    pub fn value(&self, kind: &str, path: &str) -> Result<&'a str, FactError> {
        for value in self.values() {
            let value = value?;
            if value.path == path && value.kind == kind {
                return Ok(value.value);
            }
        }
        Err(FactError::Missing {
            name: format!("typed-data.message: {kind} {path}"),
            format: Self::FORMAT.to_owned(),
        })
    }

    /// The unsigned number of this type at this path.
    ///
    /// # Errors
    /// There is no such value, or it is no unsigned number.
    pub fn number(&self, kind: &str, path: &str) -> Result<U256, FactError> {
        let value = self.value(kind, path)?;
        value.parse().map_err(|_| wrong_type(path, "an unsigned number", "another value"))
    }

    /// The address at this path.
    ///
    /// # Errors
    /// There is no such value.
    pub fn address(&self, path: &str) -> Result<Address, FactError> {
        let value = self.value("address", path)?;
        value.parse().map_err(|_| wrong_type(path, "an address", "another value"))
    }
}

/// `type path=value`: no type and no path has a space or `=`.
fn read_line(line: &Scalar) -> Result<TypedValue<'_>, FactError> {
    let Scalar::Text(line) = line else {
        return Err(wrong_type("typed-data.message", "a list of texts", "a list of something else"));
    };
    let split = line
        .split_once('=')
        .and_then(|(named, value)| Some((named.split_once(' ')?, value)));
    let ((kind, path), value) = split.ok_or_else(|| wrong_type("typed-data.message", "`type path=value`", "another text"))?;
    Ok(TypedValue { kind, path, value })
}

impl Request {
    /// The EIP-191 message that would be signed.
    ///
    /// # Errors
    /// It is none, or its text is not its payload.
    pub fn signed_message(&self) -> Result<SignedMessage<'_>, FactError> {
        if self.format != SignedMessage::FORMAT {
            return Err(self.no("EIP-191 message"));
        }
        match self.fact("message.text") {
            None => Ok(SignedMessage::Bytes(&self.payload)),
            Some(_) => match self.text_fact("message.text")? {
                text if text.as_bytes() == self.payload => Ok(SignedMessage::Text(text)),
                _ => Err(FactError::Value {
                    name: "message.text".to_owned(),
                    wanted: "the payload as text",
                }),
            },
        }
    }

    /// The typed data that would be signed.
    ///
    /// # Errors
    /// It is none, or a fact of it is missing or of another type.
    pub fn typed_data(&self) -> Result<TypedData<'_>, FactError> {
        if self.format != TypedData::FORMAT {
            return Err(self.no("typed data (EIP-712)"));
        }
        let text = |name: &str| self.fact(name).map(|_| self.text_fact(name)).transpose();
        let has = |name: &str| self.fact(name).is_some();
        let domain = TypedDomain {
            name: text("typed-data.domain.name")?,
            version: text("typed-data.domain.version")?,
            chain: if has("typed-data.domain.chain-id") {
                TypedChain::One(self.u256_fact("typed-data.domain.chain-id")?)
            } else {
                TypedChain::Unsaid
            },
            contract: if has("typed-data.domain.verifying-contract") {
                TypedContract::One(self.address_fact("typed-data.domain.verifying-contract")?)
            } else {
                TypedContract::Unsaid
            },
            salt: has("typed-data.domain.salt")
                .then(|| self.bytes_fact("typed-data.domain.salt"))
                .transpose()?,
        };
        let data = TypedData {
            primary_type: self.text_fact("typed-data.primary-type")?,
            encode_type: self.text_fact("typed-data.encode-type")?,
            type_hash: self.bytes_fact("typed-data.type-hash")?,
            domain,
            lines: self.list_fact("typed-data.message")?,
        };
        for value in data.values() {
            value?;
        }
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_message_is_text_if_the_host_says_so() {
        let text = testing::signed_message(b"log in");
        assert_eq!(text.clone().build().signed_message().unwrap(), SignedMessage::Text("log in"));
        let hash = testing::signed_message(&[0xff; 32]).build();
        assert_eq!(hash.signed_message().unwrap(), SignedMessage::Bytes(&[0xff; 32]));
        assert_eq!(hash.signed_message().unwrap().bytes(), [0xff; 32]);
        let other = text.clone().text("message.text", "log out").build();
        assert!(matches!(other.signed_message(), Err(FactError::Value { .. })));
        assert!(matches!(
            text.u64("message.text", 1).build().signed_message(),
            Err(FactError::Type { .. })
        ));
        assert!(testing::message(b"log in").build().signed_message().is_err());
        assert!(testing::signed_message(b"log in").build().evm().is_err());
    }

    #[test]
    fn typed_data_has_a_domain_and_values() {
        let request = testing::typed_permit(&[0xcc; 20], 1000).build();
        let data = request.typed_data().unwrap();
        assert_eq!(data.primary_type, "Permit");
        assert_eq!(data.domain.chain, TypedChain::One(U256::from(1u64)));
        assert_eq!(data.domain.contract, TypedContract::One(Address([0x70; 20])));
        assert_eq!((data.domain.name, data.domain.salt), (Some("Coin"), None));
        assert_eq!(data.address("spender").unwrap(), Address([0xcc; 20]));
        assert_eq!(data.number("uint256", "value").unwrap(), U256::from(1000u64));
        assert_eq!(data.values().count(), 5);
        // Of another type, or not there.
        assert!(matches!(data.value("string", "value"), Err(FactError::Missing { .. })));
        assert!(matches!(data.value("uint256", "amount"), Err(FactError::Missing { .. })));
        assert!(request.evm().is_err() && request.signed_message().is_err());
    }

    #[test]
    fn typed_data_without_chain_or_contract_says_so() {
        let request = testing::typed_permit(&[0xcc; 20], 1)
            .without("typed-data.domain.chain-id")
            .without("typed-data.domain.verifying-contract")
            .bytes("typed-data.domain.salt", &[7; 32])
            .build();
        let domain = request.typed_data().unwrap().domain;
        assert_eq!((domain.chain, domain.contract), (TypedChain::Unsaid, TypedContract::Unsaid));
        assert_eq!(domain.salt, Some([7; 32].as_slice()));
    }

    #[test]
    fn a_value_may_hold_what_separates() {
        let line = Scalar::Text("string note=a=b c d=".to_owned());
        let request = testing::typed_permit(&[0xcc; 20], 1).list("typed-data.message", vec![line]).build();
        assert_eq!(request.typed_data().unwrap().value("string", "note").unwrap(), "a=b c d=");
    }

    #[test]
    fn facts_of_typed_data_that_are_missing_or_wrong_are_errors() {
        for fact in [
            "typed-data.primary-type",
            "typed-data.encode-type",
            "typed-data.type-hash",
            "typed-data.message",
        ] {
            let less = testing::typed_permit(&[0xcc; 20], 1).without(fact).build();
            assert!(matches!(less.typed_data(), Err(FactError::Missing { .. })), "{fact}");
        }
        for line in [
            Scalar::Unsigned(1),
            Scalar::Text("uint256 value".into()),
            Scalar::Text("value=1".into()),
        ] {
            let wrong = testing::typed_permit(&[0xcc; 20], 1).list("typed-data.message", vec![line]).build();
            assert!(matches!(wrong.typed_data(), Err(FactError::Type { .. })));
        }
        let short = testing::typed_permit(&[0xcc; 20], 1)
            .bytes("typed-data.domain.verifying-contract", &[1; 19])
            .build();
        assert!(matches!(short.typed_data(), Err(FactError::Type { .. })));
    }
}
