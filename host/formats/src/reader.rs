//! Reads fixed-width layouts from the first byte to the last: big-endian integers, byte arrays, flags. Every error names the field
//! and the byte.

use sigwarden_core::fact::PayloadError;

/// What is left of a payload.
pub(crate) struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts after the tag, which the payload must begin with. `what` names the message in errors: `a HotStuff vote`.
    pub(crate) fn after_tag(what: &'static str, tag: &str, payload: &'a [u8]) -> Result<Self, PayloadError> {
        let rest = payload
            .strip_prefix(tag.as_bytes())
            .ok_or_else(|| PayloadError::Malformed(format!("{what} begins with `{tag}`; these bytes do not")))?;
        Ok(Self { what, rest, at: tag.len() })
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self, field: &str) -> Result<[u8; N], PayloadError> {
        let Some((found, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(PayloadError::Malformed(format!(
                "byte {}: `{field}` of {} has {N} bytes, and {} are left",
                self.at,
                self.what,
                self.rest.len()
            )));
        };
        self.rest = rest;
        self.at += N;
        Ok(*found)
    }

    pub(crate) fn u64(&mut self, field: &str) -> Result<u64, PayloadError> {
        self.array(field).map(u64::from_be_bytes)
    }

    pub(crate) fn u32(&mut self, field: &str) -> Result<u32, PayloadError> {
        self.array(field).map(u32::from_be_bytes)
    }

    pub(crate) fn u16(&mut self, field: &str) -> Result<u16, PayloadError> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// One byte: 0 for absent, 1 for present. Any other is refused, so that there is one encoding of each.
    pub(crate) fn flag(&mut self, field: &str) -> Result<bool, PayloadError> {
        let at = self.at;
        match self.array(field)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(PayloadError::Malformed(format!(
                "byte {at}: the flag of `{field}` is 0x00 (absent) or 0x01 (present), not 0x{other:02x}"
            ))),
        }
    }

    /// All that is left, which must be as long as said.
    pub(crate) fn rest_of(self, field: &str, length: u32) -> Result<&'a [u8], PayloadError> {
        if u64::try_from(self.rest.len()).is_ok_and(|left| left == u64::from(length)) {
            return Ok(self.rest);
        }
        Err(PayloadError::Malformed(format!(
            "byte {}: `{field}` of {} has {length} bytes by its length, and {} follow",
            self.at,
            self.what,
            self.rest.len()
        )))
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), PayloadError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(PayloadError::Malformed(format!(
            "{} ends at byte {}, and {} bytes follow",
            self.what,
            self.at,
            self.rest.len()
        )))
    }
}
