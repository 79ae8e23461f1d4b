//! Wall clock and boot clock driven apart, through the whole pipeline.

use crate::fakes::{NOW, World, allow};
use sigwarden_core::Code;
use sigwarden_core::state::Effect;
use std::sync::atomic::Ordering;

#[test]
fn a_step_ahead_refuses_until_an_operator_accepts_it_and_a_step_back_until_it_has_passed() {
    let world = World::new(vec![allow()]);
    let step = |wall: i64, boot: u64| {
        world.clock.fetch_add(wall.cast_unsigned(), Ordering::SeqCst);
        world.boot_clock.fetch_add(boot, Ordering::SeqCst);
    };
    world.message().unwrap();
    step(3_600_000, 3_600_000);
    world.message().unwrap();
    // Ahead of the boot clock.
    step(60_001, 0);
    assert_eq!(world.message().unwrap_err().kind(), Code::ClockStep);
    step(-60_001, 0);
    world.message().unwrap();
    step(86_400_000, 0);
    assert_eq!(world.message().unwrap_err().kind(), Code::ClockStep);
    world.pipeline.accept_clock();
    world.message().unwrap();
    // Behind the latest record, which the fake ledger does not note by itself.
    let now = world.clock.load(Ordering::SeqCst);
    world.ledger.state.lock().unwrap().note_time(now);
    step(-5_001, 0);
    assert_eq!(world.message().unwrap_err().kind(), Code::ClockBehind);
    step(1, 0);
    world.message().unwrap();
    // The boot clock alone runs on: the wall clock stands still, and is judged by what was recorded.
    step(0, 1_000_000);
    world.message().unwrap();
}

#[test]
fn a_year_without_a_record_refuses_whatever_the_boot_clock_says() {
    let world = World::new(vec![allow()]);
    world.ledger.state.lock().unwrap().note_time(NOW);
    let year = 365 * 86_400_000;
    world.clock.fetch_add(year, Ordering::SeqCst);
    world.boot_clock.fetch_add(year, Ordering::SeqCst);
    world.message().unwrap();
    world.clock.fetch_add(1, Ordering::SeqCst);
    world.boot_clock.fetch_add(1, Ordering::SeqCst);
    assert_eq!(world.message().unwrap_err().kind(), Code::ClockAhead);
    // Floors do not depend on it: what is refused has taken nothing.
    assert_eq!(world.vote("5/100/a").unwrap_err().kind(), Code::ClockAhead);
    world.ledger.state.lock().unwrap().note_time(NOW + year);
    world.vote("5/100/b").unwrap();
}

/// A clock that was ahead when the daemon started has signed; now it is right, and behind what was recorded.
#[test]
fn an_accepted_clock_ends_what_a_wrong_one_has_recorded() {
    let world = World::new(vec![allow()]);
    let wrong = NOW + 330 * 86_400_000;
    world.ledger.state.lock().unwrap().note_time(wrong);
    assert_eq!(world.message().unwrap_err().kind(), Code::ClockBehind);
    let bucket = Effect::Bucket {
        instance: "limit".into(),
        name: "all".into(),
        arrival_ns: wrong * 1_000_000,
    };
    let mut state = world.ledger.state.lock().unwrap();
    state.apply(&bucket);
    state.apply(&Effect::ClockAccepted { now_ms: NOW });
    assert_eq!(
        state.buckets.values().map(|bucket| bucket.arrival_ns).collect::<Vec<_>>(),
        [NOW * 1_000_000]
    );
    drop(state);
    world.pipeline.accept_clock();
    world.message().unwrap();
}
