//! Runs the Go peers: builds them, speaks JSON lines with them, ends them. Included by the tests of several crates with `#[path]`.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Far above what a peer takes on a busy machine; a test that hangs says where.
const PATIENCE: Duration = Duration::from_secs(60);

/// The Go that the modules ask for, or a later one.
const GO_MISSING: &str = "the tests' CometBFT peers are written in Go: install Go 1.25 or later, as package `golang-go` or from go.dev/dl, \
     and have `go` on the PATH; the first build downloads their modules by the usual module proxy";

/// Whose code a peer runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(dead_code, reason = "not every crate that includes this file tests every version")]
pub(crate) enum Version {
    V0_34,
    V0_38,
    V1,
    Celestia,
}

impl Version {
    /// Directory, name of the program, and what its build takes more.
    fn build(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Self::V0_34 => ("v0_34", "cometbft-v0_34", &[]),
            Self::V0_38 => ("v0_38", "cometbft-v0_38", &[]),
            Self::V1 => ("v1", "cometbft-v1", &[]),
            Self::Celestia => ("v0_38", "celestia", &["-modfile=celestia.mod", "-tags=celestia"]),
        }
    }

    /// The program, built when first asked for. Go's own cache makes that a second when nothing has changed.
    ///
    /// # Panics
    /// There is no Go, or it does not build.
    pub(crate) fn program(self) -> PathBuf {
        static BUILT: Mutex<BTreeMap<Version, PathBuf>> = Mutex::new(BTreeMap::new());
        let mut built = BUILT.lock().unwrap();
        built.entry(self).or_insert_with(|| self.compile()).clone()
    }

    fn compile(self) -> PathBuf {
        let (directory, name, flags) = self.build();
        let sources = sources().join(directory);
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let go = Command::new("go")
            .args(["build", "-trimpath", "-ldflags=-s -w", "-o"])
            .arg(&program)
            .args(flags)
            .arg(".")
            .current_dir(&sources)
            .env("GOFLAGS", "-mod=readonly -buildvcs=false")
            .env("GOWORK", "off")
            .output();
        let go = go.unwrap_or_else(|error| panic!("{error}: {GO_MISSING}"));
        assert!(
            go.status.success(),
            "go build in {}: {}\n{GO_MISSING}",
            sources.display(),
            String::from_utf8_lossy(&go.stderr)
        );
        program
    }
}

/// `tests/peers/cometbft` of the repository that the including crate is in.
fn sources() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut found = crates.map(|directory| directory.join("tests/peers/cometbft"));
    found.find(|directory| directory.is_dir()).expect("the peers are in the repository")
}

/// A peer that runs; dropped, it is ended.
pub(crate) struct Peer {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<Value>,
}

impl Peer {
    /// Runs a program of a version's peer: `listener`, `echo`, `chain`, `init`.
    pub(crate) fn start(version: Version, arguments: &[&str]) -> Self {
        let mut child = Command::new(version.program())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        Self { child, stdin, lines }
    }

    /// The next line.
    ///
    /// # Panics
    /// There is none for a minute, or no more at all.
    pub(crate) fn line(&self) -> Value {
        self.lines.recv_timeout(PATIENCE).expect("a line of the peer")
    }

    /// Sends a command and returns its answer.
    pub(crate) fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.stdin, "{command}").unwrap();
        self.line()
    }

    /// Ends the peer at once, as a power cut would.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// The process id, for signals.
    #[allow(dead_code, reason = "not every crate that includes this file sends any")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.end();
    }
}
