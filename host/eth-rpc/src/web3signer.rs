//! Web3Signer's eth1 REST (its `openapi-specs/eth1/web3signer.yaml`).

use crate::fields::{Fields, Problem, parsed};
use crate::signature::Signature;
use crate::{Ask, Endpoint, Health, Listed, digits, gate, refused};
use http::{Request, Response, StatusCode};
use serde_json::json;
use serde_json::value::RawValue;
use sigwarden_core::fact::{Decoded, FactValue, Scalar};
use sigwarden_core::{Format, RawSignature, Refusal, Scheme};

/// Before a key's identifier.
pub(crate) const SIGN_PATH: &str = "/api/v1/eth1/sign/";

/// The chain of a transaction; every transaction has one.
const CHAIN_ID: &str = "evm.chain-id";

/// What EIP-191 puts before a message's length.
const MESSAGE_PREFIX: &[u8] = b"\x19Ethereum Signed Message:\n";

/// `GET /api/v1/eth1/publicKeys`: the public keys, 64 bytes each.
pub(crate) async fn public_keys<B, L, C, P>(request: &Request<B>, list: L) -> Response<Vec<u8>>
where
    L: Fn() -> C,
    C: Future<Output = Result<Listed<P>, Refusal>>,
{
    if !gate::accepts_json(request) {
        return gate::not_acceptable();
    }
    match list().await.map_err(refused::alike) {
        Ok(listed) => {
            let keys = listed.accounts.iter().map(|account| digits::prefixed(&account.coordinates()));
            gate::json(StatusCode::OK, &keys.collect())
        }
        Err(refusal) => refused(&refusal),
    }
}

/// `GET /healthcheck`.
pub(crate) fn healthcheck(health: &Health) -> Response<Vec<u8>> {
    let word = |up| if up { "UP" } else { "DOWN" };
    let checks = health.checks.iter().map(|(id, up)| json!({ "id": id, "status": word(*up) }));
    let up = health.checks.iter().all(|(_, up)| *up);
    let status = if up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "status": word(up), "checks": checks.collect::<Vec<_>>(), "outcome": word(up) });
    gate::json(status, &body)
}

/// `POST /reload`. Keys come and go by an operator's command, which counts at once; nobody who may only sign changes what is served.
pub(crate) fn reload() -> Response<Vec<u8>> {
    gate::problem(
        StatusCode::NOT_IMPLEMENTED,
        "there is nothing to reload: `sigwarden keys` changes the keys of a running daemon, and counts at once",
    )
}

