//! JSON-RPC from bytes to bytes.

use crate::signer::{DENIED, DETAIL, FORBIDDEN, RETRY_AT_MS, Signer, call, now};
use http::{Request, StatusCode};
use serde_json::{Value, json};

/// Status and body of the answer to a body.
pub(crate) fn post(body: impl AsRef<[u8]>) -> (StatusCode, String) {
    let request = Request::post("/").header("content-type", "application/json").body(body).unwrap();
    let response = now(Signer::new().answer(&request));
    (response.status(), String::from_utf8(response.into_body()).unwrap())
}

pub(crate) fn json_of(body: impl AsRef<[u8]>) -> Value {
    let (status, text) = post(body);
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn result(method: &str, params: Value) -> Value {
    let answer = json_of(call(method, params).to_string());
    assert_eq!(answer["error"], Value::Null, "{answer}");
    answer["result"].clone()
}

pub(crate) fn error(method: &str, params: Value) -> Value {
    let answer = json_of(call(method, params).to_string());
    assert_eq!(
        (&answer["jsonrpc"], &answer["id"], answer.get("result")),
        (&json!("2.0"), &json!(1), None)
    );
    answer["error"].clone()
}

pub(crate) fn transaction(to: [u8; 20]) -> Value {
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

/// EIP-712, section "Example", as its domain and chain are given there.
fn mail() -> Value {
    json!({
        "types": {
            "EIP712Domain": [
                { "name": "name", "type": "string" }, { "name": "version", "type": "string" },
                { "name": "chainId", "type": "uint256" }, { "name": "verifyingContract", "type": "address" },
            ],
            "Person": [{ "name": "name", "type": "string" }, { "name": "wallet", "type": "address" }],
            "Mail": [
                { "name": "from", "type": "Person" }, { "name": "to", "type": "Person" }, { "name": "contents", "type": "string" },
            ],
        },
        "primaryType": "Mail",
        "domain": {
            "name": "Ether Mail", "version": "1", "chainId": 1, "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
        },
        "message": {
            "from": { "name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826" },
            "to": { "name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB" },
            "contents": "Hello, Bob!",
        },
    })
}

pub(crate) const COW: &str = "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826";

/// The signature is that of EIP-712's `Example.js`, by the key Keccak-256 of `cow`.
#[test]
fn the_mail_of_eip_712_is_signed_as_it_says() {
    let signature = concat!(
        "0x4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d",
        "07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b91562",
        "1c",
    );
    for method in ["eth_signTypedData_v4", "eth_signTypedData"] {
        assert_eq!(result(method, json!([COW, mail()])), signature);
        assert_eq!(result(method, json!([COW, mail().to_string()])), signature);
    }
}

#[test]
fn typed_data_of_another_chain_or_form_is_refused() {
    let mut other = mail();
    other["domain"]["chainId"] = json!("0x5");
    let message = error("eth_signTypedData_v4", json!([COW, other]))["message"].clone();
    assert_eq!(
        message,
        "invalid params: `params[1]`: `domain.chainId` is not 1, the chain that this endpoint signs for"
    );
    let mut extra = mail();
    extra["message"]["more"] = json!(1);
    // The first version of the method, with the parameters the other way round.
    let first = json!([[{ "type": "string", "name": "Message", "value": "Hi" }], COW]);
    for params in [
        json!([COW, extra]),
        first,
        json!([COW]),
        json!([COW, "{"]),
        json!([COW, {}]),
        json!([COW, 1]),
    ] {
        assert_eq!(error("eth_signTypedData_v4", params)["code"], -32602);
    }
    let twice = mail()
        .to_string()
        .replace(r#""contents":"Hello, Bob!""#, r#""contents":"a","contents":"b""#);
    assert_eq!(error("eth_signTypedData_v4", json!([COW, twice]))["code"], -32602);
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
    let list = || {
        asked.set(asked.get() + 1);
        let accounts = Signer::new().accounts().into();
        std::future::ready(Ok(sigwarden_eth_rpc::Listed { accounts, admitted: () }))
    };
    let endpoint = sigwarden_eth_rpc::Endpoint {
        chain_id: 1,
        hosts: &sigwarden_eth_rpc::Hosts::Any,
    };
    for body in [notification.clone(), format!("[{notification},{notification}]")] {
        let request = Request::post("/").header("content-type", "application/json").body(body).unwrap();
        let ask = |ask, ()| {
            asked.set(asked.get() + 1);
            async move { Signer::new().sign(&ask) }
        };
        let response = now(sigwarden_eth_rpc::answer(
            &request,
            &endpoint,
            list,
            Default::default,
            ask,
            |_, _| (),
        ));
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
fn each_call_is_told_of_by_its_method() {
    let signer = Signer::new();
    let told = |request: Request<String>| {
        now(signer.answer(&request));
        std::mem::take(&mut *signer.told.lock().unwrap())
    };
    let json = |body: Value| {
        Request::post("/")
            .header("content-type", "application/json")
            .body(body.to_string())
            .unwrap()
    };
    let of = |calls: &[(&str, bool)]| {
        calls
            .iter()
            .map(|(method, answered)| ((*method).to_owned(), *answered))
            .collect::<Vec<_>>()
    };
    let batch = json!([
        call("eth_chainId", json!([])),
        call("eth_signTransaction", transaction(DENIED)),
        call("nothing", json!([])),
        { "jsonrpc": "2.0", "method": "eth_accounts" },
    ]);
    assert_eq!(
        told(json(batch)),
        of(&[("eth_chainId", true), ("eth_signTransaction", false), ("nothing", false)])
    );
    let get = |path: &str| Request::get(path).body(String::new()).unwrap();
    assert_eq!(told(get("/upcheck")), of(&[("upcheck", true)]));
    assert_eq!(told(get("/api/v1/eth1/publicKeys")), of(&[("publicKeys", true)]));
    assert_eq!(told(get("/nothing")), of(&[("", false)]));
}
