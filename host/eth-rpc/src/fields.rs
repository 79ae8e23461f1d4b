//! JSON values that a caller sent, taken apart one level at a time and never recursed into.
//!
//! `serde_json` has checked the syntax of the whole body before; what is left are well-formed pieces of its text. An object
//! with a key twice is refused, because two readers could read two things in it, and so is one with a key that nobody asked for.

use crate::digits;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sigwarden_formats::evm::U256;
use std::borrow::Cow;
use std::fmt;

/// Keys of an object: no object of the protocol has more than twenty. Looking for duplicates is quadratic.
const KEYS_MAX: usize = 64;

/// Characters of a caller's text that a message repeats.
const SHOWN_MAX: usize = 48;

/// What is wrong with what a caller sent: a sentence that names the place and says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Problem(pub(crate) String);

impl Problem {
    pub(crate) fn at(path: &str, problem: impl fmt::Display) -> Self {
        Self(format!("`{path}` {problem}"))
    }

    pub(crate) fn missing(path: &str) -> Self {
        Self::at(path, "is missing; the signer has no chain to take it from and fills nothing in")
    }
}

/// A caller's text as it may stand in a message: cut, control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect()
}

/// An object's fields, each taken once.
pub(crate) struct Fields<'a> {
    /// Where the object stands, with a dot at its end: `accessList[0].`; empty at the top.
    path: String,
    entries: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// The names that were asked for, for the message.
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Opens an object.
    pub(crate) fn open(path: &str, raw: &'a RawValue) -> Result<Self, Problem> {
        if !raw.get().starts_with('{') {
            return Err(Problem::at(path, "is no object"));
        }
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        let entries = deserializer
            .deserialize_map(Entries)
            .map_err(|error| Problem::at(path, cut_position(&error)))?;
        Ok(Self {
            path: String::new(),
            entries,
            known: Vec::new(),
        })
    }

    /// The same for an object that is inside another: its fields are named with their path.
    pub(crate) fn open_inner(path: &str, raw: &'a RawValue) -> Result<Self, Problem> {
        Ok(Self {
            path: format!("{path}."),
            ..Self::open(path, raw)?
        })
    }

    /// The field of this name, if it is there and not null: clients in Go write null for what is absent.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<&'a RawValue> {
        self.take_even_null(name).filter(|raw| raw.get() != "null")
    }

    /// The field of this name, if it is there.
    pub(crate) fn take_even_null(&mut self, name: &'static str) -> Option<&'a RawValue> {
        self.known.push(name);
        let at = self.entries.iter().position(|(key, _)| key == name)?;
        Some(self.entries.swap_remove(at).1)
    }

    /// The path of a field.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    pub(crate) fn quantity(&mut self, name: &'static str) -> Result<Option<U256>, Problem> {
        self.parsed(name, |text| digits::quantity(text).map_err(str::to_owned))
    }

    pub(crate) fn u64(&mut self, name: &'static str) -> Result<Option<u64>, Problem> {
        self.parsed(name, |text| {
            let quantity = digits::quantity(text)?;
            u64::try_from(quantity).map_err(|_| "has over 64 bits".to_owned())
        })
    }

    pub(crate) fn data(&mut self, name: &'static str) -> Result<Option<Vec<u8>>, Problem> {
        self.parsed(name, |text| digits::data(text).map_err(str::to_owned))
    }

    pub(crate) fn address(&mut self, name: &'static str) -> Result<Option<[u8; 20]>, Problem> {
        self.parsed(name, digits::address)
    }

    /// A field that must be there.
    pub(crate) fn wanted<T>(&self, name: &str, value: Option<T>) -> Result<T, Problem> {
        value.ok_or_else(|| Problem::missing(&self.path(name)))
    }

    /// Whether there is such a field, null or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| key == name)
    }

    fn parsed<T>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, Problem> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        let path = self.path(name);
        parsed(&path, raw, parse).map(Some)
    }

    /// Refuses what nobody asked for.
    pub(crate) fn finish(self, what: &str) -> Result<(), Problem> {
        match self.entries.first() {
            None => Ok(()),
            Some((name, _)) => Err(Problem(format!(
                "`{}{}` is no field of {what}; these are: {}",
                self.path,
                shown(name),
                self.known.join(", ")
            ))),
        }
    }
}

