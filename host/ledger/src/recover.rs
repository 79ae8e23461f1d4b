//! What a start reads: the checkpoint, then every record after it. Nothing is written here; all of it may still be refused.

use crate::archive;
use crate::checkpoint::{Checkpoint, Dirty};
use crate::disk::{Access, Disk, DiskFile};
use crate::error::OpenError;
use crate::frame::Header;
use crate::parse_ahead::{self, Batch};
use crate::record::written::Written;
use crate::record::{Line, NONE};
use crate::scan::{self, Fault, Link, ScanError, Scanner, Tail};
use crate::segment;
use serde::de::IgnoredAny;
use sigwarden_core::state::{Effect, State};
use std::path::{Path, PathBuf};

/// What a start found.
pub(crate) struct Recovered {
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) state: State,
    /// What the checkpoint lacks.
    pub(crate) dirty: Dirty,
    /// Where the chain ends.
    pub(crate) link: Link,
    /// The newest segment's header.
    pub(crate) newest: Header,
    /// The end of its last valid frame.
    pub(crate) newest_end: u64,
    /// Bytes after that which are not zero: a write that was not completed.
    pub(crate) torn: u64,
    /// The oldest segment that the log must have from now on.
    pub(crate) oldest: u64,
    /// Records applied from the log.
    pub(crate) caught_up: u64,
}

/// Not open: there may be more segments than a process may have open.
struct Segment {
    path: PathBuf,
    header: Header,
}

impl Segment {
    fn open(&self, disk: &dyn Disk) -> Result<Box<dyn DiskFile>, OpenError> {
        disk.open(&self.path, Access::Read).map_err(OpenError::io(&self.path))
    }
}

/// Reads checkpoint and log of a deployment.
pub(crate) fn recover(disk: &dyn Disk, state_dir: &Path, rebuild_checkpoint: bool) -> Result<Recovered, OpenError> {
    let log = state_dir.join("log");
    let mut found = match archive::all_segments(disk, state_dir) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(OpenError::io(&log)(error)),
    };
    let oldest_in_log = found.iter().find(|(_, path)| path.starts_with(&log)).map_or(1, |(first, _)| *first);
    let opened = Checkpoint::open(disk, state_dir)?;
    if let Some((checkpoint, _)) = &opened {
        let meta = checkpoint.meta();
        let wanted = [meta.oldest, meta.segment];
        if let Some(missing) = wanted.into_iter().find(|wanted| !found.iter().any(|(first, _)| first == wanted)) {
            return Err(OpenError::MissingSegment {
                file: log.join(segment::name(missing)),
            });
        }
        // Older ones are archived, or about to be. A checkpoint from a backup may need archived ones.
        found.retain(|(first, _)| *first >= meta.oldest);
    }
    if found.is_empty() {
        return Err(OpenError::Missing {
            state_dir: state_dir.to_owned(),
        });
    }
    if opened.is_none() && !rebuild_checkpoint {
        return Err(OpenError::MissingCheckpoint {
            file: state_dir.join(crate::checkpoint::FILE),
        });
    }
    let segments = found
        .into_iter()
        .map(|(first, path)| read_header(disk, path, first))
        .collect::<Result<Vec<_>, _>>()?;
    let (checkpoint, state) = opened.map_or((None, State::default()), |(checkpoint, state)| (Some(checkpoint), state));
    refuse_others(&segments, checkpoint.as_ref())?;
    catch_up(disk, segments, checkpoint, state, state_dir).map(|recovered| Recovered {
        oldest: recovered.oldest.max(oldest_in_log),
        ..recovered
    })
}

fn read_header(disk: &dyn Disk, path: PathBuf, first: u64) -> Result<Segment, OpenError> {
    let file = disk.open(&path, Access::Read).map_err(OpenError::io(&path))?;
    let (_, header) = Scanner::open(file.as_ref()).map_err(OpenError::scan(&path))?;
    if header.first != first {
        return Err(OpenError::Damaged {
            what: format!(
                "it begins with record {}, its name says {first}: it was renamed or swapped",
                header.first
            ),
            file: path,
            offset: 0,
            line: 1,
        });
    }
    Ok(Segment { path, header })
}

