//! Web3Signer's eth1 REST from bytes to bytes.

use crate::signer::{DENIED, FORBIDDEN, RETRY_AT_MS, Signer, now};
use http::{Request, Response, StatusCode};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use serde_json::{Value, json};
use sha3::{Digest, Keccak256};
use sigwarden_formats::evm::{Eip1559, Eip2930, Legacy, U256};

fn send(request: &Request<String>) -> Response<Vec<u8>> {
    now(Signer::new().answer(request))
}

fn get(path: &str) -> (StatusCode, String) {
    let response = send(&Request::get(path).body(String::new()).unwrap());
    (response.status(), String::from_utf8(response.into_body()).unwrap())
}

fn sign(identifier: &str, body: &Value) -> (StatusCode, String) {
    let request = Request::post(format!("/api/v1/eth1/sign/{identifier}")).header("content-type", "application/json");
    let response = send(&request.body(body.to_string()).unwrap());
    (response.status(), String::from_utf8(response.into_body()).unwrap())
}

fn identifier() -> String {
    hex::encode(Signer::new().accounts()[0].coordinates())
}

/// The unsigned legacy transaction of EIP-155's example, to another recipient.
fn legacy(to: [u8; 20]) -> Vec<u8> {
    let example = hex::decode("ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080").unwrap();
    let at = example.windows(20).position(|window| window == [0x35; 20]).unwrap();
    [&example[..at], &to, &example[at + 20..]].concat()
}

fn data(bytes: &[u8]) -> Value {
    json!({ "data": format!("0x{}", hex::encode(bytes)) })
}

#[test]
fn public_keys_are_the_coordinates() {
    let (status, body) = get("/api/v1/eth1/publicKeys");
    let keys: Vec<String> = serde_json::from_str(&body).unwrap();
    assert_eq!((status, keys.len()), (StatusCode::OK, 3));
    assert_eq!(keys[0], format!("0x{}", identifier()));
    assert_eq!(keys[0].len(), 130);
}

