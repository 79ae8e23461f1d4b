//! The binary as an operator uses it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn sigwarden(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sigwarden"))
        .arg("--deployment")
        .arg(dir)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The exit code and what was printed, as JSON.
fn json(dir: &Path, arguments: &[&str]) -> (i32, Value) {
    let output = sigwarden(dir, &[&["--json"], arguments].concat());
    let text = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    let value = serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)));
    (output.status.code().unwrap(), value)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A daemon that does not outlive a test that fails.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Gone already, in a test that holds.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Where the marker of a test's deployment is: beside it, and gone with it.
fn markers(dir: &Path) -> String {
    dir.with_extension("markers").display().to_string()
}

fn init(dir: &Path) {
    let (code, made) = json(dir, &["init", "--generate-passphrase-file", "--marker-dir", &markers(dir)]);
    assert_eq!(code, 0, "{made}");
    assert_eq!(made["keys"][0]["key"], "demo.account.v1");
}

#[test]
fn init_makes_a_deployment_that_would_start_and_serves() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("signer");
    init(&dir);
    let (code, checked) = json(&dir, &["check"]);
    assert_eq!((code, &checked["starts"]), (0, &Value::Bool(true)), "{checked}");
    let (code, again) = json(&dir, &["init", "--generate-passphrase-file", "--marker-dir", &markers(&dir)]);
    assert_eq!(code, 1);
    assert!(again["error"].as_str().unwrap().contains("not empty"), "{again}");

    let daemon = Command::new(env!("CARGO_BIN_EXE_sigwarden"))
        .args(["--log-format", "json", "-d"])
        .arg(&dir)
        .arg("serve")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut daemon = Ended(daemon);
    let daemon = &mut daemon.0;
    let mut log = BufReader::new(daemon.stderr.take().unwrap()).lines();
    let ready = log
        .by_ref()
        .map_while(Result::ok)
        .any(|line| line.contains("\"message\":\"ready\""));
    assert!(ready, "the daemon says that it is ready");

    let (code, keys) = json(&dir, &["keys", "list"]);
    assert_eq!((code, keys.as_array().unwrap().len()), (0, 2), "{keys}");
    let (code, refused) = json(
        &dir,
        &["sign", "--key", "demo.nobody", "--format", "evm/legacy", "--payload-hex", "c0"],
    );
    assert_eq!((code, refused["refused"].as_str()), (1, Some("caller/forbidden")));
    let (code, floors) = json(&dir, &["floors", "show"]);
    assert_eq!((code, floors.as_array().unwrap().len()), (0, 0), "{floors}");
    let set = ["floors", "set", "--key", "demo.validator", "--chain-id", "c-1", "--height", "1"];
    let (code, set) = json(&dir, &[&set[..], &["--reason", "test"]].concat());
    assert_eq!(
        (code, &set["floors"][0]["position"]),
        (0, &"1/end".into()),
        "the daemon does it: {set}"
    );
    let (code, checked) = json(&dir, &["check"]);
    assert_eq!((code, &checked["running"]), (0, &Value::Bool(true)));
    let (code, verified) = json(&dir, &["audit", "verify"]);
    assert_eq!((code, &verified["holds"]), (0, &Value::Bool(true)), "{verified}");

    let pid = rustix::process::Pid::from_raw(i32::try_from(daemon.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    // A daemon outlives the reader of its log.
    drop(log);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
    let (_, verified) = json(&dir, &["audit", "verify"]);
    assert_eq!(verified["unfinished_bytes"], 0, "an orderly stop leaves nothing unfinished");
}

#[test]
fn a_wrong_configuration_is_placed_and_stops_everything() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("sigwarden.toml"), "version = 1\nnetwrok = \"devnet\"\n").unwrap();
    let checked = sigwarden(dir.path(), &["check"]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(text(&checked.stdout).contains("sigwarden.toml:2:1: netwrok: unknown field; did you mean `network`?"));
    let served = sigwarden(dir.path(), &["serve"]);
    assert_eq!(served.status.code(), Some(2));
    assert!(text(&served.stderr).contains("did you mean `network`?"));
}

