//! What listening costs: `cargo test --release -p sigwarden-telemetry cost -- --ignored --nocapture` prints it. No timing is asserted.

use crate::world::World;
use sigwarden_core::ledger::{Commitment, Entry, Receipt};
use sigwarden_core::proof::{Approved, DecisionId};
use sigwarden_core::state::State;
use sigwarden_core::{Ledger, Refusal};
use sigwarden_telemetry::Observed;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// Does nothing.
struct Nothing;

impl Ledger for Nothing {
    fn snapshot(&self) -> State {
        State::default()
    }
    fn commit(&self, _: &[Approved]) -> Vec<Commitment> {
        Vec::new()
    }
    fn look_up(&self, _: DecisionId) -> Option<Receipt> {
        None
    }
    fn append(&self, entry: Entry) {
        black_box(&entry);
    }
}

#[test]
#[ignore = "prints figures"]
fn cost_of_an_outcome_and_of_a_refusal() {
    const TIMES: u32 = 20_000;
    let world = World::new();
    world.message("hello").unwrap();
    world.message("deny:no").unwrap_err();
    let entries = world.ledger.entries.lock().unwrap().clone();
    let observed = Observed::new(Arc::new(Nothing), Arc::clone(&world.metrics));
    for entry in entries {
        let run = |ledger: &dyn Ledger| {
            let round = || {
                let copies: Vec<_> = (0..TIMES).map(|_| entry.clone()).collect();
                let begun = Instant::now();
                for copy in copies {
                    ledger.append(copy);
                }
                begun.elapsed() / TIMES
            };
            // What others do on the machine only adds.
            (0..10).map(|_| round()).min().unwrap_or_default()
        };
        let (bare, heard) = (run(&Nothing), run(&observed));
        println!(
            "append: bare {bare:?}, observed {heard:?}, so {:?} more",
            heard.saturating_sub(bare)
        );
    }
    // The whole of it: requests of an in-memory pipeline, heard and not, which includes the commit's part.
    let messages = |world: &World| -> Result<_, Refusal> {
        let begun = Instant::now();
        for _ in 0..20_000 {
            world.message("hello")?;
        }
        Ok(begun.elapsed() / 20_000)
    };
    println!("a whole request, heard: {:?}", messages(&World::new()).unwrap());
    let page = Instant::now();
    let text = world.page();
    println!("a page: {} bytes in {:?}", text.len(), page.elapsed());
}
