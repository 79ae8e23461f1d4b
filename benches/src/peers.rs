//! `peers`: Sigwarden and the published tmkms sign prevotes for the same listener of CometBFT, in windows that alternate.

use crate::deployment::{floor, node_with};
use crate::privval::link;
use crate::table::Row;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sigwarden_tests::payload::COMETBFT_CHAIN;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Windows of each.
const WINDOWS: usize = 5;

/// Where tmkms writes what it logs, a line a vote.
const LOG: &str = "tmkms.log";

/// What the figures leave out.
pub const DURABILITY: &str = "tmkms renames a new state file over the old one without fsync: after a power cut it may sign for a position \
     again. Sigwarden waits for fdatasync before it signs. Both run without TLS, over Unix sockets.";

/// Two rows: votes a second of each over those of tmkms, and what a vote takes, as CometBFT's own client sees it.
///
/// # Errors
/// One of them does not start, does not dial, or refuses.
pub fn peers(listener: &Path, tmkms: &Path, votes: u64) -> Result<Vec<Row>> {
    let home = tempfile::Builder::new().prefix("sigwarden-peers-").tempdir()?;
    let socket = |name: &str| home.path().join(name);
    let (ours, theirs) = (socket("sigwarden.sock"), socket("tmkms.sock"));
    let mut near = Listener::start(listener, &ours)?;
    let mut far = Listener::start(listener, &theirs)?;
    let mut node = node_with(&link(&ours))?;
    floor(&node)?;
    node.start()?;
    let _tmkms = Tmkms::start(tmkms, home.path(), &theirs)?;
    near.connected().context("Sigwarden")?;
    far.connected().with_context(|| {
        format!(
            "tmkms, which says:\n{}",
            std::fs::read_to_string(home.path().join(LOG)).unwrap_or_default()
        )
    })?;
    near.load(votes / 4)?;
    far.load(votes / 4)?;
    let (mut of_ours, mut of_theirs) = (Windows::default(), Windows::default());
    for _ in 0..WINDOWS {
        of_theirs.0.push(far.load(votes)?);
        of_ours.0.push(near.load(votes)?);
    }
    let base = of_theirs.rate();
    Ok(vec![
        of_ours.row("peers-sigwarden", "Sigwarden", base),
        of_theirs.row("peers-tmkms", "tmkms 0.15.0, softsign", base),
    ])
}

/// One window's figures.
struct Window {
    rate: f64,
    p50: f64,
    p99: f64,
}

#[derive(Default)]
struct Windows(Vec<Window>);

impl Windows {
    /// The windows' median: another load of the machine spoils one of them, not all.
    fn median(&self, of: fn(&Window) -> f64) -> f64 {
        let mut values: Vec<f64> = self.0.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn rate(&self) -> f64 {
        self.median(|window| window.rate)
    }

    fn row(&self, name: &'static str, who: &str, base: f64) -> Row {
        let rates: Vec<String> = self.0.iter().map(|window| format!("{:.0}", window.rate)).collect();
        let note = format!("{who}: {:.0} votes/s, the median of {}", self.rate(), rates.join(", "));
        let times = (self.median(|window| window.p50), self.median(|window| window.p99));
        Row::new(name, self.rate() / base, times, base, None, note)
    }
}

/// CometBFT's listener: commands on its input, answers on its output, one JSON object a line.
struct Listener {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    height: u64,
}

impl Listener {
    fn start(program: &Path, socket: &Path) -> Result<Self> {
        let address = format!("unix://{}", socket.display());
        let mut child = Command::new(program)
            .args(["listener", "-listen", &address, "-chain", COMETBFT_CHAIN, "-accept", "60s"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| program.display().to_string())?;
        let input = child.stdin.take().context("an input")?;
        let output = BufReader::new(child.stdout.take().context("an output")?);
        let mut listener = Self {
            child,
            input,
            output,
            height: 1,
        };
        listener.answer()?;
        Ok(listener)
    }

    fn ask(&mut self, command: &Value) -> Result<Value> {
        writeln!(self.input, "{command}")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line).with_context(|| format!("CometBFT's listener said {line:?}"))?;
        ensure!(answer["ok"] == true, "CometBFT's listener: {}", answer["error"]);
        Ok(answer)
    }

    /// Waits until a signer has dialled.
    fn connected(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            match self.ask(&json!({ "do": "connected" })) {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() > Duration::from_secs(30) => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// So many prevotes of rising heights, each verified by CometBFT, outside of what is timed.
    fn load(&mut self, votes: u64) -> Result<Window> {
        let command = json!({
            "do": "load", "type": "prevote", "votes": votes, "height": self.height, "round": 0,
            "block": "01".repeat(32), "time": "2026-01-01T00:00:00Z",
        });
        self.height += votes;
        let answer = self.ask(&command)?;
        let figure = |name: &str| answer[name].as_f64().with_context(|| format!("{name} in {answer}"));
        Ok(Window {
            rate: figure("votes_per_second")?,
            p50: figure("median_us")?,
            p99: figure("p99_us")?,
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A tmkms that runs; it ends with its owner.
struct Tmkms(Child);

impl Tmkms {
    /// With new keys and a new state, for one validator; `tests/peers/cometbft/tmkms.md` has the recipe.
    fn start(program: &Path, home: &Path, socket: &Path) -> Result<Self> {
        let path = |name: &str| home.join(name).display().to_string();
        for key in ["consensus.key", "identity.key"] {
            let output = Command::new(program)
                .args(["softsign", "keygen", "-t", "consensus", &path(key)])
                .output()
                .with_context(|| program.display().to_string())?;
            if !output.status.success() {
                bail!("tmkms softsign keygen: {}", String::from_utf8_lossy(&output.stderr));
            }
        }
        let config: PathBuf = home.join("tmkms.toml");
        std::fs::write(&config, configuration(&path, socket))?;
        let log = File::create(home.join(LOG))?;
        let mut command = Command::new(program);
        command
            .arg("start")
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?);
        Ok(Self(command.stderr(log).spawn()?))
    }
}

fn configuration(path: &impl Fn(&str) -> String, socket: &Path) -> String {
    format!(
        r#"
[[chain]]
id = "{COMETBFT_CHAIN}"
key_format = {{ type = "hex" }}
state_file = "{}"
sign_extensions = true

[[validator]]
chain_id = "{COMETBFT_CHAIN}"
addr = "unix://{}"
secret_key = "{}"
reconnect = true

[[providers.softsign]]
chain_ids = ["{COMETBFT_CHAIN}"]
key_type = "consensus"
path = "{}"
"#,
        path("state.json"),
        socket.display(),
        path("identity.key"),
        path("consensus.key")
    )
}

impl Drop for Tmkms {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