/// `POST /api/v1/eth1/sign/{identifier}`: signs Keccak-256 of `data`, as the format that the data is.
pub(crate) async fn sign<B, L, C, P, A, F>(
    request: &Request<B>,
    identifier: &str,
    endpoint: &Endpoint<'_>,
    list: L,
    ask: A,
) -> Response<Vec<u8>>
where
    B: AsRef<[u8]>,
    L: Fn() -> C,
    C: Future<Output = Result<Listed<P>, Refusal>>,
    A: Fn(Ask, P) -> F,
    F: Future<Output = Result<RawSignature, Refusal>>,
{
    if !gate::content_type(request, &["application/json"]) {
        return gate::problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be declared as `application/json`",
        );
    }
    let (format, payload) = match read_data(request.body().as_ref()).and_then(|data| payload_of(data, endpoint.chain_id)) {
        Ok(read) => read,
        Err(problem) => return gate::problem(StatusCode::BAD_REQUEST, &problem.to_string()),
    };
    match signature(identifier, format, payload, list, ask).await {
        Ok(signature) => gate::text(&signature.with_v()),
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> Response<Vec<u8>> {
    gate::json(refused::status(refusal.kind()), &refused::body(refusal))
}

async fn signature<L, C, P, A, F>(identifier: &str, format: Format, payload: Vec<u8>, list: L, ask: A) -> Result<Signature, Refusal>
where
    L: Fn() -> C,
    C: Future<Output = Result<Listed<P>, Refusal>>,
    A: Fn(Ask, P) -> F,
    F: Future<Output = Result<RawSignature, Refusal>>,
{
    // Web3Signer takes any case, with and without prefix.
    let mut wanted = [0; 64];
    hex::decode_to_slice(identifier.strip_prefix("0x").unwrap_or(identifier), &mut wanted).map_err(|_| refused::unknown_account())?;
    let Listed { accounts, admitted } = list().await.map_err(refused::alike)?;
    let account = accounts.iter().find(|account| account.coordinates() == wanted);
    let account = account.ok_or_else(refused::unknown_account)?;
    let key = account.key().to_owned();
    let asked = Ask {
        key,
        format,
        payload: payload.clone(),
    };
    let signature = ask(asked, admitted).await.map_err(refused::alike)?;
    Signature::of(account, format, &payload, &signature)
}

fn read_data(body: &[u8]) -> Result<Vec<u8>, Problem> {
    let raw: &RawValue = serde_json::from_slice(body).map_err(|error| Problem(format!("the body is no JSON: {error}")))?;
    let mut fields = Fields::open("the body", raw)?;
    let data = fields.take("data").ok_or_else(|| Problem::at("data", "is missing"))?;
    fields.finish("a signing request")?;
    parsed("data", data, |text| digits::data(text).map_err(str::to_owned))
}

/// What the data is, so that policies read it: an unsigned transaction, a message with its prefix, else raw bytes, which few keys sign.
/// Keccak-256 of the data is what is signed in each case. A transaction for another chain is refused, as over JSON-RPC, and so is one for
/// any chain (before EIP-155), which does not decode. Messages and raw bytes name no chain.
fn payload_of(data: Vec<u8>, chain_id: u64) -> Result<(Format, Vec<u8>), Problem> {
    if let Some(message) = prefixed_message(&data) {
        return Ok((Format::EvmEip191, message.to_vec()));
    }
    let decode = |format| sigwarden_formats::decode(format, Scheme::Secp256k1Ecdsa, &data);
    let transaction = match data.first() {
        Some(0x01) => Some(Format::EvmEip2930),
        Some(0x02) => Some(Format::EvmEip1559),
        Some(0x03) => Some(Format::EvmEip4844),
        Some(0x04) => Some(Format::EvmEip7702),
        Some(0xc0..) => Some(Format::EvmLegacy),
        Some(_) | None => None,
    };
    match transaction.map(|format| (format, decode(format))) {
        Some((format, Ok(decoded))) => for_chain(&decoded, chain_id).map(|()| (format, data)),
        // It resembles a transaction, so it is not signed as raw bytes: what is wrong with it helps more than that.
        Some((format, Err(problem))) if decode(Format::RawMessageKeccak256).is_err() => {
            Err(Problem::at("data", format_args!("looks like `{format}`, but: {problem}")))
        }
        Some((_, Err(_))) | None => Ok((Format::RawMessageKeccak256, data)),
    }
}

fn for_chain(decoded: &Decoded, chain_id: u64) -> Result<(), Problem> {
    match decoded.facts.iter().find(|fact| fact.name == CHAIN_ID).map(|fact| &fact.value) {
        Some(FactValue::One(Scalar::U64(said))) if *said == chain_id => Ok(()),
        Some(FactValue::One(Scalar::U64(said))) => Err(Problem::at(
            "data",
            format_args!("is a transaction for chain {said}; this endpoint signs for chain {chain_id}"),
        )),
        Some(FactValue::One(_) | FactValue::Many(_)) | None => Err(Problem::at(
            "data",
            format_args!("is a transaction without a chain id; this endpoint signs for chain {chain_id}"),
        )),
    }
}

/// The message in `prefix || its length in decimal || message` (EIP-191, version 0x45). No bytes can be read so in two ways: another
/// digit in the length would make it ten times as long.
fn prefixed_message(data: &[u8]) -> Option<&[u8]> {
    let rest = data.strip_prefix(MESSAGE_PREFIX)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=digits).find_map(|count| {
        let (length, message) = rest.split_at_checked(count)?;
        (length == message.len().to_string().as_bytes()).then_some(message)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_prefixed_message_is_found_whatever_digits_it_begins_with() {
        for message in ["", "1", "0", "12", "hello", "5 apples", &"9".repeat(99), &"1".repeat(111)] {
            let data = [MESSAGE_PREFIX, message.len().to_string().as_bytes(), message.as_bytes()].concat();
            assert_eq!(payload_of(data, 1), Ok((Format::EvmEip191, message.as_bytes().to_vec())));
        }
        for wrong in ["", "5", "6hello", "05hello", "hello"] {
            assert_eq!(prefixed_message(&[MESSAGE_PREFIX, wrong.as_bytes()].concat()), None, "{wrong}");
        }
    }

    /// The unsigned transaction of EIP-155's example, and bytes that are nearly one.
    #[test]
    fn data_that_is_a_transaction_is_read_as_one() {
        let legacy = hex::decode("ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080").unwrap();
        assert_eq!(payload_of(legacy.clone(), 1), Ok((Format::EvmLegacy, legacy.clone())));
        let unprotected = hex::decode("e9098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080").unwrap();
        let problem = payload_of(unprotected, 1).unwrap_err().0;
        assert!(
            problem.starts_with("`data` looks like `evm/legacy`, but: ") && problem.contains("EIP-155"),
            "{problem}"
        );
        assert_eq!(
            payload_of(vec![2, 0xc0], 1).unwrap_err().0.split(',').next(),
            Some("`data` looks like `evm/eip-1559`")
        );
        for raw in [&b"hello"[..], b"", b"\x02hello", &[0xff; 3]] {
            assert_eq!(payload_of(raw.to_vec(), 1), Ok((Format::RawMessageKeccak256, raw.to_vec())));
        }
    }
}
