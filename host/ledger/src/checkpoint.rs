//! The checkpoint: the state as of some sequence, in redb. It never leads the log. It could be rebuilt from a
//! log that is complete; that the log is, it alone can tell, so that it is rebuilt only when an operator asks for it.

use crate::disk::{Access, Disk, DiskFile};
use crate::error::OpenError;
use crate::frame::FORMAT;
use crate::rows;
use crate::segment::TEMPORARY;
use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};
use serde::{Deserialize, Serialize};
use sigwarden_core::state::{Effect, State};
use sigwarden_core::wire;
use std::collections::BTreeMap;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

/// Its file, in the state directory.
pub(crate) const FILE: &str = "checkpoint.redb";

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");
const META_KEY: &str = "meta";

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
    /// The first sequence of the oldest segment: 1 until archiving takes segments away.
    pub(crate) oldest: u64,
    /// The wrapping sum of every row's hash: tells a row that was lost or changed on the disk.
    pub(crate) sum: u64,
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
    /// Those that these effects touched.
    Effects(Vec<Effect>),
    /// All of them, maybe.
    All,
}

impl Dirty {
    /// Beyond this many effects it is cheaper to write every row: bounds the memory of a long catch-up.
    const MAX: usize = 100_000;

    /// Nothing has changed.
    pub(crate) const NOTHING: Self = Self::Effects(Vec::new());

    /// How many effects, at least.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Effects(effects) => effects.len(),
            Self::All => Self::MAX,
        }
    }

    /// Notes one more.
    pub(crate) fn push(&mut self, effect: Effect) {
        match self {
            Self::Effects(effects) if effects.len() < Self::MAX => effects.push(effect),
            Self::Effects(_) => *self = Self::All,
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
        let database = database(file).map_err(|what| broken(&path, what))?;
        let mut checkpoint = Self { database, path, meta };
        let meta = checkpoint.meta.clone();
        checkpoint
            .write(&State::default(), &Dirty::NOTHING, meta)
            .map_err(|what| broken(&checkpoint.path, what))?;
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
            return Err(broken(&path, "it is empty".to_owned()));
        }
        // redb trusts its pages and may panic on damaged ones.
        let read = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let database = database(file)?;
            let (meta, state) = read(&database)?;
            Ok((database, meta, state))
        }));
        let (database, meta, state) = read
            .unwrap_or_else(|_| Err("its pages are damaged".to_owned()))
            .map_err(|what| broken(&path, what))?;
        if meta.format > FORMAT {
            return Err(OpenError::NewerFormat {
                file: path,
                found: meta.format,
                known: FORMAT,
            });
        }
        Ok(Some((Self { database, path, meta }, state)))
    }

    /// What it is of.
    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Brings it to `state`, durably. `meta` says what that is of; its sum is not looked at.
    pub(crate) fn write(&mut self, state: &State, dirty: &Dirty, mut meta: Meta) -> Result<(), String> {
        let rows: BTreeMap<Vec<u8>, Option<Vec<u8>>> = match dirty {
            Dirty::Effects(effects) => effects
                .iter()
                .map(|effect| rows::of_effect(effect, state))
                .collect::<Result<_, _>>(),
            Dirty::All => rows::all(state).collect(),
        }
        .map_err(|error| error.to_string())?;
        meta.high_water_ms = state.high_water_ms;
        meta.sum = match dirty {
            Dirty::Effects(_) => self.meta.sum,
            Dirty::All => 0,
        };
        self.commit(rows, matches!(dirty, Dirty::All), &mut meta)
            .map_err(|error| error.to_string())?;
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

fn broken(path: &Path, what: String) -> OpenError {
    OpenError::Checkpoint {
        file: path.to_owned(),
        what,
    }
}

fn database(file: Box<dyn DiskFile>) -> Result<Database, String> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder.create_with_backend(Backend(file)).map_err(|error| error.to_string())
}

fn read(database: &Database) -> Result<(Meta, State), String> {
    let text = |error: redb::Error| error.to_string();
    let transaction = database.begin_read().map_err(|error| text(error.into()))?;
    let table = transaction.open_table(META).map_err(|error| text(error.into()))?;
    let meta = table.get(META_KEY).map_err(|error| text(error.into()))?;
    let meta = meta.ok_or("it does not say what it is of")?;
    let meta: Meta = serde_json::from_slice(meta.value()).map_err(|error| error.to_string())?;
    let mut state = State::default();
    let mut sum = 0_u64;
    let table = transaction.open_table(ROWS).map_err(|error| text(error.into()))?;
    for row in table.iter().map_err(|error| text(error.into()))? {
        let (key, value) = row.map_err(|error| text(error.into()))?;
        sum = sum.wrapping_add(row_hash(key.value(), value.value()));
        rows::load(&mut state, key.value(), value.value()).ok_or("a row of it cannot be read")?;
    }
    if sum != meta.sum {
        return Err("its rows are not those that were written".to_owned());
    }
    state.maps_mut().high_water_ms = meta.high_water_ms;
    Ok((meta, state))
}

fn row_hash(key: &[u8], value: &[u8]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_be_bytes()).update(key).update(value);
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
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
