//! EVM transactions.

use crate::address::Address;
use crate::bindings::sigwarden::policy::types::{Request, Scalar, Value};
use crate::facts::{FactError, wrong_type};
use crate::number::U256;
use crate::view::carries::{Authorizations, Blobs, Carries};
use crate::vocabulary::Family;

/// An unsigned EVM transaction: legacy with chain id (EIP-155), EIP-2930, EIP-1559, EIP-4844 or EIP-7702.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvmTransaction<'a> {
    /// The chain it is for.
    pub chain_id: u64,
    /// The sender's transaction count.
    pub nonce: u64,
    /// The most gas it may use.
    pub gas_limit: u64,
    /// What a unit of gas may cost.
    pub fees: Fees,
    /// Whom it calls, or that it creates a contract.
    pub recipient: Recipient,
    /// Wei sent along.
    pub value: U256,
    /// Call data, or init code if it creates a contract.
    pub data: &'a [u8],
    /// The storage it announces.
    pub access_list: AccessList<'a>,
    /// Blobs or authorizations. A policy that lists [`Blobs::FORMAT`] or [`Authorizations::FORMAT`] in its manifest says what it
    /// thinks of them.
    pub carries: Carries<'a>,
}

/// Whom a transaction calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipient {
    /// Nobody: it creates a contract from its data.
    Create,
    /// This account.
    Call(Address),
}

/// What a unit of gas may cost, in wei.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fees {
    /// One price (legacy, EIP-2930).
    Legacy {
        /// The price.
        gas_price: U256,
    },
    /// A cap for all of it, and one for the part that goes to the proposer.
    Eip1559 {
        /// The cap for all of it.
        max_fee_per_gas: U256,
        /// The cap for the proposer's part.
        max_priority_fee_per_gas: U256,
    },
}

impl Fees {
    /// The most that a unit of gas can cost.
    #[must_use]
    pub fn cap(&self) -> U256 {
        match self {
            Self::Legacy { gas_price } => *gas_price,
            Self::Eip1559 { max_fee_per_gas, .. } => *max_fee_per_gas,
        }
    }
}

/// How a transaction's data reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// No data: a plain transfer.
    None,
    /// Code that makes a contract.
    InitCode(&'a [u8]),
    /// A call of a function (Solidity ABI).
    Call {
        /// The first four bytes of the Keccak-256 of the function's signature.
        selector: [u8; 4],
        /// What follows.
        arguments: &'a [u8],
    },
    /// One to three bytes, which are no function's.
    Short(&'a [u8]),
}

/// The storage that a transaction announces (EIP-2930).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessList<'a> {
    /// Its type has none: legacy.
    Absent,
    /// It has one, maybe empty.
    Present {
        /// Each entry's address, 20 bytes.
        addresses: &'a [Scalar],
        /// Storage keys of all entries together.
        storage_keys: u64,
    },
}

impl<'a> EvmTransaction<'a> {
    /// The facts that `Request::evm` reads, for a manifest.
    pub const FACTS: &'static [&'static str] = &[
        "evm.transaction-type",
        "evm.chain-id",
        "evm.nonce",
        "evm.gas-limit",
        "evm.gas-price",
        "evm.max-fee-per-gas",
        "evm.max-priority-fee-per-gas",
        "evm.create",
        "evm.to",
        "evm.value",
        "evm.data",
        "evm.access-list.addresses",
        "evm.access-list.storage-keys",
    ];
    /// The formats of transactions that carry nothing besides their call, for a manifest. `Request::evm` reads those of [`Blobs::FORMAT`] and
    /// [`Authorizations::FORMAT`] too; a manifest that lists them means to judge what they carry.
    pub const FORMATS: &'static [&'static str] = &["evm/legacy", "evm/eip-2930", "evm/eip-1559"];

    /// The most that its gas can cost: limit by cap, and that of its blobs. None over 2^256-1.
    #[must_use]
    pub fn fees_at_most(&self) -> Option<U256> {
        let gas = self.fees.cap().checked_mul(self.gas_limit.into())?;
        match self.carries {
            Carries::Blobs(blobs) => gas.checked_add(blobs.fees_at_most()?),
            Carries::Nothing | Carries::Authorizations(_) => Some(gas),
        }
    }

    /// Its data, by what it is.
    #[must_use]
    pub fn input(&self) -> Input<'a> {
        match (self.recipient, self.data.split_first_chunk::<4>()) {
            (Recipient::Create, _) => Input::InitCode(self.data),
            (Recipient::Call(_), Some((selector, arguments))) => Input::Call {
                selector: *selector,
                arguments,
            },
            (Recipient::Call(_), None) if self.data.is_empty() => Input::None,
            (Recipient::Call(_), None) => Input::Short(self.data),
        }
    }
}

