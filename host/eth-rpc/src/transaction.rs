//! The object of `eth_signTransaction` (execution-apis, `GenericTransaction`) as an unsigned transaction.
//!
//! Absent `value`, `data` and `accessList` are none, as everywhere; an absent `to` creates a contract. Nothing else may be absent.
//! Without `type`, the fields say which type it is: each has a fee or a list that those before it have not.

use crate::digits;
use crate::fields::{Fields, Problem, elements, parsed};
use serde_json::value::RawValue;
use sigwarden_core::Format;
use sigwarden_formats::evm::{AccessListItem, Authorization, Eip1559, Eip2930, Eip4844, Eip7702, Legacy, U256};

/// Elements of a list in a transaction: a payload has at most 1 MiB, and nothing that is listed takes less than 21 bytes of it.
const ELEMENTS_MAX: usize = 50_000;

/// What travels beside a blob transaction.
const SIDECAR: [&str; 4] = ["blobs", "commitments", "proofs", "sidecar"];

/// An unsigned transaction, encoded, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsigned {
    pub(crate) from: [u8; 20],
    pub(crate) format: Format,
    pub(crate) payload: Vec<u8>,
}

/// Reads the object for an endpoint of this chain.
pub(crate) fn read(raw: &RawValue, chain_id: u64) -> Result<Unsigned, Problem> {
    let mut fields = Fields::open("params[0]", raw)?;
    if let Some(name) = SIDECAR.into_iter().find(|name| fields.has(name)) {
        return Err(Problem::at(
            name,
            "is part of a sidecar, which is not signed and not sent here; give `blobVersionedHashes` only, and put the sidecar around the signed transaction",
        ));
    }
    let given = Given::read(&mut fields)?;
    fields.finish("a transaction")?;
    let said = wanted("chainId", given.chain_id)?;
    if said != U256::from(chain_id) {
        return Err(Problem::at(
            "chainId",
            format_args!("is {said}; this endpoint signs for chain {chain_id}"),
        ));
    }
    let from = wanted("from", given.from)?;
    let (format, payload) = given.encode(chain_id)?;
    Ok(Unsigned { from, format, payload })
}

/// What the object says.
struct Given {
    transaction_type: Option<u64>,
    chain_id: Option<U256>,
    from: Option<[u8; 20]>,
    to: Option<[u8; 20]>,
    value: Option<U256>,
    gas: Option<u64>,
    gas_price: Option<U256>,
    max_fee_per_gas: Option<U256>,
    max_priority_fee_per_gas: Option<U256>,
    nonce: Option<u64>,
    data: Option<Vec<u8>>,
    access_list: Option<Vec<AccessListItem>>,
    max_fee_per_blob_gas: Option<U256>,
    blob_versioned_hashes: Option<Vec<[u8; 32]>>,
    authorization_list: Option<Vec<Authorization>>,
}

impl Given {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Problem> {
        Ok(Self {
            transaction_type: fields.u64("type")?,
            chain_id: fields.quantity("chainId")?,
            from: fields.address("from")?,
            to: fields.address("to")?,
            value: fields.quantity("value")?,
            gas: fields.u64("gas")?,
            gas_price: fields.quantity("gasPrice")?,
            max_fee_per_gas: fields.quantity("maxFeePerGas")?,
            max_priority_fee_per_gas: fields.quantity("maxPriorityFeePerGas")?,
            nonce: fields.u64("nonce")?,
            data: data(fields.data("data")?, fields.data("input")?)?,
            access_list: fields.take("accessList").map(access_list).transpose()?,
            max_fee_per_blob_gas: fields.quantity("maxFeePerBlobGas")?,
            blob_versioned_hashes: fields.take("blobVersionedHashes").map(hashes).transpose()?,
            authorization_list: fields.take("authorizationList").map(authorizations).transpose()?,
        })
    }

    /// The type that is said, else the one that the fields belong to.
    fn type_of(&self) -> Result<u8, Problem> {
        match self.transaction_type {
            Some(said @ 0..=4) => Ok(u8::try_from(said).unwrap_or(u8::MAX)),
            Some(other) => Err(Problem::at(
                "type",
                format_args!("is {other}; types 0x0 to 0x4 are signed here (legacy, EIP-2930, EIP-1559, EIP-4844, EIP-7702)"),
            )),
            None if self.authorization_list.is_some() => Ok(Eip7702::TYPE),
            None if self.blob_versioned_hashes.is_some() || self.max_fee_per_blob_gas.is_some() => Ok(Eip4844::TYPE),
            None if self.max_fee_per_gas.is_some() || self.max_priority_fee_per_gas.is_some() => Ok(Eip1559::TYPE),
            None if self.access_list.is_some() => Ok(Eip2930::TYPE),
            None => Ok(LEGACY),
        }
    }

