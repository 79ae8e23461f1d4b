//! Names: as processes see them, and as a power cut leaves them.

use super::contents::Luck;
use super::random::Random;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Dir,
    File(u64),
}

/// One change of names: it survives whole or not at all.
#[derive(Debug, Clone)]
struct Change {
    gone: Option<PathBuf>,
    made: Option<(PathBuf, Node)>,
    /// Directories that are still to be synced before it is sure.
    unsynced: Vec<PathBuf>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) now: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    changes: Vec<Change>,
}

fn apply(names: &mut BTreeMap<PathBuf, Node>, change: &Change) {
    if let Some(gone) = &change.gone {
        names.remove(gone);
    }
    if let Some((path, node)) = &change.made {
        names.insert(path.clone(), *node);
    }
}

impl Names {
    /// After a start: all there is survived.
    pub(super) fn survived(names: BTreeMap<PathBuf, Node>) -> Self {
        Self {
            now: names.clone(),
            durable: names,
            changes: Vec::new(),
        }
    }

    pub(super) fn change(&mut self, gone: Option<&Path>, made: Option<(&Path, Node)>) {
        let mut unsynced: Vec<PathBuf> = gone
            .into_iter()
            .chain(made.map(|(path, _)| path))
            .filter_map(Path::parent)
            .map(Path::to_owned)
            .collect();
        unsynced.dedup();
        let change = Change {
            gone: gone.map(Path::to_owned),
            made: made.map(|(path, node)| (path.to_owned(), node)),
            unsynced,
        };
        apply(&mut self.now, &change);
        self.changes.push(change);
    }

    /// Changes that touch two directories are sure once both are synced.
    pub(super) fn sync(&mut self, dir: &Path) {
        let durable = &mut self.durable;
        self.changes.retain_mut(|change| {
            change.unsynced.retain(|unsynced| unsynced != dir);
            if change.unsynced.is_empty() {
                apply(durable, change);
            }
            !change.unsynced.is_empty()
        });
    }

    /// Of the changes that are not sure any may have happened.
    pub(super) fn survivors(&self, luck: Luck, random: &mut Random) -> BTreeMap<PathBuf, Node> {
        let mut names = self.durable.clone();
        for change in &self.changes {
            let survives = match luck {
                Luck::Nothing => false,
                Luck::Everything => true,
                Luck::Some => random.one_in(2),
            };
            if survives {
                apply(&mut names, change);
            }
        }
        let dirs: Vec<PathBuf> = names
            .iter()
            .filter(|(_, node)| **node == Node::Dir)
            .map(|(path, _)| path.clone())
            .collect();
        // What is in a directory that did not survive is gone with it.
        names.retain(|path, _| path.parent().is_none_or(|parent| dirs.iter().any(|dir| dir == parent)));
        names
    }
}
