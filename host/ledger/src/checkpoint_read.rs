//! Reads a checkpoint: what it says of itself, then its rows, on two cores if there are many.

use crate::checkpoint::{META, META_KEY, Meta, ROWS, Trouble, Version};
use crate::frame::FORMAT;
use crate::rows;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata};
use sigwarden_core::state::State;

pub(crate) fn read(database: &Database) -> Result<(Meta, State), Trouble> {
    let transaction = database.begin_read()?;
    let table = transaction.open_table(META)?;
    let meta = table.get(META_KEY)?;
    let meta = meta.ok_or_else(|| Trouble::damaged("it does not say what it is of"))?;
    // The version decides how the rest is read, so it is read by itself.
    let Version { format } = serde_json::from_slice(meta.value()).map_err(Trouble::damaged)?;
    if format > FORMAT {
        return Err(Trouble::Newer(format));
    }
    let meta: Meta = serde_json::from_slice(meta.value()).map_err(Trouble::damaged)?;
    let table = transaction.open_table(ROWS)?;
    let mut taken = Taken::default();
    // A million floors are read on one core and taken in on another.
    if table.len()? < WORTH_A_THREAD {
        for row in table.iter()? {
            let (key, value) = row?;
            taken.row(key.value(), value.value())?;
        }
    } else {
        taken = take_aside(&table)?;
    }
    let Taken { mut state, sum } = taken;
    if sum != meta.sum {
        return Err(Trouble::damaged("its rows are not those that were written"));
    }
    state.maps_mut().high_water_ms = meta.high_water_ms;
    Ok((meta, state))
}

/// Fewer rows are read before a thread would have started.
const WORTH_A_THREAD: u64 = 4096;
/// Rows that are handed over at once: handing over costs nothing beside them.
const ROWS_AT_ONCE: usize = 1024;
/// Batches that wait at most: memory stays flat.
const BATCHES: usize = 8;

/// What was read of the rows so far.
#[derive(Default)]
struct Taken {
    state: State,
    sum: u64,
}

impl Taken {
    fn row(&mut self, key: &[u8], value: &[u8]) -> Result<(), Trouble> {
        self.sum = self.sum.wrapping_add(row_hash(key, value));
        rows::load(&mut self.state, key, value).ok_or_else(|| Trouble::damaged("a row of it cannot be read"))
    }
}

/// Some rows, one after the other: the lengths of key and value, and their bytes.
#[derive(Default)]
struct Batch {
    lengths: Vec<(usize, usize)>,
    bytes: Vec<u8>,
}

impl Batch {
    fn take(&self, taken: &mut Taken) -> Result<(), Trouble> {
        let mut rest = self.bytes.as_slice();
        for (key, value) in &self.lengths {
            let row = rest
                .split_at_checked(*key)
                .and_then(|(key, rest)| Some((key, rest.split_at_checked(*value)?)));
            let (key, (value, after)) = row.ok_or_else(|| Trouble::damaged("a row of it cannot be read"))?;
            taken.row(key, value)?;
            rest = after;
        }
        Ok(())
    }
}

fn take_aside(table: &impl ReadableTable<&'static [u8], &'static [u8]>) -> Result<Taken, Trouble> {
    std::thread::scope(|scope| {
        let (batches, waiting) = std::sync::mpsc::sync_channel::<Batch>(BATCHES);
        let taking = std::thread::Builder::new().name("checkpoint".into()).spawn_scoped(scope, move || {
            let mut taken = Taken::default();
            for batch in waiting {
                batch.take(&mut taken)?;
            }
            Ok(taken)
        });
        let taking = taking.map_err(Trouble::Io)?;
        let mut batch = Batch::default();
        for row in table.iter()? {
            let (key, value) = row?;
            batch.lengths.push((key.value().len(), value.value().len()));
            batch.bytes.extend_from_slice(key.value());
            batch.bytes.extend_from_slice(value.value());
            if batch.lengths.len() == ROWS_AT_ONCE && batches.send(std::mem::take(&mut batch)).is_err() {
                // It has stopped at a row that cannot be read, and says so below.
                break;
            }
        }
        let _ = batches.send(batch);
        drop(batches);
        taking
            .join()
            .unwrap_or_else(|_| Err(Trouble::damaged("its rows could not be taken in")))
    })
}

pub(crate) fn row_hash(key: &[u8], value: &[u8]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_be_bytes()).update(key).update(value);
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
