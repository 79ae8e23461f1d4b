//! The workbench from outside: fixtures of the reference policies, fixtures that must fail, what is printed, attacks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod attacks;
mod bad_fixtures;
mod empty;
mod judging;
mod measuring;
mod printing;
mod recording;
mod reference;
mod rig;
mod seeded;
