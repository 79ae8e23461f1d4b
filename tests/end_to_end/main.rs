//! End-to-end tests: the real binary, a real socket, real policies.

mod bad_input;
mod common;
mod edges;
mod kill;
mod main_job;
mod modules;
mod races;
mod start;
