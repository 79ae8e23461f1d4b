//! The EVM front ends as a protocol: JSON-RPC 2.0 and Web3Signer's eth1 REST over HTTP, without a socket. A request goes in, a
//! response comes out, and what is to be signed is asked of a closure.
//!
//! `docs/evm.md` lists methods, paths and errors, and where they differ from Web3Signer, geth and Clef. Four rules hold everywhere:
//!
//! - **Nothing is filled in.** The signer has no chain: a transaction without nonce, gas, fee or chain id is an error. A field that is
//!   not known is an error too, because what it asks for would not be in the signature.
//! - **What is asked for is a payload in a format** (`evm/eip-1559`, …), the very bytes that are decoded, judged and signed. Nothing here decides.
//! - **A caller sees codes and denials**, never [`Refusal::detail`]. An unknown account and a forbidden one get the same answer.
//! - **Everything that a caller sends is bounded**, and nothing here recurses into it.
//!
//! ```
//! # async fn example(request: http::Request<Vec<u8>>, accounts: Vec<sigwarden_eth_rpc::Account>) -> http::Response<Vec<u8>> {
//! use sigwarden_eth_rpc::{Ask, Endpoint, Health, Hosts, Listed, answer};
//! let endpoint = Endpoint { chain_id: 1, hosts: &Hosts::default() };
//! let accounts: std::sync::Arc<[_]> = accounts.into();
//! // Let a call in, and list what its caller may sign with.
//! let list = || std::future::ready(Ok(Listed { accounts: accounts.clone(), admitted: () }));
//! let ask = |ask: Ask, (): ()| async move {
//!     // Hand `ask.key`, `ask.format` and `ask.payload` to the pipeline.
//!     # Err(sigwarden_core::Refusal::new(sigwarden_core::Code::PolicyUnbound, "no policy binds it"))
//! };
//! answer(&request, &endpoint, list, Health::default, ask, |method, answered| println!("{method}: {answered}"))
//!     .await
//! # }
//! ```
#![forbid(unsafe_code)]

mod account;
mod digits;
mod fields;
mod gate;
mod json_rpc;
mod message;
mod method;
mod refused;
mod signature;
mod transaction;
mod web3signer;

pub use account::{Account, AccountError, checksummed};
pub use gate::Hosts;

use http::{Method, Request, Response, StatusCode};
use sigwarden_core::{Format, RawSignature, Refusal};
use std::sync::Arc;

/// Bytes of a request's body at most, also for whoever reads it off the wire: a payload has at most 1 MiB (`limits.payload_bytes`), twice
/// that in hexadecimal, and a transaction carries it once.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a caller is served.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// The chain (EIP-155). Transactions of another one are refused.
    pub chain_id: u64,
    /// The names under which the endpoint may be reached.
    pub hosts: &'a Hosts,
}

/// A call that was let in, and the accounts of its caller.
#[derive(Debug, Clone)]
pub struct Listed<P> {
    /// The accounts that the caller may sign with, and no others: keys of role account and scheme secp256k1-ecdsa. In the order in
    /// which they are listed.
    pub accounts: Arc<[Account]>,
    /// What the call was let in with: a place among its caller's. It goes with the call's [`Ask`], or is dropped with the call.
    pub admitted: P,
}

/// What is to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The key, as [`Account::new`] got it.
    pub key: String,
    /// How the payload is read.
    pub format: Format,
    /// The payload, in its format's canonical encoding; not yet bounded by `limits.payload_bytes`, and not yet decoded.
    pub payload: Vec<u8>,
}

/// Whether the signer signs, for `/healthcheck`: one name and answer for each check.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// The checks: `("ledger", true)`. Names are shown to callers.
    pub checks: Vec<(&'static str, bool)>,
}

/// Answers one HTTP request. `list` lets a call in, or refuses it, and lists accounts: it is called once for each call that signs or
/// lists, each one of a batch, after all else about the request was found good; so it is where a call is paid for, and what browsers,
/// unknown paths and malformed bodies ask for costs nobody. `health` is called for `/healthcheck` only. `ask` signs: it returns the key's
/// signature over the payload's signing input, R‖S with low S, or why there is none. The calls of a batch are asked for one after the other. `told` hears of each call:
/// its method, or what a path of Web3Signer's is for, as the caller wrote it, and whether it had a result.
///
/// Dropping the future while `ask` runs drops the closure's future too; to carry a request to its end, let `ask` hand it to a task.
pub async fn answer<B, L, C, P, H, A, F, T>(
    request: &Request<B>,
    endpoint: &Endpoint<'_>,
    list: L,
    health: H,
    ask: A,
    told: T,
) -> Response<Vec<u8>>
where
    B: AsRef<[u8]>,
    L: Fn() -> C,
    C: Future<Output = Result<Listed<P>, Refusal>>,
    H: Fn() -> Health,
    A: Fn(Ask, P) -> F,
    F: Future<Output = Result<RawSignature, Refusal>>,
    T: Fn(&str, bool),
{
    if let Some(refused) = gate::refuse(request, endpoint.hosts) {
        return refused;
    }
    let path = request.uri().path();
    let (call, response) = match (request.method(), path) {
        (&Method::POST, "/") => return json_rpc::answer(request, endpoint, list, ask, told).await,
        (&Method::GET, "/api/v1/eth1/publicKeys") => ("publicKeys", web3signer::public_keys(request, list).await),
        (&Method::GET, "/upcheck") => ("upcheck", gate::text("OK")),
        (&Method::GET, "/healthcheck") => ("healthcheck", web3signer::healthcheck(&health())),
        (&Method::POST, "/reload") => ("reload", web3signer::reload()),
        (method, _) => match path.strip_prefix(web3signer::SIGN_PATH) {
            Some(identifier) if method == Method::POST => ("sign", web3signer::sign(request, identifier, endpoint, list, ask).await),
            _ => ("", not_here(path)),
        },
    };
    told(call, response.status().is_success());
    response
}

/// A path that is none, or one that wants another method.
fn not_here(path: &str) -> Response<Vec<u8>> {
    let allow = match path {
        "/" | "/reload" => "POST",
        "/api/v1/eth1/publicKeys" | "/upcheck" | "/healthcheck" => "GET",
        _ if path.starts_with(web3signer::SIGN_PATH) => "POST",
        _ => return gate::problem(StatusCode::NOT_FOUND, "there is nothing here; docs/evm.md lists the paths"),
    };
    let mut response = gate::problem(StatusCode::METHOD_NOT_ALLOWED, &format!("this path takes {allow} only"));
    response
        .headers_mut()
        .insert(http::header::ALLOW, http::HeaderValue::from_static(allow));
    response
}
