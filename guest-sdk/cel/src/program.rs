//! An expression, compiled: what a policy keeps and judges by.

use crate::check::Checker;
use crate::facts::{Facts, Values, written};
use crate::judge::{Cause, Scope, Sets};
use crate::lexer::Wrong;
use crate::parser::parse;
use crate::show;
use crate::tree::{Boolean, Slot};
use serde::Serialize;
use sigwarden_guest::{FORMATS, FormatPattern};
use std::fmt;

/// Characters of an expression in a message.
const SHOWN: usize = 200;
/// Facts in a message.
const FACTS_SHOWN: usize = 6;

/// A compiled expression, which is true or false of a request. It is serialized so that a configuration's digest covers it. Shown, it is
/// the expression on one line, cut after 200 characters. By default, before it is compiled, it is for no format, and false.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Program {
    text: String,
    /// The places of its formats in the SDK's list.
    formats: Vec<usize>,
    condition: Boolean,
    /// The facts that it reads, in order.
    reads: Vec<Slot>,
}

/// What is wrong with an expression: where, what stands there, and what would be right, as one sentence for an operator, such as
/// ``character 1, `evm.valeu < 5`: there is no `evm.valeu`; the nearest is `evm.value` ``. Characters are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    message: String,
}

/// Why a program is neither true nor false: the request lacks a fact that it reads, or has one of another type; a number is out of range
/// or divided by 0; bytes are too few or too many. Its text says which, and at which character. Who cannot judge a request denies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault<'a> {
    cause: Cause,
    /// The expression.
    text: &'a str,
    facts: &'a Facts,
}

impl Program {
    /// Compiles an expression: reads it, and checks its types and names against the facts of the formats that it is for. `sets` are
    /// those that it may name. The facts that it reads are put into `facts`, the table of all programs of a configuration.
    ///
    /// # Errors
    /// It is no expression of the language, longer than 4,096 bytes or nested deeper than 32; it names what is not there, or compares
    /// what is never equal; it reads, without `has`, a fact that one of its formats never has.
    pub fn compile(text: &str, formats: &[FormatPattern], sets: &Sets, facts: &mut Facts) -> Result<Self, CompileError> {
        let compiled = parse(text).and_then(|ast| Checker::new(formats, sets, facts).condition(&ast));
        let (condition, reads) = compiled.map_err(|wrong| CompileError::of(text, &wrong))?;
        let is_ours = |format: &str| formats.iter().any(|pattern| pattern.matches(format));
        let places = FORMATS.iter().enumerate().filter(|(_, format)| is_ours(format));
        Ok(Self {
            text: text.to_owned(),
            formats: places.map(|(place, _)| place).collect(),
            condition,
            reads,
        })
    }

    /// Whether it is for the request's format. One that is for another has nothing to say of the request.
    #[must_use]
    #[inline]
    pub fn covers(&self, values: &Values<'_>) -> bool {
        values.format.is_some_and(|place| self.formats.contains(&place))
    }

    /// Whether it is true of a request. Allocates nothing.
    ///
    /// # Errors
    /// It is neither true nor false: deny.
    #[inline]
    pub fn judge<'a>(&'a self, scope: &Scope<'a>) -> Result<bool, Fault<'a>> {
        self.condition.judge(scope).map_err(|cause| Fault {
            cause,
            text: &self.text,
            facts: scope.values.facts,
        })
    }

    /// True or false, if it is that whatever the request, as far as can be seen without one: `evm.value >= 0` is always true. Who wrote
    /// it meant something else.
    #[must_use]
    pub fn settled(&self) -> Option<bool> {
        self.condition.settled()
    }

    /// Whether it is the word `true`, and so settled on purpose.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.condition == Boolean::Constant(true)
    }

    /// The facts that it reads with the request's values, for a denial: `evm.value = 5, evm.to = missing`; empty if it reads none. The
    /// first six; long values are cut.
    #[must_use]
    pub fn findings(&self, scope: &Scope<'_>) -> String {
        let mut all = String::new();
        for slot in self.reads.iter().take(FACTS_SHOWN) {
            let (Some(name), Some(value)) = (scope.values.facts.name(*slot), scope.values.found.get(usize::from(*slot))) else {
                continue;
            };
            let value = value.map_or_else(|| "missing".to_owned(), show::value);
            let before = if all.is_empty() { "" } else { ", " };
            all.push_str(&format!("{before}{} = {value}", written(name)));
        }
        all
    }
}

impl Default for Program {
    fn default() -> Self {
        Self {
            text: String::new(),
            formats: Vec::new(),
            condition: Boolean::Constant(false),
            reads: Vec::new(),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show::line(&self.text, SHOWN))
    }
}

impl CompileError {
    fn of(text: &str, wrong: &Wrong) -> Self {
        let (place, excerpt) = (show::place(text, wrong.at), show::excerpt(text, wrong.at));
        Self {
            message: format!("{place}, {excerpt}: {}", wrong.message),
        }
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CompileError {}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |at: u16| show::place(self.text, at.into());
        match self.cause {
            Cause::Missing(slot) => {
                let name = self.facts.name(slot).map_or_else(String::new, written);
                write!(f, "the request has no `{name}`; `has({name})` asks for it")
            }
            Cause::Type => f.write_str("a fact is of another type than `wit/facts.md` says"),
            Cause::Overflow(at) => write!(f, "a number is below 0 or over 2^256-1 at {}", place(at)),
            Cause::Division(at) => write!(f, "a number is divided by 0 at {}", place(at)),
            Cause::Range(at) => write!(f, "the bytes are too few or too many at {}", place(at)),
            Cause::NoSet => f.write_str("a set that the expression names is gone"),
        }
    }
}

impl std::error::Error for Fault<'_> {}
