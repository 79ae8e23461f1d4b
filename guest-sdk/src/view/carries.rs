//! What some EVM transactions carry besides their call: blobs, and other accounts' authorizations.

use crate::address::Address;
use crate::bindings::sigwarden::policy::types::{Request, Scalar};
use crate::facts::{FactError, wrong_type};
use crate::number::U256;

/// Gas of one blob, `GAS_PER_BLOB` (EIP-4844).
pub(super) const GAS_PER_BLOB: u64 = 131_072;

/// What a transaction carries besides its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries<'a> {
    /// Nothing: legacy, EIP-2930, EIP-1559.
    Nothing,
    /// Blobs (EIP-4844).
    Blobs(Blobs<'a>),
    /// Authorizations (EIP-7702).
    Authorizations(Authorizations<'a>),
}

/// The blobs of a transaction (EIP-4844).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blobs<'a> {
    /// How many; at least one.
    pub count: u64,
    /// The cap for a unit of blob gas, in wei.
    pub max_fee_per_blob_gas: U256,
    /// Each blob's versioned hash, 32 bytes.
    pub versioned_hashes: &'a [Scalar],
}

/// The authorizations that a transaction carries (EIP-7702), each some account's word that its code becomes a delegate's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authorizations<'a> {
    chain_ids: &'a [Scalar],
    delegates: &'a [Scalar],
    nonces: &'a [Scalar],
    authorities: &'a [Scalar],
}

/// One authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authorization {
    /// Where it counts.
    pub chain: AuthorizedChain,
    /// What the account's code becomes.
    pub delegate: Delegate,
    /// The account's nonce at which it counts.
    pub nonce: u64,
    /// Whose it is.
    pub authority: Authority,
}

/// Where an authorization counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorizedChain {
    /// On every chain.
    Every,
    /// On this one.
    One(U256),
}

/// What an account's code becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delegate {
    /// That of this contract.
    Contract(Address),
    /// None any more.
    Cleared,
}

/// Whose an authorization is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// This account's.
    Account(Address),
    /// Nobody's: no chain counts its signature.
    Invalid,
}

impl<'a> Blobs<'a> {
    /// The one format whose transactions have them.
    pub const FORMAT: &'static str = "evm/eip-4844";
    /// The facts that they are read from, besides those of [`crate::EvmTransaction`], for a manifest.
    pub const FACTS: &'static [&'static str] = &["evm.blobs", "evm.max-fee-per-blob-gas", "evm.blob-versioned-hashes"];

    /// The most that they can cost. None over 2^256-1.
    #[must_use]
    pub fn fees_at_most(&self) -> Option<U256> {
        let gas = U256::from(self.count).checked_mul(GAS_PER_BLOB.into())?;
        gas.checked_mul(self.max_fee_per_blob_gas)
    }

    pub(super) fn of(request: &'a Request) -> Result<Self, FactError> {
        Ok(Self {
            count: request.u64_fact("evm.blobs")?,
            max_fee_per_blob_gas: request.u256_fact("evm.max-fee-per-blob-gas")?,
            versioned_hashes: request.list_fact("evm.blob-versioned-hashes")?,
        })
    }
}

