//! What the names in an expression stand for: fields of the request, facts of the rule's formats, variables.

use crate::check::{Checker, Element, Typed, Vocabulary};
use crate::facts::written;
use crate::lexer::{Wrong, wrong};
use crate::tree::{Boolean, Bytes, Entries, List, Number, NumberField, Slot, Text, TextField};
use sigwarden_guest::{FORMATS, FactKind, FactSchema, KeyState, Network, Operation, Role, Scheme, facts_of, shown};

/// The request's own fields.
const FIELDS: [&str; 16] = [
    "request.id",
    "request.operation",
    "request.caller",
    "request.network",
    "request.format",
    "request.format_version",
    "request.payload",
    "request.now",
    "request.key.name",
    "request.key.version",
    "request.key.roles",
    "request.key.scheme",
    "request.key.public_key",
    "request.key.created",
    "request.key.uses",
    "request.key.state",
];

impl Checker<'_> {
    pub(crate) fn path(&mut self, at: usize, path: &str) -> Result<Typed, Wrong> {
        if let Some(index) = self.variables.iter().rposition(|(name, _)| name == path) {
            return Ok(self.variable(index));
        }
        if let Some(field) = self.field(path) {
            return Ok(field);
        }
        if path == "sets" || path.starts_with("sets.") {
            return wrong(at, format!("`{path}` is a set of addresses, which stands right of `in`"));
        }
        let (slot, kind) = self.fact(at, path)?;
        self.used.push((slot, at));
        let length = |length: Option<u16>| length.map(usize::from);
        Ok(match kind {
            FactKind::Text => Typed::Text(Text::Fact(slot), None),
            FactKind::Bytes { length: known } => Typed::Bytes(Bytes::Fact(slot), length(known)),
            FactKind::Boolean => Typed::Boolean(Boolean::Fact(slot)),
            FactKind::Unsigned | FactKind::Unsigned256 => Typed::Number(Number::Fact(slot)),
            FactKind::BytesList { length: known } => Typed::List(List::Fact(slot, Entries::Bytes), Element::Bytes(length(known))),
            FactKind::TextList => Typed::List(List::Fact(slot, Entries::Texts), Element::Text(None)),
            FactKind::UnsignedList | FactKind::Unsigned256List => Typed::List(List::Fact(slot, Entries::Numbers), Element::Number),
        })
    }

    fn variable(&self, index: usize) -> Typed {
        let place = u8::try_from(index).unwrap_or(u8::MAX);
        match self.variables.get(index).map(|(_, element)| element.clone()) {
            Some(Element::Text(vocabulary)) => Typed::Text(Text::Variable(place), vocabulary),
            Some(Element::Bytes(length)) => Typed::Bytes(Bytes::Variable(place), length),
            Some(Element::Number) | None => Typed::Number(Number::Variable(place)),
        }
    }

    fn field(&self, path: &str) -> Option<Typed> {
        let text = |field| Typed::Text(Text::Field(field), None);
        let number = |field| Typed::Number(Number::Field(field));
        Some(match path.strip_prefix("request.")? {
            "id" => text(TextField::Id),
            "operation" => named(TextField::Operation, "operation", Operation::ALL.iter().map(|one| one.name())),
            "caller" => text(TextField::Caller),
            "network" => named(TextField::Network, "network", Network::ALL.iter().map(|one| one.name())),
            "format" => named(TextField::Format, "format of this rule", self.formats.iter().copied()),
            "format_version" => number(NumberField::FormatVersion),
            "payload" => Typed::Bytes(Bytes::Payload, None),
            "now" => number(NumberField::Now),
            "key.name" => text(TextField::KeyName),
            "key.version" => number(NumberField::KeyVersion),
            "key.roles" => {
                let names = Role::ALL.iter().map(|one| one.name()).collect();
                Typed::List(List::Roles, Element::Text(Some(Vocabulary { kind: "role", names })))
            }
            "key.scheme" => named(TextField::KeyScheme, "scheme", Scheme::ALL.iter().map(|one| one.name())),
            "key.public_key" => Typed::Bytes(Bytes::PublicKey, None),
            "key.created" => number(NumberField::KeyCreated),
            "key.uses" => number(NumberField::KeyUses),
            "key.state" => named(TextField::KeyState, "key state", KeyState::ALL.iter().map(|one| one.name())),
            _ => return None,
        })
    }

    /// A fact of the rule's formats, and its place in the table.
    pub(crate) fn fact(&mut self, at: usize, path: &str) -> Result<(Slot, FactKind), Wrong> {
        let of = |formats: &[&'static str]| -> Option<FactSchema> {
            let mut facts = formats.iter().flat_map(|format| facts_of(format));
            facts.find(|fact| written(fact.name) == path).copied()
        };
        let Some(fact) = of(&self.formats) else {
            return match of(FORMATS) {
                Some(fact) => {
                    let has = |format: &&&str| facts_of(format).iter().any(|other| other.name == fact.name);
                    let theirs = shown(FORMATS.iter().filter(has));
                    let ours = shown(&self.formats);
                    wrong(at, format!("`{path}` is a fact of {theirs}, and this rule is for {ours}"))
                }
                None => wrong(at, self.unknown(path)),
            };
        };
        Ok((self.facts.slot(fact.name), fact.kind))
    }

    fn unknown(&self, path: &str) -> String {
        let facts = self
            .formats
            .iter()
            .flat_map(|format| facts_of(format))
            .map(|fact| written(fact.name));
        let variables = self.variables.iter().map(|(name, _)| name.clone());
        let mut all: Vec<String> = facts.chain(FIELDS.map(str::to_owned)).chain(variables).collect();
        all.sort();
        all.dedup();
        let begun = all
            .iter()
            .find(|name| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('_')));
        if let Some(name) = begun {
            return format!("there is no `{path}`; `-` is minus here, so that the fact is written `{name}`");
        }
        let nearest = all.iter().map(|name| (distance(path, name), name)).min();
        match nearest.filter(|(distance, _)| *distance <= path.len() / 3 + 1) {
            Some((_, name)) => format!("there is no `{path}`; the nearest is `{name}`"),
            None => format!("there is no `{path}`; facts are written like {}", shown(all.iter().take(3))),
        }
    }

    /// A fact that some format of the rule never has must be asked for first: reading it would deny whatever the rule means. A format that
    /// a family such as `evm/*` brings along, and that has no facts of this kind at all (a message among transactions), is denied so on
    /// purpose: a rule over transactions is no leave for messages, whichever formats later releases add to the family.
    pub(crate) fn every_fact_is_there(&self) -> Result<(), Wrong> {
        for (slot, at) in self.used.iter().filter(|(slot, _)| !self.asked.contains(slot)) {
            let Some(name) = self.facts.name(*slot) else { continue };
            let kind = name.split('.').next();
            let meant =
                |format: &str| self.named.contains(&format) || facts_of(format).iter().any(|fact| fact.name.split('.').next() == kind);
            let lacks = |format: &&&str| facts_of(format).iter().all(|fact| fact.name != name) && meant(format);
            if let Some(format) = self.formats.iter().find(lacks) {
                let path = written(name);
                let message = format!(
                    "`{format}`, which this rule covers, never has `{path}`; fewer `formats`, or `has({path})` before it, is right"
                );
                return wrong(*at, message);
            }
        }
        Ok(())
    }
}

/// Whether an expression can write `sets.NAME`: letters, digits and `_`, no digit first. A policy refuses other names of sets when it is
/// configured, since no expression could mean them.
#[must_use]
pub fn is_set_name(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    plain && name.starts_with(|first: char| !first.is_ascii_digit())
}

fn named(field: TextField, kind: &'static str, names: impl Iterator<Item = &'static str>) -> Typed {
    let names = names.collect();
    Typed::Text(Text::Field(field), Some(Vocabulary { kind, names }))
}

/// How many letters must be added, removed or changed (Levenshtein).
pub(crate) fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, char) in left.chars().enumerate() {
        let mut next = vec![line + 1];
        for ((above, diagonal), other) in row.iter().skip(1).zip(&row).zip(&right) {
            let before = next.last().copied().unwrap_or(0);
            next.push((diagonal + usize::from(char != *other)).min(above + 1).min(before + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