#[test]
fn keys_are_generated_imported_and_added_to_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("signer");
    init(&dir);
    let new = [
        "keys",
        "generate",
        "batch.sender",
        "--scheme",
        "ed25519",
        "--role",
        "batch",
        "--add-to-config",
    ];
    let (code, made) = json(&dir, &new);
    assert_eq!((code, &made["configured"]), (0, &Value::Bool(true)), "{made}");
    let (code, again) = json(&dir, &["keys", "generate", "batch.sender"]);
    assert_eq!(code, 1, "{again}");

    // The secret key 1 of secp256k1: its public key is the generator (SEC 2 §2.4.1).
    let secret = dir.join("one.hex");
    std::fs::write(&secret, format!("{:064x}\n", 1)).unwrap();
    let import = ["keys", "import", "demo.one", "--scheme", "secp256k1-ecdsa", "--role", "account"];
    let import = [&import[..], &["--add-to-config", "--secret-file", secret.to_str().unwrap()]].concat();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(json(&dir, &import).0, 1, "a secret that others may have read is refused");
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (code, made) = json(&dir, &import);
    assert_eq!(code, 0, "{made}");
    assert_eq!(
        made["public_key"],
        "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    );

    let (_, shown) = json(&dir, &["keys", "show", "demo.one"]);
    assert_eq!(
        (shown["state"].as_str(), shown["roles"][0].as_str()),
        (Some("active"), Some("account"))
    );
    let (code, checked) = json(&dir, &["check"]);
    assert_eq!(code, 0, "{checked}");
}

#[test]
fn looking_leaves_no_record_and_check_judges_as_the_network_that_it_is_asked_about() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("signer");
    init(&dir);
    let records = || json(&dir, &["audit", "verify"]).1["records"].as_u64().unwrap();
    let before = records();
    let (code, keys) = json(&dir, &["keys", "list"]);
    assert_eq!((code, keys[0]["state"].as_str()), (0, Some("active")), "{keys}");
    let (code, checked) = json(&dir, &["check"]);
    assert_eq!(
        (code, &checked["not_looked_at"]),
        (0, &serde_json::json!(["checkpoint"])),
        "{checked}"
    );
    assert_eq!(records(), before, "neither listing nor checking is a start");

    // An unpinned module: mainnet refuses it, devnet does not care.
    let file = dir.join("sigwarden.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let unpinned: Vec<&str> = text.lines().filter(|line| !line.starts_with("sha256 = ")).collect();
    let configured = |network: &str| {
        let text = unpinned
            .join("\n")
            .replace("network = \"devnet\"", &format!("network = \"{network}\""));
        std::fs::write(&file, text).unwrap();
    };
    configured("mainnet");
    let (code, checked) = json(&dir, &["check"]);
    assert_eq!((code, &checked["starts"]), (1, &Value::Bool(false)), "{checked}");
    assert_eq!(checked["not_looked_at"], serde_json::json!(["keys", "ledger", "policies"]));
    // As devnet it is opened, and what is wrong inside is found.
    assert_eq!(json(&dir, &["check", "--network", "devnet"]).0, 0);
    std::fs::write(dir.join("policies/rate-limit.wasm"), "no module").unwrap();
    let (code, checked) = json(&dir, &["check", "--network", "devnet"]);
    assert_eq!((code, &checked["starts"]), (1, &Value::Bool(false)), "{checked}");
    assert!(checked["trouble"].as_str().unwrap().contains("rate-limit"), "{checked}");
}

#[test]
fn floors_only_rise_and_only_for_consensus_keys() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("signer");
    init(&dir);
    let set = |key: &'static str, height: &'static str| {
        json(
            &dir,
            &[
                "floors",
                "set",
                "--key",
                key,
                "--chain-id",
                "c-1",
                "--height",
                height,
                "--reason",
                "test",
            ],
        )
    };
    assert_eq!(set("demo.validator", "7").0, 0);
    let (code, again) = set("demo.validator", "7");
    assert_eq!(
        (code, &again["sequence"]),
        (0, &Value::Null),
        "where it stood, and no record: {again}"
    );
    let (code, lower) = set("demo.validator", "6");
    let said = lower["error"].as_str().unwrap();
    assert!(code == 1 && said.contains("7/end") && said.contains("6/end"), "{lower}");
    assert_eq!(set("demo.validator", "8").0, 0);
    assert_eq!(set("demo.account", "8").0, 1);
    let (code, above) = set("demo.validator", "9223372036854775808");
    assert_eq!(code, 2, "{above}");
    assert!(above["error"].as_str().unwrap().contains("int64"), "{above}");
    let (_, floors) = json(&dir, &["floors", "show"]);
    assert_eq!(
        (floors[0]["key"].as_str(), floors[0]["position"].as_str()),
        (Some("demo.validator.v1"), Some("8/end"))
    );
}

#[test]
fn a_checkpoint_that_is_gone_is_rebuilt_only_on_purpose() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("signer");
    init(&dir);
    let rebuild = || json(&dir, &["ledger", "rebuild-checkpoint", "--reason", "test"]);
    let (code, refused) = rebuild();
    assert_eq!(code, 1, "there is one: {refused}");
    std::fs::remove_file(dir.join("state/checkpoint.redb")).unwrap();
    let floor = [
        "floors",
        "set",
        "--key",
        "demo.validator",
        "--chain-id",
        "c-1",
        "--height",
        "7",
        "--reason",
        "test",
    ];
    let (code, refused) = json(&dir, &floor);
    assert_eq!(code, 2, "nothing opens the ledger without its checkpoint: {refused}");
    let (code, rebuilt) = rebuild();
    assert_eq!((code, &rebuilt["rebuilt"]), (0, &Value::Bool(true)), "{rebuilt}");
    assert!(rebuilt["meaning"].as_str().unwrap().contains("floors show"), "{rebuilt}");
    assert_eq!(json(&dir, &floor).0, 0);
}

