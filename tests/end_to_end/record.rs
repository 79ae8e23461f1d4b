//! `policy record`: what a real daemon saw becomes a fixture that comes out as it did, and says so once something is changed.

use crate::common::{floor, node};
use crate::peers_evm::free_port;
use sigwarden::proto::SignRequest;
use sigwarden_tests::payload::{ACCOUNT, ALLOWED, ETHER, VALIDATOR, precommit, transfer};
use sigwarden_tests::{Node, caller, example};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

const EIP1559: &str = "evm/eip-1559";
const VOTE: &str = "cometbft/vote";

/// The demo's rules: five transfers at once, and none to come back while a test runs.
fn strict() -> String {
    example::STRICT.replace("period = \"60s\"", "period = \"10h\"")
}

/// A `policy record` that runs.
struct Recording {
    child: Child,
    errors: BufReader<ChildStderr>,
    fixture: PathBuf,
}

impl Recording {
    /// Returns once the daemon records.
    fn begin(node: &Node, fixture: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(sigwarden_tests::binary().unwrap())
            .arg("--deployment")
            .arg(node.dir())
            .args(["policy", "record"])
            .arg(fixture)
            .args(more)
            .env_remove("SIGWARDEN_DEPLOYMENT")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        assert!(line.starts_with("recording what the daemon sees"), "{line}");
        Self {
            child,
            errors,
            fixture: fixture.to_owned(),
        }
    }

    fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    /// What it printed, its exit code, and the fixture.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut out, mut errors) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.errors.read_to_string(&mut errors).unwrap();
        let code = self.child.wait().unwrap().code();
        let text = std::fs::read_to_string(&self.fixture).unwrap_or_default();
        (code, out + &errors, text)
    }
}

/// Where a fixture is to be; compiled modules are kept beside it.
fn place(node: &Node) -> PathBuf {
    let home = node.dir().parent().unwrap();
    std::fs::create_dir(home.join("target")).unwrap();
    home.join("seen.toml")
}

fn policy_test(fixture: &Path) -> (bool, String) {
    let output: Output = Command::new(sigwarden_tests::binary().unwrap())
        .args(["policy", "test"])
        .arg(fixture)
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

fn request(key: &str, format: &str, payload: Vec<u8>, id: &str) -> SignRequest {
    SignRequest {
        request_id: id.to_owned(),
        ..caller::request(key, format, payload)
    }
}

/// What a request was answered: its signatures in hex, or a refusal's code.
fn ask(node: &Node, request: SignRequest) -> Result<String, String> {
    let answer = node.caller().unwrap().call(request);
    answer
        .map(|signed| hex::encode(&signed.signatures[0].signature))
        .map_err(|error| error.refusal().unwrap().code.clone())
}

fn send(node: &Node, nonce: u64, id: &str) -> Result<String, String> {
    ask(
        node,
        request(ACCOUNT, EIP1559, transfer(nonce, Some(ALLOWED), ETHER).unsigned(), id),
    )
}

fn vote(node: &Node, height: u64, block: u8, seconds: i64) -> Result<String, String> {
    ask(
        node,
        request(VALIDATOR, VOTE, precommit(height, 0, block, seconds).sign_bytes(), ""),
    )
}

/// A transfer as another client, a wallet that speaks JSON-RPC; whether it got a signature.
fn wallet(port: u16, nonce: u64) -> bool {
    let call = |method: &str, params: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let answer = crate::peers_evm::post(port, &body);
        let json = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        serde_json::from_str::<serde_json::Value>(json).unwrap_or_else(|error| panic!("{error}: {answer}"))
    };
    let accounts = call("eth_accounts", "[]");
    let from = &accounts["result"][0];
    let to = hex::encode(ALLOWED);
    let transaction = format!(
        r#"[{{"from":{from},"to":"0x{to}","value":"0x1","gas":"0x5208","nonce":"0x{nonce:x}","chainId":"0x539","maxFeePerGas":"0x6fc23ac00","maxPriorityFeePerGas":"0x1"}}]"#
    );
    call("eth_signTransaction", &transaction)["error"].is_null()
}

