//! How much room the disk has, and what is still written at each step: first refusals give way, then other keys' decisions; consensus
//! keys have what is left to themselves, down to the last reserve.

use crate::ledger::Inner;
use std::sync::atomic::{AtomicU8, Ordering};

/// With fewer than so many reserves free only consensus keys are decided for: 256 MiB with the default reserve of 64.
const CONSENSUS_ONLY: u64 = 4;
/// With fewer than so many reserves free refusals are only counted: 1 GiB with the default reserve.
const REFUSALS_COUNTED: u64 = 16;

/// The room on the ledger's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Room {
    /// Nothing is decided any more.
    Full,
    /// Only consensus keys are decided for.
    ConsensusOnly,
    /// Refusals are counted and not recorded.
    Short,
    /// Enough.
    Plenty,
}

impl Room {
    fn of(free: u64, reserve: u64) -> Self {
        if free < reserve {
            Self::Full
        } else if free < reserve.saturating_mul(CONSENSUS_ONLY) {
            Self::ConsensusOnly
        } else if free < reserve.saturating_mul(REFUSALS_COUNTED) {
            Self::Short
        } else {
            Self::Plenty
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ConsensusOnly => "consensus-only",
            Self::Short => "short",
            Self::Plenty => "plenty",
        }
    }
}

/// A [`Room`] that threads share.
#[derive(Debug)]
pub(crate) struct SharedRoom(AtomicU8);

impl SharedRoom {
    pub(crate) fn plenty() -> Self {
        Self(AtomicU8::new(Room::Plenty as u8))
    }

    pub(crate) fn get(&self) -> Room {
        let all = [Room::Full, Room::ConsensusOnly, Room::Short, Room::Plenty];
        let value = self.0.load(Ordering::Relaxed);
        all.into_iter().find(|room| *room as u8 == value).unwrap_or(Room::Full)
    }

    fn set(&self, room: Room) -> bool {
        self.0.swap(room as u8, Ordering::Relaxed) != room as u8
    }
}

impl Inner {
    /// Measures the room on the disk.
    pub(crate) fn watch_room(&self) {
        match self.disk.free_bytes(&self.log) {
            Ok(free) => {
                let room = Room::of(free, self.reserve_bytes);
                if self.room.set(room) {
                    tracing::warn!(free, reserve = self.reserve_bytes, room = room.name(), "room on the ledger's disk");
                }
            }
            Err(error) => tracing::warn!(%error, "the room on the ledger's disk is not known"),
        }
    }

    /// Why nothing is decided for a key, if so.
    pub(crate) fn no_room_for(&self, consensus: bool) -> Option<String> {
        let mebibytes = |reserves: u64| self.reserve_bytes.saturating_mul(reserves) / (1024 * 1024);
        match self.room.get() {
            Room::Full => Some(format!(
                "less than {} MiB are free on the disk of the state directory; make room",
                mebibytes(1)
            )),
            Room::ConsensusOnly if !consensus => Some(format!(
                "less than {} MiB are free on the disk of the state directory, and what is left is for consensus keys; make room",
                mebibytes(CONSENSUS_ONLY)
            )),
            Room::ConsensusOnly | Room::Short | Room::Plenty => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_give_way_first_and_consensus_keys_last() {
        let of = |free| Room::of(free, 64);
        assert_eq!(
            [of(1024), of(1023), of(256), of(255), of(64), of(63), of(0)].map(Room::name),
            ["plenty", "short", "short", "consensus-only", "consensus-only", "full", "full"]
        );
        let shared = SharedRoom::plenty();
        assert!(shared.set(Room::ConsensusOnly) && !shared.set(Room::ConsensusOnly));
        assert_eq!(shared.get(), Room::ConsensusOnly);
    }
}
