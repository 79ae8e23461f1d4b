//! A signer for the tests: two keys, and a policy or two.

use http::{Request, Response};
use secp256k1::ecdsa::RecoverableSignature;
use secp256k1::{Message, PublicKey, SecretKey};
use serde_json::Value;
use sigwarden_core::fact::{FactValue, Scalar, SigningInput};
use sigwarden_core::format::Family;
use sigwarden_core::refusal::Denied;
use sigwarden_core::{Code, RawSignature, Refusal, Scheme};
use sigwarden_eth_rpc::{Account, Ask, Endpoint, Health, Hosts, Listed};
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

/// EIP-155's example key, an account that the caller may use.
pub(crate) const HOT: [u8; 32] = [0x46; 32];
/// The key of web3.js' documentation of `eth.accounts.sign`.
pub(crate) const DOCUMENTED: &str = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
/// The key of EIP-712's example: Keccak-256 of `cow`.
pub(crate) const COW: &str = "c85ef7d79691fe79573b1a7064c19c1a9819ebdbd1faaab1a8ec92344438aaf4";

/// Transactions to here are denied by a policy, with a time from which they are not.
pub(crate) const DENIED: [u8; 20] = [0xde; 20];
/// Transactions to here are refused as if the caller might not use the key.
pub(crate) const FORBIDDEN: [u8; 20] = [0xf0; 20];
/// From when the denial ends.
pub(crate) const RETRY_AT_MS: u64 = 1_800_000_000_000;
/// What no caller may see.
pub(crate) const DETAIL: &str = "pkcs11 slot 3 on backend hsm-rack-7";

pub(crate) struct Signer {
    keys: Vec<(Account, SecretKey)>,
    /// The calls it was told of, and whether they had a result.
    pub(crate) told: Mutex<Vec<(String, bool)>>,
    /// How many calls it let in.
    pub(crate) admitted: AtomicUsize,
}

impl Signer {
    pub(crate) fn new() -> Self {
        let secrets = [
            ("evm.hot", HOT.to_vec()),
            ("evm.documented", hex::decode(DOCUMENTED).unwrap()),
            ("evm.cow", hex::decode(COW).unwrap()),
        ];
        let keys = secrets.into_iter().map(|(name, bytes)| {
            let secret = SecretKey::from_secret_bytes(bytes.try_into().unwrap()).unwrap();
            let public_key = PublicKey::from_secret_key(&secret).serialize();
            (Account::new(name, &public_key).unwrap(), secret)
        });
        Self {
            keys: keys.collect(),
            told: Mutex::default(),
            admitted: AtomicUsize::new(0),
        }
    }

    pub(crate) fn accounts(&self) -> Vec<Account> {
        self.keys.iter().map(|(account, _)| account.clone()).collect()
    }

    /// What the pipeline does, in short.
    pub(crate) fn sign(&self, ask: &Ask) -> Result<RawSignature, Refusal> {
        if ask.format.family() == Family::RawMessage {
            return Err(Refusal::new(Code::FormatRaw, "the key may not sign raw messages").with_detail(DETAIL));
        }
        let decoded = sigwarden_formats::decode(ask.format, Scheme::Secp256k1Ecdsa, &ask.payload)
            .map_err(|error| Refusal::new(Code::PayloadMalformed, error.to_string()))?;
        let to = |address: [u8; 20]| {
            let value = FactValue::One(Scalar::Bytes(address.to_vec()));
            decoded.facts.iter().any(|fact| fact.name == "evm.to" && fact.value == value)
        };
        if to(DENIED) {
            let mut refusal = Refusal::new(Code::Policy, "limits: over the limit").with_detail(DETAIL);
            refusal.denials = vec![Denied {
                instance: "limits".into(),
                code: "policy/limits/exceeded".into(),
                message: "over the limit".into(),
                retry_at_ms: Some(RETRY_AT_MS),
            }];
            return Err(refusal);
        }
        if to(FORBIDDEN) {
            return Err(Refusal::new(Code::CallerForbidden, format!("no `sign` with {}", ask.key)).with_detail(DETAIL));
        }
        let SigningInput::Digest(digest) = decoded.inputs.first else {
            return Err(Refusal::new(Code::Internal, "no digest"));
        };
        let (_, secret) = self.keys.iter().find(|(account, _)| account.key() == ask.key).unwrap();
        let signature = RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(digest), secret);
        let (id, bytes) = signature.serialize_compact();
        Ok(RawSignature {
            bytes: bytes.to_vec(),
            recovery_id: Some(id.to_u8()),
        })
    }

    /// Answers a request as the daemon would.
    pub(crate) async fn answer<B: AsRef<[u8]>>(&self, request: &Request<B>) -> Response<Vec<u8>> {
        let endpoint = Endpoint {
            chain_id: 1,
            hosts: &Hosts::default(),
        };
        let list = || {
            self.admitted.fetch_add(1, Ordering::Relaxed);
            let accounts = self.accounts().into();
            std::future::ready(Ok(Listed { accounts, admitted: () }))
        };
        let health = || Health {
            checks: vec![("ledger", true), ("policies", true)],
        };
        let told = |method: &str, answered| self.told.lock().unwrap().push((method.to_owned(), answered));
        sigwarden_eth_rpc::answer(request, &endpoint, list, health, |ask, ()| async move { self.sign(&ask) }, told).await
    }
}

/// What a future gives that never waits: nothing here does.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the answer waits for something"),
    }
}

/// A JSON-RPC call of one method.
pub(crate) fn call(method: &str, params: Value) -> Value {
    serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}