#[test]
fn what_a_daemon_saw_comes_out_the_same_in_a_fixture() {
    let port = free_port();
    let second = format!(
        "[[listener]]\nname = \"evm\"\nkind = \"json-rpc\"\nlisten = \"127.0.0.1:{port}\"\nclient = \"wallet\"\nchain_id = 1337\n\n\
         [[client]]\nname = \"wallet\"\n[[client.allow]]\nkeys = [\"demo.*\"]\noperations = [\"sign\", \"public-key\"]\n{}",
        strict()
    );
    let mut node = Node::init(|config| example::with_rules(&config, &second)).unwrap();
    floor(&node, 0);
    node.start().unwrap();
    // Before the recording: a nonce, two of five transfers, a vote.
    send(&node, 1, "").unwrap();
    let before = send(&node, 2, "before").unwrap();
    let voted = vote(&node, 7, 1, 1_700_000_000).unwrap();

    let fixture = place(&node);
    let recording = Recording::begin(&node, &fixture, &["--requests", "17"]);
    let (status, errors) = node.expect_failure(&["policy", "record", "other.toml"]).unwrap();
    assert!(status == 1 && errors.contains("somebody records already"), "{errors}");
    assert_eq!(send(&node, 2, "before"), Ok(before), "an id from before");
    assert_eq!(
        send(&node, 1, ""),
        Err("policy/monotonic/regression".to_owned()),
        "a nonce from before"
    );
    let signed = send(&node, 3, "mine").unwrap();
    assert_eq!(send(&node, 3, "mine"), Ok(signed.clone()), "an id again");
    assert_eq!(send(&node, 4, "mine"), Err("request/id-reused".to_owned()));
    let another = request(ACCOUNT, EIP1559, transfer(3, Some(ALLOWED), 5).unsigned(), "");
    assert_eq!(ask(&node, another), Err("policy/monotonic/conflict".to_owned()));
    assert!(wallet(port, 4), "another client");
    send(&node, 5, "").unwrap();
    assert_eq!(send(&node, 6, ""), Err("policy/rate-limit/exceeded".to_owned()));
    let garbage = request(ACCOUNT, EIP1559, b"no transaction".to_vec(), "");
    assert_eq!(ask(&node, garbage), Err("payload/malformed".to_owned()));
    let unknown = request("demo.nobody", EIP1559, vec![1], "");
    assert_eq!(ask(&node, unknown), Err("caller/forbidden".to_owned()));
    assert_eq!(vote(&node, 7, 1, 1_700_000_009), Ok(voted), "a vote from before again");
    assert_eq!(vote(&node, 7, 2, 1_700_000_010), Err("floor/conflict".to_owned()));
    let next = vote(&node, 8, 3, 1_700_000_011).unwrap();
    assert_eq!(vote(&node, 6, 3, 1_700_000_012), Err("floor/regression".to_owned()));
    node.expect(&["keys", "suspend", VALIDATOR, "--reason", "a test"]).unwrap();
    assert_eq!(vote(&node, 9, 3, 1_700_000_013), Err("key/state".to_owned()));
    node.expect(&["keys", "resume", VALIDATOR, "--reason", "a test"]).unwrap();
    vote(&node, 9, 3, 1_700_000_014).unwrap();
    // Ends by itself.
    let (code, said, text) = recording.end();
    assert_eq!(code, Some(0), "{said}\n{text}");
    assert!(said.contains("16 steps, 1 request left out"), "{said}");
    assert!(
        text.contains("#   request 1: its request id was given before the recording began"),
        "{text}"
    );
    for piece in [
        "network = \"devnet\"",
        "module = \"rate-limit\"",
        "name = \"wallet\"",
        "caller = \"wallet\"",
        "state.limits = { \"transfers",
        "position = [2]",
        "position = \"7/0/3\", sign_bytes = \"0x",
        "value = \"1 ether\"",
        "expect = \"policy/rate-limit/exceeded\"\nretry_after = \"",
        "key_states.\"demo.validator.v1\" = \"suspended\"",
        "key_states.\"demo.validator.v1\" = \"active\"",
        "expect = \"floor/conflict\"",
    ] {
        assert!(text.contains(piece), "{piece}\n{text}");
    }
    for secret in [signed, next] {
        assert!(!text.contains(&secret), "a signature in\n{text}");
    }

    let (green, printed) = policy_test(&fixture);
    assert!(green && printed.contains("16 passed, 0 failed"), "{printed}\n{text}");
    // It tests something.
    let without = |start: &str| -> String {
        text.lines()
            .filter(|line| !line.starts_with(start))
            .map(|line| format!("{line}\n"))
            .collect()
    };
    for other in [
        text.replace("capacity = 5", "capacity = 6"),
        without("state.limits"),
        without("state.watermarks"),
        without("key_states"),
        without("floors"),
    ] {
        assert_ne!(other, text);
        std::fs::write(&fixture, &other).unwrap();
        let (green, printed) = policy_test(&fixture);
        assert!(!green, "{printed}\n{other}");
    }
    assert!(node.stop().unwrap().success());
    let audited = node.audit(100).unwrap();
    let reasons = audited.iter().filter_map(|line| line["body"]["reason"].as_str());
    assert!(
        reasons
            .into_iter()
            .any(|reason| reason.starts_with("policy record: up to 17 requests"))
    );
}