impl Request {
    /// The EVM transaction that would be signed.
    ///
    /// # Errors
    /// It is none, or a fact of it is missing or of another type.
    pub fn evm(&self) -> Result<EvmTransaction<'_>, FactError> {
        if self.family() != Family::Evm {
            return Err(FactError::Format {
                format: self.format.clone(),
                wanted: "EVM transaction",
            });
        }
        let kind = self.u64_fact("evm.transaction-type")?;
        let legacy = || -> Result<Fees, FactError> {
            Ok(Fees::Legacy {
                gas_price: self.u256_fact("evm.gas-price")?,
            })
        };
        let fee_market = || -> Result<Fees, FactError> {
            Ok(Fees::Eip1559 {
                max_fee_per_gas: self.u256_fact("evm.max-fee-per-gas")?,
                max_priority_fee_per_gas: self.u256_fact("evm.max-priority-fee-per-gas")?,
            })
        };
        let (fees, has_access_list, carries) = match kind {
            0 => (legacy()?, false, Carries::Nothing),
            1 => (legacy()?, true, Carries::Nothing),
            2 => (fee_market()?, true, Carries::Nothing),
            3 => (fee_market()?, true, Carries::Blobs(Blobs::of(self)?)),
            4 => (fee_market()?, true, Carries::Authorizations(Authorizations::of(self)?)),
            _ => {
                return Err(FactError::Value {
                    name: "evm.transaction-type".to_owned(),
                    wanted: "0 (legacy), 1 (EIP-2930), 2 (EIP-1559), 3 (EIP-4844) or 4 (EIP-7702)",
                });
            }
        };
        let recipient = if self.bool_fact("evm.create")? {
            Recipient::Create
        } else {
            Recipient::Call(self.address_fact("evm.to")?)
        };
        Ok(EvmTransaction {
            chain_id: self.u64_fact("evm.chain-id")?,
            nonce: self.u64_fact("evm.nonce")?,
            gas_limit: self.u64_fact("evm.gas-limit")?,
            fees,
            recipient,
            value: self.u256_fact("evm.value")?,
            data: self.bytes_fact("evm.data")?,
            access_list: if has_access_list { self.access_list()? } else { AccessList::Absent },
            carries,
        })
    }

    fn access_list(&self) -> Result<AccessList<'_>, FactError> {
        let name = "evm.access-list.addresses";
        let addresses = match self.fact(name) {
            Some(Value::Many(addresses)) => addresses,
            Some(Value::One(_)) | None => self.list_fact(name)?,
        };
        let is_address = |scalar: &Scalar| matches!(scalar, Scalar::Bytes(bytes) if bytes.len() == 20);
        if !addresses.iter().all(is_address) {
            return Err(wrong_type(name, "a list of 20-byte addresses", "a list of something else"));
        }
        Ok(AccessList::Present {
            addresses,
            storage_keys: self.u64_fact("evm.access-list.storage-keys")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn each_type_of_transaction_has_its_fees_and_access_list() {
        let legacy = testing::evm_legacy().build();
        assert!(matches!(legacy.evm().unwrap().fees, Fees::Legacy { .. }));
        assert_eq!(legacy.evm().unwrap().access_list, AccessList::Absent);
        let request = testing::evm_transfer().build();
        let transaction = request.evm().unwrap();
        assert_eq!(transaction.fees.cap(), U256::from(30_000_000_000u64));
        assert_eq!(transaction.fees_at_most(), Some(U256::from(630_000_000_000_000u64)));
        assert_eq!(
            transaction.access_list,
            AccessList::Present {
                addresses: &[],
                storage_keys: 0
            }
        );
        assert_eq!(transaction.input(), Input::None);
    }

    #[test]
    fn data_is_a_call_init_code_or_too_short_to_be_either() {
        let with = |data: &[u8]| testing::evm_transfer().bytes("evm.data", data).build();
        let request = with(&[1, 2, 3, 4, 5]);
        let call = Input::Call {
            selector: [1, 2, 3, 4],
            arguments: &[5],
        };
        assert_eq!(request.evm().unwrap().input(), call);
        assert_eq!(with(&[1, 2, 3]).evm().unwrap().input(), Input::Short(&[1, 2, 3]));
        let create = testing::evm_creation(&[1, 2, 3, 4, 5]).build();
        assert_eq!(create.evm().unwrap().recipient, Recipient::Create);
        assert_eq!(create.evm().unwrap().input(), Input::InitCode(&[1, 2, 3, 4, 5]));
    }

    #[test]
    fn every_fact_of_a_transfer_is_missed_when_it_is_gone() {
        let whole = testing::evm_transfer().build();
        for fact in &whole.facts {
            let mut request = whole.clone();
            request.facts.retain(|other| other.name != fact.name);
            let error = request.evm().unwrap_err();
            assert_eq!(
                error,
                FactError::Missing {
                    name: fact.name.clone(),
                    format: "evm/eip-1559".to_owned()
                }
            );
        }
        assert_eq!(whole.facts.len(), 12);
    }

    #[test]
    fn a_fact_of_another_type_or_value_is_an_error() {
        let wrong = testing::evm_transfer().u64("evm.value", 1).build();
        assert!(matches!(wrong.evm(), Err(FactError::Type { wanted: "a u256", .. })));
        let newer = testing::evm_transfer().u64("evm.transaction-type", 5).build();
        assert!(matches!(newer.evm(), Err(FactError::Value { .. })));
        let short = testing::evm_transfer().bytes("evm.to", &[0; 19]).build();
        assert!(matches!(short.evm(), Err(FactError::Type { .. })));
        assert!(matches!(
            testing::request("raw-digest").build().evm(),
            Err(FactError::Format { .. })
        ));
    }
}
