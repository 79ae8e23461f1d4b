//! What happens to the daemon on the way: kills, restarts, a disk without room, a wall clock that steps.

use anyhow::{Context, Result, bail};
use sigwarden_tests::Node;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A library that shifts a process's wall clock, and no other clock: Debian's `faketime`.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
/// Room beyond which a file system is not filled: somebody else's.
const OWN_DISK_MAX: u64 = 64 << 30;

/// Something that happened, seconds after the beginning.
#[derive(Debug, Clone)]
pub(crate) struct Happened {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) what: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Episode {
    Kill,
    Restart,
    FullDisk,
    ClockAhead,
    ClockBehind,
}

impl Episode {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9",
            Self::Restart => "restart",
            Self::FullDisk => "disk full",
            Self::ClockAhead => "clock +90 s",
            Self::ClockBehind => "clock -8 s",
        }
    }
}

/// The episodes that this machine can give.
pub(crate) struct Episodes {
    possible: Vec<Episode>,
    left_out: Vec<&'static str>,
    shift: PathBuf,
}

impl Episodes {
    /// Finds out what is possible, and prepares the node for it.
    pub(crate) fn prepare(node: &mut Node) -> Result<Self> {
        let mut possible = vec![Episode::Kill, Episode::Restart];
        let mut left_out = Vec::new();
        // `cargo xtask soak` makes one if it can, and says so.
        if std::env::var_os("SIGWARDEN_SOAK_DISK").is_some() && room(node.dir())? < OWN_DISK_MAX {
            possible.push(Episode::FullDisk);
        } else {
            left_out.push("disk full (needs root, for a file system of its own)");
        }
        let shift = node.dir().with_extension("faketime");
        if Path::new(FAKETIME).exists() {
            std::fs::write(&shift, "+0")?;
            for (name, value) in [
                ("LD_PRELOAD", FAKETIME),
                ("FAKETIME_TIMESTAMP_FILE", &shift.display().to_string()),
                ("FAKETIME_CACHE_DURATION", "1"),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
                ("FAKETIME_DONT_RESET", "1"),
            ] {
                node.set_env(name, value);
            }
            possible.extend([Episode::ClockAhead, Episode::ClockBehind]);
        } else {
            left_out.push("clock steps (needs Debian's faketime)");
        }
        Ok(Self { possible, left_out, shift })
    }

    pub(crate) fn described(&self) -> String {
        let names: Vec<_> = self.possible.iter().map(|episode| episode.name()).collect();
        let left_out = self.left_out.iter().map(|what| format!("; not here: {what}")).collect::<String>();
        format!("{}{left_out}", names.join(", "))
    }

    /// Plays them one after the other, evenly over the time, with quiet in between and at both ends.
    pub(crate) fn play(&self, node: &Mutex<Node>, begun: Instant, length: Duration) -> Result<Vec<Happened>> {
        let rounds = (length.as_secs() / 300).max(1);
        let count = u32::try_from(rounds * self.possible.len() as u64).unwrap_or(u32::MAX);
        let step = length / (count + 1);
        let mut happened = Vec::new();
        for number in 1..=count {
            let at = begun + step * number - step / 4;
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            let index = usize::try_from(number - 1).unwrap_or(0) % self.possible.len();
            let Some(episode) = self.possible.get(index).copied() else { break };
            let from = begun.elapsed().as_secs_f64();
            self.one(episode, node).with_context(|| episode.name())?;
            let to = begun.elapsed().as_secs_f64();
            println!("{from:7.1} s  {} for {:.1} s", episode.name(), to - from);
            happened.push(Happened {
                from,
                to,
                what: episode.name(),
            });
        }
        std::thread::sleep((begun + length).saturating_duration_since(Instant::now()));
        Ok(happened)
    }

    fn one(&self, episode: Episode, node: &Mutex<Node>) -> Result<()> {
        let lock = || node.lock().unwrap_or_else(PoisonError::into_inner);
        match episode {
            Episode::Kill => {
                let mut node = lock();
                node.kill()?;
                node.start()
            }
            Episode::Restart => {
                let mut node = lock();
                if !node.stop()?.success() {
                    bail!("the daemon did not stop in order\n{}", node.log());
                }
                node.start()
            }
            Episode::FullDisk => {
                let filler = lock().dir().with_extension("filler");
                let free = room(&filler)?;
                // What is left is below the reserve: nothing is decided.
                let file = std::fs::File::create(&filler)?;
                rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, free.saturating_sub(16 << 20))?;
                std::thread::sleep(Duration::from_secs(3));
                std::fs::remove_file(&filler)?;
                Ok(())
            }
            Episode::ClockAhead => {
                std::fs::write(&self.shift, "+90")?;
                std::thread::sleep(Duration::from_secs(3));
                std::fs::write(&self.shift, "+0")?;
                Ok(())
            }
            Episode::ClockBehind => {
                std::fs::write(&self.shift, "-8")?;
                std::thread::sleep(Duration::from_secs(3));
                std::fs::write(&self.shift, "+0")?;
                Ok(())
            }
        }
    }
}

fn room(path: &Path) -> Result<u64> {
    let dir = path.parent().context("a directory")?;
    let room = rustix::fs::statvfs(dir)?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}
