//! The values of typed data: read from JSON by their types, written as canonical JSON, listed as leaves.

use super::super::U256;
use super::json::{Node, shown, write_text};
use super::types::{Field, Kind, Types};
use sigwarden_core::fact::PayloadError;

/// Values without parts at most, an empty list counting as one: each is a line of the fact that policies see. Orders of exchanges have
/// under a hundred.
const LEAVES_MAX: usize = 256;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Bool(bool),
    Text(String),
    Address([u8; 20]),
    /// At most 32.
    FixedBytes(Vec<u8>),
    /// Any number of them.
    Bytes(Vec<u8>),
    Uint(U256),
    /// Two's complement of 256 bits.
    Int(U256),
    /// Of this type, in the order of its fields.
    Struct(String, Vec<Value>),
    List(Vec<Value>),
}

/// Reads values, and counts them.
pub(super) struct Reading<'t> {
    types: &'t Types,
    leaves: usize,
}

impl<'t> Reading<'t> {
    pub(super) fn of(types: &'t Types) -> Self {
        Self { types, leaves: 0 }
    }

    /// Reads a struct, which stands at `path`. As deep as the JSON, which is bounded.
    pub(super) fn structure(&mut self, name: &str, node: &Node, path: &str) -> Result<Vec<Value>, PayloadError> {
        let entries = node.object(&format!("`{path}`"))?;
        let fields = self.types.fields(name);
        if let Some((unknown, _)) = entries.iter().find(|(given, _)| fields.iter().all(|field| field.name != *given)) {
            return Err(malformed(path, format!("`{name}` has no field `{}`", shown(unknown))));
        }
        if fields.is_empty() {
            self.count(path)?;
        }
        let mut values = Vec::with_capacity(fields.len());
        for field in fields {
            let node = entries.iter().find(|(given, _)| *given == field.name).map(|(_, node)| node);
            let node = node.ok_or_else(|| malformed(path, format!("the field `{}` of `{name}` is missing", field.name)))?;
            values.push(self.value(&field.kind, node, &format!("{path}.{}", field.name))?);
        }
        Ok(values)
    }

    fn value(&mut self, kind: &Kind, node: &Node, path: &str) -> Result<Value, PayloadError> {
        match kind {
            Kind::Struct(name) => return Ok(Value::Struct(name.clone(), self.structure(name, node, path)?)),
            Kind::Array(inner, length) => return self.list(inner, *length, node, path),
            Kind::Bool | Kind::Address | Kind::Text | Kind::Bytes | Kind::FixedBytes(_) | Kind::Uint(_) | Kind::Int(_) => {}
        }
        self.count(path)?;
        let value = match kind {
            Kind::Bool => boolean(node),
            Kind::Address => bytes(node).and_then(|bytes| bytes.try_into().ok()).map(Value::Address),
            Kind::Text => as_text(node).map(|text| Value::Text(text.to_owned())),
            Kind::Bytes => bytes(node).map(Value::Bytes),
            Kind::FixedBytes(length) => bytes(node).filter(|bytes| bytes.len() == *length).map(Value::FixedBytes),
            Kind::Uint(bits) => integer(node).and_then(|number| unsigned(number, *bits)),
            Kind::Int(bits) => integer(node).and_then(|number| signed(number, *bits)),
            Kind::Struct(_) | Kind::Array(..) => None,
        };
        value.ok_or_else(|| malformed(path, format!("{} is no {}; {}", given(node), kind.written(), wanted(kind))))
    }

    fn list(&mut self, kind: &Kind, length: Option<usize>, node: &Node, path: &str) -> Result<Value, PayloadError> {
        let Node::List(items) = node else {
            return Err(malformed(path, format!("{} is no list", given(node))));
        };
        if let Some(length) = length.filter(|length| *length != items.len()) {
            return Err(malformed(path, format!("it has {} entries, its type {length}", items.len())));
        }
        if items.is_empty() {
            self.count(path)?;
        }
        let read = |(index, item)| self.value(kind, item, &format!("{path}[{index}]"));
        items.iter().enumerate().map(read).collect::<Result<_, _>>().map(Value::List)
    }

    fn count(&mut self, path: &str) -> Result<(), PayloadError> {
        self.leaves += 1;
        if self.leaves > LEAVES_MAX {
            return Err(malformed(
                path,
                format!("this is more than {LEAVES_MAX} values, the most that are signed"),
            ));
        }
        Ok(())
    }
}

fn malformed(path: &str, what: String) -> PayloadError {
    // A path is as long as names and depth allow; its end says where.
    let start = path.char_indices().rev().nth(127).map_or(0, |(start, _)| start);
    PayloadError::Malformed(format!("`{}`: {what}", path.get(start..).unwrap_or(path)))
}

fn given(node: &Node) -> String {
    match node {
        Node::Text(text) => format!("`{}`", shown(text)),
        Node::Integer(number) => format!("`{number}`"),
        Node::Bool(value) => format!("`{value}`"),
        Node::Null | Node::List(_) | Node::Object(_) => node.kind().to_owned(),
    }
}

fn wanted(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "`true` or `false` is",
        Kind::Address => "`0x` and 40 hexadecimal digits are",
        Kind::Text => "a string is",
        Kind::Bytes => "`0x` and an even number of hexadecimal digits are",
        Kind::FixedBytes(_) => "`0x` and two hexadecimal digits for each byte are",
        Kind::Uint(_) => "a number in range is, or a string of it in decimal or, after `0x`, in hexadecimal digits",
        Kind::Int(_) => "a number in range is, or a string of it in decimal or, from 0 and after `0x`, in hexadecimal digits",
        Kind::Struct(_) => "an object is",
        Kind::Array(..) => "a list is",
    }
}