#[test]
fn a_replaced_module_is_noticed_and_pinned_on_purpose() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("signer");
    init(&dir);
    let module = dir.join("policies/rate-limit.wasm");
    std::fs::copy(dir.join("policies/network-mode.wasm"), &module).unwrap();
    let (code, listed) = json(&dir, &["policy", "list"]);
    assert_eq!((code, listed[3]["state"].as_str()), (1, Some("differs from its pin")));
    let (code, pinned) = json(&dir, &["policy", "pin", "rate-limit", "--embedded"]);
    assert_eq!(code, 0, "{pinned}");
    assert_eq!(json(&dir, &["policy", "list"]).0, 0);
    std::fs::write(&module, "no module").unwrap();
    assert_eq!(
        json(&dir, &["policy", "pin", "rate-limit"]).0,
        1,
        "what could not start is not pinned"
    );
}

#[test]
fn the_matrix_and_the_help_need_no_deployment() {
    let nowhere = Path::new("/nonexistent");
    let (code, matrix) = json(nowhere, &["check", "--matrix"]);
    assert_eq!(code, 0);
    let mock = matrix
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["rule"] == "mock-hsm-backend")
        .unwrap();
    assert_eq!(
        (mock["networks"]["devnet"].as_str(), mock["networks"]["mainnet"].as_str()),
        (Some("silent"), Some("refuse"))
    );
    let help = sigwarden(nowhere, &["sign", "--help"]);
    assert!(help.status.success() && text(&help.stdout).contains("Examples:"));
    assert_eq!(sigwarden(nowhere, &["sing"]).status.code(), Some(2));
}

#[test]
fn wrong_arguments_are_json_too_where_json_is_asked_for() {
    let (code, wrong) = json(Path::new("/nowhere"), &["keys", "suspend"]);
    let said = wrong["error"].as_str().unwrap();
    assert!(code == 2 && said.contains("--reason") && !said.starts_with("error"), "{wrong}");
}

#[test]
fn the_clock_is_accepted_on_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("signer");
    init(&dir);
    let (code, accepted) = json(&dir, &["ledger", "accept-clock", "--reason", "date checked"]);
    assert_eq!(code, 0, "{accepted}");
    let output = sigwarden(&dir, &["--json", "audit", "tail"]);
    let tail = text(&output.stdout);
    assert!(tail.contains("\"kind\":\"clock\"") && tail.contains("date checked"), "{tail}");
}

#[test]
fn a_generated_passphrase_is_for_devnets() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("signer");
    let (code, refused) = json(&dir, &["init", "--network", "mainnet", "--generate-passphrase-file"]);
    assert_eq!(code, 1, "{refused}");
    assert!(!dir.exists());
    let output = Command::new(env!("CARGO_BIN_EXE_sigwarden"))
        .args(["init", "--network", "mainnet", "--passphrase-env", "TEST_PASSPHRASE", "--dir"])
        .arg(&dir)
        .args(["--marker-dir", &markers(&dir)])
        .env("TEST_PASSPHRASE", "correct horse battery staple")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let config = std::fs::read_to_string(dir.join("sigwarden.toml")).unwrap();
    assert!(config.contains("passphrase_env = \"TEST_PASSPHRASE\"") && !config.contains("correct horse"));
}

#[test]
fn a_head_kept_elsewhere_is_found_in_the_log_that_it_is_of_and_in_no_other() {
    let home = tempfile::tempdir().unwrap();
    let (dir, other) = (home.path().join("one"), home.path().join("two"));
    init(&dir);
    init(&other);
    let (code, before) = json(&dir, &["audit", "verify"]);
    let head = before["head"].as_str().unwrap();
    assert_eq!((code, before["holds"].as_bool()), (0, Some(true)));
    // The log goes on; the head is that of a record in its middle.
    let (code, _) = json(&dir, &["ledger", "accept-clock", "--reason", "a test"]);
    assert_eq!(code, 0);
    let (code, found) = json(&dir, &["audit", "verify", "--head", head]);
    assert_eq!((code, &found["head_found_at"]), (0, &before["last_sequence"]));
    assert_ne!(found["head"], before["head"]);
    // Another log holds as well, and is not the one.
    let (code, missing) = json(&other, &["audit", "verify", "--head", head]);
    assert_eq!((code, missing["holds"].as_bool()), (1, Some(false)));
    assert!(missing["trouble"].as_str().unwrap().contains(head), "{missing}");
    assert_eq!(json(&dir, &["audit", "verify", "--head", "xyz"]).0, 2, "not a hash");
}
