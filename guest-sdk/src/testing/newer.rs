//! Requests in the formats of EIP-4844, EIP-7702, EIP-191, EIP-712 and prefixed raw bytes.

use super::{RequestBuilder, evm_transfer, request};
use crate::bindings::sigwarden::policy::types::{Role, Scalar, Scheme};

/// The EIP-1559 transfer as a blob transaction: this many blobs at 3 gwei.
#[must_use]
pub fn evm_blobs(count: u8) -> RequestBuilder {
    let hash = |index: u8| {
        let mut hash = vec![index; 32];
        hash.splice(..1, [1]);
        Scalar::Bytes(hash)
    };
    evm_transfer()
        .format("evm/eip-4844")
        .u64("evm.transaction-type", 3)
        .u64("evm.blobs", count.into())
        .u256("evm.max-fee-per-blob-gas", 3_000_000_000u64)
        .list("evm.blob-versioned-hashes", (0..count).map(hash).collect())
        .payload(&[3, 0])
}

/// The EIP-1559 transfer as a set-code transaction: on chain 1 the account `0x1111…` gets this delegate, at nonce 7.
#[must_use]
pub fn evm_set_code(delegate: &[u8]) -> RequestBuilder {
    evm_transfer()
        .format("evm/eip-7702")
        .u64("evm.transaction-type", 4)
        .list("evm.authorizations.chain-ids", vec![Scalar::Unsigned256((1, 0, 0, 0))])
        .list("evm.authorizations.delegates", vec![Scalar::Bytes(delegate.to_vec())])
        .list("evm.authorizations.nonces", vec![Scalar::Unsigned(7)])
        .list("evm.authorizations.authorities", vec![Scalar::Bytes(vec![0x11; 20])])
        .payload(&[4, 0])
}

/// An EIP-191 message; a text if it is UTF-8 without control characters.
#[must_use]
pub fn signed_message(message: &[u8]) -> RequestBuilder {
    let builder = request("evm/eip-191")
        .u64("message.length", u64::try_from(message.len()).unwrap_or(u64::MAX))
        .bytes("message.keccak256", &[0xab; 32])
        .payload(message);
    match std::str::from_utf8(message) {
        Ok(text) if !text.chars().any(char::is_control) => builder.text("message.text", text),
        Ok(_) | Err(_) => builder,
    }
}

/// An EIP-2612 permit of the token `0x7070…` on chain 1: `0x1111…` lets the spender take this much.
#[must_use]
pub fn typed_permit(spender: &[u8; 20], value: u64) -> RequestBuilder {
    let spender: String = spender.iter().map(|byte| format!("{byte:02x}")).collect();
    let lines = [
        format!("address owner=0x{}", "11".repeat(20)),
        format!("address spender=0x{spender}"),
        format!("uint256 value={value}"),
        "uint256 nonce=0".to_owned(),
        "uint256 deadline=1893456000".to_owned(),
    ];
    request("evm/eip-712")
        .text("typed-data.primary-type", "Permit")
        .text(
            "typed-data.encode-type",
            "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)",
        )
        .bytes("typed-data.type-hash", &[0x6e; 32])
        .bytes("typed-data.domain-separator", &[0xd0; 32])
        .bytes("typed-data.message-hash", &[0xd1; 32])
        .text("typed-data.domain.name", "Coin")
        .text("typed-data.domain.version", "1")
        .u256("typed-data.domain.chain-id", 1u64)
        .bytes("typed-data.domain.verifying-contract", &[0x70; 20])
        .list("typed-data.message", lines.into_iter().map(Scalar::Text).collect())
}

/// Celestia's raw bytes, with a consensus key.
#[must_use]
pub fn raw_bytes(chain_id: &str, unique_id: &str, body: &[u8]) -> RequestBuilder {
    opaque_raw_bytes(body)
        .text("raw-bytes.layout", "celestia")
        .text("cometbft.chain-id", chain_id)
        .text("raw-bytes.unique-id", unique_id)
}

/// Raw bytes of another application, with a consensus key.
#[must_use]
pub fn opaque_raw_bytes(body: &[u8]) -> RequestBuilder {
    request("cometbft/raw-bytes")
        .roles(&[Role::Consensus])
        .scheme(Scheme::Ed25519)
        .u64("raw-bytes.length", u64::try_from(body.len()).unwrap_or(u64::MAX))
        .bytes("raw-bytes.sha256", &[0xab; 32])
        .text("raw-bytes.layout", "opaque")
        .bytes("raw-bytes.body", body)
        .payload(body)
}
