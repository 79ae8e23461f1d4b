//! The embedded ledger as the host uses it.

use crate::administer::{AdministerError, Administration};
use crate::budget::Budget;
use crate::checkpoint::Checkpoint;
use crate::counters::{Counters, Meter};
use crate::disk::{Disk, RealDisk};
use crate::error::OpenError;
use crate::hold::Hold;
use crate::keeper::Keeper;
use crate::open::{self, Opened};
use crate::record::{Kind, Start};
use crate::render;
use crate::room::{Room, SharedRoom};
use crate::segment::{SEGMENT_MAX, Writer};
use crate::sequencer::Sequencer;
use sigwarden_core::Ledger;
use sigwarden_core::ledger::{Commitment, Entry, LedgerFailure, Receipt};
use sigwarden_core::proof::{Approved, DecisionId};
use sigwarden_core::state::State;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How a ledger is opened.
#[derive(Clone)]
pub struct Settings {
    /// The wall clock, milliseconds since the Unix epoch: dates the new segment and the start's record, decides nothing.
    pub now_ms: u64,
    /// Called once, with the reason, when a durable write has failed: the process should refuse all and exit non-zero. Called on the
    /// thread that failed, under no lock.
    pub fatal: Arc<dyn Fn(&str) + Send + Sync>,
    /// Told of every durable write, on the thread that wrote and under no lock, once those who waited for it may go: how many records
    /// went with it, and how long its `fdatasync` took. Tells nobody by default.
    pub wrote: Wrote,
    /// With fewer bytes free than this nothing is decided any more; with fewer than four times as many only consensus keys are
    /// decided for; with fewer than sixteen times as many refusals are only counted. 64 MiB by default: room for every request in
    /// flight, a checkpoint and a segment's reserve of blocks.
    pub reserve_bytes: u64,
    /// How often appended entries that no commit carried are made durable. 250 ms by default: they are to be durable within a second,
    /// and a checkpoint may come in between.
    pub flush_every: Duration,
    /// How often the checkpoint follows even if little has changed. 10 s by default: bounds what a start after a crash reads.
    pub checkpoint_every: Duration,
    /// Whether a checkpoint that is missing is rebuilt from the log, as an operator has asked for. `false` by default: without it a
    /// lost end of the log cannot be noticed. One that is there is used all the same.
    pub rebuild_checkpoint: bool,
    /// Asked before anything is written; refuses a copy, or an older state than the last. None by default.
    pub admit: Option<Admit>,
    /// Begins another life of the deployment, of a generation above the one found and above this one. None by default.
    pub adopt_after: Option<u64>,
    /// A segment ends at this size. 256 MiB by default: one file is handled, copied and archived with ease.
    pub segment_bytes: u64,
    /// So many segments stay in the log; older ones that the checkpoint has absorbed are moved to the archive. 64 by default: a start
    /// reads a page or two of each.
    pub segments_kept: usize,
    /// Whether a thread of the ledger's own keeps it. `true` by default; a test that decides what happens when calls
    /// [`EmbeddedLedger::keep`] itself.
    pub keeper: bool,
}

impl Settings {
    /// The defaults.
    #[must_use]
    pub fn new(now_ms: u64, fatal: Arc<dyn Fn(&str) + Send + Sync>) -> Self {
        Self {
            now_ms,
            fatal,
            wrote: Arc::new(|_, _| ()),
            reserve_bytes: 64 * 1024 * 1024,
            flush_every: Duration::from_millis(250),
            checkpoint_every: Duration::from_secs(10),
            rebuild_checkpoint: false,
            admit: None,
            adopt_after: None,
            segment_bytes: SEGMENT_MAX,
            segments_kept: 64,
            keeper: true,
        }
    }
}

/// Is told of a durable write: its records, and how long its `fdatasync` took.
pub type Wrote = Arc<dyn Fn(u64, Duration) + Send + Sync>;

/// A deployment's ledger as it was found, before anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// The deployment's id.
    pub deployment_id: &'a str,
    /// Which life of the deployment.
    pub generation: u64,
    /// The last record's sequence.
    pub sequence: u64,
}

/// Says whether a ledger may be opened where it was found, or why not.
pub type Admit = Arc<dyn Fn(&Found<'_>) -> Result<(), String> + Send + Sync>;

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// 16 random bytes as hex, drawn when the deployment was made.
    pub deployment_id: String,
    /// Which life of the deployment.
    pub generation: u64,
    /// Bytes of a write that was not completed, cut from the log's end. Nothing acknowledged was in them.
    pub cut_bytes: u64,
    /// Records that the checkpoint lacked.
    pub caught_up: u64,
    /// The checkpoint was gone and was rebuilt from what the log holds, as an operator asked.
    pub rebuilt: bool,
}

