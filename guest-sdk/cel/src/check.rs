//! Checks the types of an expression and compiles it, once, when the policy is configured.

use crate::facts::Facts;
use crate::judge::{Sets, VARIABLES_MAX};
use crate::lexer::{Wrong, wrong};
use crate::names::distance;
use crate::parser::{Ast, Kind};
use crate::tree::{Arithmetic, Boolean, Bytes, Item, List, Number, Order, Slot, Text};
use sigwarden_guest::{FORMATS, FormatPattern, shown};
use std::collections::BTreeSet;

/// A compiled expression of any type, with what is known of its values.
#[derive(Debug, Clone)]
pub(crate) enum Typed {
    Boolean(Boolean),
    Number(Number),
    /// With the words that it can be, if they are few.
    Text(Text, Option<Vocabulary>),
    /// With their number, if it is always the same.
    Bytes(Bytes, Option<usize>),
    List(List, Element),
}

/// What is in a list.
#[derive(Debug, Clone)]
pub(crate) enum Element {
    Number,
    Text(Option<Vocabulary>),
    Bytes(Option<usize>),
}

/// The words that a text can be; a comparison with another would never hold.
#[derive(Debug, Clone)]
pub(crate) struct Vocabulary {
    pub(crate) kind: &'static str,
    pub(crate) names: Vec<&'static str>,
}

