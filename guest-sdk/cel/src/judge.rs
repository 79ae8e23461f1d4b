//! Judges a request by a compiled condition. Nothing is allocated, and what goes wrong is a fault.

use crate::facts::Values;
use crate::tree::{Arithmetic, Boolean, Bytes, Entries, Item, List, Number, NumberField, Order, Part, Slot, Text, TextField};
use sigwarden_guest::{Address, AddressSet, Request, Scalar, U256, Value};
use std::collections::BTreeMap;

/// Sets of addresses by name, which expressions write `sets.NAME`: see [`is_set_name`](crate::is_set_name).
pub type Sets = BTreeMap<String, AddressSet>;

/// What a program is judged against: a request, what it has of the facts that programs read, and the sets. Made once for a request,
/// it serves every program.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    pub(crate) values: &'a Values<'a>,
    /// The facts that programs read, in their slots.
    facts: &'a [Option<&'a Value>],
    /// Those that every request in this format has.
    always: &'a [Slot],
    sets: &'a Sets,
    /// Entries of the lists that are being gone through.
    variables: [Entry<'a>; VARIABLES_MAX],
}

/// `exists` within `all`, and no deeper: each multiplies what a request costs.
pub(crate) const VARIABLES_MAX: usize = 2;

/// A value of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    Number(U256),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// Why a condition is neither true nor false.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The request has no such fact.
    Missing(Slot),
    /// The fact, or a variable, is of another type than when the expression was checked.
    Type,
    /// A number over 2^256-1 or below 0, at this character.
    Overflow(u16),
    /// A division by 0.
    Division(u16),
    /// A slice that ends behind the bytes or before it begins, or more than 32 bytes for a number.
    Range(u16),
    /// A set that was there when the expression was checked.
    NoSet,
}

impl<'a> Scope<'a> {
    /// For programs that were compiled with these sets, and with the table of facts that `values` come from. With another table they
    /// would read one fact for another.
    #[must_use]
    #[inline]
    pub fn new(values: &'a Values<'a>, sets: &'a Sets) -> Self {
        Self {
            values,
            facts: &values.found,
            always: values.always,
            sets,
            variables: [Entry::Text(""); VARIABLES_MAX],
        }
    }

    fn fact(&self, slot: Slot) -> Result<&'a Value, Cause> {
        let fact = self.facts.get(usize::from(slot)).copied().flatten();
        fact.ok_or(Cause::Missing(slot))
    }

    fn scalar(&self, slot: Slot) -> Result<&'a Scalar, Cause> {
        match self.fact(slot)? {
            Value::One(scalar) => Ok(scalar),
            Value::Many(_) => Err(Cause::Type),
        }
    }

    fn variable(&self, variable: u8) -> Result<Entry<'a>, Cause> {
        self.variables.get(usize::from(variable)).copied().ok_or(Cause::Type)
    }

    fn with(mut self, variable: u8, entry: Entry<'a>) -> Self {
        if let Some(place) = self.variables.get_mut(usize::from(variable)) {
            *place = entry;
        }
        self
    }
}

/// CEL's `&&` and `||`: what decides, decides, even beside a fault.
fn junction(every: bool, parts: impl Iterator<Item = Result<bool, Cause>>) -> Result<bool, Cause> {
    let mut fault = None;
    for part in parts {
        match part {
            Ok(part) if part != every => return Ok(!every),
            Ok(_) => {}
            Err(error) => fault = fault.or(Some(error)),
        }
    }
    fault.map_or(Ok(every), Err)
}

