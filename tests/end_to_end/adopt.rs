//! A deployment that is not where it was: copied, moved, restored. It refuses until it is adopted above what its keys signed.

use crate::common::{floor, node};
use sigwarden_tests::Node;
use sigwarden_tests::payload::{ACCOUNT, ALLOWED, VALIDATOR, precommit, transfer};
use std::path::Path;
use std::process::Command;

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// A command of the binary on another directory than the node's own.
fn run_in(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(sigwarden_tests::node::binary().unwrap());
    let output = command
        .arg("-d")
        .arg(dir)
        .args(arguments)
        .env_remove("SIGWARDEN_DEPLOYMENT")
        .output()
        .unwrap();
    let all = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&all).into_owned())
}

fn refused(dir: &Path, arguments: &[&str], words: &[&str]) {
    let (code, said) = run_in(dir, arguments);
    assert_ne!(code, 0, "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}`: {said}");
    }
}

fn vote(node: &Node, height: u64) -> Result<(), String> {
    let signed = node
        .caller()
        .unwrap()
        .signed(VALIDATOR, "cometbft/vote", precommit(height, 0, 1, 1).sign_bytes());
    signed.map(drop).map_err(|error| format!("{error:?}"))
}

#[test]
fn a_copy_refuses_everything_until_it_is_adopted_with_a_floor_and_then_the_original_refuses() {
    let mut node = node();
    floor(&node, 0);
    node.start().unwrap();
    vote(&node, 5).unwrap();
    node.stop().unwrap();
    let copied = node.dir().with_file_name("copy");
    copy(node.dir(), &copied);

    let adopt = "sigwarden ledger adopt --floor HEIGHT --reason TEXT";
    let set = [
        "floors",
        "set",
        "--key",
        VALIDATOR,
        "--chain-id",
        "other",
        "--height",
        "1",
        "--reason",
        "x",
    ];
    for command in [&["serve"][..], &["check"], &set] {
        refused(&copied, command, &["copied or moved to", adopt]);
    }
    let before = std::fs::read_dir(copied.join("state/log")).unwrap().count();
    refused(
        &copied,
        &["ledger", "adopt", "--reason", "moved"],
        &["needs a floor for chain `sigwarden-devnet`", "5/0/3"],
    );
    refused(
        &copied,
        &["ledger", "adopt", "--floor", "4", "--reason", "moved"],
        &["4/end is below it", "5/0/3"],
    );
    refused(
        &copied,
        &["ledger", "adopt", "--floor", "nowhere=9", "--reason", "moved"],
        &["no floor is of chain `nowhere`"],
    );
    refused(&copied, &["ledger", "adopt", "--floor", "9", "--reason", ""], &["say why"]);
    assert_eq!(
        std::fs::read_dir(copied.join("state/log")).unwrap().count(),
        before,
        "nothing was written"
    );

    let (code, said) = run_in(&copied, &["--json", "ledger", "adopt", "--floor", "9", "--reason", "moved"]);
    assert_eq!(code, 0, "{said}");
    let adopted: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&adopted["generation"], &adopted["raised"]), (&2.into(), &1.into()), "{adopted}");
    refused(
        &copied,
        &["ledger", "adopt", "--floor", "9", "--reason", "again"],
        &["nothing to adopt"],
    );
    let (code, said) = run_in(&copied, &["audit", "verify"]);
    assert_eq!(code, 0, "{said}");
    let (_, tail) = run_in(&copied, &["--json", "audit", "tail", "-n", "9"]);
    assert!(
        tail.contains("ledger adopt: generation 2: moved"),
        "who and why are recorded: {tail}"
    );
    assert_eq!(run_in(&copied, &["check"]).0, 0);

    refused(node.dir(), &["serve"], &[adopt]);
    let (code, said) = run_in(node.dir(), &["ledger", "adopt", "--floor", "20", "--reason", "back again"]);
    assert_eq!(code, 0, "{said}");
    node.start().unwrap();
    assert!(vote(&node, 20).unwrap_err().contains("floor/regression"));
    vote(&node, 21).unwrap();
}

#[test]
fn an_older_state_that_was_restored_in_its_place_refuses() {
    let mut node = node();
    floor(&node, 0);
    let backup = node.dir().with_file_name("backup");
    copy(&node.dir().join("state"), &backup);
    node.start().unwrap();
    vote(&node, 5).unwrap();
    node.stop().unwrap();
    // The files alone, in the very directory: neither its name nor its inode tells.
    let state = node.dir().join("state");
    for entry in std::fs::read_dir(&state).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap()
        } else {
            std::fs::remove_file(path).unwrap()
        }
    }
    copy(&backup.join("."), &state);
    refused(node.dir(), &["serve"], &["an older state of it was restored", "ledger adopt"]);
    refused(node.dir(), &["check"], &["an older state of it was restored"]);
    // As a whole directory of the same name.
    std::fs::rename(&state, node.dir().join("set-aside")).unwrap();
    copy(&backup, &state);
    refused(node.dir(), &["serve"], &["ledger adopt"]);
}

