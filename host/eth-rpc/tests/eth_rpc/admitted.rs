//! What a caller pays for: the calls that list or sign, each once, and nothing that is refused before.

use crate::json_rpc::transaction;
use crate::signer::{DENIED, Signer, call, now};
use http::{Method, Request, StatusCode, request};
use serde_json::{Value, json};
use sigwarden_core::{Code, Refusal};
use sigwarden_eth_rpc::{Ask, Endpoint, Health, Hosts, Listed, answer};
use std::sync::atomic::Ordering;

/// How many calls of a request are let in, and its status.
fn admitted(request: request::Builder, body: impl ToString) -> (usize, StatusCode) {
    let signer = Signer::new();
    let response = now(signer.answer(&request.body(body.to_string()).unwrap()));
    (signer.admitted.load(Ordering::Relaxed), response.status())
}

fn json_post() -> request::Builder {
    Request::post("/").header("content-type", "application/json")
}

fn sign_path() -> String {
    let account = Signer::new().accounts().remove(0);
    format!("/api/v1/eth1/sign/{}", hex::encode(account.coordinates()))
}

#[test]
fn a_call_that_lists_or_signs_is_let_in_once() {
    for method in ["eth_accounts", "eth_chainId", "health_status", "nothing"] {
        let expected = usize::from(method == "eth_accounts");
        assert_eq!(
            admitted(json_post(), call(method, json!([]))),
            (expected, StatusCode::OK),
            "{method}"
        );
    }
    let sign = call("eth_signTransaction", transaction([0x35; 20]));
    assert_eq!(admitted(json_post(), &sign), (1, StatusCode::OK));
    let batch = json!([sign, call("eth_accounts", json!([])), call("eth_chainId", json!([])), sign]);
    assert_eq!(admitted(json_post(), batch), (3, StatusCode::OK), "each call of a batch");
    let get = || Request::get("/api/v1/eth1/publicKeys");
    assert_eq!(admitted(get(), ""), (1, StatusCode::OK));
    let post = || Request::post(sign_path()).header("content-type", "application/json");
    assert_eq!(admitted(post(), json!({ "data": "0x" })), (1, StatusCode::FORBIDDEN));
}

/// An unknown account costs what a known one does: else looking for accounts would be free.
#[test]
fn an_unknown_account_is_paid_for() {
    let unknown = json!(["0x00", "0x3535353535353535353535353535353535353535"]);
    assert_eq!(admitted(json_post(), call("personal_sign", unknown)).0, 1);
    let path = format!("/api/v1/eth1/sign/{}", "11".repeat(64));
    let post = Request::post(path).header("content-type", "application/json");
    assert_eq!(admitted(post, json!({ "data": "0x" })), (1, StatusCode::NOT_FOUND));
}

/// A page can send all of this, as often as it wants.
#[test]
fn what_is_refused_before_costs_nobody() {
    let sign = call("eth_signTransaction", transaction([0x35; 20]));
    let from_page = |builder: request::Builder| builder.header("origin", "http://evil.example");
    let rebound = |builder: request::Builder| builder.header("host", "evil.example:8545");
    for builder in [
        from_page(json_post()),
        rebound(json_post()),
        Request::post("/").header("content-type", "text/plain"),
        Request::post("/"),
        json_post().header("accept", "text/html"),
        Request::get("/"),
        Request::options("/"),
        Request::get("/upcheck"),
        Request::get("/healthcheck"),
        Request::post("/reload"),
        Request::get("/nothing"),
        from_page(Request::get("/api/v1/eth1/publicKeys")),
        Request::get("/api/v1/eth1/publicKeys").header("accept", "image/*"),
        Request::post("/api/v1/eth1/publicKeys"),
        Request::get(sign_path()),
        Request::post(sign_path()),
        rebound(Request::post(sign_path()).header("content-type", "application/json")),
    ] {
        let shown = format!("{builder:?}");
        assert_eq!(admitted(builder, &sign).0, 0, "{shown}");
    }
    for body in [
        "{".to_owned(),
        "[]".into(),
        json!([1, 2]).to_string(),
        call("eth_accounts", json!([1])).to_string(),
        call("personal_sign", json!(["0x00", "0x00"])).to_string(),
        call("personal_sign", json!([format!("0x{}", "11".repeat(20)), "0x00"])).to_string(),
        call("eth_signTransaction", json!([{ "chainId": "0x2" }])).to_string(),
        json!({ "jsonrpc": "2.0", "method": "eth_accounts" }).to_string(),
    ] {
        assert_eq!(admitted(json_post(), &body).0, 0, "{body}");
    }
    for (path, body) in [
        (sign_path(), json!({ "data": "0x0" })),
        ("/api/v1/eth1/sign/0x00".into(), json!({ "data": "0x" })),
    ] {
        let post = Request::builder()
            .method(Method::POST)
            .uri(&path)
            .header("content-type", "application/json");
        assert_eq!(admitted(post, body).0, 0, "{path}");
    }
}

/// The call that was let in is the one that signs, and a call that was not let in signs nothing.
#[test]
fn what_a_call_was_let_in_with_goes_with_what_it_asks() {
    let endpoint = Endpoint {
        chain_id: 1,
        hosts: &Hosts::Any,
    };
    let turn = std::cell::Cell::new(0);
    let list = || {
        turn.set(turn.get() + 1);
        let refused = || Refusal::new(Code::CallerRate, "this client's `requests_per_second` is 2; ask again in 500 ms");
        let listed = (turn.get() <= 2).then(|| Listed {
            accounts: Signer::new().accounts().into(),
            admitted: turn.get(),
        });
        std::future::ready(listed.ok_or_else(refused))
    };
    let asked = std::cell::RefCell::new(Vec::new());
    let ask = |ask: Ask, admitted| {
        asked.borrow_mut().push((admitted, ask.key.clone()));
        std::future::ready(Signer::new().sign(&ask))
    };
    let batch = json!([
        call("eth_signTransaction", transaction(DENIED)),
        call("eth_signTransaction", transaction([0x35; 20])),
        call("eth_signTransaction", transaction([0x35; 20])),
        call("eth_accounts", json!([])),
    ]);
    let request = json_post().body(batch.to_string()).unwrap();
    let response = now(answer(&request, &endpoint, list, Health::default, ask, |_, _| ()));
    let answers: Value = serde_json::from_slice(response.body()).unwrap();
    let codes = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| answer["error"]["data"]["code"].clone());
    assert_eq!(
        codes.collect::<Vec<_>>(),
        [
            json!("policy/limits/exceeded"),
            Value::Null,
            json!("caller/rate-limited"),
            json!("caller/rate-limited")
        ]
    );
    assert_eq!(*asked.borrow(), [(1, "evm.hot".to_owned()), (2, "evm.hot".to_owned())]);

    let request = Request::get("/api/v1/eth1/publicKeys").body("").unwrap();
    let response = now(answer(&request, &endpoint, list, Health::default, ask, |_, _| ()));
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(String::from_utf8_lossy(response.body()).contains("caller/rate-limited"));
}
