//! Strict canonical RLP (Ethereum Yellow Paper, appendix B), read item by item so that an error can say which field, at which byte.
//! The item headers themselves are `alloy-rlp`'s work, which refuses every non-canonical one.

use crate::evm::U256;
use alloy_rlp::{Encodable, Error, Header};
use sigwarden_core::fact::PayloadError;

/// One item of a list: a string, or a list whose items are still to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'a> {
    name: &'static str,
    /// Where its header starts in the payload.
    pub(crate) offset: usize,
    list: bool,
    body: &'a [u8],
    body_offset: usize,
}

/// The items of a list that are still to be read.
#[derive(Debug, Clone)]
pub(crate) struct Items<'a> {
    rest: &'a [u8],
    /// Where `rest` starts in the payload.
    pub(crate) offset: usize,
}

impl<'a> Items<'a> {
    /// The items of the list that spans `bytes` from first to last; they start at `offset` of the payload.
    pub(crate) fn spanning(name: &'static str, bytes: &'a [u8], offset: usize) -> Result<Self, PayloadError> {
        let mut outer = Self { rest: bytes, offset };
        let item = outer.next(name)?;
        if !outer.rest.is_empty() {
            return Err(PayloadError::Malformed(format!(
                "the {name} ends at byte {}, but {} more bytes follow; send nothing after it",
                outer.offset,
                outer.rest.len()
            )));
        }
        item.items()
    }

    /// Reads the next item, which is called `name` in errors.
    pub(crate) fn next(&mut self, name: &'static str) -> Result<Item<'a>, PayloadError> {
        let start = self.offset;
        if self.rest.is_empty() {
            return Err(PayloadError::Malformed(format!(
                "the list ends at byte {start}, where `{name}` should start"
            )));
        }
        let mut cursor = self.rest;
        let header = Header::decode(&mut cursor).map_err(|error| header_refused(name, start, error))?;
        let body_offset = start + (self.rest.len() - cursor.len());
        let (body, rest) = cursor
            .split_at_checked(header.payload_length)
            .ok_or_else(|| header_refused(name, start, Error::InputTooShort))?;
        self.rest = rest;
        self.offset = body_offset + body.len();
        Ok(Item {
            name,
            offset: start,
            list: header.list,
            body,
            body_offset,
        })
    }

    /// Whether no item is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many items are left; none if they are not well-formed.
    pub(crate) fn count(&self) -> Option<usize> {
        let mut items = self.clone();
        let mut count = 0;
        while !items.is_empty() {
            items.next("item").ok()?;
            count += 1;
        }
        Some(count)
    }
}

impl<'a> Item<'a> {
    fn malformed(&self, what: impl std::fmt::Display) -> PayloadError {
        PayloadError::Malformed(format!("`{}` at byte {}: {what}", self.name, self.offset))
    }

    /// The bytes of a string.
    pub(crate) fn string(&self) -> Result<&'a [u8], PayloadError> {
        if self.list {
            return Err(self.malformed("a string is wanted, this is a list"));
        }
        Ok(self.body)
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> Result<Items<'a>, PayloadError> {
        if !self.list {
            return Err(self.malformed("a list is wanted, this is a string"));
        }
        Ok(Items {
            rest: self.body,
            offset: self.body_offset,
        })
    }

    /// A string of exactly `N` bytes.
    pub(crate) fn array<const N: usize>(&self) -> Result<[u8; N], PayloadError> {
        let bytes = self.string()?;
        bytes
            .try_into()
            .map_err(|_| self.malformed(format_args!("{N} bytes are wanted, these are {}", bytes.len())))
    }

    /// A big-endian unsigned integer without leading zeros; zero is the empty string.
    pub(crate) fn u256(&self) -> Result<U256, PayloadError> {
        let bytes = self.string()?;
        if bytes.first() == Some(&0) {
            return Err(PayloadError::NonCanonical(format!(
                "`{}` at byte {}: an integer has no leading zero bytes, and zero is the empty string (0x80)",
                self.name, self.offset
            )));
        }
        U256::try_from_be_slice(bytes)
            .ok_or_else(|| self.malformed(format_args!("an integer has at most 32 bytes, this has {}", bytes.len())))
    }

    /// The same, of at most 64 bits.
    pub(crate) fn u64(&self) -> Result<u64, PayloadError> {
        let wide = self.u256()?;
        u64::try_from(wide).map_err(|_| self.malformed(format_args!("{wide} does not fit 64 bits")))
    }
}

fn header_refused(name: &str, offset: usize, error: Error) -> PayloadError {
    let non_canonical = |what: &str| PayloadError::NonCanonical(format!("`{name}` at byte {offset}: {what}"));
    match error {
        Error::InputTooShort => PayloadError::Malformed(format!("`{name}` at byte {offset} is cut short: its length runs past the end")),
        Error::LeadingZero => non_canonical("a length has no leading zero bytes"),
        Error::NonCanonicalSingleByte => non_canonical("a single byte below 0x80 stands for itself, without a header"),
        Error::NonCanonicalSize => non_canonical("a length under 56 belongs into the header's first byte"),
        Error::Overflow
        | Error::UnexpectedLength
        | Error::UnexpectedString
        | Error::UnexpectedList
        | Error::ListLengthMismatch { .. }
        | Error::Custom(_) => PayloadError::Malformed(format!("`{name}` at byte {offset}: {error}")),
    }
}

/// Writes a string.
pub(crate) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    bytes.encode(out);
}

/// Writes an integer.
pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    value.encode(out);
}

/// Writes an integer.
pub(crate) fn put_u256(out: &mut Vec<u8>, value: U256) {
    put_string(out, &value.to_be_bytes_trimmed_vec());
}

/// Writes a list whose items are encoded in `items`.
pub(crate) fn put_list(out: &mut Vec<u8>, items: &[u8]) {
    Header {
        list: true,
        payload_length: items.len(),
    }
    .encode(out);
    out.extend_from_slice(items);
}
