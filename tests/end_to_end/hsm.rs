//! Keys in a token, through the very code path of a vendor's library: the daemon loads our mock as a PKCS#11 module.

mod world;

use sigwarden_mock_hsm::{Faults, SigningFaults, TokenFaults};
use sigwarden_tests::Caller;
use sigwarden_tests::payload::{ALLOWED, transfer};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use world::{KEY, PATIENCE, World, removed, sign, write_pin};

#[test]
fn a_token_that_goes_refuses_and_comes_back_without_a_restart() {
    let world = World::with_key(&["signer"], "");
    let signed = world.sign(1).unwrap();
    assert_eq!((signed.scheme.as_str(), signed.public_key.len()), ("secp256k1-ecdsa", 33));
    world.fault(removed());
    let begun = Instant::now();
    while world.sign(2).is_ok() {
        assert!(begun.elapsed() < PATIENCE, "the token is gone and it signs");
    }
    assert_eq!(world.token()["tokens"][0]["state"], "absent");
    world.fault(TokenFaults::default());
    world.signs_again(100);
    assert_eq!(world.token()["tokens"][0]["state"], "ready");
    assert_eq!(world.state_of_key(), "active");
}

#[test]
fn a_thousand_requests_over_a_token_that_is_pulled_each_get_an_answer_and_a_record() {
    let mut world = World::with_key(&["signer"], "");
    let (socket, asked) = (world.node.socket(), AtomicU64::new(0));
    let answers: Vec<Option<String>> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4_u64)
            .map(|who| {
                let (socket, asked) = (&socket, &asked);
                scope.spawn(move || {
                    let mut caller = Caller::connect(socket).unwrap();
                    (0..250)
                        .map(|nonce| {
                            asked.fetch_add(1, Ordering::SeqCst);
                            let answer = sign(&mut caller, who << 32 | nonce);
                            answer.err().map(|error| error.refusal().unwrap().code.clone())
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let until = |count: u64| {
            while asked.load(Ordering::SeqCst) < count {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        until(300);
        world.fault(removed());
        until(500);
        world.fault(TokenFaults::default());
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    assert_eq!(answers.len(), 1000);
    let mut codes: BTreeMap<Option<String>, usize> = BTreeMap::new();
    for answer in answers {
        *codes.entry(answer).or_default() += 1;
    }
    let refused: usize = codes.iter().filter(|(code, _)| code.is_some()).map(|(_, count)| count).sum();
    assert!(codes.contains_key(&None) && refused > 0, "{codes:?}");
    assert!(
        codes
            .keys()
            .flatten()
            .all(|code| code == "backend/unavailable" || code == "backend/failed"),
        "{codes:?}"
    );
    world.signs_again(1 << 40);
    world.node.stop().unwrap();
    let records = world.node.audit(1_000_000).unwrap();
    let of = |kind: &str| {
        records
            .iter()
            .filter(|record| record["kind"] == kind && record["body"]["key"] == "demo.vault.v1")
            .count()
    };
    assert_eq!(of("decision"), of("outcome"), "every decision has its outcome");
    assert!(of("decision") >= 1000);
}

#[test]
fn a_token_that_lies_is_refused_and_its_key_suspended() {
    for (fault, code) in [
        (
            SigningFaults {
                wrong_signature: true,
                ..SigningFaults::default()
            },
            "backend/signature-invalid",
        ),
        (
            SigningFaults {
                wrong_key: true,
                ..SigningFaults::default()
            },
            "backend/signature-invalid",
        ),
    ] {
        let world = World::with_key(&["signer"], "");
        world.sign(1).unwrap();
        world.fault(TokenFaults {
            signing: fault,
            ..TokenFaults::default()
        });
        assert_eq!(world.sign(2).unwrap_err().refusal().unwrap().code, code);
        // Its record follows within a second or so.
        let begun = Instant::now();
        while world.state_of_key() != "suspended" {
            assert!(begun.elapsed() < PATIENCE, "the key is not suspended");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(world.sign(3).unwrap_err().refusal().unwrap().code, "key/state");
        let records = world.node.audit(1000).unwrap();
        let told = records.iter().find(|record| record["kind"] == "lifecycle").unwrap();
        assert!(told["body"]["reason"].as_str().unwrap().contains("token `signer`"), "{told}");
        // Trusted too early, and caught again before anybody looks.
        world.node.expect(&["keys", "resume", KEY, "--reason", "it looked mended"]).unwrap();
        assert_eq!(world.sign(4).unwrap_err().refusal().unwrap().code, code);
        let begun = Instant::now();
        while world.state_of_key() != "suspended" {
            assert!(begun.elapsed() < PATIENCE, "the key is not suspended again");
            std::thread::sleep(Duration::from_millis(20));
        }
        world.fault(TokenFaults::default());
        world
            .node
            .expect(&["keys", "resume", KEY, "--reason", "the vendor mended it"])
            .unwrap();
        world.signs_again(100);
    }
}

#[test]
fn high_s_is_normalized_and_a_recovery_id_found() {
    let world = World::with_key(&["signer"], "");
    world.fault(TokenFaults {
        signing: SigningFaults {
            high_s: true,
            ..SigningFaults::default()
        },
        ..TokenFaults::default()
    });
    for nonce in 0..8 {
        // Core releases none that is high-S, or whose recovery id gives another key.
        let signed = world.sign(nonce).unwrap();
        assert!(signed.signatures[0].recovery_id.is_some());
    }
}

#[test]
fn a_second_token_takes_over_and_one_signature_leaves() {
    let replica = "[[backend.replica]]\nlibrary = \"LIBRARY\"\ntoken = \"other\"\npin_file = \"PIN\"\n";
    let key = format!("[[key]]\nname = \"{KEY}\"\nroles = [\"account\"]\nscheme = \"secp256k1-ecdsa\"\nbackend = \"hsm\"\n\n");
    let world = World::new(&["signer", "other"], &format!("{replica}\n{key}"), "");
    let first = world.sign(1).unwrap();
    for nonce in 10..20 {
        world.fault_of("signer", removed());
        let signed = world.sign(nonce).unwrap();
        assert_eq!((signed.signatures.len(), &signed.public_key), (1, &first.public_key));
        world.fault(TokenFaults::default());
    }
    let status = world.token();
    assert!(status["failovers"].as_u64().unwrap() >= 1, "{status}");
    let both = Faults {
        token: ["signer", "other"].map(|label| (label.to_owned(), removed())).into(),
    };
    both.write(&world.faults).unwrap();
    let begun = Instant::now();
    let mut nonce = 100;
    while world.sign(nonce).is_ok() {
        nonce += 1;
        assert!(begun.elapsed() < PATIENCE, "both tokens are gone and it signs");
    }
    Faults::default().write(&world.faults).unwrap();
    world.signs_again(1000);
}

#[test]
fn a_wrong_pin_is_tried_once_and_again_only_when_the_operator_says_so() {
    let mut world = World::new(&["signer"], "", "");
    world.node.stop().unwrap();
    write_pin(&world.pin, "9999");
    // One attempt, of the first that looks: the mock locks after three, and no restart uses another.
    for _ in 0..3 {
        let checked = world.check("devnet");
        let answers = checked.iter().find(|finding| finding["rule"] == "hsm-answers").unwrap();
        assert_eq!(answers["severity"], "warn", "{answers}");
        world.node.start().unwrap();
        world.node.stop().unwrap();
    }
    // The operator acts, in the daemon or without one: one attempt each.
    let retry = ["keys", "retry-login", "hsm", "--reason", "the file was wrong"];
    let output = world.alone(&retry);
    let status = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && status.contains("CKR_PIN_INCORRECT"), "{output:?}");
    world.node.start().unwrap();
    let token = &world.token()["tokens"][0];
    assert_eq!(token["state"], "pin-refused", "{token}");
    assert!(token["detail"].as_str().unwrap().contains("refused before this start"), "{token}");
    // Whatever is asked meanwhile, no second attempt is made: the mock locks after three.
    for _ in 0..5 {
        let arguments = [
            "keys",
            "generate",
            KEY,
            "--backend",
            "hsm",
            "--scheme",
            "ed25519",
            "--role",
            "operational",
            "--add-to-config",
        ];
        let (_, errors) = world.node.expect_failure(&arguments).unwrap();
        assert!(errors.contains("not logged in"), "{errors}");
    }
    write_pin(&world.pin, "1234");
    let status = world.node.expect(&retry).unwrap();
    assert!(status.contains("token signer: ready"), "{status}");
    // What was refused is forgotten: a start logs in.
    world.node.stop().unwrap();
    world.node.start().unwrap();
    assert_eq!(world.token()["tokens"][0]["state"], "ready");
    world.generate(KEY);
    world.sign(1).unwrap();
}

#[test]
fn check_refuses_the_mock_on_mainnet_whatever_its_file_is_called() {
    let mut world = World::new(&["signer"], "", "");
    world.node.stop().unwrap();
    let run = |network: &str| {
        let findings = world.check(network);
        findings.into_iter().find(|finding| finding["rule"] == "mock-hsm-library").unwrap()
    };
    let mainnet = run("mainnet");
    assert_eq!(
        (&mainnet["holds"], &mainnet["severity"]),
        (&false.into(), &"refuse".into()),
        "{mainnet}"
    );
    assert!(mainnet["found"].as_str().unwrap().contains("libvendor.so"), "{mainnet}");
    assert_eq!(run("devnet")["severity"], "silent");
}

#[test]
fn metrics_tell_what_tokens_did() {
    // A port that was free a moment ago; nobody else binds it in a test's short life.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let world = World::new(&["signer"], "", &format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n"));
    world.generate(KEY);
    world.sign(1).unwrap();
    let scrape = || {
        let mut connection = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        connection.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut text = String::new();
        connection.read_to_string(&mut text).unwrap();
        text
    };
    let page = scrape();
    for line in [
        "sigwarden_hsm_sign_success_total{backend=\"hsm\"} 1",
        "sigwarden_hsm_sign_error_total{backend=\"hsm\",kind=\"device\"} 0",
        "sigwarden_hsm_token_ready{backend=\"hsm\",token=\"signer\",state=\"ready\"} 1",
        "sigwarden_hsm_sessions_in_use{backend=\"hsm\",token=\"signer\"} 0",
        "sigwarden_keys{state=\"active\"} 3",
        "sigwarden_ready{network=\"devnet\"} 1",
    ] {
        assert!(page.lines().any(|found| found.starts_with(line)), "{line} in\n{page}");
    }
    assert!(
        page.contains("application/openmetrics-text") && page.trim_end().ends_with("# EOF"),
        "{page}"
    );
}

/// Eight threads serve requests, and twelve of them hang in the token.
#[test]
fn a_token_that_hangs_keeps_no_thread_from_keys_that_are_here() {
    let slow = "call_deadline_ms = 60000\nsession_timeout_ms = 60000\n";
    let mut world = World::new(&["signer"], slow, "[limits]\nthreads = 8\n");
    world.generate(KEY);
    world.fault(TokenFaults {
        latency_ms: 60_000,
        ..TokenFaults::default()
    });
    let socket = world.node.socket();
    let hanging: Vec<_> = (0..12)
        .map(|nonce| {
            let socket = socket.clone();
            std::thread::spawn(move || sign(&mut Caller::connect(&socket).unwrap(), nonce))
        })
        .collect();
    let mut caller = world.node.caller().unwrap();
    for nonce in 0..100 {
        let request = sigwarden_tests::caller::request("demo.account", "evm/eip-1559", transfer(nonce, Some(ALLOWED), 1).unsigned());
        caller.call(request).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    world.node.kill().unwrap();
    for hung in hanging {
        hung.join().unwrap().unwrap_err();
    }
}

/// `keys suspend` is what an operator does first, whatever else is being done.
#[test]
fn a_suspension_does_not_wait_for_a_command_that_hangs_in_a_token() {
    let mut world = World::with_key(&["signer"], "");
    world.fault(TokenFaults {
        latency_ms: 60_000,
        ..TokenFaults::default()
    });
    let rotate = ["keys", "rotate", KEY, "--reason", "a test"];
    let mut rotation = std::process::Command::new(sigwarden_tests::node::binary().unwrap())
        .arg("--deployment")
        .arg(world.node.dir())
        .args(rotate)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // Time for it to reach the daemon: the test finds nothing if it was too short, and nothing wrong either.
    std::thread::sleep(Duration::from_secs(2));
    world
        .node
        .expect(&["keys", "suspend", "demo.account", "--reason", "an emergency"])
        .unwrap();
    assert!(rotation.try_wait().unwrap().is_none(), "the rotation hangs all the while");
    world.node.kill().unwrap();
    rotation.wait().unwrap();
}
