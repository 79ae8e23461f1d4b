//! What a condition is, whatever the request: a rule that cannot but hold, or cannot hold, was meant otherwise.

use crate::tree::{Arithmetic, Boolean, Bytes, Item, List, Number, Order, Part, Text};
use sigwarden_guest::U256;

/// A value that does not depend on the request.
#[derive(PartialEq)]
enum Known<'a> {
    Number(U256),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl Boolean {
    /// True or false, if it is the same for every request; none if it depends on one, or cannot be judged.
    pub(crate) fn settled(&self) -> Option<bool> {
        match self {
            Self::Constant(value) => Some(*value),
            Self::Fact(_) | Self::Has(_) | Self::InSet(..) | Self::Quantified { .. } => None,
            Self::Not(inner) => inner.settled().map(|value| !value),
            Self::Junction { every, parts } => {
                let decides = |part: &Boolean| part.settled() == Some(!*every);
                let agrees = |part: &Boolean| part.settled() == Some(*every);
                match parts.iter().any(decides) {
                    true => Some(!*every),
                    false => parts.iter().all(agrees).then_some(*every),
                }
            }
            Self::Same(sides) => Some(sides.0.settled()? == sides.1.settled()?),
            Self::Equal(sides) => Some(sides.0.known()? == sides.1.known()?),
            Self::Compare(order, sides) => compared(*order, &sides.0, &sides.1),
            Self::In(sides) => {
                let List::Items(items) = &sides.1 else { return None };
                let needle = sides.0.known()?;
                let items: Vec<Known<'_>> = items.iter().map(Item::known).collect::<Option<_>>()?;
                Some(items.contains(&needle))
            }
            Self::Part(part, sides) => {
                let (whole, piece) = (sides.0.known()?, sides.1.known()?);
                Some(match part {
                    Part::Starts => whole.starts_with(piece),
                    Part::Ends => whole.ends_with(piece),
                    Part::Contains => piece.is_empty() || whole.windows(piece.len()).any(|window| window == piece),
                })
            }
            Self::If(parts) => match parts.0.settled() {
                Some(true) => parts.1.settled(),
                Some(false) => parts.2.settled(),
                None => parts.1.settled().filter(|then| parts.2.settled() == Some(*then)),
            },
        }
    }
}

/// No number is below 0.
fn compared(order: Order, left: &Number, right: &Number) -> Option<bool> {
    let zero = Some(U256::from(0_u64));
    let (left, right) = (left.known(), right.known());
    match order {
        Order::Less if right == zero => Some(false),
        Order::GreaterOrEqual if right == zero => Some(true),
        Order::Greater if left == zero => Some(false),
        Order::LessOrEqual if left == zero => Some(true),
        Order::Less => Some(left? < right?),
        Order::LessOrEqual => Some(left? <= right?),
        Order::Greater => Some(left? > right?),
        Order::GreaterOrEqual => Some(left? >= right?),
    }
}

impl Number {
    fn known(&self) -> Option<U256> {
        match self {
            Self::Constant(value) => Some(*value),
            Self::Fact(_) | Self::Field(_) | Self::Variable(_) | Self::Size(_) | Self::Characters(_) | Self::FromBytes(..) => None,
            Self::Arithmetic(operator, _, sides) => {
                let (left, right) = (sides.0.known()?, sides.1.known()?);
                match operator {
                    Arithmetic::Add => left.checked_add(right),
                    Arithmetic::Subtract => left.checked_sub(right),
                    Arithmetic::Multiply => left.checked_mul(right),
                    Arithmetic::Divide => left.checked_div(right),
                    Arithmetic::Remainder => left.checked_rem(right),
                }
            }
            Self::If(parts) => if parts.0.settled()? { &parts.1 } else { &parts.2 }.known(),
            Self::Count(list) => match &**list {
                List::Items(items) => u64::try_from(items.len()).ok().map(U256::from),
                List::Roles | List::Fact(..) => None,
            },
        }
    }
}

impl Text {
    fn known(&self) -> Option<&str> {
        match self {
            Self::Constant(text) => Some(text),
            Self::Fact(_) | Self::Field(_) | Self::Variable(_) => None,
            Self::If(parts) => if parts.0.settled()? { &parts.1 } else { &parts.2 }.known(),
        }
    }
}

impl Bytes {
    fn known(&self) -> Option<&[u8]> {
        match self {
            Self::Constant(bytes) => Some(bytes),
            Self::Fact(_) | Self::Payload | Self::PublicKey | Self::Variable(_) | Self::Slice(..) => None,
            Self::If(parts) => if parts.0.settled()? { &parts.1 } else { &parts.2 }.known(),
            Self::OfText(text) => text.known().map(str::as_bytes),
        }
    }
}

impl Item {
    fn known(&self) -> Option<Known<'_>> {
        match self {
            Self::Number(number) => number.known().map(Known::Number),
            Self::Text(text) => text.known().map(Known::Text),
            Self::Bytes(bytes) => bytes.known().map(Known::Bytes),
        }
    }
}
