//! The protobuf wire format, read strictly: known wire types, shortest varints, fields in rising order and at most once.
//! (Protocol Buffers, "Encoding".) Every error says at which byte of the payload. Written by hand because a general decoder takes
//! what no canonical encoder writes, and cannot say where.

use sigwarden_core::fact::PayloadError;

/// One field of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) number: u64,
    /// Where its tag starts in the payload.
    pub(crate) offset: usize,
    value: Value<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    /// With where they start in the payload.
    Bytes(&'a [u8], usize),
}

/// The fields of a message that are still to be read.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    /// What the message is called in errors.
    message: &'static str,
    rest: &'a [u8],
    /// Where `rest` starts in the payload.
    offset: usize,
    /// The number of the field before.
    last: u64,
}

impl<'a> Fields<'a> {
    /// The fields of a message that is `bytes`, which start at `offset` of the payload.
    pub(crate) fn of(message: &'static str, bytes: &'a [u8], offset: usize) -> Self {
        Self {
            message,
            rest: bytes,
            offset,
            last: 0,
        }
    }

    /// The fields of the length-delimited message that `payload[offset..]` starts with, and where it ends.
    pub(crate) fn delimited(message: &'static str, payload: &'a [u8], offset: usize) -> Result<(Self, usize), PayloadError> {
        let rest = payload.get(offset..).unwrap_or_default();
        let mut outer = Self::of(message, rest, offset);
        let length = outer.varint("length prefix")?;
        let body = outer.take("message", length)?;
        let start = outer.offset - body.len();
        Ok((Self::of(message, body, start), outer.offset))
    }

    /// The next field.
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>, PayloadError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let offset = self.offset;
        let tag = self.varint("tag")?;
        let (number, wire_type) = (tag >> 3, tag & 7);
        if number <= self.last {
            return Err(PayloadError::NonCanonical(format!(
                "{}: field {number} at byte {offset} comes after field {}; fields stand in rising order, each at most once",
                self.message, self.last
            )));
        }
        self.last = number;
        let value = match wire_type {
            0 => Value::Varint(self.varint("value")?),
            1 => Value::Fixed64(self.fixed64()?),
            2 => {
                let length = self.varint("length")?;
                let bytes = self.take("field", length)?;
                Value::Bytes(bytes, self.offset - bytes.len())
            }
            other => {
                return Err(PayloadError::Malformed(format!(
                    "{}: the tag at byte {offset} has wire type {other}, which no field of it has",
                    self.message
                )));
            }
        };
        Ok(Some(Field { number, offset, value }))
    }

    /// The refusal of a field that the message does not have.
    pub(crate) fn unknown(&self, field: &Field<'_>) -> PayloadError {
        PayloadError::Malformed(format!(
            "{}: field {} at byte {} is none of its fields",
            self.message, field.number, field.offset
        ))
    }

    fn cut_short(&self, what: &str, offset: usize) -> PayloadError {
        PayloadError::Malformed(format!(
            "{}: cut short: the {what} at byte {offset} runs past the end",
            self.message
        ))
    }

    fn take(&mut self, what: &str, length: u64) -> Result<&'a [u8], PayloadError> {
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let (taken, rest) = split.ok_or_else(|| self.cut_short(what, self.offset))?;
        self.rest = rest;
        self.offset += taken.len();
        Ok(taken)
    }

    fn fixed64(&mut self) -> Result<u64, PayloadError> {
        let (bytes, rest) = self
            .rest
            .split_first_chunk::<8>()
            .ok_or_else(|| self.cut_short("8-byte value", self.offset))?;
        self.rest = rest;
        self.offset += 8;
        Ok(u64::from_le_bytes(*bytes))
    }

    fn varint(&mut self, what: &str) -> Result<u64, PayloadError> {
        let offset = self.offset;
        let (value, length) = match read_varint(self.rest) {
            Varint::Read(value, length) => (value, length),
            Varint::CutShort => return Err(self.cut_short(what, offset)),
            Varint::TooLong => {
                return Err(PayloadError::Malformed(format!(
                    "{}: the {what} at byte {offset} is a varint of more than 64 bits",
                    self.message
                )));
            }
        };
        if length > 1 && self.rest.get(length - 1) == Some(&0) {
            return Err(PayloadError::NonCanonical(format!(
                "{}: the {what} at byte {offset} is a varint with a trailing zero group; write it as short as it goes",
                self.message
            )));
        }
        self.rest = self.rest.get(length..).unwrap_or_default();
        self.offset += length;
        Ok(value)
    }
}