/// Checks one expression.
pub(crate) struct Checker<'a> {
    /// The formats that the expression is for.
    pub(crate) formats: Vec<&'static str>,
    /// Those of them that are named one by one.
    pub(crate) named: Vec<&'static str>,
    sets: &'a Sets,
    /// The table of facts that all expressions share.
    pub(crate) facts: &'a mut Facts,
    pub(crate) variables: Vec<(String, Element)>,
    /// Facts that are read, and at which characters.
    pub(crate) used: Vec<(Slot, usize)>,
    /// Facts for which `has` stands somewhere.
    pub(crate) asked: BTreeSet<Slot>,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(patterns: &[FormatPattern], sets: &'a Sets, facts: &'a mut Facts) -> Self {
        let is_ours = |format: &&str| patterns.iter().any(|pattern| pattern.matches(format));
        let is_named = |format: &&str| patterns.iter().any(|pattern| pattern.to_string() == *format);
        Self {
            formats: FORMATS.iter().copied().filter(is_ours).collect(),
            named: FORMATS.iter().copied().filter(is_named).collect(),
            sets,
            facts,
            variables: Vec::new(),
            used: Vec::new(),
            asked: BTreeSet::new(),
        }
    }

    /// Checks a condition. Gives it with the facts that it reads.
    pub(crate) fn condition(mut self, ast: &Ast) -> Result<(Boolean, Vec<Slot>), Wrong> {
        let condition = self.boolean(ast)?;
        self.every_fact_is_there()?;
        let mut facts: Vec<Slot> = self.used.iter().map(|(slot, _)| *slot).collect();
        facts.sort_unstable();
        facts.dedup();
        Ok((condition, facts))
    }

    pub(crate) fn check(&mut self, ast: &Ast) -> Result<Typed, Wrong> {
        Ok(match &ast.kind {
            Kind::Boolean(value) => Typed::Boolean(Boolean::Constant(*value)),
            Kind::Number(value) => Typed::Number(Number::Constant(*value)),
            Kind::Text(text) => Typed::Text(Text::Constant(text.clone()), None),
            Kind::Bytes(bytes) => Typed::Bytes(Bytes::Constant(bytes.clone()), Some(bytes.len())),
            Kind::List(items) => self.list(ast.at, items)?,
            Kind::Path(path) => self.path(ast.at, path)?,
            Kind::Call {
                function,
                receiver,
                arguments,
            } => self.call(ast.at, function, receiver.as_deref(), arguments)?,
            Kind::Not(inner) => Typed::Boolean(Boolean::Not(Box::new(self.boolean(inner)?))),
            Kind::Junction { every, parts } => {
                let parts = parts.iter().map(|part| self.boolean(part)).collect::<Result<_, _>>()?;
                Typed::Boolean(Boolean::Junction { every: *every, parts })
            }
            Kind::Binary(operator, sides) => self.binary(ast.at, operator, &sides.0, &sides.1)?,
            Kind::Conditional(parts) => self.conditional(ast.at, &parts.0, &parts.1, &parts.2)?,
        })
    }

    pub(crate) fn boolean(&mut self, ast: &Ast) -> Result<Boolean, Wrong> {
        let typed = self.check(ast)?;
        let kind = typed.kind();
        if let Typed::Boolean(boolean) = typed {
            return Ok(boolean);
        }
        wrong(ast.at, format!("this is {kind}, where true or false is needed"))
    }

    pub(crate) fn number(&mut self, ast: &Ast) -> Result<Number, Wrong> {
        let typed = self.check(ast)?;
        let kind = typed.kind();
        if let Typed::Number(number) = typed {
            return Ok(number);
        }
        wrong(ast.at, format!("this is {kind}, where a number is needed"))
    }

    fn binary(&mut self, at: usize, operator: &str, left: &Ast, right: &Ast) -> Result<Typed, Wrong> {
        let numbers = |checker: &mut Self| Ok(Box::new((checker.number(left)?, checker.number(right)?)));
        let compare = |checker: &mut Self, order| Ok(Typed::Boolean(Boolean::Compare(order, numbers(checker)?)));
        let place = u16::try_from(at).unwrap_or(u16::MAX);
        let arithmetic = |checker: &mut Self, operator| Ok(Typed::Number(Number::Arithmetic(operator, place, numbers(checker)?)));
        match operator {
            "<" => compare(self, Order::Less),
            "<=" => compare(self, Order::LessOrEqual),
            ">" => compare(self, Order::Greater),
            ">=" => compare(self, Order::GreaterOrEqual),
            "+" => arithmetic(self, Arithmetic::Add),
            "-" => arithmetic(self, Arithmetic::Subtract),
            "*" => arithmetic(self, Arithmetic::Multiply),
            "/" => arithmetic(self, Arithmetic::Divide),
            "%" => arithmetic(self, Arithmetic::Remainder),
            "in" => self.within(at, left, right),
            "!=" => Ok(Typed::Boolean(Boolean::Not(Box::new(self.equal(at, left, right)?)))),
            _ => self.equal(at, left, right).map(Typed::Boolean),
        }
    }

    fn equal(&mut self, at: usize, left: &Ast, right: &Ast) -> Result<Boolean, Wrong> {
        let (left, right) = (self.check(left)?, self.check(right)?);
        comparable(at, &left, &right)?;
        match (left, right) {
            (Typed::Boolean(left), Typed::Boolean(right)) => Ok(Boolean::Same(Box::new((left, right)))),
            (left, right) => match (left.item(), right.item()) {
                (Some(left), Some(right)) => Ok(Boolean::Equal(Box::new((left, right)))),
                (_, _) => wrong(at, "lists are not compared; `in`, `exists` and `all` look into one"),
            },
        }
    }

    fn within(&mut self, at: usize, left: &Ast, right: &Ast) -> Result<Typed, Wrong> {
        let needle = self.check(left)?;
        if let Kind::Path(path) = &right.kind
            && let Some(set) = path.strip_prefix("sets.")
        {
            if !self.sets.contains_key(set) {
                return wrong(right.at, format!("there is no set `{set}`; `sets` has {}", shown(self.sets.keys())));
            }
            let kind = needle.kind();
            if let Typed::Bytes(bytes, None | Some(20)) = needle {
                return Ok(Typed::Boolean(Boolean::InSet(Box::new(bytes), set.to_owned())));
            }
            return wrong(at, format!("a set holds addresses of 20 bytes, and left of `in` is {kind}"));
        }
        let (list, element) = self.list_of(right)?;
        comparable(at, &needle, &element.sample())?;
        if let (Typed::Text(_, Some(vocabulary)), List::Items(items)) = (&needle, &list) {
            for item in items {
                if let Item::Text(Text::Constant(word)) = item {
                    vocabulary.has(at, word)?;
                }
            }
        }
        match needle.item() {
            Some(item) => Ok(Typed::Boolean(Boolean::In(Box::new((item, list))))),
            None => wrong(at, format!("{} is in no list", needle.kind())),
        }
    }

    pub(crate) fn list_of(&mut self, ast: &Ast) -> Result<(List, Element), Wrong> {
        let typed = self.check(ast)?;
        let kind = typed.kind();
        if let Typed::List(list, element) = typed {
            return Ok((list, element));
        }
        wrong(ast.at, format!("this is {kind}, where a list is needed"))
    }

    fn list(&mut self, at: usize, asts: &[Ast]) -> Result<Typed, Wrong> {
        let mut items: Vec<Item> = Vec::new();
        let mut first: Option<Typed> = None;
        for ast in asts {
            let typed = self.check(ast)?;
            let sample = first.get_or_insert_with(|| typed.clone());
            if std::mem::discriminant(sample) != std::mem::discriminant(&typed) {
                let message = format!("this is {} in a list that begins with {}", typed.kind(), sample.kind());
                return wrong(ast.at, message);
            }
            // Entries of several lengths are of no one length.
            if let (Typed::Bytes(_, length), Typed::Bytes(_, other)) = (sample, &typed)
                && length != other
            {
                *length = None;
            }
            match typed.item() {
                Some(item) => items.push(item),
                None => return wrong(ast.at, "a list holds numbers, texts or bytes"),
            }
        }
        match first {
            Some(Typed::Number(_)) => Ok(Typed::List(List::Items(items), Element::Number)),
            // Its words are constants that any vocabulary is held against one by one.
            Some(Typed::Text(_, _)) => Ok(Typed::List(List::Items(items), Element::Text(None))),
            Some(Typed::Bytes(_, length)) => Ok(Typed::List(List::Items(items), Element::Bytes(length))),
            Some(Typed::Boolean(_) | Typed::List(_, _)) | None => wrong(at, "an empty list holds nothing, and no type"),
        }
    }

    fn conditional(&mut self, at: usize, condition: &Ast, then: &Ast, otherwise: &Ast) -> Result<Typed, Wrong> {
        let condition = self.boolean(condition)?;
        match (self.check(then)?, self.check(otherwise)?) {
            (Typed::Boolean(a), Typed::Boolean(b)) => Ok(Typed::Boolean(Boolean::If(Box::new((condition, a, b))))),
            (Typed::Number(a), Typed::Number(b)) => Ok(Typed::Number(Number::If(Box::new((condition, a, b))))),
            (Typed::Text(a, _), Typed::Text(b, _)) => Ok(Typed::Text(Text::If(Box::new((condition, a, b))), None)),
            (Typed::Bytes(a, length), Typed::Bytes(b, other)) => {
                let length = length.filter(|length| Some(*length) == other);
                Ok(Typed::Bytes(Bytes::If(Box::new((condition, a, b))), length))
            }
            (a, b) => wrong(
                at,
                format!(
                    "`?` chooses between {} and {}; both must be of one type, and no list",
                    a.kind(),
                    b.kind()
                ),
            ),
        }
    }

    /// Checks the body of `exists` or `all` with its variable.
    pub(crate) fn quantified(&mut self, every: bool, at: usize, list: &Ast, arguments: &[Ast]) -> Result<Typed, Wrong> {
        let function = if every { "all" } else { "exists" };
        let [
            Ast {
                kind: Kind::Path(name), ..
            },
            body,
        ] = arguments
        else {
            return wrong(
                at,
                format!("`{function}` takes a name and a condition: `list.{function}(entry, entry != b\"\")`"),
            );
        };
        if name.contains('.') {
            return wrong(at, format!("`{name}` is no name for an entry, since it has a `.`"));
        }
        let (list, element) = self.list_of(list)?;
        let variable = self.variables.len();
        if variable >= VARIABLES_MAX {
            return wrong(
                at,
                format!("`exists` and `all` stand in each other {VARIABLES_MAX} deep at the most"),
            );
        }
        self.variables.push((name.clone(), element));
        let body = Box::new(self.boolean(body)?);
        self.variables.pop();
        let variable = u8::try_from(variable).unwrap_or(u8::MAX);
        Ok(Typed::Boolean(Boolean::Quantified {
            every,
            list,
            variable,
            body,
        }))
    }
}

