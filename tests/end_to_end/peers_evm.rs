//! EVM clients of the daemon: viem and ethers over JSON-RPC, and Web3Signer's REST, with policies in between.

use sigwarden_tests::{Node, example};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// Allows what viem and ethers ask for, but for one recipient.
const RULES: &str = r#"
[[listener]]
name = "evm"
kind = "json-rpc"
listen = "LISTEN"
client = "operator"
chain_id = 1337

[[policy]]
name = "accounts"
module = "policies/network-mode.wasm"
config = {}

[[policy]]
name = "expressions"
module = "policies/expressions.wasm"
formats = ["evm/legacy", "evm/eip-2930", "evm/eip-1559", "evm/eip-4844", "evm/eip-7702"]
[[policy.config.rules]]
name = "not-there"
allow = "evm_to != b'dddddddddddddddddddddddddddddddddddddddd'"
"#;

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn request(port: u16, head: &str, body: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "{head}\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub(crate) fn post(port: u16, body: &str) -> String {
    request(port, "POST / HTTP/1.1\r\nContent-Type: application/json", body)
}

fn node(port: u16) -> Node {
    let rules = RULES.replace("LISTEN", &format!("127.0.0.1:{port}"));
    // Without the rule on recipients: expressions have tests of their own.
    let rules = rules.split("[[policy]]\nname = \"expressions\"").next().unwrap().to_owned();
    Node::init(|config| example::with_rules(&config, &rules)).unwrap()
}

#[test]
fn viem_and_ethers_get_signatures_that_they_verify_themselves() {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/evm");
    assert!(
        peers.join("node_modules/viem").exists(),
        "the clients are not installed; `npm --prefix tests/peers/evm ci --ignore-scripts` does that (node 18 or later)"
    );
    let port = free_port();
    let mut node = node(port);
    node.start().unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let output = Command::new("node").arg(peers.join("main.js")).arg(&url).output();
    let output = output.expect("node starts: install node 18 or later");
    let lines = String::from_utf8_lossy(&output.stdout);
    let wrong: Vec<_> = lines.lines().filter(|line| line.contains("\"ok\":false")).take(5).collect();
    assert!(
        output.status.success(),
        "{wrong:#?}\n{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        node.log()
    );
    let summary: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert!(summary["passed"].as_u64().unwrap() > 40, "{summary}");
    // Every signature has its decision, with the caller that the listener stands for.
    let audit = node.audit(500).unwrap();
    let decided: Vec<_> = audit.iter().filter(|line| line["kind"] == "decision").collect();
    assert!(
        decided.len() > 20 && decided.iter().all(|line| line["body"]["caller"] == "operator"),
        "{}",
        decided.len()
    );
    let formats: std::collections::BTreeSet<_> = decided.iter().map(|line| line["body"]["format"].as_str().unwrap()).collect();
    for format in [
        "evm/legacy",
        "evm/eip-2930",
        "evm/eip-1559",
        "evm/eip-4844",
        "evm/eip-7702",
        "evm/eip-191",
        "evm/eip-712",
    ] {
        assert!(formats.contains(format), "{format} in {formats:?}");
    }
}

#[test]
fn refusals_have_their_code_and_bad_input_the_standards() {
    let port = free_port();
    let mut node = node(port);
    node.start().unwrap();
    let answered = |body: &str| {
        let answer = post(port, body);
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
        serde_json::from_str::<serde_json::Value>(&body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    };
    let chain = answered(r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#);
    assert_eq!(chain["result"], "0x539", "{chain}");
    let unknown = answered(r#"{"jsonrpc":"2.0","id":2,"method":"eth_mine","params":[]}"#);
    assert_eq!(unknown["error"]["code"], -32601, "{unknown}");
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let nested = answered(&format!(r#"{{"jsonrpc":"2.0","id":2,"method":"personal_sign","params":{deep}}}"#));
    let code = nested["error"]["code"].as_i64();
    assert!(matches!(code, Some(-32700 | -32600 | -32602)), "{nested}");
    // A browser's page, and a name that is not the host's own.
    let origin = request(
        port,
        "POST / HTTP/1.1\r\nContent-Type: application/json\r\nOrigin: https://example.org",
        "{}",
    );
    assert!(origin.starts_with("HTTP/1.1 403"), "{origin}");
    let huge = request(port, "POST / HTTP/1.1\r\nContent-Type: application/json", &" ".repeat(600_000));
    assert!(huge.starts_with("HTTP/1.1 413"), "{huge}");
    // A suspended account is nobody's.
    node.expect(&["keys", "suspend", "demo.account", "--reason", "a test"]).unwrap();
    let accounts = answered(r#"{"jsonrpc":"2.0","id":3,"method":"eth_accounts","params":[]}"#);
    assert_eq!(accounts["result"], serde_json::json!([]), "{accounts}");
    assert!(request(port, "GET /upcheck HTTP/1.1", "").ends_with("OK"));
}
