//! The configuration as a document: where each field stands, which fields nobody knows, and which values look like secrets.

use serde_json::Value as Schema;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One fault of a configuration, with its place. Never quotes a value that could be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}:{column}: {}{message}", file.display(), field_prefix(field))]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The field: `policy[1].sha256`. Empty for the whole file.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

fn field_prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("{field}: ") }
}

/// A step of the way to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A field of a table.
    Field(String),
    /// An item of an array, from 0.
    Item(usize),
}

/// Writes a way as `key[0].roles[1]`.
pub(super) fn display(way: &[Step]) -> String {
    let mut text = String::new();
    for step in way {
        match step {
            Step::Field(name) if text.is_empty() => text.push_str(name),
            Step::Field(name) => {
                text.push('.');
                text.push_str(name);
            }
            Step::Item(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// A parsed file.
pub(super) struct Document<'a> {
    file: &'a Path,
    text: &'a str,
    root: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// Parses TOML.
    pub(super) fn parse(file: &'a Path, text: &'a str) -> Result<Self, ConfigError> {
        match DeTable::parse(text) {
            Ok(root) => Ok(Self { file, text, root }),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                Err(place(file, text, at, String::new(), error.message().to_owned()))
            }
        }
    }

    /// The table, for serde.
    pub(super) fn root(&self) -> Spanned<DeTable<'a>> {
        self.root.clone()
    }

    /// An error at a span that serde reported.
    pub(super) fn error_at_span(&self, span: Option<Range<usize>>, field: String, message: String) -> ConfigError {
        place(self.file, self.text, span.map_or(0, |span| span.start), field, message)
    }

    /// An error at a field, or at the nearest table around it if the field is missing.
    pub(super) fn error(&self, way: &[Step], message: impl Into<String>) -> ConfigError {
        place(self.file, self.text, self.locate(way), display(way), message.into())
    }

    fn locate(&self, way: &[Step]) -> usize {
        let mut at = self.root.span().start;
        let Some((Step::Field(first), rest)) = way.split_first() else {
            return at;
        };
        let Some((key, mut value)) = self.root.get_ref().iter().find(|(key, _)| key.get_ref() == first) else {
            return at;
        };
        at = if rest.is_empty() { key.span().start } else { value.span().start };
        for step in rest {
            let found = match (step, value.get_ref()) {
                (Step::Field(name), DeValue::Table(table)) => table
                    .iter()
                    .find(|(key, _)| key.get_ref() == name)
                    .map(|(key, value)| (key.span().start, value)),
                (Step::Item(index), DeValue::Array(array)) => array.get(*index).map(|value| (value.span().start, value)),
                (Step::Field(_) | Step::Item(_), _) => None,
            };
            let Some((start, inner)) = found else { return at };
            (at, value) = (start, inner);
        }
        at
    }

    /// Fields that the schema does not know, each with the nearest name that it does.
    pub(super) fn unknown_fields(&self, schema: &Schema) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        self.unknown_in_table(self.root.get_ref(), schema, schema, &mut Vec::new(), &mut errors);
        errors
    }

    fn unknown_in_table(&self, table: &DeTable<'_>, schema: &Schema, root: &Schema, way: &mut Vec<Step>, errors: &mut Vec<ConfigError>) {
        // A table without `properties` is free: a policy's configuration, a mock's script.
        let Some(known) = resolve(schema, root).get("properties").and_then(Schema::as_object) else {
            return;
        };
        for (key, value) in table {
            way.push(Step::Field(key.get_ref().to_string()));
            match known.get(key.get_ref().as_ref()) {
                Some(inner) => self.unknown_in_value(value.get_ref(), inner, root, way, errors),
                None => errors.push(self.error(way, unknown(key.get_ref(), known.keys()))),
            }
            way.pop();
        }
    }

    fn unknown_in_value(&self, value: &DeValue<'_>, schema: &Schema, root: &Schema, way: &mut Vec<Step>, errors: &mut Vec<ConfigError>) {
        let schema = resolve(schema, root);
        if let DeValue::Table(table) = value {
            self.unknown_in_table(table, schema, root, way, errors);
        } else if let (DeValue::Array(array), Some(items)) = (value, schema.get("items")) {
            for (index, item) in array.iter().enumerate() {
                way.push(Step::Item(index));
                self.unknown_in_value(item.get_ref(), items, root, way, errors);
                way.pop();
            }
        }
    }

    /// Values that look like a private key or a mnemonic. The value is not part of the error.
    pub(super) fn secrets(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        self.secrets_in_table(self.root.get_ref(), &mut Vec::new(), &mut errors);
        errors
    }

    fn secrets_in_table(&self, table: &DeTable<'_>, way: &mut Vec<Step>, errors: &mut Vec<ConfigError>) {
        for (key, value) in table {
            way.push(Step::Field(key.get_ref().to_string()));
            if !matches!(key.get_ref().as_ref(), "public_key" | "sha256") {
                self.secrets_in_value(value.get_ref(), way, errors);
            }
            way.pop();
        }
    }

    fn secrets_in_value(&self, value: &DeValue<'_>, way: &mut Vec<Step>, errors: &mut Vec<ConfigError>) {
        if let DeValue::String(text) = value {
            if let Some(what) = super::secrets::looks_like(text) {
                errors.push(self.error(
                    way,
                    format!(
                        "this looks like {what}, and no field of the configuration takes a secret; take it out, consider it known to others, and hand secrets to `sigwarden keys import` or name a passphrase file in [security] (a hash that a policy needs can stand in a `config_file`)"
                    ),
                ));
            }
        } else if let DeValue::Table(table) = value {
            self.secrets_in_table(table, way, errors);
        } else if let DeValue::Array(array) = value {
            for (index, item) in array.iter().enumerate() {
                way.push(Step::Item(index));
                self.secrets_in_value(item.get_ref(), way, errors);
                way.pop();
            }
        }
    }
}