/// Whether two values can be equal at all.
fn comparable(at: usize, left: &Typed, right: &Typed) -> Result<(), Wrong> {
    if std::mem::discriminant(left) != std::mem::discriminant(right) {
        let message = format!("this compares {} with {}, which are never equal", left.kind(), right.kind());
        return wrong(at, message);
    }
    if let (Typed::Bytes(_, Some(left)), Typed::Bytes(_, Some(right))) = (left, right)
        && left != right
    {
        return wrong(at, format!("this compares {left} bytes with {right} bytes, which are never equal"));
    }
    let words = |named: &Typed, other: &Typed| match (named, other) {
        (Typed::Text(_, Some(vocabulary)), Typed::Text(Text::Constant(word), _)) => vocabulary.has(at, word),
        (_, _) => Ok(()),
    };
    words(left, right)?;
    words(right, left)
}

impl Vocabulary {
    fn has(&self, at: usize, word: &str) -> Result<(), Wrong> {
        if self.names.contains(&word) {
            return Ok(());
        }
        let nearest = self.names.iter().min_by_key(|name| distance(word, name));
        let nearest = nearest.filter(|name| distance(word, name) <= word.len() / 3 + 1);
        let hint = nearest.map_or_else(|| format!("{} is", shown(&self.names)), |name| format!("the nearest is `{name}`"));
        wrong(at, format!("`{word}` is no {}; {hint}", self.kind))
    }
}

impl Element {
    /// A value such as the list holds.
    fn sample(&self) -> Typed {
        match self {
            Self::Number => Typed::Number(Number::Variable(0)),
            Self::Text(vocabulary) => Typed::Text(Text::Variable(0), vocabulary.clone()),
            Self::Bytes(length) => Typed::Bytes(Bytes::Variable(0), *length),
        }
    }
}

impl Typed {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Boolean(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_, _) => "text",
            Self::Bytes(_, _) => "bytes",
            Self::List(_, _) => "a list",
        }
    }

    fn item(&self) -> Option<Item> {
        match self {
            Self::Number(number) => Some(Item::Number(number.clone())),
            Self::Text(text, _) => Some(Item::Text(text.clone())),
            Self::Bytes(bytes, _) => Some(Item::Bytes(bytes.clone())),
            Self::Boolean(_) | Self::List(_, _) => None,
        }
    }
}
