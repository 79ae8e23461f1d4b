//! What people read: where an expression is wrong, and what a rule found.

use crate::Config;
use crate::judge::Scope;
use crate::lexer::Wrong;
use crate::names::written;
use crate::tree::{Boolean, Program};
use sigwarden_guest::{FormatPattern, HexBytes, Scalar, U256, Value};

/// Characters of an expression that a message repeats from where it is wrong.
const EXCERPT: usize = 24;
/// Facts, and bytes of one, that a denial shows.
const FACTS_SHOWN: usize = 6;
const BYTES_SHOWN: usize = 32;

/// Text of at most so many characters.
pub(crate) fn cut(text: &str, characters: usize) -> String {
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

/// A problem of an expression.
pub(crate) fn wrong(text: &str, wrong: &Wrong) -> String {
    let rest: String = text.chars().skip(wrong.at).take_while(|char| *char != '\n').collect();
    let excerpt = if rest.is_empty() {
        "at the end".to_owned()
    } else {
        format!("`{}`", cut(&rest, EXCERPT))
    };
    format!("{}, {excerpt}: {}", place(text, wrong.at), wrong.message)
}

/// What is wrong with a condition that is the same for every request; none if it is not, or is plainly `true` on purpose, which lets
/// a format through.
pub(crate) fn settled(condition: &Boolean, wanted: bool, formats: &[FormatPattern]) -> Option<String> {
    let always = condition.settled()?;
    if always != wanted {
        let formats = sigwarden_guest::shown(formats);
        return Some(format!(
            "this is {always} whatever the request, so that every request in {formats} would be denied; a format that is in no rule's `formats` is denied anyway"
        ));
    }
    let on_purpose = wanted && *condition == Boolean::Constant(true);
    (!on_purpose).then(|| {
        format!(
            "this is {always} whatever the request, so that the rule says nothing; `require = \"true\"` lets a format through on purpose"
        )
    })
}

/// The facts that a rule read, with their values.
pub(crate) fn found(program: &Program, config: &Config, scope: &Scope<'_>) -> String {
    let mut all = String::new();
    for slot in program.facts.iter().take(FACTS_SHOWN) {
        let (Some(name), Some(value)) = (config.facts.get(usize::from(*slot)), scope.facts.get(usize::from(*slot))) else {
            continue;
        };
        let value = value.map_or_else(|| "missing".to_owned(), shown);
        let before = if all.is_empty() { "; found " } else { ", " };
        all.push_str(&format!("{before}{} = {value}", written(name)));
    }
    all
}

fn shown(value: &Value) -> String {
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
