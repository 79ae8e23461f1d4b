//! Makers of facts. Their names stand in `wit/facts.md`.

use sigwarden_core::fact::{Fact, FactValue, Scalar};

fn one(name: &'static str, value: Scalar) -> Fact {
    Fact {
        name,
        value: FactValue::One(value),
    }
}

pub(crate) fn text(name: &'static str, value: &str) -> Fact {
    one(name, Scalar::Text(value.to_owned()))
}

pub(crate) fn bytes(name: &'static str, value: &[u8]) -> Fact {
    one(name, Scalar::Bytes(value.to_vec()))
}

pub(crate) fn boolean(name: &'static str, value: bool) -> Fact {
    one(name, Scalar::Bool(value))
}

pub(crate) fn u64(name: &'static str, value: u64) -> Fact {
    one(name, Scalar::U64(value))
}

pub(crate) fn u256(name: &'static str, value: crate::evm::U256) -> Fact {
    one(name, Scalar::U256(value.into_limbs()))
}

pub(crate) fn list_of_bytes<'a>(name: &'static str, values: impl Iterator<Item = &'a [u8]>) -> Fact {
    Fact {
        name,
        value: FactValue::Many(values.map(|value| Scalar::Bytes(value.to_vec())).collect()),
    }
}

pub(crate) fn list_of_text(name: &'static str, values: Vec<String>) -> Fact {
    Fact {
        name,
        value: FactValue::Many(values.into_iter().map(Scalar::Text).collect()),
    }
}

pub(crate) fn list_of_u64(name: &'static str, values: impl Iterator<Item = u64>) -> Fact {
    Fact {
        name,
        value: FactValue::Many(values.map(Scalar::U64).collect()),
    }
}

pub(crate) fn list_of_u256(name: &'static str, values: impl Iterator<Item = crate::evm::U256>) -> Fact {
    Fact {
        name,
        value: FactValue::Many(values.map(|value| Scalar::U256(value.into_limbs())).collect()),
    }
}

/// A count of things that lie in memory.
pub(crate) fn count(name: &'static str, value: usize) -> Fact {
    // usize has at most 64 bits on every platform that Rust supports.
    u64(name, u64::try_from(value).unwrap_or(u64::MAX))
}
