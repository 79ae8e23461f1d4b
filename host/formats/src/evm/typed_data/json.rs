//! JSON as it was sent: no key twice, numbers kept whole, bounded in depth and number of values.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use sigwarden_core::fact::PayloadError;
use std::cell::Cell;
use std::fmt;

/// Levels of nesting at most. Published schemes stay under ten; everything that goes through values recurses as deep as this and no deeper.
const DEPTH_MAX: usize = 32;

/// Values and keys at most: a value takes some 50 bytes of memory, and two of JSON.
const NODES_MAX: usize = 16_384;

/// The greatest integer that every JSON library keeps exact, 2^53-1 (RFC 8259 §6).
const EXACT_MAX: u64 = (1 << 53) - 1;

/// A value of JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    /// At most [`EXACT_MAX`], either way.
    Integer(i64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the text; no key is there twice.
    Object(Vec<(String, Node)>),
}

impl Node {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// The values of an object that has exactly these keys.
    pub(super) fn fields<'a, const N: usize>(&'a self, what: &str, names: [&str; N]) -> Result<[&'a Node; N], PayloadError> {
        let entries = self.object(what)?;
        let unknown = entries.iter().find(|(name, _)| !names.contains(&name.as_str()));
        if let Some((name, _)) = unknown {
            return Err(PayloadError::Malformed(format!(
                "{what} has no `{}`; it has {}",
                shown(name),
                names.map(|name| format!("`{name}`")).join(", ")
            )));
        }
        let mut values = [&Node::Null; N];
        for (place, name) in values.iter_mut().zip(names) {
            let found = entries.iter().find(|(given, _)| given == name);
            *place = found
                .map(|(_, value)| value)
                .ok_or_else(|| PayloadError::Malformed(format!("{what} lacks `{name}`")))?;
        }
        Ok(values)
    }

    pub(super) fn object(&self, what: &str) -> Result<&[(String, Node)], PayloadError> {
        match self {
            Self::Object(entries) => Ok(entries),
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Text(_) | Self::List(_) => {
                Err(PayloadError::Malformed(format!("{what} is {}; it is an object", self.kind())))
            }
        }
    }
}

/// A sender's text as it may stand in a message.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

/// Reads a whole text.
pub(super) fn read(json: &[u8]) -> Result<Node, PayloadError> {
    let left = Cell::new(NODES_MAX);
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let seed = Seed { left: &left, depth: 0 };
    let node = seed
        .deserialize(&mut deserializer)
        .and_then(|node| deserializer.end().map(|()| node));
    node.map_err(|error| PayloadError::Malformed(format!("this is no typed data: {error}")))
}

/// Writes a string as RFC 8785 does, which is what `JSON.stringify` writes.
pub(super) fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => out.push(letter),
        }
    }
    out.push('"');
}

#[derive(Clone, Copy)]
struct Seed<'l> {
    left: &'l Cell<usize>,
    depth: usize,
}

impl Seed<'_> {
    fn count<E: Error>(&self) -> Result<(), E> {
        let left = self.left.get().checked_sub(1);
        self.left
            .set(left.ok_or_else(|| E::custom(format_args!("more than {NODES_MAX} values and keys")))?);
        Ok(())
    }

    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        self.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        let exact = i64::try_from(value).ok().filter(|_| value <= EXACT_MAX);
        exact.map(Node::Integer).ok_or_else(|| {
            E::custom(format_args!(
                "the number {value} is above 2^53-1, where JSON libraries round; write it as a string"
            ))
        })
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        if value.unsigned_abs() > EXACT_MAX {
            return Err(E::custom(format_args!(
                "the number {value} is below -(2^53-1), where JSON libraries round; write it as a string"
            )));
        }
        Ok(Node::Integer(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Err(E::custom(format_args!(
            "the number {value} has a fraction or an exponent, is -0, or is too large; write an integer, above 2^53-1 as a string"
        )))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let inner = self.deeper()?;
        let mut seen = std::collections::BTreeSet::new();
        let mut object = Vec::new();
        while let Some(name) = entries.next_key::<String>()? {
            self.count()?;
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format_args!("the key `{}` is there twice", shown(&name))));
            }
            object.push((name, entries.next_value_seed(inner)?));
        }
        Ok(Node::Object(object))
    }
}
