//! Runs a runbook.

use crate::book::{self, Block};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fmt::Write as _;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a runbook may take: loaded machines are slow.
const PATIENCE: Duration = Duration::from_secs(300);

/// The port that runbooks give to metrics; a test takes a free one.
const METRICS_PORT: &str = "9464";

/// Before the first block. What still runs at the end, wherever that is, is stopped: the shell's own children, by their ids.
const PROLOGUE: &str = r#"set -euo pipefail
runbook_stop() { for pid in $(jobs -p); do kill "$pid" 2>/dev/null || true; wait "$pid" || true; done; }
trap runbook_stop EXIT
runbook_ready() {
  for _ in $(seq 600); do
    if grep -q ' ready socket=' "$2"; then return 0; fi
    if ! kill -0 "$1" 2>/dev/null; then echo "the daemon ended" >&2; return 1; fi
    sleep 0.1
  done
  echo "the daemon does not get ready" >&2; return 1
}
"#;

/// Runs a runbook from its first command to its last, and compares what it says with what was printed.
pub(crate) fn run(name: &str, variables: &[(&str, &str)]) {
    let blocks = book::blocks(&book::read(name));
    assert!(!blocks.is_empty(), "docs/{name} has no command");
    let dir = tempfile::Builder::new().prefix("sigwarden-runbook-").tempdir().unwrap();
    let (home, bin, record) = (dir.path().join("home"), dir.path().join("bin"), dir.path().join("record"));
    for folder in [&home, &bin, &record] {
        std::fs::create_dir(folder).unwrap();
    }
    std::os::unix::fs::symlink(sigwarden_tests::node::binary().unwrap(), bin.join("sigwarden")).unwrap();
    let path = dir.path().join("script");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::fs::write(&path, script(&blocks).replace(METRICS_PORT, &port.to_string())).unwrap();

    let mut command = Command::new("bash");
    command.arg(&path).current_dir(&home).process_group(0);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(record.join("errors")).unwrap());
    let inherited = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{inherited}", bin.display()));
    for strange in [
        "SIGWARDEN_DEPLOYMENT",
        "SIGWARDEN_LOG",
        "XDG_STATE_HOME",
        "SOFTHSM2_CONF",
        "SIGWARDEN_MOCK_HSM",
    ] {
        command.env_remove(strange);
    }
    command.env("HOME", &home).env("RUNBOOK", &record).envs(variables.iter().copied());
    let status = Shell(command.spawn().unwrap()).wait();
    judge(name, &blocks, &record, status);
}

fn script(blocks: &[Block]) -> String {
    let mut script = String::from(PROLOGUE);
    for (number, block) in blocks.iter().enumerate() {
        let commands: String = block
            .commands
            .lines()
            .enumerate()
            .map(|(at, line)| prepared(line, number, at))
            .collect();
        let out = format!("\"$RUNBOOK/out.{number}\"");
        let _ = match block.fails {
            // In a subshell of its own, where the first failure ends it; `if` would switch that off.
            true => writeln!(
                script,
                "set +e\n( set -e\n{commands}) >{out} 2>&1\ncode=$?\nset -e\n\
                 if [ $code -eq 0 ]; then echo 'line {}: it succeeds' >&2; exit 1; fi",
                block.line
            ),
            // In this shell, so that variables and the daemon's process id stay known.
            false => writeln!(script, "{{\n{commands}}} >{out} 2>&1"),
        };
    }
    script
}

/// A line that starts a daemon is followed by waiting for it, as an operator would.
fn prepared(line: &str, block: usize, at: usize) -> String {
    match line.strip_suffix(" serve &") {
        Some(start) => {
            let log = format!("\"$RUNBOOK/daemon.{block}.{at}\"");
            format!("{start} serve >{log} 2>&1 &\nrunbook_ready $! {log}\n")
        }
        None => format!("{line}\n"),
    }
}

fn judge(name: &str, blocks: &[Block], record: &Path, status: Option<ExitStatus>) {
    let read = |file: &str| std::fs::read_to_string(record.join(file)).unwrap_or_default();
    let begun = (0..blocks.len())
        .filter(|number| record.join(format!("out.{number}")).exists())
        .count();
    if !status.is_some_and(|status| status.success()) {
        let last = begun.saturating_sub(1);
        let mut logs = String::new();
        for entry in record.read_dir().unwrap().map(Result::unwrap) {
            if entry.file_name().to_string_lossy().starts_with("daemon.") {
                logs.push_str(&std::fs::read_to_string(entry.path()).unwrap());
            }
        }
        let how = status.map_or("did not end in time".to_owned(), |status| status.to_string());
        panic!(
            "docs/{name}, line {}: {how}\n{}\n{}\n{}\n{logs}",
            blocks[last].line,
            blocks[last].commands,
            read(&format!("out.{last}")),
            read("errors"),
        );
    }
    assert_eq!(begun, blocks.len(), "docs/{name}: not every block was run");
    for (number, block) in blocks.iter().enumerate() {
        let printed = read(&format!("out.{number}"));
        if let Some(missing) = block.prints.as_ref().and_then(|says| book::missing(says, &printed)) {
            panic!(
                "docs/{name}, line {}: `{missing}` is not in what these commands print, or not there:\n{}\n{printed}",
                block.line, block.commands
            );
        }
    }
}

/// A shell and what it started; gone with this.
struct Shell(Child);

impl Shell {
    /// None if it did not end in time.
    fn wait(mut self) -> Option<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        // Its own group, which we made; it has not been waited for, so the id is still its own.
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

#[test]
fn a_daemon_is_waited_for_and_a_failure_must_fail() {
    let block = |commands: &str, fails| Block {
        line: 7,
        commands: commands.to_owned(),
        fails,
        prints: None,
    };
    let script = script(&[block("sigwarden -d signer serve &\n", false), block("false\n", true)]);
    assert!(script.contains("sigwarden -d signer serve >\"$RUNBOOK/daemon.0.0\" 2>&1 &\nrunbook_ready $! \"$RUNBOOK/daemon.0.0\"\n"));
    let run = |text: &str| {
        let record = tempfile::tempdir().unwrap();
        let status = Command::new("bash")
            .arg("-c")
            .arg(text)
            .env("RUNBOOK", record.path())
            .stderr(Stdio::null())
            .status();
        status.unwrap().success()
    };
    assert!(run(&self::script(&[block("false\n", true), block("true\n", false)])));
    assert!(!run(&self::script(&[block("true\n", true)])));
    assert!(!run(&self::script(&[block("false\ntrue\n", false)])));
    assert!(run(&self::script(&[block("false\ntrue\n", true)])));
}
