//! What a guest may allocate.

use wasmtime::{Error, ResourceLimiter, Result};

/// Linear memories of a component. Rust makes one; the snapshot could not tell two apart without multi-memory.
pub(crate) const MEMORIES_MAX: u32 = 1;
/// Tables of a component: the module's own, and one of the adapters that `wit-component` makes.
pub(crate) const TABLES_MAX: u32 = 4;
/// Entries of a table, one for each function whose address is taken: the reference policies have some 100.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 10_000;
/// Core instances of a component: the module, two adapters, and the accessors of the snapshot.
pub(crate) const INSTANCES_MAX: u32 = 8;

/// A guest asked for more than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LimitReached {
    /// Linear memory.
    #[error("it asked for {asked} bytes of memory, {allowed} are allowed")]
    Memory {
        /// What it asked for, in all.
        asked: usize,
        /// What it may have.
        allowed: usize,
    },
    /// A table.
    #[error("it asked for a table of {asked} entries, {TABLE_ELEMENTS_MAX} are allowed")]
    Table {
        /// What it asked for.
        asked: usize,
    },
}

/// Counts what one store allocates. A growth too far traps, instead of giving the guest an error that it would turn into a trap of
/// less meaning.
#[derive(Debug)]
pub(crate) struct Limiter {
    pub(crate) memory_bytes: usize,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        if desired > self.memory_bytes {
            return Err(Error::new(LimitReached::Memory {
                asked: desired,
                allowed: self.memory_bytes,
            }));
        }
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        if desired > TABLE_ELEMENTS_MAX {
            return Err(Error::new(LimitReached::Table { asked: desired }));
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX as usize
    }

    fn tables(&self) -> usize {
        TABLES_MAX as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX as usize
    }
}
