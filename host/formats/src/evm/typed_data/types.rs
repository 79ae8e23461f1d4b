//! The struct types of typed data: read, checked, and reduced to those that the domain and the message use.

use super::json::{Node, shown, write_text};
use sigwarden_core::fact::PayloadError;
use std::collections::{BTreeMap, BTreeSet};

/// The domain's type (EIP-712, "Definition of domainSeparator").
pub(super) const DOMAIN: &str = "EIP712Domain";

/// What a domain may have, in EIP-712's order.
const DOMAIN_FIELDS: [&str; 5] = ["name", "version", "chainId", "verifyingContract", "salt"];

/// The type that a field of a domain has.
fn domain_kind(name: &str) -> Option<Kind> {
    match name {
        "name" | "version" => Some(Kind::Text),
        "chainId" => Some(Kind::Uint(256)),
        "verifyingContract" => Some(Kind::Address),
        "salt" => Some(Kind::FixedBytes(32)),
        _ => None,
    }
}

/// The fact that a field of a domain yields.
pub(super) fn domain_fact(name: &str) -> Option<&'static str> {
    match name {
        "name" => Some("typed-data.domain.name"),
        "version" => Some("typed-data.domain.version"),
        "chainId" => Some("typed-data.domain.chain-id"),
        "verifyingContract" => Some("typed-data.domain.verifying-contract"),
        "salt" => Some("typed-data.domain.salt"),
        _ => None,
    }
}

/// Struct types at most, the domain's included: each is hashed with all that it uses. Published schemes have under ten.
const STRUCTS_MAX: usize = 32;
/// Fields of a struct at most. The longest published one has some twenty.
const FIELDS_MAX: usize = 64;
/// Characters of a name at most; each stands in the path of every value below it.
const NAME_MAX: usize = 64;
/// Dimensions of an array at most.
const DIMENSIONS_MAX: usize = 8;

/// A field of a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// A type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Address,
    Text,
    Bytes,
    /// 1 to 32 bytes.
    FixedBytes(usize),
    /// 8 to 256 bits.
    Uint(usize),
    /// 8 to 256 bits.
    Int(usize),
    Struct(String),
    /// Of a fixed length, or of any.
    Array(Box<Kind>, Option<usize>),
}

/// The struct types by name: the domain's, the primary one, and those that it uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Types(BTreeMap<String, Vec<Field>>);

impl Types {
    /// Reads the `types` of typed data. Those that nothing uses are checked and left out: they are not signed.
    pub(super) fn read(types: &Node, primary_type: &str) -> Result<Self, PayloadError> {
        let entries = types.object("`types`")?;
        if entries.len() > STRUCTS_MAX {
            return Err(malformed(format!(
                "`types` has {} types; {STRUCTS_MAX} are the most",
                entries.len()
            )));
        }
        let names: BTreeSet<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
        let mut all = BTreeMap::new();
        for (name, fields) in entries {
            check_struct_name(name)?;
            all.insert(name.clone(), read_fields(name, fields, &names)?);
        }
        check_domain(all.get(DOMAIN))?;
        if primary_type == DOMAIN {
            return Err(malformed(format!(
                "`primaryType` is `{DOMAIN}`, so that no message would be signed; it names the message's type"
            )));
        }
        if !all.contains_key(primary_type) {
            return Err(malformed(format!(
                "`primaryType` is `{}`, which `types` does not have",
                shown(primary_type)
            )));
        }
        let all = Self(all);
        let used = all.used_by(primary_type);
        if used.contains(DOMAIN) {
            return Err(malformed(format!(
                "a field of the message has the type `{DOMAIN}`, which is the domain's alone"
            )));
        }
        Ok(Self(
            all.0
                .into_iter()
                .filter(|(name, _)| name == DOMAIN || used.contains(name.as_str()))
                .collect(),
        ))
    }

