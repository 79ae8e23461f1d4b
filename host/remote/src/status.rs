//! What an operator sees of a remote.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// How a remote is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteStatus {
    /// Its address, or its socket's path.
    pub address: String,
    /// It answers, is of this deployment's network, and signs.
    pub up: bool,
    /// Why it is not up; or, of one that is, what is wrong all the same: a new connection that does not come about.
    pub reason: Option<String>,
    /// The network that it told last.
    pub network: Option<String>,
    /// The version of Sigwarden that it told last.
    pub version: Option<String>,
    /// The id of its deployment that it told last. Two remotes of one id are one deployment twice, or a copy.
    pub deployment_id: Option<String>,
    /// When it last answered.
    pub last_answer: Option<SystemTime>,
    /// Connections that stand.
    pub connections: usize,
    /// What was counted since the start.
    pub counts: Counts,
}

/// What was counted of a remote since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls for a signature or a decapsulation that were sent.
    pub asked: u64,
    /// Of these, the ones that asked again because an answer was lost.
    pub asked_again: u64,
    /// Calls that were answered.
    pub answered: u64,
    /// Calls that the remote refused.
    pub refused: u64,
    /// Calls whose answer was lost.
    pub lost: u64,
    /// Times that the remote came up.
    pub came_up: u64,
    /// Times that the remote went down.
    pub went_down: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    asked: AtomicU64,
    asked_again: AtomicU64,
    answered: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
    came_up: AtomicU64,
    went_down: AtomicU64,
}

fn add(to: &AtomicU64) {
    to.fetch_add(1, Ordering::Relaxed);
}

impl Tally {
    pub(crate) fn asked(&self, again: bool) {
        add(&self.asked);
        if again {
            add(&self.asked_again);
        }
    }
    pub(crate) fn answered(&self) {
        add(&self.answered);
    }
    pub(crate) fn refused(&self) {
        add(&self.refused);
    }
    pub(crate) fn lost(&self) {
        add(&self.lost);
    }
    pub(crate) fn came_up(&self) {
        add(&self.came_up);
    }
    pub(crate) fn went_down(&self) {
        add(&self.went_down);
    }

    pub(crate) fn read(&self) -> Counts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            asked: of(&self.asked),
            asked_again: of(&self.asked_again),
            answered: of(&self.answered),
            refused: of(&self.refused),
            lost: of(&self.lost),
            came_up: of(&self.came_up),
            went_down: of(&self.went_down),
        }
    }
}