fn boolean(node: &Node) -> Option<Value> {
    match node {
        Node::Bool(value) => Some(Value::Bool(*value)),
        Node::Null | Node::Integer(_) | Node::Text(_) | Node::List(_) | Node::Object(_) => None,
    }
}

fn as_text(node: &Node) -> Option<&str> {
    match node {
        Node::Text(text) => Some(text),
        Node::Null | Node::Bool(_) | Node::Integer(_) | Node::List(_) | Node::Object(_) => None,
    }
}

fn bytes(node: &Node) -> Option<Vec<u8>> {
    let digits = as_text(node)?.strip_prefix("0x")?.as_bytes();
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        // An odd number of digits.
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}

/// Digits of a number at most; more are refused unread. 2^256 has 78 in decimal.
const DIGITS_MAX: usize = 80;

/// Whether it is negative, and its magnitude.
fn integer(node: &Node) -> Option<(bool, U256)> {
    let text = match node {
        Node::Integer(number) => return Some((*number < 0, U256::from(number.unsigned_abs()))),
        Node::Text(text) => text.as_str(),
        Node::Null | Node::Bool(_) | Node::List(_) | Node::Object(_) => return None,
    };
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (digits, radix) = match digits.strip_prefix("0x") {
        Some(_) if negative => return None,
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    // `U256` would take underscores too.
    let plain = (1..=DIGITS_MAX).contains(&digits.len()) && digits.chars().all(|digit| digit.is_digit(radix));
    let magnitude = plain.then(|| U256::from_str_radix(digits, radix.into()).ok()).flatten()?;
    Some((negative && magnitude != U256::ZERO, magnitude))
}

fn unsigned((negative, magnitude): (bool, U256), bits: usize) -> Option<Value> {
    (!negative && magnitude.bit_len() <= bits).then_some(Value::Uint(magnitude))
}

fn signed((negative, magnitude): (bool, U256), bits: usize) -> Option<Value> {
    let half = U256::ONE << (bits - 1);
    let fits = if negative { magnitude <= half } else { magnitude < half };
    let number = if negative { magnitude.wrapping_neg() } else { magnitude };
    fits.then_some(Value::Int(number))
}

/// A signed number in decimal.
fn decimal(number: U256) -> String {
    if number.bit(255) {
        format!("-{}", number.wrapping_neg())
    } else {
        number.to_string()
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    "0x".chars().chain(digits).collect()
}

/// Writes a struct as canonical JSON: keys in order.
pub(super) fn write_structure(out: &mut String, types: &Types, name: &str, values: &[Value]) {
    let mut members: Vec<(&Field, &Value)> = types.fields(name).iter().zip(values).collect();
    members.sort_by_key(|(field, _)| &field.name);
    out.push('{');
    for (index, (field, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(out, &field.name);
        out.push(':');
        write(out, types, value);
    }
    out.push('}');
}

fn write(out: &mut String, types: &Types, value: &Value) {
    match value {
        Value::Struct(name, values) => write_structure(out, types, name, values),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(out, types, item);
            }
            out.push(']');
        }
        Value::Bool(_) => out.push_str(&scalar(value)),
        Value::Text(_) | Value::Address(_) | Value::FixedBytes(_) | Value::Bytes(_) | Value::Uint(_) | Value::Int(_) => {
            write_text(out, &scalar(value));
        }
    }
}

/// A value as a leaf has it; a list or a struct is one only if it is empty.
fn scalar(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Text(text) => text.clone(),
        Value::Address(bytes) => hex(bytes),
        Value::FixedBytes(bytes) | Value::Bytes(bytes) => hex(bytes),
        Value::Uint(number) => number.to_string(),
        Value::Int(number) => decimal(*number),
        Value::Struct(..) => "{}".to_owned(),
        Value::List(_) => "[]".to_owned(),
    }
}

/// Lists a struct's values, each as `type path=value`.
pub(super) fn leaves(out: &mut Vec<String>, types: &Types, name: &str, values: &[Value]) {
    structure_leaves(out, types, name, values, "");
}

fn structure_leaves(out: &mut Vec<String>, types: &Types, name: &str, values: &[Value], path: &str) {
    for (field, value) in types.fields(name).iter().zip(values) {
        let dot = if path.is_empty() { "" } else { "." };
        value_leaves(out, types, &field.kind, value, &format!("{path}{dot}{}", field.name));
    }
}

fn value_leaves(out: &mut Vec<String>, types: &Types, kind: &Kind, value: &Value, path: &str) {
    match value {
        Value::Struct(name, values) if !values.is_empty() => structure_leaves(out, types, name, values, path),
        Value::List(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                value_leaves(out, types, kind.entry(), item, &format!("{path}[{index}]"));
            }
        }
        Value::Bool(_) | Value::Text(_) | Value::Address(_) | Value::FixedBytes(_) | Value::Bytes(_) | Value::Uint(_) | Value::Int(_) => {
            out.push(format!("{} {path}={}", kind.written(), scalar(value)));
        }
        Value::Struct(..) | Value::List(_) => out.push(format!("{} {path}={}", kind.written(), scalar(value))),
    }
}
