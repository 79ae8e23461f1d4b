//! What people read: places in an expression, and values.

use sigwarden_guest::{HexBytes, Scalar, U256, Value};

/// Characters of an expression that a message repeats from where it is wrong.
const EXCERPT: usize = 24;
/// Characters of a text, and bytes of one fact, that a denial shows.
const BYTES_SHOWN: usize = 32;

/// Text of at most so many characters.
fn cut(text: &str, characters: usize) -> String {
    let mut cut: String = text.chars().take(characters).collect();
    if text.chars().count() > characters {
        cut.push('…');
    }
    cut
}

/// An expression on one line, of at most so many characters.
pub(crate) fn line(text: &str, characters: usize) -> String {
    cut(&text.split_whitespace().collect::<Vec<&str>>().join(" "), characters)
}

/// Where a character is, counted from 1 as editors do; with its line if there are several.
pub(crate) fn place(text: &str, at: usize) -> String {
    let before: Vec<char> = text.chars().take(at).collect();
    let line = 1 + before.iter().filter(|char| **char == '\n').count();
    let column = 1 + before.iter().rev().take_while(|char| **char != '\n').count();
    if text.contains('\n') {
        format!("line {line}, character {column}")
    } else {
        format!("character {column}")
    }
}

/// What stands at a character, to the end of its line.
pub(crate) fn excerpt(text: &str, at: usize) -> String {
    let rest: String = text.chars().skip(at).take_while(|char| *char != '\n').collect();
    if rest.is_empty() {
        return "at the end".to_owned();
    }
    format!("`{}`", cut(&rest, EXCERPT))
}

/// A fact's value.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::One(Scalar::Text(text)) => format!("\"{}\"", cut(text, BYTES_SHOWN)),
        Value::One(Scalar::Bytes(bytes)) if bytes.len() > BYTES_SHOWN => format!("{} bytes", bytes.len()),
        Value::One(Scalar::Bytes(bytes)) => HexBytes(bytes.clone()).to_string(),
        Value::One(Scalar::Boolean(value)) => value.to_string(),
        Value::One(Scalar::Unsigned(value)) => value.to_string(),
        Value::One(Scalar::Unsigned256((a, b, c, d))) => U256::from_limbs([*a, *b, *c, *d]).to_string(),
        Value::Many(list) => format!("{} entries", list.len()),
    }
}
