//! Reads a checkpoint: what it says of itself, then its rows, on every core if there are many.

use crate::checkpoint::{FORMAT, META, META_KEY, Meta, ROWS, Trouble, Version};
use crate::in_order::in_order;
use crate::rows::Entry;
use redb::{Database, ReadableDatabase, ReadableTable};
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
    let Taken { mut state, sum } = take(&table)?;
    if sum != meta.sum {
        return Err(Trouble::damaged("its rows are not those that were written"));
    }
    state.maps_mut().high_water_ms = meta.high_water_ms;
    Ok((meta, state))
}

/// Fewer rows are read before threads would have started.
const WORTH_IT: u64 = 4096;
/// Rows that are handed over at once: handing over costs nothing beside them.
const ROWS_AT_ONCE: usize = 1024;

/// What was read of the rows so far.
#[derive(Default)]
struct Taken {
    state: State,
    sum: u64,
}

/// Some rows, one after the other: the lengths of key and value, and their bytes.
#[derive(Default)]
struct Batch {
    lengths: Vec<(usize, usize)>,
    bytes: Vec<u8>,
}

/// What they are, and the sum of their hashes.
type Parsed = Option<(Vec<Entry>, u64)>;

impl Batch {
    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.lengths.push((key.len(), value.len()));
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
    }

    fn parse(self) -> Parsed {
        let mut rest = self.bytes.as_slice();
        let mut sum: u64 = 0;
        let mut entries = Vec::with_capacity(self.lengths.len());
        for (key_len, value_len) in self.lengths {
            let (key, behind) = rest.split_at_checked(key_len)?;
            let (value, behind) = behind.split_at_checked(value_len)?;
            sum = sum.wrapping_add(row_hash(key, value));
            entries.push(Entry::read(key, value)?);
            rest = behind;
        }
        Some((entries, sum))
    }
}

/// Takes all rows: a million floors are read on one thread, parsed on all, and put in their place on one.
fn take(table: &impl ReadableTable<&'static [u8], &'static [u8]>) -> Result<Taken, Trouble> {
    let worth_it = table.len()? >= WORTH_IT;
    let mut rows = table.iter()?;
    let (mut trouble, mut over) = (None, false);
    let mut next = || {
        let mut batch = Batch::default();
        while !over && batch.lengths.len() < ROWS_AT_ONCE {
            match rows.next() {
                Some(Ok((key, value))) => batch.push(key.value(), value.value()),
                Some(Err(error)) => {
                    trouble = Some(Trouble::from(error));
                    over = true;
                }
                None => over = true,
            }
        }
        (!batch.lengths.is_empty()).then_some(batch)
    };
    let mut taken = Taken::default();
    let mut put = |parsed: Parsed| -> Result<(), Trouble> {
        let (entries, sum) = parsed.ok_or_else(|| Trouble::damaged("a row of it cannot be read"))?;
        taken.sum = taken.sum.wrapping_add(sum);
        let state = taken.state.maps_mut();
        entries.into_iter().for_each(|entry| entry.put(state));
        Ok(())
    };
    in_order(worth_it, &mut next, &Batch::parse, &mut put)?;
    trouble.map_or(Ok(taken), Err)
}

pub(crate) fn row_hash(key: &[u8], value: &[u8]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_be_bytes()).update(key).update(value);
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