impl<'a> Authorizations<'a> {
    /// The one format whose transactions have them.
    pub const FORMAT: &'static str = "evm/eip-7702";
    /// The facts that they are read from, besides those of [`crate::EvmTransaction`], for a manifest.
    pub const FACTS: &'static [&'static str] = &[
        "evm.authorizations.chain-ids",
        "evm.authorizations.delegates",
        "evm.authorizations.nonces",
        "evm.authorizations.authorities",
    ];

    /// Each, in the transaction's order; at least one.
    pub fn iter(&self) -> impl Iterator<Item = Result<Authorization, FactError>> {
        (0..self.delegates.len()).map(|index| self.at(index))
    }

    fn at(&self, index: usize) -> Result<Authorization, FactError> {
        let [chain, delegate, nonce, authority] = Self::FACTS else {
            return Err(wrong_type("evm.authorizations", "four lists", "others"));
        };
        let chain = match self.chain_ids.get(index) {
            Some(Scalar::Unsigned256((a, b, c, d))) => U256::from_limbs([*a, *b, *c, *d]),
            Some(_) | None => return Err(wrong_type(chain, "a u256 for each authorization", "another list")),
        };
        let address = |name: &str, list: &[Scalar]| match list.get(index) {
            Some(Scalar::Bytes(bytes)) if bytes.is_empty() => Ok(None),
            Some(Scalar::Bytes(bytes)) if bytes.len() == 20 => Ok(Address::from_slice(bytes)),
            Some(_) | None => Err(wrong_type(name, "an address for each authorization", "another list")),
        };
        let to = address(delegate, self.delegates)?.ok_or_else(|| wrong_type(delegate, "20 bytes", "none"))?;
        let nonce = match self.nonces.get(index) {
            Some(Scalar::Unsigned(nonce)) => *nonce,
            Some(_) | None => return Err(wrong_type(nonce, "a u64 for each authorization", "another list")),
        };
        Ok(Authorization {
            chain: if chain == U256::ZERO {
                AuthorizedChain::Every
            } else {
                AuthorizedChain::One(chain)
            },
            delegate: if to.0 == [0; 20] {
                Delegate::Cleared
            } else {
                Delegate::Contract(to)
            },
            nonce,
            authority: address(authority, self.authorities)?.map_or(Authority::Invalid, Authority::Account),
        })
    }

    pub(super) fn of(request: &'a Request) -> Result<Self, FactError> {
        let read = Self {
            chain_ids: request.list_fact("evm.authorizations.chain-ids")?,
            delegates: request.list_fact("evm.authorizations.delegates")?,
            nonces: request.list_fact("evm.authorizations.nonces")?,
            authorities: request.list_fact("evm.authorizations.authorities")?,
        };
        // So that going through them misses none, whatever a policy does with an error.
        let lengths = [read.chain_ids.len(), read.nonces.len(), read.authorities.len()];
        if read.delegates.is_empty() || lengths.iter().any(|length| *length != read.delegates.len()) {
            return Err(FactError::Value {
                name: "evm.authorizations.delegates".to_owned(),
                wanted: "lists of one length, at least one",
            });
        }
        for authorization in read.iter() {
            authorization?;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn blobs_have_a_count_and_a_price() {
        let request = testing::evm_blobs(2).build();
        let transaction = request.evm().unwrap();
        let Carries::Blobs(blobs) = transaction.carries else {
            panic!("{transaction:?}")
        };
        assert_eq!((blobs.count, blobs.versioned_hashes.len()), (2, 2));
        // 2 blobs of 131072 gas at 3 gwei, and 21000 gas at 30 gwei.
        assert_eq!(blobs.fees_at_most(), Some(U256::from(786_432_000_000_000u64)));
        assert_eq!(
            transaction.fees_at_most(),
            Some(U256::from(786_432_000_000_000u64 + 630_000_000_000_000))
        );
        for fact in Blobs::FACTS {
            let less = testing::evm_blobs(2).without(fact).build();
            assert!(matches!(less.evm(), Err(FactError::Missing { .. })), "{fact}");
        }
        let over = testing::evm_blobs(2).u256("evm.max-fee-per-blob-gas", U256::MAX).build();
        assert_eq!(over.evm().unwrap().fees_at_most(), None);
    }

    #[test]
    fn authorizations_say_whose_code_becomes_what_and_where() {
        let request = testing::evm_set_code(&[0xcc; 20]).build();
        let transaction = request.evm().unwrap();
        let Carries::Authorizations(list) = transaction.carries else {
            panic!("{transaction:?}")
        };
        let read: Vec<_> = list.iter().map(Result::unwrap).collect();
        assert_eq!(
            read,
            [Authorization {
                chain: AuthorizedChain::One(U256::from(1u64)),
                delegate: Delegate::Contract(Address([0xcc; 20])),
                nonce: 7,
                authority: Authority::Account(Address([0x11; 20])),
            }]
        );
        let request = testing::evm_set_code(&[0; 20])
            .list("evm.authorizations.chain-ids", vec![Scalar::Unsigned256((0, 0, 0, 0))])
            .list("evm.authorizations.authorities", vec![Scalar::Bytes(vec![])])
            .build();
        let Carries::Authorizations(list) = request.evm().unwrap().carries else {
            panic!("authorizations")
        };
        let read = list.iter().next().unwrap().unwrap();
        assert_eq!(
            (read.chain, read.delegate, read.authority),
            (AuthorizedChain::Every, Delegate::Cleared, Authority::Invalid)
        );
    }

    #[test]
    fn authorizations_that_do_not_fit_together_are_an_error() {
        for fact in Authorizations::FACTS {
            let less = testing::evm_set_code(&[0xcc; 20]).without(fact).build();
            assert!(matches!(less.evm(), Err(FactError::Missing { .. })), "{fact}");
            let empty = testing::evm_set_code(&[0xcc; 20]).list(fact, vec![]).build();
            assert!(matches!(empty.evm(), Err(FactError::Value { .. })), "{fact}");
            let wrong = testing::evm_set_code(&[0xcc; 20]).list(fact, vec![Scalar::Boolean(true)]).build();
            assert!(matches!(wrong.evm(), Err(FactError::Type { .. })), "{fact}");
        }
        let short = testing::evm_set_code(&[0xcc; 19]).build();
        assert!(matches!(short.evm(), Err(FactError::Type { .. })));
    }
}
