//! The functions.

use crate::check::{Checker, Typed};
use crate::lexer::{Wrong, wrong};
use crate::parser::{Ast, Kind};
use crate::tree::{Boolean, Bytes, Number, Part};
use sigwarden_guest::{Address, HexBytes, Period, U256, UtcTime, shown};
use std::fmt::Display;
use std::str::FromStr;

/// Functions and, after a receiver, methods.
const FUNCTIONS: [&str; 7] = ["size", "has", "address", "hex", "timestamp", "duration", "uint"];
const METHODS: [&str; 7] = ["size", "startsWith", "endsWith", "contains", "slice", "exists", "all"];

impl Checker<'_> {
    pub(crate) fn call(&mut self, at: usize, function: &str, receiver: Option<&Ast>, arguments: &[Ast]) -> Result<Typed, Wrong> {
        match (receiver, function, arguments) {
            (None, "size", [of]) | (Some(of), "size", []) => self.size(of),
            (None, "has", [of]) => self.has(of),
            (None, "uint", [of]) => self.uint(at, of),
            (None, "address" | "hex" | "timestamp" | "duration", [literal]) => constant(function, literal),
            (Some(whole), "startsWith", [piece]) => self.part(at, Part::Starts, whole, piece),
            (Some(whole), "endsWith", [piece]) => self.part(at, Part::Ends, whole, piece),
            (Some(whole), "contains", [piece]) => self.part(at, Part::Contains, whole, piece),
            (Some(of), "slice", [from, to]) => self.slice(at, of, from, to),
            (Some(list), "exists", arguments) => self.quantified(false, at, list, arguments),
            (Some(list), "all", arguments) => self.quantified(true, at, list, arguments),
            (None, known, _) if FUNCTIONS.contains(&known) => wrong(at, format!("`{known}` takes one argument")),
            (Some(_), known, _) if METHODS.contains(&known) => {
                wrong(at, format!("`.{known}` takes other arguments: see the policy's README"))
            }
            (None, unknown, _) => wrong(at, format!("there is no function `{unknown}`; there is {}", shown(FUNCTIONS))),
            (Some(_), unknown, _) => wrong(at, format!("there is no method `{unknown}`; there is {}", shown(METHODS))),
        }
    }

    fn size(&mut self, of: &Ast) -> Result<Typed, Wrong> {
        let number = match self.check(of)? {
            Typed::Text(text, _) => Number::Characters(Box::new(text)),
            Typed::Bytes(bytes, _) => Number::Size(Box::new(bytes)),
            Typed::List(list, _) => Number::Count(Box::new(list)),
            other @ (Typed::Boolean(_) | Typed::Number(_)) => return wrong(of.at, format!("{} has no size", other.kind())),
        };
        Ok(Typed::Number(number))
    }

    fn has(&mut self, of: &Ast) -> Result<Typed, Wrong> {
        let Kind::Path(path) = &of.kind else {
            return wrong(of.at, "`has` takes the name of a fact: `has(evm.to)`");
        };
        let (slot, _) = self.fact(of.at, path)?;
        self.asked.insert(slot);
        Ok(Typed::Boolean(Boolean::Has(slot)))
    }

    fn uint(&mut self, at: usize, of: &Ast) -> Result<Typed, Wrong> {
        let place = u16::try_from(at).unwrap_or(u16::MAX);
        match self.check(of)? {
            Typed::Number(number) => Ok(Typed::Number(number)),
            Typed::Bytes(_, Some(33..)) => wrong(of.at, "a number has at most 32 bytes"),
            Typed::Bytes(bytes, _) => Ok(Typed::Number(Number::FromBytes(place, Box::new(bytes)))),
            other @ (Typed::Boolean(_) | Typed::Text(_, _) | Typed::List(_, _)) => {
                wrong(of.at, format!("`uint` makes a number of bytes, and this is {}", other.kind()))
            }
        }
    }

    fn part(&mut self, at: usize, part: Part, whole: &Ast, piece: &Ast) -> Result<Typed, Wrong> {
        let sides = match (self.check(whole)?, self.check(piece)?) {
            (Typed::Text(whole, _), Typed::Text(piece, _)) => (Bytes::OfText(Box::new(whole)), Bytes::OfText(Box::new(piece))),
            (Typed::Bytes(whole, _), Typed::Bytes(piece, _)) => (whole, piece),
            (whole, piece) => {
                let message = format!(
                    "this looks for {} in {}; both must be text, or both bytes",
                    piece.kind(),
                    whole.kind()
                );
                return wrong(at, message);
            }
        };
        Ok(Typed::Boolean(Boolean::Part(part, Box::new(sides))))
    }

    fn slice(&mut self, at: usize, of: &Ast, from: &Ast, to: &Ast) -> Result<Typed, Wrong> {
        let typed = self.check(of)?;
        let kind = typed.kind();
        let Typed::Bytes(bytes, _) = typed else {
            return wrong(of.at, format!("`slice` cuts bytes, and this is {kind}"));
        };
        let (from, to) = (self.number(from)?, self.number(to)?);
        let length = match (&from, &to) {
            (Number::Constant(from), Number::Constant(to)) => {
                let length = to
                    .checked_sub(*from)
                    .and_then(U256::to_u64)
                    .and_then(|length| usize::try_from(length).ok());
                let Some(length) = length else {
                    return wrong(at, "this slice ends before it begins");
                };
                Some(length)
            }
            (_, _) => None,
        };
        let place = u16::try_from(at).unwrap_or(u16::MAX);
        Ok(Typed::Bytes(Bytes::Slice(place, Box::new((bytes, from, to))), length))
    }
}

/// A literal that is written as text, and read now.
fn constant(function: &str, literal: &Ast) -> Result<Typed, Wrong> {
    let Kind::Text(text) = &literal.kind else {
        return wrong(literal.at, format!("`{function}` takes one literal in quotes"));
    };
    let time = |milliseconds: u64| Typed::Number(Number::Constant(U256::from(milliseconds)));
    let bytes = |bytes: Vec<u8>| {
        let length = bytes.len();
        Typed::Bytes(Bytes::Constant(bytes), Some(length))
    };
    match function {
        "address" => read(literal.at, text).map(|address: Address| bytes(address.0.to_vec())),
        "hex" => read(literal.at, text).map(|hex: HexBytes| bytes(hex.0)),
        "timestamp" => read(literal.at, text).map(|moment: UtcTime| time(moment.milliseconds())),
        _ => read(literal.at, text).map(|period: Period| time(period.milliseconds())),
    }
}

fn read<T: FromStr>(at: usize, text: &str) -> Result<T, Wrong>
where
    T::Err: Display,
{
    text.parse().or_else(|error: T::Err| wrong(at, error.to_string()))
}
