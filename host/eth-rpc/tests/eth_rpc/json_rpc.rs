//! JSON-RPC from bytes to bytes.

use crate::signer::{DENIED, DETAIL, FORBIDDEN, RETRY_AT_MS, Signer, call, now};
use http::{Request, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Status and body of the answer to a body.
fn post(body: impl AsRef<[u8]>) -> (StatusCode, String) {
    let request = Request::post("/").header("content-type", "application/json").body(body).unwrap();
    let response = now(Signer::new().answer(&request));
    (response.status(), String::from_utf8(response.into_body()).unwrap())
}

fn json_of(body: impl AsRef<[u8]>) -> Value {
    let (status, text) = post(body);
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn result(method: &str, params: Value) -> Value {
    let answer = json_of(call(method, params).to_string());
    assert_eq!(answer["error"], Value::Null, "{answer}");
    answer["result"].clone()
}

fn error(method: &str, params: Value) -> Value {
    let answer = json_of(call(method, params).to_string());
    assert_eq!(
        (&answer["jsonrpc"], &answer["id"], answer.get("result")),
        (&json!("2.0"), &json!(1), None)
    );
    answer["error"].clone()
}

fn transaction(to: [u8; 20]) -> Value {
    json!([{
        "from": "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F", "to": format!("0x{}", hex::encode(to)), "chainId": "0x1",
        "value": "0xde0b6b3a7640000", "gas": "0x5208", "gasPrice": "0x4a817c800", "nonce": "0x9",
    }])
}

#[test]
fn accounts_are_checksummed_and_the_chain_is_the_endpoint_s() {
    let accounts = json!([
        "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F",
        "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23",
        "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826",
    ]);
    assert_eq!(result("eth_accounts", json!([])), accounts);
    assert_eq!(result("eth_chainId", json!([])), "0x1");
    assert_eq!(result("health_status", json!([])), "OK");
    // Without `params` at all.
    let answer = json_of(r#"{"jsonrpc":"2.0","id":"a","method":"eth_chainId"}"#);
    assert_eq!(answer, json!({ "jsonrpc": "2.0", "id": "a", "result": "0x1" }));
}

/// EIP-155, section "Example": the signed transaction that it gives.
#[test]
fn the_example_of_eip_155_is_signed_as_it_says() {
    assert_eq!(
        result("eth_signTransaction", transaction([0x35; 20])),
        concat!(
            "0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025",
            "a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276",
            "a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83",
        )
    );
}

/// web3.js, documentation of `eth.accounts.sign`: `Some data`, signed with the private key 0x4c08…2318.
#[test]
fn the_documented_message_is_signed_as_it_says() {
    let signature = concat!(
        "0xb91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd",
        "6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c",
    );
    let (address, message) = ("0x2c7536e3605d9c16a7a3d7b1898e529396a65c23", "0x536f6d652064617461");
    assert_eq!(result("personal_sign", json!([message, address])), signature);
    assert_eq!(result("personal_sign", json!([message, address, ""])), signature);
    assert_eq!(result("personal_sign", json!([message, address, null])), signature);
    assert_eq!(result("eth_sign", json!([address, message])), signature);
}

#[test]
fn swapped_parameters_of_personal_sign_are_refused_and_a_password_is_not_repeated() {
    let (hot, documented) = (
        "0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f",
        "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23",
    );
    for params in [json!([hot, "0x536f6d65"]), json!([hot, documented]), json!([hot, hot])] {
        let error = error("personal_sign", params);
        assert_eq!(error["code"], -32602);
        assert!(
            error["message"].as_str().unwrap().contains("can be read as, [address, message]"),
            "{error}"
        );
    }
    // Twenty bytes that are no account here are a message like any other.
    assert!(result("personal_sign", json!([format!("0x{}", "11".repeat(20)), hot])).is_string());
    for params in [
        json!(["Some data", hot]),
        json!(["0x1", hot]),
        json!([hot]),
        json!({ "message": "0x" }),
    ] {
        assert_eq!(error("personal_sign", params)["code"], -32602);
    }
    let refused = error("personal_sign", json!(["0x00", hot, "correct horse"]));
    assert_eq!(refused["code"], -32602);
    assert!(!refused.to_string().contains("horse"), "{refused}");
}

#[test]
fn a_refusal_has_code_and_denials_and_no_detail() {
    let body = call("eth_signTransaction", transaction(DENIED)).to_string();
    assert!(!post(&body).1.contains("hsm-rack-7"));
    assert_eq!(
        json_of(body)["error"],
        json!({
            "code": -32000,
            "message": "policy/limits/exceeded: limits: over the limit",
            "data": {
                "code": "policy/limits/exceeded",
                "denials": [{ "policy": "limits", "code": "policy/limits/exceeded", "message": "over the limit", "retryAtMs": RETRY_AT_MS }],
                "retryAtMs": RETRY_AT_MS,
            },
        })
    );
    assert!(DETAIL.contains("hsm-rack-7"));
}

#[test]
fn nobody_learns_whether_an_account_is_unknown_or_forbidden() {
    let forbidden = post(call("eth_signTransaction", transaction(FORBIDDEN)).to_string());
    let mut unknown = transaction([0x35; 20]);
    unknown[0]["from"] = json!("0x3535353535353535353535353535353535353535");
    assert_eq!(post(call("eth_signTransaction", unknown).to_string()), forbidden);
    let message = json!(["0x00", "0x3535353535353535353535353535353535353535"]);
    assert_eq!(post(call("personal_sign", message).to_string()), forbidden);
    let error: Value = serde_json::from_str(&forbidden.1).unwrap();
    assert_eq!(
        (&error["error"]["code"], &error["error"]["data"]),
        (
            &json!(-32000),
            &json!({ "code": "caller/forbidden", "denials": [], "retryAtMs": null })
        )
    );
}

#[test]
fn unknown_methods_and_parameters_have_the_standard_codes() {
    for method in ["eth_sendTransaction", "eth_call", "account_list", "", "eth_Sign"] {
        let error = error(method, json!([]));
        assert_eq!(error["code"], -32601);
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .starts_with(&format!("the method {method} does not exist"))
        );
    }
    for (method, params) in [
        ("eth_accounts", json!([1])),
        ("eth_signTransaction", json!([])),
        ("eth_signTransaction", json!([{}, {}])),
        ("eth_signTransaction", json!(["0x"])),
        ("eth_signTransaction", json!({ "from": "0x" })),
        ("eth_sign", json!(["0x00"])),
        ("eth_chainId", json!([[]])),
    ] {
        assert_eq!(error(method, params)["code"], -32602, "{method}");
    }
    let mut extra = transaction([0x35; 20]);
    extra[0]["maxFee"] = json!("0x1");
    let message = error("eth_signTransaction", extra)["message"].clone();
    assert!(
        message
            .as_str()
            .unwrap()
            .starts_with("invalid params: `maxFee` is no field of a transaction"),
        "{message}"
    );
}

/// JSON-RPC 2.0, section 7, "Examples", and what lies beside them.
#[test]
fn what_is_no_call_is_said_with_the_id_if_there_is_one() {
    for (body, code, id) in [
        (
            r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#,
            -32700,
            Value::Null,
        ),
        (
            r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc": "2.0", "method""#,
            -32700,
            Value::Null,
        ),
        ("", -32700, Value::Null),
        ("{} {}", -32700, Value::Null),
        (r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#, -32600, Value::Null),
        ("[]", -32600, Value::Null),
        ("1", -32600, Value::Null),
        ("null", -32600, Value::Null),
        (r#"{"jsonrpc":"2.0","id":7,"method":"eth_accounts","extra":1}"#, -32600, json!(7)),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"eth_accounts","params":null}"#,
            -32600,
            json!(7),
        ),
        (r#"{"jsonrpc":"1.0","id":"x","method":"eth_accounts"}"#, -32600, json!("x")),
        (r#"{"id":-1,"method":"eth_accounts"}"#, -32600, json!(-1)),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"eth_accounts"}"#, -32600, Value::Null),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_accounts","method":"eth_chainId"}"#,
            -32600,
            Value::Null,
        ),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"eth_accounts"}"#, -32600, Value::Null),
        (r#"{"jsonrpc":"2.0","id":true,"method":"eth_accounts"}"#, -32600, Value::Null),
    ] {
        let answer = json_of(body);
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &id), "{body}");
        assert_eq!(answer.get("id"), Some(&id), "{body}");
    }
    assert_eq!(json_of([0xff, 0xfe])["error"]["code"], -32700);
    let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"eth_accounts"}}"#, "x".repeat(300));
    assert_eq!(
        (&json_of(&long)["error"]["code"], &json_of(&long)["id"]),
        (&json!(-32600), &Value::Null)
    );
}

