//! TOML as a fixture's author would write it.

use serde_json::Value as Json;
use std::fmt::Write as _;

/// How deep a configuration may be nested, as a fixture's reader has it.
const DEPTH_MAX: usize = 32;
/// Units of time, the longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A text in quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// A name of a field, in quotes if it needs them.
pub(super) fn name(text: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !text.is_empty() && text.bytes().all(bare) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// A list of texts.
pub(super) fn list<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = texts.into_iter().map(|text| quoted(text.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}

/// A table on one line, of fields whose values are written already.
pub(super) fn table<N: AsRef<str>>(fields: &[(N, String)]) -> String {
    if fields.is_empty() {
        return "{}".to_owned();
    }
    let fields: Vec<String> = fields
        .iter()
        .map(|(key, value)| format!("{} = {value}", name(key.as_ref())))
        .collect();
    format!("{{ {} }}", fields.join(", "))
}

/// A span: `1m30s`; `0s` for none.
pub(super) fn span(mut ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, factor) in UNITS {
        if ms >= factor {
            let _ = write!(text, "{}{unit}", ms / factor);
            ms %= factor;
        }
    }
    text
}

/// A configuration as TOML; none if TOML would say something else: it has no null and no integer above 2^63, and a float's digits
/// are not sure to stay.
pub(super) fn json(value: &Json, depth: usize) -> Option<String> {
    if depth > DEPTH_MAX {
        return None;
    }
    Some(match value {
        Json::Null => return None,
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => number.as_i64()?.to_string(),
        Json::String(text) => quoted(text),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| json(item, depth + 1)).collect::<Option<_>>()?;
            format!("[{}]", items.join(", "))
        }
        Json::Object(fields) => {
            let fields: Vec<(&String, String)> = fields
                .iter()
                .map(|(name, value)| Some((name, json(value, depth + 1)?)))
                .collect::<Option<_>>()?;
            table(&fields)
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let value = json!({ "a": [1, -2, true, "x\"\\\n\u{1}ü"], "b c": { "": "d" }, "e": {}, "f": [] });
        let text = format!("v = {}", json(&value, 0).unwrap());
        let read: toml::Table = text.parse().unwrap();
        assert_eq!(serde_json::to_value(&read["v"]).unwrap(), value);
    }

    #[test]
    fn what_toml_cannot_say_is_not_written() {
        for value in [json!(null), json!([u64::MAX]), json!({ "a": 1.5 })] {
            assert_eq!(json(&value, 0), None, "{value}");
        }
        let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(json(&deep, 0), None);
    }

    #[test]
    fn spans_are_those_of_fixtures() {
        for (ms, text) in [
            (0, "0s"),
            (1, "1ms"),
            (90_250, "1m30s250ms"),
            (172_800_000, "2d"),
            (3_600_000, "1h"),
        ] {
            assert_eq!(span(ms), text);
            assert_eq!(crate::fixture::values::span_ms(text), Ok(ms));
        }
    }
}
