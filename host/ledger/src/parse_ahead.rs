//! Parses records on every core while the log is read on one thread and judged, in order, on another: a log is read at the speed of its
//! hashing. Memory is a few batches a core.

use crate::in_order::in_order;
use crate::scan::Fault;

/// Bytes of lines that are parsed at once: large enough that handing over costs nothing, small enough for the caches.
const BATCH: usize = 256 * 1024;
/// A log smaller than this is read before threads would have started.
const WORTH_IT: u64 = 1024 * 1024;

/// Takes what a line was parsed to, and where the line is: the byte, and the line from 1.
pub(crate) type OnParsed<'a, T> = dyn FnMut(T, u64, u64) -> Result<(), Fault> + Send + 'a;

/// Reads a frame into the batch; says at which byte it begins and how many lines are before it, or `None` at the end.
pub(crate) type NextFrame<'a, E> = dyn FnMut(&mut Batch) -> Result<Option<(u64, u64)>, E> + 'a;

/// Parses a line without its LF.
pub(crate) type Parse<T> = fn(&str) -> Result<T, String>;

/// Whole frames.
#[derive(Default)]
pub(crate) struct Batch {
    lines: Vec<u8>,
    /// Where each ends in them, without its LF.
    ends: Vec<usize>,
    frames: Vec<Frame>,
}

/// A frame in a batch.
struct Frame {
    /// The byte of the log at which it begins.
    begin: u64,
    /// Lines of the log before it.
    lines_before: u64,
    /// The end of its lines in the batch, in bytes and in lines.
    end: usize,
    lines: usize,
}

impl Batch {
    /// One more line of the frame that is being read.
    pub(crate) fn line(&mut self, line: &[u8]) {
        self.lines.extend_from_slice(line);
        self.ends.push(self.lines.len());
        self.lines.push(b'\n');
    }

    /// The frame holds; it begins at this byte, after so many lines.
    fn end_frame(&mut self, begin: u64, lines_before: u64) {
        self.frames.push(Frame {
            begin,
            lines_before,
            end: self.lines.len(),
            lines: self.ends.len(),
        });
    }

    /// What was read of a frame that does not hold, or that nobody needs, counts for nothing.
    pub(crate) fn cut(&mut self) {
        let (end, lines) = self.frames.last().map_or((0, 0), |frame| (frame.end, frame.lines));
        self.lines.truncate(end);
        self.ends.truncate(lines);
    }

    fn parse<T>(&self, parse: Parse<T>) -> Parsed<T> {
        let mut records = Vec::with_capacity(self.ends.len());
        let (mut from, mut ends) = (0, self.ends.iter());
        for frame in &self.frames {
            let (mut offset, mut line) = (frame.begin, frame.lines_before);
            while from < frame.end
                && let Some(end) = ends.next()
            {
                line += 1;
                let raw = self.lines.get(from..*end).unwrap_or_default();
                let text = std::str::from_utf8(raw).map_err(|error| format!("it is no UTF-8: {error}"));
                match text.and_then(parse) {
                    Ok(record) => records.push((record, offset, line)),
                    Err(what) => {
                        let fault = Some(Fault { offset, line, what });
                        return Parsed { records, fault };
                    }
                }
                offset += raw.len() as u64 + 1;
                from = end + 1;
            }
        }
        Parsed { records, fault: None }
    }
}

/// What lines were parsed to, up to the first that cannot be.
struct Parsed<T> {
    records: Vec<(T, u64, u64)>,
    fault: Option<Fault>,
}

impl<T> Parsed<T> {
    fn judge(self, on_parsed: &mut OnParsed<'_, T>) -> Result<(), Fault> {
        for (record, offset, line) in self.records {
            on_parsed(record, offset, line)?;
        }
        self.fault.map_or(Ok(()), Err)
    }
}

/// Reads frames to their end. Returns what `next` ended with, or the first line that cannot be parsed or that `on_parsed` refuses, which
/// comes before that in the log.
pub(crate) fn read<T: Send, E>(
    len: u64,
    next: &mut NextFrame<'_, E>,
    parse: Parse<T>,
    on_parsed: &mut OnParsed<'_, T>,
) -> Result<Result<(), E>, Fault> {
    let mut ended = None;
    let mut batches = || {
        if ended.is_some() {
            return None;
        }
        let batch;
        (batch, ended) = gather(next);
        Some(batch)
    };
    let work = |batch: Batch| batch.parse(parse);
    let mut judge = |parsed: Parsed<T>| parsed.judge(on_parsed);
    in_order(len >= WORTH_IT, &mut batches, &work, &mut judge)?;
    // Without an end it was the judge who ended it, above.
    Ok(ended.unwrap_or(Ok(())))
}

/// Fills a batch; with what reading ended, if it did.
fn gather<E>(next: &mut NextFrame<'_, E>) -> (Batch, Option<Result<(), E>>) {
    let mut batch = Batch::default();
    while batch.lines.len() < BATCH {
        match next(&mut batch) {
            Ok(Some((begin, lines_before))) => batch.end_frame(begin, lines_before),
            Ok(None) => return (batch, Some(Ok(()))),
            Err(error) => {
                batch.cut();
                return (batch, Some(Err(error)));
            }
        }
    }
    (batch, None)
}