#[test]
fn an_id_comes_back_as_it_was_sent() {
    for id in ["null", "0", "-1", "1.50", "1e3", "18446744073709551616", r#""""#, r#""\u0061\"""#] {
        let (_, text) = post(format!(r#"{{"method":"eth_chainId","id":{id},"jsonrpc":"2.0"}}"#));
        assert_eq!(text, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"0x1"}}"#));
    }
}

#[test]
fn a_notification_is_not_answered_and_nothing_is_signed_for_it() {
    let notification = json!({ "jsonrpc": "2.0", "method": "eth_signTransaction", "params": transaction([0x35; 20]) }).to_string();
    let asked = std::cell::Cell::new(0);
    let accounts = Signer::new().accounts();
    let endpoint = sigwarden_eth_rpc::Endpoint {
        accounts: &accounts,
        chain_id: 1,
        hosts: &sigwarden_eth_rpc::Hosts::Any,
    };
    for body in [notification.clone(), format!("[{notification},{notification}]")] {
        let request = Request::post("/").header("content-type", "application/json").body(body).unwrap();
        let response = now(sigwarden_eth_rpc::answer(&request, &endpoint, Default::default, |ask| {
            asked.set(asked.get() + 1);
            async move { Signer::new().sign(&ask) }
        }));
        assert_eq!((response.status(), response.body().len()), (StatusCode::NO_CONTENT, 0));
    }
    assert_eq!(asked.get(), 0);
    // Not even of what is no method.
    assert_eq!(
        post(r#"{"jsonrpc":"2.0","method":"nothing"}"#),
        (StatusCode::NO_CONTENT, String::new())
    );
}

#[test]
fn a_batch_is_answered_in_order_each_call_by_itself() {
    let mut calls = vec![
        call("eth_signTransaction", transaction([0x35; 20])),
        call("eth_signTransaction", transaction(DENIED)),
        json!({ "jsonrpc": "2.0", "method": "eth_accounts" }),
        json!(1),
        call("nothing", json!([])),
        call("eth_chainId", json!([])),
    ];
    for (id, call) in calls.iter_mut().enumerate().filter(|(_, call)| call.get("id").is_some()) {
        call["id"] = json!(id);
    }
    let answers = json_of(Value::from(calls).to_string());
    let seen: Vec<_> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["id"].clone(), one["error"]["code"].clone()))
        .collect();
    let expected = [
        (json!(0), json!(null)),
        (json!(1), json!(-32000)),
        (json!(null), json!(-32600)),
        (json!(4), json!(-32601)),
        (json!(5), json!(null)),
    ];
    assert_eq!(seen, expected);
    let most = vec![call("eth_chainId", json!([])); 100];
    assert_eq!(json_of(Value::from(most.clone()).to_string()).as_array().unwrap().len(), 100);
    let over = [most, vec![json!(1)]].concat();
    let refused = json_of(Value::from(over).to_string());
    assert_eq!(
        (&refused["error"]["code"], &refused["error"]["message"]),
        (&json!(-32600), &json!("invalid request: `the batch` has over 100 elements"))
    );
}