/// How a ledger is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Why it refuses everything, if it does.
    pub poisoned: Option<String>,
    /// How much room the disk has.
    pub room: Room,
    /// The last sequence given.
    pub last_sequence: u64,
    /// The last durable one.
    pub durable_sequence: u64,
    /// Durable writes since it was opened: fewer than decisions, if these come together.
    pub writes: u64,
    /// BLAKE3 of the last line.
    pub head: [u8; 32],
    /// Refusals that were only counted, for want of room.
    pub refusals_dropped: u64,
}

/// State and log of one deployment, in its state directory. The caller holds the [`crate::DeploymentLock`]. Dropping it without
/// [`EmbeddedLedger::close`] is like a crash: what was appended within the last second may be lost, no decision is.
pub struct EmbeddedLedger {
    inner: Arc<Inner>,
    opening: Opening,
    keeper: Mutex<Keeper>,
}

/// What threads share.
pub(crate) struct Inner {
    pub(crate) sequencer: Mutex<Sequencer>,
    pub(crate) meter: Arc<Meter>,
    /// Locked by whoever leads.
    pub(crate) writer: Mutex<Writer>,
    pub(crate) checkpoint: Mutex<Checkpoint>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) state_dir: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) fatal: Arc<dyn Fn(&str) + Send + Sync>,
    pub(crate) wrote: Wrote,
    pub(crate) reserve_bytes: u64,
    pub(crate) flush_every: Duration,
    pub(crate) checkpoint_every: Duration,
    pub(crate) segments_kept: usize,
    pub(crate) room: SharedRoom,
    pub(crate) budget: Mutex<Budget>,
    pub(crate) shadow_budget: Mutex<Budget>,
    pub(crate) hold: Hold,
}

impl EmbeddedLedger {
    /// Makes a ledger and opens it. The state directory is made if it is not there.
    ///
    /// # Errors
    /// There is one already, or the disk refuses.
    pub fn create(state_dir: &Path, settings: Settings) -> Result<Self, OpenError> {
        Self::create_on(Arc::new(RealDisk), state_dir, settings)
    }

    /// [`EmbeddedLedger::create`] on another disk.
    ///
    /// # Errors
    /// As there.
    pub fn create_on(disk: Arc<dyn Disk>, state_dir: &Path, settings: Settings) -> Result<Self, OpenError> {
        open::create(disk.as_ref(), state_dir, &settings)?;
        Self::open_on(disk, state_dir, settings)
    }

