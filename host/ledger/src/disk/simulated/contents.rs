//! A file's contents: as processes see them, as they are on the platter, and what happened in between.

use super::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The page cache's unit.
const PAGE: usize = 4096;
/// What a disk writes as a whole.
const SECTOR: usize = 512;

type Page = [u8; PAGE];

/// Bytes in pages; a page that is not there is zeros.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages {
    len: u64,
    pages: BTreeMap<u64, Arc<Page>>,
}

/// Splits a range into pieces: page, where in the page, where in the range.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let within = usize::try_from(at % PAGE as u64).unwrap_or(0);
        let count = (PAGE - within).min(len - done);
        let piece = (at / PAGE as u64, within..within + count, done..done + count);
        done += count;
        (count > 0).then_some(piece)
    })
}

impl Pages {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// `None` past the end.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> Option<()> {
        if offset.checked_add(out.len() as u64)? > self.len {
            return None;
        }
        for (page, within, piece) in pieces(offset, out.len()) {
            let out = out.get_mut(piece)?;
            match self.pages.get(&page) {
                Some(bytes) => out.copy_from_slice(bytes.get(within)?),
                None => out.fill(0),
            }
        }
        Some(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (page, within, piece) in pieces(offset, bytes.len()) {
            let page = Arc::make_mut(self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE])));
            if let (Some(to), Some(from)) = (page.get_mut(within), bytes.get(piece)) {
                to.copy_from_slice(from);
            }
        }
        self.len = self.len.max(offset + bytes.len() as u64);
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            drop(self.pages.split_off(&len.div_ceil(PAGE as u64)));
            let within = usize::try_from(len % PAGE as u64).unwrap_or(0);
            if let Some(last) = self.pages.get_mut(&(len / PAGE as u64))
                && let Some(beyond) = Arc::make_mut(last).get_mut(within..)
            {
                beyond.fill(0);
            }
        }
        self.len = len;
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write(offset, bytes) => self.write(*offset, bytes),
            Change::Length(len) => self.set_len(*len),
        }
    }
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Arc<[u8]>),
    Length(u64),
}

/// How much of what was not made durable survives a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Luck {
    Nothing,
    Everything,
    Some,
}

impl Luck {
    pub(super) fn draw(random: &mut Random) -> Self {
        match random.below(8) {
            0 | 1 => Self::Nothing,
            2 => Self::Everything,
            3.. => Self::Some,
        }
    }
}

/// A file.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    /// What reading gives.
    pub(super) now: Pages,
    /// What a power cut leaves for sure.
    durable: Pages,
    /// What happened since the last sync, in order.
    changes: Vec<Change>,
}

impl Contents {
    /// After a start: all there is survived.
    pub(super) fn survived(pages: Pages) -> Self {
        Self {
            now: pages.clone(),
            durable: pages,
            changes: Vec::new(),
        }
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.change(Change::Write(offset, bytes.into()));
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.change(Change::Length(len));
    }

    fn change(&mut self, change: Change) {
        self.now.apply(&change);
        self.changes.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.changes.drain(..) {
            self.durable.apply(&change);
        }
    }

    /// A sync that fails, as on Linux: some pages were written; the others count as written though they were not, so that they read as
    /// before and no later sync tries them again.
    pub(super) fn fail_sync(&mut self, random: &mut Random) {
        self.durable = self.survivors(Luck::draw(random), random);
        self.changes.clear();
    }

    /// What a power cut leaves: of each page that was written since the last sync some version, the last synced one included, or each of
    /// its sectors some version; and some length.
    pub(super) fn survivors(&self, luck: Luck, random: &mut Random) -> Pages {
        match luck {
            Luck::Nothing => return self.durable.clone(),
            Luck::Everything => {
                let mut all = self.durable.clone();
                self.changes.iter().for_each(|change| all.apply(change));
                return all;
            }
            Luck::Some => {}
        }
        let mut survivors = self.durable.clone();
        for page in self.touched() {
            let versions = self.versions(page);
            let mut torn = *pick(&versions, random).unwrap_or(&[0; PAGE]);
            if random.one_in(2) {
                for sector in (0..PAGE).step_by(SECTOR) {
                    let range = sector..sector + SECTOR;
                    if let Some(version) = pick(&versions, random)
                        && let (Some(to), Some(from)) = (torn.get_mut(range.clone()), version.get(range))
                    {
                        to.copy_from_slice(from);
                    }
                }
            }
            survivors.pages.insert(page, Arc::new(torn));
        }
        let mut len = self.durable.len;
        let mut lengths = vec![len];
        for change in &self.changes {
            len = match change {
                Change::Write(offset, bytes) => len.max(offset + bytes.len() as u64),
                Change::Length(len) => *len,
            };
            lengths.push(len);
        }
        // What is beyond goes, as set_len has it.
        survivors.len = u64::MAX;
        survivors.set_len(pick(&lengths, random).copied().unwrap_or(len));
        survivors
    }

    /// What a page was since the last sync, that included, in order.
    fn versions(&self, page: u64) -> Vec<Page> {
        let begin = page * PAGE as u64;
        let mut latest = self.durable.pages.get(&page).map_or([0; PAGE], |bytes| **bytes);
        let mut versions = vec![latest];
        for change in &self.changes {
            match change {
                Change::Write(offset, bytes) => {
                    let end = offset + bytes.len() as u64;
                    if *offset >= begin + PAGE as u64 || end <= begin {
                        continue;
                    }
                    for (_, within, piece) in pieces(*offset, bytes.len()).filter(|(at, ..)| *at == page) {
                        if let (Some(to), Some(from)) = (latest.get_mut(within), bytes.get(piece)) {
                            to.copy_from_slice(from);
                        }
                    }
                }
                Change::Length(len) => {
                    let kept = usize::try_from(len.saturating_sub(begin)).unwrap_or(PAGE).min(PAGE);
                    if let Some(beyond) = latest.get_mut(kept..) {
                        beyond.fill(0);
                    }
                }
            }
            versions.push(latest);
        }
        versions
    }

    /// Pages that may differ from the durable ones.
    fn touched(&self) -> BTreeSet<u64> {
        let mut touched = BTreeSet::new();
        for change in &self.changes {
            match change {
                Change::Write(offset, bytes) => touched.extend(pieces(*offset, bytes.len()).map(|(page, ..)| page)),
                Change::Length(len) => {
                    let from = len / PAGE as u64;
                    touched.extend(self.durable.pages.range(from..).map(|(page, _)| *page));
                }
            }
        }
        touched
    }
}

/// The first and the last as often as all others.
fn pick<'a, T>(versions: &'a [T], random: &mut Random) -> Option<&'a T> {
    match random.below(4) {
        0 => versions.first(),
        1 => versions.last(),
        2.. => usize::try_from(random.below(versions.len() as u64))
            .ok()
            .and_then(|at| versions.get(at)),
    }
}