impl Boolean {
    pub(crate) fn judge<'a>(&'a self, scope: &Scope<'a>) -> Result<bool, Cause> {
        match self {
            Self::Constant(value) => Ok(*value),
            Self::Fact(slot) => match scope.scalar(*slot)? {
                Scalar::Boolean(value) => Ok(*value),
                Scalar::Text(_) | Scalar::Bytes(_) | Scalar::Unsigned(_) | Scalar::Unsigned256(_) => Err(Cause::Type),
            },
            // That a fact is gone which the format always has, no rule means by `has`.
            Self::Has(slot) if scope.always.contains(slot) => scope.fact(*slot).map(|_| true),
            Self::Has(slot) => Ok(scope.fact(*slot).is_ok()),
            Self::Not(inner) => inner.judge(scope).map(|value| !value),
            Self::Junction { every, parts } => junction(*every, parts.iter().map(|part| part.judge(scope))),
            Self::Same(sides) => Ok(sides.0.judge(scope)? == sides.1.judge(scope)?),
            Self::Equal(sides) => Ok(sides.0.value(scope)? == sides.1.value(scope)?),
            Self::Compare(order, sides) => {
                let (left, right) = (sides.0.value(scope)?, sides.1.value(scope)?);
                Ok(match order {
                    Order::Less => left < right,
                    Order::LessOrEqual => left <= right,
                    Order::Greater => left > right,
                    Order::GreaterOrEqual => left >= right,
                })
            }
            Self::In(sides) => {
                let needle = sides.0.value(scope)?;
                sides.1.quantify(false, scope, |entry| Ok(entry == needle))
            }
            Self::InSet(needle, set) => {
                let address = Address::from_slice(needle.value(scope)?);
                let set = scope.sets.get(set).ok_or(Cause::NoSet)?;
                Ok(address.is_some_and(|address| set.contains(&address)))
            }
            Self::Part(part, sides) => {
                let (whole, piece) = (sides.0.value(scope)?, sides.1.value(scope)?);
                Ok(match part {
                    Part::Starts => whole.starts_with(piece),
                    Part::Ends => whole.ends_with(piece),
                    Part::Contains => piece.is_empty() || whole.windows(piece.len()).any(|window| window == piece),
                })
            }
            Self::If(parts) => if parts.0.judge(scope)? { &parts.1 } else { &parts.2 }.judge(scope),
            Self::Quantified {
                every,
                list,
                variable,
                body,
            } => list.quantify(*every, scope, |entry| body.judge(&scope.with(*variable, entry))),
        }
    }
}

impl Number {
    fn value<'a>(&'a self, scope: &Scope<'a>) -> Result<U256, Cause> {
        match self {
            Self::Constant(value) => Ok(*value),
            Self::Fact(slot) => match scope.scalar(*slot)? {
                Scalar::Unsigned(value) => Ok((*value).into()),
                Scalar::Unsigned256((a, b, c, d)) => Ok(U256::from_limbs([*a, *b, *c, *d])),
                Scalar::Text(_) | Scalar::Bytes(_) | Scalar::Boolean(_) => Err(Cause::Type),
            },
            Self::Field(field) => Ok(field.value(scope.values.request).into()),
            Self::Variable(variable) => match scope.variable(*variable)? {
                Entry::Number(value) => Ok(value),
                Entry::Text(_) | Entry::Bytes(_) => Err(Cause::Type),
            },
            Self::Arithmetic(operator, at, sides) => {
                let (left, right) = (sides.0.value(scope)?, sides.1.value(scope)?);
                let overflow = Cause::Overflow(*at);
                match operator {
                    Arithmetic::Add => left.checked_add(right).ok_or(overflow),
                    Arithmetic::Subtract => left.checked_sub(right).ok_or(overflow),
                    Arithmetic::Multiply => left.checked_mul(right).ok_or(overflow),
                    Arithmetic::Divide => left.checked_div(right).ok_or(Cause::Division(*at)),
                    Arithmetic::Remainder => left.checked_rem(right).ok_or(Cause::Division(*at)),
                }
            }
            Self::If(parts) => if parts.0.judge(scope)? { &parts.1 } else { &parts.2 }.value(scope),
            Self::Size(bytes) => Ok(length(bytes.value(scope)?.len())),
            Self::Characters(text) => Ok(length(text.value(scope)?.chars().count())),
            Self::Count(list) => list.count(scope).map(length),
            Self::FromBytes(at, bytes) => {
                let bytes = bytes.value(scope)?;
                let mut word = [0; 32];
                let place = 32_usize.checked_sub(bytes.len()).and_then(|from| word.get_mut(from..));
                place.ok_or(Cause::Range(*at))?.copy_from_slice(bytes);
                Ok(U256::from_be_bytes(&word))
            }
        }
    }
}

fn length(length: usize) -> U256 {
    U256::from(u64::try_from(length).unwrap_or(u64::MAX))
}

impl NumberField {
    fn value(self, request: &Request) -> u64 {
        match self {
            Self::Now => request.now,
            Self::FormatVersion => request.format_version.into(),
            Self::KeyVersion => request.key.version.into(),
            Self::KeyCreated => request.key.created,
            Self::KeyUses => request.key.uses,
        }
    }
}

impl Text {
    fn value<'a>(&'a self, scope: &Scope<'a>) -> Result<&'a str, Cause> {
        match self {
            Self::Constant(text) => Ok(text),
            Self::Fact(slot) => match scope.scalar(*slot)? {
                Scalar::Text(text) => Ok(text),
                Scalar::Boolean(_) | Scalar::Bytes(_) | Scalar::Unsigned(_) | Scalar::Unsigned256(_) => Err(Cause::Type),
            },
            Self::Field(field) => Ok(field.value(scope.values.request)),
            Self::Variable(variable) => match scope.variable(*variable)? {
                Entry::Text(text) => Ok(text),
                Entry::Number(_) | Entry::Bytes(_) => Err(Cause::Type),
            },
            Self::If(parts) => if parts.0.judge(scope)? { &parts.1 } else { &parts.2 }.value(scope),
        }
    }
}

