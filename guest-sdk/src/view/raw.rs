//! Raw messages and digests.

use crate::bindings::sigwarden::policy::types::Request;
use crate::facts::FactError;
use crate::vocabulary::Family;

impl Request {
    /// What the payload is, by its format.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(&self.format)
    }

    /// The raw message that would be signed: the payload itself.
    ///
    /// # Errors
    /// The format is not one of `raw-message/*`.
    pub fn message(&self) -> Result<&[u8], FactError> {
        if self.family() != Family::RawMessage {
            return Err(self.no("raw message"));
        }
        Ok(&self.payload)
    }

    /// The raw digest that would be signed.
    ///
    /// # Errors
    /// The format is not `raw-digest`, or the payload has not 32 bytes.
    pub fn digest(&self) -> Result<&[u8; 32], FactError> {
        if self.family() != Family::RawDigest {
            return Err(self.no("raw digest"));
        }
        self.payload
            .as_slice()
            .try_into()
            .map_err(|_| self.no("raw digest, which has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing;

    #[test]
    fn a_message_is_the_payload_of_a_raw_format_only() {
        assert_eq!(testing::message(b"hello").build().message().unwrap(), b"hello");
        assert!(testing::evm_transfer().build().message().is_err());
        assert!(testing::message(b"hello").build().digest().is_err());
    }

    #[test]
    fn a_digest_has_32_bytes() {
        assert_eq!(testing::request("raw-digest").payload(&[7; 32]).build().digest().unwrap(), &[7; 32]);
        assert!(testing::request("raw-digest").payload(&[7; 31]).build().digest().is_err());
    }
}
