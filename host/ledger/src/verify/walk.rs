//! The reading of a whole log, in order, frame by frame.

use super::{Verified, VerifyError};
use crate::archive;
use crate::disk::{Access, Disk, DiskFile};
use crate::frame::Header;
use crate::parse_ahead::{self, Batch};
use crate::record::NONE;
use crate::scan::{self, Fault, Link, ScanError, Scanner, Tail};
use crate::segment;
use crate::witness::{Testimony, Witness};
use sigwarden_core::state::State;
use std::io;
use std::path::Path;

/// A head that somebody kept, and the record whose line it is of.
pub(crate) struct Sought {
    head: [u8; 32],
    at: Option<u64>,
}

impl Sought {
    pub(super) fn of(head: [u8; 32]) -> Self {
        Self { head, at: None }
    }

    /// The record's sequence, if a later record names its line.
    pub(super) fn found(&self) -> Option<u64> {
        self.at
    }
}

/// What [`walk`] tells of each segment: before it is read, with what is known so far, and when it holds.
pub(crate) enum Passing<'a> {
    /// It is about to be read.
    Begins(&'a Header, &'a Witness),
    /// It holds up to this byte.
    Holds(u64),
}

/// Told of each segment, by path.
pub(crate) type OnSegment<'a> = dyn FnMut(&Path, Passing<'_>) -> Result<(), VerifyError> + 'a;

/// Reads the whole log in order.
pub(crate) fn walk(
    disk: &dyn Disk,
    state_dir: &Path,
    progress: &mut dyn FnMut(u64, u64),
    mut state: Option<&mut State>,
    mut sought: Option<&mut Sought>,
    on_segment: &mut OnSegment<'_>,
) -> Result<Verified, VerifyError> {
    let log = state_dir.join("log");
    let segments = archive::all_segments(disk, state_dir).map_err(io_at(&log))?;
    let mut total = 0;
    for (first, path) in &segments {
        let file = open(disk, state_dir, *first, path)?;
        total += file.len().map_err(io_at(path))?;
    }
    let newest = segments.last().map(|(first, _)| *first);
    let mut verified: Option<Verified> = None;
    let mut done = 0;
    let mut witness = Witness::new(segments.first().map_or(1, |(first, _)| *first));
    // One file is open at a time: there may be more segments than a process may have open.
    for (first, path) in segments {
        let file = open(disk, state_dir, first, &path)?;
        let (mut scanner, header) = Scanner::open(file.as_ref()).map_err(failed_at(&path))?;
        let begins = scanner.link();
        let so_far = verified.get_or_insert_with(|| Verified {
            deployment_id: header.deployment.clone(),
            generation: header.generation,
            segments: 0,
            records: 0,
            first_sequence: header.first,
            last_sequence: begins.sequence,
            head: header.previous,
            unfinished_bytes: 0,
        });
        join(so_far, begins, first, &header).map_err(|what| bad_at(&path)(at_header(what)))?;
        so_far.segments += 1;
        so_far.generation = header.generation;
        witness.segment(&header.deployment, header.generation);
        on_segment(&path, Passing::Begins(&header, &witness))?;
        let is_newest = newest == Some(first);
        let mut reader = Reader {
            witness: &mut witness,
            state: state.as_deref_mut(),
            sought: sought.as_deref_mut(),
        };
        so_far.unfinished_bytes = read_to_end(file.as_ref(), &path, &mut scanner, is_newest, &mut reader, &mut |at| {
            progress(done + at, total);
        })?;
        let link = scanner.link();
        on_segment(&path, Passing::Holds(scanner.valid_end()))?;
        so_far.records += link.sequence - begins.sequence;
        (so_far.last_sequence, so_far.head) = (link.sequence, link.head);
        done += file.len().map_err(io_at(&path))?;
        progress(done, total);
    }
    verified.ok_or(VerifyError::Missing { log })
}

/// Opens a segment, in the archive if it was moved there since it was listed.
fn open(disk: &dyn Disk, state_dir: &Path, first: u64, path: &Path) -> Result<Box<dyn DiskFile>, VerifyError> {
    let moved = archive::dir(state_dir).join(segment::name(first));
    match disk.open(path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && path != moved => disk.open(&moved, Access::Read).map_err(io_at(&moved)),
        opened => opened.map_err(io_at(path)),
    }
}