impl TextField {
    fn value(self, request: &Request) -> &str {
        match self {
            Self::Id => &request.id,
            Self::Operation => request.operation.name(),
            Self::Caller => &request.caller,
            Self::Network => request.network.name(),
            Self::Format => &request.format,
            Self::KeyName => &request.key.name,
            Self::KeyScheme => request.key.scheme.name(),
            Self::KeyState => request.key.state.name(),
        }
    }
}

impl Bytes {
    fn value<'a>(&'a self, scope: &Scope<'a>) -> Result<&'a [u8], Cause> {
        match self {
            Self::Constant(bytes) => Ok(bytes),
            Self::Fact(slot) => match scope.scalar(*slot)? {
                Scalar::Bytes(bytes) => Ok(bytes),
                Scalar::Boolean(_) | Scalar::Text(_) | Scalar::Unsigned(_) | Scalar::Unsigned256(_) => Err(Cause::Type),
            },
            Self::Payload => Ok(&scope.values.request.payload),
            Self::PublicKey => Ok(&scope.values.request.key.public_key),
            Self::Variable(variable) => match scope.variable(*variable)? {
                Entry::Bytes(bytes) => Ok(bytes),
                Entry::Number(_) | Entry::Text(_) => Err(Cause::Type),
            },
            Self::If(parts) => if parts.0.judge(scope)? { &parts.1 } else { &parts.2 }.value(scope),
            Self::Slice(at, parts) => {
                let bytes = parts.0.value(scope)?;
                let index = |number: &'a Number| -> Result<usize, Cause> {
                    let index = number.value(scope)?.to_u64().and_then(|index| usize::try_from(index).ok());
                    index.ok_or(Cause::Range(*at))
                };
                bytes.get(index(&parts.1)?..index(&parts.2)?).ok_or(Cause::Range(*at))
            }
            Self::OfText(text) => Ok(text.value(scope)?.as_bytes()),
        }
    }
}

impl Item {
    fn value<'a>(&'a self, scope: &Scope<'a>) -> Result<Entry<'a>, Cause> {
        match self {
            Self::Number(number) => number.value(scope).map(Entry::Number),
            Self::Text(text) => text.value(scope).map(Entry::Text),
            Self::Bytes(bytes) => bytes.value(scope).map(Entry::Bytes),
        }
    }
}

impl List {
    fn fact<'a>(slot: Slot, scope: &Scope<'a>) -> Result<&'a [Scalar], Cause> {
        match scope.fact(slot)? {
            Value::Many(list) => Ok(list),
            Value::One(_) => Err(Cause::Type),
        }
    }

    fn count<'a>(&'a self, scope: &Scope<'a>) -> Result<usize, Cause> {
        match self {
            Self::Items(items) => Ok(items.len()),
            Self::Roles => Ok(scope.values.request.key.roles.len()),
            Self::Fact(slot, _) => Self::fact(*slot, scope).map(<[Scalar]>::len),
        }
    }

    /// Whether every entry, or any, passes.
    fn quantify<'a>(&'a self, every: bool, scope: &Scope<'a>, test: impl Fn(Entry<'a>) -> Result<bool, Cause>) -> Result<bool, Cause> {
        match self {
            Self::Items(items) => junction(every, items.iter().map(|item| test(item.value(scope)?))),
            Self::Roles => junction(
                every,
                scope.values.request.key.roles.iter().map(|role| test(Entry::Text(role.name()))),
            ),
            Self::Fact(slot, entries) => {
                let list = Self::fact(*slot, scope)?;
                junction(
                    every,
                    list.iter().map(|scalar| match (entries, scalar) {
                        (Entries::Bytes, Scalar::Bytes(bytes)) => test(Entry::Bytes(bytes)),
                        (Entries::Texts, Scalar::Text(text)) => test(Entry::Text(text)),
                        (Entries::Numbers, Scalar::Unsigned(value)) => test(Entry::Number((*value).into())),
                        (Entries::Numbers, Scalar::Unsigned256((a, b, c, d))) => test(Entry::Number(U256::from_limbs([*a, *b, *c, *d]))),
                        // An entry that the body does not look at is wrong all the same.
                        (
                            Entries::Bytes | Entries::Texts | Entries::Numbers,
                            Scalar::Bytes(_) | Scalar::Text(_) | Scalar::Boolean(_) | Scalar::Unsigned(_) | Scalar::Unsigned256(_),
                        ) => Err(Cause::Type),
                    }),
                )
            }
        }
    }
}