/// Text, parsed.
pub(crate) fn parsed<T>(path: &str, raw: &RawValue, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, Problem> {
    let text = text(path, raw)?;
    parse(&text).map_err(|problem| Problem::at(path, problem))
}

/// A string's text.
pub(crate) fn text<'a>(path: &str, raw: &'a RawValue) -> Result<Cow<'a, str>, Problem> {
    if !raw.get().starts_with('"') {
        return Err(Problem::at(path, "is no string"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    deserializer
        .deserialize_str(Text)
        .map_err(|error| Problem::at(path, cut_position(&error)))
}

/// An array's elements, at most `max`.
pub(crate) fn elements<'a>(path: &str, raw: &'a RawValue, max: usize) -> Result<Vec<&'a RawValue>, Problem> {
    if !raw.get().starts_with('[') {
        return Err(Problem::at(path, "is no array"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    deserializer
        .deserialize_seq(Elements { max })
        .map_err(|error| Problem::at(path, cut_position(&error)))
}

/// `serde_json` appends a position, which is that in a piece of the body and so would mislead.
fn cut_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&position).unwrap_or(&text).to_owned()
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries: Self::Value = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            if entries.len() == KEYS_MAX {
                return Err(A::Error::custom(format_args!("has over {KEYS_MAX} fields")));
            }
            if entries.iter().any(|(other, _)| *other == key) {
                return Err(A::Error::custom(format_args!("has the field `{}` twice", shown(&key))));
            }
            entries.push((key, map.next_value()?));
        }
        Ok(entries)
    }
}

/// An object's key, borrowed unless it has escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text).map(Key)
    }
}

struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

struct Elements {
    max: usize,
}

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            if elements.len() == self.max {
                return Err(A::Error::custom(format_args!("has over {} elements", self.max)));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_key_twice_is_refused_even_if_one_is_escaped() {
        for text in [r#"{"to":1,"to":1}"#, r#"{"to":1,"t\u006f":2}"#] {
            let problem = Fields::open("params[0]", raw(text)).err().unwrap();
            assert_eq!(problem.0, "`params[0]` has the field `to` twice");
        }
    }

    #[test]
    fn a_field_that_nobody_asked_for_is_named_and_cut() {
        let long = format!(r#"{{"nonce":"0x1","{}\u0000":1}}"#, "x".repeat(30));
        let mut fields = Fields::open_inner("list[3]", raw(&long)).unwrap();
        assert_eq!(fields.u64("nonce"), Ok(Some(1)));
        assert_eq!(fields.data("data"), Ok(None));
        let problem = fields.finish("an entry").unwrap_err().0;
        assert_eq!(
            problem,
            format!(r"`list[3].{}\0` is no field of an entry; these are: nonce, data", "x".repeat(30))
        );
        assert_eq!(shown(&"y".repeat(1000)).len(), SHOWN_MAX);
    }

    #[test]
    fn null_is_absence_and_a_wrong_type_is_named() {
        let mut fields = Fields::open("params[0]", raw(r#"{"to":null,"gas":21000,"value":"0x10000000000000000"}"#)).unwrap();
        assert_eq!(fields.address("to"), Ok(None));
        assert_eq!(fields.u64("gas").unwrap_err().0, "`gas` is no string");
        assert_eq!(fields.u64("value").unwrap_err().0, "`value` has over 64 bits");
        assert_eq!(Fields::open("x", raw("[]")).err().unwrap().0, "`x` is no object");
    }

    #[test]
    fn arrays_and_objects_are_bounded() {
        let fields = (0..=KEYS_MAX).map(|at| format!(r#""{at}":1"#)).collect::<Vec<_>>().join(",");
        let problem = Fields::open("x", raw(&format!("{{{fields}}}"))).err().unwrap();
        assert_eq!(problem.0, "`x` has over 64 fields");
        assert_eq!(elements("x", raw("[1,2,3]"), 2).unwrap_err().0, "`x` has over 2 elements");
        assert_eq!(elements("x", raw("[1,[2]]"), 2).unwrap()[1].get(), "[2]");
    }

    #[test]
    fn a_lone_surrogate_is_a_problem_and_no_panic() {
        assert!(text("x", raw(r#""\ud800""#)).unwrap_err().0.starts_with("`x` "));
    }
}
