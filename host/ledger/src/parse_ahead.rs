//! Parses records on every core while the log is read on one thread and judged, in order, on another: a log is read at the speed of its
//! hashing. Memory is a few batches a core.

use crate::scan::Fault;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes of lines that are parsed at once: large enough that handing over costs nothing, small enough for the caches.
const BATCH: usize = 256 * 1024;
/// A log smaller than this is read before threads would have started.
const WORTH_IT: u64 = 1024 * 1024;
/// More parse faster than one thread can read.
const PARSERS_MAX: usize = 6;

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
    /// Where each frame begins: the byte, the lines before it, and the end of its lines above.
    frames: Vec<(u64, u64, usize)>,
    frame: usize,
}

impl Batch {
    /// One more line of the frame that is being read.
    pub(crate) fn line(&mut self, line: &[u8]) {
        self.lines.extend_from_slice(line);
        self.lines.push(b'\n');
    }

    /// The frame holds; it begins at this byte, after so many lines.
    fn end_frame(&mut self, begin: u64, lines_before: u64) {
        self.frame = self.lines.len();
        self.frames.push((begin, lines_before, self.frame));
    }

    /// What was read of a frame that does not hold counts for nothing.
    fn cut(&mut self) {
        self.lines.truncate(self.frame);
    }

    fn parse<T>(&self, parse: Parse<T>) -> Parsed<T> {
        let mut records = Vec::new();
        let mut from = 0;
        for (begin, lines_before, end) in &self.frames {
            let (mut offset, mut line) = (*begin, *lines_before);
            for raw in self
                .lines
                .get(from..*end)
                .unwrap_or_default()
                .split_inclusive(|byte| *byte == b'\n')
            {
                line += 1;
                let text = std::str::from_utf8(raw.strip_suffix(b"\n").unwrap_or(raw)).map_err(|error| format!("it is no UTF-8: {error}"));
                let record = text.and_then(parse);
                match record {
                    Ok(record) => records.push((record, offset, line)),
                    Err(what) => {
                        let fault = Some(Fault { offset, line, what });
                        return Parsed { records, fault };
                    }
                }
                offset += raw.len() as u64;
            }
            from = *end;
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

/// Reads frames to their end. Returns
/// what `next` ended with, or the first line that cannot be parsed or that `on_parsed` refuses, which comes before that in the log.
pub(crate) fn read<T: Send, E>(
    len: u64,
    next: &mut NextFrame<'_, E>,
    parse: Parse<T>,
    on_parsed: &mut OnParsed<'_, T>,
) -> Result<Result<(), E>, Fault> {
    let parsers = std::thread::available_parallelism().map_or(1, usize::from).min(PARSERS_MAX);
    if len < WORTH_IT || parsers < 2 {
        loop {
            let (batch, ended) = gather(next);
            batch.parse(parse).judge(on_parsed)?;
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }
    std::thread::scope(|scope| {
        let (mut inputs, mut outputs): (Vec<SyncSender<Batch>>, Vec<Receiver<Parsed<T>>>) = (Vec::new(), Vec::new());
        for _ in 0..parsers {
            let (input, batches) = sync_channel::<Batch>(1);
            let (parsed, output) = sync_channel(1);
            scope.spawn(move || batches.into_iter().try_for_each(|batch| parsed.send(batch.parse(parse))));
            inputs.push(input);
            outputs.push(output);
        }
        let judge = scope.spawn(move || {
            // Batches were handed out in turn; the first that does not come is the end.
            let mut turns = outputs.iter().cycle();
            while let Some(Ok(parsed)) = turns.next().map(Receiver::recv) {
                parsed.judge(on_parsed)?;
            }
            Ok(())
        });
        let mut turns = inputs.iter().cycle();
        let ended = loop {
            let (batch, ended) = gather(next);
            // Nobody takes it any more: a record was refused.
            let over = turns.next().is_none_or(|input| input.send(batch).is_err());
            match ended {
                Some(ended) => break ended,
                None if over => break Ok(()),
                None => {}
            }
        };
        drop(inputs);
        let judged = judge.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        judged.map(|()| ended)
    })
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
