//! The methods: what each is asked with, and what it answers.

use crate::fields::Problem;
use crate::message::{self, Message};
use crate::signature::Signature;
use crate::{Endpoint, digits, transaction};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sigwarden_core::{Code, Format, Refusal};
use sigwarden_formats::evm;

/// The methods, as errors and documentation list them.
pub(crate) const METHODS: &str = "eth_accounts, eth_chainId, eth_sign, eth_signTransaction, eth_signTypedData, eth_signTypedData_v4, \
                                  health_status, personal_sign";

/// What a call comes to.
pub(crate) enum Plan {
    /// This result.
    Result(Value),
    /// The addresses of the accounts.
    Addresses,
    /// A signature by this account, to be written in this way.
    Sign {
        address: [u8; 20],
        format: Format,
        payload: Vec<u8>,
        written: Written,
        /// The address that may be no account's: then message and address were swapped.
        no_account: Option<[u8; 20]>,
    },
    /// There is no such method.
    Unknown,
}

/// How a signature is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// In its transaction: the bytes that `eth_sendRawTransaction` takes.
    InTransaction,
    /// `r || s || v`.
    WithV,
}

/// Reads a call, before anything is known of the accounts.
pub(crate) fn plan(method: &str, params: &[&RawValue], endpoint: &Endpoint<'_>) -> Result<Plan, Problem> {
    let sign = |message: Message| Plan::Sign {
        address: message.address,
        format: message.format,
        payload: message.payload,
        written: Written::WithV,
        no_account: message.no_account,
    };
    match method {
        "eth_accounts" => none(params).map(|()| Plan::Addresses),
        "eth_chainId" => none(params).map(|()| Plan::Result(json!(format!("{:#x}", endpoint.chain_id)))),
        "health_status" => none(params).map(|()| Plan::Result(json!("OK"))),
        "eth_signTransaction" => match params {
            [transaction] => {
                let unsigned = transaction::read(transaction, endpoint.chain_id)?;
                Ok(Plan::Sign {
                    address: unsigned.from,
                    format: unsigned.format,
                    payload: unsigned.payload,
                    written: Written::InTransaction,
                    no_account: None,
                })
            }
            _ => Err(Problem::at(
                "params",
                format_args!("has {} elements; [transaction] is right", params.len()),
            )),
        },
        "personal_sign" => message::personal_sign(params).map(sign),
        "eth_sign" => message::eth_sign(params).map(sign),
        "eth_signTypedData_v4" | "eth_signTypedData" => message::sign_typed_data(params, endpoint.chain_id).map(sign),
        _ => Ok(Plan::Unknown),
    }
}

impl Written {
    /// The result of a call.
    pub(crate) fn write(self, payload: &[u8], signature: &Signature) -> Result<String, Refusal> {
        match self {
            Self::WithV => Ok(signature.with_v()),
            Self::InTransaction => {
                let signed = evm::signed(payload, &signature.r_s, signature.y_parity);
                let fault = |_| Refusal::new(Code::Internal, "the transaction was signed, but does not take its signature");
                signed.map(|raw| digits::prefixed(&raw)).map_err(fault)
            }
        }
    }
}

fn none(params: &[&RawValue]) -> Result<(), Problem> {
    match params {
        [] => Ok(()),
        _ => Err(Problem::at("params", "has elements; this method takes none")),
    }
}
