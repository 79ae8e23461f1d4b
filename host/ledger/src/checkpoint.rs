//! The checkpoint: the state as of some sequence, in redb. It never leads the log. It could be rebuilt from a
//! log that is complete; that the log is, it alone can tell, so that it is rebuilt only when an operator asks for it.

use crate::checkpoint_read::{read, row_hash};
use crate::disk::{Access, Disk, DiskFile};
use crate::error::OpenError;
use crate::rows::{self, Touched};
use crate::segment::TEMPORARY;
use redb::{Database, StorageBackend, TableDefinition};
use serde::{Deserialize, Serialize};
use sigwarden_core::state::{Effect, State};
use sigwarden_core::wire;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Once;

/// The version of its rows. 2: request ids by their time, so that new ones lie side by side; one of version 1 is read, and written whole
/// the next time.
pub(crate) const FORMAT: u32 = 2;

/// Its file, in the state directory.
pub(crate) const FILE: &str = "checkpoint.redb";

pub(crate) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
pub(crate) const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");
pub(crate) const META_KEY: &str = "meta";

/// Pages kept in memory. Checkpoints write each row once, so that little is read twice.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// What a checkpoint is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meta {
    pub(crate) format: u32,
    pub(crate) deployment: String,
    pub(crate) generation: u64,
    /// The last sequence applied.
    pub(crate) sequence: u64,
    /// BLAKE3 of its line.
    #[serde(with = "wire::array32")]
    pub(crate) head: [u8; 32],
    /// The state's high-water mark.
    pub(crate) high_water_ms: u64,
    /// The first sequence of the newest segment that was there: it must be there at the next start.
    pub(crate) segment: u64,
    /// The first sequence of the oldest segment that must be in the log: 1 until archiving takes segments away.
    pub(crate) oldest: u64,
    /// The wrapping sum of every row's hash: tells a row that was lost or changed on the disk.
    pub(crate) sum: u64,
}

/// Of a [`Meta`] of any version.
#[derive(Deserialize)]
pub(crate) struct Version {
    pub(crate) format: u32,
}

impl Meta {
    /// Of a deployment with nothing in it.
    pub(crate) fn empty(deployment: String, generation: u64) -> Self {
        Self {
            format: FORMAT,
            deployment,
            generation,
            sequence: 0,
            head: crate::record::NONE,
            high_water_ms: 0,
            segment: 1,
            oldest: 1,
            sum: 0,
        }
    }
}

/// Which rows have changed since the last checkpoint.
#[derive(Debug)]
pub(crate) enum Dirty {
    /// These.
    Rows(Vec<Touched>),
    /// All of them, maybe.
    All,
}

impl Dirty {
    /// Beyond this many it is cheaper to write every row: bounds the memory of a long catch-up.
    const MAX: usize = 100_000;

    /// Nothing has changed.
    pub(crate) const NOTHING: Self = Self::Rows(Vec::new());

    /// How many, at least; a row may be counted more than once.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.len(),
            Self::All => Self::MAX,
        }
    }

    /// Applies an effect to the state, and notes what it touches.
    pub(crate) fn apply(&mut self, effect: Effect, state: &mut State) {
        if let (Self::Rows(rows), Some(row)) = (&mut *self, Touched::leaves(&effect, state)) {
            rows.push(row);
        }
        state.apply(&effect);
        match self {
            // It may have touched any bucket.
            Self::Rows(_) if matches!(effect, Effect::ClockAccepted { .. }) => *self = Self::All,
            Self::Rows(rows) if rows.len() < Self::MAX => rows.push(Touched::By(effect)),
            Self::Rows(_) => *self = Self::All,
            Self::All => {}
        }
    }
}

/// An open checkpoint.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    database: Database,
    path: PathBuf,
    meta: Meta,
}

