//! What is no JSON-RPC, and what is too much of it.

use crate::json_rpc::{COW, json_of, post, transaction};
use crate::signer::{Signer, call, now};
use http::{Request, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

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
fn deep_nesting_is_bounded_wherever_it_stands() {
    for depth in [10_000, 1_000_000] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(depth.min(500_000)), "}".repeat(depth.min(500_000)));
        assert_eq!(json_of(&nested)[0]["error"]["code"], -32600);
        assert_eq!(json_of(&nested[..depth])["error"]["code"], -32700);
        assert_eq!(json_of(&objects)["error"]["code"], -32600);
        for method in [
            "eth_signTransaction",
            "personal_sign",
            "eth_sign",
            "eth_accounts",
            "eth_signTypedData_v4",
        ] {
            for params in [&nested, &objects] {
                let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
                assert_eq!(json_of(body)["error"]["code"], -32602, "{method}");
            }
            let field = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":[{{"accessList":{nested}}},{nested}]}}"#);
            assert_eq!(json_of(field)["error"]["code"], -32602, "{method}");
        }
        for data in [&nested, &objects] {
            let text = Value::from(data.as_str());
            for data in [data, &text.to_string()] {
                let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_signTypedData_v4","params":["{COW}",{data}]}}"#);
                assert_eq!(json_of(body)["error"]["code"], -32602);
            }
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
