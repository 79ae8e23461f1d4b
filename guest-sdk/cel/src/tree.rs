//! What a checked expression is compiled to: a tree for each type, so that judging never meets a value of the wrong one. It lies in the
//! snapshot of the configured module, and is serialized for its digest.

use serde::Serialize;
use sigwarden_guest::U256;

/// A place in the table of facts that the programs read.
pub(crate) type Slot = u16;

/// True or false.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) enum Boolean {
    Constant(bool),
    Fact(Slot),
    /// Whether the request has the fact.
    Has(Slot),
    Not(Box<Boolean>),
    /// `&&` (every) or `||`.
    Junction {
        every: bool,
        parts: Vec<Boolean>,
    },
    Same(Box<(Boolean, Boolean)>),
    Equal(Box<(Item, Item)>),
    Compare(Order, Box<(Number, Number)>),
    In(Box<(Item, List)>),
    /// Whether a named set of addresses has it.
    InSet(Box<Bytes>, String),
    Part(Part, Box<(Bytes, Bytes)>),
    If(Box<(Boolean, Boolean, Boolean)>),
    /// `all` (every) or `exists`; the entry is the variable.
    Quantified {
        every: bool,
        list: List,
        variable: u8,
        body: Box<Boolean>,
    },
}

/// How two numbers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Where one is part of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Part {
    Starts,
    Ends,
    Contains,
}

/// A number below 2^256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) enum Number {
    Constant(U256),
    Fact(Slot),
    Field(NumberField),
    Variable(u8),
    /// With the character at which the operator stands.
    Arithmetic(Arithmetic, u16, Box<(Number, Number)>),
    If(Box<(Boolean, Number, Number)>),
    Size(Box<Bytes>),
    Characters(Box<Text>),
    Count(Box<List>),
    /// Of at most 32 bytes, the most significant first.
    FromBytes(u16, Box<Bytes>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum NumberField {
    Now,
    FormatVersion,
    KeyVersion,
    KeyCreated,
    KeyUses,
}

/// Text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) enum Text {
    Constant(String),
    Fact(Slot),
    Field(TextField),
    Variable(u8),
    If(Box<(Boolean, Text, Text)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum TextField {
    Id,
    Operation,
    Caller,
    Network,
    Format,
    KeyName,
    KeyScheme,
    KeyState,
}

/// Bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) enum Bytes {
    Constant(Vec<u8>),
    Fact(Slot),
    Payload,
    PublicKey,
    Variable(u8),
    If(Box<(Boolean, Bytes, Bytes)>),
    /// From the first index, to before the second.
    Slice(u16, Box<(Bytes, Number, Number)>),
    /// A text's UTF-8.
    OfText(Box<Text>),
}

/// Several of one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) enum List {
    Items(Vec<Item>),
    Roles,
    /// A fact that is a list, and of what.
    Fact(Slot, Entries),
}

/// What a fact's list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Entries {
    Bytes,
    Texts,
    Numbers,
}

/// What can be in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) enum Item {
    Number(Number),
    Text(Text),
    Bytes(Bytes),
}