    /// The fields of a struct, in their order.
    pub(super) fn fields(&self, name: &str) -> &[Field] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The struct and those that it uses, however far.
    fn used_by(&self, name: &str) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        let mut left = vec![name.to_owned()];
        while let Some(name) = left.pop() {
            if used.insert(name.clone()) {
                left.extend(
                    self.fields(&name)
                        .iter()
                        .filter_map(|field| field.kind.structure())
                        .map(str::to_owned),
                );
            }
        }
        used
    }

    /// `encodeType` (EIP-712): the struct, then those that it uses, by name.
    pub(super) fn encode_type(&self, name: &str) -> String {
        let mut used = self.used_by(name);
        used.remove(name);
        let mut out = String::new();
        for name in std::iter::once(name).chain(used.iter().map(String::as_str)) {
            let members: Vec<_> = self
                .fields(name)
                .iter()
                .map(|field| format!("{} {}", field.kind.written(), field.name))
                .collect();
            out.push_str(&format!("{name}({})", members.join(",")));
        }
        out
    }

    /// Writes the canonical JSON: types by name, fields in their order.
    pub(super) fn write(&self, out: &mut String) {
        out.push('{');
        for (index, (name, fields)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_text(out, name);
            out.push_str(":[");
            for (index, field) in fields.iter().enumerate() {
                out.push_str(if index > 0 { ",{\"name\":" } else { "{\"name\":" });
                write_text(out, &field.name);
                out.push_str(",\"type\":");
                write_text(out, &field.kind.written());
                out.push('}');
            }
            out.push(']');
        }
        out.push('}');
    }
}

impl Kind {
    /// The struct that values of this type consist of.
    fn structure(&self) -> Option<&str> {
        match self {
            Self::Struct(name) => Some(name),
            Self::Array(inner, _) => inner.structure(),
            Self::Bool | Self::Address | Self::Text | Self::Bytes | Self::FixedBytes(_) | Self::Uint(_) | Self::Int(_) => None,
        }
    }

    /// The type of a list's entries; else the type itself.
    pub(super) fn entry(&self) -> &Self {
        match self {
            Self::Array(inner, _) => inner,
            Self::Bool | Self::Address | Self::Text | Self::Bytes | Self::FixedBytes(_) => self,
            Self::Uint(_) | Self::Int(_) | Self::Struct(_) => self,
        }
    }

    /// The type as `encodeType` writes it.
    pub(super) fn written(&self) -> String {
        match self {
            Self::Bool => "bool".into(),
            Self::Address => "address".into(),
            Self::Text => "string".into(),
            Self::Bytes => "bytes".into(),
            Self::FixedBytes(length) => format!("bytes{length}"),
            Self::Uint(bits) => format!("uint{bits}"),
            Self::Int(bits) => format!("int{bits}"),
            Self::Struct(name) => name.clone(),
            Self::Array(inner, None) => format!("{}[]", inner.written()),
            Self::Array(inner, Some(length)) => format!("{}[{length}]", inner.written()),
        }
    }
}

fn malformed(message: String) -> PayloadError {
    PayloadError::Malformed(message)
}

fn read_fields(structure: &str, fields: &Node, names: &BTreeSet<&str>) -> Result<Vec<Field>, PayloadError> {
    let Node::List(list) = fields else {
        return Err(malformed(format!(
            "`types.{structure}` is {}; it is a list of fields",
            fields.kind()
        )));
    };
    if list.len() > FIELDS_MAX {
        return Err(malformed(format!(
            "`types.{structure}` has {} fields; {FIELDS_MAX} are the most",
            list.len()
        )));
    }
    let mut read: Vec<Field> = Vec::new();
    for (index, field) in list.iter().enumerate() {
        let place = format!("`types.{structure}[{index}]`");
        let [name, written] = field.fields(&place, ["name", "type"])?;
        let (Node::Text(name), Node::Text(written)) = (name, written) else {
            return Err(malformed(format!("{place}: `name` and `type` are strings")));
        };
        if !is_name(name, false) {
            return Err(malformed(format!("{place}: `{}` is no name of a field; {NAMES}", shown(name))));
        }
        if read.iter().any(|earlier| earlier.name == *name) {
            return Err(malformed(format!("{place}: the field `{name}` is there twice")));
        }
        let kind = read_kind(written, names).map_err(|problem| malformed(format!("{place}: {problem}")))?;
        read.push(Field { name: name.clone(), kind });
    }
    Ok(read)
}

const NAMES: &str = "it has 1 to 64 letters, digits, `_` and `$`, and begins with no digit";

/// Struct names may have a colon, as in `HyperliquidTransaction:UsdSend`; it cannot be mistaken in `encodeType`.
fn is_name(name: &str, colon: bool) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$');
    let inner = |byte: u8| letter(byte) || byte.is_ascii_digit() || (colon && byte == b':');
    name.len() <= NAME_MAX && name.bytes().next().is_some_and(letter) && name.bytes().all(inner)
}

fn check_struct_name(name: &str) -> Result<(), PayloadError> {
    if !is_name(name, true) {
        return Err(malformed(format!(
            "`types` has `{}`, which is no name of a struct; {NAMES}",
            shown(name)
        )));
    }
    let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    if matches!(name, "bool" | "address" | "string" | "function") || matches!(stem, "bytes" | "uint" | "int") {
        return Err(malformed(format!(
            "`types` has `{name}`, which is no name for a struct, being a type of Solidity"
        )));
    }
    Ok(())
}

