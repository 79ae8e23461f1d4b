//! Facts by name and type. A fact that is not there, or of another type, is an error that a policy cannot step over.

use crate::address::Address;
use crate::bindings::sigwarden::policy::types::{Request, Scalar, Value};
use crate::number::U256;

/// Why a fact could not be read. As a [`crate::Denied`] its code is `facts/missing`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactError {
    /// The request has no such fact.
    Missing {
        /// The fact.
        name: String,
        /// The request's format.
        format: String,
    },
    /// The fact is of another type.
    Type {
        /// The fact.
        name: String,
        /// The type that was wanted.
        wanted: &'static str,
        /// The type that was found.
        found: &'static str,
    },
    /// The fact has the right type and a value that this SDK does not know.
    Value {
        /// The fact.
        name: String,
        /// What it may be.
        wanted: &'static str,
    },
    /// The view is for other formats.
    Format {
        /// The request's format.
        format: String,
        /// What the view is for.
        wanted: &'static str,
    },
}

impl std::error::Error for FactError {}

impl std::fmt::Display for FactError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing { name, format } => write!(f, "a request in {format} has no fact `{name}`; `wit/facts.md` lists those it has"),
            Self::Type { name, wanted, found } => write!(f, "the fact `{name}` is {found}; {wanted} was expected"),
            Self::Value { name, wanted } => write!(
                f,
                "the fact `{name}` has a value that this policy does not know; it expects {wanted}"
            ),
            Self::Format { format, wanted } => write!(f, "a request in {format} is no {wanted}"),
        }
    }
}

impl Request {
    /// A fact's value, if the request has it: for facts that `wit/facts.md` calls conditional. The typed views read those for you.
    #[must_use]
    pub fn fact(&self, name: &str) -> Option<&Value> {
        self.facts.iter().find(|fact| fact.name == name).map(|fact| &fact.value)
    }

    fn scalar(&self, name: &str, wanted: &'static str) -> Result<&Scalar, FactError> {
        match self.fact(name) {
            Some(Value::One(scalar)) => Ok(scalar),
            Some(Value::Many(_)) => Err(wrong_type(name, wanted, "a list")),
            None => Err(FactError::Missing {
                name: name.to_owned(),
                format: self.format.clone(),
            }),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// Missing, or of another type.
    pub fn text_fact(&self, name: &str) -> Result<&str, FactError> {
        let scalar = self.scalar(name, "text")?;
        if let Scalar::Text(text) = scalar {
            Ok(text)
        } else {
            Err(wrong_type(name, "text", type_of(scalar)))
        }
    }

    /// Bytes.
    ///
    /// # Errors
    /// Missing, or of another type.
    pub fn bytes_fact(&self, name: &str) -> Result<&[u8], FactError> {
        let scalar = self.scalar(name, "bytes")?;
        if let Scalar::Bytes(bytes) = scalar {
            Ok(bytes)
        } else {
            Err(wrong_type(name, "bytes", type_of(scalar)))
        }
    }

    /// True or false.
    ///
    /// # Errors
    /// Missing, or of another type.
    pub fn bool_fact(&self, name: &str) -> Result<bool, FactError> {
        let scalar = self.scalar(name, "a boolean")?;
        if let Scalar::Boolean(value) = scalar {
            Ok(*value)
        } else {
            Err(wrong_type(name, "a boolean", type_of(scalar)))
        }
    }

    /// An unsigned 64-bit integer.
    ///
    /// # Errors
    /// Missing, or of another type.
    pub fn u64_fact(&self, name: &str) -> Result<u64, FactError> {
        let scalar = self.scalar(name, "a u64")?;
        if let Scalar::Unsigned(value) = scalar {
            Ok(*value)
        } else {
            Err(wrong_type(name, "a u64", type_of(scalar)))
        }
    }

    /// An unsigned 256-bit integer.
    ///
    /// # Errors
    /// Missing, or of another type.
    pub fn u256_fact(&self, name: &str) -> Result<U256, FactError> {
        let scalar = self.scalar(name, "a u256")?;
        if let Scalar::Unsigned256((a, b, c, d)) = scalar {
            Ok(U256::from_limbs([*a, *b, *c, *d]))
        } else {
            Err(wrong_type(name, "a u256", type_of(scalar)))
        }
    }

    /// An address of 20 bytes.
    ///
    /// # Errors
    /// Missing, or of another type or length.
    pub fn address_fact(&self, name: &str) -> Result<Address, FactError> {
        let bytes = self.bytes_fact(name)?;
        Address::from_slice(bytes).ok_or_else(|| wrong_type(name, "20 bytes", "bytes of another length"))
    }

    /// A list.
    ///
    /// # Errors
    /// Missing, or a single value.
    pub fn list_fact(&self, name: &str) -> Result<&[Scalar], FactError> {
        match self.fact(name) {
            Some(Value::Many(list)) => Ok(list),
            Some(Value::One(scalar)) => Err(wrong_type(name, "a list", type_of(scalar))),
            None => Err(FactError::Missing {
                name: name.to_owned(),
                format: self.format.clone(),
            }),
        }
    }
}

pub(crate) fn wrong_type(name: &str, wanted: &'static str, found: &'static str) -> FactError {
    FactError::Type {
        name: name.to_owned(),
        wanted,
        found,
    }
}

fn type_of(scalar: &Scalar) -> &'static str {
    match scalar {
        Scalar::Text(_) => "text",
        Scalar::Bytes(_) => "bytes",
        Scalar::Boolean(_) => "a boolean",
        Scalar::Unsigned(_) => "a u64",
        Scalar::Unsigned256(_) => "a u256",
    }
}
