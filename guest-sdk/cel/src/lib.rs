#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod calls;
mod check;
mod facts;
mod judge;
mod lexer;
mod names;
mod parser;
mod program;
mod settled;
mod show;
mod tree;

pub use facts::{FACTS, Facts, Values};
pub use judge::{Scope, Sets};
pub use names::is_set_name;
pub use program::{CompileError, Fault, Program};

#[cfg(test)]
mod tests;