#[test]
fn a_recording_ends_with_ctrl_c_its_time_or_a_reload_and_side_by_side_comes_out_one_after_the_other() {
    let mut node = Node::init(|config| example::with_rules(&config, &strict())).unwrap();
    node.start().unwrap();
    let fixture = place(&node);
    let recording = Recording::begin(&node, &fixture, &[]);
    // Nonces from four clients at once: most are late, five transfers are let through.
    std::thread::scope(|scope| {
        for client in 0..4_u64 {
            let node = &node;
            scope.spawn(move || {
                for turn in 1..=8 {
                    // Whatever comes of it is in the recording.
                    drop(send(node, turn * 4 + client, ""));
                }
            });
        }
    });
    recording.interrupt();
    let (code, said, text) = recording.end();
    assert_eq!(code, Some(0), "{said}\n{text}");
    assert!(
        text.contains("expect = \"allow\"") && text.contains("policy/rate-limit/exceeded"),
        "{text}"
    );
    std::fs::remove_file(&fixture).unwrap();

    let recording = Recording::begin(&node, &fixture, &[]);
    drop(send(&node, 100, ""));
    node.expect(&["policy", "reload", "--reason", "a test"]).unwrap();
    drop(send(&node, 101, ""));
    let (code, said, text) = recording.end();
    assert_eq!(code, Some(0), "{said}\n{text}");
    assert!(
        said.contains("1 steps") && text.contains("# The policies were replaced"),
        "{said}\n{text}"
    );
    std::fs::remove_file(&fixture).unwrap();

    let recording = Recording::begin(&node, &fixture, &["--seconds", "1"]);
    let (code, said, _) = recording.end();
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("no request that a fixture could repeat") && !fixture.exists(),
        "{said}"
    );
    // A client that is gone leaves the place to the next, soon.
    let mut gone = Recording::begin(&node, &fixture, &[]);
    gone.child.kill().unwrap();
    gone.child.wait().unwrap();
    let begun = std::time::Instant::now();
    loop {
        let (_, errors) = node.expect_failure(&["policy", "record", "other.toml", "--seconds", "1"]).unwrap();
        if !errors.contains("somebody records already") {
            break assert!(errors.contains("no request that a fixture could repeat"), "{errors}");
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{errors}");
    }
    // It ends with its daemon.
    let recording = Recording::begin(&node, &fixture, &[]);
    drop(send(&node, 102, ""));
    assert!(node.stop().unwrap().success());
    let (code, said, _) = recording.end();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn only_a_devnet_is_recorded_and_nothing_is_written_over() {
    let node = node();
    let file = node.dir().join("sigwarden.toml");
    let devnet = std::fs::read_to_string(&file).unwrap();
    let fixture = place(&node);
    let record = ["policy", "record", fixture.to_str().unwrap()];
    let (status, errors) = node.expect_failure(&record).unwrap();
    assert!(status == 1 && errors.contains("no daemon runs"), "{errors}");
    for network in ["testnet-alpha", "testnet-beta", "mainnet"] {
        std::fs::write(&file, devnet.replace("network = \"devnet\"", &format!("network = \"{network}\""))).unwrap();
        let (status, errors) = node.expect_failure(&record).unwrap();
        assert!(
            status == 1 && errors.contains(&format!("this is a deployment on {network}: a recording holds every payload")),
            "{errors}"
        );
    }
    std::fs::write(&fixture, "kept").unwrap();
    let (status, errors) = node.expect_failure(&record).unwrap();
    assert!(status == 2 && errors.contains("it is there already"), "{errors}");
    assert_eq!(std::fs::read_to_string(&fixture).unwrap(), "kept");
}