#[test]
fn status_paths_answer_as_web3signer_does() {
    assert_eq!(get("/upcheck"), (StatusCode::OK, "OK".into()));
    let (status, body) = get("/healthcheck");
    let checks = json!([{ "id": "ledger", "status": "UP" }, { "id": "policies", "status": "UP" }]);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, body),
        (StatusCode::OK, json!({ "status": "UP", "checks": checks, "outcome": "UP" }))
    );
    let reload = send(&Request::post("/reload").body(String::new()).unwrap());
    assert_eq!(reload.status(), StatusCode::NOT_IMPLEMENTED);
    assert_eq!(get("/reload").0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(get("/api/v1/eth1/sign/0x00").0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(get("/api/v1/eth2/publicKeys").0, StatusCode::NOT_FOUND);
}

/// The signature of EIP-155's example, with v 27 in place of 37.
#[test]
fn keccak_256_of_the_data_is_signed() {
    let signature = concat!(
        "0x28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276",
        "67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d831b",
    );
    for identifier in [identifier(), format!("0x{}", identifier()), identifier().to_uppercase()] {
        assert_eq!(sign(&identifier, &data(&legacy([0x35; 20]))), (StatusCode::OK, signature.into()));
    }
    let message = b"\x19Ethereum Signed Message:\n5hello";
    let (status, text) = sign(&identifier(), &data(message));
    assert_eq!(status, StatusCode::OK);
    let bytes = hex::decode(&text[2..]).unwrap();
    let id = RecoveryId::try_from(i32::from(bytes[64] - 27)).unwrap();
    let signature = RecoverableSignature::from_compact(&bytes[..64], id).unwrap();
    let digest: [u8; 32] = Keccak256::digest(message).into();
    let signer = signature.recover(secp256k1::Message::from_digest(digest)).unwrap();
    assert_eq!(hex::encode(&signer.serialize_uncompressed()[1..]), identifier());
}

/// As over JSON-RPC, in every type of transaction; EIP-155's example for other chains, and for any.
#[test]
fn a_transaction_for_another_chain_is_400() {
    let (quantity, address, data) = (U256::from(7), [0x35; 20], Vec::new);
    let (nonce, gas_limit, to, access_list) = (1, 21_000, Some(address), Vec::new);
    let legacy = |chain_id| {
        Legacy {
            chain_id,
            nonce,
            gas_price: quantity,
            gas_limit,
            to,
            value: quantity,
            data: data(),
        }
        .unsigned()
    };
    let eip_2930 = |chain_id| {
        Eip2930 {
            chain_id,
            nonce,
            gas_price: quantity,
            gas_limit,
            to,
            value: quantity,
            data: data(),
            access_list: access_list(),
        }
        .unsigned()
    };
    let eip_1559 = |chain_id| {
        let (max_priority_fee_per_gas, max_fee_per_gas) = (quantity, quantity);
        Eip1559 {
            chain_id,
            nonce,
            max_priority_fee_per_gas,
            max_fee_per_gas,
            gas_limit,
            to,
            value: quantity,
            data: data(),
            access_list: access_list(),
        }
        .unsigned()
    };
    for of in [&legacy as &dyn Fn(u64) -> Vec<u8>, &eip_2930, &eip_1559] {
        assert_eq!(sign(&identifier(), &self::data(&of(1))).0, StatusCode::OK);
        let (status, body) = sign(&identifier(), &self::data(&of(1337)));
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(
            body.contains("`data` is a transaction for chain 1337; this endpoint signs for chain 1"),
            "{body}"
        );
    }
    let any_chain = hex::decode("e9098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080").unwrap();
    for (any, problem) in [(legacy(0), "chain"), (any_chain, "EIP-155")] {
        let (status, body) = sign(&identifier(), &self::data(&any));
        assert!(status == StatusCode::BAD_REQUEST && body.contains(problem), "{status} {body}");
    }
}

#[test]
fn unknown_and_forbidden_keys_get_the_same_404() {
    let forbidden = sign(&identifier(), &data(&legacy(FORBIDDEN)));
    assert_eq!(forbidden.0, StatusCode::NOT_FOUND);
    let address = "9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F";
    for unknown in [&"11".repeat(64), "", "0x", "zz", address, &"00".repeat(5000)] {
        assert_eq!(sign(unknown, &data(&legacy([0x35; 20]))), forbidden, "{unknown}");
    }
    let body: Value = serde_json::from_str(&forbidden.1).unwrap();
    assert_eq!(body["code"], "caller/forbidden");
}

#[test]
fn refusals_have_a_status_and_the_denials() {
    let (status, body) = sign(&identifier(), &data(&legacy(DENIED)));
    let denial = json!({ "policy": "limits", "code": "policy/limits/exceeded", "message": "over the limit", "retryAtMs": RETRY_AT_MS });
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, body),
        (
            StatusCode::FORBIDDEN,
            json!({ "code": "policy/limits/exceeded", "message": "limits: over the limit", "denials": [denial], "retryAtMs": RETRY_AT_MS })
        )
    );
    let (status, body) = sign(&identifier(), &data(b"hello"));
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(body.contains("format/raw-not-allowed") && !body.contains("hsm-rack-7"), "{body}");
}

#[test]
fn malformed_requests_are_400_and_say_why() {
    for (body, problem) in [
        (json!({}), "`data` is missing"),
        (json!({ "data": "hello" }), "`data` is no data"),
        (json!({ "data": "0x0" }), "`data` has an odd number of digits"),
        (json!({ "data": ["0x00"] }), "`data` is no string"),
        (json!({ "data": "0x00", "type": "x" }), "`type` is no field of a signing request"),
        (json!([]), "`the body` is no object"),
    ] {
        let (status, answer) = sign(&identifier(), &body);
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert!(answer.contains(problem), "{answer}");
    }
    for body in ["", "{", "{\"data\":\"0x\",\"data\":\"0x\"}", &"[".repeat(10_000)] {
        let request = Request::post(format!("/api/v1/eth1/sign/{}", identifier())).header("content-type", "application/json");
        assert_eq!(send(&request.body(body.to_owned()).unwrap()).status(), StatusCode::BAD_REQUEST);
    }
    let undeclared = Request::post(format!("/api/v1/eth1/sign/{}", identifier()))
        .body(data(b"").to_string())
        .unwrap();
    assert_eq!(send(&undeclared).status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