/// Follows `$ref` and picks the one alternative of an optional that is not null.
fn resolve<'s>(schema: &'s Schema, root: &'s Schema) -> &'s Schema {
    if let Some(name) = schema
        .get("$ref")
        .and_then(Schema::as_str)
        .and_then(|name| name.strip_prefix("#/$defs/"))
    {
        return root
            .get("$defs")
            .and_then(|defs| defs.get(name))
            .map_or(schema, |inner| resolve(inner, root));
    }
    if let Some(any) = schema.get("anyOf").and_then(Schema::as_array) {
        let not_null = any.iter().find(|inner| inner.get("type").and_then(Schema::as_str) != Some("null"));
        return not_null.map_or(schema, |inner| resolve(inner, root));
    }
    schema
}

fn unknown<'k>(name: &str, known: impl Iterator<Item = &'k String>) -> String {
    let known: Vec<&str> = known.map(String::as_str).collect();
    if super::secrets::names_a_secret(name) {
        return "no field of the configuration takes a secret; a passphrase comes from a prompt, from the file that `security.passphrase_file` names, or from the variable that `security.passphrase_env` names".to_owned();
    }
    match nearest(name, &known) {
        Some(near) => format!("unknown field; did you mean `{near}`?"),
        None => format!("unknown field; known here: {}", known.join(", ")),
    }
}

/// The known name at the smallest edit distance, if it is near enough to be meant.
pub(super) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = |candidate: &&str| distance(name, candidate);
    let best = known.iter().min_by_key(|candidate| near(candidate))?;
    (near(best) <= 1 + name.len() / 3).then_some(best)
}

/// Levenshtein's distance over bytes; names are short.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.bytes().enumerate() {
            let cell = |at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let left = next.last().copied().unwrap_or(usize::MAX - 1);
            next.push((cell(j) + usize::from(x != y)).min(cell(j + 1) + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

fn place(file: &Path, text: &str, at: usize, field: String, message: String) -> ConfigError {
    let before = text.get(..at).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |start| start.chars().count()) + 1;
    ConfigError {
        file: file.to_owned(),
        line,
        column,
        field,
        message,
    }
}