/// All segments and the checkpoint are of one deployment, and its generation never falls.
fn refuse_others(segments: &[Segment], checkpoint: Option<&Checkpoint>) -> Result<(), OpenError> {
    let Some(first) = segments.first() else { return Ok(()) };
    let wanted = checkpoint.map_or(&first.header.deployment, |checkpoint| &checkpoint.meta().deployment);
    let mut generation = 0;
    for segment in segments {
        if segment.header.deployment != *wanted {
            return Err(OpenError::OtherDeployment {
                file: segment.path.clone(),
                found: segment.header.deployment.clone(),
                wanted: wanted.clone(),
            });
        }
        if segment.header.generation < generation {
            return Err(OpenError::Damaged {
                file: segment.path.clone(),
                offset: 0,
                line: 1,
                what: format!(
                    "its generation {} is below {generation}, that of the segment before",
                    segment.header.generation
                ),
            });
        }
        generation = segment.header.generation;
    }
    Ok(())
}

fn catch_up(
    disk: &dyn Disk,
    segments: Vec<Segment>,
    checkpoint: Option<Checkpoint>,
    state: State,
    state_dir: &Path,
) -> Result<Recovered, OpenError> {
    let absorbed = checkpoint.as_ref().map_or(Link { sequence: 0, head: NONE }, |checkpoint| Link {
        sequence: checkpoint.meta().sequence,
        head: checkpoint.meta().head,
    });
    let mut replay = Replay {
        state,
        dirty: Dirty::NOTHING,
        absorbed,
        link: None,
        caught_up: 0,
    };
    let mut segments = segments.into_iter().peekable();
    while let Some(segment) = segments.next() {
        replay.join(&segment)?;
        let followed_by = segments.peek().map(|next| next.header.first);
        let file = segment.open(disk)?;
        let newest_end = match followed_by {
            // The checkpoint has all of it; only its end is looked at, so that a start does not read years of log.
            Some(next) if next <= absorbed.sequence.saturating_add(1) => {
                replay.link = Some(scan::end_of(file.as_ref()).map_err(OpenError::scan(&segment.path))?);
                continue;
            }
            Some(_) => {
                replay.read(&segment, file.as_ref(), false)?;
                continue;
            }
            None => replay.read(&segment, file.as_ref(), true)?,
        };
        return replay.finish(segment, file.as_ref(), newest_end, checkpoint);
    }
    Err(OpenError::Missing {
        state_dir: state_dir.to_owned(),
    })
}

/// What a line does to the state.
struct Change {
    sequence: u64,
    time_ms: u64,
    effects: Vec<Effect>,
}

impl Change {
    fn parse(line: &str) -> Result<Self, String> {
        // As we write lines, in one pass; any other in two. The body is somebody else's, as long as it is one.
        let written = Written::read(line).filter(|written| serde_json::from_str::<IgnoredAny>(written.body).is_ok());
        let (sequence, kind, time, effects) = match written {
            Some(written) => (written.sequence, written.kind, written.time, written.effects),
            None => {
                let line = Line::parse(line.as_bytes()).map_err(|error| format!("this is no record: {error}"))?;
                let effects = line.effects().map_err(|error| format!("an effect of it cannot be read: {error}"))?;
                (line.sequence, line.kind, line.time, effects)
            }
        };
        Ok(Self {
            sequence,
            time_ms: if kind.time_is_judged() { time / 1_000_000 } else { 0 },
            effects,
        })
    }
}

/// Why frames are read no further.
enum Stopped {
    Fault(Fault),
    Refused(OpenError),
}

/// The state on its way through the log.
struct Replay {
    state: State,
    dirty: Dirty,
    absorbed: Link,
    link: Option<Link>,
    caught_up: u64,
}

impl Replay {
    /// The segment continues where the one before ended, or, if it is the first, no later than the checkpoint needs.
    fn join(&self, segment: &Segment) -> Result<(), OpenError> {
        let file = || segment.path.clone();
        let begins = Link {
            sequence: segment.header.first.saturating_sub(1),
            head: segment.header.previous,
        };
        let before = self.link.map_or(self.absorbed.sequence, |link| link.sequence);
        if begins.sequence > before {
            return Err(OpenError::Gap {
                file: file(),
                first: before + 1,
                last: begins.sequence,
            });
        }
        let other_head = self.link.is_some_and(|link| link != begins) || (begins.sequence == 0 && begins.head != NONE);
        if other_head {
            return Err(OpenError::Damaged {
                file: file(),
                offset: 0,
                line: 1,
                what: "it does not continue the chain of the segment before".to_owned(),
            });
        }
        if begins.sequence == self.absorbed.sequence && begins.head != self.absorbed.head {
            return Err(OpenError::CheckpointForks {
                file: file(),
                sequence: begins.sequence,
            });
        }
        Ok(())
    }

