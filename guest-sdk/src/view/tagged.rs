//! Messages whose tag says what they are for.

use crate::bindings::sigwarden::policy::types::Request;
use crate::facts::FactError;
use crate::vocabulary::Family;

pub use crate::vocabulary::TaggedDomain;

/// A tagged message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaggedMessage<'a> {
    /// What it is for.
    pub domain: TaggedDomain,
    /// The chain it is for.
    pub chain_id: u64,
    /// What it holds; the host does not read it.
    pub body: &'a [u8],
}

impl Request {
    /// The tagged message that would be signed.
    ///
    /// # Errors
    /// It is none, a fact of it is missing or of another type, or its domain is newer than this SDK.
    pub fn tagged_message(&self) -> Result<TaggedMessage<'_>, FactError> {
        if self.family() != Family::Tagged {
            return Err(self.no("tagged message"));
        }
        let domain = self.text_fact("tagged.domain")?.parse().map_err(|_| FactError::Value {
            name: "tagged.domain".to_owned(),
            wanted: "batch, batch-ack, governance, operation or withdrawal",
        })?;
        Ok(TaggedMessage {
            domain,
            chain_id: self.u64_fact("tagged.chain-id")?,
            body: self.bytes_fact("tagged.body")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_tagged_message_says_what_it_is_for() {
        for domain in TaggedDomain::ALL {
            let request = testing::tagged_message(domain.name(), b"body").build();
            let wanted = TaggedMessage {
                domain: *domain,
                chain_id: 7,
                body: b"body",
            };
            assert_eq!(request.tagged_message().unwrap(), wanted);
        }
        assert!(testing::message(b"body").build().tagged_message().is_err());
        let newer = testing::tagged_message("upgrade", b"body").build();
        assert!(matches!(newer.tagged_message(), Err(FactError::Value { .. })));
        for fact in ["tagged.domain", "tagged.chain-id", "tagged.body"] {
            let request = testing::tagged_message("batch", b"body").without(fact).build();
            assert!(matches!(request.tagged_message(), Err(FactError::Missing { .. })), "{fact}");
        }
    }
}