fn check_domain(fields: Option<&Vec<Field>>) -> Result<(), PayloadError> {
    let fields = fields.ok_or_else(|| malformed(format!("`types` lacks `{DOMAIN}`, which lists the fields of `domain`")))?;
    for field in fields {
        match domain_kind(&field.name) {
            Some(kind) if kind == field.kind => {}
            Some(kind) => {
                return Err(malformed(format!(
                    "`types.{DOMAIN}`: `{}` is a {}; it is a {} (EIP-712)",
                    field.name,
                    field.kind.written(),
                    kind.written()
                )));
            }
            None => {
                return Err(malformed(format!(
                    "`types.{DOMAIN}`: a domain has no `{}`; it has {} (EIP-712)",
                    field.name,
                    DOMAIN_FIELDS.map(|name| format!("`{name}`")).join(", ")
                )));
            }
        }
    }
    // Libraries that know a domain's fields themselves (ethers, eth-account) hash them in this order whatever the data says: in another one,
    // two readers would see two hashes.
    let place = |field: &Field| DOMAIN_FIELDS.iter().position(|name| *name == field.name);
    if fields.is_sorted_by_key(place) {
        return Ok(());
    }
    let given = fields.iter().map(|field| format!("`{}`", field.name)).collect::<Vec<_>>();
    let right = DOMAIN_FIELDS
        .into_iter()
        .filter(|name| fields.iter().any(|field| field.name == *name))
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>();
    Err(malformed(format!(
        "`types.{DOMAIN}` lists {}; the order is {} (EIP-712, \"Definition of domainSeparator\")",
        given.join(", "),
        right.join(", ")
    )))
}

/// Reads a type: a base and the dimensions of an array.
fn read_kind(written: &str, names: &BTreeSet<&str>) -> Result<Kind, String> {
    let (base, mut rest) = written.split_at(written.find('[').unwrap_or(written.len()));
    let mut kind = read_base(base, names)?;
    let mut dimensions = 0;
    while !rest.is_empty() {
        let wrong = || format!("`{}` is no type: arrays are written `[]` or `[3]`", shown(written));
        let (length, after) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(wrong)?;
        let length = match length {
            "" => None,
            digits => Some(number(digits).filter(|length| *length > 0).ok_or_else(wrong)?),
        };
        dimensions += 1;
        if dimensions > DIMENSIONS_MAX {
            return Err(format!("`{}` has more than {DIMENSIONS_MAX} dimensions", shown(written)));
        }
        kind = Kind::Array(Box::new(kind), length);
        rest = after;
    }
    Ok(kind)
}

fn read_base(base: &str, names: &BTreeSet<&str>) -> Result<Kind, String> {
    let sized = |prefix: &str| {
        base.strip_prefix(prefix)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let bits = |digits: &str| number(digits).filter(|bits| bits % 8 == 0 && (8..=256).contains(bits));
    match base {
        "bool" => return Ok(Kind::Bool),
        "address" => return Ok(Kind::Address),
        "string" => return Ok(Kind::Text),
        "bytes" => return Ok(Kind::Bytes),
        "uint" | "int" => return Err(format!("`{base}` is short for `{base}256`, which EIP-712 wants in full")),
        _ => {}
    }
    if let Some(digits) = sized("bytes") {
        let length = number(digits).filter(|length| (1..=32).contains(length));
        return length
            .map(Kind::FixedBytes)
            .ok_or_else(|| format!("`{base}` is no type; `bytes1` to `bytes32` are"));
    }
    let integer = |kind: fn(usize) -> Kind, digits: &str| {
        let kind = bits(digits).map(kind);
        kind.ok_or_else(|| format!("`{base}` is no type; integers have 8 to 256 bits, in steps of 8"))
    };
    if let Some(digits) = sized("uint") {
        return integer(Kind::Uint, digits);
    }
    if let Some(digits) = sized("int") {
        return integer(Kind::Int, digits);
    }
    if names.contains(base) {
        return Ok(Kind::Struct(base.to_owned()));
    }
    Err(format!(
        "`types` has no `{}`, and it is no type of Solidity that EIP-712 takes",
        shown(base)
    ))
}

/// Digits without leading zeros.
fn number(digits: &str) -> Option<usize> {
    let plain = digits.len() <= 6 && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    plain.then(|| digits.parse().ok()).flatten()
}