impl Checkpoint {
    /// Makes one with no rows, under its name only once it is whole.
    pub(crate) fn create(disk: &dyn Disk, state_dir: &Path, meta: Meta) -> Result<Self, OpenError> {
        let path = state_dir.join(FILE);
        let temporary = state_dir.join(format!("{FILE}{TEMPORARY}"));
        match disk.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(OpenError::io(&temporary)(error)),
            Ok(()) | Err(_) => {}
        }
        let file = disk.open(&temporary, Access::CreateNew).map_err(OpenError::io(&temporary))?;
        let database = database(file).map_err(|trouble| trouble.at(&path))?;
        let mut checkpoint = Self { database, path, meta };
        let meta = checkpoint.meta.clone();
        checkpoint
            .write(&State::default(), &Dirty::NOTHING, meta)
            .map_err(|trouble| trouble.at(&checkpoint.path))?;
        disk.rename(&temporary, &checkpoint.path).map_err(OpenError::io(&checkpoint.path))?;
        disk.sync_dir(state_dir).map_err(OpenError::io(state_dir))?;
        Ok(checkpoint)
    }

    /// Opens one and reads its state; `None` if there is none.
    pub(crate) fn open(disk: &dyn Disk, state_dir: &Path) -> Result<Option<(Self, State)>, OpenError> {
        let path = state_dir.join(FILE);
        let file = match disk.open(&path, Access::Write) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::io(&path)(error)),
        };
        if file.len().map_err(OpenError::io(&path))? == 0 {
            // redb would take it for a new one.
            return Err(Trouble::damaged("it is empty").at(&path));
        }
        // redb trusts its pages and may panic on damaged ones.
        let read = quietly(|| {
            let database = database(file)?;
            let (meta, state) = read(&database)?;
            Ok((database, meta, state))
        });
        let read = read.unwrap_or_else(|| Err(Trouble::damaged("its pages are damaged")));
        let (database, meta, state) = read.map_err(|trouble| trouble.at(&path))?;
        Ok(Some((Self { database, path, meta }, state)))
    }

    /// What it is of.
    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Brings it to `state`, durably. `meta` says what that is of; its sum is not looked at.
    pub(crate) fn write(&mut self, state: &State, dirty: &Dirty, mut meta: Meta) -> Result<(), Trouble> {
        let dirty = if self.meta.format < FORMAT { &Dirty::All } else { dirty };
        let rows: BTreeMap<Vec<u8>, Option<Vec<u8>>> = match dirty {
            Dirty::Rows(rows) => rows.iter().filter_map(|row| row.now(state).transpose()).collect::<Result<_, _>>(),
            Dirty::All => rows::all(state).collect(),
        }
        .map_err(Trouble::damaged)?;
        meta.format = FORMAT;
        meta.high_water_ms = state.high_water_ms;
        meta.sum = match dirty {
            Dirty::Rows(_) => self.meta.sum,
            Dirty::All => 0,
        };
        self.commit(rows, matches!(dirty, Dirty::All), &mut meta)?;
        self.meta = meta;
        Ok(())
    }

    /// Notes, durably, that older segments may be in the archive.
    pub(crate) fn raise_oldest(&mut self, oldest: u64) -> Result<(), Trouble> {
        let mut meta = Meta {
            oldest,
            ..self.meta.clone()
        };
        self.commit(BTreeMap::new(), false, &mut meta)?;
        self.meta = meta;
        Ok(())
    }

    fn commit(&self, rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>, replace_all: bool, meta: &mut Meta) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        // A start after a kill must not walk the whole file.
        transaction.set_quick_repair(true);
        if replace_all {
            transaction.delete_table(ROWS)?;
        }
        {
            let mut table = transaction.open_table(ROWS)?;
            for (key, value) in rows {
                let before = match &value {
                    Some(value) => table.insert(key.as_slice(), value.as_slice())?,
                    None => table.remove(key.as_slice())?,
                };
                if let Some(before) = before {
                    meta.sum = meta.sum.wrapping_sub(row_hash(&key, before.value()));
                }
                if let Some(value) = &value {
                    meta.sum = meta.sum.wrapping_add(row_hash(&key, value));
                }
            }
            let json = serde_json::to_vec(meta).map_err(|error| redb::Error::Io(error.into()))?;
            transaction.open_table(META)?.insert(META_KEY, json.as_slice())?;
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Why the checkpoint cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The disk's.
    #[error(transparent)]
    Io(io::Error),
    /// What it holds does not hold.
    #[error("{0}")]
    Damaged(String),
    /// A newer version wrote it.
    #[error("it is of format {0}")]
    Newer(u32),
}

impl Trouble {
    pub(crate) fn damaged(what: impl ToString) -> Self {
        Self::Damaged(what.to_string())
    }

    /// As the reason not to start.
    pub(crate) fn at(self, path: &Path) -> OpenError {
        let file = path.to_owned();
        match self {
            Self::Io(error) => OpenError::io(path)(error),
            Self::Damaged(what) => OpenError::Checkpoint { file, what },
            Self::Newer(found) => OpenError::NewerFormat {
                file,
                found,
                known: FORMAT,
            },
        }
    }
}

impl<E: Into<redb::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        let error = error.into();
        let redb::Error::Io(error) = error else {
            return Self::damaged(error);
        };
        if error.kind() == io::ErrorKind::UnexpectedEof {
            // It is shorter than its own pages say.
            return Self::damaged("it was cut short");
        }
        match error.kind() == io::ErrorKind::InvalidData {
            true => Self::damaged(error),
            false => Self::Io(error),
        }
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; `None` if it panics, of which nothing is printed. The process's panic hook is wrapped for that, once and for good: on any
/// other thread, and on this one at any other time, the hook that was there before is called as before. The other way would be to hash
/// the whole file at every start and at every write.
fn quietly<T>(work: impl FnOnce() -> T) -> Option<T> {
    static WRAPPED: Once = Once::new();
    WRAPPED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
    QUIET.set(true);
    let done = std::panic::catch_unwind(AssertUnwindSafe(work));
    QUIET.set(false);
    done.ok()
}

fn database(file: Box<dyn DiskFile>) -> Result<Database, Trouble> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    Ok(builder.create_with_backend(Backend(file))?)
}

/// redb's view of a file. The deployment's lock stands in for its own.
#[derive(Debug)]
struct Backend(Box<dyn DiskFile>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }
}
