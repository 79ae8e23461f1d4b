//! Work on many pieces, on every core, whose results are taken in order: what reads a log or a checkpoint reads on one thread, parses on
//! all, and judges on another. Memory is a few pieces a core.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// More work faster than one thread can read.
const WORKERS_MAX: usize = 6;

/// Does `work` on each piece that `next` gives, and hands what it made of them to `take`, in order, until `take` refuses one. `next` and
/// `take` run on one thread each. If the whole is not `worth_it`, all is done on this one.
pub(crate) fn in_order<P: Send, R: Send, E: Send>(
    worth_it: bool,
    next: &mut dyn FnMut() -> Option<P>,
    work: &(dyn Fn(P) -> R + Sync),
    take: &mut (dyn FnMut(R) -> Result<(), E> + Send),
) -> Result<(), E> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
    if !worth_it || workers < 2 {
        while let Some(piece) = next() {
            take(work(piece))?;
        }
        return Ok(());
    }
    std::thread::scope(|scope| {
        let (mut inputs, mut outputs): (Vec<SyncSender<P>>, Vec<Receiver<R>>) = (Vec::new(), Vec::new());
        for _ in 0..workers {
            let (input, pieces) = sync_channel::<P>(1);
            let (done, output) = sync_channel(1);
            scope.spawn(move || pieces.into_iter().try_for_each(|piece| done.send(work(piece))));
            inputs.push(input);
            outputs.push(output);
        }
        let taking = scope.spawn(move || {
            // Pieces were handed out in turn; the first that does not come is the end.
            let mut turns = outputs.iter().cycle();
            while let Some(Ok(result)) = turns.next().map(Receiver::recv) {
                take(result)?;
            }
            Ok(())
        });
        let mut turns = inputs.iter().cycle();
        while let Some(piece) = next() {
            // Nobody takes it any more: one was refused.
            if turns.next().is_none_or(|input| input.send(piece).is_err()) {
                break;
            }
        }
        drop(inputs);
        taking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_whoever_made_them_and_end_with_the_first_refused() {
        for worth_it in [true, false] {
            let mut given = 0;
            let mut taken = Vec::new();
            let mut next = || {
                given += 1;
                (given <= 1000).then_some(given)
            };
            let done = in_order(worth_it, &mut next, &|piece: u32| piece * 2, &mut |result| {
                taken.push(result);
                if result == 1500 { Err("enough") } else { Ok(()) }
            });
            assert_eq!(done, Err("enough"));
            assert!(taken.iter().copied().eq((1..=750).map(|piece| piece * 2)));
            assert!(given < 1000, "nothing is read long after it");
        }
    }
}