    /// Refuses fields that a transaction of this type has not: they would not be in the signature.
    fn refuse_strangers(&self, transaction_type: u8) -> Result<(), Problem> {
        let fees = self.max_fee_per_gas.is_some() || self.max_priority_fee_per_gas.is_some();
        let blobs = self.max_fee_per_blob_gas.is_some() || self.blob_versioned_hashes.is_some();
        let strangers = [
            ("gasPrice", self.gas_price.is_some() && transaction_type > Eip2930::TYPE),
            ("accessList", self.access_list.is_some() && transaction_type == LEGACY),
            ("maxFeePerGas or maxPriorityFeePerGas", fees && transaction_type < Eip1559::TYPE),
            (
                "maxFeePerBlobGas or blobVersionedHashes",
                blobs && transaction_type != Eip4844::TYPE,
            ),
            (
                "authorizationList",
                self.authorization_list.is_some() && transaction_type != Eip7702::TYPE,
            ),
        ];
        match strangers.into_iter().find(|(_, stranger)| *stranger) {
            None => Ok(()),
            Some((name, _)) => Err(Problem::at(
                name,
                format_args!("is no field of a transaction of type {transaction_type:#x}"),
            )),
        }
    }

    fn encode(self, chain_id: u64) -> Result<(Format, Vec<u8>), Problem> {
        let transaction_type = self.type_of()?;
        self.refuse_strangers(transaction_type)?;
        match transaction_type {
            Eip2930::TYPE => self.eip_2930(chain_id),
            Eip1559::TYPE => self.eip_1559(chain_id),
            Eip4844::TYPE => self.eip_4844(chain_id),
            Eip7702::TYPE => self.eip_7702(chain_id),
            _ => self.legacy(chain_id),
        }
    }

    fn legacy(self, chain_id: u64) -> Result<(Format, Vec<u8>), Problem> {
        let transaction = Legacy {
            chain_id,
            nonce: wanted("nonce", self.nonce)?,
            gas_price: wanted("gasPrice", self.gas_price)?,
            gas_limit: wanted("gas", self.gas)?,
            to: self.recipient_or_creation()?,
            value: self.value.unwrap_or_default(),
            data: self.data.unwrap_or_default(),
        };
        Ok((Format::EvmLegacy, transaction.unsigned()))
    }

    fn eip_2930(self, chain_id: u64) -> Result<(Format, Vec<u8>), Problem> {
        let transaction = Eip2930 {
            chain_id,
            nonce: wanted("nonce", self.nonce)?,
            gas_price: wanted("gasPrice", self.gas_price)?,
            gas_limit: wanted("gas", self.gas)?,
            to: self.recipient_or_creation()?,
            value: self.value.unwrap_or_default(),
            data: self.data.unwrap_or_default(),
            access_list: self.access_list.unwrap_or_default(),
        };
        Ok((Format::EvmEip2930, transaction.unsigned()))
    }

    fn eip_1559(self, chain_id: u64) -> Result<(Format, Vec<u8>), Problem> {
        let (max_fee_per_gas, max_priority_fee_per_gas) = self.fees()?;
        let transaction = Eip1559 {
            chain_id,
            nonce: wanted("nonce", self.nonce)?,
            max_priority_fee_per_gas,
            max_fee_per_gas,
            gas_limit: wanted("gas", self.gas)?,
            to: self.recipient_or_creation()?,
            value: self.value.unwrap_or_default(),
            data: self.data.unwrap_or_default(),
            access_list: self.access_list.unwrap_or_default(),
        };
        Ok((Format::EvmEip1559, transaction.unsigned()))
    }

    fn eip_4844(self, chain_id: u64) -> Result<(Format, Vec<u8>), Problem> {
        let (max_fee_per_gas, max_priority_fee_per_gas) = self.fees()?;
        let transaction = Eip4844 {
            chain_id,
            nonce: wanted("nonce", self.nonce)?,
            max_priority_fee_per_gas,
            max_fee_per_gas,
            gas_limit: wanted("gas", self.gas)?,
            to: wanted("to", self.to)?,
            value: self.value.unwrap_or_default(),
            data: self.data.unwrap_or_default(),
            access_list: self.access_list.unwrap_or_default(),
            max_fee_per_blob_gas: wanted("maxFeePerBlobGas", self.max_fee_per_blob_gas)?,
            blob_versioned_hashes: wanted("blobVersionedHashes", self.blob_versioned_hashes)?,
        };
        Ok((Format::EvmEip4844, transaction.unsigned()))
    }

