//! A throw-away deployment and its daemon, both by the real binary.

use crate::caller::Caller;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a daemon may take to answer or to stop before a test gives up on it: loaded machines are slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// A deployment in a temporary directory, with or without a daemon.
pub struct Node {
    // Dropped last: the daemon writes there.
    daemon: Option<Child>,
    dir: PathBuf,
    env: Vec<(String, String)>,
    _home: tempfile::TempDir,
}

/// The binary under test, built by `cargo xtask test`.
///
/// # Errors
/// It is not there.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SIGWARDEN_BIN") {
        return Ok(path.into());
    }
    // Tests run as target/PROFILE/deps/NAME, the demo as target/PROFILE/demo.
    let me = std::env::current_exe()?;
    let found = me
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("sigwarden"))
        .find(|path| path.is_file());
    found.context("the binary `sigwarden` is not built; run `cargo xtask test`, which builds it first")
}

impl Node {
    /// `sigwarden init` for a devnet, then `edit` on the configuration's text.
    ///
    /// # Errors
    /// `init` fails.
    pub fn init(edit: impl FnOnce(String) -> String) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("sigwarden-").tempdir()?;
        let dir = home.path().join("deployment");
        let node = Self {
            daemon: None,
            dir,
            env: Vec::new(),
            _home: home,
        };
        let markers = node.marker_dir().display().to_string();
        node.expect(&[
            "init",
            "--network",
            "devnet",
            "--generate-passphrase-file",
            "--marker-dir",
            &markers,
        ])?;
        let config = node.dir.join("sigwarden.toml");
        let text = edit(std::fs::read_to_string(&config)?);
        std::fs::write(&config, text)?;
        Ok(node)
    }

    /// Where the deployment's marker is: beside it, so that nothing is left behind.
    #[must_use]
    pub fn marker_dir(&self) -> PathBuf {
        self.dir.with_extension("markers")
    }

    /// The deployment's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs a command of the binary on this deployment.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        self.command(arguments)?.output().context("the binary does not start")
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command.arg("--deployment").arg(&self.dir).args(arguments).stdin(Stdio::null());
        command.env_remove("SIGWARDEN_DEPLOYMENT").env_remove("NO_COLOR");
        Ok(command)
    }

    /// Runs a command that must succeed; gives its standard output.
    ///
    /// # Errors
    /// It fails; with what it printed.
    pub fn expect(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !output.status.success() {
            bail!(
                "sigwarden {}: {}\n{}{}",
                arguments.join(" "),
                output.status,
                text(&output.stdout),
                text(&output.stderr)
            );
        }
        Ok(text(&output.stdout))
    }

    /// Runs a command that must fail; gives its exit code and standard error.
    ///
    /// # Errors
    /// It succeeds, or ends by a signal.
    pub fn expect_failure(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let output = self.run(arguments)?;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => bail!(
                "sigwarden {} succeeded: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stdout)
            ),
            Some(code) => Ok((code, errors)),
            None => bail!("sigwarden {} ended by a signal: {errors}", arguments.join(" ")),
        }
    }

    /// Sets a variable in the environment of daemons that are started from now on.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Starts the daemon and waits until it answers.
    ///
    /// # Errors
    /// It ends, or does not answer in time; with its log.
    pub fn start(&mut self) -> Result<()> {
        let log = std::fs::File::create(self.log_file())?;
        let env = self.env.clone();
        let child = self.command(&["serve"])?.envs(env).stdout(Stdio::null()).stderr(log).spawn()?;
        let child = self.daemon.insert(child);
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                self.daemon = None;
                bail!("the daemon ended: {status}\n{}", self.log());
            }
            let socket = self.dir.join("run/sigwarden.sock");
            if Caller::connect(&socket)
                .and_then(|mut caller| caller.health())
                .is_ok_and(|health| health.ready)
            {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                bail!("the daemon does not answer\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where the daemon's log goes.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.dir.with_extension("log")
    }

    /// The daemon's log so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// A connection to the daemon, as this user.
    ///
    /// # Errors
    /// It does not accept.
    pub fn caller(&self) -> Result<Caller> {
        Ok(Caller::connect(&self.socket())?)
    }

    /// The daemon's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.join("run/sigwarden.sock")
    }

    /// The passphrase that `init` generated.
    #[must_use]
    pub fn passphrase_file(&self) -> PathBuf {
        self.dir.join("passphrase")
    }

    /// Where the sealed files are.
    #[must_use]
    pub fn vault_dir(&self) -> PathBuf {
        self.dir.join("keys")
    }

    /// The daemon's process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Child::id)
    }

    /// Sends the daemon a signal.
    ///
    /// # Errors
    /// There is none.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self
            .pid()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
            .context("no daemon")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Kills the daemon as a power cut would: SIGKILL.
    ///
    /// # Errors
    /// There is none.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.wait().map(|_| ())
    }

    /// Asks the daemon to stop and waits for it.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait()
    }

    /// Waits for the daemon to end.
    ///
    /// # Errors
    /// It does not.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let child = self.daemon.as_mut().context("no daemon")?;
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                self.daemon = None;
                return Ok(status);
            }
            if begun.elapsed() > PATIENCE {
                bail!("the daemon does not end\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The audit log's last lines, parsed.
    ///
    /// # Errors
    /// `audit tail` fails.
    pub fn audit(&self, count: usize) -> Result<Vec<serde_json::Value>> {
        let text = self.expect(&["audit", "tail", "--json", "-n", &count.to_string()])?;
        text.lines()
            .map(|line| serde_json::from_str(line).context("a line of the audit log"))
            .collect()
    }

    /// The audit log's lines about one request; waits for its outcome, which is written with the next batch, within a second or so.
    ///
    /// # Errors
    /// `audit tail` fails, or there is no outcome.
    pub fn audit_of(&self, request_id: &str) -> Result<Vec<serde_json::Value>> {
        let begun = Instant::now();
        loop {
            let mut lines = self.audit(200)?;
            lines.retain(|line| line["body"]["request"] == request_id);
            if lines.iter().any(|line| line["kind"] == "outcome") {
                return Ok(lines);
            }
            if begun.elapsed() > PATIENCE {
                bail!("no outcome of {request_id} is recorded");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = self.daemon.as_mut() {
            // By its id, and only ours; a failure means that it has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