#[test]
fn a_crash_and_a_refused_start_ask_for_no_adoption() {
    let mut node = node();
    floor(&node, 0);
    for height in 1..4 {
        node.start().unwrap();
        vote(&node, height).unwrap();
        node.kill().unwrap();
    }
    node.start().unwrap();
    vote(&node, 4).unwrap();
}

#[test]
fn a_daemon_stops_when_a_copy_of_its_deployment_is_adopted() {
    let mut node = Node::init(|config| {
        let config = sigwarden_tests::example::with_rules(&config, sigwarden_tests::example::OPEN);
        config.replace("# [limits]", "[limits]\nwatch_ms = 50")
    })
    .unwrap();
    node.start().unwrap();
    let copied = node.dir().with_file_name("copy");
    copy(node.dir(), &copied);
    // On one machine the daemon is seen.
    refused(&copied, &["ledger", "adopt", "--reason", "by mistake"], &["is in use"]);
    adopted_elsewhere(&node);
    assert!(!node.wait().unwrap().success());
    assert!(node.log().contains("two must not sign"), "{}", node.log());
    stays_fenced(&mut node);
}

#[test]
fn a_daemon_that_is_stopped_before_it_looks_leaves_the_fence_where_it_is() {
    let mut node = node();
    node.start().unwrap();
    adopted_elsewhere(&node);
    node.stop().unwrap();
    stays_fenced(&mut node);
}

#[test]
fn a_marker_that_is_gone_stops_the_daemon_and_is_not_made_again() {
    let mut node = Node::init(|config| {
        let config = sigwarden_tests::example::with_rules(&config, sigwarden_tests::example::OPEN);
        config.replace("# [limits]", "[limits]\nwatch_ms = 50")
    })
    .unwrap();
    node.start().unwrap();
    std::fs::remove_file(marker(&node)).unwrap();
    assert!(!node.wait().unwrap().success());
    assert!(!marker_dir_has_files(&node));
    assert!(node.start().unwrap_err().to_string().contains("ledger adopt"));
}

fn marker(node: &Node) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(node.marker_dir()).unwrap();
    files.next().unwrap().unwrap().path()
}

fn marker_dir_has_files(node: &Node) -> bool {
    std::fs::read_dir(node.marker_dir()).unwrap().next().is_some()
}

/// What the adoption of a copy leaves that this machine's locks do not show: one in a container, on a shared disk.
fn adopted_elsewhere(node: &Node) {
    let text = std::fs::read_to_string(marker(node)).unwrap();
    let raised = text.replace("\"generation\": 1", "\"generation\": 2");
    assert_ne!(text, raised);
    let (file, fresh) = (marker(node), node.dir().with_extension("fresh"));
    std::fs::write(&fresh, raised).unwrap();
    std::fs::rename(fresh, file).unwrap();
}

/// The marker is still the other's, and a start refuses.
fn stays_fenced(node: &mut Node) {
    assert!(std::fs::read_to_string(marker(node)).unwrap().contains("\"generation\": 2"));
    for _ in 0..2 {
        assert!(node.start().unwrap_err().to_string().contains("generation"));
    }
}

#[test]
fn a_file_that_opens_up_under_a_running_daemon_is_an_alarm_and_a_record() {
    use std::os::unix::fs::PermissionsExt;
    let mut node = Node::init(|config| {
        let config = sigwarden_tests::example::with_rules(&config, sigwarden_tests::example::OPEN);
        config.replace("# [limits]", "[limits]\nwatch_ms = 50")
    })
    .unwrap();
    node.start().unwrap();
    node.caller()
        .unwrap()
        .signed(ACCOUNT, "evm/eip-1559", transfer(1, Some(ALLOWED), 1).unsigned())
        .unwrap();
    let key = node.vault_dir().join(format!("{ACCOUNT}.v1.key"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let begun = std::time::Instant::now();
    let alarm = loop {
        let found = node.audit(50).unwrap().into_iter().find(|record| record["kind"] == "alarm");
        if let Some(alarm) = found {
            break alarm;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "no alarm is recorded");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    let reason = alarm["body"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("demo.account.v1.key") && reason.contains("mode 0600") && reason.contains("0644"),
        "{reason}"
    );
    assert!(node.log().contains("file-mode"));
    assert_eq!(
        node.audit(50).unwrap().iter().filter(|record| record["kind"] == "alarm").count(),
        1,
        "told once"
    );
}