    fn eip_7702(self, chain_id: u64) -> Result<(Format, Vec<u8>), Problem> {
        let (max_fee_per_gas, max_priority_fee_per_gas) = self.fees()?;
        let transaction = Eip7702 {
            chain_id,
            nonce: wanted("nonce", self.nonce)?,
            max_priority_fee_per_gas,
            max_fee_per_gas,
            gas_limit: wanted("gas", self.gas)?,
            to: wanted("to", self.to)?,
            value: self.value.unwrap_or_default(),
            data: self.data.unwrap_or_default(),
            access_list: self.access_list.unwrap_or_default(),
            authorization_list: wanted("authorizationList", self.authorization_list)?,
        };
        Ok((Format::EvmEip7702, transaction.unsigned()))
    }

    /// `maxFeePerGas` and `maxPriorityFeePerGas`.
    fn fees(&self) -> Result<(U256, U256), Problem> {
        let max = wanted("maxFeePerGas", self.max_fee_per_gas)?;
        let priority = wanted("maxPriorityFeePerGas", self.max_priority_fee_per_gas)?;
        if priority > max {
            return Err(Problem::at(
                "maxPriorityFeePerGas",
                format_args!("is {priority}, above `maxFeePerGas`, {max}; no chain takes that (EIP-1559)"),
            ));
        }
        Ok((max, priority))
    }

    /// None creates a contract, which needs its init code: a recipient that was forgotten would burn the value.
    fn recipient_or_creation(&self) -> Result<Option<[u8; 20]>, Problem> {
        if self.to.is_none() && self.data.as_ref().is_none_or(Vec::is_empty) {
            return Err(Problem::at(
                "to",
                "is missing, and so is `data`; a transfer needs the one, creating a contract the other",
            ));
        }
        Ok(self.to)
    }
}

/// The type of a legacy transaction, which is not written in it.
const LEGACY: u8 = 0;

fn wanted<T>(name: &str, value: Option<T>) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::missing(name))
}

/// `data` is the older name of `input`. Clients give the one, the other, or both.
fn data(data: Option<Vec<u8>>, input: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, Problem> {
    match (data, input) {
        (Some(data), Some(input)) if data != input => Err(Problem::at("data", "and `input` are not the same; give one of them")),
        (Some(given), _) | (None, Some(given)) => Ok(Some(given)),
        (None, None) => Ok(None),
    }
}

fn access_list(raw: &RawValue) -> Result<Vec<AccessListItem>, Problem> {
    let entries = elements("accessList", raw, ELEMENTS_MAX)?;
    entries
        .into_iter()
        .enumerate()
        .map(|(at, entry)| {
            let mut fields = Fields::open_inner(&format!("accessList[{at}]"), entry)?;
            let address = fields.address("address")?;
            let storage_keys = fields.take("storageKeys");
            let item = AccessListItem {
                address: fields.wanted("address", address)?,
                storage_keys: words(&fields.path("storageKeys"), fields.wanted("storageKeys", storage_keys)?)?,
            };
            fields.finish("an entry of an access list")?;
            Ok(item)
        })
        .collect()
}

fn hashes(raw: &RawValue) -> Result<Vec<[u8; 32]>, Problem> {
    words("blobVersionedHashes", raw)
}

fn words(path: &str, raw: &RawValue) -> Result<Vec<[u8; 32]>, Problem> {
    let words = elements(path, raw, ELEMENTS_MAX)?;
    words
        .into_iter()
        .enumerate()
        .map(|(at, word)| parsed(&format!("{path}[{at}]"), word, digits::array::<32>))
        .collect()
}

fn authorizations(raw: &RawValue) -> Result<Vec<Authorization>, Problem> {
    let entries = elements("authorizationList", raw, ELEMENTS_MAX)?;
    entries
        .into_iter()
        .enumerate()
        .map(|(at, entry)| authorization(&format!("authorizationList[{at}]"), entry))
        .collect()
}

fn authorization(path: &str, raw: &RawValue) -> Result<Authorization, Problem> {
    let mut fields = Fields::open_inner(path, raw)?;
    let chain_id = fields.quantity("chainId")?;
    let address = fields.address("address")?;
    let nonce = fields.u64("nonce")?;
    let y_parity = fields.u64("yParity")?;
    let (r, s) = (fields.quantity("r")?, fields.quantity("s")?);
    let authorization = Authorization {
        chain_id: fields.wanted("chainId", chain_id)?,
        address: fields.wanted("address", address)?,
        nonce: fields.wanted("nonce", nonce)?,
        y_parity: match fields.wanted("yParity", y_parity)? {
            0 => 0,
            1 => 1,
            other => return Err(Problem::at(&fields.path("yParity"), format_args!("is {other}; it is 0x0 or 0x1"))),
        },
        r: fields.wanted("r", r)?,
        s: fields.wanted("s", s)?,
    };
    fields.finish("an authorization")?;
    Ok(authorization)
}

#[cfg(test)]
mod tests;
