//! What is printed: text for people, JSON lines for machines, JUnit XML for a CI.

mod attacks;
mod human;
mod json;
mod junit;

pub(crate) use attacks::{conformance_line, conformance_summary, conformance_text};
pub(crate) use human::Style;
pub(crate) use human::{coverage_text, fixture_text, paint, summary};
pub(crate) use json::{coverage_line, step_line};
pub(crate) use junit::junit;