    /// Reads a segment and applies what the checkpoint lacks. Returns the end of its last valid frame.
    fn read(&mut self, segment: &Segment, file: &dyn DiskFile, newest: bool) -> Result<u64, OpenError> {
        let (mut scanner, _) = Scanner::open(file).map_err(OpenError::scan(&segment.path))?;
        let absorbed = self.absorbed;
        let left = scanner.left();
        let mut next = |batch: &mut Batch| {
            loop {
                let (begin, lines_before) = (scanner.valid_end(), scanner.line_number());
                let mut forks = false;
                let frame = scanner.frame(&mut |line, link| {
                    forks |= link.sequence == absorbed.sequence && link.head != absorbed.head;
                    batch.line(line);
                    Ok(())
                });
                match frame {
                    Ok(_) if forks => {
                        return Err(Stopped::Refused(OpenError::CheckpointForks {
                            file: segment.path.clone(),
                            sequence: absorbed.sequence,
                        }));
                    }
                    // The chain that ends in the checkpoint's head says that these are the very lines that it has absorbed: what they do
                    // to the state is done.
                    Ok(Some(link)) if link.sequence <= absorbed.sequence => batch.cut(),
                    Ok(whole) => return Ok(whole.map(|_| (begin, lines_before))),
                    Err(ScanError::Fault(fault)) => return Err(Stopped::Fault(fault)),
                    Err(error) => return Err(Stopped::Refused(OpenError::scan(&segment.path)(error))),
                }
            }
        };
        let (state, dirty, caught_up) = (&mut self.state, &mut self.dirty, &mut self.caught_up);
        let read = parse_ahead::read(left, &mut next, Change::parse, &mut |change, _, _| {
            if change.sequence > absorbed.sequence {
                *caught_up += 1;
                state.note_time(change.time_ms);
                for effect in change.effects {
                    dirty.apply(effect, state);
                }
            }
            Ok(())
        });
        let stopped = match read {
            Ok(Ok(())) => None,
            Ok(Err(Stopped::Fault(fault))) => Some(fault),
            Ok(Err(Stopped::Refused(error))) => return Err(error),
            // A whole frame that holds a line of nonsense was never torn: whatever follows it, it is damage.
            Err(Fault { offset, line, what }) => {
                let file = segment.path.clone();
                return Err(OpenError::Damaged { file, offset, line, what });
            }
        };
        self.link = Some(scanner.link());
        let end = scanner.valid_end();
        let fault = stopped.unwrap_or_else(|| Fault {
            offset: end,
            line: scanner.line_number(),
            what: "it goes on with bytes that are no frame".to_owned(),
        });
        let damaged = |what: String| OpenError::Damaged {
            file: segment.path.clone(),
            offset: fault.offset,
            line: fault.line,
            what,
        };
        match scan::tail(file, end).map_err(OpenError::io(&segment.path))? {
            Tail::ValidFrameAt(at) => Err(damaged(format!("{}; a valid frame ends at byte {at} behind it", fault.what))),
            Tail::Torn(bytes) if newest && scan::was_written_whole(file, end, bytes).map_err(OpenError::io(&segment.path))? => {
                Err(damaged(format!(
                    "{}; the frame was written whole, so that it was damaged afterwards",
                    fault.what
                )))
            }
            Tail::Clean | Tail::Torn(_) if newest => Ok(end),
            Tail::Clean if file.len().map_err(OpenError::io(&segment.path))? == end => Ok(end),
            Tail::Clean | Tail::Torn(_) => Err(damaged(format!("{}, though another segment follows", fault.what))),
        }
    }

    fn finish(self, newest: Segment, file: &dyn DiskFile, newest_end: u64, checkpoint: Option<Checkpoint>) -> Result<Recovered, OpenError> {
        let link = self.link.unwrap_or(self.absorbed);
        if link.sequence < self.absorbed.sequence {
            return Err(OpenError::CheckpointAhead {
                checkpoint: self.absorbed.sequence,
                log: link.sequence,
                file: newest.path,
                offset: newest_end,
            });
        }
        let torn = match scan::tail(file, newest_end).map_err(OpenError::io(&newest.path))? {
            Tail::Torn(bytes) => bytes,
            Tail::Clean | Tail::ValidFrameAt(_) => 0,
        };
        Ok(Recovered {
            oldest: checkpoint.as_ref().map_or(1, |checkpoint| checkpoint.meta().oldest),
            checkpoint,
            state: self.state,
            dirty: self.dirty,
            link,
            newest: newest.header,
            newest_end,
            torn,
            caught_up: self.caught_up,
        })
    }
}