impl<'a> Field<'a> {
    fn wrong_type(&self, name: &str, wanted: &str) -> PayloadError {
        PayloadError::Malformed(format!("`{name}` at byte {} has another wire type; it is a {wanted}", self.offset))
    }

    /// A varint.
    pub(crate) fn varint(&self, name: &str) -> Result<u64, PayloadError> {
        match self.value {
            Value::Varint(value) => Ok(value),
            Value::Fixed64(_) | Value::Bytes(..) => Err(self.wrong_type(name, "varint (wire type 0)")),
        }
    }

    /// An `int64`: a varint, negative ones in two's complement of ten bytes.
    pub(crate) fn int64(&self, name: &str) -> Result<i64, PayloadError> {
        Ok(self.varint(name)?.cast_signed())
    }

    /// An `sfixed64`.
    pub(crate) fn sfixed64(&self, name: &str) -> Result<i64, PayloadError> {
        match self.value {
            Value::Fixed64(value) => Ok(value.cast_signed()),
            Value::Varint(_) | Value::Bytes(..) => Err(self.wrong_type(name, "sfixed64 (wire type 1)")),
        }
    }

    /// `bytes`, `string` or the encoding of a message.
    pub(crate) fn bytes(&self, name: &str) -> Result<&'a [u8], PayloadError> {
        match self.value {
            Value::Bytes(bytes, _) => Ok(bytes),
            Value::Varint(_) | Value::Fixed64(_) => Err(self.wrong_type(name, "length-delimited field (wire type 2)")),
        }
    }

    /// The fields of a message.
    pub(crate) fn message(&self, name: &'static str) -> Result<Fields<'a>, PayloadError> {
        match self.value {
            Value::Bytes(bytes, offset) => Ok(Fields::of(name, bytes, offset)),
            Value::Varint(_) | Value::Fixed64(_) => Err(self.wrong_type(name, "message (wire type 2)")),
        }
    }
}

/// What the first bytes are as a varint.
pub(crate) enum Varint {
    /// Its value and length.
    Read(u64, usize),
    /// The bytes end before it does.
    CutShort,
    /// More than ten bytes or 64 bits.
    TooLong,
}

/// Reads a varint, overlong ones too.
pub(crate) fn read_varint(bytes: &[u8]) -> Varint {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        let group = u64::from(byte & 0x7f);
        if index == 9 && group > 1 {
            return Varint::TooLong;
        }
        value |= group << (7 * index);
        if byte & 0x80 == 0 {
            return Varint::Read(value, index + 1);
        }
    }
    if bytes.len() < 10 { Varint::CutShort } else { Varint::TooLong }
}

/// Writes a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        // The low seven bits, and that more follow.
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a varint field, left out if zero.
pub(crate) fn put_varint_field(out: &mut Vec<u8>, number: u64, value: u64) {
    if value != 0 {
        put_varint(out, number << 3);
        put_varint(out, value);
    }
}

/// Writes an `sfixed64` field, left out if zero.
pub(crate) fn put_sfixed64_field(out: &mut Vec<u8>, number: u64, value: i64) {
    if value != 0 {
        put_varint(out, number << 3 | 1);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Writes a `bytes` or `string` field, left out if empty.
pub(crate) fn put_bytes_field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_message_field(out, number, bytes);
    }
}

/// Writes a message field, an empty one too.
pub(crate) fn put_message_field(out: &mut Vec<u8>, number: u64, message: &[u8]) {
    put_varint(out, number << 3 | 2);
    out.extend_from_slice(&delimited(message));
}

/// Puts a message's length before it.
pub(crate) fn delimited(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 2);
    put_varint(&mut out, message.len() as u64);
    out.extend_from_slice(message);
    out
}