#[test]
fn deep_nesting_is_bounded_wherever_it_stands() {
    for depth in [10_000, 1_000_000] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(depth.min(500_000)), "}".repeat(depth.min(500_000)));
        assert_eq!(json_of(&nested)[0]["error"]["code"], -32600);
        assert_eq!(json_of(&nested[..depth])["error"]["code"], -32700);
        assert_eq!(json_of(&objects)["error"]["code"], -32600);
        for method in ["eth_signTransaction", "personal_sign", "eth_sign", "eth_accounts"] {
            for params in [&nested, &objects] {
                let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
                assert_eq!(json_of(body)["error"]["code"], -32602, "{method}");
            }
            let field = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":[{{"accessList":{nested}}},{nested}]}}"#);
            assert_eq!(json_of(field)["error"]["code"], -32602, "{method}");
        }
        let id = format!(r#"{{"jsonrpc":"2.0","id":{nested},"method":"eth_accounts"}}"#);
        assert_eq!(json_of(id)["error"]["code"], -32600);
    }
}

#[test]
fn only_json_is_taken_and_only_here() {
    let send = |request: Request<&str>| now(Signer::new().answer(&request));
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    assert_eq!(
        send(Request::post("/").body(body).unwrap()).status(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let plain = Request::post("/").header("content-type", "text/plain").body(body).unwrap();
    assert_eq!(send(plain).status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let html = Request::post("/")
        .header("content-type", "application/json")
        .header("accept", "text/html");
    assert_eq!(send(html.body(body).unwrap()).status(), StatusCode::NOT_ACCEPTABLE);
    let page = Request::post("/")
        .header("content-type", "application/json")
        .header("origin", "http://localhost");
    assert_eq!(send(page.body(body).unwrap()).status(), StatusCode::FORBIDDEN);
    let get = send(Request::get("/").body("").unwrap());
    assert_eq!(
        (get.status(), get.headers()["allow"].as_bytes()),
        (StatusCode::METHOD_NOT_ALLOWED, &b"POST"[..])
    );
    assert_eq!(send(Request::post("/rpc").body(body).unwrap()).status(), StatusCode::NOT_FOUND);
}

proptest! {
    /// A call with some of its bytes changed gets an answer that is JSON, or none.
    #[test]
    fn any_body_gets_an_answer(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), cut in any::<prop::sample::Index>()) {
        let mut body = call("eth_signTransaction", transaction([0x35; 20])).to_string().into_bytes();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        body.truncate(cut.index(body.len() * 2));
        let (status, text) = post(&body);
        match status {
            StatusCode::NO_CONTENT => prop_assert_eq!(text, ""),
            status => {
                prop_assert_eq!(status, StatusCode::OK);
                let answer: Value = serde_json::from_str(&text).unwrap();
                let one = answer.get(0).unwrap_or(&answer);
                prop_assert!(one["result"].is_string() != one["error"]["code"].is_i64(), "{}", text);
            }
        }
    }
}