/// Reads a segment's frames to their end. Returns the bytes of an unfinished one after it, which only the newest segment may have.
fn read_to_end(
    file: &dyn DiskFile,
    path: &Path,
    scanner: &mut Scanner<'_>,
    is_newest: bool,
    reader: &mut Reader<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, VerifyError> {
    // What was found behind the end at an earlier look, and that end. A writer at work puts whole frames there between our reading and
    // our look; it writes in order, so that a valid frame seen there means that what is before it can be read by now. Only what stops
    // a fresh reading at the same byte is damage.
    let (mut torn_behind, mut valid_behind) = (None, None);
    // What was written by the first look is read to its end; a writer that is as fast as we are is not chased further.
    let mut horizon = None;
    loop {
        let stopped = read_frames(path, scanner, reader, progress)?;
        let end = scanner.valid_end();
        let bad = || {
            let fault = stopped.unwrap_or_else(|| Fault {
                offset: end,
                line: scanner.line_number() + 1,
                what: "it goes on with bytes that are no frame".into(),
            });
            Err(bad_at(path)(fault))
        };
        match scan::tail(file, end).map_err(io_at(path))? {
            Tail::Clean if is_newest || end == file.len().map_err(io_at(path))? => return Ok(0),
            Tail::Clean | Tail::Torn(_) | Tail::ValidFrameAt(_) if !is_newest => return bad(),
            Tail::Torn(bytes) if torn_behind == Some(end) => return Ok(bytes),
            Tail::ValidFrameAt(_) if valid_behind == Some(end) => return bad(),
            Tail::Clean | Tail::Torn(_) => torn_behind = Some(end),
            Tail::ValidFrameAt(_) if horizon.is_some_and(|horizon| end >= horizon) => return Ok(0),
            Tail::ValidFrameAt(_) => {
                valid_behind = Some(end);
                if horizon.is_none() {
                    horizon = Some(scan::written_end(file, end).map_err(io_at(path))?);
                }
            }
        }
        scanner.go_back().map_err(io_at(path))?;
    }
}

/// What is made of the records of frames that hold.
struct Reader<'a> {
    witness: &'a mut Witness,
    state: Option<&'a mut State>,
    sought: Option<&'a mut Sought>,
}

/// Why frames are read no further.
enum Stopped {
    Fault(Fault),
    Failed(VerifyError),
}

/// Reads frames while they hold. Returns what stopped it, if it was not the end or zeros.
fn read_frames(
    path: &Path,
    scanner: &mut Scanner<'_>,
    reader: &mut Reader<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Option<Fault>, VerifyError> {
    let mut told = scanner.valid_end();
    let left = scanner.left();
    let mut next = |batch: &mut Batch| {
        let (begin, lines_before) = (scanner.valid_end(), scanner.line_number());
        let frame = scanner.frame(&mut |line, _| {
            batch.line(line);
            Ok(())
        });
        if scanner.valid_end() - told >= PROGRESS_EVERY {
            told = scanner.valid_end();
            progress(told);
        }
        match frame {
            // The frame is whole: now what it says counts.
            Ok(whole) => Ok(whole.map(|_| (begin, lines_before))),
            Err(ScanError::Fault(fault)) => Err(Stopped::Fault(fault)),
            Err(error) => Err(Stopped::Failed(failed_at(path)(error))),
        }
    };
    let read = parse_ahead::read(left, &mut next, Testimony::parse, &mut |record, offset, line| {
        reader.take(record).map_err(|what| Fault { offset, line, what })
    });
    match read.map_err(bad_at(path))? {
        Ok(()) => Ok(None),
        Err(Stopped::Fault(fault)) => Ok(Some(fault)),
        Err(Stopped::Failed(error)) => Err(error),
    }
}

impl Reader<'_> {
    fn take(&mut self, record: Testimony) -> Result<(), String> {
        if let Some(sought) = self.sought.as_deref_mut().filter(|sought| sought.head == record.previous) {
            sought.at = record.sequence.checked_sub(1);
        }
        if let Some(state) = self.state.as_deref_mut() {
            record.effects.iter().for_each(|effect| state.apply(effect));
            if record.kind.time_is_judged() {
                state.note_time(record.time / 1_000_000);
            }
        }
        self.witness.read(record)
    }
}

fn io_at(file: &Path) -> impl FnOnce(io::Error) -> VerifyError {
    let file = file.to_owned();
    move |source| VerifyError::Io { file, source }
}

fn bad_at(file: &Path) -> impl FnOnce(Fault) -> VerifyError {
    let file = file.to_owned();
    move |Fault { offset, line, what }| VerifyError::Bad { file, offset, line, what }
}

fn failed_at(file: &Path) -> impl FnOnce(ScanError) -> VerifyError {
    move |error| match error {
        ScanError::Io(source) => io_at(file)(source),
        ScanError::Fault(fault) => bad_at(file)(fault),
        ScanError::Newer(format) => bad_at(file)(at_header(format!("format {format} is newer than this version"))),
    }
}

/// Often enough for a progress bar.
const PROGRESS_EVERY: u64 = 4 * 1024 * 1024;

fn at_header(what: String) -> Fault {
    Fault { offset: 0, line: 1, what }
}

/// Whether a segment continues what was verified so far.
fn join(so_far: &Verified, begins: Link, first_by_name: u64, header: &Header) -> Result<(), String> {
    let deployment = &header.deployment;
    let first = begins.sequence + 1;
    if first != first_by_name {
        return Err(format!("it begins with record {first}, its name says {first_by_name}"));
    }
    if *deployment != so_far.deployment_id {
        return Err(format!(
            "it belongs to deployment {deployment}, the first segment to {}",
            so_far.deployment_id
        ));
    }
    if header.generation < so_far.generation {
        return Err(format!(
            "its generation {} is below {}, that of the segment before",
            header.generation, so_far.generation
        ));
    }
    if begins.sequence != so_far.last_sequence {
        let wanted = so_far.last_sequence + 1;
        return Err(format!(
            "it begins with record {first}, {wanted} comes next: a segment is missing or was cut"
        ));
    }
    if begins.head != so_far.head || (first == 1 && begins.head != NONE) {
        return Err("it does not continue the chain of the segment before".to_owned());
    }
    Ok(())
}