    /// Opens a ledger; never makes one.
    ///
    /// # Errors
    /// There is none, or it does not hold: [`OpenError`] says where and what to do.
    pub fn open(state_dir: &Path, settings: Settings) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(RealDisk), state_dir, settings)
    }

    /// [`EmbeddedLedger::open`] on another disk.
    ///
    /// # Errors
    /// As there.
    pub fn open_on(disk: Arc<dyn Disk>, state_dir: &Path, settings: Settings) -> Result<Self, OpenError> {
        let Opened {
            writer,
            checkpoint,
            state,
            link,
            opening,
        } = open::open(disk.as_ref(), state_dir, &settings)?;
        if opening.rebuilt {
            tracing::warn!(
                "the checkpoint was gone; it was rebuilt from what the log holds, as asked; a lost end of the log could not be noticed"
            );
        }
        if opening.cut_bytes > 0 {
            let bytes = opening.cut_bytes;
            tracing::warn!(
                bytes,
                "a write that was not completed was cut from the log's end; nothing acknowledged was in it"
            );
        }
        let meter = Arc::new(Meter::new(link.sequence));
        let inner = Arc::new(Inner {
            sequencer: Mutex::new(Sequencer::new(state, link, Arc::clone(&meter))),
            meter,
            writer: Mutex::new(writer),
            checkpoint: Mutex::new(checkpoint),
            disk,
            state_dir: state_dir.to_owned(),
            log: state_dir.join("log"),
            fatal: settings.fatal,
            wrote: settings.wrote,
            reserve_bytes: settings.reserve_bytes,
            flush_every: settings.flush_every,
            checkpoint_every: settings.checkpoint_every,
            segments_kept: settings.segments_kept,
            room: SharedRoom::plenty(),
            budget: Mutex::default(),
            shadow_budget: Mutex::default(),
            hold: Hold::default(),
        });
        inner.watch_room();
        inner.record_start(&opening, settings.now_ms).map_err(|failure| OpenError::Io {
            path: state_dir.to_owned(),
            source: std::io::Error::other(failure),
        })?;
        let keeper = match settings.keeper {
            true => Keeper::start(Arc::clone(&inner)).map_err(OpenError::io(state_dir))?,
            false => Keeper::default(),
        };
        Ok(Self {
            inner,
            opening,
            keeper: Mutex::new(keeper),
        })
    }

    /// The deployment's id: 16 random bytes as hex.
    #[must_use]
    pub fn deployment_id(&self) -> &str {
        &self.opening.deployment_id
    }

    /// What opening found.
    #[must_use]
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Changes what an operator may change; durable when it returns. Returns the sequence of its (last) record.
    ///
    /// # Errors
    /// Nothing of it was done, and why; after [`LedgerFailure::Poisoned`] it is not known.
    pub fn administer(&self, administration: Administration) -> Result<u64, AdministerError> {
        self.inner.administer(administration)
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> Health {
        let sequencer = self.inner.sequencer();
        Health {
            poisoned: sequencer.poisoned.clone(),
            room: self.inner.room.get(),
            last_sequence: sequencer.link.sequence,
            durable_sequence: sequencer.durable,
            writes: sequencer.writes,
            head: sequencer.link.head,
            refusals_dropped: sequencer.refusals_dropped,
        }
    }

    /// What it has done since it was opened. Takes no lock.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.inner.meter.read()
    }

    /// Makes everything durable that was recorded so far, appended entries included.
    ///
    /// # Errors
    /// The ledger is poisoned.
    pub fn flush(&self) -> Result<(), LedgerFailure> {
        self.inner.flush()
    }

    /// What the ledger's own thread does now and then, at once: measures the room, makes durable what was appended, lets the checkpoint
    /// follow, archives segments.
    ///
    /// # Errors
    /// The ledger is poisoned.
    pub fn keep(&self) -> Result<(), LedgerFailure> {
        self.inner.keep(true).map(drop)
    }

    /// Takes nothing any more, makes durable what was appended, and lets the checkpoint follow. A second call does nothing.
    ///
    /// # Errors
    /// The ledger is poisoned.
    pub fn close(&self) -> Result<(), LedgerFailure> {
        if std::mem::replace(&mut self.inner.sequencer().closed, true) {
            return Ok(());
        }
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner).stop();
        self.inner.record_counted()?;
        self.inner.checkpoint()?;
        let finished = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner).finish();
        finished.map_err(|error| LedgerFailure::Poisoned(error.to_string()))
    }
}

impl Inner {
    fn record_start(&self, opening: &Opening, now_ms: u64) -> Result<(), LedgerFailure> {
        let body = render::render(&Start {
            deployment: Cow::Borrowed(&opening.deployment_id),
            generation: opening.generation,
            version: Cow::Borrowed(env!("CARGO_PKG_VERSION")),
            cut_bytes: opening.cut_bytes,
            rebuilt: opening.rebuilt,
        })?;
        self.sequencer().record(Kind::Start, now_ms, Vec::new(), &body)?;
        Ok(())
    }
}

impl Ledger for EmbeddedLedger {
    fn snapshot(&self) -> State {
        self.inner.sequencer().state.clone()
    }

    fn commit(&self, approved: &[Approved]) -> Vec<Commitment> {
        self.inner.commit(approved)
    }

    fn announce(&self) {
        self.inner.hold.announce();
    }

    fn withdraw(&self) {
        self.inner.hold.arrived(1);
    }

    fn look_up(&self, decision: DecisionId) -> Option<Receipt> {
        self.inner.look_up(decision)
    }

    fn append(&self, entry: Entry) {
        self.inner.append(&entry);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_panic_under_the_lock_tells_the_daemon_once() {
        let dir = tempfile::tempdir().unwrap();
        let (tell, told) = channel();
        let settings = Settings {
            flush_every: Duration::from_millis(1),
            ..Settings::new(1, Arc::new(move |reason: &str| tell.send(reason.to_owned()).unwrap()))
        };
        let ledger = EmbeddedLedger::create(dir.path(), settings).unwrap();
        let inner = Arc::clone(&ledger.inner);
        let died = std::thread::spawn(move || {
            let _held = inner.sequencer.lock().unwrap();
            panic!("the test's");
        });
        assert!(died.join().is_err());
        assert_eq!(told.recv().unwrap(), "a panic under the ledger's lock");
        ledger.inner.poison("again");
        assert!(matches!(ledger.flush(), Err(LedgerFailure::Poisoned(_))));
        drop(ledger);
        assert!(told.recv().is_err(), "it was told once");
    }
}
