//! Messages (EIP-191) and typed data (EIP-712): the parameters of `personal_sign`, `eth_sign` and `eth_signTypedData_v4`.

use crate::digits;
use crate::fields::{Problem, parsed, text};
use serde_json::value::RawValue;
use sigwarden_core::fact::{FactValue, Scalar};
use sigwarden_core::{Format, Scheme};
use sigwarden_formats::evm::{U256, typed_data};

/// A payload and the address that shall sign it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) address: [u8; 20],
    pub(crate) format: Format,
    pub(crate) payload: Vec<u8>,
    /// What the payload may be none of: an account's address.
    pub(crate) no_account: Option<[u8; 20]>,
}

/// `personal_sign`: message, address. Some clients swap the two; what is then signed would be an address, so anything that can be read
/// both ways is refused, here or, if it takes the accounts to see it, as [`Message::no_account`]. A third parameter, geth's password, may be there if it is empty.
pub(crate) fn personal_sign(params: &[&RawValue]) -> Result<Message, Problem> {
    let [message, address] = match params {
        [message, address] => [message, address],
        [message, address, password] if matches!(password.get(), "null" | "\"\"") => [message, address],
        [_, _, _] => {
            return Err(Problem::at(
                "params[2]",
                "is a password, which this signer does not take; leave it out, and change it: it has been sent",
            ));
        }
        _ => return Err(count(params, "[message, address]")),
    };
    let like_address = parsed("params[0]", message, |text| Ok(digits::array::<20>(text).ok()))?;
    match message_of("params[0]", message, "params[1]", address) {
        Ok(message) => Ok(Message {
            no_account: like_address,
            ..message
        }),
        // So that a swapped pair is told what it is.
        Err(problem) if like_address.is_some() => Err(Problem(format!("{problem}, and {}", swapped()))),
        Err(problem) => Err(problem),
    }
}

/// What a pair in the wrong order is told.
pub(crate) fn swapped() -> Problem {
    Problem::at(
        "params",
        "are, or can be read as, [address, message]; `personal_sign` takes [message, address], `eth_sign` the other order",
    )
}

/// `eth_sign`: address, message. What is signed has the prefix of EIP-191, as everywhere today.
pub(crate) fn eth_sign(params: &[&RawValue]) -> Result<Message, Problem> {
    match params {
        [address, message] => message_of("params[1]", message, "params[0]", address),
        _ => Err(count(params, "[address, message]")),
    }
}

/// `eth_signTypedData_v4`: address, typed data as an object or as its JSON in a string. Data for another chain is refused (EIP-712, `chainId`);
/// a domain without a chain is the policies' affair.
pub(crate) fn sign_typed_data(params: &[&RawValue], chain_id: u64) -> Result<Message, Problem> {
    let [address, data] = params else {
        return Err(count(params, "[address, typed data]"));
    };
    let address = parsed("params[0]", address, digits::address)?;
    let json = if data.get().starts_with('"') {
        text("params[1]", data)?
    } else {
        data.get().into()
    };
    let problem = |error: &dyn std::fmt::Display| Problem(format!("`params[1]`: {error}"));
    let payload = typed_data::canonical(json.as_bytes()).map_err(|error| problem(&error))?;
    let decoded = sigwarden_formats::decode(Format::EvmEip712, Scheme::Secp256k1Ecdsa, &payload).map_err(|error| problem(&error))?;
    let ours = FactValue::One(Scalar::U256(U256::from(chain_id).into_limbs()));
    if decoded.facts.iter().any(|fact| fact.name == CHAIN_ID && fact.value != ours) {
        return Err(problem(&format_args!(
            "`domain.chainId` is not {chain_id}, the chain that this endpoint signs for"
        )));
    }
    Ok(Message {
        address,
        format: Format::EvmEip712,
        payload,
        no_account: None,
    })
}

/// The chain of typed data, where its domain has one.
const CHAIN_ID: &str = "typed-data.domain.chain-id";

fn message_of(message_path: &str, message: &RawValue, address_path: &str, address: &RawValue) -> Result<Message, Problem> {
    Ok(Message {
        address: parsed(address_path, address, digits::address)?,
        format: Format::EvmEip191,
        payload: parsed(message_path, message, |text| {
            digits::data(text).map_err(|problem| format!("{problem}; text is sent as the bytes of its UTF-8"))
        })?,
        no_account: None,
    })
}

fn count(params: &[&RawValue], right: &str) -> Problem {
    Problem::at("params", format_args!("has {} elements; {right} is right", params.len()))
}
